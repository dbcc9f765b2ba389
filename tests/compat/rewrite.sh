#!/bin/sh
# SPDX-License-Identifier: MIT
# Databases that the tool makes through updates, deletes, batches, compaction and several sessions
# are well formed to a strict reader of version 1 after each close, and it sees exactly what export
# prints: nothing deleted comes back, nothing replaced shows. Keys and values that matter are
# compared with what the steps should have left.
set -eu

reader=${top_srcdir:-.}/tests/compat/reader.py
dir=$(mktemp -d "${TMPDIR:-/tmp}/lxdb-rewrite.XXXXXX")
trap 'rm -rf "$dir"' EXIT
db=$dir/db.lxdb
failures=0
checks=0

fault()
{
    echo "rewrite: after $1: $2"
    failures=$((failures + 1))
}

# check STEP COUNT: the closed file, to the reader and to export.
check()
{
    checks=$((checks + 1))
    "$LXDB" "$db" export --format=hex >"$dir/export" 2>"$dir/err" ||
        fault "$1" "export: $(cat "$dir/err")"
    python3 "$reader" "$db" >"$dir/reader" 2>"$dir/err" || fault "$1" "$(cat "$dir/err")"
    cmp -s "$dir/export" "$dir/reader" || fault "$1" 'the reader sees other records than export'
    [ "$(wc -l <"$dir/reader")" -eq "$2" ] ||
        fault "$1" "$(wc -l <"$dir/reader") records instead of $2"
}

# holds STEP KEY VALUE: the last check saw this record, given as text.
holds()
{
    record=$(python3 -c 'import sys; print(*(a.encode().hex() for a in sys.argv[1:]), sep="\t")' \
        "$2" "$3")
    grep -qxF -e "$record" "$dir/reader" || fault "$1" "key $2 is not '$3'"
}

lacks()
{
    key=$(python3 -c 'import sys; print(sys.argv[1].encode().hex())' "$2")
    if grep -q "^$key	" "$dir/reader"; then
        fault "$1" "key $2 is there"
    fi
}

"$LXDB" "$db" create --raw alpha one
check create 1
"$LXDB" "$db" set --raw beta two
"$LXDB" "$db" set --raw empty ''
check set 3
holds set empty ''

"$LXDB" "$db" set --raw alpha ONE
check 'an update of the same size' 3
holds 'an update of the same size' alpha ONE
"$LXDB" "$db" update --raw alpha 'longer than it was'
check 'an update of another size' 3
holds 'an update of another size' alpha 'longer than it was'

"$LXDB" "$db" del beta
check del 2
lacks del beta
"$LXDB" "$db" set --raw beta again
check 'a new value of a deleted key' 3
"$LXDB" "$db" del beta
check 'the second del' 2
lacks 'the second del' beta

"$LXDB" "$db" batch >"$dir/out" <<'END'
{"op": "set", "key": "alpha", "value": [1, 2]}
{"op": "set", "key": "gamma", "value": "text"}
{"op": "set", "key": "gamma", "value": "twice in one batch"}
{"op": "del", "key": "empty"}
{"op": "create", "key": "delta", "value": 12345678901234567890}
END
check batch 3
holds batch alpha "$(printf '\001[1, 2]')"
holds batch gamma "$(printf '\001"twice in one batch"')"
holds batch delta "$(printf '\00112345678901234567890')"
lacks batch empty

"$LXDB" -n space "$db" set --raw alpha inside
check 'a set in a namespace' 4
"$LXDB" "$db" clear >"$dir/out"
check clear 0

# A few hundred keys, by import; then every third deleted and every fifth replaced, in one batch.
python3 -c '
for i in range(400):
    print((b"key-%03d" % i).hex(), bytes([i % 256] * (i % 37)).hex(), sep="\t")' >"$dir/import"
"$LXDB" "$db" import --format=hex <"$dir/import" >"$dir/out"
check import 400
cmp -s "$dir/import" "$dir/reader" || fault import 'it is not what was imported'
python3 -c '
import json
for i in range(0, 400, 3):
    print(json.dumps({"op": "del", "key": f"key-{i:03d}"}))
for i in range(1, 400, 5):
    print(json.dumps({"op": "set", "key": f"key-{i:03d}", "value": {"n": i}}))' >"$dir/batch"
"$LXDB" "$db" batch <"$dir/batch" >"$dir/out"
# 134 deleted; of the 80 replaced, those divisible by 3 were deleted before and are back: 27.
check 'the large batch' 293
lacks 'the large batch' key-000
holds 'the large batch' key-006 "$(printf '\001{"n": 6}')"
cp "$dir/reader" "$dir/before"

"$LXDB" "$db" compact
check compact 293
cmp -s "$dir/before" "$dir/reader" || fault compact 'compaction changed the records'
"$LXDB" "$db" del key-001
"$LXDB" "$db" set --raw key-000 back
check 'changes after compaction' 293
lacks 'changes after compaction' key-001
"$LXDB" "$db" compact
check 'the second compaction' 293
holds 'the second compaction' key-000 back

# What a close leaves can be read without the helpers, and they change nothing.
cp "$db" "$dir/copy.lxdb"
"$LXDB" "$dir/copy.lxdb" export --format=hex >"$dir/export"
cmp -s "$dir/export" "$dir/reader" || fault 'a copy of the data file' 'other records'

echo "rewrite: $checks checks, $failures failures"
[ "$checks" -eq 15 ] && [ "$failures" -eq 0 ]
