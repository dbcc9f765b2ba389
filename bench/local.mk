# SPDX-License-Identifier: MIT
# The benches: opt-in. `make bench` builds those programs whose libraries are there; each `make
# bench-NAME` runs one.

EXTRA_PROGRAMS += bench/table
bench_table_SOURCES = \
	bench/common.c \
	bench/common.h \
	bench/engine.h \
	bench/rows.c \
	bench/rows.h \
	bench/rows_floor.h \
	bench/table.c
bench_table_LDADD = liblxdb.la $(CJSON_LIBS)
bench_programs = bench/table$(EXEEXT)

# Google Benchmark behind a C interface. Compiled by a rule of its own: automake would want a C++
# compiler of everybody.
EXTRA_DIST += bench/gbench.cc bench/gbench.h
if HAVE_GBENCH
CLEANFILES += bench/gbench.$(OBJEXT)
bench/gbench.$(OBJEXT): bench/gbench.cc bench/gbench.h
	@$(MKDIR_P) bench
	$(AM_V_GEN)$(CXX) -std=c++14 -Wall -Wextra -iquote $(top_srcdir) $(CPPFLAGS) $(GBENCH_CFLAGS) \
		$(CXXFLAGS) -c -o $@ $(srcdir)/bench/gbench.cc

# The time of each operation, by number of keys: `make bench-ops`, with options of Google Benchmark
# in OPS_FLAGS.
EXTRA_PROGRAMS += bench/ops
bench_ops_SOURCES = \
	bench/common.c \
	bench/common.h \
	bench/engine.h \
	bench/gbench.h \
	bench/op.c \
	bench/op.h \
	bench/ops.c \
	bench/workload.c \
	bench/workload.h
bench_ops_LDADD = bench/gbench.$(OBJEXT) liblxdb.la $(GBENCH_LIBS)
bench_programs += bench/ops$(EXEEXT)

# The table of the Python original: `make bench-readme`, with options of Google Benchmark in
# README_FLAGS. Results are in bench/out; `make bench-docs` puts them into docs/.
EXTRA_PROGRAMS += bench/readme
bench_readme_SOURCES = \
	bench/common.c \
	bench/common.h \
	bench/engine.h \
	bench/gbench.h \
	bench/readme.c \
	bench/rows.c \
	bench/rows.h \
	bench/rows_floor.c \
	bench/rows_floor.h
bench_readme_LDADD = bench/gbench.$(OBJEXT) liblxdb.la $(CJSON_LIBS) $(DEFLATE_LIBS) $(GBENCH_LIBS)
bench_programs += bench/readme$(EXEEXT)

bench-ops: bench/ops$(EXEEXT)
	@$(MKDIR_P) bench/out
	./bench/ops$(EXEEXT) --benchmark_repetitions=5 --benchmark_min_time=0.1 \
		--benchmark_enable_random_interleaving=true --benchmark_out=bench/out/ops.json \
		$(OPS_FLAGS) >bench/out/ops.log 2>&1 || { tail bench/out/ops.log; exit 1; }
	$(PYTHON) $(srcdir)/bench/ops.py bench/out/ops.json >bench/out/ops.md
	@cat bench/out/ops.md

bench-readme: bench/readme$(EXEEXT)
	@$(MKDIR_P) bench/out
	$(srcdir)/bench/machine.sh '$(CC)' >bench/out/machine.md
	./bench/readme$(EXEEXT) $(PYTHON) $(srcdir)/bench/pystore.py \
		--benchmark_out=bench/out/report.json $(README_FLAGS) \
		>bench/out/report.log 2>&1 || { tail bench/out/report.log; exit 1; }
	$(PYTHON) $(srcdir)/bench/readme.py bench/out/report.json bench/out
else
bench-ops bench-readme:
	@echo '$@ needs Google Benchmark: apt-get install g++ libbenchmark-dev,' \
		'then configure again' >&2
	@exit 1
endif
EXTRA_DIST += \
	bench/docs.py \
	bench/machine.sh \
	bench/ops.py \
	bench/plot/readme.gp \
	bench/pystore.py \
	bench/readme.py

bench-docs: bench/cost$(EXEEXT)
	@test -e bench/out/table.md && test -e bench/out/ops.md || \
		{ echo 'bench-docs: first make bench-readme bench-ops' >&2; exit 1; }
	$(COST) table $(COST_BUILD) >bench/out/costs.md
	$(COST) functions $(COST_BUILD) >bench/out/functions.md
	$(PYTHON) $(srcdir)/bench/docs.py $(srcdir)/docs/performance.md \
		machine=bench/out/machine.md \
		readme=bench/out/table.md \
		ops=bench/out/ops.md \
		costs=bench/out/costs.md \
		functions=bench/out/functions.md
	gnuplot -e "data = 'bench/out/table.tsv'; out = '$(srcdir)/docs/figures/readme'" \
		$(srcdir)/bench/plot/readme.gp

# Instructions per operation, held against bench/costs.txt.
EXTRA_PROGRAMS += bench/cost
bench_cost_SOURCES = \
	bench/common.c \
	bench/common.h \
	bench/cost.c \
	bench/engine.h \
	bench/op.c \
	bench/op.h \
	bench/workload.c \
	bench/workload.h
bench_cost_LDADD = liblxdb.la
bench_programs += bench/cost$(EXEEXT)
EXTRA_DIST += bench/cost.py bench/costs.txt
COST = $(PYTHON) $(srcdir)/bench/cost.py
COST_BUILD = $(srcdir)/bench/costs.txt $(LIBTOOL) --mode=execute -- \
	'$(CC)' '$(LX_CPPFLAGS)' '$(LX_CFLAGS)' '$(CPPFLAGS)' '$(CFLAGS)'

check-cost: bench/cost$(EXEEXT)
	@$(COST) check $(COST_BUILD)

update-cost: bench/cost$(EXEEXT)
	@$(COST) update $(COST_BUILD)

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

include bench/peers/local.mk

CLEANFILES += $(bench_programs) bench/out/*

bench: $(bench_programs)
if !HAVE_GBENCH
	@echo 'bench: built without Google Benchmark: apt-get install g++ libbenchmark-dev,' \
		'then configure again' >&2
endif

bench-space: bench/space$(EXEEXT)
	./bench/space$(EXEEXT) $(SPACE_FLAGS)

.PHONY: bench bench-docs bench-ops bench-readme bench-space check-cost update-cost
