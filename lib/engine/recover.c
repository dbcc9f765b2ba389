/* SPDX-License-Identifier: MIT */
/*
 * What whoever is alone does before others come: make a new file, or read the log and believe what
 * the rules of docs/format.md allow, put the file in order, and build the index. Clean openings and
 * crashed ones run the same code; a kept index that is clean and matches the file spares the scan.
 *
 * The phases, and what a death leaves after each (everything is done again by the next that is
 * alone):
 *
 *   1  plan                                            nothing was changed
 *   2  what will be cut goes to the -lost file, synced  a copy too many
 *   3  the file is cut at the tail, synced              the tail is where it was: the same plan
 *   4  index built; status bytes := what the order says the order decides, not the bytes
 *   5  sync, watermark := tail                          a crashed file that needs less
 *   6  control block filled and published
 */
#include "base/crc.h"
#include "engine/verify.h"
#include "engine/view.h"
#include "format/header.h"
#include "store/fill.h"
#include "sys/ofd.h"

#include <stdlib.h>
#include <string.h>

/* ---- the -lost file -------------------------------------------------------------------------- */

/* A section of the -lost file: this head, then the bytes. Big-endian.
 *
 *     0   8  "LXDBLOST"
 *     8   8  offset in the data file
 *     16  8  length
 *     24  8  time, ms since the epoch
 *     32  4  CRC-32 of the bytes
 */
#define LOST_HEAD 36u

int lx_lost_save(lx_core *core, lx_log *log, uint64_t off, uint64_t len)
{
    uint8_t head[LOST_HEAD];
    lx_file_info data, info;
    uint32_t crc = 0;
    int fd;
    int rc = lx_file_open(core->place.dirfd, core->lost_name, LX_FILE_CREATE, 0600, &fd);

    if (rc != LXDB_OK)
        return rc;
    rc = lx_file_info_get(log->fd, core->place.path, &data);
    if (rc == LXDB_OK)
        rc = lx_file_info_get(fd, core->lost_name, &info);
    if (rc == LXDB_OK)
        rc = lx_file_check_helper(&info, core->lost_name, data.uid);
    if (rc == LXDB_OK)
        rc = lx_file_copy_access(log->fd, fd, core->lost_name);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        return rc;
    }
    for (uint64_t at = 0; at < len;) {
        size_t part = len - at < 1u << 20 ? (size_t)(len - at) : 1u << 20;
        crc = lx_crc32(crc, log->map.base + off + at, part);
        rc = lx_file_write(fd, core->lost_name, log->map.base + off + at, part,
                           info.size + LOST_HEAD + at);
        if (rc != LXDB_OK)
            goto out;
        at += part;
    }
    memcpy(head, "LXDBLOST", 8);
    lx_put64(head + 8, off);
    lx_put64(head + 16, len);
    lx_put64(head + 24, (uint64_t)lx_wall_ms());
    lx_put32(head + 32, crc);
    rc = lx_file_write(fd, core->lost_name, head, sizeof head, info.size);
    if (rc == LXDB_OK)
        rc = lx_file_sync(fd, core->lost_name);
    if (rc == LXDB_OK)
        rc = lx_dir_sync(&core->place);
out:
    if (rc != LXDB_OK)
        (void)lx_file_truncate(fd, core->lost_name, info.size);
    lx_file_close(fd);
    return rc;
}

/* ---- building the index ---------------------------------------------------------------------- */

int lx_index_file_make(lx_core *core, const char *name, int data_fd, uint64_t records,
                       lx_index *ret_index)
{
    int fd;
    int rc = lx_file_remove(core->place.dirfd, name);

    if (rc == LXDB_OK)
        rc = lx_file_open(core->place.dirfd, name, LX_FILE_CREATE | LX_FILE_EXCL, 0600, &fd);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_file_copy_access(data_fd, fd, name);
    if (rc == LXDB_OK)
        rc = lx_index_make(fd, name, records, ret_index);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        (void)lx_file_remove(core->place.dirfd, name);
    }
    return rc;
}

struct build {
    lx_fill fill;
    bool repair_status;     /* status bytes := order */
    uint64_t dead;          /* records that are not live, control records left out */
    uint64_t odd_status;    /* ordered: puts that are dead by their status byte, */
    uint64_t without_cause; /* and of them, those that the order says are live */
    uint64_t last_off;
};

