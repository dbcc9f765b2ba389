/* SPDX-License-Identifier: MIT */
/*
 * The check follows the grammar of RFC 8259. It stops at the first byte after which no text could
 * be completed, so the offset it gives is where the text went wrong and not where some larger part
 * began. Whatever JSON leaves open is left to the reader of the text: duplicate names, the range of
 * numbers, escaped NULs.
 *
 * Every typed value is checked when it is stored, and most are short. So a string is passed by
 * words of eight bytes, and no branch depends on its length within one. And a text whose last byte
 * is a closing bracket, a closed one, is read with fewer questions: whatever is no string stops at
 * that bracket, so only strings, and what is behind a closing bracket, can come to the end of it.
 *
 * Decimal and binary numbers meet in the C library's strtod() and snprintf(), which round correctly
 * but write and expect the decimal point of the locale. So no point ever gets to or from them:
 * strtod() is given whole digits and an exponent, and of what snprintf() prints only the digits are
 * taken.
 */
#include "format/json.h"

#include "base/byteorder.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a check ended. The functions below that move over a part of the text return the place
 * behind it, or NULL with the fault filled in. `at` at the end of the text always means that it
 * ended too early. */
struct fault {
    const uint8_t *at;
    const char *why;
};

static const uint8_t *fail(struct fault *fault, const uint8_t *at, const char *why)
{
    fault->at = at;
    fault->why = why;
    return NULL;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

/* Whether there is a byte at `p`. Not asked of a closed text where there is one for certain. */
static inline bool is_inside(const uint8_t *p, const uint8_t *end, bool closed)
{
    return closed || p < end;
}

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end, bool closed)
{
    while (is_inside(p, end, closed) && is_space(*p))
        p++;
    return p;
}

/* 0..15, or -1. */
static int hex_value(uint8_t byte)
{
    if (is_digit(byte))
        return byte - '0';
    uint8_t letter = byte | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* ---- Eight bytes at once --------------------------------------------------------------------- */

#define EVERY_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* The first byte is the lowest one of the word. */
static inline uint64_t load_word(const uint8_t *p)
{
    return __builtin_bswap64(lx_get64(p));
}

/* How many bytes come before the first one that is marked by its top bit; 8 if none is. */
static inline unsigned count_before(uint64_t marks)
{
    marks &= EVERY_BYTE(0x80);
    return marks ? (unsigned)__builtin_ctzll(marks) / 8 : 8;
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* Over one character whose first byte is at least 0x80. The second byte has a range of its own
 * where overlong forms, surrogates and what lies past U+10FFFF would begin. */
static const uint8_t *skip_multibyte(const uint8_t *p, const uint8_t *end, struct fault *fault)
{
    static const char why[] = "not valid UTF-8";
    uint8_t lead = *p;
    uint8_t low = 0x80, high = 0xbf;
    int more;

    if (lead < 0xc2 || lead > 0xf4)
        return fail(fault, p, why);
    if (lead < 0xe0) {
        more = 1;
    } else if (lead < 0xf0) {
        more = 2;
        low = lead == 0xe0 ? 0xa0 : 0x80;
        high = lead == 0xed ? 0x9f : 0xbf;
    } else {
        more = 3;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf;
    }
    for (p++; more > 0; more--, p++) {
        if (p == end || *p < low || *p > high)
            return fail(fault, p, why);
        low = 0x80;
        high = 0xbf;
    }
    return p;
}

bool lx_utf8_check(const char *text, size_t len, size_t *ret_at)
{
    const uint8_t *begin = (const uint8_t *)text;
    const uint8_t *p = begin;
    const uint8_t *end = len ? begin + len : begin;
    struct fault fault;

    while (p < end) {
        if ((size_t)(end - p) >= 8 && !(load_word(p) & EVERY_BYTE(0x80))) {
            p += 8;
        } else if (*p < 0x80) {
            p++;
        } else if (!(p = skip_multibyte(p, end, &fault))) {
            *ret_at = (size_t)(fault.at - begin);
            return false;
        }
    }
    return true;
}

/* ---- The parts of a JSON text ---------------------------------------------------------------- */

/* Bytes that stand for themselves in a string: ASCII but for controls, quote and backslash. */
static const bool plain_byte[256] = {
    [' ' ... '!'] = true,
    ['#' ... '['] = true,
    [']' ... 0x7f] = true,
};

static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 8) {
        uint64_t word = load_word(p);
        /* Marks what is not plain: 0x20 and 0x21 change places with 0x22 and 0x23, so that control
         * characters and the quote are all that is below 0x21. A borrow can mark more, but only
         * above such a byte. */
        unsigned plain = count_before(((word ^ EVERY_BYTE(0x02)) - EVERY_BYTE(0x21)) |
                                      ((word ^ EVERY_BYTE('\\')) - EVERY_BYTE(1)) | word);
        p += plain;
        if (plain < 8)
            return p;
    }
    while (p < end && plain_byte[*p])
        p++;
    return p;
}

