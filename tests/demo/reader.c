/* SPDX-License-Identifier: MIT */
/*
 * A reader. It holds every answer against the source and the ledger: what was acknowledged before a
 * read began must be found, what is found must have been announced and be right to the byte, and a
 * batch must be there whole or not at all. The first wrong answer ends the demo.
 */
#include "tests/demo/workers.h"

#include "tests/demo/common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READS_PER_ROUND 2048
#define BOARDS_PER_ROUND 16
#define TAG_JSON 0x01

struct reader {
    const struct source *source;
    struct ledger *ledger;
    struct reader_entry *entry;
    struct spaces spaces;
    uint64_t stream;
    uint64_t board_seen[WRITERS]; /* the latest ticket of each writer */
    uint8_t *before;              /* [record]: acknowledged before the iteration began */
    uint8_t *seen;                /* [record]: seen by the iteration */
    uint32_t *chunk_seen;         /* [chunk]: how many of its records were */
};

/* ---- One record ------------------------------------------------------------------------------ */

static void check_record(const struct reader *reader, size_t i, int before, int rc,
                         const void *text, size_t len)
{
    const struct record *record = &reader->source->records[i];
    const char *list = reader->source->lists[record->list].name;

    if (rc == LXDB_NOTFOUND && before == ACKNOWLEDGED)
        demo_fail("%s %s was acknowledged and is not there", list, record->key);
    if (rc == LXDB_NOTFOUND)
        return;
    demo_require(rc, "reading a record");
    if (ledger_state(reader->ledger, i) == ABSENT)
        demo_fail("%s %s is there and nobody wrote it", list, record->key);
    if (!source_equal(record, text, len))
        demo_fail("%s %s is wrong: %.*s", list, record->key, (int)len, (const char *)text);
}

/* A copy of the value. */
static void get_record(struct reader *reader, size_t i)
{
    const struct record *record = &reader->source->records[i];
    int before = ledger_state(reader->ledger, i);
    char *text = NULL;
    size_t len = 0;
    int rc = lxdb_get_json(reader->spaces.lists[record->list], record->key, record->key_len, &text,
                           &len);

    check_record(reader, i, before, rc, text, len);
    lxdb_free(text);
}

/* The value where it stands, with its tag. */
static void peek_record(struct reader *reader, size_t i)
{
    const struct record *record = &reader->source->records[i];
    lxdb *space = reader->spaces.lists[record->list];
    int before = ledger_state(reader->ledger, i);
    const char *value = "";
    size_t len = 1;
    int rc;

    demo_require(lxdb_read_begin(space), "beginning to read");
    rc = lxdb_peek(space, record->key, record->key_len, (const void **)&value, &len);
    if (rc == LXDB_OK && (len == 0 || value[0] != TAG_JSON))
        demo_fail("%s is not typed as JSON", record->key);
    check_record(reader, i, before, rc, value + 1, len - 1);
    lxdb_read_end(space);
}

/* ---- The board ------------------------------------------------------------------------------- */

/* The lines of the board as one read saw them, `n` of them; each with its tag. */
static void check_board(struct reader *reader, const lxdb_item *lines, size_t n)
{
    const uint8_t *first = lines[0].value;
    unsigned writer;
    uint64_t ticket;

    if (n != BOARD_LINES)
        demo_fail("a batch was seen in part: %zu of %d lines of the board", n, BOARD_LINES);
    for (size_t i = 0; i < n; i++) {
        if (lines[i].value_len != lines[0].value_len || lines[0].value_len == 0 ||
            memcmp(lines[i].value, first, lines[0].value_len) != 0)
            demo_fail("a batch was seen in part: two lines of the board differ");
    }
    if (first[0] != TAG_JSON)
        demo_fail("the board is not typed as JSON");
    ticket = board_check(reader->ledger, first + 1, lines[0].value_len - 1, &writer);
    if (ticket < reader->board_seen[writer])
        demo_fail("the board went back: ticket %" PRIu64 " of writer %u after its ticket %" PRIu64,
                  ticket, writer + 1, reader->board_seen[writer]);
    reader->board_seen[writer] = ticket;
    atomic_fetch_add(&reader->entry->boards, 1);
}

static void read_board(struct reader *reader)
{
    char keys[BOARD_LINES][BOARD_KEY_MAX];
    lxdb_item items[BOARD_LINES] = {0};
    size_t found = 0;

    for (unsigned line = 0; line < BOARD_LINES; line++) {
        board_key(line, keys[line]);
        items[line].key = keys[line];
        items[line].key_len = strlen(keys[line]);
    }
    demo_require(lxdb_read_begin(reader->spaces.shared), "beginning to read");
    demo_require(lxdb_peek_many(reader->spaces.shared, items, BOARD_LINES), "reading the board");
    for (unsigned line = 0; line < BOARD_LINES; line++) {
        if (items[line].rc == LXDB_OK)
            found++;
        else if (items[line].rc != LXDB_NOTFOUND)
            demo_fail_call("reading a line of the board", items[line].rc);
    }
    if (found != 0)
        check_board(reader, items, found);
    lxdb_read_end(reader->spaces.shared);
}

/* ---- Iterations ------------------------------------------------------------------------------ */

static void note_before(struct reader *reader, const struct list *list)
{
    for (size_t i = list->first; i < list->first + list->n; i++) {
        reader->before[i] = ledger_state(reader->ledger, i) == ACKNOWLEDGED;
        reader->seen[i] = 0;
        reader->chunk_seen[reader->source->records[i].chunk] = 0;
    }
}

