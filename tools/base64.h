/* SPDX-License-Identifier: MIT */
/*
 * Base64 as of RFC 4648, section 4: the common alphabet, padded, without line breaks. Decoding is
 * strict (padding present, unused bits zero), so that every byte string has exactly one text.
 */
#ifndef LXDB_TOOLS_BASE64_H
#define LXDB_TOOLS_BASE64_H

#include "buffer.h"

void base64_encode(struct buffer *out, const void *bytes, size_t n);
/* Add the bytes that `text` stands for. False when it is not base64; then `out` may hold a part. */
bool base64_decode(struct buffer *out, const char *text, size_t len);

#endif
