/* SPDX-License-Identifier: MIT */
/* OFD locks by fcntl(), which is not in the table of io.h: no disk fails a lock. */
#include "sys/ofd.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

/* The lock that an enum value stands for, over [off, off + len). F_OFD_* demand that l_pid is 0. */
static struct flock lock_of(enum lx_ofd_mode mode, uint64_t off, uint64_t len)
{
    struct flock lock = {.l_whence = SEEK_SET};

    lx_assert(off <= INT64_MAX && len <= INT64_MAX - off);
    lock.l_type = (short)(mode == LX_OFD_NONE     ? F_UNLCK
                          : mode == LX_OFD_SHARED ? F_RDLCK
                                                  : F_WRLCK);
    lock.l_start = (off_t)off;
    lock.l_len = (off_t)len;
    return lock;
}

static int lock_control(int fd, int command, struct flock *lock)
{
    int rc;

    do
        rc = fcntl(fd, command, lock);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? errno : 0;
}

static int fail(int err, uint64_t off)
{
    switch (err) {
    case EINVAL:
    case ENOSYS:
    case EOPNOTSUPP:
        return lx_fail(LXDB_UNSUPPORTED,
                       "lock of byte %llu: this kernel or file system has no "
                       "open-file-description locks",
                       (unsigned long long)off);
    case ENOLCK:
        return lx_fail(LXDB_NOMEM, "lock of byte %llu: the system has no room for more locks",
                       (unsigned long long)off);
    default:
        return lx_fail_errno(err, "lock of byte %llu", (unsigned long long)off);
    }
}

int lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off)
{
    struct flock lock = lock_of(mode, off, 1);
    int err = lock_control(fd, F_OFD_SETLK, &lock);

    if (err == 0)
        return LXDB_OK;
    if (err == EAGAIN || err == EACCES)
        return lx_answer(LXDB_BUSY);
    return fail(err, off);
}

int lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off)
{
    struct flock lock = lock_of(LX_OFD_EXCLUSIVE, off, len);
    int err = lock_control(fd, F_OFD_GETLK, &lock);

    if (err != 0)
        return fail(err, off);

    *ret_held = lock.l_type != F_UNLCK;
    if (*ret_held)
        *ret_off = (uint64_t)lock.l_start;
    return LXDB_OK;
}
