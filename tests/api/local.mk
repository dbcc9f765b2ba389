# SPDX-License-Identifier: MIT
# Tests of the public interface: one program per area, linked as users link. They share a harness.

API_HARNESS = tests/api/harness.c tests/api/harness.h

check_PROGRAMS += tests/api/open
tests_api_open_SOURCES = tests/api/open.c $(API_HARNESS)
tests_api_open_LDADD = $(TEST_LIBS)
TESTS += tests/api/open

check_PROGRAMS += tests/api/raw
tests_api_raw_SOURCES = tests/api/raw.c $(API_HARNESS)
tests_api_raw_LDADD = $(TEST_LIBS)
TESTS += tests/api/raw

check_PROGRAMS += tests/api/zero_copy
tests_api_zero_copy_SOURCES = tests/api/zero_copy.c $(API_HARNESS)
tests_api_zero_copy_LDADD = $(TEST_LIBS)
TESTS += tests/api/zero_copy

check_PROGRAMS += tests/api/typed
tests_api_typed_SOURCES = tests/api/typed.c $(API_HARNESS)
tests_api_typed_LDADD = $(TEST_LIBS)
TESTS += tests/api/typed

check_PROGRAMS += tests/api/batch
tests_api_batch_SOURCES = tests/api/batch.c $(API_HARNESS)
tests_api_batch_LDADD = $(TEST_LIBS)
TESTS += tests/api/batch

check_PROGRAMS += tests/api/iterate
tests_api_iterate_SOURCES = tests/api/iterate.c $(API_HARNESS)
tests_api_iterate_LDADD = $(TEST_LIBS)
TESTS += tests/api/iterate

check_PROGRAMS += tests/api/namespaces
tests_api_namespaces_SOURCES = tests/api/namespaces.c $(API_HARNESS)
tests_api_namespaces_LDADD = $(TEST_LIBS)
TESTS += tests/api/namespaces

check_PROGRAMS += tests/api/cas_incr
tests_api_cas_incr_SOURCES = tests/api/cas_incr.c $(API_HARNESS)
tests_api_cas_incr_LDADD = $(TEST_LIBS)
TESTS += tests/api/cas_incr

check_PROGRAMS += tests/api/upkeep
tests_api_upkeep_SOURCES = tests/api/upkeep.c $(API_HARNESS)
tests_api_upkeep_LDADD = $(TEST_LIBS)
TESTS += tests/api/upkeep

check_PROGRAMS += tests/api/errors
tests_api_errors_SOURCES = tests/api/errors.c $(API_HARNESS)
tests_api_errors_LDADD = $(TEST_LIBS)
TESTS += tests/api/errors

# The verdicts of the JSON checker beside those of Python.
check_PROGRAMS += tests/api/json_verdict
tests_api_json_verdict_SOURCES = tests/api/json_verdict.c
tests_api_json_verdict_LDADD = $(TEST_LIBS_INTERNAL)
dist_check_SCRIPTS += tests/api/json_python.sh
TESTS += tests/api/json_python.sh
EXTRA_DIST += tests/api/json_python.py

# Codes that take a fault to reach: it is made at the doors to the system.
check_PROGRAMS += tests/api/codes
tests_api_codes_SOURCES = tests/api/codes.c $(API_HARNESS)
tests_api_codes_LDADD = $(TEST_LIBS_INTERNAL)
tests_api_codes_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc -Wl,--wrap=calloc \
	-Wl,--wrap=realloc -Wl,--wrap=statx -Wl,--wrap=fstatfs -Wl,--wrap=fstatfs64
TESTS += tests/api/codes

check_PROGRAMS += tests/api/sync_modes
tests_api_sync_modes_SOURCES = tests/api/sync_modes.c $(API_HARNESS)
tests_api_sync_modes_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/api/sync_modes

# What was broken once.
check_PROGRAMS += tests/api/regressions
tests_api_regressions_SOURCES = tests/api/regressions.c $(API_HARNESS)
tests_api_regressions_LDADD = $(TEST_LIBS)
TESTS += tests/api/regressions
