/* SPDX-License-Identifier: MIT */
/*
 * The director of a history.
 *
 * A history begins with a new file and ends when all that was planned has happened and so many
 * operations are over. Planned are, in random order:
 *
 *   - clients killed inside a call, at a named step of the library or at any instruction
 *   - clients stopped there until the others have gone on or wait for it, then let go, or killed
 *   - compactions, some of whose clients die or stop in the middle
 *   - all close, the helper files are deleted, all open again
 *   - all are killed, often while one of them is half through a call, and open again with or
 *     without the helper files
 *
 * Histories differ in the number of keys, in how full the index is (so that segments split
 * meanwhile), in the deadline of calls (so that some are refused), in the sync mode, and in what
 * starts a compaction.
 *
 * Clients wait for leave to go on: they are never far ahead of the plan, so a history is not much
 * longer when the director gets little time.
 */
#include "tests/linear/director.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ACTIONS 12u /* in one history */
#define SLACK 100u  /* operations that clients may be ahead of the plan */

enum action {
    ACTION_KILL,
    ACTION_STOP,
    ACTION_COMPACT,
    ACTION_COMPACT_KILL,
    ACTION_COMPACT_STOP,
    ACTION_CLOSE_ALL,
    ACTION_KILL_ALL
};

static uint64_t below(struct director *director, uint64_t n)
{
    return harness_below(&director->rng, n);
}

static bool one_of(struct director *director, uint64_t n)
{
    return below(director, n) == 0;
}

/* ---- Lives ----------------------------------------------------------------------------------- */

static struct life *new_life(struct director *director)
{
    struct life *life;

    CHECK(director->lives < LIVES, "more than %u lives in a history", LIVES);
    life = &director->field->lives[director->lives];
    life->number = director->lives++;
    life->died = HISTORY_NEVER;
    life->seen_n = 0;
    atomic_store(&life->n, 0);
    return life;
}

static void sit_down(struct director *director, uint32_t number)
{
    struct seat *seat = &director->field->seats[number];

    memset(seat, 0, sizeof(*seat));
    seat->closed = atomic_load(&director->field->close);
    seat->life = new_life(director);
    director->starts[number] = (struct client_start){director->field, number};
    seat->worker = harness_start("client", client_run, &director->starts[number]);
}

/* Killed, by itself or here: reap it. */
static void bury(struct director *director, uint32_t number)
{
    struct seat *seat = &director->field->seats[number];

    harness_kill(seat->worker);
    seat->life->died = field_stamp(director->field);
    harness_count("kills", 1);
}

/* ---- The wait for clients -------------------------------------------------------------------- */

static void raise_ceiling(struct field *field, uint64_t by)
{
    uint64_t ceiling = atomic_load(&field->finished) + by;

    if (ceiling > atomic_load(&field->ceiling))
        atomic_store(&field->ceiling, ceiling);
}

/* The others go on as long as the victim does; it needs no leave. */
static bool has_obeyed(void *arg)
{
    struct director *director = arg;
    uint32_t operations = atomic_load(&director->seat->life->n);

    if (operations != director->operations)
        raise_ceiling(director->field, SLACK);
    director->operations = operations;
    return atomic_load(&director->seat->obeyed) != NULL;
}

/* While one is stopped: the others have done enough, or all wait, perhaps for it. */
static bool others_went_on(void *arg)
{
    struct director *director = arg;
    struct field *field = director->field;
    uint32_t waiting = 0;

    for (uint32_t i = 0; i < SEATS; i++)
        waiting += &field->seats[i] != director->seat && atomic_load(&field->seats[i].may_wait);
    return atomic_load(&field->finished) >= director->others_goal || waiting == SEATS - 1;
}

static bool all_opened(void *arg)
{
    struct field *field = arg;
    uint32_t opened = 0;

    for (uint32_t i = 0; i < SEATS; i++)
        opened += atomic_load(&field->seats[i].opened);
    return opened == SEATS;
}

static bool all_closed(void *arg)
{
    struct field *field = arg;
    uint32_t closed = 0;

    for (uint32_t i = 0; i < SEATS; i++)
        closed += atomic_load(&field->seats[i].closed) == atomic_load(&field->close);
    return closed == SEATS;
}

static bool compaction_is_over(void *arg)
{
    const struct seat *seat = arg;

    return !atomic_load(&seat->compact);
}

