#!/bin/sh
# SPDX-License-Identifier: MIT
# stat, verify, recover and compact.
. "${top_srcdir:?}/tests/cli/lib.sh"

# The number of a figure in the last output: figure NAME
figure()
{
    awk -v name="$1" '$1 == name { print $2 }' "$tmp/out"
}

# Run for the figures alone: run STATUS ARGS...
run()
{
    checks=$((checks + 1))
    expected=$1
    shift
    status=0
    "$LXDB" "$db" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
    [ "$status" -eq "$expected" ] || {
        fault "$*" "status $status instead of $expected"
        show stdout "$tmp/out"
        show stderr "$tmp/err"
    }
}

# Records of 15 bytes each, at 10, 25 and 40.
for key in a b c; do
    "$LXDB" "$db" set $key --raw one
done

run 0 stat
check_that stat_counts_records [ "$(figure records)" = 3 ]
check_that stat_counts_live_bytes [ "$(figure live_bytes)" = 45 ]
check_that stat_aligns_values awk 'index($0, $2) != 22 { exit 1 }' "$tmp/out"
run 0 stat --json
check_that stat_json_is_one_object grep -q '^{"records":3,.*}$' "$tmp/out"
check stat_in_a_namespace_is_usage 2 '' -n ns stat

run 0 verify
check_that verify_counts_records [ "$(figure records_live)" = 3 ]
check_that verify_finds_end_of_log [ "$(figure tail)" = 55 ]
check_that verify_sees_clean_close [ "$(figure crashed)" = no ]
check_that verify_sound_file_is_silent [ ! -s "$tmp/err" ]
run 0 verify --json
check_that verify_json_has_ranges grep -q '"records_live":3,.*"ranges":\[\]}$' "$tmp/out"

run 0 recover
check_that recover_without_need_prints_nothing [ ! -s "$tmp/out" ]
check_stderr recover_without_need_says_so 'nothing to recover'
check recover_json_without_need_prints_null 0 'null\n' recover --json

# Replaced and deleted records go.
"$LXDB" "$db" set a --raw two
"$LXDB" "$db" del b
run 0 compact
check_that compact_shrinks [ "$(figure bytes_after)" -lt "$(figure bytes_before)" ]
check items_after_compact_are_all_there 0 'c\tone\na\ttwo\n' items
run 0 stat
check_that stat_after_compact_has_live_bytes_only [ "$(figure live_bytes)" = 30 ]
check compact_in_a_namespace_is_usage 2 '' -n ns compact

# One damaged record among sound ones: a byte of the value of the second of three.
rm -f "$db"*
for key in a b c; do
    "$LXDB" "$db" set $key --raw one
done
rm -f "$db"-*
printf X | dd of="$db" bs=1 seek=33 conv=notrunc 2>/dev/null
cp "$db" "$tmp/before"
run 1 verify
check_stderr verify_damage_is_said corrupt
check_that verify_damage_is_located grep -q '^damaged *offset 25 length 15$' "$tmp/out"
check_that verify_damage_is_counted [ "$(figure bytes_damaged)" = 15 ]
run 1 verify --json
check_that verify_json_damage_is_located \
    grep -q '"ranges":\[{"kind":"damaged","offset":25,"length":15}\]}$' "$tmp/out"
check export_beside_damage_prints_the_rest 0 '61\t6f6e65\n63\t6f6e65\n' export --format=hex
check_that verify_and_export_change_nothing cmp "$tmp/before" "$db"

# What a crash leaves: a watermark in the header, and then a torn record behind the last whole one.
rm -f "$db"*
for key in a b; do
    "$LXDB" "$db" set $key --raw one
done
rm -f "$db"-*
printf '\000\000\000\012' | dd of="$db" bs=1 seek=6 conv=notrunc 2>/dev/null
run 0 verify
check_that verify_sees_crash [ "$(figure crashed)" = yes ]
printf '\001\000\001\001' >>"$db"
cp "$db" "$tmp/before"
check get_after_crash_reads 0 'one' get b
check count_after_crash_counts 0 '2\n' count
run 0 verify
check_that verify_sees_torn_tail grep -q '^cut *offset 40 length 4$' "$tmp/out"
check_that verify_torn_tail_is_no_fault [ ! -s "$tmp/err" ]
check_that readers_after_crash_change_nothing cmp "$tmp/before" "$db"
check_that readers_after_crash_create_nothing [ "$(echo "$db"*)" = "$db" ]
run 0 recover
check_that recover_sees_crash [ "$(figure crashed)" = yes ]
check_that recover_keeps_records [ "$(figure records_live)" = 2 ]
check_that recover_counts_cut_bytes [ "$(figure bytes_cut)" = 4 ]
check_that recover_names_cut_range grep -q '^cut *offset 40 length 4$' "$tmp/out"
check_that recover_sets_aside_what_it_cut [ -s "$db-lost" ]
run 0 verify
check_that verify_after_recover_is_clean [ "$(figure crashed)" = no ]
check items_after_recover_are_all_there 0 'a\tone\nb\tone\n' items
finish
