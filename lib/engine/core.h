/* SPDX-License-Identifier: MIT */
/*
 * What one lxdb_open() makes in a process, and what the files of this layer offer each other.
 *
 *   open.c     attach: gate, presence, identity; alone or not       close.c   detach, clean close
 *   recover.c  what whoever is alone does before others come        session.c the first write
 *   view.c     the mappings of a generation, RCU                    fork.c    after fork
 *   get.c      reads                                                commit.c  the commit protocol
 *   repair.c   after a dead holder of the writer lock               batch.c   batches
 *   iterate.c  states of one instant                                compact.c compaction
 *   helper.c   the thread for what must not be done on a call       stat.c, verify.c
 *
 * A core is shared by the handle of the database and those of its namespaces. It is attached to the
 * control block of the lock file, or private: a read-only handle on a database that nobody has open
 * builds its own index in memory and looks now and then whether that is still so.
 */
#ifndef LX_ENGINE_CORE_H
#define LX_ENGINE_CORE_H

#include "format/scan.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/lock.h"

#include <pthread.h>

/* The mappings of one generation. Immutable once published in a core, but for the lengths that
 * grow.
 *
 * Freed when `pins` reaches 0: the core holds one pin, taken back after a grace period when the
 * view is replaced; sections, iterators and calls that wait hold one each while they last. */
typedef struct lx_view {
    uint64_t generation;
    lx_log log;
    lx_index index;
    struct lx_control_block *block; /* NULL in a private core, like the next */
    const struct lx_control_file *control;
    uint64_t tail;                     /* private core: end of the log */
    uint64_t records, bytes, expiring; /* private core: counters */
    lxdb_report receipt;               /* private core: time_ms 0: nothing to report */
    _Atomic uint32_t pins;
    struct lx_view *next;         /* in the core's list of all its views */
    struct lx_core *retired_from; /* helper.c: waits for its grace period */
    struct lx_view *next_retired;
} lx_view;

/* What the block of a view says, of one instant. False: the generation is not in force any more,
 * and its block may be another's by now. Readers without the writer lock ask this after every look
 * at a block. */
struct lx_standing {
    uint64_t base, tail, indexed;
    uint64_t records, bytes, expiring;
    bool walkable; /* no damage is known in the log, and its status bytes agree with its order */
};

/* A fork epoch that no process ever has: sends every call the slow way. */
#define LX_EPOCH_NONE UINT64_MAX

typedef struct lx_core {
    /* Read by every call; written while nobody reads (open), or with the mutex held (attach
     * again). */
    _Atomic uint64_t epoch; /* fork epoch of the attachment; LX_EPOCH_NONE: private or detached */
    _Atomic(const _Atomic uint64_t *) generation; /* the shared word, or `own_generation` */
    lx_view *view;                                /* RCU; see view.h */

    _Atomic uint64_t own_generation; /* private core */
    _Atomic uint32_t refs;           /* handles */
    pthread_mutex_t mutex;           /* attaching, replacing the view */
    pthread_mutex_t views_mutex;     /* the list of views; taken inside `mutex` */
    _Atomic bool syncing;            /* see store/durable.h */
    lx_view *views;                  /* all that are not freed, `view` included */

    lx_place place;
    char *lock_name, *index_name, *compact_name, *compact_index_name, *lost_name;
    lxdb_options options; /* with the defaults filled in */
    bool readonly;
    bool made;      /* this open created the file */
    bool elsewhere; /* the data file was locked by somebody who is not at our lock file */

    /* Attachment: -1, NULL and zeroes in a private core. */
    int lock_fd; /* holds presence and identity */
    lx_map control_map;
    struct lx_control_file *control;
    lx_lock_self self;

    /* Private core: what was there when the index was built. */
    lx_file_info seen;
    _Atomic uint64_t looked_ms;

    _Atomic(struct lx_batch *) spare_batch; /* batch.c */

    /* helper.c */
    struct lx_core *next_helped;
    _Atomic bool helped;
    bool busy; /* the helper is at work on it */
    _Atomic bool closing;
    _Atomic bool wrote;      /* this handle has committed something */
    _Atomic bool compacting; /* by a thread of this handle */
    _Atomic bool compact_wanted;
    _Atomic uint64_t compact_retry_ms;
} lx_core;

