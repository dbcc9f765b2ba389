/* SPDX-License-Identifier: MIT */
/*
 * Loss of power, steered by the input: a script of operations on the simulated disk of tests/crash,
 * a cut at any store, resize, sync or change of names, and for each sector, size and name that was
 * pending what has reached the disk. The file after it must hold the state after a prefix of the
 * commits, no shorter than what was acknowledged as durable; it is opened, and the next script runs
 * on it, whose cut may fall into the recovery; and so on.
 *
 *     0   1  bit 0: every commit is synced; bits 1-2: the file at the start (enum start); bit 3:
 *            the helper files are kept; bits 4-5: what becomes of them at a cut (enum fate)
 *     then for each of LEVELS scripts, as long as there is input
 *         2  the cut is at this event, counted from the opening on; beyond the last: at the end
 *         1  n, and so many operations: see next_op()
 *         1  d, and so many digits: the choices (struct sim_choice). None: the processes end and
 *            the machine goes on, so that nothing at all is lost
 */
#include "base/hash.h"
#include "format/scan.h"
#include "fuzz/driver.h"
#include "fuzz/scratch.h"
#include "lxdb.h"
#include "tests/crash/simdisk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 4u
#define LEVELS 3u
#define OPS 24u
#define IMAGE_ROOM (4u << 20)
#define VALUE_ROOM 2200u

const char fuzz_name[] = "recover";

enum start { START_NEW, START_CLOSED, START_FOREIGN, START_TORN };
enum fate { FATE_GONE, FATE_KEPT, FATE_CUT, FATE_GONE_TOO };

struct value {
    bool there;
    size_t len;
    uint64_t hash;
};

struct state {
    struct value values[KEYS];
};

static const char *const key_of[KEYS] = {"a", "b", "key-c", "key-dd"};
static uint8_t *image; /* zeros between uses */

static struct {
    struct fuzz_input input;
    lxdb *db;
    struct sim_disk *disk;
    bool sync_full, keep_helpers;
    enum fate fate;
    unsigned level, op;
    /* The states after each commit. Between `durable` and `begun` may be found after a loss of
     * power, between `done` and `begun` after an end of the processes. */
    struct state states[OPS + 2];
    unsigned durable, done, begun;
    bool there; /* an opening has returned: the file is there */
    bool torn;  /* it may have a torn end though it is closed, until order and status agree */
    unsigned events, cut_at;
    struct { /* of the moment of the cut */
        struct sim_disk *disk;
        unsigned durable, done, begun;
        bool there;
        uint8_t *helpers[2];
        size_t helper_lens[2];
    } cut;
} run;

static const char *const helper_suffixes[] = {"-lock", "-index"};

/* ---- states ---------------------------------------------------------------------------------- */

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

static unsigned find_key(const void *key, size_t len)
{
    unsigned i = 0;

    while (i < KEYS && (strlen(key_of[i]) != len || memcmp(key_of[i], key, len) != 0))
        i++;
    FUZZ_CHECK(i < KEYS, "a key that nobody wrote");
    return i;
}

static int see(void *arg, const lx_scan_event *event)
{
    struct state *state = arg;
    const lx_record *record = &event->record;

    if (event->control.kind == LX_CONTROL_GROUP)
        fuzz_reached("GROUP records");
    else if (event->control.kind == LX_CONTROL_PAD)
        fuzz_reached("PAD records");
    else if (event->effect == LX_EFFECT_DELETE)
        fuzz_reached("delete markers");
    if (event->effect == LX_EFFECT_PUT)
        state->values[find_key(record->key, record->key_len)] = value_of(record->value,
                                                                         record->value_len);
    else if (event->effect == LX_EFFECT_DELETE)
        state->values[find_key(record->key, record->key_len)] = (struct value){0};
    if (event->effect == LX_EFFECT_PUT && record->status == 0)
        fuzz_reached("puts that a kill does not count for");
    return LXDB_OK;
}

static struct state read_all(void)
{
    struct state state = {0};
    const void *key, *value;
    size_t key_len, value_len;
    uint64_t count, n = 0;
    lxdb_iter *iter;
    int rc = lxdb_iter_open(run.db, NULL, 0, 0, &iter);

    FUZZ_CHECK(rc == LXDB_OK, "iter_open: %s", lxdb_errmsg(run.db));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        unsigned i = find_key(key, key_len);

