/* SPDX-License-Identifier: MIT */
/* The control block: see control.h and layout.h. */
#include "store/control.h"

#include "base/hash.h"
#include "sys/host.h"

#include <string.h>

uint64_t lx_layout_signature(void)
{
    const uint64_t facts[] = {
        LX_LAYOUT_VERSION,
        0x0102030405060708u, /* its bytes in memory tell the byte order */
        sizeof(void *),
        sizeof(struct lx_control_file),
        offsetof(struct lx_control_head, generation),
        offsetof(struct lx_control_head, poison),
        offsetof(struct lx_control_head, receipt),
        sizeof(lxdb_report),
        offsetof(struct lx_control_lock, dirty),
        offsetof(struct lx_control_lock, holder),
        offsetof(struct lx_control_lock, publish_seq),
        offsetof(struct lx_control_lock, swap_data_dev),
        sizeof(struct lx_control_block),
        offsetof(struct lx_control_block, tail),
        offsetof(struct lx_control_block, durable),
        offsetof(struct lx_control_block, unsteppable),
        offsetof(struct lx_control_block, awaited),
        sizeof(struct lx_segment),
        offsetof(struct lx_segment, buckets),
        offsetof(struct lx_segment, homes),
        LX_SEGMENT_LIMIT,
        sizeof(struct lx_index_head),
        offsetof(struct lx_index_head, directory),
        offsetof(struct lx_index_head, stage),
        offsetof(struct lx_index_head, seal),
    };
    return lx_hash(facts, sizeof facts, LX_CONTROL_MAGIC);
}

void lx_control_publish(struct lx_control_file *file, uint64_t generation)
{
    /* release: the block's fields before it; pairs with the acquire in lx_control_generation() */
    atomic_store_explicit(&file->head.generation, generation, memory_order_release);
}

int lx_control_map(int fd, const char *name, bool writable, lx_map *ret_map)
{
    return lx_map_open(fd, name, LX_CONTROL_SIZE, LX_CONTROL_SIZE, writable, ret_map);
}

bool lx_control_is_ours(const struct lx_control_file *file)
{
    return file->head.magic == LX_CONTROL_MAGIC && file->head.signature == lx_layout_signature();
}

void lx_control_format(struct lx_control_file *file)
{
    uint64_t boot = lx_boot_id();
    uint64_t generation = 0;
    int32_t poison = 0;
    lxdb_report receipt;
    bool has_receipt = false;

    if (lx_control_is_ours(file)) {
        generation = lx_control_generation(file);
        if (file->head.boot_id == boot) /* after a reboot, what the disk has is the truth again */
            poison = atomic_load_explicit(&file->head.poison, memory_order_relaxed);
        has_receipt = lx_control_receipt_load(file, &receipt);
    }
    memset(file, 0, sizeof *file);
    file->head.magic = LX_CONTROL_MAGIC;
    file->head.signature = lx_layout_signature();
    file->head.boot_id = boot;
    atomic_store_explicit(&file->head.poison, poison, memory_order_relaxed);
    if (has_receipt)
        lx_control_receipt_store(file, &receipt);
    lx_control_publish(file, generation + 1);
}

void lx_control_receipt_store(struct lx_control_file *file, const lxdb_report *receipt)
{
    uint32_t seq = atomic_load_explicit(&file->head.receipt_seq, memory_order_relaxed);

    seq |= 1;
    atomic_store_explicit(&file->head.receipt_seq, seq, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* the odd number before the bytes */
    memcpy(&file->head.receipt, receipt, sizeof *receipt);
    /* release: the bytes before the even number; pairs with the acquire in the load below */
    atomic_store_explicit(&file->head.receipt_seq, seq + 1 == 0 ? 2 : seq + 1,
                          memory_order_release);
}

bool lx_control_receipt_load(struct lx_control_file *file, lxdb_report *ret_receipt)
{
    lxdb_report copy;

    for (int tries = 0; tries < 1000; tries++) {
        /* acquire: the number before the bytes; pairs with the release in the store above */
        uint32_t seq = atomic_load_explicit(&file->head.receipt_seq, memory_order_acquire);
        if (seq == 0)
            return false;
        memcpy(&copy, &file->head.receipt, sizeof copy);
        atomic_thread_fence(memory_order_acquire); /* the bytes before the second look */
        if ((seq & 1) == 0 &&
            atomic_load_explicit(&file->head.receipt_seq, memory_order_relaxed) == seq) {
            *ret_receipt = copy;
            return true;
        }
        lx_cpu_relax();
    }
    return false; /* its writer died in the middle */
}
