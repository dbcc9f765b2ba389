/* SPDX-License-Identifier: MIT */
/*
 * Group commit: one sync for everybody who waits, in all threads and processes.
 *
 * INV-1  `durable` only grows, and only to base + a tail that was read before a sync that
 *        succeeded: of the whole file (recover.c), or of all that was not synced already (here,
 *        compact.c). Below the tail only status bytes and the watermark change after that, and a
 *        session needs neither on the disk: the order of its log decides, and a watermark may be
 *        behind. Where status bytes begin or cease to count (the begin of a session, recovery,
 *        clean close) the whole file is synced.
 * INV-2  Leadership is a hint. A waiter that slept longer than max(5 ms, twice the usual sync)
 *        syncs itself, so a stopped or dead leader delays nobody for long. A thread whose
 *        neighbour syncs sleeps on: what is slow then is the disk.
 * INV-3  After a failed sync `poison` is set before anybody is woken, and nothing is durable that
 *        was not before: the kernel may have dropped the dirty pages, so a later success would
 *        prove nothing. The kernel tells each file description of a failure once, and the threads
 *        of a core share theirs: so they sync one at a time, up to the poison.
 * INV-4  A leader that waits for the commits of others does so for a bounded time, whatever the
 *        hints say that it goes by.
 */
#ifndef LX_STORE_DURABLE_H
#define LX_STORE_DURABLE_H

#include "store/lock.h"
#include "store/log.h"

typedef struct lx_durable {
    struct lx_control_file *file;
    struct lx_control_block *block;
    uint64_t generation;
    uint64_t identity;
    lx_log *log;
    _Atomic bool *syncing; /* a thread that shares our file description does, up to the poison */
} lx_durable;

/* LXDB_OK: everything before the logical `position` is durable. LXDB_PENDING at the limit, LXDB_IO,
 * LX_AGAIN: another generation is in force (and was synced). */
int lx_durable_wait(const lx_durable *durable, uint64_t position, lx_limit *limit);

/* A sync has just failed with errno: no more writes, in any process. */
void lx_poison_set(struct lx_control_file *file);
/* LXDB_OK, or LXDB_IO with the sentence that writes are refused since a sync failed. */
int lx_poison_check(const struct lx_control_file *file, const char *name);

#endif
