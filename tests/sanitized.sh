#!/bin/sh
# SPDX-License-Identifier: MIT
# make check-sanitizers: tests in a build of its own from the same sources, in
# DIRECTORY of the build tree, with sanitizers.
# Usage: sanitized.sh DIRECTORY SANITIZERS [TEST...]
# Environment: top_srcdir, top_builddir, CC, MAKE.
set -eu

build=$top_builddir/$1
sanitizers=$2
shift 2

probe=$top_builddir/sanitizer-probe
echo 'int main(void) { return 0; }' >"$probe.c"
if ! $CC -fsanitize="$sanitizers" -o "$probe" "$probe.c"; then
    echo "sanitized.sh: $CC cannot link with -fsanitize=$sanitizers: see above" >&2
    exit 1
fi
rm -f "$probe" "$probe.c"

mkdir -p "$build"
cd "$build"
[ -e Makefile ] || "$top_srcdir/configure" -q CC="$CC" --enable-sanitizers="$sanitizers" \
    --disable-shared
ASAN_OPTIONS=detect_leaks=1
LXDB_TEST_DEADLINE=${LXDB_TEST_DEADLINE-600}
export ASAN_OPTIONS LXDB_TEST_DEADLINE
rm -f test-suite.log
result=0
"$MAKE" -j"$(nproc)" check TESTS="$*" >check.log 2>&1 || result=$?
grep -E '^((X?FAIL|ERROR|SKIP):|# [A-Z]*: )' check.log || tail -n 40 check.log
ran=$(sed -n 's/^# PASS: *//p' check.log)
[ "$result" -eq 0 ] && [ "${ran:-0}" -gt 0 ]
