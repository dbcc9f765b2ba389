/* SPDX-License-Identifier: MIT */
/*
 * Records as lines of JSON, so that every key and every value survives to the byte:
 *
 *   {"key":"city","value":{"name":"Bern"}}
 *
 *   key        the key, when it is valid UTF-8
 *   key_b64    else the key in base64
 *   value      the text of a value that is typed as JSON, as it is stored: copied, never re-printed
 *   value_b64  else the stored bytes in base64, tag byte included; also for JSON text with line
 *              breaks, or with white space around it, which a line could not carry unchanged
 *   op         in the input of `batch` alone: "set", "create" or "del"
 *
 * Reading is strict: no other members, none twice, exactly one key. A line that an older tool does
 * not understand fully is refused rather than stored in part.
 */
#ifndef LXDB_TOOLS_NDJSON_H
#define LXDB_TOOLS_NDJSON_H

#include "buffer.h"

#include <stdint.h>

enum ndjson_op { NDJSON_OP_NONE, NDJSON_OP_SET, NDJSON_OP_CREATE, NDJSON_OP_DELETE };

struct ndjson_record {
    enum ndjson_op op;
    bool has_key;
    bool has_value;
    struct buffer key;
    const char *json; /* the text of `value`, in the line; NULL: see `bytes` */
    size_t json_len;
    struct buffer bytes; /* of `value_b64` */
};

/* Add the members of a key; of a value; the line of a record, newline included. */
void ndjson_add_key(struct buffer *out, const void *key, size_t key_len);
void ndjson_add_value(struct buffer *out, const void *value, size_t value_len);
void ndjson_add_record(struct buffer *out, const void *key, size_t key_len, const void *value,
                       size_t value_len);
/* The line of a namespace in a listing: "namespace" (or "namespace_b64") and "count". */
void ndjson_add_namespace(struct buffer *out, const char *name, size_t name_len, uint64_t count);

/* Read one line into `record`, which may have been used before. False with *ret_why, a static
 * phrase, when it is no record; the contents of `record` are then of no use. `json` points into the
 * line. */
bool ndjson_parse(struct ndjson_record *record, const char *line, size_t len, const char **ret_why);
void ndjson_free(struct ndjson_record *record);

#endif
