/* SPDX-License-Identifier: MIT */
/*
 * JSON text without a tree: where a value ends, strictly as of RFC 8259 over UTF-8, and string
 * literals. The tool stores and prints values as the text that they are, so that numbers beyond
 * 2^53, the order of members and inner spaces survive; a parser that builds a tree would lose them.
 *
 * What counts as JSON here is what lxdb_set_json() takes, nesting depth included.
 */
#ifndef LXDB_TOOLS_JSON_H
#define LXDB_TOOLS_JSON_H

#include "buffer.h"

#define JSON_DEPTH 1000u

/* Whether these bytes are valid UTF-8, without overlong forms and surrogates. */
bool json_utf8_check(const char *text, size_t len);

/* The first byte at or after `at` that is not white space. */
const char *json_space_end(const char *at, const char *end);
/* The end of the string literal that begins at `at`; NULL if none does. */
const char *json_string_end(const char *at, const char *end);
/* The end of the value that begins at `at`, of any type; NULL if none does. */
const char *json_value_end(const char *at, const char *end);
/* Whether `text` is one value, white space around it allowed; *ret_value and *ret_value_len are the
 * value without that. */
bool json_check(const char *text, size_t len, const char **ret_value, size_t *ret_value_len);

/* Add `text` as a string literal, spelled as lxdb_set_str() does: the two can be compared. Bytes
 * that are not UTF-8 become U+FFFD: check first where this must not happen. */
void json_quote(struct buffer *out, const char *text, size_t len);
/* Add what a string literal, checked by json_string_end(), stands for. */
void json_unquote(struct buffer *out, const char *literal, size_t len);

#endif
