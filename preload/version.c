/* SPDX-License-Identifier: BSD-3-Clause */
#include <isomer/library.h>

/* For who reads the file: loading it into a program to ask would start it there. */
static const char version[] __attribute__((used)) = ISOMER_LIBRARY_MARK ISOMER_VERSION;
