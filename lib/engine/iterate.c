/* SPDX-License-Identifier: MIT */
/*
 * The state of one instant, without a lock and without stopping anybody.
 *
 *   1  I0 := indexed
 *   2  copy every slot that leads below I0. What was committed since may be in the slots already,
 *      or not: those offsets are left out, and the versions that they replaced may be missing
 *   3  the cut T := tail; if indexed < T, the commit at `indexed` counts only if it is visible in
 *      the index already, else T := indexed
 *   4  replay [I0, T) over the copy: what it changed is taken out, what it put is added
 *
 * Sorted, the offsets are the order of last write. A record that was copied and then replaced keeps
 * its bytes: within a generation nothing is overwritten, and the view is pinned.
 *
 * A get compares the key of what a slot leads to. Here the tag of the slot is compared with the
 * hash of that key, so that a damaged slot gives a code and not whatever it leads to; and a version
 * that is dead must not have been replaced before the cut.
 */
#include "engine/view.h"

#include <stdlib.h>
#include <string.h>

static int add_slot(void *arg, uint64_t off, uint16_t tag)
{
    lx_cut *cut = arg;

    if (cut->count == cut->capacity) {
        size_t more = cut->capacity ? 2 * cut->capacity : 256;
        uint64_t *bigger = realloc(cut->slots, more * sizeof *bigger);

        if (bigger == NULL)
            return lx_fail(LXDB_NOMEM, "out of memory");
        cut->slots = bigger;
        cut->capacity = more;
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

    if (rc == LXDB_OK) {
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
    uint64_t hash, slot;
    lx_found found;
    int rc;

    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    slot = event->effect == LX_EFFECT_PUT ? event->slot : event->record.off;
    hash = lx_index_hash(&changed->last, event->record.key, event->record.key_len);
    rc = lx_index_find(&changed->last, changed->log, event->record.key, event->record.key_len, hash,
                       &found);
    if (rc == LXDB_OK) {
        lx_index_replace(found.at, slot);
        return LXDB_OK;
    }
    if (rc == LXDB_NOTFOUND)
        rc = lx_index_make_room_for_one(&changed->last, changed->log, hash);
    if (rc == LXDB_OK && !lx_index_insert(&changed->last, hash, slot))
        rc = lx_fail(LXDB_NOMEM, "out of memory");
    return rc;
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
    return add_slot(adding->cut, event->slot, (uint16_t)(hash >> LX_SLOT_OFFSET_BITS));
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

static int cut_from_outside(const lx_log *log)
{
    return lx_fail(LXDB_CORRUPT, "%s: the file is shorter than its log: it was cut from outside",
                   log->name);
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
    if (rc == LXDB_CORRUPT)
        return cut_from_outside(log);
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

static int take(lx_cut *cut)
{
    lx_view *view = cut->view;
    struct lx_standing standing;
    uint64_t start, tail;
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
    if (rc == LXDB_CORRUPT)
        return cut_from_outside(&view->log);
    if (rc == LXDB_OK)
        rc = lx_index_each(&view->index, start, add_slot, cut);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_view_standing(cut->core, view, &standing);
    if (rc != LXDB_OK)
        return rc;
    tail = standing.tail;
    if (standing.indexed < tail) {
        bool visible;

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
    if (rc == LXDB_OK)
        rc = sort_slots(cut);
    if (rc == LXDB_OK)
        drop_repeats(cut);
    return rc;
}

int lx_cut_take(lx_core *core, lx_cut *ret_cut)
{
    for (;;) {
        lx_cut cut = {.core = core, .wall_ms = lx_wall_ms(), .epoch = lx_fork_epoch};
        int rc = lx_view_get(core, &cut.view);

        if (rc != LXDB_OK)
            return rc;
        rc = take(&cut);
        if (rc == LXDB_OK) {
            *ret_cut = cut;
            return LXDB_OK;
        }
        rc = lx_view_mend(core, cut.view, rc);
        lx_cut_free(&cut);
        if (rc != LX_AGAIN)
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
