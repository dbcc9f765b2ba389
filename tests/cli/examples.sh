#!/bin/sh
# SPDX-License-Identifier: MIT
# The examples of the documentation print what they say: the shell session, and the programs, each
# in a directory of its own.
. "${top_srcdir:?}/tests/cli/lib.sh"

examples=$(cd "$top_srcdir/docs/examples" && pwd)
built=$(cd "${top_builddir:?}/docs/examples" && pwd)

mkdir "$tmp/bin" "$tmp/session"
ln -s "$LXDB" "$tmp/bin/lxdb"
(cd "$tmp/session" && PATH="$tmp/bin:$PATH" sh "$examples/session.sh") >"$tmp/out" 2>&1
sed -n 's/^#> //p' "$examples/session.sh" >"$tmp/expected"
check_that session_prints_something [ -s "$tmp/expected" ]
check_that session_prints_what_it_says diff "$tmp/expected" "$tmp/out"

# What a program prints stands at the end of the comment at its top, behind "Prints".
for source in "$examples"/*.c; do
    name=$(basename "$source" .c)
    mkdir "$tmp/$name"
    (cd "$tmp/$name" && "$built/$name") >"$tmp/out" 2>&1
    status=$?
    sed -n '/^ \* Prints/,/^ \*\/$/s/^ \*     //p' "$source" >"$tmp/expected"
    check_that "${name}_succeeds" [ "$status" -eq 0 ]
    check_that "${name}_prints_something" [ -s "$tmp/expected" ]
    check_that "${name}_prints_what_it_says" diff "$tmp/expected" "$tmp/out"
    check_that "${name}_says_how_to_build_it" grep -qF \
        " * Build:   cc -o $name $name.c \$(pkg-config --cflags --libs lxdb)" "$source"
done
finish
