/* SPDX-License-Identifier: MIT */
/* Opening, judging, reading, growing and syncing the files of a database. See file.h. */
#include "sys/file.h"

#include "sys/fds.h"
#include "sys/host.h"
#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- Places ---------------------------------------------------------------------------------- */

static bool is_file_name(const char *name)
{
    return strcmp(name, "") != 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Open the directory of `path`, whose last part begins at `name`. */
static int directory_open(const char *path, const char *name, int *ret_fd)
{
    const size_t len = (size_t)(name - path);
    char *dir = len == 0 ? strdup(".") : strndup(path, len);
    int rc = LXDB_OK;
    int err;
    int fd;

    if (dir == NULL)
        return lx_fail_errno(ENOMEM, "%s", path);
    fd = lx_io->openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 && errno == EACCES) /* a directory may allow to search it and not to list it */
        fd = lx_io->openat(AT_FDCWD, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    err = errno;
    if (fd >= 0)
        *ret_fd = fd;
    else if (err == ENOENT || err == ENOTDIR)
        rc = lx_fail(LXDB_NOTFOUND, "%s: there is no directory %s", path, dir);
    else if (err == ENAMETOOLONG)
        rc = lx_fail(LXDB_TOOBIG, "%s: the path is too long", path);
    else
        rc = lx_fail_errno(err, "%s: opening its directory", path);
    free(dir);
    return rc;
}

int lx_place_open(const char *path, lx_place *ret_place)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    lx_place place = {.dirfd = -1};
    int rc;

    if (!is_file_name(name))
        return lx_fail(LXDB_INVALID, "\"%s\" does not name a file", path);
    if (strlen(name) > NAME_MAX - LX_PLACE_SUFFIX_MAX)
        return lx_fail(LXDB_TOOBIG, "%s: the file name is longer than %d bytes", path,
                       NAME_MAX - LX_PLACE_SUFFIX_MAX);

    place.path = strdup(path);
    place.name = strdup(name);
    if (place.path == NULL || place.name == NULL) {
        rc = lx_fail_errno(ENOMEM, "%s", path);
        goto out;
    }
    rc = directory_open(path, name, &place.dirfd);
    if (rc != LXDB_OK)
        goto out;
    *ret_place = place;
    return LXDB_OK;
out:
    free(place.path);
    free(place.name);
    return rc;
}

