#!/bin/sh
# SPDX-License-Identifier: MIT
# What the library exports is what the map lists is what the headers declare; no other name of ours
# is outside of lx_; and the code asks nothing of C that a library must not do, and nothing of the
# system except through lib/sys.
# Usage: symbols.sh SOURCE-DIR BUILD-DIR; NM may name another nm.
set -eu
LC_ALL=C
export LC_ALL
source=$1 build=$2 nm=${NM-nm} # NM may carry options
work=$(mktemp -d "${TMPDIR:-/tmp}/lxdb-lint.XXXXXX")
trap 'rm -rf "$work"' EXIT
result=0

fault()
{
    echo "symbols: $1"
    sed 's/^/    /' "$2"
    result=1
}

cat "$source/lib/lxdb.h" "$source/lib/lxdb_json.h" | grep -v '^#' | tr '\n' ' ' |
    grep -o 'LXDB_EXPORT [^;(]*(' | sed 's/.*[ *]\([A-Za-z0-9_]*\)($/\1/' | sort >"$work/headers"
sed -n 's/^ *\([A-Za-z0-9_]*\);$/\1/p' "$source/lib/liblxdb.map" | sort >"$work/map"
# The nodes of the map are absolute symbols (A).
$nm -D --defined-only "$build/.libs/liblxdb.so" |
    awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"

[ -s "$work/headers" ] || fault 'no declaration found in the headers' /dev/null
uniq -d "$work/map" >"$work/twice"
[ ! -s "$work/twice" ] || fault 'twice in the map' "$work/twice"
for pair in 'headers map' 'map headers' 'map exported' 'exported map'; do
    # shellcheck disable=SC2086 # two words
    set -- $pair
    comm -23 "$work/$1" "$work/$2" >"$work/only"
    [ ! -s "$work/only" ] || fault "in $1 but not in $2" "$work/only"
done

# The static library shares one name space with its users. (Sanitizers add names of their own.)
$nm -g --defined-only "$build/.libs/liblxdb.a" 2>/dev/null |
    awk 'NF == 3 && $3 !~ /^(lxdb_|lx_|__asan|__odr_asan|__gcov)/ { print $3 }' >"$work/foreign"
[ ! -s "$work/foreign" ] || fault 'global in the static library, not lxdb_ or lx_' "$work/foreign"

# A library does not print, exit, catch signals or read the environment.
cat >"$work/never" <<END
__assert_fail __fprintf_chk __printf_chk __vfprintf_chk __vprintf_chk _exit atexit exit fopen
fprintf fputc fputs fwrite getenv perror printf putchar puts quick_exit secure_getenv sigaction
signal stderr stdout system vfprintf vprintf
END
# Only lib/sys asks the system. (Threads are the engine's; memory is C's.)
cat >"$work/system" <<END
access chmod chown clock_gettime clock_nanosleep close dup fallocate fallocate64 fchmod fchown
fcntl fcntl64 fdatasync flock fork fstat fstat64 fstatat fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 geteuid getpid getrandom gettid gettimeofday getuid ioctl kill link linkat
lseek lseek64 lstat lstat64 madvise mkdir mmap mmap64 mprotect mremap msync munmap nanosleep open
open64 openat openat64 poll posix_fallocate prctl pread pread64 preadv pwrite pwrite64 pwritev read
readlink readv rename renameat renameat2 sched_yield select sleep stat stat64 statx syscall time
unlink unlinkat usleep utimensat write writev
END
objects=0
for object in $(cd "$build" && find lib -name '*.o' -path '*/.libs/*'); do
    objects=$((objects + 1))
    $nm -u "$build/$object" | awk '{ sub(/@.*/, "", $2); print $2 }' | sort -u >"$work/asks"
    tr ' ' '\n' <"$work/never" | sort | comm -12 - "$work/asks" >"$work/found"
    [ ! -s "$work/found" ] || fault "$object: not for a library" "$work/found"
    case $object in
    lib/sys/*) ;;
    *)
        tr ' ' '\n' <"$work/system" | sort | comm -12 - "$work/asks" >"$work/found"
        [ ! -s "$work/found" ] || fault "$object: a system call outside lib/sys" "$work/found"
        ;;
    esac
done
[ "$objects" -gt 0 ] || fault 'no objects found' /dev/null

echo "symbols: $(wc -l <"$work/exported") exported, $objects objects"
exit "$result"
