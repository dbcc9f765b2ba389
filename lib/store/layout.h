/* SPDX-License-Identifier: MIT */
/*
 * What the two helper files look like in memory: every word that processes share. Native byte
 * order; the signature, made from the sizes and offsets below, keeps out what was laid out
 * differently. None of it is trusted: a value read here is checked against the files before it is
 * used.
 *
 * The lock file (LX_CONTROL_SIZE bytes):
 *
 *     0      head      magic, signature, generation, poison, receipt of the last recovery
 *     4096   lock      the writer lock, the intent of the commit under way, the swap of a
 *            compaction
 *     8192   block 0   the state of every even generation
 *     12288  block 1   the state of every odd generation
 *
 * The index file, in units of a segment (LX_SEGMENT_SIZE bytes):
 *
 *     0      head      magic, signature, seed, directory word, split under way, seal
 *     1..    directory: 2^depth words, and segments, in any order
 *
 * Who may write: unless a field says otherwise, only the holder of the writer lock, or the process
 * that is alone (it holds the gate and the presence byte exclusively).
 */
#ifndef LX_STORE_LAYOUT_H
#define LX_STORE_LAYOUT_H

#include "lxdb.h"
#include "sys/file.h"

#include <stdatomic.h>
#include <stdint.h>

#define LX_LAYOUT_VERSION 1u
#define LX_LINE 64u

/* Offsets of the OFD locks in the lock file. They never change between versions. */
#define LX_BYTE_PRESENCE 0u     /* shared: attached to a ready control block; exclusive: alone */
#define LX_BYTE_GATE 1u         /* exclusive: opening or closing */
#define LX_BYTE_COMPACTOR 2u    /* exclusive: compacting */
#define LX_BYTE_IDENTITY 65536u /* identities are at or beyond it, below 2^62 */
/* The OFD lock in the data file: shared by every view, exclusive by who is alone. */
#define LX_BYTE_DATA 0u

/* ---- lock file ------------------------------------------------------------------------------- */

#define LX_CONTROL_MAGIC 0x4b434f4c4244584cu /* "LXDBLOCK" in the file of a little-endian machine */
#define LX_CONTROL_SIZE 16384u

struct lx_control_head {
    uint64_t magic;
    uint64_t signature;
    uint64_t boot_id; /* of the boot in which the block was made */
    _Atomic uint64_t
        ready; /* 1: may be attached to; set by who was alone, cleared by the last close */
    uint64_t reserved[4];
    /* Its low bit chooses the block. Compaction's last step, a single release store; every read and
     * write of any process compares it with its view. In a line that nothing else writes. */
    _Atomic uint64_t generation;
    uint64_t reserved_line[7];
    /* errno of the failed sync that stopped the writers of this generation's data, else 0. Written
     * by whoever saw the sync fail, without a lock (a store of a non-zero value; any of several is
     * right); cleared by compaction's switch. Outlives a close: then the lock file is kept. */
    _Atomic int32_t poison;
    _Atomic uint32_t receipt_seq; /* odd while the receipt is written; 0: there is none */
    _Atomic uint64_t recoveries;
    _Atomic uint64_t compactions;
    /* Identity of the compactor, 0 = none; a hint, so that writers who outrun it hold back. */
    _Atomic uint64_t compacting;
    uint64_t reserved_line2[4];
    lxdb_report receipt;
};

/* dirty: what a dead holder left undone, one bit each, since the repair of a commit may have to
 * split. Set before the first step, cleared after the last. */
enum { LX_CLEAN = 0, LX_DIRTY_COMMIT = 1, LX_DIRTY_SPLIT = 2, LX_DIRTY_SWAP = 4 };

struct lx_control_lock {
    /* The writer lock: identity << 1 | waiters, 0 = free. Written by compare-and-swap of anyone,
     * and by the holder's exchange with 0. The low half is what waiters sleep on. */
    _Atomic uint64_t word;
    _Atomic uint64_t dirty;
    /* intent: where the commit under way will end, and the counters as they will be then */
    _Atomic uint64_t intent_end;
    _Atomic uint64_t intent_records;
    _Atomic uint64_t intent_bytes;
    _Atomic uint64_t intent_expiring;
    uint64_t reserved[2];
    /* Who holds the lock, for sentences; may be stale while the lock is free. */
    _Atomic uint64_t holder;       /* identity */
    _Atomic uint64_t holder_since; /* coarse monotonic ms, by the clock of its time namespace */
    _Atomic uint64_t holder_command[2];
    _Atomic uint32_t holder_pid;
    _Atomic uint32_t holder_task; /* enum lx_task */
    uint64_t reserved_line1[3];
    /* Odd while the slots of a batch are published, so that readers of many keys see all or
     * none. */
    _Atomic uint64_t publish_seq;
    uint64_t reserved_line2[7];
    /* swap: the files that are to take the names, valid while dirty is LX_DIRTY_SWAP */
    uint64_t swap_data_dev, swap_data_ino;
    uint64_t swap_index_dev, swap_index_ino;
    uint64_t swap_generation;
    uint64_t reserved_line3[3];
};

