/* SPDX-License-Identifier: MIT */
/*
 * Death at every step. A victim does something to a database and is killed by SIGKILL at the n-th
 * hit of a step (kill_steps.h): each step that the deed comes by, each hit of it or, where there
 * are many, the first, the last and some between. It keeps a ledger of what was acknowledged in
 * memory that outlives it. Then
 *
 *     attached   somebody had the database open all the while, and goes on: it repairs
 *     alone      nobody has: the next to open recovers
 *
 * and both once more with heirs that are killed in turn during that repair or recovery. Whoever
 * comes last is the checker: what was acknowledged is there, a change in doubt wholly or not at
 * all, counters agree with a recount, writes and a compaction work, and the file that the last
 * close leaves holds the same for a reader that knows version 1 of the format alone.
 *
 * Each step of the library must have killed somebody when all cases have run.
 */
#include "tests/concurrency/harness.h"
#include "tests/coverage/keep.h"
#include "tests/crash/kill_steps.h"
#include "tests/crash/ledger.h"

#include "format/header.h"
#include "format/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANES 6u /* runs side by side: most of a run is waiting for a dead holder's lock */
#define POINTS_MAX 1024u
#define SMALL 20u /* keys of a small database */
#define PEEK_MAX 16u
#define HEIRS 2u /* points in the repair after each death, that heirs die at */
#define READER_LINE (1u << 18)
#define READER_EVERY 300u /* runs, for the reader in another language */

struct scenario;

/* One run after the other; all in memory that every process shares. */
struct lane {
    ledger book;
    const struct scenario *scenario;
    bool attached;
    bool compacts; /* the checker does */
    int helpers;   /* of all who open */
    unsigned number;
    harness_barrier *ready;
    harness_barrier *go;
    struct step_plan maker, victim, heir;
    char path[512];
};

struct scenario {
    /* In a process of its own that does not close: what is there before. NULL: no file. */
    void (*make)(struct lane *lane);
    /* By the victim with the database open, before it is armed. */
    void (*prepare)(struct lane *lane, lxdb *db);
    /* Armed. */
    void (*act)(struct lane *lane, lxdb *db);
    bool opens;    /* the victim's opening is armed, too */
    bool closes;   /* and its closing */
    bool is_alone; /* there is nothing to be attached to */
    int sync;
    int helpers;
    unsigned most;  /* hits of one step to die at; 0: the default */
    unsigned heirs; /* points in the repair after each death to die at; 0: the default */
    bool is_heavy;  /* no heirs die, unless the run is a long one */
};

struct point {
    int step;
    uint32_t nth;
};

struct job {
    const struct scenario *scenario;
    bool attached;
    uint32_t hits[STEPS_MAX];
    struct point points[POINTS_MAX];
    unsigned n;
    _Atomic unsigned next;
    _Atomic unsigned second; /* turns through the heirs' points */
};

static struct arena {
    struct lane lanes[LANES];
    struct job job;
    _Atomic uint32_t killed[STEPS_MAX]; /* at each step */
    _Atomic unsigned runs;
    _Atomic unsigned cases;
} * arena;

/* What is going on, for the failure record: each process has its own copy. */
static char label[256];

/* ---- Files ----------------------------------------------------------------------------------- */

static const char *const suffixes[] = {"",         "-lock",          "-index",
                                       "-compact", "-compact-index", "-lost"};

static void remove_files(const struct lane *lane)
{
    char name[600];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", lane->path, suffixes[i]);
        CHECK(unlink(name) == 0 || errno == ENOENT, "%s: %s", name, strerror(errno));
    }
}

/* After a clean close: no file of a compaction, and no helper that was to be removed. */
static void check_files(const struct lane *lane)
{
    char name[600];

    for (size_t i = 1; i < 5; i++) {
        bool may = i < 3 && lane->helpers == LXDB_HELPERS_KEEP;

        (void)snprintf(name, sizeof(name), "%s%s", lane->path, suffixes[i]);
        CHECK(may || !harness_file_exists(name), "%s was left over", name);
    }
}

static lxdb *open_lane(const struct lane *lane)
{
    return harness_open(lane->path, (lxdb_options){.sync = lane->scenario->sync,
                                                   .helpers = lane->helpers,
                                                   .flags = LXDB_NOAUTOCOMPACT});
}

/* ---- The checker ----------------------------------------------------------------------------- */