void lx_place_close(lx_place *place)
{
    if (place->path == NULL) /* zeroed, where dirfd is 0 and not ours, or closed */
        return;
    lx_file_close(place->dirfd);
    free(place->path);
    free(place->name);
    *place = (lx_place){.dirfd = -1};
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* How often a file may appear and vanish again between two calls before we give up. */
enum { OPEN_ATTEMPTS = 100 };

/* LXDB_OK for a regular file, else why a database cannot be in it. */
static int check_regular(mode_t mode, const char *name)
{
    const char *kind;

    switch (mode & S_IFMT) {
    case S_IFREG:
        return LXDB_OK;
    case S_IFLNK:
        kind = "symbolic link";
        break;
    case S_IFDIR:
        kind = "directory";
        break;
    case S_IFIFO:
        kind = "FIFO";
        break;
    case S_IFSOCK:
        kind = "socket";
        break;
    case S_IFCHR:
    case S_IFBLK:
        kind = "device";
        break;
    default:
        kind = "special file";
        break;
    }
    return lx_fail(LXDB_UNSUPPORTED, "%s: is a %s, not a regular file", name, kind);
}

static int open_fail(int err, const char *name)
{
    switch (err) {
    case ENOENT:
        return lx_fail(LXDB_NOTFOUND, "%s: no such file", name);
    case ELOOP:
        return check_regular(S_IFLNK, name);
    case EISDIR:
        return check_regular(S_IFDIR, name);
    case ENXIO:
    case ENODEV:
        return lx_fail(LXDB_UNSUPPORTED, "%s: is a FIFO, socket or device, not a regular file",
                       name);
    case EAGAIN:
        return lx_fail(LXDB_BUSY, "%s: a file server holds a lease on it", name);
    default:
        return lx_fail_errno(err, "%s: opening it", name);
    }
}

/* After O_CREAT: the mode as asked for, whatever the umask took. */
static int set_created_mode(int fd, const char *name, mode_t mode)
{
    struct stat st;

    if (lx_io->fstat(fd, &st) < 0)
        return lx_fail_errno(errno, "%s: reading its attributes", name);
    if ((st.st_mode & ALLPERMS) == mode || fchmod(fd, mode) == 0)
        return LXDB_OK;
    if (errno == EPERM || errno == EOPNOTSUPP)
        return LXDB_OK; /* ours, so this file system has no modes; the mount says who may what */
    return lx_fail_errno(errno, "%s: setting its mode", name);
}

/* Open, and list the descriptor before a fork can happen. Returns LXDB_OK with a descriptor and 0,
 * or with -1 and errno of the open; else a code. */
static int open_listed(int dirfd, const char *name, int flags, mode_t mode, int *ret_errno,
                       int *ret_fd)
{
    int rc = LXDB_OK;
    int err;
    int fd;

    lx_fds_lock();
    fd = lx_io->openat(dirfd, name, flags, mode);
    err = fd < 0 ? errno : 0;
    if (fd >= 0)
        rc = lx_fds_add(fd);
    if (rc != LXDB_OK)
        (void)lx_io->close(fd);
    lx_fds_unlock();

    if (rc == LXDB_OK) {
        *ret_errno = err;
        *ret_fd = fd;
    }
    return rc;
}

/* Both return LXDB_OK with a descriptor and 0, or with errno of what failed for a reason that the
 * caller judges; else a code. */
static int open_existing(int dirfd, const char *name, int access, int *ret_errno, int *ret_fd)
{
    struct stat st;
    int rc;
    int fd;

    /* Before opening: opening a FIFO wakes its other end, and opening a device may be an action. */
    if (lx_io->fstatat(dirfd, name, &st) < 0) {
        *ret_errno = errno;
        return LXDB_OK;
    }
    rc = check_regular(st.st_mode, name);
    if (rc != LXDB_OK)
        return rc;
    rc = open_listed(dirfd, name, access, 0, ret_errno, &fd);
    if (rc != LXDB_OK || fd < 0)
        return rc;

    /* After it: only this descriptor tells what was opened. */
    if (lx_io->fstat(fd, &st) < 0)
        rc = lx_fail_errno(errno, "%s: reading its attributes", name);
    else
        rc = check_regular(st.st_mode, name);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        return rc;
    }
    *ret_fd = fd;
    return LXDB_OK;
}

static int open_new(int dirfd, const char *name, int access, mode_t mode, int *ret_errno,
                    int *ret_fd)
{
    int fd;
    int rc = open_listed(dirfd, name, access | O_CREAT | O_EXCL, mode, ret_errno, &fd);

    if (rc != LXDB_OK || fd < 0)
        return rc;
    rc = set_created_mode(fd, name, mode);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        (void)lx_io->unlinkat(dirfd, name);
        return rc;
    }
    *ret_fd = fd;
    return LXDB_OK;
}

/*
 * Creation is tried apart from opening and with O_EXCL, so that we know which of the two it was:
 * only a file of our making gets its mode set. (O_CREAT on a file that is there would also fail in
 * sticky directories, where the kernel protects other users' files from it.)
 */
int lx_file_open(int dirfd, const char *name, int flags, unsigned mode, int *ret_fd)
{
    const int access = ((flags & LX_FILE_RDONLY) ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK |
                       O_NOCTTY | O_CLOEXEC;
    int err = 0;
    int rc;

    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        if (!(flags & LX_FILE_CREATE) || !(flags & LX_FILE_EXCL)) {
            rc = open_existing(dirfd, name, access, &err, ret_fd);
            if (rc != LXDB_OK || err == 0)
                return rc;
            if (err != ENOENT || !(flags & LX_FILE_CREATE))
                return open_fail(err, name);
        }
        rc = open_new(dirfd, name, access, (mode_t)mode & ACCESSPERMS, &err, ret_fd);
        if (rc != LXDB_OK || err == 0)
            return rc;
        if (err != EEXIST)
            return open_fail(err, name);
        if (flags & LX_FILE_EXCL)
            return lx_fail(LXDB_EXISTS, "%s: exists already", name);
    }
    return lx_fail(LXDB_BUSY, "%s: others create and remove it all the time", name);
}

void lx_file_close(int fd)
{
    if (fd < 0)
        return;
    lx_fds_lock(); /* else a fork between the two could close what has got this number by then */
    lx_fds_remove(fd);
    (void)lx_io->close(fd);
    lx_fds_unlock();
}

/* ---- Identity and fitness -------------------------------------------------------------------- */

