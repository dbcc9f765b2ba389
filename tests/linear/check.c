/* SPDX-License-Identifier: MIT */
/* See check.h. */
#include "tests/linear/search.h"

#include <stdlib.h>
#include <string.h>

#define CONFIGURATIONS_MAX (UINT32_C(1) << 20)
#define LARGE_TABLE 8192u /* what is larger is given back, not cleared */

static void *need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"legal", "illegal", "unknown"};

    return names[verdict];
}

/* ---- Sets ------------------------------------------------------------------------------------ */

static uint64_t hash(const struct configuration *configuration)
{
    uint64_t words[sizeof(*configuration) / sizeof(uint64_t)];
    uint64_t sum = 1;

    _Static_assert(sizeof(words) == sizeof(*configuration), "whole words");
    memcpy(words, configuration, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        sum = (sum ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
    }
    return sum;
}

static void set_free(struct set *set)
{
    free(set->all);
    free(set->table);
    *set = (struct set){0};
}

static void set_clear(struct set *set)
{
    set->n = 0;
    if (set->table_size > LARGE_TABLE)
        set_free(set);
    else if (set->table != NULL)
        memset(set->table, 0, set->table_size * sizeof(*set->table));
}

static void set_swap(struct set *a, struct set *b)
{
    struct set swap = *a;

    *a = *b;
    *b = swap;
}

/* Where it is in the table, or would be. */
static uint32_t *set_place(const struct set *set, const struct configuration *configuration)
{
    uint32_t mask = set->table_size - 1;
    uint32_t at = (uint32_t)hash(configuration) & mask;

    while (set->table[at] != 0 &&
           memcmp(&set->all[set->table[at] - 1], configuration, sizeof(*configuration)) != 0)
        at = (at + 1) & mask;
    return &set->table[at];
}

static void set_grow(struct set *set)
{
    set->capacity = set->capacity != 0 ? 2 * set->capacity : 64;
    set->all = need(realloc(set->all, set->capacity * sizeof(*set->all)));
    free(set->table);
    set->table_size = 2 * set->capacity;
    set->table = need(calloc(set->table_size, sizeof(*set->table)));
    for (uint32_t i = 0; i < set->n; i++)
        *set_place(set, &set->all[i]) = i + 1;
}

/* False: it was there already. */
static bool set_add(struct set *set, const struct configuration *configuration)
{
    uint32_t *place;

    if (set->n == set->capacity)
        set_grow(set);
    place = set_place(set, configuration);
    if (*place != 0)
        return false;
    set->all[set->n++] = *configuration;
    *place = set->n;
    return true;
}

/* ---- What iterations say about the order of commits ------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    const struct writer *left = a, *right = b;

    if (left->key != right->key)
        return left->key < right->key ? -1 : 1;
    return (left->value > right->value) - (left->value < right->value);
}

static bool is_increment(const struct operation *operation)
{
    return operation->kind == OPERATION_ALTER && operation->changes[0].kind == CHANGE_INCR;
}

static bool may_commit(const struct operation *operation)
{
    return operation_changes(operation) &&
           (operation->outcome == OUTCOME_OK || operation->outcome == OUTCOME_UNKNOWN);
}

/* The sum of a killed increment was told nobody: it may have started from any value of the key. */
static uint32_t list_sums(const struct operation *operation, uint32_t number,
                          struct writer *writers, uint32_t n, uint32_t room)
{
    const struct change *change = &operation->changes[0];
    uint32_t known = n;

    writers[n++] = (struct writer){change->value, change->key, number};
    for (uint32_t i = 0; i < known && n < room; i++)
        if (writers[i].key == change->key)
            writers[n++] = (struct writer){writers[i].value + change->value, change->key, number};
    return n;
}

struct writer *search_writers(const struct search *search, uint32_t *ret_n)
{
    const struct history *history = search->history;
    uint32_t n = 0, sums = 1, room;
    struct writer *writers;

    for (uint32_t i = 0; i < history->n; i++)
        sums += is_increment(&history->operations[i]) &&
                history->operations[i].outcome == OUTCOME_UNKNOWN;
    room = (history->n * HISTORY_CHANGES + 1) * (sums < 16 ? sums : 16) + sums;
    writers = need(malloc(room * sizeof(*writers)));
    for (uint32_t i = 0; i < history->n; i++) {
        const struct operation *operation = &history->operations[i];

        if (!may_commit(operation))
            continue;
        if (is_increment(operation) && operation->outcome == OUTCOME_OK)
            writers[n++] = (struct writer){operation->result, operation->changes[0].key, i};
        for (uint32_t c = 0; c < operation->changes_n && !is_increment(operation); c++)
            if (operation->changes[c].value != 0)
                writers[n++] = (struct writer){operation->changes[c].value,
                                               operation->changes[c].key, i};
    }
    for (uint32_t i = 0; i < history->n; i++)
        if (is_increment(&history->operations[i]) &&
            history->operations[i].outcome == OUTCOME_UNKNOWN && n < room)
            n = list_sums(&history->operations[i], i, writers, n, room);
    qsort(writers, n, sizeof(*writers), by_value);
    *ret_n = n;
    return writers;
}

/* The operation that wrote it, or NOBODY: nobody did, it is not known, or it may be one of two. */
static uint32_t writer_of(const struct writer *writers, uint32_t n, const struct seen *seen)
{
    struct writer wanted = {seen->value, seen->key, 0};
    const struct writer *found = bsearch(&wanted, writers, n, sizeof(wanted), by_value);

    if (found == NULL || (found > writers && by_value(found - 1, found) == 0) ||
        (found + 1 < writers + n && by_value(found + 1, found) == 0))
        return NOBODY;
    return found->operation;
}

static int by_later(const void *a, const void *b)
{
    const struct edge *left = a, *right = b;

    if (left->later != right->later)
        return left->later < right->later ? -1 : 1;
    return (left->earlier > right->earlier) - (left->earlier < right->earlier);
}

/* Of one iteration: each writer before the next. Within a batch the places must ascend. */
static void edges_of(struct search *search, uint32_t number, const struct writer *writers,
                     uint32_t writers_n, uint32_t *edges_n)
{
    const struct operation *iteration = &search->history->operations[number];
    uint32_t before = NOBODY, place_before = 0;

    for (uint32_t i = 0; i < iteration->seen_n; i++) {
        const struct seen *seen = &iteration->seen[i];
        uint32_t writer, place;

        if ((search->scope.keys >> seen->key & 1) == 0)
            continue;
        writer = writer_of(writers, writers_n, seen);
        if (writer == NOBODY)
            continue;
        place = operation_place(&search->history->operations[writer], seen->key);
        if (writer == before && place < place_before && !search->contradiction) {
            search->contradiction = true;
            search->contradicting = number;
        }
        if (writer != before && before != NOBODY)
            search->edges[(*edges_n)++] = (struct edge){writer, before};
        before = writer;
        place_before = place;
    }
}

static bool is_looked_at(const struct search *search, uint32_t number)
{
    return search->left_out == NULL || !search->left_out[number];
}

static void find_edges(struct search *search)
{
    const struct history *history = search->history;
    bool one_key = (search->scope.keys & (search->scope.keys - 1)) == 0;
    uint32_t writers_n, most = 0, n = 0, at = 0;
    struct writer *writers;

    for (uint32_t i = 0; i < history->n && !one_key; i++)
        if (history->operations[i].kind == OPERATION_ITERATE)
            most += history->operations[i].seen_n;
    search->edges = need(malloc((most + 1) * sizeof(*search->edges)));
    writers = search_writers(search, &writers_n);
    for (uint32_t i = 0; i < history->n && most > 0; i++)
        if (history->operations[i].kind == OPERATION_ITERATE && is_looked_at(search, i))
            edges_of(search, i, writers, writers_n, &n);
    free(writers);
    qsort(search->edges, n, sizeof(*search->edges), by_later);
    search->first_edge = need(malloc((history->n + 1) * sizeof(*search->first_edge)));
    for (uint32_t i = 0; i <= history->n; i++) {
        while (at < n && search->edges[at].later < i)
            at++;
        search->first_edge[i] = at;
    }
}

/* ---- Steps ----------------------------------------------------------------------------------- */

bool configuration_has_done(const struct configuration *configuration, uint32_t slot)
{
    return (configuration->done >> slot & 1) != 0;
}

/* All that are known to have committed before this one have. */
static bool is_due(const struct search *search, const struct configuration *configuration,
                   uint32_t number)
{
    for (uint32_t i = search->first_edge[number]; i < search->first_edge[number + 1]; i++) {
        uint32_t status = search->status[search->edges[i].earlier];

        if (status == STATUS_AHEAD ||
            (status != STATUS_OVER && !configuration_has_done(configuration, status - 1)))
            return false;
    }
    return true;
}

static void let_peek_read(const struct search *search, struct configuration *configuration,
                          uint32_t slot)
{
    const struct task *peek = &search->tasks[slot];
    uint32_t read = configuration->read[slot];

    if (configuration->state.left != 0 && model_ties(peek, configuration->state.changed))
        return;
    for (uint32_t key = 0; key < search->history->keys; key++)
        if ((peek->keys >> key & 1) != 0 && configuration->state.values[key] == peek->targets[key])
            read |= UINT32_C(1) << key;
    configuration->read[slot] = (uint16_t)read;
    if (read == peek->keys) {
        configuration->read[slot] = 0;
        configuration->done |= UINT32_C(1) << slot;
    }
}

static void let_reader_read(const struct search *search, struct configuration *configuration,
                            uint32_t slot)
{
    const struct task *begun = configuration->begun != NOBODY ? &search->tasks[configuration->begun]
                                                              : NULL;

    if (search->tasks[slot].kind == TASK_PEEK)
        let_peek_read(search, configuration, slot);
    else if (model_allows(&configuration->state, begun, &search->tasks[slot]))
        configuration->done |= UINT32_C(1) << slot;
}

static bool is_pending(const struct search *search, const struct configuration *configuration,
                       uint32_t slot)
{
    return (search->used >> slot & 1) != 0 && !configuration_has_done(configuration, slot);
}

/* Add what a step led to, once everybody who can has read. */
static void arrive(struct search *search, struct configuration configuration)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (is_pending(search, &configuration, slot) && search->tasks[slot].kind != TASK_COMMIT)
            let_reader_read(search, &configuration, slot);
    if (search->seen.n == CONFIGURATIONS_MAX)
        search->overflow = true;
    else
        (void)set_add(&search->seen, &configuration);
}

