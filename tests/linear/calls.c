/* SPDX-License-Identifier: MIT */
/*
 * The calls of a client: what it asks, what it was told, and when.
 *
 * A key of the history is one record, "k/7", or, with a weight, so many: "k/7/0" and on, which only
 * batches change, all of them to one version, eight bytes. Other values describe themselves
 * (harness.h), and are of a length that follows from their version, so that whoever knows the
 * version can expect the bytes. Numbers are JSON, as lxdb_incr() wants them.
 *
 * An answer that the model has no word for (LXDB_CORRUPT, a value of another key) fails the test at
 * once.
 */
#include "tests/linear/client.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX 32u
#define VALUE_MAX 4200u
#define PEEK_MAX 64u  /* records of one key in a peek */
#define LATER_MAX 40u /* operations between the opening of an iteration and its reading */

uint64_t client_below(struct client *client, uint64_t n)
{
    return harness_below(&client->rng, n);
}

bool client_one_of(struct client *client, uint64_t n)
{
    return client_below(client, n) == 0;
}

/* ---- Keys and values ------------------------------------------------------------------------- */

static bool is_number(const struct client *client, uint32_t key)
{
    return (client->field->counters >> key & 1) != 0;
}

bool client_has_wide(const struct client *client, uint32_t key)
{
    return client->field->weights[key] > 1;
}

static size_t number_make(char *text, uint32_t number)
{
    size_t len = number >= 10 ? number_make(text, number / 10) : 0;

    text[len] = (char)('0' + number % 10);
    return len + 1;
}

static size_t key_make(char text[KEY_MAX], uint32_t key)
{
    memcpy(text, "k/", 2);
    return 2 + number_make(text + 2, key);
}

static size_t member_make(char text[KEY_MAX], uint32_t key, uint32_t member)
{
    size_t len = key_make(text, key);

    text[len] = '/';
    return len + 1 + number_make(text + len + 1, member);
}

static size_t length_of(uint64_t version)
{
    uint64_t mixed = harness_random(&(harness_rng){version});

    return HARNESS_VALUE_MIN + (mixed % 16 == 0 ? mixed / 16 % 4000 : mixed / 16 % 200);
}

static size_t value_make(const struct client *client, void *buf, uint32_t key, uint64_t version)
{
    char text[KEY_MAX];
    size_t len = length_of(version);

    if (is_number(client, key)) {
        *(char *)buf = 1; /* the tag of JSON */
        return 1 + (size_t)snprintf((char *)buf + 1, VALUE_MAX - 1, "%llu",
                                    (unsigned long long)version);
    }
    harness_value_fill(buf, len, text, key_make(text, key), version);
    return len;
}

static uint64_t member_value_parse(const void *value, size_t len)
{
    uint64_t version;

    CHECK(len == sizeof(version), "a value of %zu bytes", len);
    memcpy(&version, value, sizeof(version));
    return version;
}

static uint64_t value_parse(const struct client *client, uint32_t key, const void *value,
                            size_t len)
{
    char text[KEY_MAX], number[KEY_MAX];

    if (!is_number(client, key))
        return harness_value_check(value, len, text, key_make(text, key));
    CHECK(len > 1 && len < sizeof(number) && *(const char *)value == 1, "no number in %u", key);
    memcpy(number, (const char *)value + 1, len - 1);
    number[len - 1] = '\0';
    return strtoull(number, NULL, 10);
}

/* A value that was never written. */
static uint64_t new_value(struct client *client, uint32_t key)
{
    if (is_number(client, key))
        return harness_random(&client->rng) >> 20 | 1;
    return (uint64_t)(client->life->number + 1) << 32 | ++client->versions;
}

/* ---- Records --------------------------------------------------------------------------------- */

bool client_has_room(const struct client *client)
{
    return client->life->n < LIFE_OPERATIONS - 1 &&
           client->life->seen_n < LIFE_SEEN - 2 * HISTORY_KEYS;
}

/* A blank one, not yet invoked. */
static struct operation *operation_add(struct client *client, enum operation_kind kind)
{
    struct life *life = client->life;
    struct operation *operation = &life->operations[life->n];

