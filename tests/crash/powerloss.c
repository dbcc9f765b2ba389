/* SPDX-License-Identifier: MIT */
/*
 * Power loss. Sequences of operations run on the simulated disk (simdisk.h). At every sync, before
 * it takes effect, between operations, and now and then in the middle of one, the power is cut: a
 * number of the images that the disk may then have are made and judged.
 *
 * What is judged, by the model of the sequence (the state after each of its commits):
 *
 *   scan   every image: the plan of recovery (lx_scan_plan, lx_scan_walk) yields the state after
 *          some prefix of the commits, no shorter than what was acknowledged as durable (a flush,
 *          a commit in mode full, a compaction, a close, the opening), no longer than what was
 *          begun; it finds no damage, which a loss of power never looks like; batches are in it
 *          whole
 *   open   about every OPEN_EVERY-th image is opened by the library, beside helper files that are
 *          gone, as they were, torn, or noise: it reads the same as the scan said, by key, count
 *          and iteration, and what was cut is in the -lost file. The opening itself is cut short
 *          too: every image is still that state, and has what is to be cut, or the -lost file has
 *   again  then the operations that were lost run again with other values of the same lengths, so
 *          that their records end where stale ones did, on a disk that loses power too; and so on,
 *          LEVELS deep
 *   close  the closed file is whole records back to back and has the last state, also after a loss
 *          of power
 *
 * Beside cuts of power there are ends of all processes, after which the next opening finds the page
 * cache as it was: nothing may be lost then; syncs that fail, after which writes are refused until
 * a compaction; and files of another program, in which status bytes and order disagree.
 *
 * Before anything else the test proves that it can fail: with a disk whose syncs do nothing it must
 * find a lost commit (--lying-disk=files and --lying-disk=directory run only that). --only=N runs
 * one sequence of those that the seed gives. Environment: LXDB_TEST_SEED, LXDB_TEST_SCALE,
 * LXDB_TEST_SECONDS (go on for so long, with the images of a short run at least).
 */
#include "base/hash.h"
#include "format/scan.h"
#include "lxdb.h"
#include "tests/crash/simdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IMAGES UINT64_C(300000)
#define OPEN_EVERY 50u
#define KEYS 4u
#define OPS 12u
#define COMMITS (2 * OPS)
#define LEVELS 3u
#define LIE_FOUND_WITHIN 2000u
#define IMAGE_ROOM (8u << 20)
#define HELPER_ROOM (256u << 10)
#define NAME "power.lxdb"

/* ---- what is counted and reported -------------------------------------------------------------
 */

static struct {
    uint64_t sequences, images, opened, recovering, again, kills, failed_syncs, strict, cut,
        missing;
} counts;

static struct {
    uint64_t seed;
    const char *phase;
    char sequence[1024];
    bool lying;
    char dir[256];
} test;

