#!/bin/sh
# SPDX-License-Identifier: MIT
# incr and cas.
. "${top_srcdir:?}/tests/cli/lib.sh"

check incr_missing_counts_from_0 0 '1\n' incr n
check incr_by_adds 0 '42\n' incr n 41
check incr_by_negative_needs_no_dashes 0 '-8\n' incr n -50
check get_sum_is_a_number 0 '-8\n' get n
check incr_by_0_prints_the_sum 0 '-8\n' incr n 0
check incr_by_a_word_is_usage 2 '' incr n many
check incr_by_a_fraction_is_usage 2 '' incr n 1.5
check incr_by_more_than_64_bits_is_usage 2 '' incr n 9223372036854775808
check incr_wrong_by_changes_nothing 0 '-8\n' get n

"$LXDB" "$db" set big 9223372036854775806
check incr_to_the_largest_is_exact 0 '9223372036854775807\n' incr big
check incr_past_the_largest_is_refused 2 '' incr big
check incr_past_the_largest_changes_nothing 0 '9223372036854775807\n' get big

"$LXDB" "$db" set text hello
check incr_of_text_is_no 1 '' incr text
check_stderr incr_of_text_says_type wrong-type
check incr_in_namespace_is_apart 0 '1\n' -n ns incr n

check cas_expected_value_stores_new 0 '' cas text hello '{"v":2}'
check get_exchanged_prints_new 0 '{"v":2}\n' get text
check cas_other_value_is_no 1 '' cas text hello 3
check_stderr cas_other_value_names_key 'conflict: .*"text"'
check cas_other_value_changes_nothing 0 '{"v":2}\n' get text
check cas_other_spelling_is_no 1 '' cas text '{"v": 2}' 3
check cas_absent_of_present_is_no 1 '' cas --absent text 3
check cas_absent_of_missing_stores 0 '' cas new --absent 1
check get_stored_by_cas_prints_it 0 '1\n' get new
check cas_of_missing_is_no 1 '' cas missing 1 2
printf 2 >"$tmp/in"
check cas_new_from_stdin_stores 0 '' cas new 1 - <"$tmp/in"
check get_stored_from_stdin_prints_it 0 '2\n' get new
check cas_two_from_stdin_is_usage 2 '' cas new - - <"$tmp/in"
check cas_raw_compares_stored_bytes 1 '' cas new --raw 2 3
check set_empty_raw_value 0 '' set void --raw ''
check cas_expected_empty_is_not_absent 0 '' cas void --raw '' full
check get_exchanged_empty_prints_new 0 'full' get void
check cas_without_new_is_usage 2 '' cas new 1
check cas_absent_with_expected_is_usage 2 '' cas --absent new 1 2
finish