    CHECK(client_has_room(client), "no room for operation %u", life->n);
    *operation = (struct operation){
        .responded = HISTORY_NEVER,
        .died = HISTORY_NEVER,
        .kind = kind,
        .client = life->number,
        .result = HISTORY_UNKNOWN,
        .seen = &life->seen[life->seen_n],
    };
    (void)atomic_fetch_add(&life->n, 1);
    return operation;
}

static void see(struct client *client, struct operation *operation, uint32_t key, uint64_t value)
{
    client->life->seen[client->life->seen_n++] = (struct seen){key, value};
    operation->seen_n++;
    if (value != HISTORY_TORN)
        client->known[key] = value;
}

static void call_begins(struct client *client, struct operation *operation)
{
    bool may_wait = operation_changes(operation) || operation->kind == OPERATION_PEEK;
    uint32_t publishing = atomic_load(&client->field->publishing);

    if (publishing != 0 && operation->kind == OPERATION_PEEK)
        harness_count("peeks begun while a batch was half published", 1);
    else if (publishing != 0 && operation->kind == OPERATION_READ)
        harness_count("gets begun while a batch was half published", 1);
    else if (publishing != 0 && operation->kind == OPERATION_ITERATE)
        harness_count("iterations begun while a batch was half published", 1);
    if (client->seat != NULL)
        disturb_call_begins(may_wait);
    operation->invoked = field_stamp(client->field);
}

/* Right behind the call. Nobody knows of the response before it is told. */
static void call_ends(struct client *client)
{
    client->ended = field_stamp(client->field);
    if (client->seat != NULL)
        disturb_call_ends();
}

/* All that was told is recorded: the operation has its response. */
static void tell(struct client *client, struct operation *operation, int rc)
{
    static const struct {
        int rc;
        enum outcome outcome;
    } outcomes[] = {
        {LXDB_OK, OUTCOME_OK},         {LXDB_NOTFOUND, OUTCOME_NOTFOUND},
        {LXDB_EXISTS, OUTCOME_EXISTS}, {LXDB_CONFLICT, OUTCOME_CONFLICT},
        {LXDB_BUSY, OUTCOME_BUSY},     {LXDB_PENDING, OUTCOME_OK},
    };

    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (outcomes[i].rc == rc)
            operation->outcome = outcomes[i].outcome;
    CHECK(operation->outcome != OUTCOME_UNKNOWN, "operation of kind %d gave %d (%s): %s",
          (int)operation->kind, rc, lxdb_strerror(rc), lxdb_errmsg(client->db));
    atomic_signal_fence(memory_order_release);
    operation->responded = client->ended;
    (void)atomic_fetch_add(&client->field->finished, 1);
}

/* ---- Changes --------------------------------------------------------------------------------- */

/* What is not known to be durable is visible all the same. */
static bool is_success(int rc)
{
    return rc == LXDB_OK || rc == LXDB_PENDING;
}

static int alter_call(struct client *client, const struct change *change, uint64_t *ret_sum)
{
    static char value[VALUE_MAX], expected[VALUE_MAX];
    size_t value_len = value_make(client, value, change->key, change->value);
    size_t expected_len = 0;
    char key[KEY_MAX];
    size_t key_len = key_make(key, change->key);
    lxdb *db = client->db;
    int64_t sum = 0;
    int rc;

    switch (change->kind) {
    case CHANGE_CREATE:
        return lxdb_create(db, key, key_len, value, value_len);
    case CHANGE_UPDATE:
        return lxdb_update(db, key, key_len, value, value_len);
    case CHANGE_DELETE:
        return lxdb_delete(db, key, key_len);
    case CHANGE_CAS:
        if (change->expected != 0)
            expected_len = value_make(client, expected, change->key, change->expected);
        return lxdb_cas(db, key, key_len, change->expected != 0 ? expected : NULL, expected_len,
                        value, value_len);
    case CHANGE_INCR:
        rc = lxdb_incr(db, key, key_len, (int64_t)change->value, &sum);
        *ret_sum = (uint64_t)sum;
        return rc;
    case CHANGE_WRITE:
    case CHANGE_REMOVE:
        break;
    }
    return lxdb_write(db, key, key_len, value, value_len);
}

