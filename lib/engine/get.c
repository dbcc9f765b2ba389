/* SPDX-License-Identifier: MIT */
/*
 * Reads: no lock, no system call, nothing written to shared memory. See view.h for what protects
 * them.
 */
#include "engine/get.h"

#include "store/probe.h"

#include <stdlib.h>
#include <string.h>

#define SEQ_TRIES 3 /* of a read of many keys, before it takes the writer lock */
#define AHEAD 16u   /* keys whose cache misses overlap */

struct wanted {
    const void *key;
    size_t key_len;
};

static int is_of_key(void *arg, const lx_scan_event *event)
{
    const struct wanted *wanted = arg;
    const lx_record *record = &event->record;

    if (event->effect == LX_EFFECT_NONE || record->key_len != wanted->key_len ||
        memcmp(record->key, wanted->key, wanted->key_len) != 0)
        return LXDB_OK;
    return LXDB_EXISTS;
}

/* What was found is dead. It is the answer if it was replaced after its slot was loaded, or if the
 * commit that replaces it is not done yet, or its writer died in it. Else a slot should lead
 * elsewhere by now, in the segment that is in force since: it or the status byte is damaged, and
 * what was found may be any older version. */
static int find_again(lx_view *view, const void *key, size_t key_len, uint64_t hash,
                      lx_found *ret_found)
{
    struct wanted wanted = {key, key_len};

    for (;;) {
        uint64_t off = ret_found->entry.off;
        /* acquire: the slots of all commits below it; pairs with the release in commit.c
         * conclude() */
        uint64_t from = atomic_load_explicit(&view->block->indexed, memory_order_acquire);
        /* acquire: the bytes below it; pairs with the release in lx_commit_apply() */
        uint64_t to = atomic_load_explicit(&view->block->tail, memory_order_acquire);
        lx_scan scan = {
            .data = view->log.map.base, .size = to, .tail = to, .watermark = to, .ordered = true};
        int rc;

        atomic_thread_fence(memory_order_acquire); /* the words before the generation */
        if (lx_control_generation(view->control) != view->generation)
            return LX_AGAIN;
        rc = lx_index_find(&view->index, &view->log, key, key_len, hash, ret_found);
        if (rc != LXDB_OK || !lx_log_is_dead(&view->log, &ret_found->entry))
            return rc;
        if (ret_found->entry.off != off)
            continue;
        rc = from < to ? lx_log_reach(&view->log, to) : LXDB_OK;
        if (rc == LXDB_OK && from < to)
            rc = lx_scan_walk(&scan, from, is_of_key, &wanted);
        if (rc == LXDB_EXISTS)
            return LXDB_OK;
        return rc == LXDB_OK ? lx_index_damaged(&view->index, "a slot leads to a dead record") : rc;
    }
}

/* A value in the log. */
struct value {
    const uint8_t *bytes;
    size_t len;
};

/* A key for which one look was not enough. */
static __attribute__((noinline)) int find_slowly(lx_view *view, const void *key, size_t key_len,
                                                 uint64_t hash, struct value *ret_value)
{
    lx_found found;
    int rc = lx_index_find(&view->index, &view->log, key, key_len, hash, &found);

    if (rc == LXDB_OK && lx_log_is_dead(&view->log, &found.entry) && view->control != NULL)
        rc = find_again(view, key, key_len, hash, &found);
    if (rc != LXDB_OK)
        return rc;
    if (lx_expired(found.entry.expiry_ms))
        return LXDB_NOTFOUND;
    ret_value->bytes = found.entry.value;
    ret_value->len = found.entry.value_len;
    return LXDB_OK;
}

/* Look a key up in a view that is protected by the caller. LX_AGAIN: it must be a larger one. */
static inline __attribute__((always_inline)) int
find_hashed(lx_view *view, const void *key, size_t key_len, uint64_t hash, struct value *ret_value)
{
    struct value slow = {0}; /* its address is given away, so that of the other need not be */
    lx_probed probed;
    int rc = lx_index_probe(&view->index, &view->log, key, key_len, hash, &probed);

    if (LX_LIKELY(rc == LXDB_OK)) {
        ret_value->bytes = probed.record + LX_RECORD_HEADER + key_len;
        ret_value->len = lx_get32(probed.record + 3);
        return LXDB_OK;
    }
    if (LX_LIKELY(rc == LXDB_NOTFOUND))
        return rc;
    rc = find_slowly(view, key, key_len, hash, &slow);
    *ret_value = slow;
    return rc;
}

