/* SPDX-License-Identifier: MIT */
/* Small random histories: the machine plays with clients that ask, and die, at random. */
#include "tests/linear/plain.h"

#include <stdlib.h>
#include <string.h>

#define CLIENTS 3u
#define KEYS 3u
#define STAMP_STEP 2u

struct play {
    harness_rng *rng;
    struct history history;
    struct machine machine;
    struct seen seen[PLAIN_OPERATIONS][HISTORY_KEYS];
    uint64_t time;
    uint64_t values; /* written so far: they are unique */
    uint32_t clients;
    uint32_t names[CLIENTS];   /* of the clients that live */
    uint32_t current[CLIENTS]; /* what each has under way, or PLAIN_NOBODY */
};

static bool one_of(harness_rng *rng, uint32_t n)
{
    return harness_below(rng, n) == 0;
}

static struct change random_change(struct play *play, bool in_batch)
{
    struct change change = {.value = ++play->values};

    change.key = (uint32_t)harness_below(play->rng, KEYS);
    change.kind = (enum change_kind)harness_below(play->rng, in_batch ? 3 : CHANGE_INCR + 1);
    if (change.kind == CHANGE_CAS)
        change.expected = one_of(play->rng, 2) ? 0 : harness_below(play->rng, play->values);
    if (change.kind == CHANGE_REMOVE || change.kind == CHANGE_DELETE)
        change.value = 0;
    if (change.kind == CHANGE_REMOVE && !in_batch)
        change = (struct change){CHANGE_WRITE, change.key, ++play->values, 0};
    if (change.kind == CHANGE_INCR) /* large, so that no sum is another value */
        change.value = UINT64_C(1) << (20 + play->values);
    return change;
}

static struct operation random_request(struct play *play, uint32_t client)
{
    static const enum operation_kind kinds[] = {
        OPERATION_ALTER, OPERATION_ALTER,  OPERATION_ALTER, OPERATION_BATCH,   OPERATION_BATCH,
        OPERATION_READ,  OPERATION_EXISTS, OPERATION_PEEK,  OPERATION_ITERATE, OPERATION_COUNT,
    };
    struct operation operation = {
        .invoked = play->time += STAMP_STEP,
        .responded = HISTORY_NEVER,
        .died = HISTORY_NEVER,
        .kind = kinds[harness_below(play->rng, sizeof(kinds) / sizeof(kinds[0]))],
        .client = client,
        .result = HISTORY_UNKNOWN,
    };
    uint32_t first = (uint32_t)harness_below(play->rng, KEYS);

    switch (operation.kind) {
    case OPERATION_ALTER:
        operation.changes[operation.changes_n++] = random_change(play, false);
        break;
    case OPERATION_BATCH:
        while (operation.changes_n < 3 && (operation.changes_n < 2 || one_of(play->rng, 2)))
            operation.changes[operation.changes_n++] = random_change(play, true);
        break;
    case OPERATION_PEEK:
        operation.changes[operation.changes_n++].key = (first + 1) % KEYS;
        operation.changes[operation.changes_n++].key = first;
        break;
    case OPERATION_READ:
    case OPERATION_EXISTS:
        operation.changes[operation.changes_n++].key = first;
        break;
    case OPERATION_ITERATE:
    case OPERATION_COUNT:
        break;
    }
    return operation;
}

static void play_invoke(struct play *play, uint32_t seat)
{
    struct history *history = &play->history;
    uint32_t number = history->n++;

    history->operations[number] = random_request(play, play->names[seat]);
    /* as one without a response it may do anything; a reader's task is of no use yet */
    task_make(history, number, scope_whole(history), &play->machine.tasks[number]);
    play->current[seat] = number;
}

/* What was told, once it is over. */
static void play_tell(struct play *play, uint32_t number, enum outcome outcome, uint64_t result)
{
    play->history.operations[number].outcome = outcome;
    play->history.operations[number].result = result;
    play->machine.done[number] = true;
}

