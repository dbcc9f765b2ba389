/* SPDX-License-Identifier: MIT */
/*
 * Linearizability: four processes operate on one database while a director disturbs them (see
 * director.c); what they recorded must be explained by one order of steps of the machine of
 * model.h. The checker itself is tested first (examples.c).
 *
 * A history that is not legal is printed in part, and kept in a file in the working directory,
 * linear-history-SEED-N.txt, in the notation of notation.c. With such a file named in the
 * environment, as LXDB_LINEAR_HISTORY, the program only looks at it.
 *
 * An interleaving is never the same again: the seed gives the same requests and the same plan, not
 * the same history.
 */
#include "tests/concurrency/harness.h"
#include "tests/linear/check.h"
#include "tests/linear/director.h"
#include "tests/linear/examples.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HISTORIES 60u
#define OPERATIONS 2000u      /* in each of the first histories */
#define OPERATIONS_LONG 5000u /* in each of those that a long run adds */

/* ---- One history ----------------------------------------------------------------------------- */

static void gather(struct director *director, struct history *ret_history)
{
    struct field *field = director->field;
    struct history history = {.keys = field->keys};
    size_t most = 1;

    for (uint32_t i = 0; i < director->lives; i++)
        most += field->lives[i].n;
    history.operations = malloc(most * sizeof(*history.operations));
    CHECK(history.operations != NULL, "no memory");
    for (uint32_t key = 0; key < field->keys; key++) {
        history.weights[key] = field->weights[key];
        (void)snprintf(history.names[key], sizeof(history.names[key]), "%s%u",
                       field->weights[key] > 1             ? "wide"
                       : (field->counters >> key & 1) != 0 ? "number"
                                                           : "key",
                       key);
    }
    for (uint32_t i = 0; i < director->lives; i++) {
        for (uint32_t j = 0; j < field->lives[i].n; j++) {
            struct operation *operation = &history.operations[history.n];

            *operation = field->lives[i].operations[j];
            if (operation->invoked == 0)
                continue;
            if (operation->responded == HISTORY_NEVER) {
                operation->outcome = OUTCOME_UNKNOWN;
                operation->died = field->lives[i].died;
            }
            if (!operation->has_seen) /* its client died while it read */
                operation->seen_n = 0;
            history.n++;
        }
    }
    history_sort(&history);
    *ret_history = history;
}

/* ---- Counts: a run in which nothing happened proves nothing ---------------------------------- */

static bool is_seen(const struct history *history, uint32_t key, uint64_t value)
{
    for (uint32_t i = 0; i < history->n; i++) {
        const struct operation *operation = &history->operations[i];

        if (operation->kind == OPERATION_READ && operation->changes[0].key == key &&
            operation->outcome == OUTCOME_OK && operation->result == value)
            return true;
        for (uint32_t j = 0; j < operation->seen_n && operation->has_seen; j++)
            if (operation->seen[j].key == key && operation->seen[j].value == value)
                return true;
    }
    return false;
}

static void count_killed(const struct history *history, const struct operation *operation)
{
    harness_count("changes cut by a death", 1);
    for (uint32_t i = 0; i < operation->changes_n; i++) {
        const struct change *change = &operation->changes[i];

        if (change->kind != CHANGE_INCR && change->value != 0 &&
            is_seen(history, change->key, change->value)) {
            harness_count("changes cut by a death that took effect", 1);
            return;
        }
    }
}

static void count_all(const struct history *history)
{
    uint64_t last_response = 0, overlapping = 0, batches = 0, refused = 0;

    for (uint32_t i = 0; i < history->n; i++) {
        const struct operation *operation = &history->operations[i];

        /* of those invoked before, somebody's response comes later */
        overlapping += operation->invoked < last_response;
        if (operation->responded != HISTORY_NEVER && operation->responded > last_response)
            last_response = operation->responded;
        batches += operation->kind == OPERATION_BATCH && operation->outcome == OUTCOME_OK;
        refused += operation->outcome == OUTCOME_BUSY;
        if (operation->outcome == OUTCOME_UNKNOWN && operation_changes(operation))
            count_killed(history, operation);
    }
    harness_count("histories", 1);
    harness_count("operations", history->n);
    harness_count("operations that began while another was under way", overlapping);
    harness_count("batches", batches);
    harness_count("calls refused as busy", refused);
}

