/* SPDX-License-Identifier: MIT */
/*
 * The index is damaged while two readers and a writer have the database open and are at work. What
 * they may get is the right answer, also after the index was made anew, a miss, or LXDB_CORRUPT;
 * never what is not the key's, a crash, or a wait for ever. After all have closed, the next opening
 * gives the right answers for every key.
 *
 * A miss can be of a key's newest version alone, so that an older one shows. A get gives one only
 * if a writer missed the key before, when it stored a version, or its change failed: then both may
 * have slots, until the index is made anew. An iteration, which sees all slots, may come to one at
 * any time.
 *
 * There is one writer, so the state of a key at any moment is known: the versions that are its own
 * between what was acknowledged when a read began and what was begun when it returned. A change
 * that failed may have taken effect or not. A miss can make others: a delete that finds no key
 * changes nothing.
 *
 * Not here: the lock file, which is no cache while it is in use, and a file that is cut short under
 * those who map it, which the kernel answers with SIGBUS.
 */
#include "harm.h"
#include "harness.h"

#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 1600u /* so many that their segment is full of markers now and then */
#define ROUNDS 700u
#define READERS 2u
#define HARMS_MOST 8u
#define BURST 40u                       /* steps of each worker around a harm */
#define FILE_MOST (UINT64_C(256) << 20) /* of any file: room enough, unless damage asks for it */

/* A state of a key is version << 1 | there. */
struct state {
    _Atomic uint64_t acked;
    _Atomic uint64_t pending; /* of the change under way; else as acked, or of one that failed */
    _Atomic bool removing;    /* since acked, a delete has failed */
    /* A change did not find the key, or failed: there may be two slots for it from now on, until
     * the index is made anew, and the older one may show. */
    _Atomic bool doubled;
};

struct arena {
    struct state keys[KEYS];
    _Atomic uint64_t version; /* the last that was used */
    _Atomic int damaged;      /* some harm was done in this round */
    _Atomic int stop;
    _Atomic uint64_t ready;
    _Atomic uint64_t bursts; /* begun in this round */
    const char *path;
    harness_rng rng;
};

static struct arena *arena;

static size_t key_make(char key[32], unsigned number)
{
    return (size_t)snprintf(key, 32, "key-%u", number);
}

/* ---- What a reader may see ------------------------------------------------------------------- */

/* A code that damage may have led to. */
static bool is_excused(int rc)
{
    if (rc != LXDB_CORRUPT || !atomic_load(&arena->damaged))
        return false;
    harness_count("LXDB_CORRUPT answered", 1);
    return true;
}

/* `version`, 0 for no value, was read when the key went from `before` to `after`. `older`: a
 * version from before that may have been seen. */
static void judge(unsigned number, uint64_t before, uint64_t after, uint64_t version, bool older)
{
    uint64_t oldest = before >> 1, newest = after >> 1;

    if (version == 0) {
        /* one version alone, and that is there: it was missed */
        if (before == after && (before & 1) != 0) {
            CHECK(atomic_load(&arena->damaged), "key %u is missed without damage", number);
            harness_count("misses", 1);
        }
        return;
    }
    if (version < oldest && older) {
        harness_count("older versions", 1);
        return;
    }
    CHECK(version >= oldest && version <= newest,
          "key %u has version %llu, which is none of %llu to %llu", number,
          (unsigned long long)version, (unsigned long long)oldest, (unsigned long long)newest);
}

static void read_one(lxdb *db, unsigned number)
{
    struct state *state = &arena->keys[number];
    uint64_t before = atomic_load(&state->acked), version = 0;
    char key[32];
    size_t key_len = key_make(key, number), len;
    void *value;
    int rc = lxdb_read_alloc(db, key, key_len, &value, &len);

    if (is_excused(rc))
        return;
    if (rc != LXDB_NOTFOUND) {
        CHECK_OK(db, rc);
        version = harness_value_check(value, len, key, key_len);
        lxdb_free(value);
    }
    judge(number, before, atomic_load(&state->pending), version, atomic_load(&state->doubled));
    harness_count("reads", 1);
}

static void iterate(lxdb *db)
{
    static uint64_t before[KEYS];
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;
    int rc;

    for (unsigned i = 0; i < KEYS; i++)
        before[i] = atomic_load(&arena->keys[i].acked);
    rc = lxdb_iter_open(db, NULL, 0, 0, &iter);
    if (is_excused(rc))
        return;
    CHECK_OK(db, rc);
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        char name[32];
        uint64_t version = harness_value_check(value, value_len, key, key_len);
        unsigned number;

        CHECK(key_len > 4 && key_len < sizeof(name) && memcmp(key, "key-", 4) == 0,
              "an iteration gives a key that nobody wrote");
        memcpy(name, key, key_len);
        name[key_len] = '\0';
        number = (unsigned)strtoul(name + 4, NULL, 10);
        judge(number, before[number], atomic_load(&arena->keys[number].pending), version,
              atomic_load(&arena->damaged));
    }
    if (!is_excused(rc))
        CHECK_RC(db, LXDB_NOTFOUND, rc);
    lxdb_iter_close(iter);
    harness_count("iterations", 1);
}

