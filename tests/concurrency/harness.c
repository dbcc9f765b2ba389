/* SPDX-License-Identifier: MIT */
/*
 * The processes, the watchdog and the shared state behind harness.h.
 *
 * INV-1 Everything that two processes look at lies in `core` or in memory of harness_shared(), both
 *        mapped before any fork. Pointers to string literals are good in every process, because no
 *        process of a run executes another program.
 * INV-2 A slot belongs to one worker from its claim (FREE -> CLAIMED, by compare-and-swap) until
 * the
 *        worker was waited for; `pid` is written by the forker alone, as seen from its namespace.
 * INV-3  Only pids in slots that are not FREE are ever signalled, and at the end our own children.
 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 512
#define COUNTS 32
#define SKIP_STATUS 77
#define ROUNDS_AT_A_TIME 5u

enum { SLOT_FREE = 0, SLOT_CLAIMED, SLOT_RUNNING, SLOT_DONE };

struct slot {
    _Atomic int state;
    _Atomic int pid;
    _Atomic int parent;
    const char *role; /* written by the forker before the fork */
    _Atomic(const char *) stage;
    _Atomic uint64_t progress;
};

struct count {
    _Atomic(const char *) name;
    _Atomic uint64_t value;
    _Atomic uint64_t least;
};

struct core {
    struct slot slots[SLOTS];
    struct count counts[COUNTS];
    _Atomic(const char *) case_name;
    _Atomic(const char *) phase;
    _Atomic uint64_t deadline_ms;
    _Atomic uint64_t case_began_ms;
    _Atomic int cases_run;
    _Atomic int cases_skipped;
    _Atomic int failed; /* claimed by the first failure */
    _Atomic int failure_ready;
    char failure[4096];
};

struct harness_barrier {
    pthread_barrier_t barrier;
};

static struct core *core;
static struct slot *self; /* NULL in the supervisor */
static uint64_t seed;
static uint64_t scale = 1;
static uint64_t deadline_s = 300;
static uint64_t seconds; /* a case is to go on for so long; 0: for a number of rounds */
static char directory[4096];

/* ---- Time, chance ---------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t harness_now_ms(void)
{
    return now_ns() / 1000000u;
}

static void nap(void)
{
    static const struct timespec half_ms = {0, 500000};

    (void)nanosleep(&half_ms, NULL);
}

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014): a bijection that mixes all bits. */
static uint64_t mix(uint64_t word)
{
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

uint64_t harness_seed(void)
{
    return seed;
}

harness_rng harness_rng_make(uint64_t stream)
{
    harness_rng rng = {mix(seed ^ mix(stream + 1))};

    return rng;
}

uint64_t harness_random(harness_rng *rng)
{
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(rng->state);
}

uint64_t harness_below(harness_rng *rng, uint64_t n)
{
    return harness_random(rng) % n;
}

void harness_dawdle(harness_rng *rng, uint64_t most_ns)
{
    uint64_t until = now_ns() + harness_below(rng, most_ns + 1);

    while (now_ns() < until)
        atomic_signal_fence(memory_order_seq_cst);
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

unsigned harness_rounds(unsigned rounds)
{
    return (unsigned)(rounds * scale);
}

bool harness_goes_on(unsigned round, unsigned rounds)
{
    if (seconds == 0)
        return round < harness_rounds(rounds);
    return harness_now_ms() - atomic_load(&core->case_began_ms) < seconds * 1000u;
}

/* ---- Failure --------------------------------------------------------------------------------- */

static bool failure_claim(void)
{
    return atomic_exchange(&core->failed, 1) == 0;
}

void harness_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list args;
    int used;

    if (failure_claim()) {
        used = snprintf(core->failure, sizeof(core->failure),
                        "%s:%d: %s (pid %d, %s): not so: %s: ", file, line,
                        self != NULL ? self->role : "supervisor", (int)getpid(),
                        self != NULL && self->stage != NULL ? self->stage : "no stage", condition);
        va_start(args, format);
        if (used > 0 && (size_t)used < sizeof(core->failure))
            (void)vsnprintf(core->failure + used, sizeof(core->failure) - (size_t)used, format,
                            args);
        va_end(args);
        atomic_store(&core->failure_ready, 1);
    }
    _exit(1);
}

void harness_check_rc(const char *file, int line, const char *call, int rc, int want,
                      const lxdb *db)
{
    if (rc != want)
        harness_fail(file, line, call, "it gave %d (%s), expected %d (%s): %s", rc,
                     lxdb_strerror(rc), want, lxdb_strerror(want), lxdb_errmsg(db));
}

/* A worker that dies of its own doing is a failure at once, and not a hang of those who wait for
 * it. The process is lost, so calls that are not async-signal-safe can make nothing worse. */
static void on_crash(int signal_number)
{
    void *frames[64];
    int depth;

    if (failure_claim()) {
        (void)snprintf(core->failure, sizeof(core->failure), "%s (pid %d, %s) died of signal %d",
                       self != NULL ? self->role : "supervisor", (int)getpid(),
                       self != NULL && self->stage != NULL ? self->stage : "no stage",
                       signal_number);
        depth = backtrace(frames, 64);
        backtrace_symbols_fd(frames, depth, STDERR_FILENO);
        atomic_store(&core->failure_ready, 1);
    }
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

/* The supervisor asks a worker that hangs where it is: a line for each call of its main thread. */
static void on_asked(int signal_number)
{
    void *frames[64];

    (void)signal_number;
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
}

static void watch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_crash};
    struct sigaction before;
    void *frame;

    (void)backtrace(&frame, 1); /* loads the unwinder now, not in the handler */
    (void)sigaction(SIGQUIT, &(struct sigaction){.sa_handler = on_asked}, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        /* a sanitizer's own handler says more than ours */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            (void)sigaction(signals[i], &action, NULL);
    }
}

