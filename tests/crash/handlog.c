/* SPDX-License-Identifier: MIT */
/* See handlog.h. */
#include "tests/crash/handlog.h"

#include "tests/concurrency/harness.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_KEY "\0lxdb"
#define CONTROL_KEY_LEN 5u
#define MANTISSA_BITS 27u

/* ---- Bytes ----------------------------------------------------------------------------------- */

static uint8_t *put_number(uint8_t *at, uint64_t number, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0; number >>= 8)
        at[i] = (uint8_t)number;
    return at + bytes;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(at, bytes, len);
    return at + len;
}

/* Of zlib and gzip, bit by bit. */
static uint32_t crc_of(uint8_t first, const uint8_t *rest, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i <= len; i++) {
        crc ^= i == 0 ? first : rest[i - 1];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static uint8_t *encode(uint8_t *out, uint8_t status, uint8_t born, const void *key,
                       uint32_t key_len, const void *value, uint32_t value_len)
{
    uint8_t *at = put_number(out, status, 1);

    at = put_number(at, key_len, 2);
    at = put_number(at, value_len, 4);
    at = put_bytes(at, key, key_len);
    at = put_bytes(at, value, value_len);
    return put_number(at, crc_of(born, out + 1, (size_t)(at - out - 1)), 4);
}

size_t hand_live_record(uint8_t *out, const void *key, uint32_t key_len, const void *value,
                        uint32_t value_len)
{
    return (size_t)(encode(out, 1, 1, key, key_len, value, value_len) - out);
}

static void encode_control(uint8_t *out, const struct hand_record *record)
{
    uint32_t value_len = (uint32_t)(record->len - HAND_OVERHEAD - CONTROL_KEY_LEN);
    uint8_t *value = calloc(1, value_len), *at;

    CHECK(value != NULL, "no memory");
    at = put_number(value, record->kind == HAND_GROUP ? 'G' : 'P', 1);
    at = put_number(at, record->off, 8);
    if (record->kind == HAND_GROUP) {
        at = put_number(at, record->count, 4);
        at = put_number(at, record->bytes, 8);
        (void)put_number(at, (uint64_t)record->expiry_ms, 8);
    }
    (void)encode(out, 0, 0, CONTROL_KEY, CONTROL_KEY_LEN, value, value_len);
    free(value);
}

void hand_encode(const struct hand_log *log, uint8_t *ret_bytes)
{
    uint8_t *at = put_bytes(ret_bytes, "LXDB", 4);

    at = put_number(at, 1, 2);
    at = put_number(at, log->watermark, 4);
    for (unsigned i = 0; i < log->n; i++) {
        const struct hand_record *record = &log->records[i];

        at = ret_bytes + record->off;
        if (record->kind == HAND_GROUP || record->kind == HAND_PAD)
            encode_control(at, record);
        else
            (void)encode(at, record->status, record->kind == HAND_PUT, record->key, record->key_len,
                         record->value, record->value_len);
    }
    memset(ret_bytes + log->end, 0, (size_t)log->padding);
}

/* ---- Operations ------------------------------------------------------------------------------ */

void hand_start(struct hand_log *log)
{
    memset(log, 0, sizeof *log);
    log->end = HAND_HEADER;
}

void hand_free(struct hand_log *log)
{
    for (unsigned i = 0; i < log->n; i++) {
        free(log->records[i].key);
        free(log->records[i].value);
    }
    hand_start(log);
}

static uint8_t *copy(const void *bytes, size_t len)
{
    uint8_t *memory = malloc(len + 1);

    CHECK(memory != NULL, "no memory");
    (void)put_bytes(memory, bytes, len);
    return memory;
}

static struct hand_record *append(struct hand_log *log, enum hand_kind kind, uint64_t len)
{
    struct hand_record *record = &log->records[log->n];

    CHECK(log->n < HAND_RECORDS, "too many records");
    *record = (struct hand_record){.kind = kind, .off = log->end, .len = len, .commit = log->n};
    if (log->batch_left > 0) {
        record->commit = log->batch;
        log->batch_left--;
    }
    log->n++;
    log->end += len;
    return record;
}

static bool has_key(const struct hand_record *record, const void *key, size_t key_len)
{
    return record->key != NULL && record->key_len == key_len &&
           memcmp(record->key, key, key_len) == 0;
}

struct hand_record *hand_find(struct hand_log *log, const void *key, size_t key_len)
{
    for (unsigned i = log->n; i-- > 0;)
        if (has_key(&log->records[i], key, key_len))
            return log->records[i].kind == HAND_PUT ? &log->records[i] : NULL;
    return NULL;
}

static void change(struct hand_log *log, enum hand_kind kind, const void *key, size_t key_len,
                   const void *value, size_t value_len)
{
    struct hand_record *old = hand_find(log, key, key_len), *record;
    unsigned number = log->keys;

    if (old != NULL)
        old->status = 0;
    for (unsigned i = 0; i < log->n && number == log->keys; i++)
        if (has_key(&log->records[i], key, key_len))
            number = log->records[i].key_number;
    log->keys += number == log->keys;
    record = append(log, kind, HAND_OVERHEAD + key_len + value_len);
    record->status = kind == HAND_PUT;
    record->key_number = number;
    record->key = copy(key, key_len);
    record->key_len = (uint32_t)key_len;
    record->value = copy(value, value_len);
    record->value_len = (uint32_t)value_len;
}

void hand_put(struct hand_log *log, const void *key, size_t key_len, const void *value,
              size_t value_len)
{
    change(log, HAND_PUT, key, key_len, value, value_len);
}

void hand_delete(struct hand_log *log, const void *key, size_t key_len)
{
    change(log, HAND_MARKER, key, key_len, NULL, 0);
}

static void group(struct hand_log *log, uint32_t count, uint64_t bytes, int64_t expiry_ms)
{
    struct hand_record *record = append(log, HAND_GROUP, HAND_GROUP_SIZE);

    record->count = count;
    record->bytes = bytes;
    record->expiry_ms = expiry_ms;
    log->batch = log->n - 1;
    log->batch_left = count;
}

void hand_batch(struct hand_log *log, uint32_t count, uint64_t bytes)
{
    group(log, count, bytes, 0);
}

void hand_expiring(struct hand_log *log, uint64_t bytes, int64_t expiry_ms)
{
    group(log, 1, bytes, expiry_ms);
}

void hand_pad(struct hand_log *log, uint64_t len)
{
    (void)append(log, HAND_PAD, len);
}

/* Whether record `i` has its expiry from the one before it. */
static bool is_timed(const struct hand_log *log, unsigned i)
{
    return i > 0 && log->records[i - 1].kind == HAND_GROUP && log->records[i - 1].expiry_ms != 0;
}

void hand_compact(struct hand_log *log)
{
    struct hand_log fresh;

    hand_start(&fresh);
    for (unsigned i = 0; i < log->n; i++) {
        const struct hand_record *record = &log->records[i];

        if (record->kind != HAND_PUT || record->status == 0)
            continue;
        if (is_timed(log, i))
            hand_expiring(&fresh, record->len, log->records[i - 1].expiry_ms);
        hand_put(&fresh, record->key, record->key_len, record->value, record->value_len);
    }
    hand_free(log);
    *log = fresh;
    log->watermark = log->end;
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

static bool is_boundary(const struct hand_log *log, uint64_t off)
{
    for (unsigned i = 0; i < log->n; i++)
        if (log->records[i].off == off)
            return true;
    return off == log->end;
}

static uint64_t end_of_nonzero(const uint8_t *image, uint64_t from, uint64_t to)
{
    while (to > from && image[to - 1] == 0)
        to--;
    return to;
}

/* Section 4 and 5.1 of the format page, where nothing else is damaged. */
static void judge_watermark(const struct hand_log *log, const uint8_t *image,
                            struct hand_verdict *verdict)
{
    uint32_t word = (uint32_t)image[6] << 24 | (uint32_t)image[7] << 16 | (uint32_t)image[8] << 8 |
                    image[9];
    unsigned shift = word >> MANTISSA_BITS;
    uint64_t value = (uint64_t)(word & ((1u << MANTISSA_BITS) - 1)) << shift;

    verdict->watermark = value;
    verdict->crashed = word != 0 && value >= HAND_HEADER && value <= hand_size(log) &&
                       (shift != 0 || value > log->end || is_boundary(log, value));
    verdict->bad_watermark = word != 0 && !verdict->crashed;
    if (verdict->crashed && value > log->end) { /* it vouches for what is padding */
        verdict->damaged_at = log->end;
        verdict->damaged = value - log->end;
        verdict->tail = value;
    }
}

static void lose(const struct hand_log *log, struct hand_verdict *verdict, unsigned from,
                 const uint8_t *image)
{
    for (unsigned i = from; i < log->n; i++)
        verdict->lost[i] = true;
    verdict->tail = from < log->n ? log->records[from].off : log->end;
    verdict->cut = end_of_nonzero(image, verdict->tail, hand_size(log)) - verdict->tail;
}

static void judge_record(const struct hand_log *log, unsigned i, uint64_t bit, const uint8_t *image,
                         struct hand_verdict *verdict)
{
    const struct hand_record *record = &log->records[i];

    if (record->kind == HAND_PUT && bit == 8 * record->off)
        return; /* whole, with the other status */
    if (verdict->crashed && record->off >= log->watermark) {
        lose(log, verdict, record->commit, image);
    } else if (!verdict->crashed && i == log->n - 1) {
        lose(log, verdict, i, image);
    } else {
        verdict->lost[i] = true;
        verdict->damaged_at = record->off;
        verdict->damaged = record->len;
    }
}

/* What each key has, in the order of the log. `by_order`: whatever the status bytes say. */
static void settle(const struct hand_log *log, const uint8_t *image, bool by_order,
                   struct hand_verdict *verdict)
{
    for (unsigned number = 0; number < log->keys; number++)
        verdict->current[number] = -1;
    for (unsigned i = 0; i < log->n; i++) {
        const struct hand_record *record = &log->records[i];
        int *current = &verdict->current[record->key_number];

        if (verdict->lost[i] || record->key == NULL)
            continue;
        if (record->kind == HAND_MARKER)
            *current = -1;
        else if (by_order || image[record->off] == 1)
            *current = (int)i;
    }
}

static void count(const struct hand_log *log, const uint8_t *image, struct hand_verdict *verdict)
{
    uint64_t all = 0;

    settle(log, image, true, verdict);
    for (unsigned number = 0; number < log->keys; number++)
        verdict->without_cause += verdict->current[number] >= 0 &&
                                  image[log->records[verdict->current[number]].off] == 0;
    settle(log, image, verdict->crashed, verdict);
    for (unsigned i = 0; i < log->n; i++)
        all += !verdict->lost[i] && log->records[i].key != NULL;
    for (unsigned number = 0; number < log->keys; number++) {
        int i = verdict->current[number];

        verdict->expires_ms[number] = 0;
        if (i < 0)
            continue;
        verdict->live++;
        verdict->live_bytes += log->records[i].len;
        if (!is_timed(log, (unsigned)i) || verdict->lost[i - 1])
            continue;
        verdict->live_bytes += HAND_GROUP_SIZE;
        verdict->expires_ms[number] = log->records[i - 1].expiry_ms;
    }
    verdict->dead = all - verdict->live;
}

/* Whether the lengths that stand in the damaged range lead to its end. */
static bool is_steppable(const struct hand_verdict *verdict, const uint8_t *image)
{
    uint64_t at = verdict->damaged_at, end = at + verdict->damaged;

    while (at + HAND_OVERHEAD < end) {
        uint64_t key_len = (uint64_t)image[at + 1] << 8 | image[at + 2];
        uint64_t value_len = (uint64_t)image[at + 3] << 24 | (uint64_t)image[at + 4] << 16 |
                             (uint64_t)image[at + 5] << 8 | image[at + 6];

        if (key_len == 0)
            return false;
        at += HAND_OVERHEAD + key_len + value_len;
    }
    return at == end;
}

void hand_judge(const struct hand_log *log, uint64_t bit, const uint8_t *image,
                struct hand_verdict *ret_verdict)
{
    struct hand_verdict *verdict = ret_verdict;

    memset(verdict, 0, sizeof *verdict);
    verdict->not_a_database = bit < 8 * 4;
    verdict->other_version = !verdict->not_a_database && bit < 8 * 6;
    if (verdict->not_a_database || verdict->other_version)
        return;
    verdict->file_size = hand_size(log);
    verdict->tail = log->end;
    judge_watermark(log, image, verdict);
    for (unsigned i = 0; i < log->n; i++)
        if (bit >= 8 * log->records[i].off && bit < 8 * (log->records[i].off + log->records[i].len))
            judge_record(log, i, bit, image, verdict);
    if (bit >= 8 * log->end)
        lose(log, verdict, log->n, image);
    count(log, image, verdict);
    verdict->rewritten = verdict->crashed && verdict->damaged != 0 &&
                         (!is_steppable(verdict, image) ||
                          verdict->damaged_at + verdict->damaged == verdict->tail);
}

/* ---- What becomes of the file ---------------------------------------------------------------- */

/* The keys whose time has come are removed: a marker each. There is at most one of them in a log
 * of these tests, so no GROUP is needed. */
static uint64_t remove_expired(const struct hand_log *log, const struct hand_verdict *verdict,
                               int64_t now_ms, uint8_t *image, uint64_t size)
{
    uint8_t *at = image + size;
    unsigned removed = 0;

    for (unsigned number = 0; number < log->keys; number++) {
        const struct hand_record *record;

        if (verdict->expires_ms[number] == 0 || verdict->expires_ms[number] > now_ms)
            continue;
        record = &log->records[verdict->current[number]];
        image[record->off] = 0;
        at = encode(at, 0, 0, record->key, record->key_len, NULL, 0);
        removed++;
    }
    CHECK(removed <= 1, "%u keys have expired", removed);
    return (uint64_t)(at - image);
}

/* The records of all keys that have one, each behind its GROUP if it has an expiry. */
static uint64_t rewrite(const struct hand_log *log, const struct hand_verdict *verdict,
                        uint8_t *image)
{
    uint64_t size = hand_size(log), end = HAND_HEADER;
    uint8_t *old = copy(image, (size_t)size);

    for (unsigned i = 0; i < log->n; i++) {
        const struct hand_record *record = &log->records[i];

        if (record->key == NULL || verdict->current[record->key_number] != (int)i)
            continue;
        if (verdict->expires_ms[record->key_number] != 0) {
            struct hand_record group = log->records[i - 1];

            group.off = end;
            encode_control(image + end, &group);
            end += group.len;
        }
        (void)put_bytes(image + end, old + record->off, (size_t)record->len);
        image[end] = 1;
        end += record->len;
    }
    free(old);
    return end;
}

uint64_t hand_after_open(const struct hand_log *log, const struct hand_verdict *verdict,
                         int64_t now_ms, uint8_t *image)
{
    if (verdict->not_a_database || verdict->other_version)
        return hand_size(log);
    (void)put_number(image + 6, 0, 4);
    if (!verdict->crashed)
        return verdict->cut != 0 ? verdict->tail : hand_size(log);
    if (verdict->rewritten)
        return rewrite(log, verdict, image);
    for (unsigned i = 0; i < log->n; i++) {
        const struct hand_record *record = &log->records[i];

        if (record->kind == HAND_PUT && !verdict->lost[i])
            image[record->off] = verdict->current[record->key_number] == (int)i;
    }
    return remove_expired(log, verdict, now_ms, image, verdict->tail);
}
