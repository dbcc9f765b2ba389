/* SPDX-License-Identifier: MIT */
/*
 * The door to the system. Every file operation of the library goes through this table, and every
 * store into a mapping of the data file through its `store`, so that a test can replace the disk:
 * it sets lx_io before the first lxdb_open() and nothing else changes. Members have the contracts
 * of the system calls they are named after (-1 and errno), with these differences:
 *
 *   - They never fail with EINTR. A transfer may still be partial: callers loop.
 *   - Past RLIMIT_FSIZE pwrite, ftruncate and fallocate give EFBIG and no SIGXFSZ.
 *   - A descriptor from openat is close-on-exec if asked, and above 2: in a program that closed its
 *     standard streams, what some code prints must not end up in a database.
 *   - close is called once, whatever it says: the descriptor is gone.
 *
 * Reading facts about the host (sys/host.h, mount tables), locks (sys/ofd.h) and the hint of
 * lx_file_write_behind() do not go through it.
 */
#ifndef LX_SYS_IO_H
#define LX_SYS_IO_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

struct lx_io {
    int (*openat)(int dirfd, const char *name, int flags, mode_t mode);
    int (*close)(int fd);
    int (*fstat)(int fd, struct stat *ret_stat);
    int (*fstatat)(int dirfd, const char *name, struct stat *ret_stat); /* does not follow links */
    ssize_t (*pread)(int fd, void *buf, size_t len, off_t off);
    ssize_t (*pwrite)(int fd, const void *buf, size_t len, off_t off);
    int (*ftruncate)(int fd, off_t size);
    int (*fallocate)(int fd, int mode, off_t off, off_t len);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*renameat)(int dirfd, const char *from, const char *to);
    int (*unlinkat)(int dirfd, const char *name);
    void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t off);
    int (*munmap)(void *addr, size_t len);
    /* msync() with MS_SYNC, of pages of a shared mapping of `fd`, which is open for writing: an
     * fdatasync of that range of the file. It includes the file's size and allocation, a flush of
     * the disk's cache, and the report of any write of the file that failed since the last one.
     * (Through a descriptor that is read-only Linux would do nothing, and say that it has.) */
    int (*msync)(void *addr, size_t len, int fd);
    /* Copy into a shared mapping of a data file. Four bytes at once, where the machine can do that
     * at any address: a death leaves all of them or none. */
    void (*store)(void *to, const void *from, size_t len);
};

extern const struct lx_io *lx_io;       /* what the library uses */
extern const struct lx_io lx_io_system; /* the system itself: the initial value */

#endif