/* ---- Counts ---------------------------------------------------------------------------------- */

static struct count *count_find(const char *name)
{
    const char *there;

    for (size_t i = 0; i < COUNTS; i++) {
        there = NULL;
        if (atomic_compare_exchange_strong(&core->counts[i].name, &there, name) ||
            strcmp(there, name) == 0)
            return &core->counts[i];
    }
    harness_fail(__FILE__, __LINE__, "free count", "there are only %d", COUNTS);
}

void harness_count(const char *name, uint64_t n)
{
    (void)atomic_fetch_add(&count_find(name)->value, n);
}

void harness_count_least(const char *name, uint64_t least)
{
    atomic_store(&count_find(name)->least, least);
}

void harness_count_max(const char *name, uint64_t value)
{
    _Atomic uint64_t *word = &count_find(name)->value;
    uint64_t seen = atomic_load(word);

    while (seen < value && !atomic_compare_exchange_weak(word, &seen, value))
        continue;
}

/* ---- Shared memory --------------------------------------------------------------------------- */

void *harness_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(memory != MAP_FAILED, "mmap of %zu bytes: %s", size, strerror(errno));
    return memory;
}

harness_barrier *harness_barrier_new(unsigned n)
{
    harness_barrier *barrier = harness_shared(sizeof(*barrier));
    pthread_barrierattr_t attributes;

    CHECK(pthread_barrierattr_init(&attributes) == 0, "no barrier");
    CHECK(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0, "no barrier");
    CHECK(pthread_barrier_init(&barrier->barrier, &attributes, n) == 0, "no barrier");
    (void)pthread_barrierattr_destroy(&attributes);
    return barrier;
}

void harness_barrier_wait(harness_barrier *barrier)
{
    (void)pthread_barrier_wait(&barrier->barrier);
}

/* ---- Workers --------------------------------------------------------------------------------- */

void harness_phase(const char *name)
{
    atomic_store(&core->phase, name);
    atomic_store(&core->deadline_ms, harness_now_ms() + deadline_s * 1000u);
}

void harness_stage(const char *stage)
{
    atomic_store_explicit(&self->stage, stage, memory_order_relaxed);
}

void harness_progress(void)
{
    (void)atomic_fetch_add_explicit(&self->progress, 1, memory_order_relaxed);
}

static struct slot *slot_claim(void)
{
    int free_state;

    for (size_t i = 0; i < SLOTS; i++) {
        free_state = SLOT_FREE;
        if (atomic_compare_exchange_strong(&core->slots[i].state, &free_state, SLOT_CLAIMED))
            return &core->slots[i];
    }
    harness_fail(__FILE__, __LINE__, "free slot", "there are only %d", SLOTS);
}

