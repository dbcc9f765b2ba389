/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the tool share: the parsed command line, the exit codes, and the commands.
 *
 * INV-1  stdout carries data alone; messages and progress bars go to stderr.
 * INV-2  a command that reads opens the database read-only, so that it changes no file, also
 * when it
 *        finds the traces of a crash.
 * INV-3  what a command could not write to stdout makes it fail, also at the last flush.
 *
 * The tool uses the public header alone.
 */
#ifndef LXDB_TOOLS_CLI_H
#define LXDB_TOOLS_CLI_H

#include "buffer.h"

#include <lxdb.h>
#include <stdint.h>

enum {
    CLI_OK = 0,
    CLI_NO = 1,      /* the answer is no: no such key, a conflict, a fault found */
    CLI_USAGE = 2,   /* the command line or the input is wrong */
    CLI_BUSY = 3,    /* a deadline passed */
    CLI_CORRUPT = 4, /* corrupt, or not a database */
    CLI_IO = 5,      /* the system refused; no space, no memory, no such file */
    CLI_REFUSED = 6  /* read-only, or a file system that cannot hold a database */
};

enum cli_format { CLI_FORMAT_NDJSON, CLI_FORMAT_HEX };

struct cli {
    const char *file;
    const char *ns;      /* NULL: the database */
    const char *prefix;  /* NULL: all keys */
    uint64_t limit;      /* UINT64_MAX: none */
    uint32_t timeout_ms; /* 0: the library's default */
    int sync;
    enum cli_format format;
    bool json;
    bool raw;
    bool str;
    bool any_fs;
    bool key_b64;
    bool nul;
    bool reverse;
    bool absent;
    char **args; /* of the command */
    size_t n_args;
    lxdb *db; /* the namespace, if one is asked for; NULL for a command that opens nothing */
};

/* Each runs one command whose number of arguments is checked, and returns an exit code. */
int command_get(struct cli *cli);
int command_set(struct cli *cli);
int command_create(struct cli *cli);
int command_update(struct cli *cli);
int command_del(struct cli *cli);
int command_exists(struct cli *cli);
int command_incr(struct cli *cli);
int command_cas(struct cli *cli);
int command_keys(struct cli *cli);
int command_items(struct cli *cli);
int command_count(struct cli *cli);
int command_namespaces(struct cli *cli);
int command_clear(struct cli *cli);
int command_batch(struct cli *cli);
int command_import(struct cli *cli);
int command_export(struct cli *cli);
int command_stat(struct cli *cli);
int command_verify(struct cli *cli);
int command_recover(struct cli *cli);
int command_compact(struct cli *cli);

#endif