struct lxdb {
    lx_core *core;
    lxdb *root;        /* self, or the database of a namespace */
    size_t prefix_len; /* of the name and its NUL; 0: the database */
    uint8_t prefix[];
};

/* ---- fork.c ---------------------------------------------------------------------------------- */

extern uint64_t lx_fork_epoch; /* changes in every child of fork */
int lx_fork_setup(void);
int lx_fork_register(lx_core *core);
void lx_fork_unregister(lx_core *core);

/* ---- open.c, close.c ------------------------------------------------------------------------- */

int lx_core_open(const char *path, const lxdb_options *options, lx_core **ret_core);
int lx_core_close(lx_core *core);
void lx_core_free(lx_core *core);
/* Attach, with the mutex held or before anybody else knows the core. */
int lx_core_attach(lx_core *core, bool first);
/* The slow way of entering: after fork, a new generation, a private core. */
int lx_core_refresh(lx_core *core);
/* Let go of everything attached, without a word to the others: views, mapping, descriptors. */
void lx_core_detach(lx_core *core);
lx_deadline lx_core_deadline(const lx_core *core);
int lx_core_gate(lx_core *core, lx_deadline deadline);
void lx_core_gate_open(lx_core *core);
/* LXDB_CORRUPT: the lock file has lost its name, and others may come by another one. */
int lx_core_check_lock_file(const lx_core *core);

/* A reader without a control block looks at the file: hold it, so that nobody can be alone and
 * change it meanwhile. LX_AGAIN: somebody is there. Others who open the file wait for the release,
 * until their deadline. */
int lx_private_hold(lx_core *core, int data_fd, lx_file_info *ret_info);
void lx_private_release(int data_fd);
bool lx_private_unchanged(const lx_file_info *a, const lx_file_info *b);

/* ---- recover.c ------------------------------------------------------------------------------- */

/* The caller is alone (gate, presence, data lock). Makes the control block ready and gives the
 * first view, which owns data_fd from then on. */
int lx_recover(lx_core *core, int data_fd, lx_view **ret_view);
/* A view on a private index, for a reader without a control block. Owns data_fd on success. */
int lx_recover_private(lx_core *core, int data_fd, lx_view **ret_view);
/* Copy a range of the data file to the -lost file, synced. */
int lx_lost_save(lx_core *core, lx_log *log, uint64_t off, uint64_t len);
/* Make a fresh index file under `name` with the data file's owner and mode. */
int lx_index_file_make(lx_core *core, const char *name, int data_fd, uint64_t records,
                       lx_index *ret_index);

/* ---- commit.c -------------------------------------------------------------------------------- */

/* What a change asks of the key it finds. */
enum lx_expect { LX_ANY, LX_ABSENT, LX_PRESENT };

typedef struct lx_change {
    const uint8_t *key; /* as stored, with the name of the namespace */
    uint32_t key_len;
    const void *value;
    uint32_t value_len; /* without the tag */
    int tag;            /* -1: none, else the first byte of the value */
    bool remove;
    /* filled in by commit.c */
    const uint8_t *encoded; /* the whole record, or NULL: then it is written in pieces */
    uint8_t head[LX_RECORD_HEADER];
    uint8_t crc[4];
    uint64_t hash;
    uint64_t seed;      /* of the index that `hash` is for; 0: not hashed yet */
    uint64_t at;        /* offset of the new record */
    uint64_t missed_at; /* if it was not found without the lock: how far the index was then */
    bool found;         /* the key is there; then of the version that is there: */
    lx_slot_at old_at;
    uint64_t old_slot;   /* what the slot held */
    uint64_t old_record; /* its offset */
    uint64_t old_len;    /* with its GROUP */
    int64_t old_expiry_ms;
} lx_change;

