/* SPDX-License-Identifier: MIT */
/* Views: making, replacing, freeing them. See view.h. */
#include "engine/view.h"

#include "sys/ofd.h"

#include <stdlib.h>
#include <urcu-bp.h>

/* Opening a view races with compactions that switch the files; more switches than this in the time
 * of one opening mean that something else is wrong. */
#define OPEN_TRIES 1000

void lx_view_pin(lx_view *view)
{
    atomic_fetch_add_explicit(&view->pins, 1, memory_order_relaxed);
}

/* The last pin is gone: nobody can get another, since the view is not published. */
static void free_view(lx_core *core, lx_view *view)
{
    pthread_mutex_lock(&core->views_mutex);
    for (lx_view **at = &core->views; *at != NULL; at = &(*at)->next) {
        if (*at == view) {
            *at = view->next;
            break;
        }
    }
    pthread_mutex_unlock(&core->views_mutex);
    lx_index_close(&view->index);
    lx_log_close(&view->log);
    free(view);
}

void lx_view_unpin(lx_core *core, lx_view *view)
{
    /* acq_rel: what every pin's owner did with the mappings before they go */
    if (atomic_fetch_sub_explicit(&view->pins, 1, memory_order_acq_rel) == 1)
        free_view(core, view);
}

int lx_view_standing(const lx_core *core, const lx_view *view, struct lx_standing *ret_standing)
{
    const struct lx_control_block *block = view->block;
    struct lx_standing standing;

    if (block == NULL) {
        *ret_standing = (struct lx_standing){.tail = view->tail,
                                             .indexed = view->tail,
                                             .records = view->records,
                                             .bytes = view->bytes,
                                             .expiring = view->expiring};
        return LXDB_OK;
    }
    standing.base = atomic_load_explicit(&block->base, memory_order_relaxed);
    /* acquire: the bytes below the tail; pairs with the release in lx_commit_apply() */
    standing.tail = atomic_load_explicit(&block->tail, memory_order_acquire);
    /* acquire, and after the tail: the slots below it; pairs with the release in commit.c
     * conclude() */
    standing.indexed = atomic_load_explicit(&block->indexed, memory_order_acquire);
    standing.records = atomic_load_explicit(&block->records, memory_order_relaxed);
    standing.bytes = atomic_load_explicit(&block->bytes, memory_order_relaxed);
    standing.expiring = atomic_load_explicit(&block->expiring, memory_order_relaxed);
    /* acquire: the status bytes; pairs with the release in session.c agree_chunk() */
    standing.walkable = atomic_load_explicit(&block->agreed, memory_order_acquire) ==
                        LX_AGREED_UNDAMAGED;
    atomic_thread_fence(memory_order_acquire); /* the words before the generation */
    if (lx_control_generation(core->control) != view->generation)
        return LX_AGAIN;
    *ret_standing = standing;
    return LXDB_OK;
}

int lx_view_enter_slowly(lx_core *core, lx_view **ret_view)
{
    for (;;) {
        int rc = lx_core_refresh(core);

        if (rc == LXDB_OK && lx_view_enter_at_once(core, ret_view))
            return LXDB_OK;
        if (rc == LX_AGAIN) { /* a private core, looked after: its view is good for this call */
            _urcu_bp_read_lock();
            *ret_view = rcu_dereference(core->view);
            lx_tsan_acquire(&core->view);
            if (*ret_view != NULL)
                return LXDB_OK;
            lx_view_leave();
        } else if (rc != LXDB_OK) {
            return rc;
        }
    }
}

int lx_view_get(lx_core *core, lx_view **ret_view)
{
    int rc = lx_view_enter(core, ret_view);

    if (rc == LXDB_OK) {
        lx_view_pin(*ret_view);
        lx_view_leave();
    }
    return rc;
}

void lx_view_publish(lx_core *core, lx_view *view)
{
    lx_view *old = core->view;

    lx_tsan_release(&core->view);
    rcu_assign_pointer(core->view, view);
    if (old != NULL)
        lx_helper_retire(core, old);
}

