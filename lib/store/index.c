/* SPDX-License-Identifier: MIT */
/* The index: probing, publishing, keeping. Splits are in split.c; invariants in index.h. */
#include "store/probe.h"

#include "sys/host.h"

#include <stdlib.h>

#define RESERVE_MIN (UINT64_C(64) << 20) /* address space, not memory */
#define CHUNK_MIN 16u                    /* segments that a growing file gets at once */
#define CHUNK_MAX 4096u
#define POPULATE_MAX (UINT64_C(64) << 20) /* of a new index, at once */

/* ---- readers --------------------------------------------------------------------------------- */

int lx_index_reach(lx_index *index, uint64_t bytes)
{
    uint64_t length = atomic_load_explicit(&index->length, memory_order_relaxed);
    lx_file_info info;
    uint64_t size;
    int rc;

    if (bytes <= length)
        return LXDB_OK;
    if (index->fd < 0)
        return LXDB_CORRUPT;
    rc = lx_file_info_get(index->fd, index->name, &info);
    if (rc != LXDB_OK)
        return rc;
    if (info.size < bytes)
        return LXDB_CORRUPT;
    size = info.size < index->map.size ? info.size : index->map.size;
    while (length < size &&
           !atomic_compare_exchange_weak_explicit(&index->length, &length, size,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    return bytes <= size ? LXDB_OK : LX_AGAIN;
}

int lx_index_damaged(const lx_index *index, const char *what)
{
    (void)lx_fail(
        LXDB_CORRUPT,
        "%s: the index is damaged (%s): it has to be made anew by a process that may write, or "
        "removed while nobody has the database open",
        index->name, what);
    return LX_DAMAGED;
}

/* Whether the directory lies in what is known of the file: a word is loaded once, and what it says
 * is checked before it is used, since damage may come at any time. */
static bool directory_is_there(const lx_index *index, uint64_t word)
{
    return lx_directory_depth(word) <= LX_DEPTH_MAX &&
           lx_directory_end(word) <= atomic_load_explicit(&index->length, memory_order_relaxed);
}

int lx_index_locate_slowly(lx_index *index, uint64_t hash, uint64_t *ret_word, uint64_t *ret_entry)
{
    /* acquire: as in lx_index_locate() */
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_acquire);
    uint64_t entry;
    int rc = lx_directory_depth(word) > LX_DEPTH_MAX
                 ? LXDB_CORRUPT
                 : lx_index_reach(index, lx_directory_end(word));

    if (rc == LXDB_CORRUPT)
        return lx_index_damaged(index, "its directory");
    if (rc != LXDB_OK)
        return rc;
    entry = atomic_load_explicit(lx_directory_entry(index, word, hash), memory_order_acquire);
    rc = lx_entry_segment(entry) == 0
             ? LXDB_CORRUPT
             : lx_index_reach(index, (lx_entry_segment(entry) + 1) * LX_SEGMENT_SIZE);
    if (rc == LXDB_CORRUPT)
        return lx_index_damaged(index, "a directory entry");
    if (rc == LXDB_OK && entry & LX_ENTRY_SEALED)
        rc = lx_index_verify(index, entry);
    if (rc != LXDB_OK)
        return rc;
    *ret_word = word;
    *ret_entry = entry;
    return LXDB_OK;
}

/* Probe one segment. After LXDB_NOTFOUND all its slots that count were loaded before. */
static int probe(lx_index *index, lx_log *log, struct lx_segment *segment, const void *key,
                 size_t key_len, uint64_t hash, lx_found *ret_found)
{
    uint32_t b = lx_hash_bucket(hash);

    for (uint32_t n = 0; n < LX_BUCKETS; n++) {
        struct lx_bucket *bucket = &segment->buckets[b];

        for (uint32_t rest = lx_tags_match(bucket->slots, hash); LX_LIKELY(rest != 0);
             rest &= rest - 1) {
            _Atomic uint64_t *at = &bucket->slots[__builtin_ctz(rest)];
            /* acquire: the bytes of the record; pairs with the release in lx_index_replace()
             * and lx_segment_insert() */
            uint64_t slot = atomic_load_explicit(at, memory_order_acquire);
            int rc;

            if ((slot ^ hash) > LX_SLOT_OFFSET_MASK || !lx_slot_is_record(slot))
                continue;
            /* almost surely the record: its next lines come while the first is waited for */
            lx_log_prefetch(log, (slot & LX_SLOT_OFFSET_MASK) + LX_LINE);
            rc = lx_log_match(log, slot & LX_SLOT_OFFSET_MASK, key, key_len, &ret_found->entry);
            if (LX_LIKELY(rc == LXDB_OK)) {
                ret_found->at.slot = at;
                ret_found->at.segment = segment;
                return rc;
            }
            if (rc == LXDB_CORRUPT)
                return lx_index_damaged(index, "a slot leads to no record");
            if (rc != LXDB_NOTFOUND)
                return rc;
        }
        if (lx_words_have_zero(bucket->slots))
            break;
        b = b + 1 == LX_BUCKETS ? 0 : b + 1;
    }
    /* acquire: the slots before what the caller loads to confirm the miss */
    atomic_thread_fence(memory_order_acquire);
    return LXDB_NOTFOUND;
}

int lx_index_find(lx_index *index, lx_log *log, const void *key, size_t key_len, uint64_t hash,
                  lx_found *ret_found)
{
    uint64_t word, entry, word_after, entry_after;
    int rc = lx_index_locate(index, hash, &word, &entry);

    while (rc == LXDB_OK) {
        rc = probe(index, log, lx_index_segment(index, lx_entry_segment(entry)), key, key_len, hash,
                   ret_found);
        if (rc != LXDB_NOTFOUND)
            return rc;
        /* A miss counts if the segment was in force all the while: these loads come after those
         * of the slots. */
        rc = lx_index_locate(index, hash, &word_after, &entry_after);
        if (rc != LXDB_OK || (word_after == word && entry_after == entry))
            return rc != LXDB_OK ? rc : LXDB_NOTFOUND;
        word = word_after;
        entry = entry_after;
    }
    return rc;
}

/* The segment of a hash, or NULL where a closer look would be needed. */
static inline struct lx_segment *segment_of(const lx_index *index, uint64_t hash)
{
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_acquire);
    uint64_t length = atomic_load_explicit(&index->length, memory_order_relaxed);
    uint64_t at = hash & (lx_directory_entries_count(word) - 1);
    uint64_t entry;

    if (!directory_is_there(index, word))
        return NULL;
    entry = atomic_load_explicit(&lx_directory_entries(index, word)[at], memory_order_acquire);
    if ((lx_entry_segment(entry) + 1) * LX_SEGMENT_SIZE > length)
        return NULL;
    return lx_index_segment(index, lx_entry_segment(entry));
}

