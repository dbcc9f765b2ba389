/* SPDX-License-Identifier: MIT */
/*
 * Writers killed with SIGKILL at random moments, in the middle of calls and of the writer lock.
 *
 * Every writer owns its keys and keeps a ledger of them in memory that outlives it: for each key
 * the state that was acknowledged last and the one that it set out for. After its death each key
 * must be in one of these two states, and a group of keys that changes only in batches must be in
 * one of the two as a whole. The others must go on after each death; every tenth round all are
 * killed, so that the next open recovers.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS 3u
#define KEYS 24u
#define GROUP 60u /* so that publishing a batch takes long enough to be killed in */
#define KILLS 200u
#define KILL_ALL_EVERY 10u
#define COMPACT_EVERY 2000u

/* A state is version << 1 | deleted; 0: never written. */
struct entry {
    _Atomic uint64_t acked;
    _Atomic uint64_t begun;
};

struct ledger {
    struct entry keys[KEYS];
    struct entry group;       /* GROUP keys that change together */
    _Atomic uint64_t in_call; /* 1: between begun and acked; 2: of a batch */
    _Atomic uint64_t steps;
};

struct field {
    const char *path;
    int sync;
    struct ledger ledgers[WRITERS];
    _Atomic uint64_t compactions;
    _Atomic uint64_t compact_at; /* steps of all writers at which the next compaction begins */
    _Atomic uint64_t reads;
};

struct writer {
    struct field *field;
    unsigned number;
    int worker;
};

static size_t key_make(char *key, size_t cap, unsigned writer, const char *kind, unsigned number)
{
    return (size_t)snprintf(key, cap, "%u/%s/%u", writer, kind, number);
}

static uint64_t state_read(lxdb *db, const char *key, size_t key_len)
{
    return harness_value_read(db, key, key_len) << 1;
}

/* A deleted key and one that never was look the same to a reader. */
static bool state_is(uint64_t seen, uint64_t state)
{
    return (state & 1) != 0 ? seen == 0 : seen == state;
}

/* ---- The check of a ledger whose owner is dead ----------------------------------------------- */

static void settle(struct entry *entry, uint64_t seen, const char *key)
{
    uint64_t acked = atomic_load(&entry->acked);
    uint64_t begun = atomic_load(&entry->begun);

    CHECK(state_is(seen, acked) || state_is(seen, begun),
          "%s: found state %llu, acknowledged %llu, begun %llu", key, (unsigned long long)seen,
          (unsigned long long)acked, (unsigned long long)begun);
    /* what took effect counts from now on: it may not vanish later */
    if (!state_is(seen, acked)) {
        harness_count("unacknowledged changes that took effect", 1);
        atomic_store(&entry->acked, begun);
    }
    atomic_store(&entry->begun, atomic_load(&entry->acked));
}

static void ledger_check(lxdb *db, struct field *field, unsigned number)
{
    struct ledger *ledger = &field->ledgers[number];
    uint64_t seen[GROUP];
    size_t key_len;
    char key[32];

    for (unsigned i = 0; i < KEYS; i++) {
        key_len = key_make(key, sizeof(key), number, "key", i);
        settle(&ledger->keys[i], state_read(db, key, key_len), key);
    }
    for (unsigned i = 0; i < GROUP; i++) {
        key_len = key_make(key, sizeof(key), number, "group", i);
        seen[i] = state_read(db, key, key_len);
        CHECK(seen[i] == seen[0], "batch of writer %u torn: key 0 has state %llu, key %u %llu",
              number, (unsigned long long)seen[0], i, (unsigned long long)seen[i]);
    }
    settle(&ledger->group, seen[0], key);
    harness_count("acknowledged states verified", KEYS + GROUP);
}

/* ---- Workers --------------------------------------------------------------------------------- */

static void key_step(lxdb *db, struct ledger *ledger, unsigned number, harness_rng *rng)
{
    unsigned i = (unsigned)harness_below(rng, KEYS);
    struct entry *entry = &ledger->keys[i];
    uint64_t acked = atomic_load(&entry->acked);
    bool deletes = acked != 0 && (acked & 1) == 0 && harness_below(rng, 5) == 0;
    uint64_t version = (acked >> 1) + 1;
    char key[32];
    size_t key_len = key_make(key, sizeof(key), number, "key", i);
    size_t len = HARNESS_VALUE_MIN + harness_below(rng, harness_below(rng, 16) == 0 ? 8000 : 300);

    atomic_store(&entry->begun, version << 1 | deletes);
    atomic_store(&ledger->in_call, 1);
    if (deletes)
        CHECK_OK(db, lxdb_delete(db, key, key_len));
    else
        CHECK_OK(db, harness_value_write(db, key, key_len, version, len));
    atomic_store(&entry->acked, version << 1 | deletes);
    atomic_store(&ledger->in_call, 0);
}

