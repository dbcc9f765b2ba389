# SPDX-License-Identifier: MIT
# The command-line tool. It uses the public header alone, like any program outside this tree.
bin_PROGRAMS += lxdb
lxdb_SOURCES = \
	tools/base64.c tools/base64.h \
	tools/buffer.c tools/buffer.h \
	tools/cli.h \
	tools/commands_bulk.c \
	tools/commands_key.c \
	tools/commands_scan.c \
	tools/commands_upkeep.c \
	tools/hex.c tools/hex.h \
	tools/json.c tools/json.h \
	tools/main.c \
	tools/ndjson.c tools/ndjson.h \
	tools/options.c tools/options.h \
	tools/output.c tools/output.h \
	tools/value.c tools/value.h
lxdb_LDADD = liblxdb.la