static inline uint64_t lx_change_value_len(const lx_change *change)
{
    return (uint64_t)change->value_len + (change->tag >= 0);
}

static inline uint64_t lx_change_size(const lx_change *change)
{
    return lx_record_size(change->key_len, lx_change_value_len(change));
}

/* A writer's hold of the lock, from lx_writer_enter() to lx_writer_leave(). */
typedef struct lx_writer {
    lx_core *core;
    lx_view *view; /* of the generation in force; the writer is on the read side */
    struct lx_control_block *block;
    struct lx_control_lock *lock;
    lx_limit limit;
    bool inside; /* on the read side with `view` before lx_writer_enter() */
    bool pinned; /* it had to wait for the lock: then the view is pinned instead */
} lx_writer;

enum lx_purpose {
    LX_FOR_APPEND, /* the file is prepared for appends; refused after a failed sync */
    LX_FOR_LOOK    /* nothing is appended */
};

/* Begin: sets core and limit. Then enter and leave, once or again. */
lx_writer lx_writer_of(lx_core *core);
/* Enter the read side, take the writer lock, repair if need be, and have a view of the generation
 * in force. */
int lx_writer_enter(lx_writer *writer, enum lx_task task, enum lx_purpose purpose);
/* Let go, and mend what `rc` says is to be mended (lx_view_mend()). LX_AGAIN: enter again. */
int lx_writer_leave(lx_writer *writer, int rc);

/* What needs no lock: head, CRC, and for a small record the whole of it, into `buf`. */
#define LX_ENCODE_MAX 1024u
void lx_change_encode(lx_change *change, uint8_t buf[LX_ENCODE_MAX]);
/* Under the lock, look the change's key up: sets hash, found and old. */
int lx_change_find(lx_writer *writer, lx_change *change);
/* LXDB_EXISTS, LXDB_NOTFOUND or LXDB_OK, once the key was looked up. */
int lx_change_expected(const lx_change *change, enum lx_expect expect);
/* Under the lock, with every key once: secure all that committing them as one could run out of. A
 * single change was looked up before; many are looked up here, and `order` has their positions by
 * growing lx_hash_rank() of hashes that fit the writer's view. LX_AGAIN, LX_DAMAGED:
 * lx_writer_leave() mends them. */
int lx_commit_secure(lx_writer *writer, lx_change *changes, size_t n, const uint32_t *order);
/* Then, without letting go of the lock: commit `n` of them in their order, all or nothing, also
 * after a crash. */
int lx_commit_apply(lx_writer *writer, lx_change *changes, size_t n);
/* Sorts hashes so that the keys of a segment are neighbours, whatever its depth. */
static inline uint64_t lx_hash_rank(uint64_t hash)
{
    hash = __builtin_bswap64(hash);
    hash = (hash >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f)) | (hash & UINT64_C(0x0f0f0f0f0f0f0f0f)) << 4;
    hash = (hash >> 2 & UINT64_C(0x3333333333333333)) | (hash & UINT64_C(0x3333333333333333)) << 2;
    return (hash >> 1 & UINT64_C(0x5555555555555555)) | (hash & UINT64_C(0x5555555555555555)) << 1;
}
/* One change, from the first look to durability. */
int lx_commit_one(lx_core *core, lx_change *change, enum lx_expect expect);
/* Many changes as one. `before` (may be NULL) is called without the lock, then `prepare` with it,
 * both again after LX_AGAIN: it secures the changes and says how many of `changes` are to be
 * applied. */
