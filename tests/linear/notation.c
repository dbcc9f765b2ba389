/* SPDX-License-Identifier: MIT */
/*
 * Histories as text, one event a line, in the order of time:
 *
 *     weights w=3                      w stands for three records (others for one); first line
 *     1 write a 7 -> ok                client 1: begun, and ended before anything else happened
 *     2 read a                         client 2: begun
 *     2 -> 7                           client 2: ended
 *     3 killed                         client 3 is dead; what it had begun may take effect or not
 *
 *     write a 7, create a 7            -> ok, exists
 *     update a 7, delete a             -> ok, notfound
 *     cas a 6 7, cas a none 7          -> ok, conflict
 *     incr a 5                         -> the sum
 *     batch write a 1, create b 2, remove c
 *                                      -> ok N: N records were deleted (N may be left out);
 *                                         exists N: the create of record N found its key
 *     read a                           -> 7, none
 *     exists a                         -> yes, no
 *     peek a b c                       -> 7 none torn
 *     iterate                          -> b=2 a=7 (last written last), nothing; unread: nobody read
 *     count                            -> 3
 *     anything                         -> busy
 *
 * Blanks at the start and what follows a # do not count. An empty line ends a history.
 */
#include "tests/linear/history.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const change_names[] = {
    [CHANGE_WRITE] = "write",   [CHANGE_CREATE] = "create", [CHANGE_REMOVE] = "remove",
    [CHANGE_UPDATE] = "update", [CHANGE_DELETE] = "delete", [CHANGE_CAS] = "cas",
    [CHANGE_INCR] = "incr",
};
#define CHANGE_NAMES (sizeof(change_names) / sizeof(change_names[0]))

/* ---- Printing -------------------------------------------------------------------------------- */

static void print_value(FILE *to, uint64_t value)
{
    if (value == 0)
        fputs("none", to);
    else if (value == HISTORY_TORN)
        fputs("torn", to);
    else
        fprintf(to, "%" PRIu64, value);
}

static void print_change(FILE *to, const struct history *history, const struct change *change)
{
    fprintf(to, "%s %s", change_names[change->kind], history->names[change->key]);
    if (change->kind == CHANGE_CAS) {
        fputc(' ', to);
        print_value(to, change->expected);
    }
    if (change->kind != CHANGE_REMOVE && change->kind != CHANGE_DELETE)
        fprintf(to, " %" PRIu64, change->value);
}

void history_print_request(FILE *to, const struct history *history,
                           const struct operation *operation)
{
    static const char *const verbs[] = {
        [OPERATION_ALTER] = "",      [OPERATION_BATCH] = "batch ",
        [OPERATION_READ] = "read",   [OPERATION_EXISTS] = "exists",
        [OPERATION_PEEK] = "peek",   [OPERATION_ITERATE] = "iterate",
        [OPERATION_COUNT] = "count",
    };

    fputs(verbs[operation->kind], to);
    for (uint32_t i = 0; i < operation->changes_n; i++) {
        if (operation_changes(operation)) {
            fputs(i > 0 ? ", " : "", to);
            print_change(to, history, &operation->changes[i]);
        } else {
            fprintf(to, " %s", history->names[operation->changes[i].key]);
        }
    }
}

static void print_seen(FILE *to, const struct history *history, const struct operation *operation)
{
    for (uint32_t i = 0; i < operation->seen_n; i++) {
        fputs(i > 0 ? " " : "", to);
        if (operation->kind == OPERATION_ITERATE)
            fprintf(to, "%s=", history->names[operation->seen[i].key]);
        print_value(to, operation->seen[i].value);
    }
    if (operation->seen_n == 0)
        fputs(operation->has_seen ? "nothing" : "unread", to);
}

static void print_success(FILE *to, const struct history *history,
                          const struct operation *operation)
{
    switch (operation->kind) {
    case OPERATION_ALTER:
        if (operation->changes[0].kind == CHANGE_INCR)
            fprintf(to, "%" PRIu64, operation->result);
        else
            fputs("ok", to);
        break;
    case OPERATION_BATCH:
        fputs("ok", to);
        if (operation->result != HISTORY_UNKNOWN)
            fprintf(to, " %" PRIu64, operation->result);
        break;
    case OPERATION_READ:
        print_value(to, operation->result);
        break;
    case OPERATION_EXISTS:
        fputs("yes", to);
        break;
    case OPERATION_PEEK:
    case OPERATION_ITERATE:
        print_seen(to, history, operation);
        break;
    case OPERATION_COUNT:
        fprintf(to, "%" PRIu64, operation->result);
        break;
    }
}

