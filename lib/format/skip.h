/* SPDX-License-Identifier: MIT */
/*
 * Where a log goes on behind damage.
 *
 * Values may contain whole records, and a damaged length may point anywhere, so a record behind
 * damage is believed only for one of two reasons:
 *
 *   (a) the lengths of the damaged record itself lead to it, or to the end that the scan is bound
 *       for, unless whole records inside the damaged one run exactly to that same place: then the
 *       length was what was damaged, and those are taken;
 *   (b) it is whole, and from it lengths lead, header by header, exactly to that end. The first
 *       such record is taken.
 *
 * A damaged length may lead into a value, to a whole record there. So if no lengths lead on from
 * where (a) leads, the place of (b) is taken instead when it lies before that, or when the record
 * would be whole if it ended there: then its length is what was damaged.
 *
 * The end is known in advance (lx_skip_set_goal): the watermark, or the end of the data.
 *
 * Work. Searching tries every offset at most once for each of (a) and (b): searches of one scan
 * cover ranges that do not overlap, since what (b) found is kept until the scan is there. Two
 * questions are asked of an offset, and both have a cheap
 * direct answer and a slower start whose answers are then constant in cost:
 *
 *   Do lengths lead to the end?   follow them       or  a bit for each offset, filled backwards
 *   Is the record there whole?    compute its CRC   or  two prefix CRCs (format/crcrange.h)
 *
 * Direct answers are paid for from a credit which is linear in the size of the data, so their sum
 * is linear; when it is spent, the tables are built, once for (b), and for (a) once for each range
 * searched. So the whole is linear, whatever the data. Real damage is local and never needs a
 * table; then nothing is allocated at all. The bits take an eighth of the range they cover, the
 * CRCs 1/64.
 *
 * Status bytes may change meanwhile; a table of CRCs can then fail a whole record that is being
 * killed.
 */
#ifndef LX_FORMAT_SKIP_H
#define LX_FORMAT_SKIP_H

#include "format/crcrange.h"
#include "format/record.h"

/* The places where a chain of records may end: [first, last] and also `other`. `loose`: one of many
 * places is meant, and the record that ends there must be whole. */
typedef struct lx_goal {
    uint64_t first, last;
    uint64_t other; /* first or more; `first` when there is no other */
    bool loose;
} lx_goal;

/* Where lengths lead: to a goal, from every offset in [lo, hi). */
typedef struct lx_chains {
    lx_goal goal;
    bool whole;    /* every record on the way must be whole, not only have a header */
    uint64_t lo;   /* of the bits */
    uint8_t *bits; /* NULL: not filled yet */
} lx_chains;

typedef struct lx_skip {
    const uint8_t *data;
    uint64_t size;
    lx_chains home; /* for (b) */
    bool chained;   /* where the scan went on behind damage, lengths lead to the goal */
    bool searched;  /* (b) was searched for from `from` on, and found at `found`; */
    uint64_t from;  /* `found` 0: nowhere */
    uint64_t found;
    lx_crc_range *crcs; /* NULL: not made yet */
    uint64_t credit;    /* for direct answers */
    uint64_t work;      /* headers looked at, table look-ups, 256 bytes of CRC: each one unit */
    int rc;             /* LXDB_NOMEM or LXDB_BUSY: every answer since then is worthless */
    int (*stop)(void *arg, uint64_t done);
    void *arg;
    uint64_t at; /* where the scan stands: nothing before it is asked for any more */
} lx_skip;

/* `credit`: units of work for direct answers. lx_skip_free() frees what was taken since. */
void lx_skip_init(lx_skip *skip, const uint8_t *data, uint64_t size, uint64_t credit);
void lx_skip_free(lx_skip *skip);
/* Set the end that the scan is bound for; may be called again. */
void lx_skip_set_goal(lx_skip *skip, const lx_goal *goal);
bool lx_goal_met(const lx_goal *goal, uint64_t end);

/* lx_record_parse() and lx_record_check() together, in bounded work. False also after a failure
 * (`rc`). */
bool lx_skip_whole(lx_skip *skip, uint64_t off, lx_record *ret_record);

/* Where the lengths of what stands at `off` lead, whatever its status: false if its key is empty or
 * it ends beyond `limit`. */
bool lx_skip_step(const lx_skip *skip, uint64_t off, uint64_t limit, uint64_t *ret_end);

/* Where to go on when no whole record stands at `off`: at a whole record, or at the goal itself.
 * False: nothing can be believed before the goal. Offsets must not go down from call to call. Look
 * at `rc` afterwards. */
bool lx_skip_damage(lx_skip *skip, uint64_t off, uint64_t *ret_next);

#endif
