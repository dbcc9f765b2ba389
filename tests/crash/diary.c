/* SPDX-License-Identifier: MIT */
/* The ledger of one writer among many: see diary.h. */
#include "tests/crash/diary.h"

#include "format/header.h"
#include "format/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 32u
#define SAMPLE 32u /* new keys looked at in a check that does not look at all */
#define COMMON "common"
#define COMMON_LEN (sizeof(COMMON) - 1)

/* ---- Keys, states ---------------------------------------------------------------------------- */

struct key {
    char text[KEY_MAX];
    size_t len;
};

static struct key key_of(const diary *book, const char *kind, uint64_t number)
{
    struct key key;

    key.len = (size_t)snprintf(key.text, sizeof(key.text), "%u/%s/%llu", book->owner, kind,
                               (unsigned long long)number);
    return key;
}

static bool is_live(uint64_t state)
{
    return state != 0 && (state & 1) == 0;
}

/* Whether a key where `seen` was found (0: nothing) is in a state. */
static bool is_in(uint64_t seen, uint64_t state)
{
    return is_live(state) ? seen == state : seen == 0;
}

/* Whether it may be found by who saw `acked` before and `begun` afterwards: in a state between. */
static bool may_be_seen(uint64_t seen, uint64_t acked, uint64_t begun)
{
    if (seen != 0)
        return seen >= acked && seen <= begun;
    return !is_live(acked) || !is_live(begun) || (begun >> 1) - (acked >> 1) > 1;
}

static uint64_t state_read(lxdb *db, const struct key *key)
{
    return harness_value_read(db, key->text, key->len) << 1;
}

/* 0 if it is not there. */
static uint64_t number_read(lxdb *db, const void *key, size_t key_len)
{
    int64_t number = 0;
    int rc = lxdb_get_int(db, key, key_len, &number);

    if (rc != LXDB_NOTFOUND)
        CHECK_OK(db, rc);
    return (uint64_t)number;
}

/* At one look, which sees a batch whole or not at all. */
static uint64_t group_read(const diary *book, lxdb *db)
{
    struct key keys[DIARY_GROUP];
    lxdb_item items[DIARY_GROUP] = {0};
    uint64_t first = 0, version;

    for (unsigned i = 0; i < DIARY_GROUP; i++) {
        keys[i] = key_of(book, "group", i);
        items[i].key = keys[i].text;
        items[i].key_len = keys[i].len;
    }
    CHECK_OK(db, lxdb_read_begin(db));
    CHECK_OK(db, lxdb_peek_many(db, items, DIARY_GROUP));
    for (unsigned i = 0; i < DIARY_GROUP; i++) {
        version = 0;
        if (items[i].rc != LXDB_NOTFOUND) {
            CHECK_OK(db, items[i].rc);
            version = harness_value_check(items[i].value, items[i].value_len, keys[i].text,
                                          keys[i].len);
        }
        first = i == 0 ? version : first;
        CHECK(version == first, "batch torn: %s has version %llu, %s %llu", keys[0].text,
              (unsigned long long)first, keys[i].text, (unsigned long long)version);
    }
    lxdb_read_end(db);
    return first << 1;
}

static void begin(diary_entry *entry, uint64_t state)
{
    atomic_store(&entry->begun, state);
}

static void acknowledge(diary_entry *entry)
{
    atomic_store(&entry->acked, atomic_load(&entry->begun));
}

void diary_clear(diary *book, unsigned owner, unsigned new_most)
{
    memset(book, 0, sizeof(*book));
    book->owner = owner;
    book->new_most = new_most;
}

/* ---- Changes --------------------------------------------------------------------------------- */

/* Mostly small; some that are too large to be encoded in one piece, or make the file grow. */
static size_t value_len(harness_rng *rng)
{
    uint64_t kind = harness_below(rng, 64);

    if (kind == 0)
        return HARNESS_VALUE_MIN + harness_below(rng, 60000);
    return HARNESS_VALUE_MIN + harness_below(rng, kind < 6 ? 8000 : 300);
}

