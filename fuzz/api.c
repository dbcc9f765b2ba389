/* SPDX-License-Identifier: MIT */
/*
 * The input is a script over lxdb.h. Each step is a byte: what is done (low five bits) on which
 * handle (high three: the database, two namespaces of it, and the database opened once more), and
 * behind it the bytes that say with what. Every answer is compared with a mirror.
 *
 * Keys come from a table, so that they meet: some are in each other's way as prefixes, as names of
 * namespaces, or are no keys. Values are a length and a byte that fills them.
 */
#include "fuzz/driver.h"
#include "fuzz/mirror.h"
#include "fuzz/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char fuzz_name[] = "api";

enum { STEPS = 96, KEY_LONGEST = 65535, VALUE_LONGEST = 70000, HEAD = 7, CRC = 4 };

/* Records that fill a header, a key, a value and a CRC: see docs/format.md. */
#define RECORD_SIZE(record) (HEAD + (record)->key_len + (record)->value_len + CRC)

struct api {
    struct fuzz_input input;
    lxdb *root;
    lxdb *spaces[2]; /* of `root`: "a" and "ab" */
    lxdb *other;     /* opened on its own; NULL at times */
    bool readonly;
    struct mirror mirror;
};

/* A handle that a step works on, and what stands before its keys. */
struct place {
    lxdb *db;
    const char *prefix;
    size_t prefix_len;
};

struct bytes {
    const uint8_t *data;
    size_t len;
};

static const char *const names[] = {"a", "ab"};
static uint8_t long_bytes[VALUE_LONGEST + 1];

#define EXPECT(rc, wanted)                                                                         \
    do {                                                                                           \
        int expect_rc = (rc);                                                                      \
        int expect_wanted = (wanted);                                                              \
        FUZZ_CHECK(expect_rc == expect_wanted, "%d instead of %d: %s", expect_rc, expect_wanted,   \
                   lxdb_errmsg(NULL));                                                             \
    } while (0)

/* ---- What the input says --------------------------------------------------------------------- */

static struct bytes take_key(struct api *api)
{
    static const struct {
        const char *data;
        size_t len;
    } keys[] = {
        {"k", 1},    {"kk", 2},     {"kkk", 3},    {"l", 1},      {"a", 1}, {"a\0", 2},
        {"a\0k", 3}, {"ab\0kk", 5}, {"\0z", 2},    {"a\0\0", 3},  {"", 0},  {"key 11", 6},
        {NULL, 300}, {NULL, 65530}, {NULL, 65535}, {NULL, 65536},
    };
    unsigned i = fuzz_byte(&api->input) % (sizeof keys / sizeof keys[0]);

    return (struct bytes){keys[i].data ? (const uint8_t *)keys[i].data : long_bytes, keys[i].len};
}

/* Good until the next call. */
static struct bytes take_value(struct api *api)
{
    static const size_t lengths[] = {255, 256, 505, 4096, 65536, VALUE_LONGEST};
    static uint8_t value[VALUE_LONGEST];
    uint8_t byte = fuzz_byte(&api->input);
    size_t len = byte < 250 ? byte % 50 : lengths[byte - 250];

    memset(value, byte, len);
    if (byte >= 200 && byte < 250) { /* a typed integer: of one to ten digits */
        len = (size_t)snprintf((char *)value, sizeof value, "\1%llu", 7ull * byte << byte % 30);
    }
    return (struct bytes){value, len};
}

static struct place take_place(const struct api *api, uint8_t byte)
{
    unsigned i = byte >> 5;

    if (i >= 6 && api->other != NULL)
        return (struct place){api->other, "", 0};
    if (i == 4 || i == 5)
        return (struct place){api->spaces[i - 4], names[i - 4], strlen(names[i - 4]) + 1};
    return (struct place){api->root, "", 0};
}

/* A key as it is stored; good until the next call. */
static struct bytes stored_key(const struct place *place, struct bytes key)
{
    static uint8_t stored[KEY_LONGEST + 8];

    memcpy(stored, place->prefix, place->prefix_len);
    memcpy(stored + place->prefix_len, key.data, key.len);
    return (struct bytes){stored, place->prefix_len + key.len};
}

static int key_fault(const struct place *place, struct bytes key)
{
    return key.len == 0                                ? LXDB_INVALID
           : key.len + place->prefix_len > KEY_LONGEST ? LXDB_TOOBIG
                                                       : LXDB_OK;
}

static const struct mirror_record *find(const struct api *api, const struct place *place,
                                        struct bytes key)
{
    struct bytes stored = stored_key(place, key);

    return mirror_find(&api->mirror, stored.data, stored.len);
}

static void put(struct api *api, const struct place *place, struct bytes key, struct bytes value)
{
    struct bytes stored = stored_key(place, key);

    mirror_put(&api->mirror, stored.data, stored.len, value.data, value.len);
}

