/* SPDX-License-Identifier: MIT */
/* See proof.h. */
#include "tests/demo/proof.h"

#include "tests/demo/common.h"
#include "tests/demo/workers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_JSON 0x01

struct proof {
    const struct proof_job *job;
    const struct source *source;
    const struct ledger *ledger;
    struct spaces spaces;
    FILE *expected;
};

/* ---- What a reader of the format has to find ------------------------------------------------- */

static void put_hex(FILE *file, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < len; i++)
        fprintf(file, "%02x", at[i]);
}

/* The line of a typed record of a namespace: the stored key and the stored value. */
static void expect_record(struct proof *proof, const char *space, const char *key, size_t key_len,
                          const void *text, size_t len)
{
    const uint8_t tag = TAG_JSON;

    put_hex(proof->expected, space, strlen(space) + 1);
    put_hex(proof->expected, key, key_len);
    fputc('\t', proof->expected);
    put_hex(proof->expected, &tag, 1);
    put_hex(proof->expected, text, len);
    fputc('\n', proof->expected);
}

static void begin_expected(struct proof *proof)
{
    proof->expected = fopen(proof->job->expected, "w");
    if (proof->expected == NULL)
        demo_fail("cannot write %s: %s", proof->job->expected, strerror(errno));
}

static void end_expected(struct proof *proof)
{
    if (ferror(proof->expected) || fclose(proof->expected) != 0)
        demo_fail("cannot write %s", proof->job->expected);
}

/* ---- The parts of the proof ------------------------------------------------------------------ */

static void prove_records(struct proof *proof)
{
    uint64_t acknowledged = 0;
    uint64_t equal = 0;

    for (size_t i = 0; i < proof->source->n; i++) {
        const struct record *record = &proof->source->records[i];
        const struct list *list = &proof->source->lists[record->list];
        char *text;
        size_t len;
        int rc;

        if (ledger_state(proof->ledger, i) != ACKNOWLEDGED)
            demo_fail("%s %s was never acknowledged, though all writers finished", list->name,
                      record->key);
        acknowledged++;
        rc = lxdb_get_json(proof->spaces.lists[record->list], record->key, record->key_len, &text,
                           &len);
        if (rc == LXDB_NOTFOUND)
            demo_fail("lost: %s %s was acknowledged and is not there", list->name, record->key);
        demo_require(rc, "reading a record");
        if (!source_equal(record, text, len))
            demo_fail("%s %s is wrong: %s", list->name, record->key, text);
        equal++;
        expect_record(proof, list->name, record->key, record->key_len, text, len);
        lxdb_free(text);
    }
    printf("  records    %s acknowledged, %s found, %s byte-equal to their source, %s lost\n",
           demo_grouped(acknowledged), demo_grouped(equal), demo_grouped(equal),
           demo_grouped(acknowledged - equal));
}

/* Each number up to the counter's value was handed out once; only writers killed while drawing one
 * may have taken it along. */
static void prove_tickets(struct proof *proof)
{
    int64_t last;
    uint64_t drawn = 0;
    uint64_t taken_along = 0;
    char text[24];

    demo_require(lxdb_get_int(proof->spaces.shared, TICKETS_KEY, strlen(TICKETS_KEY), &last),
                 "reading the counter");
    for (unsigned w = 0; w < WRITERS; w++)
        drawn += atomic_load(&proof->ledger->writers[w].tickets);
    if (last < 0 || last > TICKETS_MAX)
        demo_fail("the counter stands at %" PRId64, last);
    for (uint64_t t = 1; t <= (uint64_t)last; t++)
        taken_along += atomic_load(&proof->ledger->tickets[t]) == 0;
    if (taken_along > proof->job->killed_drawing)
        demo_fail("the counter stands at %" PRId64 ", but %" PRIu64 " of these numbers went to"
                  " nobody",
                  last, taken_along);
    if ((uint64_t)last != drawn + taken_along)
        demo_fail("the counter stands at %" PRId64 " after %" PRIu64 " increments", last, drawn);
    printf("  counter    %s increments acknowledged, %s cut off by a kill: it stands at %s\n",
           demo_grouped(drawn), demo_grouped(taken_along), demo_grouped((uint64_t)last));
    snprintf(text, sizeof text, "%" PRId64, last);
    expect_record(proof, SHARED_SPACE, TICKETS_KEY, strlen(TICKETS_KEY), text, strlen(text));
}

/* The value that stands must be some writer's last, and no other call may have begun after that
 * writer's had returned: it would have replaced it. */
static void prove_board_is_last(const struct proof *proof, uint64_t ticket, unsigned writer)
{
    const struct writer_entry *last = &proof->ledger->writers[writer];

    if (atomic_load(&last->board_ticket) != ticket)
        demo_fail("the board holds ticket %" PRIu64 " of writer %u, whose last was %" PRIu64,
                  ticket, writer + 1, atomic_load(&last->board_ticket));
    for (unsigned w = 0; w < WRITERS; w++) {
        if (atomic_load(&proof->ledger->writers[w].board_began) > atomic_load(&last->board_ended))
            demo_fail("the board holds the value of writer %u, but writer %u stored later",
                      writer + 1, w + 1);
    }
}

