/* SPDX-License-Identifier: MIT */
/*
 * The first write of a session. In a closed file the status bytes say what is live; once the
 * watermark is set the order of the log does. So before the watermark is stored, both must say the
 * same:
 *
 *   a  a key that is dead by a status byte alone, without a marker behind it, gets a delete marker
 *   b  a live record that a later dead one of its key would overrule is written again
 *   c  a live record that a later live one has replaced gets its status byte set to 0
 *
 * None of these changes what a reader of the closed file sees, so they may be done, and cut short
 * by a death, before the watermark is set. They are done in chunks, between which the writer lock
 * is let go; whoever takes it next goes on, from a fresh look at the log. Files that this library
 * closed need none of it.
 *
 * INV-1  What is live is read from the log: the index is a cache, and a key that damage hides in it
 *        must not die.
 */
#include "base/crc.h"
#include "engine/view.h"
#include "format/header.h"

#include <stdlib.h>
#include <string.h>

/* One hold of the lock lasts this long, or as long as the look at the log took, if that is longer:
 * then all holds together take at most twice as long as they must. */
#define HOLD_NS 100000000u

/* By the log, each in an index of its own: the last record of every key, dead or alive, and the one
 * that is its value. */
struct agree {
    lx_view *view;
    lx_index last, live;
    uint64_t done;
    uint64_t until_ns;
    uint64_t at; /* tail: where the next record goes */
};

/* What the order of the log passes over: control records, and what was born dead with a value. */
static bool has_no_say(const lx_scan_event *event)
{
    return event->control.kind != LX_CONTROL_NONE ||
           (event->record.born == 0 && event->record.value_len != 0);
}

/* Let the slot of a record's key in a private index lead to `off`; 0: nowhere. */
static int note(struct agree *agree, lx_index *index, const lx_record *record, uint64_t off)
{
    uint64_t hash = lx_index_hash(index, record->key, record->key_len);
    lx_found found;
    int rc;

    if (off == 0) {
        rc = lx_index_find(index, &agree->view->log, record->key, record->key_len, hash, &found);
        if (rc == LXDB_OK)
            lx_index_remove(found.at);
        return rc == LXDB_NOTFOUND ? LXDB_OK : rc;
    }
    rc = lx_index_add(index, &agree->view->log, record->key, record->key_len, hash, off, &found);
    if (rc != LXDB_EXISTS)
        return rc;
    lx_index_replace(found.at, off);
    return LXDB_OK;
}

static int note_record(void *arg, const lx_scan_event *event)
{
    struct agree *agree = arg;
    int rc;

    if (has_no_say(event))
        return LXDB_OK;
    rc = note(agree, &agree->last, &event->record, event->record.off);
    if (rc == LXDB_OK && event->effect == LX_EFFECT_PUT)
        rc = note(agree, &agree->live, &event->record, event->slot);
    else if (rc == LXDB_OK && event->effect == LX_EFFECT_DELETE)
        rc = note(agree, &agree->live, &event->record, 0);
    return rc;
}

struct fix {
    struct agree *agree;
    lx_writer *writer;
};

static int grow_for(lx_writer *writer, uint64_t need)
{
    uint64_t allocated = atomic_load(&writer->block->allocated), grown = allocated;
    int rc;

    if (need <= allocated)
        return lx_log_reach(&writer->view->log, need);
    rc = lx_log_grow(&writer->view->log, allocated, need, &grown);
    if (grown > allocated)
        atomic_store(&writer->block->allocated, grown);
    return rc;
}

/* Append a record, outside the commit protocol: nothing of it counts before the watermark is set.
 * With `like->value` NULL it is a delete marker, else a put, behind a GROUP if it has an expiry. */
