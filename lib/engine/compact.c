/* SPDX-License-Identifier: MIT */
/*
 * Compaction: the live records in a new file, put in the place of the old one while others read and
 * write.
 *
 *   1  hold byte 2 of the lock file: one compactor at a time, and only it touches the -compact
 *      files
 *   2  walk the log up to what is indexed now. Lengths lead from record to record; every record
 *      that is alive by its status byte has its CRC checked. Delete markers stay behind, unless
 *      they remove what was copied
 *   3  and is copied into the new file, with an index of its own; sync. Where the lengths or a CRC
 *      are wrong, both are done again by the rules of a recovery scan, and the damage is copied to
 *      the -lost file
 *   4  again for what was appended meanwhile, with its delete markers, until less than CLOSE_TO is
 *      left; from the second round on in short slices under the writer lock with pauses between
 *      them, so that writers who are faster than we copy and sync are slowed down rather than
 *      chased for ever. Copies of what was replaced meanwhile are killed between the slices
 *   5  take the writer lock; the rest; watermark := size; sync; the kills that are left. Synced is
 *      what was copied since the last sync of all, and the watermark: pages with killed records
 *      are all over the file, and the order of the log has those dead without a status byte
 *   6  fill the idle block, record the swap, dirty := swap         from here on only forward
 *   7  rename both files, sync the directory, publish the generation, dirty := clean
 *
 * A death before 6 leaves files that the next compactor, or whoever is alone, removes. A death
 * after it is finished by the next holder of the writer lock, with lx_compact_roll_forward();
 * openers meanwhile use the new files as they are. Whoever is alone after all have died takes the
 * file that has the name: both hold every committed record.
 *
 * Batches need no GROUP in the new file: it is all on the disk, and below the watermark a GROUP
 * groups nothing.
 */
#include "base/crc.h"
#include "engine/verify.h"
#include "engine/view.h"
#include "store/fill.h"
#include "sys/ofd.h"

#include <stdlib.h>
#include <string.h>

#define CLOSE_TO (UINT64_C(1) << 20)
#define REPORT_EVERY (UINT64_C(256) << 10)
#define SLICE (UINT64_C(128) << 10) /* copied under one hold of the writer lock */
#define SLICES 64                   /* after the last sync of the whole file */
#define KILLS 1024                  /* that may be left for the writer lock */
#define SLACK (UINT64_C(1) << 20)
#define POLL_NS 2000000u
#define BUFFER (64u << 10)
#define WRITE_BEHIND (UINT64_C(4) << 20) /* written, and not yet on its way to the disk */

struct copy {
    lx_core *core;
    lx_view *old;
    lx_log log; /* of the new file */
    lx_index index;
    lx_fill fill;
    uint64_t tail, last; /* of the new file: its end and its last record */
    uint64_t allocated;
    uint8_t *buffer; /* what belongs before the tail and is not written yet */
    size_t buffered;
    uint64_t behind; /* up to here the system was told to write to the disk */
    uint64_t synced; /* up to here all but status bytes is on the disk */
    /* The writer lock is held: copies to be killed are only noted, since they are all over the
     * file, and most of them cost a page fault. */
    bool locked;
    uint64_t *kills;
    size_t kill_count, kill_room;
    bool dropped_expired;
    bool planned;      /* by the rules of recovery */
    bool *careful;     /* do it by the rules of recovery: set when the quick way met damage */
    bool after_group;  /* the last record was a GROUP: what follows belongs to it */
    lx_index *current; /* pass 3 by the order of the log: what is alive, else NULL */
    bool only_live;    /* pass 3 of a session: what has expired stays behind */
    const lxdb_progress *progress; /* pass 3 */
    uint64_t total, report_at;
    uint64_t stop_at; /* pass 4: the end of a slice, */
    uint64_t reached; /* and where it really ended */
};

/* ---- the new file ---------------------------------------------------------------------------- */

/* Room for `size` more bytes. Nobody else has these mappings, so they may move. */
static int reserve(struct copy *copy, uint64_t size)
{
    uint64_t need = copy->tail + size + LX_PAD_SIZE_MIN;
    int rc;

    if (need <= copy->allocated)
        return LXDB_OK;
    rc = lx_log_grow(&copy->log, copy->allocated, need, &copy->allocated);
    if (rc == LX_AGAIN) {
        int fd = copy->log.fd;

        lx_map_close(&copy->log.map);
        copy->log.map = (lx_map){0};
        rc = lx_log_open(fd, copy->core->compact_name, true, &copy->log);
        if (rc != LXDB_OK) {
            lx_file_close(fd);
            copy->log = (lx_log){.fd = -1};
        }
    }
    return rc;
}

