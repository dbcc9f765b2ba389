/* SPDX-License-Identifier: MIT */
/*
 * A plain copy, as `cp` makes it, of a data file that others are writing to: read from front to
 * back in pieces of any size, it opens as the database was after some commit.
 *
 * Each writer counts its commits, and notes in shared memory what each is going to do before it
 * does it. A copy has to equal what the writer's keys were after one of its commits, which is not
 * older than the last that had returned when the copy was begun, and not newer than the last that
 * was begun when the copy was done. A batch is one commit, so half of one equals no state. With two
 * writers each has keys of its own, and both increment one sum, each time as a commit: the states
 * of both must be of one instant of it.
 *
 * What is promised needs the header of the copy to say that a session is under way. A copy that is
 * begun while there is none, and during which one begins, is judged by the rules of closed files: a
 * status byte that was read before it changed is believed. Such copies have to open, with whole
 * values, and no more.
 *
 * The writers run at full speed, the files grow from nothing in every generation, and the small
 * compact_floor lets compactions replace the file under a copier every few hundred commits.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 48u /* of each writer */
#define IN_BATCH_MOST 6u
#define RING (1u << 15)
#define HEADER_SIZE 10u
#define LEN_MOST 3000u
#define FLOOR (256u << 10)
#define PIECE_MOST (96u << 10)
#define WRITERS_MOST 2u

/* What one commit does. A key with DELETES is deleted, another gets the commit's number. */
#define DELETES 0x80u
struct commit {
    uint8_t n; /* keys */
    uint8_t keys[IN_BATCH_MOST];
    bool increments;      /* the sum, and touches no key */
    _Atomic uint64_t sum; /* what the increment gave; 0 until it has returned */
};

struct writer {
    const char *path;
    unsigned number;
    bool shares; /* increments the sum now and then */
    bool rests;  /* closes the database now and then, and opens it again */
    _Atomic uint64_t stop;
    _Atomic uint64_t begun, acked;
    _Atomic uint64_t sessions; /* odd while one may be beginning */
    _Atomic uint64_t copied;   /* commits up to here are of no use to the copier */
    struct commit commits[RING];
};

/* Of a writer's keys: the commit that each is of, 0 = it is not there. */
struct state {
    uint64_t versions[KEYS];
};

static struct commit *commit_at(struct writer *writer, uint64_t number)
{
    return &writer->commits[number % RING];
}

static size_t key_make(char *key, size_t cap, unsigned writer, unsigned number)
{
    return (size_t)snprintf(key, cap, "%u/%u", writer, number);
}

/* ---- Writers --------------------------------------------------------------------------------- */

static bool has_room(void *arg)
{
    struct writer *writer = arg;

    return atomic_load(&writer->stop) != 0 ||
           atomic_load(&writer->begun) - atomic_load(&writer->copied) < RING - 2;
}

static void commit_plan(struct writer *writer, struct commit *commit, harness_rng *rng)
{
    commit->n = 0;
    atomic_store(&commit->sum, 0);
    commit->increments = writer->shares && harness_below(rng, 8) == 0;
    if (commit->increments)
        return;
    commit->n = harness_below(rng, 3) == 0 ? (uint8_t)(2 + harness_below(rng, IN_BATCH_MOST - 1))
                                           : 1;
    for (unsigned i = 0; i < commit->n; i++) {
        /* different keys, each in a range of its own */
        unsigned range = KEYS / commit->n;
        unsigned key = i * range + (unsigned)harness_below(rng, range);

        commit->keys[i] = (uint8_t)(key | (harness_below(rng, 6) == 0 ? DELETES : 0));
    }
}

static void commit_increment(lxdb *db, struct commit *commit)
{
    int64_t sum = 0;

    CHECK_OK(db, lxdb_incr(db, "sum", 3, 1, &sum));
    atomic_store(&commit->sum, (uint64_t)sum);
}

static void commit_one(lxdb *db, const struct writer *writer, unsigned planned, uint64_t version,
                       size_t len)
{
    char key[32];
    size_t key_len = key_make(key, sizeof(key), writer->number, planned & ~DELETES);
    int rc;

    if ((planned & DELETES) == 0) {
        CHECK_OK(db, harness_value_write(db, key, key_len, version, len));
        return;
    }
    rc = lxdb_delete(db, key, key_len);
    CHECK(rc == LXDB_OK || rc == LXDB_NOTFOUND, "delete: %s", lxdb_errmsg(db));
}

static void commit_batch(lxdb *db, const struct writer *writer, const struct commit *commit,
                         uint64_t version, size_t len)
{
    unsigned char value[LEN_MOST];
    lxdb_batch *batch = NULL;
    char key[32];

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (unsigned i = 0; i < commit->n; i++) {
        size_t key_len = key_make(key, sizeof(key), writer->number, commit->keys[i] & ~DELETES);

        if ((commit->keys[i] & DELETES) != 0) {
            CHECK_OK(db, lxdb_batch_delete(batch, key, key_len));
        } else {
            harness_value_fill(value, len, key, key_len, version);
            CHECK_OK(db, lxdb_batch_write(batch, key, key_len, value, len));
        }
    }
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
}

