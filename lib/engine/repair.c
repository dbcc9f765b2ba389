/* SPDX-License-Identifier: MIT */
/*
 * After a holder of the writer lock died (or a store failed half-way): finish its commit if it
 * reached the log, else cover what it left. Every line may be cut by another death, and is then
 * done again by the next holder: `dirty` stays what it was until the end.
 */
#include "engine/view.h"

#include <string.h>

struct replay {
    lx_log *log;
    lx_index *index;
    uint64_t before; /* hash of the record before */
    bool begun;      /* there was one */
    bool beyond;     /* what the dead holder published lies behind us */
};

/* The holder may have died between storing a slot and counting it: at the last record that it
 * published, or the first that it did not. */
static void count_again(struct replay *replay, uint64_t hash)
{
    if (replay->beyond)
        return;
    replay->beyond = true;
    lx_index_recount(replay->index, hash);
    if (replay->begun)
        lx_index_recount(replay->index, replay->before);
}

static int replay_insert(struct replay *replay, uint64_t hash, uint64_t slot)
{
    int rc = lx_index_make_room_for_one(replay->index, replay->log, hash);

    if (rc == LXDB_OK && !lx_index_insert(replay->index, hash, slot))
        rc = lx_index_damaged(replay->index, "no slot left");
    return rc;
}

/* Step 3 and 4 of a commit, for one record that is committed, whatever of them was done before. */
static int replay_event(void *arg, const lx_scan_event *event)
{
    struct replay *replay = arg;
    bool remove = event->effect == LX_EFFECT_DELETE, moved;
    lx_found found;
    uint64_t hash;
    int rc;

    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    hash = lx_index_hash(replay->index, event->record.key, event->record.key_len);
    rc = lx_index_find(replay->index, replay->log, event->record.key, event->record.key_len, hash,
                       &found);
    if (rc != LXDB_OK && rc != LXDB_NOTFOUND)
        return rc;
    if (rc == LXDB_NOTFOUND ? !remove : found.entry.off < event->slot) {
        count_again(replay, hash);
        if (rc == LXDB_NOTFOUND) {
            rc = replay_insert(replay, hash, event->slot);
        } else {
            rc = lx_index_make_room(replay->index, replay->log, hash, 0, &moved);
            if (rc == LXDB_OK)
                rc = lx_log_set_status(replay->log, found.entry.record, 0);
            if (rc == LXDB_OK && remove)
                lx_index_remove(found.at);
            else if (rc == LXDB_OK)
                lx_index_replace(found.at, event->slot);
        }
    } else {
        rc = LXDB_OK; /* published already, or something newer */
    }
    replay->before = hash;
    replay->begun = true;
    return rc;
}

int lx_replay(lx_view *view, uint64_t from, uint64_t to)
{
    struct replay replay = {.log = &view->log, .index = &view->index};
    lx_scan scan = {
        .data = view->log.map.base, .size = to, .tail = to, .watermark = to, .ordered = true};
    int rc;

    if (from >= to)
        return LXDB_OK;
    rc = lx_log_reach(&view->log, to);
    if (rc == LXDB_OK)
        rc = lx_scan_walk(&scan, from, replay_event, &replay);
    if (rc == LXDB_OK && replay.begun)
        count_again(&replay, replay.before); /* all of it was published */
    return rc;
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    /* release: in program order for whoever repairs after us */
    atomic_store_explicit(word, value, memory_order_release);
}

/* A commit that never reached the log: one PAD over [tail, end), committed like a record. */
static int cover(lx_writer *writer)
{
    struct lx_control_lock *lock = writer->lock;
    struct lx_control_block *block = writer->block;
    uint64_t tail = load(&block->tail);
    uint64_t end = load(&lock->intent_end);
    int rc;

    if (end - tail < LX_PAD_SIZE_MIN)
        end = tail + LX_PAD_SIZE_MIN;
    if (end > load(&block->allocated))
        return lx_fail(
            LXDB_CORRUPT,
            "%s: the lock file says that a commit ends beyond the file: close the database "
            "everywhere, then open it again",
            writer->core->place.path);
    /* What is to be committed now is the PAD: the counters stay. In this order: a death in between
     * leaves an intent that is covered again. */
    store(&lock->intent_records, load(&block->records));
    store(&lock->intent_bytes, load(&block->bytes));
    store(&lock->intent_expiring, load(&block->expiring));
    store(&lock->intent_end, end);
    lx_step("repair-declared");
    rc = lx_log_reach(&writer->view->log, end);
    if (rc == LXDB_OK)
        rc = lx_log_cover(&writer->view->log, tail, end);
    if (rc != LXDB_OK)
        return rc;
    lx_step("repair-covered");
    store(&block->tail, end);
    return LXDB_OK;
}

int lx_repair(lx_writer *writer)
{
    struct lx_control_lock *lock = writer->lock;
    struct lx_control_block *block = writer->block;
    uint64_t dirty = load(&lock->dirty);
    int rc = LXDB_OK;

    if (dirty & LX_DIRTY_COMMIT && load(&block->tail) < load(&lock->intent_end))
        rc = cover(writer);
    if (rc == LXDB_OK && dirty & LX_DIRTY_SPLIT)
        rc = lx_index_repair(&writer->view->index, &writer->view->log);
    if (rc == LXDB_OK && dirty & LX_DIRTY_COMMIT) {
        /* Odd while slots may be published in part; made even at the end. The fence keeps it before
         * them. */
        store(&lock->publish_seq, load(&lock->publish_seq) | 1);
        atomic_thread_fence(memory_order_release);
        rc = lx_replay(writer->view, load(&block->indexed), load(&block->tail));
    }
    /* LX_DAMAGED: `dirty` stands until a compaction has made a new index, from the log, which is
     * whole by now. */
    if (rc != LXDB_OK)
        return rc;
    if (dirty & LX_DIRTY_COMMIT) {
        store(&block->records, load(&lock->intent_records));
        store(&block->bytes, load(&lock->intent_bytes));
        store(&block->expiring, load(&lock->intent_expiring));
        store(&block->last, 0); /* not known here: then no index is kept, unless a commit follows */
        store(&block->indexed, load(&block->tail));
    }
    lx_step("repair-done");
    if (load(&lock->publish_seq) & 1)
        store(&lock->publish_seq, load(&lock->publish_seq) + 1);
    store(&lock->dirty, LX_CLEAN);
    atomic_fetch_add_explicit(&writer->core->control->head.recoveries, 1, memory_order_relaxed);
    return LXDB_OK;
}