typedef struct lx_many {
    lx_change *changes;
    int (*before)(struct lx_many *many);
    int (*prepare)(struct lx_many *many, lx_writer *writer, size_t *ret_n);
} lx_many;
/* On a core that may write. */
int lx_commit_many(lx_core *core, enum lx_task task, lx_many *many);
/* After a commit, without the lock: what the sync mode promises. `position` is logical. */
int lx_commit_settle(lx_core *core, uint64_t position, lx_limit *limit);
/* Wait until `position` is durable, whatever the mode. */
int lx_wait_durable(lx_core *core, uint64_t position, lx_limit *limit);
int lx_refuse_readonly(const lx_core *core);
bool lx_expired(int64_t expiry_ms);
/* The key was looked up, and has a value that has not expired. */
bool lx_change_is_there(const lx_change *change);

/* Read, decide and write under the lock. `decide` gets the live entry (NULL: none) and says what to
 * store, in change->value (memory that stays good until the call returns), or a result that is not
 * LXDB_OK. */
int lx_modify(lx_core *core, lx_change *change,
              int (*decide)(void *arg, lx_change *change, const lx_entry *old), void *arg);

/* ---- repair.c, session.c --------------------------------------------------------------------- */

/* Under the lock, with dirty set to a commit or a split: finish it, or cover what it left. */
int lx_repair(lx_writer *writer);
/* Bring the index up to date with the log's [from, to): publish, kill, remove. Idempotent. */
int lx_replay(lx_view *view, uint64_t from, uint64_t to);
/* Before the first append. LX_AGAIN: something was done, the lock is to be taken again;
 * LX_COMPACT_FIRST: after a compaction. */
#define LX_COMPACT_FIRST 2
int lx_session_begin(lx_writer *writer);

/* ---- iterate.c ------------------------------------------------------------------------------- */

/* The live records at one instant: slots, sorted by offset, in a pinned view. */
typedef struct lx_cut {
    lx_core *core;
    lx_view *view;
    uint64_t epoch;
    uint64_t *slots;
    size_t count, capacity;
    bool walked;  /* the slots are of the log, not of the index: their tags say nothing */
    uint64_t end; /* the log as of the cut */
    int64_t wall_ms;
} lx_cut;

int lx_cut_take(lx_core *core, lx_cut *ret_cut);
/* Bring a cut up to the tail, under the writer lock. LX_AGAIN: another generation. */
int lx_cut_advance(lx_cut *cut, uint64_t to);
/* What its slot `i` leads to. LXDB_CORRUPT, with a sentence: to no record of the slot's key. */
int lx_cut_entry(const lx_cut *cut, size_t i, lx_entry *ret_entry);
/* Fetch what it leads to, before it is asked for. */
void lx_cut_prefetch(const lx_cut *cut, size_t i);
void lx_cut_free(lx_cut *cut);

/* ---- compact.c, helper.c --------------------------------------------------------------------- */

/* `generation`: only if that one is in force; 0: whatever is. `wait`: for another compaction that
 * is under way, else LXDB_BUSY at once. The limit is for the writer lock too. */
int lx_compact(lx_core *core, const lxdb_progress *progress, uint64_t generation, bool wait,
               lx_limit *limit);
/* Finish a swap that a dead holder recorded. */
int lx_compact_roll_forward(lx_core *core, struct lx_control_lock *lock);
/* A commit has changed how much of the file is dead: start a compaction if that is too much. */
void lx_helper_consider(lx_core *core, const struct lx_control_block *block);
/* An interval commit was made: see that a flush is due. */
void lx_helper_promise(lx_core *core);
uint64_t lx_helper_brake_ns(const lx_core *core, const struct lx_control_block *block,
                            uint64_t bytes);
/* Watch this core: interval flushes, stale views. */
void lx_helper_watch(lx_core *core);
/* Free a replaced view after a grace period, on the helper's thread; where none can start, at
 * close. */
void lx_helper_retire(lx_core *core, lx_view *view);
/* Wait until the helper has done with this core, for ever. */
void lx_helper_forget(lx_core *core);
/* Dead bytes enough for a compaction: more than the floor, and than `times` the live ones. */
bool lx_compaction_due(const lx_core *core, const struct lx_control_block *block, uint64_t times);
void lx_helper_after_fork(void);

#endif