/* The keys in doubt at one look, which sees a batch whole or not at all. */
static void check_peek(struct lane *lane, lxdb *db)
{
    const struct ledger_doubt *in = &lane->book.doubts[LEDGER_VICTIM];
    char keys[PEEK_MAX][LEDGER_KEY_LEN + 1];
    lxdb_item items[PEEK_MAX] = {0};
    int made = -1;

    if (in->n == 0 || in->n > PEEK_MAX)
        return;
    for (uint32_t i = 0; i < in->n; i++) {
        ledger_key(in->changes[i].key, keys[i]);
        items[i].key = keys[i];
        items[i].key_len = LEDGER_KEY_LEN;
    }
    CHECK_OK(db, lxdb_read_begin(db));
    CHECK_OK(db, lxdb_peek_many(db, items, in->n));
    for (uint32_t i = 0; i < in->n; i++) {
        uint32_t before = lane->book.versions[in->changes[i].key];
        uint32_t after = in->changes[i].version;
        uint32_t now = LEDGER_DEAD;

        if (items[i].rc == LXDB_OK)
            now = (uint32_t)harness_value_check(items[i].value, items[i].value_len, keys[i],
                                                LEDGER_KEY_LEN);
        else
            CHECK_RC(db, LXDB_NOTFOUND, items[i].rc);
        CHECK(now == before || now == after, "peeked version %u of %s, neither %u nor %u", now,
              keys[i], before, after);
        CHECK(before == after || made < 0 || made == (now == after),
              "peeked at a batch that is there in part (%s)", keys[i]);
        if (before != after)
            made = now == after;
    }
    lxdb_read_end(db);
}

/* Any work goes on, on the keys that were in doubt before all. */
static void check_writes(struct lane *lane, lxdb *db, const uint32_t keys[2])
{
    ledger *book = &lane->book;
    const struct ledger_change batch[] = {{keys[0], 1}, {book->highest, 1}, {keys[1], 0}};

    ledger_put(book, LEDGER_CHECKER, db, book->highest + 1, 0);
    ledger_put(book, LEDGER_CHECKER, db, keys[0], 0);
    ledger_put(book, LEDGER_CHECKER, db, keys[1], 0);
    ledger_remove(book, LEDGER_CHECKER, db, keys[0]);
    ledger_batch(book, LEDGER_CHECKER, db, batch, 3);
}

/* The database is closed: the file says the same to those who know nothing of us. */
static void check_closed(struct lane *lane, uint64_t dead_bytes)
{
    lxdb *db;

    ledger_check_closed(&lane->book, lane->path, dead_bytes);
    check_files(lane);
    db = open_lane(lane);
    (void)ledger_check(&lane->book, db, "reopened");
    CHECK_OK(db, lxdb_close(db));
}

static void repair(lxdb *db)
{
    /* takes the writer lock, ready to append, and then has nothing to do */
    CHECK_RC(db, LXDB_CONFLICT, lxdb_cas(db, "no such key", 11, "x", 1, "y", 1));
}

/* Behind the log nothing is left that a later recovery could take for a part of it. */
static void check_tail(struct lane *lane, lxdb *db)
{
    lxdb_stat_info stat;
    void *file;
    size_t len;

    CHECK_OK(db, lxdb_stat(db, &stat));
    if (stat.compactions != 0)
        return; /* then a position is no offset */
    CHECK(harness_file_read(lane->path, &file, &len), "%s is gone", lane->path);
    for (uint64_t at = stat.position; at < len; at++)
        CHECK(((const uint8_t *)file)[at] == 0, "a byte at %llu, behind the log's end at %llu",
              (unsigned long long)at, (unsigned long long)stat.position);
    free(file);
}

