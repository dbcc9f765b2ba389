/* SPDX-License-Identifier: MIT */
/*
 * The data file of one generation as one process maps it: finding records, storing bytes.
 *
 * INV-1  Bytes below the committed tail never change within a generation, but for status bytes (1
 *        to 0 by the holder of the writer lock) and the watermark.
 * INV-2  `length` never exceeds the file's size, so nothing below it can raise SIGBUS. It only
 *        grows.
 *
 * Offsets come from an index, which may be damaged: every one is checked here before it is
 * followed.
 */
#ifndef LX_STORE_LOG_H
#define LX_STORE_LOG_H

#include "base/assert.h"
#include "base/byteorder.h"
#include "format/record.h"
#include "store/control.h"
#include "sys/map.h"

#include <stdatomic.h>
#include <string.h>

typedef struct lx_log {
    lx_map map;
    int fd;
    bool writable;
    /* Stores go through pwrite: a store into a mapping could meet a full disk; or what is stored is
     * synced at once, and a mapping makes more than the page dirty that is stored to. Others may
     * store into mappings meanwhile: it is the same page cache. */
    bool by_pwrite;
    const char *name;
    _Atomic uint64_t length; /* of the file, as far as it is known here; at most map.size */
} lx_log;

/* What a slot of the index leads to. */
typedef struct lx_entry {
    uint64_t off; /* what the slot holds: of the record, or of the GROUP before it */
    uint64_t len; /* of everything from there to the record's end */
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_len;
    uint32_t value_len;
    uint64_t record;   /* offset of the record itself */
    int64_t expiry_ms; /* 0 = none */
} lx_entry;

/* Map the file behind `fd` (owned by the log from success on), with room to grow. */
int lx_log_open(int fd, const char *name, bool writable, lx_log *ret_log);
void lx_log_close(lx_log *log); /* a zeroed log is fine */

/* Make `length` at least `need` if the file has grown so far. LX_AGAIN: the mapping is too small;
 * LXDB_CORRUPT: the file is shorter. */
int lx_log_reach(lx_log *log, uint64_t need);

static inline uint64_t lx_word_at(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

/* Whether two keys of this length are equal. Most keys are two or four words long, overlapping
 * ones, and compared sooner than memcmp() is called. */
static inline bool lx_keys_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint64_t differs;

    if (LX_UNLIKELY(len < 8 || len > 32))
        return memcmp(a, b, len) == 0;
    differs = (lx_word_at(a) ^ lx_word_at(b)) | (lx_word_at(a + len - 8) ^ lx_word_at(b + len - 8));
    if (len > 16)
        differs |= (lx_word_at(a + 8) ^ lx_word_at(b + 8)) |
                   (lx_word_at(a + len - 16) ^ lx_word_at(b + len - 16));
    return differs == 0;
}

/* The slow half of lx_log_look(): not a plain record, or not in what is mapped. */
int lx_log_entry(lx_log *log, uint64_t off, lx_entry *ret_entry);

/* What the slot value `off` leads to, if that is a plain record in what is mapped; else NULL. */
static inline __attribute__((always_inline)) const uint8_t *
lx_log_record(const lx_log *log, uint64_t off, uint32_t *ret_key_len, uint32_t *ret_value_len)
{
    /* relaxed: a smaller value only sends us the slow way */
    uint64_t length = atomic_load_explicit(&log->length, memory_order_relaxed);
    const uint8_t *p = log->map.base + off;
    uint8_t status;

    if (LX_UNLIKELY(off >= length || length - off < LX_RECORD_HEADER))
        return NULL;
    /* a writer may kill the record meanwhile */
    status = __atomic_load_n(p, __ATOMIC_RELAXED);
    *ret_key_len = lx_get16(p + 1);
    *ret_value_len = lx_get32(p + 3);
    /* a live status byte, or a dead one (of a put just replaced) that no GROUP can have */
    if (LX_LIKELY(lx_record_size(*ret_key_len, *ret_value_len) <= length - off &&
                  *ret_key_len != 0 &&
                  (status == 1 || (status == 0 && *ret_key_len != LX_CONTROL_KEY_LEN))))
        return p;
    return NULL;
}

/* What the slot value `off` leads to. LX_AGAIN, or LXDB_CORRUPT (without a sentence) for what is no
 * record. */
