/* SPDX-License-Identifier: MIT */
/* store/index.h: finding and changing keys through splits, beside readers, and in damaged files. */
#include "store/fill.h"
#include "store/probe.h"

#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LOG_SIZE (32u << 20)

/* ---- A log and an index for each test, and keys that are numbers ----------------------------- */

static int log_fd = -1, index_fd = -1; /* other descriptors of the two files */
static lx_log log_;
static lx_index index_;
static uint64_t tail;

static int file_make(const char *dir, const char *name, int *ret_other)
{
    char path[4200];
    int fd;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    *ret_other = open(path, O_RDWR | O_CLOEXEC);
    (void)unlink(path); /* the descriptors are all that is used of it */
    return fd;
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char dir[4000];
    int fd;

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-index-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    fd = file_make(dir, "data", &log_fd);
    if (fd < 0 || ftruncate(fd, LOG_SIZE) < 0 || lx_log_open(fd, "data", true, &log_) != LXDB_OK)
        return -1;
    log_.by_pwrite = false; /* whatever this file system asks for */
    tail = 10;
    fd = file_make(dir, "index", &index_fd);
    (void)rmdir(dir);
    return fd < 0 || lx_index_make(fd, "index", 0, &index_) != LXDB_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    lx_io = &lx_io_system;
    lx_index_close(&index_);
    lx_log_close(&log_);
    (void)close(log_fd);
    return close(index_fd);
}

typedef struct key {
    uint8_t bytes[8];
} key;

static key key_of(uint64_t number)
{
    key k;

    lx_put64(k.bytes, number);
    return k;
}

static uint64_t hash_of(uint64_t number)
{
    key k = key_of(number);

    return lx_index_hash(&index_, k.bytes, sizeof k.bytes);
}

/* A record for a number, in the log alone. */
static uint64_t record_put(uint64_t number)
{
    uint8_t record[LX_RECORD_OVERHEAD + 8];
    key k = key_of(number);
    uint64_t off = tail;

    lx_record_encode(record, 1, k.bytes, sizeof k.bytes, NULL, 0);
    assert_int_equal(lx_log_store(&log_, off, record, sizeof record), LXDB_OK);
    tail += sizeof record;
    return off;
}

static int find_in(lx_index *index, uint64_t number, lx_found *ret_found)
{
    key k = key_of(number);

    return lx_index_find(index, &log_, k.bytes, sizeof k.bytes, hash_of(number), ret_found);
}

/* Where nobody writes meanwhile: what one look tells is what a whole probe finds. */
static int find(uint64_t number, lx_found *ret_found)
{
    key k = key_of(number);
    lx_probed probed;
    int at_once = lx_index_probe(&index_, &log_, k.bytes, sizeof k.bytes, hash_of(number), &probed);
    int rc = find_in(&index_, number, ret_found);

    if (at_once != LX_AGAIN)
        assert_int_equal(at_once, rc);
    if (at_once == LXDB_OK) {
        assert_ptr_equal(probed.record, log_.map.base + ret_found->entry.off);
        assert_int_equal(probed.slot & LX_SLOT_OFFSET_MASK, ret_found->entry.off);
        assert_ptr_equal(probed.at.slot, ret_found->at.slot);
        assert_ptr_equal(probed.at.segment, ret_found->at.segment);
    }
    return rc;
}

/* Put a key as a commit does; its new offset. */
static uint64_t put(uint64_t number)
{
    uint64_t off = record_put(number), hash = hash_of(number);
    lx_found found;
    int rc = find(number, &found);

    if (rc == LXDB_OK) {
        lx_index_replace(found.at, off);
        return off;
    }
    assert_int_equal(rc, LXDB_NOTFOUND);
    assert_int_equal(lx_index_make_room_for_one(&index_, &log_, hash), LXDB_OK);
    assert_true(lx_index_insert(&index_, hash, off));
    return off;
}

static void drop(uint64_t number)
{
    lx_found found;

    assert_int_equal(find(number, &found), LXDB_OK);
    lx_index_remove(found.at);
}

static void assert_at(uint64_t number, uint64_t off)
{
    lx_found found;

    assert_int_equal(find(number, &found), LXDB_OK);
    assert_int_equal(found.entry.off, off);
}

static void assert_missing(uint64_t number)
{
    lx_found found;

    assert_int_equal(find(number, &found), LXDB_NOTFOUND);
}

static uint32_t depth(void)
{
    return lx_directory_depth(index_.head->directory);
}

static struct lx_segment *segment_of(uint64_t hash)
{
    return lx_index_segment(&index_, lx_index_segment_of(&index_, hash));
}

/* The next number at or after `from` whose hash has these bits. */
static uint64_t number_with(uint64_t from, uint64_t mask, uint64_t bits)
{
    while ((hash_of(from) & mask) != bits)
        from++;
    return from;
}

static uint64_t number_in_bucket(uint64_t from, uint32_t bucket)
{
    while (lx_hash_bucket(hash_of(from)) != bucket)
        from++;
    return from;
}

/* Random numbers that are the same each time. */
static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* ---- One key --------------------------------------------------------------------------------- */

static void key_that_was_never_put_is_not_found(void **state)
{
    (void)state;
    assert_missing(1);
}

static void key_is_found_replaced_and_removed(void **state)
{
    uint64_t off = put(1);

    (void)state;
    assert_at(1, off);
    off = put(1);
    assert_at(1, off);
    assert_int_equal(segment_of(hash_of(1))->live, 1);
    drop(1);
    assert_missing(1);
    assert_int_equal(segment_of(hash_of(1))->live, 0);
    assert_int_equal(segment_of(hash_of(1))->used, 0);
}

static void key_whose_hash_is_that_of_another_is_told_apart(void **state)
{
    uint64_t hash = hash_of(1), other = record_put(2), off = record_put(1);

    (void)state;
    assert_true(lx_index_insert(&index_, hash, other));
    assert_missing(1);
    assert_true(lx_index_insert(&index_, hash, off));
    assert_at(1, off);
}

static void slot_that_leads_to_no_record_is_damage(void **state)
{
    lx_found found;

    (void)state;
    assert_true(lx_index_insert(&index_, hash_of(1), 5000));
    assert_int_equal(find(1, &found), LX_DAMAGED);
    assert_non_null(strstr(lx_error_message(), "a slot leads to no record"));
}

static void slot_beyond_the_mapped_log_asks_for_more(void **state)
{
    lx_found found;

    (void)state;
    assert_int_equal(ftruncate(log_fd, (off_t)log_.map.size + 100), 0);
    assert_true(lx_index_insert(&index_, hash_of(1), log_.map.size));
    assert_int_equal(find(1, &found), LX_AGAIN);
}

/* ---- Collisions and markers ------------------------------------------------------------------ */

enum { CROWD = 40 }; /* keys of one bucket: five buckets full */

