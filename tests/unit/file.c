/* SPDX-License-Identifier: MIT */
/* sys/file.h: opening, judging, reading, growing and syncing files, and how each of these fails. */
#include "sys/file.h"

#include "sys/fds.h"
#include "sys/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

/* ---- A directory for each test, and a disk that fails ---------------------------------------- */

static char dir[4000];
static int dirfd_ = -1;
static struct lx_io broken; /* a copy of the system's table, for tests to change */

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-file-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    broken = lx_io_system;
    umask(022);
    return dirfd_ < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    DIR *list = fdopendir(dirfd_);
    struct dirent *entry;

    (void)state;
    lx_io = &lx_io_system;
    if (list == NULL)
        return -1;
    while ((entry = readdir(list)) != NULL)
        if (unlinkat(dirfd_, entry->d_name, 0) < 0)
            (void)unlinkat(dirfd_, entry->d_name, AT_REMOVEDIR);
    (void)closedir(list);
    return rmdir(dir);
}

static char *path_of(const char *name)
{
    static char path[4200];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* A new file with these contents; open for reading and writing. */
static int file_make(const char *name, const char *contents)
{
    int fd = openat(dirfd_, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, contents, strlen(contents)), strlen(contents));
    return fd;
}

static uint64_t size_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_size;
}

static unsigned mode_of(const char *name)
{
    struct stat st;

    assert_int_equal(fstatat(dirfd_, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_mode & 07777;
}

static int open_files(void)
{
    DIR *list = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(list);
    while (readdir(list) != NULL)
        count++;
    (void)closedir(list);
    return count;
}

static void assert_says(const char *words)
{
    if (strstr(lx_error_message(), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", lx_error_message(), words);
}

static bool exists(const char *name)
{
    return faccessat(dirfd_, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static void place_of_path_has_directory_and_name(void **state)
{
    lx_place place;
    struct stat a, b;

    (void)state;
    assert_int_equal(lx_place_open(path_of("x.lxdb"), &place), LXDB_OK);
    assert_string_equal(place.name, "x.lxdb");
    assert_string_equal(place.path, path_of("x.lxdb"));
    assert_int_equal(fstat(place.dirfd, &a), 0);
    assert_int_equal(fstat(dirfd_, &b), 0);
    assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    assert_int_equal(fcntl(place.dirfd, F_GETFD), FD_CLOEXEC);
    lx_place_close(&place);
    assert_int_equal(place.dirfd, -1);
    assert_null(place.name);
}

static void place_of_bare_name_is_in_current_directory(void **state)
{
    lx_place place;
    struct stat a, b;

    (void)state;
    assert_int_equal(lx_place_open("x.lxdb", &place), LXDB_OK);
    assert_int_equal(fstat(place.dirfd, &a), 0);
    assert_int_equal(stat(".", &b), 0);
    assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    lx_place_close(&place);
}

static void place_under_root_is_in_root(void **state)
{
    lx_place place;
    struct stat a, b;

    (void)state;
    assert_int_equal(lx_place_open("/x.lxdb", &place), LXDB_OK);
    assert_int_equal(fstat(place.dirfd, &a), 0);
    assert_int_equal(stat("/", &b), 0);
    assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    lx_place_close(&place);
}

static void place_without_file_name_is_invalid(void **state)
{
    static const char *const paths[] = {"", ".", "..", "/", "a/", "a/.", "a/.."};
    lx_place place = {.dirfd = 77};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(lx_place_open(paths[i], &place), LXDB_INVALID);
    assert_int_equal(place.dirfd, 77);
}

static void place_in_missing_directory_is_notfound(void **state)
{
    lx_place place = {.dirfd = 77};

    (void)state;
    assert_int_equal(lx_place_open(path_of("missing/x.lxdb"), &place), LXDB_NOTFOUND);
    assert_says("missing");
    assert_int_equal(place.dirfd, 77);
}

static void place_below_a_file_is_notfound(void **state)
{
    lx_place place;

    (void)state;
    close(file_make("plain", ""));
    assert_int_equal(lx_place_open(path_of("plain/x.lxdb"), &place), LXDB_NOTFOUND);
}

static void place_name_leaves_room_for_suffix(void **state)
{
    char name[NAME_MAX + 1] = "";
    lx_place place;

    (void)state;
    memset(name, 'n', NAME_MAX - LX_PLACE_SUFFIX_MAX);
    assert_int_equal(lx_place_open(path_of(name), &place), LXDB_OK);
    lx_place_close(&place);
    memset(name, 'n', NAME_MAX - LX_PLACE_SUFFIX_MAX + 1);
    assert_int_equal(lx_place_open(path_of(name), &place), LXDB_TOOBIG);
}

static void place_with_overlong_path_is_toobig(void **state)
{
    char path[PATH_MAX + 100];
    lx_place place;

    (void)state;
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = "./"[i % 2];
    memcpy(path + sizeof path - 3, "/x", 3);
    assert_int_equal(lx_place_open(path, &place), LXDB_TOOBIG);
}

static void place_in_unreadable_directory_can_be_held(void **state)
{
    lx_place place;
    int rc, rc_sync = LXDB_OK, rc_open = LXDB_OK, fd = -1;
    bool root = geteuid() == 0;

    (void)state;
    close(file_make("x", "shown"));
    assert_int_equal(fchmodat(dirfd_, "x", 0666, 0), 0);
    assert_int_equal(fchmod(dirfd_, root ? 0311 : 0300), 0);
    if (root)
        assert_int_equal(seteuid(NOBODY), 0);
    rc = lx_place_open(path_of("x"), &place);
    if (rc == LXDB_OK) {
        rc_open = lx_file_open(place.dirfd, "x", 0, 0, &fd);
        rc_sync = lx_dir_sync(&place);
    }
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(fchmod(dirfd_, 0700), 0);
    assert_int_equal(rc, LXDB_OK);
    assert_int_equal(rc_open, LXDB_OK);
    assert_int_equal(rc_sync, LXDB_IO);
    lx_file_close(fd);
    lx_place_close(&place);
}

static void place_zeroed_or_closed_may_be_closed(void **state)
{
    lx_place place = {0};
    int before;

    (void)state;
    before = open_files();
    lx_place_close(&place);
    lx_place_close(&place);
    assert_int_equal(open_files(), before);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void open_missing_without_create_is_notfound(void **state)
{
    int fd = 77;

    (void)state;
    assert_int_equal(lx_file_open(dirfd_, "x", 0, 0600, &fd), LXDB_NOTFOUND);
    assert_says("x: no such file");
    assert_int_equal(fd, 77);
    assert_false(exists("x"));
}

static void open_with_create_makes_the_mode_whatever_the_umask(void **state)
{
    static const unsigned modes[] = {0600, 0666, 0640, 0444};
    int fd;

    (void)state;
    umask(0777);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE, modes[i], &fd), LXDB_OK);
        assert_int_equal(mode_of("x"), modes[i]);
        assert_int_equal(unlinkat(dirfd_, "x", 0), 0);
        lx_file_close(fd);
    }
    umask(022);
}

static void open_with_create_leaves_contents_and_mode_of_existing_file(void **state)
{
    int made = file_make("x", "contents");
    int fd;

    (void)state;
    assert_int_equal(fchmod(made, 0640), 0);
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE, 0666, &fd), LXDB_OK);
    assert_int_equal(size_of(fd), 8);
    assert_int_equal(mode_of("x"), 0640);
    lx_file_close(fd);
    close(made);
}

static void open_descriptor_is_close_on_exec_and_writable(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE, 0600, &fd), LXDB_OK);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    lx_file_close(fd);
}

