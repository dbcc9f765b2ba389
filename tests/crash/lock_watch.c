/* SPDX-License-Identifier: MIT */
/* See lock_watch.h. */
#include "tests/crash/lock_watch.h"

#include "store/lock.h"
#include "sys/ofd.h"
#include "tests/concurrency/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool __real_lx_lock_try(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                        bool *ret_dirty);
int __real_lx_lock_take(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                        lx_limit *limit, bool *ret_dirty);
void __real_lx_lock_release(struct lx_control_lock *lock);
void __real_lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns);
int __real_lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off);

bool __wrap_lx_lock_try(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                        bool *ret_dirty);
int __wrap_lx_lock_take(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                        lx_limit *limit, bool *ret_dirty);
void __wrap_lx_lock_release(struct lx_control_lock *lock);
void __wrap_lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns);
int __wrap_lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off);

#define MS_NS 1000000u

static struct lock_watch *watches; /* NULL: nobody looks at this process */
static size_t watches_n;
static struct lock_watch *mine;
static char lock_path[4096];
static _Atomic int probe_fd = -1; /* of the lock file; holds nothing */

static _Thread_local struct lx_control_lock *waits_for; /* in lx_lock_take() */
static _Thread_local uint64_t found_dead;               /* the identity that the kernel denied */
static _Thread_local uint64_t slept_beside;             /* the dead holder of the last sleep */

void lock_watch_begin(struct lock_watch *all, size_t n, size_t me, const char *path)
{
    watches = all;
    watches_n = n;
    mine = &all[me];
    (void)snprintf(lock_path, sizeof(lock_path), "%s-lock", path);
}

void lock_watch_clear(struct lock_watch *watch)
{
    memset(watch, 0, sizeof(*watch));
}

void lock_watch_killing(struct lock_watch *watch)
{
    atomic_store(&watch->killed_ns, lx_now_ns());
}

/* ---- From outside ---------------------------------------------------------------------------- */

/* The identity in the word. What is stored through a mapping is what a read of the file gives. */
static uint64_t holder_in_file(const char *path)
{
    const off_t at = offsetof(struct lx_control_file, lock) +
                     offsetof(struct lx_control_lock, word);
    uint64_t word = 0;
    char name[4096];
    int fd;

    (void)snprintf(name, sizeof(name), "%s-lock", path);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "%s: %s", name, strerror(errno));
    CHECK(pread(fd, &word, sizeof(word), at) == (ssize_t)sizeof(word), "%s: %s", name,
          strerror(errno));
    (void)close(fd);
    return word >> 1;
}

static bool names(struct lock_watch *watch, const char *path)
{
    uint64_t identity = atomic_load(&watch->identity);

    return identity != 0 && holder_in_file(path) == identity;
}

bool lock_watch_holds_stopped(struct lock_watch *watch, const char *path)
{
    bool is_named = names(watch, path);

    CHECK(is_named || atomic_load(&watch->holds) == 0, "a stopped holder was robbed of the lock");
    return is_named;
}

bool lock_watch_held(struct lock_watch *watch, const char *path)
{
    return names(watch, path) || atomic_load(&watch->holds) != 0;
}

void lock_watch_check_over(struct lock_watch *watch, bool held, const char *path)
{
    CHECK(!names(watch, path), "others went on while a dead process had the lock");
    CHECK(!held || atomic_load(&watch->taken_over) != 0,
          "a dead holder's lock was taken without the kernel's word for its death");
}

/* ---- In the library -------------------------------------------------------------------------- */

static void note_taken(const lx_lock_self *self)
{
    if (mine == NULL)
        return;
    atomic_store(&mine->identity, self->identity);
    atomic_store(&mine->holds, 1);
}

/* The lock is ours, and its holder was found dead. Another waiter may have found the same, and been
 * the first to take it: then it has entered that before it released the lock. */
static void note_takeover(uint64_t identity)
{
    uint64_t now = lx_now_ns();

    for (size_t i = 0; i < watches_n; i++) {
        struct lock_watch *watch = &watches[i];
        uint64_t ms;

        if (watch == mine || atomic_load(&watch->identity) != identity ||
            atomic_exchange(&watch->taken_over, 1) != 0)
            continue;
        ms = (now - atomic_load(&watch->killed_ns)) / MS_NS;
        harness_count("take-overs", 1);
        harness_count("take-overs within 30 ms of the kill", ms < 30);
        harness_count("take-overs within 100 ms of the kill", ms < 100);
        harness_count_max("slowest take-over after a kill, ms", ms);
    }
}

bool __wrap_lx_lock_try(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                        bool *ret_dirty)
{
    bool taken = __real_lx_lock_try(lock, self, task, ret_dirty);

    if (taken)
        note_taken(self);
    return taken;
}

int __wrap_lx_lock_take(struct lx_control_lock *lock, const lx_lock_self *self, enum lx_task task,
                        lx_limit *limit, bool *ret_dirty)
{
    int rc;

    waits_for = lock;
    found_dead = slept_beside = 0;
    rc = __real_lx_lock_take(lock, self, task, limit, ret_dirty);
    waits_for = NULL;
    if (rc == LXDB_OK) {
        note_taken(self);
        if (found_dead != 0 && mine != NULL)
            note_takeover(found_dead);
    }
    return rc;
}

void __wrap_lx_lock_release(struct lx_control_lock *lock)
{
    if (mine != NULL) {
        CHECK(atomic_load(&lock->word) >> 1 == atomic_load(&mine->identity),
              "%#llx releases the lock, which %#llx holds",
              (unsigned long long)atomic_load(&mine->identity),
              (unsigned long long)(atomic_load(&lock->word) >> 1));
        atomic_store(&mine->holds, 0);
    }
    __real_lx_lock_release(lock);
}

int __wrap_lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off)
{
    int rc = __real_lx_ofd_query(fd, off, len, ret_held, ret_off);

    if (rc == LXDB_OK && !*ret_held && waits_for != NULL && off >= LX_BYTE_IDENTITY)
        found_dead = off;
    return rc;
}

static bool is_dead(uint64_t identity)
{
    bool held = true;
    uint64_t at;
    int fd = atomic_load(&probe_fd);
    int none = -1;

    if (fd < 0) { /* we are attached, so the name leads to the lock file in use */
        fd = open(lock_path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0, "%s: %s", lock_path, strerror(errno));
        if (!atomic_compare_exchange_strong(&probe_fd, &none, fd)) {
            (void)close(fd);
            fd = none;
        }
    }
    CHECK(__real_lx_ofd_query(fd, identity, 1, &held, &at) == LXDB_OK, "F_OFD_GETLK: %s",
          strerror(errno));
    return !held;
}

void __wrap_lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns)
{
    uint64_t holder;

    if (mine != NULL && waits_for != NULL) {
        holder = atomic_load(&waits_for->word);
        /* Of the dead the word is looked at again: it stays as they left it until somebody takes
         * over. Else the holder may have let go meanwhile, and this will be no sleep. */
        if ((uint32_t)holder == expected && is_dead(holder >> 1) &&
            atomic_load(&waits_for->word) == holder) {
            CHECK(slept_beside != holder >> 1 && ns <= LOCK_WATCH_SLEEP_NS,
                  "a waiter sleeps %s, %llu ns, beside a holder that is dead",
                  slept_beside == holder >> 1 ? "again" : "too long", (unsigned long long)ns);
            slept_beside = holder >> 1;
            harness_count("sleeps beside a dead holder", 1);
        }
    }
    __real_lx_futex_wait(word, expected, ns);
}
