/* SPDX-License-Identifier: MIT */
/*
 * The lines that the tool imports and exports, read and written once more, from the manual page
 * lxdb(1).
 */
#ifndef LXDB_FUZZ_NAIVE_LINES_H
#define LXDB_FUZZ_NAIVE_LINES_H

#include "fuzz/mirror.h"
#include "fuzz/naive_json.h"

enum naive_op { NAIVE_NO_OP, NAIVE_SET, NAIVE_CREATE, NAIVE_DELETE };

struct naive_record {
    enum naive_op op;
    bool has_value;
    struct naive_bytes key;
    struct naive_bytes stored; /* the value with its tag */
};
void naive_record_free(struct naive_record *record);

/* The next line that is not blank, without its line feed, *ret_len bytes; NULL at the end. */
const uint8_t *naive_line(const uint8_t **at, const uint8_t *end, size_t *ret_len);
/* Whether a line is a record, in NDJSON or in hexadecimal text; which one. */
bool naive_parse(bool hex, const uint8_t *line, size_t len, struct naive_record *ret_record);
bool naive_base64(const uint8_t *text, size_t len, struct naive_bytes *out);
/* A member whose value is a name, a record, and all records, as export prints them. Hexadecimal
 * text is sorted by key, and then so is the mirror. */
void naive_print_name(struct naive_bytes *out, const char *member, const uint8_t *name, size_t len);
void naive_print_record(struct naive_bytes *out, const struct mirror_record *record);
void naive_export(struct naive_bytes *out, struct mirror *mirror, bool hex);

#endif
