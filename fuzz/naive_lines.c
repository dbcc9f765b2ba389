/* SPDX-License-Identifier: MIT */
/* See naive_lines.h. */
#include "fuzz/naive_lines.h"

#include <stdlib.h>
#include <string.h>

static bool same(const struct naive_bytes *bytes, const char *word)
{
    return bytes->len == strlen(word) && memcmp(bytes->data, word, bytes->len) == 0;
}

static void add_text(struct naive_bytes *bytes, const char *text)
{
    naive_add(bytes, text, strlen(text));
}

void naive_record_free(struct naive_record *record)
{
    naive_free(&record->key);
    naive_free(&record->stored);
}

/* ---- Base64 ---------------------------------------------------------------------------------- */

static void print_base64(struct naive_bytes *out, const uint8_t *bytes, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t bit = 0; bit < 8 * len; bit += 6) {
        size_t i = bit / 8;
        unsigned two = (unsigned)bytes[i] << 8 | (i + 1 < len ? bytes[i + 1] : 0u);

        naive_add(out, &alphabet[two >> (10 - bit % 8) & 63], 1);
    }
    for (; len % 3 != 0; len++)
        add_text(out, "=");
}

/* Base64 is what encodes again as the same. */
bool naive_base64(const uint8_t *text, size_t len, struct naive_bytes *out)
{
    struct naive_bytes again = {0};
    size_t begin = out->len;
    unsigned bits = 0, n = 0;

    naive_add(out, text, 0);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text[i];
        int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                    : c >= 'a' && c <= 'z' ? c - 'a' + 26
                    : c >= '0' && c <= '9' ? c - '0' + 52
                    : c == '+'             ? 62
                    : c == '/'             ? 63
                                           : -1;
        if (digit < 0)
            break;
        bits = bits << 6 | (unsigned)digit;
        n += 6;
        if (n >= 8) {
            uint8_t byte = (uint8_t)(bits >> (n - 8));
            naive_add(out, &byte, 1);
            n -= 8;
        }
    }
    print_base64(&again, out->data + begin, out->len - begin);
    bool right = again.len == len && (len == 0 || memcmp(again.data, text, len) == 0);
    naive_free(&again);
    return right;
}

/* ---- Reading --------------------------------------------------------------------------------- */

const uint8_t *naive_line(const uint8_t **at, const uint8_t *end, size_t *ret_len)
{
    while (*at < end) {
        const uint8_t *line = *at;
        const uint8_t *feed = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((feed != NULL ? feed : end) - line);

        *at = line + len + (feed != NULL);
        if (naive_space(line, len, 0) < len) {
            *ret_len = len;
            return line;
        }
    }
    return NULL;
}

static bool parse_hex_part(const uint8_t *text, size_t len, struct naive_bytes *out)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";

    for (size_t i = 0; i < len; i += 2) {
        const char *high = text[i] ? strchr(digits, text[i]) : NULL;
        const char *low = i + 1 < len && text[i + 1] ? strchr(digits, text[i + 1]) : NULL;

        if (high == NULL || low == NULL)
            return false;
        uint8_t byte = (uint8_t)((high - digits) % 16 << 4 | (low - digits) % 16);
        naive_add(out, &byte, 1);
    }
    return true;
}

static bool parse_hex(const uint8_t *line, size_t len, struct naive_record *record)
{
    const uint8_t *tab = memchr(line, '\t', len);

    if (tab == NULL)
        return false;
    record->has_value = true;
    if (line[len - 1] == '\r')
        len--;
    size_t key_len = (size_t)(tab - line);
    return parse_hex_part(line, key_len, &record->key) &&
           parse_hex_part(tab + 1, len - key_len - 1, &record->stored);
}

/* A member whose name is `name`. */
static bool take_member(struct naive_record *record, bool *has_key, const struct naive_bytes *name,
                        const uint8_t *value, size_t len)
{
    struct naive_bytes text = {0};
    bool right = true;

    if (same(name, "value")) {
        if (record->has_value)
            return false;
        record->has_value = true;
        naive_add(&record->stored, "\1", 1);
        naive_add(&record->stored, value, len);
        return true;
    }
    if (*value != '"')
        return false;
    naive_unquote(&text, value, len);
    if (same(name, "op")) {
        right = record->op == NAIVE_NO_OP;
        record->op = same(&text, "set")      ? NAIVE_SET
                     : same(&text, "create") ? NAIVE_CREATE
                     : same(&text, "del")    ? NAIVE_DELETE
                                             : NAIVE_NO_OP;
        right = right && record->op != NAIVE_NO_OP;
    } else if (same(name, "value_b64")) {
        right = !record->has_value && naive_base64(text.data, text.len, &record->stored);
        record->has_value = true;
    } else if (same(name, "key") || same(name, "key_b64")) {
        right = !*has_key;
        *has_key = true;
        if (same(name, "key"))
            naive_add(&record->key, text.data, text.len);
        else
            right = right && naive_base64(text.data, text.len, &record->key);
    } else {
        right = false;
    }
    naive_free(&text);
    return right;
}