static void write_behind(struct copy *copy)
{
    lx_file_write_behind(copy->log.fd, copy->behind, copy->tail - copy->behind);
    copy->behind = copy->tail;
}

/* Written in large pieces, a new file costs half of what it does by a page fault for each of its
 * pages. */
static int write_out(struct copy *copy)
{
    uint64_t start = copy->tail - copy->buffered;
    int rc = lx_file_write(copy->log.fd, copy->log.name, copy->buffer, copy->buffered, start);

    copy->buffered = 0;
    if (rc == LXDB_OK && !copy->locked && copy->tail - copy->behind >= WRITE_BEHIND)
        write_behind(copy);
    return rc;
}

/* Room is reserved. */
static int append(struct copy *copy, const uint8_t *bytes, uint64_t len)
{
    int rc = LXDB_OK;

    if (len > BUFFER - copy->buffered)
        rc = write_out(copy);
    if (rc == LXDB_OK && len > BUFFER) {
        rc = lx_file_write(copy->log.fd, copy->log.name, bytes, (size_t)len, copy->tail);
    } else if (rc == LXDB_OK) {
        memcpy(copy->buffer + copy->buffered, bytes, (size_t)len);
        copy->buffered += (size_t)len;
    }
    copy->tail += len;
    return rc;
}

/* Bring the new file and its index to the end of what was copied. The file first: the index leads
 * to it. */
static int settle(struct copy *copy)
{
    int rc = write_out(copy);

    return rc == LXDB_OK ? lx_fill_flush(&copy->fill) : rc;
}

static int kill_old(void *arg, const lx_found *found)
{
    struct copy *copy = arg;

    if (!copy->locked)
        return lx_log_set_status(&copy->log, found->entry.record, 0);
    if (copy->kill_count == copy->kill_room) {
        size_t room = copy->kill_room == 0 ? 1024 : 2 * copy->kill_room;
        uint64_t *kills = realloc(copy->kills, room * sizeof *kills);

        if (kills == NULL)
            return lx_fail(LXDB_NOMEM, "%s: out of memory", copy->core->place.path);
        copy->kills = kills;
        copy->kill_room = room;
    }
    copy->kills[copy->kill_count++] = found->entry.record;
    return LXDB_OK;
}

static int kill_deferred(struct copy *copy)
{
    int rc = LXDB_OK;

    for (size_t i = 0; i < copy->kill_count && rc == LXDB_OK; i++)
        rc = lx_log_set_status(&copy->log, copy->kills[i], 0);
    copy->kill_count = 0;
    return rc;
}

static int find_copy(struct copy *copy, const lx_record *record, lx_found *ret_found)
{
    uint64_t hash = lx_index_hash(&copy->index, record->key, record->key_len);
    int rc = lx_fill_waits(&copy->fill, hash) ? settle(copy) : LXDB_OK;

    return rc == LXDB_OK ? lx_index_find(&copy->index, &copy->log, record->key, record->key_len,
                                         hash, ret_found)
                         : rc;
}

static int copy_put(struct copy *copy, const lx_scan_event *event)
{
    const lx_record *record = &event->record;
    uint64_t group = event->expiry_ms != 0 ? LX_GROUP_SIZE : 0;
    const uint8_t live = 1;
    uint64_t slot;
    int rc = lx_fill_is_full(&copy->fill) ? settle(copy) : LXDB_OK;

    if (rc == LXDB_OK)
        rc = reserve(copy, group + record->len);
    if (rc != LXDB_OK)
        return rc;
    slot = copy->tail;
    if (group != 0) {
        uint8_t bytes[LX_GROUP_SIZE];

        lx_group_encode(bytes, slot, 1, record->len, event->expiry_ms);
        rc = append(copy, bytes, sizeof bytes);
    }
    copy->last = copy->tail;
    /* the status byte of the original may have become 0 meanwhile */
    if (rc == LXDB_OK)
        rc = append(copy, &live, 1);
    if (rc == LXDB_OK)
        rc = append(copy, copy->old->log.map.base + record->off + 1, record->len - 1);
    return rc == LXDB_OK ? lx_fill_put(&copy->fill, record->key, record->key_len, slot,
                                       group + record->len, group != 0)
                         : rc;
}

