/* SPDX-License-Identifier: MIT */
/*
 * For ThreadSanitizer alone: what is ordered by means that it does not follow, such as the barriers
 * of liburcu. What happened before a release of an address happened before an acquire of it that
 * comes later. In other builds there is nothing of it.
 */
#ifndef LX_BASE_TSAN_H
#define LX_BASE_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define LX_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LX_TSAN 1
#endif
#endif

#ifdef LX_TSAN
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define lx_tsan_acquire(at) __tsan_acquire((void *)(at))
#define lx_tsan_release(at) __tsan_release((void *)(at))
#else
#define lx_tsan_acquire(at) ((void)0)
#define lx_tsan_release(at) ((void)0)
#endif

#endif
