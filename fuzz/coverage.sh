#!/bin/sh
# SPDX-License-Identifier: MIT
# make fuzz-coverage: whether the committed corpora, with their regressions, take every branch of
# scan and recovery that is no assertion: what tests/coverage counts, of the replayed corpora alone.
# Failing calls are what tests/crash/faults is for: of a comparison of `rc` with LXDB_OK the way of
# the failure need not be taken. What else is left out is listed in fuzz/unreached.txt.
# Environment: top_srcdir, top_builddir, CC, MAKE, PYTHON.
set -eu

build=$top_builddir/fuzz/coverage
programs='fuzz/scan fuzz/scan_fixed fuzz/recover fuzz/open_ops fuzz/index'

if [ "$PYTHON" = no ] || ! command -v gcov >/dev/null; then
    echo 'make fuzz-coverage: python3 and gcov (of gcc) are needed; then configure again' >&2
    exit 1
fi
mkdir -p "$build"
cd "$build"
[ -e Makefile ] || "$top_srcdir/configure" -q CC="$CC" --enable-coverage --disable-shared
# shellcheck disable=SC2086 # a list of words
"$MAKE" -s -j"$(nproc)" $programs >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
find . -name '*.gcda' -exec rm -f {} +
for program in $programs; do
    "$program" >"$program.log" 2>&1 || { tail -n 20 "$program.log"; exit 1; }
done
"$PYTHON" "$top_srcdir/tests/coverage/report.py" --unreached="$top_srcdir/fuzz/unreached.txt" \
    --only=lib/format/scan.c,lib/format/skip.c,lib/engine/recover.c \
    "$top_srcdir" .
