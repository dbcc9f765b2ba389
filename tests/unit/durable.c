/* SPDX-License-Identifier: MIT */
/* store/durable.h: one sync for all who wait, and what a failed one means for everybody. */
#include "store/durable.h"

#include "format/header.h"
#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum { GENERATION = 6, BASE = 1000000, TAIL = 5000, LONG_MS = 20000, WAITERS = 6 };

/* A sync that takes so long usually that nobody who waits for a leader gets impatient. */
#define SLOW_NS UINT64_C(60000000000)
#define YIELD_NS 1000u

static int sync_fails(void)
{
    return EIO;
}

/* ---- A block, a log, and a disk whose syncs do what a test says ------------------------------ */

static lx_map map; /* of the control block: private memory */
static struct lx_control_file *file;
static struct lx_control_block *block;
static lx_log log_;
static lx_durable durable;
static _Atomic bool syncing;
static struct lx_io fake;
static _Atomic int syncs;
static int (*on_sync)(void);            /* instead of a sync: 0 or errno */
static uint64_t synced_from, synced_to; /* by the last sync */

static int sync_of(uint64_t from, uint64_t to)
{
    int err = on_sync != NULL ? on_sync() : 0;

    syncs++;
    synced_from = from;
    synced_to = to;
    errno = err;
    return err != 0 ? -1 : 0;
}

static int fake_fdatasync(int fd)
{
    (void)fd;
    return sync_of(0, UINT64_MAX);
}

static int fake_msync(void *addr, size_t len, int fd)
{
    uint64_t from = (uint64_t)((uint8_t *)addr - log_.map.base);

    (void)fd;
    return sync_of(from, from + len);
}

/* The linker leads calls here: see local.mk. */
uint64_t __real_lx_now_ns(void);
uint64_t __wrap_lx_now_ns(void);
void __wrap_lx_yield(void);

static _Atomic uint64_t clock_ns; /* not 0: a clock that only goes while somebody yields */
static unsigned yields;
static void (*on_yield)(void);

uint64_t __wrap_lx_now_ns(void)
{
    return clock_ns != 0 ? clock_ns : __real_lx_now_ns();
}

void __wrap_lx_yield(void)
{
    yields++;
    clock_ns += YIELD_NS;
    if (on_yield != NULL)
        on_yield();
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    uint8_t header[LX_HEADER_SIZE];
    char path[4200], dir[4000];
    int fd;

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-durable-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/x", dir);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    (void)unlink(path); /* the descriptor is all that is used of it */
    (void)rmdir(dir);
    lx_header_encode(header, 7);
    if (fd < 0 || pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header ||
        ftruncate(fd, 65536) < 0 || lx_log_open(fd, "data", true, &log_) != LXDB_OK ||
        lx_map_anonymous(LX_CONTROL_SIZE, &map) != LXDB_OK)
        return -1;
    file = (struct lx_control_file *)(void *)map.base;
    lx_control_format(file);
    lx_control_publish(file, GENERATION);
    block = lx_control_block(file, GENERATION);
    block->base = BASE;
    block->tail = TAIL;
    durable = (lx_durable){file, block, GENERATION, LX_BYTE_IDENTITY + 9, &log_, &syncing};
    syncs = 0;
    on_sync = NULL;
    clock_ns = 0;
    yields = 0;
    on_yield = NULL;
    fake = lx_io_system;
    fake.fdatasync = fake_fdatasync;
    fake.msync = fake_msync;
    lx_io = &fake;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lx_io = &lx_io_system;
    lx_log_close(&log_);
    lx_map_close(&map);
    return 0;
}

