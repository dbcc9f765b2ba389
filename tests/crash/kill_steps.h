/* SPDX-License-Identifier: MIT */
/*
 * Places where a process can be killed: the named steps of the library (built with LX_STEPS) and
 * each of its calls through the table of file operations, before and after it, and in the middle of
 * a store into a mapped data file. Only the thread that called steps_arm() counts and dies; a test
 * that has a rule of its own looks on with steps_on_hit.
 *
 * The names are pinned in kill_steps.c. One that the library does not use shows as never hit; one
 * that is not in the table ends the test.
 */
#ifndef LXDB_TESTS_CRASH_KILL_STEPS_H
#define LXDB_TESTS_CRASH_KILL_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEPS_MAX 96u

/* In memory that outlives the process which is armed with it. */
struct step_plan {
    int step;      /* to be killed at; -1: none, only count */
    uint32_t nth;  /* hit of it, from 1 */
    bool finished; /* disarmed alive */
    uint32_t hits[STEPS_MAX];
};

size_t steps_count(void);
const char *steps_name(size_t step);
size_t steps_named(const char *name);

/* Put the table of file operations in place. Before the first lxdb_open(). */
void steps_install(void);
/* Whether syncs do anything: a SIGKILL loses no page, so they need not. */
extern bool steps_sync;

void steps_arm(struct step_plan *plan, int step, uint32_t nth);
void steps_disarm(void);

/* Called by the armed thread in place of a sync of a file, when it is not NULL, with the number of
 * syncs since arming: to write while a compaction syncs its copy. */
extern void (*steps_on_sync)(void *arg, unsigned number);
extern void *steps_on_sync_arg;

/* Called by every thread at every hit, armed or not, when it is not NULL: to keep how far a process
 * has come, to slow it down, or to end it there. */
extern void (*steps_on_hit)(size_t step);

#endif
