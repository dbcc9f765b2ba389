/* SPDX-License-Identifier: MIT */
/*
 * What a scan believes. The rules are those of docs/format.md; format/skip.h has the one on damage.
 *
 * A plan goes through the log once, from record to record. What stops it is damage, and what damage
 * means depends on where it is:
 *
 *   closed                        skipped; if nothing can be believed behind it, it is the tail
 *   crashed, below the watermark  skipped, but never past the watermark
 *   crashed, at or beyond it      the tail
 *
 * INV-1  What is believed starts where a believed record ends, at 10, at the watermark, or where
 *        lx_skip_damage() says.
 * INV-2  [10, tail) is covered by records and damaged ranges, without gap or overlap, and a damaged
 *        range is followed by a record or by the tail.
 */
#include "format/scan.h"

#include "base/error.h"
#include "format/skip.h"

#include <stdlib.h>
#include <string.h>

#define STOP_EVERY (UINT64_C(4) << 20) /* bytes between questions whether to stop */
#define CREDIT_SHARE 16u               /* units of work for direct answers: one for so many bytes */
#define CREDIT_FLOOR 64u
#define CRC_BYTES 4u
#define FETCH_AHEAD 1024u /* bytes between a record and what is fetched meanwhile */

struct plan {
    lx_scan scan;
    lx_skip skip;
    lx_goal goal;   /* crashed: the boundary that the watermark stands for */
    size_t room;    /* in scan.damaged */
    uint64_t asked; /* where stop() was asked last */
};

/* The end of what is not zero in data[from, to); `from` if there is no such byte. */
static uint64_t end_of_nonzero(const uint8_t *data, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[4096];

    while (to - from >= sizeof zeros && memcmp(data + to - sizeof zeros, zeros, sizeof zeros) == 0)
        to -= sizeof zeros;
    while (to > from && data[to - 1] == 0)
        to--;
    return to;
}

static bool goes_on(struct plan *plan, uint64_t off)
{
    plan->skip.at = off;
    if (off - plan->asked >= STOP_EVERY) {
        plan->asked = off;
        if (plan->skip.stop != NULL && plan->skip.stop(plan->skip.arg, off) != 0)
            plan->skip.rc = LXDB_BUSY;
    }
    return plan->skip.rc == LXDB_OK;
}

static void add_damage(struct plan *plan, uint64_t off, uint64_t end)
{
    lx_scan *scan = &plan->scan;
    uint64_t at = off;

    if (scan->damaged_count == plan->room) {
        size_t room = plan->room ? 2 * plan->room : 16;
        lx_scan_range *damaged = realloc(scan->damaged, room * sizeof *damaged);

        if (damaged == NULL) {
            plan->skip.rc = LXDB_NOMEM;
            return;
        }
        scan->damaged = damaged;
        plan->room = room;
    }
    scan->damaged[scan->damaged_count++] = (lx_scan_range){.off = off, .len = end - off};
    scan->damaged_bytes += end - off;
    while (at < end && lx_skip_step(&plan->skip, at, end, &at))
        ;
    if (at != end)
        scan->unsteppable = true;
}

/* ---- A closed file --------------------------------------------------------------------------- */

/* The data ends where nothing but zeros follows, which may be some zeros later than at the last
 * other byte if the last CRC ends with zeros, or at the end of the file. */
static lx_goal end_of_data(const struct plan *plan, uint64_t nonzero)
{
    uint64_t size = plan->scan.size;

    return (lx_goal){
        .first = nonzero,
        .last = size - nonzero < CRC_BYTES ? size : nonzero + CRC_BYTES,
        .other = size,
    };
}

static void plan_closed(struct plan *plan)
{
    lx_scan *scan = &plan->scan;
    uint64_t off = LX_HEADER_SIZE;
    uint64_t nonzero = 0; /* end of what is not zero, once it is known */
    uint64_t next;
    lx_record record;

    for (; goes_on(plan, off); off = next) {
        if (lx_skip_whole(&plan->skip, off, &record)) {
            scan->records++;
            next = off + record.len;
            continue;
        }
        if (nonzero == 0) {
            lx_goal goal;

            nonzero = end_of_nonzero(scan->data, off, scan->size);
            goal = end_of_data(plan, nonzero);
            lx_skip_set_goal(&plan->skip, &goal);
        }
        if (off >= nonzero || !lx_skip_damage(&plan->skip, off, &next) || next >= nonzero)
            break;
        add_damage(plan, off, next);
    }
    scan->tail = off;
    scan->cut_bytes = nonzero > off ? nonzero - off : 0;
}

/* ---- A crashed session ----------------------------------------------------------------------- */

/* The place of the watermark when nothing leads there: known if it is exact; else the first whole
 * record at the places that it may mean, or the first of them. */