/* The version that is replaced or removed. */
static int retire_old(void *arg, const lx_found *found)
{
    struct build *build = arg;
    lx_log *log = build->fill.log;

    build->dead++;
    if (!build->repair_status || log->map.base[found->entry.record] == 0)
        return LXDB_OK;
    return lx_log_set_status(log, found->entry.record, 0);
}

static int build_event(void *arg, const lx_scan_event *event)
{
    struct build *build = arg;
    const lx_record *record = &event->record;

    build->last_off = record->off;
    if (event->control.kind != LX_CONTROL_NONE)
        return LXDB_OK;
    if (event->effect != LX_EFFECT_PUT)
        build->dead++;
    if (event->effect == LX_EFFECT_NONE)
        return LXDB_OK;
    if (event->effect == LX_EFFECT_DELETE)
        return lx_fill_remove(&build->fill, record->key, record->key_len);
    build->odd_status += record->status == 0;
    return lx_fill_put(&build->fill, record->key, record->key_len, event->slot,
                       record->off + record->len - event->slot, event->expiry_ms != 0);
}

/* Puts that the order says are live, but whose status byte is 0: set by a commit that was lost, or
 * by nobody. */
static int revive_event(void *arg, const lx_scan_event *event)
{
    struct build *build = arg;
    lx_index *index = build->fill.index;
    const lx_record *record = &event->record;
    lx_found found;
    int rc;

    if (event->effect != LX_EFFECT_PUT || record->status != 0)
        return LXDB_OK;
    rc = lx_index_find(index, build->fill.log, record->key, record->key_len,
                       lx_index_hash(index, record->key, record->key_len), &found);
    if (rc == LXDB_NOTFOUND || (rc == LXDB_OK && found.entry.off != event->slot))
        return LXDB_OK;
    build->without_cause += rc == LXDB_OK;
    if (rc == LXDB_OK && build->repair_status)
        rc = lx_log_set_status(build->fill.log, record->off, 1);
    return rc;
}

/* Phase 4. */
static int build_index(struct build *build, const lx_scan *scan)
{
    int rc = lx_scan_walk(scan, LX_HEADER_SIZE, build_event, build);

    if (rc == LXDB_OK)
        rc = lx_fill_flush(&build->fill);
    if (rc == LXDB_OK && build->odd_status != 0)
        rc = lx_scan_walk(scan, LX_HEADER_SIZE, revive_event, build);
    return rc;
}

/* The scan by which an index was built, as a receipt; time_ms stays 0 if there is nothing to tell.
 */
static int fill_receipt(const lx_scan *scan, struct build *build, lxdb_report *ret_report)
{
    int rc = LXDB_OK;

    if (!scan->ordered && !scan->bad_watermark && scan->damaged_count == 0 && scan->cut_bytes == 0)
        return LXDB_OK;
    if (!scan->ordered)
        rc = lx_count_without_cause(build->fill.log, scan, &build->without_cause);
    if (rc != LXDB_OK)
        return rc;
    lx_report_fill(scan, ret_report);
    ret_report->records_live = build->fill.records;
    ret_report->records_dead = build->dead;
    ret_report->live_bytes = build->fill.bytes;
    ret_report->dead_without_cause = build->without_cause;
    return LXDB_OK;
}

/* What only a view in use can be mended of. */
static int only_public(int rc)
{
    return rc > 0 ? LXDB_CORRUPT : rc;
}

/* ---- alone ----------------------------------------------------------------------------------- */

/* A kept index: clean, and of exactly this file as it is now? */
static bool index_matches(const lx_core *core, lx_log *log, const lx_index *index,
                          struct lx_index_seal *ret_seal)
{
    struct lx_index_seal seal;
    lx_file_info info;
    lx_record record;
    bool blank;
    uint32_t watermark;

