/* SPDX-License-Identifier: MIT */
/*
 * After fork: the child has none of the mappings (they are MADV_DONTFORK) and must not keep the
 * descriptors, since both keep the parent's locks alive. Its handles attach afresh when they are
 * used.
 *
 * Every core of the process is in a list. fork() happens with the list and the descriptors locked,
 * so the child finds both consistent; whatever another thread was in the middle of in a core, the
 * child forgets.
 */
#include "engine/view.h"
#include "sys/fds.h"

#include <stdlib.h>

uint64_t lx_fork_epoch = 1;

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;
static lx_core **cores;
static size_t count, capacity;

static void prepare(void)
{
    pthread_mutex_lock(&list_lock);
    lx_rcu_before_fork();
    lx_fds_lock();
}

static void parent(void)
{
    lx_fds_unlock();
    lx_rcu_after_fork_parent();
    pthread_mutex_unlock(&list_lock);
}

static void child(void)
{
    lx_fds_close_inherited();
    lx_rcu_after_fork_child();
    pthread_mutex_init(&list_lock, NULL);
    lx_fork_epoch++;
    lx_helper_after_fork();
    for (size_t i = 0; i < count; i++) {
        lx_core *core = cores[i];

        pthread_mutex_init(&core->mutex, NULL);
        pthread_mutex_init(&core->views_mutex, NULL);
        lx_view_forget_all(core);
        atomic_store(&core->epoch, LX_EPOCH_NONE);
        core->control = NULL;
        atomic_store(&core->compacting, false); /* by a thread that is not here */
        atomic_store(&core->compact_wanted, false);
        atomic_store(&core->syncing, false);
        core->control_map = (lx_map){0};
        core->lock_fd = core->self.probe_fd = -1; /* the directory's stays: it holds no lock */
    }
}

static void setup(void)
{
    once_result = pthread_atfork(prepare, parent, child);
}

int lx_fork_setup(void)
{
    pthread_once(&once, setup);
    if (once_result != 0)
        return lx_fail(LXDB_NOMEM, "out of memory");
    return LXDB_OK;
}

int lx_fork_register(lx_core *core)
{
    int rc = LXDB_OK;

    pthread_mutex_lock(&list_lock);
    if (count == capacity) {
        size_t more = capacity ? 2 * capacity : 8;
        lx_core **bigger = realloc(cores, more * sizeof *cores);

        if (bigger == NULL) {
            rc = lx_fail(LXDB_NOMEM, "out of memory");
            goto out;
        }
        cores = bigger;
        capacity = more;
    }
    cores[count++] = core;
out:
    pthread_mutex_unlock(&list_lock);
    return rc;
}

void lx_fork_unregister(lx_core *core)
{
    pthread_mutex_lock(&list_lock);
    for (size_t i = 0; i < count; i++) {
        if (cores[i] == core) {
            cores[i] = cores[--count];
            break;
        }
    }
    pthread_mutex_unlock(&list_lock);
}
