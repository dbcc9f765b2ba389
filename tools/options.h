/* SPDX-License-Identifier: MIT */
/*
 * The options of the command line. They may stand anywhere, before FILE and behind the command,
 * up to "--"; but "-" and what looks like a negative number are arguments, so that `set t -5`
 * means what it says.
 */
#ifndef LXDB_TOOLS_OPTIONS_H
#define LXDB_TOOLS_OPTIONS_H

#include "cli.h"

/* Bits, for sets of options. */
enum {
    OPTION_NS = 1 << 0,
    OPTION_JSON = 1 << 1,
    OPTION_TIMEOUT = 1 << 2,
    OPTION_SYNC = 1 << 3,
    OPTION_ANY_FS = 1 << 4,
    OPTION_KEY_B64 = 1 << 5,
    OPTION_RAW = 1 << 6,
    OPTION_STR = 1 << 7,
    OPTION_PREFIX = 1 << 8,
    OPTION_REVERSE = 1 << 9,
    OPTION_LIMIT = 1 << 10,
    OPTION_NULL = 1 << 11,
    OPTION_ABSENT = 1 << 12,
    OPTION_FORMAT = 1 << 13,
    OPTION_HELP = 1 << 14,
    OPTION_VERSION = 1 << 15
};

/* Options that every command takes, though not all make use of them. */
#define OPTION_EVERYWHERE                                                                          \
    (OPTION_JSON | OPTION_TIMEOUT | OPTION_SYNC | OPTION_ANY_FS | OPTION_HELP | OPTION_VERSION)

/*
 * Take the options out of the command line: sets the fields of `cli`, gathers the other
 * arguments at the front of `argv`, *ret_n of them, and the options met in *ret_seen. An exit
 * code, after a message.
 */
int options_parse(struct cli *cli, int argc, char **argv, size_t *ret_n, unsigned *ret_seen);
/* The name of the first option in a set, as "--raw". */
const char *options_name(unsigned set);
/* One line of help for each option in a set. */
void options_help(unsigned set);

#endif