/* What a change gives: `answer` is what it would give on a good key of a handle that may write. */
static int change_rc(const struct api *api, const struct place *place, struct bytes key, int answer)
{
    int fault = key_fault(place, key);

    return fault != LXDB_OK ? fault : api->readonly ? LXDB_READONLY : answer;
}

static bool same(const void *got, size_t got_len, const struct mirror_record *record)
{
    return got_len == record->value_len &&
           (got_len == 0 || memcmp(got, record->value, got_len) == 0);
}

/* ---- One key --------------------------------------------------------------------------------- */

enum put_kind { WRITE, CREATE, UPDATE };

static void step_put(struct api *api, const struct place *place, enum put_kind kind)
{
    struct bytes key = take_key(api), value = take_value(api);
    bool there = key_fault(place, key) == LXDB_OK && find(api, place, key) != NULL;
    int answer = kind == CREATE && there    ? LXDB_EXISTS
                 : kind == UPDATE && !there ? LXDB_NOTFOUND
                                            : LXDB_OK;
    int wanted = change_rc(api, place, key, answer);
    int rc = kind == WRITE    ? lxdb_write(place->db, key.data, key.len, value.data, value.len)
             : kind == CREATE ? lxdb_create(place->db, key.data, key.len, value.data, value.len)
                              : lxdb_update(place->db, key.data, key.len, value.data, value.len);

    EXPECT(rc, wanted);
    if (rc == LXDB_OK)
        put(api, place, key, value);
    fuzz_reached(rc == LXDB_OK ? "puts" : "puts refused");
}

static void step_delete(struct api *api, const struct place *place)
{
    struct bytes key = take_key(api);
    bool good = key_fault(place, key) == LXDB_OK;
    bool there = good && find(api, place, key) != NULL;
    int rc = lxdb_delete(place->db, key.data, key.len);

    EXPECT(rc, change_rc(api, place, key, there ? LXDB_OK : LXDB_NOTFOUND));
    if (rc == LXDB_OK) {
        struct bytes stored = stored_key(place, key);
        (void)mirror_delete(&api->mirror, stored.data, stored.len);
        fuzz_reached("deletes");
    }
}

static void step_read(struct api *api, const struct place *place)
{
    struct bytes key = take_key(api);
    int fault = key_fault(place, key);
    const struct mirror_record *record = fault == LXDB_OK ? find(api, place, key) : NULL;
    size_t cap = fuzz_byte(&api->input), len = 77;
    uint8_t *buffer = malloc(cap ? cap : 1);
    void *value = NULL;

    FUZZ_CHECK(buffer != NULL, "no memory");
    int missing = fault != LXDB_OK ? fault : LXDB_NOTFOUND;
    EXPECT(lxdb_exists(place->db, key.data, key.len), record != NULL ? LXDB_OK : missing);
    int rc = lxdb_read(place->db, key.data, key.len, cap ? buffer : NULL, cap, &len);
    EXPECT(rc, record == NULL ? missing : record->value_len > cap ? LXDB_TOOBIG : LXDB_OK);
    if (record != NULL) {
        FUZZ_CHECK(len == record->value_len, "read: a length of %zu", len);
        FUZZ_CHECK(memcmp(buffer, record->value, len < cap ? len : cap) == 0, "read: other bytes");
        fuzz_reached("reads");
    } else {
        FUZZ_CHECK(len == 77, "read: failed and gave a length");
    }
    EXPECT(lxdb_read_alloc(place->db, key.data, key.len, &value, &len),
           record != NULL ? LXDB_OK : missing);
    if (record != NULL)
        FUZZ_CHECK(same(value, len, record), "read_alloc: other bytes");
    lxdb_free(value);
    free(buffer);
}

static void step_cas(struct api *api, const struct place *place)
{
    struct bytes key = take_key(api);
    bool good = key_fault(place, key) == LXDB_OK;
    const struct mirror_record *record = good ? find(api, place, key) : NULL;
    struct bytes value, expected = {NULL, 0};
    uint8_t how = fuzz_byte(&api->input);
    bool right;

    if (how % 3 == 0) { /* it must not exist */
        right = record == NULL;
    } else if (how % 3 == 1 && record != NULL) { /* what is there, or a little less */
        expected = (struct bytes){record->value, record->value_len};
        if (how & 0x80 && expected.len > 0)
            expected.len--;
        right = expected.len == record->value_len;
    } else {
        expected = (struct bytes){long_bytes, how % 4};
        right = record != NULL && same(expected.data, expected.len, record);
    }
    value = take_value(api);
    int rc = lxdb_cas(place->db, key.data, key.len, expected.data, expected.len, value.data,
                      value.len);
    EXPECT(rc, change_rc(api, place, key, right ? LXDB_OK : LXDB_CONFLICT));
    if (rc == LXDB_OK) {
        put(api, place, key, value);
        fuzz_reached("compare-and-sets");
    }
}