/* The machine does not begin it: because of what? */
static void play_refuse(struct play *play, uint32_t number)
{
    const struct task *task = &play->machine.tasks[number];
    const struct operation *operation = &play->history.operations[number];
    uint64_t values[HISTORY_KEYS], deleted;
    uint32_t place;

    memcpy(values, play->machine.state.values, sizeof(values));
    place = model_run(task, values, &deleted);
    if (operation->kind == OPERATION_BATCH)
        play_tell(play, number, OUTCOME_EXISTS,
                  operation_records_before(&play->history, operation, place));
    else if (operation->changes[0].kind == CHANGE_CREATE)
        play_tell(play, number, OUTCOME_EXISTS, HISTORY_UNKNOWN);
    else if (operation->changes[0].kind == CHANGE_CAS)
        play_tell(play, number, OUTCOME_CONFLICT, HISTORY_UNKNOWN);
    else
        play_tell(play, number, OUTCOME_NOTFOUND, HISTORY_UNKNOWN);
}

/* Peeks that have read and may not see this commit in part begin again. */
static void play_begin(struct play *play, uint32_t number)
{
    struct machine *machine = &play->machine;
    struct operation *operation = &play->history.operations[number];
    struct machine before = *machine;
    uint64_t values[HISTORY_KEYS], deleted;

    if (machine->begun != PLAIN_NOBODY || machine->never[number])
        return;
    memcpy(values, machine->state.values, sizeof(values));
    if (model_run(&machine->tasks[number], values, &deleted) != MODEL_NO_CHANGE) {
        if (operation->died == HISTORY_NEVER)
            play_refuse(play, number);
        return;
    }
    (void)model_begin(&before.state, &machine->tasks[number]);
    for (uint32_t i = 0; i < play->history.n; i++) {
        uint32_t asked = operation_keys(&play->history, &play->history.operations[i]);
        struct task peek = {.history = &play->history, .keys = asked};

        if (play->history.operations[i].kind == OPERATION_PEEK &&
            model_ties(&peek, before.state.changed))
            machine->read[i] = 0;
    }
    (void)machine_begin(machine, number);
    operation->result = operation->kind == OPERATION_BATCH ? deleted
                        : operation->changes[0].kind == CHANGE_INCR
                            ? values[operation->changes[0].key]
                            : HISTORY_UNKNOWN;
    if (machine->done[number])
        operation->outcome = OUTCOME_OK;
    else if (machine->state.left != 0)
        for (uint32_t key = (uint32_t)harness_below(play->rng, KEYS);; key = (key + 1) % KEYS)
            if (machine_publish(machine, key))
                break;
}

static void play_commit_goes_on(struct play *play)
{
    uint32_t begun = play->machine.begun;
    uint32_t first = (uint32_t)harness_below(play->rng, KEYS);

    if (machine_conclude(&play->machine)) {
        play->history.operations[begun].outcome = OUTCOME_OK;
        return;
    }
    for (uint32_t i = 0; i < KEYS; i++)
        if (machine_publish(&play->machine, (first + i) % KEYS))
            return;
}

static void play_see(struct play *play, uint32_t number, uint32_t key, uint64_t value)
{
    struct operation *operation = &play->history.operations[number];

    operation->seen = play->seen[number];
    play->seen[number][operation->seen_n++] = (struct seen){key, value};
}

/* The keys that are there, by when they were last written. */
static void play_iterate(struct play *play, uint32_t number)
{
    const struct machine *machine = &play->machine;
    uint64_t values[HISTORY_KEYS], last = 0, next;
    uint32_t found;

    for (uint32_t key = 0; key < KEYS; key++)
        values[key] = (machine->state.left >> key & 1) != 0
                          ? machine->tasks[machine->begun].targets[key]
                          : machine->state.values[key];
    do {
        next = UINT64_MAX;
        found = PLAIN_NOBODY;
        for (uint32_t key = 0; key < KEYS; key++) {
            if (values[key] != 0 && machine->written[key] > last && machine->written[key] < next) {
                next = machine->written[key];
                found = key;
            }
        }
        if (found != PLAIN_NOBODY)
            play_see(play, number, found, values[found]);
        last = next;
    } while (found != PLAIN_NOBODY);
    play->history.operations[number].has_seen = true;
    play_tell(play, number, OUTCOME_OK, HISTORY_UNKNOWN);
}