static void check(struct lane *lane, lxdb *db)
{
    static ledger_state state;
    const struct ledger_doubt *in = &lane->book.doubts[LEDGER_VICTIM];
    uint32_t keys[2] = {1, 2};
    unsigned before, after;
    lxdb_stat_info stat;
    uint64_t started;

    if (in->n > 0) {
        keys[0] = in->changes[0].key;
        keys[1] = in->changes[in->n - 1].key;
    }
    if (keys[0] == keys[1])
        keys[1] = keys[0] + 1;
    if (lane->number % 2 == 0)
        check_peek(lane, db); /* may have to repair, and the iteration must not need that */
    CHECK_OK(db, ledger_read_iterating(&lane->book, db, &state));
    before = ledger_compare(&lane->book, &state);
    if (lane->number % 2 != 0)
        check_peek(lane, db);
    started = harness_now_ms();
    repair(db);
    harness_count_max("longest wait for a dead writer's lock, ms", harness_now_ms() - started);
    after = ledger_check(&lane->book, db, "repaired");
    CHECK((before & ~after) == 0, "a change was visible before the repair and is not after it");
    check_tail(lane, db);
    check_writes(lane, db, keys);
    (void)ledger_check(&lane->book, db, "written");
    if (lane->compacts) {
        CHECK_OK(db, lxdb_compact(db, NULL));
        (void)ledger_check(&lane->book, db, "compacted");
        check_writes(lane, db, keys);
        (void)ledger_check(&lane->book, db, "written after a compaction");
    }
    CHECK_OK(db, lxdb_stat(db, &stat));
    CHECK_OK(db, lxdb_close(db));
    check_closed(lane, stat.dead_bytes);
}

/* ---- The processes of a run ------------------------------------------------------------------ */

static void be_maker(void *arg)
{
    struct lane *lane = arg;

    lane->scenario->make(lane);
    coverage_keep();
    _exit(0);
}

static void be_victim(void *arg)
{
    struct lane *lane = arg;
    const struct scenario *scenario = lane->scenario;
    int step = lane->victim.step;
    uint32_t nth = lane->victim.nth;
    lxdb *db = NULL;

    harness_stage(label);
    if (scenario->opens)
        steps_arm(&lane->victim, step, nth);
    db = open_lane(lane);
    if (!scenario->opens) {
        if (scenario->prepare != NULL)
            scenario->prepare(lane, db);
        steps_arm(&lane->victim, step, nth);
    }
    if (scenario->act != NULL)
        scenario->act(lane, db);
    if (scenario->closes)
        CHECK_OK(db, lxdb_close(db));
    steps_disarm();
    coverage_keep();
    _exit(0); /* a death like another, when it has not closed */
}

static void be_heir(void *arg)
{
    struct lane *lane = arg;
    lxdb *db;

    harness_stage(label);
    steps_arm(&lane->heir, lane->heir.step, lane->heir.nth);
    db = open_lane(lane);
    repair(db);
    steps_disarm();
    coverage_keep();
    _exit(0);
}

static void be_checker(void *arg)
{
    struct lane *lane = arg;
    lxdb *db;

    harness_stage(label);
    db = open_lane(lane);
    if (lane->attached) {
        harness_barrier_wait(lane->ready);
        harness_barrier_wait(lane->go);
    }
    check(lane, db);
}

/* The end of a process that may be killed. True: it was. */
static bool await(int worker)
{
    int status = 0;

    while (waitpid(harness_pid(worker), &status, 0) < 0)
        CHECK(errno == EINTR, "waitpid: %s", strerror(errno));
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
              (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL),
          "a process ended with status %#x", (unsigned)status);
    harness_forget(worker);
    return WIFSIGNALED(status);
}

static size_t print_hex(char *text, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *text++ = digits[((const uint8_t *)bytes)[i] >> 4];
        *text++ = digits[((const uint8_t *)bytes)[i] & 15];
    }
    return 2 * len;
}

/* What the reader in another language has to print for a record. */
static void expect_line(uint32_t key, uint32_t version, char ret_line[READER_LINE])
{
    static uint8_t value[READER_LINE / 2];
    size_t len = ledger_value_len(key, version), used;
    char text[LEDGER_KEY_LEN + 1];

    ledger_key(key, text);
    ledger_value(key, version, value);
    used = print_hex(ret_line, text, LEDGER_KEY_LEN);
    ret_line[used++] = '\t';
    used += print_hex(ret_line + used, value, len);
    ret_line[used++] = '\n';
    ret_line[used] = '\0';
}

static void check_reader(struct lane *lane)
{
    static char line[READER_LINE], expected[READER_LINE];
    const char *source = getenv("top_srcdir");
    char command[1400];
    FILE *output;

    (void)snprintf(command, sizeof(command), "python3 '%s/tests/compat/reader.py' '%s'",
                   source != NULL ? source : ".", lane->path);
    output = popen(command, "r");
    CHECK(output != NULL, "popen: %s", strerror(errno));
    for (uint32_t key = 0; key < lane->book.highest; key++) {
        if (lane->book.versions[key] == LEDGER_DEAD)
            continue;
        expect_line(key, lane->book.versions[key], expected);
        CHECK(fgets(line, sizeof(line), output) != NULL, "reader.py ends before key %u", key);
        CHECK(strcmp(line, expected) == 0, "reader.py has another key or value than key %u", key);
    }
    CHECK(fgets(line, sizeof(line), output) == NULL, "reader.py has more records");
    CHECK(pclose(output) == 0, "reader.py does not accept %s", lane->path);
    harness_count("files read in another language", 1);
}

