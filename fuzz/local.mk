# SPDX-License-Identifier: MIT
# Fuzz targets: each is a program of `make check` that replays its corpus, and a program for AFL++
# that `make fuzz` builds three times in build trees of their own. docs/fuzzing.md has the rest.

FUZZ_TARGETS =
FUZZ_FOR_AFL = $(FUZZ_TARGETS:%=fuzz/afl_%)

fuzz_parts = fuzz/common.c fuzz/driver.h
fuzz_replay = $(fuzz_parts) fuzz/driver_replay.c
fuzz_afl = $(fuzz_parts) fuzz/driver_afl.c

# The library's scan against a naive one.
fuzz_scan_common = fuzz/naive.c fuzz/naive.h fuzz/scancheck.c fuzz/scancheck.h
fuzz_fix = fuzz/fix.c fuzz/fix.h
fuzz_scan_ldflags = $(AM_LDFLAGS) -Wl,--wrap=libdeflate_crc32

FUZZ_TARGETS += scan
check_PROGRAMS += fuzz/scan
EXTRA_PROGRAMS += fuzz/afl_scan
TESTS += fuzz/scan
fuzz_scan_SOURCES = fuzz/scan.c $(fuzz_scan_common) $(fuzz_replay)
fuzz_scan_LDFLAGS = $(fuzz_scan_ldflags)
fuzz_scan_LDADD = lib/libcore.la
fuzz_afl_scan_SOURCES = fuzz/scan.c $(fuzz_scan_common) $(fuzz_afl)
fuzz_afl_scan_LDFLAGS = $(fuzz_scan_ldflags)
fuzz_afl_scan_LDADD = lib/libcore.la

FUZZ_TARGETS += scan_fixed
check_PROGRAMS += fuzz/scan_fixed
EXTRA_PROGRAMS += fuzz/afl_scan_fixed
TESTS += fuzz/scan_fixed
fuzz_scan_fixed_SOURCES = fuzz/scan_fixed.c $(fuzz_fix) $(fuzz_scan_common) $(fuzz_replay)
fuzz_scan_fixed_LDFLAGS = $(fuzz_scan_ldflags)
fuzz_scan_fixed_LDADD = lib/libcore.la
fuzz_afl_scan_fixed_SOURCES = fuzz/scan_fixed.c $(fuzz_fix) $(fuzz_scan_common) $(fuzz_afl)
fuzz_afl_scan_fixed_LDFLAGS = $(fuzz_scan_ldflags)
fuzz_afl_scan_fixed_LDADD = lib/libcore.la

# Those that open databases: the same input does the same, whatever the clock says.
fuzz_scratch = fuzz/scratch.c fuzz/scratch.h
fuzz_scratch_ldflags = $(AM_LDFLAGS) \
	-Wl,--wrap=lx_random64,--wrap=lx_wall_ms,--wrap=lx_wall_coarse_ms \
	-Wl,--wrap=lx_now_coarse_ms

FUZZ_TARGETS += recover
check_PROGRAMS += fuzz/recover
EXTRA_PROGRAMS += fuzz/afl_recover
TESTS += fuzz/recover
fuzz_recover_parts = \
	fuzz/recover.c \
	tests/crash/simdisk.c \
	tests/crash/simdisk.h \
	$(fuzz_scratch)
fuzz_recover_SOURCES = $(fuzz_recover_parts) $(fuzz_replay)
fuzz_recover_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_recover_LDADD = lib/libcore.la
fuzz_afl_recover_SOURCES = $(fuzz_recover_parts) $(fuzz_afl)
fuzz_afl_recover_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_afl_recover_LDADD = lib/libcore.la

FUZZ_TARGETS += open_ops
check_PROGRAMS += fuzz/open_ops
EXTRA_PROGRAMS += fuzz/afl_open_ops
TESTS += fuzz/open_ops
fuzz_open_ops_parts = \
	fuzz/naive.c \
	fuzz/naive.h \
	fuzz/open_ops.c \
	$(fuzz_fix) \
	$(fuzz_scratch)
fuzz_open_ops_SOURCES = $(fuzz_open_ops_parts) $(fuzz_replay)
fuzz_open_ops_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_open_ops_LDADD = lib/libcore.la
fuzz_afl_open_ops_SOURCES = $(fuzz_open_ops_parts) $(fuzz_afl)
fuzz_afl_open_ops_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_afl_open_ops_LDADD = lib/libcore.la

# What a database should hold.
fuzz_mirror = fuzz/mirror.c fuzz/mirror.h $(fuzz_scratch)

