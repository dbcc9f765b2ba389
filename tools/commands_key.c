/* SPDX-License-Identifier: MIT */
/*
 * The commands that work on one key: get set create update del exists incr cas.
 */
#include "cli.h"
#include "ndjson.h"
#include "output.h"
#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int command_get(struct cli *cli)
{
    struct buffer key = {0};
    struct buffer line = {0};
    void *value = NULL;
    size_t value_len = 0;
    int exit_code = value_key(cli, cli->args[0], &key);
    int rc;

    if (exit_code != CLI_OK)
        goto out;
    rc = lxdb_read_alloc(cli->db, key.data, key.len, &value, &value_len);
    if (rc != LXDB_OK) {
        exit_code = out_fail_key(cli, rc, key.data, key.len);
        goto out;
    }
    if (cli->json) {
        ndjson_add_record(&line, key.data, key.len, value, value_len);
        out_buffer(&line);
    } else {
        value_print(cli, value, value_len);
        if (!cli->raw && value_is_json(value, value_len))
            out_printf("\n");
    }
out:
    lxdb_free(value);
    buffer_free(&line);
    buffer_free(&key);
    return exit_code;
}

typedef int store(lxdb *db, const void *key, size_t key_len, const void *value, size_t value_len);

static int store_with(struct cli *cli, store *store_value)
{
    struct buffer key = {0};
    struct buffer value = {0};
    int exit_code = value_key(cli, cli->args[0], &key);
    int rc;

    if (exit_code == CLI_OK)
        exit_code = value_stored(cli, cli->args[1], &value);
    if (exit_code == CLI_OK) {
        rc = store_value(cli->db, key.data, key.len, value.data, value.len);
        if (rc != LXDB_OK)
            exit_code = out_fail_key(cli, rc, key.data, key.len);
    }
    buffer_free(&value);
    buffer_free(&key);
    return exit_code;
}

int command_set(struct cli *cli)
{
    return store_with(cli, lxdb_write);
}

int command_create(struct cli *cli)
{
    return store_with(cli, lxdb_create);
}

int command_update(struct cli *cli)
{
    return store_with(cli, lxdb_update);
}

/* One key after the other and not as a batch: single deletions work on a full disk. */
int command_del(struct cli *cli)
{
    struct buffer key = {0};
    int exit_code = CLI_OK;

    for (size_t i = 0; i < cli->n_args; i++) {
        int failed;
        int rc;

        buffer_reset(&key);
        failed = value_key(cli, cli->args[i], &key);
        if (failed == CLI_OK) {
            rc = lxdb_delete(cli->db, key.data, key.len);
            if (rc != LXDB_OK)
                failed = out_fail_key(cli, rc, key.data, key.len);
        }
        if (failed != CLI_OK)
            exit_code = failed;
        if (failed > CLI_NO)
            break;
    }
    buffer_free(&key);
    return exit_code;
}

int command_exists(struct cli *cli)
{
    struct buffer key = {0};
    int exit_code = value_key(cli, cli->args[0], &key);
    int rc;

    if (exit_code != CLI_OK)
        goto out;
    rc = lxdb_exists(cli->db, key.data, key.len);
    if (rc != LXDB_OK && rc != LXDB_NOTFOUND) {
        exit_code = out_fail(cli, rc);
        goto out;
    }
    if (cli->json)
        out_printf("%s\n", rc == LXDB_OK ? "true" : "false");
    exit_code = rc == LXDB_OK ? CLI_OK : CLI_NO;
out:
    buffer_free(&key);
    return exit_code;
}

int command_incr(struct cli *cli)
{
    struct buffer key = {0};
    int64_t sum = 0;
    int64_t by = 1;
    int exit_code = value_key(cli, cli->args[0], &key);
    int rc;

    if (exit_code != CLI_OK)
        goto out;
    if (cli->n_args > 1) {
        const char *text = cli->args[1];
        char *end = NULL;

        errno = 0;
        by = strtoll(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || strchr(" \t\n\v\f\r+", *text) != NULL) {
            exit_code = out_usage(cli, "BY is an integer of 64 bits, not '%s'", text);
            goto out;
        }
    }
    rc = lxdb_incr(cli->db, key.data, key.len, by, &sum);
    if (rc == LXDB_OK)
        out_printf("%" PRId64 "\n", sum);
    else
        exit_code = out_fail_key(cli, rc, key.data, key.len);
out:
    buffer_free(&key);
    return exit_code;
}

int command_cas(struct cli *cli)
{
    const char *new_value = cli->args[cli->n_args - 1];
    struct buffer key = {0};
    struct buffer expected = {0};
    struct buffer value = {0};
    int exit_code;
    int rc;

    if (cli->n_args != (cli->absent ? 2u : 3u))
        return out_usage(cli, cli->absent ? "cas --absent takes KEY and NEW"
                                          : "cas takes KEY, EXPECTED and NEW");
    if (!cli->absent && strcmp(cli->args[1], "-") == 0 && strcmp(new_value, "-") == 0)
        return out_usage(cli, "only one of EXPECTED and NEW can be stdin");
    exit_code = value_key(cli, cli->args[0], &key);
    if (exit_code == CLI_OK && !cli->absent)
        exit_code = value_stored(cli, cli->args[1], &expected);
    if (exit_code == CLI_OK)
        exit_code = value_stored(cli, new_value, &value);
    if (exit_code == CLI_OK) {
        /* An expected value of no bytes still needs a pointer: NULL asks for the absence of the
         * key. */
        const char *expect = cli->absent ? NULL : expected.len != 0 ? expected.data : "";

        rc = lxdb_cas(cli->db, key.data, key.len, expect, expected.len, value.data, value.len);
        if (rc != LXDB_OK)
            exit_code = out_fail_key(cli, rc, key.data, key.len);
    }
    buffer_free(&value);
    buffer_free(&expected);
    buffer_free(&key);
    return exit_code;
}
