/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables as part of a document in Markdown, so that nobody copies figures. */
#pragma once

/** Replaces what stands between the lines "<!-- @name -->" and "<!-- end of @name -->" of the file
 * @path. A call that fails, or a document without these lines, ends the program. */
void document_write(const char *path, const char *name, const char *text);
