#!/bin/sh
# SPDX-License-Identifier: MIT
# The shell session of the documentation works as printed.
. "${top_srcdir:?}/tests/cli/lib.sh"

mkdir "$tmp/bin" "$tmp/session"
ln -s "$LXDB" "$tmp/bin/lxdb"
examples=$(cd "$top_srcdir/docs/examples" && pwd)
(cd "$tmp/session" && PATH="$tmp/bin:$PATH" sh "$examples/session.sh") >"$tmp/out" 2>&1
sed -n 's/^#> //p' "$examples/session.sh" >"$tmp/expected"
check_that session_prints_something [ -s "$tmp/expected" ]
check_that session_prints_what_it_says diff "$tmp/expected" "$tmp/out"
finish
