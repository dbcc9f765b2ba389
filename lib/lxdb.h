/* SPDX-License-Identifier: MIT */
/*
 * lxdb: an embedded key-value store that many processes open at once.
 *
 * A database is one append-only file; any number of processes and threads read and write it at the
 * same time. Reads take no lock in any process. One lock in shared memory orders the writers. A
 * crash of any process at any instant loses nothing that was acknowledged.
 *
 * Conventions that hold for every function below, unless it says otherwise
 *
 *   Results     0 (LXDB_OK) or a negative LXDB_* code. On failure outputs are untouched (but for
 *               LXDB_PENDING, which is a success not yet known to be durable), and
 *               lxdb_errmsg() has a sentence about it for the calling thread.
 *   Sizes       keys are 1..65535 bytes, of any value; values are 0..2^32-1 bytes. All lengths are
 *               in bytes. A value pointer may be NULL when its length is 0. In a namespace, the
 *               name, one separator byte and the key together are at most 65535 bytes.
 *   Time        milliseconds, on the monotonic clock.
 *   Handles     every `lxdb *` argument is a database or a namespace of one.
 *   Threads     a handle may be used by any number of threads at once, except that lxdb_close()
 *               must be the last call on it. A batch or an iterator belongs to one thread at a
 *               time.
 *   Processes   every process opens the database itself. No call returns with a lock held.
 *   fork        a child may go on using the handles it inherited: its first use attaches afresh.
 *               Batches, iterators, read sections and peeked pointers do not cross fork.
 *   Durability  given by the handle's sync mode, see LXDB_SYNC_NONE and its siblings.
 *   Cancelling  no call is a cancellation point, none is async-signal-safe.
 *
 * Codes that any call on a handle can give, and that are not repeated below
 *
 *   LXDB_INVALID   a NULL handle or argument, an empty key
 *   LXDB_TOOBIG    a key over 65535 bytes, a value over 2^32-1 bytes
 *   LXDB_NOMEM     out of memory
 *   LXDB_IO        the system refused an operation on a file; errno is kept in lxdb_errmsg()
 *   LXDB_CORRUPT   what is stored contradicts itself; lxdb_errmsg() has the offset
 *   LXDB_CLOSED    a batch or an iterator that was begun before fork, in the child
 *
 * and that any call which changes the database can give
 *
 *   LXDB_BUSY      another process or thread held the writer lock until the deadline; nothing
 *                  changed
 *   LXDB_PENDING   the change is committed and visible to all, but it is not known to be on the
 *                  disk (LXDB_SYNC_FULL only: the deadline passed while waiting)
 *   LXDB_NOSPACE   the disk, the quota or the file size limit is full; nothing changed
 *   LXDB_READONLY  the handle is read-only; nothing changed
 *   LXDB_IO        also: an earlier sync failed, in any process. Writes stay refused until a
 *                  compaction has written and synced a new file. With LXDB_SYNC_FULL, a change
 *                  whose own sync failed is visible but was never acknowledged
 */
#ifndef LXDB_H
#define LXDB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LXDB_EXPORT __attribute__((visibility("default")))
#else
#define LXDB_EXPORT
#endif

/* Result codes. The numbers never change. */
enum {
    LXDB_OK = 0,
    LXDB_NOTFOUND = -1,     /* no such key; the end of an iteration */
    LXDB_EXISTS = -2,       /* the key, or with LXDB_EXCL the database, exists already */
    LXDB_INVALID = -3,      /* an argument is wrong */
    LXDB_TOOBIG = -4,       /* a key, a value, or what the caller's buffer would have to hold */
    LXDB_BUSY = -5,         /* the deadline passed before the operation took effect */
    LXDB_CONFLICT = -6,     /* compare-and-set found another value */
    LXDB_TYPE = -7,         /* the stored value is not of the type asked for */
    LXDB_JSON = -8,         /* the text is not JSON */
    LXDB_NOTDB = -9,        /* the file is not an LXDB database */
    LXDB_VERSION = -10,     /* a format or layout version that this library does not know */
    LXDB_CORRUPT = -11,     /* stored data contradicts itself */
    LXDB_IO = -12,          /* the system refused an operation on a file */
    LXDB_NOSPACE = -13,     /* disk, quota or file size limit */
    LXDB_NOMEM = -14,       /* out of memory */
    LXDB_READONLY = -15,    /* a change on a read-only handle */
    LXDB_UNSUPPORTED = -16, /* this file system or platform cannot hold a shared database */
    LXDB_GAP = -17,         /* the cursor lies before the start of this log */
    LXDB_PENDING = -18,     /* committed and visible, not yet known to be durable */
    LXDB_CLOSED = -19       /* the handle is not attached any more */
};