static int64_t to_ns(int64_t seconds, int64_t nanoseconds)
{
    return seconds * 1000000000 + nanoseconds;
}

int lx_file_info_get(int fd, const char *name, lx_file_info *ret_info)
{
    lx_file_info info = {0};
    struct statx more;
    struct stat st;

    if (lx_io->fstat(fd, &st) < 0)
        return lx_fail_errno(errno, "%s: reading its attributes", name);
    info.id.dev = (uint64_t)st.st_dev;
    info.id.ino = (uint64_t)st.st_ino;
    info.size = (uint64_t)st.st_size;
    info.change_ns = to_ns(st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    info.modify_ns = to_ns(st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    info.mode = (uint32_t)(st.st_mode & ALLPERMS);
    info.uid = (uint32_t)st.st_uid;
    info.gid = (uint32_t)st.st_gid;
    info.links = (uint64_t)st.st_nlink;
    info.regular = S_ISREG(st.st_mode);

    /* What stat does not have, and a kernel or a file system need not know. */
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0) {
        if (more.stx_mask & STATX_BTIME)
            info.id.birth_ns = to_ns(more.stx_btime.tv_sec, more.stx_btime.tv_nsec);
        info.mount_root = (more.stx_attributes & more.stx_attributes_mask &
                           STATX_ATTR_MOUNT_ROOT) != 0;
    }
    *ret_info = info;
    return LXDB_OK;
}

bool lx_file_id_equal(const lx_file_id *a, const lx_file_id *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->birth_ns == b->birth_ns;
}

int lx_file_is_named(int fd, int dirfd, const char *name, bool *ret_same)
{
    struct stat ours;
    struct stat named;

    if (lx_io->fstat(fd, &ours) < 0)
        return lx_fail_errno(errno, "%s: reading its attributes", name);
    if (lx_io->fstatat(dirfd, name, &named) < 0) {
        if (errno != ENOENT)
            return lx_fail_errno(errno, "%s: looking it up", name);
        *ret_same = false;
        return LXDB_OK;
    }
    /* No birth time needed: while `fd` is open its inode number is not given away again. */
    *ret_same = ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
    return LXDB_OK;
}

int lx_file_check_fit(const lx_file_info *info, const char *name, bool readonly)
{
    const uint32_t us = (uint32_t)geteuid();

    if (!info->regular)
        return lx_fail(LXDB_UNSUPPORTED, "%s: is not a regular file", name);
    if (info->uid != us && us != 0 && !(readonly && info->uid == 0))
        return lx_fail(LXDB_UNSUPPORTED, "%s: belongs to user %u, and we are user %u", name,
                       info->uid, us);
    if (info->mount_root)
        return lx_fail(LXDB_UNSUPPORTED,
                       "%s: is a mount point, so its helper files could not be shared with others "
                       "(mount its directory instead)",
                       name);
    if (info->links > 1)
        return lx_fail(LXDB_UNSUPPORTED,
                       "%s: has %llu hard links, and under another name others would not be seen",
                       name, (unsigned long long)info->links);
    return LXDB_OK;
}

int lx_file_check_helper(const lx_file_info *info, const char *name, uint32_t data_uid)
{
    if (info->uid != data_uid && info->uid != 0)
        return lx_fail(
            LXDB_UNSUPPORTED,
            "%s: belongs to user %u, and the data file to user %u: somebody else made it", name,
            info->uid, data_uid);
    if (info->links > 1)
        return lx_fail(LXDB_UNSUPPORTED, "%s: has %llu hard links, so it is another file, too",
                       name, (unsigned long long)info->links);
    return LXDB_OK;
}

/* ---- File systems ---------------------------------------------------------------------------- */

/*
 * Where a page that one user maps may differ from what another one sees: on network and cluster
 * file systems, and where a process or another kernel serves the pages. Names as in mountinfo,
 * numbers as in statfs(2); a name may have several numbers over time, and the first name of a
 * number is told.
 */
static const struct {
    const char *type;
    uint32_t magic;
} unfit[] = {
    {"nfs", 0x6969},           {"nfs4", 0x6969},        {"cifs", 0xFF534D42},
    {"smb3", 0xFE534D42},      {"smbfs", 0x517B},       {"9p", 0x01021997},
    {"fuse", 0x65735546},      {"fuseblk", 0x65735546}, {"virtiofs", 0x65735546},
    {"glusterfs", 0x65735546}, {"afs", 0x5346414F},     {"afs", 0x6B414653},
    {"ceph", 0x00C36400},      {"lustre", 0x0BD00BD0},  {"gfs2", 0x01161970},
    {"ocfs2", 0x7461636F},     {"gpfs", 0x47504653},    {"beegfs", 0x19830326},
    {"orangefs", 0x20030528},  {"coda", 0x73757245},    {"ncpfs", 0x564C},
    {"vboxsf", 0x786F4256},    {"vmhgfs", 0xBACBACBC},  {"prl_fs", 0x7C7C6673},
};

enum { UNFIT_COUNT = sizeof unfit / sizeof *unfit };

/* A new file system that is not here is treated as one whose rewrites allocate. */
enum { MAGIC_EXT = 0xEF53, MAGIC_TMPFS = 0x01021994 };

static bool magic_get(int fd, uint32_t *ret_magic)
{
    struct statfs fs;
    int rc;

    do
        rc = fstatfs(fd, &fs);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return false;
    *ret_magic = (uint32_t)fs.f_type; /* signed and of another size on some machines */
    return true;
}

bool lx_filesystem_is_unfit(const char *type)
{
    if (strncmp(type, "fuse.", 5) == 0) /* FUSE names its servers behind the dot */
        return true;
    for (size_t i = 0; i < UNFIT_COUNT; i++)
        if (strcmp(type, unfit[i].type) == 0)
            return true;
    return false;
}

static const char *unfit_of_magic(uint32_t magic)
{
    for (size_t i = 0; i < UNFIT_COUNT; i++)
        if (magic == unfit[i].magic)
            return unfit[i].type;
    return NULL;
}

/* Copy a field of mountinfo, in which space, tab, newline and backslash are written \ooo. */
static void field_decode(const char *field, const char *end, char *ret_text, size_t size)
{
    size_t len = 0;

    while (field < end && len + 1 < size) {
        if (*field == '\\' && end - field >= 4 && field[1] >= '0' && field[1] <= '3' &&
            field[2] >= '0' && field[2] <= '7' && field[3] >= '0' && field[3] <= '7') {
            ret_text[len++] = (char)((field[1] - '0') * 64 + (field[2] - '0') * 8 +
                                     (field[3] - '0'));
            field += 4;
        } else {
            ret_text[len++] = *field++;
        }
    }
    ret_text[len] = '\0';
}

/* The first `c` in [from, end), or end. */
static const char *find(const char *from, const char *end, char c)
{
    const char *at = memchr(from, c, (size_t)(end - from));

    return at != NULL ? at : end;
}

/*
 * A line is: mount id, parent id, device, root, mount point, options, any number of optional
 * fields, a lone "-", type, source, options of the file system; single spaces between them
 * (proc(5)).
 */
bool lx_mountinfo_type(const char *text, size_t len, uint64_t mount_id, char *ret_type, size_t size)
{
    enum { FIXED_FIELDS = 6 };
    const char *const end = text + len;
    const char *line;
    const char *line_end;
    char id[24];
    size_t id_len = (size_t)snprintf(id, sizeof id, "%llu ", (unsigned long long)mount_id);

    for (line = text; line < end; line = line_end < end ? line_end + 1 : end) {
        const char *field = line;
        const char *stop;

        line_end = find(line, end, '\n');
        if ((size_t)(line_end - line) < id_len || memcmp(line, id, id_len) != 0)
            continue;
        for (int n = 0; field < line_end; n++, field = stop < line_end ? stop + 1 : line_end) {
            stop = find(field, line_end, ' ');
            if (n < FIXED_FIELDS || stop - field != 1 || *field != '-' || stop == line_end)
                continue;
            field = stop + 1;
            stop = find(field, line_end, ' ');
            if (stop == field)
                return false;
            field_decode(field, stop, ret_type, size);
            return true;
        }
        return false;
    }
    return false;
}

/* All of /proc/self/mountinfo, to be freed; NULL if it cannot be had. */
static char *mountinfo_read(size_t *ret_len)
{
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    size_t size = 16384;
    char *text = NULL;
    size_t len = 0;
    ssize_t got;

    if (fd < 0)
        return NULL;
    for (;;) {
        char *more = realloc(text, size);

        if (more == NULL)
            goto out;
        text = more;
        do
            got = read(fd, text + len, size - len);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            goto out;
        if (got == 0)
            break;
        len += (size_t)got;
        if (size - len < size / 4)
            size *= 2;
    }
    (void)close(fd);
    *ret_len = len;
    return text;
out:
    (void)close(fd);
    free(text);
    return NULL;
}

/* The type of the file system that `fd` is on, by its mount; without asking a server, which may
 * hang. */
static bool mount_type_get(int fd, char *ret_type, size_t size)
{
    bool found = false;
#ifdef STATX_MNT_ID
    struct statx stx;
    size_t len = 0;
    char *text;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx) < 0 ||
        !(stx.stx_mask & STATX_MNT_ID))
        return false;
    text = mountinfo_read(&len);
    if (text != NULL)
        found = lx_mountinfo_type(text, len, stx.stx_mnt_id, ret_type, size);
    free(text);
