/* SPDX-License-Identifier: MIT */
/*
 * The index: an extendible hash table in a file that all processes map. It maps the hash of a key
 * to the offset of its record; the key itself is compared in the log.
 *
 * INV-1  A slot is published by one release store, after the bytes it leads to.
 * INV-2  A slot never moves within a segment. A bucket with an empty slot never was full, so a
 *        probe that meets an empty slot has seen every slot that its key can be in.
 * INV-3  A segment is replaced by fresh ones (split.c), never changed into another: the old one is
 *        frozen when its directory entries change, and stays readable until it is reused. Whatever
 *        a slow reader finds in it, it compares with the key in the log; a miss counts only if the
 *        directory word and the entry are what they were before the probe (the entry's sequence
 *        changes with every replacement).
 * INV-4  Directory memory is never reused, so a slow reader sees old entries, never other data.
 *
 * Readers: any thread, no lock. Everything that changes the index: the holder of the writer lock.
 */
#ifndef LX_STORE_INDEX_H
#define LX_STORE_INDEX_H

#include "base/hash.h"
#include "store/log.h"

typedef struct lx_index {
    lx_map map;
    int fd; /* -1: private memory */
    const char *name;
    struct lx_index_head *head;
    uint64_t seed;
    _Atomic uint64_t length; /* bytes of the file known to be there, at most map.size; only grows */
    _Atomic uint64_t
        *verified; /* one bit a segment: its checksum was right; NULL: nothing is sealed */
    uint64_t verified_segments;
    /* The word of the lock file that tells a later holder of the writer lock what a dead one left
     * undone; NULL while nobody else can see the index. */
    _Atomic uint64_t *dirty;
} lx_index;

/* Where a slot is; valid until its segment is replaced: writers only. */
typedef struct lx_slot_at {
    _Atomic uint64_t *slot;
    struct lx_segment *segment;
} lx_slot_at;

typedef struct lx_found {
    lx_entry entry;
    lx_slot_at at;
} lx_found;

static inline uint64_t lx_index_hash(const lx_index *index, const void *key, size_t key_len)
{
    return lx_hash(key, key_len, index->seed);
}

/* ---- readers --------------------------------------------------------------------------------- */

/* LXDB_OK, LXDB_NOTFOUND, LX_AGAIN (map more), LX_DAMAGED (with a sentence). */
int lx_index_find(lx_index *index, lx_log *log, const void *key, size_t key_len, uint64_t hash,
                  lx_found *ret_found);
/* Ask for the bucket of a hash, and for the record that its home bucket leads to. */
void lx_index_prefetch_bucket(const lx_index *index, uint64_t hash);
void lx_index_prefetch_record(const lx_index *index, const lx_log *log, uint64_t hash);
/* Every offset below `limit` that a slot leads to, as of some moment between the call and its
 * return for each slot; an offset may come twice. `add` returns LXDB_OK to go on. LX_AGAIN as
 * above. */
int lx_index_each(lx_index *index, uint64_t limit,
                  int (*add)(void *arg, uint64_t off, uint16_t tag), void *arg);

/* ---- opening, making ------------------------------------------------------------------------- */

/* Map the file behind `fd` (owned by the index from success on). LXDB_VERSION: another layout;
 * LXDB_CORRUPT: its head contradicts the file. */
int lx_index_open(int fd, const char *name, bool writable, lx_index *ret_index);
/* Make an index for about `records` keys in the empty file `fd` (owned from success on), or in
 * private memory when it is -1: then with room for that many keys and no more. */
int lx_index_make(int fd, const char *name, uint64_t records, lx_index *ret_index);
/* After LX_AGAIN, by who has it alone: map the file anew, with room. The index is closed if that
 * fails. */
int lx_index_remap(lx_index *index);
void lx_index_close(lx_index *index); /* a zeroed index is fine */

/* ---- writers --------------------------------------------------------------------------------- */

/* Make the segment of `hash` writable, and see that it has room for `need` more keys. If it has
 * not, it is split or rewritten, once: *ret_moved, slots found in it before are stale, and the
 * caller asks again (for fewer keys, where they went apart). LX_AGAIN, LXDB_NOSPACE, LX_DAMAGED. */
int lx_index_make_room(lx_index *index, lx_log *log, uint64_t hash, uint64_t need, bool *ret_moved);
/* The same for one key, until there is room. */
int lx_index_make_room_for_one(lx_index *index, lx_log *log, uint64_t hash);
/* Lead a found slot to another offset. */
void lx_index_replace(lx_slot_at at, uint64_t off);
/* Take a free slot for a key that is not there; room was made. False: the segment is damaged. */
bool lx_index_insert(lx_index *index, uint64_t hash, uint64_t off);
void lx_index_remove(lx_slot_at at);
/* The three above in one, while nobody else can see the index: look the key up, and if it is not
 * there, make room and insert it. LXDB_OK: inserted; LXDB_EXISTS: it is there, nothing was changed,
 * *ret_found; or as lx_index_find() and lx_index_make_room() say. */