/* Its home bucket, likewise. */
static inline struct lx_bucket *home(const lx_index *index, uint64_t hash)
{
    struct lx_segment *segment = segment_of(index, hash);

    return segment == NULL ? NULL : &segment->buckets[lx_hash_bucket(hash)];
}

void lx_index_prefetch_bucket(const lx_index *index, uint64_t hash)
{
    struct lx_bucket *bucket = home(index, hash);

    if (bucket != NULL)
        __builtin_prefetch(bucket);
}

void lx_index_prefetch_insert(const lx_index *index, uint64_t hash)
{
    struct lx_segment *segment = segment_of(index, hash);
    uint32_t b = lx_hash_bucket(hash);

    if (segment == NULL)
        return;
    __builtin_prefetch(&segment->used, 1);
    __builtin_prefetch(&segment->buckets[b], 1);
    __builtin_prefetch(&segment->homes[b * LX_BUCKET_SLOTS], 1);
}

void lx_index_prefetch_record(const lx_index *index, const lx_log *log, uint64_t hash)
{
    struct lx_bucket *bucket = home(index, hash);
    uint32_t tagged = bucket == NULL ? 0 : lx_tags_match(bucket->slots, hash);

    if (tagged != 0)
        lx_log_prefetch(
            log, atomic_load_explicit(&bucket->slots[__builtin_ctz(tagged)], memory_order_relaxed) &
                     LX_SLOT_OFFSET_MASK);
}

