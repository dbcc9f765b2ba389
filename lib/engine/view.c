/* SPDX-License-Identifier: MIT */
/* Views: making, replacing, freeing them. See view.h. */
#include "engine/view.h"

#include "sys/ofd.h"

#include <stdlib.h>
#include <urcu-bp.h>

/* Opening a view races with compactions that switch the files; more switches than this in the time of one
 * opening mean that something else is wrong. */
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

    rcu_assign_pointer(core->view, view);
    if (old != NULL)
        lx_helper_retire(core, old);
}

void lx_view_grace_period(void)
{
    synchronize_rcu();
}

int lx_view_make(lx_core *core, uint64_t generation, lx_log *log, lx_index *index,
                 struct lx_control_block *block, lx_view **ret_view)
{
    lx_view *view = calloc(1, sizeof *view);

    if (view == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    view->generation = generation;
    view->log = *log;
    view->index = *index;
    view->block = block;
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

/* Open one of the two files, and see that it is the one that the block names. */
static int open_named(lx_core *core, const char *name, const lx_file_id *expected, int *ret_fd)
{
    lx_file_info info;
    int fd;
    int rc = lx_file_open(core->place.dirfd, name, core->readonly ? LX_FILE_RDONLY : 0, 0, &fd);

    if (rc != LXDB_OK)
        return rc;
    rc = lx_file_info_get(fd, name, &info);
    if (rc == LXDB_OK && !lx_file_id_equal(&info.id, expected))
        rc = LX_AGAIN;
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        return rc;
    }
    *ret_fd = fd;
    return LXDB_OK;
}

static int open_generation(lx_core *core, uint64_t generation, lx_view **ret_view)
{
    struct lx_control_block *block = lx_control_block(core->control, generation);
    lx_file_id data_id = block->data, index_id = block->index;
    lx_log log = {.fd = -1};
    lx_index index = {.fd = -1};
    int data_fd = -1, index_fd = -1;
    int rc;

    if (lx_control_generation(core->control) != generation)
        return LX_AGAIN;
    rc = open_named(core, core->place.name, &data_id, &data_fd);
    if (rc == LXDB_OK)
        rc = open_named(core, core->index_name, &index_id, &index_fd);
    if (rc == LXDB_OK)
        rc = lx_ofd_set(data_fd, LX_OFD_SHARED, LX_BYTE_DATA);
    if (rc != LXDB_OK)
        goto out;
    rc = lx_log_open(data_fd, core->place.name, !core->readonly, &log);
    if (rc != LXDB_OK)
        goto out;
    data_fd = -1;
    rc = lx_index_open(index_fd, core->index_name, !core->readonly, &index);
    if (rc != LXDB_OK)
        goto out;
    index_fd = -1;
    if (lx_control_generation(core->control) != generation)
        rc = LX_AGAIN;
    if (rc == LXDB_OK)
        rc = lx_view_make(core, generation, &log, &index, block, ret_view);
out:
    if (rc != LXDB_OK) {
        lx_index_close(&index);
        lx_log_close(&log);
        lx_file_close(index_fd);
        lx_file_close(data_fd);
    }
    return rc;
}

int lx_view_open(lx_core *core, lx_view **ret_view)
{
    int rc = LX_AGAIN;

    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        uint64_t generation = lx_control_generation(core->control);

        rc = open_generation(core, generation, ret_view);
        if (rc == LXDB_OK)
            return rc;
        /* Between the two renames of a compaction the names and the block disagree: soon they do not. But a
         * compaction that died there must be finished first, by whoever takes the writer lock. */
        if (rc != LX_AGAIN && rc != LXDB_NOTFOUND)
            return rc;
        if (!core->readonly && tries >= 10 &&
            atomic_load_explicit(&core->control->lock.dirty, memory_order_relaxed) ==
                LX_DIRTY_SWAP) {
            lx_limit limit = {core->options.busy_timeout_ms, 0};
            bool dirty;
            int taken = lx_lock_take(&core->control->lock, &core->self, LX_TASK_REPAIR, &limit,
                                     &dirty);
            if (taken != LXDB_OK)
                return taken;
            taken = lx_compact_roll_forward(core, &core->control->lock);
            lx_lock_release(&core->control->lock);
            if (taken != LXDB_OK)
                return taken;
        } else if (tries >= 10) {
            lx_sleep_ns(1000000);
        }
    }
    if (rc == LX_AGAIN)
        return lx_fail(LXDB_CORRUPT,
                       "%s: the file was replaced while others have it open: close it everywhere, "
                       "then open it again",
                       core->place.path);
    return rc;
}

int lx_view_enlarge(lx_core *core, const lx_view *small)
{
    lx_view *view;
    int rc = LXDB_OK;

    if (core->control == NULL)
        return lx_fail(LXDB_CORRUPT, "%s: the file has changed under a private reader",
                       core->place.path);
    pthread_mutex_lock(&core->mutex);
    if (core->view == small) { /* else another thread was quicker */
        rc = lx_view_open(core, &view);
        if (rc == LXDB_OK)
            lx_view_publish(core, view);
    }
    pthread_mutex_unlock(&core->mutex);
    return rc;
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