static void remove_files(void)
{
    static const char *const suffixes[] = {"",      "-compact", "-lost",
                                           "-lock", "-index",   "-compact-index"};
    char path[512];

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(path, sizeof path, "%s/" NAME "%s", test.dir, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(test.dir);
}

static uint8_t *image; /* zeros but for what is being looked at */
static uint64_t image_size;

/* What was looked at last, for whoever looks into a failure. */
static void keep_image(void)
{
    char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/image", test.dir);
    fd = test.lying ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    (void)!write(fd, image, image_size);
    close(fd);
}

/* Whatever contradicts a promise ends here. */
static _Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void fail(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, test.lying ? "rejected: " : "\nFAILED: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    keep_image();
    fprintf(stderr, "\n  after %llu images, in %s", (unsigned long long)counts.images, test.phase);
    fprintf(stderr, "\n  sequence %llu: %s\n", (unsigned long long)counts.sequences, test.sequence);
    if (!test.lying) {
        fprintf(stderr, "  again: LXDB_TEST_SEED=%llu, with --only=%llu\n  files: %s\n",
                (unsigned long long)test.seed, (unsigned long long)counts.sequences, test.dir);
        _exit(1);
    }
    remove_files();
    _exit(3);
}

static void *memory(size_t size)
{
    void *bytes = calloc(1, size ? size : 1);

    if (bytes == NULL)
        fail("out of memory");
    return bytes;
}

/* ---- operations and values --------------------------------------------------------------------
 */

enum value_kind {
    VALUE_NOISE,
    VALUE_RECORDS, /* whole records of our keys, back to back, that nobody wrote */
    VALUE_ZEROS,
    VALUE_KINDS
};

struct change {
    unsigned key;
    bool remove;
    enum value_kind kind;
    uint32_t len;
};

enum op_kind { OP_WRITE, OP_DELETE, OP_BATCH, OP_CLEAR, OP_COMPACT, OP_FLUSH, OP_REOPEN };

struct op {
    enum op_kind kind;
    unsigned n; /* changes */
    struct change changes[KEYS];
};

/* The file that a script starts on. */
enum start {
    START_NEW,
    START_CLOSED,  /* a record for every second key */
    START_FOREIGN, /* status bytes and order disagree, as when another program wrote it */
    START_TORN,    /* the same, with a torn record at its end */
    STARTS
};

/* What is to be run, and how. */
struct script {
    struct op ops[OPS];
    unsigned n;
    int sync, helpers;
    enum start start;
    unsigned fail_sync;  /* the nth sync of the session fails; 0: none */
    unsigned budget;     /* images at each point */
    unsigned kill_every; /* an end of all processes at one in so many steps; 0: none */
};

static const char *const key_of[KEYS] = {"a", "b", "key-c", "key-dd"};

static void make_records(uint8_t *value, uint32_t len, struct sim_rng *rng)
{
    uint32_t at = 0;

    while (len - at >= LX_RECORD_OVERHEAD + 8) {
        const char *key = key_of[sim_below(rng, 2)];
        uint32_t most = len - at - LX_RECORD_OVERHEAD - (uint32_t)strlen(key);
        uint8_t ghost[32];
        uint32_t n = sim_below(rng, 3) ? sim_below(rng, most < 32 ? most + 1 : 32) : 0;

        if (sim_below(rng, 4) == 0 && most < 32)
            n = most; /* the last one ends with the value */
        for (uint32_t i = 0; i < n; i++)
            ghost[i] = (uint8_t)sim_random(rng);
        lx_record_encode(value + at, n != 0, key, (uint32_t)strlen(key), ghost, n);
        at += (uint32_t)lx_record_size(strlen(key), n);
    }
    while (at < len)
        value[at++] = (uint8_t)sim_random(rng);
}

/* The value that a change stores. Those of two epochs differ, but not in length. */
static uint8_t *value_make(const struct change *change, uint64_t epoch, unsigned op)
{
    struct sim_rng rng = {epoch * 1000003 + op * 64 + change->key};
    uint8_t *value = memory(change->len);

    if (change->kind == VALUE_RECORDS)
        make_records(value, change->len, &rng);
    for (uint32_t i = 0; change->kind == VALUE_NOISE && i < change->len; i++)
        value[i] = (uint8_t)sim_random(&rng);
    return value;
}

static size_t describe(char *text, size_t room, const struct change *change)
{
    static const char *const kinds[] = {"", "r", "z"};
    int n = change->remove ? snprintf(text, room, "-%s", key_of[change->key])
                           : snprintf(text, room, "%s=%u%s", key_of[change->key], change->len,
                                      kinds[change->kind]);

    return n < 0 || (size_t)n >= room ? room : (size_t)n;
}

static void describe_script(const struct script *script)
{
    static const char *const names[] = {"", "", "batch", "clear", "compact", "flush", "reopen"};
    static const char *const starts[STARTS] = {"", " closed", " foreign", " torn"};
    char *text = test.sequence;
    size_t room = sizeof test.sequence, used;

    used = (size_t)snprintf(text, room, "[%s%s%s%s]", script->sync ? "full" : "none",
                            starts[script->start],
                            script->helpers == LXDB_HELPERS_KEEP ? " keep" : "",
                            script->fail_sync ? " failing sync" : "");
    for (unsigned i = 0; i < script->n && used + 64 < room; i++) {
        const struct op *op = &script->ops[i];

        used += (size_t)snprintf(text + used, room - used, " %s", names[op->kind]);
        for (unsigned j = 0; j < op->n && used + 64 < room; j++) {
            if (op->kind == OP_BATCH)
                used += (size_t)snprintf(text + used, room - used, j ? "," : "(");
            used += describe(text + used, room - used, &op->changes[j]);
        }
        if (op->kind == OP_BATCH)
            used += (size_t)snprintf(text + used, room - used, ")");
    }
}

/* ---- the model --------------------------------------------------------------------------------
 */

struct value {
    bool there;
    size_t len;
    uint64_t hash;
};

struct state {
    struct value values[KEYS];
};

static struct value value_of(const void *bytes, size_t len)
{
    return (struct value){true, len, lx_hash(bytes, len, 0)};
}

static bool state_equal(const struct state *a, const struct state *b)
{
    for (unsigned i = 0; i < KEYS; i++)
        if (a->values[i].there != b->values[i].there || a->values[i].len != b->values[i].len ||
            a->values[i].hash != b->values[i].hash)
            return false;
    return true;
}

static unsigned state_count(const struct state *state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < KEYS; i++)
        n += state->values[i].there;
    return n;
}

/* ---- a run ------------------------------------------------------------------------------------
 */

struct helper_file {
    uint8_t *bytes; /* NULL: gone */
    size_t len;
};

/* An image that is to be opened. */
struct candidate {
    struct candidate *next;
    struct sim_disk *disk;
    /* What it must read as is the last of them; the others may come back if it crashes again before
     * it is opened. */
    struct state states[COMMITS + 1];
    unsigned next_op[COMMITS + 1];
    unsigned last;
    bool there; /* the data file must be there */
    bool killed;
    struct helper_file helpers[2];
};

struct run {
    const struct script *script;
    struct sim_disk *disk;
    struct sim_rng rng;
    unsigned level;
    uint64_t epoch;
    lxdb *db;
    /* The states after each commit; those from `durable` to `begun` may be found after a loss of
     * power, from `done` to `begun` after an end of the processes. */
    struct state states[COMMITS + 1];
    unsigned next_op[COMMITS + 1]; /* the first operation that the state has not */
    unsigned durable, done, begun;
    bool there;   /* an opening has returned: the file is there */
    bool opening; /* recovering states[0] */
    bool failed;  /* a sync has, some time */
    bool poisoned;
    bool wrote;             /* since the opening */
    bool after_failed_sync; /* in the run that this image is of */
    uint8_t *cut;           /* what the recovery has to set aside, */
    size_t cut_len;
    uint64_t cut_at; /* and where it is in the file */
    bool cut_was_durable;
    bool torn;   /* it may have a torn end while it is closed: until the first session order and
                    status are made to agree */
    bool closed; /* a close has returned, and nothing was opened since */
    struct candidate *candidates;
};

static unsigned find_key(const uint8_t *key, size_t len)
{
    unsigned i = 0;

    while (i < KEYS && (strlen(key_of[i]) != len || memcmp(key_of[i], key, len) != 0))
        i++;
    return i;
}

/* ---- judging an image by the scan -------------------------------------------------------------
 */

struct seen {
    lx_record records[KEYS];
    bool there[KEYS];
    bool foreign;
};

static int see(void *arg, const lx_scan_event *event)
{
    struct seen *seen = arg;
    unsigned key;

    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    key = find_key(event->record.key, event->record.key_len);
    if (key == KEYS) {
        seen->foreign = true;
        return LXDB_OK;
    }
    seen->there[key] = event->effect == LX_EFFECT_PUT;
    seen->records[key] = event->record;
    return LXDB_OK;
}