void lx_view_grace_period(void)
{
    synchronize_rcu();
    lx_tsan_acquire(LX_VIEW_READ);
}

int lx_view_make(lx_core *core, uint64_t generation, lx_log *log, lx_index *index,
                 struct lx_control_block *block, lx_view **ret_view)
{
    lx_view *view = calloc(1, sizeof *view);

    if (view == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    view->generation = generation;
    view->log = *log;
    if (core->options.sync == LXDB_SYNC_FULL)
        view->log.by_pwrite = true;
    view->index = *index;
    view->block = block;
    view->control = block != NULL ? core->control : NULL;
    if (block != NULL && !core->readonly)
        view->index.dirty = &core->control->lock.dirty;
    atomic_init(&view->pins, 1);
    pthread_mutex_lock(&core->views_mutex);
    view->next = core->views;
    core->views = view;
    pthread_mutex_unlock(&core->views_mutex);
    *ret_view = view;
    return LXDB_OK;
}

/* Open a file by name, if it is the one expected: else LX_AGAIN. */
static int open_named(lx_core *core, const char *name, uint64_t dev, uint64_t ino, int *ret_fd)
{
    lx_file_info info;
    int fd;
    int rc = lx_file_open(core->place.dirfd, name, core->readonly ? LX_FILE_RDONLY : 0, 0, &fd);

    if (rc != LXDB_OK)
        return rc == LXDB_NOTFOUND ? LX_AGAIN : rc;
    rc = lx_file_info_get(fd, name, &info);
    if (rc == LXDB_OK && (info.id.dev != dev || info.id.ino != ino))
        rc = LX_AGAIN;
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        return rc;
    }
    *ret_fd = fd;
    return LXDB_OK;
}

/* The two files of a generation and its block. While a compaction's swap is recorded and not yet
 * published, the names may lead to the new files already. Nobody can commit before it is published,
 * so the new files say the same as the old ones, and serve as well: readers need not wait for a
 * compactor that was stopped there. */
static int open_files(lx_core *core, uint64_t generation, int ret_fds[2],
                      struct lx_control_block **ret_block)
{
    const struct lx_control_lock *lock = &core->control->lock;
    struct lx_control_block *block = lx_control_block(core->control, generation);
    int rc = open_named(core, core->place.name, block->data.dev, block->data.ino, &ret_fds[0]);

    if (rc == LXDB_OK)
        rc = open_named(core, core->index_name, block->index.dev, block->index.ino, &ret_fds[1]);
    *ret_block = block;
    /* acquire: the swap and the new block; pairs with the release in compact.c record_swap() */
    if (rc != LX_AGAIN ||
        atomic_load_explicit(&lock->dirty, memory_order_acquire) != LX_DIRTY_SWAP ||
        lock->swap_generation != generation + 1)
        return rc;
    lx_file_close(ret_fds[0]);
    ret_fds[0] = -1;
    rc = open_named(core, core->place.name, lock->swap_data_dev, lock->swap_data_ino, &ret_fds[0]);
    if (rc == LXDB_OK)
        rc = open_named(core, core->index_name, lock->swap_index_dev, lock->swap_index_ino,
                        &ret_fds[1]);
    if (rc == LX_AGAIN && ret_fds[0] >= 0)
        rc = open_named(core, core->compact_index_name, lock->swap_index_dev, lock->swap_index_ino,
                        &ret_fds[1]);
    *ret_block = lx_control_block(core->control, generation + 1);
    return rc;
}

