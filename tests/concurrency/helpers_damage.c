/* SPDX-License-Identifier: MIT */
/*
 * The lock and the index file are caches: whatever becomes of them while nobody has the database
 * open, the next open must give the right answers. Between sessions, which end cleanly or by
 * SIGKILL, each helper is left alone, deleted, cut, filled with noise, overwritten by another
 * database's or by an older copy of its own, or has words of it changed that mean something
 * (harm.h); and the data file is put back to an earlier state, as from a backup. Damage to an index
 * in use is the business of index_damage.c.
 *
 * A damaged poison word may make writes be refused (that is what the word is for, and it cannot be
 * told from a real one); then reads must still be right and a compaction must end the refusal.
 */
#include "harm.h"
#include "harness.h"

#include "sys/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 200u
#define ROUNDS 1200u

struct model {
    uint64_t versions[KEYS]; /* 0: not there */
};

struct copy {
    void *bytes;
    size_t len;
};

struct patient {
    const char *path;
    char lock[4096], index[4096];
    struct model *model; /* shared: a session that is to be killed updates it */
    _Atomic uint64_t *written;
    harness_rng rng;
    struct copy old_lock, old_index;     /* of an earlier session */
    struct copy other_lock, other_index; /* of another database */
    struct copy backup;                  /* of the data file, closed, with its model */
    struct model backup_model;
};

static size_t key_make(char *key, size_t cap, unsigned number)
{
    return (size_t)snprintf(key, cap, "key-%u", number);
}

/* ---- Copies ---------------------------------------------------------------------------------- */

static void copy_take(struct copy *copy, const char *path)
{
    free(copy->bytes);
    (void)harness_file_read(path, &copy->bytes, &copy->len);
}

static void copy_put(const struct copy *copy, const char *path)
{
    if (copy->bytes != NULL)
        harness_file_write(path, copy->bytes, copy->len);
}

static void noise_make(harness_rng *rng, unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)harness_random(rng);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

enum {
    HARM_NONE,
    HARM_DELETE,
    HARM_EMPTY,
    HARM_CUT,
    HARM_ZEROS,
    HARM_NOISE,
    HARM_SPECKS,
    HARM_WORDS,
    HARM_LONGER,
    HARM_OTHER,
    HARM_OLDER,
    HARM_KINDS
};

/* Some bytes of a file that otherwise stays as it is. */
static void harm_specks(harness_rng *rng, unsigned char *bytes, size_t len)
{
    uint64_t n = 1 + harness_below(rng, 40);

    for (uint64_t i = 0; i < n && len > 0; i++)
        bytes[harness_below(rng, harness_below(rng, 2) == 0 && len > 4096 ? 4096 : len)] =
            (unsigned char)harness_random(rng);
}

/* Words that programs look at. */
static void harm_words(harness_rng *rng, bool is_index, unsigned char *bytes, size_t len)
{
    for (uint64_t n = 1 + harness_below(rng, 3); n > 0; n--)
        (void)(is_index ? harm_index_word(rng, bytes, len) : harm_lock_word(rng, bytes, len));
}