static int append(struct fix *fix, const lx_entry *like, uint64_t *ret_slot)
{
    struct lx_control_block *block = fix->writer->block;
    lx_log *log = &fix->writer->view->log;
    uint8_t status = like->value != NULL;
    uint8_t head[LX_RECORD_HEADER], crc_bytes[4];
    uint64_t slot = fix->agree->at, at = slot;
    uint64_t size = lx_record_size(like->key_len, like->value_len);
    uint32_t crc;
    int rc;

    if (fix->agree->done % 64 == 63 && lx_now_ns() > fix->agree->until_ns)
        return LXDB_BUSY;
    rc = grow_for(fix->writer, at + LX_GROUP_SIZE + size + LX_PAD_SIZE_MIN);
    if (rc != LXDB_OK)
        return rc;
    if (like->expiry_ms != 0) {
        uint8_t group[LX_GROUP_SIZE];

        lx_group_encode(group, at, 1, size, like->expiry_ms);
        rc = lx_log_store(log, at, group, sizeof group);
        at += sizeof group;
    }
    lx_record_encode_head(head, status, like->key_len, like->value_len);
    crc = lx_crc32(0, head, sizeof head);
    crc = lx_crc32(crc, like->key, like->key_len);
    if (like->value_len != 0)
        crc = lx_crc32(crc, like->value, like->value_len);
    lx_put32(crc_bytes, crc);
    if (rc == LXDB_OK)
        rc = lx_log_store(log, at, head, sizeof head);
    if (rc == LXDB_OK)
        rc = lx_log_store(log, at + sizeof head, like->key, like->key_len);
    if (rc == LXDB_OK && like->value_len != 0)
        rc = lx_log_store(log, at + sizeof head + like->key_len, like->value, like->value_len);
    if (rc == LXDB_OK)
        rc = lx_log_store(log, at + size - 4, crc_bytes, sizeof crc_bytes);
    if (rc != LXDB_OK)
        return rc;
    atomic_store(&block->last, at);
    fix->agree->at = at + size;
    fix->agree->done++;
    atomic_store_explicit(&block->tail, at + size, memory_order_release);
    atomic_store_explicit(&block->indexed, at + size, memory_order_release);
    *ret_slot = slot;
    return LXDB_OK;
}

/* (b) Both copies are live and equal until the old one is dead: a reader of the closed file takes
 * the last. */
static int write_again(struct fix *fix, const lx_entry *entry)
{
    lx_view *view = fix->writer->view;
    uint64_t hash = lx_index_hash(&view->index, entry->key, entry->key_len);
    lx_entry again = *entry;
    lx_found found;
    uint64_t slot;
    bool moved;
    int rc;

    if (again.value == NULL)
        again.value = again.key + again.key_len;
    rc = append(fix, &again, &slot);
    if (rc == LXDB_OK)
        rc = lx_index_make_room(&view->index, &view->log, hash, 0, &moved);
    if (rc == LXDB_OK)
        rc = lx_index_find(&view->index, &view->log, entry->key, entry->key_len, hash, &found);
    if (rc == LXDB_NOTFOUND)
        rc = lx_index_damaged(&view->index, "a key is missing");
    if (rc != LXDB_OK)
        return rc;
    lx_index_replace(found.at, slot);
    return LXDB_OK; /* the old copy is killed by a later chunk, once this one is on the disk */
}

