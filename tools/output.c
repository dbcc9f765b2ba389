/* SPDX-License-Identifier: MIT */
/*
 * What the tool says; see output.h.
 */
#include "output.h"

#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool buffer_lost;

/* ---- Data ------------------------------------------------------------------------------------ */

void out_bytes(const void *bytes, size_t n)
{
    if (n != 0)
        (void)fwrite(bytes, 1, n, stdout);
}

void out_printf(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
}

void out_buffer(struct buffer *buffer)
{
    if (buffer->failed)
        buffer_lost = true;
    else
        out_bytes(buffer->data, buffer->len);
    buffer_reset(buffer);
}

bool out_failed(void)
{
    return buffer_lost || ferror(stdout) != 0;
}

int out_finish(const struct cli *cli)
{
    errno = 0;
    if (fflush(stdout) == 0 && !out_failed())
        return CLI_OK;
    if (buffer_lost)
        return out_no_memory(cli);
    return out_fail_about(cli, LXDB_IO, "cannot write the output%s%s", errno != 0 ? ": " : "",
                          errno != 0 ? strerror(errno) : "");
}

/* ---- Figures --------------------------------------------------------------------------------- */

void out_fields_begin(struct out_fields *fields, bool json)
{
    fields->json = json;
    fields->any = false;
    if (json)
        out_printf("{");
}

static void field_name(struct out_fields *fields, const char *name)
{
    if (fields->json)
        out_printf("%s\"%s\":", fields->any ? "," : "", name);
    else
        out_printf("%-20s ", name);
    fields->any = true;
}

void out_field_number(struct out_fields *fields, const char *name, uint64_t number)
{
    field_name(fields, name);
    out_printf("%" PRIu64 "%s", number, fields->json ? "" : "\n");
}

void out_field_truth(struct out_fields *fields, const char *name, bool truth)
{
    field_name(fields, name);
    if (fields->json)
        out_printf("%s", truth ? "true" : "false");
    else
        out_printf("%s\n", truth ? "yes" : "no");
}

void out_field_text(struct out_fields *fields, const char *name, const char *text)
{
    struct buffer quoted = {0};

    field_name(fields, name);
    if (fields->json) {
        json_quote(&quoted, text, strlen(text));
        out_buffer(&quoted);
    } else {
        out_printf("%s\n", text[0] != '\0' ? text : "-");
    }
    buffer_free(&quoted);
}

void out_fields_end(struct out_fields *fields)
{
    if (fields->json)
        out_printf("}\n");
}

/* ---- Messages -------------------------------------------------------------------------------- */

static const struct {
    int rc;
    int exit;
    const char *word;
} results[] = {
    {LXDB_OK, CLI_OK, "ok"},
    {LXDB_NOTFOUND, CLI_NO, "not-found"},
    {LXDB_EXISTS, CLI_NO, "exists"},
    {LXDB_INVALID, CLI_USAGE, "invalid"},
    {LXDB_TOOBIG, CLI_USAGE, "too-big"},
    {LXDB_BUSY, CLI_BUSY, "busy"},
    {LXDB_CONFLICT, CLI_NO, "conflict"},
    {LXDB_TYPE, CLI_NO, "wrong-type"},
    {LXDB_JSON, CLI_USAGE, "not-json"},
    {LXDB_NOTDB, CLI_CORRUPT, "not-a-database"},
    {LXDB_VERSION, CLI_CORRUPT, "unsupported-version"},
    {LXDB_CORRUPT, CLI_CORRUPT, "corrupt"},
    {LXDB_IO, CLI_IO, "io"},
    {LXDB_NOSPACE, CLI_IO, "no-space"},
    {LXDB_NOMEM, CLI_IO, "no-memory"},
    {LXDB_READONLY, CLI_REFUSED, "read-only"},
    {LXDB_UNSUPPORTED, CLI_REFUSED, "unsupported"},
    {LXDB_PENDING, CLI_BUSY, "pending"},
    {LXDB_CLOSED, CLI_IO, "closed"},
};

/* The place of a code in `results`; a code that the tool does not know counts as an I/O failure. */
static size_t result_of(int rc)
{
    size_t io = 0;

    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        if (results[i].rc == rc)
            return i;
        if (results[i].rc == LXDB_IO)
            io = i;
    }
    return io;
}

int out_exit_code(int rc)
{
    return results[result_of(rc)].exit;
}

