/* SPDX-License-Identifier: MIT */
/*
 * A storm of SIGKILL. Three writers, two readers and a compactor, each a process, share a database;
 * one after the other is killed at a random moment, at least three in ten of them inside the writer
 * lock (lock_watch.h), some while they open, some when they were stopped before, and every fiftieth
 * time all at once. Several such storms go on side by side, since much of one is waiting for a dead
 * holder's lock.
 *
 *   - What was acknowledged is there, what was in doubt is there wholly or not at all (diary.h):
 *     for the readers beside, and for whoever takes the dead one's place.
 *   - After each death all others go on by themselves, writers after one sleep at most.
 *   - Who is stopped with the lock is not robbed of it, and readers go on beside it.
 *   - When all are dead, the next opening recovers, and the clean close behind it leaves a file
 *     without a complaint.
 *
 * Writers choose their sync mode anew each time. Only one of the storms syncs in earnest, since a
 * SIGKILL loses no page.
 */
#include "tests/concurrency/harness.h"
#include "tests/crash/diary.h"
#include "tests/crash/kill_steps.h"
#include "tests/crash/lock_watch.h"

#include "engine/core.h"
#include "sys/host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LANES 3u
#define SYNCING_LANE 0u
#define WRITERS 3u
#define KILLS 3000u
#define KILL_ALL_EVERY 50u
#define COMPACT_EVERY 600u /* changes of a lane */
#define CHANGES 8u         /* of a writer in a turn, unless it is to be killed */
#define LOOKS 40u          /* of a reader */
#define NEW_MOST 4000u     /* keys that a writer creates, besides those that it changes */
#define PAUSE_NS 4000000u  /* of a victim inside the lock */
#define LOOKS_AT_A_PAUSE 200u
#define TURN_NS 100000000u /* between two looks for the next turn, should a wake be missed */

enum { COMPACTOR = WRITERS, FREE_READER, READER, ACTORS };

struct lane;

/* A place in a lane: one process after the other has it. */
struct actor {
    struct lane *lane;
    unsigned number;
    unsigned births;
    int worker;
    uint32_t turn; /* in which it made `steps` */
    unsigned steps;
    _Atomic uint64_t compacting;
    _Atomic uint64_t step;    /* the last that it came by */
    _Atomic uint64_t inside;  /* steps since it took the lock */
    _Atomic uint64_t repairs; /* 1: it is in a repair */
    /* Where it pauses, for as long as it takes to be killed: after so many steps inside the lock,
     * or now and then at one step (STEPS_MAX: at none). */
    _Atomic uint64_t pause_inside;
    _Atomic uint64_t pause_step;
    _Atomic uint64_t pauses; /* 1: it does so now */
    _Atomic uint64_t hits[STEPS_MAX];
};

struct lane {
    const char *path;
    unsigned number;
    harness_rng rng;
    /* Before and after each death there is a turn, in which everybody does so much: what the
     * processors do meanwhile is no use to the test. The next victim goes on. */
    _Atomic uint32_t turn;
    _Atomic uint32_t victim;
    _Atomic uint32_t hunts; /* whoever repairs pauses */
    struct actor actors[ACTORS];
    struct lock_watch watches[ACTORS];
    diary diaries[WRITERS];
    _Atomic uint64_t changes[3]; /* by sync mode */
    _Atomic uint64_t compactions;
    _Atomic uint64_t compact_at; /* changes at which the next compaction begins */
};

static struct arena {
    struct lane lanes[LANES];
    _Atomic uint64_t rounds[LANES];
    _Atomic unsigned kills;
    _Atomic uint64_t inside;               /* of these, in the writer lock */
    _Atomic uint64_t inside_at[STEPS_MAX]; /* the same, by the last step */
} * arena;

static bool holds(const struct lane *lane, unsigned number)
{
    return atomic_load(&lane->watches[number].holds) != 0;
}

/* ---- Actors ---------------------------------------------------------------------------------- */

static struct actor *self; /* in an actor's process */
static harness_rng step_rng;
static bool is_of_split[STEPS_MAX];

