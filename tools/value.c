/* SPDX-License-Identifier: MIT */
/*
 * Keys and values between the command line and what is stored; see value.h.
 */
#include "value.h"

#include "base64.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <string.h>

int value_key(const struct cli *cli, const char *arg, struct buffer *ret_key)
{
    if (!cli->key_b64)
        buffer_add_text(ret_key, arg);
    else if (!base64_decode(ret_key, arg, strlen(arg)))
        return out_usage(cli, "the key is not base64");
    return ret_key->failed ? out_no_memory(cli) : CLI_OK;
}

void value_tag_json(struct buffer *stored, const char *text, size_t len)
{
    const char tag = VALUE_TAG_JSON;

    buffer_add(stored, &tag, 1);
    buffer_add(stored, text, len);
}

static int stored_of(const struct cli *cli, const char *text, size_t len, struct buffer *ret_stored)
{
    const char *json;
    size_t json_len;

    if (cli->raw) {
        buffer_add(ret_stored, text, len);
    } else if (!cli->str && json_check(text, len, &json, &json_len)) {
        value_tag_json(ret_stored, json, json_len);
    } else if (json_utf8_check(text, len)) {
        value_tag_json(ret_stored, NULL, 0);
        json_quote(ret_stored, text, len);
    } else {
        return out_usage(cli, "the value is not UTF-8 text; --raw stores bytes as they are");
    }
    return ret_stored->failed ? out_no_memory(cli) : CLI_OK;
}

int value_stored(const struct cli *cli, const char *arg, struct buffer *ret_stored)
{
    struct buffer input = {0};
    int exit_code;

    if (strcmp(arg, "-") != 0)
        return stored_of(cli, arg, strlen(arg), ret_stored);
    if (!buffer_add_file(&input, stdin))
        exit_code = out_fail_about(cli, LXDB_IO, "cannot read the value from stdin: %s",
                                   strerror(errno));
    else if (input.failed)
        exit_code = out_no_memory(cli);
    else
        exit_code = stored_of(cli, input.data, input.len, ret_stored);
    buffer_free(&input);
    return exit_code;
}

bool value_is_json(const void *value, size_t value_len)
{
    return value_len > 0 && *(const char *)value == VALUE_TAG_JSON;
}

void value_print(const struct cli *cli, const void *value, size_t value_len)
{
    const char *bytes = value;
    bool tagged = value_len > 0 && (bytes[0] == VALUE_TAG_BYTES || bytes[0] == VALUE_TAG_JSON);
    size_t skip = tagged && !cli->raw ? 1 : 0;

    if (value_len > skip)
        out_bytes(bytes + skip, value_len - skip);
}