static void open_rdonly_cannot_write(void **state)
{
    int fd;

    (void)state;
    close(file_make("x", "contents"));
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_RDONLY, 0, &fd), LXDB_OK);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    lx_file_close(fd);
}

static void open_exclusively_what_exists_is_exists(void **state)
{
    int fd = 77;

    (void)state;
    close(file_make("x", "contents"));
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE | LX_FILE_EXCL, 0600, &fd),
                     LXDB_EXISTS);
    assert_says("exists already");
    assert_int_equal(fd, 77);
}

static void open_exclusively_what_is_missing_creates(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE | LX_FILE_EXCL, 0600, &fd), LXDB_OK);
    assert_int_equal(size_of(fd), 0);
    lx_file_close(fd);
}

static void assert_open_unsupported(const char *name, const char *kind)
{
    static const int flags[] = {0, LX_FILE_CREATE, LX_FILE_RDONLY};
    int before = open_files();
    int fd = 77;

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        assert_int_equal(lx_file_open(dirfd_, name, flags[i], 0600, &fd), LXDB_UNSUPPORTED);
        assert_says(kind);
        assert_int_equal(fd, 77);
    }
    assert_int_equal(open_files(), before);
}

static void open_symbolic_link_is_unsupported(void **state)
{
    (void)state;
    close(file_make("target", "contents"));
    assert_int_equal(symlinkat("target", dirfd_, "x"), 0);
    assert_open_unsupported("x", "symbolic link");
}

static void open_dangling_link_creates_nothing(void **state)
{
    (void)state;
    assert_int_equal(symlinkat("target", dirfd_, "x"), 0);
    assert_open_unsupported("x", "symbolic link");
    assert_false(exists("target"));
}

static int openat_calls;

static int openat_counts(int fd, const char *name, int flags, mode_t mode)
{
    openat_calls++;
    return lx_io_system.openat(fd, name, flags, mode);
}

/* Opening it would wake who waits at its other end. */
static void open_fifo_is_unsupported_and_not_even_opened(void **state)
{
    (void)state;
    assert_int_equal(mkfifoat(dirfd_, "x", 0600), 0);
    broken.openat = openat_counts;
    openat_calls = 0;
    lx_io = &broken;
    assert_open_unsupported("x", "FIFO");
    assert_int_equal(openat_calls, 0);
}

static void open_directory_is_unsupported(void **state)
{
    (void)state;
    assert_int_equal(mkdirat(dirfd_, "x", 0700), 0);
    assert_open_unsupported("x", "directory");
}

static void open_socket_is_unsupported(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_true(fd >= 0);
    assert_true(snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/x", dirfd_) <
                (int)sizeof address.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_open_unsupported("x", "socket");
    close(fd);
}

static void open_device_is_unsupported(void **state)
{
    int dev = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = 77;

    (void)state;
    assert_true(dev >= 0);
    assert_int_equal(lx_file_open(dev, "null", 0, 0, &fd), LXDB_UNSUPPORTED);
    assert_says("device");
    assert_int_equal(fd, 77);
    close(dev);
}

static int fstatat_says_regular(int fd, const char *name, struct stat *ret_stat)
{
    int rc = lx_io_system.fstatat(fd, name, ret_stat);

    if (rc == 0)
        ret_stat->st_mode = S_IFREG | 0600;
    return rc;
}

static void open_link_swapped_in_after_the_look_is_unsupported(void **state)
{
    (void)state;
    broken.fstatat = fstatat_says_regular;
    lx_io = &broken;
    assert_int_equal(symlinkat("target", dirfd_, "x"), 0);
    assert_open_unsupported("x", "symbolic link");
}

static void open_fifo_swapped_in_after_the_look_is_unsupported(void **state)
{
    (void)state;
    broken.fstatat = fstatat_says_regular;
    lx_io = &broken;
    assert_int_equal(mkfifoat(dirfd_, "x", 0600), 0);
    assert_open_unsupported("x", "FIFO");
}

static void open_directory_swapped_in_after_the_look_is_unsupported(void **state)
{
    (void)state;
    broken.fstatat = fstatat_says_regular;
    lx_io = &broken;
    assert_int_equal(mkdirat(dirfd_, "x", 0700), 0);
    assert_open_unsupported("x", "directory");
}

static void open_socket_swapped_in_after_the_look_is_unsupported(void **state)
{
    (void)state;
    broken.fstatat = fstatat_says_regular;
    lx_io = &broken;
    assert_int_equal(mknodat(dirfd_, "x", S_IFSOCK | 0600, 0), 0);
    assert_open_unsupported("x", "socket");
}

/* Another process creates the file between our look and our creation. */
static int openat_loses_race(int fd, const char *name, int flags, mode_t mode)
{
    if (flags & O_CREAT)
        close(file_make(name, "theirs"));
    return lx_io_system.openat(fd, name, flags, mode);
}

static void open_that_loses_the_race_to_create_opens_the_winner(void **state)
{
    int fd;

    (void)state;
    broken.openat = openat_loses_race;
    lx_io = &broken;
    umask(0);
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE, 0666, &fd), LXDB_OK);
    assert_int_equal(size_of(fd), 6);
    assert_int_equal(mode_of("x"), 0600);
    lx_file_close(fd);
}

static int openat_always_loses(int fd, const char *name, int flags, mode_t mode)
{
    (void)fd;
    (void)name;
    (void)mode;
    errno = (flags & O_CREAT) ? EEXIST : ENOENT;
    return -1;
}

static void open_that_always_loses_the_race_ends_with_busy(void **state)
{
    int fd = 77;

    (void)state;
    broken.openat = openat_always_loses;
    lx_io = &broken;
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE, 0600, &fd), LXDB_BUSY);
    assert_int_equal(fd, 77);
}

static int openat_errno;

static int openat_fails(int fd, const char *name, int flags, mode_t mode)
{
    (void)fd;
    (void)name;
    (void)flags;
    (void)mode;
    errno = openat_errno;
    return -1;
}

static void open_failure_has_the_code_of_its_cause(void **state)
{
    static const struct {
        int err;
        int code;
    } cases[] = {
        {EACCES, LXDB_READONLY}, {EPERM, LXDB_READONLY},    {EROFS, LXDB_READONLY},
        {ENOSPC, LXDB_NOSPACE},  {EDQUOT, LXDB_NOSPACE},    {ENOMEM, LXDB_NOMEM},
        {EMFILE, LXDB_IO},       {ENXIO, LXDB_UNSUPPORTED}, {EAGAIN, LXDB_BUSY},
    };
    int fd = 77;

    (void)state;
    close(file_make("old", ""));
    broken.openat = openat_fails;
    lx_io = &broken;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        openat_errno = cases[i].err;
        assert_int_equal(lx_file_open(dirfd_, "old", 0, 0600, &fd), cases[i].code);
        assert_int_equal(lx_file_open(dirfd_, "new", LX_FILE_CREATE, 0600, &fd), cases[i].code);
    }
    assert_int_equal(fd, 77);
}

