/* SPDX-License-Identifier: MIT */
/*
 * What typed values and namespaced keys look like in a record: value = tag byte, then bytes (0x00)
 * or JSON text (0x01); namespaced key = name, 0x00, key.
 */
#ifndef LX_FORMAT_VALUE_H
#define LX_FORMAT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LX_TAG_BYTES 0x00u
#define LX_TAG_JSON 0x01u

/* The length of the namespace name in a stored key: up to its first NUL, 0 if the key has none,
 * starts with one, or ends with its first (those belong to the root). */
size_t lx_key_namespace(const uint8_t *key, size_t key_len);

#endif
