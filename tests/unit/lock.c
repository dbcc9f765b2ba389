/* SPDX-License-Identifier: MIT */
/* store/lock.h: taking, waiting, and what becomes of the lock of a holder that died. */
#include "store/lock.h"

#include "store/control.h"
#include "sys/ofd.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_MS = 20000, SHORT_MS = 60, IDENTITIES = 8 };

/* ---- What happens meanwhile ------------------------------------------------------------------ */

/* Called, if set, at each turn of a spin, each look at the clock, and each question about a byte:
 * there others may act. The linker leads the calls here (see local.mk). With `turn_ns` set, a turn
 * takes that long by the clock that a spin asks. */
static void (*at_turn)(unsigned call);
static void (*at_clock)(unsigned call);
static bool (*at_query)(unsigned call); /* false: the question fails */
static unsigned turns, looks, queries;
static uint64_t turn_ns;

void __real_lx_cpu_relax(void);
uint64_t __real_lx_now_ms(void);
uint64_t __real_lx_now_ns(void);
int __real_lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off);
void __wrap_lx_cpu_relax(void);
uint64_t __wrap_lx_now_ms(void);
uint64_t __wrap_lx_now_ns(void);
int __wrap_lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off);

void __wrap_lx_cpu_relax(void)
{
    __real_lx_cpu_relax();
    if (at_turn != NULL)
        at_turn(++turns);
}

uint64_t __wrap_lx_now_ms(void)
{
    if (at_clock != NULL)
        at_clock(++looks);
    return __real_lx_now_ms();
}

uint64_t __wrap_lx_now_ns(void)
{
    return turn_ns != 0 ? turns * turn_ns : __real_lx_now_ns();
}

int __wrap_lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off)
{
    if (at_query != NULL && !at_query(++queries))
        return LXDB_IO;
    return __real_lx_ofd_query(fd, off, len, ret_held, ret_off);
}

/* ---- A lock file, and identities in it ------------------------------------------------------- */

static char path[4200];
static char other_path[4200];
static char dir[4000];
static lx_map map;
static struct lx_control_lock *lock;

/* The first is ours, the others are those of other handles. */
static struct {
    int held_fd;
    lx_lock_self self;
} who[IDENTITIES];

/* A descriptor that holds the byte of an identity. -1: it cannot. */
static int hold(uint64_t identity)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    return fd >= 0 && lx_ofd_set(fd, LX_OFD_EXCLUSIVE, identity) == LXDB_OK ? fd : -1;
}

static int self_make(unsigned i)
{
    lx_lock_self *self = &who[i].self;
    lx_file_info info;

    *self = (lx_lock_self){.identity = LX_BYTE_IDENTITY + (UINT64_C(77) << 40) + i,
                           .probe_fd = open(path, O_RDWR | O_CLOEXEC),
                           .pid = 4000 + i};
    memcpy(self->command, "somebody", 8);
    who[i].held_fd = hold(self->identity);
    if (who[i].held_fd < 0 || lx_file_info_get(self->probe_fd, path, &info) != LXDB_OK)
        return -1;
    self->lock_id = info.id;
    return 0;
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    int fd;

    (void)state;
    at_turn = at_clock = NULL;
    at_query = NULL;
    turns = looks = queries = 0;
    turn_ns = 0;
    snprintf(dir, sizeof dir, "%s/lxdb-lock-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/lock", dir);
    snprintf(other_path, sizeof other_path, "%s/other", dir);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, LX_CONTROL_SIZE) < 0 ||
        lx_control_map(fd, path, true, &map) != LXDB_OK)
        return -1;
    (void)close(fd);
    lock = &((struct lx_control_file *)(void *)map.base)->lock;
    for (unsigned i = 0; i < IDENTITIES; i++)
        if (self_make(i) < 0)
            return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lx_map_close(&map);
    for (unsigned i = 0; i < IDENTITIES; i++) {
        (void)close(who[i].held_fd);
        (void)close(who[i].self.probe_fd);
    }
    (void)unlink(path);
    (void)unlink(other_path);
    return rmdir(dir);
}