/* The state in `image`. Fails on anything that a loss of power does not explain. */
static struct state scan_image(uint64_t size, bool torn, lx_scan *ret_scan)
{
    image_size = size;
    struct seen seen = {0};
    struct state state = {0};
    int rc = lx_scan_plan(image, size, NULL, NULL, ret_scan);

    if (rc != LXDB_OK)
        fail("the scan of an image gives %d (%s)", rc, lxdb_strerror(rc));
    if (ret_scan->damaged_count != 0 || ret_scan->bad_watermark || ret_scan->unsteppable)
        fail("the scan of an image finds damage: %zu ranges, the first at %llu, watermark %llu%s",
             ret_scan->damaged_count,
             (unsigned long long)(ret_scan->damaged_count ? ret_scan->damaged[0].off : 0),
             (unsigned long long)ret_scan->watermark, ret_scan->bad_watermark ? " (bad)" : "");
    if (!ret_scan->ordered && ret_scan->cut_bytes != 0 && !torn)
        fail("a closed image has %llu bytes behind its log, which ends at %llu",
             (unsigned long long)ret_scan->cut_bytes, (unsigned long long)ret_scan->tail);
    rc = lx_scan_walk(ret_scan, LX_HEADER_SIZE, see, &seen);
    if (rc != LXDB_OK || seen.foreign)
        fail("the walk of an image gives %d (%s)%s", rc, lxdb_strerror(rc),
             seen.foreign ? ", and a key that nobody wrote" : "");
    for (unsigned i = 0; i < KEYS; i++)
        if (seen.there[i])
            state.values[i] = value_of(seen.records[i].value, seen.records[i].value_len);
    return state;
}

static bool contains(const uint8_t *bytes, size_t len, const uint8_t *part, size_t part_len)
{
    return part_len <= len && memmem(bytes, len, part, part_len) != NULL;
}

/* While a recovery cuts the file: what is cut is in it still, or in the -lost file. */
static void check_set_aside(const struct run *run, struct sim_choice choice, size_t used)
{
    size_t lost_used, have = used > run->cut_at ? used - (size_t)run->cut_at : 0;
    uint64_t lost_size;
    uint8_t *lost;

    if (have >= run->cut_len && memcmp(image + run->cut_at, run->cut, run->cut_len) == 0)
        return;
    lost = memory(IMAGE_ROOM);
    if (!sim_image(run->disk, choice, SIM_LOST, lost, IMAGE_ROOM, &lost_used, &lost_size) ||
        !contains(lost, lost_used, run->cut, run->cut_len))
        fail("%zu bytes at %llu are cut, and not in the -lost file", run->cut_len,
             (unsigned long long)run->cut_at);
    free(lost);
}

static void explain(const struct run *run, const struct state *state, const char *what)
{
    char found[256] = "";
    size_t used = 0;

    for (unsigned i = 0; i < KEYS; i++)
        if (state->values[i].there)
            used += (size_t)snprintf(found + used, sizeof found - used, " %s(%zu bytes)", key_of[i],
                                     state->values[i].len);
    for (unsigned i = 0; i <= run->begun; i++)
        if (state_equal(state, &run->states[i]))
            fail("%s: the state after commit %u of %u, and %u are durable (level %u%s):%s", what, i,
                 run->done, run->durable, run->level, run->opening ? ", opening" : "", found);
    fail("%s: a state that never was (level %u%s, %u commits, %u durable):%s", what, run->level,
         run->opening ? ", opening" : "", run->done, run->durable, found);
}

/* Which of the states from `least` on it is: the last one, if several are equal. */
static unsigned match(const struct run *run, const struct state *state, unsigned least,
                      const char *what)
{
    for (unsigned i = run->begun + 1; i-- > least;)
        if (state_equal(state, &run->states[i]))
            return i;
    explain(run, state, what);
    return 0;
}

static void keep_candidate(struct run *run, struct sim_disk *disk, unsigned state, bool killed);

static void judge_image(struct run *run, struct sim_choice choice)
{
    unsigned state = 0;
    size_t used;
    uint64_t size;

    counts.images++;
    counts.recovering += run->opening && run->level > 0;
    if (sim_image(run->disk, choice, SIM_DATA, image, IMAGE_ROOM, &used, &size)) {
        lx_scan scan = {0};
        struct state found = scan_image(size, run->torn, &scan);

        state = match(run, &found, run->durable, "after a loss of power");
        counts.cut += scan.cut_bytes != 0;
        if (run->closed && (scan.ordered || scan.tail != size))
            fail("a close has returned, and after a loss of power the file is not closed");
        if (run->cut_len != 0 && run->cut_was_durable)
            check_set_aside(run, choice, used);
        lx_scan_free(&scan);
        memset(image, 0, used);
    } else {
        counts.missing++;
        if (run->there)
            fail("the data file is gone after a loss of power");
    }
    if (run->level + 1 < LEVELS && sim_below(&run->rng, OPEN_EVERY) == 0)
        keep_candidate(run, sim_crash(run->disk, choice), state, false);
}

static void judge_images(struct run *run, unsigned budget)
{
    uint64_t images = sim_images(run->disk);
    struct sim_choice choice = {.random = images > budget};

    for (unsigned i = 0; i < budget && i < images; i++) {
        choice.number = choice.random ? sim_random(&run->rng) : i;
        judge_image(run, choice);
    }
}

/* All processes end here, and the machine goes on. */
static void kill_all(struct run *run)
{
    const uint8_t *bytes;
    uint64_t size;
    size_t used;
    unsigned state;
    lx_scan scan = {0};
    struct state found;

    if (!sim_disk_get(run->disk, SIM_DATA, &bytes, &used, &size))
        return;
    if (used != 0)
        memcpy(image, bytes, used);
    found = scan_image(size, run->torn, &scan);
    state = match(run, &found, run->done, "after the end of all processes");
    lx_scan_free(&scan);
    memset(image, 0, used);
    keep_candidate(run, sim_disk_clone(run->disk), state, true);
}

/* ---- candidates -------------------------------------------------------------------------------
 */

static const char *const helper_names[] = {NAME "-lock", NAME "-index"};