static void describe(const struct lane *lane, struct point first, struct point second)
{
    (void)snprintf(label, sizeof(label), "%s, killed at \"%s\" %u, heirs at \"%s\" %u",
                   lane->attached ? "attached" : "alone",
                   first.step < 0 ? "the end" : steps_name((size_t)first.step), first.nth,
                   second.step < 0 ? "nothing" : steps_name((size_t)second.step), second.nth);
    harness_stage(label);
}

static void note_kill(struct point at)
{
    (void)atomic_fetch_add(&arena->killed[at.step], 1);
    harness_count("kills", 1);
}

static const struct point nowhere = {-1, 0};

/* From nothing to a checked and closed database. `heirs`: how many may die at `second`. True: the
 * victim was killed. */
static bool run(struct lane *lane, struct point first, int heirs, struct point second)
{
    int checker = -1, worker;
    bool killed;

    lane->number = atomic_fetch_add(&arena->runs, 1);
    lane->compacts = lane->number % 2 == 0;
    lane->helpers = lane->scenario->helpers;
    if (lane->helpers == LXDB_HELPERS_AUTO && lane->number % 3 == 0)
        lane->helpers = LXDB_HELPERS_KEEP;
    describe(lane, first, second);
    remove_files(lane);
    ledger_clear(&lane->book);
    if (lane->scenario->make != NULL)
        (void)await(harness_start("maker", be_maker, lane));
    if (lane->attached) {
        checker = harness_start("bystander", be_checker, lane);
        harness_barrier_wait(lane->ready);
    }
    lane->victim = (struct step_plan){.step = first.step, .nth = first.nth};
    worker = harness_start("victim", be_victim, lane);
    killed = await(worker);
    CHECK(killed != lane->victim.finished, "the victim was killed by somebody else");
    if (killed)
        note_kill(first);
    for (int i = 0; i < heirs; i++) {
        lane->heir = (struct step_plan){.step = second.step, .nth = second.nth};
        if (!await(harness_start("heir", be_heir, lane)))
            break;
        note_kill(second);
        harness_count("kills in a repair or recovery", 1);
    }
    if (lane->attached)
        harness_barrier_wait(lane->go);
    else
        checker = harness_start("checker", be_checker, lane);
    harness_wait(checker);
    harness_count("databases checked", 1);
    if (lane->number % READER_EVERY == 0)
        check_reader(lane);
    return killed;
}

/* ---- All points of a scenario ---------------------------------------------------------------- */

/* Which hits of each step to die at. */
static unsigned choose(const uint32_t hits[STEPS_MAX], unsigned most, harness_rng *rng,
                       struct point points[POINTS_MAX])
{
    unsigned n = 0;

    for (size_t step = 0; step < steps_count(); step++) {
        uint32_t all = hits[step];
        unsigned each = harness_rounds(most);

        for (uint32_t i = 0; i < (all < each ? all : each) && n < POINTS_MAX; i++) {
            uint32_t nth = i + 1;

            if (all > each && i >= each / 2)
                nth = i == each - 1 ? all : 1 + (uint32_t)harness_below(rng, all);
            points[n++] = (struct point){(int)step, nth};
        }
    }
    return n;
}

static struct lane *lane_begin(unsigned number, struct job *job)
{
    struct lane *lane = &arena->lanes[number];

    lane->scenario = job->scenario;
    lane->attached = job->attached;
    (void)snprintf(lane->path, sizeof(lane->path), "%s/lane%u.lxdb", harness_directory(), number);
    return lane;
}

static void dry_run(void *arg)
{
    struct job *job = arg;
    struct lane *lane = lane_begin(0, job);
    harness_rng rng = harness_rng_make(1);
    unsigned most = job->scenario->most != 0 ? job->scenario->most : 3;

    CHECK(!run(lane, nowhere, 0, nowhere), "killed although it was not to be");
    memcpy(job->hits, lane->victim.hits, sizeof(job->hits));
    job->n = choose(job->hits, most, &rng, job->points);
    (void)run(lane, nowhere, 1, nowhere);
}

