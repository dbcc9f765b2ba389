/* SPDX-License-Identifier: MIT */
/* The ledger of a crash test: see ledger.h. */
#include "tests/crash/ledger.h"

#include "base/byteorder.h"
#include "base/crc.h"
#include "format/record.h"
#include "tests/concurrency/harness.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_MAX (100u * 1024u + 64u)

/* ---- Keys and values ------------------------------------------------------------------------- */

void ledger_clear(ledger *book)
{
    memset(book->versions, 0, book->highest * sizeof(book->versions[0]));
    book->highest = 0;
    book->last = 0;
    book->unordered = false;
    for (int role = 0; role < LEDGER_ROLES; role++)
        book->doubts[role].n = 0;
}

uint32_t ledger_next(ledger *book)
{
    return ++book->last;
}

void ledger_key(uint32_t key, char ret_text[LEDGER_KEY_LEN + 1])
{
    memcpy(ret_text, "key-", 4);
    for (size_t i = LEDGER_KEY_LEN; i > 4; i--, key /= 10u)
        ret_text[i - 1] = (char)('0' + key % 10u);
    ret_text[LEDGER_KEY_LEN] = '\0';
}

size_t ledger_value_len(uint32_t key, uint32_t version)
{
    if (version & LEDGER_LARGE)
        return 100u * 1024u + version % 64u;
    /* often as long as the version before, so that an update may be of equal size */
    return HARNESS_VALUE_MIN + (key * 5u + version / 8u * 3u) % 24u;
}

void ledger_value(uint32_t key, uint32_t version, void *ret_value)
{
    char text[LEDGER_KEY_LEN + 1];

    ledger_key(key, text);
    harness_value_fill(ret_value, ledger_value_len(key, version), text, LEDGER_KEY_LEN, version);
}

/* ---- Changes --------------------------------------------------------------------------------- */

static void doubt(ledger *book, int role, uint32_t key, uint32_t version)
{
    struct ledger_doubt *in = &book->doubts[role];

    in->changes[in->n] = (struct ledger_change){key, version};
    if (key >= book->highest)
        book->highest = key + 1;
    in->n++;
}

static void acknowledge(ledger *book, int role)
{
    struct ledger_doubt *in = &book->doubts[role];

    for (uint32_t i = 0; i < in->n; i++)
        book->versions[in->changes[i].key] = in->changes[i].version;
    in->n = 0;
}

void ledger_withdraw(ledger *book, int role)
{
    book->doubts[role].n = 0;
}

static int put_value(lxdb *db, uint32_t key, uint32_t version)
{
    static _Thread_local char value[VALUE_MAX];
    char text[LEDGER_KEY_LEN + 1];

    ledger_key(key, text);
    ledger_value(key, version, value);
    return lxdb_write(db, text, LEDGER_KEY_LEN, value, ledger_value_len(key, version));
}

int ledger_try_put(ledger *book, int role, lxdb *db, uint32_t key, uint32_t size_bit)
{
    uint32_t version = ledger_next(book) | size_bit;
    int rc;

    doubt(book, role, key, version);
    rc = put_value(db, key, version);
    if (rc == LXDB_OK)
        acknowledge(book, role);
    return rc;
}

int ledger_try_remove(ledger *book, int role, lxdb *db, uint32_t key)
{
    char text[LEDGER_KEY_LEN + 1];
    int rc;

    ledger_key(key, text);
    doubt(book, role, key, LEDGER_DEAD);
    rc = lxdb_delete(db, text, LEDGER_KEY_LEN);
    if (rc == LXDB_OK)
        acknowledge(book, role);
    return rc;
}