/* What 60 histories have at least; a quarter of the usual, or less. */
static void set_least(unsigned histories)
{
    static const struct {
        const char *name;
        uint64_t least;
    } counts[] = {
        {"histories", 60},
        {"operations", 60 * OPERATIONS},
        {"operations that began while another was under way", 40000},
        {"batches", 5000},
        {"calls refused as busy", 200},
        {"calls interrupted at any instruction", 2000},
        {"kills", 240},
        {"kills inside a commit", 40},
        {"kills while publishing", 4},
        {"kills inside a compaction", 2},
        {"stops", 200},
        {"stops inside a commit", 30},
        {"stops while publishing", 2},
        {"stops inside a compaction", 2},
        {"changes cut by a death", 100},
        {"changes cut by a death that took effect", 15},
        {"compactions", 80},
        {"splits of an index segment", 20},
        {"helper files deleted", 20},
        {"times that all closed and opened", 50},
        {"times that all were killed", 10},
        {"gets begun while a batch was half published", 60},
        {"peeks begun while a batch was half published", 60},
        {"iterations begun while a batch was half published", 20},
        {"iterations read while others went on", 500},
    };

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        harness_count_least(counts[i].name, counts[i].least * histories / 60);
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

static void keep(const struct history *history, const char *name)
{
    FILE *file = fopen(name, "w");

    CHECK(file != NULL, "%s: %s", name, strerror(errno));
    history_print(file, history);
    CHECK(fclose(file) == 0, "%s: %s", name, strerror(errno));
}

static void judge(struct director *director, const struct history *history)
{
    char name[100];
    uint32_t most = 0;
    enum verdict verdict = check_history(history, &most);

    harness_count_max("possible states at once, at most", most);
    if (verdict == VERDICT_LEGAL)
        return;
    (void)snprintf(name, sizeof(name), "linear-history-%" PRIx64 "-%u.txt", harness_seed(),
                   director->round);
    keep(history, name);
    fprintf(stderr, "history %u is %s:\n", director->round, verdict_name(verdict));
    if (verdict == VERDICT_ILLEGAL)
        check_explain(history, stderr);
    CHECK(false, "history %u of seed %#" PRIx64 " is %s; all of it is in %s", director->round,
          harness_seed(), verdict_name(verdict), name);
}

static void clean_up(struct director *director)
{
    static const char *const suffixes[] = {"", "-lock", "-index", "-lost"};
    char path[4096];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", director->field->path, suffixes[i]);
        (void)unlink(path);
    }
}

static void clients_histories_are_linearizable(void)
{
    struct director director = {.field = harness_shared(sizeof(struct field))};
    struct history history;

    disturb_no_syncs();
    for (; harness_goes_on(director.round, HISTORIES); director.round++) {
        harness_phase("history");
        director.rng = harness_rng_make((uint64_t)(director.round + 1) * STREAMS_A_HISTORY - 1);
        director.lives = 0;
        director_set_up(&director);
        director_run(&director, director.round < HISTORIES ? OPERATIONS : OPERATIONS_LONG);
        gather(&director, &history);
        count_all(&history);
        judge(&director, &history);
        free(history.operations);
        clean_up(&director);
    }
    set_least(director.round);
}

/* A history in a file, kept by an earlier run. */
static int look_at(const char *name)
{
    FILE *file = fopen(name, "r");
    struct history history;
    const char *fault;
    enum verdict verdict;

    if (file == NULL || !history_read(file, &history, &fault)) {
        fprintf(stderr, "%s: %s\n", name, file == NULL ? strerror(errno) : fault);
        return 1;
    }
    (void)fclose(file);
    verdict = check_history(&history, NULL);
    printf("%s: %" PRIu32 " operations, %s\n", name, history.n, verdict_name(verdict));
    if (verdict == VERDICT_ILLEGAL)
        check_explain(&history, stdout);
    history_free(&history);
    return verdict == VERDICT_LEGAL ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *name = getenv("LXDB_LINEAR_HISTORY");
    static const harness_case cases[] = {
        HARNESS_CASE(checker_rejects_every_bad_history),
        HARNESS_CASE(checker_accepts_every_good_history),
        HARNESS_CASE(notation_printed_reads_back),
        HARNESS_CASE(checker_agrees_with_plain_search),
        HARNESS_CASE(clients_histories_are_linearizable),
    };

    if (name != NULL)
        return look_at(name);
    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
