/* SPDX-License-Identifier: MIT */
/* Reading a whole database and judging it: see verify.c. */
#ifndef LX_ENGINE_VERIFY_H
#define LX_ENGINE_VERIFY_H

#include "format/scan.h"
#include "lxdb.h"
#include "store/index.h"

int lx_verify(const char *path, lxdb_report *ret_report, const lxdb_progress *progress);
/* What a plan says, as a report; the counts of live and dead records are the caller's. */
void lx_report_fill(const lx_scan *scan, lxdb_report *ret_report);
/* An index in private memory of what the order of the log leaves alive, whatever the status bytes
 * say; the scan may be of a closed file. */
int lx_index_by_order(lx_log *log, const lx_scan *scan, lx_index *ret_index);
/* How many keys are dead by a status byte that the order of the log does not explain; the scan may
 * be of a closed file too. */
int lx_count_without_cause(lx_log *log, const lx_scan *scan, uint64_t *ret_count);

#endif