static void open_without_permission_is_readonly(void **state)
{
    bool root = geteuid() == 0;
    int fd = 77;
    int rc, rc_rdonly;

    (void)state;
    close(file_make("x", "contents"));
    assert_int_equal(fchmodat(dirfd_, "x", 0444, 0), 0);
    assert_int_equal(fchmod(dirfd_, 0755), 0);
    if (root)
        assert_int_equal(seteuid(NOBODY), 0);
    rc = lx_file_open(dirfd_, "x", 0, 0, &fd);
    rc_rdonly = lx_file_open(dirfd_, "x", LX_FILE_RDONLY, 0, &fd);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(rc, LXDB_READONLY);
    assert_int_equal(rc_rdonly, LXDB_OK);
    lx_file_close(fd);
}

static int fstat_fails(int fd, struct stat *ret_stat)
{
    (void)fd;
    (void)ret_stat;
    errno = EIO;
    return -1;
}

static void open_whose_fstat_fails_leaks_and_leaves_nothing(void **state)
{
    int before = open_files();
    int fd = 77;

    (void)state;
    broken.fstat = fstat_fails;
    lx_io = &broken;
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE, 0600, &fd), LXDB_IO);
    assert_false(exists("x"));
    close(file_make("x", ""));
    assert_int_equal(lx_file_open(dirfd_, "x", 0, 0600, &fd), LXDB_IO);
    assert_true(exists("x"));
    assert_int_equal(fd, 77);
    assert_int_equal(open_files(), before);
}

static void place_that_cannot_be_opened_has_the_code_of_its_cause(void **state)
{
    static const struct {
        int err;
        int code;
    } cases[] = {{EMFILE, LXDB_IO}, {ENOMEM, LXDB_NOMEM}, {EACCES, LXDB_READONLY}};
    lx_place place = {.dirfd = 77};

    (void)state;
    broken.openat = openat_fails;
    lx_io = &broken;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        openat_errno = cases[i].err;
        assert_int_equal(lx_place_open(path_of("x"), &place), cases[i].code);
    }
    assert_int_equal(place.dirfd, 77);
}

static void open_never_gives_a_standard_stream(void **state)
{
    int saved[3];
    int fds[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        assert_true(saved[i] >= 0);
    }
    for (int i = 0; i < 3; i++)
        close(i);
    for (int i = 0; i < 3; i++)
        fds[i] = lx_io_system.openat(dirfd_, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < 3; i++)
        (void)dup2(saved[i], i);
    for (int i = 0; i < 3; i++) {
        close(saved[i]);
        assert_true(fds[i] > 2);
        assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
        close(fds[i]);
    }
}

