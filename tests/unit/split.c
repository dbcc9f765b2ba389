/* SPDX-License-Identifier: MIT */
/* store/split.c: a split or rewrite, whole, failed, or left by a writer that died in it. */
#include "store/index.h"
#include "store/probe.h"

#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define LOG_SIZE (32u << 20)

/* ---- A log and an index for each test, and keys that are numbers ----------------------------- */

static int log_fd = -1, index_fd = -1; /* other descriptors of the two files */
static lx_log log_;
static lx_index index_;
static uint64_t tail;
static _Atomic uint64_t dirty;
static struct lx_io fake;

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
    snprintf(dir, sizeof dir, "%s/lxdb-split-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    fd = file_make(dir, "data", &log_fd);
    if (fd < 0 || ftruncate(fd, LOG_SIZE) < 0 || lx_log_open(fd, "data", true, &log_) != LXDB_OK)
        return -1;
    log_.by_pwrite = false; /* whatever this file system asks for */
    tail = 10;
    fd = file_make(dir, "index", &index_fd);
    (void)rmdir(dir);
    if (fd < 0 || lx_index_make(fd, "index", 0, &index_) != LXDB_OK)
        return -1;
    index_.dirty = &dirty;
    dirty = LX_CLEAN;
    fake = lx_io_system;
    return 0;
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

static int find(uint64_t number, lx_found *ret_found)
{
    key k = key_of(number);

    return lx_index_find(&index_, &log_, k.bytes, sizeof k.bytes, hash_of(number), ret_found);
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

enum { STRIDE = LX_RECORD_OVERHEAD + 8 }; /* of records in the log, when each key is put once */

static _Atomic uint64_t *entries(void)
{
    return lx_directory_entries(&index_, index_.head->directory);
}

static uint32_t depth(void)
{
    return lx_directory_depth(index_.head->directory);
}

/* Keys 0..n, whose records begin at 10; every one is there and one more is not. */
static void put_up_to(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        (void)put(i);
}

static void assert_keys(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        assert_at(i, 10 + i * STRIDE);
    assert_missing(n);
}

static void assert_counts(uint64_t number)
{
    struct lx_segment *segment = lx_index_segment(&index_, number);
    uint32_t used = segment->used, live = segment->live;

    lx_segment_recount(segment);
    assert_int_equal(segment->used, used);
    assert_int_equal(segment->live, live);
}

/* ---- Whole splits ---------------------------------------------------------------------------- */

static void split_shares_the_keys_out_by_the_next_bit(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]);

    (void)state;
    put_up_to(LX_SEGMENT_LIMIT);
    assert_int_equal(depth(), 0);
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_int_equal(depth(), 1);
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t number = lx_entry_segment(entries()[i]);

        assert_true(number != old);
        assert_int_equal(lx_entry_depth(entries()[i]), 1);
        assert_counts(number);
    }
    assert_int_equal(index_.head->stage, 0);
    assert_keys(LX_SEGMENT_LIMIT);
}

static void split_leaves_the_old_segment_as_it_was_and_frees_it(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]);
    static struct lx_segment copy;

    (void)state;
    put_up_to(LX_SEGMENT_LIMIT);
    memcpy(&copy, lx_index_segment(&index_, old), sizeof copy);
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_memory_equal(lx_index_segment(&index_, old)->buckets, copy.buckets, sizeof copy.buckets);
    assert_int_equal(index_.head->free_head, old);
    assert_int_equal(lx_index_segment(&index_, old)->next_free, 0);
}

static void split_takes_freed_segments_first(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]), segments;

    (void)state;
    put_up_to(LX_SEGMENT_LIMIT);
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    segments = index_.head->segments;
    assert_int_equal(lx_index_split(&index_, &log_, 0, LX_SEGMENT_LIMIT), LXDB_OK);
    assert_int_equal(index_.head->segments, segments + 1);
    assert_true(lx_index_segment_of(&index_, 0) == old || lx_index_segment_of(&index_, 2) == old);
    assert_keys(LX_SEGMENT_LIMIT);
}

