/* SPDX-License-Identifier: MIT */
/* See fault.h. */
#define LX_STEPS /* as the library has it: lx_step() is ours */
#include "tests/crash/fault.h"

#include "base/assert.h"
#include "store/index.h"
#include "sys/host.h"
#include "sys/io.h"
#include "sys/ofd.h"
#include "tests/coverage/keep.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

/* Of this thread: two at most. */
static _Thread_local struct fault {
    enum fault_call call;
    int err;
    unsigned nth;
    bool for_ever;
    unsigned seen;
} faults[2];
static _Thread_local unsigned armed;
static _Thread_local unsigned refusals;
static _Thread_local const char *last_step;

static const volatile int *sync_while;
static unsigned directory_syncs;
static bool by_pwrite;

void fault_arm(enum fault_call call, int err, unsigned nth, bool for_ever)
{
    faults[0] = (struct fault){call, err, nth, for_ever, 0};
    refusals = 0;
    armed = 1;
}

void fault_arm_too(enum fault_call call, int err, unsigned nth)
{
    faults[1] = (struct fault){call, err, nth, false, 0};
    armed = 2;
}

unsigned fault_disarm(void)
{
    armed = 0;
    return refusals;
}

void fault_die_at(const char *step)
{
    last_step = step;
}

void lx_step(const char *name)
{
    if (last_step == NULL || strcmp(name, last_step) != 0)
        return;
    coverage_keep();
    (void)raise(SIGKILL);
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

/* The refusal that meets this call, or NULL. */
static const struct fault *meets(enum fault_call call)
{
    const struct fault *met = NULL;

    for (unsigned i = 0; i < armed; i++) {
        struct fault *fault = &faults[i];

        if (fault->call != call)
            continue;
        fault->seen++;
        if (fault->seen == fault->nth || (fault->for_ever && fault->seen > fault->nth))
            met = fault;
    }
    refusals += met != NULL;
    return met;
}

/* True: this call is refused, and errno says why. */
static bool refused(enum fault_call call)
{
    const struct fault *fault = meets(call);

    if (fault != NULL)
        errno = fault->err;
    return fault != NULL;
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

/* An fdatasync of a part, and refused as one. */
static int fault_msync(void *addr, size_t len, int fd)
{
    (void)addr;
    (void)len;
    return fault_fdatasync(fd);
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
    table.msync = fault_msync;
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

int __real_lx_random64(uint64_t *ret_bits);
int __wrap_lx_random64(uint64_t *ret_bits);
int __real_lx_log_reach(lx_log *log, uint64_t need);
int __wrap_lx_log_reach(lx_log *log, uint64_t need);
int __real_lx_index_find(lx_index *index, lx_log *log, const void *key, size_t key_len,
                         uint64_t hash, lx_found *ret_found);
int __wrap_lx_index_find(lx_index *index, lx_log *log, const void *key, size_t key_len,
                         uint64_t hash, lx_found *ret_found);
int __real_lx_index_make_room(lx_index *index, lx_log *log, uint64_t hash, uint64_t need,
                              bool *ret_moved);
int __wrap_lx_index_make_room(lx_index *index, lx_log *log, uint64_t hash, uint64_t need,
                              bool *ret_moved);
int __real_lx_index_make_room_for_one(lx_index *index, lx_log *log, uint64_t hash);
int __wrap_lx_index_make_room_for_one(lx_index *index, lx_log *log, uint64_t hash);
int __real_lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off);
int __wrap_lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off);

int __wrap_lx_random64(uint64_t *ret_bits)
{
    return refused(FAULT_RANDOM) ? LXDB_IO : __real_lx_random64(ret_bits);
}

int __wrap_lx_log_reach(lx_log *log, uint64_t need)
{
    const struct fault *fault = meets(FAULT_REACH);

    return fault != NULL ? fault->err : __real_lx_log_reach(log, need);
}

int __wrap_lx_index_find(lx_index *index, lx_log *log, const void *key, size_t key_len,
                         uint64_t hash, lx_found *ret_found)
{
    const struct fault *fault = meets(FAULT_FIND);

    return fault != NULL ? fault->err
                         : __real_lx_index_find(index, log, key, key_len, hash, ret_found);
}

int __wrap_lx_index_make_room(lx_index *index, lx_log *log, uint64_t hash, uint64_t need,
                              bool *ret_moved)
{
    const struct fault *fault = meets(FAULT_ROOM);

    return fault != NULL ? fault->err
                         : __real_lx_index_make_room(index, log, hash, need, ret_moved);
}

int __wrap_lx_index_make_room_for_one(lx_index *index, lx_log *log, uint64_t hash)
{
    const struct fault *fault = meets(FAULT_ROOM);

    return fault != NULL ? fault->err : __real_lx_index_make_room_for_one(index, log, hash);
}

/* A release never fails. */
int __wrap_lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off)
{
    const struct fault *fault = mode != LX_OFD_NONE ? meets(FAULT_LOCK) : NULL;

    return fault != NULL ? fault->err : __real_lx_ofd_set(fd, mode, off);
}
