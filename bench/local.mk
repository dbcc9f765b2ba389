# SPDX-License-Identifier: MIT
# The benches: opt-in. `make bench-programs` builds them, `make bench` also runs them, with the
# options in TABLE_FLAGS and BENCH_FLAGS.

EXTRA_PROGRAMS += bench/table
bench_table_SOURCES = bench/common.c bench/common.h bench/table.c
bench_table_LDADD = liblxdb.la
bench_programs = bench/table$(EXEEXT)

if HAVE_LMDB
EXTRA_PROGRAMS += bench/lmdb
bench_lmdb_SOURCES = \
	bench/common.c \
	bench/common.h \
	bench/compare.c \
	bench/engine.h \
	bench/engine_lmdb.c \
	bench/engine_lxdb.c \
	bench/histogram.h \
	bench/latency.c \
	bench/lmdb.c \
	bench/parts.h \
	bench/readers.c \
	bench/report.c \
	bench/report.h \
	bench/workload.c \
	bench/workload.h
bench_lmdb_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
bench_lmdb_LDADD = liblxdb.la $(LMDB_LIBS)
bench_programs += bench/lmdb$(EXEEXT)
endif

# What the disk holds beside a stopped reader: `make bench-space`, with the options in SPACE_FLAGS.
EXTRA_PROGRAMS += bench/space
bench_space_SOURCES = \
	bench/common.c \
	bench/common.h \
	bench/space.c \
	bench/space_lxdb.c \
	bench/space_store.h
bench_space_CPPFLAGS = $(AM_CPPFLAGS)
bench_space_LDADD = liblxdb.la
if HAVE_LMDB
bench_space_SOURCES += bench/space_lmdb.c
bench_space_CPPFLAGS += -DBENCH_LMDB $(LMDB_CFLAGS)
bench_space_LDADD += $(LMDB_LIBS)
endif
if HAVE_SQLITE
bench_space_SOURCES += bench/space_sqlite.c
bench_space_CPPFLAGS += -DBENCH_SQLITE $(SQLITE_CFLAGS)
bench_space_LDADD += $(SQLITE_LIBS)
endif
bench_programs += bench/space$(EXEEXT)

CLEANFILES += $(bench_programs)

bench-programs: $(bench_programs)

bench: $(bench_programs)
	./bench/table$(EXEEXT) $(TABLE_FLAGS)
if HAVE_LMDB
	./bench/lmdb$(EXEEXT) $(BENCH_FLAGS)
else
	@echo 'the comparison needs LMDB: apt-get install liblmdb-dev, then configure again' >&2
endif

bench-space: bench/space$(EXEEXT)
	./bench/space$(EXEEXT) $(SPACE_FLAGS)

.PHONY: bench bench-programs bench-space