/* agreed: from LX_AGREED on they do; with LX_AGREED_UNDAMAGED the log has no damage either. */
enum { LX_DISAGREED = 0, LX_AGREED = 1, LX_AGREED_UNDAMAGED = 2 };

struct lx_control_block {
    /* Written before the generation is published, constant afterwards. */
    lx_file_id data;
    lx_file_id index;
    _Atomic uint64_t base; /* logical position = base + offset in the data file */
    uint64_t reserved;
    /* The log. All offsets are record boundaries. indexed <= tail <= allocated. */
    _Atomic uint64_t
        tail; /* end of what is committed. Release after the bytes; see docs/concurrency.md */
    _Atomic uint64_t indexed;  /* end of what is in the index */
    _Atomic uint64_t records;  /* live keys */
    _Atomic uint64_t bytes;    /* of live records */
    _Atomic uint64_t expiring; /* live keys with an expiry */
    _Atomic uint64_t commits;
    _Atomic uint64_t last;    /* offset of the log's last record, 0 = none or not known */
    _Atomic uint32_t session; /* 1: the watermark is set, appends are allowed */
    _Atomic uint32_t agreed;  /* whether order and status bytes agree, see session.c */
    /* Durability: written by whoever syncs, without the writer lock. */
    _Atomic uint64_t durable;     /* logical; only grows, by compare-and-swap */
    _Atomic uint64_t sync_leader; /* identity of the process that syncs for all, 0 = none; a hint */
    _Atomic uint64_t sync_ns;     /* what a sync takes here, smoothed */
    _Atomic uint64_t syncs;
    _Atomic uint64_t flush_due;    /* coarse monotonic ms by which a flush is promised, 0 = none */
    _Atomic uint64_t watermark_ms; /* when the watermark was stored last */
    _Atomic uint32_t sync_seq;     /* grows after every sync; what waiters sleep on */
    _Atomic uint32_t unsteppable;  /* 1: to be compacted before its first write */
    /* Of the commits that wait for a sync: how many the last sync carried, and `awaited` when it
     * began. Hints for the next one, which a death or damage may leave as anything. */
    _Atomic uint32_t group;
    _Atomic uint32_t synced;
    /* What a commit reads. Written under the writer lock. */
    _Atomic uint64_t allocated; /* size of the data file; zeros from the tail on */
    _Atomic uint64_t
        touched; /* up to here the pages behind the tail are in the page cache; a hint */
    _Atomic uint32_t awaited; /* commits that wait for a sync; wraps, a hint */
};

struct lx_control_file {
    _Alignas(4096) struct lx_control_head head;
    _Alignas(4096) struct lx_control_lock lock;
    _Alignas(4096) struct lx_control_block block0;
    _Alignas(4096) struct lx_control_block block1;
};

_Static_assert(sizeof(struct lx_control_head) <= 4096, "the head fits its page");
_Static_assert(offsetof(struct lx_control_head, generation) == LX_LINE, "generation has its line");
_Static_assert(offsetof(struct lx_control_head, poison) == 2 * LX_LINE, "generation has its line");
_Static_assert(offsetof(struct lx_control_lock, holder) == LX_LINE, "word and intent share a line");
_Static_assert(offsetof(struct lx_control_lock, publish_seq) == 2 * LX_LINE, "a line of its own");
_Static_assert(offsetof(struct lx_control_block, tail) == LX_LINE, "what a commit writes");
_Static_assert(offsetof(struct lx_control_block, durable) == 2 * LX_LINE, "what a sync writes");
_Static_assert(offsetof(struct lx_control_block, allocated) == 3 * LX_LINE, "what a commit reads");
_Static_assert(sizeof(struct lx_control_file) == LX_CONTROL_SIZE, "the lock file is four pages");

/* ---- index file ------------------------------------------------------------------------------ */