/* One point: the death, and then again with deaths of those who come after it. */
static void die_at(struct lane *lane, struct job *job, struct point at)
{
    static struct point seconds[POINTS_MAX];
    harness_rng rng = harness_rng_make(atomic_load(&arena->runs));
    unsigned heirs = job->scenario->heirs != 0 ? job->scenario->heirs : HEIRS;
    unsigned n;

    if (!run(lane, at, 0, nowhere)) {
        harness_count("points missed", 1); /* a split more or less, with another seed of the hash */
        return;
    }
    if (job->scenario->is_heavy && harness_rounds(1) == 1)
        return;
    (void)run(lane, at, 1, nowhere); /* counts what the heir comes by */
    /* those of a repair are few, and come in turn: a scenario has more points than there are */
    n = choose(lane->heir.hits, 2, &rng, seconds);
    for (unsigned i = 0; i < n && i < harness_rounds(heirs); i++)
        (void)run(lane, at, 2, seconds[atomic_fetch_add(&job->second, 1) % n]);
}

static void work_lane(void *arg)
{
    struct job *job = &arena->job;
    struct lane *lane = arg;
    unsigned next;

    lane_begin((unsigned)(lane - arena->lanes), job);
    while ((next = atomic_fetch_add(&job->next, 1)) < job->n)
        die_at(lane, job, job->points[next]);
    remove_files(lane);
}

static void run_scenario(const struct scenario *scenario, bool attached)
{
    struct job *job = &arena->job;
    int workers[LANES];

    memset(job, 0, sizeof(*job));
    job->scenario = scenario;
    job->attached = attached;
    harness_phase(attached ? "attached" : "alone");
    harness_wait(harness_start("dry run", dry_run, job));
    CHECK(job->n >= 5, "only %u points to die at", job->n);
    for (unsigned i = 0; i < LANES; i++) {
        arena->lanes[i].ready = harness_barrier_new(2);
        arena->lanes[i].go = harness_barrier_new(2);
    }
    for (unsigned i = 0; i < LANES; i++)
        workers[i] = harness_start("lane", work_lane, &arena->lanes[i]);
    for (unsigned i = 0; i < LANES; i++)
        harness_wait(workers[i]);
}

static void run_both(const struct scenario *scenario)
{
    run_scenario(scenario, false);
    if (!scenario->is_alone)
        run_scenario(scenario, true);
    (void)atomic_fetch_add(&arena->cases, 1);
}

/* ---- Scenarios: what was there before -------------------------------------------------------- */

static void put_range(struct lane *lane, int role, lxdb *db, uint32_t from, uint32_t to)
{
    static struct ledger_change changes[LEDGER_KEYS];
    uint32_t n = 0;

    for (uint32_t key = from; key < to; key++)
        changes[n++] = (struct ledger_change){key, 1};
    ledger_batch(&lane->book, role, db, changes, n);
}

static void remove_range(struct lane *lane, int role, lxdb *db, uint32_t from, uint32_t to)
{
    static struct ledger_change changes[LEDGER_KEYS];
    uint32_t n = 0;

    for (uint32_t key = from; key < to; key++)
        changes[n++] = (struct ledger_change){key, LEDGER_DEAD};
    ledger_batch(&lane->book, role, db, changes, n);
}

static void fill_small(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, 0, SMALL);
    for (uint32_t key = 0; key < SMALL; key += 4)
        ledger_put(&lane->book, LEDGER_VICTIM, db, key, 0);
    ledger_remove(&lane->book, LEDGER_VICTIM, db, 3);
    ledger_remove(&lane->book, LEDGER_VICTIM, db, 8);
}

static void make_small(struct lane *lane)
{
    lxdb *db = open_lane(lane);

    fill_small(lane, db);
    CHECK_OK(db, lxdb_close(db));
}

/* A process died between two changes. */
static void make_crashed(struct lane *lane)
{
    fill_small(lane, open_lane(lane));
}

/* A process died while it wrote the second record of a batch. */
static void make_torn(struct lane *lane)
{
    const struct ledger_change batch[] = {{30, LEDGER_LARGE | 1}, {31, 1}, {5, 1}};
    lxdb *db = open_lane(lane);
    int store = 0;

    while (strcmp(steps_name((size_t)store), "io store") != 0)
        store++;
    fill_small(lane, db);
    steps_arm(&lane->maker, store, 5);
    ledger_batch(&lane->book, LEDGER_VICTIM, db, batch, 3);
}

