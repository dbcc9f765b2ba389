/* SPDX-License-Identifier: MIT */
/* sys/ofd.h: locks between descriptions, in one process and across processes. */
#include "sys/ofd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- One file, two descriptions of it -------------------------------------------------------- */

static char dir[4000];
static char path[4100];
static int a = -1;
static int b = -1;

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-ofd-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/x", dir);
    a = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    b = open(path, O_RDWR | O_CLOEXEC);
    if (a < 0 || b < 0)
        return -1;
    return ftruncate(a, 3); /* offsets count from the start, whatever the size */
}

static int tear_down(void **state)
{
    (void)state;
    (void)close(a);
    (void)close(b);
    (void)unlink(path);
    return rmdir(dir);
}

/* What another description would meet at a byte: nothing, a shared or an exclusive lock. */
static enum lx_ofd_mode held(int fd, uint64_t off)
{
    bool is_held = false;
    uint64_t at = 0;

    assert_int_equal(lx_ofd_query(fd, off, 1, &is_held, &at), LXDB_OK);
    if (!is_held)
        return LX_OFD_NONE;
    assert_int_equal(at, off);
    if (lx_ofd_set(fd, LX_OFD_SHARED, off) == LXDB_BUSY)
        return LX_OFD_EXCLUSIVE;
    assert_int_equal(lx_ofd_set(fd, LX_OFD_NONE, off), LXDB_OK);
    return LX_OFD_SHARED;
}

/* A child that calls `act`, then holds what it took until it is let go or killed. */
struct child {
    pid_t pid;
    int done; /* readable once `act` has returned, end-of-file if it failed */
    int go;   /* closed to let it end */
};

static struct child child_start(int (*act)(void))
{
    struct child child;
    int done[2], go[2];
    char byte = 0;

    assert_int_equal(pipe2(done, O_CLOEXEC), 0);
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        (void)close(done[0]);
        (void)close(go[1]);
        if (act() != 0 || write(done[1], &byte, 1) != 1)
            _exit(1);
        _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
    }
    (void)close(done[1]);
    (void)close(go[0]);
    child.done = done[0];
    child.go = go[1];
    assert_int_equal(read(child.done, &byte, 1), 1);
    return child;
}

static void child_end(struct child *child, bool kill_it)
{
    int status;

    if (kill_it)
        assert_int_equal(kill(child->pid, SIGKILL), 0);
    (void)close(child->go);
    (void)close(child->done);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    if (kill_it)
        assert_true(WIFSIGNALED(status));
    else
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- Descriptions of one process ------------------------------------------------------------- */

static void exclusive_excludes_another_description_of_the_process(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
    assert_int_equal(lx_ofd_set(b, LX_OFD_EXCLUSIVE, 5), LXDB_BUSY);
    assert_int_equal(lx_ofd_set(b, LX_OFD_SHARED, 5), LXDB_BUSY);
    assert_int_equal(lx_ofd_set(a, LX_OFD_NONE, 5), LXDB_OK);
    assert_int_equal(lx_ofd_set(b, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
}

static void shared_is_shared_and_excludes_exclusive(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_SHARED, 5), LXDB_OK);
    assert_int_equal(lx_ofd_set(b, LX_OFD_SHARED, 5), LXDB_OK);
    assert_int_equal(lx_ofd_set(b, LX_OFD_EXCLUSIVE, 5), LXDB_BUSY);
}

static void lock_covers_its_own_byte_alone(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
    assert_int_equal(held(b, 4), LX_OFD_NONE);
    assert_int_equal(held(b, 5), LX_OFD_EXCLUSIVE);
    assert_int_equal(held(b, 6), LX_OFD_NONE);
}

static void exclusive_becomes_shared_and_back(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 0), LXDB_OK);
    assert_int_equal(lx_ofd_set(a, LX_OFD_SHARED, 0), LXDB_OK);
    assert_int_equal(held(b, 0), LX_OFD_SHARED);
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 0), LXDB_OK);
    assert_int_equal(held(b, 0), LX_OFD_EXCLUSIVE);
}