static void play_peek(struct play *play, uint32_t number)
{
    struct machine *machine = &play->machine;
    struct operation *operation = &play->history.operations[number];
    struct task peek = {.history = &play->history,
                        .keys = operation_keys(&play->history, operation)};
    uint32_t key = (uint32_t)harness_below(play->rng, KEYS);

    if ((peek.keys >> key & 1) == 0 ||
        (machine->state.left != 0 && model_ties(&peek, machine->state.changed)))
        return;
    machine->read[number] |= UINT32_C(1) << key;
    for (uint32_t i = 0; i < operation->changes_n; i++)
        if (operation->changes[i].key == key)
            play->seen[number][i] = (struct seen){key, machine->state.values[key]};
    if (machine->read[number] != peek.keys)
        return;
    operation->seen = play->seen[number];
    operation->seen_n = operation->changes_n;
    operation->has_seen = true;
    play_tell(play, number, OUTCOME_OK, HISTORY_UNKNOWN);
}

static void play_step(struct play *play, uint32_t number)
{
    const struct operation *operation = &play->history.operations[number];
    uint64_t value = play->machine.state.values[operation->changes[0].key];

    if (play->machine.done[number])
        return;
    switch (operation->kind) {
    case OPERATION_ALTER:
    case OPERATION_BATCH:
        if (play->machine.begun != number)
            play_begin(play, number);
        break;
    case OPERATION_READ:
        play_tell(play, number, value != 0 ? OUTCOME_OK : OUTCOME_NOTFOUND, value);
        break;
    case OPERATION_EXISTS:
        play_tell(play, number, value != 0 ? OUTCOME_OK : OUTCOME_NOTFOUND, HISTORY_UNKNOWN);
        break;
    case OPERATION_PEEK:
        play_peek(play, number);
        break;
    case OPERATION_ITERATE:
        play_iterate(play, number);
        break;
    case OPERATION_COUNT:
        play_tell(play, number, OUTCOME_OK, play->machine.state.count);
        break;
    }
}

/* Nobody is told the sum of a killed increment. Of two of them on a key it would not be clear which
 * was the last, and the checker does not look at their order. */
static bool may_be_killed(const struct play *play, uint32_t number)
{
    const struct change *change = &play->history.operations[number].changes[0];

    for (uint32_t i = 0; i < play->history.n && change->kind == CHANGE_INCR; i++)
        if (i != number && play->history.operations[i].responded == HISTORY_NEVER &&
            play->history.operations[i].changes[0].kind == CHANGE_INCR)
            return false;
    return true;
}

static void play_kill(struct play *play, uint32_t seat)
{
    uint32_t number = play->current[seat];

    if (number != PLAIN_NOBODY && !may_be_killed(play, number))
        return;
    if (number != PLAIN_NOBODY)
        play->history.operations[number].died = play->time += STAMP_STEP;
    play->names[seat] = ++play->clients;
    play->current[seat] = PLAIN_NOBODY;
}

static void play_once(struct play *play, uint32_t most)
{
    uint32_t seat = (uint32_t)harness_below(play->rng, CLIENTS);
    uint32_t number = play->current[seat];

    if (one_of(play->rng, 3) && play->machine.begun != PLAIN_NOBODY) {
        play_commit_goes_on(play);
    } else if (one_of(play->rng, 30)) {
        play_kill(play, seat);
    } else if (one_of(play->rng, 8)) { /* somebody's, also of the dead */
        play_step(play, (uint32_t)harness_below(play->rng, play->history.n));
    } else if (number == PLAIN_NOBODY) {
        if (play->history.n < most)
            play_invoke(play, seat);
    } else if (play->machine.done[number]) {
        play->history.operations[number].responded = play->time += STAMP_STEP;
        play->current[seat] = PLAIN_NOBODY;
    } else {
        play_step(play, number);
    }
}

/* For the same reason. */
static void play_end_increments(struct play *play)
{
    for (uint32_t seat = 0; seat < CLIENTS; seat++) {
        uint32_t number = play->current[seat];

        if (number == PLAIN_NOBODY ||
            play->history.operations[number].changes[0].kind != CHANGE_INCR)
            continue;
        if (play->machine.begun == number)
            play_commit_goes_on(play);
        if (play->machine.done[number])
            play->history.operations[number].responded = play->time += STAMP_STEP;
    }
}

