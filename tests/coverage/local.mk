# SPDX-License-Identifier: MIT
# make coverage: see run.sh. Of the tests it leaves out those that say nothing about lib/ or kill
# from outside, at random: such a death may fall into the writing of the counts.

EXTRA_DIST += \
	tests/coverage/keep.h \
	tests/coverage/report.py \
	tests/coverage/run.sh \
	tests/coverage/unreachable.txt

coverage_leaves_out = \
	tests/cli/text \
	tests/crash/kill_storm \
	tests/crash/openers_race \
	tests/crash/sync_order.sh \
	tests/demo/short.sh \
	tests/linear/linear \
	tests/models/run.sh \
	tests/seeded/check.sh

.PHONY: coverage
coverage:
	@$(AM_TESTS_ENVIRONMENT) CC='$(CC)' MAKE='$(MAKE)' PYTHON='$(PYTHON)' \
	TESTS='$(filter-out $(coverage_leaves_out),$(TESTS))' \
	$(top_srcdir)/tests/coverage/run.sh