/* What lxcore leaves: records killed by their status byte alone, and live ones that were killed
 * in an order of which the log tells nothing. */
static void make_foreign(struct lane *lane)
{
    static uint8_t file[1u << 20];
    uint8_t value[256];
    size_t size = LX_HEADER_SIZE;

    lx_header_encode(file, 0);
    for (uint32_t key = 0; key < 1500; key++) {
        uint32_t first = ledger_next(&lane->book), second = ledger_next(&lane->book);
        /* 0: killed; 1: live, before a copy that is dead; 2: live twice; 3: live */
        unsigned kind = key % 4;
        char text[LEDGER_KEY_LEN + 1];

        ledger_key(key, text);
        for (int copy = 0; copy < (kind == 1 || kind == 2 ? 2 : 1); copy++) {
            uint32_t version = copy == 0 ? first : second;
            uint32_t len = (uint32_t)ledger_value_len(key, version);

            ledger_value(key, version, value);
            lx_record_encode(file + size, 1, text, LEDGER_KEY_LEN, value, len);
            if (kind == 0 || (kind == 1 && copy == 1))
                file[size] = 0;
            size += lx_record_size(LEDGER_KEY_LEN, len);
        }
        lane->book.versions[key] = kind == 0 ? LEDGER_DEAD : kind == 2 ? second : first;
        lane->book.highest = key + 1;
    }
    lane->book.unordered = true;
    harness_file_write(lane->path, file, size);
}

/* ---- Scenarios: what the victim does --------------------------------------------------------- */

static void begin_session(struct lane *lane, lxdb *db)
{
    ledger_put(&lane->book, LEDGER_VICTIM, db, 1, 0);
}

static void put_one(struct lane *lane, lxdb *db)
{
    ledger_put(&lane->book, LEDGER_VICTIM, db, 30, 0);
}

static void put_some(struct lane *lane, lxdb *db)
{
    ledger_put(&lane->book, LEDGER_VICTIM, db, 30, 0);
    ledger_put(&lane->book, LEDGER_VICTIM, db, 5, 0);
    ledger_remove(&lane->book, LEDGER_VICTIM, db, 6);
    ledger_put(&lane->book, LEDGER_VICTIM, db, 5, LEDGER_LARGE); /* too large for one piece */
}

static void put_batch(struct lane *lane, lxdb *db)
{
    const struct ledger_change batch[] = {{30, 1}, {5, 1}, {6, 0}, {31, 1}, {9, 1}, {10, 0}};

    ledger_batch(&lane->book, LEDGER_VICTIM, db, batch, 6);
}

static void put_large(struct lane *lane, lxdb *db)
{
    for (uint32_t key = 5; key < 10; key++)
        ledger_put(&lane->book, LEDGER_VICTIM, db, key, LEDGER_LARGE);
}

static void remove_all(struct lane *lane, lxdb *db)
{
    ledger_remove_all(&lane->book, LEDGER_VICTIM, db);
}

/* The first segment of an index has 2040 slots and is split when more than 1785 would be taken. */
#define SEGMENT_LIMIT 1785u
#define MANY 850u /* less than half of that, with the few that are left */

static void fill_all_but_one(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, 0, SEGMENT_LIMIT - 1);
}

static void fill_up(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, 0, SEGMENT_LIMIT);
}

static void fill_partly(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, 0, SEGMENT_LIMIT - 60);
}

static void put_behind(struct lane *lane, lxdb *db)
{
    ledger_put(&lane->book, LEDGER_VICTIM, db, 2000, 0);
    ledger_put(&lane->book, LEDGER_VICTIM, db, 5, 0);
}

static void put_rest(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, SEGMENT_LIMIT - 60, SEGMENT_LIMIT);
}

static void put_many(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, 1000, 2600);
}

/* A bucket that was full keeps markers where its keys were, and they count as taken. So little is
 * left in the segment that what does not fit then has it written anew, and not split. */