/* Free segments that nothing leads to: a list of `n`, the first of which is returned. */
static uint64_t free_list_make(uint64_t n)
{
    struct lx_index_head *head = index_.head;
    uint64_t first = head->segments;

    assert_int_equal(lx_index_grow(&index_, first + n), LXDB_OK);
    for (uint64_t i = 0; i + 1 < n; i++)
        lx_index_segment(&index_, first + i)->next_free = first + i + 1;
    head->segments += n;
    head->free_head = first;
    return first;
}

static void split_keeps_the_rest_of_the_free_list(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]), first = free_list_make(4);

    (void)state;
    put_up_to(1000);
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_int_equal(index_.head->free_head, old);
    assert_int_equal(lx_index_segment(&index_, old)->next_free, first + 2);
    assert_int_equal(lx_index_segment(&index_, first + 2)->next_free, first + 3);
    assert_keys(1000);
}

static void rewrite_drops_markers_and_keeps_the_depth(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]);
    struct lx_segment *segment;

    (void)state;
    put_up_to(LX_SEGMENT_LIMIT);
    for (uint64_t i = 100; i < LX_SEGMENT_LIMIT; i++) {
        lx_found found;

        assert_int_equal(find(i, &found), LXDB_OK);
        lx_index_remove(found.at);
    }
    segment = lx_index_segment(&index_, old);
    assert_int_equal(segment->live, 100);
    assert_true(segment->used > 100);
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_int_equal(depth(), 0);
    assert_true(lx_entry_segment(entries()[0]) != old);
    segment = lx_index_segment(&index_, lx_entry_segment(entries()[0]));
    assert_int_equal(segment->used, 100);
    assert_int_equal(segment->live, 100);
    assert_keys(100);
}

static void sequence_of_an_entry_changes_each_time_and_wraps_in_its_field(void **state)
{
    (void)state;
    (void)put(0);
    entries()[0] |= UINT64_C(0xfffffe) << 32;
    for (uint64_t seq = 0xffffff; seq < 0x1000003; seq++) {
        assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
        assert_int_equal(entries()[0] >> 32, seq & 0xffffff);
    }
    assert_keys(1);
}

static void directory_grows_in_place_while_it_fits_a_segment(void **state)
{
    (void)state;
    (void)put(0);
    for (uint32_t d = 1; d <= 11; d++) {
        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
        assert_int_equal(depth(), d);
        assert_int_equal(lx_directory_start(index_.head->directory), 1);
    }
    assert_keys(1);
}

static void directory_that_moves_leaves_the_old_one_as_it_was(void **state)
{
    static uint64_t before[1 << 11];

    (void)state;
    (void)put(0);
    for (uint32_t d = 1; d <= 11; d++)
        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
    memcpy(before, (const void *)entries(), sizeof before);
    for (uint32_t d = 12; d <= 14; d++) {
        uint64_t start = index_.head->segments;

        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
        assert_int_equal(depth(), d);
        assert_int_equal(lx_directory_start(index_.head->directory), start);
        assert_true(index_.head->segments >= start + lx_directory_segments(d));
    }
    assert_memory_equal(index_.map.base + LX_SEGMENT_SIZE, before, sizeof before);
    assert_keys(1);
}

/* ---- In the middle of it --------------------------------------------------------------------- */

/* At the first access to some segments something is done, and then it is let through. */
static struct {
    void (*act)(void);
    struct sigaction before;
    uint8_t *base;
    size_t size;
    unsigned faults;
    int rc;
    lx_found found;
} middle;

static void on_fault(int signal)
{
    (void)signal;
    middle.faults++;
    (void)mprotect(middle.base, middle.size, PROT_READ | PROT_WRITE);
    middle.act();
}

