/* SPDX-License-Identifier: MIT */
/*
 * The helper: one thread a process, for what must not be done on anybody's call. It frees replaced
 * views after a grace period, makes interval flushes at their due time, compacts when too much of
 * the file is dead, and drops views of an old generation that nobody uses. It is started when there
 * is such work, and ends when the last handle that has some is closed; a child of fork has none
 * until it needs one.
 *
 * Lock: `lock` guards the lists; it is taken inside core->mutex (retire) and never held while
 * anything is done.
 */
#include "engine/view.h"

#include <signal.h>

#define LOOK_EVERY_MS 1000u     /* for stale views */
#define BRAKE_MAX_NS 100000000u /* for a single commit */
#define LEASE_MS 2000u          /* to make a flush that is due, before another process tries */
#define RETRY_AFTER_MS 60000u   /* a compaction that failed */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work =
    PTHREAD_COND_INITIALIZER; /* on the monotonic clock once there is a thread */
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static pthread_t thread;
static bool running, stopping, freeing;
static lx_core *helped;
static lx_view *retired;

static void free_retired(lx_view *list)
{
    if (list == NULL)
        return;
    lx_view_grace_period();
    for (lx_view *next; list != NULL; list = next) {
        next = list->next_retired;
        lx_view_unpin(list->retired_from, list);
    }
}

static bool called_off(const lx_core *core)
{
    return atomic_load(&core->closing);
}

static int report(void *arg, uint64_t at, uint64_t total)
{
    (void)at;
    (void)total;
    return called_off(arg);
}

/* The interval flush. Whoever takes it on moves the due time ahead as a lease, and away only when
 * it is done, so that another process sees to it if this one dies. Returns when to look again. */
static uint64_t serve_flush(lx_core *core, lx_view *view, uint64_t now, uint64_t next)
{
    _Atomic uint64_t *flush_due = &view->block->flush_due;
    uint64_t due = atomic_load(flush_due), lease = now + LEASE_MS, none = 0;
    struct lx_standing standing;
    lx_limit limit = {UINT32_MAX, 0};

    if (due == 0)
        return next;
    if (due > now)
        return due < next ? due : next;
    /* a view that does not stand any more: a compaction has come between, and synced everything */
    if (!atomic_compare_exchange_strong(flush_due, &due, lease) ||
        lx_view_standing(core, view, &standing) != LXDB_OK ||
        lx_wait_durable(core, standing.base + standing.tail, &limit) != LXDB_OK)
        return next;
    atomic_compare_exchange_strong(flush_due, &lease, 0);
    /* A commit that came before that relied on the lease: it gets a time of its own. */
    if (lx_view_standing(core, view, &standing) == LXDB_OK &&
        atomic_load(&view->block->durable) < standing.base + standing.tail)
        atomic_compare_exchange_strong(flush_due, &none, now + core->options.sync_interval_ms);
    return next;
}

static bool is_compaction_due(lx_core *core)
{
    lx_view *view;
    bool due;

    if (lx_view_get(core, &view) != LXDB_OK)
        return false;
    due = view->block != NULL && lx_compaction_due(core, view->block, 1);
    lx_view_unpin(core, view);
    return due;
}

/* The compaction that a commit has asked for, if it is still due: the commit may have come while
 * the last one was about to begin. And one that is due at its end: commits that came meanwhile have
 * not asked, and there may be no others. True: one more, when its old files are gone. */
static bool serve_compaction(lx_core *core)
{
    lxdb_progress progress = {report, core};
    lx_limit limit = {core->options.busy_timeout_ms, 0};
    int rc;

    if (!atomic_exchange(&core->compact_wanted, false) || !is_compaction_due(core))
        return false;
    rc = lx_compact(core, &progress, 0, false, &limit);
    if (rc == LXDB_OK && is_compaction_due(core)) {
        atomic_store(&core->compact_wanted, true);
        return true;
    }
    if (rc != LXDB_OK && rc != LXDB_BUSY)
        atomic_store(&core->compact_retry_ms, lx_now_coarse_ms() + RETRY_AFTER_MS);
    return false;
}

