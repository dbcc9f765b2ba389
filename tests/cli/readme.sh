#!/bin/sh
# SPDX-License-Identifier: MIT
# README.md tells the truth: its C program is docs/examples/first.c, and its console sessions, typed
# in as they are printed, one after the other in one directory, print what stands there.
. "${top_srcdir:?}/tests/cli/lib.sh"

readme=$top_srcdir/README.md
first=$top_srcdir/docs/examples/first.c
build=$(cd "${top_builddir:?}" && pwd)
mkdir "$tmp/bin" "$tmp/pkgconfig" "$tmp/try"

# block LANGUAGE: the contents of all blocks of that language.
block()
{
    awk -v fence="\`\`\`$1" '/^```/ { inside = $0 == fence; next } inside' "$readme"
}

# The tree as if it were installed. What is compiled needs the tree's own flags, since the library
# may have been built with sanitizers.
ln -s "$LXDB" "$tmp/bin/lxdb"
flags=$(cd "$tmp" && echo '@CC@ @CFLAGS@ @LX_LDFLAGS@ @LDFLAGS@' |
    "$build/config.status" -q --file=-) || flags=cc
printf '#!/bin/sh\nexec %s "$@"\n' "$flags" >"$tmp/bin/cc"
chmod +x "$tmp/bin/cc"
sed -e "s|^libdir=.*|libdir=$build/.libs|" -e "s|^includedir=.*|includedir=$build/include|" \
    "$build/lib/lxdb.pc" >"$tmp/pkgconfig/lxdb.pc"
if [ ! -e "$build/.libs/liblxdb.so" ]; then # a static library alone needs what it is made of
    sed -i -e 's|^Requires.private:|Requires:|' -e '/^Libs.private:/d' \
        -e 's|^Libs:.*|& -pthread|' "$tmp/pkgconfig/lxdb.pc"
fi
PATH=$tmp/bin:$PATH
PKG_CONFIG_PATH=$tmp/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
LD_LIBRARY_PATH=$build/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PATH PKG_CONFIG_PATH LD_LIBRARY_PATH

block c >"$tmp/try/first.c"
awk 'code; /^ \*\/$/ { code = 1 }' "$first" >"$tmp/first"
check_that readme_has_a_program [ -s "$tmp/try/first.c" ]
check_that program_is_that_of_the_examples diff "$tmp/first" "$tmp/try/first.c"

block console | sed -n 's/^\$ //p' >"$tmp/typed"
block console | sed '/^\$ /d' >"$tmp/expected"
check_that readme_has_sessions [ "$(wc -l <"$tmp/typed")" -ge 10 ]
check_that sessions_compile_the_program grep -q '^cc .*pkg-config' "$tmp/typed"
(cd "$tmp/try" && sh "$tmp/typed") >"$tmp/out" 2>&1
check_that sessions_print_what_they_say diff "$tmp/expected" "$tmp/out"
finish