static void watch_segments(uint64_t first, uint64_t n, int allowed, void (*act)(void))
{
    struct sigaction action = {.sa_handler = on_fault};

    assert_int_equal(lx_index_grow(&index_, first + n), LXDB_OK);
    middle.act = act;
    middle.base = index_.map.base + first * LX_SEGMENT_SIZE;
    middle.size = n * LX_SEGMENT_SIZE;
    middle.faults = 0;
    assert_int_equal(mprotect(middle.base, middle.size, allowed), 0);
    assert_int_equal(sigaction(SIGSEGV, &action, &middle.before), 0);
}

static void unwatch_segments(void)
{
    assert_int_equal(sigaction(SIGSEGV, &middle.before, NULL), 0);
    assert_int_equal(middle.faults, 1);
}

static void look_in_the_middle(void)
{
    middle.rc = find(0, &middle.found);
}

static void directory_that_doubles_is_not_seen_before_it_is_filled(void **state)
{
    uint64_t start;

    (void)state;
    (void)put(0);
    for (uint32_t d = 1; d <= 11; d++)
        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
    start = index_.head->segments;
    watch_segments(start, lx_directory_segments(12), PROT_READ, look_in_the_middle);
    assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
    unwatch_segments();
    assert_int_equal(lx_directory_start(index_.head->directory), start);
    assert_int_equal(middle.rc, LXDB_OK);
    assert_int_equal(middle.found.entry.off, 10);
    assert_keys(1);
}

/* Twice, so that the old segment is taken for keys of the other half. */
static void split_in_the_middle(void)
{
    uint64_t other = hash_of(0) ^ 1;

    middle.rc = lx_index_split(&index_, &log_, hash_of(0), 1);
    if (middle.rc == LXDB_OK)
        middle.rc = lx_index_split(&index_, &log_, other, LX_SEGMENT_LIMIT);
}

static void find_in_a_segment_that_is_reused(int (*look)(uint64_t number, lx_found *ret_found))
{
    uint64_t old = lx_entry_segment(entries()[0]);
    lx_found found;

    put_up_to(LX_SEGMENT_LIMIT);
    watch_segments(old, 1, PROT_NONE, split_in_the_middle);
    assert_int_equal(look(0, &found), LXDB_OK);
    unwatch_segments();
    assert_int_equal(middle.rc, LXDB_OK);
    assert_int_equal(found.entry.off, 10);
    assert_true(lx_index_segment_of(&index_, hash_of(0) ^ 1) == old ||
                lx_index_segment_of(&index_, hash_of(0) ^ 3) == old);
}

static int find_at_once(uint64_t number, lx_found *ret_found)
{
    key k = key_of(number);
    lx_probed probed;
    int rc = lx_index_probe(&index_, &log_, k.bytes, sizeof k.bytes, hash_of(number), &probed);

    if (rc == LXDB_OK)
        ret_found->entry.off = (uint64_t)(probed.record - log_.map.base);
    return rc == LX_AGAIN ? find(number, ret_found) : rc;
}

static void miss_in_a_segment_that_is_reused_in_the_middle_is_looked_up_again(void **state)
{
    (void)state;
    find_in_a_segment_that_is_reused(find_at_once);
}

static void slow_miss_in_a_segment_that_is_reused_in_the_middle_is_looked_up_again(void **state)
{
    (void)state;
    find_in_a_segment_that_is_reused(find);
}

static uint8_t *as_left; /* the index file at the moment of a death */

static void die_in_the_middle(void)
{
    memcpy(as_left, index_.map.base, index_.length);
}

static void death_in_a_split_before_its_first_copy_is_repaired(void **state)
{
    (void)state;
    put_up_to(LX_SEGMENT_LIMIT);
    as_left = malloc(index_.length);
    assert_non_null(as_left);
    watch_segments(index_.head->segments, 2, PROT_READ, die_in_the_middle);
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    unwatch_segments();
    memcpy(index_.map.base, as_left, index_.length);
    free(as_left);
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_int_equal(depth(), 1);
    assert_keys(LX_SEGMENT_LIMIT);
}