void client_alter(struct client *client, uint32_t key)
{
    static const enum change_kind kinds[] = {
        CHANGE_WRITE, CHANGE_WRITE,  CHANGE_WRITE,  CHANGE_CREATE, CHANGE_CREATE, CHANGE_UPDATE,
        CHANGE_CAS,   CHANGE_DELETE, CHANGE_DELETE, CHANGE_INCR,   CHANGE_INCR,
    };
    uint64_t n = sizeof(kinds) / sizeof(kinds[0]) - (is_number(client, key) ? 0 : 2);
    struct operation *operation = operation_add(client, OPERATION_ALTER);
    struct change *change = &operation->changes[0];
    uint64_t sum = 0;
    int rc;

    *change = (struct change){kinds[client_below(client, n)], key, new_value(client, key), 0};
    if (change->kind == CHANGE_CAS && !client_one_of(client, 5))
        change->expected = client->known[key];
    operation->changes_n = 1;
    call_begins(client, operation);
    rc = alter_call(client, change, &sum);
    call_ends(client);
    if (is_success(rc) && change->kind == CHANGE_INCR)
        operation->result = sum;
    tell(client, operation, rc);
    if (is_success(rc))
        client->known[key] = change->kind == CHANGE_DELETE ? 0
                             : change->kind == CHANGE_INCR ? sum
                                                           : change->value;
}

/* All the records of one key. */
static void batch_add(struct client *client, lxdb_batch *batch, const struct change *change)
{
    bool wide = client_has_wide(client, change->key);
    static char value[VALUE_MAX];
    size_t key_len, value_len;
    char key[KEY_MAX];

    for (uint32_t i = 0; i < client->field->weights[change->key]; i++) {
        key_len = wide ? member_make(key, change->key, i) : key_make(key, change->key);
        value_len = wide ? sizeof(change->value)
                         : value_make(client, value, change->key, change->value);
        if (wide)
            memcpy(value, &change->value, sizeof(change->value));
        if (change->kind == CHANGE_WRITE)
            CHECK_OK(client->db, lxdb_batch_write(batch, key, key_len, value, value_len));
        else if (change->kind == CHANGE_CREATE)
            CHECK_OK(client->db, lxdb_batch_create(batch, key, key_len, value, value_len));
        else
            CHECK_OK(client->db, lxdb_batch_delete(batch, key, key_len));
    }
}

void client_batch(struct client *client, uint32_t first)
{
    struct operation *operation = operation_add(client, OPERATION_BATCH);
    uint64_t n = 1 + client_below(client, HISTORY_CHANGES);
    size_t deleted = 0, failed_at = 0;
    lxdb_batch *batch = NULL;
    uint32_t records = 0;
    int rc;

    CHECK_OK(client->db, lxdb_batch_begin(client->db, &batch));
    for (uint32_t i = 0; i < n; i++) {
        struct change *change = &operation->changes[i];
        uint64_t chance = client_below(client, 8);

        change->key = i == 0 ? first : (uint32_t)client_below(client, client->field->keys);
        change->kind = chance == 0                                               ? CHANGE_CREATE
                       : chance < (client_has_wide(client, change->key) ? 5 : 3) ? CHANGE_REMOVE
                                                                                 : CHANGE_WRITE;
        change->value = change->kind == CHANGE_REMOVE ? 0 : new_value(client, change->key);
        batch_add(client, batch, change);
        records += client->field->weights[change->key];
        operation->changes_n++;
    }
    call_begins(client, operation);
    disturb_batch(records);
    rc = lxdb_batch_commit(batch, &deleted, &failed_at);
    disturb_batch(0);
    call_ends(client);
    if (is_success(rc))
        operation->result = deleted;
    else if (rc == LXDB_EXISTS)
        operation->result = failed_at;
    tell(client, operation, rc);
}

/* ---- Readers --------------------------------------------------------------------------------- */

