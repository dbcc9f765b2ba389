#!/bin/sh
# SPDX-License-Identifier: MIT
# get and set: how values are read from the command line, stored, and printed.
. "${top_srcdir:?}/tests/cli/lib.sh"

# What is stored, with its tag, in hexadecimal: hex KEY
hex()
{
    "$LXDB" "$db" get --raw "$1" | od -An -v -tx1 | tr -d ' \n'
}

stored()
{
    check_that "$1" [ "$(hex "$2")" = "$3" ]
}

check set_object_prints_nothing 0 '' set object '{"b": 1, "a": [12345678901234567890, 1.0]}'
check get_object_prints_text_as_given 0 '{"b": 1, "a": [12345678901234567890, 1.0]}\n' get object

check set_number_is_json 0 '' set number 42
check get_number_prints_number 0 '42\n' get number
stored set_number_has_tag_1 number 013432

check set_negative_number_needs_no_dashes 0 '' set negative -1.5e3
check get_negative_number_prints_it 0 '-1.5e3\n' get negative

check set_word_is_string 0 '' set word hello
check get_word_prints_json_string 0 '"hello"\n' get word
stored set_word_is_stored_quoted word 012268656c6c6f22

check set_nothing_is_empty_string 0 '' set empty ''
check get_empty_string_prints_quotes 0 '""\n' get empty

check set_str_makes_string_of_number 0 '' set digits 42 --str
check get_string_of_digits_prints_quotes 0 '"42"\n' get digits

check set_json_leaves_out_space_around 0 '' set spaced ' [1, 2] '
check get_json_keeps_space_inside 0 '[1, 2]\n' get spaced

check set_not_quite_json_is_string 0 '' set almost '{"a":1,}'
check get_not_quite_json_prints_string 0 '"{\\"a\\":1,}"\n' get almost

check set_control_characters_are_escaped 0 '' set control "$(printf 'a\001\tb\nc')"
check get_control_characters_prints_escapes 0 '"a\\u0001\\tb\\nc"\n' get control

check set_latin1_is_refused 2 '' set latin "$(printf '\351')"
check_stderr set_latin1_hints_at_raw raw
check get_refused_value_is_missing 1 '' get latin

check set_raw_takes_any_bytes 0 '' set raw --raw "$(printf '\351x')"
check get_untagged_prints_bytes_alone 0 '\351x' get raw
check get_raw_of_untagged_prints_the_same 0 '\351x' get raw --raw
check get_raw_of_json_prints_tag_and_no_line_feed 0 '\00142' get number --raw

printf '\000\001\377' >"$tmp/bytes"
"$LXDB" "$db" set bytes - --raw <"$tmp/bytes"
check get_tagged_bytes_leaves_out_tag 0 '\001\377' get bytes
check get_raw_of_tagged_bytes_prints_tag 0 '\000\001\377' get bytes --raw

printf '{"a":1}\n' >"$tmp/in"
check set_stdin_json_is_typed 0 '' set in - <"$tmp/in"
check get_stdin_json_has_one_line_feed 0 '{"a":1}\n' get in
printf 'two\nlines\n' >"$tmp/in"
check set_stdin_text_is_string 0 '' set in - <"$tmp/in"
check get_stdin_text_keeps_all 0 '"two\\nlines\\n"\n' get in
check set_stdin_empty_raw_is_empty_value 0 '' set none - --raw </dev/null
check get_empty_value_prints_nothing 0 '' get none

i=0
while [ $i -lt 30000 ]; do
    echo "line $i of a value that is larger than any buffer"
    i=$((i + 1))
done >"$tmp/large"
check set_large_stdin_is_stored 0 '' set large - --raw <"$tmp/large"
"$LXDB" "$db" get large >"$tmp/large.back"
check_that get_large_value_is_the_same cmp "$tmp/large" "$tmp/large.back"

check set_again_replaces 0 '' set word '"other"'
check get_replaced_prints_new 0 '"other"\n' get word

check get_missing_key_is_no 1 '' get missing
check_stderr get_missing_key_is_named 'not-found: .*"missing"'
check get_json_of_missing_key_is_no 1 '' get missing --json
check_stderr get_json_message_is_object '^{"error":"not-found","exit":1,"message":".*"}$'
check get_json_prints_record 0 '{"key":"digits","value":"42"}\n' get digits --json
check get_json_of_bytes_prints_base64 0 '{"key":"bytes","value_b64":"AAH/"}\n' get bytes --json

check set_empty_key_is_usage 2 '' set '' 1
check set_after_dashes_takes_any_words 0 '' -- set --raw --str
check get_after_dashes_takes_any_words 0 '"--str"\n' get -- --raw

check set_key_b64_is_any_bytes 0 '' set --key-b64 /wA= 1
check get_key_b64_finds_them 0 '1\n' get --key-b64 /wA=
check get_key_b64_not_base64_is_usage 2 '' get --key-b64 '!'

check set_in_namespace_is_apart 0 '' -n agent set word 1
check get_in_namespace_finds_its_own 0 '1\n' -nagent get word
check get_outside_namespace_is_unchanged 0 '"other"\n' get word
check get_in_other_namespace_is_no 1 '' --namespace=none get word
check set_in_empty_namespace_is_usage 2 '' -n '' set a 1
finish