static uint64_t forced_boundary(struct plan *plan)
{
    lx_record record;

    for (uint64_t off = plan->goal.first; off <= plan->goal.last; off++)
        if (lx_skip_whole(&plan->skip, off, &record))
            return off;
    return plan->goal.first;
}

/* Everything below the watermark: what is no whole record is bit rot. False: the watermark is
 * inside a record, so it is no boundary. */
static bool plan_durable(struct plan *plan, uint64_t *ret_boundary)
{
    uint64_t off = LX_HEADER_SIZE;
    uint64_t next;
    lx_record record;

    for (; off < plan->goal.first && goes_on(plan, off); off = next) {
        if (lx_skip_whole(&plan->skip, off, &record)) {
            next = off + record.len;
            if (!plan->goal.loose && next > plan->goal.first)
                return false;
            plan->scan.records++;
            continue;
        }
        if (!lx_skip_damage(&plan->skip, off, &next))
            next = forced_boundary(plan);
        if (plan->skip.rc == LXDB_OK)
            add_damage(plan, off, next);
    }
    *ret_boundary = off;
    return true;
}

/* Whether `count` whole records fill exactly the `bytes` behind a GROUP. Groups inside are those of
 * single puts: their record must be inside too. */
static bool group_is_complete(struct plan *plan, uint64_t off, const lx_control *group)
{
    uint64_t left = group->bytes;
    uint64_t inner = 0; /* what the record behind an inner GROUP must measure */
    lx_record record;

    if (left > plan->scan.size - off)
        return false;
    for (uint32_t i = 0; i < group->count; i++) {
        lx_control control;

        if (!goes_on(plan, off) || !lx_skip_whole(&plan->skip, off, &record) || record.len > left)
            return false;
        if (inner != 0 && record.len != inner)
            return false;
        control = lx_control_parse(&record);
        if (control.kind == LX_CONTROL_GROUP && (inner != 0 || control.count != 1))
            return false;
        inner = control.kind == LX_CONTROL_GROUP ? control.bytes : 0;
        if (control.kind == LX_CONTROL_GROUP && inner == 0)
            return false;
        off += record.len;
        left -= record.len;
    }
    return left == 0 && inner == 0;
}

/* Everything at or beyond the watermark: the first damage and the first incomplete GROUP end it. */
static uint64_t plan_unflushed(struct plan *plan, uint64_t off)
{
    lx_record record;
    lx_control control;

    while (goes_on(plan, off) && lx_skip_whole(&plan->skip, off, &record)) {
        uint64_t end = off + record.len;

        control = lx_control_parse(&record);
        plan->scan.records++;
        if (control.kind == LX_CONTROL_GROUP) {
            if (!group_is_complete(plan, end, &control)) {
                plan->scan.records--;
                break;
            }
            plan->scan.records += control.count;
            end += control.bytes;
        }
        off = end;
    }
    return off;
}

/* False: the watermark cannot be believed. */
static bool plan_crashed(struct plan *plan, uint64_t spread)
{
    lx_scan *scan = &plan->scan;
    uint64_t value = scan->watermark;
    uint64_t nonzero;

    if (value < LX_HEADER_SIZE || value > scan->size)
        return false;
    plan->goal = (lx_goal){
        .first = value,
        .last = spread < scan->size - value ? value + spread : scan->size,
        .other = value,
        .loose = spread != 0,
    };
    lx_skip_set_goal(&plan->skip, &plan->goal);
    if (!plan_durable(plan, &scan->tail))
        return false;
    scan->tail = plan_unflushed(plan, scan->tail);
    scan->ordered = true;
    nonzero = end_of_nonzero(scan->data, scan->tail, scan->size);
    scan->cut_bytes = nonzero - scan->tail;
    return true;
}

/* ---- Plan ------------------------------------------------------------------------------------ */

static void begin(struct plan *plan, const struct plan *start, uint64_t credit)
{
    lx_skip_free(&plan->skip);
    lx_scan_free(&plan->scan);
    *plan = *start;
    lx_skip_init(&plan->skip, start->scan.data, start->scan.size, credit);
    plan->skip.stop = start->skip.stop;
    plan->skip.arg = start->skip.arg;
}

