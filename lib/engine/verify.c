/* SPDX-License-Identifier: MIT */
/*
 * Verify: the plan and the walk of a recovery, over a read-only mapping, with a private index, and
 * nothing changed.
 *
 * Beside a writer the committed part is judged: up to the tail that the control block names when
 * verify begins. A file that nobody has open is judged by its own watermark, like a recovery would.
 */
#include "engine/verify.h"

#include "engine/view.h"
#include "store/fill.h"

#include <stdlib.h>

void lx_report_fill(const lx_scan *scan, lxdb_report *ret_report)
{
    lxdb_report report = {0};

    report.crashed = scan->ordered;
    report.bad_watermark = scan->bad_watermark;
    report.file_size = scan->size;
    report.tail = scan->tail;
    report.watermark = scan->watermark;
    report.bytes_cut = scan->cut_bytes;
    report.bytes_damaged = scan->damaged_bytes;
    for (size_t i = 0; i < scan->damaged_count && i < LXDB_REPORT_RANGES; i++) {
        lxdb_range *range = &report.ranges[report.ranges_listed++];

        range->offset = scan->damaged[i].off;
        range->length = scan->damaged[i].len;
        range->kind = LXDB_RANGE_DAMAGED;
    }
    report.ranges_total = scan->damaged_count + (scan->cut_bytes != 0);
    if (scan->cut_bytes != 0 && report.ranges_listed < LXDB_REPORT_RANGES) {
        lxdb_range *range = &report.ranges[report.ranges_listed++];

        range->offset = scan->tail;
        range->length = scan->cut_bytes;
        range->kind = LXDB_RANGE_CUT;
    }
    report.time_ms = lx_wall_ms();
    *ret_report = report;
}

struct count {
    lx_index index;
    lx_fill fill;
    uint64_t dead, without_cause;
    uint64_t killed; /* born live and dead now */
};

static int count_retired(void *arg, const lx_found *found)
{
    struct count *count = arg;

    (void)found;
    count->dead++;
    return LXDB_OK;
}

static void count_begin(struct count *count, lx_log *log)
{
    count->index = (lx_index){.fd = -1};
    count->fill = (lx_fill){
        .index = &count->index, .log = log, .retire = count_retired, .arg = count};
    count->dead = count->without_cause = count->killed = 0;
}

/* Which records the rules leave alive. */
static int count_event(void *arg, const lx_scan_event *event)
{
    struct count *count = arg;
    const lx_record *record = &event->record;

    if (event->control.kind != LX_CONTROL_NONE)
        return LXDB_OK;
    if (event->effect != LX_EFFECT_PUT)
        count->dead++;
    count->killed += record->born == 1 && record->status == 0;
    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    if (event->effect == LX_EFFECT_DELETE)
        return lx_fill_remove(&count->fill, record->key, record->key_len);
    return lx_fill_put(&count->fill, record->key, record->key_len, event->slot,
                       record->off + record->len - event->slot, event->expiry_ms != 0);
}

static int count_all(struct count *count, const lx_scan *scan)
{
    int rc = lx_index_make(-1, "private index", scan->records, &count->index);

    if (rc == LXDB_OK)
        rc = lx_scan_walk(scan, LX_HEADER_SIZE, count_event, count);
    return rc == LXDB_OK ? lx_fill_flush(&count->fill) : rc;
}

/* Alive by the order of the log, which the index follows, and dead by the status byte. */
static int cause_event(void *arg, const lx_scan_event *event)
{
    struct count *count = arg;
    lx_found found;
    int rc;

    if (event->effect != LX_EFFECT_PUT || event->record.status != 0)
        return LXDB_OK;
    rc = lx_index_find(&count->index, count->fill.log, event->record.key, event->record.key_len,
                       lx_index_hash(&count->index, event->record.key, event->record.key_len),
                       &found);
    count->without_cause += rc == LXDB_OK && found.entry.off == event->slot;
    return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
}

int lx_index_by_order(lx_log *log, const lx_scan *scan, lx_index *ret_index)
{
    struct count count;
    lx_scan by_order = *scan;
    int rc;

    by_order.ordered = true;
    count_begin(&count, log);
    rc = count_all(&count, &by_order);
    if (rc == LXDB_OK)
        *ret_index = count.index;
    else
        lx_index_close(&count.index);
    return rc;
}

int lx_count_without_cause(lx_log *log, const lx_scan *scan, uint64_t *ret_count)
{
    struct count count;
    lx_scan by_order = *scan;
    int rc;

    by_order.ordered = true;
    count_begin(&count, log);
    rc = count_all(&count, &by_order);
    if (rc == LXDB_OK)
        rc = lx_scan_walk(&by_order, LX_HEADER_SIZE, cause_event, &count);
    if (rc == LXDB_OK)
        *ret_count = count.without_cause;
    lx_index_close(&count.index);
    return rc;
}

struct watch {
    const lxdb_progress *progress;
    uint64_t total;
};

