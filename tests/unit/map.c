/* SPDX-License-Identifier: MIT */
/* sys/map.h: mappings with address space in reserve, that no child of fork has. */
#include "sys/map.h"

#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- One file for each test, and a system that refuses --------------------------------------- */

static int fd = -1;
static uint64_t page;
static struct lx_io broken; /* a copy of the system's table, for tests to change */

/* What the refusing mmap() was asked for, and from which size on it refuses. */
static struct {
    uint64_t refused_from;
    int err;
    int calls;
    int unmapped;
} refusal;

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char dir[4000];
    int dirfd;

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-map-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = openat(dirfd, "x", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    /* The descriptor is all that is used of it. */
    (void)unlinkat(dirfd, "x", 0);
    (void)close(dirfd);
    (void)rmdir(dir);
    page = (uint64_t)sysconf(_SC_PAGESIZE);
    broken = lx_io_system;
    memset(&refusal, 0, sizeof refusal);
    return fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    lx_io = &lx_io_system;
    return close(fd);
}

static void *mmap_refuses(void *addr, size_t len, int prot, int flags, int file, off_t off)
{
    refusal.calls++;
    if (len >= refusal.refused_from) {
        errno = refusal.err;
        return MAP_FAILED;
    }
    return mmap(addr, len, prot, flags, file, off);
}

static void refuse_from(uint64_t size, int err)
{
    refusal.refused_from = size;
    refusal.err = err;
    broken.mmap = mmap_refuses;
    lx_io = &broken;
}

/* A child that runs `touch` on the base: the signal that killed it, or 0. */
static int child_signal(void (*touch)(uint8_t *), uint8_t *base)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        touch(base);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_byte(uint8_t *base)
{
    (void)*(volatile uint8_t *)base;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void open_rounds_size_up_to_pages(void **state)
{
    static const struct {
        uint64_t need;
        uint64_t pages;
    } cases[] = {{0, 1}, {1, 1}};
    lx_map map;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(lx_map_open(fd, "x", cases[i].need, 0, true, &map), LXDB_OK);
        assert_int_equal(map.size, cases[i].pages * page);
        lx_map_close(&map);
    }
    assert_int_equal(lx_map_open(fd, "x", page, page, true, &map), LXDB_OK);
    assert_int_equal(map.size, page);
    lx_map_close(&map);
    assert_int_equal(lx_map_open(fd, "x", page + 1, 0, true, &map), LXDB_OK);
    assert_int_equal(map.size, 2 * page);
    lx_map_close(&map);
}

static void open_takes_what_is_wanted(void **state)
{
    lx_map map;

    (void)state;
    assert_int_equal(lx_map_open(fd, "x", 1, 1000 * page, true, &map), LXDB_OK);
    assert_int_equal(map.size, 1000 * page);
    lx_map_close(&map);
}

static void open_shares_with_the_file(void **state)
{
    char byte = 0;
    lx_map map;

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)page), 0);
    assert_int_equal(lx_map_open(fd, "x", page, 0, true, &map), LXDB_OK);
    map.base[7] = 'm';
    assert_int_equal(pread(fd, &byte, 1, 7), 1);
    assert_int_equal(byte, 'm');
    assert_int_equal(pwrite(fd, "w", 1, 8), 1);
    assert_int_equal(map.base[8], 'w');
    lx_map_close(&map);
}

static void open_past_the_end_becomes_usable_as_the_file_grows(void **state)
{
    lx_map map;

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)page), 0);
    assert_int_equal(lx_map_open(fd, "x", page, 16 * page, true, &map), LXDB_OK);
    assert_int_equal(ftruncate(fd, 16 * (off_t)page), 0);
    assert_int_equal(pwrite(fd, "end", 3, 15 * (off_t)page), 3);
    assert_memory_equal(map.base + 15 * page, "end", 3);
    map.base[16 * page - 1] = 1;
    lx_map_close(&map);
}

