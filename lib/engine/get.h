/* SPDX-License-Identifier: MIT */
/* Reads by stored key: see get.c. Codes as in lxdb.h. */
#ifndef LX_ENGINE_GET_H
#define LX_ENGINE_GET_H

#include "engine/view.h"

int lx_get_copy(lx_core *core, const void *key, size_t key_len, void *buf, size_t cap,
                size_t *ret_len);
int lx_get_exists(lx_core *core, const void *key, size_t key_len);
int lx_get_alloc(lx_core *core, const void *key, size_t key_len, int tag, void **ret_value,
                 size_t *ret_len);

/* Read sections of the calling thread. */
int lx_section_begin(lx_core *core);
void lx_section_end(lx_core *core);
int lx_section_peek(lx_core *core, const void *key, size_t key_len, const void **ret_value,
                    size_t *ret_len);
/* `prefix` goes before every key. */
int lx_section_peek_many(lx_core *core, const void *prefix, size_t prefix_len, lxdb_item *items,
                         size_t n);

#endif