__attribute__((format(printf, 4, 0))) static void
say(const struct cli *cli, const char *word, int exit_code, const char *format, va_list args)
{
    char sentence[2048];
    struct buffer line = {0};

    (void)vsnprintf(sentence, sizeof(sentence), format, args);
    (void)fflush(stdout); /* on a terminal the message belongs behind the data before it */
    if (cli->json) {
        json_quote(&line, sentence, strlen(sentence));
        if (!line.failed)
            (void)fprintf(stderr, "{\"error\":\"%s\",\"exit\":%d,\"message\":%.*s}\n", word,
                          exit_code, (int)line.len, line.data);
    } else {
        (void)fprintf(stderr, "lxdb: %s%s%s\n", word, word[0] != '\0' ? ": " : "", sentence);
    }
    buffer_free(&line);
}

__attribute__((format(printf, 3, 0))) static int fail_with(const struct cli *cli, int rc,
                                                           const char *format, va_list args)
{
    size_t result = result_of(rc);

    say(cli, results[result].word, results[result].exit, format, args);
    return results[result].exit;
}

int out_fail_about(const struct cli *cli, int rc, const char *format, ...)
{
    va_list args;
    int exit_code;

    va_start(args, format);
    exit_code = fail_with(cli, rc, format, args);
    va_end(args);
    return exit_code;
}

int out_fail(const struct cli *cli, int rc)
{
    const char *sentence = lxdb_errmsg(cli->db);

    if (sentence[0] == '\0')
        sentence = lxdb_strerror(rc);
    return out_fail_about(cli, rc, "%s", sentence);
}

int out_fail_key(const struct cli *cli, int rc, const char *key, size_t key_len)
{
    const char *phrase = rc == LXDB_NOTFOUND   ? "there is no key"
                         : rc == LXDB_EXISTS   ? "there already is a key"
                         : rc == LXDB_CONFLICT ? "another value is stored under the key"
                                               : NULL;
    struct buffer quoted = {0};
    int exit_code;

    if (phrase == NULL)
        return out_fail(cli, rc);
    json_quote(&quoted, key, key_len);
    if (quoted.failed)
        exit_code = out_fail(cli, rc);
    else
        exit_code = out_fail_about(cli, rc, "%s %.*s", phrase, (int)quoted.len, quoted.data);
    buffer_free(&quoted);
    return exit_code;
}

int out_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(cli, "usage", CLI_USAGE, format, args);
    va_end(args);
    return CLI_USAGE;
}

int out_message(const struct cli *cli, const char *word, int exit_code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(cli, word, exit_code, format, args);
    va_end(args);
    return exit_code;
}

int out_no_file(const struct cli *cli)
{
    return out_message(cli, "no-such-file", CLI_IO, "%s: there is no such file", cli->file);
}

int out_no_memory(const struct cli *cli)
{
    return out_fail_about(cli, LXDB_NOMEM, "out of memory");
}

void out_note(const struct cli *cli, const char *format, ...)
{
    va_list args;

    if (cli->json)
        return;
    va_start(args, format);
    say(cli, "", CLI_OK, format, args);
    va_end(args);
}

/* ---- Progress -------------------------------------------------------------------------------- */

static int report(void *arg, uint64_t done, uint64_t total)
{
    out_bar_show(arg, done, total);
    return 0;
}

void out_bar_begin(struct out_bar *bar, const char *what)
{
    *bar = (struct out_bar){
        .progress = {.report = report, .arg = bar},
        .what = what,
        .enabled = isatty(STDERR_FILENO) == 1,
    };
}

void out_bar_show(struct out_bar *bar, uint64_t done, uint64_t total)
{
    enum { WIDTH = 40, REDRAW_MS = 100 };
    static const char full[] = "########################################";
    struct timespec now;
    uint64_t now_ms;
    double part;

    if (!bar->enabled || clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return;
    now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (bar->drawn && now_ms - bar->shown_ms < REDRAW_MS)
        return;
    bar->shown_ms = now_ms;
    bar->drawn = true;
    if (total == 0) {
        (void)fprintf(stderr, "\r%s %" PRIu64, bar->what, done);
        return;
    }
    part = done < total ? (double)done / (double)total : 1.0;
    (void)fprintf(stderr, "\r%s [%-*.*s] %3d%%", bar->what, WIDTH, (int)(part * WIDTH), full,
                  (int)(part * 100));
}

void out_bar_end(struct out_bar *bar)
{
    if (bar->drawn)
        (void)fprintf(stderr, "\r\033[K");
    bar->enabled = false;
}
