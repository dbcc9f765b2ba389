/* SPDX-License-Identifier: MIT */
/* See harm.h. */
#include "harm.h"

#include "store/index.h"
#include "store/layout.h"

#include <string.h>

/* ---- Values ---------------------------------------------------------------------------------- */

static uint64_t worse(harness_rng *rng, uint64_t word)
{
    switch (harness_below(rng, 10)) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return UINT64_MAX;
    case 3:
        return harness_random(rng);
    case 4:
        return word + 1;
    case 5:
        return word - 1;
    case 6:
        return harness_below(rng, 64);
    case 7:
        return harness_random(rng) >> harness_below(rng, 64);
    default: /* rot, most of the time */
        return word ^ UINT64_C(1) << harness_below(rng, 64);
    }
}

static void hit(harness_rng *rng, void *bytes, size_t len, size_t off, unsigned size)
{
    uint8_t *at = (uint8_t *)bytes + off / size * size;

    if (len < size || off / size * size > len - size)
        return;
    if (size == 8) {
        uint64_t *word = (void *)at;

        __atomic_store_n(word, worse(rng, __atomic_load_n(word, __ATOMIC_RELAXED)),
                         __ATOMIC_RELAXED);
    } else if (size == 4) {
        uint32_t *word = (void *)at;

        __atomic_store_n(word, (uint32_t)worse(rng, __atomic_load_n(word, __ATOMIC_RELAXED)),
                         __ATOMIC_RELAXED);
    } else {
        uint16_t *word = (void *)at;

        __atomic_store_n(word, (uint16_t)worse(rng, __atomic_load_n(word, __ATOMIC_RELAXED)),
                         __ATOMIC_RELAXED);
    }
}

static uint64_t word_at(const void *bytes, size_t len, uint64_t off)
{
    if (len < 8 || off > len - 8)
        return 0;
    return __atomic_load_n((const uint64_t *)(const void *)((const uint8_t *)bytes + off / 8 * 8),
                           __ATOMIC_RELAXED);
}

/* ---- The index ------------------------------------------------------------------------------- */

/* Where an entry of the directory stands; somewhere else if the directory is damaged already. */
static size_t entry_any(harness_rng *rng, const void *bytes, size_t len)
{
    uint64_t word = word_at(bytes, len, offsetof(struct lx_index_head, directory));
    uint64_t depth = lx_directory_depth(word) & 7;

    return (size_t)(lx_directory_start(word) % 1024 * LX_SEGMENT_SIZE +
                    8 * harness_below(rng, UINT64_C(1) << depth));
}

/* A segment that the directory leads to. */
static size_t segment_any(harness_rng *rng, const void *bytes, size_t len)
{
    uint64_t entry = word_at(bytes, len, entry_any(rng, bytes, len));

    return (size_t)(lx_entry_segment(entry) % 4096 * LX_SEGMENT_SIZE);
}

/* One that holds a record, if a few tries find it. */
static size_t slot_any(harness_rng *rng, const void *bytes, size_t len)
{
    size_t segment = segment_any(rng, bytes, len), off = 0;

    for (unsigned try = 0; try < 64; try++) {
        off = segment + offsetof(struct lx_segment, buckets) +
              8 * (size_t)harness_below(rng, LX_SEGMENT_SLOTS);
        if (lx_slot_is_record(word_at(bytes, len, off)))
            break;
    }
    return off;
}

/* Two slots change places, or the one is as the other. */
static void mix_slots(harness_rng *rng, void *bytes, size_t len)
{
    size_t a = slot_any(rng, bytes, len), b = slot_any(rng, bytes, len);
    uint64_t of_a = word_at(bytes, len, a), of_b = word_at(bytes, len, b);

    if (len < 8 || a > len - 8 || b > len - 8)
        return;
    __atomic_store_n((uint64_t *)(void *)((uint8_t *)bytes + a), of_b, __ATOMIC_RELAXED);
    if (harness_below(rng, 2) == 0)
        __atomic_store_n((uint64_t *)(void *)((uint8_t *)bytes + b), of_a, __ATOMIC_RELAXED);
}

