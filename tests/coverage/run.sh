#!/bin/sh
# SPDX-License-Identifier: MIT
# make coverage: a build of its own from the same sources, instrumented, in coverage/ of the build
# tree; the tests in it; then what they have run of lib/ (report.py), which is to be enough.
#
# Environment: top_srcdir, top_builddir, CC, MAKE, PYTHON, and TESTS for other tests than those that
# local.mk picks.
set -eu

build=$top_builddir/coverage

if [ "$PYTHON" = no ] || ! command -v gcov >/dev/null; then
    echo 'make coverage: python3 and gcov (of gcc) are needed; then configure again' >&2
    exit 1
fi
mkdir -p "$build"
cd "$build"
if [ ! -e Makefile ]; then
    "$top_srcdir/configure" -q CC="$CC" --enable-coverage --disable-shared
fi
"$MAKE" check TESTS= >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
find . -name '*.gcda' -exec rm -f {} +
# The seed makes a run repeat what can be repeated; other seeds are for other runs. Without
# optimisation everything takes longer, and a watchdog is to end what hangs only.
LXDB_TEST_SEED=${LXDB_TEST_SEED-1}
LXDB_TEST_DEADLINE=${LXDB_TEST_DEADLINE-600}
export LXDB_TEST_SEED LXDB_TEST_DEADLINE
result=0
# shellcheck disable=SC2086 # a list of words
"$MAKE" check TESTS="$TESTS" >check.log 2>&1 || result=$?
grep -E '^((X?FAIL|ERROR|SKIP):|# [A-Z]*: )' check.log || true
"$PYTHON" "$top_srcdir/tests/coverage/report.py" "$top_srcdir" . || result=1
exit "$result"
