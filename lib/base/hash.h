/* SPDX-License-Identifier: MIT */
/* The hash of keys and checksums of our own files: XXH3-64, by xxHash, inlined. */
#ifndef LX_BASE_HASH_H
#define LX_BASE_HASH_H

#define XXH_INLINE_ALL
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

static inline uint64_t lx_hash(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

#endif
