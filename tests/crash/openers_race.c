/* SPDX-License-Identifier: MIT */
/*
 * All processes that have a database open are killed at one moment, and then eight open it at once.
 * Whoever is first recovers, and dies in it: at a random step (kill_steps.h), or killed at a random
 * moment. While nobody is there, the helper files are removed, damaged or replaced by older ones,
 * and files of a compaction are planted; some of the eight open read-only.
 *
 *   - Everybody else gets the database, with all that was acknowledged (diary.h), and none waits
 *     for the dead.
 *   - There is one verdict: at most one of those who live has recovered, and all have the same
 *     receipt, of a crash without damage.
 *   - Nothing is left of compactions that nobody ended, nor behind the end of the log.
 *   - They write, until they are killed in turn. Now and then what is left is checked in full and
 *     closed cleanly, and must then be without a complaint.
 *
 * In some races openers close again at once, and come back: then last closes, with the removal of
 * the helper files, race with openings and recoveries, and each may find another verdict, or none.
 */
#include "tests/concurrency/harness.h"
#include "tests/crash/diary.h"
#include "tests/crash/kill_steps.h"

#include "engine/core.h"
#include "store/layout.h"
#include "sys/host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LANES 2u
#define OPENERS 8u
#define READERS_MOST 3u
#define VISITS_MOST 4u
#define ROUNDS 200u
#define CLOSE_EVERY 20u
#define NEW_MOST 300u
#define PAUSE_NS 2000000u
#define PAUSE_ONE_IN 24u /* steps of who dawdles */
#define PAUSE_ONE_IN_STORES 4u
#define LOOK_NS 100000000u /* between two looks for the next phase, should a wake be missed */

enum { GATHER, OPEN, CHECK_ALL, WRITE }; /* phases of a round */
enum { DIE_AT_A_STEP, DIE_AT_A_MOMENT, DIE_ANYWHERE };

struct lane;

/* A place among the eight: in each round another process has it. */
struct opener {
    struct lane *lane;
    unsigned number;
    unsigned births;
    int worker;
    bool alive;
    bool reads_only;
    unsigned visits; /* closes again, and comes back, so often */
    _Atomic uint64_t arrived, opened, checked;
    _Atomic uint64_t recovering; /* from the begin of a recovery until it is attached */
    _Atomic uint64_t recovered;  /* recoveries that it brought to an end */
    _Atomic uint64_t recovery_steps;
    _Atomic uint64_t step;   /* the last of them */
    _Atomic uint64_t pauses; /* 1: it does so now */
    _Atomic uint32_t hits[STEPS_MAX];
    lxdb_report receipt;
};

struct lane {
    const char *path;
    unsigned number;
    harness_rng rng;
    struct opener openers[OPENERS];
    diary diaries[OPENERS];
    bool is_visited; /* some close again */
    lxdb_report verdict;
    lxdb_report verdict_before;
    _Atomic uint32_t phase;
    /* Who dies in the recovery: so many, at the nth hit of a step; or whoever pauses after so many
     * steps of any kind. */
    _Atomic int to_die;
    size_t die_at;
    uint32_t die_nth;
    _Atomic uint64_t pause_after;
    /* Now and then a step takes long, so that others come in between, or all are caught there. */
    _Atomic uint64_t dawdles;
    _Atomic uint32_t hits[STEPS_MAX]; /* of the last recovery that came to its end */
    void *old_lock, *old_index;       /* contents of an earlier round */
    size_t old_lock_len, old_index_len;
};

static struct arena {
    struct lane lanes[LANES];
    _Atomic uint64_t rounds[LANES];
    _Atomic uint64_t deaths[STEPS_MAX]; /* in a recovery, by the last step */
    _Atomic unsigned begun;
} * arena;

/* ---- In an opener ---------------------------------------------------------------------------- */

static struct opener *self;
static harness_rng step_rng;
static size_t store; /* the step of a commit in which a death leaves a tail to be cut */

static void pause_here(void)
{
    static const struct timespec time = {0, PAUSE_NS};

    atomic_store(&self->pauses, 1);
    (void)nanosleep(&time, NULL);
    atomic_store(&self->pauses, 0);
}

