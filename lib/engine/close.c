/* SPDX-License-Identifier: MIT */
/*
 * Closing. The last to close, of all processes, makes the clean close, behind the gate and alone:
 *
 *   0  compact a file with damage that must not be closed (recover.c)
 *   1  sync the data file                     a death before 2: a crashed file that needs nothing
 *   2  watermark := 0, cut the padding, sync  in between: closed or crashed, the same records
 *   3  seal the index for the file as it is now, or remove both helper files
 *
 * After a failed sync there is no clean close: the lock file stays, and keeps the poison.
 */
#include "engine/batch.h"
#include "engine/stat.h"
#include "engine/view.h"
#include "format/header.h"
#include "sys/ofd.h"

/* Rebuilding an index costs about this much a record and a byte; one that takes longer than KEEP_NS
 * is kept. */
#define REBUILD_NS_RECORD 60u
#define REBUILD_BYTES_NS 6u
#define KEEP_NS 20000000u

static bool worth_keeping(const lx_core *core, const struct lx_control_block *block)
{
    uint64_t records = atomic_load(&block->records);
    uint64_t tail = atomic_load(&block->tail);

    if (core->options.helpers != LXDB_HELPERS_AUTO)
        return core->options.helpers == LXDB_HELPERS_KEEP;
    return records * REBUILD_NS_RECORD + tail / REBUILD_BYTES_NS > KEEP_NS;
}

/* Offset and CRC of the record that ends the log, by which a kept index knows its file. */
static bool last_record(const lx_view *view, struct lx_index_seal *seal)
{
    uint64_t tail = atomic_load(&view->block->tail);
    uint64_t last = atomic_load(&view->block->last);
    lx_record record;

    if (tail == LX_HEADER_SIZE)
        return true;
    if (last == 0 || !lx_record_parse(view->log.map.base, tail, last, &record) ||
        record.off + record.len != tail)
        return false;
    seal->last_off = last;
    seal->last_crc = record.crc;
    return true;
}

static int close_session(lx_core *core, lx_view *view, bool cut)
{
    struct lx_control_block *block = view->block;
    uint64_t tail = atomic_load(&block->tail);
    int rc = lx_log_sync(&view->log);

    if (rc != LXDB_OK) {
        lx_poison_set(core->control);
        return rc;
    }
    lx_step("close-synced");
    rc = lx_log_set_watermark(&view->log, 0);
    lx_step("close-unmarked");
    if (rc == LXDB_OK && cut)
        rc = lx_file_truncate(view->log.fd, core->place.path, tail);
    lx_step("close-cut");
    if (rc == LXDB_OK)
        rc = lx_log_sync(&view->log);
    if (rc != LXDB_OK) {
        lx_poison_set(core->control);
        return rc;
    }
    atomic_store(&block->session, 0);
    if (cut)
        atomic_store(&block->allocated, tail);
    return LXDB_OK;
}

static int seal_or_remove(lx_core *core, lx_view *view)
{
    const struct lx_control_block *block = view->block;
    struct lx_index_seal seal = {0};
    lx_file_info info;
    int rc;

    /* nobody attaches to this control block any more */
    atomic_store_explicit(&core->control->head.ready, 0, memory_order_release);
    if (worth_keeping(core, block) && last_record(view, &seal)) {
        rc = lx_file_info_get(view->log.fd, core->place.path, &info);
        if (rc != LXDB_OK)
            return rc;
        seal.data = info.id;
        seal.data_size = info.size;
        seal.data_change_ns = info.change_ns;
        seal.records = atomic_load(&block->records);
        seal.bytes = atomic_load(&block->bytes);
        seal.expiring = atomic_load(&block->expiring);
        seal.agreed = atomic_load(&block->agreed);
        rc = lx_index_seal(&view->index, &seal);
        if (rc == LXDB_OK)
            return rc;
    } /* an index that cannot be kept is removed */
    rc = lx_file_remove(core->place.dirfd, core->index_name);
    if (rc == LXDB_OK)
        rc = lx_file_remove(core->place.dirfd, core->lock_name);
    return rc;
}

/* Have the file in force for ourselves, so that no private reader scans it while it is cut; the one
 * of an older view is not enough. If somebody has it, we are not alone. */
static int hold_data(lx_core *core, const lx_view *view, bool *alone)
{
    int rc;

    if (!*alone)
        return LXDB_OK;
    lx_helper_forget(core); /* a view that was just replaced would be in our own way */
    rc = lx_ofd_set(view->log.fd, LX_OFD_EXCLUSIVE, LX_BYTE_DATA);
    if (rc != LXDB_BUSY)
        return rc;
    *alone = false;
    return LXDB_OK;
}