static void fill_with_markers(struct lane *lane, lxdb *db)
{
    lxdb_stat_info stat;

    fill_all_but_one(lane, db);
    remove_range(lane, LEDGER_VICTIM, db, 20, SEGMENT_LIMIT - 1);
    CHECK_OK(db, lxdb_stat(db, &stat));
    CHECK(stat.index_slots == 2040 && stat.index_used > SEGMENT_LIMIT - MANY,
          "%llu of %llu slots are taken: too few for a segment to be written anew",
          (unsigned long long)stat.index_used, (unsigned long long)stat.index_slots);
}

static void put_where_markers_are(struct lane *lane, lxdb *db)
{
    lxdb_stat_info stat;

    put_range(lane, LEDGER_VICTIM, db, 2000, 2000 + MANY);
    CHECK_OK(db, lxdb_stat(db, &stat));
    CHECK(stat.index_slots == 2040, "the segment was split");
}

static void fill_index(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, 0, 18000);
}

static void put_beyond_index(struct lane *lane, lxdb *db)
{
    put_range(lane, LEDGER_VICTIM, db, 17990, 30000);
}

struct meanwhile {
    struct lane *lane;
    lxdb *db;
    unsigned reports;
};

static int write_meanwhile(void *arg, uint64_t done, uint64_t total)
{
    struct meanwhile *meanwhile = arg;

    (void)done;
    (void)total;
    if (meanwhile->reports++ == 1) { /* the small ones are copied already */
        put_some(meanwhile->lane, meanwhile->db);
        put_batch(meanwhile->lane, meanwhile->db);
    }
    return 0;
}

/* Enough for a compaction to report its progress on the way. */
static void begin_with_large_values(struct lane *lane, lxdb *db)
{
    begin_session(lane, db);
    for (uint32_t key = 12; key < 16; key++)
        ledger_put(&lane->book, LEDGER_VICTIM, db, key, LEDGER_LARGE);
}

static void compact(struct lane *lane, lxdb *db)
{
    struct meanwhile meanwhile = {lane, db, 0};
    const lxdb_progress progress = {write_meanwhile, &meanwhile};

    CHECK_OK(db, lxdb_compact(db, &progress));
    CHECK(meanwhile.reports > 1, "the compaction reported %u times", meanwhile.reports);
}

/* More than a compaction leaves for its last, short part: it has to catch up in slices. */
static void write_while_syncing(void *arg, unsigned number)
{
    struct meanwhile *meanwhile = arg;

    if (number <= 2)
        for (uint32_t key = 0; key < 12; key++)
            ledger_put(&meanwhile->lane->book, LEDGER_VICTIM, meanwhile->db, key, LEDGER_LARGE);
}

static void compact_catching_up(struct lane *lane, lxdb *db)
{
    struct meanwhile meanwhile = {lane, db, 0};

    steps_on_sync = write_while_syncing;
    steps_on_sync_arg = &meanwhile;
    CHECK_OK(db, lxdb_compact(db, NULL));
    steps_on_sync = NULL;
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static void creation_killed_leaves_a_database_or_none(void)
{
    run_both(&(struct scenario){.act = put_one, .opens = true, .is_alone = true});
}

static void first_write_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.make = make_small, .act = put_one});
}

static void first_write_into_a_foreign_file_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.make = make_foreign, .act = put_one, .most = 4});
}

static void puts_killed_lose_nothing(void)
{
    run_both(&(struct scenario){.make = make_small, .prepare = begin_session, .act = put_some});
}

static void synced_put_killed_loses_nothing(void)
{
    run_both(&(struct scenario){
        .make = make_small, .prepare = begin_session, .act = put_one, .sync = LXDB_SYNC_FULL});
}

static void batch_killed_is_whole_or_absent(void)
{
    run_both(&(struct scenario){
        .make = make_small, .prepare = begin_session, .act = put_batch, .heirs = 10});
}

static void clear_killed_is_whole_or_absent(void)
{
    run_both(&(struct scenario){.make = make_small, .prepare = begin_session, .act = remove_all});
}

static void growth_of_the_log_killed_loses_nothing(void)
{
    run_both(&(struct scenario){
        .make = make_small, .prepare = begin_session, .act = put_large, .most = 3});
}

static void split_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.prepare = fill_up, .act = put_behind, .most = 3});
}

static void put_that_fills_a_segment_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.prepare = fill_all_but_one, .act = put_behind, .most = 3});
}

static void batch_that_fills_a_segment_killed_is_whole_or_absent(void)
{
    run_both(&(struct scenario){.prepare = fill_partly, .act = put_rest, .most = 3});
}