/* A few words for a code; never NULL, static storage. Any thread, also before any other call. */
LXDB_EXPORT const char *lxdb_strerror(int code);

/* A database, or a namespace of one. */
typedef struct lxdb lxdb;

/*
 * The calling thread's last failure, in a sentence a person can act on: path, errno text, holder of
 * the lock. `db` may be NULL (then also failures of lxdb_open and lxdb_verify). Never NULL; "" when
 * nothing failed yet. Valid until this thread's next call into the library.
 */
LXDB_EXPORT const char *lxdb_errmsg(const lxdb *db);

/* The library's version, as "0.1.0". Static storage. */
LXDB_EXPORT const char *lxdb_version(void);

/* ---- Open and close -------------------------------------------------------------------------- */

enum {
    LXDB_RDONLY = 1u << 0,       /* never change any file; every change gives LXDB_READONLY. On a
                                    database that nobody else has open it reads what is there, and
                                    sees a writer that comes within 100 ms */
    LXDB_NOCREATE = 1u << 1,     /* LXDB_NOTFOUND when there is no such file */
    LXDB_EXCL = 1u << 2,         /* LXDB_EXISTS when there is one */
    LXDB_ANYFS = 1u << 3,        /* open on network and FUSE mounts too: at your own risk */
    LXDB_NOAUTOCOMPACT = 1u << 4 /* this process never starts a compaction by itself */
};

/* When a change returns, and what a loss of power can take away. A killed process takes nothing. */
enum {
    LXDB_SYNC_NONE = 0,     /* in the page cache: a prefix survives, at least to the last flush */
    LXDB_SYNC_INTERVAL = 1, /* same, and a flush at least every sync_interval_ms */
    LXDB_SYNC_FULL = 2      /* on the disk: nothing is lost; concurrent changes share a sync */
};

/* What the last clean close does with the lock and index files beside the database. */
enum {
    LXDB_HELPERS_AUTO = 0,  /* keep them when rebuilding them would take over about 20 ms */
    LXDB_HELPERS_KEEP = 1,  /* keep them: the next open costs the same for any number of keys */
    LXDB_HELPERS_REMOVE = 2 /* remove them: at rest the database is one file */
};

typedef struct lxdb_options {
    size_t size;               /* sizeof(lxdb_options) */
    uint32_t flags;            /* LXDB_RDONLY and its siblings */
    int sync;                  /* LXDB_SYNC_NONE and its siblings, of this handle */
    uint32_t sync_interval_ms; /* for LXDB_SYNC_INTERVAL; 0 = 1000 */
    uint32_t busy_timeout_ms;  /* a call's wait for locks; 0 = 10000, UINT32_MAX = for ever */
    int helpers;               /* LXDB_HELPERS_AUTO and its siblings */
    uint64_t compact_floor;    /* dead bytes that start no compaction yet; 0 = 64 MiB */
    unsigned mode;             /* permission bits of a file that is created; 0 = 0600 */
} lxdb_options;