/* Behind the gate, and no other handle may write: repair what the dead have left, and end the
 * session. `alone`: not even a reader is attached, so that the file may be cut and the helper files
 * sealed or removed. */
static int close_last(lx_core *core, bool alone)
{
    struct lx_control_head *head = &core->control->head;
    lx_view *view;
    bool marked, ends;
    int rc;

    if (atomic_load(&core->control->lock.dirty) != LX_CLEAN) { /* somebody died in the middle */
        lx_writer writer = lx_writer_of(core);

        rc = lx_writer_enter(&writer, LX_TASK_REPAIR, LX_FOR_LOOK);
        if (rc != LXDB_OK)
            return rc;
        (void)lx_writer_leave(&writer, LXDB_OK);
    }
    rc = lx_view_get(core, &view);
    if (rc != LXDB_OK)
        return rc;
    /* a watermark without a session: somebody died between the two */
    marked = lx_get32(view->log.map.base + LX_WATERMARK_OFFSET) != 0;
    ends = atomic_load(&head->poison) == 0 && (marked || atomic_load(&view->block->session));
    if (ends) {
        if (atomic_load(&view->block->session) && atomic_load(&view->block->expiring) != 0)
            rc = lx_purge_expired(core);
        lx_view_unpin(core, view);
        if (rc == LXDB_OK)
            rc = lx_view_get(core, &view); /* of the generation in force, and mapped far enough */
        if (rc != LXDB_OK)
            return rc;
    }
    if (ends && atomic_load(&view->block->unsteppable)) {
        lx_limit limit = {core->options.busy_timeout_ms, 0};

        /* What is damage in a crashed file need not be in a closed one, which has another end. If
         * it cannot be left behind, the file stays crashed. */
        ends = lx_compact(core, NULL, 0, true, &limit) == LXDB_OK;
        lx_view_unpin(core, view);
        rc = lx_view_get(core, &view);
        if (rc != LXDB_OK)
            return rc;
    }
    rc = hold_data(core, view, &alone);
    if (rc == LXDB_OK)
        rc = ends ? close_session(core, view, alone)
                  : lx_poison_check(core->control, core->place.path);
    if (rc == LXDB_OK && alone) { /* a compactor that died may have left its files */
        rc = lx_file_remove(core->place.dirfd, core->compact_name);
        if (rc == LXDB_OK)
            rc = lx_file_remove(core->place.dirfd, core->compact_index_name);
        if (rc == LXDB_OK)
            rc = seal_or_remove(core, view);
    }
    lx_view_unpin(core, view);
    return rc;
}

/* Leave a crowd, or turn off the light. */
static int leave(lx_core *core)
{
    bool writers;
    uint64_t at;
    int rc = lx_core_gate(core, lx_core_deadline(core));

    if (rc != LXDB_OK || core->view == NULL)
        return rc;
    rc = lx_ofd_set(core->lock_fd, LX_OFD_EXCLUSIVE, LX_BYTE_PRESENCE);
    if (rc != LXDB_BUSY)
        return rc == LXDB_OK ? close_last(core, true) : rc;
    /* Others are attached. Handles that may write hold an identity; this descriptor does not see
     * its own. */
    rc = lx_ofd_query(core->lock_fd, LX_BYTE_IDENTITY, 0, &writers, &at);
    return rc == LXDB_OK && !writers ? close_last(core, false) : rc;
}

int lx_core_close(lx_core *core)
{
    int state, rc = LXDB_OK;

    if (atomic_fetch_sub(&core->refs, 1) != 1)
        return LXDB_OK;
    state = lx_cancel_off();
    lx_helper_forget(core);
    if (atomic_load(&core->epoch) == lx_fork_epoch && !core->readonly) {
        const lx_view *view = core->view;

        /* A short-lived process leaves a compaction to those who stay, unless it is overdue. */
        if (view != NULL && atomic_load(&core->wrote) &&
            !(core->options.flags & LXDB_NOAUTOCOMPACT) &&
            lx_compaction_due(core, view->block, 4)) {
            lx_limit limit = {core->options.busy_timeout_ms, 0};
            (void)lx_compact(core, NULL, 0, false, &limit);
        }
        if (core->options.sync == LXDB_SYNC_INTERVAL && atomic_load(&core->wrote)) {
            /* nobody may be left who watches the time */
            lx_limit limit = {UINT32_MAX, 0};
            uint64_t position;

            rc = lx_position(core, &position);
            if (rc == LXDB_OK)
                rc = lx_wait_durable(core, position, &limit);
        }
        rc = rc == LXDB_OK ? leave(core) : rc;
        lx_helper_forget(core); /* what the last steps retired */
    }
    lx_core_detach(core);
    lx_batch_forget_spare(core);
    lx_core_free(core);
    lx_cancel_restore(state);
    return rc;
}
