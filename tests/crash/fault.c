/* SPDX-License-Identifier: MIT */
/* See fault.h. */
#include "tests/crash/fault.h"

#include "sys/io.h"

#include <errno.h>
#include <sys/mman.h>

static _Thread_local struct {
    bool armed;
    enum fault_call call;
    int err;
    unsigned nth;
    bool for_ever;
    unsigned seen;
    unsigned refused;
} fault;

static const volatile int *sync_while;
static unsigned directory_syncs;
static bool by_pwrite;

void fault_arm(enum fault_call call, int err, unsigned nth, bool for_ever)
{
    fault.call = call;
    fault.err = err;
    fault.nth = nth;
    fault.for_ever = for_ever;
    fault.seen = fault.refused = 0;
    fault.armed = true;
}

unsigned fault_disarm(void)
{
    fault.armed = false;
    return fault.refused;
}

void fault_sync_while(const volatile int *on)
{
    sync_while = on;
}

unsigned fault_directory_syncs(void)
{
    return directory_syncs;
}

void fault_store_by_pwrite(bool on)
{
    by_pwrite = on;
}

/* True: this call is refused, and errno says why. */
static bool refused(enum fault_call call)
{
    if (!fault.armed || fault.call != call)
        return false;
    fault.seen++;
    if (fault.seen != fault.nth && !(fault.for_ever && fault.seen > fault.nth))
        return false;
    fault.refused++;
    errno = fault.err;
    return true;
}

/* ---- The table ------------------------------------------------------------------------------- */

static int fault_openat(int dirfd, const char *name, int flags, mode_t mode)
{
    return refused(FAULT_OPENAT) ? -1 : lx_io_system.openat(dirfd, name, flags, mode);
}

static int fault_fstat(int fd, struct stat *ret_stat)
{
    return refused(FAULT_FSTAT) ? -1 : lx_io_system.fstat(fd, ret_stat);
}

static int fault_fstatat(int dirfd, const char *name, struct stat *ret_stat)
{
    return refused(FAULT_FSTATAT) ? -1 : lx_io_system.fstatat(dirfd, name, ret_stat);
}

static ssize_t fault_pread(int fd, void *buf, size_t len, off_t off)
{
    return refused(FAULT_PREAD) ? -1 : lx_io_system.pread(fd, buf, len, off);
}

/* A refused write may have written some of it. */
static ssize_t fault_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    if (refused(FAULT_PWRITE)) {
        int err = errno;

        if (len > 4096)
            (void)lx_io_system.pwrite(fd, buf, 4096, off);
        errno = err;
        return -1;
    }
    return lx_io_system.pwrite(fd, buf, len, off);
}

static int fault_ftruncate(int fd, off_t size)
{
    return refused(FAULT_FTRUNCATE) ? -1 : lx_io_system.ftruncate(fd, size);
}

static int fault_fallocate(int fd, int mode, off_t off, off_t len)
{
    return refused(FAULT_FALLOCATE) ? -1 : lx_io_system.fallocate(fd, mode, off, len);
}

static int fault_fdatasync(int fd)
{
    (void)fd;
    if (sync_while != NULL && *sync_while != 0) {
        errno = *sync_while;
        return -1;
    }
    return refused(FAULT_FDATASYNC) ? -1 : 0;
}

static int fault_fsync(int fd)
{
    (void)fd;
    if (refused(FAULT_FSYNC))
        return -1;
    directory_syncs++;
    return 0;
}

static int fault_renameat(int dirfd, const char *from, const char *to)
{
    return refused(FAULT_RENAMEAT) ? -1 : lx_io_system.renameat(dirfd, from, to);
}

static int fault_unlinkat(int dirfd, const char *name)
{
    return refused(FAULT_UNLINKAT) ? -1 : lx_io_system.unlinkat(dirfd, name);
}

static void *fault_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    return refused(FAULT_MMAP) ? MAP_FAILED : lx_io_system.mmap(addr, len, prot, flags, fd, off);
}

void fault_install(void)
{
    static struct lx_io table;

    table = lx_io_system;
    table.openat = fault_openat;
    table.fstat = fault_fstat;
    table.fstatat = fault_fstatat;
    table.pread = fault_pread;
    table.pwrite = fault_pwrite;
    table.ftruncate = fault_ftruncate;
    table.fallocate = fault_fallocate;
    table.fdatasync = fault_fdatasync;
    table.fsync = fault_fsync;
    table.renameat = fault_renameat;
    table.unlinkat = fault_unlinkat;
    table.mmap = fault_mmap;
    lx_io = &table;
}

/* ---- What the linker's --wrap leads here ----------------------------------------------------- */

bool __real_lx_file_rewrites_allocate(int fd);
bool __wrap_lx_file_rewrites_allocate(int fd);
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return refused(FAULT_MEMORY) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused(FAULT_MEMORY) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return refused(FAULT_MEMORY) ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return refused(FAULT_MEMORY) ? NULL : __real_strdup(text);
}

bool __wrap_lx_file_rewrites_allocate(int fd)
{
    return by_pwrite || __real_lx_file_rewrites_allocate(fd);
}