const char *harm_index_word(harness_rng *rng, void *bytes, size_t len)
{
    static const size_t splits[] = {
        offsetof(struct lx_index_head, stage),
        offsetof(struct lx_index_head, old_segment),
        offsetof(struct lx_index_head, new_segment),
        offsetof(struct lx_index_head, new_segment) + 8,
        offsetof(struct lx_index_head, free_after),
        offsetof(struct lx_index_head, segments_after),
        offsetof(struct lx_index_head, where),
        offsetof(struct lx_index_head, depth),
    };
    static const size_t heads[] = {offsetof(struct lx_segment, used),
                                   offsetof(struct lx_segment, live),
                                   offsetof(struct lx_segment, base)};

    switch (harness_below(rng, 20)) {
    case 0:
        hit(rng, bytes, len, 8 * (size_t)harness_below(rng, 3), 8);
        return "harms: magic, signature, seed";
    case 1:
        hit(rng, bytes, len, offsetof(struct lx_index_head, directory), 8);
        return "harms: directory word";
    case 2:
    case 3:
        hit(rng, bytes, len, entry_any(rng, bytes, len), 8);
        return "harms: directory entry";
    case 4:
        hit(rng, bytes, len,
            harness_below(rng, 2) == 0 ? offsetof(struct lx_index_head, segments)
                                       : offsetof(struct lx_index_head, free_head),
            8);
        return "harms: segments, free list";
    case 5:
        hit(rng, bytes, len, splits[harness_below(rng, sizeof(splits) / sizeof(splits[0]))], 8);
        return "harms: split";
    case 6:
        hit(rng, bytes, len,
            offsetof(struct lx_index_head, seal) +
                (size_t)harness_below(rng, sizeof(struct lx_index_seal)),
            8);
        return "harms: seal";
    case 7:
    case 8:
        hit(rng, bytes, len, segment_any(rng, bytes, len) + heads[harness_below(rng, 3)], 4);
        return "harms: segment head";
    case 9:
        hit(rng, bytes, len,
            segment_any(rng, bytes, len) + (harness_below(rng, 2) == 0
                                                ? offsetof(struct lx_segment, next_free)
                                                : offsetof(struct lx_segment, checksum)),
            8);
        return "harms: segment head";
    case 10:
    case 11:
        hit(rng, bytes, len,
            segment_any(rng, bytes, len) + offsetof(struct lx_segment, homes) +
                2 * (size_t)harness_below(rng, LX_SEGMENT_SLOTS),
            2);
        return "harms: home";
    case 12:
        mix_slots(rng, bytes, len);
        return "harms: slots mixed";
    case 13:
        hit(rng, bytes, len, (size_t)harness_below(rng, len + 1), 8);
        return "harms: anywhere";
    default:
        hit(rng, bytes, len, slot_any(rng, bytes, len), 8);
        return "harms: slot";
    }
}

/* ---- The lock file --------------------------------------------------------------------------- */

const char *harm_lock_word(harness_rng *rng, void *bytes, size_t len)
{
    static const struct {
        size_t off, size;
    } parts[] = {
        {offsetof(struct lx_control_file, head), offsetof(struct lx_control_head, receipt)},
        {offsetof(struct lx_control_file, lock), sizeof(struct lx_control_lock)},
        {offsetof(struct lx_control_file, block0), sizeof(struct lx_control_block)},
        {offsetof(struct lx_control_file, block1), sizeof(struct lx_control_block)},
        {0, LX_CONTROL_SIZE},
    };
    size_t part = (size_t)harness_below(rng, sizeof(parts) / sizeof(parts[0]));
    size_t off = parts[part].off + (size_t)harness_below(rng, parts[part].size);

    hit(rng, bytes, len, off, harness_below(rng, 4) == 0 ? 4 : 8);
    return "harms: lock file word";
}
