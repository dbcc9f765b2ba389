/* SPDX-License-Identifier: MIT */
/*
 * The demo: real records, many processes, one database, some of them killed.
 *
 *     demo [--short] ISO-CODES-FOLDER DIRECTORY
 *
 * Four writers store the records of the ISO lists at once, partly each its own, partly all the same
 * ones, while two readers check what they find. Now and then a writer gets a SIGKILL while it holds
 * the lock that orders all writers, and is started again. At the end the database has to hold what
 * was acknowledged, all of it and nothing else. DIRECTORY is left with demo.lxdb, closed, and with
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

#define WORK_MS 2500
#define KILLS 5
#define SHORT_WORK_MS 300
#define SHORT_KILLS 2
#define SHORT_RECORDS 256 /* of each list */
#define DEADLINE_S 120
#define KILL_TRIES 500

struct death {
    unsigned writer;
    uint64_t steps; /* done by then */
    enum call call;
    bool held_lock;
    uint64_t at;    /* ns since the beginning */
    uint64_t until; /* ns from the kill to another writer's success */
};

struct demo {
    struct source source;
    struct ledger *ledger;
    char path[4096];     /* of the database */
    char expected[4096]; /* of the list of expected lines */
    uint64_t seed;
    uint64_t chance; /* the parent's own stream */
    unsigned work_ms;
    unsigned n_deaths;
    struct death deaths[KILLS];
    int start[2]; /* a pipe */
    pid_t parent;
    pid_t writers[WRITERS];
    pid_t readers[READERS];
    uint64_t began_at;
    uint64_t ended_at;
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

/* In a child: wait for the end of the pipe, which all children see at once. */
static void await_start(const struct demo *demo)
{
    char byte;

    close(demo->start[1]);
    while (read(demo->start[0], &byte, 1) < 0 && errno == EINTR)
        continue;
    close(demo->start[0]);
}

static void start_writer(struct demo *demo, unsigned writer)
{
    const struct writer_job job = {
        .source = &demo->source, .ledger = demo->ledger, .path = demo->path, .writer = writer};

    demo->writers[writer] = fork_child(demo);
    if (demo->writers[writer] != 0)
        return;
    await_start(demo);
    writer_run(&job);
    exit(0);
}

static void start_reader(struct demo *demo, unsigned reader)
{
    const struct reader_job job = {.source = &demo->source,
                                   .ledger = demo->ledger,
                                   .path = demo->path,
                                   .reader = reader,
                                   .seed = demo->seed};

    demo->readers[reader] = fork_child(demo);
    if (demo->readers[reader] != 0)
        return;
    await_start(demo);
    reader_run(&job);
    exit(0);
}

/* A child has ended: it must have done so well. Unless a signal ended it, the sentence about it is
 * its own. */
static void check_end(int status, const char *role, unsigned number)
{
    if (WIFSIGNALED(status))
        demo_fail("%s %u died of signal %d (%s)", role, number + 1, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        demo_fail("%s %u ended with status %d", role, number + 1, WEXITSTATUS(status));
}

static int await_change(pid_t child, int options)
{
    int status;

    while (waitpid(child, &status, options) < 0) {
        if (errno != EINTR)
            demo_fail("cannot wait for a process: %s", strerror(errno));
    }
    return status;
}

/* Nobody is to end before he is told. */
static void check_alive(pid_t child, const char *role, unsigned number)
{
    int status;

    if (waitpid(child, &status, WNOHANG) == 0)
        return;
    check_end(status, role, number);
    demo_fail("%s %u ended too early", role, number + 1);
}

/* Pass some time, minding the children. `without` is a writer that is none at the moment. */
static void pass_time(const struct demo *demo, uint64_t ns, unsigned without)
{
    const struct timespec time = {.tv_sec = (time_t)(ns / 1000000000u),
                                  .tv_nsec = (long)(ns % 1000000000u)};

    nanosleep(&time, NULL);
    for (unsigned w = 0; w < WRITERS; w++) {
        if (w != without)
            check_alive(demo->writers[w], "writer", w);
    }
    for (unsigned r = 0; r < READERS; r++)
        check_alive(demo->readers[r], "reader", r);
}

/* ---- The kill -------------------------------------------------------------------------------- */

/* Stop the victim again and again until it is seen to hold the writer lock. It is stopped then. */
static bool stop_with_lock(struct demo *demo, lxdb *db, unsigned victim)
{
    pid_t pid = demo->writers[victim];

    for (unsigned i = 0; i < KILL_TRIES; i++) {
        lxdb_stat_info info;

        if (i != 0) {
            kill(pid, SIGCONT);
            pass_time(demo, 20000 + demo_random(&demo->chance) % 100000, victim);
        }
        kill(pid, SIGSTOP);
        if (!WIFSTOPPED(await_change(pid, WUNTRACED)))
            demo_fail("writer %u ended too early", victim + 1);
        demo_require(lxdb_stat(db, &info), "asking who holds the writer lock");
        if (info.lock_pid == (uint32_t)pid)
            return true;
    }
    return false;
}

/* Kill the victim while it is at work; return when another writer has gone on. */
static void kill_writer(struct demo *demo, struct death *death, unsigned victim)
{
    struct ledger *ledger = demo->ledger;
    struct writer_entry *entry = &ledger->writers[victim];
    uint64_t steps = atomic_load(&entry->steps);
    const lxdb_options watch = {.size = sizeof watch, .flags = LXDB_RDONLY};
    lxdb *db;

    while (atomic_load(&entry->steps) == steps)
        pass_time(demo, 100000, WRITERS);
    demo_require(lxdb_open(demo->path, &watch, &db), "opening the database");
    death->writer = victim;
    death->held_lock = stop_with_lock(demo, db, victim);
    death->steps = atomic_load(&entry->steps);
    death->call = (enum call)atomic_load(&entry->call);

    atomic_store(&ledger->victim, victim);
    atomic_store(&ledger->went_on_at, 0);
    atomic_store(&ledger->killed_at, demo_now());
    kill(demo->writers[victim], SIGKILL);
    if (!WIFSIGNALED(await_change(demo->writers[victim], 0)))
        demo_fail("writer %u was not killed", victim + 1);
    while (atomic_load(&ledger->went_on_at) == 0)
        pass_time(demo, 100000, victim);
    death->at = atomic_load(&ledger->killed_at) - demo->began_at;
    death->until = atomic_load(&ledger->went_on_at) - atomic_load(&ledger->killed_at);
    demo_require(lxdb_close(db), "closing the database");
}

/* ---- The work -------------------------------------------------------------------------------- */

static void start_all(struct demo *demo)
{
    if (pipe(demo->start) != 0)
        demo_fail("cannot make a pipe: %s", strerror(errno));
    for (unsigned w = 0; w < WRITERS; w++)
        start_writer(demo, w);
    for (unsigned r = 0; r < READERS; r++)
        start_reader(demo, r);
    demo->began_at = demo_now();
    close(demo->start[1]);
}

static void end_all(struct demo *demo)
{
    atomic_store(&demo->ledger->enough, true);
    for (unsigned w = 0; w < WRITERS; w++)
        check_end(await_change(demo->writers[w], 0), "writer", w);
    demo->ended_at = demo_now();
    atomic_store(&demo->ledger->finished, true);
    for (unsigned r = 0; r < READERS; r++)
        check_end(await_change(demo->readers[r], 0), "reader", r);
    close(demo->start[0]);
}

static void pass_until(const struct demo *demo, uint64_t ns_since_beginning)
{
    uint64_t until = demo->began_at + ns_since_beginning;
    uint64_t now = demo_now();

    pass_time(demo, until > now ? until - now : 0, WRITERS);
}

/* One kill in each part of the time, at a random moment; the first one right at the beginning,
 * while the records are stored for the first time. */
static void work(struct demo *demo)
{
    uint64_t part = demo->work_ms * UINT64_C(1000000) / demo->n_deaths;

    start_all(demo);
    for (unsigned i = 0; i < demo->n_deaths; i++) {
        unsigned victim = (unsigned)(demo_random(&demo->chance) % WRITERS);

        if (i != 0)
            pass_until(demo, i * part + demo_random(&demo->chance) % part);
        kill_writer(demo, &demo->deaths[i], victim);
        start_writer(demo, victim);
    }
    pass_until(demo, demo->work_ms * UINT64_C(1000000));
    end_all(demo);
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

static void say_deaths(const struct demo *demo)
{
    for (unsigned i = 0; i < demo->n_deaths; i++) {
        const struct death *death = &demo->deaths[i];
        uint64_t ms = death->at / 1000000;
        uint64_t us = death->until / 1000;

        printf("  kill -9    writer %u at %" PRIu64 ".%03" PRIu64
               " s, %s %s;\n             the others went on after %" PRIu64 ".%" PRIu64
               " ms, and it was started again\n",
               death->writer + 1, ms / 1000, ms % 1000,
               death->held_lock ? "holding the writer lock," : "while", call_name(death->call),
               us / 1000, us / 100 % 10);
    }
}

static void say_work(const struct demo *demo)
{
    const struct ledger *ledger = demo->ledger;
    uint64_t ms = (demo->ended_at - demo->began_at) / 1000000;
    uint64_t compactions = 0;
    uint64_t size = 0;

    printf("\nThe work: %d writers and %d readers at once, %" PRIu64 ".%" PRIu64
           " s (LXDB_TEST_SEED=%" PRIu64 ")\n",
           WRITERS, READERS, ms / 1000, ms / 100 % 10, demo->seed);
    for (unsigned w = 0; w < WRITERS; w++) {
        const struct writer_entry *entry = &ledger->writers[w];

        printf("  writer %u  %10s writes, %7s batches, %7s increments acknowledged\n", w + 1,
               demo_grouped(atomic_load(&entry->singles)),
               demo_grouped(atomic_load(&entry->batches)),
               demo_grouped(atomic_load(&entry->tickets)));
    }
    say_deaths(demo);
    for (unsigned r = 0; r < READERS; r++) {
        const struct reader_entry *entry = &ledger->readers[r];

        printf("  reader %u  %10s reads, %7s whole batches, %7s iterations, 0 wrong\n", r + 1,
               demo_grouped(atomic_load(&entry->reads)), demo_grouped(atomic_load(&entry->boards)),
               demo_grouped(atomic_load(&entry->iterations)));
        if (atomic_load(&entry->compactions) > compactions)
            compactions = atomic_load(&entry->compactions);
        if (atomic_load(&entry->size_max) > size)
            size = atomic_load(&entry->size_max);
    }
    printf("  meanwhile  %s; the file never had more than %s bytes\n",
           demo_counted(compactions, "compaction"), demo_grouped(size));
}

static unsigned killed_drawing(const struct demo *demo)
{
    unsigned n = 0;

    for (unsigned i = 0; i < demo->n_deaths; i++)
        n += demo->deaths[i].call == DRAW_TICKET;
    return n;
}

/* Doing nothing proves nothing. */
static void check_work(const struct demo *demo)
{
    for (unsigned w = 0; w < WRITERS; w++) {
        if (atomic_load(&demo->ledger->writers[w].steps) == 0)
            demo_fail("writer %u stored nothing", w + 1);
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
    demo.work_ms = brief ? SHORT_WORK_MS : WORK_MS;
    demo.n_deaths = brief ? SHORT_KILLS : KILLS;
    snprintf(demo.path, sizeof demo.path, "%s/demo.lxdb", folders[1]);
    snprintf(demo.expected, sizeof demo.expected, "%s/expected", folders[1]);
    source_load(&demo.source, folders[0], brief ? SHORT_RECORDS : 0);
    say_source(&demo, folders[0]);

    demo.ledger = ledger_new(&demo.source);
    work(&demo);
    check_work(&demo);
    say_work(&demo);

    printf("\nThe proof: the database opened afresh, held against what was acknowledged\n");
    proof_run(&(struct proof_job){.source = &demo.source,
                                  .ledger = demo.ledger,
                                  .path = demo.path,
                                  .expected = demo.expected,
                                  .killed_drawing = killed_drawing(&demo)});
    source_free(&demo.source);
    return 0;
}
