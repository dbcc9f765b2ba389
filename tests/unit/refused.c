/* SPDX-License-Identifier: MIT */
/*
 * The system layer when calls are interrupted or refused. The linker leads the calls of the C
 * library here (see local.mk); those of the table in sys/io.h are taken from lx_io_system, which is
 * what is to be seen, and replaced in it where only a refusal matters.
 */
#include "engine/core.h"
#include "sys/fds.h"
#include "sys/host.h"
#include "sys/io.h"
#include "sys/ofd.h"
#include "tests/coverage/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- The refusal ----------------------------------------------------------------------------- */

enum call {
    CALL_NONE,
    CALL_OPENAT,
    CALL_OPEN,
    CALL_READ,
    CALL_PREAD,
    CALL_PWRITE,
    CALL_FTRUNCATE,
    CALL_FALLOCATE,
    CALL_FDATASYNC,
    CALL_FSYNC,
    CALL_MSYNC,
    CALL_FCNTL,
    CALL_FSTATFS,
    CALL_STATX,
    CALL_FCHMOD,
    CALL_FCHOWN,
    CALL_FGETXATTR,
    CALL_FSETXATTR,
    CALL_FREMOVEXATTR,
    CALL_GETRANDOM,
    CALL_MADVISE,
    CALL_ATFORK,
    CALL_STRDUP,
    CALL_STRNDUP,
    CALL_MALLOC,
    CALL_REALLOC
};

static struct {
    enum call call;
    int err;
    unsigned pass;  /* calls of it that are let through first */
    unsigned times; /* that it is refused */
    unsigned seen;  /* calls of it */
    unsigned mask;  /* statx: facts that are left out of the answer */
} refusal;

static void refuse(enum call call, int err, unsigned times)
{
    memset(&refusal, 0, sizeof refusal);
    refusal.call = call;
    refusal.err = err;
    refusal.times = times;
}

static bool refused(enum call call)
{
    if (refusal.call != call)
        return false;
    refusal.seen++;
    if (refusal.seen <= refusal.pass || refusal.seen > refusal.pass + refusal.times)
        return false;
    errno = refusal.err;
    return true;
}

/* A function of the C library, under the name that the compiler calls it by, and its wrapper. */
#define WRAP(call, failed, type, name, parameters, arguments)                                      \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return refused(call) ? (failed) : __real_##name arguments;                                 \
    }

/* What offsets of 64 bits give another name where they are an option. */
#ifdef __USE_FILE_OFFSET64
#define SIZED(name) name##64
#else
#define SIZED(name) name
#endif
/* One more step, in which SIZED() is replaced. */
#define WRAP_SIZED(call, failed, type, name, parameters, arguments)                                \
    WRAP(call, failed, type, name, parameters, arguments)
#define REAL_(name) __real_##name
#define REAL(name) REAL_(name)
#define WRAPPED_(name) __wrap_##name
#define WRAPPED(name) WRAPPED_(name)

/* clang-format off */
WRAP(CALL_READ, -1, ssize_t, read, (int fd, void *buf, size_t len), (fd, buf, len))
WRAP(CALL_FDATASYNC, -1, int, fdatasync, (int fd), (fd))
WRAP(CALL_FSYNC, -1, int, fsync, (int fd), (fd))
WRAP(CALL_MSYNC, -1, int, msync, (void *at, size_t len, int flags), (at, len, flags))
WRAP(CALL_FCHMOD, -1, int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(CALL_FCHOWN, -1, int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(CALL_FGETXATTR, -1, ssize_t, fgetxattr, (int fd, const char *name, void *to, size_t size),
     (fd, name, to, size))
WRAP(CALL_FSETXATTR, -1, int, fsetxattr,
     (int fd, const char *name, const void *from, size_t size, int flags),
     (fd, name, from, size, flags))
WRAP(CALL_FREMOVEXATTR, -1, int, fremovexattr, (int fd, const char *name), (fd, name))
WRAP(CALL_GETRANDOM, -1, ssize_t, getrandom, (void *to, size_t len, unsigned flags),
     (to, len, flags))
WRAP(CALL_MADVISE, -1, int, madvise, (void *at, size_t len, int advice), (at, len, advice))
WRAP(CALL_STRDUP, NULL, char *, strdup, (const char *text), (text))
WRAP(CALL_STRNDUP, NULL, char *, strndup, (const char *text, size_t len), (text, len))
WRAP(CALL_MALLOC, NULL, void *, malloc, (size_t size), (size))
WRAP(CALL_REALLOC, NULL, void *, realloc, (void *memory, size_t size), (memory, size))
WRAP(CALL_ATFORK, ENOMEM, int, pthread_atfork,
     (void (*prepare)(void), void (*parent)(void), void (*child)(void)), (prepare, parent, child))
WRAP_SIZED(CALL_PREAD, -1, ssize_t, SIZED(pread), (int fd, void *buf, size_t len, off_t off),
           (fd, buf, len, off))
WRAP_SIZED(CALL_PWRITE, -1, ssize_t, SIZED(pwrite),
           (int fd, const void *buf, size_t len, off_t off), (fd, buf, len, off))
WRAP_SIZED(CALL_FTRUNCATE, -1, int, SIZED(ftruncate), (int fd, off_t size), (fd, size))
WRAP_SIZED(CALL_FALLOCATE, -1, int, SIZED(fallocate), (int fd, int mode, off_t off, off_t len),
           (fd, mode, off, len))
WRAP_SIZED(CALL_FSTATFS, -1, int, SIZED(fstatfs), (int fd, struct statfs *fs), (fd, fs))
/* clang-format on */

int __real_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);

int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
    int rc = refused(CALL_STATX) ? -1 : __real_statx(dirfd, path, flags, mask, stx);

    if (rc == 0)
        stx->stx_mask &= ~refusal.mask;
    return rc;
}