int lx_index_each(lx_index *index, uint64_t limit,
                  int (*add)(void *arg, uint64_t off, uint16_t tag), void *arg)
{
    /* Every segment once, by the lowest directory index that leads to it. A split on the way adds
     * an index further on: its keys may then come twice, which the caller expects, but never not at
     * all. */
    for (uint64_t i = 0;; i++) {
        uint64_t word, entry, word_after, entry_after;
        struct lx_segment *segment;
        int rc = lx_index_locate(index, i, &word, &entry);

        if (rc != LXDB_OK)
            return rc;
        if (i >> lx_directory_depth(word) != 0)
            return LXDB_OK;
        if (i >> lx_entry_depth(entry) != 0)
            continue;
        do {
            segment = lx_index_segment(index, lx_entry_segment(entry));
            for (uint32_t b = 0; b < LX_BUCKETS; b++) {
                for (uint32_t s = 0; s < LX_BUCKET_SLOTS; s++) {
                    /* acquire: as in probe() */
                    uint64_t slot = atomic_load_explicit(&segment->buckets[b].slots[s],
                                                         memory_order_acquire);
                    uint64_t off = slot & LX_SLOT_OFFSET_MASK;

                    if (!lx_slot_is_record(slot) || off >= limit)
                        continue;
                    rc = add(arg, off, (uint16_t)(slot >> LX_SLOT_OFFSET_BITS));
                    if (rc != LXDB_OK)
                        return rc;
                }
            }
            rc = lx_index_locate(index, i, &word_after, &entry_after);
            if (rc != LXDB_OK)
                return rc;
            word = entry_after == entry ? 0 : 1;
            entry = entry_after;
        } while (word != 0);
    }
}

/* ---- sealed segments ------------------------------------------------------------------------- */

uint64_t lx_segment_checksum(const struct lx_segment *segment)
{
    size_t from = offsetof(struct lx_segment, buckets);
    uint64_t counts = (uint64_t)segment->used << 32 | segment->live;

    return lx_hash(segment->buckets, sizeof *segment - from,
                   LX_INDEX_MAGIC ^ counts ^ (uint64_t)segment->base << 20);
}

int lx_index_verify(lx_index *index, uint64_t entry)
{
    uint64_t number = lx_entry_segment(entry);
    const struct lx_segment *segment = lx_index_segment(index, number);
    uint64_t bit = UINT64_C(1) << (number & 63);

    if (index->verified == NULL || number >= index->verified_segments)
        return lx_index_damaged(index, "a sealed segment in a file that is not");
    if (atomic_load_explicit(&index->verified[number >> 6], memory_order_relaxed) & bit)
        return LXDB_OK;
    if (lx_segment_checksum(segment) != segment->checksum) {
        /* A writer of another process may have made it its own meanwhile: then its entry
         * changed. */
        uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_acquire);

        if (!directory_is_there(index, word))
            return lx_index_damaged(index, "its directory");
        for (uint64_t i = 0; i >> lx_directory_depth(word) == 0; i++)
            if (atomic_load_explicit(&lx_directory_entries(index, word)[i], memory_order_acquire) ==
                entry)
                return lx_index_damaged(index, "the checksum of a segment");
        return LXDB_OK;
    }
    atomic_fetch_or_explicit(&index->verified[number >> 6], bit, memory_order_relaxed);
    return LXDB_OK;
}

static uint64_t seal_checksum(const lx_index *index, const struct lx_index_seal *seal)
{
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_relaxed);
    uint64_t entries = UINT64_C(1) << lx_directory_depth(word);
    uint64_t facts[] = {
        index->head->seed,
        word,
        index->head->segments,
        index->head->free_head,
        lx_hash(seal, offsetof(struct lx_index_seal, checksum), LX_INDEX_MAGIC),
        lx_hash((const void *)lx_directory_entries(index, word), entries * sizeof(uint64_t),
                LX_INDEX_MAGIC),
    };
    return lx_hash(facts, sizeof facts, LX_INDEX_MAGIC);
}

