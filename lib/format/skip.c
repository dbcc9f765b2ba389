/* SPDX-License-Identifier: MIT */
/* Where a log goes on behind damage: see the head of skip.h for the rules and the bound on work. */
#include "format/skip.h"

#include "base/byteorder.h"
#include "base/crc.h"
#include "lxdb.h"

#include <stdlib.h>

#define CHEAP 512u            /* the CRC of so few bytes costs no more than a look-up */
#define UNIT 256u             /* bytes of CRC that count as one unit of work */
#define STOP_EVERY (1u << 20) /* steps between questions whether to stop */

void lx_skip_init(lx_skip *skip, const uint8_t *data, uint64_t size, uint64_t credit)
{
    *skip = (lx_skip){.data = data, .size = size, .credit = credit, .rc = LXDB_OK};
}

void lx_skip_free(lx_skip *skip)
{
    free(skip->home.bits);
    lx_crc_range_free(skip->crcs);
    skip->home.bits = NULL;
    skip->crcs = NULL;
}

void lx_skip_set_goal(lx_skip *skip, const lx_goal *goal)
{
    free(skip->home.bits);
    skip->home = (lx_chains){.goal = *goal};
    skip->chained = skip->searched = false;
}

bool lx_goal_met(const lx_goal *goal, uint64_t end)
{
    return (goal->first <= end && end <= goal->last) || end == goal->other;
}

static uint64_t limit_of(const lx_goal *goal)
{
    return goal->last > goal->other ? goal->last : goal->other;
}

/* Take `units` from the credit, if there are so many left. */
static bool spend(lx_skip *skip, uint64_t units)
{
    if (skip->credit < units)
        return false;
    skip->credit -= units;
    skip->work += units;
    return true;
}

static void ask_stop(lx_skip *skip)
{
    if (skip->stop != NULL && skip->rc == LXDB_OK && skip->stop(skip->arg, skip->at) != 0)
        skip->rc = LXDB_BUSY;
}

/* ---- Whole records --------------------------------------------------------------------------- */

/* The CRC that goes on from `before` over data[from, to). */
static uint32_t crc_by_table(lx_skip *skip, uint32_t before, uint64_t from, uint64_t to)
{
    if (skip->crcs == NULL) {
        ask_stop(skip);
        skip->crcs = lx_crc_range_new(skip->data, skip->at, skip->size);
        skip->work += (skip->size - skip->at) / UNIT;
        if (skip->crcs == NULL) {
            skip->rc = LXDB_NOMEM;
            return 0;
        }
    }
    skip->work++;
    return lx_crc_range_get(skip->crcs, before, from, to);
}

static bool check_by_table(lx_skip *skip, lx_record *record)
{
    uint64_t from = record->off + 1;
    uint64_t to = record->off + record->len - 4;

    if (crc_by_table(skip, LX_RECORD_CRC_LIVE, from, to) == record->crc)
        record->born = 1;
    else if (record->status == 0 && crc_by_table(skip, LX_RECORD_CRC_DEAD, from, to) == record->crc)
        record->born = 0;
    else
        return false;
    return skip->rc == LXDB_OK;
}

static bool check(lx_skip *skip, lx_record *record)
{
    if (record->len > CHEAP && !spend(skip, record->len / UNIT))
        return check_by_table(skip, record);
    skip->work++;
    return lx_record_check(skip->data, record);
}