/* ---- The word that tells of a death ---------------------------------------------------------- */

static int fallocate_fails(int fd, int mode, off_t off, off_t len)
{
    (void)fd;
    (void)mode;
    (void)off;
    (void)len;
    assert_true(dirty & LX_DIRTY_SPLIT);
    errno = ENOSPC;
    return -1;
}

static void dirty_is_what_it_was_after_a_split(void **state)
{
    (void)state;
    put_up_to(100);
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_int_equal(dirty, LX_CLEAN);
    dirty = LX_DIRTY_COMMIT;
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_int_equal(dirty, LX_DIRTY_COMMIT);
    index_.dirty = NULL;
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_keys(100);
}

static int fstat_fails(int fd, struct stat *ret_stat)
{
    (void)fd;
    (void)ret_stat;
    errno = EIO;
    return -1;
}

/* ---- Splits that fail ------------------------------------------------------------------------ */

static void split_without_space_changes_nothing_and_works_later(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]);
    uint64_t have = index_.length / LX_SEGMENT_SIZE, segments = index_.head->segments;

    (void)state;
    put_up_to(LX_SEGMENT_LIMIT);
    index_.head->segments = have; /* all are taken */
    fake.fallocate = fallocate_fails;
    lx_io = &fake;
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_NOSPACE);
    assert_int_equal(dirty, LX_CLEAN);
    assert_int_equal(index_.head->stage, 0);
    assert_int_equal(index_.head->segments, have);
    assert_int_equal(lx_entry_segment(entries()[0]), old);
    assert_keys(LX_SEGMENT_LIMIT);
    lx_io = &lx_io_system;
    index_.head->segments = segments;
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_keys(LX_SEGMENT_LIMIT);
}

static void split_that_must_read_keys_and_cannot_leaves_the_old_one_in_force(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]), first = free_list_make(3);
    uint64_t segments = index_.head->segments;
    struct lx_segment *segment = lx_index_segment(&index_, old);

    (void)state;
    put_up_to(100);
    segment->base = 5; /* homes that do not have the bit: every key is looked up */
    assert_true(lx_index_insert(&index_, UINT64_C(9) << 50, 1u << 20)); /* zeros there */
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LX_DAMAGED);
    assert_int_equal(index_.head->stage, 0);
    assert_int_equal(index_.head->segments, segments);
    assert_int_equal(index_.head->free_head, first);
    assert_int_equal(lx_entry_segment(entries()[0]), old);
    assert_int_equal(dirty, LX_CLEAN);
    assert_keys(100);
}

/* Keys that go the same way for eight splits, which the homes serve: the ninth needs a bit that
 * they do not have. */
static void split_past_the_bits_of_the_homes_shares_out_by_the_keys(void **state)
{
    uint64_t numbers[40], offs[40], number = 0;

    (void)state;
    for (size_t i = 0; i < 40; i++) {
        while ((hash_of(number) & 0xff) != 0)
            number++;
        numbers[i] = number++;
        offs[i] = put(numbers[i]);
    }
    for (uint32_t d = 1; d <= 12; d++) {
        assert_int_equal(lx_index_split(&index_, &log_, 0, LX_SEGMENT_LIMIT), LXDB_OK);
        assert_int_equal(depth(), d);
        for (size_t i = 0; i < 40; i++)
            assert_at(numbers[i], offs[i]);
    }
}

static void split_that_reads_keys_shares_them_out_too(void **state)
{
    (void)state;
    put_up_to(LX_SEGMENT_LIMIT);
    lx_index_segment(&index_, lx_entry_segment(entries()[0]))->base = 5;
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LXDB_OK);
    assert_int_equal(depth(), 1);
    assert_keys(LX_SEGMENT_LIMIT);
}

/* ---- Deaths ---------------------------------------------------------------------------------- */

/* What a writer has recorded that dies before it has copied anything: the segment of every key, of
 * which two (or one) are to be made. Directory depth 1, so that there is an entry for both. */