static int batch_fill(lxdb_batch *batch, const struct ledger_doubt *in)
{
    static _Thread_local char value[VALUE_MAX];
    char text[LEDGER_KEY_LEN + 1];
    int rc = LXDB_OK;

    for (uint32_t i = 0; i < in->n && rc == LXDB_OK; i++) {
        const struct ledger_change *change = &in->changes[i];

        ledger_key(change->key, text);
        if (change->version == LEDGER_DEAD) {
            rc = lxdb_batch_delete(batch, text, LEDGER_KEY_LEN);
            continue;
        }
        ledger_value(change->key, change->version, value);
        rc = lxdb_batch_write(batch, text, LEDGER_KEY_LEN, value,
                              ledger_value_len(change->key, change->version));
    }
    return rc;
}

int ledger_try_batch(ledger *book, int role, lxdb *db, const struct ledger_change *changes,
                     size_t n)
{
    lxdb_batch *batch;
    int rc = lxdb_batch_begin(db, &batch);

    if (rc != LXDB_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        uint32_t version = changes[i].version;

        if (version != LEDGER_DEAD)
            version = ledger_next(book) | (version & LEDGER_LARGE);
        doubt(book, role, changes[i].key, version);
    }
    rc = batch_fill(batch, &book->doubts[role]);
    if (rc != LXDB_OK) {
        lxdb_batch_abort(batch);
        return rc;
    }
    rc = lxdb_batch_commit(batch, NULL, NULL);
    if (rc == LXDB_OK)
        acknowledge(book, role);
    return rc;
}

int ledger_try_remove_all(ledger *book, int role, lxdb *db)
{
    int rc;

    for (uint32_t key = 0; key < book->highest; key++)
        if (book->versions[key] != LEDGER_DEAD)
            doubt(book, role, key, LEDGER_DEAD);
    rc = lxdb_clear(db, NULL);
    if (rc == LXDB_OK)
        acknowledge(book, role);
    return rc;
}

void ledger_put(ledger *book, int role, lxdb *db, uint32_t key, uint32_t size_bit)
{
    CHECK_OK(db, ledger_try_put(book, role, db, key, size_bit));
}

void ledger_remove(ledger *book, int role, lxdb *db, uint32_t key)
{
    CHECK_OK(db, ledger_try_remove(book, role, db, key));
}

void ledger_batch(ledger *book, int role, lxdb *db, const struct ledger_change *changes, size_t n)
{
    CHECK_OK(db, ledger_try_batch(book, role, db, changes, n));
}

void ledger_remove_all(ledger *book, int role, lxdb *db)
{
    CHECK_OK(db, ledger_try_remove_all(book, role, db));
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The number in a key of ours. */
static uint32_t key_number(const ledger *book, const void *key, size_t key_len)
{
    char text[LEDGER_KEY_LEN + 1] = "";
    char again[LEDGER_KEY_LEN + 1];
    unsigned long number;

    CHECK(key_len == LEDGER_KEY_LEN, "a key of %zu bytes that nobody wrote", key_len);
    memcpy(text, key, LEDGER_KEY_LEN);
    number = strtoul(text + 4, NULL, 10);
    ledger_key((uint32_t)number, again);
    CHECK(memcmp(text, again, LEDGER_KEY_LEN) == 0 && number < LEDGER_KEYS &&
              (book == NULL || number < book->highest),
          "a key %s that nobody wrote", text);
    return (uint32_t)number;
}

static void state_clear(const ledger *book, ledger_state *state)
{
    memset(state->versions, 0, book->highest * sizeof(state->versions[0]));
    state->records = state->bytes = 0;
}

static void state_note(ledger_state *state, uint32_t key, const void *key_bytes, const void *value,
                       size_t value_len)
{
    uint32_t version = (uint32_t)harness_value_check(value, value_len, key_bytes, LEDGER_KEY_LEN);

    CHECK(value_len == ledger_value_len(key, version), "version %u of key %u has %zu bytes",
          version, key, value_len);
    state->versions[key] = version;
    state->records++;
    state->bytes += lx_record_size(LEDGER_KEY_LEN, value_len);
}

int ledger_read_iterating(const ledger *book, lxdb *db, ledger_state *ret_state)
{
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;
    uint32_t before = 0;
    int rc = lxdb_iter_open(db, NULL, 0, 0, &iter);

    if (rc != LXDB_OK)
        return rc;
    state_clear(book, ret_state);
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK) {
        uint32_t number = key_number(book, key, key_len);
        uint32_t order;

        CHECK(ret_state->versions[number] == LEDGER_DEAD, "key %u comes twice", number);
        state_note(ret_state, number, key, value, value_len);
        order = ret_state->versions[number] & ~LEDGER_LARGE;
        CHECK(book->unordered || order > before, "version %u comes behind %u", order, before);
        before = order;
    }
    lxdb_iter_close(iter);
    return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
}

