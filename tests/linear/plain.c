/* SPDX-License-Identifier: MIT */
/*
 * See plain.h. The rules stand here once more as they are promised: a reader takes its step when
 * the search says, the order of last write is part of the state, a peek that has begun to read dies
 * with a batch that it may not see in part, and nothing is remembered.
 */
#include "tests/linear/plain.h"

bool machine_begin(struct machine *machine, uint32_t number)
{
    const struct operation *operation = &machine->history->operations[number];

    if (machine->begun != PLAIN_NOBODY || machine->never[number] ||
        !model_begin(&machine->state, &machine->tasks[number]))
        return false;
    machine->commits++;
    for (uint32_t i = 0; i < machine->history->n; i++) {
        if (machine->history->operations[i].died < operation->invoked)
            machine->never[i] = true;
        if (machine->tasks[i].kind == TASK_PEEK && !machine->done[i] && machine->read[i] != 0 &&
            model_ties(&machine->tasks[i], machine->state.changed))
            return false;
    }
    for (uint32_t key = 0; key < machine->history->keys; key++)
        if ((machine->state.changed >> key & 1) != 0)
            machine->written[key] = machine->commits * HISTORY_CHANGES +
                                    operation_place(operation, key);
    if (machine->state.changed == 0)
        machine->done[number] = true;
    else
        machine->begun = number;
    return true;
}

bool machine_conclude(struct machine *machine)
{
    if (machine->begun == PLAIN_NOBODY || machine->state.left != 0)
        return false;
    model_conclude(&machine->state, machine->history);
    machine->done[machine->begun] = true;
    machine->begun = PLAIN_NOBODY;
    return true;
}

bool machine_publish(struct machine *machine, uint32_t key)
{
    if ((machine->state.left >> key & 1) == 0)
        return false;
    model_publish(&machine->state, &machine->tasks[machine->begun], key);
    return true;
}

static bool order_fits(const struct machine *machine, const struct operation *iteration)
{
    for (uint32_t i = 1; i < iteration->seen_n; i++)
        if (machine->written[iteration->seen[i].key] <=
            machine->written[iteration->seen[i - 1].key])
            return false;
    return true;
}

static bool machine_peek(struct machine *machine, uint32_t number, uint32_t key)
{
    const struct task *peek = &machine->tasks[number];

    if ((peek->keys >> key & 1) == 0 || (machine->read[number] >> key & 1) != 0 ||
        machine->state.values[key] != peek->targets[key] ||
        (machine->state.left != 0 && model_ties(peek, machine->state.changed)))
        return false;
    machine->read[number] |= UINT32_C(1) << key;
    machine->done[number] = machine->read[number] == peek->keys;
    return true;
}

static bool machine_read(struct machine *machine, uint32_t number)
{
    const struct task *begun = machine->begun != PLAIN_NOBODY ? &machine->tasks[machine->begun]
                                                              : NULL;

    if (!model_allows(&machine->state, begun, &machine->tasks[number]))
        return false;
    if (machine->tasks[number].kind == TASK_ITERATE &&
        !order_fits(machine, machine->tasks[number].operation))
        return false;
    machine->done[number] = true;
    return true;
}

/* ---- The search ------------------------------------------------------------------------------ */

static bool explore(const struct machine *machine);

/* With this operation's next step, whichever it may be. */
static bool explore_operation(const struct machine *from, uint32_t number)
{
    struct machine to = *from;

    if (from->tasks[number].kind == TASK_COMMIT)
        return from->begun != number && machine_begin(&to, number) && explore(&to);
    if (from->tasks[number].kind != TASK_PEEK)
        return machine_read(&to, number) && explore(&to);
    for (uint32_t key = 0; key < from->history->keys; key++) {
        to = *from;
        if (machine_peek(&to, number, key) && explore(&to))
            return true;
    }
    return false;
}

/* With the next step of the commit that is begun. The first key is published as it begins: so says
 * begin(), by the rule that nobody reads in between. */
static bool explore_commit(const struct machine *from)
{
    struct machine to = *from;

    if (machine_conclude(&to) && explore(&to))
        return true;
    for (uint32_t key = 0; key < from->history->keys; key++) {
        to = *from;
        if (machine_publish(&to, key) && explore(&to))
            return true;
    }
    return false;
}

static bool explore(const struct machine *machine)
{
    uint64_t first_response = HISTORY_NEVER;
    bool nothing_published = machine->begun != PLAIN_NOBODY && machine->state.left != 0 &&
                             machine->state.left == machine->state.changed;

    for (uint32_t i = 0; i < machine->history->n; i++)
        if (!machine->done[i] && machine->history->operations[i].responded < first_response)
            first_response = machine->history->operations[i].responded;
    if (first_response == HISTORY_NEVER)
        return true;
    if (machine->begun != PLAIN_NOBODY && explore_commit(machine))
        return true;
    for (uint32_t i = 0; i < machine->history->n && !nothing_published; i++)
        if (!machine->done[i] && machine->history->operations[i].invoked < first_response &&
            explore_operation(machine, i))
            return true;
    return false;
}

static void machine_make(const struct history *history, struct machine *ret_machine)
{
    struct machine machine = {.history = history, .begun = PLAIN_NOBODY};

    for (uint32_t i = 0; i < history->n; i++) {
        task_make(history, i, scope_whole(history), &machine.tasks[i]);
        machine.done[i] = machine.tasks[i].kind == TASK_NOTHING;
    }
    *ret_machine = machine;
}

bool plain_is_legal(const struct history *history)
{
    struct machine machine;

    machine_make(history, &machine);
    return explore(&machine);
}