static void helper_path(char *path, size_t room, unsigned helper)
{
    snprintf(path, room, "%s/%s", test.dir, helper_names[helper]);
}

/* What a helper file may be after a crash: gone, as it was, torn, or noise. */
static struct helper_file take_helper(struct sim_rng *rng, unsigned helper)
{
    struct helper_file file = {0};
    unsigned how = sim_below(rng, 4);
    char path[512];
    ssize_t got;
    int fd;

    if (how == 0)
        return file;
    file.bytes = memory(HELPER_ROOM);
    if (how == 3) {
        file.len = sim_below(rng, 40000);
        for (size_t i = 0; i < file.len; i++)
            file.bytes[i] = (uint8_t)sim_random(rng);
        return file;
    }
    helper_path(path, sizeof path, helper);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? 0 : pread(fd, file.bytes, HELPER_ROOM, 0);
    if (fd >= 0)
        close(fd);
    file.len = got > 0 ? (size_t)got : 0;
    for (size_t at = 0; how == 2 && at < file.len; at += SIM_SECTOR)
        if (sim_below(rng, 3) == 0)
            memset(file.bytes + at, sim_below(rng, 2) ? 0 : (int)sim_below(rng, 256),
                   file.len - at < SIM_SECTOR ? file.len - at : SIM_SECTOR);
    return file;
}

static void put_helpers(struct helper_file helpers[2])
{
    char path[512];

    for (unsigned i = 0; i < 2; i++) {
        int fd;

        if (helpers[i].bytes == NULL)
            continue;
        helper_path(path, sizeof path, i);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, helpers[i].bytes, helpers[i].len) != (ssize_t)helpers[i].len ||
            close(fd) != 0)
            fail("%s: %s", path, strerror(errno));
    }
}

static void keep_candidate(struct run *run, struct sim_disk *disk, unsigned state, bool killed)
{
    struct candidate *candidate = memory(sizeof *candidate);

    candidate->disk = disk;
    candidate->last = killed ? state - run->durable : 0;
    for (unsigned i = 0; i <= candidate->last; i++) {
        candidate->states[i] = run->states[state - candidate->last + i];
        candidate->next_op[i] = run->next_op[state - candidate->last + i];
    }
    candidate->there = run->there;
    candidate->killed = killed;
    for (unsigned i = 0; i < 2; i++)
        candidate->helpers[i] = take_helper(&run->rng, i);
    candidate->next = run->candidates;
    run->candidates = candidate;
}

static void candidate_free(struct candidate *candidate)
{
    sim_disk_free(candidate->disk);
    free(candidate->helpers[0].bytes);
    free(candidate->helpers[1].bytes);
    free(candidate);
}

/* ---- reading through the library --------------------------------------------------------------
 */

static void check_iteration(struct run *run, const struct state *state)
{
    const void *key, *value;
    size_t key_len, value_len;
    unsigned n = 0;
    lxdb_iter *iter;
    int rc = lxdb_iter_open(run->db, NULL, 0, 0, &iter);

    if (rc != LXDB_OK)
        fail("iter_open gives %d: %s", rc, lxdb_errmsg(run->db));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        unsigned i = find_key(key, key_len);
        struct value found = value_of(value, value_len);

        n++;
        if (i == KEYS || !state->values[i].there || found.len != state->values[i].len ||
            found.hash != state->values[i].hash)
            fail("an iteration gives what is not there");
    }
    lxdb_iter_close(iter);
    if (rc != LXDB_NOTFOUND || n != state_count(state))
        fail("an iteration ends with %d after %u of %u keys", rc, n, state_count(state));
}

static struct state read_all(struct run *run)
{
    struct state state = {0};
    uint64_t count;

    for (unsigned i = 0; i < KEYS; i++) {
        void *value;
        size_t len;
        int rc = lxdb_read_alloc(run->db, key_of[i], strlen(key_of[i]), &value, &len);

        if (rc == LXDB_NOTFOUND)
            continue;
        if (rc != LXDB_OK)
            fail("reading %s gives %d: %s", key_of[i], rc, lxdb_errmsg(run->db));
        state.values[i] = value_of(value, len);
        lxdb_free(value);
    }
    check_iteration(run, &state);
    if (lxdb_count(run->db, &count) != LXDB_OK || count != state_count(&state))
        fail("count says %llu, and %u keys are there", (unsigned long long)count,
             state_count(&state));
    return state;
}

static void check_reads(struct run *run, const char *when)
{
    struct state found = read_all(run);

    if (!state_equal(&found, &run->states[run->done]))
        explain(run, &found, when);
}

/* ---- running operations -----------------------------------------------------------------------
 */

static void on_event(void *arg, enum sim_event event)
{
    struct run *run = arg;

    if (event == SIM_SYNCS_FILE || event == SIM_SYNCS_DIRECTORY)
        judge_images(run, run->script->budget);
    else if (sim_below(&run->rng, 24) == 0)
        judge_images(run, 1);
    if (run->script->kill_every != 0 && !run->failed && run->level + 1 < LEVELS &&
        sim_below(&run->rng, run->script->kill_every) == 0)
        kill_all(run);
}

/* A commit is about to be made, after which the state is `state`. */
static void begin(struct run *run, const struct state *state, unsigned op)
{
    run->begun = run->done + 1;
    run->states[run->begun] = *state;
    run->next_op[run->begun] = op + 1;
}

/* What the operation has answered. After a failed sync only reading tells whether the commit was
 * made. */
static void end(struct run *run, int rc, const char *what)
{
    if (sim_sync_has_failed() && !run->failed) {
        run->failed = run->poisoned = true;
        counts.failed_syncs++;
    } else if (!run->poisoned) {
        if (rc != LXDB_OK)
            fail("%s gives %d: %s", what, rc, lxdb_errmsg(run->db));
        run->wrote |= run->done != run->begun;
        run->done = run->begun;
        if (run->script->sync == LXDB_SYNC_FULL)
            run->durable = run->done;
        return;
    }
    if (rc != LXDB_IO)
        fail("%s gives %d after a failed sync", what, rc);
    if (run->begun != run->done) {
        struct state found = read_all(run);

        if (state_equal(&found, &run->states[run->done]))
            run->begun = run->done;
        else if (state_equal(&found, &run->states[run->begun]))
            run->done = run->begun;
        else
            explain(run, &found, "after a failed sync");
    }
}