/* Whether a value is an integer as set_int() and incr() write it: in these scripts all are. */
static bool integer_of(const struct mirror_record *record, int64_t *ret_number)
{
    char text[32];
    char *end;

    if (record->value_len < 2 || record->value_len > 21 || record->value[0] != 1)
        return false;
    memcpy(text, record->value + 1, record->value_len - 1);
    text[record->value_len - 1] = '\0';
    *ret_number = strtoll(text, &end, 10);
    return *end == '\0' && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
}

static void step_incr(struct api *api, const struct place *place)
{
    struct bytes key = take_key(api);
    bool good = key_fault(place, key) == LXDB_OK;
    const struct mirror_record *record = good ? find(api, place, key) : NULL;
    int64_t by = (int8_t)fuzz_byte(&api->input), number = 0, sum = 77;
    char text[32];

    if (by == 127 || by == -128)
        by = by > 0 ? INT64_MAX : INT64_MIN;
    int answer = record != NULL && !integer_of(record, &number)      ? LXDB_TYPE
                 : __builtin_add_overflow(number, by, &(int64_t){0}) ? LXDB_INVALID
                                                                     : LXDB_OK;
    int rc = lxdb_incr(place->db, key.data, key.len, by, &sum);
    EXPECT(rc, change_rc(api, place, key, answer));
    FUZZ_CHECK(sum == (rc == LXDB_OK ? number + by : 77), "incr: %lld", (long long)sum);
    if (rc == LXDB_OK) {
        int len = snprintf(text, sizeof text, "\1%lld", (long long)sum);
        put(api, place, key, (struct bytes){(const uint8_t *)text, (size_t)len});
        fuzz_reached("increments");
    }
}

static void step_typed(struct api *api, const struct place *place)
{
    static const char *const texts[] = {"{\"a\":1}", "[1,2", "null",
                                        " true ",    "nul",  "\"\\u0000\""};
    struct bytes key = take_key(api);
    unsigned i = fuzz_byte(&api->input) % 6;
    bool json = i != 1 && i != 4;
    char stored[32];

    int rc = lxdb_set_json(place->db, key.data, key.len, texts[i], strlen(texts[i]));
    EXPECT(rc, json ? change_rc(api, place, key, LXDB_OK) : LXDB_JSON);
    if (rc == LXDB_OK) {
        int len = snprintf(stored, sizeof stored, "\1%s", texts[i]);
        put(api, place, key, (struct bytes){(const uint8_t *)stored, (size_t)len});
    }
}

/* ---- Many keys ------------------------------------------------------------------------------- */

static void step_batch(struct api *api, const struct place *place)
{
    struct mirror before = mirror_copy(&api->mirror);
    unsigned n = fuzz_byte(&api->input) % 8, added = 0;
    bool commit = fuzz_byte(&api->input) % 8 != 0;
    size_t deleted = 77, failed_at = 77, wanted_deleted = 0, wanted_failed_at = SIZE_MAX;
    lxdb_batch *batch;

    EXPECT(lxdb_batch_begin(place->db, &batch), LXDB_OK);
    for (unsigned i = 0; i < n; i++) {
        uint8_t kind = fuzz_byte(&api->input) % 4;
        struct bytes key = take_key(api), value = take_value(api);
        int fault = key_fault(place, key);

        if (kind == 3)
            EXPECT(lxdb_batch_delete(batch, key.data, key.len), fault);
        else if (kind == 2)
            EXPECT(lxdb_batch_create(batch, key.data, key.len, value.data, value.len), fault);
        else
            EXPECT(lxdb_batch_write(batch, key.data, key.len, value.data, value.len), fault);
        if (fault != LXDB_OK)
            continue;
        if (kind == 3) {
            struct bytes stored = stored_key(place, key);
            wanted_deleted += mirror_delete(&api->mirror, stored.data, stored.len);
        } else {
            if (kind == 2 && wanted_failed_at == SIZE_MAX && find(api, place, key) != NULL)
                wanted_failed_at = added;
            put(api, place, key, value);
        }
        added++;
    }
    int rc = LXDB_CLOSED;
    if (commit) {
        rc = lxdb_batch_commit(batch, &deleted, &failed_at);
        EXPECT(rc, api->readonly                  ? LXDB_READONLY
                   : wanted_failed_at != SIZE_MAX ? LXDB_EXISTS
                                                  : LXDB_OK);
        FUZZ_CHECK(deleted == (rc == LXDB_OK ? wanted_deleted : 77), "batch: %zu deleted", deleted);
        FUZZ_CHECK(failed_at == (rc == LXDB_EXISTS ? wanted_failed_at : 77), "batch: failed at %zu",
                   failed_at);
        fuzz_reached(rc == LXDB_OK ? "batches" : "batches refused");
    } else {
        lxdb_batch_abort(batch);
    }
    if (rc == LXDB_OK) {
        mirror_clear(&before);
    } else {
        mirror_clear(&api->mirror);
        api->mirror = before;
    }
}