/* The numbers of a crowd of keys whose home is `bucket`. */
static void crowd_of(uint32_t bucket, uint64_t ret_numbers[CROWD])
{
    uint64_t number = 0;

    for (int i = 0; i < CROWD; i++, number++)
        ret_numbers[i] = number = number_in_bucket(number, bucket);
}

static void keys_of_one_bucket_go_on_in_the_next_ones(void **state)
{
    static const uint32_t buckets[] = {0, 100, LX_BUCKETS - 1};

    (void)state;
    for (size_t n = 0; n < sizeof buckets / sizeof buckets[0]; n++) {
        uint64_t numbers[CROWD], offs[CROWD];

        crowd_of(buckets[n], numbers);
        for (int i = 0; i < CROWD; i++)
            offs[i] = put(numbers[i]);
        for (int i = 0; i < CROWD; i++)
            assert_at(numbers[i], offs[i]);
        assert_missing(number_in_bucket(numbers[CROWD - 1] + 1, buckets[n]));
    }
}

static void removal_from_a_full_bucket_leaves_a_marker_that_probes_pass(void **state)
{
    uint64_t numbers[CROWD], offs[CROWD];
    struct lx_segment *segment = segment_of(0);

    (void)state;
    crowd_of(7, numbers);
    for (int i = 0; i < CROWD; i++)
        offs[i] = put(numbers[i]);
    for (int i = 0; i < CROWD - 1; i++) {
        drop(numbers[i]);
        assert_missing(numbers[i]);
        assert_at(numbers[CROWD - 1], offs[CROWD - 1]);
    }
    assert_int_equal(segment->live, 1);
    assert_int_equal(segment->used, CROWD);
    assert_int_equal(segment->buckets[7].slots[0], LX_SLOT_MARKER);
}

static void removal_from_a_bucket_with_room_leaves_nothing(void **state)
{
    uint64_t numbers[CROWD], last;
    struct lx_segment *segment = segment_of(0);

    (void)state;
    crowd_of(7, numbers);
    for (int i = 0; i < 3; i++)
        last = put(numbers[i]);
    drop(numbers[0]);
    assert_int_equal(segment->buckets[7].slots[0], LX_SLOT_EMPTY);
    assert_int_equal(segment->used, 2);
    assert_at(numbers[2], last);
    assert_missing(numbers[0]);
}

static void marker_is_taken_again_and_not_counted_twice(void **state)
{
    uint64_t numbers[CROWD], off;
    struct lx_segment *segment = segment_of(0);

    (void)state;
    crowd_of(7, numbers);
    for (int i = 0; i < 10; i++)
        (void)put(numbers[i]);
    drop(numbers[3]);
    assert_int_equal(segment->used, 10);
    off = put(numbers[20]);
    assert_int_equal(segment->used, 10);
    assert_int_equal(segment->live, 10);
    assert_at(numbers[20], off);
    assert_missing(numbers[3]);
}

static void recount_finds_the_counts_again(void **state)
{
    uint64_t numbers[CROWD];
    struct lx_segment *segment = segment_of(0);

    (void)state;
    crowd_of(7, numbers);
    for (int i = 0; i < CROWD; i++)
        (void)put(numbers[i]);
    drop(numbers[0]);
    segment->used = 3;
    segment->live = 4;
    lx_index_recount(&index_, hash_of(numbers[0]));
    assert_int_equal(segment->used, CROWD);
    assert_int_equal(segment->live, CROWD - 1);
}

static void keys_that_come_and_go_do_not_make_the_index_grow(void **state)
{
    enum { LIVE = 800, ROUNDS = 30000 };
    uint64_t segments = index_.head->segments;
    lx_found found;

    (void)state;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        (void)put(i);
        if (i >= LIVE)
            drop(i - LIVE);
    }
    for (uint64_t i = 0; i < ROUNDS; i++)
        assert_int_equal(find(i, &found), i < ROUNDS - LIVE ? LXDB_NOTFOUND : LXDB_OK);
    assert_int_equal(depth(), 0);
    assert_true(index_.head->segments <= segments + 2);
    assert_int_equal(segment_of(0)->live, LIVE);
}

/* ---- Many keys ------------------------------------------------------------------------------- */

static void model_of_100000_keys_agrees(void **state)
{
    enum { KEYS = 100000, ROUNDS = 250000 };
    uint64_t *model = calloc(KEYS, sizeof *model); /* 0: not there */
    uint64_t seed = 1, live = 0, slots, used;

    (void)state;
    assert_non_null(model);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t number = i < KEYS ? i : next_random(&seed) % KEYS;

        if (i >= KEYS && model[number] != 0 && next_random(&seed) % 4 == 0) {
            drop(number);
            model[number] = 0;
        } else {
            model[number] = put(number);
        }
    }
    for (uint64_t i = 0; i < KEYS; i++) {
        live += model[i] != 0;
        if (model[i] != 0)
            assert_at(i, model[i]);
        else
            assert_missing(i);
    }
    assert_true(depth() >= 6);
    lx_index_load(&index_, &slots, &used);
    assert_true(used >= live && slots >= used);
    free(model);
}

static void directory_deeper_than_a_segment_moves_to_fresh_ones(void **state)
{
    /* Keys that differ only above the ninth bit: a deep directory of few segments. */
    enum { SHARED_BITS = 9, KEYS = 24000 };
    const uint64_t mask = (1u << SHARED_BITS) - 1;
    uint64_t *numbers = malloc(KEYS * sizeof *numbers), number = 0;

    (void)state;
    assert_non_null(numbers);
    for (int i = 0; i < KEYS; i++, number++) {
        numbers[i] = number = number_with(number, mask, 5);
        (void)put(number);
    }
    assert_true(depth() > 12);
    assert_true(lx_directory_start(index_.head->directory) > 1);
    for (int i = 0; i < KEYS; i++)
        assert_at(numbers[i], 10 + (uint64_t)i * (LX_RECORD_OVERHEAD + 8));
    for (uint64_t i = 0; i < 2000; i++)
        if ((hash_of(i) & mask) != 5)
            assert_missing(i);
    free(numbers);
}

static void index_made_for_its_keys_needs_no_split(void **state)
{
    enum { KEYS = 20000 };
    uint64_t segments;
    bool moved;

    (void)state;
    lx_index_close(&index_);
    assert_int_equal(ftruncate(index_fd, 0), 0);
    assert_int_equal(lx_index_make(dup(index_fd), "index", KEYS, &index_), LXDB_OK);
    segments = index_.head->segments;
    for (uint64_t i = 0; i < KEYS; i++) {
        assert_int_equal(lx_index_make_room(&index_, &log_, hash_of(i), 1, &moved), LXDB_OK);
        assert_false(moved);
        assert_true(lx_index_insert(&index_, hash_of(i), record_put(i)));
    }
    assert_int_equal(index_.head->segments, segments);
}