static void run_write(struct run *run, const struct op *op, unsigned number)
{
    const struct change *change = &op->changes[0];
    struct state state = run->states[run->done];
    const char *key = key_of[change->key];
    uint8_t *value;
    int rc;

    if (op->kind == OP_DELETE) {
        bool was = state.values[change->key].there;

        state.values[change->key] = (struct value){0};
        if (was)
            begin(run, &state, number);
        rc = lxdb_delete(run->db, key, strlen(key));
        if (!was && rc != LXDB_NOTFOUND && !run->poisoned)
            fail("deleting what is not there gives %d", rc);
        if (was)
            end(run, rc, "delete");
        return;
    }
    value = value_make(change, run->epoch, number);
    state.values[change->key] = value_of(value, change->len);
    begin(run, &state, number);
    rc = lxdb_write(run->db, key, strlen(key), value, change->len);
    end(run, rc, "write");
    free(value);
}

static void run_batch(struct run *run, const struct op *op, unsigned number)
{
    struct state state = run->states[run->done];
    lxdb_batch *batch;
    bool changes = false;
    int rc = lxdb_batch_begin(run->db, &batch);

    for (unsigned i = 0; i < op->n && rc == LXDB_OK; i++) {
        const struct change *change = &op->changes[i];
        const char *key = key_of[change->key];

        if (change->remove) {
            changes |= state.values[change->key].there;
            state.values[change->key] = (struct value){0};
            rc = lxdb_batch_delete(batch, key, strlen(key));
        } else {
            uint8_t *value = value_make(change, run->epoch, number);

            changes = true;
            state.values[change->key] = value_of(value, change->len);
            rc = lxdb_batch_write(batch, key, strlen(key), value, change->len);
            free(value);
        }
    }
    if (rc != LXDB_OK)
        fail("making a batch gives %d: %s", rc, lxdb_errmsg(run->db));
    if (changes)
        begin(run, &state, number);
    rc = lxdb_batch_commit(batch, NULL, NULL);
    end(run, rc, "batch_commit");
}

static void run_clear(struct run *run, unsigned number)
{
    struct state empty = {0};
    bool changes = state_count(&run->states[run->done]) != 0;
    uint64_t deleted;
    int rc;

    if (changes)
        begin(run, &empty, number);
    rc = lxdb_clear(run->db, &deleted);
    if (changes || !run->poisoned)
        end(run, rc, "clear");
}

static void run_flush(struct run *run)
{
    int rc = lxdb_flush(run->db);

    if (rc == LXDB_OK && (run->failed || !sim_sync_has_failed())) {
        if (run->poisoned && run->durable != run->done)
            fail("flush says that all is durable after a sync that failed");
        run->durable = run->done;
        return;
    }
    end(run, rc, "flush");
}

struct beside {
    struct run *run;
    const struct op *op; /* NULL: it was */
    unsigned number;
};

/* A record is committed while others are copied. */
static int write_beside(void *arg, uint64_t done, uint64_t total)
{
    struct beside *beside = arg;

    (void)done;
    (void)total;
    if (beside->op != NULL)
        run_write(beside->run, beside->op, beside->number);
    beside->op = NULL;
    return 0;
}

static void run_compact(struct run *run, const struct op *op, unsigned number)
{
    struct beside beside = {run, op->n != 0 ? op : NULL, number};
    const lxdb_progress progress = {write_beside, &beside};
    bool failed_before = run->failed;
    int rc = lxdb_compact(run->db, &progress);

    if (rc == LXDB_OK) {
        run->durable = run->done;
        run->poisoned = false;
        run->wrote = true;
        return;
    }
    if (rc != LXDB_IO || failed_before || !sim_sync_has_failed())
        fail("compact gives %d: %s", rc, lxdb_errmsg(run->db));
    run->failed = true; /* the sync of the new file: the old one stays, and is none the worse */
    counts.failed_syncs++;
}

static void open_database(struct run *run)
{
    lxdb_options options = {.size = sizeof options,
                            .flags = LXDB_ANYFS | LXDB_NOAUTOCOMPACT,
                            .sync = run->script->sync,
                            .helpers = run->script->helpers};
    char path[512];
    int rc;

    run->closed = false;
    snprintf(path, sizeof path, "%s/" NAME, test.dir);
    rc = lxdb_open(path, &options, &run->db);
    if (rc == LXDB_IO && sim_sync_has_failed() && !run->failed) { /* once; it may be tried again */
        counts.failed_syncs++;
        run->failed = run->after_failed_sync = true;
        rc = lxdb_open(path, &options, &run->db);
    }
    if (rc != LXDB_OK)
        fail("opening gives %d (level %u): %s", rc, run->level, lxdb_errmsg(NULL));
    run->there = true;
    run->wrote = false;
    if (run->after_failed_sync) { /* whether that is still known depends on what the lock file has
                                     become */
        lxdb_stat_info info;

        if (lxdb_stat(run->db, &info) != LXDB_OK)
            fail("stat: %s", lxdb_errmsg(run->db));
        run->poisoned = info.sync_errno != 0;
        run->failed |= run->poisoned;
        run->after_failed_sync = false;
    }
}

static void close_database(struct run *run)
{
    int rc = lxdb_close(run->db);

    run->db = NULL;
    if (rc == LXDB_OK && !run->poisoned && (run->failed || !sim_sync_has_failed())) {
        run->durable = run->done;
        run->closed = run->wrote;
        return;
    }
    if (sim_sync_has_failed() && !run->failed) {
        run->failed = run->poisoned = true;
        counts.failed_syncs++;
    }
    if (!run->poisoned || rc != LXDB_IO)
        fail("close gives %d: %s", rc, lxdb_errmsg(NULL));
}