static void group_step(lxdb *db, struct ledger *ledger, unsigned number, harness_rng *rng)
{
    struct entry *entry = &ledger->group;
    uint64_t version = (atomic_load(&entry->acked) >> 1) + 1;
    bool deletes = harness_below(rng, 8) == 0;
    static unsigned char value[100];
    lxdb_batch *batch = NULL;
    size_t key_len, len;
    char key[32];

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (unsigned i = 0; i < GROUP; i++) {
        key_len = key_make(key, sizeof(key), number, "group", i);
        len = HARNESS_VALUE_MIN + harness_below(rng, sizeof(value) - HARNESS_VALUE_MIN);
        harness_value_fill(value, len, key, key_len, version);
        if (deletes)
            CHECK_OK(db, lxdb_batch_delete(batch, key, key_len));
        else
            CHECK_OK(db, lxdb_batch_write(batch, key, key_len, value, len));
    }
    atomic_store(&entry->begun, version << 1 | deletes);
    atomic_store(&ledger->in_call, 2);
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
    atomic_store(&entry->acked, version << 1 | deletes);
    atomic_store(&ledger->in_call, 0);
}

static void writer_run(void *arg)
{
    struct writer *writer = arg;
    struct field *field = writer->field;
    struct ledger *ledger = &field->ledgers[writer->number];
    harness_rng rng = harness_rng_make(1000 * (writer->number + 1) + ledger->steps);
    lxdb *db;

    harness_stage("open");
    db = harness_open(field->path, (lxdb_options){.sync = field->sync});
    harness_stage("writing");
    for (;;) {
        if (harness_below(&rng, 3) == 0)
            group_step(db, ledger, writer->number, &rng);
        else
            key_step(db, ledger, writer->number, &rng);
        (void)atomic_fetch_add(&ledger->steps, 1);
        harness_progress();
    }
}

/* A compaction holds the writers up for its last part: let them get on between two. */
static bool steps_were_made(void *arg)
{
    struct field *field = arg;
    uint64_t steps = 0;

    for (unsigned i = 0; i < WRITERS; i++)
        steps += atomic_load(&field->ledgers[i].steps);
    return steps >= atomic_load(&field->compact_at);
}

static void compactor_run(void *arg)
{
    struct writer *writer = arg;
    lxdb *db = harness_open(writer->field->path, (lxdb_options){0});

    harness_stage("compacting");
    for (;;) {
        CHECK_OK(db, lxdb_compact(db, NULL));
        (void)atomic_fetch_add(&writer->field->compactions, 1);
        harness_progress();
        (void)atomic_fetch_add(&writer->field->compact_at, COMPACT_EVERY);
        harness_until("steps before the next compaction", steps_were_made, writer->field);
    }
}

/* Its keys are everybody's: whole values, versions that never go backwards while it lives. */
static void reader_run(void *arg)
{
    struct writer *writer = arg;
    struct field *field = writer->field;
    harness_rng rng = harness_rng_make(7);
    lxdb *db = harness_open(field->path, (lxdb_options){0});
    uint64_t last[WRITERS][KEYS] = {{0}};
    uint64_t version;
    unsigned number, i;
    size_t key_len;
    char key[32];

    harness_stage("reading");
    for (;;) {
        number = (unsigned)harness_below(&rng, WRITERS);
        i = (unsigned)harness_below(&rng, KEYS);
        key_len = key_make(key, sizeof(key), number, "key", i);
        version = harness_value_read(db, key, key_len);
        CHECK(version == 0 || version >= last[number][i], "%s: version %llu after %llu", key,
              (unsigned long long)version, (unsigned long long)last[number][i]);
        last[number][i] = version != 0 ? version : last[number][i];
        (void)atomic_fetch_add(&field->reads, 1);
        harness_progress();
    }
}

/* ---- The director ---------------------------------------------------------------------------- */

enum { COMPACTOR = WRITERS, READER, ACTORS };

struct team {
    struct field *field;
    struct writer members[ACTORS];
    harness_rng rng;
};

static void member_start(struct team *team, unsigned number)
{
    struct writer *member = &team->members[number];

    member->field = team->field;
    member->number = number;
    if (number == COMPACTOR)
        member->worker = harness_start("compactor", compactor_run, member);
    else if (number == READER)
        member->worker = harness_start("reader", reader_run, member);
    else
        member->worker = harness_start("writer", writer_run, member);
}

static bool in_batch(void *arg)
{
    return atomic_load(&((const struct ledger *)arg)->in_call) == 2;
}

