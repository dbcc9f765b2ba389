/* SPDX-License-Identifier: MIT */
/* Mappings: shared ones of files, with address space in reserve, and private memory. See map.h. */
#include "sys/map.h"

#include "sys/fds.h"
#include "sys/io.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Round up to pages, at least one. False if that is no size of a mapping. */
static bool page_round(uint64_t size, uint64_t *ret_size)
{
    const uint64_t page = page_size();
    const uint64_t limit = SIZE_MAX < INT64_MAX ? SIZE_MAX : INT64_MAX;

    if (size > limit - page)
        return false;
    *ret_size = size == 0 ? page : (size + page - 1) / page * page;
    return true;
}

/*
 * Map `size` bytes, a multiple of the page size, for this process alone: a child that inherited a
 * mapping would keep the locks of its description alive. Between the two calls it could, hence the
 * lock, which forks wait for. Returns 0 or errno.
 */
static int map_pages(uint64_t size, int prot, int flags, int fd, lx_map *ret_map)
{
    int err = 0;
    void *base;

    lx_fds_lock();
    base = lx_io->mmap(NULL, (size_t)size, prot, flags, fd, 0);
    if (base == MAP_FAILED) {
        err = errno;
    } else if (madvise(base, (size_t)size, MADV_DONTFORK) < 0) {
        err = errno;
        (void)lx_io->munmap(base, (size_t)size);
    }
    lx_fds_unlock();

    if (err == 0)
        *ret_map = (lx_map){.base = base, .size = size};
    return err;
}

/* Too much address space, or more than the largest file of this file system: less may do. (EINVAL
 * is what valgrind says to that; nothing else in our arguments could be invalid.) */
static bool is_too_large(int err)
{
    return err == ENOMEM || err == EOVERFLOW || err == EINVAL;
}

int lx_map_open(int fd, const char *name, uint64_t need, uint64_t want, bool writable,
                lx_map *ret_map)
{
    const int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    uint64_t least;
    uint64_t size;
    int err;

    if (!page_round(need, &least))
        return lx_fail(LXDB_NOMEM, "%s: %llu bytes are more than a mapping can have", name,
                       (unsigned long long)need);
    if (!page_round(want, &size) || size < least)
        size = least;

    while ((err = map_pages(size, prot, MAP_SHARED, fd, ret_map)) != 0) {
        if (!is_too_large(err) || size == least)
            break;
        if (!page_round(size / 2, &size) || size < least)
            size = least;
    }
    if (err == 0)
        return LXDB_OK;
    if (is_too_large(err))
        return lx_fail(LXDB_NOMEM, "%s: no address space for a mapping of %llu bytes", name,
                       (unsigned long long)least);
    if (err == ENODEV)
        return lx_fail(LXDB_UNSUPPORTED, "%s: its file system has no shared mappings", name);
    return lx_fail_errno(err, "%s: mapping %llu bytes", name, (unsigned long long)least);
}

int lx_map_anonymous(uint64_t size, lx_map *ret_map)
{
    uint64_t whole;
    int err = ENOMEM;

    if (page_round(size, &whole))
        err = map_pages(whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, ret_map);
    if (err == 0)
        return LXDB_OK;
    return lx_fail_errno(is_too_large(err) ? ENOMEM : err, "%llu bytes of memory",
                         (unsigned long long)size);
}

int lx_map_sync(const lx_map *map, int fd, const char *name, uint64_t from, uint64_t to)
{
    uint64_t start = from - from % page_size();

    if (lx_io->msync(map->base + start, (size_t)(to - start), fd) < 0)
        return lx_fail_errno(errno, "%s: syncing it", name);
    return LXDB_OK;
}

void lx_map_populate(const lx_map *map, uint64_t size)
{
#ifdef MADV_POPULATE_WRITE
    (void)madvise(map->base, (size_t)size, MADV_POPULATE_WRITE);
#else
    (void)map;
    (void)size;
#endif
}

void lx_map_close(lx_map *map)
{
    if (map->base != NULL)
        (void)lx_io->munmap(map->base, (size_t)map->size);
    *map = (lx_map){0};
}
