/* SPDX-License-Identifier: MIT */
/*
 * Shared mappings with address space in reserve. A mapping may reach past the end of its file; the
 * pages become usable as the file grows, so growth rarely needs a new mapping. Touching one before
 * that is SIGBUS: callers compare with the file's length first. Never inherited by a child of fork
 * (a fork by another thread waits for the lock of sys/fds.h while a mapping is made).
 */
#ifndef LX_SYS_MAP_H
#define LX_SYS_MAP_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct lx_map {
    uint8_t *base;
    uint64_t size; /* of the mapping, a multiple of the page size */
} lx_map;

/* Map `fd` from its start, at least `need` bytes of address space and `want` if they can be had
 * (halving until they can). `name` is for sentences. LXDB_NOMEM; LXDB_UNSUPPORTED where the file
 * system has no shared mappings. */
int lx_map_open(int fd, const char *name, uint64_t need, uint64_t want, bool writable,
                lx_map *ret_map);
/* Private zeroed memory instead of a file, for an index that nobody shares. */
int lx_map_anonymous(uint64_t size, lx_map *ret_map);
/* Make [from, to) durable in the file behind the mapping, with the file's size and allocation: an
 * fdatasync of its pages. The range is inside the mapping, and `fd`, which was mapped for writing,
 * is for the door to the system. As lx_file_sync() for what a failure means. */
int lx_map_sync(const lx_map *map, int fd, const char *name, uint64_t from, uint64_t to);
/* Make the first `size` bytes of a writable mapping present, at half the price of a page fault for
 * each. A failure only costs the faults. */
void lx_map_populate(const lx_map *map, uint64_t size);
void lx_map_close(lx_map *map); /* a zeroed map is fine */

#endif