/* ---- What the director does ------------------------------------------------------------------ */

/* Where the victim was when it was killed or stopped, by the name of the step. */
static void count_place(bool kills, const char *where)
{
    if (strncmp(where, "commit-", 7) == 0 || strcmp(where, "store") == 0)
        harness_count(kills ? "kills inside a commit" : "stops inside a commit", 1);
    if (strncmp(where, "compact-", 8) == 0)
        harness_count(kills ? "kills inside a compaction" : "stops inside a compaction", 1);
    if (strcmp(where, "commit-publishing") == 0)
        harness_count(kills ? "kills while publishing" : "stops while publishing", 1);
}

static void kill_one(struct director *director, uint32_t number)
{
    harness_until("the victim's death", has_obeyed, director);
    count_place(true, atomic_load(&director->seat->obeyed));
    bury(director, number);
    sit_down(director, number);
}

static void stop_one(struct director *director, uint32_t number)
{
    struct seat *seat = director->seat;

    harness_until("the victim's halt", has_obeyed, director);
    harness_stop(seat->worker);
    count_place(false, atomic_load(&seat->obeyed));
    harness_count("stops", 1);
    director->others_goal = atomic_load(&director->field->finished) + 1 + below(director, 60);
    raise_ceiling(director->field, SLACK);
    harness_until("the others while one is stopped", others_went_on, director);
    if (one_of(director, 4)) {
        bury(director, number);
        sit_down(director, number);
        return;
    }
    atomic_store(&seat->obeyed, NULL);
    atomic_store(&seat->may_go_on, true);
    harness_continue(seat->worker);
}

static void order_one(struct director *director, uint32_t number, bool kills)
{
    bool at_step = !one_of(director, 3);

    director->seat = &director->field->seats[number];
    if (kills)
        atomic_store(&director->seat->order, at_step ? ORDER_DIE_AT_STEP : ORDER_DIE_ANYWHERE);
    else
        atomic_store(&director->seat->order, at_step ? ORDER_PARK_AT_STEP : ORDER_PARK_ANYWHERE);
}

/* The order may be followed in the compaction, or after it. */
static void compact(struct director *director, uint32_t number, enum action action)
{
    director->seat = &director->field->seats[number];
    if (action != ACTION_COMPACT)
        order_one(director, number, action == ACTION_COMPACT_KILL);
    raise_ceiling(director->field, SLACK);
    atomic_store(&director->seat->compact, true);
    if (action == ACTION_COMPACT_KILL)
        kill_one(director, number);
    else if (action == ACTION_COMPACT_STOP)
        stop_one(director, number);
    else
        harness_until("a compaction", compaction_is_over, director->seat);
}

static void delete_helper(struct director *director, const char *suffix)
{
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s%s", director->field->path, suffix);
    if (unlink(path) == 0)
        harness_count("helper files deleted", 1);
    else
        CHECK(errno == ENOENT, "%s: %s", path, strerror(errno));
}

/* Nobody has the database open. */
static void delete_helpers(struct director *director)
{
    uint64_t which = below(director, 4);

    if (which != 1)
        delete_helper(director, "-lock");
    if (which != 2)
        delete_helper(director, "-index");
}

static void close_all(struct director *director)
{
    struct field *field = director->field;

    (void)atomic_fetch_add(&field->close, 1);
    harness_until("all to close", all_closed, field);
    delete_helpers(director);
    atomic_store(&field->open, atomic_load(&field->close));
    harness_count("times that all closed and opened", 1);
}

/* Often one of them is parked at a step first, so that the next opening finds it half done. */
static void kill_all(struct director *director)
{
    uint32_t first = (uint32_t)below(director, SEATS);

    if (!one_of(director, 3)) {
        director->seat = &director->field->seats[first];
        atomic_store(&director->seat->order,
                     one_of(director, 2) ? ORDER_PARK_AT_STEP : ORDER_PARK_ANYWHERE);
        harness_until("the halt of one that is to die with all", has_obeyed, director);
    }
    harness_dawdle(&director->rng, 300000);
    for (uint32_t i = 0; i < SEATS; i++) {
        harness_kill_remote(director->field->seats[(first + i) % SEATS].worker);
        if (one_of(director, 2))
            harness_dawdle(&director->rng, 100000);
    }
    for (uint32_t i = 0; i < SEATS; i++)
        bury(director, i);
    if (one_of(director, 2))
        delete_helpers(director);
    for (uint32_t i = 0; i < SEATS; i++)
        sit_down(director, i);
    harness_count("times that all were killed", 1);
}