/* Something that changes what is there, beside an iterator or a section. */
static void disturb(struct api *api, const struct place *place)
{
    switch (fuzz_byte(&api->input) % 4) {
    case 0:
        step_put(api, place, WRITE);
        break;
    case 1:
        step_delete(api, place);
        break;
    case 2:
        EXPECT(lxdb_compact(place->db, NULL), api->readonly ? LXDB_READONLY : LXDB_OK);
        break;
    default:
        break;
    }
}

static void step_iterate(struct api *api, const struct place *place)
{
    struct mirror then = mirror_copy(&api->mirror);
    uint32_t flags = fuzz_byte(&api->input) % 4;
    bool keys_only = flags & LXDB_ITER_KEYS, reverse = flags & LXDB_ITER_REVERSE;
    struct bytes prefix = take_key(api);
    size_t whole_len = place->prefix_len + prefix.len, key_len = 77, value_len = 77;
    const void *key = NULL, *value = NULL;
    lxdb_iter *iter;

    int rc = lxdb_iter_open(place->db, prefix.len ? prefix.data : NULL, prefix.len, flags, &iter);
    EXPECT(rc, prefix.len > KEY_LONGEST ? LXDB_TOOBIG : LXDB_OK);
    for (size_t i = 0; rc == LXDB_OK && i < then.n; i++) {
        const struct mirror_record *record = &then.records[reverse ? then.n - 1 - i : i];

        if (!mirror_has_prefix(record, place->prefix, place->prefix_len) ||
            record->key_len < whole_len || record->key_len == place->prefix_len ||
            memcmp(record->key + place->prefix_len, prefix.data, prefix.len) != 0)
            continue;
        disturb(api, place);
        EXPECT(lxdb_iter_next(iter, &key, &key_len, &value, &value_len), LXDB_OK);
        FUZZ_CHECK(key_len == record->key_len - place->prefix_len &&
                       memcmp(key, record->key + place->prefix_len, key_len) == 0,
                   "iterator: another key");
        if (keys_only)
            FUZZ_CHECK(value == NULL && value_len == 0, "iterator: a value beside the key");
        else
            FUZZ_CHECK(same(value, value_len, record), "iterator: another value");
        fuzz_reached("records iterated");
    }
    if (rc == LXDB_OK) {
        key_len = 77;
        EXPECT(lxdb_iter_next(iter, &key, &key_len, NULL, NULL), LXDB_NOTFOUND);
        FUZZ_CHECK(key_len == 77, "iterator: an output at its end");
        lxdb_iter_close(iter);
    }
    mirror_clear(&then);
}

static void step_peek(struct api *api, const struct place *place)
{
    struct bytes key = take_key(api);
    int fault = key_fault(place, key);
    const struct mirror_record *record = fault == LXDB_OK ? find(api, place, key) : NULL;
    bool section = fuzz_byte(&api->input) % 8 != 0;
    const void *value = NULL;
    size_t len = 77;

    if (!section) {
        EXPECT(lxdb_peek(place->db, key.data, key.len, &value, &len),
               fault != LXDB_OK ? fault : LXDB_INVALID);
        return;
    }
    EXPECT(lxdb_read_begin(place->db), LXDB_OK);
    EXPECT(lxdb_read_begin(place->db), LXDB_OK);
    EXPECT(lxdb_peek(place->db, key.data, key.len, &value, &len), fault != LXDB_OK ? fault
                                                                  : record == NULL ? LXDB_NOTFOUND
                                                                                   : LXDB_OK);
    lxdb_read_end(place->db);
    if (record != NULL) {
        struct mirror_record held = {.value = malloc(len + 1), .value_len = record->value_len};

        FUZZ_CHECK(held.value != NULL, "no memory");
        memcpy(held.value, record->value, record->value_len);
        disturb(api, place);
        FUZZ_CHECK(same(value, len, &held), "peek: other bytes");
        free(held.value);
        fuzz_reached("peeks");
    } else {
        FUZZ_CHECK(value == NULL && len == 77, "peek: an output on failure");
    }
    lxdb_read_end(place->db);
}