static int copy_delete(struct copy *copy, const lx_scan_event *event)
{
    const lx_record *record = &event->record;
    lx_found found;
    int rc = find_copy(copy, record, &found);

    if (rc == LXDB_NOTFOUND)
        return LXDB_OK; /* it never came along */
    if (rc == LXDB_OK && lx_fill_is_full(&copy->fill))
        rc = settle(copy);
    if (rc == LXDB_OK)
        rc = reserve(copy, record->len);
    if (rc != LXDB_OK)
        return rc;
    copy->last = copy->tail;
    rc = append(copy, copy->old->log.map.base + record->off, record->len);
    return rc == LXDB_OK ? lx_fill_remove(&copy->fill, record->key, record->key_len) : rc;
}

/* Tell the caller now and then how far it is: at the first record, and every REPORT_EVERY bytes. */
static bool is_called_off(struct copy *copy, uint64_t at)
{
    const lxdb_progress *progress = copy->progress;

    if (progress == NULL || progress->report == NULL || at < copy->report_at)
        return false;
    copy->report_at = at + REPORT_EVERY;
    return progress->report(progress->arg, at, copy->total) != 0;
}

/* LXDB_NOTFOUND: the order of the log says that it is dead. */
static int find_current(struct copy *copy, const lx_scan_event *event)
{
    const lx_record *record = &event->record;
    lx_found found;
    int rc = lx_index_find(copy->current, &copy->old->log, record->key, record->key_len,
                           lx_index_hash(copy->current, record->key, record->key_len), &found);

    return rc == LXDB_OK && found.entry.off != event->slot ? LXDB_NOTFOUND : rc;
}

static int copy_event(void *arg, const lx_scan_event *event)
{
    struct copy *copy = arg;

    if (is_called_off(copy, event->record.off))
        return lx_fail(LXDB_BUSY, "%s: the compaction was called off", copy->core->place.path);
    if (event->effect == LX_EFFECT_DELETE)
        return copy->current != NULL ? LXDB_OK : copy_delete(copy, event);
    if (event->effect != LX_EFFECT_PUT)
        return LXDB_OK;
    if (copy->current != NULL) {
        int rc = find_current(copy, event);

        if (rc != LXDB_OK)
            return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
    } else if (event->record.status == 0) {
        /* It was replaced or removed by a commit further on, which this compaction will come to
         * before it ends: a status byte is set after that commit. */
        return LXDB_OK;
    }
    if (copy->only_live && event->expiry_ms != 0 && event->expiry_ms <= lx_wall_coarse_ms()) {
        copy->dropped_expired = true;
        return LXDB_OK;
    }
    return copy_put(copy, event);
}

/* ---- the passes ------------------------------------------------------------------------------ */

/* Room for what is appended meanwhile, if it is there once both files have what they must have. */
static void take_slack(struct copy *copy)
{
    uint64_t more = copy->allocated + SLACK;

    if (lx_file_allocate(copy->log.fd, copy->log.name, copy->allocated, SLACK) == LXDB_OK &&
        lx_log_reach(&copy->log, more) == LXDB_OK)
        copy->allocated = more;
}

static int start_files(struct copy *copy)
{
    lx_core *core = copy->core;
    uint64_t bytes = atomic_load(&copy->old->block->bytes);
    uint8_t header[LX_HEADER_SIZE];
    int fd;
    int rc = lx_file_remove(core->place.dirfd, core->compact_name);

    if (rc == LXDB_OK)
        rc = lx_file_open(core->place.dirfd, core->compact_name, LX_FILE_CREATE | LX_FILE_EXCL,
                          0600, &fd);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_file_copy_access(copy->old->log.fd, fd, core->compact_name);
    copy->allocated = LX_HEADER_SIZE + bytes + LX_PAD_SIZE_MIN;
    if (rc == LXDB_OK)
        rc = lx_file_allocate(fd, core->compact_name, 0, copy->allocated);
    if (rc == LXDB_OK)
        rc = lx_ofd_set(fd, LX_OFD_SHARED, LX_BYTE_DATA);
    if (rc == LXDB_OK)
        rc = lx_log_open(fd, core->compact_name, true, &copy->log);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        return rc;
    }
    lx_header_encode(header, 0);
    rc = append(copy, header, sizeof header);
    if (rc == LXDB_OK)
        rc = lx_index_file_make(core, core->compact_index_name, copy->old->log.fd,
                                atomic_load(&copy->old->block->records), &copy->index);
    if (rc == LXDB_OK)
        take_slack(copy);
    return rc;
}

