/* SPDX-License-Identifier: MIT */
/*
 * The writer lock, seen from outside. Its functions and the two system calls that a waiter makes
 * are wrapped (see local.mk), and what a process does with the lock is kept in memory that outlives
 * it:
 *
 *   Who died inside? `holds` is set after the lock was taken and cleared before it is released, so
 *   a process that is dead with it set held the lock. The word in the lock file must say the same
 *   until somebody takes over.
 *
 *   Who took over, and when? Whoever takes the lock after the kernel told it that the holder's
 *   identity is gone.
 *
 *   How long was that put off? A waiter asks the kernel only after a sleep. Before each sleep the
 *   watch asks, too: if the holder is gone already, this must be the last sleep of this waiter
 *   beside it, and one of 20 ms at most. So the time from the holder's end to the take-over is at
 *   most one such sleep and what the machine takes to let the waiter run, however loaded it is.
 *   This is checked at every sleep, and fails the test; the time by the clock is counted only.
 */
#ifndef LXDB_TESTS_CRASH_LOCK_WATCH_H
#define LXDB_TESTS_CRASH_LOCK_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCK_WATCH_SLEEP_NS 20000000u

struct lock_watch {
    _Atomic uint64_t identity; /* of its handle, 0: it has not asked for the lock yet */
    _Atomic uint64_t holds;    /* 1: between taking and releasing */
    _Atomic uint64_t killed_ns;
    _Atomic uint64_t taken_over; /* 1: by somebody who found it dead */
};

/* In a process, before it opens its only database: it is all[me] of the `n` that have it open. */
void lock_watch_begin(struct lock_watch *all, size_t n, size_t me, const char *path);

/* By who starts and kills: before the process starts; just before the kill. */
void lock_watch_clear(struct lock_watch *watch);
void lock_watch_killing(struct lock_watch *watch);

/* Whether a process holds the lock, all threads of which are stopped; fails if it does and was
 * robbed of it. */
bool lock_watch_holds_stopped(struct lock_watch *watch, const char *path);
/* Whether a process held it that is dead. */
bool lock_watch_held(struct lock_watch *watch, const char *path);
/* Others have gone on: the lock is not the dead one's any more. If it held it, and others had the
 * database open all the while, one of them took it over, with the kernel's word for the death. */
void lock_watch_check_over(struct lock_watch *watch, bool held, const char *path);

#endif