/* ---- Workers --------------------------------------------------------------------------------- */

static lxdb *work_begin(void)
{
    lxdb *db = harness_open(arena->path, (lxdb_options){.helpers = LXDB_HELPERS_REMOVE,
                                                        .compact_floor = 256 << 10,
                                                        .busy_timeout_ms = UINT32_MAX});

    (void)atomic_fetch_add(&arena->ready, 1);
    harness_stage("at work");
    return db;
}

/* One more step of this worker; false: there is to be none. A burst is BURST steps. */
static bool work_goes_on(uint64_t steps)
{
    if (steps > 0)
        harness_progress();
    if (steps % BURST == 0)
        harness_until_least("the next burst", &arena->bursts, steps / BURST + 1);
    return !atomic_load(&arena->stop);
}

/* A close that could not repair what damage kept it from is not clean. */
static void work_end(lxdb *db)
{
    int rc;

    harness_stage("close");
    rc = lxdb_close(db);
    if (!is_excused(rc))
        CHECK_OK(NULL, rc);
}

static void reader_run(void *arg)
{
    harness_rng rng = harness_rng_make(atomic_fetch_add(&arena->version, 1));
    lxdb *db = work_begin();

    (void)arg;
    for (uint64_t steps = 0; work_goes_on(steps); steps++) {
        bool iterates = harness_below(&rng, 32) == 0;

        harness_stage(iterates ? "iteration" : "read");
        if (iterates)
            iterate(db);
        else
            read_one(db, (unsigned)harness_below(&rng, KEYS));
    }
    work_end(db);
}

/* Store a version: as an update or a creation, which tell whether the key is found, and then, if it
 * is not as it should be, in any case. */
static int store(lxdb *db, struct state *state, const char *key, size_t key_len, bool there,
                 uint64_t version, size_t len)
{
    unsigned char value[256];
    int rc;

    harness_value_fill(value, len, key, key_len, version);
    rc = there ? lxdb_update(db, key, key_len, value, len)
               : lxdb_create(db, key, key_len, value, len);
    if (rc != (there ? LXDB_NOTFOUND : LXDB_EXISTS) || !atomic_load(&arena->damaged))
        return rc;
    harness_count("misses", there);
    atomic_store(&state->doubled, true);
    return lxdb_write(db, key, key_len, value, len);
}

/* One change of a key. */
static void change(lxdb *db, harness_rng *rng, unsigned number)
{
    struct state *state = &arena->keys[number];
    uint64_t acked = atomic_load(&state->acked);
    uint64_t version = atomic_fetch_add(&arena->version, 1) + 1;
    bool remove = (acked & 1) != 0 && harness_below(rng, 4) == 0;
    char key[32];
    size_t key_len = key_make(key, number);
    int rc;

    atomic_store(&state->pending, version << 1 | !remove);
    rc = remove ? lxdb_delete(db, key, key_len)
                : store(db, state, key, key_len, acked & 1, version,
                        64 + (size_t)harness_below(rng, 3) * 32);
    if (is_excused(rc)) {
        atomic_store(&state->doubled, true);
        if (remove)
            atomic_store(&state->removing, true);
        return;
    }
    if (remove && rc == LXDB_NOTFOUND && atomic_load(&arena->damaged)) {
        atomic_store(&state->pending, acked);
        harness_count("misses", 1);
        return;
    }
    CHECK_OK(db, rc);
    atomic_store(&state->acked, version << 1 | !remove);
    atomic_store(&state->removing, false);
    harness_count("changes", 1);
}

static void writer_run(void *arg)
{
    harness_rng rng = harness_rng_make(atomic_fetch_add(&arena->version, 1));
    lxdb *db = work_begin();

    (void)arg;
    for (uint64_t steps = 0; work_goes_on(steps); steps++)
        change(db, &rng, (unsigned)harness_below(&rng, KEYS));
    work_end(db);
}

/* ---- Harm ------------------------------------------------------------------------------------ */

/* To the index in force: a compaction may have made a new one. */
static void harm(void)
{
    char name[4200];
    struct stat info;
    void *bytes;
    int fd;

    (void)snprintf(name, sizeof(name), "%s-index", arena->path);
    fd = open(name, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &info) == 0, "%s: %s", name, strerror(errno));
    bytes = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(bytes != MAP_FAILED, "%s: %s", name, strerror(errno));
    harness_count(harm_index_word(&arena->rng, bytes, (size_t)info.st_size), 1);
    harness_count("harms", 1);
    (void)munmap(bytes, (size_t)info.st_size);
    (void)close(fd);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