static void open_for_reading_works_on_a_descriptor_for_reading(void **state)
{
    char path[64];
    lx_map map;
    int reader;

    (void)state;
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(lx_map_open(reader, "x", 1, 0, false, &map), LXDB_OK);
    assert_int_equal(map.base[0], 'x');
    /* mprotect() of a shared mapping of such a descriptor fails: it cannot become writable. */
    assert_int_equal(mprotect(map.base, (size_t)map.size, PROT_READ | PROT_WRITE), -1);
    lx_map_close(&map);
    close(reader);
}

static void open_for_writing_on_a_descriptor_for_reading_is_readonly(void **state)
{
    char path[64];
    lx_map map = {.size = 77};
    int reader;

    (void)state;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(lx_map_open(reader, "x", 1, 0, true, &map), LXDB_READONLY);
    assert_int_equal(map.size, 77);
    close(reader);
}

static void open_halves_what_is_wanted_until_it_can_be_had(void **state)
{
    static const int errs[] = {ENOMEM, EOVERFLOW};
    lx_map map;

    (void)state;
    for (size_t i = 0; i < sizeof errs / sizeof *errs; i++) {
        refuse_from(300 * page, errs[i]);
        assert_int_equal(lx_map_open(fd, "x", 10 * page, 1024 * page, true, &map), LXDB_OK);
        assert_int_equal(map.size, 256 * page);
        lx_map_close(&map);
    }
}

static void open_goes_down_to_what_is_needed_and_no_further(void **state)
{
    lx_map map = {.size = 77};

    (void)state;
    refuse_from(101 * page, ENOMEM);
    assert_int_equal(lx_map_open(fd, "x", 100 * page, 1024 * page, true, &map), LXDB_OK);
    assert_int_equal(map.size, 100 * page);
    lx_map_close(&map);

    map.size = 77;
    refuse_from(100 * page, ENOMEM);
    assert_int_equal(lx_map_open(fd, "x", 100 * page, 1024 * page, true, &map), LXDB_NOMEM);
    assert_int_equal(map.size, 77);
}

static void open_of_more_than_address_space_has_still_gets_much(void **state)
{
    lx_map map;

    (void)state;
    assert_int_equal(lx_map_open(fd, "x", page, UINT64_C(1) << 62, true, &map), LXDB_OK);
    assert_true(map.size >= page);
    assert_true(map.size % page == 0);
    lx_map_close(&map);
}

static void open_with_sizes_that_would_wrap_around_is_nomem(void **state)
{
    static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 1, (uint64_t)INT64_MAX, 1ull << 62};
    lx_map map = {.size = 77};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(lx_map_open(fd, "x", sizes[i], 0, true, &map), LXDB_NOMEM);
    assert_int_equal(map.size, 77);
    assert_int_equal(lx_map_open(fd, "x", 1, UINT64_MAX, true, &map), LXDB_OK);
    assert_true(map.size >= page);
    lx_map_close(&map);
}

static void open_where_nothing_can_be_shared_is_unsupported_at_once(void **state)
{
    lx_map map;

    (void)state;
    refuse_from(0, ENODEV);
    assert_int_equal(lx_map_open(fd, "x", page, 1024 * page, true, &map), LXDB_UNSUPPORTED);
    assert_int_equal(refusal.calls, 1);
}

static void open_that_is_refused_for_another_reason_fails_at_once(void **state)
{
    lx_map map;

    (void)state;
    refuse_from(0, EIO);
    assert_int_equal(lx_map_open(fd, "x", page, 1024 * page, true, &map), LXDB_IO);
    assert_int_equal(refusal.calls, 1);
}

/* ---- What fork and failure must not leave ---------------------------------------------------- */

static void open_mapping_is_not_inherited(void **state)
{
    lx_map map;

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)page), 0);
    assert_int_equal(lx_map_open(fd, "x", page, 0, true, &map), LXDB_OK);
    touch_byte(map.base);
    assert_int_equal(child_signal(touch_byte, map.base), SIGSEGV);
    lx_map_close(&map);
}