/*
 * Open the database at `path`, creating it (and syncing its directory) if need be. NULL options and
 * zeroes mean the defaults. The helper files are `path` with "-lock" and "-index" appended. Opening
 * the same file again in one process works, the handles are independent. After an end without a
 * clean close the first to open recovers the log; see lxdb_recovery().
 *
 * LXDB_NOTFOUND     no such file, with LXDB_NOCREATE or LXDB_RDONLY; no such directory
 * LXDB_EXISTS       with LXDB_EXCL
 * LXDB_INVALID      an option that is none, or options that contradict each other; an empty path
 * LXDB_TOOBIG       a name with which those of the helper files would be too long
 * LXDB_NOTDB        the file has another magic, or is shorter than a header and not zeros
 * LXDB_VERSION      a later version of the format, or of the helper files while others use them
 * LXDB_BUSY         others were opening, closing or recovering until the deadline, or use the file
 *                   under another name
 * LXDB_READONLY     a file that must be written and may not be
 * LXDB_UNSUPPORTED  a network or FUSE file system (LXDB_ANYFS overrides); not a regular file; a
 *                   link; more than one hard link; a mount point; another user's file
 * Cost: constant while others have it open or with a kept index, else linear in the file.
 */
LXDB_EXPORT int lxdb_open(const char *path, const lxdb_options *options, lxdb **ret_db);

/*
 * Close a handle; NULL is fine. Frees it whatever the result, and every namespace handle must have
 * been closed on its own. Iterators and batches must have ended. The last close of all processes is
 * the clean close: it syncs, whatever the mode, and cuts the file to its data.
 * LXDB_IO, LXDB_BUSY: the end was not clean; nothing is lost, the next open recovers.
 */
LXDB_EXPORT int lxdb_close(lxdb *db);

/*
 * A handle on the namespace `name` (1 byte or more, no NUL) of the database of `db`. Its keys are
 * its own: stored as name, NUL, key. A namespace exists as long as it has a key. Close it with
 * lxdb_close(); the database stays open until its last handle is closed.
 * LXDB_INVALID: an empty name, or `db` is itself a namespace. LXDB_TOOBIG: over 65533 bytes.
 */
LXDB_EXPORT int lxdb_namespace(lxdb *db, const char *name, lxdb **ret_ns);

/* ---- Raw: bytes in, bytes out ---------------------------------------------------------------- */

/* Store a new key. LXDB_EXISTS if it is there already. */
LXDB_EXPORT int lxdb_create(lxdb *db, const void *key, size_t key_len, const void *value,
                            size_t value_len);
/* Store a key, new or not. */
LXDB_EXPORT int lxdb_write(lxdb *db, const void *key, size_t key_len, const void *value,
                           size_t value_len);
/* Replace the value of a key. LXDB_NOTFOUND if it is not there. */
LXDB_EXPORT int lxdb_update(lxdb *db, const void *key, size_t key_len, const void *value,
                            size_t value_len);
/* Remove a key. LXDB_NOTFOUND if it is not there. Works on a full disk, through a small reserve. */
LXDB_EXPORT int lxdb_delete(lxdb *db, const void *key, size_t key_len);
/* LXDB_OK or LXDB_NOTFOUND. */
LXDB_EXPORT int lxdb_exists(lxdb *db, const void *key, size_t key_len);

/*
 * Copy a value into `buf`: the first min(cap, length) bytes, and set *ret_len (which may be NULL)
 * to the whole length. LXDB_NOTFOUND. LXDB_TOOBIG if `cap` was less, with *ret_len set and `buf`
 * filled. Takes no lock, makes no system call, never waits.
 */
LXDB_EXPORT int lxdb_read(lxdb *db, const void *key, size_t key_len, void *buf, size_t cap,
                          size_t *ret_len);
/* The value in memory of the caller's, with a NUL behind it that does not count, to be freed with
 * lxdb_free(); `ret_len` may be NULL. LXDB_NOTFOUND. */
LXDB_EXPORT int lxdb_read_alloc(lxdb *db, const void *key, size_t key_len, void **ret_value,
                                size_t *ret_len);
