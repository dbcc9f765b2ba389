/* SPDX-License-Identifier: MIT */
/* Figures about a database: see stat.c. */
#ifndef LX_ENGINE_STAT_H
#define LX_ENGINE_STAT_H

#include "engine/core.h"

int lx_stat(lx_core *core, lxdb_stat_info *ret_info);
/* The counter of live keys; not exact when keys expire: then they must be counted. */
int lx_count(lx_core *core, uint64_t *ret_count, bool *ret_exact);
int lx_position(lx_core *core, uint64_t *ret_position);
int lx_receipt(lx_core *core, lxdb_report *ret_report);

#endif