static int save_damage(struct copy *copy, const lx_scan *scan)
{
    for (size_t i = 0; i < scan->damaged_count; i++) {
        int rc = lx_lost_save(copy->core, &copy->old->log, scan->damaged[i].off,
                              scan->damaged[i].len);
        if (rc != LXDB_OK)
            return rc;
    }
    if (scan->cut_bytes != 0)
        return lx_lost_save(copy->core, &copy->old->log, scan->tail, scan->cut_bytes);
    return LXDB_OK;
}

/* Passes 2 and 3, by the rules of recovery. If nothing was written since the file was opened it is
 * judged as it was then, with what lies behind its log; else all before `end` is committed. */
static int copy_planned(struct copy *copy, uint64_t end, bool written)
{
    const lx_log *log = &copy->old->log;
    lx_scan scan = {0};
    lx_index current = {.fd = -1};
    int rc;

    if (written)
        rc = lx_scan_plan_log(log->map.base, end, NULL, NULL, &scan);
    else
        rc = lx_scan_plan(log->map.base, atomic_load(&log->length), NULL, NULL, &scan);
    if (rc != LXDB_OK)
        return rc;
    rc = save_damage(copy, &scan);
    copy->only_live = scan.ordered; /* in a closed file the events themselves say what is live */
    if (rc == LXDB_OK && scan.ordered)
        rc = lx_index_by_order(&copy->old->log, &scan, &current);
    if (rc == LXDB_OK) {
        copy->planned = true;
        copy->current = scan.ordered ? &current : NULL;
        rc = lx_scan_walk(&scan, LX_HEADER_SIZE, copy_event, copy);
        copy->current = NULL;
    }
    lx_index_close(&current);
    lx_scan_free(&scan);
    return rc;
}

/* A dead record on a walk. What a marker removes is dead already, unless a damaged index had hidden
 * it from whoever wrote the marker: so it is looked for among what was copied. */
static int walk_over_dead(struct copy *copy, lx_scan_event *event)
{
    const uint8_t *data = copy->old->log.map.base;
    lx_found found;
    int rc;

    if (event->record.value_len != 0)
        return LXDB_OK;
    rc = find_copy(copy, &event->record, &found);
    if (rc != LXDB_OK)
        return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
    if (!lx_record_check(data, &event->record))
        return LXDB_CORRUPT;
    if (!lx_record_is_marker(&event->record))
        return LXDB_OK;
    event->effect = LX_EFFECT_DELETE;
    return copy_event(copy, event);
}

/* Passes 2 and 3 of a log without damage: of a dead record no more than head and key are looked at.
 * LXDB_CORRUPT: there is some. */
static int copy_walking(struct copy *copy, uint64_t end)
{
    const uint8_t *data = copy->old->log.map.base;
    lx_scan_event event;
    uint64_t group = 0, group_bytes = 0; /* the GROUP that gives the next record its expiry */
    int64_t expiry_ms = 0;

    copy->only_live = true;
    for (uint64_t at = LX_HEADER_SIZE; at < end; at = event.record.off + event.record.len) {
        event = (lx_scan_event){.effect = LX_EFFECT_PUT};
        if (!lx_record_parse(data, end, at, &event.record))
            return LXDB_CORRUPT;
        if (event.record.status == 0) {
            expiry_ms = 0;
            event.record.born = 0;
            event.control = lx_control_parse(&event.record);
            if (event.control.kind == LX_CONTROL_GROUP) {
                /* unless it is a user's record that looks like one: that was born live */
                if (!lx_record_check(data, &event.record))
                    return LXDB_CORRUPT;
                event.control = lx_control_parse(&event.record);
            }
            if (event.control.kind == LX_CONTROL_GROUP && event.control.count == 1) {
                group = at;
                group_bytes = event.control.bytes;
                expiry_ms = event.control.expiry_ms;
            }
            int rc = walk_over_dead(copy, &event);
            if (rc != LXDB_OK)
                return rc;
            continue;
        }
        if (!lx_record_check(data, &event.record))
            return LXDB_CORRUPT;
        if (group_bytes != event.record.len)
            expiry_ms = 0;
        event.slot = expiry_ms != 0 ? group : at;
        event.expiry_ms = expiry_ms;
        expiry_ms = 0;
        int rc = copy_event(copy, &event);
        if (rc != LXDB_OK)
            return rc;
    }
    return LXDB_OK;
}