static void conversion_that_is_refused_keeps_what_was_held(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_SHARED, 0), LXDB_OK);
    assert_int_equal(lx_ofd_set(b, LX_OFD_SHARED, 0), LXDB_OK);
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 0), LXDB_BUSY);
    assert_int_equal(held(b, 0), LX_OFD_SHARED);
}

static void lock_twice_and_release_once_is_free(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 0), LXDB_OK);
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 0), LXDB_OK);
    assert_int_equal(lx_ofd_set(a, LX_OFD_NONE, 0), LXDB_OK);
    assert_int_equal(held(b, 0), LX_OFD_NONE);
}

static void release_of_what_is_not_held_is_ok(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_NONE, 3), LXDB_OK);
}

static void lock_at_the_farthest_offset_works(void **state)
{
    static const uint64_t offs[] = {UINT64_C(1) << 61, (UINT64_C(1) << 62) - 1, INT64_MAX - 1};

    (void)state;
    for (size_t i = 0; i < sizeof offs / sizeof *offs; i++) {
        assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, offs[i]), LXDB_OK);
        assert_int_equal(held(b, offs[i]), LX_OFD_EXCLUSIVE);
    }
}

static void busy_leaves_no_sentence(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
    lx_fail(LXDB_IO, "an older sentence");
    assert_int_equal(lx_ofd_set(b, LX_OFD_EXCLUSIVE, 5), LXDB_BUSY);
    assert_string_equal(lx_error_message(), lx_code_text(LXDB_BUSY));
}

static void closing_the_last_descriptor_releases(void **state)
{
    int copy = fcntl(a, F_DUPFD_CLOEXEC, 0);

    (void)state;
    assert_true(copy >= 0);
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
    assert_int_equal(close(copy), 0); /* a lock of the process, the old kind, would be gone now */
    assert_int_equal(held(b, 5), LX_OFD_EXCLUSIVE);
    assert_int_equal(close(a), 0);
    assert_int_equal(held(b, 5), LX_OFD_NONE);
    a = open(path, O_RDWR | O_CLOEXEC);
}

/* ---- Failures -------------------------------------------------------------------------------- */

static void lock_of_bad_descriptor_is_io(void **state)
{
    bool is_held = true;
    uint64_t at = 77;

    (void)state;
    assert_int_equal(lx_ofd_set(-1, LX_OFD_SHARED, 9), LXDB_IO);
    assert_non_null(strstr(lx_error_message(), "lock of byte 9"));
    assert_int_equal(lx_ofd_query(-1, 9, 1, &is_held, &at), LXDB_IO);
    assert_true(is_held);
    assert_int_equal(at, 77);
}

static void exclusive_on_descriptor_for_reading_is_io_and_shared_is_ok(void **state)
{
    int reader = open(path, O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(reader >= 0);
    assert_int_equal(lx_ofd_set(reader, LX_OFD_EXCLUSIVE, 0), LXDB_IO);
    assert_int_equal(lx_ofd_set(reader, LX_OFD_SHARED, 0), LXDB_OK);
    assert_int_equal(held(b, 0), LX_OFD_SHARED);
    close(reader);
}

/* ---- Queries --------------------------------------------------------------------------------- */

static void query_sees_others_and_not_its_own(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 7), LXDB_OK);
    assert_int_equal(held(a, 7), LX_OFD_NONE);
    assert_int_equal(held(b, 7), LX_OFD_EXCLUSIVE);
}

static void query_sees_shared_locks_too(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_SHARED, 7), LXDB_OK);
    assert_int_equal(held(b, 7), LX_OFD_SHARED);
}

static void query_of_range_gives_the_place_of_the_lock(void **state)
{
    bool is_held = false;
    uint64_t at = 0;

    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 1000), LXDB_OK);
    assert_int_equal(lx_ofd_query(b, 3, 0, &is_held, &at), LXDB_OK);
    assert_true(is_held);
    assert_int_equal(at, 1000);
    at = 0;
    assert_int_equal(lx_ofd_query(b, 3, 998, &is_held, &at), LXDB_OK);
    assert_true(is_held);
    assert_int_equal(at, 1000);
}

