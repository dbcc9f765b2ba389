/* SPDX-License-Identifier: MIT */
/* What the typed functions share with other parts of the API layer. */
#ifndef LX_TYPED_H
#define LX_TYPED_H

#include <stddef.h>

/* LXDB_OK if `json` may be stored as a JSON value: it is JSON (LXDB_JSON, the sentence names offset
 * and reason), its length leaves room for the tag (LXDB_TOOBIG; the text is not looked at then),
 * and it is not NULL unless `len` is 0 (LXDB_INVALID). */
int lx_typed_check_json(const char *json, size_t len);

#endif