/* A key of the shared ones that holds a ticket. */
static uint64_t ticket_under(struct proof *proof, const char *key, unsigned *ret_writer)
{
    char *text;
    size_t len;
    uint64_t ticket;

    demo_require(lxdb_get_json(proof->spaces.shared, key, strlen(key), &text, &len),
                 "reading a shared key");
    ticket = board_check(proof->ledger, text, len, ret_writer);
    expect_record(proof, SHARED_SPACE, key, strlen(key), text, len);
    lxdb_free(text);
    return ticket;
}

static void prove_board(struct proof *proof)
{
    char key[BOARD_KEY_MAX];
    uint64_t ticket = 0;
    unsigned writer = 0;

    for (unsigned line = 0; line < BOARD_LINES; line++) {
        uint64_t other;

        board_key(line, key);
        other = ticket_under(proof, key, &writer);
        if (line != 0 && other != ticket)
            demo_fail("a batch is there in part: the board holds tickets %" PRIu64 " and %" PRIu64,
                      ticket, other);
        ticket = other;
    }
    prove_board_is_last(proof, ticket, writer);
    for (unsigned w = 0; w < WRITERS; w++) {
        last_key(w, key);
        ticket = ticket_under(proof, key, &writer);
        if (writer != w || ticket != atomic_load(&proof->ledger->writers[w].board_ticket))
            demo_fail("lost: the last acknowledged ticket of writer %u is not there", w + 1);
    }
    printf("  shared     %d keys that all writers replaced hold one whole batch, the last one\n",
           BOARD_LINES);
}

/* Whether a stored key is one of ours: a list's name, NUL, a code of it; or of the shared ones. */
static bool known_key(const struct source *source, const char *key, size_t len)
{
    const char *separator = memchr(key, '\0', len);
    size_t name_len;
    const char *rest;
    size_t rest_len;

    if (separator == NULL)
        return false;
    name_len = (size_t)(separator - key);
    rest = separator + 1;
    rest_len = len - name_len - 1;
    for (unsigned i = 0; i < SOURCE_LISTS; i++) {
        if (strlen(source->lists[i].name) == name_len &&
            memcmp(source->lists[i].name, key, name_len) == 0)
            return source_find(source, i, rest, rest_len) >= 0;
    }
    if (name_len != strlen(SHARED_SPACE) || memcmp(key, SHARED_SPACE, name_len) != 0)
        return false;
    for (unsigned i = 0; i < BOARD_LINES + WRITERS; i++) {
        char name[BOARD_KEY_MAX];

        if (i < BOARD_LINES)
            board_key(i, name);
        else
            last_key(i - BOARD_LINES, name);
        if (strlen(name) == rest_len && memcmp(name, rest, rest_len) == 0)
            return true;
    }
    return rest_len == strlen(TICKETS_KEY) && memcmp(rest, TICKETS_KEY, rest_len) == 0;
}

/* Every key was read above, so that the same number of known keys leaves none unseen. */
static void prove_nothing_else(struct proof *proof)
{
    uint64_t want = proof->source->n + 1 + BOARD_LINES + WRITERS;
    uint64_t iterated = 0;
    uint64_t count;
    lxdb_namespace_info *spaces;
    size_t n;
    lxdb_iter *iter;
    const void *key;
    size_t key_len;
    int rc;

    demo_require(lxdb_iter_open(proof->spaces.db, NULL, 0, LXDB_ITER_KEYS, &iter),
                 "beginning an iteration");
    while ((rc = lxdb_iter_next(iter, &key, &key_len, NULL, NULL)) == LXDB_OK) {
        if (!known_key(proof->source, key, key_len))
            demo_fail("there is a key that nobody wrote, of %zu bytes", key_len);
        iterated++;
    }
    if (rc != LXDB_NOTFOUND)
        demo_fail_call("iterating", rc);
    lxdb_iter_close(iter);
    demo_require(lxdb_count(proof->spaces.db, &count), "counting");
    demo_require(lxdb_namespaces(proof->spaces.db, &spaces, &n), "listing the namespaces");
    lxdb_free(spaces);
    if (iterated != want || count != want || n != SOURCE_LISTS + 1)
        demo_fail("%" PRIu64 " keys are there, counted as %" PRIu64 ", in %zu namespaces; it should"
                  " be %" PRIu64 " in %d",
                  iterated, count, n, want, SOURCE_LISTS + 1);
    printf("  strangers  0 among %s keys in %zu namespaces\n", demo_grouped(iterated), n);
}

static void prove_file(const char *path)
{
    lxdb_report report;

    demo_require(lxdb_verify(path, &report, NULL), "verifying the file");
    if (report.crashed != 0)
        demo_fail("the file was not closed cleanly");
    printf("  file       closed cleanly, every CRC right: %s live and %s replaced records\n",
           demo_grouped(report.records_live), demo_grouped(report.records_dead));
}

void proof_run(const struct proof_job *job)
{
    struct proof proof = {.job = job, .source = job->source, .ledger = job->ledger};

    prove_file(job->path);
    begin_expected(&proof);
    spaces_open(&proof.spaces, job->source, job->path);
    prove_records(&proof);
    prove_nothing_else(&proof);
    prove_tickets(&proof);
    prove_board(&proof);
    spaces_close(&proof.spaces);
    end_expected(&proof);
}
