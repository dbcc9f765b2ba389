/* SPDX-License-Identifier: MIT */
/*
 * Typed values: a tag byte, then bytes or JSON text. Everything is turned into text before a lock
 * is taken, and read out of a copy. What is stored may come from other programs, or be damaged: it
 * is checked again before it is converted, and what does not pass is not of the type asked for.
 * lxdb_get_json() alone gives the text away as it is.
 */
#include "typed.h"

#include "base/error.h"
#include "engine/ops.h"
#include "format/json.h"
#include "format/record.h"
#include "format/value.h"

#include <stdlib.h>
#include <string.h>

/* Texts up to here are made, or read, on the stack. */
#define SMALL_TEXT 512u

static int put_json(lxdb *db, const void *key, size_t key_len, const char *json, size_t len)
{
    return lx_op_put(db, LX_PUT_WRITE, key, key_len, LX_TAG_JSON, json, len);
}

static int check_length(size_t len)
{
    if (len >= LX_VALUE_MAX)
        return lx_fail(LXDB_TOOBIG,
                       "a value of %zu bytes and its tag: at most %lu bytes fit in all", len,
                       (unsigned long)LX_VALUE_MAX);
    return LXDB_OK;
}

/* ---- Storing --------------------------------------------------------------------------------- */

int lx_typed_check_json(const char *json, size_t len)
{
    size_t at;
    const char *why;

    if (!json && len > 0)
        return lx_fail(LXDB_INVALID, "the JSON text is NULL, its length is %zu", len);
    int rc = check_length(len);
    if (rc != LXDB_OK)
        return rc;
    if (!lx_json_check(json, len, &at, &why))
        return lx_fail(LXDB_JSON, "not JSON: %s, at byte %zu of %zu", why, at, len);
    return LXDB_OK;
}

int lxdb_set_bytes(lxdb *db, const void *key, size_t key_len, const void *bytes, size_t len)
{
    if (!bytes && len > 0)
        return lx_fail(LXDB_INVALID, "the value is NULL, its length is %zu", len);
    int rc = check_length(len);
    if (rc != LXDB_OK)
        return rc;
    return lx_op_put(db, LX_PUT_WRITE, key, key_len, LX_TAG_BYTES, bytes, len);
}

int lxdb_set_json(lxdb *db, const void *key, size_t key_len, const char *json, size_t len)
{
    int rc = lx_typed_check_json(json, len);
    if (rc != LXDB_OK)
        return rc;
    return put_json(db, key, key_len, json, len);
}

int lxdb_set_str(lxdb *db, const void *key, size_t key_len, const char *text, size_t len)
{
    char small[SMALL_TEXT];
    char *quoted = small;
    size_t at;

    if (!text && len > 0)
        return lx_fail(LXDB_INVALID, "the text is NULL, its length is %zu", len);
    int rc = check_length(len);
    if (rc != LXDB_OK)
        return rc;
    if (!lx_utf8_check(text, len, &at))
        return lx_fail(LXDB_JSON, "not valid UTF-8, at byte %zu of %zu", at, len);
    size_t room = lx_json_quote_max(len);
    if (room > sizeof small) {
        quoted = malloc(room);
        if (!quoted)
            return lx_fail(LXDB_NOMEM, "no memory for a JSON string of %zu bytes", len);
    }

    size_t quoted_len = lx_json_quote(quoted, text, len);
    rc = check_length(quoted_len);
    if (rc == LXDB_OK)
        rc = put_json(db, key, key_len, quoted, quoted_len);
    if (quoted != small)
        free(quoted);
    return rc;
}

int lxdb_set_int(lxdb *db, const void *key, size_t key_len, int64_t number)
{
    char text[LX_JSON_NUMBER_MAX];
    size_t len = lx_json_from_int(text, number);

    return put_json(db, key, key_len, text, len);
}

int lxdb_set_double(lxdb *db, const void *key, size_t key_len, double number)
{
    char text[LX_JSON_NUMBER_MAX];
    size_t len;

    if (!lx_json_from_double(text, &len, number))
        return lx_fail(LXDB_INVALID, "JSON has no infinities and no NaN");
    return put_json(db, key, key_len, text, len);
}

int lxdb_set_bool(lxdb *db, const void *key, size_t key_len, int truth)
{
    return truth ? put_json(db, key, key_len, "true", 4) : put_json(db, key, key_len, "false", 5);
}