/* What a child of fork does first closes `fd` there: 0, or 1 if it stays open. */
static int closed_in_child(int fd)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        lx_fds_close_inherited();
        _exit(fcntl(fd, F_GETFD) < 0 && errno == EBADF ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void open_descriptor_is_listed_for_children_until_closed(void **state)
{
    int created, opened, foreign;

    (void)state;
    assert_int_equal(lx_file_open(dirfd_, "x", LX_FILE_CREATE, 0600, &created), LXDB_OK);
    assert_int_equal(lx_file_open(dirfd_, "x", 0, 0, &opened), LXDB_OK);
    assert_int_equal(closed_in_child(created), 0);
    assert_int_equal(closed_in_child(opened), 0);
    lx_file_close(created);
    /* The caller's own, with a number that was ours. */
    foreign = fcntl(dirfd_, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(foreign, created);
    assert_int_equal(closed_in_child(foreign), 1);
    assert_int_equal(closed_in_child(opened), 0);
    lx_file_close(opened);
    close(foreign);
}

static void close_of_no_descriptor_does_nothing(void **state)
{
    (void)state;
    errno = 0;
    lx_file_close(-1);
    assert_int_equal(errno, 0);
}

/* ---- Identity and fitness -------------------------------------------------------------------- */

static void info_says_what_fstat_says(void **state)
{
    int fd = file_make("x", "contents");
    lx_file_info info;
    struct stat st;

    (void)state;
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(linkat(dirfd_, "x", dirfd_, "y", 0), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(lx_file_info_get(fd, "x", &info), LXDB_OK);
    assert_true(info.id.dev == st.st_dev);
    assert_true(info.id.ino == st.st_ino);
    assert_int_equal(info.size, 8);
    assert_int_equal(info.mode, 0640);
    assert_int_equal(info.uid, geteuid());
    assert_int_equal(info.gid, st.st_gid);
    assert_int_equal(info.links, 2);
    assert_true(info.regular);
    assert_false(info.mount_root);
    assert_true(info.modify_ns == st.st_mtim.tv_sec * 1000000000L + st.st_mtim.tv_nsec);
    assert_true(info.change_ns == st.st_ctim.tv_sec * 1000000000L + st.st_ctim.tv_nsec);
    close(fd);
}

static void info_birth_stays_when_the_file_changes(void **state)
{
    int fd = file_make("x", "contents");
    lx_file_info before, after;

    (void)state;
    assert_int_equal(lx_file_info_get(fd, "x", &before), LXDB_OK);
    assert_int_equal(pwrite(fd, "more", 4, 100), 4);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(lx_file_info_get(fd, "x", &after), LXDB_OK);
    assert_true(lx_file_id_equal(&before.id, &after.id));
    assert_int_equal(after.size, 104);
    close(fd);
}

static void info_of_failing_fstat_is_io(void **state)
{
    int fd = file_make("x", "");
    lx_file_info info = {.size = 77};

    (void)state;
    broken.fstat = fstat_fails;
    lx_io = &broken;
    assert_int_equal(lx_file_info_get(fd, "x", &info), LXDB_IO);
    assert_int_equal(info.size, 77);
    close(fd);
}

static void id_differs_in_each_of_its_parts(void **state)
{
    const lx_file_id id = {1, 2, 3};
    const lx_file_id others[] = {{9, 2, 3}, {1, 9, 3}, {1, 2, 9}};

    (void)state;
    assert_true(lx_file_id_equal(&id, &id));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(lx_file_id_equal(&id, &others[i]));
}

static void named_is_true_for_the_same_file_alone(void **state)
{
    int fd = file_make("x", "");
    bool same = false;

    (void)state;
    close(file_make("y", ""));
    assert_int_equal(lx_file_is_named(fd, dirfd_, "x", &same), LXDB_OK);
    assert_true(same);
    assert_int_equal(lx_file_is_named(fd, dirfd_, "y", &same), LXDB_OK);
    assert_false(same);
    close(fd);
}

static void named_is_false_when_the_name_is_gone(void **state)
{
    int fd = file_make("x", "");
    bool same = true;

    (void)state;
    assert_int_equal(unlinkat(dirfd_, "x", 0), 0);
    assert_int_equal(lx_file_is_named(fd, dirfd_, "x", &same), LXDB_OK);
    assert_false(same);
    close(fd);
}

static void named_is_false_for_a_link_to_the_file(void **state)
{
    int fd = file_make("x", "");
    bool same = true;

    (void)state;
    assert_int_equal(symlinkat("x", dirfd_, "y"), 0);
    assert_int_equal(lx_file_is_named(fd, dirfd_, "y", &same), LXDB_OK);
    assert_false(same);
    close(fd);
}

static int fstatat_fails(int fd, const char *name, struct stat *ret_stat)
{
    (void)fd;
    (void)name;
    (void)ret_stat;
    errno = EIO;
    return -1;
}

static void named_failure_other_than_missing_is_a_code(void **state)
{
    int fd = file_make("x", "");
    bool same = true;

    (void)state;
    broken.fstatat = fstatat_fails;
    lx_io = &broken;
    assert_int_equal(lx_file_is_named(fd, dirfd_, "x", &same), LXDB_IO);
    broken = lx_io_system;
    broken.fstat = fstat_fails;
    assert_int_equal(lx_file_is_named(fd, dirfd_, "x", &same), LXDB_IO);
    assert_true(same);
    close(fd);
}

static lx_file_info fit_info(void)
{
    return (lx_file_info){.uid = geteuid(), .links = 1, .regular = true};
}

static void fit_own_file_is_ok(void **state)
{
    lx_file_info info = fit_info();

    (void)state;
    assert_int_equal(lx_file_check_fit(&info, "x", false), LXDB_OK);
    info.links = 0; /* removed since it was opened: not for this check to say */
    assert_int_equal(lx_file_check_fit(&info, "x", false), LXDB_OK);
}

static void fit_special_file_is_unsupported(void **state)
{
    lx_file_info info = fit_info();

    (void)state;
    info.regular = false;
    assert_int_equal(lx_file_check_fit(&info, "x", false), LXDB_UNSUPPORTED);
}

static void fit_hard_link_is_unsupported(void **state)
{
    lx_file_info info = fit_info();

    (void)state;
    info.links = 2;
    assert_int_equal(lx_file_check_fit(&info, "x", false), LXDB_UNSUPPORTED);
    assert_says("hard links");
}

static void fit_mount_point_is_unsupported(void **state)
{
    lx_file_info info = fit_info();

    (void)state;
    info.mount_root = true;
    assert_int_equal(lx_file_check_fit(&info, "x", false), LXDB_UNSUPPORTED);
    assert_says("mount point");
}

/* As another user when we are root: root may open everyone's. */
static void fit_foreign_owner_is_unsupported_unless_root_is_involved(void **state)
{
    lx_file_info info = fit_info();
    bool root = geteuid() == 0;
    int rc_foreign, rc_of_root, rc_of_root_written, rc_foreign_read;

    (void)state;
    if (root) {
        info.uid = 4711;
        assert_int_equal(lx_file_check_fit(&info, "x", false), LXDB_OK);
        assert_int_equal(seteuid(NOBODY), 0);
    }
    info.uid = geteuid() + 1;
    rc_foreign = lx_file_check_fit(&info, "x", false);
    info.uid = 0;
    rc_of_root = lx_file_check_fit(&info, "x", true);
    rc_of_root_written = lx_file_check_fit(&info, "x", false);
    info.uid = geteuid() + 1;
    rc_foreign_read = lx_file_check_fit(&info, "x", true);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(rc_foreign, LXDB_UNSUPPORTED);
    assert_says("belongs to user");
    assert_int_equal(rc_of_root, LXDB_OK);
    assert_int_equal(rc_of_root_written, LXDB_UNSUPPORTED);
    assert_int_equal(rc_foreign_read, LXDB_UNSUPPORTED);
}

/* 0: reported as a mount point; 1: not; 2: this process may not mount. */
static int child_mounts_file(void)
{
    lx_file_info info;
    int fd;

    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return 2;
    /* By name: dirfd_ still is in the old namespace, where nothing can be bound. */
    if (chdir(dir) < 0 || mount("none", "/", "", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("x", "y", "", MS_BIND, NULL) < 0)
        return 2;
    fd = open("y", O_RDWR | O_CLOEXEC);
    if (fd < 0 || lx_file_info_get(fd, "y", &info) != LXDB_OK)
        return 1;
    return info.mount_root ? 0 : 1;
}

static void info_of_bind_mounted_file_says_mount_point(void **state)
{
    pid_t child;
    int status;

    (void)state;
    close(file_make("x", ""));
    close(file_make("y", ""));
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(child_mounts_file());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        print_message("not checked: this process may not mount anything\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- File systems ---------------------------------------------------------------------------- */

static const char mountinfo[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "2 1 0:2 / /x rw - tmpfs tmpfs rw\n"
    "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "29 28 0:30 / /mnt/a\\040-\\040nfs rw shared:2 master:1 propagate_from:3 - nfs4 host:/a rw\n"
    "30 28 0:31 / /mnt/- rw - fuse.sshfs host:/ rw\n"
    "31 28 0:32 net:[4026531840] /run/net rw - nsfs nsfs rw\n"
    "32 28 0:33 / /odd rw - fuse.a\\040b\\134c src rw\n"
    "38 28 0:38 - /root rw - ramfs none rw\n"
    "33 28 0:34 / /cut rw shared:9\n"
    "34 28 0:35 / /cut rw -\n"
    "35 28 0:36 / /cut rw - \n"
    "36 28\n"
    "37\n"
    "\n"
    "229 1 0:2 / /last rw - xfs";

static bool type_is(uint64_t id, const char *expected)
{
    char type[64] = "unset";

    return lx_mountinfo_type(mountinfo, sizeof mountinfo - 1, id, type, sizeof type) &&
           strcmp(type, expected) == 0;
}

static void mountinfo_type_is_found_by_whole_id(void **state)
{
    (void)state;
    assert_true(type_is(22, "proc"));
    assert_true(type_is(2, "tmpfs"));
    assert_true(type_is(28, "ext4"));
    assert_true(type_is(31, "nsfs"));
}

static void mountinfo_optional_fields_are_passed_over(void **state)
{
    (void)state;
    assert_true(type_is(29, "nfs4"));
}

static void mountinfo_dash_in_fixed_fields_is_no_separator(void **state)
{
    (void)state;
    assert_true(type_is(30, "fuse.sshfs"));
    assert_true(type_is(38, "ramfs"));
}

static void mountinfo_escapes_are_decoded(void **state)
{
    (void)state;
    assert_true(type_is(32, "fuse.a b\\c"));
}

static void mountinfo_escape_that_is_none_is_taken_as_it_stands(void **state)
{
    static const char *const types[] = {"x\\",    "x\\04",  "x\\/41", "x\\441",
                                        "x\\0/1", "x\\081", "x\\04/", "x\\048"};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char line[80], type[64];
        int len = snprintf(line, sizeof line, "7 1 0:1 / /m rw - %s y z", types[i]);

        assert_true(lx_mountinfo_type(line, (size_t)len, 7, type, sizeof type));
        assert_string_equal(type, types[i]);
    }
}

static void mountinfo_last_line_needs_no_newline(void **state)
{
    (void)state;
    assert_true(type_is(229, "xfs"));
}

static void mountinfo_missing_or_incomplete_line_gives_nothing(void **state)
{
    static const uint64_t ids[] = {1, 3, 33, 34, 35, 36, 37, 9, 290, UINT64_MAX};
    char type[64] = "unset";

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_false(lx_mountinfo_type(mountinfo, sizeof mountinfo - 1, ids[i], type, sizeof type));
    assert_false(lx_mountinfo_type("", 0, 22, type, sizeof type));
    assert_string_equal(type, "unset");
}

/* Each prefix in memory of its own, so that a sanitizer sees a step past its end. */
static void mountinfo_cut_anywhere_is_read_within_bounds(void **state)
{
    char type[8];

    (void)state;
    for (size_t len = 1; len < sizeof mountinfo; len++) {
        char *part = malloc(len);

        assert_non_null(part);
        memcpy(part, mountinfo, len);
        for (uint64_t id = 22; id <= 38; id++)
            if (lx_mountinfo_type(part, len, id, type, sizeof type))
                assert_true(strlen(type) < sizeof type);
        free(part);
    }
}

static void filesystem_names_that_do_not_share_memory_are_unfit(void **state)
{
    static const char *const types[] = {"nfs",      "nfs4", "cifs", "smb3",       "smbfs",
                                        "9p",       "fuse", "ceph", "fuse.sshfs", "fuse.glusterfs",
                                        "virtiofs", "afs",  "gfs2", "fuseblk",    "lustre"};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_true(lx_filesystem_is_unfit(types[i]));
}

static void filesystem_names_that_do_are_fit(void **state)
{
    static const char *const types[] = {"ext4", "ext2", "xfs",  "btrfs",   "tmpfs", "overlay",
                                        "zfs",  "f2fs", "vfat", "fusectl", "nfsd",  "bcachefs"};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_false(lx_filesystem_is_unfit(types[i]));
}

static void filesystem_of_scratch_and_memory_files_is_accepted(void **state)
{
    int fd = file_make("x", "");
    int shm = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    (void)state;
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_OK);
    assert_true(shm >= 0);
    assert_int_equal(lx_file_check_filesystem(shm, "shm"), LXDB_OK);
    assert_false(lx_file_rewrites_allocate(shm));
    close(shm);
    close(fd);
}

enum { UNFIT_REFUSED, UNFIT_ACCEPTED, UNFIT_NOT_MOUNTED };

/* Mount a FUSE file system whose server never answers, and judge its root as root or as nobody. */
static int child_judges_fuse(bool as_nobody)
{
    char options[100];
    int server, fd;

    (void)alarm(60); /* should the check wait for the server */
    if (unshare(CLONE_NEWNS) < 0 || chdir(dir) < 0 ||
        mount("none", "/", "", MS_REC | MS_PRIVATE, NULL) < 0)
        return UNFIT_NOT_MOUNTED;
    server = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", server);
    if (server < 0 || mount("test", "x", "fuse", 0, options) < 0)
        return UNFIT_NOT_MOUNTED;
    fd = open("x", O_PATH | O_CLOEXEC);
    if (fd < 0 || (as_nobody && setresuid(NOBODY, NOBODY, NOBODY) < 0))
        return UNFIT_NOT_MOUNTED;
    return lx_file_check_filesystem(fd, "x") == LXDB_UNSUPPORTED &&
                   strstr(lx_error_message(), "fuse") != NULL
               ? UNFIT_REFUSED
               : UNFIT_ACCEPTED;
}

static void assert_fuse_is_refused(bool as_nobody)
{
    pid_t child;
    int status;

    assert_int_equal(mkdirat(dirfd_, "x", 0755), 0);
    assert_int_equal(fchmod(dirfd_, 0755), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(child_judges_fuse(as_nobody));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == UNFIT_NOT_MOUNTED) {
        print_message("not checked: this process may not mount FUSE\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), UNFIT_REFUSED);
}

static void filesystem_fuse_is_refused_by_its_mount(void **state)
{
    (void)state;
    assert_fuse_is_refused(false);
}

/* To whom the server is not open, statx() says nothing and fstatfs() the number alone. */
static void filesystem_fuse_is_refused_by_its_number(void **state)
{
    (void)state;
    assert_fuse_is_refused(true);
}

static void filesystem_that_cannot_be_known_is_refused(void **state)
{
    (void)state;
    assert_int_equal(lx_file_check_filesystem(-1, "x"), LXDB_UNSUPPORTED);
    assert_says("no way to find out");
}

static void rewrites_on_unknown_file_systems_may_allocate(void **state)
{
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_true(lx_file_rewrites_allocate(fd));
    close(fd);
    assert_true(lx_file_rewrites_allocate(-1));
}

/* ---- Access ---------------------------------------------------------------------------------- */

static void copy_access_gives_mode_and_owner(void **state)
{
    int from = file_make("x", "");
    int to = file_make("y", "");
    struct stat st;

    (void)state;
    assert_int_equal(fchmod(from, 0664), 0);
    if (geteuid() == 0)
        assert_int_equal(fchown(from, 1234, 5678), 0);
    assert_int_equal(fstat(from, &st), 0);
    assert_int_equal(lx_file_copy_access(from, to, "x"), LXDB_OK);
    assert_int_equal(mode_of("y"), 0664);
    assert_int_equal(fstat(to, &st), 0);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 5678);
    }
    close(from);
    close(to);
}

/* user::rw- user:1234:rw- group::--- mask::rw- other::---, as the attribute holds it. */
static const uint8_t acl[] = {
    2, 0,    0,   0,   0x01, 0,    6,    0, 255, 255, 255, 255, 0x02, 0,    6,
    0, 0xD2, 4,   0,   0,    0x04, 0,    0, 0,   255, 255, 255, 255,  0x10, 0,
    6, 0,    255, 255, 255,  255,  0x20, 0, 0,   0,   255, 255, 255,  255,
};

static void copy_access_gives_acl(void **state)
{
    int from = file_make("x", "");
    int to = file_make("y", "");
    uint8_t copied[sizeof acl + 1];

    (void)state;
    if (fsetxattr(from, "system.posix_acl_access", acl, sizeof acl, 0) < 0 && errno == EOPNOTSUPP) {
        close(from);
        close(to);
        print_message("not checked: the file system of TMPDIR has no ACLs\n");
        skip();
    }
    assert_int_equal(lx_file_copy_access(from, to, "x"), LXDB_OK);
    assert_int_equal(fgetxattr(to, "system.posix_acl_access", copied, sizeof copied), sizeof acl);
    assert_memory_equal(copied, acl, sizeof acl);
    assert_int_equal(mode_of("y"), 0660);
    close(from);
    close(to);
}

static void copy_access_of_file_without_acl_removes_that_of_the_copy(void **state)
{
    int from = file_make("x", "");
    int to = file_make("y", "");
    uint8_t copied[sizeof acl + 1];

    (void)state;
    if (fsetxattr(to, "system.posix_acl_access", acl, sizeof acl, 0) < 0 && errno == EOPNOTSUPP) {
        close(from);
        close(to);
        print_message("not checked: the file system of TMPDIR has no ACLs\n");
        skip();
    }
    assert_int_equal(lx_file_copy_access(from, to, "x"), LXDB_OK);
    assert_int_equal(fgetxattr(to, "system.posix_acl_access", copied, sizeof copied), -1);
    assert_int_equal(errno, ENODATA);
    assert_int_equal(mode_of("y"), 0600);
    close(from);
    close(to);
}

static void copy_access_that_is_not_allowed_is_readonly(void **state)
{
    int from = open("/proc/self/status", O_RDONLY | O_CLOEXEC); /* somebody's, of mode 0444 */
    int to = file_make("y", "");
    bool root = geteuid() == 0;
    int rc;

    (void)state;
    assert_true(from >= 0);
    if (root) {
        assert_int_equal(fchown(to, NOBODY, NOBODY), 0);
        assert_int_equal(seteuid(NOBODY), 0);
        rc = lx_file_copy_access(from, to, "x");
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(rc, LXDB_READONLY);
    } else {
        close(from);
        from = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
        assert_true(from >= 0);
        assert_int_equal(lx_file_copy_access(from, to, "x"), LXDB_READONLY);
    }
    close(from);
    close(to);
}

static void copy_access_of_failing_fstat_is_io(void **state)
{
    int fd = file_make("x", "");

    (void)state;
    broken.fstat = fstat_fails;
    lx_io = &broken;
    assert_int_equal(lx_file_copy_access(fd, fd, "x"), LXDB_IO);
    close(fd);
}

/* ---- Contents -------------------------------------------------------------------------------- */

/* A disk that takes and gives at most three bytes at a time. */
static ssize_t pread_short(int fd, void *buf, size_t len, off_t off)
{
    return lx_io_system.pread(fd, buf, len < 3 ? len : 3, off);
}

static ssize_t pwrite_short(int fd, const void *buf, size_t len, off_t off)
{
    return lx_io_system.pwrite(fd, buf, len < 3 ? len : 3, off);
}

static void read_and_write_go_on_after_partial_transfers(void **state)
{
    int fd = file_make("x", "");
    char buf[11] = "";

    (void)state;
    broken.pread = pread_short;
    broken.pwrite = pwrite_short;
    lx_io = &broken;
    assert_int_equal(lx_file_write(fd, "x", "0123456789", 10, 5), LXDB_OK);
    assert_int_equal(size_of(fd), 15);
    assert_int_equal(lx_file_read(fd, "x", buf, 10, 5), LXDB_OK);
    assert_string_equal(buf, "0123456789");
    close(fd);
}

static void read_past_the_end_is_io_and_says_where(void **state)
{
    int fd = file_make("x", "0123456789");
    char buf[20];

    (void)state;
    assert_int_equal(lx_file_read(fd, "x", buf, sizeof buf, 5), LXDB_IO);
    assert_says("ends at 10, 15 bytes too early");
    close(fd);
}

static void read_and_write_of_nothing_are_ok(void **state)
{
    int fd = file_make("x", "");

    (void)state;
    assert_int_equal(lx_file_read(fd, "x", NULL, 0, 100), LXDB_OK);
    assert_int_equal(lx_file_write(fd, "x", NULL, 0, 100), LXDB_OK);
    assert_int_equal(size_of(fd), 0);
    close(fd);
}

static void offsets_that_no_file_has_are_refused(void **state)
{
    int fd = file_make("x", "");
    char byte = 0;

    (void)state;
    assert_int_equal(lx_file_read(fd, "x", &byte, 1, INT64_MAX), LXDB_IO);
    assert_int_equal(lx_file_read(fd, "x", &byte, 1, UINT64_MAX), LXDB_IO);
    assert_int_equal(lx_file_write(fd, "x", &byte, 1, INT64_MAX), LXDB_NOSPACE);
    assert_int_equal(lx_file_write(fd, "x", &byte, 1, UINT64_MAX), LXDB_NOSPACE);
    assert_int_equal(lx_file_truncate(fd, "x", UINT64_MAX), LXDB_NOSPACE);
    assert_int_equal(lx_file_allocate(fd, "x", UINT64_MAX, 2), LXDB_NOSPACE);
    assert_int_equal(lx_file_allocate(fd, "x", 2, UINT64_MAX), LXDB_NOSPACE);
    assert_int_equal(size_of(fd), 0);
    close(fd);
}

static int failure; /* what the failing calls below say; 0: no bytes and no failure */

static ssize_t pread_fails(int fd, void *buf, size_t len, off_t off)
{
    (void)fd;
    (void)buf;
    (void)len;
    (void)off;
    errno = failure;
    return failure ? -1 : 0;
}

static ssize_t pwrite_fails(int fd, const void *buf, size_t len, off_t off)
{
    (void)fd;
    (void)buf;
    (void)len;
    (void)off;
    errno = failure;
    return failure ? -1 : 0;
}

static int size_fails(int fd, off_t size)
{
    (void)fd;
    (void)size;
    errno = failure;
    return -1;
}

static int fallocate_fails(int fd, int mode, off_t off, off_t len)
{
    (void)fd;
    (void)mode;
    (void)off;
    (void)len;
    errno = failure;
    return -1;
}

static int sync_fails(int fd)
{
    (void)fd;
    errno = failure;
    return -1;
}

static int rename_fails(int fd, const char *from, const char *to)
{
    (void)fd;
    (void)from;
    (void)to;
    errno = failure;
    return -1;
}

static int unlink_fails(int fd, const char *name)
{
    (void)fd;
    (void)name;
    errno = failure;
    return -1;
}

static void failing_disk_gives_the_code_of_its_errno(void **state)
{
    static const struct {
        int err;
        int code;
    } cases[] = {
        {EIO, LXDB_IO},         {ENOSPC, LXDB_NOSPACE}, {EDQUOT, LXDB_NOSPACE},
        {EROFS, LXDB_READONLY}, {ENOMEM, LXDB_NOMEM},
    };
    int fd = file_make("x", "");
    lx_place place;
    char byte = 0;

    (void)state;
    assert_int_equal(lx_place_open(path_of("x"), &place), LXDB_OK);
    broken.pread = pread_fails;
    broken.pwrite = pwrite_fails;
    broken.ftruncate = size_fails;
    broken.fallocate = fallocate_fails;
    broken.fdatasync = sync_fails;
    broken.fsync = sync_fails;
    broken.renameat = rename_fails;
    broken.unlinkat = unlink_fails;
    lx_io = &broken;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int code = cases[i].code;

        failure = cases[i].err;
        assert_int_equal(lx_file_read(fd, "x", &byte, 1, 0), code);
        assert_int_equal(lx_file_write(fd, "x", &byte, 1, 0), code);
        assert_int_equal(lx_file_truncate(fd, "x", 1), code);
        assert_int_equal(lx_file_allocate(fd, "x", 0, 1), code);
        assert_int_equal(lx_file_sync(fd, "x"), code);
        assert_int_equal(lx_dir_sync(&place), code);
        assert_int_equal(lx_file_rename(dirfd_, "x", "y"), code);
        assert_int_equal(lx_file_remove(dirfd_, "x"), code);
        assert_says("x: ");
    }
    lx_io = &lx_io_system;
    lx_place_close(&place);
    close(fd);
}

static void write_that_takes_nothing_ends_with_io(void **state)
{
    int fd = file_make("x", "");

    (void)state;
    broken.pwrite = pwrite_fails;
    failure = 0;
    lx_io = &broken;
    assert_int_equal(lx_file_write(fd, "x", "y", 1, 0), LXDB_IO);
    close(fd);
}

static void truncate_sets_size_both_ways(void **state)
{
    int fd = file_make("x", "0123456789");

    (void)state;
    assert_int_equal(lx_file_truncate(fd, "x", 1000), LXDB_OK);
    assert_int_equal(size_of(fd), 1000);
    assert_int_equal(lx_file_truncate(fd, "x", 5), LXDB_OK);
    assert_int_equal(size_of(fd), 5);
    close(fd);
}

static void assert_zeros(int fd, uint64_t off, size_t len)
{
    char *bytes = malloc(len);

    assert_non_null(bytes);
    assert_int_equal(lx_file_read(fd, "x", bytes, len, off), LXDB_OK);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], 0);
    free(bytes);
}

static void allocate_extends_with_zeros_that_have_blocks(void **state)
{
    int fd = file_make("x", "0123456789");
    char head[11] = "";
    struct stat st;

    (void)state;
    assert_int_equal(lx_file_allocate(fd, "x", 10, 300000), LXDB_OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 300010);
    if (!lx_file_rewrites_allocate(fd)) /* others may compress */
        assert_true(st.st_blocks * 512 >= 300010);
    assert_int_equal(lx_file_read(fd, "x", head, 10, 0), LXDB_OK);
    assert_string_equal(head, "0123456789");
    assert_zeros(fd, 10, 300000);
    close(fd);
}

static void allocate_inside_the_file_changes_nothing_that_is_there(void **state)
{
    int fd = file_make("x", "0123456789");
    char bytes[11] = "";

    (void)state;
    assert_int_equal(lx_file_allocate(fd, "x", 2, 5), LXDB_OK);
    assert_int_equal(lx_file_allocate(fd, "x", 2, 0), LXDB_OK);
    assert_int_equal(size_of(fd), 10);
    assert_int_equal(lx_file_read(fd, "x", bytes, 10, 0), LXDB_OK);
    assert_string_equal(bytes, "0123456789");
    close(fd);
}

static int fallocate_is_missing(int fd, int mode, off_t off, off_t len)
{
    (void)fd;
    (void)mode;
    (void)off;
    (void)len;
    errno = EOPNOTSUPP;
    return -1;
}

static void allocate_without_fallocate_writes_zeros_past_the_end_alone(void **state)
{
    int fd = file_make("x", "0123456789");
    char head[11] = "";
    struct stat st;

    (void)state;
    broken.fallocate = fallocate_is_missing;
    lx_io = &broken;
    assert_int_equal(lx_file_allocate(fd, "x", 2, 300000), LXDB_OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 300002);
    if (!lx_file_rewrites_allocate(fd))
        assert_true(st.st_blocks * 512 >= 300002); /* no hole */
    assert_int_equal(lx_file_read(fd, "x", head, 10, 0), LXDB_OK);
    assert_string_equal(head, "0123456789");
    assert_zeros(fd, 10, 299992);
    assert_int_equal(lx_file_allocate(fd, "x", 2, 100), LXDB_OK);
    assert_int_equal(size_of(fd), 300002);
    close(fd);
}

static void allocate_without_fallocate_on_full_disk_is_nospace(void **state)
{
    int fd = file_make("x", "");

    (void)state;
    broken.fallocate = fallocate_is_missing;
    broken.pwrite = pwrite_fails;
    failure = ENOSPC;
    lx_io = &broken;
    assert_int_equal(lx_file_allocate(fd, "x", 0, 100), LXDB_NOSPACE);
    broken.fstat = fstat_fails; /* the end cannot be known: nothing is written anywhere */
    assert_int_equal(lx_file_allocate(fd, "x", 0, 100), LXDB_IO);
    assert_int_equal(size_of(fd), 0);
    close(fd);
}

/* ---- The file size limit --------------------------------------------------------------------- */

static volatile sig_atomic_t xfsz_count;

static void on_xfsz(int number)
{
    (void)number;
    xfsz_count++;
}

enum { LIMIT = 100000 };

static struct rlimit old_limit;

static int set_up_limit(void **state)
{
    struct rlimit limit;

    if (set_up(state) != 0 || getrlimit(RLIMIT_FSIZE, &old_limit) != 0)
        return -1;
    limit = old_limit;
    limit.rlim_cur = LIMIT;
    xfsz_count = 0;
    (void)signal(SIGXFSZ, on_xfsz);
    return setrlimit(RLIMIT_FSIZE, &limit);
}

static int tear_down_limit(void **state)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGXFSZ);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)signal(SIGXFSZ, SIG_DFL);
    if (setrlimit(RLIMIT_FSIZE, &old_limit) != 0)
        return -1;
    return tear_down(state);
}