static void step_in_recovery(size_t step)
{
    struct lane *lane = self->lane;
    uint32_t nth = atomic_fetch_add(&self->hits[step], 1) + 1;

    atomic_store(&self->step, step);
    if (step == lane->die_at && nth == lane->die_nth && atomic_fetch_sub(&lane->to_die, 1) > 0) {
        (void)kill(getpid(), SIGKILL);
        (void)pause();
    }
    if (atomic_fetch_add(&self->recovery_steps, 1) + 1 == atomic_load(&lane->pause_after))
        pause_here();
}

static void on_step(size_t step)
{
    if (self == NULL)
        return;
    if (atomic_load(&self->recovering) != 0)
        step_in_recovery(step);
    else if (atomic_load(&self->lane->dawdles) != 0 &&
             harness_below(&step_rng, step == store ? PAUSE_ONE_IN_STORES : PAUSE_ONE_IN) == 0)
        pause_here();
}

int __real_lx_recover(lx_core *core, int data_fd, lx_view **ret_view);
int __wrap_lx_recover(lx_core *core, int data_fd, lx_view **ret_view);

int __wrap_lx_recover(lx_core *core, int data_fd, lx_view **ret_view)
{
    int rc;

    if (self != NULL)
        atomic_store(&self->recovering, 1);
    rc = __real_lx_recover(core, data_fd, ret_view);
    if (self != NULL && rc == LXDB_OK)
        (void)atomic_fetch_add(&self->recovered, 1);
    return rc;
}

static void await_phase(struct lane *lane, uint32_t phase)
{
    uint32_t now;

    while ((now = atomic_load(&lane->phase)) < phase)
        lx_futex_wait(&lane->phase, now, LOOK_NS);
}

static bool same_verdict(const lxdb_report *a, const lxdb_report *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* One that reads the file for itself knows of no handle. */
static bool is_attached(void *arg)
{
    lxdb_stat_info info;

    CHECK_OK(arg, lxdb_stat(arg, &info));
    return info.handles > 0;
}

/* A reader that came before any writer has read the file for itself. It has found the same, and
 * attaches once it notices the others. */
static void reader_check(struct opener *opener, lxdb *db)
{
    const lxdb_report *mine = &opener->receipt, *verdict = &opener->lane->verdict;
    lxdb_report receipt;

    harness_until("a reader to attach", is_attached, db);
    if (opener->lane->is_visited)
        return;
    CHECK(mine->tail == verdict->tail && mine->records_live == verdict->records_live &&
              mine->live_bytes == verdict->live_bytes && mine->bytes_damaged == 0,
          "a reader found %llu records before %llu, the recovery %llu before %llu",
          (unsigned long long)mine->records_live, (unsigned long long)mine->tail,
          (unsigned long long)verdict->records_live, (unsigned long long)verdict->tail);
    CHECK_OK(db, lxdb_recovery(db, &receipt));
    CHECK(same_verdict(&receipt, verdict), "an attached reader has another verdict");
    harness_count("read-only openers checked", 1);
}

static void check_all(struct opener *opener, lxdb *db, harness_rng *rng)
{
    harness_stage("checking");
    if (!opener->reads_only)
        diary_settle(&opener->lane->diaries[opener->number], db, rng);
    else
        reader_check(opener, db);
    for (unsigned i = 0; i < OPENERS; i++)
        diary_check(&opener->lane->diaries[i], db, rng, false);
}

static void work(struct opener *opener, lxdb *db, harness_rng *rng)
{
    struct lane *lane = opener->lane;

    harness_stage("working");
    for (;;) {
        if (opener->reads_only)
            diary_look(&lane->diaries[harness_below(rng, OPENERS)], db, rng, false);
        else if (harness_below(rng, 64) == 0)
            CHECK_OK(db, lxdb_compact(db, NULL));
        else
            diary_change(&lane->diaries[opener->number], db, rng);
        harness_progress();
    }
}

static lxdb *enter(struct opener *opener, lxdb_options options)
{
    lxdb *db;

    harness_stage("opening");
    db = harness_open(opener->lane->path, options);
    atomic_store(&opener->recovering, 0);
    return db;
}

static void opener_run(void *arg)
{
    struct opener *opener = arg;
    struct lane *lane = opener->lane;
    harness_rng rng = harness_rng_make(
        ((uint64_t)opener->births * OPENERS + opener->number) * LANES + lane->number);
    lxdb_options options = {.flags = LXDB_NOCREATE, .busy_timeout_ms = UINT32_MAX};
    lxdb *db;

    if (opener->reads_only)
        options.flags = LXDB_RDONLY;
    self = opener;
    step_rng = rng;
    atomic_store(&opener->arrived, 1);
    await_phase(lane, OPEN);
    db = enter(opener, options);
    for (unsigned i = 0; i < opener->visits; i++) {
        diary_check(&lane->diaries[harness_below(&rng, OPENERS)], db, &rng, false);
        harness_stage("closing");
        CHECK_OK(NULL, lxdb_close(db));
        harness_count("visits", 1);
        options.helpers = harness_below(&rng, 2) == 0 ? LXDB_HELPERS_REMOVE : LXDB_HELPERS_KEEP;
        db = enter(opener, options);
    }
    if (!lane->is_visited)
        CHECK_OK(db, lxdb_recovery(db, &opener->receipt));
    if (atomic_load(&opener->recovered) != 0)
        for (size_t step = 0; step < STEPS_MAX; step++)
            atomic_store(&lane->hits[step], atomic_load(&opener->hits[step]));
    atomic_store(&opener->opened, 1);
    await_phase(lane, CHECK_ALL);
    check_all(opener, db, &rng);
    atomic_store(&opener->checked, 1);
    await_phase(lane, WRITE);
    work(opener, db, &rng);
}

/* ---- Before they come ------------------------------------------------------------------------ */

enum {
    HARM_NONE,
    HARM_REMOVE,
    HARM_EMPTY,
    HARM_CUT,
    HARM_ZEROS,
    HARM_NOISE,
    HARM_SPECKS,
    HARM_OLD
};

static void noise(harness_rng *rng, unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)harness_random(rng);
}