int lx_index_seal(lx_index *index, const struct lx_index_seal *seal)
{
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_relaxed);
    _Atomic uint64_t *entries = lx_directory_entries(index, word);
    struct lx_index_seal copy = *seal;
    int rc = lx_index_reach(index, index->head->segments * LX_SEGMENT_SIZE);

    if (rc != LXDB_OK || lx_directory_depth(word) > LX_DEPTH_MAX ||
        lx_directory_end(word) > atomic_load_explicit(&index->length, memory_order_relaxed))
        return rc != LXDB_OK ? rc : lx_index_damaged(index, "its directory");

    for (uint64_t i = 0; i >> lx_directory_depth(word) == 0; i++) {
        uint64_t entry = atomic_load_explicit(&entries[i], memory_order_relaxed);
        struct lx_segment *segment = lx_index_segment(index, lx_entry_segment(entry));

        if (lx_entry_segment(entry) == 0 ||
            (lx_entry_segment(entry) + 1) * LX_SEGMENT_SIZE >
                atomic_load_explicit(&index->length, memory_order_relaxed))
            return lx_index_damaged(index, "a directory entry");
        if (entry & LX_ENTRY_SEALED)
            continue;
        if (i >> lx_entry_depth(entry) == 0)
            segment->checksum = lx_segment_checksum(segment);
        atomic_store_explicit(&entries[i], entry | LX_ENTRY_SEALED, memory_order_relaxed);
    }
    /* Segments before the head that vouches for them: a loss of power must not leave a new head
     * over old segments, whose own checksums would be right. */
    rc = lx_file_sync(index->fd, index->name);
    if (rc != LXDB_OK)
        return rc;
    copy.clean = 1;
    copy.checksum = seal_checksum(index, &copy);
    index->head->seal = copy;
    return LXDB_OK;
}

bool lx_index_sealed(const lx_index *index, struct lx_index_seal *ret_seal)
{
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_relaxed);
    uint64_t end;

    if (index->head->seal.clean != 1 || index->head->stage != 0 ||
        lx_directory_depth(word) > LX_DEPTH_MAX)
        return false;
    end = lx_directory_start(word) * LX_SEGMENT_SIZE + (UINT64_C(8) << lx_directory_depth(word));
    if (end > atomic_load_explicit(&index->length, memory_order_relaxed) ||
        index->head->segments >
            atomic_load_explicit(&index->length, memory_order_relaxed) / LX_SEGMENT_SIZE ||
        seal_checksum(index, &index->head->seal) != index->head->seal.checksum)
        return false;
    *ret_seal = index->head->seal;
    return true;
}

void lx_index_unseal(lx_index *index)
{
    index->head->seal.clean = 0;
}

/* ---- opening, making ------------------------------------------------------------------------- */

int lx_index_open(int fd, const char *name, bool writable, lx_index *ret_index)
{
    lx_index index = {.fd = fd, .name = name};
    lx_file_info info;
    uint64_t want;
    int rc = lx_file_info_get(fd, name, &info);

    if (rc != LXDB_OK)
        return rc;
    if (info.size < 3 * LX_SEGMENT_SIZE)
        return lx_fail(LXDB_CORRUPT, "%s: too short to be an index", name);
    want = info.size > UINT64_MAX / 8 ? info.size : info.size * 4;
    if (want < RESERVE_MIN)
        want = RESERVE_MIN;
    rc = lx_map_open(fd, name, info.size, want, writable, &index.map);
    if (rc != LXDB_OK)
        return rc;
    index.head = (struct lx_index_head *)(void *)index.map.base;
    if (index.head->magic != LX_INDEX_MAGIC || index.head->signature != lx_layout_signature()) {
        rc = lx_fail(LXDB_VERSION, "%s: made by another version of the library", name);
        goto out;
    }
    index.seed = index.head->seed;
    index.verified_segments = info.size / LX_SEGMENT_SIZE;
    index.verified = calloc(index.verified_segments / 64 + 1, sizeof *index.verified);
    if (index.verified == NULL) {
        rc = lx_fail(LXDB_NOMEM, "%s: out of memory", name);
        goto out;
    }
    atomic_init(&index.length, info.size < index.map.size ? info.size : index.map.size);
    *ret_index = index;
    return LXDB_OK;
out:
    lx_map_close(&index.map);
    return rc;
}

int lx_index_remap(lx_index *index)
{
    int fd = index->fd;
    int rc;

    free((void *)index->verified);
    lx_map_close(&index->map);
    rc = lx_index_open(fd, index->name, true, index);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        *index = (lx_index){.fd = -1, .name = index->name};
    }
    return rc;
}