static int copy_live(struct copy *copy, uint64_t end)
{
    bool unsteppable = atomic_load(&copy->old->block->unsteppable);
    bool written = atomic_load(&copy->old->block->session) && !unsteppable;
    int rc = lx_log_reach(&copy->old->log, end);

    copy->total = end;
    /* where recovery found lengths that lead astray, they would lead a walk astray too */
    if (rc == LXDB_OK) {
        if (written && !*copy->careful) {
            rc = copy_walking(copy, end);
            if (rc == LXDB_CORRUPT) {
                *copy->careful = true;
                rc = LX_AGAIN;
            }
        } else {
            rc = copy_planned(copy, end, written);
        }
    }
    copy->only_live = false;
    copy->progress = NULL;
    return rc == LXDB_OK ? settle(copy) : rc;
}

/* A record of pass 4 or 5. Its CRC is checked here, since no plan did. */
static int copy_new_event(void *arg, const lx_scan_event *event)
{
    struct copy *copy = arg;
    lx_record record = event->record;

    if (record.off >= copy->stop_at && !copy->after_group)
        return LXDB_EXISTS; /* the end of the slice */
    if (!lx_record_check(copy->old->log.map.base, &record))
        return lx_fail(LXDB_CORRUPT,
                       "%s: a record that was just written is damaged, at offset %llu",
                       copy->core->place.path, (unsigned long long)record.off);
    copy->after_group = event->control.kind == LX_CONTROL_GROUP;
    copy->reached = record.off + record.len;
    return copy_event(copy, event);
}

/* Pass 4 and 5: what is committed in [from, to), or a slice of it. */
static int copy_more(struct copy *copy, uint64_t from, uint64_t to, uint64_t slice,
                     uint64_t *ret_reached)
{
    lx_scan scan = {
        .data = copy->old->log.map.base, .size = to, .tail = to, .watermark = to, .ordered = true};
    int rc = lx_log_reach(&copy->old->log, to);

    copy->stop_at = to - from > slice ? from + slice : to;
    copy->reached = from;
    copy->after_group = false;
    if (rc == LXDB_OK && from < to)
        rc = lx_scan_walk(&scan, from, copy_new_event, copy);
    if (rc == LXDB_OK || rc == LXDB_EXISTS)
        rc = settle(copy);
    *ret_reached = copy->reached;
    return rc;
}

/* A slice while writers wait, then a pause for them, half as long: they are not to outrun it.
 * LX_AGAIN: another generation. */
static int copy_slice(struct copy *copy, uint64_t *from, lx_limit *limit)
{
    lx_writer writer = lx_writer_of(copy->core);
    uint64_t started, to;
    int rc;

    writer.limit = *limit;
    rc = lx_writer_enter(&writer, LX_TASK_COMPACT, LX_FOR_LOOK);
    if (rc != LXDB_OK)
        return rc;
    copy->locked = true;
    started = lx_now_ns();
    to = atomic_load(&writer.block->tail);
    if (writer.view->generation != copy->old->generation)
        rc = LX_AGAIN;
    else
        rc = copy_more(copy, *from, to, SLICE, from);
    copy->locked = false;
    (void)lx_writer_leave(&writer, LXDB_OK);
    lx_sleep_ns((lx_now_ns() - started) / 2);
    return rc;
}

/* How much is in the log and in the index beyond `from`. A slice under the lock may be further on
 * than the index: it goes by the log alone. */
static uint64_t ahead_of(const struct copy *copy, uint64_t from)
{
    /* acquire: whole commits; pairs with the release in commit.c conclude() */
    uint64_t indexed = atomic_load_explicit(&copy->old->block->indexed, memory_order_acquire);

    return indexed > from ? indexed - from : 0;
}

/* Behind this all is done under the writer lock. Unless SLICES are not enough, that is about half a
 * slice to copy and KILLS to make, and most of what was copied is on its way to the disk. */
static int come_close(struct copy *copy, uint64_t *from, lx_limit *limit)
{
    int rc = LXDB_OK;

    for (int i = 0; i < SLICES && rc == LXDB_OK; i++) {
        bool behind = ahead_of(copy, *from) >= SLICE / 2;

        if (copy->kill_count > (behind ? 8 * KILLS : KILLS)) {
            rc = kill_deferred(copy);
        } else if (behind) {
            rc = copy_slice(copy, from, limit);
            write_behind(copy);
        } else {
            break;
        }
    }
    return rc;
}

