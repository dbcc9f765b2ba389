#!/bin/sh
# SPDX-License-Identifier: MIT
# import and export: what was exported and imported again is the same to the byte.
. "${top_srcdir:?}/tests/cli/lib.sh"

copy=$tmp/copy.lxdb

# Values of every kind under keys of every kind; three lines that NDJSON must carry in base64.
make_all()
{
    "$LXDB" "$db" set json '{"b": 12345678901234567890,	"a":1.0, "a":[ ]}'
    printf '[1,\n 2]' | "$LXDB" "$db" set lines -
    "$LXDB" "$db" set 'quo"te\' "$(printf 'caf\303\251')"
    "$LXDB" "$db" set "$(printf 'key\nof lines')" null
    "$LXDB" "$db" set "$(printf '\377\376')" true
    "$LXDB" "$db" set untagged --raw 'text'
    printf '\000\001\002\377' | "$LXDB" "$db" set bytes --raw -
    printf '\001not JSON' | "$LXDB" "$db" set pretender --raw -
    "$LXDB" "$db" set empty --raw ''
    "$LXDB" "$db" -n ns set k '"in a namespace"'
    "$LXDB" "$db" -n ns set --key-b64 AAE= 2
}

make_all
cat >"$tmp/expected.ndjson" <<'OUT'
{"key":"json","value":{"b": 12345678901234567890,	"a":1.0, "a":[ ]}}
{"key":"lines","value_b64":"AVsxLAogMl0="}
{"key":"quo\"te\\","value":"café"}
{"key":"key\nof lines","value":null}
{"key_b64":"//4=","value":true}
{"key":"untagged","value_b64":"dGV4dA=="}
{"key":"bytes","value_b64":"AAEC/w=="}
{"key":"pretender","value_b64":"AW5vdCBKU09O"}
{"key":"empty","value_b64":""}
{"key":"ns\u0000k","value":"in a namespace"}
{"key":"ns\u0000\u0000\u0001","value":2}
OUT
"$LXDB" "$db" export >"$tmp/ndjson"
check_that export_prints_records_in_order cmp "$tmp/expected.ndjson" "$tmp/ndjson"

check_tool import_prints_count 0 'imported             11\n' "$copy" import <"$tmp/ndjson"
"$LXDB" "$copy" export >"$tmp/ndjson.again"
check_that import_of_export_is_the_same cmp "$tmp/ndjson" "$tmp/ndjson.again"
"$LXDB" "$db" export --format=hex >"$tmp/hex"
"$LXDB" "$copy" export --format hex >"$tmp/hex.again"
check_that import_of_export_has_the_same_bytes cmp "$tmp/hex" "$tmp/hex.again"

sort "$tmp/hex" >"$tmp/hex.sorted"
check_that export_hex_is_sorted_by_key cmp "$tmp/hex.sorted" "$tmp/hex"
check_that export_hex_has_all_records [ "$(wc -l <"$tmp/hex")" -eq 11 ]
check_that export_hex_shows_stored_bytes grep -qx '6279746573	000102ff' "$tmp/hex"
check_that export_hex_shows_empty_value grep -qx '656d707479	' "$tmp/hex"

rm -f "$copy"*
check_tool import_hex_prints_count 0 '{"imported":11}\n' "$copy" --json import --format=hex \
    <"$tmp/hex"
"$LXDB" "$copy" export --format=hex >"$tmp/hex.again"
check_that import_of_hex_has_the_same_bytes cmp "$tmp/hex" "$tmp/hex.again"
tr a-f A-F <"$tmp/hex" | sed 's/$/\r/' >"$tmp/hex.upper"
rm -f "$copy"*
check_tool import_hex_reads_upper_case_and_crlf 0 'imported             11\n' "$copy" import \
    --format=hex <"$tmp/hex.upper"
"$LXDB" "$copy" export --format=hex >"$tmp/hex.again"
check_that import_of_upper_case_has_the_same_bytes cmp "$tmp/hex" "$tmp/hex.again"

rm -f "$copy"*
check export_of_namespace_strips_keys 0 \
    '{"key":"k","value":"in a namespace"}\n{"key":"\\u0000\\u0001","value":2}\n' -n ns export
"$LXDB" "$db" -n ns export >"$tmp/ns"
check_tool import_into_namespace_adds_it 0 'imported             2\n' "$copy" -n other import \
    <"$tmp/ns"
check_tool namespaces_after_import_has_it 0 'other\t2\n' "$copy" namespaces
check_tool get_imported_into_namespace 0 '"in a namespace"\n' "$copy" -n other get k
check export_hex_of_namespace_strips_keys 0 \
    '0001\t0132\n6b\t0122696e2061206e616d65737061636522\n' -n ns export --format=hex

# A line that is wrong: those before it are imported, those behind it are not.
rm -f "$copy"*
printf '%s\n' '{"key":"a","value":1}' '' '{"key":"b","value":2}' '{"key":"c","value":}' \
    '{"key":"d","value":4}' >"$tmp/in"
check_tool import_with_bad_line_is_usage 2 'imported             2\n' "$copy" import <"$tmp/in"
check_stderr import_with_bad_line_names_it 'line 4'
check_tool import_with_bad_line_keeps_what_came_before 0 'a\nb\n' "$copy" keys

for line in '{"op":"set","key":"a","value":1}' '{"key":"a"}' '{"value":1}' '[]' 'x' \
    '{"key":"a","value":1,"expires":5}' '{"key":"","value":1}'; do
    echo "$line" >"$tmp/in"
    check_tool "import_refuses_$line" 2 'imported             0\n' "$copy" import <"$tmp/in"
done
for line in 'x' '61' '6	31' '61	3' '61 31' '	31' '61	31	32'; do
    echo "$line" >"$tmp/in"
    check_tool "import_hex_refuses_$line" 2 'imported             0\n' "$copy" import --format=hex \
        <"$tmp/in"
done
check_tool import_format_unknown_is_usage 2 '' "$copy" import --format=csv </dev/null
check_tool import_of_nothing_succeeds 0 'imported             0\n' "$copy" import </dev/null

# More than one commit, and a last line without a line feed.
i=0
while [ $i -lt 2500 ]; do
    echo "{\"key\":\"key$i\",\"value\":$i}"
    i=$((i + 1))
done >"$tmp/many"
printf '{"key":"last","value":true}' >>"$tmp/many"
rm -f "$copy"*
check_tool import_of_many_counts_all 0 'imported             2501\n' "$copy" import <"$tmp/many"
echo >>"$tmp/many"
"$LXDB" "$copy" export >"$tmp/many.again"
check_that export_of_many_keeps_order cmp "$tmp/many" "$tmp/many.again"
(sed 's/"key\([0-9]\)/"new\1/' "$tmp/many" && echo bad) >"$tmp/in"
check_tool import_with_late_bad_line_counts_all_before 2 'imported             2501\n' "$copy" \
    import <"$tmp/in"
check_stderr import_with_late_bad_line_names_it 'line 2502'
finish
