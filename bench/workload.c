/* SPDX-License-Identifier: MIT */
/* Records, and visits to them. */
#include "bench/workload.h"

#include "bench/common.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Shapes ---------------------------------------------------------------------------------- */

static size_t readme_key(uint32_t id, char buf[WORKLOAD_KEY_MAX])
{
    return (size_t)snprintf(buf, WORKLOAD_KEY_MAX, "key_%06u", (unsigned)id);
}

static size_t readme_missing(uint32_t id, char buf[WORKLOAD_KEY_MAX])
{
    return (size_t)snprintf(buf, WORKLOAD_KEY_MAX, "key_%06u.", (unsigned)id);
}

static size_t readme_value(uint32_t id, unsigned version, char buf[WORKLOAD_VALUE_MAX])
{
    return (size_t)snprintf(buf, WORKLOAD_VALUE_MAX,
                            "{\"id\": %u, \"name\": \"item %u\", \"score\": %u.%u, \"tags\": "
                            "[\"alpha\", \"beta\"%s], \"version\": %u}",
                            (unsigned)id, (unsigned)id, (unsigned)id % 100, (unsigned)id % 10,
                            version < 10 ? "" : ", \"grown\"", version);
}

const struct shape shape_readme = {"readme", readme_key, readme_missing, readme_value};

/* Sixteen letters from 64 bits: bench_mix() is a bijection, so different numbers give different
 * keys. */
static size_t spell(uint64_t number, char *buf)
{
    uint64_t bits = bench_mix(number);

    for (int i = 0; i < 16; i++, bits >>= 4)
        buf[i] = (char)('a' + (bits & 15));
    return 16;
}

static size_t fixed_key(uint32_t id, char buf[WORKLOAD_KEY_MAX])
{
    return spell(id, buf);
}

static size_t fixed_missing(uint32_t id, char buf[WORKLOAD_KEY_MAX])
{
    return spell((uint64_t)1 << 32 | id, buf);
}

static size_t fixed_value(uint32_t id, unsigned version, char buf[WORKLOAD_VALUE_MAX])
{
    uint64_t state = (uint64_t)version << 32 | id;

    for (size_t at = 0; at < 100; at += sizeof state) {
        state = bench_mix(state);
        memcpy(buf + at, &state, 100 - at < sizeof state ? 100 - at : sizeof state);
    }
    return 100;
}

const struct shape shape_fixed = {"16B/100B", fixed_key, fixed_missing, fixed_value};

/* ---- Visits ---------------------------------------------------------------------------------- */

void visit_init(struct visit *visit, size_t n)
{
    visit->pairs = bench_alloc(n, sizeof *visit->pairs);
    visit->ids = bench_alloc(n, sizeof *visit->ids);
    visit->keys = bench_alloc(n, WORKLOAD_KEY_MAX);
    visit->values = bench_alloc(n, WORKLOAD_VALUE_MAX);
    visit->n = n;
}

void visit_free(struct visit *visit)
{
    free(visit->pairs);
    free(visit->ids);
    free(visit->keys);
    free(visit->values);
}

/* Lay out the records of visit->ids, one behind the other. */
static void lay_out(struct visit *visit, const struct shape *shape, unsigned version)
{
    char *key = visit->keys;
    char *value = visit->values;

    for (size_t i = 0; i < visit->n; i++) {
        struct pair *pair = &visit->pairs[i];

        pair->key = key;
        pair->key_len = shape->key(visit->ids[i], key);
        pair->value = value;
        pair->value_len = shape->value(visit->ids[i], version, value);
        key += pair->key_len;
        value += pair->value_len;
    }
}

void visit_fill(struct visit *visit, const struct shape *shape, unsigned version, uint64_t seed)
{
    bench_shuffle(visit->ids, visit->n, seed);
    lay_out(visit, shape, version);
}

void visit_fill_range(struct visit *visit, const struct shape *shape, unsigned version,
                      uint32_t first)
{
    for (size_t i = 0; i < visit->n; i++)
        visit->ids[i] = first + (uint32_t)i;
    lay_out(visit, shape, version);
}

void visit_fill_sample(struct visit *visit, const struct shape *shape, unsigned version,
                       size_t records, uint64_t seed)
{
    for (size_t i = 0; i < visit->n; i++)
        visit->ids[i] = (uint32_t)(bench_mix(bench_mix(seed) + i) % records);
    lay_out(visit, shape, version);
}

void visit_fill_missing(struct visit *visit, const struct shape *shape, uint64_t seed)
{
    char *key = visit->keys;

    bench_shuffle(visit->ids, visit->n, seed);
    for (size_t i = 0; i < visit->n; i++) {
        visit->pairs[i] = (struct pair){.key = key, .key_len = shape->missing(visit->ids[i], key)};
        key += visit->pairs[i].key_len;
    }
}

size_t visit_count_wrong(const struct visit *visit, const struct engine *engine, void *db)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t wrong = 0;

    for (size_t i = 0; i < visit->n; i++) {
        const struct pair *pair = &visit->pairs[i];
        size_t len;

        if (engine->get(db, pair, buf, sizeof buf, &len) != ENGINE_OK || len != pair->value_len ||
            memcmp(buf, pair->value, len) != 0)
            wrong++;
    }
    return wrong;
}

size_t visit_count_found(const struct visit *visit, const struct engine *engine, void *db)
{
    char buf[WORKLOAD_VALUE_MAX];
    size_t found = 0;

    for (size_t i = 0; i < visit->n; i++) {
        size_t len;

        if (engine->get(db, &visit->pairs[i], buf, sizeof buf, &len) == ENGINE_OK)
            found++;
    }
    return found;
}

/* Whether the value of the pair's key is one that `shape` makes of its id. */
static bool is_strange(const struct visit *visit, size_t i, const struct shape *shape,
                       unsigned versions, const struct engine *engine, void *db)
{
    char buf[WORKLOAD_VALUE_MAX], expected[WORKLOAD_VALUE_MAX];
    size_t len;

    if (engine->get(db, &visit->pairs[i], buf, sizeof buf, &len) != ENGINE_OK)
        return true;
    for (unsigned version = 0; version < versions; version++)
        if (shape->value(visit->ids[i], version, expected) == len &&
            memcmp(buf, expected, len) == 0)
            return false;
    return true;
}

size_t visit_count_strange(const struct visit *visit, const struct shape *shape, unsigned versions,
                           uint64_t limit_ns, const struct engine *engine, void *db)
{
    uint64_t start = bench_now();
    size_t strange = 0;

    for (size_t i = 0; i < visit->n; i++) {
        if (limit_ns > 0 && i % 64 == 0 && bench_now() - start > limit_ns)
            break;
        strange += is_strange(visit, i, shape, versions, engine, db);
    }
    return strange;
}

void visit_tour(const struct visit *visit, struct tour *ret_tour)
{
    *ret_tour = (struct tour){0};
    for (size_t i = 0; i < visit->n; i++) {
        const struct pair *pair = &visit->pairs[i];

        tour_add(ret_tour, pair->key, pair->key_len, pair->value, pair->value_len);
    }
}

void visit_store(const struct visit *visit, const struct engine *engine, void *db, size_t batch)
{
    for (size_t i = 0; i < visit->n; i += batch)
        engine->batch(db, visit->pairs + i, visit->n - i < batch ? visit->n - i : batch);
}
