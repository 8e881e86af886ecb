/* SPDX-License-Identifier: BSD-3-Clause */
/* Put in front of loader/index.c when it is compiled for the exploration of the ruleset's swap:
 * what it takes from libc, and the compiler of rulesets, become functions of the test.
 */
#pragma once

#define close           kernel_close
#define unlink          kernel_unlink
#define opendir         kernel_opendir
#define readdir         kernel_readdir
#define closedir        kernel_closedir
#define mmap            kernel_mmap
#define munmap          kernel_munmap
#define calloc          process_calloc
#define free            process_free
#define ruleset_compile process_compile
#define ruleset_done    process_done