/* ---- Filling --------------------------------------------------------------------------------- */

enum { FILL_KEYS = 50000, FILL_CHANGES = 200000 };

struct filled {
    uint64_t slots[FILL_KEYS]; /* 0: not there */
    uint64_t retired;
};

static int note_retired(void *arg, const lx_found *found)
{
    struct filled *filled = arg;

    assert_int_equal(found->entry.len, LX_RECORD_OVERHEAD + 8);
    filled->retired++;
    return LXDB_OK;
}

/* Puts and removals of random keys, most of them more than once, and some twice in a batch. */
static void fill_at_random(lx_fill *fill, struct filled *filled)
{
    uint64_t seed = 1, live = 0, retired = 0;

    for (int i = 0; i < FILL_CHANGES; i++) {
        uint64_t random = next_random(&seed);
        uint64_t number = i % 64 < 4 ? (uint64_t)i / 64 : random % FILL_KEYS;
        uint64_t off = record_put(number);
        const uint8_t *bytes = log_.map.base + off + LX_RECORD_HEADER;

        retired += filled->slots[number] != 0;
        if (random / FILL_KEYS % 4 == 0) {
            live -= filled->slots[number] != 0;
            filled->slots[number] = 0;
            assert_int_equal(lx_fill_remove(fill, bytes, 8), LXDB_OK);
        } else {
            live += filled->slots[number] == 0;
            filled->slots[number] = off;
            assert_int_equal(lx_fill_put(fill, bytes, 8, off, tail - off, false), LXDB_OK);
        }
        assert_true(lx_fill_waits(fill, hash_of(number)));
    }
    assert_int_equal(lx_fill_flush(fill), LXDB_OK);
    assert_false(lx_fill_waits(fill, hash_of(0)));
    assert_int_equal(filled->retired, retired);
    assert_int_equal(fill->records, live);
    assert_int_equal(fill->bytes, live * (LX_RECORD_OVERHEAD + 8));
    assert_int_equal(fill->expiring, 0);
    for (uint64_t number = 0; number < FILL_KEYS; number++) {
        if (filled->slots[number] != 0)
            assert_at(number, filled->slots[number]);
        else
            assert_missing(number);
    }
}

static void index_that_is_filled_has_the_last_change_of_every_key(void **state)
{
    static struct filled filled;
    lx_fill fill = {.index = &index_, .log = &log_, .retire = note_retired, .arg = &filled};

    (void)state;
    fill_at_random(&fill, &filled);
}

static void index_that_outgrows_its_mapping_while_it_is_filled_is_mapped_anew(void **state)
{
    static struct filled filled;
    lx_fill fill = {.index = &index_, .log = &log_, .retire = note_retired, .arg = &filled};
    const uint64_t length = atomic_load(&index_.length);

    (void)state;
    index_.map.size = length; /* as if there were no more address space */
    fill_at_random(&fill, &filled);
    assert_true(index_.map.size > length);
}

static void room_for_more_than_a_segment_holds_moves_every_time(void **state)
{
    bool moved = false;

    (void)state;
    (void)put(1);
    assert_int_equal(lx_index_make_room(&index_, &log_, 0, LX_SEGMENT_LIMIT, &moved), LXDB_OK);
    assert_true(moved);
    moved = true;
    assert_int_equal(lx_index_make_room(&index_, &log_, 0, 0, &moved), LXDB_OK);
    assert_false(moved);
}

static void private_index_that_is_full_is_no_space_and_keeps_its_keys(void **state)
{
    lx_index private;
    uint64_t number = 0;
    int rc;

    (void)state;
    lx_index_close(&index_);
    assert_int_equal(lx_index_make(-1, "private", 5000, &private), LXDB_OK);
    index_ = private;
    for (;; number++) {
        rc = lx_index_make_room_for_one(&index_, &log_, hash_of(number));
        if (rc != LXDB_OK)
            break;
        assert_true(lx_index_insert(&index_, hash_of(number), record_put(number)));
    }
    assert_int_equal(rc, LXDB_NOSPACE);
    assert_true(number >= 5000);
    assert_missing(number);
    for (uint64_t i = 0; i < number; i++)
        assert_at(i, 10 + i * (LX_RECORD_OVERHEAD + 8));
}

/* ---- Beside a writer ------------------------------------------------------------------------- */

enum { SETTLED = 3000, COMING = 60000 };

static _Atomic bool written;

/* How often a reader with a mapping of its own did not see what it must. */
static void *read_settled(void *arg)
{
    lx_index mine;
    uintptr_t wrong = 0;

    (void)arg;
    if (lx_index_open(dup(index_fd), "index", false, &mine) != LXDB_OK)
        return (void *)(uintptr_t)1;
    do {
        for (uint64_t i = 0; i < SETTLED; i++) {
            lx_found found;

            wrong += find_in(&mine, i, &found) != LXDB_OK;
            wrong += find_in(&mine, (UINT64_C(1) << 40) + i, &found) != LXDB_NOTFOUND;
        }
    } while (!written);
    lx_index_close(&mine);
    return (void *)wrong;
}

static int mark_seen(void *arg, uint64_t off, uint16_t tag)
{
    uint8_t *seen = arg;
    uint64_t number = (off - 10) / (LX_RECORD_OVERHEAD + 8);

    (void)tag;
    if (number < SETTLED)
        seen[number] = 1;
    return LXDB_OK;
}

static void *list_settled(void *arg)
{
    uintptr_t wrong = 0;

    (void)arg;
    do {
        uint8_t seen[SETTLED] = {0};

        wrong += lx_index_each(&index_, UINT64_MAX, mark_seen, seen) != LXDB_OK;
        for (uint64_t i = 0; i < SETTLED; i++)
            wrong += !seen[i];
    } while (!written);
    return (void *)wrong;
}

static void run_beside_a_writer(void *(*reader)(void *))
{
    pthread_t thread;
    void *wrong;

    for (uint64_t i = 0; i < SETTLED; i++)
        (void)put(i);
    written = false;
    assert_int_equal(pthread_create(&thread, NULL, reader, NULL), 0);
    for (uint64_t i = SETTLED; i < SETTLED + COMING; i++)
        (void)put(i);
    written = true;
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_int_equal((uintptr_t)wrong, 0);
    assert_true(depth() >= 5);
}

static void reader_beside_splits_finds_what_is_there_and_misses_what_is_not(void **state)
{
    (void)state;
    run_beside_a_writer(read_settled);
}

static void list_beside_splits_has_all_that_was_there(void **state)
{
    (void)state;
    run_beside_a_writer(list_settled);
}

/* A key that comes, into a segment just split, after a reader has passed the place where it was not
 * yet: the reader asks for the size of the log on the way, and that is when. */
static struct {
    uint64_t number; /* UINT64_MAX: it has come */
    uint64_t off;
    struct lx_io io;
} late;

