/* SPDX-License-Identifier: MIT */
/* Reading a whole database and judging it: see verify.c. */
#ifndef LX_ENGINE_VERIFY_H
#define LX_ENGINE_VERIFY_H

#include "format/scan.h"
#include "lxdb.h"

int lx_verify(const char *path, lxdb_report *ret_report, const lxdb_progress *progress);
/* What a plan says, as a report; the counts of live and dead records are the caller's. */
void lx_report_fill(const lx_scan *scan, lxdb_report *ret_report);

#endif