        FUZZ_CHECK(!state.values[i].there, "an iteration gives %s twice", key_of[i]);
        state.values[i] = value_of(value, value_len);
        n++;
    }
    lxdb_iter_close(iter);
    FUZZ_CHECK(rc == LXDB_NOTFOUND, "an iteration ends with %d", rc);
    for (unsigned i = 0; i < KEYS; i++) {
        char buf[VALUE_ROOM * 2];
        size_t len = 0;

        rc = lxdb_read(run.db, key_of[i], strlen(key_of[i]), buf, sizeof buf, &len);
        FUZZ_CHECK(rc == (state.values[i].there ? LXDB_OK : LXDB_NOTFOUND), "reading %s: %d, %s",
                   key_of[i], rc, lxdb_errmsg(run.db));
        FUZZ_CHECK(rc != LXDB_OK ||
                       (len == state.values[i].len && lx_hash(buf, len, 0) == state.values[i].hash),
                   "%s is read and iterated differently", key_of[i]);
    }
    rc = lxdb_count(run.db, &count);
    FUZZ_CHECK(rc == LXDB_OK && count == n, "%llu keys are counted, %llu are there",
               (unsigned long long)count, (unsigned long long)n);
    return state;
}

static void check_reads(const char *when)
{
    struct state state = read_all();

    FUZZ_CHECK(state_equal(&state, &run.states[run.done]),
               "%s, level %u: another state than after "
               "commit %u",
               when, run.level, run.done);
}

/* ---- the cut --------------------------------------------------------------------------------- */

static void take_cut(void)
{
    run.cut.disk = sim_disk_clone(run.disk);
    run.cut.durable = run.durable;
    run.cut.done = run.done;
    run.cut.begun = run.begun;
    run.cut.there = run.there;
    for (unsigned i = 0; i < 2; i++)
        run.cut.helpers[i] = scratch_read(helper_suffixes[i], &run.cut.helper_lens[i]);
}

static void on_event(void *arg, enum sim_event event)
{
    (void)arg;
    (void)event;
    if (run.events++ == run.cut_at)
        take_cut();
}

/* ---- operations ------------------------------------------------------------------------------ */

/* The length of a value: short ones by the byte, then up to some sectors. */
static size_t next_length(void)
{
    unsigned b = fuzz_byte(&run.input);

    return b < 200 ? b : (b - 200) * 40;
}

/* Noise, zeros, or whole records of our keys that nobody wrote. */
static size_t make_value(uint8_t *value, unsigned kind, unsigned key)
{
    struct sim_rng rng = {run.level * 1000 + run.op * 16 + key};
    size_t len = next_length();

    memset(value, 0, len);
    for (size_t i = 0; kind != 2 && i < len; i++)
        value[i] = (uint8_t)sim_random(&rng);
    for (size_t at = 0; kind == 1 && len - at >= LX_RECORD_OVERHEAD + 4; at += 14)
        lx_record_encode(value + at, (uint8_t)(at / 14 % 3 != 0), key_of[at / 14 % 2], 1, "no", 2);
    return len;
}

static void begin(const struct state *state)
{
    run.begun = run.done + 1;
    run.states[run.begun] = *state;
}

static void end(int rc, const char *what)
{
    FUZZ_CHECK(rc == LXDB_OK, "%s, level %u: %d, %s", what, run.level, rc, lxdb_errmsg(run.db));
    run.done = run.begun;
    if (run.sync_full)
        run.durable = run.done;
}

static void run_write(unsigned key, unsigned kind)
{
    struct state state = run.states[run.done];
    uint8_t value[VALUE_ROOM + 60];
    size_t len = make_value(value, kind, key);

    state.values[key] = value_of(value, len);
    begin(&state);
    end(lxdb_write(run.db, key_of[key], strlen(key_of[key]), value, len), "write");
}

static void run_delete(unsigned key)
{
    struct state state = run.states[run.done];
    bool was = state.values[key].there;
    int rc;

    state.values[key] = (struct value){0};
    if (was)
        begin(&state);
    rc = lxdb_delete(run.db, key_of[key], strlen(key_of[key]));
    if (was)
        end(rc, "delete");
    else
        FUZZ_CHECK(rc == LXDB_NOTFOUND, "deleting what is not there: %d", rc);
}

static void run_batch(void)
{
    struct state state = run.states[run.done];
    unsigned n = fuzz_byte(&run.input) % 5;
    lxdb_batch *batch;
    bool changes = false;
    int rc = lxdb_batch_begin(run.db, &batch);

    for (unsigned i = 0; i < n && rc == LXDB_OK; i++) {
        unsigned b = fuzz_byte(&run.input), key = b % KEYS;

        if (b & 4) {
            changes |= state.values[key].there;
            state.values[key] = (struct value){0};
            rc = lxdb_batch_delete(batch, key_of[key], strlen(key_of[key]));
        } else {
            uint8_t value[VALUE_ROOM + 60];
            size_t len = make_value(value, b >> 3, key);

            changes = true;
            state.values[key] = value_of(value, len);
            rc = lxdb_batch_write(batch, key_of[key], strlen(key_of[key]), value, len);
        }
    }
    FUZZ_CHECK(rc == LXDB_OK, "making a batch: %d, %s", rc, lxdb_errmsg(run.db));
    if (changes)
        begin(&state);
    end(lxdb_batch_commit(batch, NULL, NULL), "batch_commit");
}