static void publish(struct search *search, const struct configuration *from, uint32_t key)
{
    struct configuration to = *from;

    model_publish(&to.state, &search->tasks[from->begun], key);
    arrive(search, to);
}

static void publish_any(struct search *search, const struct configuration *from)
{
    for (uint32_t key = 0; key < search->history->keys; key++)
        if ((from->state.left >> key & 1) != 0)
            publish(search, from, key);
}

/* Nobody who died before this commit was invoked can begin any more. */
static void rule_out_dead(const struct search *search, struct configuration *configuration,
                          const struct operation *commit)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (is_pending(search, configuration, slot) && search->tasks[slot].kind == TASK_COMMIT &&
            search->tasks[slot].operation->died < commit->invoked)
            configuration->done |= UINT32_C(1) << slot;
}

static void begin(struct search *search, const struct configuration *from, uint32_t slot)
{
    const struct task *task = &search->tasks[slot];
    struct configuration to = *from;

    if (!is_due(search, from, search->numbers[slot]) || !model_begin(&to.state, task))
        return;
    rule_out_dead(search, &to, task->operation);
    if (to.state.changed == 0) {
        to.done |= UINT32_C(1) << slot;
        arrive(search, to);
        return;
    }
    to.begun = slot;
    for (uint32_t i = 0; i < SLOTS; i++)
        if (is_pending(search, &to, i) && search->tasks[i].kind == TASK_PEEK &&
            model_ties(&search->tasks[i], to.state.changed))
            to.read[i] = 0;
    if (to.state.left == 0 || task->outside)
        arrive(search, to);
    publish_any(search, &to);
}