int lx_index_add(lx_index *index, lx_log *log, const void *key, size_t key_len, uint64_t hash,
                 uint64_t off, lx_found *ret_found);
/* Ask for all lines that it takes. */
void lx_index_prefetch_insert(const lx_index *index, uint64_t hash);
/* Which segment a hash is in now: equal numbers, same segment. 0: it is out of reach. */
uint64_t lx_index_segment_of(const lx_index *index, uint64_t hash);
/* Finish what a dead holder left: a split under way, counts that it did not get to. */
int lx_index_repair(lx_index *index, lx_log *log);
/* Count the slots of the segment of `hash` again: after a repair wrote to it. */
void lx_index_recount(lx_index *index, uint64_t hash);

/* Slots in all segments, and how many of them are not empty. */
void lx_index_load(const lx_index *index, uint64_t *ret_slots, uint64_t *ret_used);

/* ---- keeping: caller is alone ---------------------------------------------------------------- */

/* Checksum what changed, and mark the index clean for the data file described by `seal` (whose
 * `clean` and `checksum` are filled in here). */
int lx_index_seal(lx_index *index, const struct lx_index_seal *seal);
/* Whether the head says clean and its checksum is right; then *ret_seal. */
bool lx_index_sealed(const lx_index *index, struct lx_index_seal *ret_seal);
void lx_index_unseal(lx_index *index); /* before the first use that could change it */

/* ---- shared between index.c and split.c ------------------------------------------------------ */

static inline uint32_t lx_hash_bucket(uint64_t hash)
{
    return (uint32_t)((((hash >> 32) & 0xffff) * LX_BUCKETS) >> 16);
}

static inline uint16_t lx_hash_home(uint64_t hash, uint32_t base)
{
    return (uint16_t)(lx_hash_bucket(hash) | ((hash >> (base & 63)) & 0xff) << 8);
}

/* Segments that a directory of this depth takes. */
static inline uint64_t lx_directory_segments(uint32_t depth)
{
    return ((UINT64_C(8) << depth) + LX_SEGMENT_SIZE - 1) / LX_SEGMENT_SIZE;
}

static inline uint64_t lx_slot_make(uint64_t hash, uint64_t off)
{
    return (hash & ~LX_SLOT_OFFSET_MASK) | off;
}

static inline bool lx_slot_is_record(uint64_t slot)
{
    return slot > LX_SLOT_MARKER;
}

static inline uint32_t lx_directory_depth(uint64_t word)
{
    return (uint32_t)(word >> 40) & 0xff;
}

static inline uint64_t lx_directory_start(uint64_t word)
{
    return word & ((UINT64_C(1) << 40) - 1);
}

/* Of a depth that was not checked yet, some number. */
static inline uint64_t lx_directory_entries_count(uint64_t word)
{
    return UINT64_C(1) << (lx_directory_depth(word) & 63);
}

/* Where the directory ends in the file. */
static inline uint64_t lx_directory_end(uint64_t word)
{
    return lx_directory_start(word) * LX_SEGMENT_SIZE +
           lx_directory_entries_count(word) * sizeof(uint64_t);
}

static inline uint64_t lx_entry_segment(uint64_t entry)
{
    return entry & UINT32_MAX;
}

static inline uint32_t lx_entry_depth(uint64_t entry)
{
    return (uint32_t)(entry >> 56) & 0x3f;
}

static inline _Atomic uint64_t *lx_directory_entries(const lx_index *index, uint64_t word)
{
    return (_Atomic uint64_t *)(void *)(index->map.base +
                                        lx_directory_start(word) * LX_SEGMENT_SIZE);
}

static inline struct lx_segment *lx_index_segment(const lx_index *index, uint64_t number)
{
    return (struct lx_segment *)(void *)(index->map.base + number * LX_SEGMENT_SIZE);
}

/* The entry of a hash in the directory of a word. */
static inline _Atomic uint64_t *lx_directory_entry(const lx_index *index, uint64_t word,
                                                   uint64_t hash)
{
    return &lx_directory_entries(index, word)[hash & (lx_directory_entries_count(word) - 1)];
}

/* LX_DAMAGED, with a sentence. */
int lx_index_damaged(const lx_index *index, const char *what);
/* Put a slot into the first free place from its home on, where its key is not there. False: there
 * is none. */
bool lx_segment_insert(struct lx_segment *segment, uint64_t slot, uint16_t home);
void lx_segment_recount(struct lx_segment *segment);
/* Make the file at least `segments` long and reachable. */
int lx_index_reach(lx_index *index, uint64_t bytes);
int lx_index_grow(lx_index *index, uint64_t segments);
/* Check the segment behind a sealed entry, once per process. */
int lx_index_verify(lx_index *index, uint64_t entry);
uint64_t lx_segment_checksum(const struct lx_segment *segment);
/* split.c: replace the segment at a directory index by one or two fresh ones. */
int lx_index_split(lx_index *index, lx_log *log, uint64_t hash, uint64_t need);
int lx_index_split_finish(lx_index *index, lx_log *log);

#endif
