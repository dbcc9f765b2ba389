/* SPDX-License-Identifier: MIT */
/* Namespaced keys. */
#include "format/value.h"

#include <string.h>

size_t lx_key_namespace(const uint8_t *key, size_t key_len)
{
    const uint8_t *separator = key_len > 0 ? memchr(key, 0, key_len) : NULL;

    if (separator == NULL || separator == key + key_len - 1)
        return 0;
    return (size_t)(separator - key); /* 0 as well when the key starts with the separator */
}