int REAL(SIZED(open))(const char *path, int flags, ...);
int WRAPPED(SIZED(open))(const char *path, int flags, ...);
int REAL(SIZED(openat))(int dirfd, const char *path, int flags, ...);
int WRAPPED(SIZED(openat))(int dirfd, const char *path, int flags, ...);
int REAL(SIZED(fcntl))(int fd, int command, ...);
int WRAPPED(SIZED(fcntl))(int fd, int command, ...);

int WRAPPED(SIZED(open))(const char *path, int flags, ...)
{
    return refused(CALL_OPEN) ? -1 : REAL(SIZED(open))(path, flags);
}

int WRAPPED(SIZED(openat))(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & O_CREAT)
        mode = va_arg(args, mode_t);
    va_end(args);
    return refused(CALL_OPENAT) ? -1 : REAL(SIZED(openat))(dirfd, path, flags, mode);
}

int WRAPPED(SIZED(fcntl))(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    return refused(CALL_FCNTL) ? -1 : REAL(SIZED(fcntl))(fd, command, arg);
}

/* ---- A directory for each test --------------------------------------------------------------- */

static char dir[256];
static int dirfd_ = -1;
static struct lx_io fake;

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-refused-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fake = lx_io_system;
    refuse(CALL_NONE, 0, 0);
    return dirfd_ < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    lx_io = &lx_io_system;
    refuse(CALL_NONE, 0, 0);
    (void)unlinkat(dirfd_, "x", 0);
    (void)unlinkat(dirfd_, "y", 0);
    (void)close(dirfd_);
    return rmdir(dir);
}

