/* SPDX-License-Identifier: MIT */
/*
 * The state of one instant, without a lock and without stopping anybody.
 *
 *   1  I0 := indexed
 *   2  collect what is alive below I0. What was committed since is left out, and the versions that
 *      it replaced may be missing
 *   3  the cut T := tail; if indexed < T, the commit at `indexed` counts only if it is visible in
 *      the index already, else T := indexed
 *   4  replay [I0, T) over the collection: what it changed is taken out, what it put is added
 *
 * Sorted, the offsets are the order of last write. A record that was collected and then replaced
 * keeps its bytes: within a generation nothing is overwritten, and the view is pinned.
 *
 * Step 2 walks the log, record by record, and takes what its status byte calls alive, if the log
 * has no damage, its status bytes are known to agree with its order, and not too much of it is
 * dead: that is several times faster than the other way, and has the order. If too much of the
 * whole log is dead, the part from the oldest record on that the index leads to may do. A commit
 * kills what it replaces before it is visible in the index, so in step 3 the versions that the
 * index still has of its keys are added: they may have been passed over as dead. A walk that does
 * not find as many records as are counted was led astray, and the other way is taken.
 *
 * Else it copies every slot of the index that leads below I0. A get compares the key of what a slot
 * leads to. Here the tag of the slot is compared with the hash of that key, so that a damaged slot
 * gives a code and not whatever it leads to; and a version that is dead must not have been replaced
 * before the cut.
 */
#include "engine/view.h"
#include "format/header.h"

#include <stdlib.h>
#include <string.h>

/* So much of the log is walked at most: WALK_TIMES its live bytes, and WALK_ANYWAY. */
#define WALK_TIMES 4u
#define WALK_ANYWAY (UINT64_C(16) << 10)
#define AHEAD 8u