/* Specks leave the first page alone: there a single word can say that a sync has failed, and that
 * has to be believed (helpers_damage has it). */
static void harm(harness_rng *rng, const char *path, const void *old, size_t old_len)
{
    static const uint64_t kinds[] = {HARM_NONE,   HARM_NONE,   HARM_NONE, HARM_NONE,
                                     HARM_REMOVE, HARM_EMPTY,  HARM_CUT,  HARM_ZEROS,
                                     HARM_NOISE,  HARM_SPECKS, HARM_OLD,  HARM_REMOVE};
    uint64_t kind = kinds[harness_below(rng, sizeof(kinds) / sizeof(kinds[0]))];
    unsigned char *bytes;
    void *file;
    size_t len;

    if (kind == HARM_NONE || !harness_file_read(path, &file, &len))
        return;
    bytes = file;
    if (kind == HARM_REMOVE) {
        CHECK(unlink(path) == 0, "%s: %s", path, strerror(errno));
        harness_count("helpers removed", 1);
    } else if (kind == HARM_OLD && old != NULL) {
        harness_file_write(path, old, old_len);
        harness_count("helpers replaced by older ones", 1);
    } else {
        if (kind == HARM_EMPTY)
            len = 0;
        else if (kind == HARM_CUT)
            len = harness_below(rng, len + 1);
        else if (kind == HARM_NOISE)
            noise(rng, bytes, len);
        else if (kind == HARM_SPECKS)
            for (uint64_t n = 1 + harness_below(rng, 40); n > 0 && len > 4096; n--)
                bytes[4096 + harness_below(rng, len - 4096)] = (unsigned char)harness_random(rng);
        else
            memset(bytes, 0, len);
        harness_file_write(path, bytes, len);
        harness_count("helpers damaged", 1);
    }
    free(file);
}

