/* SPDX-License-Identifier: MIT */
/* sys/host.h: clocks, deadlines, random numbers, sleeping words, and who this process is. */
#include "sys/host.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t ms = 1000000; /* in ns */

/* ---- Clocks ---------------------------------------------------------------------------------- */

static void monotonic_clocks_tell_the_same_time(void **state)
{
    uint64_t before = lx_now_ms();
    uint64_t ns = lx_now_ns();
    uint64_t after = lx_now_ms();

    (void)state;
    assert_true(before <= ns / ms && ns / ms <= after);
}

static void coarse_clocks_are_behind_by_ticks_at_most(void **state)
{
    const uint64_t slack = 50; /* several ticks of the slowest kernel */
    uint64_t coarse = lx_now_coarse_ms();
    uint64_t fine = lx_now_ms();
    int64_t wall_coarse = lx_wall_coarse_ms();
    int64_t wall = lx_wall_ms();

    (void)state;
    assert_true(coarse <= fine);
    assert_true(lx_now_coarse_ms() + slack >= fine);
    assert_true(wall_coarse <= wall);
    assert_true(lx_wall_coarse_ms() + (int64_t)slack >= wall);
}

static void wall_clock_counts_from_the_epoch(void **state)
{
    time_t before = time(NULL);
    int64_t now = lx_wall_ms();

    (void)state;
    assert_true(now / 1000 >= before);
    assert_true(now / 1000 <= time(NULL) + 1);
}

static void nanoseconds_never_go_back(void **state)
{
    uint64_t last = lx_now_ns();

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = lx_now_ns();

        assert_true(now >= last);
        last = now;
    }
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

static void deadline_of_now_has_passed(void **state)
{
    (void)state;
    assert_true(lx_deadline_passed(lx_deadline_in(0)));
    assert_true(lx_deadline_passed(0));
}

static void deadline_in_an_hour_has_not_passed(void **state)
{
    uint64_t before = lx_now_ms();
    lx_deadline deadline = lx_deadline_in(3600 * 1000);

    (void)state;
    assert_false(lx_deadline_passed(deadline));
    assert_true(deadline >= before + 3600 * 1000);
    assert_true(deadline <= lx_now_ms() + 3600 * 1000);
}

static void deadline_of_maximum_is_never(void **state)
{
    (void)state;
    assert_true(lx_deadline_in(UINT32_MAX) == LX_NEVER);
    assert_false(lx_deadline_passed(LX_NEVER));
    assert_true(lx_deadline_in(UINT32_MAX - 1) != LX_NEVER);
}

static void deadline_passes(void **state)
{
    lx_deadline deadline = lx_deadline_in(20);

    (void)state;
    lx_sleep_ns(21 * ms);
    assert_true(lx_deadline_passed(deadline));
}

/* ---- Identity -------------------------------------------------------------------------------- */

static void random_numbers_use_all_bits_and_do_not_repeat(void **state)
{
    uint64_t ones = 0, zeros = 0, last = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        uint64_t bits = last;

        assert_int_equal(lx_random64(&bits), LXDB_OK);
        assert_true(bits != last);
        ones |= bits;
        zeros |= ~bits;
        last = bits;
    }
    /* A given bit is the same 200 times with a chance of 2^-199. */
    assert_true(ones == UINT64_MAX);
    assert_true(zeros == UINT64_MAX);
}