/* Let the victim do a random number of steps, choose a moment, and kill. */
static void strike(struct team *team, unsigned number)
{
    struct ledger *ledger = number < WRITERS ? &team->field->ledgers[number] : NULL;
    int worker = team->members[number].worker;

    if (ledger != NULL)
        harness_await_progress(worker, 1 + harness_below(&team->rng, 60));
    if (ledger != NULL && harness_below(&team->rng, 2) == 0)
        harness_until("victim in a batch", in_batch, ledger);
    harness_dawdle(&team->rng, harness_below(&team->rng, 4) == 0 ? 2000000 : 60000);
    harness_kill(worker);
    harness_count("kills", 1);
    if (ledger != NULL && ledger->in_call != 0)
        harness_count("kills inside a call", 1);
}

/* A witness looks on: did the dead one hold the lock, do the others go on, are its keys right? */
static void kill_one(struct team *team)
{
    unsigned number = (unsigned)harness_below(&team->rng, WRITERS + 1); /* never the reader */
    int pid = harness_pid(team->members[number].worker);
    lxdb *db = harness_open(team->field->path, (lxdb_options){0});
    lxdb_stat_info info;

    strike(team, number);
    CHECK_OK(db, lxdb_stat(db, &info));
    if (info.lock_pid == (uint32_t)pid)
        harness_count("kills that left the writer lock held", 1);
    for (unsigned i = 0; i < ACTORS; i++) {
        if (i != number && i != COMPACTOR)
            harness_await_progress(team->members[i].worker, 2);
    }
    if (number < WRITERS)
        ledger_check(db, team->field, number);
    CHECK_OK(NULL, lxdb_close(db));
    member_start(team, number);
}

static void kill_all(struct team *team)
{
    unsigned first = (unsigned)harness_below(&team->rng, ACTORS);
    lxdb_report report;
    lxdb *db;

    for (unsigned i = 0; i < WRITERS; i++)
        harness_await_progress(team->members[i].worker, 1);
    harness_dawdle(&team->rng, 2000000);
    for (unsigned i = 0; i < ACTORS; i++)
        harness_kill_remote(team->members[(first + i) % ACTORS].worker);
    for (unsigned i = 0; i < ACTORS; i++)
        harness_kill(team->members[i].worker);
    harness_count("kills", ACTORS);
    db = harness_open(team->field->path, (lxdb_options){.flags = LXDB_NOCREATE});
    CHECK_OK(db, lxdb_recovery(db, &report));
    CHECK(report.crashed == 1, "the receipt does not speak of a crash");
    CHECK(report.bytes_damaged == 0, "%llu bytes of damage below the watermark",
          (unsigned long long)report.bytes_damaged);
    for (unsigned i = 0; i < WRITERS; i++)
        ledger_check(db, team->field, i);
    harness_count("recoveries after all were killed", 1);
    if (harness_below(&team->rng, 2) == 0) {
        CHECK_OK(NULL, lxdb_close(db));
        db = NULL;
    }
    for (unsigned i = 0; i < ACTORS; i++)
        member_start(team, i);
    if (db != NULL) {
        harness_await_progress(team->members[0].worker, 1);
        CHECK_OK(NULL, lxdb_close(db));
    }
}

static void end_team(struct team *team)
{
    uint64_t count = 0;
    lxdb *db;

    for (unsigned i = 0; i < ACTORS; i++)
        harness_kill(team->members[i].worker);
    db = harness_open(team->field->path, (lxdb_options){.flags = LXDB_NOCREATE});
    for (unsigned i = 0; i < WRITERS; i++)
        ledger_check(db, team->field, i);
    CHECK_OK(db, lxdb_count(db, &count));
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(team->field->path, count);
}

static void storm(const char *name, int sync, unsigned kills)
{
    struct team team = {harness_shared(sizeof(struct field)), {{0}}, harness_rng_make(99)};

    team.field->path = harness_path(name);
    team.field->sync = sync;
    for (unsigned i = 0; i < ACTORS; i++)
        member_start(&team, i);
    for (unsigned round = 1; harness_goes_on(round - 1, kills); round++) {
        harness_phase("kill and go on");
        if (round % KILL_ALL_EVERY == 0)
            kill_all(&team);
        else
            kill_one(&team);
    }
    harness_phase("end");
    end_team(&team);
    harness_count("compactions", team.field->compactions);
    harness_count("reads beside the kills", team.field->reads);
}

static void kill_writer_sync_none_loses_nothing_acknowledged(void)
{
    storm("none", LXDB_SYNC_NONE, KILLS);
    harness_count_least("kills", 250);
    harness_count_least("kills inside a call", 60);
    harness_count_least("recoveries after all were killed", 20);
    harness_count_least("reads beside the kills", 1000);
}

static void kill_writer_sync_full_loses_nothing_acknowledged(void)
{
    storm("full", LXDB_SYNC_FULL, KILLS / 4);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(kill_writer_sync_none_loses_nothing_acknowledged),
        HARNESS_CASE(kill_writer_sync_full_loses_nothing_acknowledged),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