static void plant(harness_rng *rng, const char *path, const char *of)
{
    void *file;
    size_t len;

    CHECK(harness_file_read(of, &file, &len), "%s is gone", of);
    if (harness_below(rng, 3) == 0)
        noise(rng, file, len);
    harness_file_write(path, file, harness_below(rng, 2) == 0 ? len : harness_below(rng, len + 1));
    harness_count("files of a compaction planted", 1);
    free(file);
}

static void trouble(struct lane *lane)
{
    char lock[4200], index[4200], compact[4200], compact_index[4200];

    (void)snprintf(lock, sizeof(lock), "%s-lock", lane->path);
    (void)snprintf(index, sizeof(index), "%s-index", lane->path);
    (void)snprintf(compact, sizeof(compact), "%s-compact", lane->path);
    (void)snprintf(compact_index, sizeof(compact_index), "%s-compact-index", lane->path);
    harness_count("files of a compaction that its death left", harness_file_exists(compact));
    if (harness_below(&lane->rng, 16) == 0) {
        free(lane->old_lock);
        free(lane->old_index);
        (void)harness_file_read(lock, &lane->old_lock, &lane->old_lock_len);
        (void)harness_file_read(index, &lane->old_index, &lane->old_index_len);
    }
    if (harness_below(&lane->rng, 4) == 0)
        plant(&lane->rng, compact, lane->path);
    if (harness_below(&lane->rng, 4) == 0)
        plant(&lane->rng, compact_index, lane->path);
    harm(&lane->rng, lock, lane->old_lock, lane->old_lock_len);
    harm(&lane->rng, index, lane->old_index, lane->old_index_len);
}

/* ---- The race -------------------------------------------------------------------------------- */

static void set_phase(struct lane *lane, uint32_t phase)
{
    atomic_store(&lane->phase, phase);
    lx_futex_wake(&lane->phase, INT32_MAX);
}

/* Among the steps of the last recovery; there is no telling whether this one will need them all. */
static void choose_death(struct lane *lane, unsigned death)
{
    uint64_t all = 0, kinds = 0, draw;

    lane->die_at = STEPS_MAX;
    atomic_store(&lane->to_die, 0);
    atomic_store(&lane->pause_after, 0);
    for (size_t step = 0; step < steps_count(); step++) {
        all += atomic_load(&lane->hits[step]);
        kinds += atomic_load(&lane->hits[step]) != 0;
    }
    if (kinds == 0)
        return;
    draw = harness_below(&lane->rng, kinds);
    if (death == DIE_AT_A_STEP) {
        for (size_t step = 0; step < steps_count(); step++)
            if (atomic_load(&lane->hits[step]) != 0 && draw-- == 0)
                lane->die_at = step;
        lane->die_nth = 1 +
                        (uint32_t)harness_below(&lane->rng, atomic_load(&lane->hits[lane->die_at]));
        atomic_store(&lane->to_die, harness_below(&lane->rng, 4) == 0 ? 2 : 1);
    } else if (death == DIE_AT_A_MOMENT) {
        atomic_store(&lane->pause_after, 1 + harness_below(&lane->rng, all));
    }
}

static void gather(struct lane *lane)
{
    uint64_t readers = harness_below(&lane->rng, 3) == 0
                           ? 1 + harness_below(&lane->rng, READERS_MOST)
                           : 0;
    unsigned first = (unsigned)harness_below(&lane->rng, OPENERS);

    lane->is_visited = harness_below(&lane->rng, 4) == 0;
    atomic_store(&lane->phase, GATHER);
    atomic_store(&lane->dawdles, lane->is_visited);
    for (unsigned i = 0; i < OPENERS; i++) {
        struct opener *opener = &lane->openers[(first + i) % OPENERS];

        *opener = (struct opener){
            .lane = lane,
            .number = (first + i) % OPENERS,
            .births = opener->births + 1,
            .alive = true,
            .reads_only = i < readers,
            .visits = lane->is_visited ? (unsigned)harness_below(&lane->rng, VISITS_MOST) : 0};
        opener->worker = harness_start(i < readers ? "reader" : "opener", opener_run, opener);
    }
    for (unsigned i = 0; i < OPENERS; i++)
        harness_until_least("openers to gather", &lane->openers[i].arrived, 1);
}

