#!/bin/sh
# SPDX-License-Identifier: MIT
# make nightly: the long form of every test that takes chances, NIGHTLY_JOBS at a time (2); what was
# counted is added up. Each gets NIGHTLY_SECONDS (3600); a program with several cases takes so long
# for each. LXDB_TEST_SEED repeats the choices of an earlier night. What every program printed stays
# in nightly/ of the build tree.
# Usage: nightly.sh [PART OF A NAME...]
# Environment: top_srcdir, top_builddir, LXDB.
set -u

seconds=${NIGHTLY_SECONDS-3600}
logs=$top_builddir/nightly
# What goes on for a time; and what has a number of rounds, with the factor by which it is longer in
# an hour.
programs='tests/crash/powerloss tests/crash/kill_storm tests/linear/linear
    tests/crash/openers_race tests/concurrency/helpers_damage tests/compat/agree.sh
    tests/concurrency/pid_namespaces tests/crash/kill_points:8 tests/crash/faults:4
    tests/crash/bit_flips:20 tests/crash/full_disk:30 tests/concurrency/lost_update:100
    tests/concurrency/readers_writer_compaction:100 tests/concurrency/fork_handles:50
    tests/concurrency/open_storm:50 tests/concurrency/stopped_holder:20
    tests/concurrency/threads:20 tests/concurrency/read_only:50
    tests/concurrency/bounded_space:10'

# One program, with what it says in a log of its own.
if [ "${1-}" = --one ]; then
    name=${2%:*}
    log=$logs/$(echo "$name" | tr / -).log
    program=$top_builddir/$name
    case $name in *.sh) program=$top_srcdir/$name ;; esac
    length=LXDB_TEST_SECONDS=$seconds
    case $2 in
    *:*)
        scale=$((${2#*:} * seconds / 3600))
        length=LXDB_TEST_SCALE=$((scale > 0 ? scale : 1))
        ;;
    esac
    began=$(date +%s)
    result=passed
    env "$length" LXDB_TEST_DEADLINE=600 "$program" >"$log" 2>&1 || result="FAILED ($?)"
    echo "$(($(date +%s) - began)) s: $name, $length: $result" | tee -a "$logs/results"
    exit 0
fi

rm -rf "$logs"
mkdir -p "$logs"
cd "$top_builddir" || exit 1
for entry in $programs; do
    [ $# -gt 0 ] || echo "$entry"
    for part in "$@"; do
        case $entry in *"$part"*) echo "$entry" ;; esac
    done
done | xargs -P "${NIGHTLY_JOBS-2}" -n 1 sh "$top_srcdir/tests/nightly.sh" --one

echo
echo 'counts, added up over all programs:'
sed -n 's/^count: \(.*\) \([0-9][0-9]*\)\( (too few.*\)\{0,1\}$/\1\t\2/p' "$logs"/*.log |
    awk -F '\t' '{ sum[$1] += $2 } END { for (name in sum) printf "%15d  %s\n", sum[name], name }' |
    LC_ALL=C sort -k 2
total=$(sed -n 's/ s: .*//p' "$logs/results" | awk '{ sum += $1 } END { print sum + 0 }')
failed=$(grep -c FAILED "$logs/results")
echo "$(wc -l <"$logs/results") programs, $total s in all, $failed failed"
[ "$failed" -eq 0 ] && [ -s "$logs/results" ]
