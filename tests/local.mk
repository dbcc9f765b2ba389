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

EXTRA_DIST += tests/nightly.sh tests/sanitized.sh

.PHONY: check-sanitizers nightly
check-sanitizers:
	@$(AM_TESTS_ENVIRONMENT) CC='$(CC)' MAKE='$(MAKE)' $(top_srcdir)/tests/sanitized.sh \
	sanitized address,undefined $(filter tests/unit/% tests/api/%,$(TESTS))

nightly: $(check_PROGRAMS) lxdb
	@$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/nightly.sh $(NIGHTLY)
