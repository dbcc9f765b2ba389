/* SPDX-License-Identifier: MIT */
/*
 * Bytes that grow; see buffer.h. Includes the C library only.
 */
#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *buffer_room(struct buffer *buffer, size_t n)
{
    size_t cap = buffer->cap != 0 ? buffer->cap : 256;
    char *data;

    if (buffer->failed)
        return NULL;
    if (buffer->data != NULL && n <= buffer->cap - buffer->len)
        return buffer->data + buffer->len;
    if (n > SIZE_MAX / 2 - buffer->len) {
        buffer->failed = true;
        return NULL;
    }
    while (cap - buffer->len < n)
        cap *= 2;
    data = realloc(buffer->data, cap);
    if (data == NULL) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->cap = cap;
    return data + buffer->len;
}

void buffer_add(struct buffer *buffer, const void *bytes, size_t n)
{
    char *room = buffer_room(buffer, n);

    if (room == NULL || n == 0)
        return;
    memcpy(room, bytes, n);
    buffer->len += n;
}

void buffer_add_text(struct buffer *buffer, const char *text)
{
    buffer_add(buffer, text, strlen(text));
}

void buffer_reset(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = false;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

bool buffer_add_file(struct buffer *buffer, FILE *file)
{
    enum { STEP = 64 * 1024 };
    size_t n;

    do {
        char *room = buffer_room(buffer, STEP);

        if (room == NULL)
            return true;
        n = fread(room, 1, STEP, file);
        buffer->len += n;
    } while (n == STEP);
    return ferror(file) == 0;
}