FUZZ_TARGETS += typed
check_PROGRAMS += fuzz/typed
EXTRA_PROGRAMS += fuzz/afl_typed
TESTS += fuzz/typed
fuzz_typed_parts = fuzz/naive_json.c fuzz/naive_json.h fuzz/typed.c $(fuzz_mirror)
fuzz_typed_SOURCES = $(fuzz_typed_parts) $(fuzz_replay)
fuzz_typed_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_typed_LDADD = lib/libcore.la
fuzz_afl_typed_SOURCES = $(fuzz_typed_parts) $(fuzz_afl)
fuzz_afl_typed_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_afl_typed_LDADD = lib/libcore.la

# The tool under another name, to be called: its main() is not that of a program there.
check_LTLIBRARIES += fuzz/libtool.la
fuzz_libtool_la_SOURCES = $(lxdb_SOURCES)
fuzz_libtool_la_CPPFLAGS = $(AM_CPPFLAGS) -Dmain=lxdb_main
fuzz_libtool_la_CFLAGS = $(AM_CFLAGS) -Wno-missing-prototypes
fuzz_tool = \
	fuzz/naive_json.c \
	fuzz/naive_json.h \
	fuzz/naive_lines.c \
	fuzz/naive_lines.h \
	fuzz/tool.c \
	fuzz/tool.h \
	$(fuzz_mirror)
fuzz_tool_libs = fuzz/libtool.la lib/libcore.la

FUZZ_TARGETS += import
check_PROGRAMS += fuzz/import
EXTRA_PROGRAMS += fuzz/afl_import
TESTS += fuzz/import
fuzz_import_SOURCES = fuzz/import.c $(fuzz_tool) $(fuzz_replay)
fuzz_import_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_import_LDADD = $(fuzz_tool_libs)
fuzz_afl_import_SOURCES = fuzz/import.c $(fuzz_tool) $(fuzz_afl)
fuzz_afl_import_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_afl_import_LDADD = $(fuzz_tool_libs)

FUZZ_TARGETS += command
check_PROGRAMS += fuzz/command
EXTRA_PROGRAMS += fuzz/afl_command
TESTS += fuzz/command
fuzz_command_SOURCES = fuzz/command.c $(fuzz_tool) $(fuzz_replay)
fuzz_command_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_command_LDADD = $(fuzz_tool_libs)
fuzz_afl_command_SOURCES = fuzz/command.c $(fuzz_tool) $(fuzz_afl)
fuzz_afl_command_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_afl_command_LDADD = $(fuzz_tool_libs)

FUZZ_TARGETS += api
check_PROGRAMS += fuzz/api
EXTRA_PROGRAMS += fuzz/afl_api
TESTS += fuzz/api
fuzz_api_SOURCES = fuzz/api.c $(fuzz_mirror) $(fuzz_replay)
fuzz_api_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_api_LDADD = lib/libcore.la
fuzz_afl_api_SOURCES = fuzz/api.c $(fuzz_mirror) $(fuzz_afl)
fuzz_afl_api_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_afl_api_LDADD = lib/libcore.la

FUZZ_TARGETS += index
check_PROGRAMS += fuzz/index
EXTRA_PROGRAMS += fuzz/afl_index
TESTS += fuzz/index
fuzz_index_SOURCES = fuzz/index.c $(fuzz_scratch) $(fuzz_replay)
fuzz_index_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_index_LDADD = lib/libcore.la
fuzz_afl_index_SOURCES = fuzz/index.c $(fuzz_scratch) $(fuzz_afl)
fuzz_afl_index_LDFLAGS = $(fuzz_scratch_ldflags)
fuzz_afl_index_LDADD = lib/libcore.la

# ---- Building and running ------------------------------------------------------------------------

# The inputs are many and small; their names are not listed one by one.
EXTRA_DIST += \
	fuzz/build.sh \
	fuzz/command.dict \
	fuzz/corpus \
	fuzz/coverage.sh \
	fuzz/json.dict \
	fuzz/lxdb.dict \
	fuzz/planted \
	fuzz/planted.sh \
	fuzz/reach.txt \
	fuzz/regressions \
	fuzz/report \
	fuzz/run \
	fuzz/seeds.py \
	fuzz/unreached.txt

.PHONY: fuzz fuzz-coverage fuzz-programs fuzz-targets
fuzz:
	@$(AM_TESTS_ENVIRONMENT) MAKE='$(MAKE)' $(top_srcdir)/fuzz/build.sh

fuzz-coverage:
	@$(AM_TESTS_ENVIRONMENT) CC='$(CC)' MAKE='$(MAKE)' PYTHON='$(PYTHON)' \
	$(top_srcdir)/fuzz/coverage.sh

# In a build tree whose compiler is afl-clang-fast.
fuzz-programs: $(FUZZ_FOR_AFL)

fuzz-targets:
	@echo $(FUZZ_TARGETS)