/* The depth at which segments are about 60 % full. */
static uint32_t depth_for(uint64_t records)
{
    uint32_t depth = 0;

    while (depth < LX_DEPTH_MAX && ((uint64_t)LX_SEGMENT_SLOTS * 6 / 10) << depth < records)
        depth++;
    return depth;
}

int lx_index_make(int fd, const char *name, uint64_t records, lx_index *ret_index)
{
    lx_index index = {.fd = fd, .name = name};
    uint32_t depth = depth_for(records);
    uint64_t directory = lx_directory_segments(depth);
    uint64_t count = UINT64_C(1) << depth;
    uint64_t segments = 1 + directory + count;
    _Atomic uint64_t *entries;
    int rc;

    if (fd >= 0) {
        uint64_t bytes = (segments + CHUNK_MIN) * LX_SEGMENT_SIZE;
        uint64_t want = bytes * 4 < RESERVE_MIN ? RESERVE_MIN : bytes * 4;

        rc = lx_file_allocate(fd, name, 0, bytes);
        if (rc == LXDB_OK)
            rc = lx_map_open(fd, name, bytes, want, true, &index.map);
        if (rc != LXDB_OK)
            return rc;
        atomic_init(&index.length, bytes);
    } else {
        /* twice what the keys need, and the splits that an uneven hash can ask for; untouched pages
         * cost nothing */
        uint64_t bytes = (segments * 4 + 64) * LX_SEGMENT_SIZE;

        rc = lx_map_anonymous(bytes, &index.map);
        if (rc != LXDB_OK)
            return rc;
        atomic_init(&index.length, bytes);
    }
    index.head = (struct lx_index_head *)(void *)index.map.base;
    rc = lx_random64(&index.seed);
    if (rc != LXDB_OK)
        goto out;
    index.head->magic = LX_INDEX_MAGIC;
    index.head->signature = lx_layout_signature();
    index.head->seed = index.seed;
    index.head->segments = segments;
    atomic_store_explicit(&index.head->directory, (uint64_t)depth << 40 | 1, memory_order_relaxed);
    entries = lx_directory_entries(&index, 1);
    if (depth != 0) /* all of it will be used, unless most of the records are dead */
        lx_map_populate(&index.map, segments * LX_SEGMENT_SIZE < POPULATE_MAX
                                        ? segments * LX_SEGMENT_SIZE
                                        : POPULATE_MAX);
    for (uint64_t i = 0; i < count; i++) {
        lx_index_segment(&index, 1 + directory + i)->base = depth;
        atomic_store_explicit(&entries[i], (uint64_t)depth << 56 | (1 + directory + i),
                              memory_order_relaxed);
    }
    *ret_index = index;
    return LXDB_OK;
out:
    lx_map_close(&index.map);
    return rc;
}

void lx_index_close(lx_index *index)
{
    free((void *)index->verified);
    index->verified = NULL;
    if (index->map.base == NULL)
        return;
    lx_map_close(&index->map);
    lx_file_close(index->fd);
    index->fd = -1;
}

int lx_index_grow(lx_index *index, uint64_t segments)
{
    uint64_t have = atomic_load_explicit(&index->length, memory_order_relaxed) / LX_SEGMENT_SIZE;
    uint64_t chunk = have / 8;
    int rc;

    if (segments > UINT32_MAX)
        return lx_fail(LXDB_NOSPACE, "%s: the index is at its limit of 64 TiB", index->name);
    /* Another process may have let the file grow further than we know. */
    rc = lx_index_reach(index, segments * LX_SEGMENT_SIZE);
    if (rc != LXDB_CORRUPT)
        return rc;
    if (index->fd < 0)
        return lx_fail(LXDB_NOSPACE, "the private index is full");
    have = atomic_load_explicit(&index->length, memory_order_relaxed) / LX_SEGMENT_SIZE;
    chunk = chunk < CHUNK_MIN ? CHUNK_MIN : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
    if (have + chunk < segments)
        chunk = segments - have;
    rc = lx_file_allocate(index->fd, index->name, have * LX_SEGMENT_SIZE, chunk * LX_SEGMENT_SIZE);
    if (rc != LXDB_OK)
        return rc;
    return lx_index_reach(index, segments * LX_SEGMENT_SIZE);
}

/* ---- writers --------------------------------------------------------------------------------- */

/* Before the first change of a sealed segment: its checksum was checked by locate(); now the
 * entries say that it does not hold any more. */