static int fstat_and_split(int fd, struct stat *ret_stat)
{
    if (late.number != UINT64_MAX) {
        uint64_t hash = hash_of(late.number);

        late.number = UINT64_MAX;
        assert_int_equal(lx_index_split(&index_, &log_, hash, LX_SEGMENT_LIMIT), LXDB_OK);
        assert_true(lx_index_insert(&index_, hash, late.off));
    }
    return lx_io_system.fstat(fd, ret_stat);
}

static void miss_in_a_segment_that_was_split_meanwhile_is_looked_up_again(void **state)
{
    const uint64_t number = 1;
    uint64_t other = record_put(2);
    lx_found found;

    (void)state;
    late.number = number;
    late.off = record_put(number);
    late.io = lx_io_system;
    late.io.fstat = fstat_and_split;
    assert_true(lx_index_insert(&index_, hash_of(number), other)); /* the same tag, another key */
    log_.length = 0; /* so that a match asks for the size */
    lx_io = &late.io;
    assert_int_equal(find(number, &found), LXDB_OK);
    assert_int_equal(found.entry.off, late.off);
    assert_true(late.number == UINT64_MAX);
}

/* ---- Listing --------------------------------------------------------------------------------- */

enum { STOPPED = 12345 };

static uint64_t listed;

static int count(void *arg, uint64_t off, uint16_t tag)
{
    uint64_t number = (off - 10) / (LX_RECORD_OVERHEAD + 8);

    (void)arg;
    listed++;
    return tag == hash_of(number) >> LX_SLOT_OFFSET_BITS ? LXDB_OK : LXDB_CORRUPT;
}

static int count_any(void *arg, uint64_t off, uint16_t tag)
{
    (void)arg;
    (void)off;
    (void)tag;
    listed++;
    return LXDB_OK;
}

static int stop_at_ten(void *arg, uint64_t off, uint16_t tag)
{
    (void)arg;
    (void)off;
    (void)tag;
    return ++listed == 10 ? STOPPED : LXDB_OK;
}

static void list_has_every_key_once_with_its_tag(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 10000; i++)
        (void)put(i);
    listed = 0;
    assert_int_equal(lx_index_each(&index_, UINT64_MAX, count, NULL), LXDB_OK);
    assert_int_equal(listed, 10000);
}

static void list_ends_below_its_limit(void **state)
{
    uint64_t limit = 0;

    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t off = put(i);

        limit = i == 4000 ? off : limit;
    }
    listed = 0;
    assert_int_equal(lx_index_each(&index_, limit, count, NULL), LXDB_OK);
    assert_int_equal(listed, 4000);
}

static void list_passes_by_markers(void **state)
{
    uint64_t numbers[CROWD];

    (void)state;
    crowd_of(7, numbers);
    for (int i = 0; i < CROWD; i++)
        (void)put(numbers[i]);
    drop(numbers[0]);
    listed = 0;
    assert_int_equal(lx_index_each(&index_, UINT64_MAX, count_any, NULL), LXDB_OK);
    assert_int_equal(listed, CROWD - 1);
}

static int split_and_mark(void *arg, uint64_t off, uint16_t tag)
{
    /* The first split frees the segment that is being listed, the second fills it with others. */
    if (listed++ == 0) {
        assert_int_equal(lx_index_split(&index_, &log_, 0, LX_SEGMENT_LIMIT), LXDB_OK);
        assert_int_equal(lx_index_split(&index_, &log_, 1, LX_SEGMENT_LIMIT), LXDB_OK);
    }
    return mark_seen(arg, off, tag);
}

static void list_of_a_segment_that_is_reused_meanwhile_misses_nothing(void **state)
{
    uint8_t seen[SETTLED] = {0};

    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        (void)put(i);
    listed = 0;
    assert_int_equal(lx_index_each(&index_, UINT64_MAX, split_and_mark, seen), LXDB_OK);
    for (uint64_t i = 0; i < 1000; i++)
        assert_true(seen[i]);
}

static void list_that_is_stopped_gives_the_reason(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20; i++)
        (void)put(i);
    listed = 0;
    assert_int_equal(lx_index_each(&index_, UINT64_MAX, stop_at_ten, NULL), STOPPED);
    assert_int_equal(listed, 10);
}

/* ---- Opening and keeping --------------------------------------------------------------------- */

static const struct lx_index_seal facts = {.data = {1, 2, 3},
                                           .data_size = 4,
                                           .data_change_ns = 5,
                                           .last_off = 6,
                                           .last_crc = 7,
                                           .records = 8,
                                           .bytes = 9,
                                           .expiring = 10,
                                           .agreed = 11};

enum { KEPT = 4000 };

/* Keys, a seal, and the file opened again. */
static void keep_and_open(void)
{
    for (uint64_t i = 0; i < KEPT; i++)
        (void)put(i);
    assert_int_equal(lx_index_seal(&index_, &facts), LXDB_OK);
    lx_index_close(&index_);
    assert_int_equal(lx_index_open(dup(index_fd), "index", true, &index_), LXDB_OK);
}

static void open_again_finds_all_keys(void **state)
{
    (void)state;
    keep_and_open();
    for (uint64_t i = 0; i < KEPT; i++)
        assert_at(i, 10 + i * (LX_RECORD_OVERHEAD + 8));
    assert_missing(KEPT);
}

static void open_of_what_is_no_index_leaves_the_descriptor(void **state)
{
    lx_index none = {0};
    int fd = dup(index_fd);

    (void)state;
    index_.head->magic ^= 1;
    assert_int_equal(lx_index_open(fd, "index", true, &none), LXDB_VERSION);
    index_.head->magic ^= 1;
    index_.head->signature ^= 1;
    assert_int_equal(lx_index_open(fd, "index", true, &none), LXDB_VERSION);
    index_.head->signature ^= 1;
    assert_int_equal(lx_index_open(fd, "index", false, &none), LXDB_OK);
    lx_index_close(&none); /* owned from success on */
    lx_index_close(&index_);
    fd = dup(index_fd);
    assert_int_equal(ftruncate(fd, 3 * LX_SEGMENT_SIZE - 1), 0);
    assert_int_equal(lx_index_open(fd, "index", true, &none), LXDB_CORRUPT);
    assert_int_equal(close(fd), 0);
    assert_int_equal(lx_index_open(-1, "index", true, &none), LXDB_IO);
}

static void seal_tells_what_it_was_given_until_it_is_taken_off(void **state)
{
    struct lx_index_seal seal;

    (void)state;
    assert_false(lx_index_sealed(&index_, &seal));
    keep_and_open();
    assert_true(lx_index_sealed(&index_, &seal));
    assert_memory_equal(&seal.data, &facts.data,
                        offsetof(struct lx_index_seal, checksum) -
                            offsetof(struct lx_index_seal, data));
    lx_index_unseal(&index_);
    assert_false(lx_index_sealed(&index_, &seal));
}

