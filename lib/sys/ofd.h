/* SPDX-License-Identifier: MIT */
/*
 * Open-file-description locks: advisory byte-range locks that belong to a description, so that the
 * kernel releases them when the last descriptor and mapping of it are gone, and two descriptions of
 * one process exclude each other.
 */
#ifndef LX_SYS_OFD_H
#define LX_SYS_OFD_H

#include "base/error.h"

#include <stdbool.h>

enum lx_ofd_mode { LX_OFD_NONE, LX_OFD_SHARED, LX_OFD_EXCLUSIVE };

/* Set the lock of [off, off + 1) of this description: take, convert (atomically) or release. Does
 * not wait: LXDB_BUSY, without a sentence, if another description is in the way; what was held
 * before stays. An exclusive lock needs a descriptor open for writing, a shared one for reading
 * (else LXDB_IO).
 * LXDB_UNSUPPORTED where there are no such locks; LXDB_NOMEM when the system has no room for
 * one. */
int lx_ofd_set(int fd, enum lx_ofd_mode mode, uint64_t off);
/* Would an exclusive lock of [off, off + len) meet another description's lock? len 0 = to the end.
 * Gives the start of one that it would meet (the kernel picks; it keeps them by description, not in
 * order), and leaves *ret_off alone if there is none. Never sees the locks of `fd` itself. */
int lx_ofd_query(int fd, uint64_t off, uint64_t len, bool *ret_held, uint64_t *ret_off);

#endif