/* What has to be refused, and changes nothing. */
static void refused_change(lxdb *db, const struct key *key, bool live)
{
    if (live) {
        CHECK_RC(db, LXDB_EXISTS, lxdb_create(db, key->text, key->len, "x", 1));
    } else {
        CHECK_RC(db, LXDB_NOTFOUND, lxdb_update(db, key->text, key->len, "x", 1));
        CHECK_RC(db, LXDB_NOTFOUND, lxdb_delete(db, key->text, key->len));
    }
}

static int put(lxdb *db, const struct key *key, uint64_t version, bool live, harness_rng *rng)
{
    static unsigned char value[HARNESS_VALUE_MIN + 60000];
    size_t len = value_len(rng);

    harness_value_fill(value, len, key->text, key->len, version);
    if (harness_below(rng, 2) == 0)
        return lxdb_write(db, key->text, key->len, value, len);
    return live ? lxdb_update(db, key->text, key->len, value, len)
                : lxdb_create(db, key->text, key->len, value, len);
}

static void change_key(diary *book, lxdb *db, harness_rng *rng)
{
    unsigned i = (unsigned)harness_below(rng, DIARY_KEYS);
    diary_entry *entry = &book->keys[i];
    struct key key = key_of(book, "key", i);
    uint64_t acked = atomic_load(&entry->acked);
    uint64_t version = (acked >> 1) + 1;
    bool deletes = is_live(acked) && harness_below(rng, 4) == 0;

    if (harness_below(rng, 8) == 0)
        refused_change(db, &key, is_live(acked));
    begin(entry, version << 1 | deletes);
    if (deletes)
        CHECK_OK(db, lxdb_delete(db, key.text, key.len));
    else
        CHECK_OK(db, put(db, &key, version, is_live(acked), rng));
    acknowledge(entry);
}

static void batch_put(lxdb *db, lxdb_batch *batch, const struct key *key, uint64_t version,
                      bool creates, harness_rng *rng)
{
    unsigned char value[100];
    size_t len = HARNESS_VALUE_MIN + harness_below(rng, sizeof(value) - HARNESS_VALUE_MIN);

    harness_value_fill(value, len, key->text, key->len, version);
    if (creates)
        CHECK_OK(db, lxdb_batch_create(batch, key->text, key->len, value, len));
    else
        CHECK_OK(db, lxdb_batch_write(batch, key->text, key->len, value, len));
}

static void change_group(diary *book, lxdb *db, harness_rng *rng)
{
    uint64_t version = (atomic_load(&book->group.acked) >> 1) + 1;
    bool deletes = harness_below(rng, 8) == 0;
    lxdb_batch *batch = NULL;

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (unsigned i = 0; i < DIARY_GROUP; i++) {
        struct key key = key_of(book, "group", i);

        if (deletes)
            CHECK_OK(db, lxdb_batch_delete(batch, key.text, key.len));
        else
            batch_put(db, batch, &key, version, false, rng);
    }
    begin(&book->group, version << 1 | deletes);
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
    acknowledge(&book->group);
}

static void create_many(diary *book, lxdb *db, harness_rng *rng)
{
    uint64_t from = atomic_load(&book->created.acked);
    lxdb_batch *batch = NULL;

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (uint64_t i = from; i < from + DIARY_RUN; i++) {
        struct key key = key_of(book, "new", i);

        batch_put(db, batch, &key, 1, true, rng);
    }
    begin(&book->created, from + DIARY_RUN);
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
    acknowledge(&book->created);
}

static void create_one(diary *book, lxdb *db)
{
    uint64_t number = atomic_load(&book->created.acked);
    struct key key = key_of(book, "new", number);
    unsigned char value[40];

    harness_value_fill(value, sizeof(value), key.text, key.len, 1);
    begin(&book->created, number + 1);
    CHECK_OK(db, lxdb_create(db, key.text, key.len, value, sizeof(value)));
    acknowledge(&book->created);
}

static void count_own(diary *book, lxdb *db)
{
    uint64_t number = atomic_load(&book->counter.acked) + 1;
    struct key key = key_of(book, "counter", 0);
    int64_t sum = 0;

    begin(&book->counter, number);
    CHECK_OK(db, lxdb_incr(db, key.text, key.len, 1, &sum));
    CHECK((uint64_t)sum == number, "the counter of %u is %lld after %llu additions", book->owner,
          (long long)sum, (unsigned long long)number);
    acknowledge(&book->counter);
}

