/* SPDX-License-Identifier: MIT */
/*
 * What is aimed at. Each is a ratio (or a difference) that is taken within every round, so that
 * what slows a round down slows both; of the rounds the median is judged.
 */
#include "bench/common.h"
#include "bench/peers/bench.h"

#include <string.h>

/* With what lxdb's row is compared: an engine's name, or one of these. */
#define LMDB "lmdb"          /* the better of its two settings */
#define BEST "the best peer" /* of all that are stores */
#define ITSELF "lxdb"        /* another row of it */
#define ABSOLUTE NULL

enum { TIMES = 0, RATES = 1u << 0, DIFFERENCE = 1u << 1 };

struct rule {
    const char *name;
    const char *workload, *row;
    const char *peer, *peer_row; /* peer_row NULL: the same row */
    unsigned kind;
    enum aim aim;
    double wanted;
    const char *engine; /* NULL: lxdb */
};

static const struct rule rules[] = {
    {"get, small", "small", "get", "kyoto", NULL, TIMES, AT_MOST, 0.5, NULL},
    {"get, small", "small", "get", LMDB, NULL, TIMES, AT_MOST, 0.25, NULL},
    {"get, large", "large", "get", "kyoto", NULL, TIMES, AT_MOST, 0.45, NULL},
    {"get, large", "large", "get", LMDB, NULL, TIMES, AT_MOST, 0.22, NULL},
    {"get miss, small", "small", "get miss", BEST, NULL, TIMES, AT_MOST, 0.3, NULL},
    {"get miss, large", "large", "get miss", BEST, NULL, TIMES, AT_MOST, 0.3, NULL},
    {"16 gets at once, large", "large", "get 16 at once", ITSELF, "get", TIMES, AT_MOST, 0.65,
     NULL},
    {"create, small", "small", "create", "tkrzw", NULL, TIMES, AT_MOST, 0.6, NULL},
    {"update same size, small", "small", "update same size", "kyoto", NULL, TIMES, AT_MOST, 0.9,
     NULL},
    {"update other size, small", "small", "update other size", BEST, NULL, TIMES, AT_MOST, 0.5,
     NULL},
    {"delete, small", "small", "delete", BEST, NULL, TIMES, AT_MOST, 0.4, NULL},
    {"update, large", "large", "update", "kyoto", NULL, TIMES, AT_MOST, 0.5, NULL},
    {"update, large", "large", "update", LMDB, NULL, TIMES, AT_MOST, 0.1, NULL},
    {"batch put, small", "small", "batch put", BEST, NULL, TIMES, AT_MOST, 0.4, NULL},
    {"batch delete, small", "small", "batch delete", BEST, NULL, TIMES, AT_MOST, 0.35, NULL},
    {"iterate, small", "small", "iterate", LMDB, NULL, TIMES, AT_MOST, 0.5, NULL},
    {"typed get over raw, small", "small", "get", ITSELF, NULL, DIFFERENCE, AT_MOST, 100,
     "lxdb-json"},
    {"typed set over raw, small", "small", "update same size", ITSELF, NULL, DIFFERENCE, AT_MOST,
     100, "lxdb-json"},
    {"two readers", "processes", "2 readers", ITSELF, "1 reader", RATES, AT_LEAST, 1.9, NULL},
    {"two readers", "processes", "2 readers", "tdb", NULL, RATES, AT_LEAST, 2.5, NULL},
    {"reader beside a writer", "processes", "reader beside", ITSELF, "reader, timed", RATES,
     AT_LEAST, 0.85, NULL},
    {"reader beside a writer, p50", "processes", "reader p50", LMDB, NULL, TIMES, AT_MOST, 0.5,
     NULL},
    {"reader beside a writer, p99.9", "processes", "reader p99.9", LMDB, NULL, TIMES, AT_MOST, 0.5,
     NULL},
    {"writer beside a reader", "processes", "writer beside", "tdb", NULL, RATES, AT_LEAST, 2, NULL},
    {"two writers", "processes", "2 writers", "tdb", NULL, RATES, AT_LEAST, 1, NULL},
    {"two writers", "processes", "2 writers", LMDB, NULL, RATES, AT_LEAST, 15, NULL},
    {"two writers, the slower one's part", "processes", "least of 2", ABSOLUTE, NULL, RATES,
     AT_LEAST, 0.5, NULL},
    {"durable puts by 1", "durable", "puts by 1", BEST, NULL, RATES, AT_LEAST, 0.95, NULL},
    {"durable puts by 4", "durable", "puts by 4", "berkeley", NULL, RATES, AT_LEAST, 1.5, NULL},
    {"durable puts by 16", "durable", "puts by 16", ITSELF, "puts by 1", RATES, AT_LEAST, 5, NULL},
    {"reopen with a kept index, ms", "large", "reopen", ABSOLUTE, NULL, TIMES, AT_MOST, 0.3, NULL},
    {"rebuild of a record, ns", "large", "rebuild", ABSOLUTE, NULL, TIMES, AT_MOST, 60, NULL},
    {"p99.99 of a put while loading, us", "load", "p99.99", ABSOLUTE, NULL, TIMES, AT_MOST, 100,
     NULL},
    {"compaction, of a copy", "large", "compact", "floor", NULL, TIMES, AT_MOST, 2, NULL},
    {"compaction, of a copy and a sync", "large", "compact", "floor", "copy and sync", TIMES,
     AT_MOST, 2, NULL},
    {"longest put beside a compaction, us", "load", "longest meanwhile", ABSOLUTE, NULL, TIMES,
     AT_MOST, 5000, NULL},
};