/* Whether a key may be as it is found, with nobody at work on it: as acknowledged, or as a change
 * left it that failed since or was cut short by a kill. */
static bool is_right(const struct state *state, uint64_t version)
{
    uint64_t acked = atomic_load(&state->acked), pending = atomic_load(&state->pending);

    if (version == ((acked & 1) != 0 ? acked >> 1 : 0))
        return true;
    return version == 0 ? atomic_load(&state->removing) || (pending & 1) == 0
                        : version > acked >> 1 && version <= pending >> 1;
}

static void check_all(void)
{
    lxdb *db = harness_open(arena->path, (lxdb_options){.helpers = LXDB_HELPERS_REMOVE});
    uint64_t count = 0, there = 0;

    for (unsigned i = 0; i < KEYS; i++) {
        struct state *state = &arena->keys[i];
        char key[32];
        size_t key_len = key_make(key, i);
        uint64_t version = harness_value_read(db, key, key_len);

        CHECK(is_right(state, version), "opened again, key %u has version %llu, not %llu or later",
              i, (unsigned long long)version, (unsigned long long)atomic_load(&state->acked) >> 1);
        if (version != 0)
            atomic_store(&state->acked, version << 1 | 1);
        else
            atomic_store(&state->acked, atomic_load(&state->pending) & ~UINT64_C(1));
        atomic_store(&state->pending, atomic_load(&state->acked));
        atomic_store(&state->removing, false);
        atomic_store(&state->doubled, false);
        there += version != 0;
    }
    CHECK_OK(db, lxdb_count(db, &count));
    CHECK(count == there, "%llu keys counted, %llu are there", (unsigned long long)count,
          (unsigned long long)there);
    CHECK_OK(NULL, lxdb_close(db));
}

/* A burst of all workers, and in the middle of it, if this is to be, a harm. */
static void burst_run(const int *workers, uint64_t number, bool harms)
{
    atomic_store(&arena->bursts, number);
    if (harms) {
        harness_dawdle(&arena->rng, 200000);
        atomic_store(&arena->damaged, 1);
        harm();
    }
    for (unsigned i = 0; i <= READERS; i++)
        harness_await_steps(workers[i], number * BURST);
}

static void round_run(void)
{
    int workers[READERS + 1];
    uint64_t harms = 1 + harness_below(&arena->rng, HARMS_MOST), number = 1;
    bool kills = harness_below(&arena->rng, 4) == 0;

    atomic_store(&arena->damaged, 0);
    atomic_store(&arena->stop, 0);
    atomic_store(&arena->ready, 0);
    atomic_store(&arena->bursts, 0);
    for (unsigned i = 0; i < READERS; i++)
        workers[i] = harness_start("reader", reader_run, NULL);
    workers[READERS] = harness_start("writer", writer_run, NULL);
    harness_until_least("workers to be ready", &arena->ready, READERS + 1);
    burst_run(workers, number++, false);
    for (; harms > 0; harms--)
        burst_run(workers, number++, true);
    burst_run(workers, number++, false);
    atomic_store(&arena->stop, !kills);
    atomic_store(&arena->bursts, UINT64_MAX); /* a kill hits them at work */
    for (unsigned i = 0; i <= READERS; i++) {
        if (kills)
            harness_kill(workers[i]);
        else
            harness_wait(workers[i]);
    }
    harness_count("rounds that ended by a kill", kills);
    atomic_store(&arena->damaged, 0);
    check_all();
}

static void index_damaged_in_use_costs_a_miss_and_no_more(void)
{
    const struct rlimit most = {FILE_MOST, FILE_MOST};
    unsigned rounds = 0;

    CHECK(setrlimit(RLIMIT_FSIZE, &most) == 0, "%s", strerror(errno));
    arena = harness_shared(sizeof(*arena));
    arena->path = harness_path("patient");
    arena->rng = harness_rng_make(1);
    for (; harness_goes_on(rounds, ROUNDS); rounds++) {
        harness_phase("index damaged in use");
        round_run();
    }
    harness_count("rounds", rounds);
    harness_count_least("rounds", 20);
    harness_count_least("harms", 3 * (uint64_t)rounds);
    harness_count_least("reads", 100 * (uint64_t)rounds);
    harness_count_least("changes", 50 * (uint64_t)rounds);
    harness_count_least("misses", rounds);
    harness_count_least("rounds that ended by a kill", rounds / 8);
}

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static int no_sync_of_range(void *addr, size_t len, int fd)
{
    (void)addr;
    (void)len;
    return no_sync(fd);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(index_damaged_in_use_costs_a_miss_and_no_more),
    };
    static struct lx_io table;

    table = lx_io_system; /* nobody cuts the power */
    table.fdatasync = no_sync;
    table.fsync = no_sync;
    table.msync = no_sync_of_range;
    lx_io = &table;
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