void client_get(struct client *client, uint32_t key)
{
    struct operation *operation = operation_add(client, OPERATION_READ);
    static char buf[VALUE_MAX];
    const void *value = buf;
    void *copy = NULL;
    char text[KEY_MAX];
    size_t key_len = key_make(text, key), len = 0;
    uint64_t way = client_below(client, 4);
    int rc;

    operation->changes[0].key = key;
    operation->changes_n = 1;
    if (way == 0)
        CHECK_OK(client->db, lxdb_read_begin(client->db));
    call_begins(client, operation);
    if (way == 0) {
        rc = lxdb_peek(client->db, text, key_len, &value, &len);
    } else if (way == 1) {
        rc = lxdb_read_alloc(client->db, text, key_len, &copy, &len);
        value = copy;
    } else {
        rc = lxdb_read(client->db, text, key_len, buf, sizeof(buf), &len);
    }
    call_ends(client);
    if (rc == LXDB_OK)
        operation->result = value_parse(client, key, value, len);
    tell(client, operation, rc);
    if (way == 0)
        lxdb_read_end(client->db);
    lxdb_free(copy);
    client->known[key] = rc == LXDB_OK ? operation->result : 0;
}

void client_exists(struct client *client, uint32_t key)
{
    struct operation *operation = operation_add(client, OPERATION_EXISTS);
    char text[KEY_MAX];
    size_t key_len = key_make(text, key);
    int rc;

    operation->changes[0].key = key;
    operation->changes_n = 1;
    call_begins(client, operation);
    rc = lxdb_exists(client->db, text, key_len);
    call_ends(client);
    tell(client, operation, rc);
}

struct asked {
    lxdb_item items[HISTORY_CHANGES * PEEK_MAX];
    char texts[HISTORY_CHANGES * PEEK_MAX][KEY_MAX];
    uint32_t n;
    uint32_t ends[HISTORY_CHANGES]; /* behind the items of each key */
};

/* Of a key of many records, two at least, spread over all of them. */
static void ask(struct client *client, struct asked *asked, uint32_t key)
{
    uint32_t weight = client->field->weights[key];
    uint32_t most = weight < PEEK_MAX ? weight : PEEK_MAX;
    uint32_t n = weight == 1 ? 1 : 2 + (uint32_t)client_below(client, most - 1);
    uint32_t first = (uint32_t)client_below(client, weight);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t member = (first + i * (weight / n)) % weight;
        char *text = asked->texts[asked->n];
        size_t len = weight == 1 ? key_make(text, key) : member_make(text, key, member);

        asked->items[asked->n++] = (lxdb_item){.key = text, .key_len = len};
    }
}

static uint64_t item_parse(const struct client *client, uint32_t key, const lxdb_item *item)
{
    if (item->rc == LXDB_NOTFOUND)
        return 0;
    CHECK_RC(client->db, LXDB_OK, item->rc);
    if (client_has_wide(client, key))
        return member_value_parse(item->value, item->value_len);
    return value_parse(client, key, item->value, item->value_len);
}

void client_peek(struct client *client, uint32_t first)
{
    struct operation *operation = operation_add(client, OPERATION_PEEK);
    static struct asked asked;
    uint64_t n = 1 + client_below(client, 4);
    uint32_t keys = client->field->keys, from = 0;
    int rc;

    asked.n = 0;
    for (uint32_t i = 0; i < n && i < keys; i++) {
        uint32_t key = (first + i * (1 + keys / 5)) % keys;

        if ((operation_keys(&(struct history){.keys = keys}, operation) >> key & 1) != 0)
            continue;
        ask(client, &asked, key);
        asked.ends[operation->changes_n] = asked.n;
        operation->changes[operation->changes_n++].key = key;
    }
    CHECK_OK(client->db, lxdb_read_begin(client->db));
    call_begins(client, operation);
    rc = lxdb_peek_many(client->db, asked.items, asked.n);
    call_ends(client);
    for (uint32_t i = 0; i < operation->changes_n && rc == LXDB_OK; i++) {
        uint32_t key = operation->changes[i].key;
        uint64_t value = item_parse(client, key, &asked.items[from]);

        for (; from < asked.ends[i]; from++)
            if (item_parse(client, key, &asked.items[from]) != value)
                value = HISTORY_TORN;
        see(client, operation, key, value);
    }
    operation->has_seen = rc == LXDB_OK;
    tell(client, operation, rc);
    lxdb_read_end(client->db);
}

/* ---- Iterations ------------------------------------------------------------------------------ */

/* Collects the records of an iteration into keys. */
struct gathering {
    struct client *client;
    struct operation *operation;
    bool reverse;
    uint32_t key;     /* of many records, of which some have come; else HISTORY_KEYS */
    uint32_t members; /* that have come */
    uint64_t value;
};

