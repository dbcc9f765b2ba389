/* SPDX-License-Identifier: MIT */
/*
 * What a scan believes: the recovery rules of docs/format.md, without any I/O. In two phases, so
 * that there is a verdict on the whole file before anything is changed or built:
 *
 *   lx_scan_plan()  reads everything, checks every CRC, decides: closed or crashed, where the tail
 *   is, which ranges are damage. Linear in the file, in hostile files too.
 *   lx_scan_walk()  yields the records of the plan in log order, with what each does to its key.
 *                   Checks no CRC again, except to tell how a dead record was born.
 *
 * The data may be a mapping that only grows and whose records do not change (status bytes may).
 */
#ifndef LX_FORMAT_SCAN_H
#define LX_FORMAT_SCAN_H

#include "format/header.h"
#include "format/record.h"

typedef struct lx_scan_range {
    uint64_t off;
    uint64_t len;
} lx_scan_range;

typedef struct lx_scan {
    const uint8_t *data;
    uint64_t size;      /* of the data looked at */
    uint64_t tail;      /* end of the log: where the next record goes; at least 10 */
    uint64_t watermark; /* the value in the header, 0 = closed */
    bool ordered;       /* crashed session: the order decides, status bytes of puts are ignored */
    bool bad_watermark; /* inside the header or a record, or beyond the data: treated as closed */
    bool blank;         /* no header yet: zero length, or zeros only */
    bool unsteppable;   /* some damaged range is not stepped over by lengths that stand in it */
    uint64_t records;   /* whole records before the tail, control records included */
    /* Size of what lies beyond the tail up to the last byte that is not zero. In a closed file too:
     * damage at its end, with nothing to believe behind it. */
    uint64_t cut_bytes;
    lx_scan_range *damaged; /* in order, all before the tail; owned by the scan */
    size_t damaged_count;
    uint64_t damaged_bytes;
    uint64_t work; /* headers looked at, CRCs and each 256 bytes of them: for tests of the bound */
} lx_scan;

/* LXDB_OK, LXDB_NOTDB, LXDB_VERSION, LXDB_NOMEM, LXDB_BUSY (`stop` said so; it may be NULL and is
 * called with the bytes done now and then). Frees nothing of an earlier plan. */
int lx_scan_plan(const uint8_t *data, uint64_t size, int (*stop)(void *arg, uint64_t done),
                 void *arg, lx_scan *ret_scan);
/* The same with a given credit for short cuts (format/skip.h) instead of one in proportion to
 * `size`: the plan is the same with any, also with 0. */
int lx_scan_plan_credit(const uint8_t *data, uint64_t size, uint64_t credit,
                        int (*stop)(void *arg, uint64_t done), void *arg, lx_scan *ret_scan);
/* The plan of a log in use, all of which is committed: as if its watermark were `end`, a boundary,
 * and exact. The watermark in the header is not looked at. */
int lx_scan_plan_log(const uint8_t *data, uint64_t end, int (*stop)(void *arg, uint64_t done),
                     void *arg, lx_scan *ret_scan);
void lx_scan_free(lx_scan *scan);

/* What a record means for its key. A put counts if it is live (closed) or was born live (ordered);
 * a delete marker always counts. */
enum lx_effect {
    /* Nothing: a control record, a killed put in a closed file, and what was born dead with a value
     * without being a control record. */
    LX_EFFECT_NONE,
    LX_EFFECT_PUT,   /* this is now the key's value */
    LX_EFFECT_DELETE /* the key is gone */
};

typedef struct lx_scan_event {
    lx_record record;   /* `born` is set */
    lx_control control; /* kind NONE for an ordinary record */
    enum lx_effect effect;
    /* PUT: what the index points at: the record, or the GROUP of one right before it that gives it
     * its expiry. */
    uint64_t slot;
    int64_t expiry_ms; /* PUT: 0 = none; whether it has passed is the caller's question */
} lx_scan_event;

/* Call `each` for every whole record in [from, tail), in log order; `from` is 10 or where a commit
 * begins (not between a GROUP and its records). A GROUP is yielded itself, with effect NONE, before
 * its records. Stops at the first result that is not LXDB_OK and returns it. LXDB_CORRUPT, with a
 * sentence: the data is not what was planned. Uses only data, tail, ordered and damaged of the
 * plan. */
int lx_scan_walk(const lx_scan *scan, uint64_t from,
                 int (*each)(void *arg, const lx_scan_event *event), void *arg);

#endif