void history_print_response(FILE *to, const struct history *history,
                            const struct operation *operation)
{
    switch (operation->outcome) {
    case OUTCOME_UNKNOWN:
        fputs("(no response)", to);
        break;
    case OUTCOME_OK:
        print_success(to, history, operation);
        break;
    case OUTCOME_NOTFOUND:
        fputs(operation->kind == OPERATION_READ     ? "none"
              : operation->kind == OPERATION_EXISTS ? "no"
                                                    : "notfound",
              to);
        break;
    case OUTCOME_EXISTS:
        fputs("exists", to);
        if (operation->kind == OPERATION_BATCH)
            fprintf(to, " %" PRIu64, operation->result);
        break;
    case OUTCOME_CONFLICT:
        fputs("conflict", to);
        break;
    case OUTCOME_BUSY:
        fputs("busy", to);
        break;
    }
}

void history_print_operation(FILE *to, const struct history *history, uint32_t number)
{
    const struct operation *operation = &history->operations[number];

    fprintf(to, "#%-5" PRIu32 " client %-2" PRIu32 " from %" PRIu64, number, operation->client,
            operation->invoked);
    if (operation->responded != HISTORY_NEVER)
        fprintf(to, " to %" PRIu64 ":  ", operation->responded);
    else if (operation->died != HISTORY_NEVER)
        fprintf(to, ", killed by %" PRIu64 ":  ", operation->died);
    else
        fputs(", no end:  ", to);
    history_print_request(to, history, operation);
    fputs(" -> ", to);
    history_print_response(to, history, operation);
    fputc('\n', to);
}

static int by_death(const void *a, const void *b)
{
    const struct operation *left = *(const struct operation *const *)a;
    const struct operation *right = *(const struct operation *const *)b;

    return (left->died > right->died) - (left->died < right->died);
}

/* The operations whose client was killed, by the time of its death. */
static const struct operation **killed_operations(const struct history *history, uint32_t *ret_n)
{
    const struct operation **killed = malloc((history->n + 1) * sizeof(const struct operation *));

    if (killed == NULL)
        abort();
    *ret_n = 0;
    for (uint32_t i = 0; i < history->n; i++) {
        const struct operation *operation = &history->operations[i];

        if (operation->responded == HISTORY_NEVER && operation->died != HISTORY_NEVER)
            killed[(*ret_n)++] = operation;
    }
    qsort(killed, *ret_n, sizeof(const struct operation *), by_death);
    return killed;
}

void history_print(FILE *to, const struct history *history)
{
    const struct operation **killed;
    struct event *events;
    uint32_t n, deaths_n, death = 0;
    bool wide = false;

    for (uint32_t i = 0; i < history->keys; i++) {
        if (history->weights[i] != 1)
            fprintf(to, "%s %s=%" PRIu32, wide ? "" : "weights", history->names[i],
                    history->weights[i]);
        wide = wide || history->weights[i] != 1;
    }
    fputs(wide ? "\n" : "", to);
    events = history_events(history, &n);
    killed = killed_operations(history, &deaths_n);
    for (uint32_t i = 0; i < n; i++) {
        const struct operation *operation = &history->operations[events[i].operation];

        for (; death < deaths_n && killed[death]->died < events[i].at; death++)
            fprintf(to, "%" PRIu32 " killed\n", killed[death]->client);
        fprintf(to, "%" PRIu32 " ", operation->client);
        if (!events[i].ends)
            history_print_request(to, history, operation);
        if (!events[i].ends && i + 1 < n && events[i + 1].ends &&
            events[i + 1].operation == events[i].operation) {
            i++;
            fputc(' ', to);
        }
        if (events[i].ends) {
            fputs("-> ", to);
            history_print_response(to, history, operation);
        }
        fputc('\n', to);
    }
    for (; death < deaths_n; death++)
        fprintf(to, "%" PRIu32 " killed\n", killed[death]->client);
    free(killed);
    free(events);
}

/* ---- Reading --------------------------------------------------------------------------------- */

#define CLIENTS 1024u

struct reading {
    struct history *history;
    uint32_t capacity;
    uint64_t time;
    uint32_t pending[CLIENTS]; /* number of the operation that it has begun, + 1 */
    char *at;                  /* in the line */
    bool wrong;
};

static void skip_blanks(struct reading *reading)
{
    while (isspace((unsigned char)*reading->at))
        reading->at++;
}

/* Whether `word` comes next; then it is behind us. */
static bool accept(struct reading *reading, const char *word)
{
    size_t len = strlen(word);

    skip_blanks(reading);
    if (strncmp(reading->at, word, len) != 0)
        return false;
    if (isalnum((unsigned char)word[len - 1]) && isalnum((unsigned char)reading->at[len]))
        return false;
    reading->at += len;
    return true;
}

