/* SPDX-License-Identifier: MIT */
/*
 * The writer lock: one 64-bit word in the lock file, identity << 1 | waiters.
 *
 * INV-1  The word is 0, or names an identity that took it by compare-and-swap. Only that identity's
 *        release, or a taker that the kernel told of its death, removes it.
 * INV-2  Whoever takes the lock after a death finds `dirty` as the dead left it, and repairs before
 *        anything else. lx_lock_take() reports dirty != 0, whoever left it.
 * INV-3  A death verdict is the kernel's: the identity's OFD lock is gone, seen through a
 *        descriptor that holds no lock, still is the lock file, and sees our own identity as held.
 *
 * States of the word, and who moves it:
 *     0          -> mine            anyone, acquire
 *     0          -> mine|waiters    one who slept, acquire: others may sleep too
 *     other      -> other|waiters   one who is about to sleep
 *     dead[|w]   -> mine|waiters    one with a death verdict, acquire
 *     mine[|w]   -> 0               the holder, release; wakes one sleeper if the bit was set
 */
#ifndef LX_STORE_LOCK_H
#define LX_STORE_LOCK_H

#include "store/layout.h"
#include "sys/host.h"

enum lx_task {
    LX_TASK_NONE,
    LX_TASK_WRITE,
    LX_TASK_BATCH,
    LX_TASK_CLEAR,
    LX_TASK_COMPACT,
    LX_TASK_PREPARE,
    LX_TASK_READ,
    LX_TASK_REPAIR
};

/* Who we are to the lock: constant while attached. */
typedef struct lx_lock_self {
    uint64_t identity;  /* offset of the byte we hold exclusively, by another descriptor */
    int probe_fd;       /* of the lock file, holds no lock */
    lx_file_id lock_id; /* what probe_fd must still be */
    uint32_t pid;
    uint64_t command[2]; /* 16 bytes of name */
} lx_lock_self;

/* How long a call may wait in all. The clock is first asked when something has to be waited for. */
typedef struct lx_limit {
    uint32_t timeout_ms; /* UINT32_MAX: for ever */
    lx_deadline at;      /* 0: not asked yet */
} lx_limit;

static inline lx_deadline lx_limit_at(lx_limit *limit)
{
    if (limit->at == 0)
        limit->at = lx_deadline_in(limit->timeout_ms);
    return limit->at;
}

/* Take the lock if it is free, or is so within some 50 us. */
bool lx_lock_try(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                 bool *ret_dirty);
/* Take the lock. LXDB_BUSY at the limit, with the holder in the sentence. *ret_dirty: a repair
 * comes first. */
int lx_lock_take(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                 lx_limit *limit, bool *ret_dirty);
void lx_lock_release(struct lx_control_lock *lock);

/* Whether the process of an identity has let go of it. `false` when it cannot be told. */
bool lx_lock_is_dead(const lx_lock_self *self, uint64_t identity);

typedef struct lx_lock_holder {
    uint32_t pid; /* 0: the lock is free */
    uint64_t age_ms;
    enum lx_task task;
    char command[16];
} lx_lock_holder;

void lx_lock_holder_get(struct lx_control_lock *lock, lx_lock_holder *ret_holder);

#endif