static void seal_with_a_split_under_way_is_none(void **state)
{
    struct lx_index_seal seal;

    (void)state;
    keep_and_open();
    for (index_.head->stage = 1; index_.head->stage < 3; index_.head->stage++)
        assert_false(lx_index_sealed(&index_, &seal));
}

/* Whether the seal breaks with each bit of a range, and holds with all of them as they were. */
static void assert_bits_matter(void *from, size_t len)
{
    uint8_t *bytes = from;
    struct lx_index_seal seal;

    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit & 7));
        assert_false(lx_index_sealed(&index_, &seal));
        bytes[bit / 8] ^= (uint8_t)(1u << (bit & 7));
    }
    assert_true(lx_index_sealed(&index_, &seal));
}

static void seal_breaks_with_any_bit_of_the_head_and_the_directory(void **state)
{
    struct lx_index_head *head;
    uint64_t word;

    (void)state;
    keep_and_open();
    head = index_.head;
    word = head->directory;
    assert_bits_matter(&head->seed, sizeof head->seed);
    assert_bits_matter((void *)&head->directory, sizeof head->directory);
    assert_bits_matter(&head->segments, sizeof head->segments);
    assert_bits_matter(&head->free_head, sizeof head->free_head);
    assert_bits_matter(&head->stage, sizeof head->stage);
    assert_bits_matter(&head->seal, sizeof head->seal);
    assert_bits_matter((void *)lx_directory_entries(&index_, word), sizeof(uint64_t) << depth());
}

static void sealed_segment_is_damaged_with_any_bit_flipped(void **state)
{
    uint64_t entry;
    struct lx_segment *segment;
    uint8_t *bytes;

    (void)state;
    keep_and_open();
    entry = lx_directory_entries(&index_, index_.head->directory)[0];
    assert_true(entry & LX_ENTRY_SEALED);
    segment = lx_index_segment(&index_, lx_entry_segment(entry));
    bytes = (uint8_t *)segment;
    for (size_t bit = 0; bit < sizeof *segment * 8; bit++) {
        size_t at = bit / 8;

        /* words that mean nothing in a segment that is in use */
        if ((at >= offsetof(struct lx_segment, reserved) &&
             at < offsetof(struct lx_segment, checksum)) ||
            (at >= offsetof(struct lx_segment, reserved_line) &&
             at < offsetof(struct lx_segment, buckets)))
            continue;
        bytes[at] ^= (uint8_t)(1u << (bit & 7));
        assert_int_equal(lx_index_verify(&index_, entry), LX_DAMAGED);
        bytes[at] ^= (uint8_t)(1u << (bit & 7));
    }
    assert_int_equal(lx_index_verify(&index_, entry), LXDB_OK);
}

static void sealed_segment_that_is_damaged_is_no_miss(void **state)
{
    lx_found found;

    (void)state;
    keep_and_open();
    segment_of(hash_of(1))->buckets[3].slots[3] ^= 1;
    assert_int_equal(find(1, &found), LX_DAMAGED);
    assert_non_null(strstr(lx_error_message(), "the checksum of a segment"));
}

static void sealed_segment_is_checked_once(void **state)
{
    lx_found found;

    (void)state;
    keep_and_open();
    assert_int_equal(find(1, &found), LXDB_OK);
    segment_of(hash_of(1))->checksum ^= 1;
    assert_int_equal(find(1, &found), LXDB_OK);
}

static void sealed_segment_in_an_index_just_made_is_damage(void **state)
{
    lx_found found;

    (void)state;
    (void)put(1);
    lx_directory_entries(&index_, index_.head->directory)[0] |= LX_ENTRY_SEALED;
    assert_int_equal(find(1, &found), LX_DAMAGED);
}

static void sealed_segment_loses_its_seal_with_the_first_change(void **state)
{
    uint64_t off;

    (void)state;
    keep_and_open();
    off = put(KEPT);
    assert_at(KEPT, off);
    for (uint64_t i = 0; i >> depth() == 0; i++) {
        uint64_t entry = lx_directory_entries(&index_, index_.head->directory)[i];
        bool same = lx_entry_segment(entry) == lx_index_segment_of(&index_, hash_of(KEPT));

        assert_true(((entry & LX_ENTRY_SEALED) == 0) == same);
    }
    /* and is sealed again, with the others, by the next seal */
    assert_int_equal(lx_index_seal(&index_, &facts), LXDB_OK);
    lx_index_close(&index_);
    assert_int_equal(lx_index_open(dup(index_fd), "index", true, &index_), LXDB_OK);
    assert_at(KEPT, off);
    assert_at(0, 10);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static int ignore(void *arg, uint64_t off, uint16_t tag)
{
    (void)arg;
    (void)off;
    (void)tag;
    return LXDB_OK;
}

/* Everything a reader calls, with some hashes: an answer, and no crash. How many said damage. */
static unsigned use_all(void)
{
    unsigned damaged = 0;
    uint64_t slots, used;
    lx_found found;

    for (uint64_t i = 0; i < 64; i++) {
        damaged += find(i, &found) == LX_DAMAGED;
        lx_index_prefetch_bucket(&index_, hash_of(i));
        lx_index_prefetch_record(&index_, &log_, hash_of(i));
    }
    lx_index_load(&index_, &slots, &used);
    damaged += lx_index_each(&index_, UINT64_MAX, ignore, NULL) == LX_DAMAGED;
    return damaged;
}

static void directory_word_that_is_wild_is_damage(void **state)
{
    static const uint64_t wild[] = {
        UINT64_MAX,
        UINT64_C(33) << 40 | 1,        /* too deep */
        UINT64_C(63) << 40 | 1,        /* far too deep */
        UINT64_C(200) << 40 | 1,       /* deeper than a word is wide */
        UINT64_C(32) << 40 | 1,        /* longer than the file */
        UINT64_C(20) << 40 | 1,        /* the same */
        (UINT64_C(1) << 40) - 1,       /* beyond the file */
        UINT64_C(1) << 32,             /* the same */
        UINT64_C(3) << 40 | UINT32_MAX /* the same */
    };

    (void)state;
    for (uint64_t i = 0; i < KEPT; i++)
        (void)put(i);
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        index_.head->directory = wild[i];
        assert_int_equal(use_all(), 65);
    }
}

static void directory_entries_that_are_wild_are_damage(void **state)
{
    static const uint64_t wild[] = {0, UINT32_MAX, UINT64_MAX, 1u << 20, UINT64_C(63) << 56};
    _Atomic uint64_t *entries;

    (void)state;
    for (uint64_t i = 0; i < KEPT; i++)
        (void)put(i);
    entries = lx_directory_entries(&index_, index_.head->directory);
    for (size_t n = 0; n < sizeof wild / sizeof wild[0]; n++) {
        for (uint64_t i = 0; i >> depth() == 0; i++)
            entries[i] = wild[n];
        assert_int_equal(use_all(), 65);
    }
}