static void unseal_segment(lx_index *index, uint64_t hash, uint64_t word, uint64_t entry)
{
    _Atomic uint64_t *entries = lx_directory_entries(index, word);
    uint64_t step = UINT64_C(1) << lx_entry_depth(entry);

    for (uint64_t i = hash & (step - 1); i >> lx_directory_depth(word) == 0; i += step)
        /* release: keeps the order of stores for readers that see the entry change */
        atomic_store_explicit(&entries[i], entry & ~LX_ENTRY_SEALED, memory_order_release);
}

int lx_index_make_room(lx_index *index, lx_log *log, uint64_t hash, uint64_t need, bool *ret_moved)
{
    uint64_t word, entry;
    const struct lx_segment *segment;
    int rc = lx_index_locate(index, hash, &word, &entry);

    if (rc != LXDB_OK)
        return rc;
    if (LX_UNLIKELY(entry & LX_ENTRY_SEALED))
        unseal_segment(index, hash, word, entry);
    segment = lx_index_segment(index, lx_entry_segment(entry));
    if (need == 0 || (need <= LX_SEGMENT_LIMIT && segment->used <= LX_SEGMENT_LIMIT - need)) {
        *ret_moved = false;
        return LXDB_OK;
    }
    rc = lx_index_split(index, log, hash, need);
    if (rc == LXDB_OK)
        *ret_moved = true;
    return rc;
}

int lx_index_make_room_for_one(lx_index *index, lx_log *log, uint64_t hash)
{
    bool moved;
    int rc;

    do {
        rc = lx_index_make_room(index, log, hash, 1, &moved);
    } while (rc == LXDB_OK && LX_UNLIKELY(moved));
    return rc;
}

uint64_t lx_index_segment_of(const lx_index *index, uint64_t hash)
{
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_relaxed);
    uint64_t segment;

    if (!directory_is_there(index, word))
        return 0;
    segment = lx_entry_segment(atomic_load_explicit(
        &lx_directory_entries(index, word)[hash & (lx_directory_entries_count(word) - 1)],
        memory_order_relaxed));
    if ((segment + 1) * LX_SEGMENT_SIZE >
        atomic_load_explicit(&index->length, memory_order_relaxed))
        return 0;
    return segment;
}

void lx_index_replace(lx_slot_at at, uint64_t off)
{
    uint64_t slot = atomic_load_explicit(at.slot, memory_order_relaxed);

    /* release: the record's bytes before the slot; pairs with the acquire in probe() */
    atomic_store_explicit(at.slot, (slot & ~LX_SLOT_OFFSET_MASK) | off, memory_order_release);
}

bool lx_segment_insert(struct lx_segment *segment, uint64_t slot, uint16_t home)
{
    uint32_t b = home & 0xff;

    if (b >= LX_BUCKETS)
        return false; /* a damaged home */
    for (uint32_t n = 0; n < LX_BUCKETS; n++) {
        struct lx_bucket *bucket = &segment->buckets[b];

        for (uint32_t i = 0; i < LX_BUCKET_SLOTS; i++) {
            uint64_t there = atomic_load_explicit(&bucket->slots[i], memory_order_relaxed);

            if (lx_slot_is_record(there))
                continue;
            segment->homes[b * LX_BUCKET_SLOTS + i] = home;
            /* release: the record's bytes and the home before the slot; pairs with the acquire in
             * probe() */
            atomic_store_explicit(&bucket->slots[i], slot, memory_order_release);
            segment->live++;
            segment->used += there == LX_SLOT_EMPTY;
            return true;
        }
        b = b + 1 == LX_BUCKETS ? 0 : b + 1;
    }
    return false;
}

bool lx_index_insert(lx_index *index, uint64_t hash, uint64_t off)
{
    uint64_t number = lx_index_segment_of(index, hash);
    struct lx_segment *segment = lx_index_segment(index, number);

    return number != 0 &&
           lx_segment_insert(segment, lx_slot_make(hash, off), lx_hash_home(hash, segment->base));
}

