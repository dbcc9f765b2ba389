#!/bin/sh
# SPDX-License-Identifier: MIT
# Files that cannot be opened, and the exit code for each.
. "${top_srcdir:?}/tests/cli/lib.sh"

for command in 'get a' 'exists a' keys items count namespaces export stat verify 'update a 1' \
    'del a' clear recover compact; do
    # shellcheck disable=SC2086 # words
    check "missing_file_is_io: $command" 5 '' $command
    check_stderr "missing_file_is_said: $command" 'no-such-file'
done
check_that missing_file_is_not_created [ ! -e "$db" ]
check_tool missing_directory_is_io 5 '' "$tmp/none/t.lxdb" set a 1

# Refused files stay as they are, and get no company. refused NAME STATUS WORD
refused()
{
    cp "$db" "$tmp/before"
    for command in 'get a' 'set a 1' export verify recover; do
        # shellcheck disable=SC2086 # words
        check "$1: $command" "$2" '' $command
        check_stderr "$1 is said: $command" "$3"
    done
    check_that "$1 is left untouched" cmp "$tmp/before" "$db"
}

printf 'SQLite format 3\000' >"$db"
refused other_magic_is_corrupt 4 not-a-database
printf 'LXDB\000' >"$db"
refused short_header_is_corrupt 4 not-a-database
printf 'LXDB\000\002\000\000\000\000' >"$db"
refused future_version_is_corrupt 4 unsupported-version
check get_json_of_future_version 4 '' --json get a
check_stderr get_json_of_future_version_has_word '"error":"unsupported-version","exit":4'

rm -f "$db"*
: >"$db"
check empty_file_is_empty_database 0 '0\n' count
check_that reading_an_empty_file_writes_nothing [ ! -s "$db" ]

rm -f "$db"*
"$LXDB" "$tmp/real.lxdb" set a 1
ln -s real.lxdb "$db"
check symbolic_link_is_refused 6 '' get a
check_stderr symbolic_link_is_said unsupported
rm -f "$db"
ln "$tmp/real.lxdb" "$db"
check second_hard_link_is_refused 6 '' set a 2
rm -f "$db"
mkdir "$db"
check directory_is_refused 6 '' get a
rmdir "$db"
mkfifo "$db"
check fifo_is_refused 6 '' get a
rm -f "$db"

if [ "$(id -u)" -ne 0 ]; then
    "$LXDB" "$db" set a 1
    chmod 400 "$db"
    check read_only_file_is_read 0 '1\n' get a
    check read_only_file_is_not_written 6 '' set a 2
    rm -f "$db"
fi

# Another program that opens or closes holds byte 1 of the lock file; past the deadline we give up.
"$LXDB" "$db" set a 1
cat >"$tmp/gate.py" <<'PY'
import fcntl, os, struct, subprocess, sys
F_OFD_SETLK = 37
path = sys.argv[1]
lock = os.open(path + "-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1, 1, 0))
sys.exit(subprocess.call([os.environ["LXDB"], path] + sys.argv[2:]))
PY
export LXDB
status=0
python3 "$tmp/gate.py" "$db" set a 2 --timeout 50 >"$tmp/out" 2>"$tmp/err" || status=$?
check_that gate_held_is_busy [ "$status" -eq 3 ]
check_stderr gate_held_is_said busy
check gate_held_changed_nothing 0 '1\n' get a
finish