/* The child's side of a fork: its own slot, and an end to itself should the supervisor be gone. */
static _Noreturn void worker_run(struct slot *slot, harness_work work, void *arg)
{
    self = slot;
    if (getenv("LXDB_TEST_HOLD") == NULL)
        (void)alarm((unsigned)(deadline_s * 20));
    work(arg);
    atomic_store(&slot->stage, "done");
    atomic_store(&slot->state, SLOT_DONE);
    exit(0);
}

int harness_start(const char *role, harness_work work, void *arg)
{
    struct slot *slot = slot_claim();
    pid_t pid;

    slot->role = role;
    atomic_store(&slot->stage, NULL);
    atomic_store(&slot->progress, 0);
    atomic_store(&slot->parent, (int)getpid());
    atomic_store(&slot->pid, 0);
    (void)fflush(NULL); /* what is buffered would be printed twice */
    atomic_store(&slot->state, SLOT_RUNNING);
    pid = fork();
    CHECK(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0)
        worker_run(slot, work, arg);
    atomic_store(&slot->pid, (int)pid);
    return (int)(slot - core->slots);
}

int harness_pid(int worker)
{
    return atomic_load(&core->slots[worker].pid);
}

static int reap(struct slot *slot)
{
    int status = 0;
    pid_t pid;

    do {
        pid = waitpid(atomic_load(&slot->pid), &status, 0);
    } while (pid < 0 && errno == EINTR);
    CHECK(pid == atomic_load(&slot->pid), "waitpid for %s: %s", slot->role, strerror(errno));
    return status;
}

void harness_wait(int worker)
{
    struct slot *slot = &core->slots[worker];
    const char *before = atomic_load(&self->stage);
    int status;

    harness_stage("waiting for the end of a worker");
    if (atomic_load(&slot->parent) == (int)getpid()) {
        status = reap(slot);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s (pid %d, %s) ended with %s %d",
              slot->role, atomic_load(&slot->pid), slot->stage != NULL ? slot->stage : "no stage",
              WIFEXITED(status) ? "exit status" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    } else {
        while (atomic_load(&slot->state) != SLOT_DONE)
            nap();
    }
    atomic_store(&slot->state, SLOT_FREE);
    harness_stage(before);
}

void harness_kill_remote(int worker)
{
    int pid = harness_pid(worker);

    CHECK(pid > 0 && kill(pid, SIGKILL) == 0, "kill of pid %d: %s", pid, strerror(errno));
}

void harness_forget(int worker)
{
    atomic_store(&core->slots[worker].state, SLOT_FREE);
}

void harness_kill(int worker)
{
    struct slot *slot = &core->slots[worker];
    int status;

    harness_kill_remote(worker);
    status = reap(slot);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
          "%s (pid %d) ended before it could be killed: status %#x", slot->role,
          atomic_load(&slot->pid), (unsigned)status);
    atomic_store(&slot->state, SLOT_FREE);
}

/* The letter that /proc has for the state of a process; '?' when there is none. */
static char process_state(int pid)
{
    char path[64], text[512];
    const char *behind_name;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return '?';
    n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0)
        return '?';
    text[n] = '\0';
    behind_name = strrchr(text, ')');
    return behind_name != NULL && behind_name[1] == ' ' ? behind_name[2] : '?';
}

void harness_stop(int worker)
{
    int pid = harness_pid(worker);

    CHECK(pid > 0 && kill(pid, SIGSTOP) == 0, "stop of pid %d: %s", pid, strerror(errno));
    while (process_state(pid) != 'T')
        (void)sched_yield();
}

void harness_continue(int worker)
{
    int pid = harness_pid(worker);

    CHECK(pid > 0 && kill(pid, SIGCONT) == 0, "continue of pid %d: %s", pid, strerror(errno));
}

uint64_t harness_progress_of(int worker)
{
    return atomic_load_explicit(&core->slots[worker].progress, memory_order_relaxed);
}

void harness_until(const char *what, bool (*condition)(void *arg), void *arg)
{
    const char *before = atomic_load_explicit(&self->stage, memory_order_relaxed);

    harness_stage(what);
    while (!condition(arg))
        nap();
    harness_stage(before);
}

struct least {
    _Atomic uint64_t *word;
    uint64_t least;
};

