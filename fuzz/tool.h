/* SPDX-License-Identifier: MIT */
/*
 * The tool, run in this process: its main() under another name, its streams in memory.
 */
#ifndef LXDB_FUZZ_TOOL_H
#define LXDB_FUZZ_TOOL_H

#include "fuzz/naive_json.h"

struct tool_run {
    int exit_code;
    struct naive_bytes out; /* what went to stdout and stderr, without a NUL behind it */
    struct naive_bytes err;
};

/* Run `lxdb` with these words (its own name is added) and this stdin. */
struct tool_run tool_run(const char *const *words, size_t n, const uint8_t *input, size_t len);
void tool_free(struct tool_run *run);

#endif