static void note_seen(struct reader *reader, unsigned number, const void *key, size_t key_len,
                      const uint8_t *value, size_t len)
{
    int64_t found = source_find(reader->source, number, key, key_len);

    if (found < 0)
        demo_fail("an iteration gave a key that nobody wrote: %.*s", (int)key_len,
                  (const char *)key);
    if (reader->seen[found]++ != 0)
        demo_fail("an iteration gave a key twice: %.*s", (int)key_len, (const char *)key);
    if (len == 0 || value[0] != TAG_JSON)
        demo_fail("%.*s is not typed as JSON", (int)key_len, (const char *)key);
    check_record(reader, (size_t)found, ABSENT, LXDB_OK, value + 1, len - 1);
    reader->chunk_seen[reader->source->records[found].chunk]++;
}

static void check_seen(const struct reader *reader, const struct list *list)
{
    for (size_t i = list->first; i < list->first + list->n; i++) {
        const struct record *record = &reader->source->records[i];
        const struct chunk *chunk = &reader->source->chunks[record->chunk];
        uint32_t seen = reader->chunk_seen[record->chunk];

        if (reader->before[i] && !reader->seen[i])
            demo_fail("%s %s was acknowledged and an iteration missed it", list->name, record->key);
        if (chunk->batch && seen != 0 && seen != chunk->n)
            demo_fail("a batch was seen in part: %u of %zu records of %s", seen, chunk->n,
                      list->name);
    }
}

/* All of a list, newest first in every second iteration. */
static void iterate_list(struct reader *reader, unsigned number)
{
    const struct list *list = &reader->source->lists[number];
    uint64_t turn = atomic_load(&reader->entry->iterations);
    uint64_t n = 0;
    lxdb_iter *iter;
    const void *key;
    const void *value;
    size_t key_len;
    size_t len;
    int rc;

    note_before(reader, list);
    demo_require(lxdb_iter_open(reader->spaces.lists[number], NULL, 0,
                                turn % 2 != 0 ? LXDB_ITER_REVERSE : 0, &iter),
                 "beginning an iteration");
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &len)) == LXDB_OK) {
        note_seen(reader, number, key, key_len, value, len);
        n++;
    }
    if (rc != LXDB_NOTFOUND)
        demo_fail_call("iterating", rc);
    lxdb_iter_close(iter);
    check_seen(reader, list);
    atomic_fetch_add(&reader->entry->iterations, 1);
    atomic_fetch_add(&reader->entry->iterated, n);
}

/* The board as an iteration sees it. */
static void iterate_board(struct reader *reader)
{
    lxdb_item lines[BOARD_LINES] = {0};
    char texts[BOARD_LINES][BOARD_TEXT_MAX];
    size_t n = 0;
    lxdb_iter *iter;
    const void *key;
    const void *value;
    size_t key_len;
    size_t len;
    int rc;

    demo_require(
        lxdb_iter_open(reader->spaces.shared, BOARD_PREFIX, strlen(BOARD_PREFIX), 0, &iter),
        "beginning an iteration");
    while ((rc = lxdb_iter_next(iter, &key, &key_len, &value, &len)) == LXDB_OK) {
        if (n == BOARD_LINES || len > BOARD_TEXT_MAX)
            demo_fail("the board has a line that nobody wrote: %.*s", (int)key_len,
                      (const char *)key);
        lines[n].value = memcpy(texts[n], value, len);
        lines[n++].value_len = len;
    }
    if (rc != LXDB_NOTFOUND)
        demo_fail_call("iterating", rc);
    lxdb_iter_close(iter);
    if (n != 0)
        check_board(reader, lines, n);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void note_stat(struct reader *reader)
{
    lxdb_stat_info info;

    demo_require(lxdb_stat(reader->spaces.db, &info), "asking for the counters");
    atomic_store(&reader->entry->compactions, info.compactions);
    if (info.data_size > atomic_load(&reader->entry->size_max))
        atomic_store(&reader->entry->size_max, info.data_size);
}

static void read_round(struct reader *reader)
{
    for (unsigned i = 0; i < READS_PER_ROUND; i += 2) {
        get_record(reader, demo_random(&reader->stream) % reader->source->n);
        peek_record(reader, demo_random(&reader->stream) % reader->source->n);
    }
    atomic_fetch_add(&reader->entry->reads, READS_PER_ROUND);
    for (unsigned i = 0; i < BOARDS_PER_ROUND; i++)
        read_board(reader);
    iterate_board(reader);
    iterate_list(reader, (unsigned)(demo_random(&reader->stream) % SOURCE_LISTS));
    note_stat(reader);
}

void reader_run(const struct reader_job *job)
{
    struct reader reader = {
        .source = job->source,
        .ledger = job->ledger,
        .entry = &job->ledger->readers[job->reader],
        .stream = job->seed + job->reader,
        .before = demo_alloc(job->source->n, 1),
        .seen = demo_alloc(job->source->n, 1),
        .chunk_seen = demo_alloc(job->source->n_chunks, sizeof *reader.chunk_seen),
    };

    spaces_open(&reader.spaces, job->source, job->path);
    while (!atomic_load(&job->ledger->finished))
        read_round(&reader);
    spaces_close(&reader.spaces);
    free(reader.before);
    free(reader.seen);
    free(reader.chunk_seen);
}