static void step_peek_many(struct api *api, const struct place *place)
{
    lxdb_item items[8] = {0};
    size_t n = fuzz_byte(&api->input) % 9;
    int wanted = LXDB_OK;

    for (size_t i = 0; i < n; i++) {
        struct bytes key = take_key(api);
        items[i] = (lxdb_item){.key = key.data, .key_len = key.len, .rc = 77};
        if (wanted == LXDB_OK)
            wanted = key_fault(place, key);
    }
    EXPECT(lxdb_read_begin(place->db), LXDB_OK);
    EXPECT(lxdb_peek_many(place->db, items, n), wanted);
    for (size_t i = 0; wanted == LXDB_OK && i < n; i++) {
        const struct mirror_record *record = find(api, place,
                                                  (struct bytes){items[i].key, items[i].key_len});

        EXPECT(items[i].rc, record != NULL ? LXDB_OK : LXDB_NOTFOUND);
        if (record != NULL)
            FUZZ_CHECK(same(items[i].value, items[i].value_len, record), "peek_many: other bytes");
        fuzz_reached("items of peek_many");
    }
    lxdb_read_end(place->db);
}

/* How many keys a handle has; with `clear`, they go. */
static uint64_t count_keys(struct api *api, const struct place *place, bool clear)
{
    uint64_t n = 0;

    for (size_t i = 0; i < api->mirror.n;) {
        const struct mirror_record *record = &api->mirror.records[i];
        bool its = record->key_len > place->prefix_len &&
                   mirror_has_prefix(record, place->prefix, place->prefix_len);

        n += its;
        if (its && clear)
            (void)mirror_delete(&api->mirror, record->key, record->key_len);
        else
            i++;
    }
    return n;
}

static void step_count(struct api *api, const struct place *place)
{
    uint64_t count = 77;

    EXPECT(lxdb_count(place->db, &count), LXDB_OK);
    FUZZ_CHECK(count == count_keys(api, place, false), "count: %llu", (unsigned long long)count);
}

static void step_clear(struct api *api, const struct place *place)
{
    uint64_t deleted = 77;
    int rc = lxdb_clear(place->db, &deleted);

    EXPECT(rc, api->readonly ? LXDB_READONLY : LXDB_OK);
    uint64_t wanted = rc == LXDB_OK ? count_keys(api, place, true) : 77;
    FUZZ_CHECK(deleted == wanted, "clear: %llu", (unsigned long long)deleted);
    fuzz_reached("clears");
}

/* The name of a namespace in a stored key: 0 for a key of the root. */
static size_t name_len_of(const struct mirror_record *record)
{
    const uint8_t *nul = memchr(record->key, 0, record->key_len);
    size_t len = nul != NULL ? (size_t)(nul - record->key) : 0;

    return len + 1 < record->key_len ? len : 0;
}

static void step_namespaces(struct api *api, const struct place *place)
{
    lxdb_namespace_info *list = NULL;
    uint64_t wanted = 0, counted = 0;
    size_t n = 77;
    int rc = lxdb_namespaces(place->db, &list, &n);

    EXPECT(rc, place->prefix_len != 0 ? LXDB_INVALID : LXDB_OK);
    if (rc != LXDB_OK)
        return;
    FUZZ_CHECK((list == NULL) == (n == 0), "namespaces: a list of %zu", n);
    for (size_t i = 0; i < n; i++) {
        uint64_t its = 0;

        FUZZ_CHECK(i == 0 || strcmp(list[i - 1].name, list[i].name) < 0, "namespaces: not sorted");
        for (size_t j = 0; j < api->mirror.n; j++)
            its += name_len_of(&api->mirror.records[j]) == list[i].name_len &&
                   memcmp(api->mirror.records[j].key, list[i].name, list[i].name_len) == 0;
        FUZZ_CHECK(its == list[i].count && its > 0, "namespaces: %s has %llu", list[i].name,
                   (unsigned long long)list[i].count);
        counted += its;
    }
    for (size_t j = 0; j < api->mirror.n; j++)
        wanted += name_len_of(&api->mirror.records[j]) != 0;
    FUZZ_CHECK(counted == wanted, "namespaces: one is missing");
    if (n > 1)
        fuzz_reached("lists of namespaces");
    lxdb_free(list);
}

/* ---- Upkeep ---------------------------------------------------------------------------------- */

static int call_off(void *arg, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    ++*(unsigned *)arg;
    return 1;
}

static void step_compact(struct api *api, const struct place *place)
{
    unsigned called = 0;
    const lxdb_progress progress = {call_off, &called};
    bool off = fuzz_byte(&api->input) % 4 == 0;
    int rc = lxdb_compact(place->db, off ? &progress : NULL);

    if (off && rc == LXDB_BUSY && called > 0)
        fuzz_reached("compactions called off");
    else
        EXPECT(rc, api->readonly ? LXDB_READONLY : LXDB_OK);
    if (rc == LXDB_OK)
        fuzz_reached("compactions");
}