static void note_death(struct opener *opener)
{
    opener->alive = false;
    if (opener->lane->is_visited) {
        harness_count("deaths among visitors", 1);
    } else if (atomic_load(&opener->recovering) != 0) {
        harness_count("deaths in a recovery", 1);
        (void)atomic_fetch_add(&arena->deaths[atomic_load(&opener->step)], 1);
    } else {
        harness_count("deaths of who did not recover", 1);
    }
}

/* Whoever has died of itself; the others have still to open. */
static unsigned outstanding(struct lane *lane)
{
    unsigned n = 0;

    for (unsigned i = 0; i < OPENERS; i++) {
        struct opener *opener = &lane->openers[i];
        int status;
        pid_t pid;

        if (!opener->alive)
            continue;
        pid = waitpid(harness_pid(opener->worker), &status, WNOHANG);
        CHECK(pid >= 0, "waitpid: %s", strerror(errno));
        if (pid > 0) {
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "an opener ended with %#x",
                  (unsigned)status);
            harness_forget(opener->worker);
            harness_count("deaths at a step", 1);
            note_death(opener);
        } else {
            n += atomic_load(&opener->opened) == 0;
        }
    }
    return n;
}

static bool all_have_opened(void *arg)
{
    return outstanding(arg) == 0;
}

static void kill_opener(struct opener *opener)
{
    harness_kill(opener->worker);
    harness_count("deaths at a moment", 1);
    note_death(opener);
}

/* Kill whoever recovers, somewhere near where it was to pause. */
static void strike_in_recovery(struct lane *lane)
{
    static const struct timespec moment = {0, 20000};
    uint64_t steps = atomic_load(&lane->pause_after);

    while (outstanding(lane) > 0) {
        for (unsigned i = 0; i < OPENERS; i++) {
            struct opener *opener = &lane->openers[i];

            if (opener->alive && atomic_load(&opener->recovering) != 0 &&
                atomic_load(&opener->recovery_steps) >= steps) {
                harness_dawdle(&lane->rng, 20000);
                kill_opener(opener);
                return;
            }
        }
        (void)nanosleep(&moment, NULL);
    }
}

static void strike_anywhere(struct lane *lane)
{
    harness_dawdle(&lane->rng, 3000000);
    kill_opener(&lane->openers[harness_below(&lane->rng, OPENERS)]);
}

/* One who lived on, or none of the living, has recovered; all have it from the same hand. */
static void check_verdict(struct lane *lane)
{
    const lxdb_report *verdict = NULL;
    uint64_t recoveries = 0;
    unsigned living = 0;

    for (unsigned i = 0; i < OPENERS; i++) {
        const struct opener *opener = &lane->openers[i];

        if (!opener->alive)
            continue;
        living++;
        recoveries += atomic_load(&opener->recovered);
        if (opener->reads_only)
            continue;
        if (verdict == NULL)
            verdict = &opener->receipt;
        CHECK(same_verdict(&opener->receipt, verdict), "two verdicts: %llu and %llu records",
              (unsigned long long)opener->receipt.records_live,
              (unsigned long long)verdict->records_live);
        harness_count("receipts compared", 1);
    }
    CHECK(recoveries <= 1, "%llu of those who live have recovered", (unsigned long long)recoveries);
    CHECK(verdict != NULL && living >= OPENERS - 2, "only %u have opened", living);
    CHECK(verdict->crashed == 1 && verdict->bad_watermark == 0 && verdict->bytes_damaged == 0,
          "crashed %d, watermark %llu (bad: %d), tail %llu, %llu bytes damaged, %llu cut",
          verdict->crashed, (unsigned long long)verdict->watermark, verdict->bad_watermark,
          (unsigned long long)verdict->tail, (unsigned long long)verdict->bytes_damaged,
          (unsigned long long)verdict->bytes_cut);
    CHECK(!same_verdict(verdict, &lane->verdict_before), "a receipt of an earlier recovery");
    harness_count("recoveries that cut a tail", verdict->bytes_cut != 0);
    lane->verdict = lane->verdict_before = *verdict;
}