static void take_steps(struct search *search, const struct configuration *from)
{
    struct configuration to = *from;

    if (from->begun == NOBODY) {
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            if (is_pending(search, from, slot) && search->tasks[slot].kind == TASK_COMMIT)
                begin(search, from, slot);
    } else if (from->state.left != 0) {
        publish_any(search, from);
    } else {
        model_conclude(&to.state, search->history);
        to.done |= UINT32_C(1) << from->begun;
        to.begun = NOBODY;
        arrive(search, to);
    }
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void invoke(struct search *search, uint32_t number)
{
    uint32_t slot = 0;

    while (slot < SLOTS && (search->used >> slot & 1) != 0)
        slot++;
    if (slot == SLOTS) {
        search->overflow = true;
        return;
    }
    task_make(search->history, number, search->scope, &search->tasks[slot]);
    if (search->tasks[slot].kind == TASK_NOTHING) {
        search->status[number] = STATUS_OVER;
        return;
    }
    search->used |= UINT32_C(1) << slot;
    search->numbers[slot] = number;
    search->status[number] = (uint8_t)(slot + 1);
    if (search->tasks[slot].kind == TASK_COMMIT)
        return;
    set_clear(&search->seen);
    for (uint32_t i = 0; i < search->now.n; i++) {
        struct configuration configuration = search->now.all[i];

        let_reader_read(search, &configuration, slot);
        (void)set_add(&search->seen, &configuration);
    }
    set_swap(&search->now, &search->seen);
}

/* The slot is free again. */
static void forget(struct search *search, uint32_t slot)
{
    search->status[search->numbers[slot]] = STATUS_OVER;
    search->used &= ~(UINT32_C(1) << slot);
    set_clear(&search->seen);
    for (uint32_t i = 0; i < search->now.n; i++) {
        struct configuration configuration = search->now.all[i];

        configuration.done &= ~(UINT32_C(1) << slot);
        (void)set_add(&search->seen, &configuration);
    }
    set_swap(&search->now, &search->seen);
}

static void forget_dead(struct search *search)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        bool done = (search->used >> slot & 1) != 0 &&
                    search->tasks[slot].operation->responded == HISTORY_NEVER;

        for (uint32_t i = 0; i < search->now.n && done; i++)
            done = configuration_has_done(&search->now.all[i], slot);
        if (done)
            forget(search, slot);
    }
}

