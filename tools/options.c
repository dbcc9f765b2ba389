/* SPDX-License-Identifier: MIT */
/*
 * The options of the command line; see options.h. getopt_long() would do most of this, but takes
 * negative numbers for options.
 */
#include "options.h"

#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option {
    unsigned bit;
    char letter;
    const char *name;
    const char *arg; /* NULL: takes none */
    const char *help;
} options[] = {
    {OPTION_NS, 'n', "--namespace", "NS", "work in the namespace NS"},
    {OPTION_KEY_B64, 0, "--key-b64", NULL, "KEY is base64, for keys that are not text"},
    {OPTION_RAW, 0, "--raw", NULL, "the stored bytes: no tag is added or taken away"},
    {OPTION_STR, 0, "--str", NULL, "VALUE is a string, also when it looks like JSON"},
    {OPTION_ABSENT, 0, "--absent", NULL, "the key must not exist"},
    {OPTION_PREFIX, 0, "--prefix", "PREFIX", "only keys that begin with PREFIX"},
    {OPTION_REVERSE, 0, "--reverse", NULL, "newest first"},
    {OPTION_LIMIT, 0, "--limit", "N", "at most N of them"},
    {OPTION_NULL, '0', "--null", NULL, "end each with a NUL instead of a line feed"},
    {OPTION_FORMAT, 0, "--format", "FORMAT", "ndjson (the default) or hex"},
    {OPTION_JSON, 0, "--json", NULL, "print JSON, also for messages"},
    {OPTION_TIMEOUT, 0, "--timeout", "MS", "wait at most MS for locks (10000), or forever"},
    {OPTION_SYNC, 0, "--sync", "MODE", "none (the default), interval or full"},
    {OPTION_ANY_FS, 0, "--any-fs", NULL, "accept network and FUSE mounts, at your own risk"},
    {OPTION_HELP, 'h', "--help", NULL, "print help, of a command if one is given"},
    {OPTION_VERSION, 0, "--version", NULL, "print the version"},
};

enum { N_OPTIONS = sizeof(options) / sizeof(options[0]) };

static bool parse_number(const char *text, uint64_t max, uint64_t *ret_number)
{
    char *end = NULL;
    unsigned long long number;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number > max)
        return false;
    *ret_number = number;
    return true;
}

static int apply_timeout(struct cli *cli, const char *arg)
{
    uint64_t ms = UINT32_MAX;

    if (strcmp(arg, "forever") != 0 && !parse_number(arg, UINT32_MAX - 1, &ms))
        return out_usage(cli, "--timeout takes milliseconds or 'forever', not '%s'", arg);
    /* To the library 0 means its default: the shortest wait is 1. */
    cli->timeout_ms = ms != 0 ? (uint32_t)ms : 1;
    return CLI_OK;
}

static int apply_sync(struct cli *cli, const char *arg)
{
    if (strcmp(arg, "none") == 0)
        cli->sync = LXDB_SYNC_NONE;
    else if (strcmp(arg, "interval") == 0)
        cli->sync = LXDB_SYNC_INTERVAL;
    else if (strcmp(arg, "full") == 0)
        cli->sync = LXDB_SYNC_FULL;
    else
        return out_usage(cli, "--sync takes none, interval or full, not '%s'", arg);
    return CLI_OK;
}

static int apply_format(struct cli *cli, const char *arg)
{
    if (strcmp(arg, "ndjson") == 0)
        cli->format = CLI_FORMAT_NDJSON;
    else if (strcmp(arg, "hex") == 0)
        cli->format = CLI_FORMAT_HEX;
    else
        return out_usage(cli, "--format takes ndjson or hex, not '%s'", arg);
    return CLI_OK;
}