static int open_generation(lx_core *core, uint64_t generation, lx_view **ret_view)
{
    struct lx_control_block *block;
    lx_log log = {.fd = -1};
    lx_index index = {.fd = -1};
    int fds[2] = {-1, -1};
    int rc = open_files(core, generation, fds, &block);

    if (rc == LXDB_OK)
        rc = lx_ofd_set(fds[0], LX_OFD_SHARED, LX_BYTE_DATA);
    /* Locked, then looked: who comes by another lock file finds the lock, or we miss ours. The lock
     * of a view that was left behind guards a file that has no name any more. */
    if (rc == LXDB_OK)
        rc = lx_core_check_lock_file(core);
    if (rc == LXDB_OK)
        rc = lx_log_open(fds[0], core->place.name, !core->readonly, &log);
    if (rc != LXDB_OK)
        goto out;
    fds[0] = -1;
    rc = lx_index_open(fds[1], core->index_name, !core->readonly, &index);
    if (rc == LXDB_VERSION) /* the control block, which is of this version, says that it is ours */
        rc = lx_fail(LXDB_CORRUPT,
                     "%s: the head of the index is damaged: close the database everywhere, then "
                     "open it again",
                     core->index_name);
    if (rc != LXDB_OK)
        goto out;
    fds[1] = -1;
    if (lx_control_generation(core->control) != generation)
        rc = LX_AGAIN;
    if (rc == LXDB_OK)
        rc = lx_view_make(core, generation, &log, &index, block, ret_view);
out:
    if (rc != LXDB_OK) {
        lx_index_close(&index);
        lx_log_close(&log);
        lx_file_close(fds[1]);
        lx_file_close(fds[0]);
    }
    return rc;
}

int lx_view_open(lx_core *core, lx_view **ret_view)
{
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        int rc = open_generation(core, lx_control_generation(core->control), ret_view);

        if (rc != LX_AGAIN)
            return rc;
        if (tries >= 10) /* names change in microseconds, unless their changer is interrupted */
            lx_sleep_ns(1000000);
    }
    return lx_fail(LXDB_CORRUPT,
                   "%s: the file was replaced while others have it open: close it everywhere, then "
                   "open it again",
                   core->place.path);
}

static int reopen(lx_core *core, const lx_view *old)
{
    lx_view *view;
    int rc = LXDB_OK;

    if (core->control == NULL)
        return lx_fail(LXDB_CORRUPT, "%s: the file has changed under a private reader",
                       core->place.path);
    pthread_mutex_lock(&core->mutex);
    if (core->view == old) { /* else another thread was quicker */
        rc = lx_view_open(core, &view);
        if (rc == LXDB_OK)
            lx_view_publish(core, view);
    }
    pthread_mutex_unlock(&core->mutex);
    return rc;
}

int lx_view_mend(lx_core *core, const lx_view *view, int rc)
{
    lx_limit limit = {core->options.busy_timeout_ms, 0};

    if (rc == LX_DAMAGED) {
        if (core->readonly)
            return LXDB_CORRUPT; /* its sentence says who can help */
        rc = LXDB_OK;
        if (lx_control_generation(core->control) == view->generation)
            rc = lx_compact(core, NULL, view->generation, true, &limit);
    } else if (rc == LX_AGAIN) {
        rc = reopen(core, view);
    } else {
        return rc;
    }
    return rc == LXDB_OK ? LX_AGAIN : rc;
}

void lx_view_close_all(lx_core *core)
{
    for (lx_view *view = core->views, *next; view != NULL; view = next) {
        next = view->next;
        lx_index_close(&view->index);
        lx_log_close(&view->log);
        free(view);
    }
    core->views = NULL;
    core->view = NULL;
}

void lx_view_forget_all(lx_core *core)
{
    lx_view *current = core->view;

    for (lx_view *view = core->views; view != NULL; view = view->next) {
        view->log.map.base = NULL;
        view->index.map.base = NULL;
    }
    core->views = NULL;
    core->view = NULL;
    if (current != NULL && atomic_fetch_sub(&current->pins, 1) == 1) {
        lx_index_close(&current->index);
        free(current);
    }
}

void lx_rcu_before_fork(void)
{
    urcu_bp_before_fork();
}

void lx_rcu_after_fork_parent(void)
{
    urcu_bp_after_fork_parent();
}

void lx_rcu_after_fork_child(void)
{
    urcu_bp_after_fork_child();
}