static void assert_says(const char *words)
{
    if (strstr(lx_error_message(), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", lx_error_message(), words);
}

static int wait_for(uint64_t position, uint32_t ms)
{
    lx_limit limit = {.timeout_ms = ms};

    return lx_durable_wait(&durable, position, &limit);
}

static uint32_t stored_watermark(void)
{
    uint32_t watermark;
    bool blank;

    assert_int_equal(lx_header_decode(log_.map.base, log_.length, &blank, &watermark), LXDB_OK);
    return watermark;
}

/* ---- Alone ----------------------------------------------------------------------------------- */

static void wait_for_what_is_durable_syncs_nothing(void **state)
{
    (void)state;
    block->durable = BASE + TAIL;
    assert_int_equal(wait_for(BASE + TAIL, 0), LXDB_OK);
    assert_int_equal(syncs, 0);
}

static void wait_syncs_once_and_covers_all_up_to_the_tail(void **state)
{
    (void)state;
    assert_int_equal(wait_for(BASE + 20, 0), LXDB_OK);
    assert_int_equal(syncs, 1);
    assert_int_equal(block->durable, BASE + TAIL);
    assert_int_equal(block->syncs, 1);
    assert_int_equal(block->sync_leader, 0);
    assert_int_equal(block->sync_seq, 1);
    assert_int_equal(wait_for(BASE + TAIL, 0), LXDB_OK);
    assert_int_equal(syncs, 1);
}

static void sync_is_of_what_is_not_durable_yet_from_its_page_on(void **state)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    (void)state;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(synced_from, 0);
    assert_int_equal(synced_to, TAIL);
    block->tail = 3 * page + 20;
    block->durable = BASE + 2 * page - 1;
    assert_int_equal(wait_for(BASE + 2 * page, LONG_MS), LXDB_OK);
    assert_int_equal(synced_from, page);
    assert_int_equal(synced_to, 3 * page + 20);
    block->tail = 4 * page;
    block->durable = BASE + 2 * page;
    assert_int_equal(wait_for(BASE + 2 * page + 1, LONG_MS), LXDB_OK);
    assert_int_equal(synced_from, 2 * page);
    assert_int_equal(synced_to, 4 * page);
    assert_int_equal(syncs, 3);
}

static int tail_comes_back(void)
{
    block->tail = 2 * TAIL;
    return 0;
}

static void tail_before_what_is_durable_has_the_whole_file_synced(void **state)
{
    (void)state;
    block->durable = BASE + TAIL + 1;
    on_sync = tail_comes_back;
    assert_int_equal(wait_for(BASE + 2 * TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(syncs, 2);
    assert_int_equal(block->durable, BASE + 2 * TAIL);
    block->durable = BASE + TAIL + 1;
    block->tail = TAIL;
    on_sync = sync_fails;
    assert_int_equal(wait_for(BASE + 2 * TAIL, LONG_MS), LXDB_IO);
    assert_int_equal(synced_from, 0);
    assert_int_equal(synced_to, UINT64_MAX);
}

static int tail_grows(void)
{
    block->tail += 100;
    return 0;
}

static void what_is_committed_during_a_sync_is_not_covered_by_it(void **state)
{
    (void)state;
    on_sync = tail_grows;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(block->durable, BASE + TAIL);
    assert_int_equal(wait_for(BASE + TAIL + 1, LONG_MS), LXDB_OK);
    assert_int_equal(syncs, 2);
    assert_int_equal(block->durable, BASE + TAIL + 100);
}

static int another_is_further(void)
{
    block->durable = BASE + 2 * TAIL;
    return 0;
}

static void durable_never_shrinks(void **state)
{
    (void)state;
    on_sync = another_is_further;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(block->durable, BASE + 2 * TAIL);
}

static void duration_of_a_sync_is_smoothed(void **state)
{
    (void)state;
    block->sync_ns = SLOW_NS;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_true(block->sync_ns >= SLOW_NS / 8 * 7 && block->sync_ns < SLOW_NS);
}

static void watermark_moves_with_a_sync_and_at_most_once_a_second(void **state)
{
    (void)state;
    block->session = 1;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(stored_watermark(), lx_watermark_encode(TAIL));
    block->watermark_ms = lx_now_coarse_ms();
    block->tail = TAIL + 1;
    assert_int_equal(wait_for(BASE + TAIL + 1, LONG_MS), LXDB_OK);
    assert_int_equal(stored_watermark(), lx_watermark_encode(TAIL));
    block->watermark_ms = lx_now_coarse_ms() - 1000;
    block->tail = TAIL + 2;
    assert_int_equal(wait_for(BASE + TAIL + 2, LONG_MS), LXDB_OK);
    assert_int_equal(stored_watermark(), lx_watermark_encode(TAIL + 2));
}

static void watermark_stays_as_it_is_without_a_session(void **state)
{
    (void)state;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(stored_watermark(), 7);
}

/* ---- Generations ----------------------------------------------------------------------------- */

static void wait_in_an_old_generation_is_again_and_syncs_nothing(void **state)
{
    (void)state;
    lx_control_publish(file, GENERATION + 1);
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LX_AGAIN);
    assert_int_equal(syncs, 0);
    assert_int_equal(block->durable, 0);
}

static int generation_changes_and_sync_fails(void)
{
    lx_control_publish(file, GENERATION + 1);
    return EIO;
}

static void sync_that_fails_in_an_old_generation_is_again_and_no_poison(void **state)
{
    (void)state;
    on_sync = generation_changes_and_sync_fails;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LX_AGAIN);
    assert_int_equal(file->head.poison, 0);
    assert_int_equal(block->durable, 0);
    assert_int_equal(block->sync_leader, 0);
}

/* ---- Poison ---------------------------------------------------------------------------------- */

static void sync_that_fails_poisons_and_proves_nothing(void **state)
{
    (void)state;
    on_sync = sync_fails;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_IO);
    assert_int_equal(file->head.poison, EIO);
    assert_int_equal(block->durable, 0);
    assert_int_equal(block->syncs, 0);
    assert_int_equal(block->sync_leader, 0);
    assert_int_equal(stored_watermark(), 7);
}

