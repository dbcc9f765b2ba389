/* SPDX-License-Identifier: MIT */
/*
 * Splitting a segment that is full, or rewriting one that is full of markers. A few tens of
 * microseconds, under the writer lock, and no reader waits.
 *
 * The head of the index records what is under way, so that a death at any line is finished by the
 * next holder, which calls the same function:
 *
 *   stage 0   nothing is under way
 *   fields, then stage := 1 (release)
 *   stage 1   the old segment is in force and frozen. Take the new segments (free_head and segments
 *             become the recorded values), empty them, copy. All of it may be done again.
 *   stage := 2 (release)
 *   stage 2   the new segments are complete. Point the directory entries at them, give the old
 *             segment to the free list. All of it may be done again.
 *   stage := 0 (release)
 *
 * What the head says is loaded once and checked, and then used: damage may come at any time.
 */
#include "store/probe.h"

#define AHEAD 12u /* records whose lines are on their way while one is hashed */

/* The split or rewrite that the head records, and the directory that it is of. */
struct recorded {
    uint64_t word, stage;
    uint64_t old_segment, new_segment[2];
    uint64_t free_after, segments_after;
    uint64_t where, depth;
};

static struct recorded load_recorded(const struct lx_index_head *head)
{
    return (struct recorded){
        .word = atomic_load_explicit(&head->directory, memory_order_relaxed),
        .stage = __atomic_load_n(&head->stage, __ATOMIC_RELAXED),
        .old_segment = __atomic_load_n(&head->old_segment, __ATOMIC_RELAXED),
        .new_segment = {__atomic_load_n(&head->new_segment[0], __ATOMIC_RELAXED),
                        __atomic_load_n(&head->new_segment[1], __ATOMIC_RELAXED)},
        .free_after = __atomic_load_n(&head->free_after, __ATOMIC_RELAXED),
        .segments_after = __atomic_load_n(&head->segments_after, __ATOMIC_RELAXED),
        .where = __atomic_load_n(&head->where, __ATOMIC_RELAXED),
        .depth = __atomic_load_n(&head->depth, __ATOMIC_RELAXED),
    };
}

static void set_stage(struct lx_index_head *head, uint64_t stage)
{
    /* release: everything before it, for whoever repairs (who took the lock with acquire) */
    __atomic_store_n(&head->stage, stage, __ATOMIC_RELEASE);
}

static void empty_segment(struct lx_segment *segment)
{
    for (uint32_t b = 0; b < LX_BUCKETS; b++)
        for (uint32_t i = 0; i < LX_BUCKET_SLOTS; i++)
            atomic_store_explicit(&segment->buckets[b].slots[i], LX_SLOT_EMPTY,
                                  memory_order_relaxed);
    segment->used = segment->live = 0;
}

static bool copy_slot(struct lx_segment *const to[2], unsigned side, uint64_t slot, uint16_t home)
{
    return lx_segment_insert(to[side & 1], slot, home);
}

/* The homes have the hash bit that decides: nothing but the segment is read. */
static bool copy_by_homes(const struct lx_segment *from, struct lx_segment *const to[2],
                          uint32_t bit)
{
    bool fits = true;

    for (uint32_t i = 0; i < LX_SEGMENT_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(
            &from->buckets[i / LX_BUCKET_SLOTS].slots[i % LX_BUCKET_SLOTS], memory_order_relaxed);
        uint16_t home = from->homes[i];

        if (lx_slot_is_record(slot))
            fits &= copy_slot(to, (unsigned)home >> (8 + bit), slot, home);
    }
    return fits;
}

/* The bits of the homes are used up: hash every key again, and note the next ones. */
static int copy_by_keys(lx_index *index, lx_log *log, const struct lx_segment *from,
                        struct lx_segment *const to[2], uint32_t depth)
{
    uint64_t list[LX_SEGMENT_SLOTS];
    uint32_t n = 0;

