/* SPDX-License-Identifier: MIT */
/* The list of open descriptors: see fds.h. */
#include "sys/fds.h"

#include "base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int *fds;
static size_t count, capacity;

void lx_fds_lock(void)
{
    pthread_mutex_lock(&lock);
}

void lx_fds_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

int lx_fds_add(int fd)
{
    if (count == capacity) {
        size_t more = capacity ? 2 * capacity : 16;
        int *bigger = realloc(fds, more * sizeof *fds);

        if (bigger == NULL)
            return lx_fail(LXDB_NOMEM, "out of memory");
        fds = bigger;
        capacity = more;
    }
    fds[count++] = fd;
    return LXDB_OK;
}

void lx_fds_remove(int fd)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] == fd) {
            fds[i] = fds[--count];
            return;
        }
    }
}

void lx_fds_close_inherited(void)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    count = 0;
    pthread_mutex_init(&lock, NULL);
}
