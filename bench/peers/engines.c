/* SPDX-License-Identifier: MIT */
/* The engines that configure found the libraries of, in the order of the tables. */
#include "bench/peers/bench.h"

extern const struct engine engine_lxdb, engine_lxdb_json, engine_lmdb, engine_lmdb_writemap,
    engine_sqlite, engine_berkeley, engine_tdb, engine_rocksdb, engine_leveldb, engine_wiredtiger,
    engine_tkrzw, engine_kyoto, engine_gdbm, engine_redis, engine_floor;

const struct engine *const all_engines[] = {
    &engine_lxdb,       &engine_lxdb_json,
#ifdef BENCH_LMDB
    &engine_lmdb,       &engine_lmdb_writemap,
#endif
#ifdef BENCH_SQLITE
    &engine_sqlite,
#endif
#ifdef BENCH_BERKELEY
    &engine_berkeley,
#endif
#ifdef BENCH_TDB
    &engine_tdb,
#endif
#ifdef BENCH_ROCKSDB
    &engine_rocksdb,
#endif
#ifdef BENCH_LEVELDB
    &engine_leveldb,
#endif
#ifdef BENCH_WIREDTIGER
    &engine_wiredtiger,
#endif
#ifdef BENCH_TKRZW
    &engine_tkrzw,
#endif
#ifdef BENCH_KYOTO
    &engine_kyoto,
#endif
#ifdef BENCH_GDBM
    &engine_gdbm,
#endif
#ifdef BENCH_REDIS
    &engine_redis,
#endif
    &engine_floor,      NULL,
};

const char *const absent_engines[] = {
#ifndef BENCH_LMDB
    "lmdb",
#endif
#ifndef BENCH_SQLITE
    "sqlite",
#endif
#ifndef BENCH_BERKELEY
    "berkeley",
#endif
#ifndef BENCH_TDB
    "tdb",
#endif
#ifndef BENCH_ROCKSDB
    "rocksdb",
#endif
#ifndef BENCH_LEVELDB
    "leveldb",
#endif
#ifndef BENCH_WIREDTIGER
    "wiredtiger",
#endif
#ifndef BENCH_TKRZW
    "tkrzw",
#endif
#ifndef BENCH_KYOTO
    "kyoto",
#endif
#ifndef BENCH_GDBM
    "gdbm",
#endif
#ifndef BENCH_REDIS
    "redis",
#endif
    NULL,
};
