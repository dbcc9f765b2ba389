/* SPDX-License-Identifier: MIT */
/*
 * A writer. Its work is an endless row of steps, each given by its number, so that a restarted
 * writer can go on where the ledger says the killed one was; the step that was under way is done
 * again, which changes nothing that was stored by it.
 *
 * A step: find its last ticket, draw another from the counter, store a chunk of records, put the
 * ticket on the board.
 */
#include "tests/demo/workers.h"

#include "tests/demo/common.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- The database ---------------------------------------------------------------------------- */

void spaces_open(struct spaces *spaces, const struct source *source, const char *path)
{
    lxdb_options options = {.size = sizeof options, .compact_floor = COMPACT_FLOOR};

    demo_require(lxdb_open(path, &options, &spaces->db), "opening the database");
    for (unsigned i = 0; i < SOURCE_LISTS; i++)
        demo_require(lxdb_namespace(spaces->db, source->lists[i].name, &spaces->lists[i]),
                     "opening a namespace");
    demo_require(lxdb_namespace(spaces->db, SHARED_SPACE, &spaces->shared),
                 "opening the shared namespace");
}

void spaces_close(struct spaces *spaces)
{
    demo_require(lxdb_close(spaces->shared), "closing the shared namespace");
    for (unsigned i = 0; i < SOURCE_LISTS; i++)
        demo_require(lxdb_close(spaces->lists[i]), "closing a namespace");
    demo_require(lxdb_close(spaces->db), "closing the database");
}

/* ---- Calls and the ledger -------------------------------------------------------------------- */

struct writer {
    const struct writer_job *job;
    struct ledger *ledger;
    struct writer_entry *entry;
    struct spaces spaces;
    uint64_t after_kill; /* when the kill was after which the call under way began */
};

static void begin_call(struct writer *writer, enum call call)
{
    writer->after_kill = atomic_load(&writer->ledger->killed_at);
    atomic_store(&writer->entry->call, call);
}

static void end_call(struct writer *writer, int rc, const char *what)
{
    struct ledger *ledger = writer->ledger;
    uint64_t never = 0;

    demo_require(rc, what);
    if (writer->after_kill != 0 && atomic_load(&ledger->went_on_at) == 0 &&
        atomic_load(&ledger->victim) != writer->job->writer &&
        atomic_load(&ledger->killed_at) == writer->after_kill)
        atomic_compare_exchange_strong(&ledger->went_on_at, &never, demo_now());
}

/* ---- The three parts of a step --------------------------------------------------------------- */

static uint64_t draw_ticket(struct writer *writer)
{
    int64_t ticket;
    int rc;

    begin_call(writer, DRAW_TICKET);
    rc = lxdb_incr(writer->spaces.shared, TICKETS_KEY, strlen(TICKETS_KEY), 1, &ticket);
    end_call(writer, rc, "drawing a ticket");
    ledger_ticket(writer->ledger, (uint64_t)ticket, writer->job->writer);
    atomic_fetch_add(&writer->entry->tickets, 1);
    return (uint64_t)ticket;
}

static void store_one_by_one(struct writer *writer, const struct chunk *chunk)
{
    for (size_t i = chunk->first; i < chunk->first + chunk->n; i++) {
        const struct record *record = &writer->job->source->records[i];
        int rc;

        ledger_announce(writer->ledger, i);
        begin_call(writer, STORE_ONE);
        rc = lxdb_set_json(writer->spaces.lists[chunk->list], record->key, record->key_len,
                           record->text, record->len);
        end_call(writer, rc, "storing a record");
        ledger_acknowledge(writer->ledger, i);
        atomic_fetch_add(&writer->entry->singles, 1);
        atomic_fetch_add(&writer->entry->records, 1);
    }
}

static void store_as_batch(struct writer *writer, const struct chunk *chunk)
{
    lxdb_batch *batch;

    demo_require(lxdb_batch_begin(writer->spaces.lists[chunk->list], &batch), "beginning a batch");
    for (size_t i = chunk->first; i < chunk->first + chunk->n; i++) {
        const struct record *record = &writer->job->source->records[i];

        ledger_announce(writer->ledger, i);
        demo_require(
            lxdb_batch_set_json(batch, record->key, record->key_len, record->text, record->len),
            "adding a record to a batch");
    }
    begin_call(writer, STORE_BATCH);
    end_call(writer, lxdb_batch_commit(batch, NULL, NULL), "storing a batch of records");
    for (size_t i = chunk->first; i < chunk->first + chunk->n; i++)
        ledger_acknowledge(writer->ledger, i);
    atomic_fetch_add(&writer->entry->batches, 1);
    atomic_fetch_add(&writer->entry->records, chunk->n);
}