/* So that it can be killed there, however few of the processors' moments a lane gets. */
static bool is_to_pause(size_t step, uint64_t inside)
{
    if (inside == 0)
        return false;
    if (inside == atomic_load(&self->pause_inside))
        return true;
    return (step == atomic_load(&self->pause_step) ||
            (is_of_split[step] && atomic_load(&self->lane->victim) == self->number) ||
            (atomic_load(&self->repairs) != 0 && atomic_load(&self->lane->hunts) != 0)) &&
           harness_below(&step_rng, 3) == 0;
}

/* At every step of every thread. */
static void on_step(size_t step)
{
    static const struct timespec time = {0, PAUSE_NS};
    uint64_t inside;

    if (self == NULL)
        return;
    inside = holds(self->lane, self->number) ? atomic_load(&self->inside) + 1 : 0;
    atomic_store(&self->inside, inside);
    atomic_store(&self->step, step);
    (void)atomic_fetch_add(&self->hits[step], 1);
    if (is_to_pause(step, inside)) {
        atomic_store(&self->pauses, 1);
        (void)nanosleep(&time, NULL);
        atomic_store(&self->pauses, 0);
    }
}

int __real_lx_repair(lx_writer *writer);
int __wrap_lx_repair(lx_writer *writer);

int __wrap_lx_repair(lx_writer *writer)
{
    int rc;

    if (self != NULL)
        atomic_store(&self->repairs, 1);
    rc = __real_lx_repair(writer);
    if (self != NULL)
        atomic_store(&self->repairs, 0);
    return rc;
}

/* Of each process another. */
static harness_rng actor_rng(const struct actor *actor)
{
    return harness_rng_make(((uint64_t)actor->births * ACTORS + actor->number) * LANES +
                            actor->lane->number);
}

static lxdb *actor_begin(struct actor *actor, lxdb_options options)
{
    struct lane *lane = actor->lane;

    self = actor;
    step_rng = actor_rng(actor);
    steps_sync = lane->number == SYNCING_LANE;
    lock_watch_begin(lane->watches, ACTORS, actor->number, lane->path);
    harness_stage("open");
    options.busy_timeout_ms = UINT32_MAX; /* a hang is for the supervisor to see */
    return harness_open(lane->path, options);
}

static void step_done(struct actor *actor, unsigned most)
{
    struct lane *lane = actor->lane;
    uint32_t turn = atomic_load(&lane->turn);

    harness_progress();
    if (turn != actor->turn)
        actor->steps = 0;
    actor->turn = turn;
    actor->steps++;
    while (actor->steps >= most && atomic_load(&lane->victim) != actor->number &&
           atomic_load(&lane->turn) == turn)
        lx_futex_wait(&lane->turn, turn, TURN_NS);
}

static void writer_run(void *arg)
{
    static const int modes[] = {LXDB_SYNC_NONE, LXDB_SYNC_INTERVAL, LXDB_SYNC_FULL};
    struct actor *actor = arg;
    diary *book = &actor->lane->diaries[actor->number];
    harness_rng rng = actor_rng(actor);
    unsigned mode = (unsigned)harness_below(&rng, 3);
    uint64_t floor = harness_below(&rng, 4) == 0 ? 256u << 10 : 0; /* it may compact by itself */
    lxdb *db = actor_begin(
        actor, (lxdb_options){.sync = modes[mode], .sync_interval_ms = 20, .compact_floor = floor});

    harness_stage("settling what a dead one left");
    diary_settle(book, db, &rng);
    harness_stage("writing");
    for (;;) {
        diary_change(book, db, &rng);
        (void)atomic_fetch_add(&actor->lane->changes[mode], 1);
        step_done(actor, CHANGES);
    }
}

static void reader_run(void *arg)
{
    struct actor *actor = arg;
    harness_rng rng = actor_rng(actor);
    lxdb *db = actor_begin(actor, (lxdb_options){0});

    harness_stage("reading");
    for (;;) {
        diary_look(&actor->lane->diaries[harness_below(&rng, WRITERS)], db, &rng,
                   actor->number == FREE_READER);
        step_done(actor, LOOKS);
    }
}

static uint64_t changes_of(const struct lane *lane)
{
    return atomic_load(&lane->changes[0]) + atomic_load(&lane->changes[1]) +
           atomic_load(&lane->changes[2]);
}

