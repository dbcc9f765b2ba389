/* SPDX-License-Identifier: MIT */
/* The hash database of Kyoto Cabinet behind the operations of engine.h. One process, or readers. */
#include "bench/common.h"
#include "bench/engine.h"

#include <kclangc.h>
#include <stdbool.h>
#include <stdlib.h>

struct kyoto {
    KCDB *db;
    bool durable;
};

static noreturn void refuse(const struct kyoto *kyoto, const char *operation)
{
    bench_fail(BENCH_BROKEN, "kyoto: %s: %s", operation, kcdbemsg(kyoto->db));
}

static void check(const struct kyoto *kyoto, const char *operation, bool done)
{
    if (!done)
        refuse(kyoto, operation);
}

/* An answer in the terms of engine.h, if `no` is the error that says no. */
static int answer(const struct kyoto *kyoto, const char *operation, bool done, int32_t no)
{
    if (done)
        return ENGINE_OK;
    if (kcdbecode(kyoto->db) != no)
        refuse(kyoto, operation);
    return ENGINE_NO;
}

static void *open_kyoto(const char *path, const struct engine_config *config)
{
    struct kyoto *kyoto = bench_alloc(1, sizeof *kyoto);
    size_t map = ((size_t)64 << 20) + config->records * 256;
    char *name = bench_text("%s.kch#opts=l#bnum=%zu#msiz=%zu", path, 2 * config->records, map);

    kyoto->durable = (config->flags & ENGINE_DURABLE) != 0;
    kyoto->db = kcdbnew();
    check(kyoto, "open",
          kcdbopen(kyoto->db, name,
                   config->flags & ENGINE_READER ? KCOREADER : (uint32_t)(KCOWRITER | KCOCREATE)));
    free(name);
    return kyoto;
}

static int get_kyoto(void *handle, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    const struct kyoto *kyoto = handle;
    int32_t len = kcdbgetbuf(kyoto->db, pair->key, pair->key_len, buf, cap);

    if (len >= 0)
        *ret_len = (size_t)len;
    return answer(kyoto, "get", len >= 0, KCENOREC);
}

static void settle(const struct kyoto *kyoto)
{
    if (kyoto->durable)
        check(kyoto, "synchronize", kcdbsync(kyoto->db, true, NULL, NULL));
}

static int create_kyoto(void *handle, const struct pair *pair)
{
    const struct kyoto *kyoto = handle;
    int rc = answer(kyoto, "add",
                    kcdbadd(kyoto->db, pair->key, pair->key_len, pair->value, pair->value_len),
                    KCEDUPREC);

    settle(kyoto);
    return rc;
}

static int put_kyoto(void *handle, const struct pair *pair)
{
    const struct kyoto *kyoto = handle;

    check(kyoto, "set", kcdbset(kyoto->db, pair->key, pair->key_len, pair->value, pair->value_len));
    settle(kyoto);
    return ENGINE_OK;
}

static int del_kyoto(void *handle, const struct pair *pair)
{
    const struct kyoto *kyoto = handle;
    int rc = answer(kyoto, "remove", kcdbremove(kyoto->db, pair->key, pair->key_len), KCENOREC);

    settle(kyoto);
    return rc;
}

static KCSTR bytes(const void *data, size_t len)
{
    return (KCSTR){.buf = (char *)(uintptr_t)data, .size = len};
}

static int batch_kyoto(void *handle, const struct pair *pairs, size_t n)
{
    const struct kyoto *kyoto = handle;
    KCREC *records = bench_alloc(n, sizeof *records);

    for (size_t i = 0; i < n; i++)
        records[i] = (KCREC){.key = bytes(pairs[i].key, pairs[i].key_len),
                             .value = bytes(pairs[i].value, pairs[i].value_len)};
    check(kyoto, "set bulk", kcdbsetbulk(kyoto->db, records, n, false) == (int64_t)n);
    settle(kyoto);
    free(records);
    return ENGINE_OK;
}

static int batch_del_kyoto(void *handle, const struct pair *pairs, size_t n)
{
    const struct kyoto *kyoto = handle;
    KCSTR *keys = bench_alloc(n, sizeof *keys);

    for (size_t i = 0; i < n; i++)
        keys[i] = bytes(pairs[i].key, pairs[i].key_len);
    check(kyoto, "remove bulk", kcdbremovebulk(kyoto->db, keys, n, false) == (int64_t)n);
    settle(kyoto);
    free(keys);
    return ENGINE_OK;
}

static const char *visit(const char *key, size_t key_len, const char *value, size_t value_len,
                         size_t *ret_len, void *arg)
{
    (void)ret_len;
    tour_add(arg, key, key_len, value, value_len);
    return KCVISNOP;
}

static void tour_kyoto(void *handle, struct tour *tour)
{
    const struct kyoto *kyoto = handle;

    check(kyoto, "iterate", kcdbiterate(kyoto->db, visit, tour, false));
}

static uint64_t count_kyoto(void *handle)
{
    const struct kyoto *kyoto = handle;

    return (uint64_t)kcdbcount(kyoto->db);
}

static void close_kyoto(void *handle)
{
    struct kyoto *kyoto = handle;

    check(kyoto, "close", kcdbclose(kyoto->db));
    kcdbdel(kyoto->db);
    free(kyoto);
}

static const char *version_kyoto(void)
{
    return KCVERSION;
}

const struct engine engine_kyoto = {
    .name = "kyoto",
    .setting = "hash database, linear chains, a bucket pair per expected record, all of it mapped; "
               "one process; batches are not atomic; a kill in a write corrupts",
    .durable = "hard synchronisation after each put",
    .traits = ENGINE_READERS,
    .version = version_kyoto,
    .open = open_kyoto,
    .get = get_kyoto,
    .create = create_kyoto,
    .put = put_kyoto,
    .del = del_kyoto,
    .batch = batch_kyoto,
    .batch_del = batch_del_kyoto,
    .tour = tour_kyoto,
    .count = count_kyoto,
    .close = close_kyoto,
};