static int more_slots(lx_cut *cut, size_t capacity)
{
    uint64_t *bigger = realloc(cut->slots, capacity * sizeof *bigger);

    if (bigger == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    cut->slots = bigger;
    cut->capacity = capacity;
    return LXDB_OK;
}

static inline int add_slot(void *arg, uint64_t off, uint16_t tag)
{
    lx_cut *cut = arg;

    if (LX_UNLIKELY(cut->count == cut->capacity)) {
        int rc = more_slots(cut, cut->capacity ? 2 * cut->capacity : 256);

        if (rc != LXDB_OK)
            return rc;
    }
    cut->slots[cut->count++] = (uint64_t)tag << LX_SLOT_OFFSET_BITS | off;
    return LXDB_OK;
}

static uint64_t offset_of(uint64_t slot)
{
    return slot & LX_SLOT_OFFSET_MASK;
}

/* Whether an entry that is dead by now was so at the cut: a later version of its key was there. */
static bool is_outdated(const lx_cut *cut, const lx_entry *entry, uint64_t hash)
{
    lx_view *view = cut->view;
    lx_found found;

    return view->block != NULL && lx_log_is_dead(&view->log, entry) &&
           lx_index_find(&view->index, &view->log, entry->key, entry->key_len, hash, &found) ==
               LXDB_OK &&
           found.entry.off > entry->off && found.entry.off < cut->end;
}

int lx_cut_entry(const lx_cut *cut, size_t i, lx_entry *ret_entry)
{
    lx_view *view = cut->view;
    uint64_t slot = cut->slots[i], hash;
    lx_entry entry;
    int rc = lx_log_look(&view->log, offset_of(slot), &entry);

    if (rc == LXDB_OK && !cut->walked) {
        hash = lx_index_hash(&view->index, entry.key, entry.key_len);
        if ((hash ^ slot) >> LX_SLOT_OFFSET_BITS != 0 || is_outdated(cut, &entry, hash))
            rc = LXDB_CORRUPT;
    }
    if (rc == LXDB_CORRUPT || rc == LX_AGAIN) /* beyond what is mapped is beyond the cut */
        return lx_fail(LXDB_CORRUPT,
                       "%s: the index is damaged (a slot leads to no record of its key at offset "
                       "%llu): a compaction makes a new one",
                       cut->core->place.path, (unsigned long long)offset_of(slot));
    if (rc == LXDB_OK)
        *ret_entry = entry;
    return rc;
}

void lx_cut_prefetch(const lx_cut *cut, size_t i)
{
    lx_log_prefetch(&cut->view->log, offset_of(cut->slots[i]));
}

/* By offset, with as many passes as the largest offset has 11-bit digits. */
static int sort_slots(lx_cut *cut)
{
    uint64_t max = 0, *from = cut->slots, *to;

    if (cut->count < 2)
        return LXDB_OK;
    to = malloc(cut->capacity * sizeof *to);
    if (to == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    for (size_t i = 0; i < cut->count; i++)
        max = offset_of(from[i]) > max ? offset_of(from[i]) : max;
    for (unsigned shift = 0; shift < 48 && max >> shift != 0; shift += 11) {
        size_t starts[2048] = {0}, sum = 0;
        uint64_t *swap = from;

        for (size_t i = 0; i < cut->count; i++)
            starts[(offset_of(from[i]) >> shift) & 2047]++;
        for (size_t i = 0; i < 2048; i++) {
            size_t n = starts[i];
            starts[i] = sum;
            sum += n;
        }
        for (size_t i = 0; i < cut->count; i++)
            to[starts[(offset_of(from[i]) >> shift) & 2047]++] = from[i];
        from = to;
        to = swap;
    }
    cut->slots = from;
    free(to);
    return LXDB_OK;
}

static void drop_repeats(lx_cut *cut)
{
    size_t kept = 0;

    for (size_t i = 0; i < cut->count; i++)
        if (i == 0 || offset_of(cut->slots[i]) != offset_of(cut->slots[i - 1]))
            cut->slots[kept++] = cut->slots[i];
    cut->count = kept;
}

/* ---- replay over a copy ---------------------------------------------------------------------- */

/* The keys that a stretch of the log changed, each with its last record there, in an index of their
 * own. */
struct changed {
    lx_log *log;
    lx_index last;
    uint64_t count;
};

static int note_changed(void *arg, const lx_scan_event *event)
{
    struct changed *changed = arg;
    uint64_t slot;
    lx_found found;
    int rc;

    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    slot = event->effect == LX_EFFECT_PUT ? event->slot : event->record.off;
    rc = lx_index_add(&changed->last, changed->log, event->record.key, event->record.key_len,
                      lx_index_hash(&changed->last, event->record.key, event->record.key_len), slot,
                      &found);
    if (rc != LXDB_EXISTS)
        return rc;
    lx_index_replace(found.at, slot);
    return LXDB_OK;
}

static int count_event(void *arg, const lx_scan_event *event)
{
    *(uint64_t *)arg += event->effect != LX_EFFECT_NONE;
    return LXDB_OK;
}

struct adding {
    lx_cut *cut;
    struct changed *changed;
};

/* Of the records of the stretch, those that are puts and the last of their key. */
static int add_put(void *arg, const lx_scan_event *event)
{
    struct adding *adding = arg;
    uint64_t hash;
    lx_found found;
    int rc;

    if (event->effect != LX_EFFECT_PUT)
        return LXDB_OK;
    rc = lx_index_find(
        &adding->changed->last, adding->changed->log, event->record.key, event->record.key_len,
        lx_index_hash(&adding->changed->last, event->record.key, event->record.key_len), &found);
    if (rc != LXDB_OK)
        return rc;
    if (found.entry.off != event->slot)
        return LXDB_OK;
    hash = lx_index_hash(&adding->cut->view->index, event->record.key, event->record.key_len);
    return add_slot(adding->cut, event->slot,
                    adding->cut->walked ? 0 : (uint16_t)(hash >> LX_SLOT_OFFSET_BITS));
}

/* Leave out what the stretch changed. */
static int drop_changed(lx_cut *cut, struct changed *changed)
{
    size_t kept = 0;

    for (size_t i = 0; i < cut->count; i++) {
        lx_entry entry;
        lx_found found;
        int rc = lx_cut_entry(cut, i, &entry);

        if (rc == LXDB_OK)
            rc = lx_index_find(&changed->last, changed->log, entry.key, entry.key_len,
                               lx_index_hash(&changed->last, entry.key, entry.key_len), &found);
        if (rc == LXDB_NOTFOUND)
            cut->slots[kept++] = cut->slots[i];
        else if (rc != LXDB_OK)
            return rc;
    }
    cut->count = kept;
    return LXDB_OK;
}

int lx_cut_advance(lx_cut *cut, uint64_t to)
{
    lx_log *log = &cut->view->log;
    lx_scan scan = {
        .data = log->map.base, .size = to, .tail = to, .watermark = to, .ordered = true};
    struct changed changed = {.log = log, .last = {.fd = -1}};
    struct adding adding = {cut, &changed};
    uint64_t events = 0;
    int rc;

    if (to <= cut->end)
        return LXDB_OK;
    rc = lx_log_reach(log, to);
    if (rc == LXDB_OK)
        rc = lx_scan_walk(&scan, cut->end, count_event, &events);
    if (rc == LXDB_OK)
        rc = lx_index_make(-1, "private index", events, &changed.last);
    if (rc == LXDB_OK)
        rc = lx_scan_walk(&scan, cut->end, note_changed, &changed);
    if (rc == LXDB_OK)
        rc = drop_changed(cut, &changed);
    if (rc == LXDB_OK)
        rc = lx_scan_walk(&scan, cut->end, add_put, &adding);
    if (rc == LXDB_OK)
        cut->end = to;
    lx_index_close(&changed.last);
    return rc;
}

/* ---- the cut --------------------------------------------------------------------------------- */

static int first_put(void *arg, const lx_scan_event *event)
{
    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    *(lx_scan_event *)arg = *event;
    return LXDB_EXISTS; /* found: end the walk */
}

/* Is the commit at [from, to) visible in the index already? Slots are published in its order, so
 * its first record tells. */
static int is_visible(lx_view *view, uint64_t from, uint64_t to, bool *ret_visible)
{
    lx_scan scan = {
        .data = view->log.map.base, .size = to, .tail = to, .watermark = to, .ordered = true};
    lx_scan_event event;
    lx_found found;
    int rc = lx_log_reach(&view->log, to);

    if (rc == LXDB_OK)
        rc = lx_scan_walk(&scan, from, first_put, &event);
    if (rc == LXDB_OK) { /* it changes nothing: a PAD */
        *ret_visible = true;
        return LXDB_OK;
    }
    if (rc != LXDB_EXISTS)
        return rc;
    rc = lx_index_find(&view->index, &view->log, event.record.key, event.record.key_len,
                       lx_index_hash(&view->index, event.record.key, event.record.key_len), &found);
    if (rc == LXDB_OK)
        *ret_visible = found.entry.off >= event.record.off ||
                       (event.effect == LX_EFFECT_PUT && found.entry.off >= event.slot);
    else if (rc == LXDB_NOTFOUND)
        *ret_visible = event.effect == LX_EFFECT_DELETE;
    return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
}

static int add_replaced(void *arg, const lx_scan_event *event)
{
    lx_cut *cut = arg;
    lx_view *view = cut->view;
    lx_found found;
    int rc;

    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    rc = lx_index_find(&view->index, &view->log, event->record.key, event->record.key_len,
                       lx_index_hash(&view->index, event->record.key, event->record.key_len),
                       &found);
    if (rc != LXDB_OK || found.entry.off >= event->slot)
        return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
    return add_slot(cut, found.entry.off, 0);
}

/* What the index still has of the keys of the commit at [from, to), which may be dead already. Some
 * of it may be visible by then: it is, and replaces what is added here, if its first record is. */
static int add_killed_early(lx_cut *cut, uint64_t from, uint64_t to)
{
    lx_log *log = &cut->view->log;
    lx_scan scan = {
        .data = log->map.base, .size = to, .tail = to, .watermark = to, .ordered = true};
    int rc = lx_log_reach(log, to);

    return rc == LXDB_OK ? lx_scan_walk(&scan, from, add_replaced, cut) : rc;
}

/* The size of the record that the dead one at `at` gives an expiry, as a GROUP of one; else 0. */
static uint64_t gives_expiry_to(const uint8_t *data, uint64_t end, uint64_t at)
{
    lx_record record;
    lx_control control;

    if (lx_get16(data + at + 1) != LX_CONTROL_KEY_LEN ||
        lx_get32(data + at + 3) != LX_GROUP_VALUE || !lx_record_parse(data, end, at, &record) ||
        !lx_record_check(data, &record))
        return 0;
    control = lx_control_parse(&record);
    return control.kind == LX_CONTROL_GROUP && control.count == 1 && control.expiry_ms != 0
               ? control.bytes
               : 0;
}

/* Step 2 by the log. False: lengths lead nowhere, or there is no memory. */
static bool walk_log(lx_cut *cut, uint64_t from, uint64_t end)
{
    const uint8_t *data = cut->view->log.map.base;
    uint64_t group = 0, group_for = 0; /* the GROUP just passed, and the size that fits it */
    uint64_t size;

    for (uint64_t at = from; at < end; at += size) {
        uint32_t key_len;
        uint8_t status;

        if (end - at < LX_RECORD_OVERHEAD + 1)
            return false;
        /* a writer may kill the record meanwhile */
        status = __atomic_load_n(data + at, __ATOMIC_RELAXED);
        key_len = lx_get16(data + at + 1);
        size = lx_record_size(key_len, lx_get32(data + at + 3));
        if (LX_UNLIKELY(status > 1 || key_len == 0 || size > end - at))
            return false;
        /* many records are of one size; a number, for it may be no place in the file */
        __builtin_prefetch((const void *)((uintptr_t)data + at + AHEAD * size));
        if (LX_UNLIKELY(status == 0)) {
            group = at;
            group_for = gives_expiry_to(data, end, at);
            continue;
        }
        if (LX_UNLIKELY(add_slot(cut, group_for == size ? group : at, 0) != LXDB_OK))
            return false;
        group_for = 0;
    }
    return true;
}

/* Which slot of those that were collected leads to the oldest record; there is one. */
static size_t oldest(const lx_cut *cut)
{
    size_t least = 0;

    for (size_t i = 1; i < cut->count; i++)
        if (offset_of(cut->slots[i]) < offset_of(cut->slots[least]))
            least = i;
    return least;
}

/* Step 2. */
static int collect(lx_cut *cut, const struct lx_standing *standing, bool may_walk)
{
    uint64_t end = standing->indexed;
    uint64_t most = end / (LX_RECORD_OVERHEAD + 1); /* shorter no record is */
    uint64_t room = standing->records < most ? standing->records : most;
    uint64_t stretch = WALK_TIMES * (standing->bytes < end ? standing->bytes : end) + WALK_ANYWAY;
    uint64_t from = LX_HEADER_SIZE;

    may_walk = may_walk && standing->walkable;
    (void)more_slots(cut, (size_t)room + 1); /* a hint: add_slot() sees to it */
    if (!may_walk || end - from > stretch) {
        lx_entry entry;
        size_t first;
        int rc = lx_index_each(&cut->view->index, end, add_slot, cut);

        if (rc != LXDB_OK || !may_walk || cut->count == 0)
            return rc;
        first = oldest(cut);
        from = offset_of(cut->slots[first]);
        /* a damaged slot may lead anywhere */
        if (end - from > stretch || lx_cut_entry(cut, first, &entry) != LXDB_OK)
            return LXDB_OK;
    }
    cut->count = 0;
    cut->walked = walk_log(cut, from, end);
    if (cut->walked)
        return LXDB_OK;
    cut->count = 0;
    return lx_index_each(&cut->view->index, end, add_slot, cut);
}

static int take(lx_cut *cut, bool may_walk)
{
    lx_view *view = cut->view;
    struct lx_standing standing;
    uint64_t start, tail;
    bool in_order;
    int rc;

    if (view->block == NULL) { /* private: nothing moves */
        rc = lx_index_each(&view->index, UINT64_MAX, add_slot, cut);
        cut->end = view->tail;
        return rc == LXDB_OK ? sort_slots(cut) : rc;
    }
    rc = lx_view_standing(cut->core, view, &standing);
    if (rc != LXDB_OK)
        return rc;
    start = cut->end = standing.indexed;
    rc = lx_log_reach(&view->log, start);
    if (rc == LXDB_OK)
        rc = collect(cut, &standing, may_walk);
    if (rc != LXDB_OK)
        return rc;
    /* acquire: status bytes before the tail, so that whatever killed a record is below it; pairs
     * with the fence in commit.c apply() */
    atomic_thread_fence(memory_order_acquire);
    rc = lx_view_standing(cut->core, view, &standing);
    if (rc != LXDB_OK)
        return rc;
    tail = standing.tail;
    in_order = cut->walked && tail == start; /* nothing happened meanwhile */
    if (standing.indexed < tail) {
        bool visible;

        rc = cut->walked ? add_killed_early(cut, standing.indexed, tail) : LXDB_OK;
        if (rc == LXDB_OK)
            rc = is_visible(view, standing.indexed, tail, &visible);
        if (rc != LXDB_OK)
            return rc;
        if (!visible) {
            uint64_t indexed = standing.indexed;

            /* Unless it is done by now: its key may have been removed again. */
            rc = lx_view_standing(cut->core, view, &standing);
            if (rc != LXDB_OK)
                return rc;
            if (standing.indexed < tail)
                tail = indexed;
        }
    }
    rc = lx_cut_advance(cut, tail);
    if (rc == LXDB_OK && !in_order)
        rc = sort_slots(cut);
    if (rc == LXDB_OK && !in_order)
        drop_repeats(cut);
    return rc;
}

/* Whether a walk found as many records as are counted, if that can be told: damage in a length may
 * have led it past some. */
static bool is_complete(const lx_cut *cut)
{
    struct lx_standing standing;

    return !cut->walked || lx_view_standing(cut->core, cut->view, &standing) != LXDB_OK ||
           standing.tail != cut->end || standing.indexed != cut->end ||
           standing.records == cut->count;
}

int lx_cut_take(lx_core *core, lx_cut *ret_cut)
{
    bool may_walk = true;

    for (;;) {
        lx_cut cut = {.core = core, .wall_ms = lx_wall_ms(), .epoch = lx_fork_epoch};
        int rc = lx_view_get(core, &cut.view);

        if (rc != LXDB_OK)
            return rc;
        rc = take(&cut, may_walk);
        if (rc == LXDB_OK && is_complete(&cut)) {
            *ret_cut = cut;
            return LXDB_OK;
        }
        if (rc == LXDB_OK)
            may_walk = false;
        else
            rc = lx_view_mend(core, cut.view, rc);
        lx_cut_free(&cut);
        if (rc != LXDB_OK && rc != LX_AGAIN)
            return rc;
    }
}

void lx_cut_free(lx_cut *cut)
{
    if (cut->view != NULL)
        lx_view_unpin(cut->core, cut->view);
    free(cut->slots);
    cut->view = NULL;
    cut->slots = NULL;
}
