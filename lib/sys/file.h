/* SPDX-License-Identifier: MIT */
/*
 * Files of a database: opening them without following anything hostile, their identity, their
 * space. All functions return LXDB_OK or a code with the sentence already kept (base/error.h);
 * `name` in those sentences is the name given here. Descriptors are opened close-on-exec, and those
 * of lx_file_open() are kept in the list of sys/fds.h until lx_file_close(). Nothing here retries
 * for long or locks a file. Contents go through the table of sys/io.h; what only
 * concerns attributes, mounts and file systems asks the system itself.
 */
#ifndef LX_SYS_FILE_H
#define LX_SYS_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a file is, for as long as it exists: never reused while the file lives, and with the birth
 * time not even by a later file that gets the same inode number. */
typedef struct lx_file_id {
    uint64_t dev;
    uint64_t ino;
    int64_t birth_ns; /* 0 where the file system has none */
} lx_file_id;

typedef struct lx_file_info {
    lx_file_id id;
    uint64_t size;
    int64_t change_ns; /* ctime */
    int64_t modify_ns; /* mtime */
    uint32_t mode;     /* permission bits */
    uint32_t uid, gid;
    uint64_t links;
    bool regular;
    bool mount_root; /* the file itself is a mount point */
} lx_file_info;

enum {
    LX_FILE_RDONLY = 1,
    LX_FILE_CREATE = 2, /* make it if it is not there */
    LX_FILE_EXCL = 4    /* with CREATE: LXDB_EXISTS if it is there */
};

/* Room in NAME_MAX that a place leaves for what is appended to its name: "-index" and the like. */
enum { LX_PLACE_SUFFIX_MAX = 16 };

/* A directory held by descriptor, and the last part of a path in it. */
typedef struct lx_place {
    int dirfd;
    char *path; /* as the caller gave it, for sentences */
    char *name; /* the last part */
} lx_place;

/* Split `path` and open its directory. LXDB_INVALID for an empty path or a last part of "", ".",
 * "..";
 * LXDB_NOTFOUND for a missing directory; LXDB_TOOBIG when name plus the longest suffix passes
 * NAME_MAX, or the path PATH_MAX. A directory that may be searched but not read can be held; only
 * lx_dir_sync() fails then. */
int lx_place_open(const char *path, lx_place *ret_place);
void lx_place_close(lx_place *place); /* a zeroed or closed place is fine */

/* Open `name` read-write (or read-only) with O_NOFOLLOW | O_NONBLOCK. Then refuses, without having
 * changed anything, what is not a regular file: LXDB_UNSUPPORTED for links, FIFOs, devices,
 * directories (they are not even opened, since opening can be an action there). LXDB_NOTFOUND,
 * LXDB_EXISTS, LXDB_READONLY as they say; LXDB_BUSY if a file server holds a lease on it, or if
 * others create and remove it all the time. `mode` is not subject to the umask. A file that is
 * there already keeps its contents and mode. */
int lx_file_open(int dirfd, const char *name, int flags, unsigned mode, int *ret_fd);
void lx_file_close(int fd); /* -1 is fine */

int lx_file_info_get(int fd, const char *name, lx_file_info *ret_info);
bool lx_file_id_equal(const lx_file_id *a, const lx_file_id *b);
/* Whether `name` exists and is the very file that `fd` is. A failure other than "not there" is a
 * code. */
int lx_file_is_named(int fd, int dirfd, const char *name, bool *ret_same);

/* Refuse what a database must not be: another user's file (unless we are root, or it is root's and
 * only to be read: nobody else could give helper files its owner), a mount point, more than one
 * hard link, anything but a regular file. LXDB_UNSUPPORTED. */
int lx_file_check_fit(const lx_file_info *info, const char *name, bool readonly);
/* Refuse a helper file that was there and that others than the owner of the data file may change
 * behind our back: another user's (but for root's), or one with more than one hard link, which is
 * another file too. LXDB_UNSUPPORTED. To be asked before its contents are looked at. */
int lx_file_check_helper(const lx_file_info *info, const char *name, uint32_t data_uid);
/* Refuse file systems that cannot share memory between all their users: NFS, CIFS, SMB, 9p,
 * virtiofs, FUSE. Asks /proc/self/mountinfo for the mount of `fd` first, fstatfs second.
 * LXDB_UNSUPPORTED, also when neither of them knows. */
int lx_file_check_filesystem(int fd, const char *name);
/* The file system type of the mount `mount_id` in the text of a mountinfo file, cut to `size` with
 * its NUL. False if no line of that mount, or none that can be understood, is there. */
bool lx_mountinfo_type(const char *text, size_t len, uint64_t mount_id, char *ret_type,
                       size_t size);
/* Whether file systems of that name are refused. */
bool lx_filesystem_is_unfit(const char *type);
/* Whether a rewrite of allocated bytes may still run out of space (btrfs, xfs with reflinks, and
 * what is not known): stores into a mapping could then end in SIGBUS. */
bool lx_file_rewrites_allocate(int fd);

/* Give `to` the owner, access ACL and mode of `from`, in that order: after a failure it may have
 * some of them. LXDB_READONLY when we may not (the file of a group that we are not in, say). */
int lx_file_copy_access(int from, int to, const char *name);

/* All of it, or LXDB_IO. */
int lx_file_read(int fd, const char *name, void *buf, size_t len, uint64_t off);
int lx_file_write(int fd, const char *name, const void *buf, size_t len, uint64_t off);
/* Let the system begin to write [off, off + len) to the disk, so that a later sync has less to wait
 * for. Nothing is promised. */
void lx_file_write_behind(int fd, uint64_t off, uint64_t len);
int lx_file_truncate(int fd, const char *name, uint64_t size);
/* Make [off, off + len) allocated and inside the file; new bytes read as zeros. Falls back to
 * writing zeros past the end where the file system has no fallocate: then holes inside the file
 * stay holes, and the caller must keep others from extending the file meanwhile, or the zeros could
 * meet their bytes.
 * LXDB_NOSPACE; the file may have grown in part then. */
int lx_file_allocate(int fd, const char *name, uint64_t off, uint64_t len);
/* fdatasync; size included. Whatever code it gives (LXDB_NOSPACE too, by a file system that
 * allocates late), what was written is lost or not, and a later success proves nothing. */
int lx_file_sync(int fd, const char *name);
/* Make creations, renames and removals in the directory durable. */
int lx_dir_sync(const lx_place *place);
int lx_file_rename(int dirfd, const char *from, const char *to); /* replaces `to` */
int lx_file_remove(int dirfd, const char *name);                 /* a missing file is LXDB_OK */

#endif