static int apply(struct cli *cli, unsigned bit, const char *arg)
{
    switch (bit) {
    case OPTION_NS:
        cli->ns = arg;
        break;
    case OPTION_KEY_B64:
        cli->key_b64 = true;
        break;
    case OPTION_RAW:
        cli->raw = true;
        break;
    case OPTION_STR:
        cli->str = true;
        break;
    case OPTION_ABSENT:
        cli->absent = true;
        break;
    case OPTION_PREFIX:
        cli->prefix = arg;
        break;
    case OPTION_REVERSE:
        cli->reverse = true;
        break;
    case OPTION_LIMIT:
        if (!parse_number(arg, UINT64_MAX, &cli->limit))
            return out_usage(cli, "--limit takes a number, not '%s'", arg);
        break;
    case OPTION_NULL:
        cli->nul = true;
        break;
    case OPTION_FORMAT:
        return apply_format(cli, arg);
    case OPTION_TIMEOUT:
        return apply_timeout(cli, arg);
    case OPTION_SYNC:
        return apply_sync(cli, arg);
    case OPTION_ANY_FS:
        cli->any_fs = true;
        break;
    default: /* --json, --help, --version: being seen is all */
        break;
    }
    return CLI_OK;
}

/* The option that a word begins with, and its argument if it is in the same word, as in
 * --limit=5 and -nagent. */
static const struct option *find(const char *word, const char **ret_arg)
{
    *ret_arg = NULL;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *option = &options[i];
        size_t len = strlen(option->name);

        if (strncmp(word, option->name, len) == 0 && (word[len] == '\0' || word[len] == '=')) {
            *ret_arg = word[len] == '=' ? word + len + 1 : NULL;
            return option;
        }
        if (option->letter != 0 && word[1] == option->letter &&
            (word[2] == '\0' || option->arg != NULL)) {
            *ret_arg = word[2] != '\0' ? word + 2 : NULL;
            return option;
        }
    }
    return NULL;
}

/* -0 is an option and no number. */
static bool is_argument(const char *word)
{
    if (word[0] != '-' || word[1] == '\0')
        return true;
    return word[1] >= '0' && word[1] <= '9' && strcmp(word, "-0") != 0;
}

/* Messages are JSON if that is asked for anywhere, also behind what they are about. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *arg;
        const struct option *option = is_argument(argv[i]) ? NULL : find(argv[i], &arg);

        if (option == NULL)
            continue;
        if (option->bit == OPTION_JSON)
            return true;
        if (option->arg != NULL && arg == NULL)
            i++;
    }
    return false;
}

int options_parse(struct cli *cli, int argc, char **argv, size_t *ret_n, unsigned *ret_seen)
{
    unsigned seen = 0;
    size_t n = 0;
    int i = 0;

    cli->json = wants_json(argc, argv);
    while (i < argc) {
        char *word = argv[i++];
        const struct option *option;
        const char *arg;
        int exit_code;

        if (is_argument(word)) {
            argv[n++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0)
            break;
        option = find(word, &arg);
        if (option == NULL)
            return out_usage(cli, "unknown option '%s'; -- ends the options", word);
        if (option->arg == NULL && arg != NULL)
            return out_usage(cli, "%s takes no argument", option->name);
        if (option->arg != NULL && arg == NULL) {
            if (i == argc)
                return out_usage(cli, "%s needs an argument: %s", option->name, option->arg);
            arg = argv[i++];
        }
        exit_code = apply(cli, option->bit, arg);
        if (exit_code != CLI_OK)
            return exit_code;
        seen |= option->bit;
    }
    while (i < argc)
        argv[n++] = argv[i++];
    *ret_n = n;
    *ret_seen = seen;
    return CLI_OK;
}

const char *options_name(unsigned set)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if ((set & options[i].bit) != 0)
            return options[i].name;
    }
    return "";
}

void options_help(unsigned set)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *option = &options[i];
        char left[40];

        if ((set & option->bit) == 0)
            continue;
        (void)snprintf(left, sizeof(left), "%c%c%s%s%s%s", option->letter != 0 ? '-' : ' ',
                       option->letter != 0 ? option->letter : ' ',
                       option->letter != 0 ? ", " : "  ", option->name,
                       option->arg != NULL ? " " : "", option->arg != NULL ? option->arg : "");
        out_printf("  %-24s %s\n", left, option->help);
    }
}
