#!/bin/sh
# SPDX-License-Identifier: MIT
# make check-sanitizers, check-threads, check-valgrind: tests in a build of its own from the same
# sources, in DIRECTORY of the build tree, with sanitizers or under Valgrind.
# Usage: sanitized.sh DIRECTORY SANITIZERS|valgrind [TEST...]
# Environment: top_srcdir, top_builddir, CC, MAKE.
set -eu

build=$top_builddir/$1
sanitizers=$2
shift 2

under=
if [ "$sanitizers" = valgrind ]; then
    sanitizers=no
    under='valgrind -q --error-exitcode=9 --leak-check=full'
    if ! command -v valgrind >/dev/null; then
        echo 'sanitized.sh: valgrind is missing: apt-get install valgrind' >&2
        exit 1
    fi
else
    probe=$top_builddir/sanitizer-probe
    echo 'int main(void) { return 0; }' >"$probe.c"
    if ! $CC -fsanitize="$sanitizers" -o "$probe" "$probe.c" || ! "$probe"; then
        echo "sanitized.sh: $CC makes no program with -fsanitize=$sanitizers: see above" >&2
        exit 1
    fi
    rm -f "$probe" "$probe.c"
fi

mkdir -p "$build"
cd "$build"
[ -e Makefile ] || "$top_srcdir/configure" -q CC="$CC" --enable-sanitizers="$sanitizers" \
    --disable-shared
# Of the test programs those that are run are built, and the one that a script runs.
programs=tests/api/json_verdict
for test in "$@"; do
    case $test in
    *.sh) ;;
    *) programs="$programs $test" ;;
    esac
done
ASAN_OPTIONS=detect_leaks=1
TSAN_OPTIONS=suppressions=$top_srcdir/tests/threads.suppressions
LXDB_TEST_DEADLINE=${LXDB_TEST_DEADLINE-600}
export ASAN_OPTIONS TSAN_OPTIONS LXDB_TEST_DEADLINE
rm -f test-suite.log
result=0
"$MAKE" -j"$(nproc)" check TESTS="$*" check_PROGRAMS="$programs" check_LTLIBRARIES= \
    LOG_COMPILER="$under" >check.log 2>&1 || result=$?
grep -E '^((X?FAIL|ERROR|SKIP):|# [A-Z]*: )' check.log || tail -n 40 check.log
for test in $(sed -n 's/^\(FAIL\|ERROR\): //p' check.log); do
    echo "== $test"
    tail -n 60 "${test%.sh}.log"
done
ran=$(sed -n 's/^# PASS: *//p' check.log)
[ "$result" -eq 0 ] && [ "${ran:-0}" -gt 0 ]