static void count_common(diary *book, lxdb *db)
{
    begin(&book->common, atomic_load(&book->common.acked) + 1);
    CHECK_OK(db, lxdb_incr(db, COMMON, COMMON_LEN, 1, NULL));
    acknowledge(&book->common);
}

void diary_change(diary *book, lxdb *db, harness_rng *rng)
{
    uint64_t left = book->new_most - atomic_load(&book->created.acked);
    uint64_t kind = harness_below(rng, 16);

    if (kind < 2)
        count_own(book, db);
    else if (kind < 4)
        count_common(book, db);
    else if (kind < 6 && left > 0)
        create_one(book, db);
    else if (kind < 8 && left >= DIARY_RUN)
        create_many(book, db, rng);
    else if (kind < 11)
        change_group(book, db, rng);
    else
        change_key(book, db, rng);
}

/* ---- Looking on ------------------------------------------------------------------------------ */

static void look_at_key(const diary *book, lxdb *db, harness_rng *rng)
{
    unsigned i = (unsigned)harness_below(rng, DIARY_KEYS);
    const diary_entry *entry = &book->keys[i];
    struct key key = key_of(book, "key", i);
    uint64_t acked = atomic_load(&entry->acked);
    uint64_t seen = state_read(db, &key);
    uint64_t begun = atomic_load(&entry->begun);

    CHECK(may_be_seen(seen, acked, begun), "%s: read state %llu; acknowledged %llu, begun %llu",
          key.text, (unsigned long long)seen, (unsigned long long)acked, (unsigned long long)begun);
}

static void look_at_new(const diary *book, lxdb *db, harness_rng *rng)
{
    uint64_t acked = atomic_load(&book->created.acked);
    uint64_t number = harness_below(rng, acked + DIARY_RUN);
    struct key key = key_of(book, "new", number);
    bool there = state_read(db, &key) != 0;
    uint64_t begun = atomic_load(&book->created.begun);

    CHECK(number >= acked || there, "%s is not there", key.text);
    CHECK(number < begun || !there, "%s is there before its time", key.text);
}

static void look_at_counter(const diary *book, lxdb *db)
{
    struct key key = key_of(book, "counter", 0);
    uint64_t acked = atomic_load(&book->counter.acked);
    uint64_t seen = number_read(db, key.text, key.len);
    uint64_t begun = atomic_load(&book->counter.begun);

    CHECK(seen >= acked && seen <= begun, "%s is %llu; acknowledged %llu, begun %llu", key.text,
          (unsigned long long)seen, (unsigned long long)acked, (unsigned long long)begun);
}

static void judge_group(const diary *book, uint64_t acked, uint64_t seen)
{
    uint64_t begun = atomic_load(&book->group.begun);

    CHECK(may_be_seen(seen, acked, begun),
          "group of %u: read state %llu; acknowledged %llu, begun %llu", book->owner,
          (unsigned long long)seen, (unsigned long long)acked, (unsigned long long)begun);
}

static void look_at_group(const diary *book, lxdb *db)
{
    uint64_t acked = atomic_load(&book->group.acked);

    judge_group(book, acked, group_read(book, db));
}

/* The state of one instant: whole groups. */
static void look_through(const diary *book, lxdb *db)
{
    uint64_t acked = atomic_load(&book->group.acked);
    uint64_t first = 0, version;
    const void *key, *value;
    size_t key_len, len;
    lxdb_iter *iter;
    unsigned n = 0;
    char prefix[KEY_MAX];
    int used = snprintf(prefix, sizeof(prefix), "%u/group/", book->owner);
    int rc;

    CHECK_OK(db, lxdb_iter_open(db, prefix, (size_t)used, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &len)) == LXDB_OK) {
        version = harness_value_check(value, len, key, key_len);
        first = n++ == 0 ? version : first;
        CHECK(version == first, "an iteration shows a batch torn: versions %llu and %llu",
              (unsigned long long)first, (unsigned long long)version);
    }
    CHECK_RC(db, LXDB_NOTFOUND, rc);
    lxdb_iter_close(iter);
    CHECK(n == 0 || n == DIARY_GROUP, "an iteration shows %u of %u keys of a batch", n,
          DIARY_GROUP);
    judge_group(book, acked, first << 1);
}