/* Whether what stands at `off` is a whole record but for its lengths, which should be these. */
static bool whole_with(lx_skip *skip, uint64_t off, uint64_t key_len, uint64_t value_len)
{
    uint64_t from = off + LX_RECORD_HEADER;
    uint64_t to = from + key_len + value_len;
    uint8_t head[LX_RECORD_HEADER];
    bool direct;

    if (key_len == 0 || key_len > LX_KEY_MAX || value_len > LX_VALUE_MAX)
        return false;
    direct = to - from <= CHEAP || spend(skip, (to - from) / UNIT);
    for (uint8_t born = 0; born <= 1; born++) {
        uint32_t crc;

        if (born < skip->data[off])
            continue; /* a live record was born live; no record has another status */
        lx_record_encode_head(head, born, (uint32_t)key_len, (uint32_t)value_len);
        crc = lx_crc32(0, head, sizeof head);
        skip->work++;
        crc = direct ? lx_crc32(crc, skip->data + from, (size_t)(to - from))
                     : crc_by_table(skip, crc, from, to);
        if (skip->rc == LXDB_OK && crc == lx_get32(skip->data + to))
            return true;
    }
    return false;
}

/* The same, with one of its lengths such that it ends at `end`. */
static bool whole_if_ended(lx_skip *skip, uint64_t off, uint64_t end)
{
    uint64_t key_len = lx_get16(skip->data + off + 1);
    uint64_t value_len = lx_get32(skip->data + off + 3);
    uint64_t both = end - off - LX_RECORD_OVERHEAD;

    if (end - off < LX_RECORD_OVERHEAD + 1)
        return false;
    return (both >= key_len && whole_with(skip, off, key_len, both - key_len)) ||
           (both >= value_len && whole_with(skip, off, both - value_len, value_len));
}

bool lx_skip_whole(lx_skip *skip, uint64_t off, lx_record *ret_record)
{
    lx_record record;
    uint64_t credit = skip->credit;

    if (skip->rc != LXDB_OK || !lx_record_parse(skip->data, skip->size, off, &record) ||
        !check(skip, &record))
        return false;
    skip->credit = credit; /* believed bytes are read once: they need no credit */
    *ret_record = record;
    return true;
}

/* ---- Where lengths lead ---------------------------------------------------------------------- */

bool lx_skip_step(const lx_skip *skip, uint64_t off, uint64_t limit, uint64_t *ret_end)
{
    if (off > limit || limit - off < LX_RECORD_OVERHEAD + 1)
        return false;

    uint32_t key_len = lx_get16(skip->data + off + 1);
    uint64_t len = lx_record_size(key_len, lx_get32(skip->data + off + 3));

    if (key_len == 0 || len > limit - off)
        return false;
    *ret_end = off + len;
    return true;
}

/* The same for what could be a record: its status counts too. */
static bool step_record(const lx_skip *skip, uint64_t off, uint64_t limit, uint64_t *ret_end)
{
    return skip->data[off] <= 1 && lx_skip_step(skip, off, limit, ret_end);
}

/* Whether the record at `off`, which ends at `end`, may be the one before `end` on a chain. */
static bool link_holds(lx_skip *skip, const lx_chains *chains, uint64_t off, uint64_t end)
{
    lx_record record;

    if (!chains->whole && !(chains->goal.loose && lx_goal_met(&chains->goal, end)))
        return true;
    return lx_record_parse(skip->data, skip->size, off, &record) && check(skip, &record);
}

static bool bit_of(const lx_chains *chains, uint64_t off)
{
    uint64_t at = off - chains->lo;

    return (chains->bits[at / 8] >> (at % 8) & 1) != 0;
}

/* Fill the bits of [lo, limit), last first: a record leads to the goal if it ends there, or where
 * one begins that does. */
static void fill_bits(lx_skip *skip, lx_chains *chains, uint64_t lo)
{
    uint64_t limit = limit_of(&chains->goal);
    uint64_t bytes = (limit - lo) / 8 + 1;

    chains->bits = bytes <= SIZE_MAX ? calloc((size_t)bytes, 1) : NULL;
    if (chains->bits == NULL) {
        skip->rc = LXDB_NOMEM;
        return;
    }
    chains->lo = lo;
    for (uint64_t off = limit; off > lo && skip->rc == LXDB_OK;) {
        uint64_t end;

        off--;
        skip->work++;
        if (off % STOP_EVERY == 0)
            ask_stop(skip);
        if (!step_record(skip, off, limit, &end))
            continue;
        if (!lx_goal_met(&chains->goal, end) && !bit_of(chains, end)) /* met at the limit */
            continue;
        if (link_holds(skip, chains, off, end))
            chains->bits[(off - lo) / 8] |= (uint8_t)(1u << ((off - lo) % 8));
    }
}

