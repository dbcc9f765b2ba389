/* SPDX-License-Identifier: MIT */
/*
 * Bytes as hexadecimal text; see hex.h.
 */
#include "hex.h"

#include <stdint.h>

void hex_encode(struct buffer *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    char *to;

    if (n > SIZE_MAX / 2) {
        out->failed = true;
        return;
    }
    to = buffer_room(out, 2 * n);
    if (to == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
    out->len += 2 * n;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(struct buffer *out, const char *text, size_t len)
{
    char *to;

    if (len % 2 != 0)
        return false;
    to = buffer_room(out, len / 2);
    if (to == NULL)
        return true;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(text[i]);
        int low = digit(text[i + 1]);

        if (high < 0 || low < 0)
            return false;
        to[i / 2] = (char)(unsigned char)(high << 4 | low);
    }
    out->len += len / 2;
    return true;
}