static void add_line(lxdb_batch *batch, const char *key, const char *text, size_t len)
{
    demo_require(lxdb_batch_set_json(batch, key, strlen(key), text, len),
                 "adding a line to a batch");
}

static void post_board(struct writer *writer, uint64_t ticket)
{
    struct writer_entry *entry = writer->entry;
    char key[BOARD_KEY_MAX];
    char text[BOARD_TEXT_MAX];
    size_t len = board_text(writer->job->writer, ticket, text);
    lxdb_batch *batch;
    uint64_t began;

    demo_require(lxdb_batch_begin(writer->spaces.shared, &batch), "beginning a batch");
    for (unsigned line = 0; line < BOARD_LINES; line++) {
        board_key(line, key);
        add_line(batch, key, text, len);
    }
    last_key(writer->job->writer, key);
    add_line(batch, key, text, len);
    began = atomic_fetch_add(&writer->ledger->clock, 1);
    begin_call(writer, POST_BOARD);
    end_call(writer, lxdb_batch_commit(batch, NULL, NULL), "storing the board");
    atomic_store(&entry->board_ended, atomic_fetch_add(&writer->ledger->clock, 1));
    atomic_store(&entry->board_began, began);
    atomic_store(&entry->board_ticket, ticket);
    atomic_fetch_add(&entry->batches, 1);
}

/*
 * The writer's own key holds its last acknowledged ticket, or, when it was killed, the one that it
 * was storing then. Checked in each step, so also first thing after a restart.
 */
static void check_last(const struct writer *writer, bool restarted)
{
    uint64_t acknowledged = atomic_load(&writer->entry->board_ticket);
    unsigned author = 0;
    uint64_t ticket = 0;
    char key[BOARD_KEY_MAX];
    char *text;
    size_t len;
    int rc;

    last_key(writer->job->writer, key);
    rc = lxdb_get_json(writer->spaces.shared, key, strlen(key), &text, &len);
    if (rc == LXDB_OK) {
        ticket = board_check(writer->ledger, text, len, &author);
        lxdb_free(text);
    } else if (rc != LXDB_NOTFOUND) {
        demo_fail_call("reading a writer's own key", rc);
    }
    if (ticket < acknowledged || (ticket > acknowledged && !restarted))
        demo_fail("writer %u finds its ticket %" PRIu64 ", but %" PRIu64 " was acknowledged last",
                  writer->job->writer + 1, ticket, acknowledged);
    if (ticket != 0 && author != writer->job->writer)
        demo_fail("writer %u finds what writer %u wrote", writer->job->writer + 1, author + 1);
}

/* ---- The whole ------------------------------------------------------------------------------- */

uint32_t *writer_plan(const struct source *source, unsigned writer, size_t *ret_n)
{
    uint32_t *plan = demo_alloc(source->n_chunks, sizeof *plan);
    size_t n = 0;

    for (uint32_t c = 0; c < source->n_chunks; c++) {
        /* By pairs, so that every writer has chunks of both kinds. */
        if (source->lists[source->chunks[c].list].shared || c / 2 % WRITERS == writer)
            plan[n++] = c;
    }
    *ret_n = n;
    return plan;
}

void writer_run(const struct writer_job *job)
{
    struct writer writer = {
        .job = job, .ledger = job->ledger, .entry = &job->ledger->writers[job->writer]};
    uint64_t step = atomic_load(&writer.entry->steps);
    bool restarted = atomic_load(&writer.entry->call) != NO_CALL;
    size_t n;
    uint32_t *plan = writer_plan(job->source, job->writer, &n);

    spaces_open(&writer.spaces, job->source, job->path);
    while (step < n || !atomic_load(&job->ledger->enough)) {
        const struct chunk *chunk = &job->source->chunks[plan[step % n]];
        uint64_t ticket;

        check_last(&writer, restarted);
        restarted = false;
        ticket = draw_ticket(&writer);
        if (chunk->batch)
            store_as_batch(&writer, chunk);
        else
            store_one_by_one(&writer, chunk);
        post_board(&writer, ticket);
        atomic_store(&writer.entry->steps, ++step);
    }
    spaces_close(&writer.spaces);
    free(plan);
}
