/* SPDX-License-Identifier: MIT */
/*
 * Building an index that nobody else can see yet, in the order of the log: what recovery,
 * compaction and verify do with every record.
 *
 * A new key takes three lines of memory, none of which is in a cache: a segment's head, a bucket
 * and the homes of its slots. So changes wait until there is a batch of them, and while one goes
 * into the index the lines of those further on are on their way. Their order stays.
 */
#ifndef LX_STORE_FILL_H
#define LX_STORE_FILL_H

#include "store/index.h"

#define LX_FILL_BATCH 256u

struct lx_fill_change {
    uint64_t hash;
    uint64_t slot;
    uint64_t len; /* of what the slot leads to */
    const uint8_t *key;
    uint32_t key_len;
    bool expires;
    bool remove;
};

typedef struct lx_fill {
    lx_index *index;
    lx_log *log;
    /* Called for the version that is replaced or removed, before it is. */
    int (*retire)(void *arg, const lx_found *found);
    void *arg;
    /* What the index leads to, without the changes that wait. */
    uint64_t records, bytes, expiring;
    uint32_t waiting;
    struct lx_fill_change changes[LX_FILL_BATCH];
} lx_fill;

static inline bool lx_fill_is_full(const lx_fill *fill)
{
    return fill->waiting == LX_FILL_BATCH;
}

/* The key is now at `slot`, or is gone. `key` must stay until the change is made, and what slots
 * lead to must be in the log then. Makes the changes that wait if it is full. What these return is
 * what `retire` or the index says. */
int lx_fill_put(lx_fill *fill, const void *key, uint32_t key_len, uint64_t slot, uint64_t len,
                bool expires);
int lx_fill_remove(lx_fill *fill, const void *key, uint32_t key_len);
/* Make the changes that wait. */
int lx_fill_flush(lx_fill *fill);
/* Whether a change of a key with this hash waits. */
bool lx_fill_waits(const lx_fill *fill, uint64_t hash);

#endif
