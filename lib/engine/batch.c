/* SPDX-License-Identifier: MIT */
/*
 * Batches: records are encoded as they are added, with their CRCs, so that under the lock they are
 * only copied.
 *
 * Of several changes of one key in a batch only the last is written, at its place; what the earlier
 * ones would have found decides about creates and the count of deletes all the same.
 */
#include "engine/batch.h"

#include "base/crc.h"
#include "engine/view.h"

#include <stdlib.h>
#include <string.h>

struct op {
    size_t at; /* of the encoded record in the arena */
    uint32_t key_len;
    uint32_t value_len; /* with the tag */
    enum lx_batch_op op;
    /* set by gather() */
    bool first;      /* no op before it has the same key */
    uint32_t later;  /* the next op on the same key, + 1; 0: this is the last */
    uint32_t change; /* of the last one: its change */
};

struct ranked {
    uint64_t rank;
    uint32_t position;
};

/* What a commit works with, for every op. */
struct work {
    lx_change change;
    struct ranked ranked, spare;
    uint32_t order;
};

/* A core keeps the memory of its last batch for the next, if it is not large: getting some hundred
 * KiB from the system and giving them back costs more than committing them. */
#define KEEP_MAX (4u << 20)

struct lx_batch {
    lx_core *core;
    uint8_t *arena;
    size_t used, capacity;
    struct op *ops;
    size_t count, ops_capacity;
    bool only_writes;  /* no creates, no deletes */
    struct work *work; /* one block, that holds four arrays one after the other */
    size_t work_capacity;
};

int lx_batch_begin(lx_core *core, lx_batch **ret_batch)
{
    lx_batch *batch = atomic_exchange(&core->spare_batch, NULL);

    if (batch == NULL)
        batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    batch->core = core;
    batch->used = batch->count = 0;
    batch->only_writes = true;
    *ret_batch = batch;
    return LXDB_OK;
}

static void destroy(lx_batch *batch)
{
    if (batch == NULL)
        return;
    free(batch->arena);
    free(batch->ops);
    free(batch->work);
    free(batch);
}

void lx_batch_free(lx_batch *batch)
{
    if (batch == NULL)
        return;
    if (batch->capacity + batch->ops_capacity * sizeof *batch->ops +
            batch->work_capacity * sizeof *batch->work <=
        KEEP_MAX)
        batch = atomic_exchange(&batch->core->spare_batch, batch);
    destroy(batch);
}

void lx_batch_forget_spare(lx_core *core)
{
    destroy(atomic_exchange(&core->spare_batch, NULL));
}

static int make_space(lx_batch *batch, size_t size)
{
    if (batch->count == batch->ops_capacity) {
        size_t more = batch->ops_capacity ? 2 * batch->ops_capacity : 64;
        struct op *bigger = realloc(batch->ops, more * sizeof *bigger);

        if (bigger == NULL)
            return lx_fail(LXDB_NOMEM, "out of memory");
        batch->ops = bigger;
        batch->ops_capacity = more;
    }
    if (batch->capacity - batch->used < size) {
        size_t more = batch->capacity ? 2 * batch->capacity : 8192;
        uint8_t *bigger;

        while (more - batch->used < size && more <= SIZE_MAX / 2)
            more *= 2;
        bigger = more - batch->used < size ? NULL : realloc(batch->arena, more);
        if (bigger == NULL)
            return lx_fail(LXDB_NOMEM, "out of memory for a batch of %zu bytes",
                           batch->used + size);
        batch->arena = bigger;
        batch->capacity = more;
    }
    return LXDB_OK;
}

int lx_batch_add(lx_batch *batch, enum lx_batch_op op, const void *prefix, size_t prefix_len,
                 const void *key, size_t key_len, int tag, const void *value, size_t value_len)
{
    uint32_t stored_key = (uint32_t)(prefix_len + key_len);
    uint32_t stored_value = (uint32_t)(value_len + (tag >= 0));
    size_t size = (size_t)lx_record_size(stored_key, stored_value);
    uint8_t *p;
    int rc;

    if (batch->count == UINT32_MAX - 1)
        return lx_fail(LXDB_TOOBIG, "a batch holds at most 4294967294 changes");
    rc = make_space(batch, size);
    if (rc != LXDB_OK)
        return rc;
    batch->only_writes &= op == LX_BATCH_WRITE;
    batch->ops[batch->count++] = (struct op){batch->used, stored_key, stored_value, op, true, 0, 0};
    p = batch->arena + batch->used;
    lx_record_encode_head(p, op != LX_BATCH_DELETE, stored_key, stored_value);
    p += LX_RECORD_HEADER;
    if (prefix_len != 0)
        memcpy(p, prefix, prefix_len);
    memcpy(p + prefix_len, key, key_len);
    p += stored_key;
    if (tag >= 0)
        *p++ = (uint8_t)tag;
    if (value_len != 0)
        memcpy(p, value, value_len);
    p += value_len;
    lx_put32(p, lx_crc32(0, batch->arena + batch->used, size - 4));
    batch->used += size;
    return LXDB_OK;
}

