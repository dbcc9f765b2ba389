#!/bin/sh
# SPDX-License-Identifier: MIT
# lxdb at its main job: many processes at work on one database of real records, the proof that
# nothing was lost, and the throughput table of the Python original.
# Usage: demo.sh [--short]; --short: fewer records, and no table.
# In the environment: top_srcdir, top_builddir, LXDB (the tool), ISO_CODES (the folder with the JSON
# files of the package iso-codes), TMPDIR, LXDB_TEST_SEED.
set -eu

fail()
{
    echo "demo: $1" >&2
    exit 1
}

source=${top_srcdir:-.}
build=${top_builddir:-.}
tool=${LXDB:-$build/lxdb}
lists=${ISO_CODES:-/usr/share/iso-codes/json}
option=
case $# in
0) ;;
*)
    [ "$*" = --short ] || fail 'usage: demo.sh [--short]'
    option=--short
    ;;
esac
[ -r "$lists/iso_639-3.json" ] ||
    fail "no iso_639-3.json in $lists: apt-get install iso-codes, or set ISO_CODES to its folder"

folder=$(mktemp -d "${TMPDIR:-/tmp}/lxdb-demo.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086 # no option or one
"$build/tests/demo/demo" $option "$lists" "$folder"

# Another program, in another language, made from the description of the format alone.
sort "$folder/expected" >"$folder/want"
"${PYTHON:-python3}" "$source/tests/compat/reader.py" "$folder/demo.lxdb" >"$folder/found" ||
    fail 'the independent reader of the format does not accept the file'
sort "$folder/found" >"$folder/have"
cmp "$folder/want" "$folder/have" >&2 ||
    fail 'the independent reader of the format finds other records in the file'
echo "  reader.py  an independent reader of the file format finds the same $(
    wc -l <"$folder/have" | sed ':again; s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/; t again') keys"

echo
echo "\$ lxdb demo.lxdb stat"
"$tool" "$folder/demo.lxdb" stat || fail 'lxdb stat failed'

[ -z "$option" ] || exit 0
echo
"$build/bench/table" || fail 'the table found a wrong result'
