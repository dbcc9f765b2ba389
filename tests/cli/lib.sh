# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the tests of the tool share; sourced, with LXDB naming the tool. Each test has a directory of
# its own, $tmp, with a database $db in it that does not exist yet.
#
#   check NAME STATUS OUTPUT ARGS...   run `lxdb $db ARGS`; it must end with STATUS and print
#                                      OUTPUT, a printf format (a percent sign is written %%)
#   check_tool NAME STATUS OUTPUT ARGS...   the same for `lxdb ARGS`
#   check_stderr NAME PATTERN          what the last check said on stderr holds the basic pattern
#   check_that NAME COMMAND...         the command succeeds
#   finish                             print the counts and end the test
#
# A check that expects status 0 also expects nothing on stderr.

set -u
LC_ALL=C
export LC_ALL
: "${LXDB:?names the tool}"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/lxdb-cli.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT PIPE TERM
db=$tmp/t.lxdb
checks=0
faults=0

fault()
{
    faults=$((faults + 1))
    echo "FAIL $1: $2"
}

show()
{
    echo "  $1:"
    head -c 2000 "$2" | sed -e 's/^/    /'
    echo
}

check_tool()
{
    check_name=$1
    check_status=$2
    # shellcheck disable=SC2059 # the format is the point
    printf -- "$3" >"$tmp/expected"
    shift 3
    checks=$((checks + 1))
    status=0
    "$LXDB" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
    if [ "$status" -ne "$check_status" ]; then
        fault "$check_name" "status $status instead of $check_status"
        show stdout "$tmp/out"
        show stderr "$tmp/err"
    elif ! cmp -s "$tmp/expected" "$tmp/out"; then
        fault "$check_name" "unexpected output"
        show expected "$tmp/expected"
        show stdout "$tmp/out"
    elif [ "$check_status" -eq 0 ] && [ -s "$tmp/err" ]; then
        fault "$check_name" "a message, though it succeeded"
        show stderr "$tmp/err"
    fi
}

check()
{
    check_one=$1
    check_two=$2
    check_three=$3
    shift 3
    check_tool "$check_one" "$check_two" "$check_three" "$db" "$@"
}

check_stderr()
{
    checks=$((checks + 1))
    if ! grep -q -- "$2" "$tmp/err"; then
        fault "$1" "no '$2' on stderr"
        show stderr "$tmp/err"
    fi
}

check_that()
{
    check_name=$1
    shift
    checks=$((checks + 1))
    "$@" >"$tmp/log" 2>&1 || {
        fault "$check_name" "this failed: $*"
        show output "$tmp/log"
    }
}

finish()
{
    echo "$checks checks, $faults faults"
    [ "$checks" -gt 0 ] && [ "$faults" -eq 0 ]
    exit
}