static bool xfsz_is_pending(void)
{
    sigset_t set;

    assert_int_equal(sigpending(&set), 0);
    return sigismember(&set, SIGXFSZ) == 1;
}

/* Every call that grows a file, past the limit. */
static void grow_past_limit(int fd)
{
    assert_int_equal(lx_file_write(fd, "x", "y", 1, LIMIT), LXDB_NOSPACE);
    assert_int_equal(lx_file_truncate(fd, "x", LIMIT + 1), LXDB_NOSPACE);
    assert_int_equal(lx_file_allocate(fd, "x", LIMIT - 10, 20), LXDB_NOSPACE);
    assert_says("File too large");
}

static void limit_of_file_size_is_nospace_and_no_signal(void **state)
{
    int fd = file_make("x", "");
    sigset_t mask;

    (void)state;
    grow_past_limit(fd);
    assert_int_equal(xfsz_count, 0);
    assert_false(xfsz_is_pending());
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &mask), 0);
    assert_int_equal(sigismember(&mask, SIGXFSZ), 0);
    close(fd);
}

/* That the test above can fail: the bare call does raise the signal. */
static void limit_of_file_size_raises_signal_without_the_library(void **state)
{
    int fd = file_make("x", "");

    (void)state;
    assert_int_equal(pwrite(fd, "y", 1, LIMIT), -1);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(xfsz_count, 1);
    close(fd);
}

