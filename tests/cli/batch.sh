#!/bin/sh
# SPDX-License-Identifier: MIT
# batch: all changes or none.
. "${top_srcdir:?}/tests/cli/lib.sh"

# The input of the next check.
input()
{
    cat >"$tmp/in"
}

input <<'IN'
{"op":"set","key":"a","value":{"n": 12345678901234567890}}
{"op":"create","key":"b","value":"text"}

{"op":"set","key":"c","value_b64":"AGJ5dGVz"}
{"op":"create","key_b64":"/w==","value_b64":""}
{"op":"del","key":"missing"}
IN
check batch_prints_counts 0 'written              4\ndeleted              0\n' batch <"$tmp/in"
check get_set_by_batch_is_exact 0 '{"n": 12345678901234567890}\n' get a
check get_created_by_batch_is_json 0 '"text"\n' get b
check get_bytes_set_by_batch_keep_tag 0 '\000bytes' get c --raw
check exists_key_b64_of_batch_is_there 0 '' exists --key-b64 /w==

input <<'IN'
{"op":"set","key":"d","value":1}
{"op":"del","key":"a"}

{"op":"create","key":"b","value":2}
IN
check batch_with_existing_create_is_no 1 '' batch <"$tmp/in"
check_stderr batch_with_existing_create_names_line 'exists: line 4'
check batch_with_existing_create_changes_nothing 0 '4\n' count

input <<'IN'
{"op":"set","key":"d","value":1}
{"op":"set","key":"e","value":nope}
IN
check batch_with_bad_line_is_usage 2 '' batch <"$tmp/in"
check_stderr batch_with_bad_line_names_it 'line 2'
check batch_with_bad_line_changes_nothing 1 '' exists d

for line in '{"key":"a","value":1}' '{"op":"set","key":"a"}' '{"op":"set","value":1}' \
    '{"op":"del","key":"a","value":1}' '{"op":"put","key":"a","value":1}' 'nonsense' \
    '{"op":"set","key":"","value":1}'; do
    echo "$line" >"$tmp/in"
    check "batch_refuses_$line" 2 '' batch <"$tmp/in"
done
check batch_refused_changes_nothing 0 '4\n' count

input <<'IN'
{"op":"del","key":"a"}
{"op":"create","key":"a","value":1}
{"op":"del","key":"b"}
{"op":"del","key":"b"}
IN
check batch_applies_changes_in_order 0 '{"written":1,"deleted":2}\n' batch --json <"$tmp/in"
check get_deleted_and_created_prints_new 0 '1\n' get a
check batch_of_nothing_succeeds 0 'written              0\ndeleted              0\n' \
    batch </dev/null

printf '{"op":"set","key":"k","value":1}' >"$tmp/in"
check batch_in_namespace_writes_there 0 '{"written":1,"deleted":0}\n' -n ns batch --json <"$tmp/in"
check get_in_namespace_finds_it 0 '1\n' -n ns get k
check exists_outside_namespace_is_no 1 '' exists k

rm -f "$db"*
check batch_creates_a_file 0 '{"written":1,"deleted":0}\n' batch --json <"$tmp/in"
finish