/* One turn for one handle. Returns when it wants the next, in coarse ms. */
static uint64_t serve(lx_core *core)
{
    uint64_t now = lx_now_coarse_ms();
    uint64_t next = now + LOOK_EVERY_MS;
    lx_view *view;

    /* also takes the view of the generation in force, so that an idle process lets go of the old
     * one */
    if (lx_view_get(core, &view) != LXDB_OK)
        return next;
    if (view->block != NULL && !core->readonly)
        next = serve_flush(core, view, now, next);
    lx_view_unpin(core, view);
    return serve_compaction(core) ? now : next;
}

static void sleep_until(uint64_t coarse_ms)
{
    uint64_t now = lx_now_coarse_ms();
    uint64_t ns = lx_now_ns() + (coarse_ms > now ? coarse_ms - now : 0) * 1000000u;
    struct timespec until = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    (void)pthread_cond_timedwait(&work, &lock, &until);
}

static void *helper(void *arg)
{
    (void)arg;
    (void)lx_cancel_off();
    pthread_mutex_lock(&lock);
    while (!stopping) {
        uint64_t next = lx_now_coarse_ms() + LOOK_EVERY_MS;
        lx_view *list = retired;

        retired = NULL;
        if (list != NULL) {
            freeing = true;
            pthread_mutex_unlock(&lock);
            free_retired(list);
            pthread_mutex_lock(&lock);
            freeing = false;
            pthread_cond_broadcast(&done);
        }
        for (lx_core *core = helped; core != NULL; core = core->next_helped) {
            uint64_t wants;

            core->busy = true;
            pthread_mutex_unlock(&lock);
            wants = called_off(core) ? next : serve(core);
            pthread_mutex_lock(&lock);
            core->busy = false;
            pthread_cond_broadcast(&done);
            if (wants < next)
                next = wants;
        }
        if (!stopping && retired == NULL)
            sleep_until(next);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* With the lock held. */
static bool start(void)
{
    pthread_condattr_t attributes;
    sigset_t all, old;

    while (stopping) /* a last handle is being closed: its thread first */
        pthread_cond_wait(&done, &lock);
    if (running)
        return true;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&work, &attributes); /* nobody waits on it: there is no thread */
    pthread_condattr_destroy(&attributes);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    running = pthread_create(&thread, NULL, helper, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return running;
}

/* See to this core. False: no thread can. */
static bool add(lx_core *core)
{
    bool helped_now;

    pthread_mutex_lock(&lock);
    if (!core->helped && start()) {
        core->next_helped = helped;
        helped = core;
        core->helped = true;
    }
    helped_now = core->helped;
    pthread_cond_signal(&work);
    pthread_mutex_unlock(&lock);
    return helped_now;
}

void lx_helper_retire(lx_core *core, lx_view *view)
{
    view->retired_from = core;
    pthread_mutex_lock(&lock);
    view->next_retired = retired;
    retired = view;
    pthread_mutex_unlock(&lock);
    /* Without a thread to be had it waits for the close: never for a grace period here. */
    (void)add(core);
}

void lx_helper_watch(lx_core *core)
{
    const struct lx_control_block *block = core->view->block;

    if (core->options.sync == LXDB_SYNC_INTERVAL || atomic_load(&block->flush_due) != 0 ||
        atomic_load(&block->tail) >= core->options.compact_floor)
        (void)add(core);
}

void lx_helper_promise(lx_core *core)
{
    lx_view *view;
    uint64_t none = 0;

    if (lx_view_enter(core, &view) != LXDB_OK)
        return;
    if (atomic_load_explicit(&view->block->flush_due, memory_order_relaxed) == 0) {
        atomic_compare_exchange_strong(&view->block->flush_due, &none,
                                       lx_now_coarse_ms() + core->options.sync_interval_ms);
        lx_view_leave();
        (void)add(core); /* and wake it, so that it sees the time */
        return;
    }
    lx_view_leave();
}

bool lx_compaction_due(const lx_core *core, const struct lx_control_block *block, uint64_t times)
{
    uint64_t live = atomic_load_explicit(&block->bytes, memory_order_relaxed);
    uint64_t all = atomic_load_explicit(&block->tail, memory_order_relaxed) - LX_HEADER_SIZE;
    uint64_t dead = all > live ? all - live : 0;

    return dead > core->options.compact_floor && dead / times > live;
}

/* Whether somebody compacts, or our helper is about to: it may be late, or busy with the compaction
 * of another database. */
static bool is_compacting(const lx_core *core)
{
    _Atomic uint64_t *word = &core->control->head.compacting;
    uint64_t compactor = atomic_load_explicit(word, memory_order_relaxed);

    if (atomic_load_explicit(&core->compact_wanted, memory_order_relaxed))
        return true;
    if (compactor == 0)
        return false;
    if (compactor == core->self.identity || !lx_lock_is_dead(&core->self, compactor))
        return true;
    atomic_compare_exchange_strong(word, &compactor, 0);
    return false;
}

/* How long a writer of `bytes` bytes holds back, without the lock, while a compaction is under way
 * or about to begin and the file has outgrown its bounds all the same: at most 128 MB/s while the
 * dead bytes are over 1.5 times what starts a compaction, 32 MB/s over 2.5 times, 8 MB/s over 4
 * times. */
uint64_t lx_helper_brake_ns(const lx_core *core, const struct lx_control_block *block,
                            uint64_t bytes)
{
    uint64_t live, all, dead, due, ns;

    if (LX_LIKELY(!atomic_load_explicit(&core->compact_wanted, memory_order_relaxed) &&
                  atomic_load_explicit(&core->control->head.compacting, memory_order_relaxed) == 0))
        return 0;
    live = atomic_load_explicit(&block->bytes, memory_order_relaxed);
    all = atomic_load_explicit(&block->tail, memory_order_relaxed) - LX_HEADER_SIZE;
    dead = all > live ? all - live : 0;
    due = live > core->options.compact_floor ? live : core->options.compact_floor;
    if (dead / 3 <= due / 2 || !is_compacting(core))
        return 0;
    ns = bytes * (dead / 4 > due ? 125 : dead / 5 > due / 2 ? 31 : 8);
    return ns < BRAKE_MAX_NS ? ns : BRAKE_MAX_NS;
}

void lx_helper_consider(lx_core *core, const struct lx_control_block *block)
{
    if (LX_LIKELY(!lx_compaction_due(core, block, 1)) || core->options.flags & LXDB_NOAUTOCOMPACT ||
        atomic_load_explicit(&core->compact_wanted, memory_order_relaxed) ||
        atomic_load_explicit(&core->compacting, memory_order_relaxed) ||
        lx_now_coarse_ms() < atomic_load_explicit(&core->compact_retry_ms, memory_order_relaxed))
        return;
    atomic_store(&core->compact_wanted, true);
    if (!add(core))
        atomic_store(&core->compact_wanted, false); /* there is no thread to be had */
}

void lx_helper_forget(lx_core *core)
{
    bool last = false;
    lx_view *mine = NULL;

    atomic_store(&core->closing, true);
    pthread_mutex_lock(&lock);
    while (core->busy || freeing)
        pthread_cond_wait(&done, &lock);
    for (lx_core **at = &helped; *at != NULL; at = &(*at)->next_helped) {
        if (*at == core) {
            *at = core->next_helped;
            break;
        }
    }
    core->helped = false;
    for (lx_view **at = &retired; *at != NULL;) {
        lx_view *view = *at;

        if (view->retired_from != core) {
            at = &view->next_retired;
            continue;
        }
        *at = view->next_retired;
        view->next_retired = mine;
        mine = view;
    }
    if (running && !stopping && helped == NULL && retired == NULL) {
        last = true;
        stopping = true;
        pthread_cond_signal(&work);
    }
    pthread_mutex_unlock(&lock);
    if (last) {
        pthread_join(thread, NULL);
        pthread_mutex_lock(&lock);
        running = stopping = false;
        pthread_cond_broadcast(&done);
        pthread_mutex_unlock(&lock);
    }
    free_retired(mine);
}

void lx_helper_after_fork(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&work, NULL);
    pthread_cond_init(&done, NULL);
    running = stopping = freeing = false;
    for (lx_core *core = helped; core != NULL; core = core->next_helped) {
        core->helped = false;
        core->busy = false;
    }
    helped = NULL;
    retired = NULL;
}