    if (!lx_index_sealed(index, &seal) ||
        lx_file_info_get(log->fd, core->place.path, &info) != LXDB_OK ||
        !lx_file_id_equal(&seal.data, &info.id) || seal.data_size != info.size ||
        seal.data_change_ns != info.change_ns || seal.data_size < LX_HEADER_SIZE)
        return false;
    if (lx_header_decode(log->map.base, info.size, &blank, &watermark) != LXDB_OK || blank ||
        watermark != 0)
        return false;
    if (seal.last_off != 0 &&
        (!lx_record_parse(log->map.base, info.size, seal.last_off, &record) ||
         record.off + record.len != info.size || record.crc != seal.last_crc ||
         !lx_record_check(log->map.base, &record)))
        return false;
    if (seal.last_off == 0 && info.size != LX_HEADER_SIZE)
        return false;
    *ret_seal = seal;
    return true;
}

static bool try_kept_index(lx_core *core, lx_log *log, lx_index *ret_index,
                           struct lx_index_seal *ret_seal)
{
    lx_file_info data, info;
    int fd;

    if (lx_file_open(core->place.dirfd, core->index_name, 0, 0, &fd) != LXDB_OK)
        return false;
    if (lx_file_info_get(log->fd, core->place.path, &data) != LXDB_OK ||
        lx_file_info_get(fd, core->index_name, &info) != LXDB_OK ||
        lx_file_check_helper(&info, core->index_name, data.uid) != LXDB_OK ||
        lx_index_open(fd, core->index_name, true, ret_index) != LXDB_OK) {
        lx_file_close(fd);
        return false;
    }
    if (!index_matches(core, log, ret_index, ret_seal)) {
        lx_index_close(ret_index);
        return false;
    }
    lx_index_unseal(ret_index);
    return true;
}

/* Phase 2 and 3: nothing of what is cut may be read again. The file is cut short rather than
 * zeroed: of zeroes that reach the disk in part, what is left could be believed by the next scan of
 * a closed file. */
static int clear_tail(lx_core *core, lx_log *log, const lx_scan *scan)
{
    int rc;

    if (scan->cut_bytes == 0)
        return LXDB_OK;
    rc = lx_lost_save(core, log, scan->tail, scan->cut_bytes);
    if (rc == LXDB_OK)
        rc = lx_file_truncate(log->fd, core->place.path, scan->tail);
    atomic_store(&log->length, scan->tail);
    if (rc == LXDB_OK)
        rc = lx_log_sync(log);
    return rc;
}

/* A new file: write the header unless it is there, and make it durable, with its name. One that has
 * a header and no record yet may be of a creation whose sync failed, so that is done for it too. */
static int make_header(lx_core *core, lx_log *log, bool blank)
{
    uint8_t header[LX_HEADER_SIZE];
    int rc = LXDB_OK;

    lx_header_encode(header, 0);
    if (blank)
        rc = lx_file_write(log->fd, core->place.path, header, sizeof header, 0);
    if (rc == LXDB_OK)
        rc = lx_file_sync(log->fd, core->place.path);
    if (rc == LXDB_OK)
        rc = lx_dir_sync(&core->place);
    if (rc == LXDB_OK)
        rc = lx_log_reach(log, LX_HEADER_SIZE);
    return rc;
}

struct state {
    uint64_t tail, last, records, bytes, expiring, durable;
    uint32_t agreed;
    bool session, unsteppable;
};

/* Phase 5. After a failed sync of this boot (the poison is kept), a sync that succeeds proves
 * nothing of what was written before: then the watermark stays where it was. */
static int make_durable(lx_core *core, lx_log *log, const lx_scan *scan, uint64_t *ret_durable)
{
    uint32_t watermark = scan->ordered ? lx_watermark_encode(scan->tail) : 0;
    int rc;

    *ret_durable = 0;
    if (!scan->ordered && !scan->bad_watermark)
        return LXDB_OK;
    if (atomic_load(&core->control->head.poison) != 0) {
        *ret_durable = scan->ordered ? scan->watermark : 0;
        return LXDB_OK;
    }
    rc = lx_log_sync(log);
    if (rc == LXDB_OK && !scan->unsteppable)
        rc = lx_log_set_watermark(log, watermark);
    if (rc == LXDB_OK && !scan->ordered)
        rc = lx_log_sync(log);
    if (rc != LXDB_OK) {
        lx_poison_set(core->control);
        return rc;
    }
    *ret_durable = scan->ordered ? scan->tail : 0;
    return LXDB_OK;
}