/* Those without a response get what an operation without one has. */
static void play_end(struct play *play)
{
    play_end_increments(play);
    for (uint32_t i = 0; i < play->history.n; i++) {
        struct operation *operation = &play->history.operations[i];
        struct seen *seen = calloc(HISTORY_KEYS, sizeof(*seen));

        if (seen == NULL)
            abort();
        memcpy(seen, play->seen[i], HISTORY_KEYS * sizeof(*seen));
        operation->seen = seen;
        if (operation->responded == HISTORY_NEVER) {
            operation->outcome = OUTCOME_UNKNOWN;
            operation->result = HISTORY_UNKNOWN;
            operation->seen_n = 0;
            operation->has_seen = false;
        }
    }
}

void plain_make(harness_rng *rng, struct history *ret_history)
{
    struct play *play = calloc(1, sizeof(*play));
    uint32_t most = 4 + (uint32_t)harness_below(rng, PLAIN_OPERATIONS - 3);

    if (play == NULL)
        abort();
    play->rng = rng;
    play->history.keys = KEYS;
    play->history.operations = calloc(PLAIN_OPERATIONS, sizeof(*play->history.operations));
    if (play->history.operations == NULL)
        abort();
    for (uint32_t i = 0; i < KEYS; i++) {
        play->history.weights[i] = i == 2 ? 3 : 1;
        play->history.names[i][0] = (char)('a' + i);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        play->names[i] = ++play->clients;
        play->current[i] = PLAIN_NOBODY;
    }
    play->machine.history = &play->history;
    play->machine.begun = PLAIN_NOBODY;
    play_invoke(play, 0);
    for (unsigned i = 0; i < 200; i++)
        play_once(play, most);
    play_end(play);
    *ret_history = play->history;
    free(play);
}

static void spoil_seen(harness_rng *rng, struct operation *operation)
{
    struct seen *seen = (struct seen *)(uintptr_t)operation->seen;
    uint32_t a = (uint32_t)harness_below(rng, operation->seen_n);
    uint32_t b = (uint32_t)harness_below(rng, operation->seen_n);
    struct seen swap = seen[a];

    if (one_of(rng, 3)) {
        seen[a].value = harness_below(rng, 6);
    } else if (operation->kind == OPERATION_ITERATE && one_of(rng, 2)) {
        seen[a] = seen[b];
        seen[b] = swap;
    } else if (operation->kind == OPERATION_ITERATE) {
        seen[a] = seen[--operation->seen_n];
    } else {
        seen[a].value = 0;
    }
}

static void spoil_told(harness_rng *rng, struct operation *operation)
{
    if (operation->seen_n > 0) {
        spoil_seen(rng, operation);
    } else if (operation->kind == OPERATION_READ) {
        operation->result = harness_below(rng, 6);
        operation->outcome = operation->result != 0 ? OUTCOME_OK : OUTCOME_NOTFOUND;
    } else if (operation->kind == OPERATION_EXISTS) {
        operation->outcome = operation->outcome == OUTCOME_OK ? OUTCOME_NOTFOUND : OUTCOME_OK;
    } else if (operation->result != HISTORY_UNKNOWN) {
        operation->result += harness_below(rng, 2) == 0 ? 1 : UINT64_MAX;
        operation->result += operation->result == HISTORY_UNKNOWN;
    } else if (operation->kind == OPERATION_ALTER && operation->outcome == OUTCOME_OK &&
               operation->changes[0].kind == CHANGE_CREATE) {
        operation->outcome = OUTCOME_EXISTS;
    } else if (operation->kind == OPERATION_ALTER && operation->outcome == OUTCOME_OK &&
               operation->changes[0].kind == CHANGE_CAS) {
        operation->outcome = OUTCOME_CONFLICT;
    } else if (operation->kind == OPERATION_ALTER && operation->outcome > OUTCOME_OK) {
        operation->outcome = OUTCOME_OK;
    }
}

void plain_spoil(harness_rng *rng, struct history *history)
{
    struct operation *operation = &history->operations[harness_below(rng, history->n)];
    uint64_t shift = harness_below(rng, 6) * STAMP_STEP + STAMP_STEP / 2; /* between two stamps */

    if (operation->responded == HISTORY_NEVER)
        return;
    if (!one_of(rng, 4))
        spoil_told(rng, operation);
    else if (operation->responded > operation->invoked + shift) /* it comes sooner */
        operation->responded -= shift;
}
