#!/bin/sh
# SPDX-License-Identifier: MIT
# The short demo, for make check.
exec "${top_srcdir:-.}/tests/demo/demo.sh" --short
