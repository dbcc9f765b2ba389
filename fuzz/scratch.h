/* SPDX-License-Identifier: MIT */
/*
 * A folder for the files of targets that open databases: in FUZZ_DIR, or in memory (/dev/shm). One
 * target has one; an input that was ended half-way leaves files in it, so each input begins with
 * scratch_clear().
 *
 * Also what makes the same input do the same: random numbers of the library come from a generator
 * that scratch_clear() starts anew, as it does the coarse clock, which goes on whenever it is read;
 * by the clock on the wall it is always SCRATCH_NOW_MS. (Link with --wrap for lx_random64,
 * lx_now_coarse_ms, lx_wall_ms and lx_wall_coarse_ms.)
 */
#ifndef LXDB_FUZZ_SCRATCH_H
#define LXDB_FUZZ_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#define SCRATCH_NAME "f.lxdb" /* the data file; helpers have suffixes */

#define SCRATCH_NOW_MS INT64_C(1700000000000)

extern char scratch_dir[256];
extern char scratch_path[300]; /* of the data file */

void scratch_make(void);
void scratch_clear(void); /* no file is left in it */
void scratch_remove(void);
/* From now on space that is reserved, and syncs, cost nothing: for targets that no disk fails. */
void scratch_make_cheap(void);

/* The data file (suffix ""), or a helper ("-lock"), as a whole. */
void scratch_write(const char *suffix, const uint8_t *bytes, size_t len);
/* Its bytes, to be freed; NULL if there is none. */
uint8_t *scratch_read(const char *suffix, size_t *ret_len);

#endif
