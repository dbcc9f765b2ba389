/* SPDX-License-Identifier: MIT */
/* The writer lock: see lock.h for its states and invariants. */
#include "store/lock.h"

#include "base/assert.h"
#include "sys/ofd.h"

#include <string.h>

#define WAITERS 1u
#define SLEEP_NS 20000000u /* between two questions whether the holder lives */
#define SPIN_NS_MIN 10000u /* of one wait without a sleep */
#define SPIN_NS_MAX 50000u
#define SPIN_STEP 16u /* calls of lx_cpu_relax() between two looks, at most */

static const char *task_text(enum lx_task task)
{
    switch (task) {
    case LX_TASK_WRITE:
        return "a write";
    case LX_TASK_BATCH:
        return "a batch";
    case LX_TASK_CLEAR:
        return "a clear";
    case LX_TASK_COMPACT:
        return "the end of a compaction";
    case LX_TASK_PREPARE:
        return "preparing the file for its first write";
    case LX_TASK_READ:
        return "a read of many keys";
    case LX_TASK_REPAIR:
        return "repairing after a dead writer";
    case LX_TASK_NONE:
        break;
    }
    return "an unknown task";
}

static _Atomic uint32_t *low_half(struct lx_control_lock *lock)
{
    _Atomic uint32_t *halves = (_Atomic uint32_t *)&lock->word;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return &halves[0];
#else
    return &halves[1];
#endif
}

static bool swap_word(struct lx_control_lock *lock, uint64_t from, uint64_t to)
{
    /* acquire: everything that the last holder stored before its release (or death, which the
     * kernel's lock orders) is seen; pairs with the release in lx_lock_release() */
    return atomic_compare_exchange_strong_explicit(&lock->word, &from, to, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* The first, short wait. To sleep and be woken by another process takes tens of microseconds, and a
 * commit less than one, or a few where it has to fetch pages: so it pays to look again for about as
 * long as a sleep would take; how long adapts to whether that helped lately. The clock measures it,
 * since lx_cpu_relax() takes ten times as long on some processors as on others. Every look takes
 * the line away from the holder, who writes to it: so looks become rarer, and the holder, who has
 * all lines at hand, gets through several commits before the lock changes hands. */
static bool spin(struct lx_control_lock *lock, uint64_t mine)
{
    static _Atomic uint32_t patience_ns = SPIN_NS_MAX / 2;
    uint32_t limit = atomic_load_explicit(&patience_ns, memory_order_relaxed);
    uint64_t start = lx_now_ns();
    uint32_t step = 1;

    do {
        if (step < SPIN_STEP)
            step *= 2;
        for (uint32_t i = 0; i < step; i++)
            lx_cpu_relax();
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
            swap_word(lock, 0, mine)) {
            if (limit < SPIN_NS_MAX)
                atomic_store_explicit(&patience_ns, limit + limit / 8, memory_order_relaxed);
            return true;
        }
    } while (lx_now_ns() - start < limit);
    if (limit > SPIN_NS_MIN)
        atomic_store_explicit(&patience_ns, limit - limit / 8, memory_order_relaxed);
    return false;
}

bool lx_lock_is_dead(const lx_lock_self *self, uint64_t identity)
{
    lx_file_info info;
    bool held;
    uint64_t at;

    if (identity < LX_BYTE_IDENTITY || identity >> 62 != 0)
        return false; /* nobody's: the word is damaged */
    if (lx_file_info_get(self->probe_fd, "lock file", &info) != LXDB_OK ||
        !lx_file_id_equal(&info.id, &self->lock_id))
        return false; /* somebody closed or replaced our descriptor: it can say nothing */
    if (lx_ofd_query(self->probe_fd, self->identity, 1, &held, &at) != LXDB_OK || !held)
        return false;
    if (lx_ofd_query(self->probe_fd, identity, 1, &held, &at) != LXDB_OK)
        return false;
    return !held;
}

void lx_lock_holder_get(struct lx_control_lock *lock, lx_lock_holder *ret_holder)
{
    lx_lock_holder holder = {0};
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

    /* The words beside the lock are written just after it was taken: for that moment they may still
     * be of an earlier holder, and then they are left out. */
    if (word >> 1 != 0 && atomic_load_explicit(&lock->holder, memory_order_relaxed) == word >> 1) {
        uint64_t command[2];
        uint64_t now = lx_now_coarse_ms();
        uint64_t since = atomic_load_explicit(&lock->holder_since, memory_order_relaxed);

        holder.pid = atomic_load_explicit(&lock->holder_pid, memory_order_relaxed);
        holder.task = (enum lx_task)atomic_load_explicit(&lock->holder_task, memory_order_relaxed);
        holder.age_ms = now > since ? now - since : 0;
        for (int i = 0; i < 2; i++)
            command[i] = atomic_load_explicit(&lock->holder_command[i], memory_order_relaxed);
        memcpy(holder.command, command, sizeof holder.command);
        holder.command[sizeof holder.command - 1] = 0;
    }
    *ret_holder = holder;
}

static int busy(struct lx_control_lock *lock)
{
    lx_lock_holder holder;

    lx_lock_holder_get(lock, &holder);
    if (holder.pid == 0)
        return lx_fail(LXDB_BUSY, "the writer lock was not to be had before the deadline: many "
                                  "writers, or a holder that has just taken it");
    return lx_fail(LXDB_BUSY,
                   "the writer lock is held by process %u (%s), for %llu ms, for %s; if it is "
                   "stopped, continue or end it",
                   holder.pid, holder.command, (unsigned long long)holder.age_ms,
                   task_text(holder.task));
}

/* Sleep until the lock is ours. */
static int wait_for(struct lx_control_lock *lock, const lx_lock_self *self, uint64_t mine,
                    lx_deadline deadline)
{
    for (;;) {
        uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        uint64_t now = lx_now_ms();
        uint64_t ns = SLEEP_NS;

        if (word == 0) {
            if (swap_word(lock, 0, mine | WAITERS))
                return LXDB_OK;
            continue;
        }
        if (deadline != LX_NEVER) {
            if (now >= deadline)
                return busy(lock);
            if (deadline - now < SLEEP_NS / 1000000u)
                ns = (deadline - now) * 1000000u;
        }
        if (!(word & WAITERS) && !swap_word(lock, word, word | WAITERS))
            continue;
        word |= WAITERS;
        lx_futex_wait(low_half(lock), (uint32_t)word, ns);
        /* The same word as before the sleep: is its holder still there? */
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == word
                ? lx_lock_is_dead(self, word >> 1) && swap_word(lock, word, mine | WAITERS)
                : spin(lock, mine | WAITERS))
            return LXDB_OK;
    }
}

