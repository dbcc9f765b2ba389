#!/bin/sh
# SPDX-License-Identifier: MIT
# The JSON checker gives the verdicts of Python's json module. A seed from an earlier run, and the
# number of texts, may be given.
exec python3 "$top_srcdir/tests/api/json_python.py" "$top_builddir/tests/api/json_verdict" "$@"
