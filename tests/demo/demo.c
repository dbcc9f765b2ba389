/* SPDX-License-Identifier: MIT */
/*
 * The demo: real records, many processes, one database, one of them killed.
 *
 *     demo [--short] ISO-CODES-FOLDER DIRECTORY
 *
 * Four writers store the records of the ISO lists at once, partly each its own, partly all the same
 * ones, while two readers check what they find. One writer gets a SIGKILL while it holds the lock
 * that orders all writers, and is started again. At the end the database has to hold what was
 * acknowledged, all of it and nothing else. DIRECTORY is left with demo.lxdb, closed, and with
 * `expected`: the lines that a reader of the file format has to print for it.
 *
 * The parent opens the database only to see who holds the lock, and for the proof.
 * LXDB_TEST_SEED=n repeats the choices of a run (not its timing).
 */
#include "tests/demo/common.h"
#include "tests/demo/ledger.h"
#include "tests/demo/proof.h"
#include "tests/demo/source.h"
#include "tests/demo/workers.h"

#include <errno.h>
#include <inttypes.h>
#include <lxdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PASSES 24
#define SHORT_PASSES 12
#define SHORT_RECORDS 256 /* of each list */
#define DEADLINE_S 120
#define KILL_TRIES 500

struct demo {
    struct source source;
    struct ledger *ledger;
    char path[4096];     /* of the database */
    char expected[4096]; /* of the list of expected lines */
    uint64_t seed;
    uint64_t chance; /* the parent's own stream */
    unsigned passes;
    int start[2]; /* pipes */
    int call[2];
    pid_t parent;
    pid_t writers[WRITERS];
    pid_t readers[READERS];
    uint64_t began_at;
    uint64_t ended_at;
    /* The kill. */
    unsigned victim;
    uint64_t victim_steps; /* done when it was killed */
    enum call victim_call;
    bool victim_held_lock;
};

/* ---- Processes ------------------------------------------------------------------------------- */

/* No child may outlive a failed demo. The parent may have gone before the request stands. */
static void become_child(const struct demo *demo)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != demo->parent)
        _exit(1);
}

static pid_t fork_child(const struct demo *demo)
{
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child < 0)
        demo_fail("cannot start a process: %s", strerror(errno));
    if (child == 0)
        become_child(demo);
    return child;
}