static bool least_reached(void *arg)
{
    const struct least *least = arg;

    return atomic_load_explicit(least->word, memory_order_acquire) >= least->least;
}

void harness_until_least(const char *what, _Atomic uint64_t *word, uint64_t least)
{
    struct least condition = {word, least};

    harness_until(what, least_reached, &condition);
}

void harness_await_steps(int worker, uint64_t steps)
{
    harness_until_least("waiting for steps", &core->slots[worker].progress, steps);
}

void harness_await_progress(int worker, uint64_t more)
{
    harness_until_least("waiting for progress", &core->slots[worker].progress,
                        harness_progress_of(worker) + more);
}

struct rounds {
    _Atomic uint64_t *made;
    size_t n;
    uint64_t least[SLOTS];
};

static bool rounds_made(void *arg)
{
    const struct rounds *rounds = arg;

    for (size_t i = 0; i < rounds->n; i++)
        if (atomic_load(&rounds->made[i]) < rounds->least[i])
            return false;
    return true;
}

void harness_await_rounds(_Atomic uint64_t *made, size_t n)
{
    struct rounds rounds = {made, n, {0}};
    bool done;

    do {
        harness_phase("a few rounds of all");
        done = true;
        for (size_t i = 0; i < n; i++) {
            uint64_t now = atomic_load(&made[i]);

            rounds.least[i] = now < HARNESS_DONE - ROUNDS_AT_A_TIME ? now + ROUNDS_AT_A_TIME : now;
            done &= now == HARNESS_DONE;
        }
        harness_until("rounds of all", rounds_made, &rounds);
    } while (!done);
}

/* ---- Director and supervisor ----------------------------------------------------------------- */

const char *harness_directory(void)
{
    return directory;
}

static void directory_empty(void)
{
    char path[sizeof(directory) + 300];
    struct dirent *entry;
    DIR *folder = opendir(directory);

    if (folder == NULL)
        return;
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        (void)unlink(path);
    }
    (void)closedir(folder);
}

void harness_skip(const char *why)
{
    printf("skipped: %s: %s\n", core->case_name, why);
    (void)atomic_fetch_add(&core->cases_skipped, 1);
}

struct plan {
    const harness_case *cases;
    size_t n;
    int wanted_n;
    char **wanted;
};

static bool case_wanted(const struct plan *plan, const char *name)
{
    for (int i = 0; i < plan->wanted_n; i++) {
        if (strstr(name, plan->wanted[i]) != NULL)
            return true;
    }
    return plan->wanted_n == 0;
}

static void direct(void *arg)
{
    const struct plan *plan = arg;
    uint64_t start;

    for (size_t i = 0; i < plan->n; i++) {
        if (!case_wanted(plan, plan->cases[i].name))
            continue;
        atomic_store(&core->case_name, plan->cases[i].name);
        atomic_store(&core->case_began_ms, harness_now_ms());
        harness_phase("start");
        start = harness_now_ms();
        plan->cases[i].run();
        (void)atomic_fetch_add(&core->cases_run, 1);
        printf("%-68s %6llu ms\n", plan->cases[i].name,
               (unsigned long long)(harness_now_ms() - start));
        directory_empty();
    }
    (void)fflush(stdout);
}

static void report_processes(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &core->slots[i];
        int state = atomic_load(&slot->state);

        if (state != SLOT_RUNNING && state != SLOT_DONE)
            continue;
        fprintf(stderr, "  worker %zu: %s, pid %d, state %c, stage \"%s\", progress %llu\n", i,
                slot->role, slot->pid, process_state(slot->pid),
                slot->stage != NULL ? slot->stage : "none", (unsigned long long)slot->progress);
        if (state == SLOT_RUNNING && slot->pid > 0) {
            (void)kill(slot->pid, SIGQUIT);
            for (int i_nap = 0; i_nap < 100; i_nap++) /* for it to say so, before the next does */
                nap();
        }
    }
}

/* What was forked but not yet entered in its slot when its parent was killed has come to us. */
static void end_orphans(void)
{
    FILE *children = fopen("/proc/thread-self/children", "re");
    int pid;

    while (children != NULL && fscanf(children, "%d", &pid) == 1)
        (void)kill(pid, SIGKILL);
    if (children != NULL)
        (void)fclose(children);
}