/* The second half of a surrogate pair: \uDC00 to \uDFFF. */
static const uint8_t *skip_low_surrogate(const uint8_t *p, const uint8_t *end, struct fault *fault)
{
    static const char why[] = "half a surrogate pair";

    for (int i = 0; i < 6; i++, p++) {
        if (p == end)
            return fail(fault, p, why);
        bool fits = i == 0   ? *p == '\\'
                    : i == 1 ? *p == 'u'
                    : i == 2 ? hex_value(*p) == 0xd
                    : i == 3 ? hex_value(*p) >= 0xc
                             : hex_value(*p) >= 0;
        if (!fits)
            return fail(fault, p, why);
    }
    return p;
}

/* From behind the backslash. */
static const uint8_t *skip_escape(const uint8_t *p, const uint8_t *end, struct fault *fault)
{
    if (p == end)
        return fail(fault, p, NULL);
    switch (*p) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;
    case 'u':
        p++;
        break;
    default:
        return fail(fault, p, "an escape that JSON does not have");
    }

    int first = 0;
    bool high_surrogate = false;
    for (int i = 0; i < 4; i++, p++) {
        int digit = p < end ? hex_value(*p) : -1;
        if (digit < 0)
            return fail(fault, p, "not a hexadecimal digit");
        if (i == 0)
            first = digit;
        if (i == 1 && first == 0xd) {
            if (digit >= 0xc)
                return fail(fault, p, "half a surrogate pair");
            high_surrogate = digit >= 0x8;
        }
    }
    return high_surrogate ? skip_low_surrogate(p, end, fault) : p;
}

/* From where a string is not plain, or the text ends. */
static const uint8_t *skip_rest_of_string(const uint8_t *p, const uint8_t *end, struct fault *fault)
{
    while (p) {
        if (p == end)
            return fail(fault, p, NULL);
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p = skip_escape(p + 1, end, fault);
        else if (*p < 0x20)
            return fail(fault, p, "a control character in a string");
        else
            p = skip_multibyte(p, end, fault);
        if (p && p < end && plain_byte[*p])
            p = skip_plain(p, end);
    }
    return NULL;
}

/* From behind the opening quote. */
static inline const uint8_t *skip_string(const uint8_t *p, const uint8_t *end, struct fault *fault)
{
    p = skip_plain(p, end);
    return p < end && *p == '"' ? p + 1 : skip_rest_of_string(p, end, fault);
}

static inline const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end, bool closed)
{
    while (is_inside(p, end, closed) && is_digit(*p))
        p++;
    return p;
}

static inline __attribute__((always_inline)) const uint8_t *
skip_number(const uint8_t *p, const uint8_t *end, bool closed, struct fault *fault)
{
    static const char why[] = "a digit is missing";

    if (*p == '-')
        p++;
    if (!is_inside(p, end, closed) || !is_digit(*p))
        return fail(fault, p, why);
    p = *p == '0' ? p + 1 : skip_digits(p, end, closed);
    if (is_inside(p, end, closed) && *p == '.') {
        p++;
        if (!is_inside(p, end, closed) || !is_digit(*p))
            return fail(fault, p, why);
        p = skip_digits(p, end, closed);
    }
    if (is_inside(p, end, closed) && (*p == 'e' || *p == 'E')) {
        p++;
        if (is_inside(p, end, closed) && (*p == '+' || *p == '-'))
            p++;
        if (!is_inside(p, end, closed) || !is_digit(*p))
            return fail(fault, p, why);
        p = skip_digits(p, end, closed);
    }
    return p;
}