static void step_durability(struct api *api, const struct place *place)
{
    uint64_t before = 0, after = 0;
    lxdb_stat_info info;
    int readonly = api->readonly ? LXDB_READONLY : LXDB_OK;

    EXPECT(lxdb_position(place->db, &before), LXDB_OK);
    EXPECT(lxdb_flush(place->db), readonly);
    EXPECT(lxdb_position(place->db, &after), LXDB_OK);
    FUZZ_CHECK(before == after, "flush has moved the position");
    EXPECT(lxdb_wait_durable(place->db, after, -1), readonly);
    EXPECT(lxdb_wait_durable(place->db, after + 1, 0),
           api->readonly ? LXDB_READONLY : LXDB_INVALID);
    EXPECT(lxdb_stat(place->db, &info), LXDB_OK);
    FUZZ_CHECK(api->readonly || info.durable >= after, "flushed, and not durable");
    fuzz_reached("flushes");
}

static void step_stat(struct api *api, const struct place *place)
{
    lxdb_stat_info info;
    uint64_t live = 0;

    for (size_t i = 0; i < api->mirror.n; i++)
        live += RECORD_SIZE(&api->mirror.records[i]);
    EXPECT(lxdb_stat(place->db, &info), LXDB_OK);
    FUZZ_CHECK(info.records == api->mirror.n, "stat: %llu records",
               (unsigned long long)info.records);
    FUZZ_CHECK(info.live_bytes == live, "stat: %llu live bytes instead of %llu",
               (unsigned long long)info.live_bytes, (unsigned long long)live);
    FUZZ_CHECK(info.handles == (api->readonly        ? 0u
                                : api->other != NULL ? 2u
                                                     : 1u),
               "stat: %llu handles", (unsigned long long)info.handles);
    FUZZ_CHECK(info.recoveries == 0 && info.sync_errno == 0 && info.lock_pid == 0,
               "stat: a recovery, a failed sync or a locked lock");
    fuzz_reached("stats");
}

static void check_report(const struct api *api)
{
    lxdb_report report;

    EXPECT(lxdb_verify(scratch_path, &report, NULL), LXDB_OK);
    FUZZ_CHECK(report.records_live == api->mirror.n, "verify: %llu records",
               (unsigned long long)report.records_live);
    FUZZ_CHECK(report.bytes_damaged == 0 && report.bytes_cut == 0 && report.ranges_total == 0 &&
                   report.crashed == 0 && report.bad_watermark == 0 &&
                   report.dead_without_cause == 0,
               "verify: damage");
}

