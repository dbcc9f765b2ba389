# SPDX-License-Identifier: MIT
# The tests, one folder for each way of looking at the library; the one that takes longest comes
# first, so that it is not waited for alone at the end.

include tests/models/local.mk
include tests/unit/local.mk
include tests/api/local.mk
include tests/compat/local.mk
include tests/concurrency/local.mk
include tests/crash/local.mk
include tests/coverage/local.mk
include tests/linear/local.mk
include tests/cli/local.mk
include tests/demo/local.mk
include tests/lint/local.mk
include tests/seeded/local.mk

# ---- Longer or other runs of them, each in a build of its own or with more time ------------------

EXTRA_DIST += tests/nightly.sh tests/sanitized.sh tests/threads.suppressions

# Threads that share handles or words. ThreadSanitizer cannot follow a fork beside threads, and sees
# no order between two mappings of a file, of one process or of two.
threaded_programs = \
	tests/concurrency/threads \
	tests/api/iterate \
	tests/api/upkeep \
	tests/api/zero_copy \
	tests/unit/control \
	tests/unit/durable \
	tests/unit/lock

# Without those that replace the allocator that Valgrind watches.
valgrind_programs = $(filter-out tests/unit/refused tests/unit/skip,$(filter tests/unit/%,$(TESTS)))

SANITIZED = $(AM_TESTS_ENVIRONMENT) CC='$(CC)' MAKE='$(MAKE)' $(top_srcdir)/tests/sanitized.sh

.PHONY: check-sanitizers check-threads check-valgrind nightly
check-sanitizers:
	@$(SANITIZED) sanitized address,undefined $(filter tests/unit/% tests/api/% fuzz/%,$(TESTS))

check-threads:
	@$(SANITIZED) threaded thread $(threaded_programs)

check-valgrind:
	@$(SANITIZED) valgrind valgrind $(valgrind_programs)

nightly: $(check_PROGRAMS) lxdb
	@$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/nightly.sh $(NIGHTLY)