static const uint8_t *skip_word(const uint8_t *p, const uint8_t *end, const char *word,
                                struct fault *fault)
{
    for (; *word; word++, p++) {
        if (p == end || *p != (uint8_t)*word)
            return fail(fault, p, "not a JSON value");
    }
    return p;
}

static const uint8_t *skip_literal(const uint8_t *p, const uint8_t *end, struct fault *fault)
{
    switch (*p) {
    case 't':
        return skip_word(p, end, "true", fault);
    case 'f':
        return skip_word(p, end, "false", fault);
    case 'n':
        return skip_word(p, end, "null", fault);
    default:
        return fail(fault, p, "not a JSON value");
    }
}

/* ---- The check ------------------------------------------------------------------------------- */

/* Over a space: one behind a colon or a comma is what most programs write. */
static inline const uint8_t *skip_one_space(const uint8_t *p, const uint8_t *end, bool closed)
{
    return is_inside(p, end, closed) && *p == ' ' ? p + 1 : p;
}

/* Over `byte`, and white space before it. */
static inline const uint8_t *skip_byte(const uint8_t *p, const uint8_t *end, bool closed,
                                       uint8_t byte, const char *why, struct fault *fault)
{
    if (!is_inside(p, end, closed) || *p != byte) {
        p = skip_space(p, end, closed);
        if (!is_inside(p, end, closed) || *p != byte)
            return fail(fault, p, why);
    }
    return p + 1;
}

static inline __attribute__((always_inline)) const uint8_t *
skip_name(const uint8_t *p, const uint8_t *end, bool closed, struct fault *fault)
{
    p = skip_one_space(p, end, closed);
    p = skip_byte(p, end, closed, '"', "a name in quotes is missing", fault);
    if (p)
        p = skip_string(p, end, fault);
    if (p)
        p = skip_byte(p, end, closed, ':', "a colon is missing", fault);
    return p;
}

/* Over a value and all white space around it. Returns `end`, or NULL with the fault filled in. It
 * and what it calls are compiled twice, since `closed` is to cost nothing. */
static inline __attribute__((always_inline)) const uint8_t *
check(const uint8_t *p, const uint8_t *end, bool closed, struct fault *fault)
{
    uint8_t outer[LX_JSON_DEPTH]; /* what closes the brackets around the innermost one */
    uint8_t close = 0;            /* what closes the innermost one */
    unsigned depth = 0;

    for (;;) {
        /* A value: the whole text, of an array, or of an object and behind its name. */
        p = skip_one_space(p, end, closed);
        if (!is_inside(p, end, closed))
            return fail(fault, p, NULL);
        if (*p == '"') {
            p = skip_string(p + 1, end, fault);
        } else if (*p == '-' || is_digit(*p)) {
            p = skip_number(p, end, closed, fault);
        } else if (*p == '{' || *p == '[') {
            if (depth == LX_JSON_DEPTH)
                return fail(fault, p, "nested too deep");
            outer[depth++] = close;
            close = *p == '{' ? '}' : ']';
            p = skip_space(p + 1, end, closed);
            if (!is_inside(p, end, closed) || *p != close) {
                if (close == '}' && !(p = skip_name(p, end, closed, fault)))
                    return NULL;
                continue;
            }
        } else if (is_space(*p)) {
            p = skip_space(p + 1, end, closed);
            continue;
        } else {
            p = skip_literal(p, end, fault);
        }
        if (!p)
            return NULL;

        /* What ends here, up to the comma before the next value. */
        for (;;) {
            if (depth == 0) {
                p = skip_space(p, end, false);
                return p == end ? p : fail(fault, p, "more text after the value");
            }
            if (!is_inside(p, end, closed))
                return fail(fault, p, NULL);
            if (*p == ',')
                break;
            if (*p == close) {
                p++;
                close = outer[--depth];
                if (p == end && depth > 0) /* asked of closed texts too: this ends them */
                    return fail(fault, p, NULL);
            } else if (is_space(*p)) {
                p = skip_space(p + 1, end, closed);
            } else {
                return fail(fault, p, "neither a comma nor the closing bracket");
            }
        }
        p++;
        if (close == '}' && !(p = skip_name(p, end, closed, fault)))
            return NULL;
    }
}