static void wait_after_a_failed_sync_is_io_though_a_sync_would_succeed_now(void **state)
{
    (void)state;
    file->head.poison = EIO;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_IO);
    assert_says("data: writes are refused");
    assert_int_equal(syncs, 0);
}

static void what_was_durable_before_a_failed_sync_still_is(void **state)
{
    (void)state;
    block->durable = BASE + 20;
    file->head.poison = EIO;
    assert_int_equal(wait_for(BASE + 20, LONG_MS), LXDB_OK);
    assert_int_equal(wait_for(BASE + 21, LONG_MS), LXDB_IO);
}

static void poison_keeps_the_first_errno(void **state)
{
    (void)state;
    errno = EDQUOT;
    lx_poison_set(file);
    errno = EIO;
    lx_poison_set(file);
    assert_int_equal(file->head.poison, EDQUOT);
}

static void poison_without_errno_is_eio(void **state)
{
    (void)state;
    errno = 0;
    lx_poison_set(file);
    assert_int_equal(file->head.poison, EIO);
}

static void poison_check_is_io_whatever_the_errno_and_says_what_ends_it(void **state)
{
    (void)state;
    assert_int_equal(lx_poison_check(file, "mine"), LXDB_OK);
    file->head.poison = ENOSPC;
    assert_int_equal(lx_poison_check(file, "mine"), LXDB_IO);
    assert_says("mine: ");
    assert_says("compaction");
    assert_says(strerror(ENOSPC));
}

/* ---- Leaders --------------------------------------------------------------------------------- */

static void leader_that_never_finishes_is_passed_by(void **state)
{
    (void)state;
    block->sync_leader = LX_BYTE_IDENTITY + 77;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(syncs, 1);
    assert_int_equal(block->durable, BASE + TAIL);
}

static void leader_that_is_slower_than_the_limit_leaves_it_pending(void **state)
{
    (void)state;
    block->sync_leader = LX_BYTE_IDENTITY + 77;
    block->sync_ns = SLOW_NS;
    assert_int_equal(wait_for(BASE + TAIL, 0), LXDB_PENDING);
    assert_says("data: committed and visible");
    assert_int_equal(syncs, 0);
    assert_int_equal(block->sync_leader, LX_BYTE_IDENTITY + 77);
}

/* ---- Gathering ------------------------------------------------------------------------------- */

static void start_gathering(uint32_t group, uint64_t sync_ns)
{
    clock_ns = 1;
    block->awaited = block->synced = UINT32_MAX;
    block->group = group;
    block->sync_ns = sync_ns;
}

static void another_commits(void)
{
    block->awaited++;
    block->tail += 10;
}