static void die_recorded(bool two)
{
    struct lx_index_head *head = index_.head;

    put_up_to(1000);
    if (two) {
        _Atomic uint64_t *words = entries();

        words[1] = (uint64_t)words[0];
        head->directory = UINT64_C(1) << 40 | lx_directory_start(head->directory);
    }
    head->old_segment = lx_entry_segment(entries()[0]);
    head->new_segment[0] = head->segments;
    head->new_segment[1] = two ? head->segments + 1 : 0;
    head->free_after = 0;
    head->segments_after = head->segments + (two ? 2 : 1);
    head->where = 0;
    head->depth = 0;
    head->stage = 1;
    assert_int_equal(lx_index_grow(&index_, head->segments_after), LXDB_OK);
}

static void assert_finished(bool two, uint64_t old)
{
    const struct lx_index_head *head = index_.head;

    assert_int_equal(head->stage, 0);
    assert_int_equal(head->segments, head->segments_after);
    assert_int_equal(head->free_head, old);
    assert_int_equal(lx_index_segment(&index_, old)->next_free, 0);
    assert_int_equal(lx_entry_segment(entries()[0]), head->new_segment[0]);
    if (two)
        assert_int_equal(lx_entry_segment(entries()[1]), head->new_segment[1]);
    assert_keys(1000);
}

static void death_before_the_copy_is_finished(void **state)
{
    (void)state;
    die_recorded(true);
    assert_keys(1000); /* for readers, nothing has happened */
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_finished(true, index_.head->old_segment);
}

static void death_in_a_rewrite_is_finished(void **state)
{
    (void)state;
    die_recorded(false);
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_finished(false, index_.head->old_segment);
    assert_int_equal(depth(), 0);
}

static void death_in_the_middle_of_the_copy_is_copied_again(void **state)
{
    struct lx_index_head *head = index_.head;

    (void)state;
    die_recorded(true);
    /* some of it copied, some not yet emptied from an earlier use, counts of nothing */
    for (int i = 0; i < 2; i++)
        memset(lx_index_segment(&index_, head->new_segment[i]), 0x5a, LX_SEGMENT_SIZE);
    memcpy(lx_index_segment(&index_, head->new_segment[0]),
           lx_index_segment(&index_, head->old_segment), LX_SEGMENT_SIZE / 2);
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_finished(true, head->old_segment);
}

static void death_after_each_stage_of_a_repair_is_repaired_again(void **state)
{
    struct lx_index_head *head = index_.head;
    uint64_t first, second;

    (void)state;
    die_recorded(true);
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    first = entries()[0];
    second = entries()[1];
    /* all done but for the last store: the entries are not touched again */
    head->stage = 2;
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_true(entries()[0] == first && entries()[1] == second);
    assert_finished(true, head->old_segment);
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_finished(true, head->old_segment);
}

static void death_between_two_entries_is_finished(void **state)
{
    struct lx_index_head *head = index_.head;
    uint64_t first, before;

    (void)state;
    die_recorded(true);
    before = entries()[1];
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    first = entries()[0];
    entries()[1] = before; /* not pointed yet, */
    head->free_head = 0;   /* and what comes after neither */
    head->stage = 2;
    assert_keys(1000); /* the old segment still serves its half */
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_true(entries()[0] == first);
    assert_finished(true, head->old_segment);
}

static void death_after_a_new_directory_does_not_give_its_segments_away(void **state)
{
    struct lx_index_head *head = index_.head;
    uint64_t segments;

    (void)state;
    (void)put(0);
    for (uint32_t d = 1; d <= 12; d++)
        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
    segments = lx_directory_start(head->directory) + lx_directory_segments(12);
    head->segments = lx_directory_start(head->directory); /* published, but not counted */
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_int_equal(head->segments, segments);
}

