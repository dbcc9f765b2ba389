/* SPDX-License-Identifier: MIT */
/*
 * The control block: the mapped lock file of layout.h. Mapping, checking and making one; its
 * receipt.
 *
 * INV-1  A block is complete before the generation that chooses it is stored (release; pairs with
 *        the acquire load in lx_control_generation()).
 * INV-2  While anybody is attached, the block of the current generation names the files in force.
 */
#ifndef LX_STORE_CONTROL_H
#define LX_STORE_CONTROL_H

#include "store/layout.h"
#include "sys/map.h"

/* Internal result, positive so that it never escapes: the view is too small or of an old
 * generation; open a fresh one and try again. */
#define LX_AGAIN 1
/* Likewise: the index contradicts itself or the log. The log is whole, so a new index can be made
 * from it: that is what a compaction does. The sentence is kept as for LXDB_CORRUPT. */
#define LX_DAMAGED 3

static inline struct lx_control_block *lx_control_block(struct lx_control_file *file,
                                                        uint64_t generation)
{
    return generation & 1 ? &file->block1 : &file->block0;
}

static inline uint64_t lx_control_generation(const struct lx_control_file *file)
{
    /* acquire: the block is read after it; pairs with the release in lx_control_publish() */
    return atomic_load_explicit(&file->head.generation, memory_order_acquire);
}

/* Put a filled block in force. The caller holds the writer lock or is alone. */
void lx_control_publish(struct lx_control_file *file, uint64_t generation);

/* Map the lock file, of at least LX_CONTROL_SIZE bytes. */
int lx_control_map(int fd, const char *name, bool writable, lx_map *ret_map);
/* Whether a mapped lock file was made by this layout. */
bool lx_control_is_ours(const struct lx_control_file *file);
/* Make everything anew, but for `poison` and the receipt when they are of this boot and layout.
 * Caller is alone. The generation starts at one that no earlier block of this file had. */
void lx_control_format(struct lx_control_file *file);

void lx_control_receipt_store(struct lx_control_file *file, const lxdb_report *receipt);
/* False: there is none. */
bool lx_control_receipt_load(struct lx_control_file *file, lxdb_report *ret_receipt);

#endif
