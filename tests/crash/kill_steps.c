/* SPDX-License-Identifier: MIT */
/* See kill_steps.h. */
#include "tests/crash/kill_steps.h"

#include "sys/io.h"
#include "tests/concurrency/harness.h"
#include "tests/coverage/keep.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What a library built with LX_STEPS calls; see base/assert.h. */
void lx_step(const char *name);

#define PAGE 4096u

enum {
    IO_OPENAT,
    IO_PWRITE,
    IO_FTRUNCATE,
    IO_FALLOCATE,
    IO_FDATASYNC,
    IO_FSYNC,
    IO_MSYNC,
    IO_RENAMEAT,
    IO_UNLINKAT,
    IO_STORE,
    IO_COUNT
};

static const char *const names[] = {
    /* calls through the table, in the order above */
    "io openat",
    "io pwrite",
    "io ftruncate",
    "io fallocate",
    "io fdatasync",
    "io fsync",
    "io msync",
    "io renameat",
    "io unlinkat",
    "io store",
    /* steps of the library */
    "close-cut",
    "close-synced",
    "close-unmarked",
    "commit-committed",
    "commit-concluded",
    "commit-declared",
    "commit-killed",
    "commit-published",
    "commit-publishing",
    "commit-written",
    "compact-copied",
    "compact-data-renamed",
    "compact-directory-synced",
    "compact-filled",
    "compact-index-renamed",
    "compact-published",
    "compact-recorded",
    "directory-doubled",
    "lock-released",
    "lock-taken",
    "open-ready",
    "recover-built",
    "recover-cut",
    "recover-ordered",
    "recover-planned",
    "repair-covered",
    "repair-declared",
    "repair-done",
    "session-marked",
    "session-synced",
    "split-copied",
    "split-pointed",
    "split-recorded",
};

#define COUNT (sizeof(names) / sizeof(names[0]))
_Static_assert(COUNT <= STEPS_MAX, "a plan has room for every step");

void (*steps_on_sync)(void *arg, unsigned number);
void *steps_on_sync_arg;
void (*steps_on_hit)(size_t step);
bool steps_sync;

/* Of the armed thread; in the others `plan` is NULL. */
static _Thread_local struct step_plan *plan;
static _Thread_local unsigned syncs;

size_t steps_count(void)
{
    return COUNT;
}

const char *steps_name(size_t step)
{
    return names[step];
}

size_t steps_named(const char *name)
{
    size_t step = 0;

    while (step < COUNT && strcmp(names[step], name) != 0)
        step++;
    CHECK(step < COUNT, "the step \"%s\" is not in the table of this test", name);
    return step;
}

/* Whether anybody wants to know. */
static bool is_watched(void)
{
    return plan != NULL || steps_on_hit != NULL;
}

static void hit(size_t step)
{
    if (steps_on_hit != NULL)
        steps_on_hit(step);
    if (plan == NULL)
        return;
    plan->hits[step]++;
    if (plan->step == (int)step && plan->hits[step] == plan->nth) {
        coverage_keep();
        (void)kill(getpid(), SIGKILL);
        for (;;)
            (void)pause();
    }
}

void lx_step(const char *name)
{
    static _Thread_local const char *last; /* literals: the same one comes many times over */
    static _Thread_local size_t last_step;

    if (!is_watched())
        return;
    if (name != last) {
        last_step = steps_named(name);
        last = name;
    }
    hit(last_step);
}

void steps_arm(struct step_plan *with, int step, uint32_t nth)
{
    memset(with, 0, sizeof(*with));
    with->step = step;
    with->nth = nth;
    syncs = 0;
    plan = with;
}

void steps_disarm(void)
{
    plan->finished = true;
    plan = NULL;
}

/* ---- The table ------------------------------------------------------------------------------- */

static int step_openat(int dirfd, const char *name, int flags, mode_t mode)
{
    int fd;

    hit(IO_OPENAT);
    fd = lx_io_system.openat(dirfd, name, flags, mode);
    hit(IO_OPENAT);
    return fd;
}

static ssize_t step_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    size_t piece = PAGE - (size_t)off % PAGE;
    ssize_t done;

    hit(IO_PWRITE);
    if (is_watched() && len > piece) { /* torn: the kernel looks for signals between pages */
        (void)lx_io_system.pwrite(fd, buf, piece, off);
        hit(IO_PWRITE);
    }
    done = lx_io_system.pwrite(fd, buf, len, off);
    hit(IO_PWRITE);
    return done;
}

static int step_ftruncate(int fd, off_t size)
{
    int rc;

    hit(IO_FTRUNCATE);
    rc = lx_io_system.ftruncate(fd, size);
    hit(IO_FTRUNCATE);
    return rc;
}

static int step_fallocate(int fd, int mode, off_t off, off_t len)
{
    int rc;

    hit(IO_FALLOCATE);
    rc = lx_io_system.fallocate(fd, mode, off, len);
    hit(IO_FALLOCATE);
    return rc;
}

static int step_fdatasync(int fd)
{
    int rc = 0;

    hit(IO_FDATASYNC);
    if (plan != NULL && steps_on_sync != NULL)
        steps_on_sync(steps_on_sync_arg, ++syncs);
    if (steps_sync)
        rc = lx_io_system.fdatasync(fd);
    hit(IO_FDATASYNC);
    return rc;
}

static int step_msync(void *addr, size_t len, int fd)
{
    int rc = 0;

    hit(IO_MSYNC);
    if (plan != NULL && steps_on_sync != NULL)
        steps_on_sync(steps_on_sync_arg, ++syncs);
    if (steps_sync)
        rc = lx_io_system.msync(addr, len, fd);
    hit(IO_MSYNC);
    return rc;
}

static int step_fsync(int fd)
{
    hit(IO_FSYNC);
    return steps_sync ? lx_io_system.fsync(fd) : 0;
}

static int step_renameat(int dirfd, const char *from, const char *to)
{
    int rc;

    hit(IO_RENAMEAT);
    rc = lx_io_system.renameat(dirfd, from, to);
    hit(IO_RENAMEAT);
    return rc;
}

static int step_unlinkat(int dirfd, const char *name)
{
    int rc;

    hit(IO_UNLINKAT);
    rc = lx_io_system.unlinkat(dirfd, name);
    hit(IO_UNLINKAT);
    return rc;
}

static void step_store(void *to, const void *from, size_t len)
{
    hit(IO_STORE);
    /* torn, unless the library relies on it that it is not: the watermark */
    if (is_watched() && len > 1 && len != 4) {
        lx_io_system.store(to, from, len / 2);
        hit(IO_STORE);
    }
    lx_io_system.store(to, from, len);
    hit(IO_STORE);
}

void steps_install(void)
{
    static struct lx_io table;

    table = lx_io_system;
    table.openat = step_openat;
    table.pwrite = step_pwrite;
    table.ftruncate = step_ftruncate;
    table.fallocate = step_fallocate;
    table.fdatasync = step_fdatasync;
    table.fsync = step_fsync;
    table.msync = step_msync;
    table.renameat = step_renameat;
    table.unlinkat = step_unlinkat;
    table.store = step_store;
    lx_io = &table;
}