static int file_make(const char *name)
{
    int fd = openat(dirfd_, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void assert_says(const char *words)
{
    if (strstr(lx_error_message(), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", lx_error_message(), words);
}

/* ---- Interrupted ----------------------------------------------------------------------------- */

#define assert_again(call, expected)                                                               \
    do {                                                                                           \
        assert_int_equal(call, expected);                                                          \
        assert_int_equal(refusal.seen, 3);                                                         \
    } while (0)

static void calls_of_the_table_that_are_interrupted_are_made_again(void **state)
{
    int fd = file_make("x"), other;
    char byte = 'a';
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    (void)state;
    assert_true(at != MAP_FAILED);
    refuse(CALL_PWRITE, EINTR, 2);
    assert_again(lx_io_system.pwrite(fd, &byte, 1, 5), 1);
    refuse(CALL_PREAD, EINTR, 2);
    assert_again(lx_io_system.pread(fd, &byte, 1, 5), 1);
    assert_int_equal(byte, 'a');
    refuse(CALL_FTRUNCATE, EINTR, 2);
    assert_again(lx_io_system.ftruncate(fd, 100), 0);
    refuse(CALL_FALLOCATE, EINTR, 2);
    assert_again(lx_io_system.fallocate(fd, 0, 0, 4096), 0);
    refuse(CALL_FDATASYNC, EINTR, 2);
    assert_again(lx_io_system.fdatasync(fd), 0);
    refuse(CALL_FSYNC, EINTR, 2);
    assert_again(lx_io_system.fsync(dirfd_), 0);
    refuse(CALL_MSYNC, EINTR, 2);
    assert_again(lx_io_system.msync(at, 4096, fd), 0);
    assert_int_equal(munmap(at, 4096), 0);
    refuse(CALL_OPENAT, EINTR, 2);
    other = lx_io_system.openat(dirfd_, "x", O_RDONLY | O_CLOEXEC, 0);
    assert_int_equal(refusal.seen, 3);
    assert_true(other > 2);
    close(other);
    close(fd);
}

static void calls_of_the_table_that_fail_are_not(void **state)
{
    int fd = file_make("x");
    char byte;

    (void)state;
    refuse(CALL_PREAD, EIO, 1);
    assert_int_equal(lx_io_system.pread(fd, &byte, 1, 0), -1);
    assert_int_equal(refusal.seen, 1);
    refuse(CALL_FDATASYNC, EIO, 1);
    assert_int_equal(lx_io_system.fdatasync(fd), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(refusal.seen, 1);
    refuse(CALL_FSYNC, EIO, 1);
    assert_int_equal(lx_io_system.fsync(dirfd_), -1);
    assert_int_equal(refusal.seen, 1);
    refuse(CALL_MSYNC, EIO, 1);
    assert_int_equal(lx_io_system.msync(NULL, 4096, fd), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(refusal.seen, 1);
    close(fd);
}

/* ---- This process and this system ------------------------------------------------------------ */

static void random_numbers_that_are_interrupted_come_all_the_same(void **state)
{
    uint64_t bits = 0;

    (void)state;
    refuse(CALL_GETRANDOM, EINTR, 2);
    assert_again(lx_random64(&bits), LXDB_OK);
    assert_true(bits != 0);
}

static void random_numbers_that_are_refused_are_a_failure(void **state)
{
    uint64_t bits = 7;

    (void)state;
    refuse(CALL_GETRANDOM, ENOSYS, 1);
    assert_int_equal(lx_random64(&bits), LXDB_IO);
    assert_int_equal(bits, 7);
}

static void index_without_a_seed_is_not_made(void **state)
{
    lx_index none = {0};
    int fd = file_make("x");

    (void)state;
    refuse(CALL_GETRANDOM, ENOSYS, 1);
    assert_int_equal(lx_index_make(fd, "x", 0, &none), LXDB_IO);
    assert_null(none.map.base);
    close(fd);
}

static void boot_id_without_proc_is_not_known(void **state)
{
    (void)state;
    assert_true(lx_boot_id() != 0);
    refuse(CALL_OPEN, ENOENT, 1);
    assert_int_equal(lx_boot_id(), 0);
    refuse(CALL_READ, EIO, 1);
    assert_int_equal(lx_boot_id(), 0);
}

static void boot_id_that_is_interrupted_is_known(void **state)
{
    uint64_t id = lx_boot_id();

    (void)state;
    refuse(CALL_READ, EINTR, 2);
    assert_again(lx_boot_id() == id, true);
}

static void process_without_proc_has_the_name_of_its_program(void **state)
{
    char name[16];

    (void)state;
    refuse(CALL_OPEN, ENOENT, 1);
    lx_process_name(name);
    assert_memory_equal(name, program_invocation_short_name,
                        strnlen(program_invocation_short_name, 15));
    assert_int_equal(name[15], 0);
}

/* ---- Locks ----------------------------------------------------------------------------------- */

static void lock_that_is_interrupted_is_taken(void **state)
{
    int fd = file_make("x");

    (void)state;
    refuse(CALL_FCNTL, EINTR, 2);
    assert_again(lx_ofd_set(fd, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
    close(fd);
}

static void lock_that_is_refused_says_why(void **state)
{
    static const struct {
        int err, code;
    } answers[] = {{EINVAL, LXDB_UNSUPPORTED},
                   {ENOSYS, LXDB_UNSUPPORTED},
                   {EOPNOTSUPP, LXDB_UNSUPPORTED},
                   {ENOLCK, LXDB_NOMEM},
                   {EIO, LXDB_IO}};
    int fd = file_make("x");
    uint64_t at = 7;
    bool held = true;

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        refuse(CALL_FCNTL, answers[i].err, 1);
        assert_int_equal(lx_ofd_set(fd, LX_OFD_SHARED, 5), answers[i].code);
        refuse(CALL_FCNTL, answers[i].err, 1);
        assert_int_equal(lx_ofd_query(fd, 5, 1, &held, &at), answers[i].code);
        assert_says("lock of byte 5");
    }
    assert_true(held && at == 7);
    refuse(CALL_FCNTL, EACCES, 1); /* another word for EAGAIN */
    assert_int_equal(lx_ofd_set(fd, LX_OFD_SHARED, 5), LXDB_BUSY);
    close(fd);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void place_without_memory_is_none(void **state)
{
    lx_place place = {.dirfd = -1};

    (void)state;
    refuse(CALL_STRDUP, ENOMEM, 1);
    assert_int_equal(lx_place_open("/tmp/x", &place), LXDB_NOMEM);
    refuse(CALL_STRDUP, ENOMEM, 1);
    refusal.pass = 1;
    assert_int_equal(lx_place_open("/tmp/x", &place), LXDB_NOMEM);
    refuse(CALL_STRNDUP, ENOMEM, 1);
    assert_int_equal(lx_place_open("/tmp/x", &place), LXDB_NOMEM);
    assert_null(place.path);
}

/* A list of descriptors that has to grow, and cannot. */
static void open_without_memory_for_the_list_leaves_no_descriptor(void **state)
{
    int fds[64], n = 0, fd, next;

    (void)state;
    close(file_make("x"));
    do {
        refuse(CALL_REALLOC, ENOMEM, 1);
        fd = -1;
        if (lx_file_open(dirfd_, "x", 0, 0, &fd) != LXDB_OK)
            break;
        fds[n++] = fd;
    } while (n < 64);
    assert_true(n < 64);
    assert_int_equal(fd, -1);
    next = dup(dirfd_);
    refuse(CALL_REALLOC, ENOMEM, 1);
    assert_int_equal(lx_file_open(dirfd_, "y", LX_FILE_CREATE, 0600, &fd), LXDB_NOMEM);
    assert_int_equal(dup(dirfd_), next + 1); /* the lowest that is free */
    close(next + 1);
    close(next);
    while (n > 0)
        lx_file_close(fds[--n]);
}

static int fstatat_of_no_kind(int dirfd, const char *name, struct stat *ret_stat)
{
    int rc = lx_io_system.fstatat(dirfd, name, ret_stat);

    ret_stat->st_mode &= ~(mode_t)S_IFMT;
    return rc;
}

static void open_of_a_file_of_no_known_kind_is_unsupported(void **state)
{
    int fd = -1;

    (void)state;
    close(file_make("x"));
    fake.fstatat = fstatat_of_no_kind;
    lx_io = &fake;
    assert_int_equal(lx_file_open(dirfd_, "x", 0, 0, &fd), LXDB_UNSUPPORTED);
    assert_says("special file");
    assert_int_equal(fd, -1);
}

static int fstatat_elsewhere(int dirfd, const char *name, struct stat *ret_stat)
{
    int rc = lx_io_system.fstatat(dirfd, name, ret_stat);

    ret_stat->st_dev++;
    return rc;
}

static void file_of_that_number_on_another_device_is_another(void **state)
{
    int fd = file_make("x");
    bool same;

    (void)state;
    assert_int_equal(lx_file_is_named(fd, dirfd_, "x", &same), LXDB_OK);
    assert_true(same);
    fake.fstatat = fstatat_elsewhere;
    lx_io = &fake;
    assert_int_equal(lx_file_is_named(fd, dirfd_, "x", &same), LXDB_OK);
    assert_false(same);
    close(fd);
}

/* The umask takes what the mode asks for, so it is set. */
static int create_with_mode_refused(int err)
{
    mode_t before = umask(0777);
    int fd = -1, rc;

    refuse(CALL_FCHMOD, err, 1);
    rc = lx_file_open(dirfd_, "x", LX_FILE_CREATE, 0640, &fd);
    (void)umask(before);
    assert_int_equal(refusal.seen, 1);
    assert_true((fd >= 0) == (rc == LXDB_OK));
    lx_file_close(fd);
    return rc;
}

static void created_file_whose_mode_cannot_be_set_is_removed(void **state)
{
    (void)state;
    assert_int_equal(create_with_mode_refused(EIO), LXDB_IO);
    assert_int_equal(faccessat(dirfd_, "x", F_OK, 0), -1);
}

static void created_file_on_a_system_without_modes_is_fine(void **state)
{
    (void)state;
    assert_int_equal(create_with_mode_refused(EPERM), LXDB_OK);
    assert_int_equal(unlinkat(dirfd_, "x", 0), 0);
    assert_int_equal(create_with_mode_refused(EOPNOTSUPP), LXDB_OK);
}

static void info_without_a_time_of_birth_has_none(void **state)
{
    int fd = file_make("x");
    lx_file_info info;

    (void)state;
    refuse(CALL_NONE, 0, 0);
    refusal.mask = STATX_BTIME;
    assert_int_equal(lx_file_info_get(fd, "x", &info), LXDB_OK);
    assert_int_equal(info.id.birth_ns, 0);
    refuse(CALL_STATX, ENOSYS, 1);
    assert_int_equal(lx_file_info_get(fd, "x", &info), LXDB_OK);
    assert_int_equal(info.id.birth_ns, 0);
    assert_false(info.mount_root);
    close(fd);
}

static void allocation_in_a_kernel_without_it_writes_zeros(void **state)
{
    int fd = file_make("x");
    char byte = 1;

    (void)state;
    refuse(CALL_FALLOCATE, ENOSYS, 1);
    assert_int_equal(lx_file_allocate(fd, "x", 0, 100000), LXDB_OK);
    assert_int_equal(lseek(fd, 0, SEEK_END), 100000);
    assert_int_equal(pread(fd, &byte, 1, 99999), 1);
    assert_int_equal(byte, 0);
    close(fd);
}

/* ---- File systems ---------------------------------------------------------------------------- */

/* Where the mounts have to be read. */
static int file_in_memory(void)
{
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void file_system_is_judged_by_its_number_where_mounts_cannot_be_read(void **state)
{
    int fd = file_in_memory();

    (void)state;
    refuse(CALL_OPEN, ENOENT, 1); /* /proc/self/mountinfo */
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_OK);
    refuse(CALL_READ, EIO, 1);
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_OK);
    refuse(CALL_REALLOC, ENOMEM, 1);
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_OK);
    refuse(CALL_NONE, 0, 0);
    refusal.mask = STATX_MNT_ID;
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_OK);
    close(fd);
}

static void mounts_whose_reading_is_interrupted_are_read(void **state)
{
    int fd = file_in_memory();

    (void)state;
    refuse(CALL_READ, EINTR, 2);
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_OK);
    assert_true(refusal.seen > 2);
    close(fd);
}

static void file_system_that_nobody_knows_is_unsupported(void **state)
{
    int fd = file_in_memory();

    (void)state;
    refuse(CALL_FSTATFS, EIO, 1);
    refusal.mask = STATX_MNT_ID;
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_UNSUPPORTED);
    assert_says("no way to find out");
    close(fd);
}

static void ext_on_a_device_is_accepted_without_reading_the_mounts(void **state)
{
    int fd = file_make("x");

    (void)state;
    refuse(CALL_OPEN, ENOENT, 1);
    assert_int_equal(lx_file_check_filesystem(fd, "x"), LXDB_OK);
    assert_int_equal(refusal.seen, lx_file_rewrites_allocate(fd) ? 1 : 0);
    close(fd);
}

static void number_of_a_file_system_is_asked_again_when_interrupted(void **state)
{
    int fd = file_make("x");
    bool allocates = lx_file_rewrites_allocate(fd);

    (void)state;
    refuse(CALL_FSTATFS, EINTR, 2);
    assert_again(lx_file_rewrites_allocate(fd), allocates);
    refuse(CALL_FSTATFS, EIO, 1);
    assert_true(lx_file_rewrites_allocate(fd)); /* not known: the safe answer */
    close(fd);
}

/* ---- Owner, ACL and mode --------------------------------------------------------------------- */

static int copy_access_refused(enum call call, int err)
{
    int from = file_make("x"), to = file_make("y"), rc;

    refuse(call, err, 1);
    rc = lx_file_copy_access(from, to, "y");
    assert_int_equal(refusal.seen, 1);
    close(from);
    close(to);
    return rc;
}

static void copy_of_access_that_is_refused_says_what_is_missing(void **state)
{
    (void)state;
    assert_int_equal(copy_access_refused(CALL_FGETXATTR, EIO), LXDB_IO);
    assert_says("reading its ACL");
    assert_int_equal(copy_access_refused(CALL_FREMOVEXATTR, EIO), LXDB_IO);
    assert_says("removing the ACL");
    assert_int_equal(copy_access_refused(CALL_FCHMOD, EPERM), LXDB_READONLY);
    assert_says("the same mode");
    assert_int_equal(copy_access_refused(CALL_MALLOC, ENOMEM), LXDB_NOMEM);
}

static void copy_of_access_without_acls_is_whole(void **state)
{
    (void)state;
    assert_int_equal(copy_access_refused(CALL_FGETXATTR, EOPNOTSUPP), LXDB_OK);
    assert_int_equal(copy_access_refused(CALL_FREMOVEXATTR, EOPNOTSUPP), LXDB_OK);
    assert_int_equal(copy_access_refused(CALL_FREMOVEXATTR, ENODATA), LXDB_OK);
}

static int fstat_of_another_owner(int fd, struct stat *ret_stat)
{
    static int calls;
    int rc = lx_io_system.fstat(fd, ret_stat);

    if (calls++ == 0) /* of the original */
        ret_stat->st_gid++;
    return rc;
}

static void copy_of_access_to_an_owner_that_is_refused_fails(void **state)
{
    (void)state;
    fake.fstat = fstat_of_another_owner;
    lx_io = &fake;
    assert_int_equal(copy_access_refused(CALL_FCHOWN, EPERM), LXDB_READONLY);
    assert_says("the same owner");
}

/* ---- Mappings and forks ---------------------------------------------------------------------- */

static void mapping_that_forks_would_inherit_is_none(void **state)
{
    lx_map map = {0};
    int fd = file_make("x");

    (void)state;
    refuse(CALL_MADVISE, EACCES, 1);
    assert_int_equal(lx_map_open(fd, "x", 4096, 4096, true, &map), LXDB_READONLY);
    refuse(CALL_MADVISE, EINVAL, 1);
    assert_int_equal(lx_map_anonymous(4096, &map), LXDB_NOMEM);
    refuse(CALL_MADVISE, EACCES, 1);
    assert_int_equal(lx_map_anonymous(4096, &map), LXDB_READONLY);
    assert_null(map.base);
    close(fd);
}

/* It would not be told of forks: then no database is opened, in the whole life of the process. */
static void open_in_a_process_that_cannot_be_told_of_forks_is_no_memory(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        refuse(CALL_ATFORK, ENOMEM, 1);
        status = lx_fork_setup() == LXDB_NOMEM && refusal.seen == 1 &&
                 lx_fork_setup() == LXDB_NOMEM;
        coverage_keep();
        _exit(status ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(calls_of_the_table_that_are_interrupted_are_made_again),
        UNIT(calls_of_the_table_that_fail_are_not),
        UNIT(random_numbers_that_are_interrupted_come_all_the_same),
        UNIT(random_numbers_that_are_refused_are_a_failure),
        UNIT(index_without_a_seed_is_not_made),
        UNIT(boot_id_without_proc_is_not_known),
        UNIT(boot_id_that_is_interrupted_is_known),
        UNIT(process_without_proc_has_the_name_of_its_program),
        UNIT(lock_that_is_interrupted_is_taken),
        UNIT(lock_that_is_refused_says_why),
        UNIT(place_without_memory_is_none),
        UNIT(open_without_memory_for_the_list_leaves_no_descriptor),
        UNIT(open_of_a_file_of_no_known_kind_is_unsupported),
        UNIT(file_of_that_number_on_another_device_is_another),
        UNIT(created_file_whose_mode_cannot_be_set_is_removed),
        UNIT(created_file_on_a_system_without_modes_is_fine),
        UNIT(info_without_a_time_of_birth_has_none),
        UNIT(allocation_in_a_kernel_without_it_writes_zeros),
        UNIT(file_system_is_judged_by_its_number_where_mounts_cannot_be_read),
        UNIT(mounts_whose_reading_is_interrupted_are_read),
        UNIT(file_system_that_nobody_knows_is_unsupported),
        UNIT(ext_on_a_device_is_accepted_without_reading_the_mounts),
        UNIT(number_of_a_file_system_is_asked_again_when_interrupted),
        UNIT(copy_of_access_that_is_refused_says_what_is_missing),
        UNIT(copy_of_access_without_acls_is_whole),
        UNIT(copy_of_access_to_an_owner_that_is_refused_fails),
        UNIT(mapping_that_forks_would_inherit_is_none),
        UNIT(open_in_a_process_that_cannot_be_told_of_forks_is_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
