# SPDX-License-Identifier: MIT
# The file format as others see it: files that were written elsewhere, and a reader of its own.

dist_check_SCRIPTS += tests/compat/agree.sh tests/compat/conformance.sh tests/compat/rewrite.sh
TESTS += tests/compat/agree.sh tests/compat/conformance.sh tests/compat/rewrite.sh
EXTRA_DIST += tests/compat/agree.py tests/compat/believe.py tests/compat/reader.py tests/compat/conformance