/* Free what the library returned; NULL is fine. */
LXDB_EXPORT void lxdb_free(void *memory);

/* ---- Zero-copy and many keys ----------------------------------------------------------------- */

/*
 * Begin and end a read section of this thread. Between them peeked pointers stay good, whatever
 * others write or compact. Sections nest; one blocks nobody, but while it lasts it keeps on the
 * disk the generation of the files that it began in, and each later one that it peeked in. A
 * section ends in the thread that began it.
 */
LXDB_EXPORT int lxdb_read_begin(lxdb *db);
LXDB_EXPORT void lxdb_read_end(lxdb *db);

/*
 * A pointer to the value in the mapped file: read-only, good until the section ends.
 * LXDB_NOTFOUND. LXDB_INVALID outside a read section of this thread.
 */
LXDB_EXPORT int lxdb_peek(lxdb *db, const void *key, size_t key_len, const void **ret_value,
                          size_t *ret_len);

typedef struct lxdb_item {
    const void *key;   /* in */
    size_t key_len;    /* in */
    const void *value; /* out */
    size_t value_len;  /* out */
    int rc;            /* out: LXDB_OK, LXDB_NOTFOUND or another code, of this item */
} lxdb_item;

/*
 * Look up `n` keys at once, inside a read section, overlapping their cache misses. Sees each batch
 * whole or not at all. The result is LXDB_OK when every item has its own `rc`.
 * LXDB_INVALID outside a read section; it and LXDB_TOOBIG for a key that no database can have: then
 * no item was looked up. LXDB_BUSY: batches were published without a break and the
 * writer lock, taken then, was not to be had until the deadline.
 */
LXDB_EXPORT int lxdb_peek_many(lxdb *db, lxdb_item *items, size_t n);

/* ---- Typed: a tag byte, then bytes (0x00) or JSON as UTF-8 text (0x01) ----------------------- */

/* Store bytes, with the tag 0x00. */
LXDB_EXPORT int lxdb_set_bytes(lxdb *db, const void *key, size_t key_len, const void *bytes,
                               size_t len);
/* Store JSON text exactly as given, once it is checked: one RFC 8259 value, valid UTF-8, nested at
 * most 1000 deep. LXDB_JSON otherwise, with the offset in lxdb_errmsg(). */
LXDB_EXPORT int lxdb_set_json(lxdb *db, const void *key, size_t key_len, const char *json,
                              size_t len);
/* Store UTF-8 text as a JSON string. LXDB_JSON if it is not valid UTF-8. */
LXDB_EXPORT int lxdb_set_str(lxdb *db, const void *key, size_t key_len, const char *text,
                             size_t len);
/* Store an integer as a JSON number, exact over all 64 bits. */
LXDB_EXPORT int lxdb_set_int(lxdb *db, const void *key, size_t key_len, int64_t number);
/* Store the shortest JSON number that reads back as the same double. LXDB_INVALID for NaN and the
 * infinities, which JSON does not have. */
LXDB_EXPORT int lxdb_set_double(lxdb *db, const void *key, size_t key_len, double number);
/* Store true (non-zero) or false. */
LXDB_EXPORT int lxdb_set_bool(lxdb *db, const void *key, size_t key_len, int truth);
LXDB_EXPORT int lxdb_set_null(lxdb *db, const void *key, size_t key_len);

/*
 * The JSON text as it was stored, NUL-terminated (not counted in *ret_len, which may be NULL), to
 * be freed with lxdb_free(). LXDB_NOTFOUND. LXDB_TYPE if the value is not JSON.
 */
LXDB_EXPORT int lxdb_get_json(lxdb *db, const void *key, size_t key_len, char **ret_text,
                              size_t *ret_len);
/* The bytes without the tag, to be freed with lxdb_free(); `ret_len` may be NULL. LXDB_NOTFOUND.
 * LXDB_TYPE. */
LXDB_EXPORT int lxdb_get_bytes(lxdb *db, const void *key, size_t key_len, void **ret_bytes,
                               size_t *ret_len);
