/* SPDX-License-Identifier: MIT */
/* Figures about a database. */
#include "engine/stat.h"

#include "engine/view.h"
#include "sys/ofd.h"

#include <string.h>

/* Every attached handle that may write holds one byte at or beyond LX_BYTE_IDENTITY. The probe
 * descriptor sees them all, one after the other: the kernel reports one lock of a range, not always
 * the first, so the range is halved around what it reports. */
static uint64_t count_locks(int fd, uint64_t from, uint64_t to)
{
    uint64_t at;
    bool held;

    if (from >= to || lx_ofd_query(fd, from, to - from, &held, &at) != LXDB_OK || !held ||
        at < from || at >= to)
        return 0;
    return 1 + count_locks(fd, from, at) + count_locks(fd, at + 1, to);
}

static uint64_t file_size(int fd, const char *name)
{
    lx_file_info info;

    return fd >= 0 && lx_file_info_get(fd, name, &info) == LXDB_OK ? info.size : 0;
}

static void from_control(const lx_core *core, const struct lx_control_block *block,
                         lxdb_stat_info *info)
{
    struct lx_control_file *file = core->control;
    lx_lock_holder holder;

    info->durable = atomic_load(&block->durable);
    info->commits = atomic_load(&block->commits);
    info->syncs = atomic_load(&block->syncs);
    info->recoveries = atomic_load(&file->head.recoveries);
    info->compactions = atomic_load(&file->head.compactions);
    info->sync_errno = atomic_load(&file->head.poison);
    info->handles = count_locks(core->readonly ? core->lock_fd : core->self.probe_fd,
                                LX_BYTE_IDENTITY, (uint64_t)1 << 62);
    lx_lock_holder_get(&file->lock, &holder);
    info->lock_pid = holder.pid;
    info->lock_age_ms = holder.age_ms;
    memcpy(info->lock_command, holder.command, sizeof info->lock_command);
}

static int fill(lx_core *core, lx_view *view, lxdb_stat_info *info)
{
    struct lx_standing standing;
    uint64_t all;

    if (view->block != NULL)
        from_control(core, view->block, info);
    int rc = lx_view_standing(
        core, view, &standing); /* last: then the block was this generation's all the while */
    if (rc != LXDB_OK)
        return rc;
    all = standing.tail - LX_HEADER_SIZE;
    info->records = standing.records;
    info->live_bytes = standing.bytes;
    info->dead_bytes = all > standing.bytes ? all - standing.bytes : 0;
    info->position = standing.base + standing.tail;
    if (view->block == NULL)
        info->durable = info->position; /* what a reader alone finds in the file */
    info->generation = view->generation;
    info->data_size = file_size(view->log.fd, core->place.path);
    info->index_size = file_size(view->index.fd, core->index_name);
    lx_index_load(&view->index, &info->index_slots, &info->index_used);
    return LXDB_OK;
}

int lx_stat(lx_core *core, lxdb_stat_info *ret_info)
{
    lxdb_stat_info info;
    int rc;

    do {
        lx_view *view;

        rc = lx_view_get(core, &view);
        if (rc != LXDB_OK)
            return rc;
        info = (lxdb_stat_info){0};
        rc = fill(core, view, &info);
        lx_view_unpin(core, view);
    } while (rc == LX_AGAIN);
    if (rc == LXDB_OK)
        *ret_info = info;
    return rc;
}

static int standing_now(lx_core *core, struct lx_standing *ret_standing)
{
    int rc;

    do {
        lx_view *view;

        rc = lx_view_enter(core, &view);
        if (rc != LXDB_OK)
            return rc;
        rc = lx_view_standing(core, view, ret_standing);
        lx_view_leave();
    } while (rc == LX_AGAIN);
    return rc;
}

int lx_count(lx_core *core, uint64_t *ret_count, bool *ret_exact)
{
    struct lx_standing standing;
    int rc = standing_now(core, &standing);

    if (rc == LXDB_OK) {
        *ret_count = standing.records;
        *ret_exact = standing.expiring == 0;
    }
    return rc;
}

int lx_position(lx_core *core, uint64_t *ret_position)
{
    struct lx_standing standing;
    int rc = standing_now(core, &standing);

    if (rc == LXDB_OK)
        *ret_position = standing.base + standing.tail;
    return rc;
}

int lx_receipt(lx_core *core, lxdb_report *ret_report)
{
    lx_view *view;
    int rc = lx_view_get(core, &view);

    if (rc != LXDB_OK)
        return rc;
    if (view->block == NULL) {
        if (view->receipt.time_ms == 0)
            rc = lx_answer(LXDB_NOTFOUND);
        else
            *ret_report = view->receipt;
    } else if (!lx_control_receipt_load(core->control, ret_report)) {
        rc = lx_answer(LXDB_NOTFOUND);
    }
    lx_view_unpin(core, view);
    return rc;
}