static void anonymous_mapping_is_not_inherited(void **state)
{
    lx_map map;

    (void)state;
    assert_int_equal(lx_map_anonymous(page, &map), LXDB_OK);
    touch_byte(map.base);
    assert_int_equal(child_signal(touch_byte, map.base), SIGSEGV);
    lx_map_close(&map);
}

/* Memory that madvise() knows nothing of. */
static void *mmap_gives_unmapped(void *addr, size_t len, int prot, int flags, int file, off_t off)
{
    void *base = mmap(addr, len, prot, flags, file, off);

    (void)munmap(base, len);
    return base;
}

static int munmap_counts(void *addr, size_t len)
{
    refusal.unmapped++;
    return munmap(addr, len);
}

static void open_that_cannot_keep_children_out_fails_and_unmaps(void **state)
{
    lx_map map = {.size = 77};

    (void)state;
    broken.mmap = mmap_gives_unmapped;
    broken.munmap = munmap_counts;
    lx_io = &broken;
    assert_int_equal(lx_map_open(fd, "x", page, page, true, &map), LXDB_NOMEM);
    assert_int_equal(refusal.unmapped, 1);
    assert_int_equal(map.size, 77);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void anonymous_memory_is_zero_and_writable(void **state)
{
    lx_map map;

    (void)state;
    assert_int_equal(lx_map_anonymous(3 * page - 1, &map), LXDB_OK);
    assert_int_equal(map.size, 3 * page);
    for (uint64_t i = 0; i < map.size; i++)
        assert_int_equal(map.base[i], 0);
    memset(map.base, 0xA5, (size_t)map.size);
    lx_map_close(&map);
}

static void anonymous_size_that_cannot_be_is_nomem(void **state)
{
    lx_map map = {.size = 77};

    (void)state;
    assert_int_equal(lx_map_anonymous(UINT64_MAX, &map), LXDB_NOMEM);
    assert_int_equal(lx_map_anonymous(UINT64_C(1) << 62, &map), LXDB_NOMEM);
    assert_int_equal(map.size, 77);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void close_unmaps_and_may_be_repeated(void **state)
{
    lx_map map;
    uint8_t *base;
    unsigned char resident;

    (void)state;
    assert_int_equal(lx_map_open(fd, "x", page, 0, true, &map), LXDB_OK);
    base = map.base;
    lx_map_close(&map);
    assert_null(map.base);
    assert_int_equal(map.size, 0);
    assert_int_equal(mincore(base, (size_t)page, &resident), -1);
    assert_int_equal(errno, ENOMEM);
    lx_map_close(&map);
}

static void close_of_zeroed_map_does_nothing(void **state)
{
    lx_map map = {0};

    (void)state;
    broken.munmap = munmap_counts;
    lx_io = &broken;
    lx_map_close(&map);
    assert_int_equal(refusal.unmapped, 0);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(open_rounds_size_up_to_pages),
        UNIT(open_takes_what_is_wanted),
        UNIT(open_shares_with_the_file),
        UNIT(open_past_the_end_becomes_usable_as_the_file_grows),
        UNIT(open_for_reading_works_on_a_descriptor_for_reading),
        UNIT(open_for_writing_on_a_descriptor_for_reading_is_readonly),
        UNIT(open_halves_what_is_wanted_until_it_can_be_had),
        UNIT(open_goes_down_to_what_is_needed_and_no_further),
        UNIT(open_of_more_than_address_space_has_still_gets_much),
        UNIT(open_with_sizes_that_would_wrap_around_is_nomem),
        UNIT(open_where_nothing_can_be_shared_is_unsupported_at_once),
        UNIT(open_that_is_refused_for_another_reason_fails_at_once),
        UNIT(open_mapping_is_not_inherited),
        UNIT(anonymous_mapping_is_not_inherited),
        UNIT(open_that_cannot_keep_children_out_fails_and_unmaps),
        UNIT(anonymous_memory_is_zero_and_writable),
        UNIT(anonymous_size_that_cannot_be_is_nomem),
        UNIT(close_unmaps_and_may_be_repeated),
        UNIT(close_of_zeroed_map_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