static void open_database(void)
{
    lxdb_options options = {.size = sizeof options,
                            .flags = LXDB_ANYFS | LXDB_NOAUTOCOMPACT,
                            .sync = run.sync_full ? LXDB_SYNC_FULL : LXDB_SYNC_NONE,
                            .helpers = run.keep_helpers ? LXDB_HELPERS_KEEP : LXDB_HELPERS_REMOVE};
    int rc = lxdb_open(scratch_path, &options, &run.db);

    FUZZ_CHECK(rc == LXDB_OK, "opening, level %u: %d, %s", run.level, rc, lxdb_errmsg(NULL));
    run.there = true;
    run.durable = run.done;
}

static void close_database(void)
{
    int rc = lxdb_close(run.db);

    FUZZ_CHECK(rc == LXDB_OK, "closing, level %u: %d, %s", run.level, rc, lxdb_errmsg(NULL));
    run.durable = run.done;
}

/* One operation: bits 0-2 its kind, 3-4 its key, 5-6 the kind of its value. */
static void next_op(void)
{
    static const struct state empty = {0};
    unsigned b = fuzz_byte(&run.input), key = b >> 3 & 3;
    bool changes = !state_equal(&run.states[run.done], &empty);

    switch (b & 7) {
    case 2:
        run_delete(key);
        break;
    case 3:
        run_batch();
        break;
    case 4:
        if (changes)
            begin(&empty);
        end(lxdb_clear(run.db, NULL), "clear");
        break;
    case 5:
        FUZZ_CHECK(lxdb_compact(run.db, NULL) == LXDB_OK, "compact: %s", lxdb_errmsg(run.db));
        run.durable = run.done;
        break;
    case 6:
        FUZZ_CHECK(lxdb_flush(run.db) == LXDB_OK, "flush: %s", lxdb_errmsg(run.db));
        run.durable = run.done;
        break;
    case 7:
        close_database();
        open_database();
        break;
    default:
        run_write(key, b >> 5 & 3);
    }
}

/* ---- a level --------------------------------------------------------------------------------- */

/* FUZZ_IMAGES, set: the folder for every image that is judged. They are seeds of `scan`. */
static void keep_image(size_t used)
{
    static unsigned number;
    const char *folder = getenv("FUZZ_IMAGES");
    char path[400];
    FILE *file;

    if (folder == NULL)
        return;
    snprintf(path, sizeof path, "%s/powerloss_%04u", folder, number++);
    file = fopen(path, "wb");
    FUZZ_CHECK(file != NULL && fwrite(image, 1, used, file) == used && fclose(file) == 0, "%s",
               path);
}

/* What the image of a cut reads as; it has to be one of the states that it may be. */
static unsigned judge(struct sim_choice choice, bool *ret_there)
{
    struct state state = {0};
    unsigned least = choice.digit_count == 0 ? run.cut.done : run.cut.durable, i;
    lx_scan scan = {0};
    size_t used;
    uint64_t size;
    int rc;

    *ret_there = sim_image(run.cut.disk, choice, SIM_DATA, image, IMAGE_ROOM, &used, &size);
    if (*ret_there) {
        rc = lx_scan_plan(image, size, NULL, NULL, &scan);
        FUZZ_CHECK(rc == LXDB_OK, "the scan of an image: %d", rc);
        FUZZ_CHECK(scan.damaged_count == 0 && !scan.bad_watermark && !scan.unsteppable,
                   "a loss of power looks like damage");
        FUZZ_CHECK(scan.ordered || scan.cut_bytes == 0 || run.torn, "a closed image is cut");
        rc = lx_scan_walk(&scan, LX_HEADER_SIZE, see, &state);
        FUZZ_CHECK(rc == LXDB_OK, "the walk of an image: %d", rc);
        keep_image(used);
        fuzz_reached(scan.ordered ? "crashed images" : "closed images");
        if (scan.cut_bytes != 0)
            fuzz_reached("images with something to cut");
        lx_scan_free(&scan);
        memset(image, 0, used);
    } else {
        FUZZ_CHECK(!run.cut.there, "the data file is gone");
        fuzz_reached("images without a file");
    }
    for (i = run.cut.begun + 1; i > least && !state_equal(&state, &run.states[i - 1]); i--)
        ;
    if (i == least)
        for (unsigned j = 0; j < least; j++)
            FUZZ_CHECK(!state_equal(&state, &run.states[j]),
                       "level %u: the state after commit %u of %u; %u are durable", run.level, j,
                       run.cut.done, least);
    FUZZ_CHECK(i > least, "level %u: a state that never was", run.level);
    if (i - 1 < run.cut.begun)
        fuzz_reached("images that have lost a commit");
    if (run.cut.begun > run.cut.done)
        fuzz_reached("cuts inside a commit");
    return i - 1;
}