int lx_index_add(lx_index *index, lx_log *log, const void *key, size_t key_len, uint64_t hash,
                 uint64_t off, lx_found *ret_found)
{
    struct lx_segment *segment;
    struct lx_bucket *bucket;
    uint64_t word, entry;
    uint32_t empty, slot;
    int rc = lx_index_locate(index, hash, &word, &entry);

    if (rc != LXDB_OK)
        return rc;
    segment = lx_index_segment(index, lx_entry_segment(entry));
    bucket = &segment->buckets[lx_hash_bucket(hash)];
    empty = lx_words_zero(bucket->slots);
    if (LX_UNLIKELY(empty == 0 || lx_tags_match(bucket->slots, hash) != 0 ||
                    segment->used >= LX_SEGMENT_LIMIT || entry & LX_ENTRY_SEALED)) {
        rc = lx_index_find(index, log, key, key_len, hash, ret_found);
        if (rc != LXDB_NOTFOUND)
            return rc == LXDB_OK ? LXDB_EXISTS : rc;
        rc = lx_index_make_room_for_one(index, log, hash);
        if (rc == LXDB_OK && !lx_index_insert(index, hash, off))
            rc = lx_index_damaged(index, "no slot left");
        return rc;
    }
    /* INV-2: the key is nowhere else */
    slot = (uint32_t)__builtin_ctz(empty);
    segment->homes[lx_hash_bucket(hash) * LX_BUCKET_SLOTS + slot] = lx_hash_home(hash,
                                                                                 segment->base);
    atomic_store_explicit(&bucket->slots[slot], lx_slot_make(hash, off), memory_order_relaxed);
    segment->used++;
    segment->live++;
    return LXDB_OK;
}

void lx_index_remove(lx_slot_at at)
{
    /* buckets are aligned to their size */
    const struct lx_bucket *bucket = (const void *)((uintptr_t)at.slot &
                                                    ~(uintptr_t)(sizeof(struct lx_bucket) - 1));
    uint64_t left = LX_SLOT_MARKER;

    /* INV-2: where the bucket has an empty slot, no probe ever went past it */
    for (uint32_t i = 0; i < LX_BUCKET_SLOTS; i++)
        if (atomic_load_explicit(&bucket->slots[i], memory_order_relaxed) == LX_SLOT_EMPTY)
            left = LX_SLOT_EMPTY;
    /* release: the marker's bytes in the log before the slot is gone */
    atomic_store_explicit(at.slot, left, memory_order_release);
    at.segment->live--;
    at.segment->used -= left == LX_SLOT_EMPTY;
}

void lx_segment_recount(struct lx_segment *segment)
{
    uint32_t used = 0, live = 0;

    for (uint32_t b = 0; b < LX_BUCKETS; b++) {
        for (uint32_t i = 0; i < LX_BUCKET_SLOTS; i++) {
            uint64_t slot = atomic_load_explicit(&segment->buckets[b].slots[i],
                                                 memory_order_relaxed);
            used += slot != LX_SLOT_EMPTY;
            live += lx_slot_is_record(slot);
        }
    }
    segment->used = used;
    segment->live = live;
}

void lx_index_recount(lx_index *index, uint64_t hash)
{
    uint64_t number = lx_index_segment_of(index, hash);

    if (number != 0)
        lx_segment_recount(lx_index_segment(index, number));
}

int lx_index_repair(lx_index *index, lx_log *log)
{
    return lx_index_split_finish(index, log);
}

void lx_index_load(const lx_index *index, uint64_t *ret_slots, uint64_t *ret_used)
{
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_acquire);
    uint64_t length = atomic_load_explicit(&index->length, memory_order_relaxed);
    uint64_t used = 0, slots = 0;

    if (!directory_is_there(index, word))
        word = 1; /* damaged, or grown beyond this mapping: say nothing of it */

    for (uint64_t i = 0; i >> lx_directory_depth(word) == 0; i++) {
        uint64_t entry = atomic_load_explicit(&lx_directory_entries(index, word)[i],
                                              memory_order_acquire);
        if (i >> lx_entry_depth(entry) != 0 ||
            (lx_entry_segment(entry) + 1) * LX_SEGMENT_SIZE > length)
            continue;
        used += __atomic_load_n(&lx_index_segment(index, lx_entry_segment(entry))->used,
                                __ATOMIC_RELAXED);
        slots += LX_SEGMENT_SLOTS;
    }
    *ret_slots = slots;
    *ret_used = used;
}
