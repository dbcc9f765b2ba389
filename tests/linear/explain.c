/* SPDX-License-Identifier: MIT */
/* The report of an illegal history. */
#include "tests/linear/search.h"

#include <inttypes.h>
#include <stdlib.h>

/* Up to and with the operation that failed. What is known is what was known before that began:
 * there it is looked at twice. */
static enum verdict check_part(const struct history *history, struct scope scope,
                               const bool *left_out, struct search *ret_search)
{
    struct search search = {.history = history, .scope = scope, .left_out = left_out};
    enum verdict verdict;
    struct event *events;
    uint32_t n;

    events = history_events(history, &n);
    search_start(&search);
    verdict = search_run(&search, events, n);
    if (verdict == VERDICT_ILLEGAL) {
        uint64_t began = history->operations[search.failed_at].invoked;

        search_end(&search);
        search = (struct search){
            .history = history, .scope = scope, .left_out = left_out, .known_before = began};
        search_start(&search);
        verdict = search_run(&search, events, n);
    }
    free(events);
    *ret_search = search;
    return verdict;
}

/* Keep it if it is illegal, and earlier than what was found before. */
static void try_scope(const struct history *history, struct scope scope, struct scope *best,
                      uint64_t *best_time)
{
    struct search search;

    if (check_part(history, scope, NULL, &search) == VERDICT_ILLEGAL) {
        uint64_t time = history->operations[search.failed_at].responded;

        if (time < *best_time) {
            *best = scope;
            *best_time = time;
        }
    }
    search_end(&search);
}

/* One key if that is enough, else two, else all. */
static struct scope smallest_scope(const struct history *history)
{
    struct scope best = scope_whole(history);
    uint64_t time = HISTORY_NEVER;

    for (uint32_t a = 0; a < history->keys; a++)
        try_scope(history, (struct scope){UINT32_C(1) << a, false}, &best, &time);
    for (uint32_t a = 0; a < history->keys && best.whole; a++)
        for (uint32_t b = 0; b < a; b++)
            try_scope(history, (struct scope){UINT32_C(1) << a | UINT32_C(1) << b, false}, &best,
                      &time);
    return best;
}

/* It is of the scope, and under way when it failed or since the state was last known. */
static bool is_in_window(const struct search *search, uint32_t number)
{
    const struct operation *operation = &search->history->operations[number];
    struct task task;

    task_make(search->history, number, search->scope, &task);
    return task.kind != TASK_NOTHING && operation->responded > search->known_at &&
           operation->invoked < search->history->operations[search->failed_at].responded;
}

/* A legal history stays legal without one of its readers: leave out those that do not matter. */
static void leave_out_readers(const struct history *history, struct scope scope, bool *left_out)
{
    struct search search, without;
    bool window;

    (void)check_part(history, scope, left_out, &search);
    for (uint32_t i = 0; i < history->n; i++) {
        window = i != search.failed_at && is_in_window(&search, i) &&
                 (!operation_changes(&history->operations[i]) ||
                  history->operations[i].outcome > OUTCOME_OK);
        if (!window)
            continue;
        left_out[i] = true;
        if (check_part(history, scope, left_out, &without) != VERDICT_ILLEGAL ||
            without.failed_at != search.failed_at)
            left_out[i] = false;
        search_end(&without);
    }
    search_end(&search);
}

/* It has no response yet at the time when the state is known, and has taken its steps. */
static bool was_over(const struct search *search, uint32_t number)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (configuration_has_done(&search->known, slot) && search->known_numbers[slot] == number)
            return true;
    return false;
}

static void print_state(FILE *to, const struct search *search, const struct state *state)
{
    const struct history *history = search->history;
    const char *between = "";

    for (uint32_t key = 0; key < history->keys; key++) {
        if ((search->scope.keys >> key & 1) == 0)
            continue;
        fprintf(to, "%s%s=%" PRIu64, between, history->names[key], state->values[key]);
        if ((state->left >> key & 1) != 0)
            fputs(" (about to change)", to);
        between = " ";
    }
    if (search->scope.whole)
        fprintf(to, " count=%" PRIu64, state->count);
    fputc('\n', to);
}

static bool names_value(const struct operation *operation, uint64_t value)
{
    bool named = operation->result == value;

    for (uint32_t i = 0; i < operation->seen_n; i++)
        named = named || operation->seen[i].value == value;
    return named;
}

/* Where the values come from that the operation saw. */
static void print_origins(FILE *to, const struct search *search)
{
    const struct history *history = search->history;
    const struct operation *failed = &history->operations[search->failed_at];
    uint32_t n;
    struct writer *writers = search_writers(search, &n);

    for (uint32_t i = 0; i < n; i++) {
        if ((search->scope.keys >> writers[i].key & 1) != 0 &&
            writers[i].operation != search->failed_at && names_value(failed, writers[i].value)) {
            fprintf(to, "  %" PRIu64 " is of ", writers[i].value);
            history_print_operation(to, history, writers[i].operation);
        }
    }
    free(writers);
}

static void print_order(FILE *to, const struct search *search)
{
    uint32_t number = search->failed_at;

    if (search->contradiction && search->contradicting == number)
        fputs("it shows keys of one batch in another order than the batch changed them\n", to);
    for (uint32_t i = search->first_edge[number]; i < search->first_edge[number + 1]; i++) {
        if (search->status[search->edges[i].earlier] != STATUS_OVER) {
            fputs("an iteration shows that this was committed before it: ", to);
            history_print_operation(to, search->history, search->edges[i].earlier);
        }
    }
}

static void print_finding(FILE *to, const struct search *search, const bool *left_out)
{
    const struct history *history = search->history;

    fputs("no order of the operations explains the response of\n  ", to);
    history_print_operation(to, history, search->failed_at);
    fputs(search->scope.whole ? "looking at the whole database" : "looking at", to);
    for (uint32_t key = 0; key < history->keys && !search->scope.whole; key++)
        if ((search->scope.keys >> key & 1) != 0)
            fprintf(to, " %s", history->names[key]);
    fprintf(to, "; the state at time %" PRIu64 " was\n  ", search->known_at);
    print_state(to, search, &search->known.state);
    fputs("since then, without readers that do not matter:\n", to);
    for (uint32_t i = 0; i < history->n; i++) {
        if (is_in_window(search, i) && !left_out[i]) {
            fputs(was_over(search, i) ? "  (in that state already) " : "  ", to);
            history_print_operation(to, history, i);
        }
    }
    print_origins(to, search);
    print_order(to, search);
    fprintf(to, "states that were possible then (%" PRIu32 "):\n", search->now.n);
    for (uint32_t i = 0; i < search->now.n && i < 8; i++) {
        fputs("  ", to);
        print_state(to, search, &search->now.all[i].state);
    }
}

void check_explain(const struct history *history, FILE *to)
{
    bool *left_out = calloc(history->n + 1, sizeof(*left_out));
    struct scope scope = smallest_scope(history);
    struct search search;

    if (left_out == NULL)
        abort();

    leave_out_readers(history, scope, left_out);
    if (check_part(history, scope, left_out, &search) == VERDICT_ILLEGAL)
        print_finding(to, &search, left_out);
    else
        fprintf(to, "no violation was found again\n");
    search_end(&search);
    free(left_out);
}
