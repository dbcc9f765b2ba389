#!/bin/sh
# SPDX-License-Identifier: MIT
# Help, version, where options may stand, and what is refused as wrong use.
. "${top_srcdir:?}/tests/cli/lib.sh"

commands='get set create update del exists keys items count namespaces clear incr cas batch import
    export stat verify recover compact'

check_tool version_is_printed 0 "$("$LXDB" --version)\n" --version
check_that version_has_name_and_number grep -qx 'lxdb [0-9]*\.[0-9]*\.[0-9]*' "$tmp/out"

"$LXDB" --help >"$tmp/help"
check_that help_goes_to_stdout grep -q '^usage: lxdb \[options\] FILE COMMAND' "$tmp/help"
check_that help_fits_a_terminal awk 'length > 80 { exit 1 }' "$tmp/help"
for command in $commands; do
    check_that "help_lists_$command" grep -q "^  $command " "$tmp/help"
    "$LXDB" "$command" --help >"$tmp/help.$command"
    check_that "help_of_${command}_names_it" \
        grep -q "^usage: lxdb \[options\] FILE $command" "$tmp/help.$command"
    check_that "help_of_${command}_fits_a_terminal" \
        awk 'length > 80 { exit 1 }' "$tmp/help.$command"
    "$LXDB" "$db" "$command" -h >"$tmp/help.again"
    check_that "help_of_${command}_works_behind_a_file" cmp "$tmp/help.$command" "$tmp/help.again"
done
check_that help_creates_no_file [ ! -e "$db" ]

check_tool no_arguments_is_usage 2 ''
check_stderr no_arguments_hints_at_help -- --help
check file_alone_is_usage 2 ''
check unknown_command_is_usage 2 '' frobnicate
check_stderr unknown_command_is_named frobnicate
check unknown_option_is_usage 2 '' get a --frobnicate
check_stderr unknown_option_is_named -- --frobnicate
check unknown_letter_is_usage 2 '' get a -x
check option_without_its_argument_is_usage 2 '' get a -n
check option_with_an_argument_too_many_is_usage 2 '' get a --raw=yes
check option_of_another_command_is_usage 2 '' get a --reverse
check_stderr option_of_another_command_is_named -- 'get takes no --reverse'
check too_few_arguments_is_usage 2 '' set a
check too_many_arguments_is_usage 2 '' get a b
check raw_and_str_is_usage 2 '' set a b --raw --str
check sync_unknown_is_usage 2 '' set a b --sync some
check timeout_not_a_number_is_usage 2 '' set a b --timeout soon
check_that wrong_use_creates_no_file [ ! -e "$db" ]
check usage_json_is_an_object 2 '' --json get a b
check_stderr usage_json_is_printed_as_object '^{"error":"usage","exit":2,"message":".*"}$'
check usage_json_behind_what_is_wrong 2 '' keys --limit x --json
check_stderr usage_json_behind_what_is_wrong_counts '^{"error":"usage","exit":2,"message":".*"}$'
check usage_json_as_an_argument 2 '' keys --prefix --json --limit x
check_stderr usage_json_as_an_argument_is_text '^lxdb: usage: --limit'

check_tool options_before_the_file 0 '' --timeout 500 --sync full -n ns "$db" set k 1
check_tool options_between_file_and_command 0 '1\n' "$db" -n ns get k
check_tool options_behind_the_command 0 '1\n' "$db" get k -n ns
check_tool options_in_one_word 0 '1\n' "$db" get k -nns
check_tool options_with_equals_sign 0 '1\n' "$db" get k --namespace=ns --timeout=forever
check sync_interval_is_taken 0 '' set i 1 --sync=interval
check any_fs_is_taken 0 '1\n' get i --any-fs
check timeout_0_is_taken 0 '1\n' get i --timeout 0

# Output that cannot be written is a failure, and never lands in the database.
status=0
"$LXDB" "$db" export >/dev/full 2>"$tmp/err" || status=$?
check_that full_output_is_io [ "$status" -eq 5 ]
"$LXDB" "$db" export --format=hex >"$tmp/before"
status=0
"$LXDB" "$db" incr n >&- 2>"$tmp/err" || status=$?
check_that closed_output_is_io [ "$status" -eq 5 ]
"$LXDB" "$db" set o 1 <&- >&- 2>&-
"$LXDB" "$db" del n o
"$LXDB" "$db" export --format=hex >"$tmp/after"
check_that closed_descriptors_harm_nothing cmp "$tmp/before" "$tmp/after"
finish
