/* SPDX-License-Identifier: MIT */
/*
 * JSON text as it is stored: checked, never changed. A strict RFC 8259 check over UTF-8 bytes, and
 * the conversions of single values. No memory is taken, nothing recurses: depth is bounded by
 * LX_JSON_DEPTH, with one byte a level.
 */
#ifndef LX_FORMAT_JSON_H
#define LX_FORMAT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LX_JSON_DEPTH 1000u

/* Whether `text` is one JSON value with nothing but white space around it. Strict: UTF-8 without
 * overlong forms and surrogates, no raw control characters in strings, \u surrogates in pairs, no
 * NaN. On failure *ret_at is the offset of the first byte that cannot stand there (len: it ended
 * too early), and *ret_why a static phrase. */
bool lx_json_check(const char *text, size_t len, size_t *ret_at, const char **ret_why);

enum lx_json_type {
    LX_JSON_OBJECT,
    LX_JSON_ARRAY,
    LX_JSON_STRING,
    LX_JSON_NUMBER,
    LX_JSON_TRUE,
    LX_JSON_FALSE,
    LX_JSON_NULL,
    LX_JSON_NOT
};
/* The type of checked text, by its first byte after white space. */
enum lx_json_type lx_json_type_of(const char *text, size_t len);

/* Whether these bytes are valid UTF-8 (strict as above); *ret_at the first bad one. */
bool lx_utf8_check(const char *text, size_t len, size_t *ret_at);

/* A JSON string literal for valid UTF-8 text: escapes quote, backslash and control characters.
 * `out` has room for lx_json_quote_max(len). Returns the length. */
size_t lx_json_quote_max(size_t len);
size_t lx_json_quote(char *out, const char *text, size_t len);
/* The reverse, of checked text whose type is LX_JSON_STRING; `out` has room for `len`. Returns the
 * length. */
size_t lx_json_unquote(char *out, const char *text, size_t len);

/* Numbers of checked text. False: not a number; not an integer within 64 bits (1.0 and 1e3 are not
 * integers here, -0 is 0); overflows a double. Independent of the locale. */
bool lx_json_to_int(const char *text, size_t len, int64_t *ret_number);
bool lx_json_to_double(const char *text, size_t len, double *ret_number);
/* The shortest text that reads back as the same double (always with '.' or 'e', so it stays a
 * float); false for NaN and infinities. Independent of the locale. */
#define LX_JSON_NUMBER_MAX 40u
bool lx_json_from_double(char out[LX_JSON_NUMBER_MAX], size_t *ret_len, double number);
size_t lx_json_from_int(char out[LX_JSON_NUMBER_MAX], int64_t number);

#endif
