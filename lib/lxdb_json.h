/* SPDX-License-Identifier: MIT */
/*
 * lxdb with cJSON trees: the one header that needs cJSON. The conventions of lxdb.h hold.
 */
#ifndef LXDB_JSON_H
#define LXDB_JSON_H

#include <cjson/cJSON.h>
#include <lxdb.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Print `tree` and store the text, as lxdb_set_json(). cJSON holds numbers as doubles: an integer
 * beyond 2^53 is to be stored with lxdb_set_json() or lxdb_set_int().
 * LXDB_JSON: the tree has no JSON text (an invalid item, NaN, text that is not UTF-8).
 */
LXDB_EXPORT int lxdb_set(lxdb *db, const void *key, size_t key_len, const cJSON *tree);
/*
 * The stored JSON as a tree of the caller's, to be freed with cJSON_Delete(). LXDB_NOTFOUND.
 * LXDB_TYPE if the value is not JSON.
 */
LXDB_EXPORT int lxdb_get(lxdb *db, const void *key, size_t key_len, cJSON **ret_tree);

#ifdef __cplusplus
}
#endif
#endif