/* Nobody has written yet. No file of a compaction is left, and nothing behind the end of the log
 * that a later recovery could take for a part of it. */
static void check_files(const struct lane *lane)
{
    static const char *const suffixes[] = {"-compact", "-compact-index"};
    char name[4200];
    void *file;
    size_t len;

    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", lane->path, suffixes[i]);
        CHECK(!harness_file_exists(name), "%s was left over", name);
    }
    CHECK(harness_file_read(lane->path, &file, &len), "%s is gone", lane->path);
    for (uint64_t at = lane->verdict.tail; at < len && !lane->is_visited; at++)
        CHECK(((const unsigned char *)file)[at] == 0,
              "a byte at %llu, behind the log's end at %llu", (unsigned long long)at,
              (unsigned long long)lane->verdict.tail);
    free(file);
}

static void race(struct lane *lane)
{
    static const unsigned deaths[] = {DIE_AT_A_STEP, DIE_AT_A_STEP, DIE_AT_A_MOMENT,
                                      DIE_AT_A_MOMENT, DIE_ANYWHERE};
    unsigned death = deaths[harness_below(&lane->rng, sizeof(deaths) / sizeof(deaths[0]))];

    choose_death(lane, death);
    gather(lane);
    harness_stage("a race");
    set_phase(lane, OPEN);
    if (death == DIE_AT_A_MOMENT && atomic_load(&lane->pause_after) != 0)
        strike_in_recovery(lane);
    else if (death == DIE_ANYWHERE)
        strike_anywhere(lane);
    harness_until("openers to open", all_have_opened, lane);
    if (!lane->is_visited)
        check_verdict(lane);
    check_files(lane);
    set_phase(lane, CHECK_ALL);
    for (unsigned i = 0; i < OPENERS; i++)
        if (lane->openers[i].alive)
            harness_until_least("openers to check", &lane->openers[i].checked, 1);
    harness_count("races", 1);
    harness_count("races with visitors", lane->is_visited);
}

/* ---- Between two races ----------------------------------------------------------------------- */

struct threshold {
    const struct lane *lane;
    uint64_t least;
};

static bool was_worked(void *arg)
{
    const struct threshold *threshold = arg;
    uint64_t steps = 0;

    for (unsigned i = 0; i < OPENERS; i++) {
        const struct opener *opener = &threshold->lane->openers[i];

        if (opener->alive && !opener->reads_only)
            steps += harness_progress_of(opener->worker);
    }
    return steps >= threshold->least;
}

/* Somebody is in the middle of something, mostly of a commit. */
static void await_pause(const struct lane *lane)
{
    static const struct timespec soon = {0, 20000};

    for (unsigned i = 0;; i = (i + 1) % OPENERS) {
        const struct opener *opener = &lane->openers[i];

        if (opener->alive && atomic_load(&opener->pauses) != 0)
            return;
        if (i == 0)
            (void)nanosleep(&soon, NULL);
    }
}

static void work_and_kill_all(struct lane *lane)
{
    struct threshold threshold = {lane, 8 + harness_below(&lane->rng, 200)};
    unsigned first = (unsigned)harness_below(&lane->rng, OPENERS);

    atomic_store(&lane->dawdles, 0);
    set_phase(lane, WRITE);
    harness_until("openers to work", was_worked, &threshold);
    atomic_store(&lane->dawdles, 1);
    if (harness_below(&lane->rng, 4) == 0)
        harness_dawdle(&lane->rng, 2000000);
    else
        await_pause(lane);
    for (unsigned i = 0; i < OPENERS; i++)
        if (lane->openers[(first + i) % OPENERS].alive)
            harness_kill_remote(lane->openers[(first + i) % OPENERS].worker);
    for (unsigned i = 0; i < OPENERS; i++)
        if (lane->openers[i].alive)
            harness_kill(lane->openers[i].worker);
    harness_count("kills of all", 1);
}

