/* SPDX-License-Identifier: MIT */
/*
 * JSON once more, written apart from the library and the tool, by recursion and byte by byte: what
 * the targets hold the other two against.
 */
#ifndef LXDB_FUZZ_NAIVE_JSON_H
#define LXDB_FUZZ_NAIVE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAIVE_DEPTH 1000u

/* Bytes that grow. */
struct naive_bytes {
    uint8_t *data;
    size_t len;
    size_t cap;
};
/* Also when `len` is 0 there is a block then. */
void naive_add(struct naive_bytes *bytes, const void *more, size_t len);
void naive_free(struct naive_bytes *bytes);

bool naive_utf8(const uint8_t *text, size_t len);
/* Where the white space that begins at `at` ends. */
size_t naive_space(const uint8_t *text, size_t len, size_t at);
/* Where the value that begins at `at` ends; 0 if there is none. The brackets of `outer` others are
 * open around it. */
size_t naive_value(const uint8_t *text, size_t len, size_t at, unsigned outer);
/* Whether this is one value; *ret_at and *ret_len are what it is without white space around. */
bool naive_json(const uint8_t *text, size_t len, size_t *ret_at, size_t *ret_len);
/* Add what a string literal stands for. */
void naive_unquote(struct naive_bytes *out, const uint8_t *literal, size_t len);
/* Add a string literal, with no escape that is not needed. */
void naive_quote(struct naive_bytes *out, const uint8_t *text, size_t len);
/* Whether a number is an integer within 64 bits, and which; the nearest double, infinite if none
 * is. */
bool naive_integer(const uint8_t *number, size_t len, int64_t *ret_value);
double naive_double(const uint8_t *number, size_t len);

#endif