/* A JSON string, decoded and NUL-terminated (it may hold NULs: *ret_len, which may be NULL,
 * counts), to be freed with lxdb_free(). LXDB_NOTFOUND. LXDB_TYPE. */
LXDB_EXPORT int lxdb_get_str(lxdb *db, const void *key, size_t key_len, char **ret_text,
                             size_t *ret_len);
/* A JSON number that is an integer within 64 bits. LXDB_NOTFOUND. LXDB_TYPE for anything else. */
LXDB_EXPORT int lxdb_get_int(lxdb *db, const void *key, size_t key_len, int64_t *ret_number);
/* A JSON number, rounded to the nearest double. LXDB_NOTFOUND. LXDB_TYPE, also when it
 * overflows. */
LXDB_EXPORT int lxdb_get_double(lxdb *db, const void *key, size_t key_len, double *ret_number);
/* 1 or 0. LXDB_NOTFOUND. LXDB_TYPE. */
LXDB_EXPORT int lxdb_get_bool(lxdb *db, const void *key, size_t key_len, int *ret_truth);

/* ---- Batches: one lock, all or nothing, also after a crash ----------------------------------- */

typedef struct lxdb_batch lxdb_batch;

/* Begin to collect changes, in memory, without a lock. On a namespace handle they are of its
 * keys. */
LXDB_EXPORT int lxdb_batch_begin(lxdb *db, lxdb_batch **ret_batch);
/* Add a change; keys and values are copied. After a failure the batch is as before the call. */
LXDB_EXPORT int lxdb_batch_write(lxdb_batch *batch, const void *key, size_t key_len,
                                 const void *value, size_t value_len);
LXDB_EXPORT int lxdb_batch_create(lxdb_batch *batch, const void *key, size_t key_len,
                                  const void *value, size_t value_len);
LXDB_EXPORT int lxdb_batch_set_json(lxdb_batch *batch, const void *key, size_t key_len,
                                    const char *json, size_t len);
LXDB_EXPORT int lxdb_batch_delete(lxdb_batch *batch, const void *key, size_t key_len);
/*
 * Apply the changes in their order, all or none, and free the batch whatever the result. Deleting a
 * missing key is no failure; *ret_deleted (may be NULL) counts the keys that were there.
 * LXDB_EXISTS: a create found its key; *ret_failed_at (may be NULL) is that change's position, from
 * 0, and nothing was written. An empty batch is LXDB_OK.
 */
LXDB_EXPORT int lxdb_batch_commit(lxdb_batch *batch, size_t *ret_deleted, size_t *ret_failed_at);
/* Drop the changes and free the batch; NULL is fine. */
LXDB_EXPORT void lxdb_batch_abort(lxdb_batch *batch);

/* ---- Reading through ------------------------------------------------------------------------- */

typedef struct lxdb_iter lxdb_iter;

enum {
    LXDB_ITER_KEYS = 1u << 0,   /* keys only: lxdb_iter_next gives no values */
    LXDB_ITER_REVERSE = 1u << 1 /* newest first */
};

/*
 * Iterate over the state of this instant, in order of last write, oldest first; later changes do
 * not show, and nobody is blocked. `prefix` (may be NULL with length 0) selects keys. A namespace
 * handle yields the keys of that namespace alone, without its name; a database handle yields every
 * key, those of namespaces as stored. Takes memory of 8 bytes a record and keeps one old generation
 * of the files on the disk until lxdb_iter_close(). The handle must stay open that long.
 */
LXDB_EXPORT int lxdb_iter_open(lxdb *db, const void *prefix, size_t prefix_len, uint32_t flags,
                               lxdb_iter **ret_iter);
/*
 * The next record; the pointers are good until the next call on this iterator. `value` and
 * `value_len` may be NULL. LXDB_NOTFOUND at the end.
 */
LXDB_EXPORT int lxdb_iter_next(lxdb_iter *iter, const void **ret_key, size_t *ret_key_len,
                               const void **ret_value, size_t *ret_value_len);
