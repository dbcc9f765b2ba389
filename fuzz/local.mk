# SPDX-License-Identifier: MIT
# Fuzz targets: each is a program of `make check` that replays its corpus, and a program for AFL++
# that `make fuzz` builds three times in build trees of their own. docs/fuzzing.md has the rest.

FUZZ_TARGETS =
FUZZ_FOR_AFL = $(FUZZ_TARGETS:%=fuzz/afl_%)

fuzz_parts = fuzz/common.c fuzz/driver.h
fuzz_replay = $(fuzz_parts) fuzz/driver_replay.c
fuzz_afl = $(fuzz_parts) fuzz/driver_afl.c

FUZZ_TARGETS += scan
check_PROGRAMS += fuzz/scan
EXTRA_PROGRAMS += fuzz/afl_scan
TESTS += fuzz/scan
fuzz_scan_parts = \
	fuzz/naive.c \
	fuzz/naive.h \
	fuzz/scan.c \
	fuzz/scancheck.c \
	fuzz/scancheck.h
fuzz_scan_ldflags = $(AM_LDFLAGS) -Wl,--wrap=libdeflate_crc32
fuzz_scan_SOURCES = $(fuzz_scan_parts) $(fuzz_replay)
fuzz_scan_LDFLAGS = $(fuzz_scan_ldflags)
fuzz_scan_LDADD = lib/libcore.la
fuzz_afl_scan_SOURCES = $(fuzz_scan_parts) $(fuzz_afl)
fuzz_afl_scan_LDFLAGS = $(fuzz_scan_ldflags)
fuzz_afl_scan_LDADD = lib/libcore.la

# ---- Building and running ------------------------------------------------------------------------

# The inputs are many and small; their names are not listed one by one.
EXTRA_DIST += \
	fuzz/build.sh \
	fuzz/corpus \
	fuzz/lxdb.dict \
	fuzz/reach.txt \
	fuzz/regressions \
	fuzz/report \
	fuzz/run

.PHONY: fuzz fuzz-programs fuzz-targets
fuzz:
	@$(AM_TESTS_ENVIRONMENT) MAKE='$(MAKE)' $(top_srcdir)/fuzz/build.sh

# In a build tree whose compiler is afl-clang-fast.
fuzz-programs: $(FUZZ_FOR_AFL)

fuzz-targets:
	@echo $(FUZZ_TARGETS)