    for (uint32_t i = 0; i < LX_SEGMENT_SLOTS; i++) {
        uint64_t slot = atomic_load_explicit(
            &from->buckets[i / LX_BUCKET_SLOTS].slots[i % LX_BUCKET_SLOTS], memory_order_relaxed);
        if (lx_slot_is_record(slot))
            list[n++] = slot;
    }
    for (uint32_t i = 0; i < n; i++) {
        lx_entry entry;
        uint64_t hash;
        int rc;

        if (i + AHEAD < n)
            lx_log_prefetch(log, list[i + AHEAD] & LX_SLOT_OFFSET_MASK);
        rc = lx_log_entry(log, list[i] & LX_SLOT_OFFSET_MASK, &entry);
        if (rc == LXDB_CORRUPT)
            return lx_index_damaged(index, "a slot leads to no record");
        if (rc != LXDB_OK)
            return rc;
        hash = lx_index_hash(index, entry.key, entry.key_len);
        if (!copy_slot(to, (unsigned)(hash >> depth), list[i], lx_hash_home(hash, to[0]->base)))
            return lx_index_damaged(index, "a segment has more records than slots");
    }
    return LXDB_OK;
}

static int copy_segment(lx_index *index, lx_log *log, const struct recorded *split)
{
    const struct lx_segment *from = lx_index_segment(index, split->old_segment);
    uint32_t depth = (uint32_t)split->depth;
    uint32_t base = __atomic_load_n(&from->base, __ATOMIC_RELAXED);
    struct lx_segment *to[2];

    to[0] = lx_index_segment(index, split->new_segment[0]);
    to[1] = split->new_segment[1] ? lx_index_segment(index, split->new_segment[1]) : to[0];
    /* A segment may have been retired under this very hold of the lock: its entries lead elsewhere
     * before its slots are gone, for a reader that confirms a miss; pairs with the fence in
     * probe() */
    atomic_thread_fence(memory_order_release);
    empty_segment(to[0]);
    if (to[1] != to[0])
        empty_segment(to[1]);
    if (base <= depth && depth - base < LX_HOME_BITS) {
        to[0]->base = to[1]->base = base;
        if (!copy_by_homes(from, to, depth - base))
            return lx_index_damaged(index, "a segment has more records than slots");
        return LXDB_OK;
    }
    to[0]->base = to[1]->base = depth;
    return copy_by_keys(index, log, from, to, depth);
}

static void point_entries(lx_index *index, const struct recorded *split)
{
    _Atomic uint64_t *entries = lx_directory_entries(index, split->word);
    uint64_t step = UINT64_C(1) << split->depth;
    uint64_t depth = split->depth + (split->new_segment[1] != 0);

    for (uint64_t i = split->where; i >> lx_directory_depth(split->word) == 0; i += step) {
        uint64_t entry = atomic_load_explicit(&entries[i], memory_order_relaxed);
        uint64_t number = split->new_segment[1] != 0 && (i >> split->depth) & 1
                              ? split->new_segment[1]
                              : split->new_segment[0];
        uint64_t seq = ((entry >> 32) + 1) & 0xffffff;

        if (lx_entry_segment(entry) == number && lx_entry_depth(entry) == depth)
            continue; /* a dead holder did this one */
        /* release: the slots of the new segment; pairs with the acquire in index.c locate() */
        atomic_store_explicit(&entries[i], depth << 56 | seq << 32 | number, memory_order_release);
    }
}

/* Not the head, and not in the directory. */
static bool may_be_segment(uint64_t word, uint64_t number)
{
    uint64_t start = lx_directory_start(word);

    return number != 0 &&
           (number < start || number >= start + lx_directory_segments(lx_directory_depth(word)));
}

/* What the head names must make sense, and be mapped here: a holder that died may have grown the
 * file further than we knew. */