/* NULL is fine. */
LXDB_EXPORT void lxdb_iter_close(lxdb_iter *iter);

/* The number of keys of the database (its root and all namespaces; constant time unless keys
 * expire) or of the namespace (linear time). */
LXDB_EXPORT int lxdb_count(lxdb *db, uint64_t *ret_count);
/* Remove every key of the database (its root and all namespaces) or of the namespace, as one batch.
 * `ret_deleted` may be NULL; keys whose time had passed are not in its count. */
LXDB_EXPORT int lxdb_clear(lxdb *db, uint64_t *ret_deleted);

typedef struct lxdb_namespace_info {
    const char *name; /* NUL-terminated */
    size_t name_len;
    uint64_t count; /* its keys */
} lxdb_namespace_info;

/* The namespaces that exist, sorted by name bytes, as one block to be freed with lxdb_free().
 * Linear in the number of records. With none, *ret_list is NULL and *ret_n is 0. LXDB_INVALID on
 * the handle of a namespace. */
LXDB_EXPORT int lxdb_namespaces(lxdb *db, lxdb_namespace_info **ret_list, size_t *ret_n);

/* ---- Read, decide and write in one step ------------------------------------------------------ */

/*
 * Store `value` if the stored value equals `expected`, byte for byte; expected == NULL means that
 * the key must not exist (an existing empty value is a non-NULL pointer with length 0).
 * LXDB_CONFLICT: it does not.
 */
LXDB_EXPORT int lxdb_cas(lxdb *db, const void *key, size_t key_len, const void *expected,
                         size_t expected_len, const void *value, size_t value_len);
/*
 * Add `by` to a typed integer and store the sum, also in *ret_sum (may be NULL). A missing key
 * counts as 0. LXDB_TYPE if the value is not an integer. LXDB_INVALID if the sum would leave 64
 * bits.
 */
LXDB_EXPORT int lxdb_incr(lxdb *db, const void *key, size_t key_len, int64_t by, int64_t *ret_sum);

/* ---- Upkeep ---------------------------------------------------------------------------------- */

/* Make everything committed so far durable. LXDB_IO if a sync failed: see the head of this file.
 * LXDB_READONLY. */
LXDB_EXPORT int lxdb_flush(lxdb *db);
/* The position of the end of the log, in bytes: what this thread committed lies before it.
 * Positions grow with every commit of any process, and keep their meaning while any process is
 * attached. */
LXDB_EXPORT int lxdb_position(lxdb *db, uint64_t *ret_position);
/* Make everything before `position` durable, or find that it is. `timeout_ms` < 0 waits for ever.
 * LXDB_PENDING at the deadline (a sync that this call makes itself is not cut short). LXDB_INVALID
 * for a position past the end of the log. LXDB_READONLY. */
LXDB_EXPORT int lxdb_wait_durable(lxdb *db, uint64_t position, int timeout_ms);

/* Called now and then during long work; a result other than 0 ends it, with LXDB_BUSY. */
typedef struct lxdb_progress {
    int (*report)(void *arg, uint64_t done, uint64_t total); /* bytes */
    void *arg;
} lxdb_progress;

/*
 * Write the live records to a new file and put it in the place of the old, while others read and
 * write. Writers wait for the last short part only, and are slowed down if they outrun it. Ends the
 * refusal of writes after a failed sync. `progress` may be NULL. LXDB_BUSY: another compaction is
 * under way and did not end by the deadline.
 * LXDB_NOSPACE: no room for the live data beside the old file. The old file stays in force on
 * failure.
 */
LXDB_EXPORT int lxdb_compact(lxdb *db, const lxdb_progress *progress);