static void batch_that_splits_killed_is_whole_or_absent(void)
{
    run_both(&(struct scenario){.prepare = fill_partly, .act = put_many, .most = 3});
}

static void rewrite_of_a_segment_killed_loses_nothing(void)
{
    run_both(
        &(struct scenario){.prepare = fill_with_markers, .act = put_where_markers_are, .most = 2});
}

static void growth_of_the_index_killed_loses_nothing(void)
{
    run_both(&(struct scenario){
        .prepare = fill_index, .act = put_beyond_index, .most = 1, .is_heavy = true});
}

static void compaction_killed_loses_nothing(void)
{
    run_both(&(struct scenario){
        .make = make_small, .prepare = begin_with_large_values, .act = compact, .most = 2});
}

static void compaction_catching_up_killed_loses_nothing(void)
{
    run_both(&(struct scenario){
        .make = make_small, .prepare = begin_session, .act = compact_catching_up, .most = 1});
}

static void open_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.make = make_small, .act = put_one, .opens = true});
}

static void open_with_a_kept_index_killed_loses_nothing(void)
{
    run_both(&(struct scenario){
        .make = make_small, .act = put_one, .opens = true, .helpers = LXDB_HELPERS_KEEP});
}

static void open_after_a_crash_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.make = make_crashed, .opens = true, .is_alone = true});
}

static void open_after_a_torn_write_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.make = make_torn, .opens = true, .is_alone = true});
}

static void close_killed_loses_nothing(void)
{
    run_both(&(struct scenario){
        .make = make_small, .prepare = put_some, .closes = true, .is_alone = true});
}

static void close_keeping_the_index_killed_loses_nothing(void)
{
    run_both(&(struct scenario){.make = make_small,
                                .prepare = put_some,
                                .closes = true,
                                .is_alone = true,
                                .helpers = LXDB_HELPERS_KEEP});
}

static void every_step_has_killed(void);

static const harness_case cases[] = {
    HARNESS_CASE(creation_killed_leaves_a_database_or_none),
    HARNESS_CASE(first_write_killed_loses_nothing),
    HARNESS_CASE(first_write_into_a_foreign_file_killed_loses_nothing),
    HARNESS_CASE(puts_killed_lose_nothing),
    HARNESS_CASE(synced_put_killed_loses_nothing),
    HARNESS_CASE(batch_killed_is_whole_or_absent),
    HARNESS_CASE(clear_killed_is_whole_or_absent),
    HARNESS_CASE(growth_of_the_log_killed_loses_nothing),
    HARNESS_CASE(split_killed_loses_nothing),
    HARNESS_CASE(put_that_fills_a_segment_killed_loses_nothing),
    HARNESS_CASE(batch_that_fills_a_segment_killed_is_whole_or_absent),
    HARNESS_CASE(batch_that_splits_killed_is_whole_or_absent),
    HARNESS_CASE(rewrite_of_a_segment_killed_loses_nothing),
    HARNESS_CASE(growth_of_the_index_killed_loses_nothing),
    HARNESS_CASE(compaction_killed_loses_nothing),
    HARNESS_CASE(compaction_catching_up_killed_loses_nothing),
    HARNESS_CASE(open_killed_loses_nothing),
    HARNESS_CASE(open_with_a_kept_index_killed_loses_nothing),
    HARNESS_CASE(open_after_a_crash_killed_loses_nothing),
    HARNESS_CASE(open_after_a_torn_write_killed_loses_nothing),
    HARNESS_CASE(close_killed_loses_nothing),
    HARNESS_CASE(close_keeping_the_index_killed_loses_nothing),
    HARNESS_CASE(every_step_has_killed),
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static void every_step_has_killed(void)
{
    for (size_t step = 0; step < steps_count(); step++) {
        printf("%-28s %6u\n", steps_name(step), arena->killed[step]);
        CHECK(arena->cases < CASES - 1 || arena->killed[step] > 0, "nobody was killed at \"%s\"",
              steps_name(step));
    }
    harness_count_least("kills", 5000);
    harness_count_least("kills in a repair or recovery", 3000);
    harness_count_least("databases checked", 2000);
    harness_count_least("files read in another language", 10);
}

int main(int argc, char **argv)
{
    arena = mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) {
        perror("kill_points");
        return 1;
    }
    steps_install();
    return harness_main(argc, argv, cases, CASES);
}
