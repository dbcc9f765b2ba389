/* SPDX-License-Identifier: MIT */
/*
 * lxdb, the command-line tool: lxdb [options] FILE COMMAND [args]
 *
 * This file knows which commands there are, how each opens the database, and what their help says;
 * the commands themselves are in commands_*.c.
 */
#include "cli.h"
#include "options.h"
#include "output.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum opening {
    OPENING_NONE,   /* the command opens what it needs */
    OPENING_READ,   /* read-only */
    OPENING_WRITE,  /* an existing file */
    OPENING_CREATE, /* and a new one if there is none */
};

static const struct command {
    const char *name;
    const char *args; /* NULL: takes none */
    const char *summary;
    const char *help; /* more than the summary, if there is more to say */
    int (*run)(struct cli *cli);
    enum opening opening;
    size_t min_args;
    size_t max_args;
    unsigned options; /* besides OPTION_EVERYWHERE */
} commands[] = {
    {
        .name = "get",
        .args = "KEY",
        .summary = "print a value",
        .help = "A value that is JSON is printed as its text and a line feed, any other as its\n"
                "bytes. With --json: one object with \"key\" and \"value\", as export prints it.\n",
        .run = command_get,
        .opening = OPENING_READ,
        .min_args = 1,
        .max_args = 1,
        .options = OPTION_NS | OPTION_KEY_B64 | OPTION_RAW,
    },
    {
        .name = "set",
        .args = "KEY VALUE",
        .summary = "store a value, new or not",
        .help = "A VALUE that is JSON is stored as that JSON, anything else as a JSON string.\n"
                "A VALUE of - is all of stdin.\n",
        .run = command_set,
        .opening = OPENING_CREATE,
        .min_args = 2,
        .max_args = 2,
        .options = OPTION_NS | OPTION_KEY_B64 | OPTION_RAW | OPTION_STR,
    },
    {
        .name = "create",
        .args = "KEY VALUE",
        .summary = "store a new key; it must not exist",
        .help = "VALUE is read as by set.\n",
        .run = command_create,
        .opening = OPENING_CREATE,
        .min_args = 2,
        .max_args = 2,
        .options = OPTION_NS | OPTION_KEY_B64 | OPTION_RAW | OPTION_STR,
    },
    {
        .name = "update",
        .args = "KEY VALUE",
        .summary = "replace a value; the key must exist",
        .help = "VALUE is read as by set.\n",
        .run = command_update,
        .opening = OPENING_WRITE,
        .min_args = 2,
        .max_args = 2,
        .options = OPTION_NS | OPTION_KEY_B64 | OPTION_RAW | OPTION_STR,
    },
    {
        .name = "del",
        .args = "KEY...",
        .summary = "delete keys",
        .help = "One after the other. The exit code is 1 when one of them did not exist.\n",
        .run = command_del,
        .opening = OPENING_WRITE,
        .min_args = 1,
        .max_args = SIZE_MAX,
        .options = OPTION_NS | OPTION_KEY_B64,
    },
    {
        .name = "exists",
        .args = "KEY",
        .summary = "tell by the exit code whether a key exists",
        .help = "The exit code is 0 if it does, 1 if it does not. With --json: also prints true\n"
                "or false.\n",
        .run = command_exists,
        .opening = OPENING_READ,
        .min_args = 1,
        .max_args = 1,
        .options = OPTION_NS | OPTION_KEY_B64,
    },
    {
        .name = "keys",
        .summary = "list keys, in order of last write",
        .help = "The keys of the database include those of its namespaces, as they are stored:\n"
                "the name, a NUL, the key. With --json: one object a line, with \"key\", or\n"
                "\"key_b64\" if the key is not UTF-8.\n",
        .run = command_keys,
        .opening = OPENING_READ,
        .options = OPTION_NS | OPTION_PREFIX | OPTION_REVERSE | OPTION_LIMIT | OPTION_NULL,
    },
    {
        .name = "items",
        .summary = "list keys and values, in order of last write",
        .help = "Key, tab, value. With --json: one object a line, as export prints it.\n",
        .run = command_items,
        .opening = OPENING_READ,
        .options = OPTION_NS | OPTION_PREFIX | OPTION_REVERSE | OPTION_LIMIT | OPTION_NULL |
                   OPTION_RAW,
    },
    {
        .name = "count",
        .summary = "print the number of keys",
        .help = "Of the database with all namespaces, or of the namespace NS.\n",
        .run = command_count,
        .opening = OPENING_READ,
        .options = OPTION_NS,
    },
    {
        .name = "namespaces",
        .summary = "list namespaces and their number of keys",
        .help = "Name, tab, number of keys; sorted by name.\n",
        .run = command_namespaces,
        .opening = OPENING_READ,
        .options = OPTION_NULL,
    },
    {
        .name = "clear",
        .summary = "delete all keys and print how many",
        .help = "Of the database with all namespaces, or of the namespace NS; in one step.\n",
        .run = command_clear,
        .opening = OPENING_WRITE,
        .options = OPTION_NS,
    },
    {
        .name = "incr",
        .args = "KEY [BY]",
        .summary = "add to an integer and print the sum",
        .help = "BY is 1 if it is not given. A key that does not exist counts as 0.\n",
        .run = command_incr,
        .opening = OPENING_CREATE,
        .min_args = 1,
        .max_args = 2,
        .options = OPTION_NS | OPTION_KEY_B64,
    },
    {
        .name = "cas",
        .args = "KEY EXPECTED NEW",
        .summary = "store NEW if the value is EXPECTED",
        .help = "EXPECTED and NEW are read as VALUE is by set. Stored bytes are compared, so JSON\n"
                "must be spelled the same. The exit code is 1 when the value is another one.\n"
                "With --absent the arguments are KEY NEW.\n",
        .run = command_cas,
        .opening = OPENING_CREATE,
        .min_args = 2,
        .max_args = 3,
        .options = OPTION_NS | OPTION_KEY_B64 | OPTION_RAW | OPTION_STR | OPTION_ABSENT,
    },
    {
        .name = "batch",
        .summary = "apply the changes on stdin, all or none",
        .help = "One JSON object a line: \"op\" is \"set\", \"create\" or \"del\"; \"key\" or "
                "\"key_b64\";\n"
                "for set and create \"value\" (any JSON) or \"value_b64\" (the bytes to store).\n"
                "Prints how many values were written and how many keys deleted.\n",
        .run = command_batch,
        .opening = OPENING_CREATE,
        .options = OPTION_NS,
    },
    {
        .name = "import",
        .summary = "store the records on stdin",
        .help = "Reads what export prints. Stops at the first line that is wrong; the lines\n"
                "before it stay imported. Prints how many records were imported.\n",
        .run = command_import,
        .opening = OPENING_CREATE,
        .options = OPTION_NS | OPTION_FORMAT,
    },
    {
        .name = "export",
        .summary = "print all records",
        .help =
            "ndjson: one JSON object a line, in order of last write: \"key\", or \"key_b64\" if\n"
            "the key is not UTF-8; \"value\", JSON as it is stored, or \"value_b64\", any other\n"
            "stored bytes with their tag.\n"
            "hex: key, tab, value in hexadecimal, sorted by key; holds all in memory.\n",
        .run = command_export,
        .opening = OPENING_READ,
        .options = OPTION_NS | OPTION_FORMAT,
    },
    {
        .name = "stat",
        .summary = "print sizes and counters",
        .run = command_stat,
        .opening = OPENING_READ,
    },
    {
        .name = "verify",
        .summary = "read everything and report damage",
        .help = "Changes nothing. The exit code is 1 when damage was found.\n",
        .run = command_verify,
        .opening = OPENING_NONE,
    },
    {
        .name = "recover",
        .summary = "recover after a crash and print the receipt",
        .help = "Every command that writes recovers first; this one does nothing else. Prints\n"
                "what the last recovery found.\n",
        .run = command_recover,
        .opening = OPENING_WRITE,
    },
    {
        .name = "compact",
        .summary = "write the live records to a new file",
        .help = "Others may read and write meanwhile. Prints the size of the log before and\n"
                "after.\n",
        .run = command_compact,
        .opening = OPENING_WRITE,
    },
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* The arguments, for a line of help, and the space before them. */
static const char *args_of(const struct command *command)
{
    return command->args != NULL ? command->args : "";
}

static const char *gap_of(const struct command *command)
{
    return command->args != NULL ? " " : "";
}

/* ---- Help ------------------------------------------------------------------------------------ */

static void print_general_help(void)
{
    out_printf("usage: lxdb [options] FILE COMMAND [args]\n"
               "       lxdb COMMAND --help\n"
               "\n"
               "Work on the key-value database FILE, also while other programs do.\n"
               "\n"
               "commands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        char left[40];

        (void)snprintf(left, sizeof(left), "%s %s", commands[i].name, args_of(&commands[i]));
        out_printf("  %-24s %s\n", left, commands[i].summary);
    }
    out_printf("\noptions of every command:\n");
    options_help(OPTION_EVERYWHERE);
    out_printf("\noptions of some:\n");
    options_help(~(unsigned)OPTION_EVERYWHERE);
    out_printf("\n"
               "exit codes: 0 ok, 1 no (missing key, conflict, fault found), 2 usage, 3 busy,\n"
               "4 corrupt or not a database, 5 I/O or no space, 6 refused\n");
}

static void print_command_help(const struct command *command)
{
    out_printf("usage: lxdb [options] FILE %s%s%s\n\n%c%s.\n", command->name, gap_of(command),
               args_of(command), command->summary[0] - 'a' + 'A', command->summary + 1);
    if (command->help != NULL)
        out_printf("%s", command->help);
    out_printf("\noptions:\n");
    options_help(command->options);
    options_help(OPTION_EVERYWHERE & ~(unsigned)OPTION_VERSION);
}

/* `lxdb COMMAND --help` and `lxdb FILE COMMAND --help` both name a command. */
static int help(const struct cli *cli, char **words, size_t n)
{
    const struct command *command = NULL;

    if (n > 1)
        command = find_command(words[1]);
    if (command == NULL && n > 0)
        command = find_command(words[0]);
    if (command != NULL)
        print_command_help(command);
    else
        print_general_help();
    return out_finish(cli);
}

/* ---- Running a command ----------------------------------------------------------------------- */

/*
 * Descriptors 0, 1 and 2 must be taken before a file is opened: else the database could become
 * "stdout", and what is printed would land in it. What is put there refuses to be written to, or
 * read from.
 */
static bool hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    }
    return true;
}