static void gather_ends(struct gathering *gathering)
{
    if (gathering->key == HISTORY_KEYS)
        return;
    if (gathering->members != gathering->client->field->weights[gathering->key])
        gathering->value = HISTORY_TORN;
    see(gathering->client, gathering->operation, gathering->key, gathering->value);
    gathering->key = HISTORY_KEYS;
}

/* Members stand in the order of their batch, one after the other. */
static void gather_member(struct gathering *gathering, uint32_t key, uint32_t member,
                          uint64_t value)
{
    uint32_t weight = gathering->client->field->weights[key];

    if (gathering->key != key || gathering->members == weight) {
        gather_ends(gathering);
        gathering->key = key;
        gathering->members = 0;
        gathering->value = value;
    }
    if (value != gathering->value ||
        member != (gathering->reverse ? weight - 1 - gathering->members : gathering->members))
        gathering->value = HISTORY_TORN;
    gathering->members++;
}

static void gather_record(struct gathering *gathering, const char *text, size_t text_len,
                          const void *value, size_t value_len)
{
    struct client *client = gathering->client;
    char copy[KEY_MAX], *end;
    uint32_t key, member = 0;

    CHECK(text_len > 2 && text_len < sizeof(copy), "a key of %zu bytes", text_len);
    memcpy(copy, text, text_len);
    copy[text_len] = '\0';
    key = (uint32_t)strtoul(copy + 2, &end, 10);
    CHECK(key < client->field->keys && (*end == '/') == client_has_wide(client, key), "a key %s",
          copy);
    CHECK(gathering->operation->seen_n < 2 * HISTORY_KEYS, "a key comes again and again: %s", copy);
    if (*end == '/') {
        member = (uint32_t)strtoul(end + 1, &end, 10);
        gather_member(gathering, key, member, member_value_parse(value, value_len));
        return;
    }
    gather_ends(gathering);
    see(client, gathering->operation, key, value_parse(client, key, value, value_len));
}

static void turn_around(struct client *client, struct operation *operation)
{
    struct seen *seen = &client->life->seen[client->life->seen_n - operation->seen_n];

    for (uint32_t i = 0; i < operation->seen_n / 2; i++) {
        struct seen swap = seen[i];

        seen[i] = seen[operation->seen_n - 1 - i];
        seen[operation->seen_n - 1 - i] = swap;
    }
}

void client_iterate_read(struct client *client)
{
    struct operation *operation = client->iterated;
    struct gathering gathering = {client, operation, client->reverse, HISTORY_KEYS, 0, 0};
    const void *key, *value;
    size_t key_len, value_len;
    int rc;

    operation->seen = &client->life->seen[client->life->seen_n];
    while ((rc = lxdb_iter_next(client->iter, &key, &key_len, &value, &value_len)) == LXDB_OK)
        gather_record(&gathering, key, key_len, value, value_len);
    CHECK_RC(client->db, LXDB_NOTFOUND, rc);
    gather_ends(&gathering);
    if (client->reverse)
        turn_around(client, operation);
    atomic_signal_fence(memory_order_release); /* whoever finds it dead finds all of it or none */
    operation->has_seen = true;
    lxdb_iter_close(client->iter);
    client->iter = NULL;
}

void client_iterate(struct client *client)
{
    struct operation *operation;
    int rc;

    if (client->iter != NULL)
        client_iterate_read(client);
    operation = operation_add(client, OPERATION_ITERATE);
    client->reverse = client_one_of(client, 3);
    client->iterated = operation;
    call_begins(client, operation);
    rc = lxdb_iter_open(client->db, "k/", 2, client->reverse ? LXDB_ITER_REVERSE : 0,
                        &client->iter);
    call_ends(client);
    tell(client, operation, rc);
    CHECK_OK(client->db, rc);
    client->read_at = client->life->n;
    if (client_one_of(client, 3)) {
        client->read_at += 1 + client_below(client, LATER_MAX);
        harness_count("iterations read while others went on", 1);
    }
}

void client_count(struct client *client)
{
    struct operation *operation = operation_add(client, OPERATION_COUNT);
    uint64_t records = 0;
    int rc;

    call_begins(client, operation);
    rc = lxdb_count(client->db, &records);
    call_ends(client);
    operation->result = records - client->field->ballast;
    tell(client, operation, rc);
}
