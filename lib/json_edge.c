/* SPDX-License-Identifier: MIT */
/*
 * cJSON trees at the edge: printed into text before it is stored, parsed from a copy of what was
 * stored. The only file that knows cJSON. cJSON prints NaN and the infinities as null, and ends a
 * string at the first NUL; here neither passes silently.
 */
#include "lxdb_json.h"

#include "base/error.h"
#include "format/json.h"

#include <math.h>
#include <string.h>

/* Whether the tree has no number that JSON does not have, and is nested no deeper than JSON text
 * may be. */
static bool tree_has_text(const cJSON *tree)
{
    const cJSON *open[LX_JSON_DEPTH];
    size_t depth = 0;
    const cJSON *item = tree;

    for (;;) {
        if (cJSON_IsNumber(item) && !isfinite(item->valuedouble))
            return false;
        if ((cJSON_IsArray(item) || cJSON_IsObject(item)) && item->child) {
            if (depth == LX_JSON_DEPTH)
                return false;
            open[depth++] = item;
            item = item->child;
            continue;
        }
        /* The siblings of the tree itself are not part of it. */
        while (depth > 0 && !item->next)
            item = open[--depth];
        if (depth == 0)
            return true;
        item = item->next;
    }
}

int lxdb_set(lxdb *db, const void *key, size_t key_len, const cJSON *tree)
{
    if (!tree)
        return lx_fail(LXDB_INVALID, "the tree is NULL");
    if (!tree_has_text(tree))
        return lx_fail(LXDB_JSON,
                       "the tree has no JSON text: it holds a NaN or an infinity, or is nested "
                       "more than %u deep",
                       LX_JSON_DEPTH);
    char *text = cJSON_PrintUnformatted(tree);
    if (!text)
        return lx_fail(LXDB_JSON, "the tree has no JSON text: cJSON cannot print it");
    int rc = lxdb_set_json(db, key, key_len, text, strlen(text));
    cJSON_free(text);
    return rc;
}

/* Whether checked text has the escape \u0000 in a string. */
static bool text_has_nul(const char *text, size_t len)
{
    const char *end = text + len;

    while ((text = memchr(text, '\\', (size_t)(end - text)))) {
        if (end - text > 6 && memcmp(text, "\\u0000", 6) == 0)
            return true;
        text += 2; /* the backslash is never the last byte, and may escape another */
    }
    return false;
}

int lxdb_get(lxdb *db, const void *key, size_t key_len, cJSON **ret_tree)
{
    char *text = NULL;
    size_t len;
    size_t at;
    const char *why;
    cJSON *tree;

    if (!ret_tree)
        return lx_fail(LXDB_INVALID, "there is no place for the tree");
    int rc = lxdb_get_json(db, key, key_len, &text, &len);
    if (rc != LXDB_OK)
        return rc;
    if (!lx_json_check(text, len, &at, &why)) {
        rc = lx_fail(LXDB_TYPE, "the value is tagged as JSON, but %s, at byte %zu of %zu", why, at,
                     len);
        goto out;
    }
    if (text_has_nul(text, len)) {
        rc = lx_fail(LXDB_TYPE,
                     "a string in the value holds \\u0000, which a cJSON tree cannot carry: use "
                     "lxdb_get_json()");
        goto out;
    }
    /* Up to the NUL behind it: else cJSON may give what it took of a number that is too long. */
    tree = cJSON_ParseWithLengthOpts(text, len + 1, NULL, 1);
    if (!tree) {
        rc = lx_fail(LXDB_TYPE,
                     "cJSON cannot parse the value: it has no memory, or there is a number of "
                     "more than 63 characters");
        goto out;
    }
    *ret_tree = tree;
out:
    lxdb_free(text);
    return rc;
}