bool lx_json_check(const char *text, size_t len, size_t *ret_at, const char **ret_why)
{
    const uint8_t *begin = (const uint8_t *)text;
    const uint8_t *end = len ? begin + len : begin;
    bool closed = len > 0 && (end[-1] == '}' || end[-1] == ']');
    struct fault fault;

    if (closed ? check(begin, end, true, &fault) : check(begin, end, false, &fault))
        return true;
    *ret_at = (size_t)(fault.at - begin);
    *ret_why = fault.at == end ? "the text ends too early" : fault.why;
    return false;
}

enum lx_json_type lx_json_type_of(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    const uint8_t *end = len ? p + len : p;

    p = skip_space(p, end, false);
    if (p == end)
        return LX_JSON_NOT;
    switch (*p) {
    case '{':
        return LX_JSON_OBJECT;
    case '[':
        return LX_JSON_ARRAY;
    case '"':
        return LX_JSON_STRING;
    case 't':
        return LX_JSON_TRUE;
    case 'f':
        return LX_JSON_FALSE;
    case 'n':
        return LX_JSON_NULL;
    default:
        return *p == '-' || is_digit(*p) ? LX_JSON_NUMBER : LX_JSON_NOT;
    }
}

/* ---- Strings --------------------------------------------------------------------------------- */

size_t lx_json_quote_max(size_t len)
{
    return 6 * len + 2; /* every byte as \u00XX */
}

static char *put_escaped(char *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};

    *out++ = '\\';
    if (letters[byte]) {
        *out++ = letters[byte];
    } else {
        memcpy(out, "u00", 3);
        out[3] = hex[byte >> 4];
        out[4] = hex[byte & 0xf];
        out += 5;
    }
    return out;
}

size_t lx_json_quote(char *out, const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    const uint8_t *end = len ? p + len : p;
    char *begin = out;

    *out++ = '"';
    while (p < end) {
        if (plain_byte[*p] || *p >= 0x80)
            *out++ = (char)*p;
        else
            out = put_escaped(out, *p);
        p++;
    }
    *out++ = '"';
    return (size_t)(out - begin);
}

/* The code unit of four hexadecimal digits. */
static uint32_t unit_at(const uint8_t *p)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (uint32_t)hex_value(p[i]);
    return unit;
}

