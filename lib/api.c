/* SPDX-License-Identifier: MIT */
/*
 * The public functions: arguments are checked, the name of the namespace is put before the key, and
 * the engine is called. Contracts are in lxdb.h. The typed functions are in typed.c, cJSON in
 * json_edge.c.
 */
#include "engine/batch.h"
#include "engine/get.h"
#include "engine/ops.h"
#include "engine/stat.h"
#include "engine/verify.h"
#include "format/json.h"
#include "format/value.h"
#include "typed.h"

#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN (LX_KEY_MAX - 2) /* a NUL and one byte of key */

const char *lxdb_strerror(int code)
{
    return lx_code_text(code);
}

const char *lxdb_errmsg(const lxdb *db)
{
    (void)db; /* the last failure of this thread, on whatever handle */
    return lx_error_message();
}

const char *lxdb_version(void)
{
    return PACKAGE_VERSION;
}

void lxdb_free(void *memory)
{
    free(memory);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int null_argument(const char *name)
{
    return lx_fail(LXDB_INVALID, "%s is NULL", name);
}

static int bad_key(const lxdb *db, const void *key, size_t key_len)
{
    if (db == NULL)
        return null_argument("the handle");
    if (key == NULL)
        return null_argument("the key");
    if (key_len == 0)
        return lx_fail(LXDB_INVALID, "an empty key");
    return lx_fail(LXDB_TOOBIG, "a key of %zu bytes: %zu is the most here", key_len,
                   LX_KEY_MAX - db->prefix_len);
}

static inline bool key_is_good(const lxdb *db, const void *key, size_t key_len)
{
    return db != NULL && key != NULL && key_len - 1 < LX_KEY_MAX - db->prefix_len;
}

static int bad_value(const void *value, size_t len)
{
    if (value == NULL)
        return null_argument("the value");
    return lx_fail(LXDB_TOOBIG, "a value of %zu bytes: 4294967295 is the most", len);
}

static inline bool value_is_good(const void *value, size_t len, int tag)
{
    return (value != NULL || len == 0) && len <= LX_VALUE_MAX - (tag >= 0);
}

/* A key as it is stored. */
struct stored {
    const uint8_t *key;
    size_t len;
    uint8_t *heap;
    uint8_t small[256];
};

static inline int stored_make(const lxdb *db, const void *key, size_t key_len,
                              struct stored *ret_stored)
{
    uint8_t *to = ret_stored->small;

    ret_stored->heap = NULL;
    ret_stored->len = db->prefix_len + key_len;
    if (LX_LIKELY(db->prefix_len == 0)) {
        ret_stored->key = key;
        return LXDB_OK;
    }
    if (ret_stored->len > sizeof ret_stored->small) {
        to = ret_stored->heap = malloc(ret_stored->len);
        if (to == NULL)
            return lx_fail(LXDB_NOMEM, "out of memory");
    }
    memcpy(to, db->prefix, db->prefix_len);
    memcpy(to + db->prefix_len, key, key_len);
    ret_stored->key = to;
    return LXDB_OK;
}

static inline void stored_free(struct stored *stored)
{
    if (LX_UNLIKELY(stored->heap != NULL))
        free(stored->heap);
}

/* ---- open and close -------------------------------------------------------------------------- */

static int make_handle(lx_core *core, const char *name, size_t name_len, lxdb **ret_db)
{
    size_t prefix_len = name == NULL ? 0 : name_len + 1;
    lxdb *db = calloc(1, sizeof *db + prefix_len);

    if (db == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    db->core = core;
    db->prefix_len = prefix_len;
    if (name != NULL)
        memcpy(db->prefix, name, name_len); /* its NUL is there already */
    *ret_db = db;
    return LXDB_OK;
}

int lxdb_open(const char *path, const lxdb_options *options, lxdb **ret_db)
{
    lx_core *core;
    int rc;

    if (path == NULL)
        return null_argument("the path");
    if (ret_db == NULL)
        return null_argument("ret_db");
    rc = lx_core_open(path, options, &core);
    if (rc != LXDB_OK)
        return rc;
    rc = make_handle(core, NULL, 0, ret_db);
    if (rc != LXDB_OK) {
        (void)lx_core_close(core);
        return rc;
    }
    return lx_answer(LXDB_OK); /* what was tried on the way is no failure of this call */
}

int lxdb_close(lxdb *db)
{
    lx_core *core;

    if (db == NULL)
        return LXDB_OK;
    core = db->core;
    free(db);
    return lx_core_close(core);
}

int lxdb_namespace(lxdb *db, const char *name, lxdb **ret_ns)
{
    size_t len;
    int rc;

    if (db == NULL)
        return null_argument("the handle");
    if (name == NULL)
        return null_argument("the name");
    if (ret_ns == NULL)
        return null_argument("ret_ns");
    len = strlen(name);
    if (len == 0)
        return lx_fail(LXDB_INVALID, "an empty name of a namespace");
    if (len > NAME_MAX_LEN)
        return lx_fail(LXDB_TOOBIG, "a name of %zu bytes: %u is the most", len, NAME_MAX_LEN);
    if (db->prefix_len != 0)
        return lx_fail(LXDB_INVALID, "namespaces do not nest: this handle is one already");
    rc = make_handle(db->core, name, len, ret_ns);
    if (rc == LXDB_OK)
        atomic_fetch_add(&db->core->refs, 1);
    return rc;
}

/* ---- raw ------------------------------------------------------------------------------------- */

static const enum lx_expect expectations[] = {
    [LX_PUT_WRITE] = LX_ANY,
    [LX_PUT_CREATE] = LX_ABSENT,
    [LX_PUT_UPDATE] = LX_PRESENT,
};

static __attribute__((noinline)) int change_in_namespace(lxdb *db, const void *key, size_t key_len,
                                                         lx_change *change, enum lx_expect expect)
{
    struct stored stored;
    int rc = stored_make(db, key, key_len, &stored);

    if (rc != LXDB_OK)
        return rc;
    change->key = stored.key;
    change->key_len = (uint32_t)stored.len;
    rc = lx_commit_one(db->core, change, expect);
    stored_free(&stored);
    return rc;
}

static inline int change_one(lxdb *db, const void *key, size_t key_len, lx_change *change,
                             enum lx_expect expect)
{
    if (LX_UNLIKELY(db->prefix_len != 0))
        return change_in_namespace(db, key, key_len, change, expect);
    change->key = key;
    change->key_len = (uint32_t)key_len;
    return lx_commit_one(db->core, change, expect);
}

int lx_op_put(lxdb *db, enum lx_put_mode mode, const void *key, size_t key_len, int tag,
              const void *value, size_t value_len)
{
    lx_change change;

    if (!key_is_good(db, key, key_len))
        return bad_key(db, key, key_len);
    if (!value_is_good(value, value_len, tag))
        return bad_value(value, value_len);
    change.value = value;
    change.value_len = (uint32_t)value_len;
    change.tag = tag;
    change.remove = false;
    return change_one(db, key, key_len, &change, expectations[mode]);
}

int lxdb_create(lxdb *db, const void *key, size_t key_len, const void *value, size_t value_len)
{
    return lx_op_put(db, LX_PUT_CREATE, key, key_len, -1, value, value_len);
}

int lxdb_write(lxdb *db, const void *key, size_t key_len, const void *value, size_t value_len)
{
    return lx_op_put(db, LX_PUT_WRITE, key, key_len, -1, value, value_len);
}

int lxdb_update(lxdb *db, const void *key, size_t key_len, const void *value, size_t value_len)
{
    return lx_op_put(db, LX_PUT_UPDATE, key, key_len, -1, value, value_len);
}

int lxdb_delete(lxdb *db, const void *key, size_t key_len)
{
    lx_change change;

    if (!key_is_good(db, key, key_len))
        return bad_key(db, key, key_len);
    change.value = NULL;
    change.value_len = 0;
    change.tag = -1;
    change.remove = true;
    return change_one(db, key, key_len, &change, LX_PRESENT);
}

static __attribute__((noinline)) int exists_in_namespace(lxdb *db, const void *key, size_t key_len)
{
    struct stored stored;
    int rc = stored_make(db, key, key_len, &stored);

    if (rc != LXDB_OK)
        return rc;
    rc = lx_get_exists(db->core, stored.key, stored.len);
    stored_free(&stored);
    return rc;
}

int lxdb_exists(lxdb *db, const void *key, size_t key_len)
{
    if (LX_UNLIKELY(!key_is_good(db, key, key_len)))
        return bad_key(db, key, key_len);
    if (LX_LIKELY(db->prefix_len == 0))
        return lx_get_exists(db->core, key, key_len);
    return exists_in_namespace(db, key, key_len);
}

static __attribute__((noinline)) int read_in_namespace(lxdb *db, const void *key, size_t key_len,
                                                       void *buf, size_t cap, size_t *ret_len)
{
    struct stored stored;
    int rc = stored_make(db, key, key_len, &stored);

    if (rc != LXDB_OK)
        return rc;
    rc = lx_get_copy(db->core, stored.key, stored.len, buf, cap, ret_len);
    stored_free(&stored);
    return rc;
}

int lxdb_read(lxdb *db, const void *key, size_t key_len, void *buf, size_t cap, size_t *ret_len)
{
    if (LX_UNLIKELY(!key_is_good(db, key, key_len)))
        return bad_key(db, key, key_len);
    if (LX_UNLIKELY(buf == NULL && cap != 0))
        return null_argument("the buffer");
    if (LX_LIKELY(db->prefix_len == 0))
        return lx_get_copy(db->core, key, key_len, buf, cap, ret_len);
    return read_in_namespace(db, key, key_len, buf, cap, ret_len);
}

int lx_op_read_alloc(lxdb *db, const void *key, size_t key_len, int tag, void **ret_value,
                     size_t *ret_len)
{
    struct stored stored;
    int rc;

    if (!key_is_good(db, key, key_len))
        return bad_key(db, key, key_len);
    if (ret_value == NULL)
        return null_argument("ret_value");
    rc = stored_make(db, key, key_len, &stored);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_get_alloc(db->core, stored.key, stored.len, tag, ret_value, ret_len);
    stored_free(&stored);
    return rc;
}

int lxdb_read_alloc(lxdb *db, const void *key, size_t key_len, void **ret_value, size_t *ret_len)
{
    return lx_op_read_alloc(db, key, key_len, -1, ret_value, ret_len);
}

/* ---- zero-copy and many keys ----------------------------------------------------------------- */

int lxdb_read_begin(lxdb *db)
{
    return db == NULL ? null_argument("the handle") : lx_section_begin(db->core);
}

void lxdb_read_end(lxdb *db)
{
    if (db != NULL)
        lx_section_end(db->core);
}

int lxdb_peek(lxdb *db, const void *key, size_t key_len, const void **ret_value, size_t *ret_len)
{
    struct stored stored;
    int rc;

    if (!key_is_good(db, key, key_len))
        return bad_key(db, key, key_len);
    if (ret_value == NULL || ret_len == NULL)
        return null_argument("an output");
    rc = stored_make(db, key, key_len, &stored);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_section_peek(db->core, stored.key, stored.len, ret_value, ret_len);
    stored_free(&stored);
    return rc;
}

int lxdb_peek_many(lxdb *db, lxdb_item *items, size_t n)
{
    if (db == NULL)
        return null_argument("the handle");
    if (items == NULL && n != 0)
        return null_argument("items");
    for (size_t i = 0; i < n; i++)
        if (!key_is_good(db, items[i].key, items[i].key_len))
            return bad_key(db, items[i].key, items[i].key_len);
    return lx_section_peek_many(db->core, db->prefix, db->prefix_len, items, n);
}

/* ---- batches --------------------------------------------------------------------------------- */

struct lxdb_batch {
    lxdb *db;
    lx_batch *changes;
    uint64_t epoch; /* fork epoch */
};

static int batch_check(const lxdb_batch *batch)
{
    if (batch == NULL)
        return null_argument("the batch");
    if (batch->epoch != lx_fork_epoch)
        return lx_fail(LXDB_CLOSED, "a batch does not cross fork: begin one in the child");
    return LXDB_OK;
}

int lxdb_batch_begin(lxdb *db, lxdb_batch **ret_batch)
{
    lxdb_batch *batch;
    int rc;

    if (db == NULL)
        return null_argument("the handle");
    if (ret_batch == NULL)
        return null_argument("ret_batch");
    batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    batch->db = db;
    batch->epoch = lx_fork_epoch;
    rc = lx_batch_begin(db->core, &batch->changes);
    if (rc != LXDB_OK) {
        free(batch);
        return rc;
    }
    *ret_batch = batch;
    return LXDB_OK;
}

static int batch_add(lxdb_batch *batch, enum lx_batch_op op, const void *key, size_t key_len,
                     int tag, const void *value, size_t value_len)
{
    int rc = batch_check(batch);

    if (rc != LXDB_OK)
        return rc;
    if (!key_is_good(batch->db, key, key_len))
        return bad_key(batch->db, key, key_len);
    if (!value_is_good(value, value_len, tag))
        return bad_value(value, value_len);
    return lx_batch_add(batch->changes, op, batch->db->prefix, batch->db->prefix_len, key, key_len,
                        tag, value, value_len);
}

int lxdb_batch_write(lxdb_batch *batch, const void *key, size_t key_len, const void *value,
                     size_t value_len)
{
    return batch_add(batch, LX_BATCH_WRITE, key, key_len, -1, value, value_len);
}

int lxdb_batch_create(lxdb_batch *batch, const void *key, size_t key_len, const void *value,
                      size_t value_len)
{
    return batch_add(batch, LX_BATCH_CREATE, key, key_len, -1, value, value_len);
}

int lxdb_batch_set_json(lxdb_batch *batch, const void *key, size_t key_len, const char *json,
                        size_t len)
{
    int rc = lx_typed_check_json(json, len);

    return rc != LXDB_OK ? rc
                         : batch_add(batch, LX_BATCH_WRITE, key, key_len, LX_TAG_JSON, json, len);
}

int lxdb_batch_delete(lxdb_batch *batch, const void *key, size_t key_len)
{
    return batch_add(batch, LX_BATCH_DELETE, key, key_len, -1, NULL, 0);
}

int lxdb_batch_commit(lxdb_batch *batch, size_t *ret_deleted, size_t *ret_failed_at)
{
    int rc = batch_check(batch);

    if (rc == LXDB_OK)
        rc = lx_batch_commit(batch->changes, ret_deleted, ret_failed_at);
    lxdb_batch_abort(batch);
    return rc;
}

void lxdb_batch_abort(lxdb_batch *batch)
{
    if (batch == NULL)
        return;
    lx_batch_free(batch->changes);
    free(batch);
}

/* ---- reading through ------------------------------------------------------------------------- */

#define AHEAD 8u /* records that an iterator fetches before it comes to them */

struct lxdb_iter {
    lx_cut cut;
    size_t next;
    bool plain; /* all of it, forwards, with values, by a walk of the log */
    uint32_t flags;
    size_t strip; /* bytes of every key that the caller does not see */
    size_t prefix_len;
    uint8_t prefix[];
};

int lxdb_iter_open(lxdb *db, const void *prefix, size_t prefix_len, uint32_t flags,
                   lxdb_iter **ret_iter)
{
    lxdb_iter *iter;
    int rc;

    if (db == NULL)
        return null_argument("the handle");
    if (ret_iter == NULL)
        return null_argument("ret_iter");
    if (prefix == NULL && prefix_len != 0)
        return null_argument("the prefix");
    if (flags & ~(uint32_t)(LXDB_ITER_KEYS | LXDB_ITER_REVERSE))
        return lx_fail(LXDB_INVALID, "flags has an unknown bit");
    if (prefix_len > LX_KEY_MAX)
        return lx_fail(LXDB_TOOBIG, "a prefix of %zu bytes: no key is so long", prefix_len);
    iter = calloc(1, sizeof *iter + db->prefix_len + prefix_len);
    if (iter == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    iter->flags = flags;
    iter->strip = db->prefix_len;
    iter->prefix_len = db->prefix_len + prefix_len;
    memcpy(iter->prefix, db->prefix, db->prefix_len);
    if (prefix_len != 0)
        memcpy(iter->prefix + db->prefix_len, prefix, prefix_len);
    rc = lx_cut_take(db->core, &iter->cut);
    if (rc != LXDB_OK) {
        free(iter);
        return rc;
    }
    iter->plain = iter->cut.walked && iter->prefix_len == 0 && flags == 0;
    *ret_iter = iter;
    return LXDB_OK;
}

/* The next entry that the iterator shows. */
static int next_entry(lxdb_iter *iter, lx_entry *ret_entry)
{
    lx_cut *cut = &iter->cut;

    if (cut->epoch != lx_fork_epoch)
        return lx_fail(LXDB_CLOSED, "an iterator does not cross fork: open one in the child");
    while (iter->next < cut->count) {
        bool reverse = iter->flags & LXDB_ITER_REVERSE;
        size_t i = iter->next++;
        int rc;

        if (i + AHEAD < cut->count)
            lx_cut_prefetch(cut, reverse ? cut->count - 1 - i - AHEAD : i + AHEAD);
        rc = lx_cut_entry(cut, reverse ? cut->count - 1 - i : i, ret_entry);
        if (rc != LXDB_OK)
            return rc;
        if (ret_entry->expiry_ms != 0 && ret_entry->expiry_ms <= cut->wall_ms)
            continue;
        if (iter->prefix_len != 0 &&
            (ret_entry->key_len < iter->prefix_len || ret_entry->key_len <= iter->strip ||
             memcmp(ret_entry->key, iter->prefix, iter->prefix_len) != 0))
            continue;
        return LXDB_OK;
    }
    return lx_answer(LXDB_NOTFOUND);
}

static __attribute__((noinline)) int next_slowly(lxdb_iter *iter, const void **ret_key,
                                                 size_t *ret_key_len, const void **ret_value,
                                                 size_t *ret_value_len)
{
    lx_entry entry;
    int rc;

    if (iter == NULL)
        return null_argument("the iterator");
    if (ret_key == NULL || ret_key_len == NULL)
        return null_argument("an output");
    rc = next_entry(iter, &entry);
    if (rc != LXDB_OK)
        return rc;
    *ret_key = entry.key + iter->strip;
    *ret_key_len = entry.key_len - iter->strip;
    if (ret_value != NULL)
        *ret_value = iter->flags & LXDB_ITER_KEYS ? NULL : entry.value;
    if (ret_value_len != NULL)
        *ret_value_len = iter->flags & LXDB_ITER_KEYS ? 0 : entry.value_len;
    return LXDB_OK;
}

int lxdb_iter_next(lxdb_iter *iter, const void **ret_key, size_t *ret_key_len,
                   const void **ret_value, size_t *ret_value_len)
{
    if (LX_LIKELY(iter != NULL && ret_key != NULL && ret_key_len != NULL && iter->plain &&
                  iter->cut.epoch == lx_fork_epoch && iter->next < iter->cut.count)) {
        uint32_t key_len, value_len;
        const uint8_t *record = lx_log_record(&iter->cut.view->log, iter->cut.slots[iter->next],
                                              &key_len, &value_len);

        if (LX_LIKELY(record != NULL)) {
            iter->next++;
            *ret_key = record + LX_RECORD_HEADER;
            *ret_key_len = key_len;
            if (LX_LIKELY(ret_value != NULL))
                *ret_value = record + LX_RECORD_HEADER + key_len;
            if (LX_LIKELY(ret_value_len != NULL))
                *ret_value_len = value_len;
            return LXDB_OK;
        }
    }
    return next_slowly(iter, ret_key, ret_key_len, ret_value, ret_value_len);
}

void lxdb_iter_close(lxdb_iter *iter)
{
    if (iter == NULL)
        return;
    lx_cut_free(&iter->cut);
    free(iter);
}

int lxdb_count(lxdb *db, uint64_t *ret_count)
{
    lxdb_iter *iter;
    lx_entry entry;
    uint64_t count = 0;
    bool exact;
    int rc;

    if (db == NULL)
        return null_argument("the handle");
    if (ret_count == NULL)
        return null_argument("ret_count");
    if (db->prefix_len == 0) {
        rc = lx_count(db->core, &count, &exact);
        if (rc != LXDB_OK)
            return rc;
        if (exact) {
            *ret_count = count;
            return LXDB_OK;
        }
        count = 0;
    }
    rc = lxdb_iter_open(db, NULL, 0, LXDB_ITER_KEYS, &iter);
    if (rc != LXDB_OK)
        return rc;
    while ((rc = next_entry(iter, &entry)) == LXDB_OK)
        count++;
    lxdb_iter_close(iter);
    if (rc != LXDB_NOTFOUND)
        return rc;
    *ret_count = count;
    return lx_answer(LXDB_OK);
}

int lxdb_clear(lxdb *db, uint64_t *ret_deleted)
{
    if (db == NULL)
        return null_argument("the handle");
    return lx_clear(db->core, db->prefix, db->prefix_len, ret_deleted);
}

/* Names seen so far, sorted. */
struct names {
    lxdb_namespace_info *list; /* `name` points into the log until they are copied out */
    size_t count, capacity;
    size_t bytes;
};

static int compare_names(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int names_add(struct names *names, const uint8_t *name, size_t len)
{
    size_t low = 0, high = names->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(names->list[middle].name, names->list[middle].name_len, name,
                                  len);

        if (order == 0) {
            names->list[middle].count++;
            return LXDB_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (names->count == names->capacity) {
        size_t more = names->capacity ? 2 * names->capacity : 16;
        lxdb_namespace_info *bigger = realloc(names->list, more * sizeof *bigger);

        if (bigger == NULL)
            return lx_fail(LXDB_NOMEM, "out of memory");
        names->list = bigger;
        names->capacity = more;
    }
    memmove(names->list + low + 1, names->list + low, (names->count - low) * sizeof *names->list);
    names->list[low] = (lxdb_namespace_info){(const char *)name, len, 1};
    names->count++;
    names->bytes += len + 1;
    return LXDB_OK;
}

/* One block: the list, then the names. */
static int names_give(const struct names *names, lxdb_namespace_info **ret_list)
{
    lxdb_namespace_info *list;
    char *to;

    if (names->count == 0) {
        *ret_list = NULL;
        return LXDB_OK;
    }
    list = malloc(names->count * sizeof *list + names->bytes);
    if (list == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    to = (char *)(list + names->count);
    for (size_t i = 0; i < names->count; i++) {
        list[i] = names->list[i];
        memcpy(to, names->list[i].name, names->list[i].name_len);
        to[names->list[i].name_len] = 0;
        list[i].name = to;
        to += names->list[i].name_len + 1;
    }
    *ret_list = list;
    return LXDB_OK;
}

int lxdb_namespaces(lxdb *db, lxdb_namespace_info **ret_list, size_t *ret_n)
{
    struct names names = {0};
    lxdb_iter *iter;
    lx_entry entry;
    int rc;

    if (db == NULL)
        return null_argument("the handle");
    if (ret_list == NULL || ret_n == NULL)
        return null_argument("an output");
    if (db->prefix_len != 0)
        return lx_fail(LXDB_INVALID, "namespaces do not nest: ask the handle of the database");
    rc = lxdb_iter_open(db, NULL, 0, LXDB_ITER_KEYS, &iter);
    if (rc != LXDB_OK)
        return rc;
    while ((rc = next_entry(iter, &entry)) == LXDB_OK) {
        size_t len = lx_key_namespace(entry.key, entry.key_len);

        if (len != 0 && (rc = names_add(&names, entry.key, len)) != LXDB_OK)
            break;
    }
    if (rc == LXDB_NOTFOUND)
        rc = names_give(&names, ret_list);
    if (rc == LXDB_OK)
        *ret_n = names.count;
    lxdb_iter_close(iter);
    free(names.list);
    return rc == LXDB_OK ? lx_answer(rc) : rc;
}

/* ---- read, decide and write ------------------------------------------------------------------ */

static int modify(lxdb *db, const void *key, size_t key_len, lx_change *change,
                  int (*decide)(void *arg, lx_change *change, const lx_entry *old), void *arg)
{
    struct stored stored;
    int rc = stored_make(db, key, key_len, &stored);

    if (rc != LXDB_OK)
        return rc;
    change->key = stored.key;
    change->key_len = (uint32_t)stored.len;
    change->remove = false;
    change->seed = 0;
    rc = lx_modify(db->core, change, decide, arg);
    stored_free(&stored);
    return rc;
}

struct expected {
    const void *value;
    size_t len;
};

static int decide_cas(void *arg, lx_change *change, const lx_entry *old)
{
    const struct expected *expected = arg;
    bool same;

    (void)change;
    if (expected->value == NULL)
        same = old == NULL;
    else
        same = old != NULL && old->value_len == expected->len &&
               memcmp(old->value, expected->value, expected->len) == 0;
    return same ? LXDB_OK : lx_answer(LXDB_CONFLICT);
}

int lxdb_cas(lxdb *db, const void *key, size_t key_len, const void *expected, size_t expected_len,
             const void *value, size_t value_len)
{
    struct expected what = {expected, expected_len};
    lx_change change = {.value = value, .value_len = (uint32_t)value_len, .tag = -1};

    if (!key_is_good(db, key, key_len))
        return bad_key(db, key, key_len);
    if (!value_is_good(value, value_len, -1))
        return bad_value(value, value_len);
    if (expected == NULL && expected_len != 0)
        return null_argument("the expected value");
    return modify(db, key, key_len, &change, decide_cas, &what);
}

struct sum {
    int64_t by;
    int64_t sum;
    char text[LX_JSON_NUMBER_MAX];
};

/* Whether a stored value is JSON text of an integer: checked, for others may have stored it. */
static bool is_int(const lx_entry *entry, int64_t *ret_number)
{
    const char *text = (const char *)entry->value + 1, *why;
    size_t at;

    return entry->value_len >= 2 && entry->value[0] == LX_TAG_JSON &&
           lx_json_type_of(text, entry->value_len - 1) == LX_JSON_NUMBER &&
           lx_json_check(text, entry->value_len - 1, &at, &why) &&
           lx_json_to_int(text, entry->value_len - 1, ret_number);
}

static int decide_incr(void *arg, lx_change *change, const lx_entry *old)
{
    struct sum *sum = arg;
    int64_t was = 0;

    if (old != NULL && !is_int(old, &was))
        return lx_answer(LXDB_TYPE);
    if (__builtin_add_overflow(was, sum->by, &sum->sum))
        return lx_fail(LXDB_INVALID, "%" PRId64 " and %" PRId64 " do not add up within 64 bits",
                       was, sum->by);
    change->value = sum->text;
    change->value_len = (uint32_t)lx_json_from_int(sum->text, sum->sum);
    return LXDB_OK;
}

int lxdb_incr(lxdb *db, const void *key, size_t key_len, int64_t by, int64_t *ret_sum)
{
    struct sum sum = {.by = by};
    lx_change change = {.tag = LX_TAG_JSON};
    int rc;

    if (!key_is_good(db, key, key_len))
        return bad_key(db, key, key_len);
    rc = modify(db, key, key_len, &change, decide_incr, &sum);
    if ((rc == LXDB_OK || rc == LXDB_PENDING) && ret_sum != NULL)
        *ret_sum = sum.sum;
    return rc;
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

int lxdb_flush(lxdb *db)
{
    lx_limit limit = {UINT32_MAX, 0};
    uint64_t position;
    int rc;

    if (db == NULL)
        return null_argument("the handle");
    rc = lx_refuse_readonly(db->core);
    if (rc == LXDB_OK)
        rc = lx_position(db->core, &position);
    return rc == LXDB_OK ? lx_wait_durable(db->core, position, &limit) : rc;
}

int lxdb_position(lxdb *db, uint64_t *ret_position)
{
    if (db == NULL)
        return null_argument("the handle");
    if (ret_position == NULL)
        return null_argument("ret_position");
    return lx_position(db->core, ret_position);
}

int lxdb_wait_durable(lxdb *db, uint64_t position, int timeout_ms)
{
    lx_limit limit = {timeout_ms < 0 ? UINT32_MAX : (uint32_t)timeout_ms, 0};
    uint64_t end;
    int rc;

    if (db == NULL)
        return null_argument("the handle");
    rc = lx_refuse_readonly(db->core);
    if (rc == LXDB_OK)
        rc = lx_position(db->core, &end);
    if (rc != LXDB_OK)
        return rc;
    if (position > end)
        return lx_fail(LXDB_INVALID, "position %" PRIu64 " lies past the end of the log, %" PRIu64,
                       position, end);
    return lx_wait_durable(db->core, position, &limit);
}

int lxdb_compact(lxdb *db, const lxdb_progress *progress)
{
    lx_limit limit;

    if (db == NULL)
        return null_argument("the handle");
    limit = (lx_limit){db->core->options.busy_timeout_ms, 0};
    return lx_compact(db->core, progress, 0, true, &limit);
}

int lxdb_stat(lxdb *db, lxdb_stat_info *ret_info)
{
    if (db == NULL)
        return null_argument("the handle");
    if (ret_info == NULL)
        return null_argument("ret_info");
    return lx_stat(db->core, ret_info);
}

int lxdb_verify(const char *path, lxdb_report *ret_report, const lxdb_progress *progress)
{
    if (path == NULL)
        return null_argument("the path");
    if (ret_report == NULL)
        return null_argument("ret_report");
    return lx_verify(path, ret_report, progress);
}

int lxdb_recovery(lxdb *db, lxdb_report *ret_report)
{
    if (db == NULL)
        return null_argument("the handle");
    if (ret_report == NULL)
        return null_argument("ret_report");
    return lx_receipt(db->core, ret_report);
}