void diary_look(const diary *book, lxdb *db, harness_rng *rng, bool free)
{
    uint64_t kind = harness_below(rng, 64);

    if (kind == 0)
        look_through(book, db);
    else if (kind < 8)
        look_at_counter(book, db);
    else if (kind < 16)
        look_at_new(book, db, rng);
    else if (kind < 24 && !free)
        look_at_group(book, db);
    else
        look_at_key(book, db, rng);
}

/* ---- Checking -------------------------------------------------------------------------------- */

/* What was found of a diary whose owner does not write. */
struct found {
    uint64_t keys[DIARY_KEYS];
    uint64_t group;
    uint64_t created;
    uint64_t counter;
};

static void check_entry(const diary_entry *entry, uint64_t seen, const char *what, unsigned owner)
{
    uint64_t acked = atomic_load(&entry->acked), begun = atomic_load(&entry->begun);

    CHECK(is_in(seen, acked) || is_in(seen, begun),
          "%s of %u: found state %llu, acknowledged %llu, begun %llu", what, owner,
          (unsigned long long)seen, (unsigned long long)acked, (unsigned long long)begun);
}

/* How many new keys there are: as many as acknowledged, or as begun. */
static uint64_t check_new(const diary *book, lxdb *db, harness_rng *rng, bool all)
{
    uint64_t acked = atomic_load(&book->created.acked);
    uint64_t begun = atomic_load(&book->created.begun);
    uint64_t looks = all || acked < SAMPLE ? acked : SAMPLE;
    uint64_t more = 0;

    for (uint64_t i = 0; i < looks; i++) {
        struct key key = key_of(book, "new", looks == acked ? i : harness_below(rng, acked));

        CHECK(state_read(db, &key) == 2, "%s is lost", key.text);
    }
    for (uint64_t i = acked; i < begun; i++) {
        struct key key = key_of(book, "new", i);

        more += state_read(db, &key) != 0;
    }
    CHECK(more == 0 || more == begun - acked, "%llu of %llu new keys of a batch are there",
          (unsigned long long)more, (unsigned long long)(begun - acked));
    harness_count("acknowledged states verified", looks + DIARY_KEYS + DIARY_GROUP + 1);
    return acked + more;
}

static void check(const diary *book, lxdb *db, harness_rng *rng, bool all, struct found *ret_found)
{
    struct key key;

    for (unsigned i = 0; i < DIARY_KEYS; i++) {
        key = key_of(book, "key", i);
        ret_found->keys[i] = state_read(db, &key);
        check_entry(&book->keys[i], ret_found->keys[i], key.text, book->owner);
    }
    ret_found->group = group_read(book, db);
    check_entry(&book->group, ret_found->group, "group", book->owner);
    ret_found->created = check_new(book, db, rng, all);
    key = key_of(book, "counter", 0);
    ret_found->counter = number_read(db, key.text, key.len);
    CHECK(ret_found->counter == atomic_load(&book->counter.acked) ||
              ret_found->counter == atomic_load(&book->counter.begun),
          "%s is %llu; acknowledged %llu", key.text, (unsigned long long)ret_found->counter,
          (unsigned long long)atomic_load(&book->counter.acked));
}

void diary_check(const diary *book, lxdb *db, harness_rng *rng, bool all)
{
    struct found found;

    check(book, db, rng, all, &found);
}

/* What took effect counts from now on: it may not vanish later. */
static void settle(diary_entry *entry, bool is_made)
{
    if (atomic_load(&entry->begun) == atomic_load(&entry->acked))
        return;
    harness_count(is_made ? "changes in doubt that took effect" : "changes in doubt that did not",
                  1);
    if (is_made)
        acknowledge(entry);
    else
        begin(entry, atomic_load(&entry->acked));
}

static void settle_state(diary_entry *entry, uint64_t before, uint64_t seen)
{
    uint64_t acked = atomic_load(&entry->acked);

    CHECK(is_in(before, acked) || before == seen,
          "state %llu was there before the repair, and %llu is after it",
          (unsigned long long)before, (unsigned long long)seen);
    settle(entry, !is_in(seen, acked));
}