/* Whether a byte came, and not the end of the pipe. */
static bool await_byte(int fd)
{
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* A child's part of the pipes: to wait for the end of `start`, which all children see at once, and
 * for the victim, to keep its end of `call`. */
static void await_start(struct demo *demo, bool victim)
{
    close(demo->start[1]);
    close(demo->call[0]);
    if (!victim)
        close(demo->call[1]);
    await_byte(demo->start[0]);
    close(demo->start[0]);
}

static void start_writer(struct demo *demo, unsigned writer, uint64_t call_after, bool again)
{
    struct writer_job job = {
        .source = &demo->source,
        .ledger = demo->ledger,
        .path = demo->path,
        .writer = writer,
        .passes = demo->passes,
        .call_after = call_after,
        .call_fd = demo->call[1],
    };

    demo->writers[writer] = fork_child(demo);
    if (demo->writers[writer] != 0)
        return;
    if (!again)
        await_start(demo, call_after != 0);
    writer_run(&job);
    exit(0);
}

static void start_reader(struct demo *demo, unsigned reader)
{
    struct reader_job job = {
        .source = &demo->source,
        .ledger = demo->ledger,
        .path = demo->path,
        .reader = reader,
        .seed = demo->seed,
    };

    demo->readers[reader] = fork_child(demo);
    if (demo->readers[reader] != 0)
        return;
    await_start(demo, false);
    reader_run(&job);
    exit(0);
}

/* It must end well by itself; the sentence about it is its own, unless a signal ended it. */
static void await_end(pid_t child, const char *role, unsigned number)
{
    int status;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            demo_fail("cannot wait for a process: %s", strerror(errno));
    }
    if (WIFSIGNALED(status))
        demo_fail("%s %u died of signal %d (%s)", role, number + 1, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        demo_fail("%s %u ended with status %d", role, number + 1, WEXITSTATUS(status));
}

/* ---- The kill -------------------------------------------------------------------------------- */

/* Stop the victim, and return when the kernel has stopped all of it. */
static void stop_victim(const struct demo *demo, pid_t pid)
{
    int status;

    kill(pid, SIGSTOP);
    while (waitpid(pid, &status, WUNTRACED) < 0) {
        if (errno != EINTR)
            demo_fail("cannot wait for a process: %s", strerror(errno));
    }
    if (!WIFSTOPPED(status))
        demo_fail("writer %u ended before it could be killed", demo->victim + 1);
}

/* Stop the victim again and again until it is seen to hold the writer lock. It is stopped then. */
static bool stop_with_lock(const struct demo *demo, lxdb *db, pid_t pid)
{
    for (unsigned i = 0; i < KILL_TRIES; i++) {
        const struct timespec moment = {.tv_nsec = 20000 + (long)(i * 7919 % 100000)};
        lxdb_stat_info info;

        stop_victim(demo, pid);
        demo_require(lxdb_stat(db, &info), "asking who holds the writer lock");
        if (info.lock_pid == (uint32_t)pid)
            return true;
        if (i + 1 < KILL_TRIES) {
            kill(pid, SIGCONT);
            nanosleep(&moment, NULL);
        }
    }
    return false;
}

static void kill_victim(struct demo *demo)
{
    struct writer_entry *entry = &demo->ledger->writers[demo->victim];
    pid_t pid = demo->writers[demo->victim];
    lxdb *db;

    demo_require(lxdb_open(demo->path, NULL, &db), "opening the database");
    demo->victim_held_lock = stop_with_lock(demo, db, pid);
    demo->victim_steps = atomic_load(&entry->steps);
    demo->victim_call = (enum call)atomic_load(&entry->call);
    atomic_store(&demo->ledger->killed_at, demo_now());
    kill(pid, SIGKILL);
    if (waitpid(pid, NULL, 0) != pid)
        demo_fail("cannot wait for the killed writer: %s", strerror(errno));
    demo_require(lxdb_close(db), "closing the database");
}

/* ---- The work -------------------------------------------------------------------------------- */

static uint64_t steps_of(const struct demo *demo, unsigned writer)
{
    size_t n;

    free(writer_plan(&demo->source, writer, &n));
    return (uint64_t)n * demo->passes;
}

/* Each step draws one ticket, and the step that a kill cut off draws another. */
static void make_ledger(struct demo *demo)
{
    uint64_t tickets = 1;

    for (unsigned w = 0; w < WRITERS; w++)
        tickets += steps_of(demo, w);
    demo->ledger = ledger_new(&demo->source, tickets);
}

/* Start all, and let them begin. The victim gets the number of steps after which it calls. */
static void start_all(struct demo *demo)
{
    uint64_t steps = steps_of(demo, demo->victim);
    uint64_t call_after = 1 + steps / 8 + demo_random(&demo->chance) % (steps / 4 + 1);

    if (pipe(demo->start) != 0 || pipe(demo->call) != 0)
        demo_fail("cannot make a pipe: %s", strerror(errno));
    for (unsigned w = 0; w < WRITERS; w++)
        start_writer(demo, w, w == demo->victim ? call_after : 0, false);
    for (unsigned r = 0; r < READERS; r++)
        start_reader(demo, r);
    close(demo->call[1]);
    close(demo->start[0]);
    demo->began_at = demo_now();
    close(demo->start[1]);
}

static void work(struct demo *demo)
{
    demo->victim = (unsigned)(demo_random(&demo->chance) % WRITERS);
    start_all(demo);
    if (!await_byte(demo->call[0])) {
        await_end(demo->writers[demo->victim], "writer", demo->victim);
        demo_fail("writer %u ended before it could be killed", demo->victim + 1);
    }
    close(demo->call[0]);
    kill_victim(demo);
    start_writer(demo, demo->victim, 0, true);
    for (unsigned w = 0; w < WRITERS; w++)
        await_end(demo->writers[w], "writer", w);
    demo->ended_at = demo_now();
    atomic_store(&demo->ledger->finished, true);
    for (unsigned r = 0; r < READERS; r++)
        await_end(demo->readers[r], "reader", r);
}

/* ---- What is said ---------------------------------------------------------------------------- */

static void say_source(const struct demo *demo, const char *folder)
{
    const struct source *source = &demo->source;

    printf("The records: %s\n", folder);
    for (unsigned i = 0; i < SOURCE_LISTS; i++) {
        const struct list *list = &source->lists[i];

        printf("  %-10s %7s  %-26s %s\n", list->name, demo_grouped(list->n), list->title,
               list->shared ? "loaded by every writer" : "divided among the writers");
    }
    printf("  %-10s %7s  in %s of JSON\n", "together", demo_grouped(source->n),
           demo_counted(source->bytes, "byte"));
}

static const char *call_name(enum call call)
{
    switch (call) {
    case DRAW_TICKET:
        return "incrementing the counter";
    case STORE_ONE:
        return "storing one record";
    case STORE_BATCH:
        return "storing a batch of records";
    case POST_BOARD:
        return "storing the batch of shared keys";
    case NO_CALL:
    default:
        return "opening the database";
    }
}

static void say_kill(const struct demo *demo)
{
    uint64_t went_on_at = atomic_load(&demo->ledger->went_on_at);
    uint64_t us = went_on_at == 0 ? 0 : (went_on_at - atomic_load(&demo->ledger->killed_at)) / 1000;

    printf("  kill -9    writer %u, after step %s of %s, %s %s\n", demo->victim + 1,
           demo_grouped(demo->victim_steps), demo_grouped(steps_of(demo, demo->victim)),
           demo->victim_held_lock ? "holding the writer lock and" : "while",
           call_name(demo->victim_call));
    if (went_on_at == 0)
        printf("             the other writers had finished; then it was started again\n");
    else
        printf("             another writer's next call was done %" PRIu64 ".%" PRIu64
               " ms later; then it was started again\n",
               us / 1000, us / 100 % 10);
}

static void say_work(const struct demo *demo)
{
    const struct ledger *ledger = demo->ledger;
    uint64_t ms = (demo->ended_at - demo->began_at) / 1000000;
    uint64_t compactions = 0;

    printf("\nThe work: %d writers and %d readers at once, %" PRIu64 ".%" PRIu64
           " s (LXDB_TEST_SEED=%" PRIu64 ")\n",
           WRITERS, READERS, ms / 1000, ms / 100 % 10, demo->seed);
    for (unsigned w = 0; w < WRITERS; w++) {
        const struct writer_entry *entry = &ledger->writers[w];

        printf("  writer %u   %8s writes, %6s batches, %6s increments acknowledged\n", w + 1,
               demo_grouped(atomic_load(&entry->singles)),
               demo_grouped(atomic_load(&entry->batches)),
               demo_grouped(atomic_load(&entry->tickets)));
    }
    say_kill(demo);
    for (unsigned r = 0; r < READERS; r++) {
        const struct reader_entry *entry = &ledger->readers[r];

        printf("  reader %u   %9s reads, %7s whole batches, %5s iterations, 0 wrong\n", r + 1,
               demo_grouped(atomic_load(&entry->reads)), demo_grouped(atomic_load(&entry->boards)),
               demo_grouped(atomic_load(&entry->iterations)));
        if (atomic_load(&entry->compactions) > compactions)
            compactions = atomic_load(&entry->compactions);
    }
    printf("  meanwhile  %s, which nobody waited for\n", demo_counted(compactions, "compaction"));
}

/* Doing nothing proves nothing. */
static void check_work(const struct demo *demo)
{
    for (unsigned w = 0; w < WRITERS; w++) {
        if (atomic_load(&demo->ledger->writers[w].steps) != steps_of(demo, w))
            demo_fail("writer %u ended before its work was done", w + 1);
    }
    for (unsigned r = 0; r < READERS; r++) {
        const struct reader_entry *entry = &demo->ledger->readers[r];

        if (atomic_load(&entry->reads) == 0 || atomic_load(&entry->boards) == 0 ||
            atomic_load(&entry->iterated) == 0)
            demo_fail("reader %u found nothing to check", r + 1);
    }
}

/* ---- The whole ------------------------------------------------------------------------------- */

static uint64_t choose_seed(void)
{
    const char *text = getenv("LXDB_TEST_SEED");
    uint32_t seed = 0;

    if (text != NULL && *text != '\0')
        return strtoull(text, NULL, 0);
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        demo_fail("no random numbers: %s", strerror(errno));
    return seed;
}

static void give_up(int number)
{
    static const char sentence[] = "demo: not finished by the deadline: somebody hangs\n";
    ssize_t n = write(STDERR_FILENO, sentence, sizeof sentence - 1);

    (void)number;
    (void)n;
    _exit(1);
}

int main(int argc, char **argv)
{
    static struct demo demo;
    bool brief = argc > 1 && strcmp(argv[1], "--short") == 0;
    char **folders = argv + 1 + (brief ? 1 : 0);

    if (argc != (brief ? 4 : 3)) {
        fputs("usage: demo [--short] ISO-CODES-FOLDER DIRECTORY\n", stderr);
        return 2;
    }
    signal(SIGALRM, give_up);
    alarm(DEADLINE_S);
    demo.parent = getpid();
    demo.seed = choose_seed();
    demo.chance = demo.seed;
    demo.passes = brief ? SHORT_PASSES : PASSES;
    snprintf(demo.path, sizeof demo.path, "%s/demo.lxdb", folders[1]);
    snprintf(demo.expected, sizeof demo.expected, "%s/expected", folders[1]);
    source_load(&demo.source, folders[0], brief ? SHORT_RECORDS : 0);
    say_source(&demo, folders[0]);

    make_ledger(&demo);
    work(&demo);
    check_work(&demo);
    say_work(&demo);

    printf("\nThe proof: the database opened afresh, held against what was acknowledged\n");
    proof_run(&(struct proof_job){.source = &demo.source,
                                  .ledger = demo.ledger,
                                  .path = demo.path,
                                  .expected = demo.expected,
                                  .killed_in = demo.victim_call});
    source_free(&demo.source);
    return 0;
}
