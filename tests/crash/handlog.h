/* SPDX-License-Identifier: MIT */
/*
 * A small data file, known by hand: which records stand where, from the lengths of what was written
 * in which order, and what a single flipped bit in it has to mean, by arithmetic on those numbers.
 * Nothing of the library is used here, not even its CRC: where the two agree, they agree about
 * docs/format.md.
 *
 * The operations note what the calls of the library with these names append to the log, and which
 * status bytes they change.
 */
#ifndef LXDB_TESTS_CRASH_HANDLOG_H
#define LXDB_TESTS_CRASH_HANDLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HAND_HEADER 10u
#define HAND_OVERHEAD 11u
#define HAND_GROUP_SIZE 45u
#define HAND_PAD_MIN 25u
#define HAND_RECORDS 2048u

enum hand_kind { HAND_PUT, HAND_MARKER, HAND_GROUP, HAND_PAD };

struct hand_record {
    enum hand_kind kind;
    uint8_t status; /* as it stands in the file */
    uint64_t off, len;
    unsigned commit; /* its first record: a crash keeps or drops a commit whole */
    unsigned key_number;
    uint8_t *key, *value; /* of puts; markers have a key alone */
    uint32_t key_len, value_len;
    uint32_t count; /* these three: of a GROUP */
    uint64_t bytes;
    int64_t expiry_ms;
};

struct hand_log {
    struct hand_record records[HAND_RECORDS];
    unsigned n;
    unsigned keys;      /* how many there are, numbered from 0 */
    uint64_t end;       /* of the last record */
    uint64_t padding;   /* zeros behind it */
    uint64_t watermark; /* 0: closed. Else the end of a record, below 2^27 */
    unsigned batch;     /* first record of the batch under way, */
    unsigned batch_left;
};

/* What a flip has to come to. The numbers are those of an lxdb_report. */
struct hand_verdict {
    bool not_a_database, other_version; /* then nothing else counts */
    bool crashed, bad_watermark;
    uint64_t file_size, tail, watermark;
    uint64_t damaged_at, damaged; /* one range; 0 bytes: none */
    bool rewritten; /* the damage goes with the first close, though nobody has changed anything */
    uint64_t cut;
    uint64_t live, dead, live_bytes, without_cause;
    bool lost[HAND_RECORDS];          /* not believed */
    int current[HAND_RECORDS];        /* the record that each key number has, or -1 */
    int64_t expires_ms[HAND_RECORDS]; /* and when it ends; 0: never */
};

void hand_start(struct hand_log *log);
void hand_free(struct hand_log *log);

void hand_put(struct hand_log *log, const void *key, size_t key_len, const void *value,
              size_t value_len);
void hand_delete(struct hand_log *log, const void *key, size_t key_len);
/* The next `count` changes, which measure `bytes`, are one batch. */
void hand_batch(struct hand_log *log, uint32_t count, uint64_t bytes);
/* The next change is a put of `bytes` that ends at `expiry_ms`. */
void hand_expiring(struct hand_log *log, uint64_t bytes, int64_t expiry_ms);
void hand_pad(struct hand_log *log, uint64_t len);
/* The live records alone, in their order; the watermark stands behind them. */
void hand_compact(struct hand_log *log);
/* The record that the key has, or NULL. */
struct hand_record *hand_find(struct hand_log *log, const void *key, size_t key_len);

static inline uint64_t hand_size(const struct hand_log *log)
{
    return log->end + log->padding;
}

/* The whole file, hand_size() bytes. */
void hand_encode(const struct hand_log *log, uint8_t *ret_bytes);
/* One live record into `out`, as it could stand in a value too. Returns its length. */
size_t hand_live_record(uint8_t *out, const void *key, uint32_t key_len, const void *value,
                        uint32_t value_len);

/* What bit `bit` of the file (those of a byte from its lowest on) comes to once it is flipped;
 * `image` is the file with the flip. */
void hand_judge(const struct hand_log *log, uint64_t bit, const uint8_t *image,
                struct hand_verdict *ret_verdict);
/* The flipped file once it was opened for writing, and closed without a write. A session with keys
 * that expire looks in its close for those that end at `now_ms` or before, as for a change. Changes
 * `image`, which has room for as much again, and returns its new size. */
uint64_t hand_after_open(const struct hand_log *log, const struct hand_verdict *verdict,
                         int64_t now_ms, uint8_t *image);

#endif
