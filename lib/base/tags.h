/* SPDX-License-Identifier: MIT */
/*
 * Comparing the tags of a bucket: the top 16 bits of its eight words.
 *
 * Without a branch: which slot has the tag cannot be predicted, and a branch on a line of memory
 * that is yet to come would hold up whatever could be done meanwhile, the next get among it.
 */
#ifndef LX_BASE_TAGS_H
#define LX_BASE_TAGS_H

#include "base/tsan.h"

#include <stdatomic.h>
#include <stdint.h>

#define LX_TAG_SHIFT 48u

/* Thread sanitizer takes a vector load for a race: it gets the other form. */
#if defined(__SSE2__) && !defined(LX_TSAN)
#include <emmintrin.h>

/*
 * Which of the words, aligned to 16 bytes, have the tag of `hash`: a bit for each. Relaxed: a word
 * that is to be followed is loaded again. Each word is loaded as one: x86 promises that for aligned
 * words of eight bytes, alone or in a vector.
 */
static inline uint32_t lx_tags_match(const _Atomic uint64_t words[8], uint64_t hash)
{
    const float *halves = (const float *)(const void *)words;
    __m128 a = _mm_shuffle_ps(_mm_load_ps(halves), _mm_load_ps(halves + 4), 0xdd);
    __m128 b = _mm_shuffle_ps(_mm_load_ps(halves + 8), _mm_load_ps(halves + 12), 0xdd);
    __m128i tags = _mm_packs_epi32(_mm_srai_epi32(_mm_castps_si128(a), 16),
                                   _mm_srai_epi32(_mm_castps_si128(b), 16));
    __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((int16_t)(hash >> LX_TAG_SHIFT)));

    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
}
#else
static inline uint32_t lx_tags_match(const _Atomic uint64_t words[8], uint64_t hash)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < 8; i++) {
        uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);

        mask |= (uint32_t)((word ^ hash) >> LX_TAG_SHIFT == 0) << i;
    }
    return mask;
}
#endif

#endif