/* The tail is read after that, and what wraps around does not harm. */
static void leader_waits_for_as_many_commits_as_the_last_sync_carried(void **state)
{
    (void)state;
    start_gathering(3, SLOW_NS);
    on_yield = another_commits;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(yields, 3);
    assert_int_equal(syncs, 1);
    assert_int_equal(synced_to, TAIL + 30);
    assert_int_equal(block->durable, BASE + TAIL + 30);
    assert_int_equal(block->group, 3);
    assert_int_equal(block->synced, 2);
}

static void leader_waits_for_those_who_are_gone_twice_a_sync_and_once(void **state)
{
    (void)state;
    start_gathering(2, 40 * YIELD_NS);
    block->awaited++; /* its own */
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(yields, 80);
    assert_int_equal(syncs, 1);
    assert_int_equal(block->group, 1);
    another_commits();
    assert_int_equal(wait_for(BASE + TAIL + 10, LONG_MS), LXDB_OK);
    assert_int_equal(yields, 80);
    assert_int_equal(syncs, 2);
}

static void leader_waits_a_millisecond_at_most_whatever_the_words_say(void **state)
{
    (void)state;
    start_gathering(UINT32_MAX, UINT64_MAX);
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(yields, 1000000 / YIELD_NS);
    assert_int_equal(syncs, 1);
    assert_int_equal(block->group, 0);
}

static void leader_waits_for_nobody_if_the_last_sync_carried_one(void **state)
{
    (void)state;
    start_gathering(1, SLOW_NS);
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(yields, 0);
}

static void another_syncs(void)
{
    block->durable = BASE + TAIL;
}

static void leader_whose_commit_becomes_durable_meanwhile_syncs_nothing(void **state)
{
    (void)state;
    start_gathering(3, SLOW_NS);
    on_yield = another_syncs;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(yields, 1);
    assert_int_equal(syncs, 0);
    assert_int_equal(block->sync_leader, 0);
}

/* ---- Many who wait --------------------------------------------------------------------------- */

static struct {
    pthread_t thread;
    int rc;
    _Atomic pid_t tid; /* set just before it waits */
} waiters[WAITERS];

static void *wait_in_thread(void *arg)
{
    size_t i = *(const size_t *)arg;

    waiters[i].tid = (pid_t)syscall(SYS_gettid);
    waiters[i].rc = wait_for(BASE + TAIL, LONG_MS);
    return NULL;
}

/* Whether a thread of ours sleeps: the letter behind its name. */
static bool sleeps(pid_t tid)
{
    char path[64], line[256];
    const char *end;
    ssize_t got;
    int fd;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    (void)close(fd);
    line[got > 0 ? got : 0] = '\0';
    end = strrchr(line, ')');
    return end != NULL && end[1] == ' ' && end[2] == 'S';
}

static _Atomic int wakes, woken;

/* The linker leads calls here: see local.mk. */
void __real_lx_futex_wake(_Atomic uint32_t *word, int most);
void __wrap_lx_futex_wake(_Atomic uint32_t *word, int most);

void __wrap_lx_futex_wake(_Atomic uint32_t *word, int most)
{
    wakes++;
    woken = most;
    __real_lx_futex_wake(word, most);
}

/* Else whoever sleeps would see it only at the end of its sleep. */
static void sync_that_ends_wakes_everybody(void **state)
{
    (void)state;
    wakes = 0;
    assert_int_equal(wait_for(BASE + TAIL, LONG_MS), LXDB_OK);
    assert_int_equal(wakes, 1);
    assert_int_equal(woken, INT32_MAX);
}

static pid_t leader;

/* The sync of a leader that waits until all the others sleep behind it. */
static int sync_when_all_sleep(void)
{
    leader = (pid_t)syscall(SYS_gettid);
    for (size_t i = 0; i < WAITERS; i++)
        while (waiters[i].tid == 0 || (waiters[i].tid != leader && !sleeps(waiters[i].tid)))
            sched_yield();
    return 0;
}

static int sync_when_all_sleep_and_fail(void)
{
    (void)sync_when_all_sleep();
    return EIO;
}