static int check_usage(const struct cli *cli, const struct command *command, unsigned seen)
{
    unsigned foreign = seen & ~(command->options | OPTION_EVERYWHERE);

    if (foreign != 0)
        return out_usage(cli, "%s takes no %s", command->name, options_name(foreign));
    if (cli->n_args < command->min_args || cli->n_args > command->max_args)
        return out_usage(cli, "lxdb [options] FILE %s%s%s", command->name, gap_of(command),
                         args_of(command));
    if (cli->raw && cli->str)
        return out_usage(cli, "--raw and --str exclude each other");
    return CLI_OK;
}

static int open_database(const struct cli *cli, enum opening opening, lxdb **ret_root,
                         lxdb **ret_ns)
{
    lxdb_options options = {
        .size = sizeof(options),
        .flags = cli->any_fs ? LXDB_ANYFS : 0,
        .sync = cli->sync,
        .busy_timeout_ms = cli->timeout_ms,
    };
    int rc;

    if (opening == OPENING_READ)
        options.flags |= LXDB_RDONLY | LXDB_NOCREATE;
    if (opening == OPENING_WRITE)
        options.flags |= LXDB_NOCREATE;
    rc = lxdb_open(cli->file, &options, ret_root);
    if (rc == LXDB_NOTFOUND)
        return out_no_file(cli);
    if (rc == LXDB_OK && cli->ns != NULL)
        rc = lxdb_namespace(*ret_root, cli->ns, ret_ns);
    return rc != LXDB_OK ? out_fail(cli, rc) : CLI_OK;
}