/* Damage up to the end of a crashed log. Closed, the log would end at the last byte in it that is
 * not zero, and records that lead there would be believed. */
static bool ends_damaged(const lx_scan *scan)
{
    const lx_scan_range *last;

    if (scan->damaged_count == 0)
        return false;
    last = &scan->damaged[scan->damaged_count - 1];
    return last->off + last->len == scan->tail;
}

/* No index to trust: scan, put the file in order, build. */
static int rebuild(lx_core *core, lx_log *log, lx_index *ret_index, struct state *ret_state)
{
    lx_scan scan = {0};
    lx_index index = {.fd = -1};
    struct build build = {
        .fill = {.log = log, .index = &index, .retire = retire_old, .arg = &build},
    };
    lxdb_report report = {0};
    int rc;

    rc = lx_scan_plan(log->map.base, atomic_load(&log->length), NULL, NULL, &scan);
    if (rc == LXDB_NOTDB)
        return lx_fail(rc, "%s: not-a-database: it does not start like an LXDB file",
                       core->place.path);
    if (rc == LXDB_VERSION)
        return lx_fail(rc,
                       "%s: unsupported-version: written in a version of the format that is newer "
                       "than this library",
                       core->place.path);
    if (rc != LXDB_OK)
        return rc;
    if (scan.blank || (scan.tail == LX_HEADER_SIZE && scan.cut_bytes == 0)) {
        rc = make_header(core, log, scan.blank);
        if (rc != LXDB_OK)
            goto out;
    }
    /* a compaction may have died between giving the file its name and syncing that */
    if (scan.ordered) {
        rc = lx_dir_sync(&core->place);
        if (rc != LXDB_OK)
            goto out;
    }
    lx_step("recover-planned");
    build.repair_status = scan.ordered;
    /* A file that is compacted before its first change keeps its tail and its watermark until then:
     * they decide what is believed behind such damage, and the compaction has to come to this
     * verdict again. */
    scan.unsteppable = scan.unsteppable || (scan.ordered && ends_damaged(&scan));
    rc = scan.unsteppable ? LXDB_OK : clear_tail(core, log, &scan);
    if (rc != LXDB_OK)
        goto out;
    lx_step("recover-cut");
    rc = lx_index_file_make(core, core->index_name, log->fd, scan.records, &index);
    if (rc == LXDB_OK)
        rc = build_index(&build, &scan);
    if (rc != LXDB_OK)
        goto out;
    lx_step("recover-built");
    rc = fill_receipt(&scan, &build, &report);
    if (rc == LXDB_OK)
        rc = make_durable(core, log, &scan, &ret_state->durable);
    if (rc != LXDB_OK)
        goto out;
    lx_step("recover-ordered");
    ret_state->tail = scan.tail;
    ret_state->last = scan.damaged_count == 0 ? build.last_off : 0;
    ret_state->records = build.fill.records;
    ret_state->bytes = build.fill.bytes;
    ret_state->expiring = build.fill.expiring;
    ret_state->session = scan.ordered;
    if (scan.damaged_count != 0)
        ret_state->agreed = scan.ordered ? LX_AGREED : LX_DISAGREED;
    else
        ret_state->agreed = scan.ordered || build.dead == 0 ? LX_AGREED_UNDAMAGED : LX_DISAGREED;
    ret_state->unsteppable = scan.unsteppable;
    if (report.time_ms != 0) {
        lx_control_receipt_store(core->control, &report);
        atomic_fetch_add(&core->control->head.recoveries, 1);
    }
    *ret_index = index;
    index = (lx_index){.fd = -1};
out:
    lx_index_close(&index);
    lx_scan_free(&scan);
    return only_public(rc);
}