/* Pass 4. */
static int catch_up(struct copy *copy, uint64_t *from, lx_limit *limit)
{
    for (int round = 0;; round++) {
        uint64_t ahead;
        int rc = lx_log_sync(&copy->log);

        if (rc != LXDB_OK)
            return rc;
        copy->synced = copy->tail;
        ahead = ahead_of(copy, *from);
        if (ahead < CLOSE_TO) {
            rc = come_close(copy, from, limit);
            ahead = ahead_of(copy, *from);
            if (rc != LXDB_OK || ahead < CLOSE_TO)
                return rc;
        }
        if (round == 0)
            rc = copy_more(copy, *from, *from + ahead, UINT64_MAX, from);
        while (rc == LXDB_OK && round > 0 && ahead_of(copy, *from) >= CLOSE_TO / 2) {
            rc = copy_slice(copy, from, limit);
            if (rc == LXDB_OK)
                rc = kill_deferred(copy);
        }
        if (rc != LXDB_OK)
            return rc;
    }
}

/* ---- the switch ------------------------------------------------------------------------------ */

static int is_named(lx_core *core, const char *name, uint64_t dev, uint64_t ino, bool *ret_is)
{
    lx_file_info info;
    int fd;
    int rc = lx_file_open(core->place.dirfd, name, LX_FILE_RDONLY, 0, &fd);

    *ret_is = false;
    if (rc == LXDB_NOTFOUND)
        return LXDB_OK;
    if (rc != LXDB_OK)
        return rc;
    rc = lx_file_info_get(fd, name, &info);
    lx_file_close(fd);
    if (rc == LXDB_OK)
        *ret_is = info.id.dev == dev && info.id.ino == ino;
    return rc;
}

/* Give a file its name unless it has it already. */
static int take_name(lx_core *core, const char *from, const char *to, uint64_t dev, uint64_t ino)
{
    bool done, there;
    int rc = is_named(core, to, dev, ino, &done);

    if (rc != LXDB_OK || done)
        return rc;
    rc = is_named(core, from, dev, ino, &there);
    if (rc == LXDB_OK && !there)
        return lx_fail(LXDB_CORRUPT, "%s: gone, or replaced, while a compaction was to rename it",
                       from);
    return rc == LXDB_OK ? lx_file_rename(core->place.dirfd, from, to) : rc;
}

int lx_compact_roll_forward(lx_core *core, struct lx_control_lock *lock)
{
    struct lx_control_head *head = &core->control->head;
    int rc = LXDB_OK;

    if (atomic_load(&lock->dirty) != LX_DIRTY_SWAP)
        return LXDB_OK; /* somebody else was quicker */
    if (lx_control_generation(core->control) != lock->swap_generation) {
        rc = take_name(core, core->compact_name, core->place.name, lock->swap_data_dev,
                       lock->swap_data_ino);
        lx_step("compact-data-renamed");
        if (rc == LXDB_OK)
            rc = take_name(core, core->compact_index_name, core->index_name, lock->swap_index_dev,
                           lock->swap_index_ino);
        lx_step("compact-index-renamed");
        if (rc == LXDB_OK)
            rc = lx_dir_sync(&core->place);
        if (rc != LXDB_OK)
            return rc;
        lx_step("compact-directory-synced");
        /* the new file is synced, so what a failed sync of the old one put in doubt is settled */
        atomic_store(&head->poison, 0);
        atomic_fetch_add(&head->compactions, 1);
        lx_control_publish(core->control, lock->swap_generation);
    }
    lx_step("compact-published");
    if (atomic_load(&lock->publish_seq) & 1) /* the batch that was half in the old index */
        atomic_fetch_add(&lock->publish_seq, 1);
    atomic_store_explicit(&lock->dirty, LX_CLEAN, memory_order_release);
    return LXDB_OK;
}

/* Readers that are late may still look at it: they see that its generation is not in force any
 * more. */
static void clear_block(struct lx_control_block *block)
{
    uint64_t *words = (uint64_t *)(void *)block;

    for (size_t i = 0; i < sizeof *block / sizeof *words; i++)
        __atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
}

