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

CLEANFILES += $(bench_programs)

bench-programs: $(bench_programs)

bench: $(bench_programs)
	./bench/table$(EXEEXT) $(TABLE_FLAGS)
if HAVE_LMDB
	./bench/lmdb$(EXEEXT) $(BENCH_FLAGS)
else
	@echo 'the comparison needs LMDB: apt-get install liblmdb-dev, then configure again' >&2
endif

.PHONY: bench bench-programs