static void run_op(struct run *run, unsigned number)
{
    const struct op *op = &run->script->ops[number];

    switch (op->kind) {
    case OP_WRITE:
    case OP_DELETE:
        run_write(run, op, number);
        break;
    case OP_BATCH:
        run_batch(run, op, number);
        break;
    case OP_CLEAR:
        run_clear(run, number);
        break;
    case OP_COMPACT:
        run_compact(run, op, number);
        break;
    case OP_FLUSH:
        run_flush(run);
        break;
    case OP_REOPEN:
        close_database(run);
        open_database(run);
        check_reads(run, "after opening again");
        break;
    }
    /* operations without a commit need not be run again */
    if (run->next_op[run->done] <= number)
        run->next_op[run->done] = number + 1;
}

/* ---- a whole run ------------------------------------------------------------------------------
 */

static bool is_zeros(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* What a reader of version 1 takes for the state: whole records back to back, by their status
 * bytes. */
static void check_strictly(const struct run *run)
{
    static const uint8_t head[LX_HEADER_SIZE] = {'L', 'X', 'D', 'B', 0, 1};
    struct state state = {0};
    const uint8_t *stored;
    uint8_t *bytes;
    lx_record record;
    uint64_t size;
    size_t used;

    if (!sim_disk_get(run->disk, SIM_DATA, &stored, &used, &size) || used < sizeof head ||
        memcmp(stored, head, sizeof head) != 0)
        fail("a closed file of %llu bytes has no header", (unsigned long long)size);
    if (run->wrote && size - used > sizeof(uint32_t))
        fail("a closed file of %llu bytes has padding", (unsigned long long)size);
    /* the last CRC may end with zeros */
    bytes = calloc(1, used + sizeof(uint32_t));
    if (bytes == NULL)
        fail("out of memory");
    memcpy(bytes, stored, used);
    if (size - used <= sizeof(uint32_t))
        used = (size_t)size;
    for (uint64_t at = sizeof head; at < used; at += record.len) {
        unsigned key;

        /* what a crash in the middle of a close has closed keeps its padding until somebody writes
         */
        if (!run->wrote && is_zeros(bytes + at, used - (size_t)at))
            break;
        if (!lx_record_parse(bytes, used, at, &record) || !lx_record_check(bytes, &record))
            fail("a closed file has no whole record at %llu", (unsigned long long)at);
        if (record.status == 0)
            continue;
        key = find_key(record.key, record.key_len);
        if (key == KEYS || (run->wrote && state.values[key].there))
            fail("a closed file has a live record too many, at %llu", (unsigned long long)at);
        state.values[key] = value_of(record.value, record.value_len);
    }
    if (!state_equal(&state, &run->states[run->done]))
        explain(run, &state, "in a closed file");
    free(bytes);
    counts.strict++;
}

static void run_candidates(struct run *run);

/* From opening to closing. `next_op`: where to begin in the script. */
static void run_session(struct run *run, unsigned next_op, struct helper_file *helpers)
{
    sim_mount(run->disk, test.dir, NAME);
    if (helpers != NULL)
        put_helpers(helpers);
    run->next_op[run->done] = next_op;
    run->opening = true;
    sim_watch(on_event, run);
    open_database(run);
    if (run->cut_len != 0) {
        const uint8_t *lost;
        size_t used;
        uint64_t size;

        if (!sim_disk_get(run->disk, SIM_LOST, &lost, &used, &size) ||
            !contains(lost, used, run->cut, run->cut_len))
            fail("%zu bytes were cut and not set aside", run->cut_len);
        run->cut_len = 0;
    }
    run->opening = false;
    run->durable = run->done;
    check_reads(run, "after opening");
    if (run->level > 0 && run->level + 1 < LEVELS && sim_below(&run->rng, 4) == 0)
        kill_all(run); /* to be recovered twice */
    if (run->script->fail_sync != 0 && run->level == 0)
        sim_fail_sync(run->script->fail_sync, sim_random(&run->rng));
    for (unsigned i = next_op; i < run->script->n; i++) {
        run_op(run, i);
        judge_images(run, run->script->budget);
    }
    check_reads(run, "after the last operation");
    close_database(run);
    judge_images(run, run->script->budget);
    if (!run->poisoned)
        check_strictly(run);
    sim_unmount();
    run_candidates(run);
}

static void run_candidate(const struct run *from, struct candidate *candidate)
{
    struct script script = *from->script;
    struct run run = {.script = &script,
                      .disk = candidate->disk,
                      .rng = {sim_random(&(struct sim_rng){from->rng.state + 1})},
                      .level = from->level + 1,
                      .epoch = from->epoch + 1,
                      .done = candidate->last,
                      .begun = candidate->last,
                      .there = candidate->there,
                      .torn = from->torn,
                      .after_failed_sync = from->failed};
    /* now and then nothing more is done, and closing is all that puts the file in order */
    unsigned next_op = sim_below(&run.rng, 4) ? candidate->next_op[candidate->last] : script.n;
    const uint8_t *bytes;
    size_t used;
    uint64_t size;

    counts.opened++;
    counts.kills += candidate->killed;
    counts.again += next_op < script.n;
    script.budget = script.budget > 3 ? 3 : script.budget;
    memcpy(run.states, candidate->states, sizeof run.states);
    memcpy(run.next_op, candidate->next_op, sizeof run.next_op);
    if (sim_disk_get(candidate->disk, SIM_DATA, &bytes, &used, &size)) {
        lx_scan scan = {0};

        if (used != 0)
            memcpy(image, bytes, used);
        scan_image(size, run.torn, &scan);
        run.cut_at = scan.tail;
        run.cut_len = (size_t)scan.cut_bytes;
        run.cut_was_durable = !candidate->killed;
        run.cut = memory(run.cut_len);
        if (run.cut_len != 0)
            memcpy(run.cut, image + run.cut_at, run.cut_len);
        lx_scan_free(&scan);
        memset(image, 0, used);
    }
    run_session(&run, next_op, candidate->helpers);
    free(run.cut);
}

static void run_candidates(struct run *run)
{
    while (run->candidates != NULL) {
        struct candidate *candidate = run->candidates;

        run->candidates = candidate->next;
        run_candidate(run, candidate);
        candidate_free(candidate);
    }
}

/* A closed file, made by hand. Keys that nothing is said of are not in it. */
static void make_start(struct run *run)
{
    static const struct {
        unsigned key;
        uint8_t status;
        const char *value;
        bool is_value; /* for a reader of the closed file */
    } closed[] = {{0, 1, "before", true}, {2, 1, "before", true}},
      foreign[] = {{0, 1, "earlier, and live", true},
                   {0, 0, "later, and dead", false},
                   {1, 0, "dead, and nothing says why", false},
                   {2, 1, "replaced", false},
                   {2, 1, "last", true}};
    bool plain = run->script->start == START_CLOSED;
    struct change torn = {.kind = VALUE_NOISE, .len = 1500};
    uint8_t bytes[2048] = {0};
    uint64_t at = LX_HEADER_SIZE;

    lx_header_encode(bytes, 0);
    for (size_t i = 0;
         i < (plain ? sizeof closed / sizeof *closed : sizeof foreign / sizeof *foreign); i++) {
        unsigned key = plain ? closed[i].key : foreign[i].key;
        const char *value = plain ? closed[i].value : foreign[i].value;
        uint32_t key_len = (uint32_t)strlen(key_of[key]), len = (uint32_t)strlen(value);

        lx_record_encode(bytes + at, 1, key_of[key], key_len, value, len);
        bytes[at] = plain ? closed[i].status : foreign[i].status;
        at += lx_record_size(key_len, len);
        if (plain ? closed[i].is_value : foreign[i].is_value)
            run->states[0].values[key] = value_of(value, len);
    }
    if (run->script->start == START_TORN) { /* its last bytes are missing */
        uint8_t *value = value_make(&torn, run->epoch, OPS);

        lx_record_encode(bytes + at, 1, key_of[1], 1, value, torn.len);
        run->cut_at = at;
        at += lx_record_size(1, torn.len) - 5;
        run->cut_len = (size_t)(at - run->cut_at);
        run->cut = memory(run->cut_len);
        memcpy(run->cut, bytes + run->cut_at, run->cut_len);
        while (run->cut[run->cut_len - 1] == 0) /* zeros at the end may as well be padding */
            run->cut_len--;
        run->cut_was_durable = true;
        free(value);
    }
    sim_disk_put(run->disk, SIM_DATA, bytes, (size_t)at);
    run->there = true;
    run->torn = !plain;
}

static void run_script(const struct script *script, uint64_t stream)
{
    struct run run = {
        .script = script, .rng = {test.seed ^ stream << 20}, .epoch = stream * LEVELS};

    describe_script(script);
    run.disk = sim_disk_new();
    if (script->start != START_NEW)
        make_start(&run);
    run_session(&run, 0, NULL);
    free(run.cut);
    sim_disk_free(run.disk);
}

/* ---- sequences --------------------------------------------------------------------------------
 */

static uint64_t only; /* the one sequence to run; 0: all */

static void run_sequence(const struct script *script)
{
    counts.sequences++;
    if (only == 0 || counts.sequences == only)
        run_script(script, counts.sequences);
}

/* Lengths that end before, at and behind the ends of sectors and blocks, and some that are just
 * short. */
static uint32_t random_length(struct sim_rng *rng)
{
    switch (sim_below(rng, 8)) {
    case 0:
        return SIM_SECTOR - 40 + sim_below(rng, 80);
    case 1:
        return SIM_SECTOR + sim_below(rng, 3 * SIM_SECTOR);
    case 2:
        return sim_below(rng, 4) ? 100 : SIM_BLOCK - 40 + sim_below(rng, SIM_BLOCK);
    default:
        return sim_below(rng, 60);
    }
}

static struct change random_change(struct sim_rng *rng, unsigned keys)
{
    struct change change = {.key = sim_below(rng, keys), .len = random_length(rng)};

    if (sim_below(rng, 3) == 0) {
        change.kind = VALUE_RECORDS;
        change.len += 60;
    } else if (sim_below(rng, 12) == 0) {
        change.kind = VALUE_ZEROS;
    }
    return change;
}

/* One of ALPHABET operations on two keys. */
#define ALPHABET 9u
static struct op letter(unsigned number, struct sim_rng *rng)
{
    struct op op = {.n = 1, .changes = {random_change(rng, 2), random_change(rng, 2)}};

    switch (number) {
    case 0:
    case 1:
        op.changes[0].key = number;
        return op;
    case 2:
    case 3:
        op.kind = OP_DELETE;
        op.changes[0] = (struct change){.key = number - 2, .remove = true};
        return op;
    case 4:
        op.kind = OP_BATCH;
        op.n = 2;
        op.changes[0].key = sim_below(rng, 2);
        op.changes[1].key = 1 - op.changes[0].key;
        op.changes[1].remove = sim_below(rng, 3) == 0;
        return op;
    default:
        op.kind = (enum op_kind)(OP_CLEAR + (number - 5));
        op.n = op.kind == OP_COMPACT ? sim_below(rng, 2) : 0;
        return op;
    }
}

/* All sequences of one to three letters, in both modes, on a new and on an old file. */
static void run_short_sequences(void)
{
    struct sim_rng rng = {test.seed};

    test.phase = "all short sequences";
    for (unsigned length = 1; length <= 3; length++) {
        unsigned words = length == 1   ? ALPHABET
                         : length == 2 ? ALPHABET * ALPHABET
                                       : ALPHABET * ALPHABET * ALPHABET;

        for (unsigned i = 0; i < 4 * words; i++) {
            struct script script = {
                .n = length,
                .sync = i % 2 ? LXDB_SYNC_FULL : LXDB_SYNC_NONE,
                .start = (enum start)(i / 2 % 2 ? 1 + i / 4 % (STARTS - 1) : START_NEW),
                .budget = 5,
                .kill_every = 40};
            unsigned word = i / 4;

            for (unsigned j = 0; j < length; j++) {
                script.ops[j] = letter(word % ALPHABET, &rng);
                word /= ALPHABET;
            }
            run_sequence(&script);
        }
    }
}

static struct op random_op(struct sim_rng *rng, unsigned keys)
{
    struct op op = {.n = 1};

    switch (sim_below(rng, 16)) {
    case 0:
    case 1:
        op.kind = OP_DELETE;
        op.changes[0] = (struct change){.key = sim_below(rng, keys), .remove = true};
        return op;
    case 2:
    case 3:
    case 4:
        op.kind = OP_BATCH;
        op.n = 1 + sim_below(rng, KEYS);
        for (unsigned i = 0; i < op.n; i++) {
            op.changes[i] = random_change(rng, keys);
            op.changes[i].remove = sim_below(rng, 4) == 0;
        }
        return op;
    case 5:
        op.kind = sim_below(rng, 3) ? OP_COMPACT : OP_CLEAR;
        op.n = op.kind == OP_COMPACT ? sim_below(rng, 2) : 0;
        op.changes[0] = random_change(rng, keys);
        return op;
    case 6:
        return (struct op){.kind = OP_FLUSH};
    case 7:
        return (struct op){.kind = OP_REOPEN};
    default:
        op.changes[0] = random_change(rng, keys);
        return op;
    }
}

static void run_random_sequence(void)
{
    struct sim_rng rng = {test.seed ^ (counts.sequences + 1) << 24};
    unsigned keys = 2 + sim_below(&rng, KEYS - 1);
    struct script script = {.n = 4 + sim_below(&rng, OPS - 3),
                            .sync = sim_below(&rng, 2) ? LXDB_SYNC_FULL : LXDB_SYNC_NONE,
                            .helpers = sim_below(&rng, 2) ? LXDB_HELPERS_KEEP : LXDB_HELPERS_AUTO,
                            .start = (enum start)sim_below(&rng, STARTS),
                            .budget = 8,
                            .kill_every = 100};

    if (sim_below(&rng, 6) == 0)
        script.fail_sync = 1 + sim_below(&rng, 5);
    for (unsigned i = 0; i < script.n; i++)
        script.ops[i] = random_op(&rng, keys);
    /* A log of many pages, of which a sync writes the last ones only. */
    if (sim_below(&rng, 3) == 0)
        for (unsigned i = 0; i < script.n; i += 2)
            script.ops[i].changes[0].len += SIM_BLOCK;
    run_sequence(&script);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* The oracle must reject a disk that lies. */
static int run_lying(const char *what)
{
    test.phase = "lying disk";
    test.lying = true;
    sim_lie(strcmp(what, "files") == 0, strcmp(what, "directory") == 0);
    while (counts.images < LIE_FOUND_WITHIN)
        run_random_sequence();
    printf("powerloss: syncs of %s do nothing, and %llu images show no loss\n", what,
           (unsigned long long)counts.images);
    remove_files();
    return 1;
}

static void prove_lies_are_found(const char *what)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(run_lying(what));
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 3)
        fail("a disk that lies about syncs of %s is not found out", what);
    if (mkdir(test.dir, 0700) < 0)
        fail("%s: %s", test.dir, strerror(errno));
}

