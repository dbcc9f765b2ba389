# SPDX-License-Identifier: MIT
# lxdb beside other stores: `make bench-peers`, with the options in PEERS_FLAGS. A store whose
# library is missing is left out.

EXTRA_PROGRAMS += bench/bench-peers
bench_bench_peers_SOURCES = \
	bench/common.c \
	bench/common.h \
	bench/engine.h \
	bench/histogram.h \
	bench/peers/bench.h \
	bench/peers/crew.c \
	bench/peers/crew.h \
	bench/peers/durable.c \
	bench/peers/engines.c \
	bench/peers/floor.c \
	bench/peers/large.c \
	bench/peers/load.c \
	bench/peers/lxdb.c \
	bench/peers/main.c \
	bench/peers/processes.c \
	bench/peers/results.c \
	bench/peers/results.h \
	bench/peers/run.c \
	bench/peers/scaling.c \
	bench/peers/small.c \
	bench/peers/targets.c \
	bench/workload.c \
	bench/workload.h
bench_bench_peers_CPPFLAGS = $(AM_CPPFLAGS)
bench_bench_peers_LDADD = liblxdb.la $(DEFLATE_LIBS)
if HAVE_LMDB
bench_bench_peers_SOURCES += bench/peers/lmdb.c
bench_bench_peers_CPPFLAGS += -DBENCH_LMDB $(LMDB_CFLAGS)
bench_bench_peers_LDADD += $(LMDB_LIBS)
endif
if HAVE_SQLITE
bench_bench_peers_SOURCES += bench/peers/sqlite.c
bench_bench_peers_CPPFLAGS += -DBENCH_SQLITE $(SQLITE_CFLAGS)
bench_bench_peers_LDADD += $(SQLITE_LIBS)
endif
if HAVE_BERKELEY
bench_bench_peers_SOURCES += bench/peers/berkeley.c
bench_bench_peers_CPPFLAGS += -DBENCH_BERKELEY $(BERKELEY_CFLAGS)
bench_bench_peers_LDADD += $(BERKELEY_LIBS)
endif
if HAVE_TDB
bench_bench_peers_SOURCES += bench/peers/tdb.c
bench_bench_peers_CPPFLAGS += -DBENCH_TDB='"$(TDB_VERSION)"' $(TDB_CFLAGS)
bench_bench_peers_LDADD += $(TDB_LIBS)
endif
if HAVE_ROCKSDB
bench_bench_peers_SOURCES += bench/peers/rocksdb.c
bench_bench_peers_CPPFLAGS += -DBENCH_ROCKSDB='"$(ROCKSDB_VERSION)"' $(ROCKSDB_CFLAGS)
bench_bench_peers_LDADD += $(ROCKSDB_LIBS)
endif
if HAVE_LEVELDB
bench_bench_peers_SOURCES += bench/peers/leveldb.c
bench_bench_peers_CPPFLAGS += -DBENCH_LEVELDB $(LEVELDB_CFLAGS)
bench_bench_peers_LDADD += $(LEVELDB_LIBS)
endif
if HAVE_WIREDTIGER
bench_bench_peers_SOURCES += bench/peers/wiredtiger.c
bench_bench_peers_CPPFLAGS += -DBENCH_WIREDTIGER $(WIREDTIGER_CFLAGS)
bench_bench_peers_LDADD += $(WIREDTIGER_LIBS)
endif
if HAVE_TKRZW
bench_bench_peers_SOURCES += bench/peers/tkrzw.c
bench_bench_peers_CPPFLAGS += -DBENCH_TKRZW $(TKRZW_CFLAGS)
bench_bench_peers_LDADD += $(TKRZW_LIBS)
endif
if HAVE_KYOTO
bench_bench_peers_SOURCES += bench/peers/kyoto.c
bench_bench_peers_CPPFLAGS += -DBENCH_KYOTO $(KYOTO_CFLAGS)
bench_bench_peers_LDADD += $(KYOTO_LIBS)
endif
if HAVE_GDBM
bench_bench_peers_SOURCES += bench/peers/gdbm.c
bench_bench_peers_CPPFLAGS += -DBENCH_GDBM $(GDBM_CFLAGS)
bench_bench_peers_LDADD += $(GDBM_LIBS)
endif
if HAVE_REDIS
bench_bench_peers_SOURCES += bench/peers/redis.c
bench_bench_peers_CPPFLAGS += -DBENCH_REDIS $(REDIS_CFLAGS)
bench_bench_peers_LDADD += $(REDIS_LIBS)
endif
bench_programs += bench/bench-peers$(EXEEXT)

EXTRA_DIST += bench/peers/report.py bench/plot/peers.sh bench/plot/style.gp

bench-peers: bench/bench-peers$(EXEEXT)
	@$(MKDIR_P) bench/out
	./bench/bench-peers$(EXEEXT) --json bench/out/peers.json $(PEERS_FLAGS)
	$(PYTHON) $(srcdir)/bench/peers/report.py markdown bench/out/peers.json >bench/out/peers.md

# The tables and figures of docs/performance.md, from the last run: it writes into the source tree.
bench-peers-docs:
	@test -e bench/out/peers.md || { echo 'bench-peers-docs: first make bench-peers' >&2; exit 1; }
	$(PYTHON) $(srcdir)/bench/docs.py $(srcdir)/docs/performance.md peers=bench/out/peers.md
	PYTHON='$(PYTHON)' $(srcdir)/bench/plot/peers.sh bench/out/peers.json $(srcdir)/docs/figures

.PHONY: bench-peers bench-peers-docs
