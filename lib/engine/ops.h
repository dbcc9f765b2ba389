/* SPDX-License-Identifier: MIT */
/*
 * What the API layer calls: operations on a handle, with the name of its namespace put before the
 * key.
 */
#ifndef LX_ENGINE_OPS_H
#define LX_ENGINE_OPS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum lx_put_mode { LX_PUT_WRITE, LX_PUT_CREATE, LX_PUT_UPDATE };

/* Store a value. `tag` -1: as it is; else that byte is stored before it. The codes are those of
 * lxdb_write(), lxdb_create() and lxdb_update(). */
int lx_op_put(lxdb *db, enum lx_put_mode mode, const void *key, size_t key_len, int tag,
              const void *value, size_t value_len);
/* A copy of the value with a NUL behind it (not counted), to be freed with lxdb_free(). `tag` -1:
 * all of the value; else LXDB_TYPE unless it starts with that byte, and the value is what
 * follows. */
int lx_op_read_alloc(lxdb *db, const void *key, size_t key_len, int tag, void **ret_value,
                     size_t *ret_len);

#endif
