#!/bin/sh
# SPDX-License-Identifier: MIT
# The library and a reader written from the format page agree on what files hold: see agree.py.
exec python3 "${top_srcdir:-.}/tests/compat/agree.py" "$@"
