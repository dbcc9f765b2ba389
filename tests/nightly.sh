#!/bin/sh
# SPDX-License-Identifier: MIT
# make nightly: the long form of every test that takes chances, two at a time; what was counted is
# added up. Each gets NIGHTLY_SECONDS (default 3600); a program with several cases takes that long
# for each. LXDB_TEST_SEED repeats the choices of an earlier night. What every program printed stays
# in nightly/ of the build tree.
# Usage: nightly.sh [PART OF A NAME...]
# Environment: top_srcdir, top_builddir, LXDB.
set -u

seconds=${NIGHTLY_SECONDS-3600}
logs=$top_builddir/nightly
# What goes on for a time, and what has a number of rounds: with the factor that makes it about as
# long as an hour.
timed='tests/crash/powerloss tests/crash/kill_storm tests/crash/openers_race tests/linear/linear
    tests/concurrency/helpers_damage tests/concurrency/pid_namespaces tests/compat/agree.sh'
scaled='tests/crash/kill_points:8 tests/crash/faults:4
    tests/crash/bit_flips:20 tests/crash/full_disk:30 tests/concurrency/lost_update:100
    tests/concurrency/readers_writer_compaction:100 tests/concurrency/fork_handles:50
    tests/concurrency/open_storm:50 tests/concurrency/stopped_holder:20
    tests/concurrency/threads:20 tests/concurrency/read_only:50
    tests/concurrency/bounded_space:10'

# run NAME VARIABLE=VALUE: one program, with what it says in a log of its own.
run()
{
    log=$logs/$(echo "$1" | tr / -).log
    began=$(date +%s)
    program=$top_builddir/$1
    case $1 in *.sh) program=$top_srcdir/$1 ;; esac
    result=passed
    env "$2" LXDB_TEST_DEADLINE=600 "$program" >"$log" 2>&1 || result="FAILED ($?)"
    echo "$(($(date +%s) - began)) s: $1: $result" | tee -a "$logs/results"
}

wanted()
{
    [ -n "$names" ] || return 0
    for part in $names; do
        case $1 in *"$part"*) return 0 ;; esac
    done
    return 1
}

names=$*
rm -rf "$logs"
mkdir -p "$logs"
cd "$top_builddir" || exit 1
export top_srcdir top_builddir LXDB
lane()
{
    for entry in $1; do
        program=${entry%:*}
        wanted "$program" || continue
        case $entry in
        *:*) # rounds for an hour, at the share of it that there is
            scale=$((${entry#*:} * seconds / 3600))
            run "$program" "LXDB_TEST_SCALE=$((scale > 0 ? scale : 1))"
            ;;
        *) run "$program" "LXDB_TEST_SECONDS=$seconds" ;;
        esac
    done
}
lane "$timed" &
first=$!
lane "$scaled"
wait "$first"

echo
echo 'counts, added up over all programs:'
sed -n 's/^count: \(.*\) \([0-9][0-9]*\)\( (too few.*\)\{0,1\}$/\1\t\2/p' "$logs"/*.log |
    awk -F '\t' '{ sum[$1] += $2 } END { for (name in sum) printf "%15d  %s\n", sum[name], name }' |
    LC_ALL=C sort -k 2
total=$(sed -n 's/ s: .*//p' "$logs/results" | awk '{ sum += $1 } END { print sum + 0 }')
failed=$(grep -c FAILED "$logs/results")
echo "$(wc -l <"$logs/results") programs, $total s in all, $failed failed"
[ "$failed" -eq 0 ] && [ -s "$logs/results" ]