static void end_processes(void)
{
    uint64_t give_up = harness_now_ms() + 5000;
    pid_t pid;

    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &core->slots[i];
        int victim = atomic_load(&slot->pid);

        if (atomic_load(&slot->state) != SLOT_FREE && victim > 0)
            (void)kill(victim, SIGKILL);
    }
    /* bounded: where the kernel does not list them, orphans end by their own alarm */
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0 || (pid == 0 && harness_now_ms() < give_up)) {
        end_orphans();
        nap();
    }
}

/* A pid that was reaped may soon be someone else's: forget it. */
static void pid_forget(int pid)
{
    int expected;

    for (size_t i = 0; i < SLOTS; i++) {
        expected = pid;
        (void)atomic_compare_exchange_strong(&core->slots[i].pid, &expected, 0);
    }
}

/* Watch until the director ends; true if it ended well. Orphans come here and are reaped. */
static bool supervise(int director_pid)
{
    const struct timespec tick = {0, 20000000};
    sigset_t child;
    int status = 0;
    pid_t pid;

    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    for (;;) {
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            pid_forget(pid);
            if (pid == director_pid)
                return WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                       atomic_load(&core->failed) == 0;
        }
        if (atomic_load(&core->failure_ready) != 0)
            return false;
        if (harness_now_ms() > atomic_load(&core->deadline_ms)) {
            fprintf(stderr, "FAILED: %s hangs in phase \"%s\":\n", core->case_name, core->phase);
            report_processes();
            while (getenv("LXDB_TEST_HOLD") != NULL)
                (void)pause();
            return false;
        }
        (void)sigtimedwait(&child, NULL, &tick);
    }
}

static bool counts_print(bool all_ran)
{
    bool good = true;

    for (size_t i = 0; i < COUNTS; i++) {
        const struct count *count = &core->counts[i];
        bool low = all_ran && count->value < count->least;

        if (count->name == NULL)
            continue;
        printf("count: %s %llu%s\n", count->name, (unsigned long long)count->value,
               low ? " (too few to prove anything)" : "");
        good = good && !low;
    }
    return good;
}

static void prepare(void)
{
    const char *base = getenv("TMPDIR");
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    seed = environment_number("LXDB_TEST_SEED",
                              mix((uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec));
    scale = environment_number("LXDB_TEST_SCALE", 1);
    seconds = environment_number("LXDB_TEST_SECONDS", 0);
    deadline_s = environment_number("LXDB_TEST_DEADLINE", 300) * scale + seconds;
    core = mmap(NULL, sizeof(*core), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void)snprintf(directory, sizeof(directory), "%s/lxdb-test-XXXXXX",
                   base != NULL && base[0] != '\0' ? base : "/tmp");
    if (core == MAP_FAILED || mkdtemp(directory) == NULL) {
        perror("harness");
        exit(1);
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int harness_main(int argc, char **argv, const harness_case *cases, size_t n)
{
    struct plan plan = {cases, n, argc - 1, argv + 1};
    sigset_t child, before;
    int director;
    bool good;

    prepare();
    printf("seed: LXDB_TEST_SEED=%#llx\n", (unsigned long long)seed);
    watch_crashes();
    atomic_store(&core->deadline_ms, harness_now_ms() + deadline_s * 1000u);
    director = harness_start("director", direct, &plan);
    /* only here: an inherited mask would reach the library's threads */
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, &before);
    good = supervise(harness_pid(director));
    if (atomic_load(&core->failure_ready) != 0) {
        fprintf(stderr, "FAILED: %s, phase \"%s\":\n%s\n", core->case_name, core->phase,
                core->failure);
        report_processes();
    }
    end_processes();
    if (core->cases_run == 0 && good) {
        fprintf(stderr, "FAILED: no case has that name\n");
        good = false;
    }
    good = counts_print(good && core->cases_run == (int)n && core->cases_skipped == 0) && good;
    printf("%s: %d cases, %d skipped, seed %#llx\n", good ? "passed" : "FAILED", core->cases_run,
           core->cases_skipped, (unsigned long long)seed);
    if (!good && getenv("LXDB_TEST_KEEP") != NULL) {
        printf("files kept in %s\n", directory);
    } else {
        directory_empty();
        (void)rmdir(directory);
    }
    if (good && core->cases_skipped == core->cases_run)
        return SKIP_STATUS;
    return good ? 0 : 1;
}