/* After the cut: the disk that is left, and the state that it has. */
static void go_down(struct sim_choice choice)
{
    bool there;
    unsigned found = judge(choice, &there);

    sim_disk_free(run.disk);
    run.disk = sim_crash(run.cut.disk, choice);
    run.states[0] = run.states[found];
    run.durable = run.done = run.begun = 0;
    run.there = there;
}

static void put_helpers(void)
{
    for (unsigned i = 0; i < 2; i++) {
        size_t len = run.cut.helper_lens[i];

        if (run.cut.helpers[i] != NULL && (run.fate == FATE_KEPT || run.fate == FATE_CUT))
            scratch_write(helper_suffixes[i], run.cut.helpers[i],
                          run.fate == FATE_CUT ? len / 2 : len);
        free(run.cut.helpers[i]);
        run.cut.helpers[i] = NULL;
    }
}

static void mount_disk(void)
{
    sim_mount(run.disk, scratch_dir, SCRATCH_NAME);
    put_helpers();
}

static void run_level(void)
{
    unsigned n;
    struct sim_choice choice = {.digits = run.input.at};

    mount_disk();
    run.events = 0;
    run.cut_at = fuzz_short(&run.input);
    n = fuzz_byte(&run.input) % (OPS + 1);
    sim_watch(on_event, NULL);
    open_database();
    check_reads("after opening");
    for (run.op = 0; run.op < n && run.input.left > 0; run.op++)
        next_op();
    check_reads("after the last operation");
    close_database();
    if (run.cut.disk == NULL)
        take_cut();
    sim_unmount();
    choice.digit_count = fuzz_byte(&run.input);
    if (choice.digit_count > run.input.left)
        choice.digit_count = run.input.left;
    choice.digits = run.input.at;
    run.input.at += choice.digit_count;
    run.input.left -= choice.digit_count;
    if (choice.digits == NULL)
        choice.digits = (const uint8_t *)""; /* an empty input */
    go_down(choice);
    sim_disk_free(run.cut.disk);
    run.cut.disk = NULL;
    fuzz_reached("cuts");
    if (run.level > 0)
        fuzz_reached("cuts of a disk that was cut before");
}

/* The file at the start: closed; or with status bytes and order that disagree, as another program
 * may leave it; or that with a torn end. */
static void make_start(enum start start)
{
    static const struct {
        unsigned key;
        uint8_t status;
        const char *value;
        bool plain, is_value;
    } records[] = {{0, 1, "before", true, true},
                   {0, 0, "later, and dead", false, false},
                   {1, 0, "dead, and nothing says why", false, false},
                   {2, 1, "replaced", false, false},
                   {2, 1, "last", true, true}};
    uint8_t bytes[512];
    size_t at = LX_HEADER_SIZE;

    if (start == START_NEW)
        return;
    lx_header_encode(bytes, 0);
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        const char *key = key_of[records[i].key];
        uint32_t key_len = (uint32_t)strlen(key), len = (uint32_t)strlen(records[i].value);

        if (start == START_CLOSED && !records[i].plain)
            continue;
        lx_record_encode(bytes + at, 1, key, key_len, records[i].value, len);
        bytes[at] = records[i].status;
        at += (size_t)lx_record_size(key_len, len);
        if (records[i].is_value)
            run.states[0].values[records[i].key] = value_of(records[i].value, len);
    }
    if (start == START_TORN) {
        lx_record_encode(bytes + at, 1, "b", 1, "torn, and so never there", 24);
        at += 30;
    }
    sim_disk_put(run.disk, SIM_DATA, bytes, at);
    run.there = true;
    run.torn = start != START_CLOSED;
}

int fuzz_one(uint8_t *data, size_t len)
{
    unsigned options;

    if (len < 4)
        return 1;
    scratch_clear();
    memset(&run, 0, sizeof run);
    run.input = fuzz_input(data, len);
    options = fuzz_byte(&run.input);
    run.sync_full = options & 1;
    run.keep_helpers = options & 8;
    run.fate = (enum fate)(options >> 4 & 3);
    run.disk = sim_disk_new();
    make_start((enum start)(options >> 1 & 3));
    for (; run.level < LEVELS && run.input.left > 0; run.level++)
        run_level();
    mount_disk();
    open_database();
    check_reads("in the end");
    close_database();
    sim_unmount();
    sim_disk_free(run.disk);
    return 0;
}

void fuzz_start(void)
{
    scratch_make();
    image = calloc(1, IMAGE_ROOM);
    FUZZ_CHECK(image != NULL, "out of memory");
}

void fuzz_end(void)
{
    free(image);
    scratch_remove();
}
