/* SPDX-License-Identifier: MIT */
/* The life of a client; and what the director does as one. */
#include "tests/linear/client.h"

#include <stdio.h>
#include <string.h>

static void operate(struct client *client)
{
    static const unsigned char changes[MOODS] = {45, 5, 0, 80};   /* of a hundred operations */
    static const unsigned char batches[MOODS] = {30, 50, 50, 85}; /* of a hundred changes */
    uint32_t key = (uint32_t)client_below(client, client->field->keys);
    bool wide = client_has_wide(client, key);

    if (client->life->n >= client->mood_until) {
        client->mood = (unsigned)client_below(client, MOODS);
        client->mood_until = client->life->n + 1 + client_below(client, 60);
    }
    if (client_below(client, 100) < changes[client->mood]) {
        if (wide || client_below(client, 100) < batches[client->mood])
            client_batch(client, key);
        else
            client_alter(client, key);
    } else if (client->mood == MOOD_GET && !wide) {
        client_get(client, key);
    } else if (client_one_of(client, 10)) {
        client_iterate(client);
    } else if (client_one_of(client, 10)) {
        client_count(client);
    } else if (wide || client_one_of(client, 4)) {
        client_peek(client, key);
    } else if (client_one_of(client, 6)) {
        client_exists(client, key);
    } else {
        client_get(client, key);
    }
    if (client->iter != NULL && client->life->n >= client->read_at)
        client_iterate_read(client);
}

/* With a short deadline the gate may be busy. */
static void client_open(struct client *client)
{
    lxdb_options options = client->field->options;
    int rc;

    options.size = sizeof(options);
    harness_stage("open");
    atomic_store(&client->seat->may_wait, true);
    do {
        rc = lxdb_open(client->field->path, &options, &client->db);
    } while (rc == LXDB_BUSY);
    CHECK_OK(NULL, rc);
    atomic_store(&client->seat->may_wait, false);
    atomic_store(&client->seat->opened, true);
    harness_stage("operating");
}

static void client_close(struct client *client)
{
    int rc;

    if (client->iter != NULL)
        client_iterate_read(client);
    harness_stage("close");
    atomic_store(&client->seat->may_wait, true);
    rc = lxdb_close(client->db);
    CHECK(rc == LXDB_OK || rc == LXDB_BUSY, "close gave %s: %s", lxdb_strerror(rc),
          lxdb_errmsg(NULL));
    atomic_store(&client->seat->may_wait, false);
    atomic_store(&client->seat->opened, false);
    client->db = NULL;
}

static void client_compact(struct client *client)
{
    int rc;

    harness_stage("compaction");
    disturb_call_begins(true);
    rc = lxdb_compact(client->db, NULL);
    disturb_call_ends();
    CHECK(rc == LXDB_OK || rc == LXDB_BUSY, "compaction gave %s: %s", lxdb_strerror(rc),
          lxdb_errmsg(client->db));
    harness_count("compactions", rc == LXDB_OK);
    atomic_store(&client->seat->compact, false);
    harness_stage("operating");
}

/* With leave, or an order to follow. */
static bool may_operate(const struct client *client)
{
    const struct field *field = client->field;

    return client_has_room(client) &&
           (atomic_load(&field->finished) < atomic_load(&field->ceiling) ||
            atomic_load(&client->seat->order) != ORDER_NONE);
}

static bool is_wanted(void *arg)
{
    const struct client *client = arg;
    const struct field *field = client->field;

    return may_operate(client) || atomic_load(&client->seat->compact) ||
           atomic_load(&field->close) != atomic_load(&client->seat->closed) ||
           atomic_load(&field->end);
}

static bool is_open_again(void *arg)
{
    const struct field *field = arg;

    return atomic_load(&field->open) == atomic_load(&field->close);
}

void client_run(void *arg)
{
    const struct client_start *start = arg;
    struct field *field = start->field;
    struct client client = {.field = field, .seat = &field->seats[start->seat]};
    uint64_t stream;

    client.life = client.seat->life;
    stream = field->stream + 2 * client.life->number;
    client.rng = harness_rng_make(stream);
    disturb_start(field, client.seat, stream + 1);
    client_open(&client);
    while (!atomic_load(&field->end)) {
        if (atomic_load(&field->close) != atomic_load(&client.seat->closed)) {
            client_close(&client);
            atomic_store(&client.seat->closed, atomic_load(&field->close));
            harness_until("leave to open again", is_open_again, field);
            client_open(&client);
        } else if (atomic_load(&client.seat->compact)) {
            client_compact(&client);
        } else if (may_operate(&client)) {
            operate(&client);
            harness_progress();
        } else {
            harness_until("leave to go on", is_wanted, &client);
        }
    }
    client_close(&client);
}

/* ---- The director's own ---------------------------------------------------------------------- */

void client_preload(struct field *field)
{
    lxdb *db = harness_open(field->path, (lxdb_options){.helpers = LXDB_HELPERS_KEEP});
    lxdb_batch *batch = NULL;
    char key[32];
    int len;

    CHECK_OK(db, lxdb_batch_begin(db, &batch));
    for (uint64_t i = 0; i < field->ballast; i++) {
        len = snprintf(key, sizeof(key), "z/%llu", (unsigned long long)i);
        CHECK_OK(db, lxdb_batch_write(batch, key, (size_t)len, "ballast", 7));
    }
    CHECK_OK(db, lxdb_batch_commit(batch, NULL, NULL));
    CHECK_OK(NULL, lxdb_close(db));
}

void client_look(struct field *field, struct life *life)
{
    struct client client = {.field = field, .life = life, .rng = harness_rng_make(4)};

    client.db = harness_open(field->path, (lxdb_options){0});
    client_iterate(&client);
    if (client.iter != NULL)
        client_iterate_read(&client);
    client_count(&client);
    for (uint32_t key = 0; key < field->keys; key++) {
        if (!client_has_wide(&client, key))
            client_get(&client, key);
        else
            client_peek(&client, key);
    }
    CHECK_OK(NULL, lxdb_close(client.db));
    harness_check_closed(field->path, client.life->operations[1].result + field->ballast);
}
