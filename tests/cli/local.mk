# SPDX-License-Identifier: MIT
# Tests of the tool: scripts that run it, and one program for its text formats.

check_PROGRAMS += tests/cli/text
tests_cli_text_SOURCES = \
	tests/cli/text.c \
	tools/base64.c \
	tools/buffer.c \
	tools/hex.c \
	tools/json.c \
	tools/ndjson.c
tests_cli_text_LDADD = $(TEST_LIBS_INTERNAL)
TESTS += tests/cli/text

cli_tests = \
	tests/cli/batch.sh \
	tests/cli/create_update_del.sh \
	tests/cli/examples.sh \
	tests/cli/get_set.sh \
	tests/cli/import_export.sh \
	tests/cli/incr_cas.sh \
	tests/cli/listing.sh \
	tests/cli/options.sh \
	tests/cli/refusals.sh \
	tests/cli/upkeep.sh
dist_check_SCRIPTS += $(cli_tests)
TESTS += $(cli_tests)
EXTRA_DIST += tests/cli/lib.sh