static void at_least(const char *what, uint64_t count, uint64_t least)
{
    printf("count: %s %llu\n", what, (unsigned long long)count);
    if (count < least && only == 0)
        fail("only %llu %s", (unsigned long long)count, what);
}

static uint64_t number_in(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    uint64_t scale = number_in("LXDB_TEST_SCALE", 1);
    uint64_t seconds = number_in("LXDB_TEST_SECONDS", 0);
    uint64_t images = IMAGES * (seconds == 0 && scale != 0 ? scale : 1);
    struct timespec now;
    time_t until;

    clock_gettime(CLOCK_REALTIME, &now);
    until = time(NULL) + (time_t)seconds;
    test.seed = number_in("LXDB_TEST_SEED",
                          (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    printf("seed: LXDB_TEST_SEED=%llu\n", (unsigned long long)test.seed);
    snprintf(test.dir, sizeof test.dir, "%s/powerloss-XXXXXX", tmp != NULL && *tmp ? tmp : "/tmp");
    if (mkdtemp(test.dir) == NULL)
        fail("%s: %s", test.dir, strerror(errno));
    image = memory(IMAGE_ROOM);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--lying-disk=", 13) == 0)
            return run_lying(argv[i] + 13);
        if (strncmp(argv[i], "--only=", 7) == 0)
            only = strtoull(argv[i] + 7, NULL, 0);
    }
    if (only == 0) {
        prove_lies_are_found("files");
        prove_lies_are_found("directory");
    }
    run_short_sequences();
    test.phase = "random sequences";
    while ((counts.images < images || time(NULL) < until) && (only == 0 || counts.sequences < only))
        run_random_sequence();

    at_least("sequences", counts.sequences, 3276);
    at_least("images", counts.images, images);
    at_least("images of a recovery under way", counts.recovering, images / 100);
    at_least("images with a torn end", counts.cut, images / 20);
    at_least("images in which the file was not there yet", counts.missing, 100);
    at_least("crashed files opened", counts.opened, images / 100);
    at_least("of the files opened, after the end of all processes", counts.kills, images / 1000);
    at_least("of the files opened, with the rest run again", counts.again, images / 200);
    at_least("syncs that failed", counts.failed_syncs, 20);
    at_least("closed files read strictly", counts.strict, images / 100);
    at_least("syncs", sim_syncs(), images / 20);
    at_least("syncs that left something pending", sim_syncs_in_part(), images / 1000);
    remove_files();
    free(image);
    return 0;
}