/* ---- sorting --------------------------------------------------------------------------------- */

static void insertion_sort(struct ranked *list, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct ranked one = list[i];
        size_t j = i;

        for (; j > 0 && (list[j - 1].rank > one.rank ||
                         (list[j - 1].rank == one.rank && list[j - 1].position > one.position));
             j--)
            list[j] = list[j - 1];
        list[j] = one;
    }
}

/* By rank, then by position: counting passes over the top bytes, the lowest first, as many as leave
 * few that are equal there; those are sorted by insertion. `spare` has room for n. */
static void sort_ranked(struct ranked *list, struct ranked *spare, size_t n)
{
    unsigned passes = n <= 32 ? 0 : n <= 2048 ? 1 : n <= 524288 ? 2 : 3;
    struct ranked *from = list, *to = spare;

    for (unsigned shift = 64 - 8 * passes; shift < 64; shift += 8) {
        size_t starts[256] = {0}, sum = 0;
        struct ranked *swap = from;

        for (size_t i = 0; i < n; i++)
            starts[(from[i].rank >> shift) & 255]++;
        for (size_t i = 0; i < 256; i++) {
            size_t count = starts[i];
            starts[i] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            to[starts[(from[i].rank >> shift) & 255]++] = from[i];
        from = to;
        to = swap;
    }
    if (from != list)
        memcpy(list, from, n * sizeof *list);
    insertion_sort(list, n);
}

/* ---- committing ------------------------------------------------------------------------------ */

struct commit {
    lx_many many; /* first */
    lx_batch *batch;
    struct ranked *ranked, *spare;
    uint32_t *order; /* positions in many.changes */
    size_t count;    /* of changes: distinct keys */
    uint64_t seed;   /* of the index that they are sorted for; 0: not yet */
    size_t deleted;
    size_t failed_at;
};

static const uint8_t *op_key(const lx_batch *batch, const struct op *op)
{
    return batch->arena + op->at + LX_RECORD_HEADER;
}

static bool same_key(const lx_batch *batch, const struct op *a, const struct op *b)
{
    return a->key_len == b->key_len && memcmp(op_key(batch, a), op_key(batch, b), a->key_len) == 0;
}

/* One change for every key, that of its last op, in the order of the ops; and their order by
 * rank. */
static void gather(struct commit *commit, const lx_index *index)
{
    lx_batch *batch = commit->batch;
    struct ranked *ranked = commit->ranked;
    size_t n = batch->count;

    for (size_t i = 0; i < n; i++) {
        struct op *op = &batch->ops[i];
        ranked[i].rank = lx_hash_rank(lx_index_hash(index, op_key(batch, op), op->key_len));
        ranked[i].position = (uint32_t)i;
        op->first = true;
        op->later = 0;
    }
    sort_ranked(ranked, commit->spare, n);
    /* Link the ops of a key. Equal ranks are neighbours, and mean equal keys but for a collision of
     * 64 bits. */
    for (size_t i = 1; i < n; i++) {
        struct op *op = &batch->ops[ranked[i].position];

        for (size_t j = i; j > 0 && ranked[j - 1].rank == ranked[i].rank; j--) {
            struct op *before = &batch->ops[ranked[j - 1].position];

            if (same_key(batch, before, op)) {
                before->later = ranked[i].position + 1;
                op->first = false;
                break;
            }
        }
    }
    commit->count = 0;
    for (size_t i = 0; i < n; i++) {
        struct op *op = &batch->ops[i];

        if (op->later != 0)
            continue;
        commit->many.changes[commit->count] = (lx_change){
            .key = op_key(batch, op),
            .key_len = op->key_len,
            .value_len = op->value_len,
            .tag = -1,
            .remove = op->op == LX_BATCH_DELETE,
            .encoded = batch->arena + op->at,
        };
        op->change = (uint32_t)commit->count++;
    }
    for (size_t i = 0, k = 0; i < n; i++) {
        const struct op *op = &batch->ops[ranked[i].position];

        if (op->later != 0)
            continue;
        commit->many.changes[op->change].hash = lx_hash_rank(ranked[i].rank); /* its own inverse */
        commit->many.changes[op->change].seed = index->seed;
        commit->order[k++] = op->change;
    }
    commit->seed = index->seed;
}

static const lx_change *change_of(const struct commit *commit, const struct op *op)
{
    while (op->later != 0)
        op = &commit->batch->ops[op->later - 1];
    return &commit->many.changes[op->change];
}

/* What the ops of one key would find, one after the other. */
static void walk_key(struct commit *commit, size_t position)
{
    const struct op *ops = commit->batch->ops;
    const lx_change *change = change_of(commit, &ops[position]);
    bool there = lx_change_is_there(change);

    for (size_t i = position;; i = ops[i].later - 1) {
        if (ops[i].op == LX_BATCH_CREATE && there && i < commit->failed_at)
            commit->failed_at = i;
        commit->deleted += ops[i].op == LX_BATCH_DELETE && there;
        there = ops[i].op != LX_BATCH_DELETE;
        if (ops[i].later == 0)
            return;
    }
}

static int prepare(lx_many *many, lx_writer *writer, size_t *ret_n)
{
    struct commit *commit = (struct commit *)(void *)many;
    size_t kept = 0;
    int rc;

    if (commit->seed != writer->view->index.seed) /* a compaction has come between */
        gather(commit, &writer->view->index);
    if (commit->count == 1) {
        rc = lx_change_find(writer, &many->changes[0]);
        if (rc != LXDB_OK)
            return rc;
    }
    rc = lx_commit_secure(writer, many->changes, commit->count, commit->order);
    if (rc != LXDB_OK)
        return rc;
    commit->deleted = 0;
    commit->failed_at = SIZE_MAX;
    if (commit->batch->only_writes) {
        *ret_n = commit->count;
        return LXDB_OK;
    }
    for (size_t i = 0; i < commit->batch->count; i++)
        if (commit->batch->ops[i].first)
            walk_key(commit, i);
    if (commit->failed_at != SIZE_MAX)
        return lx_fail(LXDB_EXISTS, "change %zu of the batch creates a key that exists",
                       commit->failed_at);
    for (size_t i = 0; i < commit->count; i++) /* deletes of what is not there change nothing */
        if (!many->changes[i].remove || many->changes[i].found) {
            if (kept != i)
                many->changes[kept] = many->changes[i];
            kept++;
        }
    *ret_n = kept;
    return LXDB_OK;
}

static int make_work(lx_batch *batch, struct commit *commit)
{
    size_t n = batch->count;

    if (batch->work_capacity < n) {
        free(batch->work);
        batch->work_capacity = 0;
        batch->work = malloc(n * sizeof *batch->work);
        if (batch->work == NULL)
            return lx_fail(LXDB_NOMEM, "out of memory for a batch of %zu changes", n);
        batch->work_capacity = n;
    }
    commit->many.changes = (lx_change *)(void *)batch->work;
    commit->ranked = (struct ranked *)(void *)(commit->many.changes + n);
    commit->spare = commit->ranked + n;
    commit->order = (uint32_t *)(void *)(commit->spare + n);
    return LXDB_OK;
}

int lx_batch_commit(lx_batch *batch, size_t *ret_deleted, size_t *ret_failed_at)
{
    struct commit commit = {.many = {.prepare = prepare}, .batch = batch, .failed_at = SIZE_MAX};
    lx_view *view;
    int rc = lx_refuse_readonly(batch->core);

    if (rc == LXDB_OK && batch->count > 0) {
        rc = make_work(batch, &commit);
        if (rc == LXDB_OK)
            rc = lx_view_get(batch->core, &view);
        if (rc != LXDB_OK)
            return rc;
        gather(&commit, &view->index); /* before the lock */
        lx_view_unpin(batch->core, view);
        rc = lx_commit_many(batch->core, LX_TASK_BATCH, &commit.many);
    }
    if (rc == LXDB_EXISTS && ret_failed_at != NULL)
        *ret_failed_at = commit.failed_at;
    if ((rc == LXDB_OK || rc == LXDB_PENDING) && ret_deleted != NULL)
        *ret_deleted = commit.deleted;
    return rc;
}

/* ---- clear ----------------------------------------------------------------------------------- */

struct clear {
    lx_many many; /* first */
    lx_core *core;
    const uint8_t *prefix;
    size_t prefix_len;
    bool only_expired;
    lx_cut cut;
    uint8_t *arena;   /* heads and CRCs of the markers cannot be shared: each is encoded here */
    uint64_t deleted; /* of those that showed: not what had expired */
};

static void free_clear_work(struct clear *clear)
{
    free(clear->many.changes);
    free(clear->arena);
    clear->many.changes = NULL;
    clear->arena = NULL;
}

/* A marker for every key of the cut that has the prefix. */
static int make_markers(struct clear *clear, const lx_writer *writer, size_t *ret_n)
{
    size_t n = 0, at = 0, bytes = 0;

    clear->deleted = 0;
    for (size_t i = 0; i < clear->cut.count; i++) { /* keep those with the prefix, and add up */
        lx_entry entry;
        int rc = lx_cut_entry(&clear->cut, i, &entry);

        if (rc != LXDB_OK)
            return rc;
        if (entry.key_len <= clear->prefix_len && clear->prefix_len != 0)
            continue;
        if (clear->prefix_len != 0 && memcmp(entry.key, clear->prefix, clear->prefix_len) != 0)
            continue;
        if (clear->only_expired && !lx_expired(entry.expiry_ms))
            continue;
        clear->cut.slots[n++] = clear->cut.slots[i];
        clear->deleted += !lx_expired(entry.expiry_ms);
        bytes += LX_RECORD_OVERHEAD + entry.key_len;
    }
    clear->cut.count = n;
    if (n >= UINT32_MAX)
        return lx_fail(LXDB_TOOBIG, "more than 4294967294 keys to clear at once");
    free_clear_work(clear);
    clear->many.changes = malloc((n + 1) * sizeof *clear->many.changes);
    clear->arena = malloc(bytes + 1);
    if (clear->many.changes == NULL || clear->arena == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory for clearing %zu keys", n);
    for (size_t i = 0; i < n; i++) {
        lx_entry entry;
        int rc = lx_cut_entry(&clear->cut, i, &entry);

        if (rc != LXDB_OK)
            return rc;
        lx_record_encode(clear->arena + at, 0, entry.key, entry.key_len, NULL, 0);
        clear->many.changes[i] = (lx_change){
            .key = clear->arena + at + LX_RECORD_HEADER,
            .key_len = entry.key_len,
            .tag = -1,
            .remove = true,
            .encoded = clear->arena + at,
            .seed = writer->view->index.seed,
            .hash = lx_index_hash(&writer->view->index, entry.key, entry.key_len),
        };
        at += LX_RECORD_OVERHEAD + entry.key_len;
    }
    *ret_n = n;
    return LXDB_OK;
}

/* The long part, without the lock. */
static int cut_for_clear(lx_many *many)
{
    struct clear *clear = (struct clear *)(void *)many;

    lx_cut_free(&clear->cut);
    clear->cut = (lx_cut){0};
    return lx_cut_take(clear->core, &clear->cut);
}

static int prepare_clear(lx_many *many, lx_writer *writer, size_t *ret_n)
{
    struct clear *clear = (struct clear *)(void *)many;
    struct ranked *ranked = NULL, *spare = NULL;
    uint32_t *order = NULL;
    size_t n = 0;
    int rc;

    if (clear->cut.view != writer->view)
        return LX_AGAIN; /* of another generation or mapping by now */
    rc = lx_cut_advance(&clear->cut, atomic_load(&writer->block->tail));
    if (rc == LXDB_OK)
        rc = make_markers(clear, writer, &n);
    if (rc != LXDB_OK || n == 0) {
        *ret_n = 0;
        return rc;
    }
    ranked = malloc(n * sizeof *ranked);
    spare = malloc(n * sizeof *spare);
    order = malloc(n * sizeof *order);
    if (ranked == NULL || spare == NULL || order == NULL) {
        rc = lx_fail(LXDB_NOMEM, "out of memory for clearing %zu keys", n);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        ranked[i] = (struct ranked){lx_hash_rank(many->changes[i].hash), (uint32_t)i};
    sort_ranked(ranked, spare, n);
    for (size_t i = 0; i < n; i++)
        order[i] = ranked[i].position;
    if (n == 1)
        rc = lx_change_find(writer, &many->changes[0]);
    if (rc == LXDB_OK)
        rc = lx_commit_secure(writer, many->changes, n, order);
    if (rc == LXDB_OK)
        *ret_n = n;
out:
    free(order);
    free(spare);
    free(ranked);
    return rc;
}

static int clear_all(struct clear *clear, uint64_t *ret_deleted)
{
    lx_core *core = clear->core;
    int rc = lx_refuse_readonly(core);

    if (rc == LXDB_OK)
        rc = lx_commit_many(core, LX_TASK_CLEAR, &clear->many);
    if ((rc == LXDB_OK || rc == LXDB_PENDING) && ret_deleted != NULL)
        *ret_deleted = clear->deleted;
    free_clear_work(clear);
    lx_cut_free(&clear->cut);
    return rc;
}

int lx_clear(lx_core *core, const void *prefix, size_t prefix_len, uint64_t *ret_deleted)
{
    struct clear clear = {.many = {.before = cut_for_clear, .prepare = prepare_clear},
                          .core = core,
                          .prefix = prefix,
                          .prefix_len = prefix_len};

    return clear_all(&clear, ret_deleted);
}

int lx_purge_expired(lx_core *core)
{
    struct clear clear = {.many = {.before = cut_for_clear, .prepare = prepare_clear},
                          .core = core,
                          .only_expired = true};

    return clear_all(&clear, NULL);
}