/* Phase 6. */
static int record_swap(struct copy *copy, lx_writer *writer)
{
    struct lx_control_file *file = copy->core->control;
    struct lx_control_lock *lock = writer->lock;
    uint64_t generation = lx_control_generation(file) + 1;
    struct lx_control_block *block = lx_control_block(file, generation);
    const struct lx_control_block *old = writer->block;
    lx_file_info data, index;
    uint64_t base;
    int rc = lx_file_info_get(copy->log.fd, copy->core->compact_name, &data);

    if (rc == LXDB_OK)
        rc = lx_file_info_get(copy->index.fd, copy->core->compact_index_name, &index);
    if (rc != LXDB_OK)
        return rc;
    clear_block(block);
    block->data = data.id;
    block->index = index.id;
    base = atomic_load(&old->base) + atomic_load(&old->tail) - copy->tail; /* positions go on */
    atomic_store(&block->base, base);
    atomic_store(&block->tail, copy->tail);
    atomic_store(&block->indexed, copy->tail);
    atomic_store(&block->last, copy->last);
    atomic_store(&block->records, copy->fill.records);
    atomic_store(&block->bytes, copy->fill.bytes);
    atomic_store(&block->expiring, copy->fill.expiring);
    atomic_store(&block->commits, atomic_load(&old->commits));
    atomic_store(&block->allocated, data.size);
    atomic_store(&block->session, 1);
    atomic_store(&block->agreed, LX_AGREED_UNDAMAGED);
    atomic_store(&block->durable, base + copy->tail);
    atomic_store(&block->sync_ns, atomic_load(&old->sync_ns));
    atomic_store(&block->syncs, atomic_load(&old->syncs));
    lock->swap_data_dev = data.id.dev;
    lock->swap_data_ino = data.id.ino;
    lock->swap_index_dev = index.id.dev;
    lock->swap_index_ino = index.id.ino;
    lock->swap_generation = generation;
    lx_step("compact-filled");
    /* release: block and swap before it */
    atomic_store_explicit(&lock->dirty, LX_DIRTY_SWAP, memory_order_release);
    lx_step("compact-recorded");
    return LXDB_OK;
}

/* Under the writer lock, with all copied. The count of the control block does not fit if a walk was
 * led astray by the length of a dead record, whose CRC it does not check, or by a status byte; or
 * if the index was damaged, so that keys were not found when they were changed. Then it is done
 * again with care, and the order of the log has the last word. */
static int check_count(const struct copy *copy, const lx_writer *writer)
{
    /* a commit that could not be replayed into the old index is copied: its intent counts it */
    uint64_t counted = atomic_load(&writer->lock->dirty) & LX_DIRTY_COMMIT
                           ? atomic_load(&writer->lock->intent_records)
                           : atomic_load(&writer->block->records);

    if (copy->planned || copy->dropped_expired || copy->fill.records == counted)
        return LXDB_OK;
    *copy->careful = true;
    return LX_AGAIN;
}

/* Pass 5 and the phases behind it, under the writer lock. LX_AGAIN: another generation, start
 * again. */
static int switch_over(struct copy *copy, uint64_t from, lx_limit *limit)
{
    lx_writer writer = lx_writer_of(copy->core);
    uint64_t tail;
    int rc;

    writer.limit = *limit;
    rc = lx_writer_enter(&writer, LX_TASK_COMPACT, LX_FOR_LOOK);
    if (rc != LXDB_OK)
        return rc;
    if (writer.view->generation != copy->old->generation) {
        rc = LX_AGAIN;
        goto out;
    }
    copy->locked = true;
    tail = atomic_load(&writer.block->tail);
    rc = copy_more(copy, from, tail, UINT64_MAX, &from);
    if (rc == LXDB_OK)
        rc = check_count(copy, &writer);
    if (rc == LXDB_OK)
        rc = lx_log_set_watermark(&copy->log, lx_watermark_encode(copy->tail));
    if (rc == LXDB_OK && copy->synced < copy->tail)
        rc = lx_log_sync_range(&copy->log, copy->synced, copy->tail);
    if (rc == LXDB_OK)
        rc = lx_log_sync_range(&copy->log, 0, LX_HEADER_SIZE);
    if (rc == LXDB_OK)
        rc = kill_deferred(copy);
    if (rc == LXDB_OK)
        rc = record_swap(copy, &writer);
    if (rc == LXDB_OK)
        rc = lx_compact_roll_forward(copy->core, writer.lock);
out:
    (void)lx_writer_leave(&writer, LXDB_OK);
    return rc;
}