static void head_read_as_directory_or_segment_does_no_harm(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < KEPT; i++)
        (void)put(i);
    index_.head->directory &= ~((UINT64_C(1) << 40) - 1);
    (void)use_all();
    index_.head->directory |= 2; /* a segment */
    (void)use_all();
    assert_true(depth() > 0);
}

static void slots_that_are_wild_do_no_harm(void **state)
{
    struct lx_segment *segment = segment_of(0);
    uint64_t seed = 7, damaged = 0;

    (void)state;
    for (uint64_t i = 0; i < 64; i++)
        (void)put(i);
    for (int n = 0; n < 200; n++) {
        for (uint64_t i = 0; i < 64; i++) {
            uint64_t hash = hash_of(i), wild = next_random(&seed) << 20 ^ next_random(&seed);

            segment->buckets[lx_hash_bucket(hash)].slots[n & 7] = lx_slot_make(
                hash, wild >> (n % 40) & LX_SLOT_OFFSET_MASK);
        }
        damaged += use_all();
    }
    assert_true(damaged > 0);
}

static void bits_flipped_anywhere_do_no_harm_to_readers(void **state)
{
    uint64_t seed = 3;
    size_t len;
    uint8_t *copy;

    (void)state;
    for (uint64_t i = 0; i < KEPT; i++)
        (void)put(i);
    len = (size_t)index_.head->segments * LX_SEGMENT_SIZE;
    copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, index_.map.base, len);
    for (int n = 0; n < 200; n++) {
        for (int i = 0; i < 30; i++) {
            /* half of them where the words are that lead elsewhere */
            uint64_t at = i & 1 ? next_random(&seed) % len
                                : LX_LINE + next_random(&seed) % (2 * LX_LINE);
            if (i % 4 == 2)
                at = LX_SEGMENT_SIZE + next_random(&seed) % 64;
            index_.map.base[at] ^= (uint8_t)(1u << (next_random(&seed) & 7));
        }
        (void)use_all();
        memcpy(index_.map.base, copy, len);
    }
    free(copy);
    assert_at(1, 10 + LX_RECORD_OVERHEAD + 8);
}

static void free_list_that_is_wild_is_damage(void **state)
{
    bool moved;

    (void)state;
    (void)put(1);
    index_.head->free_head = 1u << 30;
    assert_int_equal(lx_index_make_room(&index_, &log_, 0, LX_SEGMENT_LIMIT, &moved), LX_DAMAGED);
    index_.head->free_head = 0;
    assert_at(1, 10);
}

/* ---- Growing the file ------------------------------------------------------------------------ */

static void reach_beyond_the_mapping_is_again_and_beyond_the_file_corrupt(void **state)
{
    uint64_t end = index_.map.size;

    (void)state;
    assert_int_equal(lx_index_reach(&index_, index_.length), LXDB_OK);
    assert_int_equal(lx_index_reach(&index_, end + 1), LXDB_CORRUPT);
    assert_int_equal(ftruncate(index_fd, (off_t)end + 1), 0);
    assert_int_equal(lx_index_reach(&index_, end + 1), LX_AGAIN);
    assert_int_equal(index_.length, end);
}

static void grow_makes_the_file_longer_and_its_new_segments_zeros(void **state)
{
    uint64_t have = index_.length / LX_SEGMENT_SIZE;
    const struct lx_segment *segment;

    (void)state;
    assert_int_equal(lx_index_grow(&index_, have), LXDB_OK);
    assert_int_equal(index_.length, have * LX_SEGMENT_SIZE);
    assert_int_equal(lx_index_grow(&index_, have + 100), LXDB_OK);
    assert_true(index_.length >= (have + 100) * LX_SEGMENT_SIZE);
    segment = lx_index_segment(&index_, have + 99);
    assert_int_equal(segment->used, 0);
    assert_int_equal(segment->buckets[LX_BUCKETS - 1].slots[7], LX_SLOT_EMPTY);
}

static void grow_past_the_last_segment_number_is_no_space(void **state)
{
    (void)state;
    assert_int_equal(lx_index_grow(&index_, UINT64_C(1) << 32), LXDB_NOSPACE);
}

static void close_of_a_zeroed_or_closed_index_does_nothing(void **state)
{
    lx_index none = {0};

    (void)state;
    lx_index_close(&none);
    lx_index_close(&index_);
    assert_int_equal(index_.fd, -1);
    lx_index_close(&index_);
}

/* ---- When the system does not answer, or somebody is quicker --------------------------------- */

static struct lx_io fake;
static uint64_t fake_size;

static int fstat_fails(int fd, struct stat *ret_stat)
{
    (void)fd;
    (void)ret_stat;
    errno = EIO;
    return -1;
}

/* Another thread has found the new size first. */
static int fstat_is_overtaken(int fd, struct stat *ret_stat)
{
    int rc = lx_io_system.fstat(fd, ret_stat);

    index_.length += LX_SEGMENT_SIZE;
    return rc;
}

static int fstat_of_a_giant(int fd, struct stat *ret_stat)
{
    int rc = lx_io_system.fstat(fd, ret_stat);

    ret_stat->st_size = (off_t)fake_size;
    return rc;
}