static int reach_recorded(lx_index *index, const struct recorded *split)
{
    const uint64_t *fresh = split->new_segment;
    uint64_t last = split->old_segment;
    int rc;

    if (lx_directory_depth(split->word) > LX_DEPTH_MAX)
        return lx_index_damaged(index, "its directory");
    rc = lx_index_reach(index, lx_directory_end(split->word));
    if (rc == LXDB_OK && split->stage != 0) {
        last = fresh[0] > last ? fresh[0] : last;
        last = fresh[1] > last ? fresh[1] : last;
        if (split->stage > 2 || last > UINT32_MAX ||
            split->depth > lx_directory_depth(split->word) || split->where >> split->depth != 0 ||
            !may_be_segment(split->word, split->old_segment) ||
            !may_be_segment(split->word, fresh[0]) || fresh[0] == split->old_segment ||
            (fresh[1] != 0 && (!may_be_segment(split->word, fresh[1]) || fresh[1] == fresh[0] ||
                               fresh[1] == split->old_segment)))
            rc = LXDB_CORRUPT;
        else
            rc = lx_index_reach(index, (last + 1) * LX_SEGMENT_SIZE);
    }
    return rc == LXDB_CORRUPT ? lx_index_damaged(index, "a split that is recorded in it") : rc;
}

int lx_index_split_finish(lx_index *index, lx_log *log)
{
    struct lx_index_head *head = index->head;
    struct recorded split = load_recorded(head);
    uint64_t directory_end = lx_directory_start(split.word) +
                             lx_directory_segments(lx_directory_depth(split.word) & 63);
    int rc = reach_recorded(index, &split);

    if (rc != LXDB_OK)
        return rc;
    /* a dead holder may have published a directory without getting to this */
    if (head->segments < directory_end)
        head->segments = directory_end;
    if (split.stage == 1) {
        head->free_head = split.free_after;
        head->segments = split.segments_after;
        rc = copy_segment(index, log, &split);
        if (rc != LXDB_OK)
            return rc;
        lx_step("split-copied");
        set_stage(head, 2);
    }
    if (split.stage != 0) {
        struct lx_segment *old = lx_index_segment(index, split.old_segment);

        point_entries(index, &split);
        lx_step("split-pointed");
        old->next_free = split.free_after;
        head->free_head = split.old_segment;
        set_stage(head, 0);
    }
    return LXDB_OK;
}

/* The first segment that was never used: no further than the file, which is grown first. */
static int fresh_segments(lx_index *index, uint64_t *ret_number)
{
    uint64_t number = __atomic_load_n(&index->head->segments, __ATOMIC_RELAXED);
    int rc = number > UINT32_MAX ? LXDB_CORRUPT : lx_index_reach(index, number * LX_SEGMENT_SIZE);

    if (rc == LXDB_CORRUPT)
        return lx_index_damaged(index, "its count of segments");
    if (rc == LXDB_OK)
        *ret_number = number;
    return rc;
}

/* Twice the entries of the directory in force, which `word` is. In place while the room lasts, else
 * in fresh segments; the old ones are not reused. */
static int double_directory(lx_index *index, uint64_t word)
{
    struct lx_index_head *head = index->head;
    uint32_t depth = lx_directory_depth(word);
    uint64_t start = lx_directory_start(word);
    uint64_t count = UINT64_C(1) << depth;
    uint64_t end = start;
    _Atomic uint64_t *from, *to;

    if (depth == LX_DEPTH_MAX)
        return lx_index_damaged(index, "its hash does not spread");
    if (lx_directory_segments(depth + 1) > 1) {
        uint64_t need = lx_directory_segments(depth + 1);
        uint64_t fresh;
        int rc = fresh_segments(index, &fresh);

        if (rc == LXDB_OK)
            rc = lx_index_grow(index, fresh + need);
        if (rc != LXDB_OK)
            return rc;
        start = fresh;
        end = start + need;
    }
    from = lx_directory_entries(index, word);
    to = lx_directory_entries(index, start);
    for (uint64_t i = 0; i < 2 * count; i++)
        atomic_store_explicit(&to[i],
                              atomic_load_explicit(&from[i & (count - 1)], memory_order_relaxed),
                              memory_order_relaxed);
    /* release: the entries before the word; pairs with the acquire in index.c locate() */
    atomic_store_explicit(&head->directory, (uint64_t)(depth + 1) << 40 | start,
                          memory_order_release);
    lx_step("directory-doubled");
    if (end > head->segments)
        head->segments = end;
    return LXDB_OK;
}

