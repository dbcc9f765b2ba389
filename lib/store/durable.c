/* SPDX-License-Identifier: MIT */
/* Group commit: see durable.h. */
#include "store/durable.h"

#include "format/header.h"

#include <errno.h>

#define SLEEP_MIN_NS 5000000u
#define GATHER_MAX_NS 1000000u
#define WATERMARK_EVERY_MS 1000u

void lx_poison_set(struct lx_control_file *file)
{
    int32_t none = 0;

    atomic_compare_exchange_strong(&file->head.poison, &none, errno != 0 ? errno : EIO);
}

int lx_poison_check(const struct lx_control_file *file, const char *name)
{
    int32_t poison = atomic_load_explicit(&file->head.poison, memory_order_relaxed);

    if (LX_LIKELY(poison == 0))
        return LXDB_OK;
    lx_fail_errno(
        poison,
        "%s: writes are refused since a sync failed, because what was not on the disk then "
        "may be lost; a compaction that succeeds ends this",
        name);
    return LXDB_IO;
}

/* durable := max(durable, position) */
static void raise_durable(struct lx_control_block *block, uint64_t position)
{
    uint64_t old = atomic_load_explicit(&block->durable, memory_order_relaxed);

    /* release: the sync before the word that vouches for it; pairs with the acquire in
     * is_durable() */
    while (old < position &&
           !atomic_compare_exchange_weak_explicit(&block->durable, &old, position,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

static bool is_durable(const struct lx_control_block *block, uint64_t position)
{
    /* acquire: pairs with the release in raise_durable() */
    return atomic_load_explicit(&block->durable, memory_order_acquire) >= position;
}

/* Now and then let the file itself say how far it is durable, so that a crash below is told from
 * damage. A sync of a range leaves the page of the header to the kernel; so what was said the last
 * time is synced here. */
static int move_watermark(const lx_durable *durable, uint64_t boundary)
{
    uint64_t now = lx_now_coarse_ms();
    uint64_t last = atomic_load_explicit(&durable->block->watermark_ms, memory_order_relaxed);
    int rc = LXDB_OK;

    /* relaxed: only a session's file may have one. A session ends when all who may write have
     * closed. */
    if (!atomic_load_explicit(&durable->block->session, memory_order_relaxed) ||
        now - last < WATERMARK_EVERY_MS ||
        !atomic_compare_exchange_strong_explicit(&durable->block->watermark_ms, &last, now,
                                                 memory_order_relaxed, memory_order_relaxed))
        return LXDB_OK;
    if (last != 0)
        rc = lx_log_sync_range(durable->log, 0, LX_HEADER_SIZE);
    if (rc == LXDB_OK)
        (void)lx_log_set_watermark(durable->log, lx_watermark_encode(boundary));
    return rc;
}

static int sync_failed(const lx_durable *durable)
{
    if (lx_control_generation(durable->file) != durable->generation)
        return LX_AGAIN; /* the file that failed is not in force any more */
    lx_poison_set(durable->file);
    return LXDB_IO; /* whatever the disk said: the commit stands, and is not durable */
}

/* When a sync ends, its leader is back with its next commit before those that slept behind it have
 * woken, and would sync that commit alone. So, if the last sync carried several commits, wait until
 * as many have come again: for twice the usual sync at most, since whoever is missing may be
 * gone. */
static void gather(struct lx_control_block *block, uint64_t position)
{
    /* relaxed: hints, all of them; the difference may wrap */
    uint32_t group = atomic_load_explicit(&block->group, memory_order_relaxed);
    uint32_t since = atomic_load_explicit(&block->synced, memory_order_relaxed);
    uint64_t usual = atomic_load_explicit(&block->sync_ns, memory_order_relaxed);
    uint64_t until;

    if (group < 2)
        return;
    until = lx_now_ns() + (usual < GATHER_MAX_NS / 2 ? 2 * usual : GATHER_MAX_NS);
    while (atomic_load_explicit(&block->awaited, memory_order_relaxed) - since < group &&
           !is_durable(block, position) && lx_now_ns() < until)
        lx_yield();
}

/* Sync what is committed and not durable yet, unless `position` is durable by now. */
static int sync_now(const lx_durable *durable, uint64_t position)
{
    struct lx_control_block *block = durable->block;
    uint64_t base = atomic_load_explicit(&block->base, memory_order_relaxed);
    uint64_t from, boundary, started, took, usual;
    uint32_t awaited, carried;
    int rc;

    gather(block, position);
    /* acquire: what is before it needs no sync any more; pairs with the release in raise_durable().
     * Read before the tail, which is never behind it. */
    from = atomic_load_explicit(&block->durable, memory_order_acquire);
    if (from >= position)
        return LXDB_OK;
    rc = lx_poison_check(durable->file, durable->log->name);
    if (rc != LXDB_OK)
        return rc;
    awaited = atomic_load_explicit(&block->awaited, memory_order_relaxed);
    /* acquire: the bytes before it are those that the sync writes; pairs with commit's release */
    boundary = atomic_load_explicit(&block->tail, memory_order_acquire);
    atomic_thread_fence(memory_order_acquire); /* the words of the block before its generation */
    if (lx_control_generation(durable->file) != durable->generation)
        return LX_AGAIN;
    started = lx_now_ns();
    rc = lx_log_sync_range(durable->log, from > base ? from - base : 0, boundary);
    took = lx_now_ns() - started;
    if (rc == LXDB_OK)
        rc = move_watermark(durable, boundary);
    if (rc != LXDB_OK)
        return sync_failed(durable);
    /* another process may have been told of a failure sooner */
    rc = lx_poison_check(durable->file, durable->log->name);
    if (rc != LXDB_OK)
        return rc;
    /* If compactions have given the block to a later generation meanwhile, its `durable` is past
     * this already. */
    raise_durable(block, base + boundary);
    usual = atomic_load_explicit(&block->sync_ns, memory_order_relaxed);
    atomic_store_explicit(&block->sync_ns, usual ? (7 * usual + took) / 8 : took,
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&block->syncs, 1, memory_order_relaxed);
    carried = awaited - atomic_load_explicit(&block->synced, memory_order_relaxed);
    atomic_store_explicit(&block->group, carried, memory_order_relaxed);
    atomic_store_explicit(&block->synced, awaited, memory_order_relaxed);
    return LXDB_OK;
}

/* sync_now(), if no other thread of ours is at it. */
static bool sync_alone(const lx_durable *durable, uint64_t position, int *ret_rc)
{
    /* acquire, release: the poison that one of our threads has set before the next one syncs */
    if (atomic_exchange_explicit(durable->syncing, true, memory_order_acquire))
        return false;
    *ret_rc = sync_now(durable, position);
    atomic_store_explicit(durable->syncing, false, memory_order_release);
    return true;
}

static void wake_all(struct lx_control_block *block)
{
    atomic_fetch_add_explicit(&block->sync_seq, 1, memory_order_release);
    lx_futex_wake(&block->sync_seq, INT32_MAX);
}

/* Sleep while somebody else syncs. True: it took too long, go and sync; not if it was the deadline
 * that ended it. */
static bool sleep_behind_leader(const lx_durable *durable, uint32_t seq, lx_deadline deadline)
{
    struct lx_control_block *block = durable->block;
    uint64_t usual = atomic_load_explicit(&block->sync_ns, memory_order_relaxed);
    uint64_t ns = 2 * usual > SLEEP_MIN_NS ? 2 * usual : SLEEP_MIN_NS;
    uint64_t now = lx_now_ms();

    bool cut_short = deadline != LX_NEVER && (deadline <= now || deadline - now < ns / 1000000u);

    if (cut_short)
        ns = (deadline > now ? deadline - now : 0) * 1000000u + 1;
    lx_futex_wait(&block->sync_seq, seq, ns);
    return !cut_short && atomic_load_explicit(&block->sync_seq, memory_order_acquire) == seq;
}

int lx_durable_wait(const lx_durable *durable, uint64_t position, lx_limit *limit)
{
    struct lx_control_block *block = durable->block;
    bool impatient = false;

    while (!is_durable(block, position)) {
        uint64_t nobody = 0;
        uint32_t seq;
        int rc = lx_poison_check(durable->file, durable->log->name);

        if (rc != LXDB_OK)
            return rc;
        if (lx_control_generation(durable->file) != durable->generation)
            return LX_AGAIN;
        /* acquire: the number before the leader, so that a wake in between is not slept through */
        seq = atomic_load_explicit(&block->sync_seq, memory_order_acquire);
        if (impatient ||
            atomic_compare_exchange_strong_explicit(&block->sync_leader, &nobody, durable->identity,
                                                    memory_order_acquire, memory_order_relaxed)) {
            bool synced = sync_alone(durable, position, &rc);

            atomic_store_explicit(&block->sync_leader, 0, memory_order_release);
            if (synced) {
                wake_all(block);
                if (rc != LXDB_OK)
                    return rc;
                continue;
            }
        }
        if (lx_deadline_passed(lx_limit_at(limit)))
            return lx_fail(LXDB_PENDING,
                           "%s: committed and visible, but not yet known to be on the disk: the "
                           "deadline passed",
                           durable->log->name);
        impatient = sleep_behind_leader(durable, seq, lx_limit_at(limit));
    }
    return LXDB_OK;
}