typedef struct lxdb_stat_info {
    uint64_t records;     /* live keys */
    uint64_t live_bytes;  /* of the live records, with their headers */
    uint64_t dead_bytes;  /* of everything else in the log */
    uint64_t data_size;   /* of the data file, in bytes, with what is allocated ahead */
    uint64_t index_size;  /* of the index file, in bytes */
    uint64_t index_slots; /* in all segments */
    uint64_t index_used;  /* slots in use, with markers of deleted keys */
    uint64_t generation;  /* counts the files that compaction and rebuilds have put in force */
    uint64_t position;    /* of the end of the log */
    uint64_t durable;     /* everything before this position is on the disk */
    uint64_t handles;     /* attached that may write, of all processes */
    uint64_t commits;     /* these four: since the control block was made */
    uint64_t syncs;
    uint64_t recoveries; /* openings after a crash, and repairs after a dead writer */
    uint64_t compactions;
    uint64_t lock_age_ms;  /* how long the writer lock is held, 0 if it is free */
    uint32_t lock_pid;     /* of the holder, as it sees itself; 0 if the lock is free */
    int32_t sync_errno;    /* of the failed sync that stopped the writers, else 0 */
    char lock_command[16]; /* of the holder */
    uint64_t reserved[16]; /* 0 */
} lxdb_stat_info;

/* Counters and sizes. Takes no lock: each figure is right, together they may be of different
 * instants. */
LXDB_EXPORT int lxdb_stat(lxdb *db, lxdb_stat_info *ret_info);

enum {
    LXDB_RANGE_DAMAGED = 1, /* bytes that are no whole record, skipped */
    LXDB_RANGE_CUT = 2      /* the tail of a crashed session, cut */
};

typedef struct lxdb_range {
    uint64_t offset; /* in the data file */
    uint64_t length;
    int32_t kind;   /* LXDB_RANGE_DAMAGED or LXDB_RANGE_CUT */
    uint32_t cause; /* 0 */
} lxdb_range;

#define LXDB_REPORT_RANGES 32

/* What a scan of the log found: the receipt of a recovery, or the result of lxdb_verify(). */
typedef struct lxdb_report {
    int32_t crashed;       /* 1: a writing session had not ended cleanly */
    int32_t bad_watermark; /* 1: the watermark was no record boundary, and was not believed */
    uint64_t file_size;
    uint64_t tail;         /* where the log ends */
    uint64_t watermark;    /* as found; 0 in a closed file */
    uint64_t records_live; /* keys with a value */
    uint64_t records_dead; /* replaced, deleted, and the markers of deletions */
    uint64_t live_bytes;
    uint64_t bytes_cut;     /* behind the tail that were not zero: lost, set aside */
    uint64_t bytes_damaged; /* in skipped ranges */
    /* Keys that are dead by a status byte which nothing in the log explains. Damage in a crashed
     * file (a recovery undoes it); in a closed one, which other programs of this format may have
     * written, their way to delete. Not looked at in a file that others have open. */
    uint64_t dead_without_cause;
    uint64_t ranges_total;
    uint64_t ranges_listed; /* at most LXDB_REPORT_RANGES */
    lxdb_range ranges[LXDB_REPORT_RANGES];
    int64_t time_ms;      /* when, in ms since the epoch */
    uint64_t reserved[8]; /* 0 */
} lxdb_report;

/*
 * Read all of the database at `path`, check every CRC, change nothing. Needs only permission to
 * read, and works beside others that write (then it judges what was committed when it began).
 * LXDB_OK: all is well; the torn tail of a crashed session (`crashed`, `bytes_cut`) is no damage,
 * the next open cuts it. LXDB_CORRUPT: damage was found. The report is filled in both cases. Other
 * codes as of lxdb_open(). `progress` may be NULL.
 */
LXDB_EXPORT int lxdb_verify(const char *path, lxdb_report *ret_report,
                            const lxdb_progress *progress);
/* The receipt of the last recovery of this database. LXDB_NOTFOUND if there was none since the
 * control block was made. */
LXDB_EXPORT int lxdb_recovery(lxdb *db, lxdb_report *ret_report);

#ifdef __cplusplus
}
#endif
#endif