static void assert_says(const char *words)
{
    if (strstr(lx_error_message(), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", lx_error_message(), words);
}

static int take(unsigned i, enum lx_task task, uint32_t ms, bool *ret_dirty)
{
    lx_limit limit = {.timeout_ms = ms};

    return lx_lock_take(lock, &who[i].self, task, &limit, ret_dirty);
}

static void take_ok(unsigned i)
{
    bool dirty;

    assert_int_equal(take(i, LX_TASK_WRITE, LONG_MS, &dirty), LXDB_OK);
}

/* ---- A process that takes the lock and does not give it back --------------------------------- */

static struct {
    pid_t pid;
    int to; /* what it waits on: it ends when this is closed */
} child;

static const uint64_t child_identity = LX_BYTE_IDENTITY + 5;

/* In the child: our own mapping of the lock, since none is inherited. Its exit code is 0. */
static void child_run(uint64_t dirty, int ready, int wait_on)
{
    lx_lock_self self = {.identity = child_identity, .pid = (uint32_t)getpid()};
    lx_limit limit = {.timeout_ms = LONG_MS};
    struct lx_control_lock *shared;
    lx_map mine;
    bool found;
    char byte = 0;
    int fd = hold(child_identity);

    if (fd < 0 || lx_control_map(fd, path, true, &mine) != LXDB_OK)
        _exit(1);
    shared = &((struct lx_control_file *)(void *)mine.base)->lock;
    if (lx_lock_take(shared, &self, LX_TASK_BATCH, &limit, &found) != LXDB_OK)
        _exit(2);
    shared->dirty = dirty;
    if (write(ready, &byte, 1) != 1 || read(wait_on, &byte, 1) != 0)
        _exit(3);
    _exit(0);
}

/* Returns once the child has the lock. */
static void child_start(uint64_t dirty)
{
    int ready[2], wait_on[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(wait_on, O_CLOEXEC), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        (void)close(wait_on[1]);
        child_run(dirty, ready[1], wait_on[0]);
    }
    (void)close(ready[1]);
    (void)close(wait_on[0]);
    child.to = wait_on[1];
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
}

static void child_end(void)
{
    int status;

    (void)close(child.to);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- Taking and releasing -------------------------------------------------------------------- */

static void lock_that_is_free_is_taken_and_names_its_holder(void **state)
{
    lx_lock_holder holder;
    bool dirty = true;

    (void)state;
    assert_int_equal(take(0, LX_TASK_COMPACT, 0, &dirty), LXDB_OK);
    assert_false(dirty);
    assert_int_equal(lock->word, who[0].self.identity << 1);
    lx_lock_holder_get(lock, &holder);
    assert_int_equal(holder.pid, 4000);
    assert_int_equal(holder.task, LX_TASK_COMPACT);
    assert_string_equal(holder.command, "somebody");
    assert_true(holder.age_ms < LONG_MS);
}

static void lock_that_is_released_is_free_and_names_nobody(void **state)
{
    lx_lock_holder holder;

    (void)state;
    take_ok(0);
    lx_lock_release(lock);
    assert_int_equal(lock->word, 0);
    lx_lock_holder_get(lock, &holder);
    assert_int_equal(holder.pid, 0);
    assert_string_equal(holder.command, "");
}

static void lock_taken_again_names_the_new_task_and_holder(void **state)
{
    lx_lock_holder holder;
    bool dirty;

    (void)state;
    take_ok(0);
    lx_lock_release(lock);
    assert_int_equal(take(0, LX_TASK_CLEAR, 0, &dirty), LXDB_OK);
    lx_lock_holder_get(lock, &holder);
    assert_int_equal(holder.task, LX_TASK_CLEAR);
    lx_lock_release(lock);
    take_ok(1);
    lx_lock_holder_get(lock, &holder);
    assert_int_equal(holder.pid, 4001);
}

static void lock_left_dirty_says_so_to_every_taker(void **state)
{
    (void)state;
    for (uint64_t bit = LX_DIRTY_COMMIT; bit <= LX_DIRTY_SWAP; bit <<= 1) {
        bool dirty = false;

        lock->dirty = bit;
        assert_int_equal(take(0, LX_TASK_WRITE, 0, &dirty), LXDB_OK);
        assert_true(dirty);
        assert_int_equal(lock->dirty, bit);
        lx_lock_release(lock);
    }
}

static void try_takes_what_is_free_and_not_what_is_held(void **state)
{
    bool dirty = true;

    (void)state;
    assert_true(lx_lock_try(lock, &who[0].self, LX_TASK_WRITE, &dirty));
    assert_false(dirty);
    dirty = true;
    assert_false(lx_lock_try(lock, &who[1].self, LX_TASK_WRITE, &dirty));
    assert_true(dirty);
    assert_int_equal(lock->word, who[0].self.identity << 1);
}

static void holder_with_words_of_an_earlier_one_is_not_named(void **state)
{
    lx_lock_holder holder;
    bool dirty;

    (void)state;
    take_ok(0);
    lock->holder = who[1].self.identity;
    lx_lock_holder_get(lock, &holder);
    assert_int_equal(holder.pid, 0);
    assert_int_equal(take(2, LX_TASK_WRITE, SHORT_MS, &dirty), LXDB_BUSY);
    assert_says("many writers");
}

static void holder_command_without_end_is_cut(void **state)
{
    lx_lock_holder holder;

    (void)state;
    take_ok(0);
    lock->holder_command[0] = lock->holder_command[1] = UINT64_C(0x6161616161616161);
    lx_lock_holder_get(lock, &holder);
    assert_string_equal(holder.command, "aaaaaaaaaaaaaaa");
}

static void limit_asks_the_clock_once(void **state)
{
    lx_limit limit = {.timeout_ms = 1000}, never = {.timeout_ms = UINT32_MAX};
    lx_deadline first = lx_limit_at(&limit);

    (void)state;
    assert_true(first >= 1000 && limit.at == first);
    limit.timeout_ms = 5;
    assert_true(lx_limit_at(&limit) == first);
    assert_true(lx_limit_at(&never) == LX_NEVER);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void lock_held_past_the_limit_is_busy_and_says_by_whom(void **state)
{
    static const char *const words[] = {
        [LX_TASK_NONE] = "unknown task",      [LX_TASK_WRITE] = "for a write",
        [LX_TASK_BATCH] = "for a batch",      [LX_TASK_CLEAR] = "for a clear",
        [LX_TASK_COMPACT] = "compaction",     [LX_TASK_PREPARE] = "first write",
        [LX_TASK_READ] = "read of many keys", [LX_TASK_REPAIR] = "repairing",
        [LX_TASK_REPAIR + 1] = "unknown task"};

    (void)state;
    take_ok(1);
    for (uint32_t task = 0; task < sizeof words / sizeof words[0]; task++) {
        bool dirty = true;

        lock->holder_task = task;
        assert_int_equal(take(0, LX_TASK_WRITE, 2, &dirty), LXDB_BUSY);
        assert_says("process 4001 (somebody)");
        assert_says(words[task]);
        assert_true(dirty);
    }
    assert_int_equal(lock->word >> 1, who[1].self.identity);
}

static void *take_and_keep(void *arg)
{
    bool dirty;

    *(int *)arg = take(1, LX_TASK_WRITE, LONG_MS, &dirty);
    return NULL;
}

static void lock_waited_for_comes_with_the_release(void **state)
{
    pthread_t waiter;
    int rc = -1;

    (void)state;
    take_ok(0);
    assert_int_equal(pthread_create(&waiter, NULL, take_and_keep, &rc), 0);
    while (!(lock->word & 1)) /* until it is about to sleep */
        sched_yield();
    assert_int_equal(lock->word, who[0].self.identity << 1 | 1);
    lx_lock_release(lock);
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_int_equal(rc, LXDB_OK);
    /* with the bit: it cannot know whether it was the only sleeper */
    assert_int_equal(lock->word, who[1].self.identity << 1 | 1);
}

static _Atomic unsigned wakes;

/* The linker leads calls here: see local.mk. */
void __real_lx_futex_wake(_Atomic uint32_t *word, int waiters);
void __wrap_lx_futex_wake(_Atomic uint32_t *word, int waiters);

void __wrap_lx_futex_wake(_Atomic uint32_t *word, int waiters)
{
    wakes++;
    __real_lx_futex_wake(word, waiters);
}

/* Else a sleeper would go on only when its sleep ends. */
static void release_wakes_if_somebody_sleeps(void **state)
{
    (void)state;
    wakes = 0;
    take_ok(0);
    lx_lock_release(lock);
    assert_int_equal(wakes, 0);
    take_ok(0);
    lock->word |= 1; /* one who is about to sleep */
    lx_lock_release(lock);
    assert_int_equal(wakes, 1);
    assert_int_equal(lock->word, 0);
}

static uint64_t counter; /* guarded by the lock */
enum { COUNT_EACH = 30000, COUNTERS = 4 };

static void *count(void *arg)
{
    unsigned i = *(const unsigned *)arg;

    for (int n = 0; n < COUNT_EACH; n++) {
        bool dirty;

        if (take(i, LX_TASK_WRITE, LONG_MS, &dirty) != LXDB_OK)
            return arg;
        counter++;
        lx_lock_release(lock);
    }
    return NULL;
}

static void lock_lets_one_in_at_a_time(void **state)
{
    static unsigned ids[COUNTERS];
    pthread_t threads[COUNTERS];

    (void)state;
    counter = 0;
    for (unsigned i = 0; i < COUNTERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, count, &ids[i]), 0);
    }
    for (unsigned i = 0; i < COUNTERS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(counter, COUNTERS * COUNT_EACH);
    assert_int_equal(lock->word, 0);
}

/* ---- Death ----------------------------------------------------------------------------------- */

static void dead_holder_is_replaced_and_what_it_left_undone_is_reported(void **state)
{
    bool dirty = false;

    (void)state;
    child_start(LX_DIRTY_COMMIT | LX_DIRTY_SPLIT);
    child_end();
    assert_int_equal(lock->word, child_identity << 1);
    assert_int_equal(take(0, LX_TASK_WRITE, LONG_MS, &dirty), LXDB_OK);
    assert_true(dirty);
    assert_int_equal(lock->dirty, LX_DIRTY_COMMIT | LX_DIRTY_SPLIT);
    assert_int_equal(lock->word >> 1, who[0].self.identity);
}

static void dead_holder_that_left_nothing_is_replaced_without_a_repair(void **state)
{
    bool dirty = true;

    (void)state;
    child_start(LX_CLEAN);
    child_end();
    assert_int_equal(take(0, LX_TASK_WRITE, LONG_MS, &dirty), LXDB_OK);
    assert_false(dirty);
}

static void dead_holder_is_replaced_within_a_limit_of_a_few_sleeps(void **state)
{
    bool dirty;

    (void)state;
    child_start(LX_CLEAN);
    child_end();
    assert_int_equal(take(0, LX_TASK_WRITE, SHORT_MS, &dirty), LXDB_OK);
}

static void living_holder_is_never_robbed(void **state)
{
    lx_lock_holder holder;
    bool dirty;

    (void)state;
    child_start(LX_DIRTY_COMMIT);
    assert_int_equal(take(0, LX_TASK_WRITE, SHORT_MS, &dirty), LXDB_BUSY);
    assert_int_equal(lock->word >> 1, child_identity);
    lx_lock_holder_get(lock, &holder);
    assert_int_equal(holder.pid, child.pid);
    assert_int_equal(holder.task, LX_TASK_BATCH);
    child_end();
}

static void stopped_holder_is_never_robbed(void **state)
{
    bool dirty;
    int status;

    (void)state;
    child_start(LX_CLEAN);
    assert_int_equal(kill(child.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(take(0, LX_TASK_WRITE, SHORT_MS, &dirty), LXDB_BUSY);
    assert_int_equal(lock->word >> 1, child_identity);
    assert_int_equal(kill(child.pid, SIGCONT), 0);
    child_end();
}

static void holder_that_dies_while_waited_for_is_replaced(void **state)
{
    pthread_t waiter;
    int rc = -1;

    (void)state;
    child_start(LX_DIRTY_SWAP);
    assert_int_equal(pthread_create(&waiter, NULL, take_and_keep, &rc), 0);
    while (!(lock->word & 1))
        sched_yield();
    child_end();
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_int_equal(rc, LXDB_OK);
    assert_int_equal(lock->word >> 1, who[1].self.identity);
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

static void identity_is_alive_while_its_byte_is_held(void **state)
{
    (void)state;
    assert_false(lx_lock_is_dead(&who[0].self, who[1].self.identity));
    assert_int_equal(lx_ofd_set(who[1].held_fd, LX_OFD_NONE, who[1].self.identity), LXDB_OK);
    assert_true(lx_lock_is_dead(&who[0].self, who[1].self.identity));
}

static void identity_of_our_own_is_alive(void **state)
{
    (void)state;
    assert_false(lx_lock_is_dead(&who[0].self, who[0].self.identity));
}

static void probe_that_was_closed_gives_no_verdict(void **state)
{
    lx_lock_self self = who[0].self;

    (void)state;
    self.probe_fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(lx_lock_is_dead(&self, child_identity));
    (void)close(self.probe_fd);
    assert_false(lx_lock_is_dead(&self, child_identity));
}

static void probe_that_was_replaced_gives_no_verdict(void **state)
{
    int other = open(other_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int locked = open(other_path, O_RDWR | O_CLOEXEC);

    (void)state;
    assert_true(lx_lock_is_dead(&who[0].self, child_identity));
    assert_int_equal(dup2(other, who[0].self.probe_fd), who[0].self.probe_fd);
    /* a lock at the same place of the other file does not make it the lock file */
    assert_int_equal(lx_ofd_set(locked, LX_OFD_EXCLUSIVE, who[0].self.identity), LXDB_OK);
    assert_false(lx_lock_is_dead(&who[0].self, child_identity));
    (void)close(other);
    (void)close(locked);
}

static void probe_that_does_not_see_our_own_lock_gives_no_verdict(void **state)
{
    (void)state;
    assert_int_equal(lx_ofd_set(who[0].held_fd, LX_OFD_NONE, who[0].self.identity), LXDB_OK);
    assert_false(lx_lock_is_dead(&who[0].self, child_identity));
}

static void probe_that_is_the_holding_descriptor_gives_no_verdict(void **state)
{
    lx_lock_self self = who[0].self;

    (void)state;
    self.probe_fd = who[0].held_fd;
    assert_false(lx_lock_is_dead(&self, child_identity));
}

static void dead_holder_is_not_replaced_without_a_verdict(void **state)
{
    bool dirty;

    (void)state;
    lock->word = child_identity << 1;
    (void)lx_ofd_set(who[0].held_fd, LX_OFD_NONE, who[0].self.identity);
    assert_int_equal(take(0, LX_TASK_WRITE, SHORT_MS, &dirty), LXDB_BUSY);
    assert_int_equal(lock->word >> 1, child_identity);
}

/* ---- Races ----------------------------------------------------------------------------------- */

static void release_at_third(unsigned call)
{
    if (call == 3)
        lx_lock_release(lock);
}

static void lock_that_comes_free_while_spinning_is_taken(void **state)
{
    bool dirty;

    (void)state;
    take_ok(1);
    at_turn = release_at_third;
    turn_ns = 1;
    assert_true(lx_lock_try(lock, &who[0].self, LX_TASK_WRITE, &dirty));
    assert_int_equal(turns, 2 + 4); /* the second look */
    assert_int_equal(lock->word, who[0].self.identity << 1);
}

static void nothing_happens(unsigned call)
{
    (void)call;
}

/* How long a try waits that does not get the lock, in turns of `ns` each. */
static unsigned patience(uint64_t ns)
{
    bool dirty;

    at_turn = nothing_happens;
    turns = 0;
    turn_ns = ns;
    assert_false(lx_lock_try(lock, &who[0].self, LX_TASK_WRITE, &dirty));
    return turns;
}

static void spinning_lasts_longer_where_it_helps_and_shorter_where_not(void **state)
{
    unsigned most;
    bool dirty;

    (void)state;
    turn_ns = 1;
    for (int i = 0; i < 100; i++) {
        take_ok(1);
        at_turn = release_at_third;
        turns = 0;
        assert_true(lx_lock_try(lock, &who[0].self, LX_TASK_WRITE, &dirty));
        lx_lock_release(lock);
    }
    take_ok(1);
    most = patience(100);
    assert_in_range(most, 500, 500 + 500 / 8 + 16);
    for (int i = 0; i < 100; i++)
        assert_true(patience(100) <= most);
    assert_in_range(patience(100), 80, 100 + 16);
}

/* Some processors take ten times as long for one as others. */
static void spinning_is_measured_by_the_clock_and_not_in_turns(void **state)
{
    (void)state;
    take_ok(1);
    for (int i = 0; i < 100; i++)
        (void)patience(10);
    assert_in_range(patience(10), 850, 1000 + 16);
    assert_in_range(patience(100), 80, 100 + 16);
    assert_in_range(patience(1000), 8, 10 + 16);
}

/* Between the look at the word and what follows from it others are quicker. */
static void others_are_quicker(unsigned call)
{
    switch (call) {
    case 1:
    case 4:
        lx_lock_release(lock); /* it was held */
        break;
    case 2:
        lock->word = who[1].self.identity << 1; /* it was free */
        break;
    default:
        break;
    }
}

static void waiter_that_others_overtake_goes_on_waiting(void **state)
{
    lx_limit limit = {.timeout_ms = UINT32_MAX};
    bool dirty;

    (void)state;
    take_ok(1);
    at_clock = others_are_quicker;
    assert_int_equal(lx_lock_take(lock, &who[0].self, LX_TASK_WRITE, &limit, &dirty), LXDB_OK);
    assert_int_equal(looks, 4);
    assert_int_equal(lock->word >> 1, who[0].self.identity);
}

static void release_at_first_look(unsigned call)
{
    if (call == 1)
        lx_lock_release(lock);
}

static void waiter_that_finds_the_lock_free_takes_it_for_one_of_several(void **state)
{
    (void)state;
    take_ok(1);
    at_clock = release_at_first_look;
    take_ok(0);
    assert_true(looks >= 2);
    /* with the bit: it cannot know whether it was the only one that waited */
    assert_int_equal(lock->word, who[0].self.identity << 1 | 1);
}

/* The dead holder was replaced by another waiter since. */
static bool another_replaces_it(unsigned call)
{
    if (call == 2)
        lock->word = who[2].self.identity << 1;
    return true;
}

static void release_at_third_look(unsigned call)
{
    if (call == 3)
        lx_lock_release(lock);
}

static void dead_holder_that_another_has_replaced_is_not_replaced_again(void **state)
{
    lx_limit limit = {.timeout_ms = UINT32_MAX};
    bool dirty;

    (void)state;
    lock->word = child_identity << 1;
    at_query = another_replaces_it;
    at_clock = release_at_third_look;
    assert_int_equal(lx_lock_take(lock, &who[0].self, LX_TASK_WRITE, &limit, &dirty), LXDB_OK);
    assert_true(looks >= 3); /* it waited for the other */
}

static void dead_holder_is_replaced_by_who_waits_for_ever(void **state)
{
    lx_limit limit = {.timeout_ms = UINT32_MAX};
    bool dirty;

    (void)state;
    lock->word = child_identity << 1;
    assert_int_equal(lx_lock_take(lock, &who[0].self, LX_TASK_WRITE, &limit, &dirty), LXDB_OK);
}

static bool first_fails(unsigned call)
{
    return call != 1;
}

static bool second_fails(unsigned call)
{
    return call != 2;
}

static void question_that_fails_gives_no_verdict(void **state)
{
    (void)state;
    at_query = first_fails;
    assert_false(lx_lock_is_dead(&who[0].self, child_identity));
    queries = 0;
    at_query = second_fails;
    assert_false(lx_lock_is_dead(&who[0].self, child_identity));
    at_query = NULL;
    assert_true(lx_lock_is_dead(&who[0].self, child_identity));
}

static void number_that_is_no_identity_is_not_dead(void **state)
{
    (void)state;
    assert_false(lx_lock_is_dead(&who[0].self, 0));
    assert_false(lx_lock_is_dead(&who[0].self, LX_BYTE_IDENTITY - 1));
    assert_false(lx_lock_is_dead(&who[0].self, UINT64_C(1) << 62));
    assert_false(lx_lock_is_dead(&who[0].self, UINT64_MAX >> 1));
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(lock_that_is_free_is_taken_and_names_its_holder),
        UNIT(lock_that_is_released_is_free_and_names_nobody),
        UNIT(lock_taken_again_names_the_new_task_and_holder),
        UNIT(lock_left_dirty_says_so_to_every_taker),
        UNIT(try_takes_what_is_free_and_not_what_is_held),
        UNIT(holder_with_words_of_an_earlier_one_is_not_named),
        UNIT(holder_command_without_end_is_cut),
        UNIT(limit_asks_the_clock_once),
        UNIT(lock_held_past_the_limit_is_busy_and_says_by_whom),
        UNIT(lock_waited_for_comes_with_the_release),
        UNIT(release_wakes_if_somebody_sleeps),
        UNIT(lock_lets_one_in_at_a_time),
        UNIT(dead_holder_is_replaced_and_what_it_left_undone_is_reported),
        UNIT(dead_holder_that_left_nothing_is_replaced_without_a_repair),
        UNIT(dead_holder_is_replaced_within_a_limit_of_a_few_sleeps),
        UNIT(living_holder_is_never_robbed),
        UNIT(stopped_holder_is_never_robbed),
        UNIT(holder_that_dies_while_waited_for_is_replaced),
        UNIT(identity_is_alive_while_its_byte_is_held),
        UNIT(identity_of_our_own_is_alive),
        UNIT(probe_that_was_closed_gives_no_verdict),
        UNIT(probe_that_was_replaced_gives_no_verdict),
        UNIT(probe_that_does_not_see_our_own_lock_gives_no_verdict),
        UNIT(probe_that_is_the_holding_descriptor_gives_no_verdict),
        UNIT(dead_holder_is_not_replaced_without_a_verdict),
        UNIT(lock_that_comes_free_while_spinning_is_taken),
        UNIT(spinning_lasts_longer_where_it_helps_and_shorter_where_not),
        UNIT(spinning_is_measured_by_the_clock_and_not_in_turns),
        UNIT(waiter_that_others_overtake_goes_on_waiting),
        UNIT(waiter_that_finds_the_lock_free_takes_it_for_one_of_several),
        UNIT(dead_holder_that_another_has_replaced_is_not_replaced_again),
        UNIT(dead_holder_is_replaced_by_who_waits_for_ever),
        UNIT(question_that_fails_gives_no_verdict),
        UNIT(number_that_is_no_identity_is_not_dead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