int lxdb_set_null(lxdb *db, const void *key, size_t key_len)
{
    return put_json(db, key, key_len, "null", 4);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The stored text of a JSON value that is likely to be short: in `small` with the tag before it, or
 * in memory of its own. */
struct text {
    const char *json;
    size_t len;
    void *memory; /* NULL, or to be freed with lxdb_free() */
    char small[SMALL_TEXT];
};

static int text_read(lxdb *db, const void *key, size_t key_len, struct text *ret_text)
{
    size_t len;

    ret_text->memory = NULL;
    int rc = lxdb_read(db, key, key_len, ret_text->small, sizeof ret_text->small, &len);
    if (rc == LXDB_TOOBIG) { /* of the value, or of the key: then the same again */
        rc = lx_op_read_alloc(db, key, key_len, LX_TAG_JSON, &ret_text->memory, &ret_text->len);
        if (rc == LXDB_OK)
            ret_text->json = ret_text->memory;
        return rc;
    }
    if (rc != LXDB_OK)
        return rc;
    if (len == 0 || (uint8_t)ret_text->small[0] != LX_TAG_JSON)
        return lx_fail(LXDB_TYPE, "the value is not JSON");
    ret_text->json = ret_text->small + 1;
    ret_text->len = len - 1;
    return LXDB_OK;
}

/* Nothing is converted unchecked. `want` is what to call the type that was asked for. */
static int check_stored(const char *json, size_t len, const char *want)
{
    size_t at;
    const char *why;

    if (!lx_json_check(json, len, &at, &why))
        return lx_fail(LXDB_TYPE,
                       "the value is not %s: it is tagged as JSON, but %s, at byte %zu of %zu",
                       want, why, at, len);
    return LXDB_OK;
}

int lxdb_get_json(lxdb *db, const void *key, size_t key_len, char **ret_text, size_t *ret_len)
{
    void *text;
    size_t len;

    if (!ret_text)
        return lx_fail(LXDB_INVALID, "there is no place for the text");
    int rc = lx_op_read_alloc(db, key, key_len, LX_TAG_JSON, &text, &len);
    if (rc != LXDB_OK)
        return rc;
    *ret_text = text;
    if (ret_len)
        *ret_len = len;
    return LXDB_OK;
}

int lxdb_get_bytes(lxdb *db, const void *key, size_t key_len, void **ret_bytes, size_t *ret_len)
{
    if (!ret_bytes)
        return lx_fail(LXDB_INVALID, "there is no place for the bytes");
    return lx_op_read_alloc(db, key, key_len, LX_TAG_BYTES, ret_bytes, ret_len);
}

int lxdb_get_str(lxdb *db, const void *key, size_t key_len, char **ret_text, size_t *ret_len)
{
    static const char want[] = "a JSON string";
    void *memory = NULL;
    size_t len;

    if (!ret_text)
        return lx_fail(LXDB_INVALID, "there is no place for the text");
    int rc = lx_op_read_alloc(db, key, key_len, LX_TAG_JSON, &memory, &len);
    if (rc != LXDB_OK)
        return rc;
    char *text = memory;
    rc = check_stored(text, len, want);
    if (rc == LXDB_OK && lx_json_type_of(text, len) != LX_JSON_STRING)
        rc = lx_fail(LXDB_TYPE, "the value is not %s", want);
    if (rc != LXDB_OK) {
        lxdb_free(memory);
        return rc;
    }
    len = lx_json_unquote(text, text, len); /* two quotes shorter at least: the NUL fits */
    text[len] = '\0';
    *ret_text = text;
    if (ret_len)
        *ret_len = len;
    return LXDB_OK;
}

int lxdb_get_int(lxdb *db, const void *key, size_t key_len, int64_t *ret_number)
{
    static const char want[] = "an integer within 64 bits";
    struct text text;

    if (!ret_number)
        return lx_fail(LXDB_INVALID, "there is no place for the number");
    int rc = text_read(db, key, key_len, &text);
    if (rc != LXDB_OK)
        return rc;
    rc = check_stored(text.json, text.len, want);
    if (rc == LXDB_OK && !lx_json_to_int(text.json, text.len, ret_number))
        rc = lx_fail(LXDB_TYPE, "the value is not %s", want);
    lxdb_free(text.memory);
    return rc;
}

int lxdb_get_double(lxdb *db, const void *key, size_t key_len, double *ret_number)
{
    static const char want[] = "a number within the range of a double";
    struct text text;

    if (!ret_number)
        return lx_fail(LXDB_INVALID, "there is no place for the number");
    int rc = text_read(db, key, key_len, &text);
    if (rc != LXDB_OK)
        return rc;
    rc = check_stored(text.json, text.len, want);
    if (rc == LXDB_OK && !lx_json_to_double(text.json, text.len, ret_number))
        rc = lx_fail(LXDB_TYPE, "the value is not %s", want);
    lxdb_free(text.memory);
    return rc;
}

int lxdb_get_bool(lxdb *db, const void *key, size_t key_len, int *ret_truth)
{
    static const char want[] = "true or false";
    struct text text;

    if (!ret_truth)
        return lx_fail(LXDB_INVALID, "there is no place for the truth");
    int rc = text_read(db, key, key_len, &text);
    if (rc != LXDB_OK)
        return rc;
    rc = check_stored(text.json, text.len, want);
    if (rc == LXDB_OK) {
        enum lx_json_type type = lx_json_type_of(text.json, text.len);
        if (type == LX_JSON_TRUE || type == LX_JSON_FALSE)
            *ret_truth = type == LX_JSON_TRUE;
        else
            rc = lx_fail(LXDB_TYPE, "the value is not %s", want);
    }
    lxdb_free(text.memory);
    return rc;
}