static inline __attribute__((always_inline)) int find(lx_view *view, const void *key,
                                                      size_t key_len, struct value *ret_value)
{
    return find_hashed(view, key, key_len, lx_index_hash(&view->index, key, key_len), ret_value);
}

/* Enter, find, and stay inside when it was found. Part of every caller: see store/probe.h. */
static inline __attribute__((always_inline)) int
enter_and_find(lx_core *core, const void *key, size_t key_len, struct value *ret_value)
{
    for (;;) {
        lx_view *view;
        int rc = lx_view_enter(core, &view);

        if (LX_UNLIKELY(rc != LXDB_OK))
            return rc;
        rc = find(view, key, key_len, ret_value);
        if (LX_LIKELY(rc == LXDB_OK))
            return rc;
        if (LX_LIKELY(rc == LXDB_NOTFOUND)) {
            lx_view_leave();
            return lx_answer(rc);
        }
        lx_view_pin(view);
        lx_view_leave();
        rc = lx_view_mend(core, view, rc);
        lx_view_unpin(core, view);
        if (rc != LX_AGAIN)
            return rc;
    }
}

int lx_get_copy(lx_core *core, const void *key, size_t key_len, void *buf, size_t cap,
                size_t *ret_len)
{
    struct value value = {0};
    int rc = enter_and_find(core, key, key_len, &value);

    if (LX_UNLIKELY(rc != LXDB_OK))
        return rc;
    if (LX_LIKELY(value.len <= cap)) {
        if (value.len != 0)
            memcpy(buf, value.bytes, value.len);
    } else {
        if (cap != 0)
            memcpy(buf, value.bytes, cap);
        rc = lx_answer(LXDB_TOOBIG);
    }
    lx_view_leave();
    if (ret_len != NULL)
        *ret_len = value.len;
    return rc;
}

int lx_get_exists(lx_core *core, const void *key, size_t key_len)
{
    struct value value = {0};
    int rc = enter_and_find(core, key, key_len, &value);

    if (rc == LXDB_OK)
        lx_view_leave();
    return rc;
}

int lx_get_alloc(lx_core *core, const void *key, size_t key_len, int tag, void **ret_value,
                 size_t *ret_len)
{
    size_t skip = tag >= 0 ? 1 : 0;
    struct value value = {0};
    uint8_t *copy;
    size_t len;
    int rc = enter_and_find(core, key, key_len, &value);

    if (rc != LXDB_OK)
        return rc;
    if (skip && (value.len == 0 || value.bytes[0] != tag)) {
        lx_view_leave();
        return lx_answer(LXDB_TYPE);
    }
    len = value.len - skip;
    /* malloc while inside is fine: a grace period that waits for it is on nobody's path */
    copy = malloc(len + 1);
    if (copy == NULL) {
        lx_view_leave();
        return lx_fail(LXDB_NOMEM, "out of memory for a value of %zu bytes", len);
    }
    memcpy(copy, value.bytes + skip, len);
    lx_view_leave();
    copy[len] = 0;
    *ret_value = copy;
    if (ret_len != NULL)
        *ret_len = len;
    return LXDB_OK;
}

/* ---- read sections --------------------------------------------------------------------------- */

/* A view that pointers were given out of. */
struct held {
    lx_view *view;
    struct held *older;
};

/* This thread's open sections, innermost first. Most threads have one at most. A section sees what
 * is committed at the time of each peek, so when a compaction switches generations it goes on in
 * the new one, and holds the old one too until it ends. */
struct section {
    lx_core *core;
    struct held *held;
    uint64_t epoch; /* fork epoch: a section does not cross fork */
    unsigned depth;
    struct section *outer;
};

static _Thread_local struct section *sections;

static struct section *section_of(const lx_core *core)
{
    struct section *section = sections;

