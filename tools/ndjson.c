/* SPDX-License-Identifier: MIT */
/*
 * Records as lines of JSON; see ndjson.h for the format.
 */
#include "ndjson.h"

#include "base64.h"
#include "json.h"
#include "value.h"

#include <inttypes.h>
#include <string.h>

static void add_base64(struct buffer *out, const void *bytes, size_t len)
{
    buffer_add_text(out, "\"");
    base64_encode(out, bytes, len);
    buffer_add_text(out, "\"");
}

/* A member whose value is any bytes: "name" as a string if they are UTF-8, else "name_b64". */
static void add_bytes_member(struct buffer *out, const char *name, const void *bytes, size_t len)
{
    bool text = json_utf8_check(bytes, len);

    buffer_add_text(out, "\"");
    buffer_add_text(out, name);
    buffer_add_text(out, text ? "\":" : "_b64\":");
    if (text)
        json_quote(out, bytes, len);
    else
        add_base64(out, bytes, len);
}

void ndjson_add_key(struct buffer *out, const void *key, size_t key_len)
{
    add_bytes_member(out, "key", key, key_len);
}

void ndjson_add_namespace(struct buffer *out, const char *name, size_t name_len, uint64_t count)
{
    char digits[32];

    (void)snprintf(digits, sizeof(digits), ",\"count\":%" PRIu64 "}\n", count);
    buffer_add_text(out, "{");
    add_bytes_member(out, "namespace", name, name_len);
    buffer_add_text(out, digits);
}

/* Whether a line can carry this text as it is: one value, nothing around it, no line break
 * inside. */
static bool fits_line(const char *text, size_t len)
{
    const char *value;
    size_t value_len;

    return memchr(text, '\n', len) == NULL && memchr(text, '\r', len) == NULL &&
           json_check(text, len, &value, &value_len) && value_len == len;
}

void ndjson_add_value(struct buffer *out, const void *value, size_t value_len)
{
    const char *text = value;

    if (value_len > 1 && text[0] == VALUE_TAG_JSON && fits_line(text + 1, value_len - 1)) {
        buffer_add_text(out, "\"value\":");
        buffer_add(out, text + 1, value_len - 1);
    } else {
        buffer_add_text(out, "\"value_b64\":");
        add_base64(out, value, value_len);
    }
}

void ndjson_add_record(struct buffer *out, const void *key, size_t key_len, const void *value,
                       size_t value_len)
{
    buffer_add_text(out, "{");
    ndjson_add_key(out, key, key_len);
    buffer_add_text(out, ",");
    ndjson_add_value(out, value, value_len);
    buffer_add_text(out, "}\n");
}

static bool same(const struct buffer *text, const char *word)
{
    return text->len == strlen(word) && memcmp(text->data, word, text->len) == 0;
}

static bool parse_op(struct ndjson_record *record, const struct buffer *name)
{
    if (same(name, "set"))
        record->op = NDJSON_OP_SET;
    else if (same(name, "create"))
        record->op = NDJSON_OP_CREATE;
    else if (same(name, "del"))
        record->op = NDJSON_OP_DELETE;
    else
        return false;
    return true;
}

/* One member: its decoded name, and the text of its value. Returns what is wrong with it, or
 * NULL. */
static const char *take_member(struct ndjson_record *record, const struct buffer *name,
                               const char *value, size_t value_len, struct buffer *scratch)
{
    if (same(name, "value")) {
        if (record->has_value)
            return "a second value";
        record->has_value = true;
        record->json = value;
        record->json_len = value_len;
        return NULL;
    }
    if (!same(name, "key") && !same(name, "key_b64") && !same(name, "value_b64") &&
        !same(name, "op"))
        return "an unknown member";
    if (value[0] != '"')
        return "a key, value_b64 or op that is not a string";
    buffer_reset(scratch);
    json_unquote(scratch, value, value_len);
    if (same(name, "op")) {
        if (record->op != NDJSON_OP_NONE)
            return "a second op";
        return parse_op(record, scratch) ? NULL : "an op other than set, create, del";
    }
    if (same(name, "value_b64")) {
        if (record->has_value)
            return "a second value";
        record->has_value = true;
        return base64_decode(&record->bytes, scratch->data, scratch->len)
                   ? NULL
                   : "a value_b64 that is not base64";
    }
    if (record->has_key)
        return "a second key";
    record->has_key = true;
    if (same(name, "key"))
        buffer_add(&record->key, scratch->data, scratch->len);
    else if (!base64_decode(&record->key, scratch->data, scratch->len))
        return "a key_b64 that is not base64";
    return NULL;
}

/* The members of the object that begins at `at`, up to and with its closing brace. */
static const char *parse_members(struct ndjson_record *record, const char *at, const char *end,
                                 struct buffer *name, struct buffer *scratch)
{
    const char *why;

    at = json_space_end(at + 1, end);
    if (at < end && *at == '}')
        return "an object without members";
    for (;;) {
        const char *name_end = json_string_end(at, end);
        const char *value_end;

        if (name_end == NULL)
            return "not one JSON object";
        buffer_reset(name);
        json_unquote(name, at, (size_t)(name_end - at));
        at = json_space_end(name_end, end);
        if (at == end || *at != ':')
            return "not one JSON object";
        at = json_space_end(at + 1, end);
        value_end = json_value_end(at, end);
        if (value_end == NULL)
            return "not one JSON object, or one nested too deep";
        why = take_member(record, name, at, (size_t)(value_end - at), scratch);
        if (why != NULL)
            return why;
        if (name->failed || scratch->failed || record->key.failed || record->bytes.failed)
            return "no memory for it";
        at = json_space_end(value_end, end);
        if (at < end && *at == '}')
            return json_space_end(at + 1, end) == end ? NULL : "text behind the object";
        if (at == end || *at != ',')
            return "not one JSON object";
        at = json_space_end(at + 1, end);
    }
}

bool ndjson_parse(struct ndjson_record *record, const char *line, size_t len, const char **ret_why)
{
    const char *end = line + len;
    const char *at = json_space_end(line, end);
    struct buffer name = {0};
    struct buffer scratch = {0};
    const char *why;

    record->op = NDJSON_OP_NONE;
    record->has_key = false;
    record->has_value = false;
    record->json = NULL;
    record->json_len = 0;
    buffer_reset(&record->key);
    buffer_reset(&record->bytes);

    if (at == end || *at != '{')
        why = "not one JSON object";
    else
        why = parse_members(record, at, end, &name, &scratch);
    if (why == NULL && !record->has_key)
        why = "no key";
    if (why != NULL)
        *ret_why = why;
    buffer_free(&name);
    buffer_free(&scratch);
    return why == NULL;
}

void ndjson_free(struct ndjson_record *record)
{
    buffer_free(&record->key);
    buffer_free(&record->bytes);
    *record = (struct ndjson_record){0};
}
