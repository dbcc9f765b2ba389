/* SPDX-License-Identifier: MIT */
/*
 * See tool.h. The standard streams of glibc are variables: what is put into them is what getline()
 * and printf() use.
 */
#include "fuzz/tool.h"

#include "fuzz/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lxdb_main(int argc, char **argv); /* tools/main.c, see local.mk */

static ssize_t give(void *cookie, char *buffer, size_t size)
{
    struct fuzz_input *input = cookie;
    size_t n = size < input->left ? size : input->left;

    if (n > 0) {
        memcpy(buffer, input->at, n);
        input->at += n;
        input->left -= n;
    }
    return (ssize_t)n;
}

static ssize_t take(void *cookie, const char *bytes, size_t len)
{
    naive_add(cookie, bytes, len);
    return (ssize_t)len;
}

static FILE *stream(void *cookie, const char *mode)
{
    const cookie_io_functions_t functions = {.read = give, .write = take};
    FILE *file = fopencookie(cookie, mode, functions);

    FUZZ_CHECK(file != NULL, "no stream");
    return file;
}

struct tool_run tool_run(const char *const *words, size_t n, const uint8_t *input, size_t len)
{
    FILE *saved_in = stdin, *saved_out = stdout, *saved_err = stderr;
    struct fuzz_input in = fuzz_input(input, len);
    char **argv = calloc(n + 2, sizeof *argv);
    char **owned = calloc(n + 1, sizeof *owned); /* the tool moves its arguments about */
    struct tool_run run = {0};

    FUZZ_CHECK(argv != NULL && owned != NULL, "no memory");
    for (size_t i = 0; i <= n; i++) {
        owned[i] = strdup(i == 0 ? "lxdb" : words[i - 1]);
        FUZZ_CHECK(owned[i] != NULL, "no memory");
        argv[i] = owned[i];
    }
    stdin = stream(&in, "r");
    stdout = stream(&run.out, "w");
    stderr = stream(&run.err, "w");
    run.exit_code = lxdb_main((int)n + 1, argv);
    fclose(stdin);
    fclose(stdout);
    fclose(stderr);
    stdin = saved_in;
    stdout = saved_out;
    stderr = saved_err;
    for (size_t i = 0; i <= n; i++)
        free(owned[i]);
    free(owned);
    free(argv);
    return run;
}

void tool_free(struct tool_run *run)
{
    naive_free(&run->out);
    naive_free(&run->err);
}
