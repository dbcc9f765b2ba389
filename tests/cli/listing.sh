#!/bin/sh
# SPDX-License-Identifier: MIT
# keys, items, count, namespaces and clear.
. "${top_srcdir:?}/tests/cli/lib.sh"

"$LXDB" "$db" set one 1
"$LXDB" "$db" set two '"zwei"'
"$LXDB" "$db" set other '[3, 4]'

check keys_are_in_order_of_writing 0 'one\ntwo\nother\n' keys
check keys_reverse_is_newest_first 0 'other\ntwo\none\n' keys --reverse
check keys_prefix_selects 0 'one\nother\n' keys --prefix o
check keys_prefix_of_none_prints_nothing 0 '' keys --prefix=zz
check keys_empty_prefix_is_all 0 'one\ntwo\nother\n' keys --prefix ''
check keys_limit_ends_early 0 'one\ntwo\n' keys --limit 2
check keys_limit_0_prints_nothing 0 '' keys --limit 0
check keys_limit_counts_what_is_printed 0 'other\n' keys --limit 1 --prefix o --reverse
check keys_limit_not_a_number_is_usage 2 '' keys --limit many
check keys_null_ends_with_nul 0 'one\000two\000other\000' keys -0
check keys_json_prints_objects 0 '{"key":"one"}\n{"key":"two"}\n' keys --json --limit 2

check items_prints_key_tab_value 0 'one\t1\ntwo\t"zwei"\nother\t[3, 4]\n' items
check items_raw_prints_tags 0 'one\t\0011\n' items --raw --limit 1
check items_null_ends_with_nul 0 'one\t1\000' items --null --limit 1
check items_json_prints_records 0 \
    '{"key":"one","value":1}\n{"key":"two","value":"zwei"}\n{"key":"other","value":[3, 4]}\n' \
    items --json
check items_reverse_prefix_selects 0 'other\t[3, 4]\none\t1\n' items --reverse --prefix o

"$LXDB" "$db" set one 11
check keys_updated_comes_last 0 'two\nother\none\n' keys
"$LXDB" "$db" set "$(printf '\377')" --raw bytes
check items_json_of_bytes_is_base64 0 '{"key_b64":"/w==","value_b64":"Ynl0ZXM="}\n' \
    items --json --reverse --limit 1

check namespaces_without_any_prints_nothing 0 '' namespaces
"$LXDB" "$db" -n beta set k 1
"$LXDB" "$db" -n alpha set k 1
"$LXDB" "$db" -n alpha set l 2
check namespaces_are_sorted_with_counts 0 'alpha\t2\nbeta\t1\n' namespaces
check namespaces_json_prints_objects 0 \
    '{"namespace":"alpha","count":2}\n{"namespace":"beta","count":1}\n' namespaces --json
check namespaces_in_a_namespace_is_usage 2 '' -n alpha namespaces

check keys_in_namespace_are_stripped 0 'k\nl\n' keys -n alpha
check keys_in_missing_namespace_prints_nothing 0 '' keys -n gamma
check items_in_namespace_are_stripped 0 'k\t1\n' items -n beta
check keys_of_database_are_as_stored 0 'beta\000k\000' keys --prefix beta -0

check count_of_database_includes_namespaces 0 '7\n' count
check count_of_namespace_is_its_own 0 '2\n' count -n alpha
check count_json_prints_object 0 '{"count":7}\n' count --json

check clear_of_namespace_prints_count 0 '2\n' -n alpha clear
check namespaces_cleared_is_gone 0 'beta\t1\n' namespaces
check count_after_clear_of_namespace_is_less 0 '5\n' count
check clear_of_database_prints_count 0 '{"deleted":5}\n' clear --json
check count_after_clear_is_0 0 '0\n' count
check clear_of_empty_prints_0 0 '0\n' clear
finish
