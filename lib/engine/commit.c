/* SPDX-License-Identifier: MIT */
/*
 * The commit protocol, under the writer lock. Everything that it could run out of (log space, index
 * room) is secured before step 0; from there on a single thread of plain stores, which a death can
 * cut anywhere:
 *
 *     step                                          a death after it leaves        next holder
 *     0  intent := {end, counters}; dirty := commit nothing yet                    covers it
 *     1  record bytes past the tail                 bytes that nobody looks at     covers them
 *     2  tail := end                 release        committed, not in the index    replays
 *     3  status bytes of old versions := 0          (serves readers of version 1)  replays
 *     4  index slots := new offsets  release        visible, in part for a batch   replays
 *     5  counters, indexed := tail; dirty := clean  done                           nothing
 *
 * Covering: one born-dead PAD record over the range, so that no fragment can ever parse. Replaying
 * is idempotent: it looks each key up and does what is not done (repair.c).
 *
 * No other lock is taken under the writer lock, and it is not taken under another. Nothing blocks
 * under it but growth of the files, the first write of a session, and the end of a compaction.
 */
#include "base/crc.h"
#include "engine/view.h"
#include "store/probe.h"

#include <string.h>

#define AHEAD 8u                            /* changes of a batch */
#define CACHE_BYTES (UINT64_C(8) << 20)     /* live bytes that are in some cache anyway */
#define DELETE_RESERVE (UINT64_C(16) << 10) /* log bytes that only deletes may use */

int lx_refuse_readonly(const lx_core *core)
{
    if (LX_LIKELY(!core->readonly))
        return LXDB_OK;
    return lx_fail(LXDB_READONLY, "%s: opened read-only", core->place.path);
}

bool lx_expired(int64_t expiry_ms)
{
    return LX_UNLIKELY(expiry_ms != 0) && expiry_ms <= lx_wall_coarse_ms();
}