static void repair_of_what_nobody_left_changes_nothing(void **state)
{
    static struct lx_index_head before;

    (void)state;
    put_up_to(5000);
    memcpy(&before, index_.head, sizeof before);
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_memory_equal(index_.head, &before, sizeof before);
    assert_keys(5000);
}

static void repair_that_cannot_see_all_segments_asks_for_more(void **state)
{
    struct lx_index_head *head = index_.head;

    (void)state;
    die_recorded(true);
    head->new_segment[1] = index_.map.size / LX_SEGMENT_SIZE;
    head->segments_after = head->new_segment[1] + 1;
    assert_int_equal(ftruncate(index_fd, (off_t)(head->segments_after * LX_SEGMENT_SIZE)), 0);
    assert_int_equal(lx_index_repair(&index_, &log_), LX_AGAIN);
    assert_int_equal(head->stage, 1);
    assert_keys(1000);
}

static void repair_of_a_record_that_passes_the_file_is_damage(void **state)
{
    static const uint64_t wild[] = {1u << 20, UINT32_MAX, UINT64_MAX};

    (void)state;
    die_recorded(true);
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        index_.head->new_segment[1] = wild[i];
        assert_int_equal(lx_index_repair(&index_, &log_), LX_DAMAGED);
    }
    assert_keys(1000);
}

/* ---- Heads that make no sense ---------------------------------------------------------------- */

static void repair_of_a_record_that_contradicts_itself_is_damage(void **state)
{
    static struct lx_index_head good;
    struct lx_index_head *head = index_.head;
    const uint64_t wild[][2] = {
        /* a word of the head, and what is in it */
        {offsetof(struct lx_index_head, stage), 3},
        {offsetof(struct lx_index_head, depth), 2}, /* deeper than the directory */
        {offsetof(struct lx_index_head, where), 1}, /* not an index of that depth */
        {offsetof(struct lx_index_head, old_segment), 0},
        {offsetof(struct lx_index_head, old_segment), 1}, /* the directory */
        {offsetof(struct lx_index_head, new_segment[0]), 0},
        {offsetof(struct lx_index_head, new_segment[0]), 1},
        {offsetof(struct lx_index_head, new_segment[1]), 1},
        {offsetof(struct lx_index_head, directory), UINT64_C(33) << 40 | 1},
        {offsetof(struct lx_index_head, directory), UINT64_C(1) << 40 | UINT32_MAX},
    };

    (void)state;
    die_recorded(true);
    memcpy(&good, head, sizeof good);
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        memcpy((uint8_t *)head + wild[i][0], &wild[i][1], sizeof wild[i][1]);
        assert_int_equal(lx_index_repair(&index_, &log_), LX_DAMAGED);
        memcpy(head, &good, sizeof good);
    }
    assert_keys(1000);
}

static void repair_of_a_record_that_names_a_segment_twice_is_damage(void **state)
{
    uint64_t *fresh = index_.head->new_segment;
    uint64_t first, second;

    (void)state;
    die_recorded(true);
    first = fresh[0];
    second = fresh[1];
    fresh[1] = first;
    assert_int_equal(lx_index_repair(&index_, &log_), LX_DAMAGED);
    fresh[1] = index_.head->old_segment;
    assert_int_equal(lx_index_repair(&index_, &log_), LX_DAMAGED);
    fresh[1] = second;
    fresh[0] = index_.head->old_segment;
    assert_int_equal(lx_index_repair(&index_, &log_), LX_DAMAGED);
    fresh[0] = first;
    assert_keys(1000);
}

static void repair_sets_an_entry_of_the_right_segment_and_a_wrong_depth_right(void **state)
{
    (void)state;
    die_recorded(true);
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    entries()[0] ^= UINT64_C(2) << 56;
    index_.head->free_head = 0;
    index_.head->stage = 2;
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_int_equal(lx_entry_depth(entries()[0]), 1);
    assert_finished(true, index_.head->old_segment);
}