/* It is ours: say who we are and what for. */
static void taken(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                  bool *ret_dirty)
{
    lx_step("lock-taken");
    if (atomic_load_explicit(&lock->holder, memory_order_relaxed) != self->identity) {
        atomic_store_explicit(&lock->holder_pid, self->pid, memory_order_relaxed);
        for (int i = 0; i < 2; i++)
            atomic_store_explicit(&lock->holder_command[i], self->command[i], memory_order_relaxed);
    }
    atomic_store_explicit(&lock->holder_task, (uint32_t)task, memory_order_relaxed);
    atomic_store_explicit(&lock->holder_since, lx_now_coarse_ms(), memory_order_relaxed);
    atomic_store_explicit(&lock->holder, self->identity, memory_order_relaxed);
    *ret_dirty = atomic_load_explicit(&lock->dirty, memory_order_relaxed) != LX_CLEAN;
}

bool lx_lock_try(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                 bool *ret_dirty)
{
    uint64_t mine = self->identity << 1;

    if (!swap_word(lock, 0, mine) && !spin(lock, mine))
        return false;
    taken(lock, self, task, ret_dirty);
    return true;
}

int lx_lock_take(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                 lx_limit *limit, bool *ret_dirty)
{
    int rc;

    if (lx_lock_try(lock, self, task, ret_dirty))
        return LXDB_OK;
    rc = wait_for(lock, self, self->identity << 1, lx_limit_at(limit));
    if (rc == LXDB_OK)
        taken(lock, self, task, ret_dirty);
    return rc;
}

void lx_lock_release(struct lx_control_lock *lock)
{
    /* release: everything stored under the lock; pairs with the acquire in swap_word() */
    uint64_t word = atomic_exchange_explicit(&lock->word, 0, memory_order_release);

    lx_step("lock-released");
    if (word & WAITERS)
        lx_futex_wake(low_half(lock), 1);
}