#define LX_INDEX_MAGIC 0x5844494244584cffu
#define LX_SEGMENT_SIZE 20480u
#define LX_BUCKETS 255u    /* in a segment, behind its head */
#define LX_BUCKET_SLOTS 8u /* one cache line */
#define LX_SEGMENT_SLOTS (LX_BUCKETS * LX_BUCKET_SLOTS)
/* A segment is split or rewritten when this many of its 2040 slots are taken (markers too). */
#define LX_SEGMENT_LIMIT 1785u

/*
 * A slot: hash bits 48..63 in its top 16 bits, the offset of the record (or of the GROUP that gives
 * it its expiry) in the lower 48. LX_SLOT_EMPTY ends a probe; LX_SLOT_MARKER stands where a key was
 * deleted.
 *
 *     hash    63        48 47        32 31                     0
 *             tag          bucket       directory (low bits first)
 */
#define LX_SLOT_EMPTY 0u
#define LX_SLOT_MARKER 1u
#define LX_SLOT_OFFSET_BITS 48u
#define LX_SLOT_OFFSET_MASK ((UINT64_C(1) << LX_SLOT_OFFSET_BITS) - 1)

/* A directory word: where the directory starts, in segments (bits 0..39), and its depth (bits
 * 40..47). */
/* A directory entry: segment number (bits 0..31), sequence that changes with every change of the
 * entry (bits 32..55), local depth (bits 56..61), LX_ENTRY_SEALED: to be checked before its first
 * use. */
#define LX_ENTRY_SEALED (UINT64_C(1) << 62)
#define LX_DEPTH_MAX 32u

struct lx_bucket {
    _Atomic uint64_t slots[LX_BUCKET_SLOTS];
};

/*
 * A segment's head and its homes are read and written by writers only. A home has what a split
 * needs to know of a slot's hash beyond the tag: the bucket where its probe starts (bits 0..7), and
 * hash bits base..base+7 (bits 8..15), so that only every eighth split has to read the keys in the
 * log.
 */
struct lx_segment {
    uint32_t used; /* slots that are not empty */
    uint32_t live; /* slots that lead to a record */
    uint32_t base; /* the lowest hash bit in the homes; at most the local depth */
    uint32_t reserved;
    uint64_t next_free; /* the free segment after this one, 0 = none; valid in free segments */
    uint64_t checksum;  /* of all but this and next_free; valid while sealed */
    uint64_t reserved_line[4];
    struct lx_bucket buckets[LX_BUCKETS];
    uint16_t homes[LX_SEGMENT_SLOTS]; /* stored before the slot is */
    uint16_t reserved_end[8];
};

#define LX_HOME_BITS 8u

_Static_assert(sizeof(struct lx_bucket) == LX_LINE, "a bucket is a cache line");
_Static_assert(sizeof(struct lx_segment) == LX_SEGMENT_SIZE, "a segment is its size");

/* What a kept index was clean for: all of it must match at the next open. */
struct lx_index_seal {
    uint64_t clean; /* 1: the last close was clean and nothing was changed since */
    lx_file_id data;
    uint64_t data_size;
    int64_t data_change_ns;
    uint64_t last_off; /* of the last record, 0 = none */
    uint64_t last_crc;
    uint64_t records, bytes, expiring;
    uint64_t agreed;
    uint64_t checksum; /* of the head of the index file up to here, with the directory */
};

struct lx_index_head {
    uint64_t magic;
    uint64_t signature;
    uint64_t seed; /* of the hash */
    uint64_t reserved[5];
    /* The directory word. Written on growth of the directory only: a line of its own. */
    _Atomic uint64_t directory;
    uint64_t reserved_line[7];
    /* Writers only. */
    uint64_t segments;  /* first segment never used; beyond it zeros up to the end of the file */
    uint64_t free_head; /* retired segments, for reuse; 0 = none */
    uint64_t reserved_line2[6];
    /* The split or rewrite under way, valid while stage is not 0: see split.c. */
    uint64_t stage;
    uint64_t old_segment, new_segment[2]; /* new_segment[1] == 0: a rewrite */
    uint64_t free_after, segments_after;  /* free_head and segments once the new ones are taken */
    uint64_t where;                       /* lowest directory index of the old segment */
    uint64_t depth;                       /* its local depth */
    struct lx_index_seal seal;
};

_Static_assert(offsetof(struct lx_index_head, directory) == LX_LINE, "directory has its line");
_Static_assert(sizeof(struct lx_index_head) <= LX_SEGMENT_SIZE, "the head fits its segment");

/* One number for everything above and the byte order. */
uint64_t lx_layout_signature(void);

#endif