static bool at_end(struct reading *reading)
{
    skip_blanks(reading);
    return *reading->at == '\0';
}

static uint64_t number(struct reading *reading)
{
    uint64_t value = 0;

    skip_blanks(reading);
    if (!isdigit((unsigned char)*reading->at))
        reading->wrong = true;
    else
        value = strtoull(reading->at, &reading->at, 10);
    return value;
}

static uint64_t value(struct reading *reading)
{
    if (accept(reading, "none"))
        return 0;
    return accept(reading, "torn") ? HISTORY_TORN : number(reading);
}

/* A key's number; a new name is a new key. */
static uint32_t key(struct reading *reading)
{
    struct history *history = reading->history;
    char name[sizeof(history->names[0])];
    size_t len = 0;

    skip_blanks(reading);
    while (isalnum((unsigned char)*reading->at) && len + 1 < sizeof(name))
        name[len++] = *reading->at++;
    name[len] = '\0';
    for (uint32_t i = 0; i < history->keys; i++)
        if (strcmp(history->names[i], name) == 0)
            return i;
    if (len == 0 || history->keys == HISTORY_KEYS) {
        reading->wrong = true;
        return 0;
    }
    memcpy(history->names[history->keys], name, len + 1);
    history->weights[history->keys] = 1;
    return history->keys++;
}

static void change(struct reading *reading, struct operation *operation)
{
    struct change *next = &operation->changes[operation->changes_n];
    uint32_t kind = 0;

    while (kind < CHANGE_NAMES && !accept(reading, change_names[kind]))
        kind++;
    if (kind == CHANGE_NAMES || operation->changes_n == HISTORY_CHANGES) {
        reading->wrong = true;
        return;
    }
    next->kind = (enum change_kind)kind;
    next->key = key(reading);
    if (next->kind == CHANGE_CAS)
        next->expected = value(reading);
    if (next->kind != CHANGE_REMOVE && next->kind != CHANGE_DELETE)
        next->value = number(reading);
    operation->changes_n++;
}

static bool arrow_is_next(struct reading *reading)
{
    skip_blanks(reading);
    return strncmp(reading->at, "->", 2) == 0;
}

static void request(struct reading *reading, struct operation *operation)
{
    bool of_keys = true;

    if (accept(reading, "batch")) {
        operation->kind = OPERATION_BATCH;
        do {
            change(reading, operation);
        } while (!reading->wrong && accept(reading, ","));
        return;
    }
    if (accept(reading, "read")) {
        operation->kind = OPERATION_READ;
    } else if (accept(reading, "exists")) {
        operation->kind = OPERATION_EXISTS;
    } else if (accept(reading, "peek")) {
        operation->kind = OPERATION_PEEK;
    } else if (accept(reading, "iterate")) {
        operation->kind = OPERATION_ITERATE;
        of_keys = false;
    } else if (accept(reading, "count")) {
        operation->kind = OPERATION_COUNT;
        of_keys = false;
    } else {
        operation->kind = OPERATION_ALTER;
        change(reading, operation);
        return;
    }
    while (of_keys && !reading->wrong && !arrow_is_next(reading) && !at_end(reading)) {
        if (operation->changes_n == HISTORY_CHANGES) {
            reading->wrong = true;
            return;
        }
        operation->changes[operation->changes_n].kind = CHANGE_WRITE;
        operation->changes[operation->changes_n++].key = key(reading);
    }
}

static void response_seen(struct reading *reading, struct operation *operation)
{
    struct seen *seen = calloc(HISTORY_KEYS, sizeof(*seen));

    if (seen == NULL)
        abort();
    operation->seen = seen;
    operation->has_seen = !accept(reading, "unread");
    if (!operation->has_seen || accept(reading, "nothing"))
        return;
    while (!reading->wrong && !at_end(reading)) {
        struct seen *next = &seen[operation->seen_n];

        if (operation->seen_n == HISTORY_KEYS) {
            reading->wrong = true;
            return;
        }
        if (operation->kind == OPERATION_ITERATE) {
            next->key = key(reading);
            reading->wrong = reading->wrong || !accept(reading, "=");
        } else if (operation->seen_n < operation->changes_n) {
            next->key = operation->changes[operation->seen_n].key;
        } else {
            reading->wrong = true;
        }
        next->value = value(reading);
        operation->seen_n++;
    }
    if (operation->kind == OPERATION_PEEK && operation->seen_n != operation->changes_n)
        reading->wrong = true;
}

