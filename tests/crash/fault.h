/* SPDX-License-Identifier: MIT */
/*
 * A system that refuses: the n-th call of a kind fails, once or from then on. Calls are those that
 * the library makes through its table of file operations, those of malloc, calloc, realloc and
 * strdup, and some that its layers make to each other (the linker leads them here, see local.mk).
 * Only calls of the thread that called fault_arm() are counted and fail; syncs that do not fail do
 * nothing, since nobody cuts the power here.
 */
#ifndef LXDB_TESTS_CRASH_FAULT_H
#define LXDB_TESTS_CRASH_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum fault_call {
    FAULT_OPENAT,
    FAULT_FSTAT,
    FAULT_FSTATAT,
    FAULT_PREAD,
    FAULT_PWRITE,
    FAULT_FTRUNCATE,
    FAULT_FALLOCATE,
    FAULT_FDATASYNC,
    FAULT_FSYNC,
    FAULT_RENAMEAT,
    FAULT_UNLINKAT,
    FAULT_MMAP,
    FAULT_MEMORY,
    FAULT_RANDOM,
    FAULT_LOCK, /* of a byte, taken: it gives a code in place of an errno, like those that follow */
    /* Between layers. */
    FAULT_REACH, /* is the log mapped so far? */
    FAULT_FIND,  /* a key in the index */
    FAULT_ROOM   /* for a key in the index */
};

/* Put the table in place, before the first lxdb_open(). */
void fault_install(void);

void fault_arm(enum fault_call call, int err, unsigned nth, bool for_ever);
/* A second refusal beside the first, once. */
void fault_arm_too(enum fault_call call, int err, unsigned nth);
/* How often a call was refused since fault_arm(). */
unsigned fault_disarm(void);
/* The thread that calls this is to be killed at the next step of this name. */
void fault_die_at(const char *step);

/* Directory syncs of this process that were not refused. */
unsigned fault_directory_syncs(void);
/* Data files opened from now on are on a file system where a store into a mapping could run out of
 * room, so that the library writes with pwrite. */
void fault_store_by_pwrite(bool on);

/* In every thread and process that shares the memory of `on`: data syncs fail with this errno while
 * *on is not 0. NULL: no more. */
void fault_sync_while(const volatile int *on);

#endif
