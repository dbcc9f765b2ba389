/* SPDX-License-Identifier: MIT */
/* Building an index in the order of the log: see fill.h. */
#include "store/fill.h"

#define AHEAD 16u /* changes between asking for lines and using them */

static int add(lx_fill *fill, const struct lx_fill_change *change, lx_found *ret_found)
{
    int rc = lx_index_add(fill->index, fill->log, change->key, change->key_len, change->hash,
                          change->slot, ret_found);

    if (LX_LIKELY(rc != LX_AGAIN) || fill->index->fd < 0)
        return rc;
    rc = lx_index_remap(fill->index); /* it grew beyond its mapping */
    return rc != LXDB_OK ? rc
                         : lx_index_add(fill->index, fill->log, change->key, change->key_len,
                                        change->hash, change->slot, ret_found);
}

static int make_change(lx_fill *fill, const struct lx_fill_change *change)
{
    lx_found found;
    int rc;

    if (change->remove) {
        rc = lx_index_find(fill->index, fill->log, change->key, change->key_len, change->hash,
                           &found);
        if (rc != LXDB_OK)
            return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
    } else {
        rc = add(fill, change, &found);
        if (rc != LXDB_OK && rc != LXDB_EXISTS)
            return rc;
        fill->records++;
        fill->bytes += change->len;
        fill->expiring += change->expires;
        if (LX_LIKELY(rc == LXDB_OK))
            return rc;
    }
    fill->records--;
    fill->bytes -= found.entry.len;
    fill->expiring -= found.entry.expiry_ms != 0;
    rc = fill->retire(fill->arg, &found);
    if (change->remove)
        lx_index_remove(found.at);
    else
        lx_index_replace(found.at, change->slot);
    return rc;
}

int lx_fill_flush(lx_fill *fill)
{
    int rc = LXDB_OK;

    for (uint32_t i = 0; i < AHEAD && i < fill->waiting; i++)
        lx_index_prefetch_insert(fill->index, fill->changes[i].hash);
    for (uint32_t i = 0; i < fill->waiting && rc == LXDB_OK; i++) {
        if (i + AHEAD < fill->waiting)
            lx_index_prefetch_insert(fill->index, fill->changes[i + AHEAD].hash);
        rc = make_change(fill, &fill->changes[i]);
    }
    fill->waiting = 0;
    return rc;
}

static int wait(lx_fill *fill, const struct lx_fill_change *change)
{
    if (lx_fill_is_full(fill)) {
        int rc = lx_fill_flush(fill);

        if (rc != LXDB_OK)
            return rc;
    }
    fill->changes[fill->waiting++] = *change;
    return LXDB_OK;
}

int lx_fill_put(lx_fill *fill, const void *key, uint32_t key_len, uint64_t slot, uint64_t len,
                bool expires)
{
    return wait(fill, &(struct lx_fill_change){
                          .hash = lx_index_hash(fill->index, key, key_len),
                          .slot = slot,
                          .len = len,
                          .key = key,
                          .key_len = key_len,
                          .expires = expires,
                      });
}

int lx_fill_remove(lx_fill *fill, const void *key, uint32_t key_len)
{
    return wait(fill, &(struct lx_fill_change){
                          .hash = lx_index_hash(fill->index, key, key_len),
                          .key = key,
                          .key_len = key_len,
                          .remove = true,
                      });
}

bool lx_fill_waits(const lx_fill *fill, uint64_t hash)
{
    for (uint32_t i = 0; i < fill->waiting; i++)
        if (fill->changes[i].hash == hash)
            return true;
    return false;
}
