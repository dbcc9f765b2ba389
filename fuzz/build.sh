#!/bin/sh
# SPDX-License-Identifier: MIT
# make fuzz: every target for AFL++, in three build trees in fuzz/ of the build tree, from the same
# sources, each with the library compiled in:
#   plain    as it is
#   asan     with the address and undefined-behaviour sanitizers
#   cmplog   that records what is compared, for afl-fuzz -c
# Environment: top_srcdir, top_builddir, MAKE; FUZZ_BUILDS, for some of them only.
set -eu

if ! command -v afl-clang-fast >/dev/null; then
    echo 'make fuzz: afl-clang-fast is missing: apt-get install afl++' >&2
    exit 1
fi
AFL_QUIET=1
export AFL_QUIET

# build TREE CONFIGURE-OPTION...
build()
{
    tree=$top_builddir/fuzz/$1
    shift
    mkdir -p "$tree"
    cd "$tree"
    if [ ! -e Makefile ]; then
        "$top_srcdir/configure" -q CC=afl-clang-fast --disable-shared "$@" >configure.log 2>&1 ||
            { tail -n 20 configure.log; exit 1; }
    fi
    "$MAKE" -s -j"$(nproc)" fuzz-programs >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
}

for which in ${FUZZ_BUILDS-plain asan cmplog}; do
    case $which in
    plain) build plain ;;
    asan) build asan --enable-sanitizers=address,undefined ;;
    cmplog) (AFL_LLVM_CMPLOG=1 && export AFL_LLVM_CMPLOG && build cmplog) ;;
    *) echo "build.sh: no build is called $which" >&2; exit 2 ;;
    esac
    echo "fuzz: $top_builddir/fuzz/$which"
done
