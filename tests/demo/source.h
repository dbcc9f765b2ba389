/* SPDX-License-Identifier: MIT */
/*
 * The records of the demo: the ISO lists of Debian's package iso-codes, each record as the bytes
 * that stand in the file. A list becomes a namespace, a record's code its key, its text the value.
 *
 * Writers take records by chunks. A chunk is some neighbouring records of one list; it is stored
 * either by one atomic batch, always, or record by record.
 */
#ifndef LXDB_DEMO_SOURCE_H
#define LXDB_DEMO_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_LISTS 8
#define SOURCE_CHUNK 32
#define SOURCE_DIR "/usr/share/iso-codes/json"

struct record {
    unsigned list;
    unsigned chunk;
    char *key;
    size_t key_len;
    const char *text; /* in the file's bytes; not NUL-terminated */
    size_t len;
};

struct list {
    const char *name;  /* of the namespace, and of the file, without .json */
    const char *title; /* what it lists */
    const char *code;  /* the member of a record that is its key */
    bool shared;       /* loaded by every writer; else each chunk by one of them */
    char *bytes;       /* of the file */
    size_t first;      /* its records: records[first] to records[first + n - 1] */
    size_t n;
};

struct chunk {
    unsigned list;
    size_t first; /* record */
    size_t n;
    bool batch;
};

struct source {
    struct list lists[SOURCE_LISTS];
    struct record *records;
    size_t n;
    struct chunk *chunks;
    size_t n_chunks;
    uint64_t bytes;   /* of the texts */
    uint32_t *sorted; /* record numbers in the order of (list, key) */
};

/* Load the lists in `dir`, at most `most` records of each (0: all). A file that is missing or not
 * as expected ends the demo. */
void source_load(struct source *source, const char *dir, size_t most);
void source_free(struct source *source);

/* The number of the record, or -1. */
int64_t source_find(const struct source *source, unsigned list, const void *key, size_t key_len);
/* Whether this is the text of that record, byte for byte. */
bool source_equal(const struct record *record, const void *text, size_t len);

#endif