static bool leads_to_goal(lx_skip *skip, lx_chains *chains, uint64_t from)
{
    uint64_t limit = limit_of(&chains->goal);
    uint64_t off = from, end;

    while (chains->bits == NULL && spend(skip, 1)) {
        if (!step_record(skip, off, limit, &end) || !link_holds(skip, chains, off, end))
            return false;
        if (lx_goal_met(&chains->goal, end))
            return true;
        off = end;
    }
    if (chains->bits == NULL)
        fill_bits(skip, chains, skip->at);
    skip->work++;
    return skip->rc == LXDB_OK && bit_of(chains, from);
}

/* The first record in (off, limit) that is whole and leads to the goal. */
static bool search(lx_skip *skip, lx_chains *chains, uint64_t off, uint64_t *ret_at)
{
    uint64_t limit = limit_of(&chains->goal);

    while (++off < limit && skip->rc == LXDB_OK) {
        lx_record record;
        uint64_t end;

        skip->work++;
        if (off % STOP_EVERY == 0)
            ask_stop(skip);
        if (!step_record(skip, off, limit, &end) || !leads_to_goal(skip, chains, off))
            continue;
        if (lx_record_parse(skip->data, skip->size, off, &record) && check(skip, &record)) {
            *ret_at = off;
            return true;
        }
    }
    return false;
}

/* Rule (b): the first record behind `off` that leads to the goal. */
static bool search_home(lx_skip *skip, uint64_t off, uint64_t *ret_at)
{
    if (!skip->searched || off < skip->from || (skip->found != 0 && off >= skip->found)) {
        if (!search(skip, &skip->home, off, &skip->found))
            skip->found = 0;
        skip->from = off;
        skip->searched = true;
    }
    if (skip->found == 0)
        return false;
    *ret_at = skip->found;
    return true;
}

/* The lengths at `off` lead to a whole record at `end` from which none lead on. Whether it is that
 * record which leads astray, and where to go on then. */
static bool leads_astray(lx_skip *skip, uint64_t off, uint64_t end, uint64_t *ret_next)
{
    uint64_t at;

    if (!search_home(skip, off, &at) || (at > end && !whole_if_ended(skip, off, at)))
        return false;
    *ret_next = at;
    return true;
}

/* Rule (a): the lengths of the damaged record. */
static bool step_over(lx_skip *skip, uint64_t off, uint64_t *ret_next)
{
    const lx_goal *goal = &skip->home.goal;
    lx_record record;
    uint64_t end;

    if (!lx_skip_step(skip, off, limit_of(goal), &end))
        return false;

    lx_chains inside = {.goal = {.first = end, .last = end, .other = end}, .whole = true};

    if (lx_goal_met(goal, end) && !goal->loose)
        inside.goal = *goal; /* of several ends that are possible this may not be the one */
    else if (!lx_skip_whole(skip, end, &record))
        return false;
    /* a chain that was believed before leads over `off` */
    skip->chained = skip->chained || lx_goal_met(goal, end) ||
                    leads_to_goal(skip, &skip->home, end);
    if (!skip->chained && leads_astray(skip, off, end, ret_next)) {
        skip->chained = true;
        return true;
    }
    if (!search(skip, &inside, off, ret_next))
        *ret_next = end;
    free(inside.bits);
    return true;
}

bool lx_skip_damage(lx_skip *skip, uint64_t off, uint64_t *ret_next)
{
    if (step_over(skip, off, ret_next))
        return true;
    skip->chained = search_home(skip, off, ret_next);
    return skip->chained;
}