static char *put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        *out++ = (char)point;
        return out;
    }
    if (point < 0x800) {
        *out++ = (char)(0xc0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *out++ = (char)(0xe0 | point >> 12);
        } else {
            *out++ = (char)(0xf0 | point >> 18);
            *out++ = (char)(0x80 | (point >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (point & 0x3f));
    return out;
}

/* Takes the escape behind the backslash at *p, and moves *p behind it. */
static char *put_unescaped(char *out, const uint8_t **p)
{
    static const char meanings[] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    uint8_t letter = *(*p)++;

    if (letter != 'u') {
        *out++ = meanings[letter];
        return out;
    }
    uint32_t point = unit_at(*p);
    *p += 4;
    if (point >= 0xd800 && point < 0xdc00) {
        uint32_t low = unit_at(*p + 2); /* behind the "\u" */
        *p += 6;
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    return put_utf8(out, point);
}

/* No escape is shorter than what it stands for, so `out` may be `text`: writing never catches
 * up. */
size_t lx_json_unquote(char *out, const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    char *begin = out;

    p = skip_space(p, p + len, false) + 1;
    while (*p != '"') {
        if (*p == '\\') {
            p++;
            out = put_unescaped(out, &p);
        } else {
            *out++ = (char)*p++;
        }
    }
    return (size_t)(out - begin);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* The number inside the white space of a checked text; false if the text is something else. */
static bool find_number(const char *text, size_t len, const uint8_t **ret_begin,
                        const uint8_t **ret_end)
{
    const uint8_t *p = (const uint8_t *)text;
    const uint8_t *end = len ? p + len : p;

    if (lx_json_type_of(text, len) != LX_JSON_NUMBER)
        return false;
    while (is_space(end[-1]))
        end--;
    *ret_begin = skip_space(p, end, false);
    *ret_end = end;
    return true;
}

bool lx_json_to_int(const char *text, size_t len, int64_t *ret_number)
{
    const uint8_t *p, *end;
    uint64_t magnitude = 0;

    if (!find_number(text, len, &p, &end))
        return false;
    bool negative = *p == '-';
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    for (p += negative; p < end; p++) {
        if (!is_digit(*p))
            return false;
        uint64_t digit = (uint64_t)(*p - '0');
        if (magnitude > (limit - digit) / 10)
            return false;
        magnitude = magnitude * 10 + digit;
    }
    /* Negated without leaving the range, also for INT64_MIN. */
    *ret_number = negative && magnitude > 0 ? -(int64_t)(magnitude - 1) - 1 : (int64_t)magnitude;
    return true;
}

size_t lx_json_from_int(char out[LX_JSON_NUMBER_MAX], int64_t number)
{
    char reversed[20]; /* 2^64 has 20 digits */
    size_t digits = 0;
    size_t len = 0;
    uint64_t magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;

    do {
        reversed[digits++] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (number < 0)
        out[len++] = '-';
    while (digits > 0)
        out[len++] = reversed[--digits];
    return len;
}

/* The double nearest to magnitude * 10^scale; HUGE_VAL if that overflows. */
static double double_nearest(uint64_t magnitude, int64_t scale)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char text[48];

#if FLT_EVAL_METHOD == 0
    /* Both factors are exact doubles, so their product or quotient is rounded just once. */
    if (magnitude <= UINT64_C(1) << DBL_MANT_DIG && scale >= -22 && scale <= 22)
        return scale < 0 ? (double)magnitude / power[-scale] : (double)magnitude * power[scale];
#endif
    snprintf(text, sizeof text, "%" PRIu64 "e%" PRId64, magnitude, scale);
    return strtod(text, NULL);
}

/* A point halfway between two doubles has at most 768 significant digits. Whether more digits than
 * that are on one side of it or on the other, a single 1 behind the kept ones tells as well. */
#define DIGITS_KEPT 800

struct decimal {
    int64_t scale;                     /* the number is digits * 10^scale */
    size_t n;                          /* digits, the first of them not 0 */
    char digits[DIGITS_KEPT + 1 + 24]; /* with room for an exponent behind them */
};

/* Far outside of what a double can be, also when added to the scale of 4 GiB of digits. */
#define EXPONENT_LIMIT (INT64_C(1) << 40)

static int64_t exponent_at(const uint8_t *p, const uint8_t *end)
{
    int64_t exponent = 0;
    bool negative = *p == '-';

    if (*p == '-' || *p == '+')
        p++;
    for (; p < end; p++) {
        if (exponent < EXPONENT_LIMIT)
            exponent = exponent * 10 + (*p - '0');
    }
    return negative ? -exponent : exponent;
}

/* Takes apart a number without its sign. */
static void decimal_parse(const uint8_t *p, const uint8_t *end, struct decimal *ret_decimal)
{
    bool fraction = false;
    bool dropped = false;

    ret_decimal->scale = 0;
    ret_decimal->n = 0;
    for (; p < end && (is_digit(*p) || *p == '.'); p++) {
        if (*p == '.') {
            fraction = true;
        } else if (ret_decimal->n < DIGITS_KEPT) {
            if (ret_decimal->n > 0 || *p != '0')
                ret_decimal->digits[ret_decimal->n++] = (char)*p;
            ret_decimal->scale -= fraction;
        } else {
            dropped |= *p != '0';
            ret_decimal->scale += !fraction;
        }
    }
    if (dropped) {
        ret_decimal->digits[ret_decimal->n++] = '1';
        ret_decimal->scale--;
    }
    if (p < end)
        ret_decimal->scale += exponent_at(p + 1, end);
}

static double decimal_to_double(struct decimal *decimal)
{
    int64_t first = decimal->scale + (int64_t)decimal->n; /* the number is below 10^first */

    if (decimal->n == 0 || first < -400)
        return 0;
    if (first > 400)
        return HUGE_VAL;
    if (decimal->n < 20) {
        uint64_t magnitude = 0;
        for (size_t i = 0; i < decimal->n; i++)
            magnitude = magnitude * 10 + (uint64_t)(decimal->digits[i] - '0');
        return double_nearest(magnitude, decimal->scale);
    }
    snprintf(decimal->digits + decimal->n, sizeof decimal->digits - decimal->n, "e%" PRId64,
             decimal->scale);
    return strtod(decimal->digits, NULL);
}

bool lx_json_to_double(const char *text, size_t len, double *ret_number)
{
    const uint8_t *p, *end;
    struct decimal decimal;

    if (!find_number(text, len, &p, &end))
        return false;
    bool negative = *p == '-';
    decimal_parse(p + negative, end, &decimal);
    double number = decimal_to_double(&decimal);
    if (number > DBL_MAX)
        return false;
    *ret_number = negative ? -number : number;
    return true;
}

/* The digits that "%.*e" prints for a finite positive number, as a whole number and a scale. */
static void digits_of(double number, int precision, uint64_t *ret_magnitude, int *ret_scale)
{
    char text[64];
    uint64_t magnitude = 0;
    const char *p = text;

    snprintf(text, sizeof text, "%.*e", precision - 1, number);
    for (; *p != 'e'; p++) {
        if (is_digit((uint8_t)*p))
            magnitude = magnitude * 10 + (uint64_t)(*p - '0');
    }
    *ret_magnitude = magnitude;
    *ret_scale = (int)strtol(p + 1, NULL, 10) - (precision - 1);
}

/* The shortest digits that read back as `number`, which is finite and positive; among those the
 * nearest. */
static void shortest_digits(double number, uint64_t *ret_magnitude, int *ret_scale)
{
    int exponent;
    /* The doubles below a power of two lie closer together than those above it. The nearest decimal
     * of some length may then be just out of reach below while the next one above is in reach. */
    bool power_of_two = frexp(number, &exponent) == 0.5;
    /* 15 digits survive the way into a normal double and back, so nothing shorter is missed. */
    int precision = number < DBL_MIN ? 1 : DBL_DIG;
    uint64_t magnitude;
    int scale;

    for (;; precision++) {
        digits_of(number, precision, &magnitude, &scale);
        if (precision >= 17 || double_nearest(magnitude, scale) == number)
            break;
        if (power_of_two && double_nearest(magnitude + 1, scale) == number) {
            magnitude++;
            break;
        }
    }
    while (magnitude % 10 == 0) {
        magnitude /= 10;
        scale++;
    }
    *ret_magnitude = magnitude;
    *ret_scale = scale;
}

static char *put_zeros(char *out, int n)
{
    for (; n > 0; n--)
        *out++ = '0';
    return out;
}

static char *put_bytes(char *out, const char *bytes, size_t len)
{
    memcpy(out, bytes, len);
    return out + len;
}

/* Lays out digits * 10^scale: with an exponent below 1e-4 and from 1e16 on. */
static char *put_decimal(char *out, const char *digits, int n, int scale)
{
    int exponent = scale + n - 1; /* of the first digit */

    if (exponent < -4 || exponent >= 16) {
        *out++ = digits[0];
        if (n > 1) {
            *out++ = '.';
            out = put_bytes(out, digits + 1, (size_t)n - 1);
        }
        char text[LX_JSON_NUMBER_MAX];
        size_t len = lx_json_from_int(text, abs(exponent));
        *out++ = 'e';
        *out++ = exponent < 0 ? '-' : '+';
        if (len < 2)
            *out++ = '0';
        return put_bytes(out, text, len);
    }
    if (exponent < 0) {
        *out++ = '0';
        *out++ = '.';
        out = put_zeros(out, -exponent - 1);
        return put_bytes(out, digits, (size_t)n);
    }
    if (scale >= 0) {
        out = put_bytes(out, digits, (size_t)n);
        out = put_zeros(out, scale);
        return put_bytes(out, ".0", 2);
    }
    out = put_bytes(out, digits, (size_t)exponent + 1);
    *out++ = '.';
    return put_bytes(out, digits + exponent + 1, (size_t)(n - exponent - 1));
}

bool lx_json_from_double(char out[LX_JSON_NUMBER_MAX], size_t *ret_len, double number)
{
    char digits[LX_JSON_NUMBER_MAX];
    uint64_t magnitude = 0;
    int scale = 0;
    char *p = out;

    if (!isfinite(number))
        return false;
    if (signbit(number))
        *p++ = '-';
    number = fabs(number);
    if (number > 0)
        shortest_digits(number, &magnitude, &scale);
    int n = (int)lx_json_from_int(digits, (int64_t)magnitude);
    p = put_decimal(p, digits, n, scale);
    *ret_len = (size_t)(p - out);
    return true;
}