static inline int lx_log_look(lx_log *log, uint64_t off, lx_entry *ret_entry)
{
    uint32_t k, v;
    const uint8_t *p = lx_log_record(log, off, &k, &v);

    if (LX_UNLIKELY(p == NULL))
        return lx_log_entry(log, off, ret_entry);
    ret_entry->off = ret_entry->record = off;
    ret_entry->len = lx_record_size(k, v);
    ret_entry->key = p + LX_RECORD_HEADER;
    ret_entry->key_len = k;
    ret_entry->value = p + LX_RECORD_HEADER + k;
    ret_entry->value_len = v;
    ret_entry->expiry_ms = 0;
    return LXDB_OK;
}

/* Whether it leads to `key`: LXDB_OK and the entry, LXDB_NOTFOUND for another key, or as above. */
static inline int lx_log_match(lx_log *log, uint64_t off, const void *key, size_t key_len,
                               lx_entry *ret_entry)
{
    lx_entry entry;
    int rc = lx_log_look(log, off, &entry);

    if (LX_UNLIKELY(rc != LXDB_OK))
        return rc;
    if (entry.key_len != key_len || !lx_keys_equal(entry.key, key, key_len))
        return LXDB_NOTFOUND;
    *ret_entry = entry;
    return LXDB_OK;
}

/* Whether the record of an entry is dead by its status byte: it was replaced or removed. */
static inline bool lx_log_is_dead(const lx_log *log, const lx_entry *entry)
{
    /* acquire: before the slot is looked at again; see get.c find_again() */
    return __atomic_load_n(log->map.base + entry->record, __ATOMIC_ACQUIRE) == 0;
}

static inline void lx_log_prefetch(const lx_log *log, uint64_t off)
{
    if (off < log->map.size) {
        __builtin_prefetch(log->map.base + off);
        __builtin_prefetch(log->map.base + off + LX_LINE);
    }
}

/* ---- writers --------------------------------------------------------------------------------- */

/* Store bytes at `off`, inside the file and the mapping. LXDB_NOSPACE, LXDB_IO only with
 * by_pwrite. */
int lx_log_store(lx_log *log, uint64_t off, const void *bytes, size_t len);
int lx_log_store_zeros(lx_log *log, uint64_t off, uint64_t len);
/* Set the status byte of the record at `off` to dead (or live): one byte. */
int lx_log_set_status(lx_log *log, uint64_t off, uint8_t status);
/* Make ready for that without the writer lock, by writing what is there: the first store into a
 * page, and the first after each time that the kernel has written it to the disk, faults for
 * microseconds, in which others would wait for the lock. */
static inline void lx_log_ready_status(lx_log *log, uint64_t off)
{
    uint8_t live = 1;

    /* relaxed: orders nothing. In one step, so a store of the holder is never undone. */
    if (!log->by_pwrite)
        (void)__atomic_compare_exchange_n(log->map.base + off, &live, 1, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED);
}
int lx_log_set_watermark(lx_log *log, uint32_t watermark);
/* Make [0, need) allocated, in a chunk that fits the size of the file. *ret_allocated is the new
 * size of the file. LX_AGAIN: then the mapping is too small for it. */
int lx_log_grow(lx_log *log, uint64_t allocated, uint64_t need, uint64_t *ret_allocated);
/* Bring the pages of [from, to) and some behind them into the page cache, by writing zeros where
 * there are zeros: in large steps that is twice as fast as one page fault after the other. Not
 * beyond `allocated`. Returns how far it came; a failure only costs the faults. */
uint64_t lx_log_touch(lx_log *log, uint64_t from, uint64_t to, uint64_t allocated);
/* Cover [from, to) with PAD records; to - from is at least LX_PAD_SIZE_MIN. Needs no memory. */
int lx_log_cover(lx_log *log, uint64_t from, uint64_t to);
/* fdatasync. */
int lx_log_sync(lx_log *log);
/* Make the bytes of [from, to) durable, with the size of the file, whoever stored them; of the rest
 * of the file at most what shares a page with them. Not for a range that is empty or beyond our
 * mapping: then all of the file. */
int lx_log_sync_range(lx_log *log, uint64_t from, uint64_t to);

#endif
