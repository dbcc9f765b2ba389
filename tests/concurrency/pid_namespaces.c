/* SPDX-License-Identifier: MIT */
/*
 * Two processes in PID namespaces of their own on one database, as two containers on one volume:
 * each is pid 1 where it lives. One is stopped, then killed, inside the writer lock. The other must
 * wait for it while it lives, although its pid looks like the waiter's own, and repair once it is
 * dead.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 5u
#define BATCH 48u

enum order { REST = 0, WRITE, WRITE_BUSY, QUIT };

struct side {
    _Atomic int inner; /* worker number of the process in the new namespace, + 1 */
    _Atomic uint64_t acked, begun;
    _Atomic uint64_t order; /* enum order */
    _Atomic uint64_t done;  /* orders carried out */
};

struct world {
    const char *path;
    struct side sides[2];
};

struct place {
    struct world *world;
    unsigned side;
    harness_work work;
};

/* ---- Namespaces ------------------------------------------------------------------------------ */

static bool file_put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        (void)close(fd);
    return good;
}

/* Later children live in a new PID namespace. Without root that takes a user namespace too. */
static bool namespace_enter(void)
{
    unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
    char map[64];

    if (uid == 0)
        return unshare(CLONE_NEWPID) == 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        return false;
    (void)file_put("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (!file_put("/proc/self/uid_map", map))
        return false;
    (void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    return file_put("/proc/self/gid_map", map);
}

static void probe_inner(void *arg)
{
    atomic_store((_Atomic uint64_t *)arg, getpid() == 1 ? 1 : 2);
}

static void probe_outer(void *arg)
{
    if (namespace_enter())
        harness_wait(harness_start("probe", probe_inner, arg));
}

static bool namespaces_work(void)
{
    _Atomic uint64_t *answer = harness_shared(sizeof(*answer));

    harness_wait(harness_start("probe's parent", probe_outer, (void *)answer));
    return atomic_load(answer) == 1;
}

/* The process in between: it starts the inner one and reaps it, however that ends. */
static void outer_run(void *arg)
{
    struct place *place = arg;
    int worker, status;

    CHECK(namespace_enter(), "%s", strerror(errno));
    worker = harness_start("inner writer", place->work, place);
    atomic_store(&place->world->sides[place->side].inner, worker + 1);
    harness_stage("waiting for the inner writer");
    while (waitpid(harness_pid(worker), &status, 0) < 0)
        CHECK(errno == EINTR, "%s", strerror(errno));
}

/* ---- Writers --------------------------------------------------------------------------------- */

static size_t key_make(char *key, size_t cap, unsigned side, unsigned number)
{
    return (size_t)snprintf(key, cap, "%u/%u", side, number);
}

static int batch_write(lxdb *db, unsigned side, uint64_t version)
{
    static unsigned char value[2000];
    lxdb_batch *batch;
    size_t key_len;
    char key[32];

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (unsigned i = 0; i < BATCH; i++) {
        key_len = key_make(key, sizeof(key), side, i);
        harness_value_fill(value, sizeof(value), key, key_len, version);
        CHECK_OK(db, lxdb_batch_write(batch, key, key_len, value, sizeof(value)));
    }
    return lxdb_batch_commit(batch, NULL, NULL);
}

static void batch_step(lxdb *db, struct side *mine, unsigned side)
{
    uint64_t version = atomic_load(&mine->acked) + 1;

    atomic_store(&mine->begun, version);
    CHECK_OK(db, batch_write(db, side, version));
    atomic_store(&mine->acked, version);
    harness_progress();
}

static void victim_run(void *arg)
{
    struct place *place = arg;
    lxdb *db = harness_open(place->world->path, (lxdb_options){0});

    CHECK(getpid() == 1, "pid %d in a new namespace", (int)getpid());
    harness_stage("writing batches");
    for (;;)
        batch_step(db, &place->world->sides[place->side], place->side);
}

static bool order_given(void *arg)
{
    return atomic_load(&((struct side *)arg)->order) != REST;
}

static void survivor_run(void *arg)
{
    struct place *place = arg;
    struct side *mine = &place->world->sides[place->side];
    lxdb *db = harness_open(place->world->path, (lxdb_options){0});
    lxdb *hasty = harness_open(place->world->path, (lxdb_options){.busy_timeout_ms = 150});
    uint64_t order;

    CHECK(getpid() == 1, "pid %d in a new namespace", (int)getpid());
    for (;;) {
        harness_until("waiting for orders", order_given, mine);
        order = atomic_load(&mine->order);
        if (order == QUIT)
            break;
        harness_stage(order == WRITE ? "writing" : "writing against a stopped holder");
        if (order == WRITE)
            batch_step(db, mine, place->side);
        else
            CHECK_RC(hasty, LXDB_BUSY, batch_write(hasty, place->side, mine->acked + 1));
        atomic_store(&mine->order, REST);
        (void)atomic_fetch_add(&mine->done, 1);
    }
    CHECK_OK(NULL, lxdb_close(hasty));
    CHECK_OK(NULL, lxdb_close(db));
}

/* ---- The director ---------------------------------------------------------------------------- */

static bool inner_known(void *arg)
{
    return atomic_load(&((struct side *)arg)->inner) != 0;
}

static int inner_start(struct place *place, int *ret_outer)
{
    struct side *side = &place->world->sides[place->side];

    atomic_store(&side->inner, 0);
    *ret_outer = harness_start("namespace", outer_run, place);
    harness_until("inner writer to start", inner_known, side);
    return atomic_load(&side->inner) - 1;
}

static void give_order(struct side *side, enum order order)
{
    uint64_t done = atomic_load(&side->done);

    atomic_store(&side->order, order);
    harness_until_least("order to be carried out", &side->done, done + 1);
}

/* The survivor rests meanwhile, so whoever holds the lock is the victim. */
static void catch_in_lock(lxdb *db, int victim, harness_rng *rng)
{
    lxdb_stat_info info;

    for (;;) {
        harness_dawdle(rng, 300000);
        harness_stop(victim);
        CHECK_OK(db, lxdb_stat(db, &info));
        if (info.lock_pid != 0)
            break;
        harness_continue(victim);
    }
    CHECK(info.lock_pid == 1, "the holder sees itself as pid 1, not %u", info.lock_pid);
}

static void side_check(lxdb *db, struct world *world, unsigned number)
{
    struct side *side = &world->sides[number];
    uint64_t version, first = 0;
    size_t key_len;
    char key[32];

    for (unsigned i = 0; i < BATCH; i++) {
        key_len = key_make(key, sizeof(key), number, i);
        version = harness_value_read(db, key, key_len);
        first = i == 0 ? version : first;
        CHECK(version == first, "batch of side %u torn: %llu and %llu", number,
              (unsigned long long)first, (unsigned long long)version);
    }
    CHECK(first == side->acked || first == side->begun,
          "side %u: version %llu, acknowledged %llu, begun %llu", number, (unsigned long long)first,
          (unsigned long long)side->acked, (unsigned long long)side->begun);
    side->acked = side->begun = first;
}

static void pid_namespaces_holder_of_same_pid_is_awaited_then_repaired(void)
{
    struct world *world = harness_shared(sizeof(*world));
    struct place victim_place = {world, 0, victim_run};
    struct place survivor_place = {world, 1, survivor_run};
    harness_rng rng = harness_rng_make(5);
    int victim, victim_outer, survivor_outer;
    lxdb *db;

    if (!namespaces_work()) {
        harness_skip("no right to make PID namespaces");
        return;
    }
    world->path = harness_path("namespaces");
    db = harness_open(world->path, (lxdb_options){0});
    (void)inner_start(&survivor_place, &survivor_outer);
    for (unsigned round = 0; harness_goes_on(round, ROUNDS); round++) {
        harness_phase("stop the holder");
        give_order(&world->sides[1], WRITE);
        victim = inner_start(&victim_place, &victim_outer);
        harness_await_progress(victim, 1 + harness_below(&rng, 5));
        catch_in_lock(db, victim, &rng);
        harness_phase("write against the stopped holder");
        give_order(&world->sides[1], WRITE_BUSY);
        harness_phase("kill the holder");
        harness_kill_remote(victim);
        give_order(&world->sides[1], WRITE);
        harness_wait(victim_outer);
        harness_forget(victim);
        side_check(db, world, 0);
        side_check(db, world, 1);
        harness_count("holders killed in another namespace", 1);
    }
    harness_phase("end");
    atomic_store(&world->sides[1].order, QUIT);
    harness_wait(survivor_outer);
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(world->path, (uint64_t)2 * BATCH);
    harness_count_least("holders killed in another namespace", ROUNDS);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(pid_namespaces_holder_of_same_pid_is_awaited_then_repaired),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
