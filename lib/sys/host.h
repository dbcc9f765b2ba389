/* SPDX-License-Identifier: MIT */
/*
 * Clocks, deadlines, random numbers, sleeping words and facts about this process. Monotonic times
 * mean the same in all processes of one boot, except across time namespaces: a time found in shared
 * memory is a hint, and a wait for it has an upper bound of its own.
 */
#ifndef LX_SYS_HOST_H
#define LX_SYS_HOST_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

uint64_t lx_now_ms(void);        /* monotonic */
uint64_t lx_now_coarse_ms(void); /* monotonic, a few ns to read, a few ms behind */
uint64_t lx_now_ns(void);        /* monotonic */
int64_t lx_wall_ms(void);        /* since the epoch */
int64_t lx_wall_coarse_ms(void);

/* A moment on the monotonic clock in ms; LX_NEVER does not pass. */
typedef uint64_t lx_deadline;
#define LX_NEVER UINT64_MAX
lx_deadline lx_deadline_in(uint32_t ms); /* UINT32_MAX: LX_NEVER */
bool lx_deadline_passed(lx_deadline deadline);

/* 64 unpredictable bits. */
int lx_random64(uint64_t *ret_bits);
/* Identifies this boot of this machine; 0 if it cannot be known. */
uint64_t lx_boot_id(void);

/* Sleep while *word == expected, at most `ns`, in any process that maps the word. Wakes early at
 * will. Wake at most `waiters` sleepers, of any process. */
void lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns);
void lx_futex_wake(_Atomic uint32_t *word, int waiters);
void lx_sleep_ns(uint64_t ns); /* all of it, signals or not */
void lx_cpu_relax(void);       /* in a spin loop */
void lx_yield(void);           /* likewise, where others need the processor to end it */

uint32_t lx_process_id(void);
/* The name of this process, as in /proc/self/comm, cut to 15 bytes and NUL-padded. */
void lx_process_name(char ret_name[16]);

/* Switch this thread's cancellation off and back to what it was. */
int lx_cancel_off(void);
void lx_cancel_restore(int state);

#endif