static bool is_to_compact(void *arg)
{
    const struct lane *lane = arg;

    return atomic_load(&lane->victim) == COMPACTOR ||
           changes_of(lane) >= atomic_load(&lane->compact_at);
}

static void compactor_run(void *arg)
{
    struct actor *actor = arg;
    struct lane *lane = actor->lane;
    lxdb *db = actor_begin(actor, (lxdb_options){0});

    for (;;) {
        harness_until("changes before the next compaction", is_to_compact, lane);
        harness_stage("compacting");
        atomic_store(&actor->compacting, 1);
        CHECK_OK(db, lxdb_compact(db, NULL));
        atomic_store(&actor->compacting, 0);
        (void)atomic_fetch_add(&lane->compactions, 1);
        atomic_store(&lane->compact_at, changes_of(lane) + COMPACT_EVERY);
        harness_progress();
    }
}

static void actor_start(struct lane *lane, unsigned number)
{
    struct actor *actor = &lane->actors[number];

    lock_watch_clear(&lane->watches[number]);
    actor->steps = 0;
    atomic_store(&actor->pause_inside, 0);
    atomic_store(&actor->pause_step, STEPS_MAX);
    atomic_store(&actor->pauses, 0);
    atomic_store(&actor->repairs, 0);
    atomic_store(&actor->compacting, 0);
    actor->births++;
    if (number == COMPACTOR)
        actor->worker = harness_start("compactor", compactor_run, actor);
    else if (number >= FREE_READER)
        actor->worker = harness_start("reader", reader_run, actor);
    else
        actor->worker = harness_start("writer", writer_run, actor);
}

/* ---- Choosing a moment ----------------------------------------------------------------------- */

static void next_turn(struct lane *lane, unsigned victim)
{
    atomic_store(&lane->victim, victim);
    (void)atomic_fetch_add(&lane->turn, 1);
    lx_futex_wake(&lane->turn, INT32_MAX);
}

struct moment {
    struct actor *actor;
    uint64_t progress;
};

static bool has_come(void *arg)
{
    const struct moment *moment = arg;

    return harness_progress_of(moment->actor->worker) >= moment->progress ||
           atomic_load(&moment->actor->pauses) != 0;
}

static bool is_compacting(void *arg)
{
    return atomic_load(&((const struct actor *)arg)->compacting) != 0;
}

static void look_again(void)
{
    static const struct timespec soon = {0, 20000};

    (void)nanosleep(&soon, NULL);
}

static void await_lock(struct lane *lane, unsigned number)
{
    harness_stage("waiting for the victim to take the lock");
    while (!holds(lane, number))
        look_again();
    harness_stage("striking");
}

/* After how many steps inside the lock, or at which. */
static void choose_pause(harness_rng *rng, struct actor *actor)
{
    static const char *const commit[] = {"commit-written",   "commit-committed",
                                         "commit-killed",    "commit-publishing",
                                         "commit-published", "commit-concluded"};
    static const char *const swap[] = {"compact-filled",           "compact-recorded",
                                       "compact-data-renamed",     "compact-index-renamed",
                                       "compact-directory-synced", "compact-published"};
    const char *const *names = actor->number == COMPACTOR ? swap : commit;
    uint64_t inside = 0, step = STEPS_MAX;

    if (harness_below(rng, 2) == 0)
        inside = 1 + harness_below(rng, UINT64_C(1) << harness_below(rng, 9));
    else
        step = steps_named(names[harness_below(rng, 6)]);
    atomic_store(&actor->pause_inside, inside);
    atomic_store(&actor->pause_step, step);
}

/* Not every hold of the lock comes by so many steps, or by that one: choose again after a while. */
static void await_pause(struct lane *lane, struct actor *actor)
{
    harness_stage("waiting for the victim to pause");
    for (unsigned looks = 0; atomic_load(&actor->pauses) == 0; looks++) {
        if (looks % LOOKS_AT_A_PAUSE == 0)
            choose_pause(&lane->rng, actor);
        look_again();
    }
    harness_stage("striking");
}