/* Phase 6. */
static int fill_block(lx_core *core, const lx_log *log, const lx_index *index,
                      const struct state *state)
{
    uint64_t generation = lx_control_generation(core->control);
    struct lx_control_block *block = lx_control_block(core->control, generation);
    lx_file_info data, index_info;
    int rc = lx_file_info_get(log->fd, core->place.path, &data);

    if (rc == LXDB_OK)
        rc = lx_file_info_get(index->fd, core->index_name, &index_info);
    if (rc != LXDB_OK)
        return rc;
    block->data = data.id;
    block->index = index_info.id;
    atomic_store(&block->tail, state->tail);
    atomic_store(&block->indexed, state->tail);
    atomic_store(&block->last, state->last);
    atomic_store(&block->records, state->records);
    atomic_store(&block->bytes, state->bytes);
    atomic_store(&block->expiring, state->expiring);
    atomic_store(&block->allocated, data.size);
    atomic_store(&block->session, state->session);
    atomic_store(&block->agreed, state->agreed);
    atomic_store(&block->unsteppable, state->unsteppable);
    /* what was read back may still be in the page cache alone, but for what a crashed session
     * left */
    atomic_store(&block->durable, state->durable);
    lx_control_publish(core->control, generation);
    return LXDB_OK;
}

int lx_recover(lx_core *core, int data_fd, lx_view **ret_view)
{
    struct lx_index_seal seal;
    lx_log log = {.fd = -1};
    lx_index index = {.fd = -1};
    struct state state = {0};
    int rc;

    lx_control_format(core->control);
    /* left by a compaction that died: whoever is alone may remove them */
    rc = lx_file_remove(core->place.dirfd, core->compact_name);
    if (rc == LXDB_OK)
        rc = lx_file_remove(core->place.dirfd, core->compact_index_name);
    if (rc == LXDB_OK)
        rc = lx_log_open(data_fd, core->place.name, true, &log);
    if (rc != LXDB_OK) {
        lx_file_close(data_fd);
        return rc;
    }
    if (try_kept_index(core, &log, &index, &seal)) {
        state.tail = seal.data_size;
        state.last = seal.last_off;
        state.records = seal.records;
        state.bytes = seal.bytes;
        state.expiring = seal.expiring;
        state.agreed = (uint32_t)seal.agreed;
    } else {
        rc = rebuild(core, &log, &index, &state);
    }
    if (rc == LXDB_OK)
        rc = fill_block(core, &log, &index, &state);
    if (rc == LXDB_OK)
        rc = lx_view_make(core, lx_control_generation(core->control), &log, &index,
                          lx_control_block(core->control, lx_control_generation(core->control)),
                          ret_view);
    if (rc != LXDB_OK) {
        lx_index_close(&index);
        lx_log_close(&log);
    }
    return rc;
}

/* ---- private --------------------------------------------------------------------------------- */

int lx_recover_private(lx_core *core, int data_fd, lx_view **ret_view)
{
    lx_scan scan = {0};
    lx_log log = {.fd = -1};
    lx_index index = {.fd = -1};
    struct build build = {
        .fill = {.log = &log, .index = &index, .retire = retire_old, .arg = &build},
    };
    uint64_t generation = atomic_load(&core->own_generation) + 1;
    lxdb_report receipt = {0};
    int rc = lx_log_open(data_fd, core->place.name, false, &log);

    if (rc != LXDB_OK)
        return rc;
    rc = lx_scan_plan(log.map.base, atomic_load(&log.length), NULL, NULL, &scan);
    if (rc == LXDB_NOTDB)
        rc = lx_fail(rc, "%s: not-a-database: it does not start like an LXDB file",
                     core->place.path);
    else if (rc == LXDB_VERSION)
        rc = lx_fail(rc,
                     "%s: unsupported-version: written in a version of the format that is newer "
                     "than this library",
                     core->place.path);
    if (rc == LXDB_OK)
        rc = lx_index_make(-1, "private index", scan.records, &index);
    if (rc == LXDB_OK)
        rc = build_index(&build, &scan);
    if (rc == LXDB_OK)
        rc = fill_receipt(&scan, &build, &receipt);
    if (rc == LXDB_OK)
        rc = lx_view_make(core, generation, &log, &index, NULL, ret_view);
    if (rc == LXDB_OK) {
        (*ret_view)->tail = scan.tail;
        (*ret_view)->records = build.fill.records;
        (*ret_view)->expiring = build.fill.expiring;
        (*ret_view)->bytes = build.fill.bytes;
        (*ret_view)->receipt = receipt;
        atomic_store(&core->own_generation, generation);
    } else {
        lx_index_close(&index);
        /* the descriptor stays the caller's */
        lx_map_close(&log.map);
    }
    lx_scan_free(&scan);
    return only_public(rc);
}
