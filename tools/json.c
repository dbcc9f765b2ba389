/* SPDX-License-Identifier: MIT */
/*
 * JSON text without a tree; see json.h. Nothing recurses: a level of nesting costs one bit.
 */
#include "json.h"

#include <stdint.h>
#include <string.h>

/* The length of the UTF-8 sequence at `at`, 0 if it is not valid (RFC 3629, section 4). */
static size_t utf8_len(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t len;

    if (left == 0)
        return 0;
    if (byte[0] < 0x80)
        return 1;
    if (byte[0] >= 0xc2 && byte[0] <= 0xdf)
        len = 2;
    else if (byte[0] >= 0xe0 && byte[0] <= 0xef)
        len = 3;
    else if (byte[0] >= 0xf0 && byte[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (left < len)
        return 0;
    if (byte[0] == 0xe0) /* below: an overlong form */
        low = 0xa0;
    if (byte[0] == 0xed) /* above: a surrogate */
        high = 0x9f;
    if (byte[0] == 0xf0) /* below: an overlong form */
        low = 0x90;
    if (byte[0] == 0xf4) /* above: past U+10FFFF */
        high = 0x8f;
    if (byte[1] < low || byte[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

bool json_utf8_check(const char *text, size_t len)
{
    const char *end = text + len;

    while (text < end) {
        size_t n = utf8_len(text, end);

        if (n == 0)
            return false;
        text += n;
    }
    return true;
}

const char *json_space_end(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* The code unit of the four hexadecimal digits at `at`, or -1. */
static int32_t code_unit(const char *at, const char *end)
{
    int32_t unit = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int32_t digit;

        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            digit = c - 'A' + 10;
        else
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/*
 * The end of the escape whose backslash is at `at`, and the code point that it stands for; NULL
 * if it is none. A surrogate counts only as the first half of a pair.
 */
static const char *escape_end(const char *at, const char *end, uint32_t *ret_point)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char points[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    int32_t unit;
    int32_t low;

    if (end - at < 2)
        return NULL;
    if (at[1] != 'u') {
        letter = at[1] != '\0' ? strchr(letters, at[1]) : NULL;
        if (letter == NULL)
            return NULL;
        *ret_point = (unsigned char)points[letter - letters];
        return at + 2;
    }
    unit = code_unit(at + 2, end);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return NULL;
    if (unit < 0xd800 || unit > 0xdbff) {
        *ret_point = (uint32_t)unit;
        return at + 6;
    }
    if (end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return NULL;
    low = code_unit(at + 8, end);
    if (low < 0xdc00 || low > 0xdfff)
        return NULL;
    *ret_point = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return at + 12;
}

const char *json_string_end(const char *at, const char *end)
{
    uint32_t point;

    if (at == end || *at != '"')
        return NULL;
    at++;
    while (at < end && *at != '"') {
        if (*at == '\\') {
            at = escape_end(at, end, &point);
            if (at == NULL)
                return NULL;
        } else {
            size_t n = (unsigned char)*at < 0x20 ? 0 : utf8_len(at, end);

            if (n == 0)
                return NULL;
            at += n;
        }
    }
    return at < end ? at + 1 : NULL;
}

/* Past the digits at `at`; NULL if there is none. */
static const char *digits_end(const char *at, const char *end)
{
    const char *from = at;

    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > from ? at : NULL;
}

static const char *number_end(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    if (at < end && *at == '0')
        at++;
    else
        at = digits_end(at, end);
    if (at != NULL && at < end && *at == '.')
        at = digits_end(at + 1, end);
    if (at != NULL && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        at = digits_end(at, end);
    }
    return at;
}

static const char *scalar_end(const char *at, const char *end)
{
    static const char *const words[] = {"true", "false", "null"};

    if (*at == '"')
        return json_string_end(at, end);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i]);

        if ((size_t)(end - at) >= len && memcmp(at, words[i], len) == 0)
            return at + len;
    }
    return number_end(at, end);
}

/* From the name of a member to its value. */
static const char *member_value(const char *at, const char *end)
{
    at = json_string_end(at, end);
    if (at == NULL)
        return NULL;
    at = json_space_end(at, end);
    if (at == end || *at != ':')
        return NULL;
    return json_space_end(at + 1, end);
}

const char *json_value_end(const char *at, const char *end)
{
    uint8_t objects[JSON_DEPTH]; /* per level: 1 for an object, 0 for an array */
    size_t depth = 0;

    for (;;) {
        bool ended = true;

        if (at == end)
            return NULL;
        if (*at == '{' || *at == '[') {
            bool object = *at == '{';

            if (depth == JSON_DEPTH)
                return NULL;
            objects[depth++] = object;
            at = json_space_end(at + 1, end);
            if (at < end && *at == (object ? '}' : ']')) {
                at++;
                depth--;
            } else {
                ended = false;
                if (object)
                    at = member_value(at, end);
            }
        } else {
            at = scalar_end(at, end);
        }
        if (at == NULL)
            return NULL;

        /* A value ended: so may what it is in, up to the next comma. */
        while (ended) {
            bool object;

            if (depth == 0)
                return at;
            object = objects[depth - 1];
            at = json_space_end(at, end);
            if (at == end)
                return NULL;
            if (*at == ',') {
                ended = false;
                at = json_space_end(at + 1, end);
                if (object)
                    at = member_value(at, end);
                if (at == NULL)
                    return NULL;
            } else if (*at == (object ? '}' : ']')) {
                at++;
                depth--;
            } else {
                return NULL;
            }
        }
    }
}

bool json_check(const char *text, size_t len, const char **ret_value, size_t *ret_value_len)
{
    const char *end = text + len;
    const char *from = json_space_end(text, end);
    const char *to = json_value_end(from, end);

    if (to == NULL || json_space_end(to, end) != end)
        return false;
    *ret_value = from;
    *ret_value_len = (size_t)(to - from);
    return true;
}

void json_quote(struct buffer *out, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const char *end = text + len;

    buffer_add(out, "\"", 1);
    while (text < end) {
        size_t plain = 0;
        size_t n = 1;

        /* The bytes that stand for themselves go in one piece. */
        while (text + plain < end) {
            unsigned char c = (unsigned char)text[plain];

            n = utf8_len(text + plain, end);
            if (c < 0x20 || c == '"' || c == '\\' || n == 0)
                break;
            plain += n;
        }
        buffer_add(out, text, plain);
        text += plain;
        if (text == end)
            break;
        if (n == 0) {
            buffer_add_text(out, "\xef\xbf\xbd");
        } else if (*text == '"' || *text == '\\') {
            const char escape[] = {'\\', *text};

            buffer_add(out, escape, sizeof(escape));
        } else if (*text >= '\b' && *text <= '\r' && *text != '\v') {
            const char escape[] = {'\\', "btn?fr"[*text - '\b']};

            buffer_add(out, escape, sizeof(escape));
        } else {
            const char escape[] = {'\\', 'u', '0', '0', hex[*text >> 4], hex[*text & 15]};

            buffer_add(out, escape, sizeof(escape));
        }
        text++;
    }
    buffer_add(out, "\"", 1);
}

static void add_utf8(struct buffer *out, uint32_t point)
{
    unsigned char bytes[4];
    size_t n;

    if (point < 0x80) {
        bytes[0] = (unsigned char)point;
        n = 1;
    } else if (point < 0x800) {
        bytes[0] = (unsigned char)(0xc0 | point >> 6);
        n = 2;
    } else if (point < 0x10000) {
        bytes[0] = (unsigned char)(0xe0 | point >> 12);
        n = 3;
    } else {
        bytes[0] = (unsigned char)(0xf0 | point >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        bytes[i] = (unsigned char)(0x80 | (point >> (6 * (n - 1 - i)) & 0x3f));
    buffer_add(out, bytes, n);
}

void json_unquote(struct buffer *out, const char *literal, size_t len)
{
    const char *at = literal + 1;
    const char *end = literal + len - 1;

    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        uint32_t point = 0;

        buffer_add(out, at, (size_t)((escape != NULL ? escape : end) - at));
        if (escape == NULL)
            return;
        at = escape_end(escape, end, &point);
        if (at == NULL)
            return;
        add_utf8(out, point);
    }
}
