#!/bin/sh
# SPDX-License-Identifier: MIT
# Every seeded bug has its head and still applies. Whether it is caught shows `make seeded`.
command -v python3 >/dev/null || exit 77
exec python3 "$top_srcdir/tests/seeded/run.py" --check