static bool respond(struct search *search, uint32_t number)
{
    uint32_t slot = (uint32_t)search->status[number] - 1;
    uint32_t kept = 0;

    set_clear(&search->seen);
    for (uint32_t i = 0; i < search->now.n; i++)
        (void)set_add(&search->seen, &search->now.all[i]);
    /* the set is its own queue: what it gets goes to its end */
    for (uint32_t i = 0; i < search->seen.n && !search->overflow; i++) {
        struct configuration from = search->seen.all[i];

        if (!configuration_has_done(&from, slot))
            take_steps(search, &from);
    }
    set_clear(&search->now);
    for (uint32_t i = 0; i < search->seen.n; i++) {
        if (configuration_has_done(&search->seen.all[i], slot)) {
            (void)set_add(&search->now, &search->seen.all[i]);
            kept++;
        }
    }
    if (kept == 0) { /* keep what was possible, for the report */
        set_swap(&search->now, &search->seen);
        return false;
    }
    search->most = search->now.n > search->most ? search->now.n : search->most;
    forget(search, slot);
    forget_dead(search);
    return true;
}

void search_start(struct search *search)
{
    struct configuration empty;

    memset(&empty, 0, sizeof(empty));
    empty.begun = NOBODY;
    find_edges(search);
    search->status = need(calloc(search->history->n + 1, 1));
    (void)set_add(&search->now, &empty);
    search->failed_at = NOBODY;
}

void search_end(struct search *search)
{
    free(search->edges);
    free(search->first_edge);
    free(search->status);
    set_free(&search->now);
    set_free(&search->seen);
}

enum verdict search_run(struct search *search, const struct event *events, uint32_t n)
{
    for (uint32_t i = 0; i < n && !search->overflow; i++) {
        uint32_t number = events[i].operation;

        if (!is_looked_at(search, number))
            continue;
        if (!events[i].ends) {
            invoke(search, number);
            continue;
        }
        if ((search->contradiction && search->contradicting == number) ||
            (search->status[number] != STATUS_OVER && !respond(search, number))) {
            search->failed_at = number;
            break;
        }
        if (search->now.n == 1 && search->now.all[0].begun == NOBODY &&
            events[i].at < search->known_before) {
            search->known_at = events[i].at;
            search->known = search->now.all[0];
            memcpy(search->known_numbers, search->numbers, sizeof(search->numbers));
        }
    }
    if (search->overflow)
        return VERDICT_UNKNOWN;
    return search->failed_at != NOBODY ? VERDICT_ILLEGAL : VERDICT_LEGAL;
}

enum verdict check_scope(const struct history *history, struct scope scope, uint32_t *ret_most)
{
    struct search search = {.history = history, .scope = scope};
    enum verdict verdict;
    struct event *events;
    uint32_t n;

    events = history_events(history, &n);
    search_start(&search);
    verdict = search_run(&search, events, n);
    if (ret_most != NULL)
        *ret_most = search.most;
    search_end(&search);
    free(events);
    return verdict;
}

enum verdict check_history(const struct history *history, uint32_t *ret_most)
{
    enum verdict verdict = VERDICT_LEGAL;

    for (uint32_t key = 0; key < history->keys && verdict == VERDICT_LEGAL; key++)
        verdict = check_scope(history, (struct scope){UINT32_C(1) << key, false}, NULL);
    return verdict == VERDICT_LEGAL ? check_scope(history, scope_whole(history), ret_most)
                                    : verdict;
}