/* Make order and status agree on one record. LXDB_BUSY: enough for this hold of the lock. */
static int fix_event(void *arg, const lx_scan_event *event)
{
    struct fix *fix = arg;
    struct agree *agree = fix->agree;
    const lx_record *record = &event->record;
    lx_view *view = agree->view;
    lx_found live, last;
    uint64_t slot;
    bool is_live;
    int rc;

    if (has_no_say(event))
        return LXDB_OK;
    rc = lx_index_find(&agree->live, &view->log, record->key, record->key_len,
                       lx_index_hash(&agree->live, record->key, record->key_len), &live);
    is_live = rc == LXDB_OK;
    if (rc != LXDB_OK && rc != LXDB_NOTFOUND)
        return rc;
    if (record->status == 1) {
        if (is_live && live.entry.record == record->off)
            return LXDB_OK;
        return lx_log_set_status(&view->log, record->off, 0); /* c */
    }
    rc = lx_index_find(&agree->last, &view->log, record->key, record->key_len,
                       lx_index_hash(&agree->last, record->key, record->key_len), &last);
    if (rc != LXDB_OK)
        return rc;
    if (last.entry.off != record->off)
        return LXDB_OK; /* what comes later for this key decides */
    if (is_live)
        return live.entry.record > record->off ? LXDB_OK : write_again(fix, &live.entry);
    if (record->born == 0)
        return LXDB_OK; /* dead either way */
    return append(fix, &(lx_entry){.key = record->key, .key_len = record->key_len}, &slot); /* a */
}

/* One chunk. LX_AGAIN: there is more. */
static int agree_chunk(lx_writer *writer)
{
    struct lx_control_block *block = writer->block;
    struct agree agree = {.view = writer->view, .last = {.fd = -1}, .live = {.fd = -1}};
    struct fix fix = {&agree, writer};
    lx_scan scan = {0};
    int rc;

    uint64_t started = lx_now_ns(), took;

    /* what replaces a record is on the disk before that is killed, and all of it before W says
     * so */
    rc = lx_log_sync(&writer->view->log);
    if (rc != LXDB_OK) {
        lx_poison_set(writer->core->control);
        return rc;
    }
    agree.at = atomic_load(&block->tail);
    rc = lx_log_reach(&writer->view->log, agree.at);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_scan_plan(writer->view->log.map.base, agree.at, NULL, NULL, &scan);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_index_make(-1, "private index", scan.records, &agree.last);
    if (rc == LXDB_OK)
        rc = lx_index_make(-1, "private index", scan.records, &agree.live);
    if (rc == LXDB_OK)
        rc = lx_scan_walk(&scan, LX_HEADER_SIZE, note_record, &agree);
    took = lx_now_ns() - started;
    agree.until_ns = lx_now_ns() + (took > HOLD_NS ? took : HOLD_NS);
    if (rc == LXDB_OK)
        rc = lx_scan_walk(&scan, LX_HEADER_SIZE, fix_event, &fix);
    if (rc == LXDB_BUSY || (rc == LXDB_OK && agree.done != 0))
        rc = LX_AGAIN;
    else if (rc == LXDB_OK)
        atomic_store(&block->agreed, scan.damaged_count == 0 ? LX_AGREED_UNDAMAGED : LX_AGREED);
    lx_index_close(&agree.last);
    lx_index_close(&agree.live);
    lx_scan_free(&scan);
    return rc;
}

int lx_session_begin(lx_writer *writer)
{
    struct lx_control_block *block = writer->block;
    lx_log *log = &writer->view->log;
    uint64_t tail;
    int rc;

    atomic_store_explicit(&writer->lock->holder_task, LX_TASK_PREPARE, memory_order_relaxed);
    if (atomic_load(&block->unsteppable))
        return LX_COMPACT_FIRST; /* a later scan could not step over the damage by lengths */
    if (!atomic_load(&block->agreed)) {
        rc = agree_chunk(writer);
        return rc == LXDB_OK ? LX_AGAIN : rc;
    }
    tail = atomic_load(&block->tail);
    rc = grow_for(writer, tail + LX_PAD_SIZE_MIN);
    if (rc != LXDB_OK)
        return rc;
    rc = lx_log_set_watermark(log, lx_watermark_encode(tail));
    lx_step("session-marked");
    if (rc == LXDB_OK)
        rc = lx_log_sync(log);
    if (rc != LXDB_OK) {
        lx_poison_set(writer->core->control);
        return rc;
    }
    lx_step("session-synced");
    atomic_store_explicit(&block->session, 1, memory_order_relaxed);
    return LXDB_OK;
}