static void await_moment(struct lane *lane, unsigned number)
{
    struct actor *actor = &lane->actors[number];
    struct moment moment = {actor, harness_progress_of(actor->worker) + 1 +
                                       harness_below(&lane->rng, CHANGES)};
    uint64_t manner = harness_below(&lane->rng, 8);

    next_turn(lane, number);
    if (number == COMPACTOR)
        harness_until("compactor to begin", is_compacting, actor);
    else
        harness_until("the victim to go on", has_come, &moment);
    if (number > COMPACTOR || manner == 0) {
        harness_dawdle(&lane->rng, 2000000);
    } else if (manner < 3) {
        await_lock(lane, number);
        harness_dawdle(&lane->rng, 4000);
    } else {
        await_pause(lane, actor);
        harness_dawdle(&lane->rng, 4000);
    }
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

static void note_death(struct lane *lane, unsigned number, bool inside)
{
    struct actor *actor = &lane->actors[number];

    (void)atomic_fetch_add(&arena->kills, 1);
    harness_count("kills", 1);
    if (inside) {
        harness_count("kills inside the writer lock", 1);
        (void)atomic_fetch_add(&arena->inside, 1);
        (void)atomic_fetch_add(&arena->inside_at[atomic_load(&actor->step)], 1);
        harness_count("kills in a split", is_of_split[atomic_load(&actor->step)]);
        harness_count("kills in a repair", atomic_load(&actor->repairs));
    }
    if (number == COMPACTOR && is_compacting(actor))
        harness_count("kills in a compaction", 1);
}

/* Nobody who is stopped stops a reader that takes no lock, except from opening. */
static void stop(struct lane *lane, unsigned number)
{
    const struct actor *actor = &lane->actors[number];
    int reader = lane->actors[FREE_READER].worker;
    uint64_t read = harness_progress_of(reader);
    siginfo_t info;
    bool held;

    harness_stop(actor->worker);
    /* all threads of it */
    CHECK(waitid(P_PID, (id_t)harness_pid(actor->worker), &info, WSTOPPED | WNOWAIT) == 0,
          "waitid: %s", strerror(errno));
    held = lock_watch_holds_stopped(&lane->watches[number], lane->path);
    if (number != FREE_READER && harness_progress_of(actor->worker) > 0) {
        next_turn(lane, number);
        harness_await_steps(reader, read + 2);
        harness_count("stops that a reader went on beside", 1);
    }
    CHECK(held == lock_watch_holds_stopped(&lane->watches[number], lane->path),
          "a stopped process took the lock, or lost it");
    harness_count("kills preceded by a stop", 1);
    harness_count("stops inside the writer lock", held);
}

struct others {
    struct lane *lane;
    bool dead[ACTORS];
    uint64_t progress[ACTORS];
    unsigned repairs; /* who pauses in a repair; ACTORS: nobody */
};

/* Or whoever is to be killed next has been caught. The compactor has to wait for changes. */
static bool went_on(void *arg)
{
    struct others *others = arg;
    bool all = true;

    for (unsigned i = 0; i < ACTORS; i++) {
        const struct actor *actor = &others->lane->actors[i];

        if (others->dead[i])
            continue;
        if (atomic_load(&others->lane->hunts) != 0 && atomic_load(&actor->pauses) != 0)
            others->repairs = i;
        all &= i == COMPACTOR || harness_progress_of(actor->worker) >= others->progress[i];
    }
    return all || others->repairs != ACTORS;
}

static void await_others(struct others *others)
{
    for (unsigned i = 0; i < ACTORS; i++)
        if (!others->dead[i])
            others->progress[i] = harness_progress_of(others->lane->actors[i].worker) + 2;
    others->repairs = ACTORS;
    next_turn(others->lane, ACTORS);
    harness_until("others to go on", went_on, others);
}

static unsigned choose_victim(harness_rng *rng)
{
    uint64_t draw = harness_below(rng, 16);

    if (draw < 12)
        return (unsigned)(draw % WRITERS);
    return draw < 14 ? COMPACTOR : draw == 14 ? FREE_READER : READER;
}

/* Whether any of the living but one has the database open. Who opens it when nobody has is no
 * successor: it recovers, and makes a new lock. */
static bool is_attended(const struct others *others, unsigned number)
{
    bool attended = false;

    for (unsigned i = 0; i < ACTORS; i++)
        attended |= i != number && !others->dead[i] &&
                    harness_progress_of(others->lane->actors[i].worker) > 0;
    return attended;
}

/* True: it died with the lock, and others have to take it over. */
static bool strike(struct others *others, unsigned number)
{
    struct lane *lane = others->lane;
    struct lock_watch *watch = &lane->watches[number];
    bool attended = is_attended(others, number);
    bool inside;

    lock_watch_killing(watch);
    harness_kill(lane->actors[number].worker);
    inside = lock_watch_held(watch, lane->path);
    others->dead[number] = true;
    note_death(lane, number, inside);
    return inside && attended;
}

/* Now and then whoever repairs what the dead one left dies of it, too. Gives one that has taken the
 * place of a dead one. */
static unsigned kill_one(struct lane *lane, unsigned newest)
{
    struct others others = {.lane = lane};
    unsigned number = choose_victim(&lane->rng);
    bool left[ACTORS] = {false};

    if (harness_below(&lane->rng, 8) == 0) {
        number = newest; /* before it has opened, perhaps */
        harness_dawdle(&lane->rng, 2000000);
        harness_count("kills around an opening", 1);
    } else {
        await_moment(lane, number);
    }
    if (harness_below(&lane->rng, 6) == 0)
        stop(lane, number);
    left[number] = strike(&others, number);
    atomic_store(&lane->hunts, harness_below(&lane->rng, 4) == 0);
    await_others(&others);
    atomic_store(&lane->hunts, 0);
    if (others.repairs != ACTORS) {
        left[others.repairs] = strike(&others, others.repairs);
        await_others(&others);
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        if (others.dead[i]) {
            lock_watch_check_over(&lane->watches[i], left[i], lane->path);
            actor_start(lane, i);
        }
    }
    return number;
}

/* In any order, and none has time to repair what another left. */
static void end_all(struct lane *lane)
{
    unsigned first = (unsigned)harness_below(&lane->rng, ACTORS);
    bool stops = harness_below(&lane->rng, 4) == 0;
    unsigned number;

    for (unsigned i = 0; i < ACTORS && stops; i++) {
        harness_stop(lane->actors[i].worker);
        harness_count("kills preceded by a stop", 1);
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        number = (first + i) % ACTORS;
        lock_watch_killing(&lane->watches[number]);
        harness_kill_remote(lane->actors[number].worker);
    }
    for (unsigned i = 0; i < ACTORS; i++)
        harness_kill(lane->actors[i].worker);
    for (unsigned i = 0; i < ACTORS; i++)
        note_death(lane, i, lock_watch_held(&lane->watches[i], lane->path));
}

/* All are dead: recover, check everything, and close cleanly. */
static void check_recovered(struct lane *lane)
{
    lxdb *db = harness_open(lane->path, (lxdb_options){.flags = LXDB_NOCREATE});
    lxdb_report report;
    uint64_t records;

    CHECK_OK(db, lxdb_recovery(db, &report));
    CHECK(report.crashed == 1, "the receipt does not speak of a crash");
    CHECK(report.bytes_damaged == 0, "%llu bytes of damage below the watermark",
          (unsigned long long)report.bytes_damaged);
    for (unsigned i = 0; i < WRITERS; i++)
        diary_settle(&lane->diaries[i], db, &lane->rng);
    records = diary_check_all(lane->diaries, WRITERS, db, &lane->rng);
    CHECK_OK(NULL, lxdb_close(db));
    diary_check_closed(lane->path, records);
    harness_count("recoveries checked in full", 1);
}

/* So that it is created, grows and splits again. */
static void forget_database(struct lane *lane)
{
    harness_remove(lane->path);
    for (unsigned i = 0; i < WRITERS; i++)
        diary_clear(&lane->diaries[i], i, NEW_MOST);
}

static void start_all(struct lane *lane)
{
    for (unsigned i = 0; i < ACTORS; i++)
        actor_start(lane, i);
}

static void kill_all(struct lane *lane)
{
    for (unsigned i = 0; i < WRITERS; i++)
        harness_await_steps(lane->actors[i].worker, 1); /* there is a session that can crash */
    await_moment(lane, (unsigned)harness_below(&lane->rng, WRITERS + 1));
    end_all(lane);
    harness_count("kills of all", 1);
    if (harness_below(&lane->rng, 2) == 0) {
        check_recovered(lane);
        forget_database(lane);
    }
    start_all(lane); /* else they race for the recovery */
}

/* ---- A storm --------------------------------------------------------------------------------- */

static void lane_run(void *arg)
{
    struct lane *lane = arg;
    unsigned newest = 0;

    lane->rng = harness_rng_make(UINT64_C(1) << 40 | lane->number);
    forget_database(lane);
    start_all(lane);
    for (unsigned round = 1; harness_goes_on(atomic_load(&arena->kills), KILLS); round++) {
        harness_stage("storm");
        if (round % KILL_ALL_EVERY == 0)
            kill_all(lane);
        else
            newest = kill_one(lane, newest);
        (void)atomic_fetch_add(&arena->rounds[lane->number], 1);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        harness_await_steps(lane->actors[i].worker, 1);
    end_all(lane);
    check_recovered(lane);
    atomic_store(&arena->rounds[lane->number], HARNESS_DONE);
}

static uint64_t hits_of(const char *name)
{
    size_t step = steps_named(name);
    uint64_t hits = 0;

    for (unsigned i = 0; i < LANES * ACTORS; i++)
        hits += atomic_load(&arena->lanes[i / ACTORS].actors[i % ACTORS].hits[step]);
    return hits;
}

static void sum_up(void)
{
    static const char *const modes[] = {"changes acknowledged, sync none",
                                        "changes acknowledged, sync interval",
                                        "changes acknowledged, sync full"};

    for (size_t step = 0; step < steps_count(); step++)
        if (atomic_load(&arena->inside_at[step]) != 0)
            printf("killed inside the writer lock, after %-28s %6llu\n", steps_name(step),
                   (unsigned long long)atomic_load(&arena->inside_at[step]));
    for (unsigned mode = 0; mode < 3; mode++) {
        for (unsigned i = 0; i < LANES; i++)
            harness_count(modes[mode], atomic_load(&arena->lanes[i].changes[mode]));
        harness_count_least(modes[mode], 1000);
    }
    for (unsigned i = 0; i < LANES; i++)
        harness_count("compactions", atomic_load(&arena->lanes[i].compactions));
    harness_count("repairs", hits_of("repair-done"));
    harness_count("splits", hits_of("split-pointed"));
    harness_count_least("kills", KILLS);
    harness_count_least("kills inside the writer lock", (atomic_load(&arena->kills) * 3 + 9) / 10);
    harness_count_least("kills in a split", 15);
    harness_count_least("kills in a repair", 40);
    harness_count_least("kills in a compaction", 50);
    harness_count_least("kills around an opening", 100);
    harness_count_least("kills preceded by a stop", 200);
    harness_count_least("kills of all", 30);
    harness_count_least("recoveries checked in full", 10);
    harness_count_least("acknowledged states verified", 100000);
    harness_count_least("compactions", 100);
    harness_count_least("repairs", 500);
    harness_count_least("splits", 20);
    harness_count_least("take-overs", 500);
}

static void kill_storm_loses_nothing_acknowledged_and_stops_nobody(void)
{
    int workers[LANES];

    for (unsigned i = 0; i < LANES; i++) {
        struct lane *lane = &arena->lanes[i];

        lane->path = harness_path("storm");
        lane->number = i;
        for (unsigned number = 0; number < ACTORS; number++) {
            lane->actors[number].lane = lane;
            lane->actors[number].number = number;
        }
        workers[i] = harness_start("lane", lane_run, lane);
    }
    harness_await_rounds(arena->rounds, LANES);
    for (unsigned i = 0; i < LANES; i++)
        harness_wait(workers[i]);
    sum_up();
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(kill_storm_loses_nothing_acknowledged_and_stops_nobody),
    };

    for (size_t step = 0; step < steps_count(); step++)
        is_of_split[step] = strncmp(steps_name(step), "split-", 6) == 0 ||
                            strcmp(steps_name(step), "directory-doubled") == 0;
    arena = harness_shared(sizeof(*arena));
    steps_on_hit = on_step;
    steps_install();
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
