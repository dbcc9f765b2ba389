/* SPDX-License-Identifier: MIT */
/*
 * Looking a key up in the index: the path of every get, compiled into its callers. Its invariants
 * are in index.h.
 *
 * The two lines that a get waits for, its bucket and its record, are one behind the other, so what
 * counts is that neighbouring gets overlap: few instructions, and no branch that cannot be
 * predicted before a line has come.
 */
#ifndef LX_STORE_PROBE_H
#define LX_STORE_PROBE_H

#include "base/tags.h"
#include "store/index.h"

/* The slow half of lx_index_locate(): what is out of bounds as far as is known here, or sealed. */
int lx_index_locate_slowly(lx_index *index, uint64_t hash, uint64_t *ret_word, uint64_t *ret_entry);

/* The entry of a hash in the directory that `word` is. False: it takes a closer look. */
static inline bool lx_index_entry(const lx_index *index, uint64_t hash, uint64_t word,
                                  uint64_t *ret_entry)
{
    uint64_t length = atomic_load_explicit(&index->length, memory_order_relaxed);
    uint64_t entry;

    if (LX_UNLIKELY(lx_directory_depth(word) > LX_DEPTH_MAX || lx_directory_end(word) > length))
        return false;
    /* acquire: the slots of a new segment; pairs with the release in split.c point_entries() */
    entry = atomic_load_explicit(lx_directory_entry(index, word, hash), memory_order_acquire);
    if (LX_UNLIKELY(lx_entry_segment(entry) == 0 || entry & LX_ENTRY_SEALED ||
                    (lx_entry_segment(entry) + 1) * LX_SEGMENT_SIZE > length))
        return false;
    *ret_entry = entry;
    return true;
}

/* The directory word and the entry of a hash, in bounds. */
static inline int lx_index_locate(lx_index *index, uint64_t hash, uint64_t *ret_word,
                                  uint64_t *ret_entry)
{
    /* acquire: the entries of a new directory; pairs with the release in split.c
     * double_directory() */
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_acquire);

    if (LX_UNLIKELY(!lx_index_entry(index, hash, word, ret_entry)))
        return lx_index_locate_slowly(index, hash, ret_word, ret_entry);
    *ret_word = word;
    return LXDB_OK;
}

/* Whether `log` has a plain record there that is alive and of `key`; nothing else is looked at. */
static inline const uint8_t *lx_log_plain(const lx_log *log, uint64_t off, const void *key,
                                          size_t key_len)
{
    /* relaxed: a smaller value only sends us the slow way */
    uint64_t length = atomic_load_explicit(&log->length, memory_order_relaxed);
    const uint8_t *p = log->map.base + off;

    /* a writer may kill the record meanwhile */
    if (LX_UNLIKELY(off >= length || length - off < LX_RECORD_HEADER) ||
        LX_UNLIKELY(__atomic_load_n(p, __ATOMIC_RELAXED) != 1) ||
        LX_UNLIKELY(lx_get16(p + 1) != key_len) ||
        LX_UNLIKELY(lx_record_size((uint32_t)key_len, lx_get32(p + 3)) > length - off) ||
        LX_UNLIKELY(!lx_keys_equal(p + LX_RECORD_HEADER, key, key_len)))
        return NULL;
    return p;
}

/* A plain live record, and the slot that led to it. */
typedef struct lx_probed {
    const uint8_t *record;
    uint64_t slot;
    lx_slot_at at;
} lx_probed;

/*
 * What nearly all keys need, one look at the home bucket: LXDB_OK and the plain live record of the
 * key, or LXDB_NOTFOUND. LX_AGAIN: it takes lx_index_find().
 */
static inline __attribute__((always_inline)) int lx_index_probe(const lx_index *index,
                                                                const lx_log *log, const void *key,
                                                                size_t key_len, uint64_t hash,
                                                                lx_probed *ret_probed)
{
    /* acquire: the entries of a new directory; pairs with the release in split.c
     * double_directory() */
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_acquire);
    uint64_t entry;
    struct lx_segment *segment;
    struct lx_bucket *bucket;
    uint32_t tagged;

    if (LX_UNLIKELY(!lx_index_entry(index, hash, word, &entry)))
        return LX_AGAIN;
    segment = lx_index_segment(index, lx_entry_segment(entry));
    bucket = &segment->buckets[lx_hash_bucket(hash)];
    tagged = lx_tags_match(bucket->slots, hash);
    if (LX_LIKELY(tagged != 0)) {
        _Atomic uint64_t *at = &bucket->slots[__builtin_ctz(tagged)];
        /* acquire: the bytes of the record; pairs with the release in lx_index_replace() and
         * lx_segment_insert() */
        uint64_t slot = atomic_load_explicit(at, memory_order_acquire);
        uint64_t off = slot & LX_SLOT_OFFSET_MASK;

        if (LX_UNLIKELY((slot ^ hash) > LX_SLOT_OFFSET_MASK || !lx_slot_is_record(slot)))
            return LX_AGAIN;
        /* almost surely the record: its next lines come while the first is waited for */
        lx_log_prefetch(log, off + LX_LINE);
        *ret_probed = (lx_probed){lx_log_plain(log, off, key, key_len), slot, {at, segment}};
        return LX_LIKELY(ret_probed->record != NULL) ? LXDB_OK : LX_AGAIN;
    }
    if (LX_LIKELY(lx_words_have_zero(bucket->slots))) {
        uint64_t word_after, entry_after;

        /* acquire: the slots before what confirms the miss, as in lx_index_find() */
        atomic_thread_fence(memory_order_acquire);
        word_after = atomic_load_explicit(&index->head->directory, memory_order_acquire);
        if (LX_LIKELY(word_after == word && lx_index_entry(index, hash, word, &entry_after) &&
                      entry_after == entry))
            return LXDB_NOTFOUND;
    }
    return LX_AGAIN;
}

#endif
