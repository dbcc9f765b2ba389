# SPDX-License-Identifier: MIT
# The file format as others see it: files that were written elsewhere, and a reader of its own.

dist_check_SCRIPTS += tests/compat/agree.sh tests/compat/conformance.sh tests/compat/rewrite.sh
TESTS += tests/compat/agree.sh tests/compat/conformance.sh tests/compat/rewrite.sh
EXTRA_DIST += tests/compat/agree.py tests/compat/believe.py tests/compat/reader.py tests/compat/conformance

# Odd JSON, to Python, to the library and to the tool.
check_PROGRAMS += tests/compat/json_corpus
tests_compat_json_corpus_SOURCES = tests/compat/json_corpus.c tools/buffer.c tools/json.c
tests_compat_json_corpus_LDADD = $(TEST_LIBS)
dist_check_SCRIPTS += tests/compat/json_corpus.sh
TESTS += tests/compat/json_corpus.sh
EXTRA_DIST += tests/compat/json_corpus.py tests/compat/json_corpus.txt
