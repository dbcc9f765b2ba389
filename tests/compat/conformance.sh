#!/bin/sh
# SPDX-License-Identifier: MIT
# The tool on each file of conformance/: `export --format=hex` of a copy is what the .expect says.
# What is no database is refused with exit code 4 and the word pair of the .expect, and left as it
# was. After a write into the copy and the close that ends it, a strict reader of version 1 sees the
# same records.
set -eu

fixtures=${top_srcdir:-.}/tests/compat/conformance
reader=${top_srcdir:-.}/tests/compat/reader.py
expected_files=55
dir=$(mktemp -d "${TMPDIR:-/tmp}/lxdb-conformance.XXXXXX")
trap 'rm -rf "$dir"' EXIT
failures=0
files=0

fault()
{
    echo "conformance: $1: $2"
    failures=$((failures + 1))
}

# refused NAME WORDS: the copy is refused, and not one byte of it changes.
refused()
{
    code=0
    "$LXDB" "$dir/$1.lxdb" export --format=hex >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" -eq 4 ] || fault "$1" "exit code $code instead of 4"
    [ ! -s "$dir/out" ] || fault "$1" 'something on stdout'
    grep -q -e "$2" "$dir/err" || fault "$1" "no '$2' in: $(cat "$dir/err")"
    cmp -s "$dir/$1.lxdb" "$fixtures/$1.lxdb" || fault "$1" 'the file was changed'
}

# opened NAME: the copy exports as expected; then with one key more, also to the reader.
opened()
{
    sed 1d "$fixtures/$1.expect" >"$dir/expected"
    count=$(sed -n '1s/^records: //p' "$fixtures/$1.expect")
    [ "$(wc -l <"$dir/expected")" -eq "$count" ] || fault "$1" 'the .expect contradicts itself'
    code=0
    "$LXDB" "$dir/$1.lxdb" export --format=hex >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" -eq 0 ] || fault "$1" "exit code $code: $(cat "$dir/err")"
    cmp -s "$dir/out" "$dir/expected" || fault "$1" 'export differs'

    "$LXDB" "$dir/$1.lxdb" set --raw probe added >"$dir/out" 2>"$dir/err" ||
        fault "$1" "set failed: $(cat "$dir/err")"
    printf '70726f6265\t6164646564\n' | LC_ALL=C sort - "$dir/expected" >"$dir/expected-more"
    # Damage with lengths that lead over it stays where it is, and is reported by every verify.
    case $1 in
    bad_crc_* | bad_status_* | crash_rot_* | crash_group_below_* | watermark_not_*) step=--step ;;
    *) step= ;;
    esac
    python3 "$reader" $step "$dir/$1.lxdb" >"$dir/out" 2>"$dir/err" ||
        fault "$1" "after a write: $(cat "$dir/err")"
    [ -z "$step" ] || grep -q 'stepped over' "$dir/err" || fault "$1" 'the damage is gone'
    cmp -s "$dir/out" "$dir/expected-more" || fault "$1" 'after a write, the reader disagrees'
    "$LXDB" "$dir/$1.lxdb" export --format=hex >"$dir/out" 2>"$dir/err" || :
    cmp -s "$dir/out" "$dir/expected-more" || fault "$1" 'after a write, export differs'
}

for file in "$fixtures"/*.lxdb; do
    name=$(basename "$file" .lxdb)
    files=$((files + 1))
    cp "$file" "$dir/$name.lxdb"
    chmod 600 "$dir/$name.lxdb"
    read -r first <"$fixtures/$name.expect"
    case $first in
    'error: '*) refused "$name" "${first#error: }" ;;
    'records: '*) opened "$name" ;;
    *) fault "$name" "unknown expectation '$first'" ;;
    esac
    rm -f "$dir/$name.lxdb"*
done

[ "$files" -eq "$expected_files" ] || fault "$fixtures" "$files files instead of $expected_files"
echo "conformance: $files files, $failures failures"
[ "$failures" -eq 0 ]
