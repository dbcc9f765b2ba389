/* SPDX-License-Identifier: MIT */
/* The table of file operations, filled with the system's. See io.h for what they add to it. */
#include "sys/io.h"

#include "sys/host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- Calls that may make a file grow --------------------------------------------------------- */

/*
 * Past the file size limit the kernel raises SIGXFSZ in the calling thread and returns EFBIG; the
 * default action of the signal kills the program. So all signals of this thread are held back
 * meanwhile, and a SIGXFSZ that the call has raised is taken out again. All of them, since a
 * program with a fast interval timer would else interrupt a long fallocate() for ever.
 */
struct hold {
    int cancel;            /* cancellation state of this thread before */
    sigset_t mask;         /* signals, likewise */
    bool xfsz_was_pending; /* and so is not ours to take out */
};

static void signals_hold(struct hold *ret_hold)
{
    sigset_t set;

    ret_hold->cancel = lx_cancel_off();
    (void)sigfillset(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, &ret_hold->mask);
    /* A signal that was not blocked cannot have been pending. */
    ret_hold->xfsz_was_pending = sigismember(&ret_hold->mask, SIGXFSZ) == 1 &&
                                 sigpending(&set) == 0 && sigismember(&set, SIGXFSZ) == 1;
}

/* Let the signals go on; `err` is the errno of a failed call, else 0, and is errno afterwards. */
static void signals_release(const struct hold *hold, int err)
{
    if (err == EFBIG && !hold->xfsz_was_pending) {
        const struct timespec at_once = {0, 0};
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGXFSZ);
        (void)sigtimedwait(&set, NULL, &at_once);
    }
    (void)pthread_sigmask(SIG_SETMASK, &hold->mask, NULL);
    lx_cancel_restore(hold->cancel);
    errno = err;
}

static ssize_t do_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    struct hold hold;
    ssize_t done;

    signals_hold(&hold);
    do
        done = pwrite(fd, buf, len, off);
    while (done < 0 && errno == EINTR);
    signals_release(&hold, done < 0 ? errno : 0);
    return done;
}

static int do_ftruncate(int fd, off_t size)
{
    struct hold hold;
    int rc;

    signals_hold(&hold);
    do
        rc = ftruncate(fd, size);
    while (rc < 0 && errno == EINTR);
    signals_release(&hold, rc < 0 ? errno : 0);
    return rc;
}

static int do_fallocate(int fd, int mode, off_t off, off_t len)
{
    struct hold hold;
    int rc;

    signals_hold(&hold);
    do
        rc = fallocate(fd, mode, off, len);
    while (rc < 0 && errno == EINTR);
    signals_release(&hold, rc < 0 ? errno : 0);
    return rc;
}

/* ---- The others ------------------------------------------------------------------------------ */

/* A thread that is cancelled in one of these could hold the writer lock, so none is a cancellation
 * point: the others of the library are not either. */

static int do_openat(int dirfd, const char *name, int flags, mode_t mode)
{
    int cancel = lx_cancel_off();
    int fd, low;
    int err;

    do
        fd = openat(dirfd, name, flags, mode);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0 && fd <= STDERR_FILENO) {
        low = fd;
        fd = fcntl(low, (flags & O_CLOEXEC) ? F_DUPFD_CLOEXEC : F_DUPFD, STDERR_FILENO + 1);
        err = errno;
        (void)close(low);
        errno = err;
    }
    lx_cancel_restore(cancel);
    return fd;
}

static int do_close(int fd)
{
    int cancel = lx_cancel_off();
    int rc = close(fd);

    lx_cancel_restore(cancel);
    return rc;
}

static int do_fstatat(int dirfd, const char *name, struct stat *ret_stat)
{
    return fstatat(dirfd, name, ret_stat, AT_SYMLINK_NOFOLLOW);
}

static ssize_t do_pread(int fd, void *buf, size_t len, off_t off)
{
    int cancel = lx_cancel_off();
    ssize_t done;

    do
        done = pread(fd, buf, len, off);
    while (done < 0 && errno == EINTR);
    lx_cancel_restore(cancel);
    return done;
}

static int do_fdatasync(int fd)
{
    int cancel = lx_cancel_off();
    int rc;

    do
        rc = fdatasync(fd);
    while (rc < 0 && errno == EINTR);
    lx_cancel_restore(cancel);
    return rc;
}

static int do_fsync(int fd)
{
    int cancel = lx_cancel_off();
    int rc;

    do
        rc = fsync(fd);
    while (rc < 0 && errno == EINTR);
    lx_cancel_restore(cancel);
    return rc;
}

static int do_msync(void *addr, size_t len, int fd)
{
    int cancel = lx_cancel_off();
    int rc;

    (void)fd;
    do
        rc = msync(addr, len, MS_SYNC);
    while (rc < 0 && errno == EINTR);
    lx_cancel_restore(cancel);
    return rc;
}

static int do_renameat(int dirfd, const char *from, const char *to)
{
    return renameat(dirfd, from, dirfd, to);
}

static int do_unlinkat(int dirfd, const char *name)
{
    return unlinkat(dirfd, name, 0);
}

/* The watermark is four bytes that mean something else in part, and memcpy() promises nothing. */
typedef uint32_t __attribute__((aligned(1), may_alias)) word;

static void do_store(void *to, const void *from, size_t len)
{
    if (len == 1) /* a status byte, which readers may look at */
        __atomic_store_n((uint8_t *)to, *(const uint8_t *)from, __ATOMIC_RELAXED);
    else if (len == sizeof(word))
        *(volatile word *)to = *(const word *)from;
    else if (len > 0) /* `from` may be NULL then, which memcpy() does not allow */
        memcpy(to, from, len);
}

const struct lx_io lx_io_system = {
    .openat = do_openat,
    .close = do_close,
    .fstat = fstat,
    .fstatat = do_fstatat,
    .pread = do_pread,
    .pwrite = do_pwrite,
    .ftruncate = do_ftruncate,
    .fallocate = do_fallocate,
    .fdatasync = do_fdatasync,
    .fsync = do_fsync,
    .renameat = do_renameat,
    .unlinkat = do_unlinkat,
    .mmap = mmap,
    .munmap = munmap,
    .msync = do_msync,
    .store = do_store,
};

const struct lx_io *lx_io = &lx_io_system;