int ledger_read_getting(const ledger *book, lxdb *db, ledger_state *ret_state)
{
    static _Thread_local char value[VALUE_MAX];
    char text[LEDGER_KEY_LEN + 1];

    state_clear(book, ret_state);
    for (uint32_t key = 0; key < book->highest; key++) {
        size_t len = 0;
        int rc;

        ledger_key(key, text);
        rc = lxdb_read(db, text, LEDGER_KEY_LEN, value, sizeof(value), &len);
        if (rc == LXDB_OK)
            state_note(ret_state, key, text, value, len);
        else if (rc != LXDB_NOTFOUND)
            return rc;
    }
    return LXDB_OK;
}

/* The live records of a closed file, and the bytes of the dead ones. */
static void read_closed(const char *path, ledger_state *ret_state, uint64_t *ret_dead_bytes)
{
    static const uint8_t closed[10] = {'L', 'X', 'D', 'B', 0, 1, 0, 0, 0, 0};
    uint64_t records = 0, bytes = 0, dead = 0;
    const uint8_t *data;
    void *file;
    size_t len, at = sizeof(closed);

    CHECK(harness_file_read(path, &file, &len), "%s is gone", path);
    data = file;
    CHECK(len >= sizeof(closed) && memcmp(data, closed, sizeof(closed)) == 0,
          "%s has not the header of a closed file", path);
    memset(ret_state, 0, sizeof(*ret_state));
    while (at < len) {
        uint32_t number, old;
        size_t key_len, value_len, size;
        uint8_t born = 1;
        uint32_t crc;

        CHECK(len - at >= LX_RECORD_OVERHEAD, "%zu bytes at the end are no record", len - at);
        key_len = lx_get16(data + at + 1);
        value_len = lx_get32(data + at + 3);
        size = LX_RECORD_OVERHEAD + key_len + value_len;
        CHECK(data[at] <= 1 && key_len > 0 && size <= len - at, "no record at offset %zu", at);
        for (;; born = 0) {
            crc = lx_crc32(lx_crc32(0, &born, 1), data + at + 1, size - 5);
            if (crc == lx_get32(data + at + size - 4))
                break;
            CHECK(born == 1 && data[at] == 0, "the CRC of the record at offset %zu is wrong", at);
        }
        if (data[at] == 1) {
            number = key_number(NULL, data + at + LX_RECORD_HEADER, key_len);
            old = ret_state->versions[number];
            state_note(ret_state, number, data + at + LX_RECORD_HEADER,
                       data + at + LX_RECORD_HEADER + key_len, value_len);
            records += old == LEDGER_DEAD;
            bytes += size;
            if (old != LEDGER_DEAD)
                bytes -= lx_record_size(LEDGER_KEY_LEN, ledger_value_len(number, old));
        }
        at += size;
    }
    dead = len - sizeof(closed) - bytes;
    ret_state->records = records;
    ret_state->bytes = bytes;
    *ret_dead_bytes = dead;
    free(file);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* Whether the change of a role was made: 1, 0, or -1 when its outcome looks the same. */
static int outcome(const ledger *book, const ledger_state *state, int role)
{
    const struct ledger_doubt *in = &book->doubts[role];
    int made = -1;

    for (uint32_t i = 0; i < in->n; i++) {
        uint32_t key = in->changes[i].key;
        uint32_t before = book->versions[key], after = in->changes[i].version;
        uint32_t now = state->versions[key];
        int here = now == after;

        if (before == after)
            continue;
        CHECK(now == before || now == after,
              "key %u has version %u; it was %u, and change %u of %u in doubt makes it %u", key,
              now, before, i, in->n, after);
        CHECK(made < 0 || made == here,
              "a batch of %u is there in part: change %u (key %u) is %smade", in->n, i, key,
              here ? "" : "not ");
        made = here;
    }
    return made;
}

unsigned ledger_compare(const ledger *book, const ledger_state *state)
{
    static _Thread_local bool in_doubt[LEDGER_KEYS];
    unsigned result = 0;

    memset(in_doubt, 0, book->highest);
    for (int role = 0; role < LEDGER_ROLES; role++) {
        result |= outcome(book, state, role) == 1 ? 1u << role : 0;
        for (uint32_t i = 0; i < book->doubts[role].n; i++)
            in_doubt[book->doubts[role].changes[i].key] = true;
    }
    for (uint32_t key = 0; key < book->highest; key++)
        CHECK(in_doubt[key] || state->versions[key] == book->versions[key],
              "key %u has version %u, acknowledged was %u", key, state->versions[key],
              book->versions[key]);
    return result;
}

unsigned ledger_settle(ledger *book, const ledger_state *state)
{
    unsigned made = ledger_compare(book, state);

    for (int role = 0; role < LEDGER_ROLES; role++) {
        if (made & (1u << role))
            acknowledge(book, role);
        else
            ledger_withdraw(book, role);
    }
    return made;
}

static ledger_state iterated, got;

unsigned ledger_check(ledger *book, lxdb *db, const char *when)
{
    lxdb_stat_info stat;
    uint64_t count;
    unsigned made;

    CHECK_OK(db, ledger_read_iterating(book, db, &iterated));
    CHECK_OK(db, ledger_read_getting(book, db, &got));
    CHECK(memcmp(iterated.versions, got.versions, book->highest * sizeof(uint32_t)) == 0,
          "%s: an iteration and single reads differ", when);
    made = ledger_settle(book, &iterated);
    CHECK_OK(db, lxdb_count(db, &count));
    CHECK(count == iterated.records, "%s: lxdb_count gives %llu of %llu records", when,
          (unsigned long long)count, (unsigned long long)iterated.records);
    CHECK_OK(db, lxdb_stat(db, &stat));
    CHECK(stat.records == iterated.records && stat.live_bytes == iterated.bytes,
          "%s: the counters say %llu records of %llu bytes, there are %llu of %llu", when,
          (unsigned long long)stat.records, (unsigned long long)stat.live_bytes,
          (unsigned long long)iterated.records, (unsigned long long)iterated.bytes);
    CHECK(stat.index_used >= iterated.records && stat.index_used <= stat.index_slots,
          "%s: %llu of %llu slots of the index are in use for %llu records", when,
          (unsigned long long)stat.index_used, (unsigned long long)stat.index_slots,
          (unsigned long long)iterated.records);
    CHECK(stat.lock_pid == 0, "%s: process %u holds the writer lock", when, stat.lock_pid);
    return made;
}

void ledger_check_closed(const ledger *book, const char *path, uint64_t dead_bytes)
{
    uint64_t dead;

    read_closed(path, &got, &dead);
    CHECK(memcmp(book->versions, got.versions, sizeof(got.versions)) == 0,
          "the closed file holds something else");
    CHECK(dead == dead_bytes, "the closed file has %llu dead bytes, counted were %llu",
          (unsigned long long)dead, (unsigned long long)dead_bytes);
    harness_check_closed(path, got.records);
}