static void run_waiters(int (*how)(void), uint64_t usual_ns)
{
    static size_t numbers[WAITERS];

    block->sync_ns = usual_ns;
    on_sync = how;
    for (size_t i = 0; i < WAITERS; i++)
        waiters[i].tid = 0;
    for (size_t i = 0; i < WAITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_in_thread, &numbers[i]), 0);
    }
    for (size_t i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
}

static void one_sync_serves_all_who_wait(void **state)
{
    (void)state;
    run_waiters(sync_when_all_sleep, SLOW_NS);
    for (size_t i = 0; i < WAITERS; i++)
        assert_int_equal(waiters[i].rc, LXDB_OK);
    assert_int_equal(syncs, 1);
    assert_int_equal(block->syncs, 1);
}

static void one_sync_that_fails_is_the_answer_for_all_who_wait(void **state)
{
    (void)state;
    run_waiters(sync_when_all_sleep_and_fail, SLOW_NS);
    for (size_t i = 0; i < WAITERS; i++)
        assert_int_equal(waiters[i].rc, LXDB_IO);
    assert_int_equal(syncs, 1);
    assert_int_equal(file->head.poison, EIO);
    assert_int_equal(block->durable, 0);
}

static _Atomic int begun, naps;

void __real_lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns);
void __wrap_lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns);

void __wrap_lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns)
{
    __real_lx_futex_wait(word, expected, ns);
    naps++;
}

/* A sync that fails when all the others have slept behind it, lost patience, and slept again. The
 * kernel would not tell them of the failure: a sync that began before the end of this one is
 * fine. */
static int sync_that_fails_for_the_first(void)
{
    if (begun++ != 0)
        return 0;
    (void)sync_when_all_sleep();
    while (begun == 1 && naps < 3 * WAITERS) /* after its second nap one has looked around twice */
        sched_yield();
    return EIO;
}

static void impatient_thread_does_not_miss_the_failure_of_another(void **state)
{
    (void)state;
    begun = 0;
    naps = 0;
    run_waiters(sync_that_fails_for_the_first, 0);
    for (size_t i = 0; i < WAITERS; i++)
        assert_int_equal(waiters[i].rc, LXDB_IO);
    assert_int_equal(begun, 1);
    assert_int_equal(block->durable, 0);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(wait_for_what_is_durable_syncs_nothing),
        UNIT(wait_syncs_once_and_covers_all_up_to_the_tail),
        UNIT(sync_is_of_what_is_not_durable_yet_from_its_page_on),
        UNIT(tail_before_what_is_durable_has_the_whole_file_synced),
        UNIT(what_is_committed_during_a_sync_is_not_covered_by_it),
        UNIT(durable_never_shrinks),
        UNIT(duration_of_a_sync_is_smoothed),
        UNIT(watermark_moves_with_a_sync_and_at_most_once_a_second),
        UNIT(watermark_stays_as_it_is_without_a_session),
        UNIT(wait_in_an_old_generation_is_again_and_syncs_nothing),
        UNIT(sync_that_fails_in_an_old_generation_is_again_and_no_poison),
        UNIT(sync_that_fails_poisons_and_proves_nothing),
        UNIT(wait_after_a_failed_sync_is_io_though_a_sync_would_succeed_now),
        UNIT(what_was_durable_before_a_failed_sync_still_is),
        UNIT(poison_keeps_the_first_errno),
        UNIT(poison_without_errno_is_eio),
        UNIT(poison_check_is_io_whatever_the_errno_and_says_what_ends_it),
        UNIT(leader_that_never_finishes_is_passed_by),
        UNIT(leader_that_is_slower_than_the_limit_leaves_it_pending),
        UNIT(leader_waits_for_as_many_commits_as_the_last_sync_carried),
        UNIT(leader_waits_for_those_who_are_gone_twice_a_sync_and_once),
        UNIT(leader_waits_a_millisecond_at_most_whatever_the_words_say),
        UNIT(leader_waits_for_nobody_if_the_last_sync_carried_one),
        UNIT(leader_whose_commit_becomes_durable_meanwhile_syncs_nothing),
        UNIT(sync_that_ends_wakes_everybody),
        UNIT(one_sync_serves_all_who_wait),
        UNIT(one_sync_that_fails_is_the_answer_for_all_who_wait),
        UNIT(impatient_thread_does_not_miss_the_failure_of_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