/*
 * Close a handle after a command that ended with `exit_code`. A close that could not sync is a
 * failure of the command. One that others kept waiting is not: what the command did is done, and
 * reporting "busy" would invite to do it again.
 */
static int close_handle(struct cli *cli, lxdb *handle, int exit_code)
{
    int rc = lxdb_close(handle);

    cli->db = NULL;
    if (rc == LXDB_OK)
        return exit_code;
    if (rc == LXDB_BUSY) {
        out_note(cli, "%s", lxdb_errmsg(NULL));
        return exit_code;
    }
    rc = out_fail(cli, rc);
    return exit_code != CLI_OK ? exit_code : rc;
}

static int run(struct cli *cli, const struct command *command)
{
    lxdb *root = NULL;
    lxdb *ns = NULL;
    int exit_code = CLI_OK;
    int output;

    if (command->opening != OPENING_NONE)
        exit_code = open_database(cli, command->opening, &root, &ns);
    if (exit_code == CLI_OK) {
        cli->db = ns != NULL ? ns : root;
        exit_code = command->run(cli);
    }
    exit_code = close_handle(cli, ns, exit_code);
    exit_code = close_handle(cli, root, exit_code);
    output = out_finish(cli);
    return exit_code != CLI_OK ? exit_code : output;
}

int main(int argc, char **argv)
{
    struct cli cli = {.limit = UINT64_MAX};
    const struct command *command;
    char **words = argv + (argc > 0);
    unsigned seen = 0;
    size_t n = 0;
    int exit_code;

    if (!hold_standard_descriptors())
        return CLI_IO;
    exit_code = options_parse(&cli, argc - (argc > 0), words, &n, &seen);
    if (exit_code != CLI_OK)
        return exit_code;
    if ((seen & OPTION_HELP) != 0)
        return help(&cli, words, n);
    if ((seen & OPTION_VERSION) != 0) {
        out_printf("lxdb %s\n", lxdb_version());
        return out_finish(&cli);
    }
    if (n < 2)
        return out_usage(&cli, "lxdb [options] FILE COMMAND [args]; try lxdb --help");
    command = find_command(words[1]);
    if (command == NULL)
        return out_usage(&cli, "unknown command '%s'; try lxdb --help", words[1]);
    cli.file = words[0];
    cli.args = words + 2;
    cli.n_args = n - 2;
    exit_code = check_usage(&cli, command, seen);
    if (exit_code != CLI_OK)
        return exit_code;
    return run(&cli, command);
}
