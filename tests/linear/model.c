/* SPDX-License-Identifier: MIT */
/* See model.h. */
#include "tests/linear/model.h"

#include <string.h>

static bool in(uint32_t keys, uint32_t key)
{
    return (keys >> key & 1) != 0;
}

struct scope scope_whole(const struct history *history)
{
    return (struct scope){(UINT32_C(1) << history->keys) - 1, true};
}

uint32_t operation_place(const struct operation *operation, uint32_t key)
{
    uint32_t place = MODEL_NO_CHANGE;

    for (uint32_t i = 0; i < operation->changes_n; i++)
        if (operation->changes[i].key == key)
            place = i;
    return place;
}

uint64_t operation_records_before(const struct history *history, const struct operation *operation,
                                  uint32_t place)
{
    uint64_t records = 0;

    for (uint32_t i = 0; i < place; i++)
        records += history->weights[operation->changes[i].key];
    return records;
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

static void commit_task(struct task *task)
{
    const struct operation *operation = task->operation;

    task->kind = TASK_COMMIT;
    for (uint32_t i = 0; i < operation->changes_n; i++) {
        const struct change *change = &operation->changes[i];
        bool removes = change->kind == CHANGE_REMOVE || change->kind == CHANGE_DELETE;

        if (in(task->scope.keys, change->key))
            task->targets[change->key] = removes ? 0 : change->value;
        else
            task->outside = true;
    }
}

/* A refused batch says at which record; the change it belongs to. */
static void refused_batch_task(struct task *task)
{
    const struct operation *operation = task->operation;

    for (uint32_t i = 0; i < operation->changes_n; i++) {
        if (operation_records_before(task->history, operation, i) == operation->result &&
            in(task->scope.keys, operation->changes[i].key)) {
            task->kind = TASK_REFUSED;
            task->refused = i;
        }
    }
    /* the place of a record that is not the first of its key, or of no create at all */
    if (task->kind == TASK_NOTHING && task->scope.whole) {
        task->kind = TASK_REFUSED;
        task->refused = MODEL_NO_CHANGE;
    }
}

static void refused_task(struct task *task)
{
    const struct change *change = &task->operation->changes[0];

    task->key = change->key;
    task->expected = change->expected;
    if (task->operation->kind == OPERATION_BATCH)
        refused_batch_task(task);
    else if (task->operation->outcome == OUTCOME_EXISTS)
        task->kind = TASK_PRESENT;
    else
        task->kind = task->operation->outcome == OUTCOME_CONFLICT ? TASK_DIFFERS : TASK_ABSENT;
}

static void seen_task(struct task *task)
{
    const struct operation *operation = task->operation;

    task->kind = operation->kind == OPERATION_PEEK ? TASK_PEEK : TASK_ITERATE;
    for (uint32_t i = 0; i < operation->seen_n; i++) {
        const struct seen *seen = &operation->seen[i];
        bool nonsense = task->kind == TASK_ITERATE && seen->value == 0; /* what is missing */

        if (in(task->scope.keys, seen->key))
            task->targets[seen->key] = nonsense ? HISTORY_TORN : seen->value;
    }
}

static void reader_task(struct task *task)
{
    const struct operation *operation = task->operation;

    switch (operation->kind) {
    case OPERATION_READ:
        task->key = operation->changes[0].key;
        task->kind = operation->outcome == OUTCOME_OK ? TASK_VALUE : TASK_ABSENT;
        task->expected = operation->result;
        break;
    case OPERATION_EXISTS:
        task->key = operation->changes[0].key;
        task->kind = operation->outcome == OUTCOME_OK ? TASK_PRESENT : TASK_ABSENT;
        break;
    case OPERATION_PEEK:
    case OPERATION_ITERATE:
        seen_task(task);
        break;
    case OPERATION_COUNT:
        task->kind = task->scope.whole ? TASK_COUNT : TASK_NOTHING;
        task->expected = operation->result;
        break;
    case OPERATION_ALTER:
    case OPERATION_BATCH:
        break;
    }
}

void task_make(const struct history *history, uint32_t number, struct scope scope,
               struct task *ret_task)
{
    const struct operation *operation = &history->operations[number];
    struct task task = {.operation = operation, .history = history, .scope = scope};

    task.keys = operation_keys(history, operation) & scope.keys;
    if (task.keys != 0 && !operation_tells_nothing(operation)) {
        if (!operation_changes(operation))
            reader_task(&task);
        else if (operation->outcome == OUTCOME_OK || operation->outcome == OUTCOME_UNKNOWN)
            commit_task(&task);
        else
            refused_task(&task);
    }
    *ret_task = task;
}

/* ---- Commits --------------------------------------------------------------------------------- */

static bool condition_holds(const struct change *change, uint64_t value)
{
    switch (change->kind) {
    case CHANGE_CREATE:
        return value == 0;
    case CHANGE_UPDATE:
    case CHANGE_DELETE:
        return value != 0;
    case CHANGE_CAS:
        return value == change->expected;
    case CHANGE_WRITE:
    case CHANGE_REMOVE:
    case CHANGE_INCR:
        break;
    }
    return true;
}

uint32_t model_run(const struct task *task, uint64_t values[HISTORY_KEYS], uint64_t *ret_deleted)
{
    const struct operation *operation = task->operation;

    *ret_deleted = 0;
    for (uint32_t i = 0; i < operation->changes_n; i++) {
        const struct change *change = &operation->changes[i];
        uint64_t *value = &values[change->key];

        if (!in(task->scope.keys, change->key))
            continue;
        if (!condition_holds(change, *value))
            return i;
        if (change->kind == CHANGE_REMOVE || change->kind == CHANGE_DELETE) {
            *ret_deleted += *value != 0 ? task->history->weights[change->key] : 0;
            *value = 0;
        } else {
            *value = change->kind == CHANGE_INCR ? *value + change->value : change->value;
        }
    }
    return MODEL_NO_CHANGE;
}

/* What it was told must be what it did. */
static bool response_fits(const struct task *task, const uint64_t after[HISTORY_KEYS],
                          uint64_t deleted)
{
    const struct operation *operation = task->operation;

    if (operation->outcome != OUTCOME_OK || operation->result == HISTORY_UNKNOWN)
        return true;
    if (operation->kind == OPERATION_BATCH)
        return !task->scope.whole || operation->result == deleted;
    return operation->changes[0].kind != CHANGE_INCR ||
           operation->result == after[operation->changes[0].key];
}

bool model_begin(struct state *state, const struct task *task)
{
    uint64_t after[HISTORY_KEYS];
    uint64_t deleted;

    memcpy(after, state->values, sizeof(after));
    if (model_run(task, after, &deleted) != MODEL_NO_CHANGE || !response_fits(task, after, deleted))
        return false;
    for (uint32_t key = 0; key < HISTORY_KEYS; key++)
        if (in(task->keys, key) && (after[key] != 0 || state->values[key] != 0))
            state->changed |= UINT32_C(1) << key;
    state->left = state->changed;
    if (task->operation->changes[0].kind == CHANGE_INCR) {
        state->values[task->operation->changes[0].key] = after[task->operation->changes[0].key];
        state->left = 0;
    }
    return true;
}

void model_publish(struct state *state, const struct task *task, uint32_t key)
{
    state->values[key] = task->targets[key];
    state->left &= ~(UINT32_C(1) << key);
}

void model_conclude(struct state *state, const struct history *history)
{
    state->changed = 0;
    state->count = 0;
    for (uint32_t key = 0; key < history->keys; key++)
        state->count += state->values[key] != 0 ? history->weights[key] : 0;
}

/* ---- Readers --------------------------------------------------------------------------------- */

static bool iteration_fits(const struct state *state, const struct task *begun,
                           const struct task *reader)
{
    for (uint32_t key = 0; key < HISTORY_KEYS; key++) {
        uint64_t value = in(state->left, key) ? begun->targets[key] : state->values[key];

        if (in(reader->scope.keys, key) && value != reader->targets[key])
            return false;
    }
    return true;
}

bool model_allows(const struct state *state, const struct task *begun, const struct task *reader)
{
    uint64_t value = state->values[reader->key];
    uint64_t after[HISTORY_KEYS];
    uint64_t deleted;

    switch (reader->kind) {
    case TASK_VALUE:
        return value == reader->expected;
    case TASK_PRESENT:
        return value != 0;
    case TASK_ABSENT:
        return value == 0;
    case TASK_DIFFERS:
        return value != reader->expected;
    case TASK_REFUSED:
        memcpy(after, state->values, sizeof(after));
        return begun == NULL && reader->refused != MODEL_NO_CHANGE &&
               model_run(reader, after, &deleted) == reader->refused;
    case TASK_ITERATE:
        return iteration_fits(state, begun, reader);
    case TASK_COUNT:
        return state->count == reader->expected;
    case TASK_NOTHING:
    case TASK_COMMIT:
    case TASK_PEEK:
        break;
    }
    return false;
}

bool model_ties(const struct task *peek, uint32_t changed)
{
    uint32_t records = 0;

    for (uint32_t key = 0; key < peek->history->keys; key++)
        if (in(peek->keys & changed, key))
            records += peek->history->weights[key];
    return records >= 2;
}
