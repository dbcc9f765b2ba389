#!/bin/sh
# SPDX-License-Identifier: MIT
# The order in which the tool, and the library below it, call the system: what the program
# sync_order finds inside the library, found again from outside, for the very program that is
# installed. LXDB names the tool. Stores into mappings make no calls and do not show here.
. "${top_srcdir:?}/tests/cli/lib.sh"

skip()
{
    echo "SKIP: $1"
    exit 77
}

command -v strace >/dev/null || skip 'strace is missing'
strace -o "$tmp/trace" -e trace=fsync true 2>"$tmp/err" || {
    cat "$tmp/err"
    skip 'strace may not trace here (ptrace is not permitted)'
}

# LeakSanitizer cannot work in a traced process.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
export ASAN_OPTIONS

# From a trace to lines like those of sync_order.c: what changed or synced a file of the database,
# or made it; calls that found nothing are left out, and equal lines in a row are one.
normalise()
{
    awk -v directory="$(cd "$tmp" && pwd -P)" '
        function role(name)
        {
            if (name == "t.lxdb")
                return "data"
            return sub(/^t\.lxdb-/, "", name) ? name : "other"
        }
        # The nth quoted name of the call, and the file of its descriptor.
        function named(n,  part) { split($0, part, "\""); return role(part[2 * n]) }
        function of_descriptor(  text)
        {
            text = $0
            sub(/^[^<]*</, "", text)
            sub(/>.*/, "", text)
            sub(/ \(deleted\)$/, "", text)
            return text == directory ? "directory" : role(substr(text, length(directory) + 2))
        }
        function put(line) { if (line != last) print line; last = line }

        { sub(/^[0-9]+ +/, "") }
        # msync has no descriptor: the mapping that starts there has one
        /^mmap/ && index($0, "<" directory) { mapped[$NF] = of_descriptor(); next }
        /^mmap/ { next }
        /^msync/ { sub(/^msync\(/, ""); sub(/,.*/, ""); put("sync records of " mapped[$0]); next }
        index($0, "<" directory) == 0 || / = -1 / { next }
        /^openat/ && /O_CREAT/ { put("create " named(1)); next }
        /^openat/ { next }
        /^renameat/ { put("rename " named(1) " to " named(2)); next }
        /^unlinkat/ { put("unlink " named(1)); next }
        /^fdatasync/ || /^fsync/ { put("sync " of_descriptor()); next }
        /^ftruncate/ { put("cut " of_descriptor()); next }
        /^fallocate/ { put("allocate " of_descriptor()); next }
        # zeros ahead of the tail, or stores where mappings do not do
        /^pwrite64/ && !/"LXDB/ { next }
        /^pwrite64/ { put("write " of_descriptor()); next }
        { put("unknown: " $0) }
    ' "$1"
}

# expect NAME ARGS...: `lxdb $db ARGS` succeeds, with the calls on stdin in their order
expect()
{
    name=$1
    shift
    checks=$((checks + 1))
    cat >"$tmp/wanted"
    if ! strace -f -y -o "$tmp/trace" \
        -e trace=openat,pwrite64,ftruncate,fallocate,fdatasync,fsync,mmap,msync,/renameat,unlinkat \
        "$LXDB" "$@" >"$tmp/out" 2>"$tmp/err"; then
        fault "$name" 'the tool failed'
        show stderr "$tmp/err"
        return
    fi
    normalise "$tmp/trace" >"$tmp/came"
    cmp -s "$tmp/wanted" "$tmp/came" && return
    fault "$name" 'another order'
    show wanted "$tmp/wanted"
    show came "$tmp/came"
}

# The syncs between allocating and cutting are that of the watermark, that of the record before the
# tool answers, and the first of the close; only the record's differs between the modes.
count_syncs()
{
    grep -c -e "fdatasync([0-9]*<[^>]*/t\.lxdb>" -e 'msync(' "$tmp/trace"
}

expect 'creation and set in mode none' "$db" --sync none set first value <<'END'
create data
create lock
allocate lock
write data
sync data
sync directory
create index
allocate index
allocate data
sync data
cut data
sync data
unlink index
unlink lock
END
check_that 'syncs of mode none' [ "$(count_syncs)" -eq 4 ]
rm "$db"

expect 'creation and set in mode full' "$db" --sync full set first value <<'END'
create data
create lock
allocate lock
write data
sync data
sync directory
create index
allocate index
allocate data
sync data
sync records of data
sync data
cut data
sync data
unlink index
unlink lock
END
check_that 'syncs of mode full' [ "$(count_syncs)" -eq 5 ]

expect 'set into a closed file' "$db" --sync full set second value <<'END'
create lock
allocate lock
create index
allocate index
allocate data
sync data
sync records of data
sync data
cut data
sync data
unlink index
unlink lock
END
check_that 'syncs of a set into a closed file' [ "$(count_syncs)" -eq 4 ]

expect 'del' "$db" --sync full del second <<'END'
create lock
allocate lock
create index
allocate index
allocate data
sync data
sync records of data
sync data
cut data
sync data
unlink index
unlink lock
END

expect 'get' "$db" get first <<'END'
END

expect 'compact' "$db" compact <<'END'
create lock
allocate lock
create index
allocate index
create compact
allocate compact
create compact-index
allocate compact-index
allocate compact
write compact
sync compact
sync records of compact
rename compact to data
rename compact-index to index
sync directory
sync data
cut data
sync data
unlink index
unlink lock
END

finish