static void harm(struct patient *patient, const char *path, unsigned kind, const struct copy *other,
                 const struct copy *older)
{
    harness_rng *rng = &patient->rng;
    struct copy copy = {NULL, 0};
    unsigned char *bytes;

    copy_take(&copy, path);
    if (copy.bytes == NULL && kind != HARM_OTHER && kind != HARM_OLDER)
        return;
    bytes = copy.bytes;
    if (kind == HARM_DELETE) {
        CHECK(remove(path) == 0, "%s", path);
    } else if (kind == HARM_OTHER) {
        copy_put(other, path);
    } else if (kind == HARM_OLDER) {
        copy_put(older, path);
    } else {
        if (kind == HARM_EMPTY)
            copy.len = 0;
        else if (kind == HARM_CUT && copy.len > 0)
            copy.len = harness_below(rng, copy.len);
        else if (kind == HARM_ZEROS)
            memset(bytes, 0, copy.len);
        else if (kind == HARM_NOISE)
            noise_make(rng, bytes, copy.len);
        else if (kind == HARM_SPECKS)
            harm_specks(rng, bytes, copy.len);
        else if (kind == HARM_WORDS)
            harm_words(rng, path == patient->index, bytes, copy.len);
        else if (kind == HARM_LONGER) {
            bytes = realloc(copy.bytes, copy.len + 5000);
            CHECK(bytes != NULL, "no memory");
            noise_make(rng, bytes + copy.len, 5000);
            copy.bytes = bytes;
            copy.len += 5000;
        }
        if (kind != HARM_NONE)
            copy_put(&copy, path);
    }
    harness_count("helpers harmed", kind != HARM_NONE);
    free(copy.bytes);
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static void model_check(lxdb *db, const struct model *model)
{
    uint64_t expected = 0, count = 0, iterated = 0, version;
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;
    char text[32];
    int rc;

    for (unsigned i = 0; i < KEYS; i++) {
        key_len = key_make(text, sizeof(text), i);
        version = harness_value_read(db, text, key_len);
        CHECK(version == model->versions[i], "%s: version %llu, expected %llu", text,
              (unsigned long long)version, (unsigned long long)model->versions[i]);
        expected += version != 0;
    }
    CHECK_OK(db, lxdb_count(db, &count));
    CHECK(count == expected, "%llu keys counted, %llu are there", (unsigned long long)count,
          (unsigned long long)expected);
    CHECK_OK(db, lxdb_iter_open(db, NULL, 0, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        (void)harness_value_check(value, value_len, key, key_len);
        iterated++;
    }
    CHECK_RC(db, LXDB_NOTFOUND, rc);
    lxdb_iter_close(iter);
    CHECK(iterated == expected, "%llu keys iterated, %llu are there", (unsigned long long)iterated,
          (unsigned long long)expected);
}

/* The first write after damage: refused only by a poison word, and not for ever. */
static void writes_work(lxdb *db)
{
    int rc = lxdb_write(db, "probe", 5, "x", 1);
    lxdb_stat_info info;

    if (rc == LXDB_IO) {
        CHECK_OK(db, lxdb_stat(db, &info));
        CHECK(info.sync_errno != 0, "writes are refused without a failed sync: %s",
              lxdb_errmsg(db));
        CHECK_OK(db, lxdb_compact(db, NULL));
        harness_count("poison words made by noise", 1);
        rc = lxdb_write(db, "probe", 5, "x", 1);
    }
    CHECK_OK(db, rc);
    CHECK_OK(db, lxdb_delete(db, "probe", 5));
}

static void changes_make(lxdb *db, struct model *model, harness_rng *rng, uint64_t n)
{
    uint64_t version;
    unsigned i;
    size_t key_len;
    char key[32];

    for (uint64_t step = 0; step < n; step++) {
        i = (unsigned)harness_below(rng, KEYS);
        key_len = key_make(key, sizeof(key), i);
        version = harness_random(rng) | 1;
        if (model->versions[i] != 0 && harness_below(rng, 4) == 0) {
            CHECK_OK(db, lxdb_delete(db, key, key_len));
            model->versions[i] = 0;
        } else {
            /* of few lengths, so that files of one size with other contents come up */
            CHECK_OK(db, harness_value_write(db, key, key_len, version,
                                             harness_below(rng, 2) == 0 ? 64 : 500));
            model->versions[i] = version;
        }
    }
}

static void session(struct patient *patient, bool crashes)
{
    lxdb *db = harness_open(patient->path, (lxdb_options){.helpers = LXDB_HELPERS_KEEP});

    harness_stage("check");
    model_check(db, patient->model);
    harness_stage("first write");
    writes_work(db);
    harness_stage("changes");
    changes_make(db, patient->model, &patient->rng, harness_below(&patient->rng, 60));
    if (harness_below(&patient->rng, 10) == 0)
        CHECK_OK(db, lxdb_compact(db, NULL));
    model_check(db, patient->model);
    if (crashes) {
        atomic_store(patient->written, 1);
        harness_until_least("being killed", patient->written, 2);
    }
    harness_stage("close");
    CHECK_OK(NULL, lxdb_close(db));
}

static void crashing_session_run(void *arg)
{
    session(arg, true);
}

static void session_run(void *arg)
{
    session(arg, false);
}

static void session_have(struct patient *patient, bool crashes)
{
    int worker;

    (void)harness_random(&patient->rng); /* a worker's draws do not come back to us */
    if (!crashes) {
        harness_wait(harness_start("session", session_run, patient));
        return;
    }
    atomic_store(patient->written, 0);
    worker = harness_start("session that crashes", crashing_session_run, patient);
    harness_until_least("session to write", patient->written, 1);
    harness_kill(worker);
    harness_count("sessions that ended by a kill", 1);
}

/* ---- The case -------------------------------------------------------------------------------- */

static void other_make(struct patient *patient)
{
    struct patient other = {.path = harness_path("other"), .rng = harness_rng_make(8)};
    struct model model = {{0}};
    lxdb *db = harness_open(other.path, (lxdb_options){.helpers = LXDB_HELPERS_KEEP});

    changes_make(db, &model, &other.rng, 300);
    CHECK_OK(NULL, lxdb_close(db));
    (void)snprintf(other.lock, sizeof(other.lock), "%s-lock", other.path);
    (void)snprintf(other.index, sizeof(other.index), "%s-index", other.path);
    copy_take(&patient->other_lock, other.lock);
    copy_take(&patient->other_index, other.index);
}

static void patient_make(struct patient *patient, const char *name)
{
    *patient = (struct patient){.path = harness_path(name), .rng = harness_rng_make(9)};
    (void)snprintf(patient->lock, sizeof(patient->lock), "%s-lock", patient->path);
    (void)snprintf(patient->index, sizeof(patient->index), "%s-index", patient->path);
    patient->model = harness_shared(sizeof(*patient->model));
    patient->written = harness_shared(sizeof(*patient->written));
}

static void patient_free(struct patient *patient)
{
    free(patient->old_lock.bytes);
    free(patient->old_index.bytes);
    free(patient->other_lock.bytes);
    free(patient->other_index.bytes);
    free(patient->backup.bytes);
}

/* The data file goes back to an earlier closed state, in the same inode: the helpers are newer. */
static void restore(struct patient *patient)
{
    if (patient->backup.bytes == NULL)
        return;
    copy_put(&patient->backup, patient->path);
    *patient->model = patient->backup_model;
    harness_count("data files put back", 1);
}

static void helpers_damaged_between_sessions_change_no_answer(void)
{
    struct patient patient;
    bool crashes = false;
    unsigned lock_harm, index_harm, rounds = 0;

    patient_make(&patient, "patient");
    other_make(&patient);
    for (; harness_goes_on(rounds, ROUNDS); rounds++) {
        harness_phase("session after damage");
        crashes = harness_below(&patient.rng, 3) == 0;
        session_have(&patient, crashes);
        lock_harm = (unsigned)harness_below(&patient.rng, HARM_KINDS);
        index_harm = (unsigned)harness_below(&patient.rng, HARM_KINDS);
        if (harness_below(&patient.rng, 8) == 0) {
            copy_take(&patient.old_lock, patient.lock);
            copy_take(&patient.old_index, patient.index);
        }
        if (!crashes && harness_below(&patient.rng, 8) == 0) {
            copy_take(&patient.backup, patient.path);
            patient.backup_model = *patient.model;
        }
        harm(&patient, patient.lock, lock_harm, &patient.other_lock, &patient.old_lock);
        harm(&patient, patient.index, index_harm, &patient.other_index, &patient.old_index);
        if (harness_below(&patient.rng, 8) == 0)
            restore(&patient);
    }
    harness_phase("last session");
    session_have(&patient, false);
    patient_free(&patient);
    harness_count("rounds", rounds);
    harness_count_least("rounds", 20);
    harness_count_least("helpers harmed", rounds);
    harness_count_least("sessions that ended by a kill", rounds / 6);
    harness_count_least("data files put back", rounds / 40);
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
        HARNESS_CASE(helpers_damaged_between_sessions_change_no_answer),
    };
    static struct lx_io table;

    table = lx_io_system; /* nobody cuts the power */
    table.fdatasync = no_sync;
    table.fsync = no_sync;
    table.msync = no_sync_of_range;
    lx_io = &table;
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
