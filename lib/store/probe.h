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

/* The directory word and the entry of a hash, in bounds. */
static inline int lx_index_locate(lx_index *index, uint64_t hash, uint64_t *ret_word,
                                  uint64_t *ret_entry)
{
    /* acquire: the entries of a new directory; pairs with the release in split.c
     * double_directory() */
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_acquire);
    uint64_t length = atomic_load_explicit(&index->length, memory_order_relaxed);
    uint64_t entry;

    if (LX_UNLIKELY(lx_directory_depth(word) > LX_DEPTH_MAX || lx_directory_end(word) > length))
        return lx_index_locate_slowly(index, hash, ret_word, ret_entry);
    /* acquire: the slots of a new segment; pairs with the release in split.c point_entries() */
    entry = atomic_load_explicit(lx_directory_entry(index, word, hash), memory_order_acquire);
    if (LX_UNLIKELY(lx_entry_segment(entry) == 0 || entry & LX_ENTRY_SEALED ||
                    (lx_entry_segment(entry) + 1) * LX_SEGMENT_SIZE > length))
        return lx_index_locate_slowly(index, hash, ret_word, ret_entry);
    *ret_word = word;
    *ret_entry = entry;
    return LXDB_OK;
}

static inline bool lx_bucket_has_empty(const struct lx_bucket *bucket)
{
    bool empty = false;

    for (unsigned i = 0; i < LX_BUCKET_SLOTS; i++)
        empty |= atomic_load_explicit(&bucket->slots[i], memory_order_relaxed) == LX_SLOT_EMPTY;
    return empty;
}

/* As lx_index_find(). Here is what nearly all keys need: one look at the home bucket. */
static inline __attribute__((always_inline)) int lx_index_find_inline(lx_index *index, lx_log *log,
                                                                      const void *key,
                                                                      size_t key_len, uint64_t hash,
                                                                      lx_found *ret_found)
{
    uint64_t word, entry, word_after, entry_after;
    struct lx_segment *segment;
    struct lx_bucket *bucket;
    uint32_t tagged;
    int rc = lx_index_locate(index, hash, &word, &entry);

    if (LX_UNLIKELY(rc != LXDB_OK))
        return rc;
    segment = lx_index_segment(index, lx_entry_segment(entry));
    bucket = &segment->buckets[lx_hash_bucket(hash)];
    tagged = lx_tags_match(bucket->slots, hash);
    if (LX_LIKELY(tagged != 0)) {
        _Atomic uint64_t *at = &bucket->slots[__builtin_ctz(tagged)];
        /* acquire: the bytes of the record; pairs with the release in lx_index_replace() and
         * lx_segment_insert() */
        uint64_t slot = atomic_load_explicit(at, memory_order_acquire);

        if (LX_LIKELY((slot ^ hash) <= LX_SLOT_OFFSET_MASK && lx_slot_is_record(slot))) {
            /* almost surely the record: its next lines come while the first is waited for */
            lx_log_prefetch(log, (slot & LX_SLOT_OFFSET_MASK) + LX_LINE);
            rc = lx_log_match(log, slot & LX_SLOT_OFFSET_MASK, key, key_len, &ret_found->entry);
            if (LX_LIKELY(rc == LXDB_OK)) {
                ret_found->at.slot = at;
                ret_found->at.segment = segment;
                return rc;
            }
        }
    } else if (lx_bucket_has_empty(bucket)) {
        /* acquire: the slots before what confirms the miss, as in lx_index_find() */
        atomic_thread_fence(memory_order_acquire);
        rc = lx_index_locate(index, hash, &word_after, &entry_after);
        if (rc != LXDB_OK || (word_after == word && entry_after == entry))
            return rc != LXDB_OK ? rc : LXDB_NOTFOUND;
    }
    return lx_index_find(index, log, key, key_len, hash, ret_found);
}

#endif