void diary_settle(diary *book, lxdb *db, harness_rng *rng)
{
    struct found before, now;

    check(book, db, rng, false, &before);
    /* takes the writer lock, ready to append, and then has nothing to do */
    CHECK_RC(db, LXDB_CONFLICT, lxdb_cas(db, "no such key", 11, "x", 1, "y", 1));
    check(book, db, rng, false, &now);
    for (unsigned i = 0; i < DIARY_KEYS; i++)
        settle_state(&book->keys[i], before.keys[i], now.keys[i]);
    settle_state(&book->group, before.group, now.group);
    CHECK(before.created <= now.created && before.counter <= now.counter,
          "the repair took something away");
    settle(&book->created, now.created != atomic_load(&book->created.acked));
    settle(&book->counter, now.counter != atomic_load(&book->counter.acked));
    if (atomic_load(&book->common.begun) != atomic_load(&book->common.acked)) {
        begin(&book->common, atomic_load(&book->common.acked));
        (void)atomic_fetch_add(&book->common_doubt, 1);
    }
}

static uint64_t live_keys(const diary *book)
{
    uint64_t n = atomic_load(&book->created.acked) + (atomic_load(&book->counter.acked) != 0);

    for (unsigned i = 0; i < DIARY_KEYS; i++)
        n += is_live(atomic_load(&book->keys[i].acked));
    return n + (is_live(atomic_load(&book->group.acked)) ? DIARY_GROUP : 0);
}

/* Each addition that was acknowledged, and at most those in doubt. */
static void check_common(diary *diaries, size_t n, uint64_t seen)
{
    uint64_t acked = 0, doubt = 0;

    for (size_t i = 0; i < n; i++) {
        acked += atomic_load(&diaries[i].common.acked);
        doubt += atomic_exchange(&diaries[i].common_doubt, 0);
    }
    CHECK(seen >= acked && seen <= acked + doubt,
          "the counter of all is %llu; acknowledged are %llu additions, in doubt %llu",
          (unsigned long long)seen, (unsigned long long)acked, (unsigned long long)doubt);
    begin(&diaries[0].common, atomic_load(&diaries[0].common.acked) + seen - acked);
    acknowledge(&diaries[0].common);
}

static uint64_t iterated(lxdb *db)
{
    const void *key, *value;
    size_t key_len, len;
    lxdb_iter *iter;
    uint64_t n = 0;
    int rc;

    CHECK_OK(db, lxdb_iter_open(db, NULL, 0, 0, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &len)) == LXDB_OK)
        n++;
    CHECK_RC(db, LXDB_NOTFOUND, rc);
    lxdb_iter_close(iter);
    return n;
}

uint64_t diary_check_all(diary *diaries, size_t n, lxdb *db, harness_rng *rng)
{
    uint64_t common = number_read(db, COMMON, COMMON_LEN);
    uint64_t expected = common != 0, count = 0, walked = iterated(db);
    lxdb_stat_info info;

    for (size_t i = 0; i < n; i++) {
        diary_check(&diaries[i], db, rng, true);
        expected += live_keys(&diaries[i]);
    }
    check_common(diaries, n, common);
    CHECK_OK(db, lxdb_count(db, &count));
    CHECK_OK(db, lxdb_stat(db, &info));
    CHECK(count == expected && info.records == expected && walked == expected,
          "%llu keys are there; %llu are counted, %llu in the figures, %llu in an iteration",
          (unsigned long long)expected, (unsigned long long)count, (unsigned long long)info.records,
          (unsigned long long)walked);
    return count;
}

void diary_check_closed(const char *path, uint64_t records)
{
    uint64_t live = 0;
    lx_record record;
    void *file;
    size_t len;

    harness_check_closed(path, records);
    CHECK(harness_file_read(path, &file, &len), "%s is gone", path);
    for (uint64_t at = LX_HEADER_SIZE; at < len; at += record.len) {
        CHECK(lx_record_parse(file, len, at, &record) && lx_record_check(file, &record),
              "no record at offset %llu of %s", (unsigned long long)at, path);
        live += record.status;
    }
    CHECK(live == records, "%llu records live by their status byte, %llu keys are there",
          (unsigned long long)live, (unsigned long long)records);
    free(file);
}