static void sow_run(void *arg)
{
    struct lane *lane = arg;
    harness_rng rng = harness_rng_make(UINT64_C(1) << 41 | atomic_load(&arena->begun));
    lxdb *db = harness_open(lane->path, (lxdb_options){0});

    for (unsigned i = 0;; i++) {
        diary_change(&lane->diaries[i % OPENERS], db, &rng);
        harness_progress();
    }
}

/* A new database, whose only process is killed. */
static void sow(struct lane *lane)
{
    int worker;

    harness_remove(lane->path);
    for (unsigned i = 0; i < OPENERS; i++)
        diary_clear(&lane->diaries[i], i, NEW_MOST);
    worker = harness_start("sower", sow_run, lane);
    harness_await_steps(worker, 20 + harness_below(&lane->rng, 200));
    harness_kill(worker);
}

static void check_and_close(struct lane *lane)
{
    lxdb *db = harness_open(lane->path, (lxdb_options){.flags = LXDB_NOCREATE});
    uint64_t records;

    for (unsigned i = 0; i < OPENERS; i++)
        diary_settle(&lane->diaries[i], db, &lane->rng);
    records = diary_check_all(lane->diaries, OPENERS, db, &lane->rng);
    CHECK_OK(NULL, lxdb_close(db));
    diary_check_closed(lane->path, records);
    harness_count("clean closes checked in full", 1);
}

static void lane_run(void *arg)
{
    struct lane *lane = arg;

    lane->rng = harness_rng_make(UINT64_C(1) << 40 | lane->number);
    sow(lane);
    for (unsigned round = 1; harness_goes_on(atomic_fetch_add(&arena->begun, 1), ROUNDS); round++) {
        trouble(lane);
        race(lane);
        work_and_kill_all(lane);
        if (round % CLOSE_EVERY == 0) {
            check_and_close(lane);
            sow(lane);
        }
        (void)atomic_fetch_add(&arena->rounds[lane->number], 1);
    }
    check_and_close(lane);
    free(lane->old_lock);
    free(lane->old_index);
    atomic_store(&arena->rounds[lane->number], HARNESS_DONE);
}

static void openers_race_after_a_kill_of_all_has_one_verdict_and_no_loss(void)
{
    int workers[LANES];

    for (unsigned i = 0; i < LANES; i++) {
        arena->lanes[i].path = harness_path("race");
        arena->lanes[i].number = i;
        workers[i] = harness_start("lane", lane_run, &arena->lanes[i]);
    }
    harness_await_rounds(arena->rounds, LANES);
    for (unsigned i = 0; i < LANES; i++)
        harness_wait(workers[i]);
    for (size_t step = 0; step < steps_count(); step++)
        if (atomic_load(&arena->deaths[step]) != 0)
            printf("died in a recovery, after %-28s %6llu\n", steps_name(step),
                   (unsigned long long)atomic_load(&arena->deaths[step]));
    harness_count_least("races", ROUNDS);
    harness_count_least("races with visitors", ROUNDS / 10);
    harness_count_least("deaths in a recovery", ROUNDS / 3);
    harness_count_least("deaths at a step", ROUNDS / 5);
    harness_count_least("deaths at a moment", ROUNDS / 5);
    harness_count_least("receipts compared", ROUNDS * 3);
    harness_count_least("recoveries that cut a tail", ROUNDS / 20);
    harness_count_least("read-only openers checked", ROUNDS / 10);
    harness_count_least("helpers removed", ROUNDS / 10);
    harness_count_least("helpers damaged", ROUNDS / 10);
    harness_count_least("helpers replaced by older ones", ROUNDS / 50);
    harness_count_least("files of a compaction planted", ROUNDS / 5);
    harness_count_least("acknowledged states verified", ROUNDS * 1000);
    harness_count_least("clean closes checked in full", 3);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(openers_race_after_a_kill_of_all_has_one_verdict_and_no_loss),
    };

    arena = harness_shared(sizeof(*arena));
    store = steps_named("io store");
    steps_on_hit = on_step;
    steps_install();
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
