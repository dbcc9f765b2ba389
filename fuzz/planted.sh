#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: fuzz/planted.sh [NAME...]     all of fuzz/planted/*.patch
#
# Bugs on purpose, each in a copy of the tree, that a target has to find from the committed corpus:
# builds the copy for AFL++ and fuzzes the target that the patch names until the first crash, for
# LIMIT seconds (600) at most. Prints how long each took; fails if one was not found.
#
# Inputs that show the bug as they are would teach nothing about the fuzzer: they are counted, and
# left out of what it starts with.
#
# The copy stays in FUZZ_WORK (build/fuzz/planted), so that a later run only builds what differs.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
work=${FUZZ_WORK-$top/build/fuzz/planted}
limit=${LIMIT-600}
missed=0

if [ ! -x "$top/configure" ]; then
    echo 'planted.sh: there is no configure script: run autoreconf -fi first' >&2
    exit 2
fi
for command in afl-fuzz patch; do
    command -v "$command" >/dev/null || { echo "planted.sh: $command is missing" >&2; exit 2; }
done
mkdir -p "$work/tree/build"
(cd "$top" && tar -cf - --exclude=./build --exclude=./.git --exclude=./autom4te.cache .) |
    tar -xf - -C "$work/tree"

field()
{
    sed -n "s/^$1: //p" "$2"
}

# plant PATCH OPTION...: apply it to the copy, or with -R take it out again; make is to see it.
plant()
{
    patch -s -p1 -d "$work/tree" "${@:2}" <"$1"
    sed -n 's,^+++ b/,,p' "$1" | while read -r file; do touch "$work/tree/$file"; done
}

# run_patch PATCH: whether it was found.
run_patch()
{
    local name target started log shown input
    name=$(basename "$1" .patch)
    target=$(field target "$1")
    log=$work/$name.log
    if ! top_srcdir=$work/tree top_builddir=$work/tree/build MAKE=make \
        "$work/tree/fuzz/build.sh" >"$log" 2>&1; then
        echo "$name: does not build: $log"
        return 1
    fi
    shown=0
    rm -rf "$work/corpus"
    mkdir "$work/corpus"
    for input in "$work/tree/fuzz/corpus/$target"/*; do
        if "$work/tree/build/fuzz/asan/fuzz/afl_$target" <"$input" >>"$log" 2>&1; then
            cp "$input" "$work/corpus"
        else
            shown=$((shown + 1))
        fi
    done 2>/dev/null
    started=$SECONDS
    if FUZZ_FRESH=1 FUZZ_UNTIL_CRASH=1 FUZZ_OUT=$work/out FUZZ_CORPUS=$work/corpus \
        "$work/tree/fuzz/run" "$target" "$limit" >>"$log" 2>&1; then
        echo "$name: NOT FOUND by $target in $((SECONDS - started)) s"
        return 1
    fi
    if ! ls "$work/out/findings/$target"/* >/dev/null 2>&1; then
        echo "$name: the fuzzer failed: $log"
        return 1
    fi
    echo "$name: found by $target in $((SECONDS - started)) s;" \
        "$shown inputs of its corpus, left out, show it as well"
    rm -rf "$work/out/findings/$target"
}

if [ $# -eq 0 ]; then
    for patch in "$top"/fuzz/planted/*.patch; do
        set -- "$@" "$(basename "$patch" .patch)"
    done
fi
for name in "$@"; do
    patch=$top/fuzz/planted/$name.patch
    rm -rf "$work/out"
    plant "$patch" -N
    run_patch "$patch" || missed=$((missed + 1))
    plant "$patch" -R
done
[ "$missed" -eq 0 ]