static void repair_without_the_size_of_the_file_fails_and_can_be_done_later(void **state)
{
    (void)state;
    die_recorded(true);
    index_.length = 2 * LX_SEGMENT_SIZE; /* so that it asks */
    fake.fstat = fstat_fails;
    lx_io = &fake;
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_IO);
    lx_io = &lx_io_system;
    assert_int_equal(lx_index_repair(&index_, &log_), LXDB_OK);
    assert_finished(true, index_.head->old_segment);
}

static void split_of_a_segment_with_a_home_in_no_bucket_is_damage(void **state)
{
    uint64_t old = lx_entry_segment(entries()[0]);
    struct lx_segment *segment = lx_index_segment(&index_, old);
    uint32_t slot = 0;

    (void)state;
    put_up_to(100);
    while (!lx_slot_is_record(segment->buckets[slot / LX_BUCKET_SLOTS].slots[slot % 8]))
        slot++;
    segment->homes[slot] |= 0xff; /* buckets are numbered up to 254 */
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LX_DAMAGED);
    assert_int_equal(index_.head->stage, 0);
    assert_int_equal(lx_entry_segment(entries()[0]), old);
    assert_keys(100);
}

static void split_of_a_segment_deeper_than_the_directory_is_damage(void **state)
{
    (void)state;
    put_up_to(100);
    entries()[0] |= UINT64_C(1) << 56;
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LX_DAMAGED);
    assert_int_equal(index_.head->stage, 0);
    assert_keys(100);
}

static void split_in_a_directory_that_cannot_grow_is_damage(void **state)
{
    uint64_t word = index_.head->directory;

    (void)state;
    put_up_to(100);
    entries()[0] |= (uint64_t)LX_DEPTH_MAX << 56;
    index_.head->directory = (uint64_t)LX_DEPTH_MAX << 40 | 1;
    assert_int_equal(lx_index_split(&index_, &log_, 0, LX_SEGMENT_LIMIT), LX_DAMAGED);
    index_.head->directory = word;
    entries()[0] &= ~(UINT64_C(63) << 56);
    assert_keys(100);
}

/* The directory is to move, to behind the last segment: wherever that is said to be. */
static void directory_does_not_move_to_where_no_segment_can_be(void **state)
{
    static const uint64_t wild[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 52,
                                    UINT64_C(1) << 40};
    uint64_t segments;

    (void)state;
    (void)put(0);
    for (uint32_t d = 1; d <= 11; d++)
        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
    segments = index_.head->segments;
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        index_.head->segments = wild[i];
        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LX_DAMAGED);
    }
    index_.head->segments = segments;
    assert_keys(1);
}

static void directory_without_space_to_move_stays(void **state)
{
    uint64_t word;

    (void)state;
    (void)put(0);
    for (uint32_t d = 1; d <= 11; d++)
        assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_OK);
    word = index_.head->directory;
    index_.head->segments = index_.length / LX_SEGMENT_SIZE; /* all are taken */
    fake.fallocate = fallocate_fails;
    lx_io = &fake;
    assert_int_equal(lx_index_split(&index_, &log_, hash_of(0), LX_SEGMENT_LIMIT), LXDB_NOSPACE);
    assert_true(index_.head->directory == word);
    assert_keys(1);
}

static void free_list_that_leads_to_no_free_segment_is_damage(void **state)
{
    uint64_t first = free_list_make(2);
    const uint64_t wild[] = {1,          lx_entry_segment(entries()[0]), UINT64_C(1) << 20,
                             UINT32_MAX, (UINT64_C(1) << 52) - 1,        UINT64_MAX};

    (void)state;
    put_up_to(1000);
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        index_.head->free_head = wild[i];
        assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LX_DAMAGED);
    }
    index_.head->free_head = first;
    lx_index_segment(&index_, first)->next_free = first; /* in a circle, and two are needed */
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LX_DAMAGED);
    assert_keys(1000);
}

