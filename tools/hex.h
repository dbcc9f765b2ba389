/* SPDX-License-Identifier: MIT */
/*
 * Bytes as hexadecimal text: lower case out, either case in.
 */
#ifndef LXDB_TOOLS_HEX_H
#define LXDB_TOOLS_HEX_H

#include "buffer.h"

void hex_encode(struct buffer *out, const void *bytes, size_t n);
/* Add the bytes that `text` stands for. False when it is not pairs of digits; then `out` may hold a
 * part of them. */
bool hex_decode(struct buffer *out, const char *text, size_t len);

#endif
