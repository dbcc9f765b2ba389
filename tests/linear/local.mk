# SPDX-License-Identifier: MIT
# Linearizability: recorded histories of several processes, and the checker of them.

check_PROGRAMS += tests/linear/linear
tests_linear_linear_SOURCES = \
	tests/linear/calls.c \
	tests/linear/check.c \
	tests/linear/check.h \
	tests/linear/client.c \
	tests/linear/client.h \
	tests/linear/director.c \
	tests/linear/director.h \
	tests/linear/disturb.c \
	tests/linear/examples.c \
	tests/linear/examples.h \
	tests/linear/explain.c \
	tests/linear/field.h \
	tests/linear/history.c \
	tests/linear/history.h \
	tests/linear/linear.c \
	tests/linear/model.c \
	tests/linear/model.h \
	tests/linear/notation.c \
	tests/linear/plain.c \
	tests/linear/plain.h \
	tests/linear/play.c \
	tests/linear/search.h \
	$(concurrency_harness)
# the library whose steps are named: clients die and stop there
tests_linear_linear_LDADD = tests/crash/libsteps.la
TESTS += tests/linear/linear

EXTRA_DIST += tests/linear/examples.txt
CLEANFILES += linear-history-*.txt