static void act(struct director *director, enum action action)
{
    uint32_t number = (uint32_t)below(director, SEATS);

    harness_until("all to open", all_opened, director->field);
    switch (action) {
    case ACTION_KILL:
        order_one(director, number, true);
        kill_one(director, number);
        break;
    case ACTION_STOP:
        order_one(director, number, false);
        stop_one(director, number);
        break;
    case ACTION_COMPACT:
    case ACTION_COMPACT_KILL:
    case ACTION_COMPACT_STOP:
        compact(director, number, action);
        break;
    case ACTION_CLOSE_ALL:
        close_all(director);
        break;
    case ACTION_KILL_ALL:
        kill_all(director);
        break;
    }
}

static void plan(struct director *director, enum action actions[ACTIONS])
{
    static const enum action all[ACTIONS] = {
        ACTION_KILL,    ACTION_KILL,         ACTION_KILL,         ACTION_KILL,
        ACTION_STOP,    ACTION_STOP,         ACTION_STOP,         ACTION_COMPACT,
        ACTION_COMPACT, ACTION_COMPACT_KILL, ACTION_COMPACT_STOP, ACTION_CLOSE_ALL,
    };

    memcpy(actions, all, sizeof(all));
    if (one_of(director, 2))
        actions[0] = ACTION_KILL_ALL;
    for (uint32_t i = ACTIONS - 1; i > 0; i--) {
        uint32_t other = (uint32_t)below(director, i + 1);
        enum action swap = actions[i];

        actions[i] = actions[other];
        actions[other] = swap;
    }
}

/* ---- One history ----------------------------------------------------------------------------- */

void director_set_up(struct director *director)
{
    static const uint32_t weights[] = {2, 5, 30, 48};
    struct field *field = director->field;
    /* keys of so many records that each is half of a segment: a compaction that finds few of them
     * makes a small index, which then splits once and again */
    bool splits = one_of(director, 4);
    uint32_t wide = splits ? 4 : (uint32_t)below(director, 4);

    memset(field, 0, offsetof(struct field, lives));
    field->stream = (uint64_t)(director->round + 1) * STREAMS_A_HISTORY;
    field->path = harness_path("linear");
    field->keys = splits ? 7 : 2 + (uint32_t)below(director, HISTORY_KEYS - 1);
    field->options.helpers = one_of(director, 2) ? LXDB_HELPERS_KEEP : LXDB_HELPERS_AUTO;
    field->options.compact_floor = splits ? 200000 : one_of(director, 3) ? 65536 : 0;
    field->options.busy_timeout_ms = one_of(director, 4) ? 3 : 0;
    field->options.sync = one_of(director, 3) ? 1 + (int)below(director, 2) : LXDB_SYNC_NONE;
    field->options.sync_interval_ms = 2;
    for (uint32_t key = 0; key < field->keys; key++) {
        bool is_wide = key >= 2 && key < 2 + wide;

        field->weights[key] = is_wide ? weights[below(director, 4)] : 1;
        if (is_wide && splits)
            field->weights[key] = 900;
        else if (!is_wide && one_of(director, 4))
            field->counters |= UINT32_C(1) << key;
    }
    if (!splits)
        field->ballast = below(director, 300);
}

void director_run(struct director *director, uint32_t operations)
{
    struct field *field = director->field;
    enum action actions[ACTIONS];
    uint64_t threshold;

    plan(director, actions);
    client_preload(field);
    for (uint32_t i = 0; i < SEATS; i++)
        sit_down(director, i);
    for (uint32_t i = 0; i < ACTIONS; i++) {
        threshold = (uint64_t)operations * (i + 1) / (ACTIONS + 1);
        atomic_store(&field->ceiling, threshold + SLACK);
        harness_until_least("operations", &field->finished, threshold);
        act(director, actions[i]);
    }
    atomic_store(&field->ceiling, operations);
    harness_until_least("operations", &field->finished, operations);
    harness_until("all to open", all_opened, field);
    atomic_store(&field->end, true);
    for (uint32_t i = 0; i < SEATS; i++)
        harness_wait(field->seats[i].worker);
    client_look(field, new_life(director));
}