static void limit_with_default_action_does_not_kill(void **state)
{
    pid_t child;
    int status;

    (void)state;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = openat(dirfd_, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        (void)signal(SIGXFSZ, SIG_DFL);
        _exit(lx_file_write(fd, "x", "y", 1, LIMIT) == LXDB_NOSPACE &&
                      lx_file_truncate(fd, "x", LIMIT + 1) == LXDB_NOSPACE &&
                      lx_file_allocate(fd, "x", 0, LIMIT + 1) == LXDB_NOSPACE
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void limit_keeps_signal_that_the_caller_had_pending(void **state)
{
    int fd = file_make("x", "");
    sigset_t set;

    (void)state;
    assert_int_equal(sigemptyset(&set), 0);
    assert_int_equal(sigaddset(&set, SIGXFSZ), 0);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    assert_int_equal(raise(SIGXFSZ), 0);
    grow_past_limit(fd);
    assert_true(xfsz_is_pending());
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
    assert_int_equal(xfsz_count, 1);
    close(fd);
}

static void limit_leaves_nothing_pending_for_a_caller_that_blocks_it(void **state)
{
    int fd = file_make("x", "");
    sigset_t set;

    (void)state;
    assert_int_equal(sigemptyset(&set), 0);
    assert_int_equal(sigaddset(&set, SIGXFSZ), 0);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    grow_past_limit(fd);
    assert_false(xfsz_is_pending());
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &set), 0);
    assert_int_equal(sigismember(&set, SIGXFSZ), 1);
    close(fd);
}

static void limit_of_file_size_stops_written_zeros_too(void **state)
{
    int fd = file_make("x", "");

    (void)state;
    broken.fallocate = fallocate_is_missing;
    lx_io = &broken;
    assert_int_equal(lx_file_allocate(fd, "x", 0, 2 * LIMIT), LXDB_NOSPACE);
    assert_int_equal(xfsz_count, 0);
    close(fd);
}

/* ---- Directories ----------------------------------------------------------------------------- */

static void rename_replaces_what_is_there(void **state)
{
    int fd = file_make("x", "new");
    bool same = false;

    (void)state;
    close(file_make("y", "old"));
    assert_int_equal(lx_file_rename(dirfd_, "x", "y"), LXDB_OK);
    assert_false(exists("x"));
    assert_int_equal(lx_file_is_named(fd, dirfd_, "y", &same), LXDB_OK);
    assert_true(same);
    close(fd);
}

static void rename_of_missing_file_is_io(void **state)
{
    (void)state;
    assert_int_equal(lx_file_rename(dirfd_, "x", "y"), LXDB_IO);
    assert_says("x: renaming it to y");
}

static void remove_of_present_and_missing_file_is_ok(void **state)
{
    (void)state;
    close(file_make("x", ""));
    assert_int_equal(lx_file_remove(dirfd_, "x"), LXDB_OK);
    assert_false(exists("x"));
    assert_int_equal(lx_file_remove(dirfd_, "x"), LXDB_OK);
}

static void sync_of_file_and_directory_is_ok(void **state)
{
    int fd = file_make("x", "contents");
    lx_place place;

    (void)state;
    assert_int_equal(lx_place_open(path_of("x"), &place), LXDB_OK);
    assert_int_equal(lx_file_sync(fd, "x"), LXDB_OK);
    assert_int_equal(lx_dir_sync(&place), LXDB_OK);
    lx_place_close(&place);
    close(fd);
}

static void sync_of_directory_that_needs_none_is_ok(void **state)
{
    lx_place place;

    (void)state;
    assert_int_equal(lx_place_open(path_of("x"), &place), LXDB_OK);
    broken.fsync = sync_fails;
    failure = EINVAL;
    lx_io = &broken;
    assert_int_equal(lx_dir_sync(&place), LXDB_OK);
    lx_io = &lx_io_system;
    lx_place_close(&place);
}

/* ---- The table itself ------------------------------------------------------------------------ */

static void store_copies_bytes_and_accepts_none(void **state)
{
    char to[4] = "abc";

    (void)state;
    lx_io->store(to, "xy", 2);
    assert_string_equal(to, "xyc");
    lx_io->store(to, NULL, 0);
    assert_string_equal(to, "xyc");
}

static void fstatat_does_not_follow_links(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(symlinkat("target", dirfd_, "x"), 0);
    assert_int_equal(lx_io->fstatat(dirfd_, "x", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define UNIT_LIMIT(test) cmocka_unit_test_setup_teardown(test, set_up_limit, tear_down_limit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(place_of_path_has_directory_and_name),
        UNIT(place_of_bare_name_is_in_current_directory),
        UNIT(place_under_root_is_in_root),
        UNIT(place_without_file_name_is_invalid),
        UNIT(place_in_missing_directory_is_notfound),
        UNIT(place_below_a_file_is_notfound),
        UNIT(place_name_leaves_room_for_suffix),
        UNIT(place_with_overlong_path_is_toobig),
        UNIT(place_in_unreadable_directory_can_be_held),
        UNIT(place_zeroed_or_closed_may_be_closed),
        UNIT(open_missing_without_create_is_notfound),
        UNIT(open_with_create_makes_the_mode_whatever_the_umask),
        UNIT(open_with_create_leaves_contents_and_mode_of_existing_file),
        UNIT(open_descriptor_is_close_on_exec_and_writable),
        UNIT(open_rdonly_cannot_write),
        UNIT(open_exclusively_what_exists_is_exists),
        UNIT(open_exclusively_what_is_missing_creates),
        UNIT(open_symbolic_link_is_unsupported),
        UNIT(open_dangling_link_creates_nothing),
        UNIT(open_fifo_is_unsupported_and_not_even_opened),
        UNIT(open_directory_is_unsupported),
        UNIT(open_socket_is_unsupported),
        UNIT(open_device_is_unsupported),
        UNIT(open_link_swapped_in_after_the_look_is_unsupported),
        UNIT(open_fifo_swapped_in_after_the_look_is_unsupported),
        UNIT(open_directory_swapped_in_after_the_look_is_unsupported),
        UNIT(open_socket_swapped_in_after_the_look_is_unsupported),
        UNIT(open_that_loses_the_race_to_create_opens_the_winner),
        UNIT(open_that_always_loses_the_race_ends_with_busy),
        UNIT(open_failure_has_the_code_of_its_cause),
        UNIT(open_without_permission_is_readonly),
        UNIT(open_whose_fstat_fails_leaks_and_leaves_nothing),
        UNIT(place_that_cannot_be_opened_has_the_code_of_its_cause),
        UNIT(open_never_gives_a_standard_stream),
        UNIT(open_descriptor_is_listed_for_children_until_closed),
        UNIT(close_of_no_descriptor_does_nothing),
        UNIT(info_says_what_fstat_says),
        UNIT(info_birth_stays_when_the_file_changes),
        UNIT(info_of_failing_fstat_is_io),
        UNIT(id_differs_in_each_of_its_parts),
        UNIT(named_is_true_for_the_same_file_alone),
        UNIT(named_is_false_when_the_name_is_gone),
        UNIT(named_is_false_for_a_link_to_the_file),
        UNIT(named_failure_other_than_missing_is_a_code),
        UNIT(fit_own_file_is_ok),
        UNIT(fit_special_file_is_unsupported),
        UNIT(fit_hard_link_is_unsupported),
        UNIT(fit_mount_point_is_unsupported),
        UNIT(fit_foreign_owner_is_unsupported_unless_root_is_involved),
        UNIT(info_of_bind_mounted_file_says_mount_point),
        UNIT(mountinfo_type_is_found_by_whole_id),
        UNIT(mountinfo_optional_fields_are_passed_over),
        UNIT(mountinfo_dash_in_fixed_fields_is_no_separator),
        UNIT(mountinfo_escapes_are_decoded),
        UNIT(mountinfo_escape_that_is_none_is_taken_as_it_stands),
        UNIT(mountinfo_last_line_needs_no_newline),
        UNIT(mountinfo_missing_or_incomplete_line_gives_nothing),
        UNIT(mountinfo_cut_anywhere_is_read_within_bounds),
        UNIT(filesystem_names_that_do_not_share_memory_are_unfit),
        UNIT(filesystem_names_that_do_are_fit),
        UNIT(filesystem_of_scratch_and_memory_files_is_accepted),
        UNIT(filesystem_fuse_is_refused_by_its_mount),
        UNIT(filesystem_fuse_is_refused_by_its_number),
        UNIT(filesystem_that_cannot_be_known_is_refused),
        UNIT(rewrites_on_unknown_file_systems_may_allocate),
        UNIT(copy_access_gives_mode_and_owner),
        UNIT(copy_access_gives_acl),
        UNIT(copy_access_of_file_without_acl_removes_that_of_the_copy),
        UNIT(copy_access_that_is_not_allowed_is_readonly),
        UNIT(copy_access_of_failing_fstat_is_io),
        UNIT(read_and_write_go_on_after_partial_transfers),
        UNIT(read_past_the_end_is_io_and_says_where),
        UNIT(read_and_write_of_nothing_are_ok),
        UNIT(offsets_that_no_file_has_are_refused),
        UNIT(failing_disk_gives_the_code_of_its_errno),
        UNIT(write_that_takes_nothing_ends_with_io),
        UNIT(truncate_sets_size_both_ways),
        UNIT(allocate_extends_with_zeros_that_have_blocks),
        UNIT(allocate_inside_the_file_changes_nothing_that_is_there),
        UNIT(allocate_without_fallocate_writes_zeros_past_the_end_alone),
        UNIT(allocate_without_fallocate_on_full_disk_is_nospace),
        UNIT_LIMIT(limit_of_file_size_is_nospace_and_no_signal),
        UNIT_LIMIT(limit_of_file_size_raises_signal_without_the_library),
        UNIT_LIMIT(limit_with_default_action_does_not_kill),
        UNIT_LIMIT(limit_keeps_signal_that_the_caller_had_pending),
        UNIT_LIMIT(limit_leaves_nothing_pending_for_a_caller_that_blocks_it),
        UNIT_LIMIT(limit_of_file_size_stops_written_zeros_too),
        UNIT(rename_replaces_what_is_there),
        UNIT(rename_of_missing_file_is_io),
        UNIT(remove_of_present_and_missing_file_is_ok),
        UNIT(sync_of_file_and_directory_is_ok),
        UNIT(sync_of_directory_that_needs_none_is_ok),
        UNIT(store_copies_bytes_and_accepts_none),
        UNIT(fstatat_does_not_follow_links),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