#define RULES (sizeof rules / sizeof rules[0])

static bool stands_for(const char *peer, const struct engine *engine)
{
    if (strcmp(peer, BEST) == 0)
        return (engine->traits & (ENGINE_OURS | ENGINE_FLOOR)) == 0;
    if (strcmp(peer, LMDB) == 0)
        return strncmp(engine->name, LMDB, strlen(LMDB)) == 0;
    return strcmp(peer, engine->name) == 0;
}

/* The best value in a round of the engines that a rule compares with. */
static bool find_peer(const struct bench *bench, const struct rule *rule, size_t round,
                      double *ret_value, const char **ret_name)
{
    const char *row = rule->peer_row != NULL ? rule->peer_row : rule->row;
    bool found = false;

    for (size_t i = 0; i < bench->n_engines; i++) {
        const struct engine *engine = bench->engines[i];
        const struct sample *sample = results_find(bench->results, rule->workload, row,
                                                   engine->name);
        double value;

        if (!stands_for(rule->peer, engine) || sample == NULL || round >= sample->n)
            continue;
        value = sample->value[round];
        if (!found || (rule->kind & RATES ? value > *ret_value : value < *ret_value)) {
            *ret_value = value;
            *ret_name = engine->name;
        }
        found = true;
    }
    return found;
}

/* What the figure of a rule is in terms of; `peer` is the engine that was compared with. */
static void name_unit(const struct rule *rule, const char *peer, char *unit, size_t size)
{
    if (rule->peer == NULL)
        unit[0] = '\0';
    else if (rule->kind & DIFFERENCE)
        snprintf(unit, size, "ns more");
    else if (strcmp(rule->peer, ITSELF) == 0)
        snprintf(unit, size, "of %s", rule->peer_row);
    else
        snprintf(unit, size, "of %s", peer);
}

static void judge(struct bench *bench, const struct rule *rule)
{
    struct results *results = bench->results;
    const struct sample *own = results_find(results, rule->workload, rule->row,
                                            rule->engine != NULL ? rule->engine : ITSELF);
    const char *compared = NULL;
    struct target *target = &results->target[results->n_targets];

    if (own == NULL)
        return;
    if (results->n_targets == RESULTS_TARGETS_MAX)
        bench_fail(BENCH_BROKEN, "more than %d targets", RESULTS_TARGETS_MAX);
    *target = (struct target){.aim = rule->aim, .wanted = rule->wanted};
    for (size_t round = 0; round < own->n; round++) {
        const char *name = NULL;
        double peer = 1;

        if (rule->peer != NULL && !find_peer(bench, rule, round, &peer, &name))
            continue;
        sample_add(&target->measured,
                   rule->kind & DIFFERENCE ? own->value[round] - peer : own->value[round] / peer);
        /* One engine may be the best in one round, another in the next. */
        compared = compared == NULL || compared == name ? name : rule->peer;
    }
    if (target->measured.n == 0)
        return;
    snprintf(target->name, sizeof target->name, "%s", rule->name);
    name_unit(rule, compared, target->unit, sizeof target->unit);
    results->n_targets++;
}

void targets_print(struct bench *bench)
{
    for (size_t i = 0; i < RULES; i++)
        judge(bench, &rules[i]);
    results_print_targets(bench->results);
}