/* Choose `n` fresh segments: from the free list, else behind the last. */
static int choose(lx_index *index, uint32_t n, uint64_t in_force, uint64_t ret_numbers[2],
                  uint64_t *ret_free, uint64_t *ret_segments)
{
    uint64_t word = atomic_load_explicit(&index->head->directory, memory_order_relaxed);
    uint64_t free_head = __atomic_load_n(&index->head->free_head, __ATOMIC_RELAXED);
    uint64_t before, segments;
    int rc = fresh_segments(index, &before);

    if (rc != LXDB_OK)
        return rc;
    segments = before;
    ret_numbers[1] = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (free_head != 0) {
            rc = free_head > UINT32_MAX ? LXDB_CORRUPT
                                        : lx_index_reach(index, (free_head + 1) * LX_SEGMENT_SIZE);
            if (rc == LXDB_CORRUPT)
                return lx_index_damaged(index, "its free list");
            if (rc != LXDB_OK)
                return rc;
            if (!may_be_segment(word, free_head) || free_head == in_force ||
                (i == 1 && free_head == ret_numbers[0]))
                return lx_index_damaged(index, "its free list");
            ret_numbers[i] = free_head;
            free_head = __atomic_load_n(&lx_index_segment(index, free_head)->next_free,
                                        __ATOMIC_RELAXED);
        } else {
            ret_numbers[i] = segments++;
        }
    }
    if (segments > before) {
        rc = lx_index_grow(index, segments);
        if (rc != LXDB_OK)
            return rc;
    }
    *ret_free = free_head;
    *ret_segments = segments;
    return LXDB_OK;
}

static int split(lx_index *index, lx_log *log, uint64_t hash, uint64_t need)
{
    struct lx_index_head *head = index->head;
    uint64_t word, entry, at;
    uint64_t free_before = head->free_head, segments_before;
    uint64_t numbers[2], free_after = 0, segments_after = 0;
    uint32_t depth;
    bool two;
    int rc = lx_index_locate(index, hash, &word, &entry);

    if (rc != LXDB_OK)
        return rc;
    depth = lx_entry_depth(entry);
    two = lx_index_segment(index, lx_entry_segment(entry))->live + need > LX_SEGMENT_LIMIT / 2;
    at = hash & ((UINT64_C(1) << lx_directory_depth(word)) - 1);
    if (depth > lx_directory_depth(word))
        return lx_index_damaged(index, "the depth of a segment");
    if (two && depth == lx_directory_depth(word)) {
        rc = double_directory(index, word);
        if (rc != LXDB_OK)
            return rc;
    }
    segments_before = head->segments;
    rc = choose(index, two ? 2 : 1, lx_entry_segment(entry), numbers, &free_after, &segments_after);
    if (rc != LXDB_OK)
        return rc;
    head->old_segment = lx_entry_segment(entry);
    head->new_segment[0] = numbers[0];
    head->new_segment[1] = numbers[1];
    head->free_after = free_after;
    head->segments_after = segments_after;
    head->where = at & ((UINT64_C(1) << depth) - 1);
    head->depth = depth;
    set_stage(head, 1);
    lx_step("split-recorded");
    rc = lx_index_split_finish(index, log);
    if (rc != LXDB_OK) {
        /* nothing points at the new segments: the old one stays in force */
        set_stage(head, 0);
        head->free_head = free_before;
        head->segments = segments_before;
    }
    return rc;
}

int lx_index_split(lx_index *index, lx_log *log, uint64_t hash, uint64_t need)
{
    uint64_t before = index->dirty == NULL
                          ? 0
                          : atomic_load_explicit(index->dirty, memory_order_relaxed);
    int rc;

    if (index->dirty != NULL) /* release: whoever finds it repairs, and finds nothing or a stage */
        atomic_store_explicit(index->dirty, before | LX_DIRTY_SPLIT, memory_order_release);
    rc = split(index, log, hash, need);
    if (index->dirty != NULL) /* a commit that is being repaired is not done with yet */
        atomic_store_explicit(index->dirty, before, memory_order_release);
    return rc;
}
