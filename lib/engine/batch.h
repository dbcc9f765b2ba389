/* SPDX-License-Identifier: MIT */
/* Batches by stored key, and clearing: see batch.c. */
#ifndef LX_ENGINE_BATCH_H
#define LX_ENGINE_BATCH_H

#include "engine/core.h"

enum lx_batch_op { LX_BATCH_WRITE, LX_BATCH_CREATE, LX_BATCH_DELETE };

typedef struct lx_batch lx_batch;

int lx_batch_begin(lx_core *core, lx_batch **ret_batch);
/* The key is `prefix` and `key`; both and the value are copied. */
int lx_batch_add(lx_batch *batch, enum lx_batch_op op, const void *prefix, size_t prefix_len,
                 const void *key, size_t key_len, int tag, const void *value, size_t value_len);
int lx_batch_commit(lx_batch *batch, size_t *ret_deleted, size_t *ret_failed_at);
void lx_batch_free(lx_batch *batch);
/* Close: the memory that was kept for the next batch. */
void lx_batch_forget_spare(lx_core *core);

/* Remove every key that starts with `prefix`, as one batch. */
int lx_clear(lx_core *core, const void *prefix, size_t prefix_len, uint64_t *ret_deleted);
/* Remove every key whose expiry has passed, as one batch: readers of version 1 know no expiry. */
int lx_purge_expired(lx_core *core);

#endif