static void step_verify(struct api *api, const struct place *place)
{
    lxdb_report report;

    check_report(api);
    EXPECT(lxdb_recovery(place->db, &report), LXDB_NOTFOUND);
    fuzz_reached("verifications");
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void close_all(struct api *api)
{
    for (unsigned i = 0; i < 2; i++)
        EXPECT(lxdb_close(api->spaces[i]), LXDB_OK);
    EXPECT(lxdb_close(api->root), LXDB_OK);
    EXPECT(lxdb_close(api->other), LXDB_OK);
    api->other = NULL;
}

static void open_all(struct api *api, const lxdb_options *options)
{
    EXPECT(lxdb_open(scratch_path, options, &api->root), LXDB_OK);
    api->readonly = options != NULL && options->flags & LXDB_RDONLY;
    for (unsigned i = 0; i < 2; i++)
        EXPECT(lxdb_namespace(api->root, names[i], &api->spaces[i]), LXDB_OK);
}

static void step_reopen(struct api *api)
{
    uint8_t how = fuzz_byte(&api->input), more = fuzz_byte(&api->input);
    lxdb_options options = {
        .size = sizeof options,
        .flags = how & 31u,
        .sync = how >> 5 & 3,
        .helpers = more & 3,
        .mode = more & 4 ? 0640 : 0,
        .sync_interval_ms = more & 8 ? 60000 : 0,
        .busy_timeout_ms = more & 16 ? UINT32_MAX : 0,
    };
    bool contradiction = options.flags & LXDB_EXCL && options.flags & (LXDB_NOCREATE | LXDB_RDONLY);
    lxdb *db = NULL;

    close_all(api);
    check_report(api);
    if (contradiction || options.sync > LXDB_SYNC_FULL || options.helpers > LXDB_HELPERS_REMOVE) {
        EXPECT(lxdb_open(scratch_path, &options, &db), LXDB_INVALID);
        open_all(api, NULL);
    } else if (options.flags & LXDB_EXCL) {
        EXPECT(lxdb_open(scratch_path, &options, &db), LXDB_EXISTS);
        open_all(api, NULL);
    } else {
        open_all(api, &options);
        fuzz_reached(api->readonly ? "opened read-only" : "opened again");
    }
    FUZZ_CHECK(db == NULL, "open: failed and gave a handle");
}

/* A reader beside a writer that came later may see it up to 100 ms late: there is none. */
static void step_other(struct api *api)
{
    if (api->other != NULL) {
        EXPECT(lxdb_close(api->other), LXDB_OK);
        api->other = NULL;
    } else if (!api->readonly) {
        EXPECT(lxdb_open(scratch_path, NULL, &api->other), LXDB_OK);
        fuzz_reached("opened once more");
    }
}

static void step_namespace(struct api *api)
{
    unsigned i = fuzz_byte(&api->input) % 2;
    lxdb *ns = NULL;

    EXPECT(lxdb_close(api->spaces[i]), LXDB_OK);
    EXPECT(lxdb_namespace(api->root, names[i], &api->spaces[i]), LXDB_OK);
    EXPECT(lxdb_namespace(api->spaces[i], "c", &ns), LXDB_INVALID);
    EXPECT(lxdb_namespace(api->root, "", &ns), LXDB_INVALID);
    long_bytes[65534] = 0;
    EXPECT(lxdb_namespace(api->root, (const char *)long_bytes, &ns), LXDB_TOOBIG);
    long_bytes[65534] = long_bytes[0];
    FUZZ_CHECK(ns == NULL, "namespace: failed and gave a handle");
}

/* ---- Wrong arguments ------------------------------------------------------------------------- */

static void step_wrong_key(const struct place *place)
{
    uint8_t byte = 0;
    void *value = NULL;
    size_t len = 77;
    const size_t too_big = (size_t)UINT32_MAX + 1;

    EXPECT(lxdb_write(NULL, "k", 1, "v", 1), LXDB_INVALID);
    EXPECT(lxdb_write(place->db, NULL, 1, "v", 1), LXDB_INVALID);
    EXPECT(lxdb_write(place->db, "k", 1, NULL, 1), LXDB_INVALID);
    EXPECT(lxdb_write(place->db, "k", 1, &byte, too_big), LXDB_TOOBIG);
    EXPECT(lxdb_create(place->db, "k", SIZE_MAX, "v", 1), LXDB_TOOBIG);
    EXPECT(lxdb_update(place->db, "k", 1, &byte, SIZE_MAX), LXDB_TOOBIG);
    EXPECT(lxdb_delete(place->db, NULL, 0), LXDB_INVALID);
    EXPECT(lxdb_exists(NULL, "k", 1), LXDB_INVALID);
    EXPECT(lxdb_read(place->db, "k", 1, NULL, 1, &len), LXDB_INVALID);
    EXPECT(lxdb_read_alloc(place->db, "k", 1, NULL, &len), LXDB_INVALID);
    EXPECT(lxdb_get_bytes(place->db, "k", 1, NULL, &len), LXDB_INVALID);
    EXPECT(lxdb_set_bytes(place->db, "k", 1, NULL, 1), LXDB_INVALID);
    EXPECT(lxdb_set_bytes(place->db, "k", 1, &byte, UINT32_MAX), LXDB_TOOBIG);
    EXPECT(lxdb_set_json(place->db, "k", 1, NULL, 1), LXDB_INVALID);
    EXPECT(lxdb_set_str(place->db, "k", 1, "", too_big), LXDB_TOOBIG);
    EXPECT(lxdb_cas(place->db, "k", 1, NULL, 1, "v", 1), LXDB_INVALID);
    EXPECT(lxdb_cas(place->db, "k", 1, "", 0, NULL, 1), LXDB_INVALID);
    EXPECT(lxdb_incr(place->db, "", 0, 1, NULL), LXDB_INVALID);
    FUZZ_CHECK(value == NULL && len == 77, "a wrong call has an output");
    fuzz_reached("wrong arguments");
}

static void step_wrong_handle(const struct api *api, const struct place *place)
{
    const lxdb_options small = {.size = 4}, later = {.size = sizeof later, .flags = 1u << 31};
    lxdb *db = NULL;
    lxdb_iter *iter = NULL;
    lxdb_report report;
    const void *key;
    size_t len;
    uint64_t count = 77;

    EXPECT(lxdb_open(NULL, NULL, &db), LXDB_INVALID);
    EXPECT(lxdb_open("", NULL, &db), LXDB_INVALID);
    EXPECT(lxdb_open(scratch_path, NULL, NULL), LXDB_INVALID);
    EXPECT(lxdb_open(scratch_path, &small, &db), LXDB_INVALID);
    EXPECT(lxdb_open(scratch_path, &later, &db), LXDB_INVALID);
    EXPECT(lxdb_close(NULL), LXDB_OK);
    EXPECT(lxdb_namespace(place->db, NULL, &db), LXDB_INVALID);
    EXPECT(lxdb_namespace(api->root, "n", NULL), LXDB_INVALID);
    EXPECT(lxdb_iter_open(place->db, NULL, 1, 0, &iter), LXDB_INVALID);
    EXPECT(lxdb_iter_open(place->db, NULL, 0, 4, &iter), LXDB_INVALID);
    EXPECT(lxdb_iter_open(place->db, NULL, 0, 0, NULL), LXDB_INVALID);
    EXPECT(lxdb_iter_next(NULL, &key, &len, NULL, NULL), LXDB_INVALID);
    lxdb_iter_close(NULL);
    EXPECT(lxdb_count(place->db, NULL), LXDB_INVALID);
    EXPECT(lxdb_count(NULL, &count), LXDB_INVALID);
    EXPECT(lxdb_clear(NULL, &count), LXDB_INVALID);
    EXPECT(lxdb_peek_many(place->db, NULL, 1), LXDB_INVALID);
    EXPECT(lxdb_batch_begin(place->db, NULL), LXDB_INVALID);
    EXPECT(lxdb_batch_write(NULL, "k", 1, "v", 1), LXDB_INVALID);
    EXPECT(lxdb_batch_commit(NULL, NULL, NULL), LXDB_INVALID);
    lxdb_batch_abort(NULL);
    EXPECT(lxdb_flush(NULL), LXDB_INVALID);
    EXPECT(lxdb_position(place->db, NULL), LXDB_INVALID);
    EXPECT(lxdb_compact(NULL, NULL), LXDB_INVALID);
    EXPECT(lxdb_stat(place->db, NULL), LXDB_INVALID);
    EXPECT(lxdb_verify(NULL, &report, NULL), LXDB_INVALID);
    EXPECT(lxdb_verify(scratch_path, NULL, NULL), LXDB_INVALID);
    EXPECT(lxdb_recovery(place->db, NULL), LXDB_INVALID);
    EXPECT(lxdb_read_begin(NULL), LXDB_INVALID);
    lxdb_read_end(NULL);
    lxdb_free(NULL);
    FUZZ_CHECK(db == NULL && iter == NULL && count == 77, "a wrong call has an output");
    for (int code = LXDB_CLOSED - 1; code <= 1; code++)
        FUZZ_CHECK(lxdb_strerror(code)[0] != '\0', "no words for %d", code);
    fuzz_reached("wrong arguments");
}

/* ---- The script ------------------------------------------------------------------------------ */

static void take_step(struct api *api)
{
    uint8_t byte = fuzz_byte(&api->input);
    struct place place = take_place(api, byte);

    switch (byte & 31) {
    case 0:
    case 1:
    case 2:
        step_put(api, &place, WRITE);
        break;
    case 3:
        step_put(api, &place, CREATE);
        break;
    case 4:
        step_put(api, &place, UPDATE);
        break;
    case 5:
    case 6:
        step_delete(api, &place);
        break;
    case 7:
        step_read(api, &place);
        break;
    case 8:
        step_cas(api, &place);
        break;
    case 9:
        step_incr(api, &place);
        break;
    case 10:
        step_typed(api, &place);
        break;
    case 11:
    case 12:
        step_batch(api, &place);
        break;
    case 13:
    case 14:
        step_iterate(api, &place);
        break;
    case 15:
        step_peek(api, &place);
        break;
    case 16:
        step_peek_many(api, &place);
        break;
    case 17:
        step_count(api, &place);
        break;
    case 18:
        step_clear(api, &place);
        break;
    case 19:
        step_namespaces(api, &place);
        break;
    case 20:
        step_compact(api, &place);
        break;
    case 21:
        step_durability(api, &place);
        break;
    case 22:
        step_stat(api, &place);
        break;
    case 23:
        step_verify(api, &place);
        break;
    case 24:
        step_reopen(api);
        break;
    case 25:
        step_other(api);
        break;
    case 26:
        step_namespace(api);
        break;
    case 27:
        step_wrong_key(&place);
        break;
    case 28:
        step_wrong_handle(api, &place);
        break;
    default:
        mirror_check(&api->mirror, api->root);
        break;
    }
}

void fuzz_start(void)
{
    memset(long_bytes, 'L', sizeof long_bytes);
    scratch_make();
    scratch_make_cheap();
}

void fuzz_end(void)
{
    scratch_remove();
}

int fuzz_one(uint8_t *data, size_t len)
{
    struct api api = {.input = fuzz_input(data, len)};

    if (len == 0)
        return 1;
    scratch_clear();
    open_all(&api, NULL);
    for (unsigned i = 0; i < STEPS && api.input.left > 0; i++)
        take_step(&api);
    mirror_check(&api.mirror, api.root);
    close_all(&api);
    check_report(&api);
    open_all(&api, NULL);
    mirror_check(&api.mirror, api.root);
    close_all(&api);
    mirror_clear(&api.mirror);
    return 0;
}