static void boot_id_is_known_and_the_same_in_a_child(void **state)
{
    uint64_t id = lx_boot_id();
    pid_t child;
    int status;

    (void)state;
    assert_true(id != 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(lx_boot_id() == id ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void process_id_is_that_of_the_child_after_fork(void **state)
{
    pid_t child;
    int status;

    (void)state;
    assert_int_equal(lx_process_id(), getpid());
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(lx_process_id() == (uint32_t)getpid() ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void process_name_is_padded_with_zeros(void **state)
{
    static const char *const names[] = {"a", "an agent", "fifteen-bytes-x"};
    char name[16];
    char expected[16];
    char saved[16];

    (void)state;
    assert_int_equal(prctl(PR_GET_NAME, saved), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(prctl(PR_SET_NAME, names[i]), 0);
        memset(name, 0x55, sizeof name);
        memset(expected, 0, sizeof expected);
        memcpy(expected, names[i], strlen(names[i]));
        lx_process_name(name);
        assert_memory_equal(name, expected, sizeof name);
    }
    assert_int_equal(prctl(PR_SET_NAME, saved), 0);
}

static void *name_in_thread(void *name)
{
    (void)prctl(PR_SET_NAME, "a-thread");
    lx_process_name(name);
    return NULL;
}

static void process_name_in_a_thread_is_not_that_of_the_thread(void **state)
{
    char from_main[16], from_thread[16];
    pthread_t thread;

    (void)state;
    lx_process_name(from_main);
    assert_int_equal(pthread_create(&thread, NULL, name_in_thread, from_thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_memory_equal(from_thread, from_main, sizeof from_main);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void sleep_lasts_at_least_as_long_as_asked(void **state)
{
    uint64_t start = lx_now_ns();

    (void)state;
    lx_sleep_ns(5 * ms);
    assert_true(lx_now_ns() - start >= 5 * ms);
    lx_sleep_ns(0);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms++;
}

static void sleep_goes_on_after_signals(void **state)
{
    const struct itimerval often = {.it_interval = {.tv_usec = 2000},
                                    .it_value = {.tv_usec = 2000}};
    const struct itimerval off = {0};
    struct sigaction action = {.sa_handler = on_alarm}, saved;
    uint64_t start;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &action, &saved), 0);
    start = lx_now_ns();
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    lx_sleep_ns(50 * ms);
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    assert_true(lx_now_ns() - start >= 50 * ms);
    assert_true(alarms > 0);
    assert_int_equal(sigaction(SIGALRM, &saved, NULL), 0);
}

/* Words in memory that a child shares. */
static _Atomic uint32_t *words_make(void)
{
    void *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(words != MAP_FAILED);
    return words;
}

static void futex_wait_returns_at_once_when_the_word_differs(void **state)
{
    _Atomic uint32_t word = 1;
    uint64_t start = lx_now_ns();

    (void)state;
    lx_futex_wait(&word, 0, 3600 * 1000 * ms);
    assert_true(lx_now_ns() - start < 1000 * ms);
}

static void futex_wait_ends_at_its_time(void **state)
{
    _Atomic uint32_t word = 1;
    uint64_t start = lx_now_ns();

    (void)state;
    while (lx_now_ns() - start < 20 * ms) {
        uint64_t slept = lx_now_ns();

        lx_futex_wait(&word, 1, 20 * ms);
        slept = lx_now_ns() - slept;
        assert_true(slept < 5000 * ms);
    }
}

/* The child sleeps on word 0 with an hour of patience and counts in word 1 that it is about to. */
static void futex_wake_reaches_a_process_that_shares_the_word(void **state)
{
    _Atomic uint32_t *words = words_make();
    uint64_t start = lx_now_ns();
    int status;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        atomic_store(&words[1], 1);
        lx_futex_wake(&words[1], 1);
        while (atomic_load(&words[0]) == 0)
            lx_futex_wait(&words[0], 0, UINT64_MAX);
        _exit(0);
    }
    while (atomic_load(&words[1]) == 0)
        lx_futex_wait(&words[1], 0, UINT64_MAX);
    atomic_store(&words[0], 1);
    lx_futex_wake(&words[0], 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(lx_now_ns() - start < 60 * 1000 * ms);
    assert_int_equal(munmap(words, 4096), 0);
}

enum { SLEEPERS = 3 };

/* Each round of each child waits for word 0 to pass on; a wake of one too few would hang it. */
static void futex_wake_of_all_reaches_all(void **state)
{
    _Atomic uint32_t *words = words_make();
    pid_t children[SLEEPERS];
    int status;

    (void)state;
    for (int i = 0; i < SLEEPERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            for (uint32_t round = 0; round < 100; round++) {
                if (atomic_fetch_add(&words[1], 1) + 1 == SLEEPERS * (round + 1))
                    lx_futex_wake(&words[1], 1);
                while (atomic_load(&words[0]) == round)
                    lx_futex_wait(&words[0], round, UINT64_MAX);
            }
            _exit(0);
        }
    }
    for (uint32_t round = 0; round < 100; round++) {
        uint32_t arrived;

        while ((arrived = atomic_load(&words[1])) != SLEEPERS * (round + 1))
            lx_futex_wait(&words[1], arrived, 10 * ms);
        atomic_store(&words[0], round + 1);
        lx_futex_wake(&words[0], INT32_MAX);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(munmap(words, 4096), 0);
}

static void *set_word(void *word)
{
    atomic_store((_Atomic uint32_t *)word, 1);
    return NULL;
}

static void relaxed_spin_sees_the_store_of_another_thread(void **state)
{
    _Atomic uint32_t word = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, set_word, &word), 0);
    while (atomic_load_explicit(&word, memory_order_relaxed) == 0)
        lx_cpu_relax();
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- Cancellation ---------------------------------------------------------------------------- */

struct cancelled {
    _Atomic uint32_t
        stage;        /* 1: protected; 2: cancelled meanwhile; 3: passed a cancellation point */
    bool off_was_off; /* an inner section did not switch cancellation on again */
};

static void *be_cancelled(void *arg)
{
    struct cancelled *shared = arg;
    int state = lx_cancel_off();
    int inner = lx_cancel_off();

    lx_cancel_restore(inner);
    atomic_store(&shared->stage, 1);
    lx_futex_wake(&shared->stage, 1);
    while (atomic_load(&shared->stage) == 1)
        lx_futex_wait(&shared->stage, 1, UINT64_MAX);
    pthread_testcancel();
    shared->off_was_off = true;
    lx_cancel_restore(state);
    pthread_testcancel();
    atomic_store(&shared->stage, 3);
    return NULL;
}

static void cancellation_waits_until_it_is_restored(void **state)
{
    struct cancelled shared = {0};
    pthread_t thread;
    void *result;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, be_cancelled, &shared), 0);
    while (atomic_load(&shared.stage) == 0)
        lx_futex_wait(&shared.stage, 0, UINT64_MAX);
    assert_int_equal(pthread_cancel(thread), 0);
    atomic_store(&shared.stage, 2);
    lx_futex_wake(&shared.stage, 1);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_true(result == PTHREAD_CANCELED);
    assert_true(shared.off_was_off);
    assert_int_equal(atomic_load(&shared.stage), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_clocks_tell_the_same_time),
        cmocka_unit_test(coarse_clocks_are_behind_by_ticks_at_most),
        cmocka_unit_test(wall_clock_counts_from_the_epoch),
        cmocka_unit_test(nanoseconds_never_go_back),
        cmocka_unit_test(deadline_of_now_has_passed),
        cmocka_unit_test(deadline_in_an_hour_has_not_passed),
        cmocka_unit_test(deadline_of_maximum_is_never),
        cmocka_unit_test(deadline_passes),
        cmocka_unit_test(random_numbers_use_all_bits_and_do_not_repeat),
        cmocka_unit_test(boot_id_is_known_and_the_same_in_a_child),
        cmocka_unit_test(process_id_is_that_of_the_child_after_fork),
        cmocka_unit_test(process_name_is_padded_with_zeros),
        cmocka_unit_test(process_name_in_a_thread_is_not_that_of_the_thread),
        cmocka_unit_test(sleep_lasts_at_least_as_long_as_asked),
        cmocka_unit_test(sleep_goes_on_after_signals),
        cmocka_unit_test(futex_wait_returns_at_once_when_the_word_differs),
        cmocka_unit_test(futex_wait_ends_at_its_time),
        cmocka_unit_test(futex_wake_reaches_a_process_that_shares_the_word),
        cmocka_unit_test(futex_wake_of_all_reaches_all),
        cmocka_unit_test(relaxed_spin_sees_the_store_of_another_thread),
        cmocka_unit_test(cancellation_waits_until_it_is_restored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
