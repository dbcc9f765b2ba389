/* SPDX-License-Identifier: MIT */
/*
 * The commands that look at many keys, or clear them: keys items count namespaces clear.
 */
#include "cli.h"
#include "ndjson.h"
#include "output.h"
#include "value.h"

#include <inttypes.h>
#include <string.h>

static void print_record(const struct cli *cli, struct buffer *line, const void *key,
                         size_t key_len, const void *value, size_t value_len, bool with_value)
{
    const char end = cli->nul ? '\0' : '\n';

    if (cli->json && with_value) {
        ndjson_add_record(line, key, key_len, value, value_len);
        out_buffer(line);
    } else if (cli->json) {
        buffer_add_text(line, "{");
        ndjson_add_key(line, key, key_len);
        buffer_add_text(line, "}\n");
        out_buffer(line);
    } else {
        out_bytes(key, key_len);
        if (with_value) {
            out_bytes("\t", 1);
            value_print(cli, value, value_len);
        }
        out_bytes(&end, 1);
    }
}

static int list(struct cli *cli, bool with_values)
{
    uint32_t flags = (with_values ? 0 : LXDB_ITER_KEYS) | (cli->reverse ? LXDB_ITER_REVERSE : 0);
    size_t prefix_len = cli->prefix != NULL ? strlen(cli->prefix) : 0;
    struct buffer line = {0};
    lxdb_iter *iter = NULL;
    int exit_code = CLI_OK;
    int rc = lxdb_iter_open(cli->db, cli->prefix, prefix_len, flags, &iter);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    for (uint64_t n = 0; n < cli->limit && !out_failed(); n++) {
        const void *key = NULL;
        const void *value = NULL;
        size_t key_len = 0;
        size_t value_len = 0;

        if (with_values)
            rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len);
        else
            rc = lxdb_iter_next(iter, &key, &key_len, NULL, NULL);
        if (rc == LXDB_NOTFOUND)
            break;
        if (rc != LXDB_OK) {
            exit_code = out_fail(cli, rc);
            break;
        }
        print_record(cli, &line, key, key_len, value, value_len, with_values);
    }
    lxdb_iter_close(iter);
    buffer_free(&line);
    return exit_code;
}

int command_keys(struct cli *cli)
{
    return list(cli, false);
}

int command_items(struct cli *cli)
{
    return list(cli, true);
}

static void print_count(const struct cli *cli, const char *name, uint64_t count)
{
    if (cli->json)
        out_printf("{\"%s\":%" PRIu64 "}\n", name, count);
    else
        out_printf("%" PRIu64 "\n", count);
}

int command_count(struct cli *cli)
{
    uint64_t count = 0;
    int rc = lxdb_count(cli->db, &count);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    print_count(cli, "count", count);
    return CLI_OK;
}

int command_clear(struct cli *cli)
{
    uint64_t deleted = 0;
    int rc = lxdb_clear(cli->db, &deleted);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    print_count(cli, "deleted", deleted);
    return CLI_OK;
}

int command_namespaces(struct cli *cli)
{
    struct buffer line = {0};
    lxdb_namespace_info *names = NULL;
    size_t n = 0;
    int rc = lxdb_namespaces(cli->db, &names, &n);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    for (size_t i = 0; i < n; i++) {
        if (cli->json) {
            ndjson_add_namespace(&line, names[i].name, names[i].name_len, names[i].count);
            out_buffer(&line);
        } else {
            out_bytes(names[i].name, names[i].name_len);
            out_printf("\t%" PRIu64 "%c", names[i].count, cli->nul ? '\0' : '\n');
        }
    }
    lxdb_free(names);
    buffer_free(&line);
    return CLI_OK;
}