#endif
    return found;
}

/* The usual case, told sooner than the mounts are read: no server is asked about a block device. */
static bool is_ext_on_a_device(int fd)
{
    struct statx stx;
    uint32_t magic;

    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx) == 0 &&
           stx.stx_dev_major != 0 && magic_get(fd, &magic) && magic == MAGIC_EXT;
}

int lx_file_check_filesystem(int fd, const char *name)
{
    const char *refused;
    char type[64];
    uint32_t magic;

    if (is_ext_on_a_device(fd))
        return LXDB_OK;
    if (mount_type_get(fd, type, sizeof type))
        refused = lx_filesystem_is_unfit(type) ? type : NULL;
    else if (magic_get(fd, &magic))
        refused = unfit_of_magic(magic);
    else
        return lx_fail(LXDB_UNSUPPORTED, "%s: no way to find out what file system it is on", name);
    if (refused == NULL)
        return LXDB_OK;
    return lx_fail(LXDB_UNSUPPORTED,
                   "%s: is on a %s file system, which does not share memory reliably between all "
                   "processes that use it",
                   name, refused);
}

bool lx_file_rewrites_allocate(int fd)
{
    uint32_t magic;

    return !magic_get(fd, &magic) || (magic != MAGIC_EXT && magic != MAGIC_TMPFS);
}