static void response_success(struct reading *reading, struct operation *operation)
{
    switch (operation->kind) {
    case OPERATION_ALTER:
        if (operation->changes[0].kind == CHANGE_INCR)
            operation->result = number(reading);
        else
            reading->wrong = !accept(reading, "ok");
        break;
    case OPERATION_BATCH:
        reading->wrong = !accept(reading, "ok");
        operation->result = at_end(reading) ? HISTORY_UNKNOWN : number(reading);
        break;
    case OPERATION_READ:
        operation->result = value(reading);
        break;
    case OPERATION_EXISTS:
        reading->wrong = !accept(reading, "yes");
        break;
    case OPERATION_PEEK:
    case OPERATION_ITERATE:
        response_seen(reading, operation);
        break;
    case OPERATION_COUNT:
        operation->result = number(reading);
        break;
    }
}

static void response(struct reading *reading, struct operation *operation)
{
    bool of_one = operation->kind == OPERATION_READ || operation->kind == OPERATION_EXISTS;

    operation->responded = ++reading->time;
    if (accept(reading, "busy")) {
        operation->outcome = OUTCOME_BUSY;
    } else if (of_one && (accept(reading, "none") || accept(reading, "no"))) {
        operation->outcome = OUTCOME_NOTFOUND;
    } else if (operation_changes(operation) && accept(reading, "notfound")) {
        operation->outcome = OUTCOME_NOTFOUND;
    } else if (operation_changes(operation) && accept(reading, "conflict")) {
        operation->outcome = OUTCOME_CONFLICT;
    } else if (operation_changes(operation) && accept(reading, "exists")) {
        operation->outcome = OUTCOME_EXISTS;
        if (operation->kind == OPERATION_BATCH)
            operation->result = number(reading);
    } else {
        operation->outcome = OUTCOME_OK;
        response_success(reading, operation);
    }
}

static struct operation *add_operation(struct reading *reading, uint32_t client)
{
    struct history *history = reading->history;

    if (history->n == reading->capacity) {
        reading->capacity = 2 * reading->capacity + 64;
        history->operations = realloc(history->operations,
                                      reading->capacity * sizeof(*history->operations));
        if (history->operations == NULL)
            abort();
    }
    reading->pending[client] = history->n + 1;
    history->operations[history->n] = (struct operation){
        .invoked = ++reading->time,
        .responded = HISTORY_NEVER,
        .died = HISTORY_NEVER,
        .client = client,
        .result = HISTORY_UNKNOWN,
    };
    return &history->operations[history->n++];
}

static void read_event(struct reading *reading)
{
    uint64_t client = number(reading);
    struct operation *operation = NULL;

    if (reading->wrong || client >= CLIENTS) {
        reading->wrong = true;
        return;
    }
    if (reading->pending[client] != 0)
        operation = &reading->history->operations[reading->pending[client] - 1];
    if (accept(reading, "killed")) {
        if (operation != NULL)
            operation->died = ++reading->time;
        reading->pending[client] = 0;
    } else if (arrow_is_next(reading) == (operation == NULL)) {
        reading->wrong = true; /* an end without a beginning, or a second beginning */
    } else {
        if (operation == NULL) {
            operation = add_operation(reading, (uint32_t)client);
            request(reading, operation);
        }
        if (!reading->wrong && accept(reading, "->")) {
            response(reading, operation);
            reading->pending[client] = 0;
        }
    }
    reading->wrong = reading->wrong || !at_end(reading);
}

static void read_weights(struct reading *reading)
{
    while (!reading->wrong && !at_end(reading)) {
        uint32_t wide = key(reading);

        if (!accept(reading, "="))
            reading->wrong = true;
        else
            reading->history->weights[wide] = (uint32_t)number(reading);
    }
}

bool history_read(FILE *from, struct history *ret_history, const char **ret_fault)
{
    static char fault[400];
    struct history history = {0};
    struct reading reading = {.history = &history};
    char line[1000], copy[sizeof(line)];

    while (!reading.wrong && fgets(line, sizeof(line), from) != NULL && line[0] != '\n') {
        memcpy(copy, line, sizeof(copy));
        line[strcspn(line, "#\n")] = '\0';
        reading.at = line;
        if (at_end(&reading))
            continue;
        if (accept(&reading, "weights"))
            read_weights(&reading);
        else
            read_event(&reading);
    }
    if (reading.wrong) {
        (void)snprintf(fault, sizeof(fault), "not understood from \"%.100s\" on: %.200s",
                       reading.at, copy);
        *ret_fault = fault;
        history_free(&history);
        return false;
    }
    *ret_history = history;
    return true;
}

void history_free(struct history *history)
{
    for (uint32_t i = 0; i < history->n; i++)
        free((void *)(uintptr_t)history->operations[i].seen);
    free(history->operations);
    *history = (struct history){0};
}
