/* SPDX-License-Identifier: MIT */
/*
 * Assertions are for our own mistakes, never for what a file, a peer or a caller may do. lx_assert
 * is cheap and always on; lx_debug_assert may be costly and exists in builds with --enable-debug.
 * lx_step marks a named step of a shared-memory protocol: nothing in the library, a place where
 * tests stop or kill the process in builds with --enable-steps.
 */
#ifndef LX_BASE_ASSERT_H
#define LX_BASE_ASSERT_H

#include <stdlib.h>

#define LX_LIKELY(x) __builtin_expect(!!(x), 1)
#define LX_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define lx_assert(condition)                                                                       \
    do {                                                                                           \
        if (LX_UNLIKELY(!(condition)))                                                             \
            abort();                                                                               \
    } while (0)

#ifdef LX_DEBUG
#define lx_debug_assert(condition) lx_assert(condition)
#else
#define lx_debug_assert(condition) ((void)0)
#endif

#ifdef LX_STEPS
void lx_step(const char *name);
#else
#define lx_step(name) ((void)0)
#endif

#endif