/* ---- Access ---------------------------------------------------------------------------------- */

static const char acl_name[] = "system.posix_acl_access";

/* No ACL, or none possible. */
static bool is_no_acl(int err)
{
    return err == ENODATA || err == EOPNOTSUPP;
}

static int acl_copy(int from, int to, const char *name)
{
    char *acl = malloc(XATTR_SIZE_MAX);
    ssize_t len;
    int rc = LXDB_OK;

    if (acl == NULL)
        return lx_fail_errno(ENOMEM, "%s: copying its ACL", name);
    len = fgetxattr(from, acl_name, acl, XATTR_SIZE_MAX);
    if (len >= 0) {
        if (fsetxattr(to, acl_name, acl, (size_t)len, 0) < 0)
            rc = lx_fail_errno(errno, "%s: copying its ACL", name);
    } else if (!is_no_acl(errno)) {
        rc = lx_fail_errno(errno, "%s: reading its ACL", name);
    } else if (fremovexattr(to, acl_name) < 0 && !is_no_acl(errno)) {
        /* The directory may have given the new file one by default. */
        rc = lx_fail_errno(errno, "%s: removing the ACL of its copy", name);
    }
    free(acl);
    return rc;
}

/* The owner first, since a change of owner clears bits of the mode; the mode last, since an ACL
 * shares its group bits with it. */
int lx_file_copy_access(int from, int to, const char *name)
{
    struct stat theirs;
    struct stat ours;
    int rc;

    if (lx_io->fstat(from, &theirs) < 0 || lx_io->fstat(to, &ours) < 0)
        return lx_fail_errno(errno, "%s: reading its attributes", name);
    if ((theirs.st_uid != ours.st_uid || theirs.st_gid != ours.st_gid) &&
        fchown(to, theirs.st_uid, theirs.st_gid) < 0)
        return lx_fail_errno(errno, "%s: giving its copy the same owner", name);
    rc = acl_copy(from, to, name);
    if (rc != LXDB_OK)
        return rc;
    if (fchmod(to, theirs.st_mode & ALLPERMS) < 0)
        return lx_fail_errno(errno, "%s: giving its copy the same mode", name);
    return LXDB_OK;
}

/* ---- Contents -------------------------------------------------------------------------------- */

/* Whether [off, off + len) has offsets that a file can have. */
static bool is_range(uint64_t off, uint64_t len)
{
    return len <= INT64_MAX && off <= INT64_MAX - len;
}

