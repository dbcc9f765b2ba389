/* SPDX-License-Identifier: MIT */
/*
 * Looking at the eight words of a bucket at once: at their tags, which are the top 16 bits, and for
 * one that is empty.
 *
 * Without a branch: which slot has the tag cannot be predicted, and a branch on a line of memory
 * that is yet to come would hold up whatever could be done meanwhile, the next get among it.
 */
#ifndef LX_BASE_TAGS_H
#define LX_BASE_TAGS_H

#include "base/tsan.h"

#include <stdatomic.h>
#include <stdbool.h>
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

/* Which of the words, aligned to 16 bytes, are zero: a bit for each. */
static inline uint32_t lx_words_zero(const _Atomic uint64_t words[8])
{
    const __m128i *pairs = (const __m128i *)(const void *)words;
    __m128i zero = _mm_setzero_si128();
    __m128i a = _mm_packs_epi32(_mm_cmpeq_epi32(_mm_load_si128(&pairs[0]), zero),
                                _mm_cmpeq_epi32(_mm_load_si128(&pairs[1]), zero));
    __m128i b = _mm_packs_epi32(_mm_cmpeq_epi32(_mm_load_si128(&pairs[2]), zero),
                                _mm_cmpeq_epi32(_mm_load_si128(&pairs[3]), zero));
    /* a byte for each half of a word: all ones where it is zero */
    __m128i both = _mm_cmpeq_epi16(_mm_packs_epi16(a, b), _mm_set1_epi16(-1));

    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(both, zero));
}

/* Whether one of the words, aligned to 16 bytes, is zero. */
static inline bool lx_words_have_zero(const _Atomic uint64_t words[8])
{
    const __m128i *pairs = (const __m128i *)(const void *)words;
    __m128i zero = _mm_setzero_si128();
    __m128i halves[4]; /* of the words, which are zero: all ones there */

    for (int i = 0; i < 4; i++)
        halves[i] = _mm_cmpeq_epi32(_mm_load_si128(&pairs[i]), zero);
    for (int i = 0; i < 4; i++) /* both halves of a word */
        halves[i] = _mm_and_si128(halves[i], _mm_shuffle_epi32(halves[i], 0xb1));
    return _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(halves[0], halves[1]),
                                          _mm_or_si128(halves[2], halves[3]))) != 0;
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

static inline uint32_t lx_words_zero(const _Atomic uint64_t words[8])
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < 8; i++)
        mask |= (uint32_t)(atomic_load_explicit(&words[i], memory_order_relaxed) == 0) << i;
    return mask;
}

static inline bool lx_words_have_zero(const _Atomic uint64_t words[8])
{
    return lx_words_zero(words) != 0;
}
#endif

#endif