/* All members are strings with a name; the nesting of a value counts from itself. */
static bool parse_ndjson(const uint8_t *line, size_t len, struct naive_record *record)
{
    bool has_key = false, right = true;
    size_t at = naive_space(line, len, 0);

    if (at == len || line[at] != '{')
        return false;
    do {
        struct naive_bytes name = {0};
        size_t begin = naive_space(line, len, at + 1);
        size_t end = begin < len && line[begin] == '"' ? naive_value(line, len, begin, 0) : 0;

        if (end == 0)
            return false;
        naive_unquote(&name, line + begin, end - begin);
        at = naive_space(line, len, end);
        begin = at < len && line[at] == ':' ? naive_space(line, len, at + 1) : len;
        end = naive_value(line, len, begin, 0);
        right = end != 0 && take_member(record, &has_key, &name, line + begin, end - begin);
        naive_free(&name);
        at = naive_space(line, len, end);
    } while (right && at < len && line[at] == ',');
    return right && has_key && at < len && line[at] == '}' && naive_space(line, len, at + 1) == len;
}

bool naive_parse(bool hex, const uint8_t *line, size_t len, struct naive_record *ret_record)
{
    *ret_record = (struct naive_record){0};
    return hex ? parse_hex(line, len, ret_record) : parse_ndjson(line, len, ret_record);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void print_part(struct naive_bytes *out, const char *name, const uint8_t *bytes, size_t len,
                       bool text)
{
    add_text(out, "\"");
    add_text(out, name);
    add_text(out, text ? "\":" : "_b64\":\"");
    if (text) {
        naive_add(out, bytes, len);
    } else {
        print_base64(out, bytes, len);
        add_text(out, "\"");
    }
}

/* Whether a line can hold the text of a stored value. */
static bool fits_line(const uint8_t *stored, size_t len)
{
    size_t at, value_len;

    return len > 1 && stored[0] == 1 && memchr(stored, '\n', len) == NULL &&
           memchr(stored, '\r', len) == NULL && naive_json(stored + 1, len - 1, &at, &value_len) &&
           value_len == len - 1;
}

void naive_print_name(struct naive_bytes *out, const char *member, const uint8_t *name, size_t len)
{
    struct naive_bytes quoted = {0};
    bool text = naive_utf8(name, len);

    naive_quote(&quoted, name, len);
    print_part(out, member, text ? quoted.data : name, text ? quoted.len : len, text);
    naive_free(&quoted);
}

void naive_print_record(struct naive_bytes *out, const struct mirror_record *record)
{
    bool json = fits_line(record->value, record->value_len);

    add_text(out, "{");
    naive_print_name(out, "key", record->key, record->key_len);
    add_text(out, ",");
    print_part(out, "value", record->value + json, record->value_len - json, json);
    add_text(out, "}\n");
}

static void print_hex(struct naive_bytes *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        naive_add(out, &"0123456789abcdef"[bytes[i] >> 4], 1);
        naive_add(out, &"0123456789abcdef"[bytes[i] & 15], 1);
    }
}

static int compare(const void *a, const void *b)
{
    const struct mirror_record *left = a, *right = b;
    size_t shorter = left->key_len < right->key_len ? left->key_len : right->key_len;
    int order = memcmp(left->key, right->key, shorter);

    return order != 0 ? order : (left->key_len > right->key_len) - (left->key_len < right->key_len);
}

void naive_export(struct naive_bytes *out, struct mirror *mirror, bool hex)
{
    if (hex && mirror->n > 1)
        qsort(mirror->records, mirror->n, sizeof *mirror->records, compare);
    for (size_t i = 0; i < mirror->n; i++) {
        const struct mirror_record *record = &mirror->records[i];

        if (!hex) {
            naive_print_record(out, record);
            continue;
        }
        print_hex(out, record->key, record->key_len);
        add_text(out, "\t");
        print_hex(out, record->value, record->value_len);
        add_text(out, "\n");
    }
}
