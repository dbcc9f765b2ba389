#!/bin/sh
# SPDX-License-Identifier: MIT
# Odd JSON gets the verdict of Python's strict json module and comes back to the byte: see
# json_corpus.py.
exec python3 "$top_srcdir/tests/compat/json_corpus.py" "$top_srcdir/tests/compat/json_corpus.txt" \
    "$top_builddir/tests/compat/json_corpus" "$LXDB"