static int compact_once(lx_core *core, const lxdb_progress *progress, lx_limit *limit,
                        bool *careful)
{
    struct copy copy = {
        .core = core,
        .log = {.fd = -1},
        .index = {.fd = -1},
        .fill = {.log = &copy.log, .index = &copy.index, .retire = kill_old, .arg = &copy},
        .buffer = malloc(BUFFER),
        .progress = progress,
        .careful = careful};
    uint64_t from;
    int rc = copy.buffer == NULL ? lx_fail(LXDB_NOMEM, "%s: out of memory", core->place.path)
                                 : lx_view_get(core, &copy.old);

    if (rc != LXDB_OK) {
        free(copy.buffer);
        return rc;
    }
    rc = start_files(&copy);
    if (rc != LXDB_OK)
        goto out;
    /* acquire: what is below it is in the index, and its predecessors are dead */
    from = atomic_load_explicit(&copy.old->block->indexed, memory_order_acquire);
    rc = copy_live(&copy, from);
    if (rc == LXDB_OK)
        rc = catch_up(&copy, &from, limit);
    lx_step("compact-copied");
    if (rc == LXDB_OK)
        rc = switch_over(&copy, from, limit);
out:
    if (rc == LX_AGAIN)
        rc = lx_view_mend(core, copy.old, rc);
    if (rc == LX_DAMAGED)
        rc = LXDB_CORRUPT; /* the new index: damaged while it is made */
    lx_index_close(&copy.index);
    lx_log_close(&copy.log);
    if (rc != LXDB_OK && copy.allocated != 0 &&
        atomic_load(&core->control->lock.dirty) != LX_DIRTY_SWAP) {
        (void)lx_file_remove(core->place.dirfd, core->compact_name);
        (void)lx_file_remove(core->place.dirfd, core->compact_index_name);
    }
    lx_view_unpin(core, copy.old);
    free(copy.buffer);
    free(copy.kills);
    return rc;
}

/* With byte 2 held: a swap that a dead compactor recorded needs its files, so it is finished before
 * they are made anew. */
static int finish_swap(lx_core *core, lx_limit *limit)
{
    lx_writer writer = lx_writer_of(core);
    int rc;

    if (!(atomic_load(&core->control->lock.dirty) & LX_DIRTY_SWAP))
        return LXDB_OK;
    writer.limit = *limit;
    rc = lx_writer_enter(&writer, LX_TASK_COMPACT, LX_FOR_LOOK);
    return rc == LXDB_OK ? lx_writer_leave(&writer, rc) : rc;
}

int lx_compact(lx_core *core, const lxdb_progress *progress, uint64_t generation, bool wait,
               lx_limit *limit)
{
    lx_view *view;
    bool idle = false, careful = false;
    int rc = lx_refuse_readonly(core);

    if (rc == LXDB_OK)
        rc = lx_view_get(core, &view); /* attached, also after fork */
    if (rc != LXDB_OK)
        return rc;
    lx_view_unpin(core, view);
    rc = lx_core_check_lock_file(core); /* else nobody could take the new view */
    if (rc != LXDB_OK)
        return rc;
    for (;;) {
        idle = false;
        if (atomic_compare_exchange_strong(&core->compacting, &idle, true)) {
            rc = lx_ofd_set(core->lock_fd, LX_OFD_EXCLUSIVE, LX_BYTE_COMPACTOR);
            if (rc != LXDB_BUSY)
                break;
            atomic_store(&core->compacting, false);
        }
        if (!wait || lx_deadline_passed(lx_limit_at(limit)))
            return lx_fail(LXDB_BUSY, "%s: another compaction is under way", core->place.path);
        lx_sleep_ns(POLL_NS);
    }
    if (rc == LXDB_OK) {
        atomic_store(&core->control->head.compacting, core->self.identity);
        rc = finish_swap(core, limit);
        if (generation != 0 && generation != lx_control_generation(core->control))
            rc = rc == LXDB_OK ? LXDB_EXISTS : rc; /* somebody else has made a new one */
        while (rc == LXDB_OK) {
            rc = compact_once(core, progress, limit, &careful);
            if (rc != LX_AGAIN)
                break;
            rc = LXDB_OK;
        }
        if (rc == LXDB_EXISTS)
            rc = LXDB_OK;
        atomic_store(&core->control->head.compacting, 0);
        (void)lx_ofd_set(core->lock_fd, LX_OFD_NONE, LX_BYTE_COMPACTOR);
    }
    atomic_store(&core->compacting, false);
    if (rc == LXDB_OK) { /* let go of the old file now rather than at the next call */
        rc = lx_view_get(core, &view);
        if (rc == LXDB_OK)
            lx_view_unpin(core, view);
    }
    return rc;
}