static void set_relaxed(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint64_t get_relaxed(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* ---- the lock -------------------------------------------------------------------------------- */

lx_writer lx_writer_of(lx_core *core)
{
    return (lx_writer){.core = core, .limit = {core->options.busy_timeout_ms, 0}};
}

/* Let go of the view, once the lock is let go; what `rc` says is to be mended is mended. */
static int step_out(lx_writer *writer, int rc)
{
    lx_view *view = writer->view;

    if (LX_LIKELY(rc <= LXDB_OK && !writer->pinned)) {
        lx_view_leave();
        return rc;
    }
    if (!writer->pinned) {
        lx_view_pin(view);
        lx_view_leave();
    }
    rc = lx_view_mend(writer->core, view, rc);
    lx_view_unpin(writer->core, view);
    return rc;
}

/* The lock. Nobody sleeps for it on the read side, where a grace period, and with it a fork or a
 * close of another thread, would wait too: then the view is pinned instead. */
static int take_lock(lx_writer *writer, enum lx_task task, bool *ret_dirty)
{
    const lx_lock_self *self = &writer->core->self;

    writer->pinned = false;
    if (LX_LIKELY(lx_lock_try(writer->lock, self, task, ret_dirty)))
        return LXDB_OK;
    lx_view_pin(writer->view);
    lx_view_leave();
    writer->pinned = true;
    return lx_lock_take(writer->lock, self, task, &writer->limit, ret_dirty);
}

int lx_writer_leave(lx_writer *writer, int rc)
{
    lx_lock_release(writer->lock);
    return step_out(writer, rc);
}

/* What a dead holder left, once the lock is ours. LX_AGAIN: the view is of an old generation
 * now. */
static int set_right(lx_writer *writer)
{
    uint64_t dirty = atomic_load_explicit(&writer->lock->dirty, memory_order_relaxed);
    int rc;

    if (dirty & LX_DIRTY_SWAP) {
        rc = lx_compact_roll_forward(writer->core, writer->lock);
        return rc == LXDB_OK ? LX_AGAIN : rc;
    }
    if (writer->view->generation != lx_control_generation(writer->core->control))
        return LX_AGAIN;
    return lx_repair(writer);
}

/* With the lock: whether the view is the one in force and the file ready for what is to come. */
static int prepare(lx_writer *writer, bool dirty, enum lx_task task, enum lx_purpose purpose)
{
    const struct lx_control_file *control = writer->core->control;
    int rc = LX_UNLIKELY(dirty) ? set_right(writer) : LXDB_OK;

    /* A compaction makes the index anew, and what is half in the old one is in the log. */
    if (LX_UNLIKELY(rc == LX_DAMAGED) && task == LX_TASK_COMPACT)
        return LXDB_OK;

    if (rc == LXDB_OK && LX_UNLIKELY(writer->view->generation != lx_control_generation(control)))
        return LX_AGAIN;
    if (rc != LXDB_OK || purpose == LX_FOR_LOOK)
        return rc;
    rc = lx_poison_check(control, writer->core->place.path);
    /* relaxed: written under this lock */
    if (rc == LXDB_OK &&
        LX_UNLIKELY(!atomic_load_explicit(&writer->block->session, memory_order_relaxed) ||
                    atomic_load_explicit(&writer->block->unsteppable, memory_order_relaxed)))
        rc = lx_session_begin(writer);
    return rc;
}

int lx_writer_enter(lx_writer *writer, enum lx_task task, enum lx_purpose purpose)
{
    lx_core *core = writer->core;
    int rc;

    for (;;) {
        bool dirty;

        rc = writer->inside ? LXDB_OK : lx_view_enter(core, &writer->view);
        if (rc != LXDB_OK)
            return rc;
        writer->inside = false;
        writer->lock = &core->control->lock;
        writer->block = writer->view->block;
        rc = take_lock(writer, task, &dirty);
        if (LX_UNLIKELY(rc != LXDB_OK))
            return step_out(writer, rc);
        rc = prepare(writer, dirty, task, purpose);
        if (LX_LIKELY(rc == LXDB_OK))
            return LXDB_OK;
        lx_lock_release(writer->lock);
        if (rc == LX_COMPACT_FIRST) {
            (void)step_out(writer, LXDB_OK);
            rc = lx_compact(core, NULL, 0, true, &writer->limit);
        } else {
            rc = step_out(writer, rc);
        }
        if (rc != LXDB_OK && rc != LX_AGAIN)
            return rc;
    }
}

/* ---- changes --------------------------------------------------------------------------------- */

void lx_change_encode(lx_change *change, uint8_t buf[LX_ENCODE_MAX])
{
    uint64_t size = lx_change_size(change);
    uint8_t tag = (uint8_t)change->tag;
    uint32_t crc;

    change->encoded = NULL;
    lx_record_encode_head(change->head, !change->remove, change->key_len,
                          (uint32_t)lx_change_value_len(change));
    if (size <= LX_ENCODE_MAX) {
        uint8_t *p = buf;

        memcpy(p, change->head, LX_RECORD_HEADER);
        p += LX_RECORD_HEADER;
        memcpy(p, change->key, change->key_len);
        p += change->key_len;
        if (change->tag >= 0)
            *p++ = tag;
        if (change->value_len != 0)
            memcpy(p, change->value, change->value_len);
        p += change->value_len;
        lx_put32(p, lx_crc32(0, buf, (size_t)(p - buf)));
        change->encoded = buf;
        return;
    }
    crc = lx_crc32(0, change->head, LX_RECORD_HEADER);
    crc = lx_crc32(crc, change->key, change->key_len);
    if (change->tag >= 0)
        crc = lx_crc32(crc, &tag, 1);
    if (change->value_len != 0)
        crc = lx_crc32(crc, change->value, change->value_len);
    lx_put32(change->crc, crc);
}

static int look_up_slowly(lx_view *view, lx_change *change)
{
    lx_found found;
    int rc = lx_index_find(&view->index, &view->log, change->key, change->key_len, change->hash,
                           &found);

    change->found = rc == LXDB_OK;
    if (rc != LXDB_OK)
        return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
    change->old_at = found.at;
    change->old_slot = lx_slot_make(change->hash, found.entry.off);
    change->old_record = found.entry.record;
    change->old_len = found.entry.len;
    change->old_expiry_ms = found.entry.expiry_ms;
    return LXDB_OK;
}

/* Look the key up in a view; its hash fits. */
static int look_up(lx_view *view, lx_change *change)
{
    lx_probed probed;
    int rc = lx_index_probe(&view->index, &view->log, change->key, change->key_len, change->hash,
                            &probed);

    if (LX_UNLIKELY(rc == LX_AGAIN))
        return look_up_slowly(view, change);
    change->found = rc == LXDB_OK;
    if (rc == LXDB_OK) {
        change->old_at = probed.at;
        change->old_slot = probed.slot;
        change->old_record = probed.slot & LX_SLOT_OFFSET_MASK;
        change->old_len = lx_record_size(change->key_len, lx_get32(probed.record + 3));
        change->old_expiry_ms = 0;
    }
    return LXDB_OK;
}

static bool was_replaced(const lx_view *view, const lx_change *change)
{
    return view->log.map.base[change->old_record] == 0;
}

static int find_under_lock(lx_writer *writer, lx_change *change)
{
    lx_view *view = writer->view;
    int rc;

    change->missed_at = 0; /* it stands for one hold of the lock, in which nothing failed */
    if (change->seed != view->index.seed) {
        change->hash = lx_index_hash(&view->index, change->key, change->key_len);
        change->seed = view->index.seed;
    }
    rc = look_up(view, change);
    /* under the lock no commit is half done, so this is no version that was just replaced */
    if (rc == LXDB_OK && change->found && LX_UNLIKELY(was_replaced(view, change)))
        return lx_index_damaged(&view->index, "a slot leads to a dead record");
    return rc;
}

int lx_change_find(lx_writer *writer, lx_change *change)
{
    const lx_index *index = &writer->view->index;

    /* What was found without the lock still stands if its segment is in force and its slot
     * unchanged: within a generation an offset never leads to another record. A miss stands if
     * nothing was committed since. */
    if (change->seed == index->seed && !change->found &&
        change->missed_at == get_relaxed(&writer->block->tail))
        return LXDB_OK;
    if (change->seed == index->seed && change->found &&
        change->old_at.segment ==
            lx_index_segment(index, lx_index_segment_of(index, change->hash)) &&
        atomic_load_explicit(change->old_at.slot, memory_order_acquire) == change->old_slot &&
        LX_LIKELY(!was_replaced(writer->view, change)))
        return LXDB_OK;
    return find_under_lock(writer, change);
}

bool lx_change_is_there(const lx_change *change)
{
    return change->found && !lx_expired(change->old_expiry_ms);
}

int lx_change_expected(const lx_change *change, enum lx_expect expect)
{
    bool there = lx_change_is_there(change);

    if (expect == LX_ABSENT && there)
        return lx_answer(LXDB_EXISTS);
    if (expect == LX_PRESENT && !there)
        return lx_answer(LXDB_NOTFOUND);
    return LXDB_OK;
}

/* ---- securing space -------------------------------------------------------------------------- */

static int secure_log(lx_writer *writer, uint64_t size, bool only_deletes)
{
    struct lx_control_block *block = writer->block;
    lx_log *log = &writer->view->log;
    /* relaxed: both are written under this lock only */
    uint64_t tail = atomic_load_explicit(&block->tail, memory_order_relaxed);
    uint64_t allocated = atomic_load_explicit(&block->allocated, memory_order_relaxed);
    /* behind the commit, room for the PAD that may have to cover it */
    uint64_t least = tail + size + LX_PAD_SIZE_MIN;
    uint64_t need = least + DELETE_RESERVE;
    uint64_t touched;
    int rc;

    if (size > LX_SLOT_OFFSET_MASK - tail - DELETE_RESERVE - LX_PAD_SIZE_MIN)
        return lx_fail(LXDB_NOSPACE, "%s: the log would pass 256 TiB", log->name);
    if (LX_UNLIKELY(need > allocated)) {
        uint64_t grown = allocated;

        rc = lx_log_grow(log, allocated, need, &grown);
        /* A delete does without the reserve. If there is none yet, as in the first commit of a
         * session, the rest of the file's last block may be enough, and that is allocated. */
        if (rc == LXDB_NOSPACE && only_deletes)
            rc = least <= allocated ? LXDB_OK : lx_log_grow(log, allocated, least, &grown);
        if (grown > allocated) {
            atomic_store_explicit(&block->allocated, grown, memory_order_relaxed);
            set_relaxed(&block->touched, 0);
        }
        if (rc != LXDB_OK)
            return rc;
    }
    touched = atomic_load_explicit(&block->touched, memory_order_relaxed);
    if (LX_UNLIKELY(least > touched) && writer->core->options.sync != LXDB_SYNC_FULL)
        set_relaxed(&block->touched,
                    lx_log_touch(log, touched > tail ? touched : tail, least,
                                 atomic_load_explicit(&block->allocated, memory_order_relaxed)));
    return lx_log_reach(log, least);
}

/* Room in the index for a single change, whose key is looked up again if it may have moved. */
static int secure_slot(lx_writer *writer, lx_change *change)
{
    lx_view *view = writer->view;
    bool moved, ever = false;
    int rc;

    do {
        rc = lx_index_make_room(&view->index, &view->log, change->hash,
                                change->found || change->remove ? 0 : 1, &moved);
        ever |= rc == LXDB_OK && moved;
    } while (rc == LXDB_OK && LX_UNLIKELY(moved));
    return rc == LXDB_OK && LX_UNLIKELY(ever) ? lx_change_find(writer, change) : rc;
}

/* Room for many: segment by segment. A split moves no key of another segment, so what was looked up
 * there stays good. */
static int secure_slots(lx_writer *writer, lx_change *changes, size_t n, const uint32_t *order)
{
    lx_view *view = writer->view;
    bool large = get_relaxed(&writer->block->bytes) > CACHE_BYTES;
    size_t from = 0;

    while (from < n) {
        uint64_t hash = changes[order[from]].hash;
        uint64_t segment = lx_index_segment_of(&view->index, hash);
        uint64_t need = 0;
        size_t to = from;
        bool moved;
        int rc;

        for (; to < n; to++) {
            lx_change *change = &changes[order[to]];

            /* the cache misses of those further on overlap with this one's, where there are any */
            if (large && to + 2 * AHEAD < n)
                lx_index_prefetch_bucket(&view->index, changes[order[to + 2 * AHEAD]].hash);
            if (large && to + AHEAD < n)
                lx_index_prefetch_record(&view->index, &view->log, changes[order[to + AHEAD]].hash);
            if (lx_index_segment_of(&view->index, change->hash) != segment)
                break;
            rc = lx_change_find(writer, change);
            if (rc != LXDB_OK)
                return rc;
            need += !change->found && !change->remove;
        }
        rc = lx_index_make_room(&view->index, &view->log, hash, need, &moved);
        if (rc != LXDB_OK)
            return rc;
        if (!moved)
            from = to; /* else its changes are looked up again */
    }
    return LXDB_OK;
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* One that is too large to be encoded in one piece. */
static int write_record(lx_log *log, const lx_change *change)
{
    uint64_t at = change->at;
    uint8_t tag = (uint8_t)change->tag;
    int rc;

    rc = lx_log_store(log, at, change->head, LX_RECORD_HEADER);
    at += LX_RECORD_HEADER;
    if (rc == LXDB_OK)
        rc = lx_log_store(log, at, change->key, change->key_len);
    at += change->key_len;
    if (rc == LXDB_OK && change->tag >= 0)
        rc = lx_log_store(log, at++, &tag, 1);
    if (rc == LXDB_OK && change->value_len != 0)
        rc = lx_log_store(log, at, change->value, change->value_len);
    at += change->value_len;
    if (rc == LXDB_OK)
        rc = lx_log_store(log, at, change->crc, sizeof change->crc);
    return rc;
}

/* Step 1. */
static inline __attribute__((always_inline)) int
write_records(lx_log *log, uint64_t tail, uint64_t size, lx_change *changes, size_t n)
{
    uint64_t at = tail;

    if (n > 1) {
        uint8_t group[LX_GROUP_SIZE];
        int rc;

        lx_group_encode(group, tail, (uint32_t)n, size - LX_GROUP_SIZE, 0);
        rc = lx_log_store(log, at, group, sizeof group);
        if (rc != LXDB_OK)
            return rc;
        at += sizeof group;
    }
    for (size_t i = 0; i < n;) {
        const uint8_t *run = changes[i].encoded;
        uint64_t from = at;
        int rc;

        changes[i].at = at;
        at += lx_change_size(&changes[i]);
        if (LX_UNLIKELY(run == NULL)) {
            rc = write_record(log, &changes[i++]);
        } else {
            /* those of a batch mostly lie one behind the other */
            for (i++; i < n && changes[i].encoded == run + (at - from); i++) {
                changes[i].at = at;
                at += lx_change_size(&changes[i]);
            }
            rc = lx_log_store(log, from, run, (size_t)(at - from));
        }
        if (rc != LXDB_OK)
            return rc;
    }
    return LXDB_OK;
}

/* Step 4. False: the index is damaged. */
static bool publish(lx_index *index, const lx_change *change)
{
    if (change->remove) {
        if (change->found)
            lx_index_remove(change->old_at);
        return true;
    }
    if (change->found) {
        lx_index_replace(change->old_at, change->at);
        return true;
    }
    return lx_index_insert(index, change->hash, change->at);
}

static void set_dirty(struct lx_control_lock *lock, uint64_t dirty)
{
    /* release: what it speaks of before it; read by the next holder, who took the lock with
     * acquire */
    atomic_store_explicit(&lock->dirty, dirty, memory_order_release);
}

/* Step 0. */
static void declare(lx_writer *writer, uint64_t end, const lx_change *changes, size_t n)
{
    struct lx_control_block *block = writer->block;
    struct lx_control_lock *lock = writer->lock;
    uint64_t records = get_relaxed(&block->records);
    uint64_t bytes = get_relaxed(&block->bytes);
    uint64_t expiring = get_relaxed(&block->expiring);

    for (size_t i = 0; i < n; i++) {
        if (changes[i].found) {
            records--;
            bytes -= changes[i].old_len;
            expiring -= changes[i].old_expiry_ms != 0;
        }
        if (!changes[i].remove) {
            records++;
            bytes += lx_change_size(&changes[i]);
        }
    }
    set_relaxed(&lock->intent_end, end);
    set_relaxed(&lock->intent_records, records);
    set_relaxed(&lock->intent_bytes, bytes);
    set_relaxed(&lock->intent_expiring, expiring);
    set_dirty(lock, LX_DIRTY_COMMIT);
}

/* Step 5. */
static void conclude(lx_writer *writer, uint64_t end, uint64_t last)
{
    struct lx_control_block *block = writer->block;
    struct lx_control_lock *lock = writer->lock;

    set_relaxed(&block->records, get_relaxed(&lock->intent_records));
    set_relaxed(&block->bytes, get_relaxed(&lock->intent_bytes));
    set_relaxed(&block->expiring, get_relaxed(&lock->intent_expiring));
    set_relaxed(&block->last, last);
    set_relaxed(&block->commits, get_relaxed(&block->commits) + 1);
    /* release: the slots before it; pairs with the acquire in iterate.c, which takes the cut */
    atomic_store_explicit(&block->indexed, end, memory_order_release);
    set_dirty(lock, LX_CLEAN);
}

static uint64_t commit_size(const lx_change *changes, size_t n)
{
    uint64_t size = n > 1 ? LX_GROUP_SIZE : 0;

    for (size_t i = 0; i < n; i++)
        size += lx_change_size(&changes[i]);
    return size;
}

int lx_commit_secure(lx_writer *writer, lx_change *changes, size_t n, const uint32_t *order)
{
    bool only_deletes = true;
    int rc;

    if (LX_LIKELY(n == 1)) {
        rc = secure_slot(writer, changes);
        return rc == LXDB_OK ? secure_log(writer, lx_change_size(changes), changes->remove) : rc;
    }
    for (size_t i = 0; i < n; i++)
        only_deletes &= changes[i].remove;
    rc = secure_slots(writer, changes, n, order);
    return rc == LXDB_OK ? secure_log(writer, commit_size(changes, n), only_deletes) : rc;
}

static inline __attribute__((always_inline)) int apply(lx_writer *writer, lx_change *changes,
                                                       size_t n)
{
    struct lx_control_block *block = writer->block;
    lx_log *log = &writer->view->log;
    uint64_t tail = get_relaxed(&block->tail);
    uint64_t size = commit_size(changes, n);
    uint64_t seq = 0;
    bool whole = true;
    int rc;

    declare(writer, tail + size, changes, n); /* 0 */
    lx_step("commit-declared");
    rc = write_records(log, tail, size, changes, n); /* 1 */
    if (LX_UNLIKELY(rc != LXDB_OK)) {
        /* A store through pwrite failed half-way: as if we had died here. */
        int covered = lx_repair(writer);
        return covered != LXDB_OK ? covered : rc;
    }
    lx_step("commit-written");
    /* 2 release: the bytes before the tail; pairs with acquire loads of the tail (replay, cut,
     * sync, feed) */
    atomic_store_explicit(&block->tail, tail + size, memory_order_release);
    lx_step("commit-committed");
    /* release: the tail before the status bytes; pairs with the fence in iterate.c take() */
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < n && rc == LXDB_OK; i++) /* 3 */
        if (changes[i].found)
            rc = lx_log_set_status(log, changes[i].old_record, 0);
    /* Only where stores are calls. `dirty` makes the next holder finish what is committed. */
    if (LX_UNLIKELY(rc != LXDB_OK))
        return lx_fail(
            LXDB_IO,
            "%s: committed, but a store into the file failed, so it shows only after the "
            "next write of anybody",
            log->name);
    lx_step("commit-killed");
    if (n > 1) {
        seq = get_relaxed(&writer->lock->publish_seq) | 1;
        set_relaxed(&writer->lock->publish_seq, seq);
        /* the odd number before the slots, for readers of many keys */
        atomic_thread_fence(memory_order_release);
    }
    for (size_t i = 0; i < n; i++) { /* 4 */
        whole &= publish(&writer->view->index, &changes[i]);
        lx_step("commit-publishing");
    }
    if (n > 1) /* release: the slots before the even number; pairs with acquire in get.c */
        atomic_store_explicit(&writer->lock->publish_seq, seq + 1, memory_order_release);
    lx_step("commit-published");
    if (LX_UNLIKELY(!whole)) /* committed; whoever comes next repairs the rest or fails */
        return lx_fail(LXDB_CORRUPT,
                       "%s: the index has no slot left where there should be some: it is damaged; "
                       "a compaction makes a new one",
                       log->name);
    conclude(writer, tail + size, changes[n - 1].at); /* 5 */
    lx_step("commit-concluded");
    return LXDB_OK;
}

int lx_commit_apply(lx_writer *writer, lx_change *changes, size_t n)
{
    return n == 1 ? apply(writer, changes, 1) : apply(writer, changes, n); /* no loops for one */
}

/* ---- whole calls ----------------------------------------------------------------------------- */

int lx_wait_durable(lx_core *core, uint64_t position, lx_limit *limit)
{
    for (;;) {
        lx_durable durable;
        lx_view *view;
        int rc = lx_view_get(core, &view);

        if (rc != LXDB_OK)
            return rc;
        durable = (lx_durable){core->control,       view->block, view->generation,
                               core->self.identity, &view->log,  &core->syncing};
        rc = lx_durable_wait(&durable, position, limit);
        lx_view_unpin(core, view);
        if (rc != LX_AGAIN)
            return rc;
    }
}

int lx_commit_settle(lx_core *core, uint64_t position, lx_limit *limit)
{
    if (LX_LIKELY(core->options.sync == LXDB_SYNC_NONE))
        return LXDB_OK;
    if (core->options.sync == LXDB_SYNC_INTERVAL) {
        lx_helper_promise(core);
        return LXDB_OK;
    }
    return lx_wait_durable(core, position, limit);
}

/* Without the lock: whether the answer is plain already. It also fetches the lines that the commit
 * will need. The writer stays on the read side unless the encoding that comes next takes long. */
static int first_look(lx_writer *writer, lx_change *change, enum lx_expect expect)
{
    lx_view *view;
    int rc = lx_view_enter(writer->core, &view);

    if (rc != LXDB_OK)
        return rc;
    change->hash = lx_index_hash(&view->index, change->key, change->key_len);
    change->seed = view->index.seed;
    /* acquire: the slots of all commits below it, so that whoever misses the key knows that none of
     * them has it; pairs with the release in conclude() */
    change->missed_at = atomic_load_explicit(&view->block->indexed, memory_order_acquire);
    rc = look_up(view, change);
    if (LX_LIKELY(rc == LXDB_OK)) {
        rc = lx_change_expected(change, expect);
    } else { /* what is wrong shows again once the lock is ours, and is mended there */
        change->missed_at = 0;
        rc = LXDB_OK;
    }
    writer->view = view;
    writer->inside = rc == LXDB_OK && lx_change_size(change) <= LX_ENCODE_MAX;
    if (LX_UNLIKELY(!writer->inside))
        lx_view_leave();
    return rc;
}

/* One more commit that will wait for a sync, under the lock. */
static void count_awaited(struct lx_control_block *block)
{
    uint32_t awaited = atomic_load_explicit(&block->awaited, memory_order_relaxed);

    atomic_store_explicit(&block->awaited, awaited + 1, memory_order_relaxed);
}

/* After the work under the lock. LX_AGAIN: again. */
static int finish(lx_writer *writer, int rc, uint64_t bytes, uint64_t *ret_position)
{
    uint64_t brake_ns = 0;

    if (LX_LIKELY(rc == LXDB_OK)) {
        *ret_position = get_relaxed(&writer->block->base) + get_relaxed(&writer->block->tail);
        if (writer->core->options.sync == LXDB_SYNC_FULL)
            count_awaited(writer->block);
        atomic_store_explicit(&writer->core->wrote, true, memory_order_relaxed);
        lx_helper_consider(writer->core, writer->block);
        brake_ns = lx_helper_brake_ns(writer->core, writer->block, bytes);
    }
    rc = lx_writer_leave(writer, rc);
    if (LX_UNLIKELY(brake_ns != 0))
        lx_sleep_ns(brake_ns);
    return rc;
}

int lx_commit_one(lx_core *core, lx_change *change, enum lx_expect expect)
{
    uint8_t buf[LX_ENCODE_MAX];
    lx_writer writer = lx_writer_of(core);
    uint64_t position = 0;
    int rc = lx_refuse_readonly(core);

    if (rc == LXDB_OK)
        rc = first_look(&writer, change, expect);
    if (rc != LXDB_OK)
        return rc;
    lx_change_encode(change, buf);
    /* not in a closed file, to which nothing may be written yet */
    if (writer.inside && change->found &&
        atomic_load_explicit(&writer.view->block->session, memory_order_relaxed))
        lx_log_ready_status(&writer.view->log, change->old_record);
    do {
        rc = lx_writer_enter(&writer, LX_TASK_WRITE, LX_FOR_APPEND);
        if (rc != LXDB_OK)
            return rc;
        rc = lx_change_find(&writer, change);
        if (rc == LXDB_OK)
            rc = lx_change_expected(change, expect);
        if (rc == LXDB_OK)
            rc = lx_commit_secure(&writer, change, 1, NULL);
        if (rc == LXDB_OK)
            rc = lx_commit_apply(&writer, change, 1);
        rc = finish(&writer, rc, lx_change_size(change), &position);
    } while (rc == LX_AGAIN);
    return rc == LXDB_OK ? lx_commit_settle(core, position, &writer.limit) : rc;
}

int lx_modify(lx_core *core, lx_change *change,
              int (*decide)(void *arg, lx_change *change, const lx_entry *old), void *arg)
{
    uint8_t buf[LX_ENCODE_MAX];
    lx_entry entry;
    lx_writer writer = lx_writer_of(core);
    uint64_t position = 0;
    int rc = lx_refuse_readonly(core);

    if (rc != LXDB_OK)
        return rc;
    do {
        rc = lx_writer_enter(&writer, LX_TASK_WRITE, LX_FOR_APPEND);
        if (rc != LXDB_OK)
            return rc;
        rc = find_under_lock(&writer, change);
        if (rc == LXDB_OK && change->found)
            rc = lx_log_look(&writer.view->log, change->old_slot & LX_SLOT_OFFSET_MASK, &entry);
        if (rc == LXDB_CORRUPT)
            rc = lx_index_damaged(&writer.view->index, "a slot leads to no record");
        if (rc == LXDB_OK)
            rc = decide(arg, change, lx_change_is_there(change) ? &entry : NULL);
        if (rc == LXDB_OK)
            lx_change_encode(change, buf);
        if (rc == LXDB_OK)
            rc = lx_commit_secure(&writer, change, 1, NULL);
        if (rc == LXDB_OK)
            rc = lx_commit_apply(&writer, change, 1);
        rc = finish(&writer, rc, lx_change_size(change), &position);
    } while (rc == LX_AGAIN);
    return rc == LXDB_OK ? lx_commit_settle(core, position, &writer.limit) : rc;
}

int lx_commit_many(lx_core *core, enum lx_task task, lx_many *many)
{
    lx_writer writer = lx_writer_of(core);
    uint64_t position = 0;
    int rc;

    do {
        size_t n = 0;

        rc = many->before != NULL ? many->before(many) : LXDB_OK;
        if (rc == LXDB_OK)
            rc = lx_writer_enter(&writer, task, LX_FOR_APPEND);
        if (rc != LXDB_OK)
            return rc;
        rc = many->prepare(many, &writer, &n);
        if (rc == LXDB_OK && n > 0)
            rc = lx_commit_apply(&writer, many->changes, n);
        rc = finish(&writer, rc, commit_size(many->changes, n), &position);
    } while (rc == LX_AGAIN);
    return rc == LXDB_OK ? lx_commit_settle(core, position, &writer.limit) : rc;
}
