#!/bin/sh
# SPDX-License-Identifier: MIT
# create, update, del and exists.
. "${top_srcdir:?}/tests/cli/lib.sh"

check create_new_key_succeeds 0 '' create a '{"n":1}'
check get_created_prints_it 0 '{"n":1}\n' get a
check create_existing_key_is_no 1 '' create a 2
check_stderr create_existing_key_is_named 'exists: .*"a"'
check create_existing_key_changes_nothing 0 '{"n":1}\n' get a

check update_existing_key_replaces 0 '' update a text
check get_updated_prints_it 0 '"text"\n' get a
check update_raw_takes_bytes 0 '' update a text --raw
check get_updated_raw_prints_bytes 0 'text' get a
check update_missing_key_is_no 1 '' update b 1
check_stderr update_missing_key_is_named 'not-found: .*"b"'
check update_missing_key_creates_nothing 1 '' get b

check exists_present_is_yes 0 '' exists a
check exists_missing_is_no 1 '' exists b
check_that exists_missing_says_nothing [ ! -s "$tmp/err" ]
check exists_json_prints_true 0 'true\n' exists a --json
check exists_json_prints_false 1 'false\n' exists b --json

check del_present_succeeds 0 '' del a
check exists_deleted_is_no 1 '' exists a
check del_missing_is_no 1 '' del a
check_stderr del_missing_is_named 'not-found: .*"a"'

for key in x y z; do
    "$LXDB" "$db" set $key 1
done
check del_several_with_one_missing_is_no 1 '' del x missing y
check del_several_deletes_the_others 0 'z\n' keys
check create_in_namespace_is_apart 0 '' -n ns create z 1
check del_in_namespace_leaves_root 0 '' -n ns del z
check exists_root_key_is_still_there 0 '' exists z

rm -f "$db"*
check update_does_not_create_a_file 5 '' update a 1
check del_does_not_create_a_file 5 '' del a
check_that update_and_del_left_no_file [ ! -e "$db" ]
check create_creates_a_file 0 '' create a 1
finish
