/* SPDX-License-Identifier: MIT */
/* See naive_json.h. */
#include "fuzz/naive_json.h"

#include "fuzz/driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void naive_add(struct naive_bytes *bytes, const void *more, size_t len)
{
    if (bytes->data == NULL || bytes->cap - bytes->len < len) {
        bytes->cap = 2 * (bytes->len + len) + 16;
        bytes->data = realloc(bytes->data, bytes->cap);
        FUZZ_CHECK(bytes->data != NULL, "no memory");
    }
    if (len > 0)
        memcpy(bytes->data + bytes->len, more, len);
    bytes->len += len;
}

void naive_free(struct naive_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct naive_bytes){0};
}

static void add_byte(struct naive_bytes *bytes, unsigned byte)
{
    uint8_t one = (uint8_t)byte;

    naive_add(bytes, &one, 1);
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* `code` in UTF-8: its length, 0 if it is no character. */
static size_t encode(uint32_t code, uint8_t out[4])
{
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
    out[0] = (uint8_t)(code | (len == 2 ? 0xc0 : len == 3 ? 0xe0 : 0xf0));
    return len;
}

/* The length of the character at `at`: 0 if there is none. It is one if it is encoded as encode()
 * would. */
static size_t character(const uint8_t *text, size_t len, size_t at)
{
    uint8_t first = text[at], again[4];
    size_t n = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t code = n == 1 ? first : n == 4 ? first & 0x0f : n == 3 ? first & 0x0f : first & 0x1f;

    if (len - at < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        code = code << 6 | (text[at + i] & 0x3f);
    return encode(code, again) == n && memcmp(again, text + at, n) == 0 ? n : 0;
}

bool naive_utf8(const uint8_t *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        size_t n = character(text, len, at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static bool is(const uint8_t *text, size_t len, size_t at, char byte)
{
    return at < len && text[at] == (uint8_t)byte;
}

size_t naive_space(const uint8_t *text, size_t len, size_t at)
{
    while (is(text, len, at, ' ') || is(text, len, at, '\t') || is(text, len, at, '\n') ||
           is(text, len, at, '\r'))
        at++;
    return at;
}

/* Four hexadecimal digits; UINT32_MAX if they are not there. */
static uint32_t hex4(const uint8_t *text, size_t len, size_t at)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    uint32_t code = 0;

    if (len - at < 4)
        return UINT32_MAX;
    for (size_t i = 0; i < 4; i++) {
        const char *digit = text[at + i] ? strchr(digits, text[at + i]) : NULL;
        if (digit == NULL)
            return UINT32_MAX;
        code = code << 4 | (uint32_t)((digit - digits) % 16);
    }
    return code;
}

/* The escape at `at`, a backslash: its end, 0 if it is none, and the character. */
static size_t escape(const uint8_t *text, size_t len, size_t at, uint32_t *ret_code)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char stands_for[] = "\"\\/\b\f\n\r\t";
    const char *letter;

    if (++at == len)
        return 0;
    if (text[at] != 'u') {
        letter = text[at] ? strchr(letters, text[at]) : NULL;
        if (letter == NULL)
            return 0;
        *ret_code = (uint8_t)stands_for[letter - letters];
        return at + 1;
    }
    uint32_t code = hex4(text, len, at + 1);
    if (code == UINT32_MAX || code >> 10 == 0xdc00 >> 10)
        return 0;
    at += 5;
    if (code >> 10 == 0xd800 >> 10) {
        if (!is(text, len, at, '\\') || !is(text, len, at + 1, 'u'))
            return 0;
        uint32_t low = hex4(text, len, at + 2);
        if (low == UINT32_MAX || low >> 10 != 0xdc00 >> 10)
            return 0;
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
        at += 6;
    }
    *ret_code = code;
    return at;
}

static size_t string(const uint8_t *text, size_t len, size_t at)
{
    uint32_t code;

    for (at++; at < len && text[at] != '"';) {
        size_t n = text[at] == '\\' ? escape(text, len, at, &code)
                   : text[at] < 0x20 || character(text, len, at) == 0
                       ? 0
                       : at + character(text, len, at);
        if (n == 0)
            return 0;
        at = n;
    }
    return at < len ? at + 1 : 0;
}

static size_t digits(const uint8_t *text, size_t len, size_t at)
{
    while (at < len && text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

static size_t number(const uint8_t *text, size_t len, size_t at)
{
    size_t begin = is(text, len, at, '-') ? at + 1 : at;
    size_t end = digits(text, len, begin);

    if (end == begin || (text[begin] == '0' && end - begin > 1))
        return 0;
    if (is(text, len, end, '.')) {
        begin = end + 1;
        end = digits(text, len, begin);
        if (end == begin)
            return 0;
    }
    if (is(text, len, end, 'e') || is(text, len, end, 'E')) {
        begin = end + 1;
        if (is(text, len, begin, '+') || is(text, len, begin, '-'))
            begin++;
        end = digits(text, len, begin);
        if (end == begin)
            return 0;
    }
    return end;
}

static size_t word(const uint8_t *text, size_t len, size_t at, const char *want)
{
    size_t n = strlen(want);

    return len - at >= n && memcmp(text + at, want, n) == 0 ? at + n : 0;
}

/* An array or an object: the values, with a name and a colon before each in an object. */
static size_t several(const uint8_t *text, size_t len, size_t at, unsigned outer)
{
    bool object = text[at] == '{';
    char closing = object ? '}' : ']';

    if (outer == NAIVE_DEPTH)
        return 0;
    at = naive_space(text, len, at + 1);
    if (is(text, len, at, closing))
        return at + 1;
    for (;;) {
        if (object) {
            at = is(text, len, at, '"') ? string(text, len, at) : 0;
            if (at == 0)
                return 0;
            at = naive_space(text, len, at);
            if (!is(text, len, at, ':'))
                return 0;
            at = naive_space(text, len, at + 1);
        }
        at = naive_value(text, len, at, outer + 1);
        if (at == 0)
            return 0;
        at = naive_space(text, len, at);
        if (is(text, len, at, closing))
            return at + 1;
        if (!is(text, len, at, ','))
            return 0;
        at = naive_space(text, len, at + 1);
    }
}

size_t naive_value(const uint8_t *text, size_t len, size_t at, unsigned outer)
{
    if (at >= len)
        return 0;
    switch (text[at]) {
    case '{':
    case '[':
        return several(text, len, at, outer);
    case '"':
        return string(text, len, at);
    case 't':
        return word(text, len, at, "true");
    case 'f':
        return word(text, len, at, "false");
    case 'n':
        return word(text, len, at, "null");
    default:
        return number(text, len, at);
    }
}

bool naive_json(const uint8_t *text, size_t len, size_t *ret_at, size_t *ret_len)
{
    size_t at = naive_space(text, len, 0);
    size_t end = naive_value(text, len, at, 0);

    if (end == 0 || naive_space(text, len, end) != len)
        return false;
    *ret_at = at;
    *ret_len = end - at;
    return true;
}

/* ---- What values stand for ------------------------------------------------------------------- */

void naive_unquote(struct naive_bytes *out, const uint8_t *literal, size_t len)
{
    for (size_t at = 1; at < len - 1;) {
        uint8_t utf8[4];
        uint32_t code;

        if (literal[at] != '\\') {
            add_byte(out, literal[at++]);
            continue;
        }
        at = escape(literal, len, at, &code);
        naive_add(out, utf8, encode(code, utf8));
    }
}

void naive_quote(struct naive_bytes *out, const uint8_t *text, size_t len)
{
    add_byte(out, '"');
    for (size_t i = 0; i < len; i++) {
        static const char letters[] = "btn\0fr"; /* of 8 to 13 */
        uint8_t byte = text[i];
        char long_form[8];

        if (byte == '"' || byte == '\\') {
            add_byte(out, '\\');
            add_byte(out, byte);
        } else if (byte >= 8 && byte <= 13 && byte != 11) {
            add_byte(out, '\\');
            add_byte(out, (uint8_t)letters[byte - 8]);
        } else if (byte < 0x20) {
            snprintf(long_form, sizeof long_form, "\\u%04x", byte);
            naive_add(out, long_form, 6);
        } else {
            add_byte(out, byte);
        }
    }
    add_byte(out, '"');
}

static char *text_of(const uint8_t *number_text, size_t len)
{
    char *text = malloc(len + 1);

    FUZZ_CHECK(text != NULL, "no memory");
    memcpy(text, number_text, len);
    text[len] = '\0';
    return text;
}

bool naive_integer(const uint8_t *number_text, size_t len, int64_t *ret_value)
{
    char *text = text_of(number_text, len);
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool whole = *end == '\0' && errno == 0;
    free(text);
    if (whole)
        *ret_value = value;
    return whole;
}

double naive_double(const uint8_t *number_text, size_t len)
{
    char *text = text_of(number_text, len);
    double value = strtod(text, NULL);

    free(text);
    return value;
}