    while (section != NULL && (section->core != core || section->epoch != lx_fork_epoch))
        section = section->outer;
    return section;
}

/* The view in force, held by the section. */
static int hold_current(struct section *section, lx_view **ret_view)
{
    struct held *held = section->held;
    lx_view *view;
    int rc = lx_view_enter(section->core, &view);

    if (rc != LXDB_OK)
        return rc;
    if (held != NULL && held->view == view) {
        lx_view_leave();
        *ret_view = view;
        return LXDB_OK;
    }
    lx_view_pin(view);
    lx_view_leave();
    held = malloc(sizeof *held);
    if (held == NULL) {
        lx_view_unpin(section->core, view);
        return lx_fail(LXDB_NOMEM, "out of memory");
    }
    held->view = view;
    held->older = section->held;
    section->held = held;
    *ret_view = view;
    return LXDB_OK;
}

int lx_section_begin(lx_core *core)
{
    struct section *section = section_of(core);
    lx_view *view;
    int rc;

    if (section != NULL) {
        section->depth++;
        return LXDB_OK;
    }
    section = calloc(1, sizeof *section);
    if (section == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    section->core = core;
    rc = hold_current(section, &view);
    if (rc != LXDB_OK) {
        free(section);
        return rc;
    }
    section->epoch = lx_fork_epoch;
    section->depth = 1;
    section->outer = sections;
    sections = section;
    return LXDB_OK;
}

void lx_section_end(lx_core *core)
{
    struct section *section = section_of(core);

    if (section == NULL || --section->depth != 0)
        return;
    for (struct section **at = &sections; *at != NULL; at = &(*at)->outer) {
        if (*at == section) {
            *at = section->outer;
            break;
        }
    }
    for (struct held *held = section->held, *older; held != NULL; held = older) {
        older = held->older;
        lx_view_unpin(core, held->view);
        free(held);
    }
    free(section);
}

static int outside(void)
{
    return lx_fail(LXDB_INVALID,
                   "not in a read section of this thread: call lxdb_read_begin() first");
}

int lx_section_peek(lx_core *core, const void *key, size_t key_len, const void **ret_value,
                    size_t *ret_len)
{
    struct section *section = section_of(core);
    struct value value = {0};
    int rc;

    if (section == NULL)
        return outside();
    do {
        lx_view *view;

        rc = hold_current(section, &view);
        if (rc != LXDB_OK)
            return rc;
        rc = lx_view_mend(core, view, find(view, key, key_len, &value));
    } while (rc == LX_AGAIN);
    if (rc != LXDB_OK)
        return rc == LXDB_NOTFOUND ? lx_answer(rc) : rc;
    *ret_value = value.bytes;
    *ret_len = value.len;
    return LXDB_OK;
}

/* ---- many keys ------------------------------------------------------------------------------- */

/* Up to AHEAD items: first every bucket is asked for, then every record, then they are looked
 * at. */
static int find_some(lx_view *view, const uint8_t *const *keys, const size_t *key_lens,
                     lxdb_item *items, size_t n)
{
    uint64_t hashes[AHEAD];

    for (size_t i = 0; i < n; i++) {
        hashes[i] = lx_index_hash(&view->index, keys[i], key_lens[i]);
        lx_index_prefetch_bucket(&view->index, hashes[i]);
    }
    for (size_t i = 0; i < n; i++)
        lx_index_prefetch_record(&view->index, &view->log, hashes[i]);
    for (size_t i = 0; i < n; i++) {
        struct value value = {0};
        int rc = find_hashed(view, keys[i], key_lens[i], hashes[i], &value);

        if (rc == LX_AGAIN || rc == LX_DAMAGED)
            return rc;
        items[i].rc = rc;
        items[i].value = value.bytes;
        items[i].value_len = value.len;
    }
    return LXDB_OK;
}

static int find_all(lx_view *view, const uint8_t *const *keys, const size_t *key_lens,
                    lxdb_item *items, size_t n)
{
    for (size_t i = 0; i < n; i += AHEAD) {
        int rc = find_some(view, keys + i, key_lens + i, items + i, n - i < AHEAD ? n - i : AHEAD);

        if (rc != LXDB_OK)
            return rc;
    }
    return LXDB_OK;
}

/* One try without the lock. *ret_published: a batch was published meanwhile, so it does not
 * count. */
static int try_all(lx_core *core, lx_view *view, const uint8_t *const *keys, const size_t *key_lens,
                   lxdb_item *items, size_t n, bool *ret_published)
{
    const _Atomic uint64_t *seq;
    uint64_t before;
    int rc;

    if (core->control == NULL) /* private: nothing moves */
        return find_all(view, keys, key_lens, items, n);
    seq = &core->control->lock.publish_seq;
    /* acquire: the number before the slots; pairs with the fence in lx_commit_apply() */
    before = atomic_load_explicit(seq, memory_order_acquire);
    if (before & 1) {
        *ret_published = true;
        return LXDB_OK;
    }
    rc = find_all(view, keys, key_lens, items, n);
    atomic_thread_fence(memory_order_acquire); /* the slots before the second look */
    *ret_published = atomic_load_explicit(seq, memory_order_relaxed) != before ||
                     lx_control_generation(core->control) != view->generation;
    return rc;
}

/* Nobody publishes while we hold the lock; what a dead holder had half published is whole by
 * then. */
static int all_under_lock(struct section *section, const uint8_t *const *keys,
                          const size_t *key_lens, lxdb_item *items, size_t n)
{
    lx_writer writer = lx_writer_of(section->core);
    lx_view *view;
    int rc;

    do {
        rc = lx_writer_enter(&writer, LX_TASK_READ, LX_FOR_LOOK);
        if (rc != LXDB_OK)
            return rc;
        rc = hold_current(section, &view);
        if (rc == LXDB_OK)
            rc = find_all(view, keys, key_lens, items, n);
        rc = lx_writer_leave(&writer, rc);
    } while (rc == LX_AGAIN);
    return rc;
}

static int many(struct section *section, const uint8_t *const *keys, const size_t *key_lens,
                lxdb_item *items, size_t n)
{
    lx_core *core = section->core;
    lx_limit limit = {core->options.busy_timeout_ms, 0};

    for (int tries = 0;;) {
        lx_view *view;
        int rc = hold_current(section, &view);

        if (rc == LXDB_OK) {
            bool published = false;

            rc = lx_view_mend(core, view,
                              try_all(core, view, keys, key_lens, items, n, &published));
            if (rc == LX_AGAIN)
                continue;
            if (rc != LXDB_OK || !published)
                return rc;
        } else {
            return rc;
        }
        if (++tries < SEQ_TRIES)
            continue;
        if (!core->readonly)
            return all_under_lock(section, keys, key_lens, items, n);
        if (lx_deadline_passed(lx_limit_at(&limit)))
            return lx_fail(LXDB_BUSY, "%s: batches were published without a break",
                           core->place.path);
        lx_sleep_ns(100000);
    }
}

int lx_section_peek_many(lx_core *core, const void *prefix, size_t prefix_len, lxdb_item *items,
                         size_t n)
{
    struct section *section = section_of(core);
    const uint8_t **keys;
    size_t *key_lens;
    uint8_t *names;
    size_t bytes = 0, at = 0;
    int rc;

    if (section == NULL)
        return outside();
    if (n == 0)
        return LXDB_OK;
    if (prefix_len != 0)
        for (size_t i = 0; i < n; i++)
            bytes += prefix_len + items[i].key_len;
    keys = malloc(n * sizeof *keys);
    key_lens = malloc(n * sizeof *key_lens);
    names = malloc(bytes + 1);
    if (keys == NULL || key_lens == NULL || names == NULL) {
        rc = lx_fail(LXDB_NOMEM, "out of memory for %zu keys", n);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        keys[i] = items[i].key;
        key_lens[i] = prefix_len + items[i].key_len;
        if (prefix_len != 0) {
            keys[i] = names + at;
            memcpy(names + at, prefix, prefix_len);
            memcpy(names + at + prefix_len, items[i].key, items[i].key_len);
            at += key_lens[i];
        }
    }
    rc = many(section, keys, key_lens, items, n);
out:
    free(names);
    free(key_lens);
    free(keys);
    return rc;
}