static int fdatasync_fails(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

/* No blocks, only the size. */
static int fallocate_sparse(int fd, int mode, off_t off, off_t len)
{
    (void)mode;
    return ftruncate(fd, off + len);
}

static void fake_fstat(int (*call)(int fd, struct stat *ret_stat))
{
    fake = lx_io_system;
    fake.fstat = call;
    lx_io = &fake;
}

static void reach_without_the_size_of_the_file_fails(void **state)
{
    lx_found found;

    (void)state;
    (void)put(1);
    fake_fstat(fstat_fails);
    index_.length = LX_SEGMENT_SIZE; /* the directory is beyond it */
    assert_int_equal(find(1, &found), LXDB_IO);
    index_.length = 2 * LX_SEGMENT_SIZE; /* the segment is */
    assert_int_equal(find(1, &found), LXDB_IO);
    lx_io = &lx_io_system;
    assert_at(1, 10);
}

static void reach_that_is_overtaken_keeps_the_greater_length(void **state)
{
    uint64_t whole = index_.length;

    (void)state;
    index_.length = whole - 2 * LX_SEGMENT_SIZE;
    fake_fstat(fstat_is_overtaken);
    assert_int_equal(lx_index_reach(&index_, whole), LXDB_OK);
    assert_int_equal(index_.length, whole);
    index_.length = whole - LX_SEGMENT_SIZE;
    assert_int_equal(lx_index_reach(&index_, whole), LXDB_OK);
    assert_int_equal(index_.length, whole);
}

static void open_of_a_file_without_a_size_or_of_any_size_fails(void **state)
{
    lx_index none = {0};
    int fd = dup(index_fd);

    (void)state;
    fake_fstat(fstat_fails);
    assert_int_equal(lx_index_open(fd, "index", true, &none), LXDB_IO);
    fake_fstat(fstat_of_a_giant);
    fake_size = INT64_MAX;
    assert_int_equal(lx_index_open(fd, "index", true, &none), LXDB_NOMEM);
    assert_int_equal(close(fd), 0);
}

static void open_of_a_large_file_maps_four_times_its_size(void **state)
{
    lx_index large = {0};
    int fd = dup(index_fd);

    (void)state;
    assert_int_equal(ftruncate(index_fd, 40 << 20), 0);
    assert_int_equal(lx_index_open(fd, "index", true, &large), LXDB_OK);
    assert_true(large.map.size >= 4u * (40u << 20));
    lx_index_close(&large);
}

static void make_for_more_keys_than_memory_can_hold_is_no_memory(void **state)
{
    lx_index none = {0};

    (void)state;
    assert_int_equal(lx_index_make(-1, "private", UINT64_MAX, &none), LXDB_NOMEM);
    assert_null(none.map.base);
}

static void seal_of_a_damaged_index_is_damage_and_marks_nothing(void **state)
{
    uint64_t word, entry, segments = index_.head->segments;
    _Atomic uint64_t *entries;

    (void)state;
    for (uint64_t i = 0; i < KEPT; i++)
        (void)put(i);
    word = index_.head->directory;
    segments = index_.head->segments;
    index_.head->segments = UINT32_MAX;
    assert_int_not_equal(lx_index_seal(&index_, &facts), LXDB_OK);
    index_.head->segments = segments;
    index_.head->directory = UINT64_C(33) << 40 | 1;
    assert_int_equal(lx_index_seal(&index_, &facts), LX_DAMAGED);
    index_.head->directory = UINT64_C(20) << 40 | 1;
    assert_int_equal(lx_index_seal(&index_, &facts), LX_DAMAGED);
    index_.head->directory = word;
    entries = lx_directory_entries(&index_, word);
    entry = entries[0];
    entries[0] = entry & ~(uint64_t)UINT32_MAX;
    assert_int_equal(lx_index_seal(&index_, &facts), LX_DAMAGED);
    entries[0] = entry | UINT32_MAX;
    assert_int_equal(lx_index_seal(&index_, &facts), LX_DAMAGED);
    entries[0] = entry;
    assert_int_equal(index_.head->seal.clean, 0);
    assert_int_equal(lx_index_seal(&index_, &facts), LXDB_OK);
}

static void seal_that_is_not_synced_marks_nothing(void **state)
{
    (void)state;
    (void)put(1);
    fake = lx_io_system;
    fake.fdatasync = fdatasync_fails;
    lx_io = &fake;
    assert_int_equal(lx_index_seal(&index_, &facts), LXDB_IO);
    assert_int_equal(index_.head->seal.clean, 0);
}

static void seal_of_segments_of_several_depths_holds_for_each(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        (void)put(i);
    for (int i = 0; i < 3; i++) /* three deep on one side, one on the other */
        assert_int_equal(lx_index_split(&index_, &log_, 0, LX_SEGMENT_LIMIT), LXDB_OK);
    assert_int_equal(lx_entry_depth(lx_directory_entries(&index_, index_.head->directory)[1]), 1);
    assert_int_equal(lx_index_seal(&index_, &facts), LXDB_OK);
    lx_index_close(&index_);
    assert_int_equal(lx_index_open(dup(index_fd), "index", true, &index_), LXDB_OK);
    for (uint64_t i = 0; i < 100; i++)
        assert_at(i, 10 + i * (LX_RECORD_OVERHEAD + 8));
}

static void sealed_entry_of_a_segment_made_later_is_damage(void **state)
{
    uint64_t later;
    lx_found found;

    (void)state;
    keep_and_open();
    later = index_.verified_segments;
    assert_int_equal(lx_index_grow(&index_, later + 1), LXDB_OK);
    for (uint64_t i = 0; i >> depth() == 0; i++)
        lx_directory_entries(&index_, index_.head->directory)[i] = LX_ENTRY_SEALED | later;
    assert_int_equal(find(1, &found), LX_DAMAGED);
}

static void sealed_segment_that_a_writer_took_meanwhile_is_no_damage(void **state)
{
    uint64_t entry;

    (void)state;
    keep_and_open();
    entry = lx_directory_entries(&index_, index_.head->directory)[0];
    segment_of(0)->buckets[3].slots[3] ^= 1;
    for (uint64_t i = 0; i >> depth() == 0; i++)
        lx_directory_entries(&index_, index_.head->directory)[i] &= ~LX_ENTRY_SEALED;
    assert_int_equal(lx_index_verify(&index_, entry), LXDB_OK);
}

static void miss_in_a_segment_without_an_empty_slot_ends(void **state)
{
    struct lx_segment *segment = segment_of(0);

    (void)state;
    for (uint32_t i = 0; i < LX_SEGMENT_SLOTS; i++)
        segment->buckets[i / LX_BUCKET_SLOTS].slots[i % LX_BUCKET_SLOTS] = LX_SLOT_MARKER;
    assert_missing(1);
}

static void insert_behind_a_wild_entry_fails(void **state)
{
    _Atomic uint64_t *entry = lx_directory_entries(&index_, 1);

    (void)state;
    atomic_store(entry, UINT32_MAX);
    assert_false(lx_index_insert(&index_, hash_of(1), 10));
    lx_index_recount(&index_, hash_of(1));
    assert_int_equal(lx_index_segment_of(&index_, hash_of(1)), 0);
    atomic_store(entry, 0);
    assert_false(lx_index_insert(&index_, hash_of(1), 10));
}

static void insert_into_a_segment_without_a_free_slot_fails(void **state)
{
    struct lx_segment *segment = segment_of(0);

    (void)state;
    for (uint32_t i = 0; i < LX_SEGMENT_SLOTS; i++)
        segment->buckets[i / LX_BUCKET_SLOTS].slots[i % LX_BUCKET_SLOTS] = 10;
    assert_false(lx_index_insert(&index_, hash_of(1), 10));
}

/* The directory goes wild between a probe and the second look that is to confirm its miss. */
static int fstat_and_break_the_directory(int fd, struct stat *ret_stat)
{
    index_.head->directory = UINT64_MAX;
    return lx_io_system.fstat(fd, ret_stat);
}

static void miss_that_cannot_be_confirmed_is_damage(void **state)
{
    uint64_t other = record_put(2);
    lx_found found;

    (void)state;
    assert_true(lx_index_insert(&index_, hash_of(1), other)); /* the same tag, another key */
    log_.length = 0; /* so that a match asks for the size */
    fake_fstat(fstat_and_break_the_directory);
    assert_int_equal(find(1, &found), LX_DAMAGED);
}

static int break_the_directory(void *arg, uint64_t off, uint16_t tag)
{
    (void)arg;
    (void)off;
    (void)tag;
    index_.head->directory = UINT64_MAX;
    return LXDB_OK;
}

static void list_whose_directory_goes_wild_meanwhile_is_damage(void **state)
{
    (void)state;
    (void)put(1);
    assert_int_equal(lx_index_each(&index_, UINT64_MAX, break_the_directory, NULL), LX_DAMAGED);
}

static void writers_in_a_wild_directory_change_nothing(void **state)
{
    uint64_t word = index_.head->directory;
    bool moved;

    (void)state;
    (void)put(1);
    index_.head->directory = UINT64_C(33) << 40 | 1;
    assert_int_equal(lx_index_segment_of(&index_, 0), 0);
    assert_int_equal(lx_index_make_room(&index_, &log_, 0, 1, &moved), LX_DAMAGED);
    index_.head->directory = UINT64_C(20) << 40 | 1;
    assert_int_equal(lx_index_segment_of(&index_, 0), 0);
    assert_int_equal(lx_index_make_room(&index_, &log_, 0, 1, &moved), LX_DAMAGED);
    index_.head->directory = word;
    assert_at(1, 10);
}

static void prefetch_goes_wherever_a_hash_leads(void **state)
{
    (void)state;
    (void)put(1);
    for (uint64_t bucket = 0; bucket < 65536; bucket++) /* tag 0: that of an empty slot */
        lx_index_prefetch_record(&index_, &log_, bucket << 32);
    assert_at(1, 10);
}

static void grow_of_a_large_file_takes_a_bounded_chunk(void **state)
{
    uint64_t have = 40000;

    (void)state;
    assert_int_equal(ftruncate(index_fd, (off_t)(have * LX_SEGMENT_SIZE)), 0);
    lx_index_close(&index_);
    assert_int_equal(lx_index_open(dup(index_fd), "index", true, &index_), LXDB_OK);
    fake = lx_io_system;
    fake.fallocate = fallocate_sparse;
    lx_io = &fake;
    assert_int_equal(lx_index_grow(&index_, have + 1), LXDB_OK);
    assert_int_equal(index_.length, (have + 4096) * LX_SEGMENT_SIZE);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(key_that_was_never_put_is_not_found),
        UNIT(key_is_found_replaced_and_removed),
        UNIT(key_whose_hash_is_that_of_another_is_told_apart),
        UNIT(slot_that_leads_to_no_record_is_damage),
        UNIT(slot_beyond_the_mapped_log_asks_for_more),
        UNIT(keys_of_one_bucket_go_on_in_the_next_ones),
        UNIT(removal_from_a_full_bucket_leaves_a_marker_that_probes_pass),
        UNIT(removal_from_a_bucket_with_room_leaves_nothing),
        UNIT(marker_is_taken_again_and_not_counted_twice),
        UNIT(recount_finds_the_counts_again),
        UNIT(keys_that_come_and_go_do_not_make_the_index_grow),
        UNIT(model_of_100000_keys_agrees),
        UNIT(directory_deeper_than_a_segment_moves_to_fresh_ones),
        UNIT(index_made_for_its_keys_needs_no_split),
        UNIT(index_that_is_filled_has_the_last_change_of_every_key),
        UNIT(index_that_outgrows_its_mapping_while_it_is_filled_is_mapped_anew),
        UNIT(room_for_more_than_a_segment_holds_moves_every_time),
        UNIT(private_index_that_is_full_is_no_space_and_keeps_its_keys),
        UNIT(reader_beside_splits_finds_what_is_there_and_misses_what_is_not),
        UNIT(list_beside_splits_has_all_that_was_there),
        UNIT(miss_in_a_segment_that_was_split_meanwhile_is_looked_up_again),
        UNIT(list_has_every_key_once_with_its_tag),
        UNIT(list_ends_below_its_limit),
        UNIT(list_passes_by_markers),
        UNIT(list_of_a_segment_that_is_reused_meanwhile_misses_nothing),
        UNIT(list_that_is_stopped_gives_the_reason),
        UNIT(open_again_finds_all_keys),
        UNIT(open_of_what_is_no_index_leaves_the_descriptor),
        UNIT(seal_tells_what_it_was_given_until_it_is_taken_off),
        UNIT(seal_with_a_split_under_way_is_none),
        UNIT(seal_breaks_with_any_bit_of_the_head_and_the_directory),
        UNIT(sealed_segment_is_damaged_with_any_bit_flipped),
        UNIT(sealed_segment_that_is_damaged_is_no_miss),
        UNIT(sealed_segment_is_checked_once),
        UNIT(sealed_segment_in_an_index_just_made_is_damage),
        UNIT(sealed_segment_loses_its_seal_with_the_first_change),
        UNIT(directory_word_that_is_wild_is_damage),
        UNIT(directory_entries_that_are_wild_are_damage),
        UNIT(head_read_as_directory_or_segment_does_no_harm),
        UNIT(slots_that_are_wild_do_no_harm),
        UNIT(bits_flipped_anywhere_do_no_harm_to_readers),
        UNIT(free_list_that_is_wild_is_damage),
        UNIT(reach_beyond_the_mapping_is_again_and_beyond_the_file_corrupt),
        UNIT(grow_makes_the_file_longer_and_its_new_segments_zeros),
        UNIT(grow_past_the_last_segment_number_is_no_space),
        UNIT(close_of_a_zeroed_or_closed_index_does_nothing),
        UNIT(reach_without_the_size_of_the_file_fails),
        UNIT(reach_that_is_overtaken_keeps_the_greater_length),
        UNIT(open_of_a_file_without_a_size_or_of_any_size_fails),
        UNIT(open_of_a_large_file_maps_four_times_its_size),
        UNIT(make_for_more_keys_than_memory_can_hold_is_no_memory),
        UNIT(seal_of_a_damaged_index_is_damage_and_marks_nothing),
        UNIT(seal_that_is_not_synced_marks_nothing),
        UNIT(seal_of_segments_of_several_depths_holds_for_each),
        UNIT(sealed_entry_of_a_segment_made_later_is_damage),
        UNIT(sealed_segment_that_a_writer_took_meanwhile_is_no_damage),
        UNIT(miss_in_a_segment_without_an_empty_slot_ends),
        UNIT(insert_behind_a_wild_entry_fails),
        UNIT(insert_into_a_segment_without_a_free_slot_fails),
        UNIT(miss_that_cannot_be_confirmed_is_damage),
        UNIT(list_whose_directory_goes_wild_meanwhile_is_damage),
        UNIT(writers_in_a_wild_directory_change_nothing),
        UNIT(prefetch_goes_wherever_a_hash_leads),
        UNIT(grow_of_a_large_file_takes_a_bounded_chunk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