static void free_segment_that_cannot_be_seen_asks_for_more(void **state)
{
    uint64_t beyond = index_.map.size / LX_SEGMENT_SIZE;

    (void)state;
    put_up_to(100);
    assert_int_equal(ftruncate(index_fd, (off_t)((beyond + 1) * LX_SEGMENT_SIZE)), 0);
    index_.head->free_head = beyond;
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LX_AGAIN);
    assert_int_equal(index_.head->stage, 0);
    assert_keys(100);
}

static void split_that_reads_a_key_beyond_the_mapping_asks_for_more(void **state)
{
    struct lx_segment *segment = lx_index_segment(&index_, lx_entry_segment(entries()[0]));
    uint64_t beyond = log_.map.size;

    (void)state;
    put_up_to(100);
    segment->base = 5;
    assert_int_equal(ftruncate(log_fd, (off_t)(beyond + 4096)), 0);
    assert_true(lx_index_insert(&index_, UINT64_C(9) << 50, beyond));
    assert_int_equal(lx_index_split(&index_, &log_, 0, 1), LX_AGAIN);
    assert_int_equal(index_.head->stage, 0);
    assert_keys(100);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(split_shares_the_keys_out_by_the_next_bit),
        UNIT(split_leaves_the_old_segment_as_it_was_and_frees_it),
        UNIT(split_takes_freed_segments_first),
        UNIT(split_keeps_the_rest_of_the_free_list),
        UNIT(rewrite_drops_markers_and_keeps_the_depth),
        UNIT(sequence_of_an_entry_changes_each_time_and_wraps_in_its_field),
        UNIT(directory_grows_in_place_while_it_fits_a_segment),
        UNIT(directory_that_moves_leaves_the_old_one_as_it_was),
        UNIT(directory_that_doubles_is_not_seen_before_it_is_filled),
        UNIT(miss_in_a_segment_that_is_reused_in_the_middle_is_looked_up_again),
        UNIT(slow_miss_in_a_segment_that_is_reused_in_the_middle_is_looked_up_again),
        UNIT(death_in_a_split_before_its_first_copy_is_repaired),
        UNIT(dirty_is_what_it_was_after_a_split),
        UNIT(split_without_space_changes_nothing_and_works_later),
        UNIT(split_that_must_read_keys_and_cannot_leaves_the_old_one_in_force),
        UNIT(split_that_reads_keys_shares_them_out_too),
        UNIT(split_past_the_bits_of_the_homes_shares_out_by_the_keys),
        UNIT(death_before_the_copy_is_finished),
        UNIT(death_in_a_rewrite_is_finished),
        UNIT(death_in_the_middle_of_the_copy_is_copied_again),
        UNIT(death_after_each_stage_of_a_repair_is_repaired_again),
        UNIT(death_between_two_entries_is_finished),
        UNIT(death_after_a_new_directory_does_not_give_its_segments_away),
        UNIT(repair_of_what_nobody_left_changes_nothing),
        UNIT(repair_that_cannot_see_all_segments_asks_for_more),
        UNIT(repair_of_a_record_that_passes_the_file_is_damage),
        UNIT(repair_of_a_record_that_contradicts_itself_is_damage),
        UNIT(repair_of_a_record_that_names_a_segment_twice_is_damage),
        UNIT(repair_sets_an_entry_of_the_right_segment_and_a_wrong_depth_right),
        UNIT(repair_without_the_size_of_the_file_fails_and_can_be_done_later),
        UNIT(split_of_a_segment_with_a_home_in_no_bucket_is_damage),
        UNIT(split_of_a_segment_deeper_than_the_directory_is_damage),
        UNIT(split_in_a_directory_that_cannot_grow_is_damage),
        UNIT(directory_does_not_move_to_where_no_segment_can_be),
        UNIT(directory_without_space_to_move_stays),
        UNIT(free_list_that_leads_to_no_free_segment_is_damage),
        UNIT(free_segment_that_cannot_be_seen_asks_for_more),
        UNIT(split_that_reads_a_key_beyond_the_mapping_asks_for_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