static int stop(void *arg, uint64_t done)
{
    const struct watch *watch = arg;

    return watch->progress->report(watch->progress->arg, done, watch->total);
}

static int judge(lx_log *log, uint64_t committed, const lxdb_progress *progress,
                 lxdb_report *ret_report)
{
    bool watched = progress != NULL && progress->report != NULL;
    uint64_t size = committed != 0 ? committed : atomic_load(&log->length);
    struct watch watch = {progress, size};
    struct count count;
    lx_scan scan = {0};
    lxdb_report report;
    int rc;

    if (committed != 0)
        rc = lx_scan_plan_log(log->map.base, committed, watched ? stop : NULL, &watch, &scan);
    else
        rc = lx_scan_plan(log->map.base, size, watched ? stop : NULL, &watch, &scan);
    if (rc == LXDB_NOTDB)
        return lx_fail(rc, "%s: not-a-database: it does not start like an LXDB file", log->name);
    if (rc == LXDB_VERSION)
        return lx_fail(rc,
                       "%s: unsupported-version: written in a version of the format that is newer "
                       "than this library",
                       log->name);
    if (rc == LXDB_BUSY)
        return lx_fail(rc, "%s: called off", log->name);
    if (rc != LXDB_OK)
        return rc;
    count_begin(&count, log);
    rc = count_all(&count, &scan);
    /* beside a writer the cause of a kill may lie behind what is judged */
    if (rc == LXDB_OK && committed == 0 && scan.ordered)
        rc = lx_scan_walk(&scan, LX_HEADER_SIZE, cause_event, &count);
    else if (rc == LXDB_OK && committed == 0 && count.killed != 0)
        rc = lx_count_without_cause(log, &scan, &count.without_cause);
    if (rc == LXDB_OK) {
        lx_report_fill(&scan, &report);
        report.crashed = scan.ordered && committed == 0;
        report.records_live = count.fill.records;
        report.records_dead = count.dead;
        report.live_bytes = count.fill.bytes;
        report.dead_without_cause = count.without_cause;
        *ret_report = report;
        /* in a closed file a kill without a cause may be another program's way to delete */
        if (scan.damaged_count != 0 || scan.bad_watermark ||
            (scan.ordered ? count.without_cause : scan.cut_bytes) != 0)
            rc = lx_fail(
                LXDB_CORRUPT,
                "%s: %llu damaged ranges (%llu bytes), %llu bytes behind the end of the log, %llu "
                "records dead without a cause%s",
                log->name, (unsigned long long)scan.damaged_count,
                (unsigned long long)scan.damaged_bytes, (unsigned long long)scan.cut_bytes,
                (unsigned long long)count.without_cause,
                scan.bad_watermark ? ", a watermark that is none" : "");
    }
    lx_index_close(&count.index);
    lx_scan_free(&scan);
    return rc > 0 ? LXDB_CORRUPT : rc;
}

/* What is committed now. */
static int judge_shared(lx_core *core, lx_view *view, const lxdb_progress *progress,
                        lxdb_report *ret_report)
{
    struct lx_standing standing;
    int rc = lx_view_standing(core, view, &standing);

    if (rc == LXDB_OK)
        rc = lx_log_reach(&view->log, standing.indexed);
    rc = lx_view_mend(core, view, rc);
    if (rc != LXDB_OK)
        return rc;
    /* nothing was written to a file that is to be compacted first: it is judged as it lies there */
    return judge(&view->log, atomic_load(&view->block->unsteppable) ? 0 : standing.indexed,
                 progress, ret_report);
}

/* A file that nobody has open, and that nobody may open for writing meanwhile. */
static int judge_private(lx_core *core, lx_view *view, const lxdb_progress *progress,
                         lxdb_report *ret_report)
{
    lx_file_info info;
    int rc = lx_private_hold(core, view->log.fd, &info);

    if (rc == LXDB_OK) {
        if (lx_private_unchanged(&info, &core->seen))
            rc = judge(&view->log, 0, progress, ret_report);
        else
            rc = LX_AGAIN;
        lx_private_release(view->log.fd);
    }
    if (rc == LX_AGAIN) {
        atomic_store(&core->looked_ms, 0); /* let the next look see it */
        lx_sleep_ns(1000000);
    }
    return rc;
}

int lx_verify(const char *path, lxdb_report *ret_report, const lxdb_progress *progress)
{
    const lxdb_options options = {.size = sizeof options, .flags = LXDB_RDONLY | LXDB_ANYFS};
    lx_core *core;
    lx_view *view;
    int rc = lx_core_open(path, &options, &core);

    if (rc != LXDB_OK)
        return rc;
    do {
        rc = lx_view_get(core, &view);
        if (rc != LXDB_OK)
            break;
        rc = view->block != NULL ? judge_shared(core, view, progress, ret_report)
                                 : judge_private(core, view, progress, ret_report);
        lx_view_unpin(core, view);
    } while (rc == LX_AGAIN);
    (void)lx_core_close(core);
    return rc;
}
