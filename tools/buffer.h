/* SPDX-License-Identifier: MIT */
/*
 * Bytes that grow. A failed allocation sticks: later additions do nothing, and whoever uses the
 * contents asks `failed` once, at the end. A zeroed struct is an empty buffer.
 */
#ifndef LXDB_TOOLS_BUFFER_H
#define LXDB_TOOLS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct buffer {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

/* Room for `n` more bytes behind the contents, NULL when there is no memory; the caller fills it
 * and adds to `len` what it used. */
char *buffer_room(struct buffer *buffer, size_t n);
void buffer_add(struct buffer *buffer, const void *bytes, size_t n);
void buffer_add_text(struct buffer *buffer, const char *text);
/* Empty it and forget a failure; the memory stays for the next use. */
void buffer_reset(struct buffer *buffer);
void buffer_free(struct buffer *buffer);
/* Add everything up to the end of `file`. False, with errno, when reading failed. */
bool buffer_add_file(struct buffer *buffer, FILE *file);

#endif