static int make_plan(const uint8_t *data, uint64_t size, bool committed, uint64_t credit,
                     int (*stop)(void *arg, uint64_t done), void *arg, lx_scan *ret_scan)
{
    struct plan plan = {.scan = {0}};
    const struct plan start = {
        .scan = {.data = data, .size = size, .tail = LX_HEADER_SIZE},
        .skip = {.stop = stop, .arg = arg},
    };
    uint64_t work = 0, value, spread;
    uint32_t watermark;
    bool blank;
    int rc = lx_header_decode(data, size, &blank, &watermark);

    if (rc != LXDB_OK)
        return rc;
    value = committed ? size : lx_watermark_value(watermark);
    spread = committed ? 0 : (UINT64_C(1) << (watermark >> LX_WATERMARK_SHIFT_AT)) - 1;
    begin(&plan, &start, credit);
    plan.scan.blank = blank;
    plan.scan.watermark = value;
    if (!blank && (committed || watermark != 0) && !plan_crashed(&plan, spread)) {
        work = plan.skip.work;
        begin(&plan, &start, credit);
        plan.scan.watermark = value;
        plan.scan.bad_watermark = true;
    }
    if (!blank && !plan.scan.ordered)
        plan_closed(&plan);
    rc = plan.skip.rc;
    plan.scan.work = work + plan.skip.work;
    lx_skip_free(&plan.skip);
    if (rc == LXDB_OK)
        *ret_scan = plan.scan;
    else
        lx_scan_free(&plan.scan);
    return rc;
}

int lx_scan_plan_credit(const uint8_t *data, uint64_t size, uint64_t credit,
                        int (*stop)(void *arg, uint64_t done), void *arg, lx_scan *ret_scan)
{
    return make_plan(data, size, false, credit, stop, arg, ret_scan);
}

int lx_scan_plan(const uint8_t *data, uint64_t size, int (*stop)(void *arg, uint64_t done),
                 void *arg, lx_scan *ret_scan)
{
    return make_plan(data, size, false, CREDIT_FLOOR + size / CREDIT_SHARE, stop, arg, ret_scan);
}

int lx_scan_plan_log(const uint8_t *data, uint64_t end, int (*stop)(void *arg, uint64_t done),
                     void *arg, lx_scan *ret_scan)
{
    return make_plan(data, end, true, CREDIT_FLOOR + end / CREDIT_SHARE, stop, arg, ret_scan);
}

void lx_scan_free(lx_scan *scan)
{
    free(scan->damaged);
    scan->damaged = NULL;
    scan->damaged_count = 0;
}

/* ---- Walk ------------------------------------------------------------------------------------ */

/* A GROUP of one, until it is known what stands behind it. */
struct single {
    uint64_t off, end, bytes;
    int64_t expiry_ms;
};

static enum lx_effect effect_of(const lx_scan *scan, const lx_scan_event *event)
{
    const lx_record *record = &event->record;

    if (lx_record_is_marker(record))
        return LX_EFFECT_DELETE;
    return (scan->ordered ? record->born : record->status) == 1 ? LX_EFFECT_PUT : LX_EFFECT_NONE;
}

static void fill_event(const lx_scan *scan, struct single *single, lx_scan_event *event)
{
    const lx_record *record = &event->record;

    event->control = lx_control_parse(record);
    event->effect = effect_of(scan, event);
    event->slot = record->off;
    event->expiry_ms = 0;
    if (single->expiry_ms != 0 && single->end == record->off && single->bytes == record->len) {
        event->slot = single->off;
        event->expiry_ms = single->expiry_ms;
    }
    single->expiry_ms = 0;
    if (event->control.kind == LX_CONTROL_GROUP && event->control.count == 1)
        *single = (struct single){.off = record->off,
                                  .end = record->off + record->len,
                                  .bytes = event->control.bytes,
                                  .expiry_ms = event->control.expiry_ms};
}

int lx_scan_walk(const lx_scan *scan, uint64_t from,
                 int (*each)(void *arg, const lx_scan_event *event), void *arg)
{
    struct single single = {0};
    uint64_t off = from;
    size_t range = 0;

    while (range < scan->damaged_count && scan->damaged[range].off < off)
        range++;
    while (off < scan->tail) {
        lx_scan_event event;
        lx_record *record = &event.record;

        if (range < scan->damaged_count && scan->damaged[range].off == off) {
            off += scan->damaged[range++].len;
            continue;
        }
        if (!lx_record_parse(scan->data, scan->tail, off, record))
            return lx_fail(LXDB_CORRUPT, "the record at offset %llu changed while it was read",
                           (unsigned long long)off);
        if (scan->tail - off > FETCH_AHEAD + 64) { /* two lines: most records have as many */
            __builtin_prefetch(scan->data + off + FETCH_AHEAD);
            __builtin_prefetch(scan->data + off + FETCH_AHEAD + 64);
        }
        record->born = record->status;
        if (record->status == 0 && !lx_record_check(scan->data, record))
            return lx_fail(LXDB_CORRUPT, "the record at offset %llu changed while it was read",
                           (unsigned long long)off);
        fill_event(scan, &single, &event);
        int rc = each(arg, &event);
        if (rc != LXDB_OK)
            return rc;
        off += record->len;
    }
    return LXDB_OK;
}
