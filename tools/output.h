/* SPDX-License-Identifier: MIT */
/*
 * What the tool says: data on stdout, messages and progress bars on stderr.
 *
 * A message is one line, "lxdb: <word>: <sentence>". With --json it is one object instead:
 * {"error":"<word>","exit":<code>,"message":"<sentence>"}. The words are fixed, programs may look
 * for them; the sentences are for people.
 */
#ifndef LXDB_TOOLS_OUTPUT_H
#define LXDB_TOOLS_OUTPUT_H

#include "buffer.h"
#include "cli.h"

/* Data. Failures stick to stdout: out_failed() asks for them, out_finish() flushes and asks. */
void out_bytes(const void *bytes, size_t n);
void out_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Write what a buffer holds and empty it. A buffer that ran out of memory counts as a failure. */
void out_buffer(struct buffer *buffer);
bool out_failed(void);
/* CLI_OK, or CLI_IO after a message. */
int out_finish(const struct cli *cli);

/* One figure of several, printed as aligned lines or as members of one object. */
struct out_fields {
    bool json;
    bool any;
};
void out_fields_begin(struct out_fields *fields, bool json);
void out_field_number(struct out_fields *fields, const char *name, uint64_t number);
void out_field_truth(struct out_fields *fields, const char *name, bool truth);
void out_field_text(struct out_fields *fields, const char *name, const char *text);
void out_fields_end(struct out_fields *fields);

/* The exit code that a result code of the library means. */
int out_exit_code(int rc);
/* Say what went wrong; each returns the exit code. */
int out_fail(const struct cli *cli, int rc); /* lxdb_errmsg() */
int out_fail_key(const struct cli *cli, int rc, const char *key, size_t key_len);
int out_fail_about(const struct cli *cli, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* in the tool's own words */
int out_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int out_no_memory(const struct cli *cli);
int out_no_file(const struct cli *cli);
/* The general form: any word, any exit code, which it returns. */
int out_message(const struct cli *cli, const char *word, int exit_code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A message that changes no exit code. */
void out_note(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A progress bar on stderr, if that is a terminal; else nothing. `progress` is for the library;
 * out_bar_show() is for the tool's own loops, with a total of 0 when it is not known.
 */
struct out_bar {
    lxdb_progress progress;
    const char *what;
    uint64_t shown_ms;
    bool enabled;
    bool drawn;
};
void out_bar_begin(struct out_bar *bar, const char *what);
void out_bar_show(struct out_bar *bar, uint64_t done, uint64_t total);
void out_bar_end(struct out_bar *bar);

#endif