int lx_file_read(int fd, const char *name, void *buf, size_t len, uint64_t off)
{
    uint8_t *to = buf;

    if (!is_range(off, len))
        return lx_fail_errno(EINVAL, "%s: reading at %llu", name, (unsigned long long)off);
    while (len > 0) {
        ssize_t done = lx_io->pread(fd, to, len, (off_t)off);

        if (done < 0)
            return lx_fail_errno(errno, "%s: reading at %llu", name, (unsigned long long)off);
        if (done == 0)
            return lx_fail(LXDB_IO, "%s: ends at %llu, %zu bytes too early", name,
                           (unsigned long long)off, len);
        to += done;
        len -= (size_t)done;
        off += (uint64_t)done;
    }
    return LXDB_OK;
}

int lx_file_write(int fd, const char *name, const void *buf, size_t len, uint64_t off)
{
    const uint8_t *from = buf;

    if (!is_range(off, len))
        return lx_fail_errno(EFBIG, "%s: writing at %llu", name, (unsigned long long)off);
    while (len > 0) {
        ssize_t done = lx_io->pwrite(fd, from, len, (off_t)off);

        if (done < 0)
            return lx_fail_errno(errno, "%s: writing at %llu", name, (unsigned long long)off);
        if (done == 0) /* no call may say so for ever */
            return lx_fail(LXDB_IO, "%s: writing at %llu: nothing was taken", name,
                           (unsigned long long)off);
        from += done;
        len -= (size_t)done;
        off += (uint64_t)done;
    }
    return LXDB_OK;
}

void lx_file_write_behind(int fd, uint64_t off, uint64_t len)
{
    int state = lx_cancel_off(); /* it is a cancellation point */

    (void)sync_file_range(fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
    lx_cancel_restore(state);
}

int lx_file_truncate(int fd, const char *name, uint64_t size)
{
    if (!is_range(size, 0))
        return lx_fail_errno(EFBIG, "%s: setting its size to %llu", name, (unsigned long long)size);
    if (lx_io->ftruncate(fd, (off_t)size) < 0)
        return lx_fail_errno(errno, "%s: setting its size to %llu", name, (unsigned long long)size);
    return LXDB_OK;
}

/* Write zeros from the end of the file to `end`; from the end and nowhere else, to leave no hole
 * and to touch no byte that is there. */
static int zeros_append(int fd, const char *name, uint64_t end)
{
    static const uint8_t zeros[65536];
    struct stat st;
    int rc = LXDB_OK;

    if (lx_io->fstat(fd, &st) < 0)
        return lx_fail_errno(errno, "%s: reading its attributes", name);
    for (uint64_t at = (uint64_t)st.st_size; at < end && rc == LXDB_OK;) {
        size_t len = end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros;

        rc = lx_file_write(fd, name, zeros, len, at);
        at += len;
    }
    return rc;
}

int lx_file_allocate(int fd, const char *name, uint64_t off, uint64_t len)
{
    int err;

    if (len == 0)
        return LXDB_OK;
    if (!is_range(off, len))
        err = EFBIG;
    else if (lx_io->fallocate(fd, 0, (off_t)off, (off_t)len) == 0)
        return LXDB_OK;
    else
        err = errno;
    if (err == EOPNOTSUPP || err == ENOSYS)
        return zeros_append(fd, name, off + len);
    return lx_fail_errno(err, "%s: allocating %llu bytes at %llu", name, (unsigned long long)len,
                         (unsigned long long)off);
}

int lx_file_sync(int fd, const char *name)
{
    if (lx_io->fdatasync(fd) < 0)
        return lx_fail_errno(errno, "%s: syncing it", name);
    return LXDB_OK;
}

/* ---- Directories ----------------------------------------------------------------------------- */

int lx_dir_sync(const lx_place *place)
{
    if (lx_io->fsync(place->dirfd) == 0 || errno == EINVAL)
        return LXDB_OK; /* EINVAL: a file system whose directories need no sync */
    return lx_fail_errno(errno, "%s: syncing its directory", place->path);
}

int lx_file_rename(int dirfd, const char *from, const char *to)
{
    if (lx_io->renameat(dirfd, from, to) < 0)
        return lx_fail_errno(errno, "%s: renaming it to %s", from, to);
    return LXDB_OK;
}

int lx_file_remove(int dirfd, const char *name)
{
    if (lx_io->unlinkat(dirfd, name) < 0 && errno != ENOENT)
        return lx_fail_errno(errno, "%s: removing it", name);
    return LXDB_OK;
}