/* Close, and open again for the commit that begins another session. */
static lxdb *rest(lxdb *db, const struct writer *writer, lxdb_options options)
{
    CHECK_OK(NULL, lxdb_close(db));
    return harness_open(writer->path, options);
}

static void write_on(void *arg)
{
    struct writer *writer = arg;
    harness_rng rng = harness_rng_make(10 + writer->number);
    lxdb_options options = {.compact_floor = FLOOR};
    lxdb *db = harness_open(writer->path, options);

    harness_stage("writing");
    while (atomic_load(&writer->stop) == 0) {
        uint64_t number = atomic_load(&writer->begun) + 1;
        struct commit *commit = commit_at(writer, number);
        size_t len = HARNESS_VALUE_MIN + harness_below(&rng, LEN_MOST - HARNESS_VALUE_MIN);

        harness_until("the copier to catch up", has_room, writer);
        commit_plan(writer, commit, &rng);
        atomic_store(&writer->begun, number);
        if (commit->increments)
            commit_increment(db, commit);
        else if (commit->n == 1)
            commit_one(db, writer, commit->keys[0], number, len);
        else
            commit_batch(db, writer, commit, number, len);
        atomic_store(&writer->acked, number);
        if ((atomic_load(&writer->sessions) & 1) != 0)
            (void)atomic_fetch_add(&writer->sessions, 1);
        if (writer->rests && harness_below(&rng, 40) == 0) {
            db = rest(db, writer, options);
            (void)atomic_fetch_add(&writer->sessions, 1);
        }
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* ---- Copies ---------------------------------------------------------------------------------- */

/* Sizes of all magnitudes; but the header is read at once: the four bytes of its watermark are
 * one number. */
static size_t piece_size(harness_rng *rng, bool first)
{
    size_t size = (size_t)1 << harness_below(rng, 17);

    size += harness_below(rng, size);
    if (first && size < HEADER_SIZE)
        return HEADER_SIZE;
    return size < PIECE_MOST ? size : PIECE_MOST;
}

/* True: the header of the copy says that a session is under way. */
static bool copy(const char *from, const char *to, harness_rng *rng)
{
    static unsigned char piece[PIECE_MOST];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    unsigned char watermark[4];
    struct stat before, after;
    uint64_t total = 0;
    ssize_t n;

    CHECK(in >= 0 && out >= 0, "opening %s and %s: %s", from, to, strerror(errno));
    while ((n = read(in, piece, piece_size(rng, total == 0))) > 0) {
        CHECK(write(out, piece, (size_t)n) == n, "%s: %s", to, strerror(errno));
        total += (uint64_t)n;
        if (harness_below(rng, 16) == 0)
            harness_dawdle(rng, 300000);
    }
    CHECK(n == 0, "%s: %s", from, strerror(errno));
    CHECK(fstat(in, &before) == 0 && stat(from, &after) == 0, "stat: %s", strerror(errno));
    harness_count("copies of a file that was replaced meanwhile", before.st_ino != after.st_ino);
    harness_count("KiB copied", total >> 10);
    CHECK(pread(out, watermark, sizeof(watermark), 6) == sizeof(watermark), "%s: no header", to);
    (void)close(in);
    (void)close(out);
    return memcmp(watermark, "\0\0\0\0", sizeof(watermark)) != 0;
}

static void apply(struct state *state, const struct commit *commit, uint64_t number)
{
    for (unsigned i = 0; i < commit->n; i++)
        state->versions[commit->keys[i] & ~DELETES] = commit->keys[i] & DELETES ? 0 : number;
}

static struct state state_read(lxdb *db, unsigned writer)
{
    struct state state;
    char key[32];

    for (unsigned i = 0; i < KEYS; i++)
        state.versions[i] = harness_value_read(db, key, key_make(key, sizeof(key), writer, i));
    return state;
}

static bool states_equal(const struct state *a, const struct state *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* What the copier knows of a writer: its state after commit `at`. */
struct known {
    struct writer *writer;
    struct state state;
    uint64_t sum; /* of its last increment up to there */
    uint64_t at;
};

/* A commit whose state `found` is, and that fits the sum: from the one that is known to `last`. */
static uint64_t find(const struct known *known, uint64_t last, const struct state *found,
                     uint64_t sum)
{
    struct state state = known->state;
    uint64_t sum_least = known->sum;

    for (uint64_t number = known->at;; number++) {
        const struct commit *next = commit_at(known->writer, number + 1);
        uint64_t sum_next = UINT64_MAX; /* of an increment that has not returned: not known */

        if (number < last && next->increments && atomic_load(&next->sum) != 0)
            sum_next = atomic_load(&next->sum);
        if (states_equal(&state, found) && sum >= sum_least && sum < sum_next)
            return number;
        if (number == last)
            return UINT64_MAX;
        apply(&state, next, number + 1);
        if (next->increments)
            sum_least = atomic_load(&next->sum);
    }
}

static uint64_t newest(const struct state *state)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < KEYS; i++)
        if (state->versions[i] > most)
            most = state->versions[i];
    return most;
}

static uint64_t sum_read(lxdb *db)
{
    int64_t sum = 0;
    int rc = lxdb_get_int(db, "sum", 3, &sum);

    CHECK(rc == LXDB_OK || rc == LXDB_NOTFOUND, "the sum: %s", lxdb_errmsg(db));
    return rc == LXDB_OK ? (uint64_t)sum : 0;
}

static void known_advance(struct known *known)
{
    uint64_t acked = atomic_load(&known->writer->acked);

    while (known->at < acked) {
        const struct commit *commit = commit_at(known->writer, ++known->at);

        apply(&known->state, commit, known->at);
        if (commit->increments)
            known->sum = atomic_load(&commit->sum);
    }
    atomic_store(&known->writer->copied, known->at);
}

/* The copy against one writer's commits up to `last`. */
static void check(lxdb *db, const struct known *known, uint64_t last)
{
    const struct writer *writer = known->writer;
    struct state found = state_read(db, writer->number);
    uint64_t sum = sum_read(db);
    uint64_t number = find(known, last, &found, sum);

    CHECK(number != UINT64_MAX,
          "no state of writer %u between its commits %llu and %llu; the newest in it is %llu, the "
          "sum %llu",
          writer->number, (unsigned long long)known->at, (unsigned long long)last,
          (unsigned long long)newest(&found), (unsigned long long)sum);
    harness_count("commits that copies had to choose from", last - known->at + 1);
    harness_count("copies with commits of after their start", number > known->at);
}

static void copy_and_check(const char *path, struct known *known, unsigned writers,
                           harness_rng *rng)
{
    const char *to = harness_path("copy");
    /* A recovery syncs, which takes its time; a reader finds the same without. */
    lxdb_options options = {.flags = harness_below(rng, 8) == 0 ? 0 : LXDB_RDONLY};
    uint64_t session = atomic_load(&known[0].writer->sessions);
    uint64_t last[WRITERS_MOST];
    lxdb_report report;
    bool judged;
    lxdb *db;

    for (unsigned i = 0; i < writers; i++)
        known_advance(&known[i]);
    judged = copy(path, to, rng);
    for (unsigned i = 0; i < writers; i++)
        last[i] = atomic_load(&known[i].writer->begun);
    if ((session & 1) == 0 && session == atomic_load(&known[0].writer->sessions))
        judged = true; /* no session began */
    db = harness_open(to, options);
    for (unsigned i = 0; i < writers; i++) {
        if (judged)
            check(db, &known[i], last[i]);
        else
            (void)state_read(db, i);
    }
    if (lxdb_recovery(db, &report) == LXDB_OK)
        harness_count("copies with a torn end", report.bytes_cut != 0);
    CHECK_OK(NULL, lxdb_close(db));
    harness_remove(to);
    harness_count(judged ? "copies" : "copies begun before a session", 1);
}

static void copies_of(const char *name, unsigned writers, bool rests, unsigned rounds)
{
    struct known known[WRITERS_MOST];
    const char *path = harness_path(name);
    harness_rng rng = harness_rng_make(writers);
    int workers[WRITERS_MOST];

    memset(known, 0, sizeof(known));
    for (unsigned i = 0; i < writers; i++) {
        known[i].writer = harness_shared(sizeof(*known[i].writer));
        known[i].writer->path = path;
        known[i].writer->number = i;
        known[i].writer->shares = writers > 1;
        known[i].writer->rests = rests;
        workers[i] = harness_start("writer", write_on, known[i].writer);
    }
    for (unsigned i = 0; i < writers; i++)
        harness_await_steps(workers[i], 10);
    for (unsigned round = 0; harness_goes_on(round, rounds); round++) {
        if (round % 50 == 0)
            harness_phase("copies");
        copy_and_check(path, known, writers, &rng);
    }
    for (unsigned i = 0; i < writers; i++)
        atomic_store(&known[i].writer->stop, 1);
    for (unsigned i = 0; i < writers; i++) {
        harness_wait(workers[i]);
        harness_count("commits", atomic_load(&known[i].writer->acked));
    }
    /* the file itself, which nobody writes any more */
    copy_and_check(path, known, writers, &rng);
}

static void copy_beside_one_writer_is_a_state_after_one_of_its_commits(void)
{
    harness_count_least("copies", 300);
    harness_count_least("commits", 5000);
    harness_count_least("copies of a file that was replaced meanwhile", 5);
    harness_count_least("copies with commits of after their start", 50);
    copies_of("one", 1, false, 150);
}

static void copy_beside_two_writers_is_a_state_of_both_at_one_instant(void)
{
    copies_of("two", 2, false, 150);
}

static void copy_beside_a_writer_that_comes_and_goes_is_a_state_after_one_of_its_commits(void)
{
    harness_count_least("copies begun before a session", 1);
    copies_of("rests", 1, true, 100);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(copy_beside_one_writer_is_a_state_after_one_of_its_commits),
        HARNESS_CASE(copy_beside_two_writers_is_a_state_of_both_at_one_instant),
        HARNESS_CASE(copy_beside_a_writer_that_comes_and_goes_is_a_state_after_one_of_its_commits),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