static void query_of_range_beside_the_lock_is_free_and_leaves_the_offset(void **state)
{
    bool is_held = true;
    uint64_t at = 77;

    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 1000), LXDB_OK);
    assert_int_equal(lx_ofd_query(b, 3, 997, &is_held, &at), LXDB_OK);
    assert_false(is_held);
    is_held = true;
    assert_int_equal(lx_ofd_query(b, 1001, 0, &is_held, &at), LXDB_OK);
    assert_false(is_held);
    assert_int_equal(at, 77);
}

static void query_on_descriptor_for_reading_works(void **state)
{
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    bool is_held = false;
    uint64_t at = 0;

    (void)state;
    assert_true(reader >= 0);
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 7), LXDB_OK);
    assert_int_equal(lx_ofd_query(reader, 7, 1, &is_held, &at), LXDB_OK);
    assert_true(is_held);
    close(reader);
}

/* ---- Processes ------------------------------------------------------------------------------- */

static int take_on_own_description(void)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    return fd >= 0 && lx_ofd_set(fd, LX_OFD_EXCLUSIVE, 5) == LXDB_OK ? 0 : 1;
}

static void lock_of_another_process_is_seen_and_excludes(void **state)
{
    struct child child = child_start(take_on_own_description);

    (void)state;
    assert_int_equal(held(a, 5), LX_OFD_EXCLUSIVE);
    child_end(&child, false);
    assert_int_equal(held(a, 5), LX_OFD_NONE);
}

static void lock_of_killed_process_is_released(void **state)
{
    struct child child = child_start(take_on_own_description);

    (void)state;
    assert_int_equal(held(a, 5), LX_OFD_EXCLUSIVE);
    child_end(&child, true);
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
}

static int inherit(void)
{
    return 0;
}

/* Why a child must close what it inherits: otherwise its parent's death goes unnoticed. */
static void lock_lives_on_in_a_child_that_keeps_the_descriptor(void **state)
{
    struct child child;

    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
    child = child_start(inherit);
    assert_int_equal(close(a), 0);
    assert_int_equal(held(b, 5), LX_OFD_EXCLUSIVE);
    child_end(&child, true);
    assert_int_equal(held(b, 5), LX_OFD_NONE);
    a = open(path, O_RDWR | O_CLOEXEC);
}

static int close_inherited(void)
{
    return close(a);
}

static void lock_stays_with_the_parent_when_a_child_closes_the_descriptor(void **state)
{
    struct child child;

    (void)state;
    assert_int_equal(lx_ofd_set(a, LX_OFD_EXCLUSIVE, 5), LXDB_OK);
    child = child_start(close_inherited);
    assert_int_equal(held(b, 5), LX_OFD_EXCLUSIVE);
    assert_int_equal(close(a), 0);
    assert_int_equal(held(b, 5), LX_OFD_NONE); /* the child runs on */
    child_end(&child, false);
    a = open(path, O_RDWR | O_CLOEXEC);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(exclusive_excludes_another_description_of_the_process),
        UNIT(shared_is_shared_and_excludes_exclusive),
        UNIT(lock_covers_its_own_byte_alone),
        UNIT(exclusive_becomes_shared_and_back),
        UNIT(conversion_that_is_refused_keeps_what_was_held),
        UNIT(lock_twice_and_release_once_is_free),
        UNIT(release_of_what_is_not_held_is_ok),
        UNIT(lock_at_the_farthest_offset_works),
        UNIT(busy_leaves_no_sentence),
        UNIT(closing_the_last_descriptor_releases),
        UNIT(lock_of_bad_descriptor_is_io),
        UNIT(exclusive_on_descriptor_for_reading_is_io_and_shared_is_ok),
        UNIT(query_sees_others_and_not_its_own),
        UNIT(query_sees_shared_locks_too),
        UNIT(query_of_range_gives_the_place_of_the_lock),
        UNIT(query_of_range_beside_the_lock_is_free_and_leaves_the_offset),
        UNIT(query_on_descriptor_for_reading_works),
        UNIT(lock_of_another_process_is_seen_and_excludes),
        UNIT(lock_of_killed_process_is_released),
        UNIT(lock_lives_on_in_a_child_that_keeps_the_descriptor),
        UNIT(lock_stays_with_the_parent_when_a_child_closes_the_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
