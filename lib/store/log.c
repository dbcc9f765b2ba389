/* SPDX-License-Identifier: MIT */
/* The data file: see log.h. */
#include "store/log.h"

#include "base/crc.h"
#include "format/header.h"
#include "sys/io.h"

#define CHUNK_MIN (UINT64_C(256) << 10)
#define CHUNK_MAX (UINT64_C(64) << 20)
#define RESERVE_MIN (UINT64_C(256) << 20) /* address space, not memory */
#define PAD_MAX (UINT64_C(1) << 31)       /* one PAD record; longer ranges take several */
/* Written at once, a step becomes one folio; larger ones may take the kernel many times as long. */
#define TOUCH_STEP (32u << 10)

int lx_log_open(int fd, const char *name, bool writable, lx_log *ret_log)
{
    lx_log log = {.fd = fd, .writable = writable, .name = name};
    lx_file_info info;
    uint64_t want;
    int rc;

    rc = lx_file_info_get(fd, name, &info);
    if (rc != LXDB_OK)
        return rc;
    want = info.size > UINT64_MAX / 8 ? info.size : info.size * 4;
    if (want < RESERVE_MIN)
        want = RESERVE_MIN;
    rc = lx_map_open(fd, name, info.size ? info.size : 1, writable ? want : info.size + RESERVE_MIN,
                     writable, &log.map);
    if (rc != LXDB_OK)
        return rc;
    atomic_init(&log.length, info.size < log.map.size ? info.size : log.map.size);
    log.by_pwrite = writable && lx_file_rewrites_allocate(fd);
    *ret_log = log;
    return LXDB_OK;
}

void lx_log_close(lx_log *log)
{
    if (log->map.base == NULL)
        return;
    lx_map_close(&log->map);
    lx_file_close(log->fd);
    log->fd = -1;
}

/* Without a sentence: who asks for what a length says does not know yet that it is damage. */
static int reach(lx_log *log, uint64_t need)
{
    uint64_t length = atomic_load_explicit(&log->length, memory_order_relaxed);
    lx_file_info info;
    uint64_t size;
    int rc;

    if (need <= length)
        return LXDB_OK;
    rc = lx_file_info_get(log->fd, log->name, &info);
    if (rc != LXDB_OK)
        return rc;
    if (info.size < need)
        return LXDB_CORRUPT;
    size = info.size < log->map.size ? info.size : log->map.size;
    while (length < size &&
           !atomic_compare_exchange_weak_explicit(&log->length, &length, size, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
    return need <= size ? LXDB_OK : LX_AGAIN;
}

int lx_log_reach(lx_log *log, uint64_t need)
{
    int rc = reach(log, need);

    return rc == LXDB_CORRUPT
               ? lx_fail(rc, "%s: the file is shorter than its log: it was cut from outside",
                         log->name)
               : rc;
}

/* Parse at `off`, with the length of the file looked up again before anything is called damage. */
static int parse(lx_log *log, uint64_t off, lx_record *ret_record)
{
    int rc = reach(log, off > UINT64_MAX - LX_RECORD_HEADER ? off : off + LX_RECORD_HEADER);

    if (rc != LXDB_OK)
        return rc;
    uint32_t k = lx_get16(log->map.base + off + 1);
    uint32_t v = lx_get32(log->map.base + off + 3);
    rc = reach(log, off + lx_record_size(k, v));
    if (rc != LXDB_OK)
        return rc;
    if (!lx_record_parse(log->map.base, atomic_load_explicit(&log->length, memory_order_relaxed),
                         off, ret_record))
        return LXDB_CORRUPT;
    return LXDB_OK;
}

int lx_log_entry(lx_log *log, uint64_t off, lx_entry *ret_entry)
{
    lx_record record;
    lx_entry entry = {.off = off, .record = off};
    uint64_t len = 0;
    int rc = parse(log, off, &record);

    if (rc != LXDB_OK)
        return rc;
    /* Only a GROUP is born dead under a slot; a put that was just replaced may be dead by now. A
     * user's record may look like one but for its CRC, so that is what decides. */
    if (record.status == 0 && record.key_len == LX_CONTROL_KEY_LEN &&
        record.value_len == LX_GROUP_VALUE &&
        memcmp(record.key, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN) == 0 &&
        lx_record_check(log->map.base, &record)) {
        lx_control control = lx_control_parse(&record);
        if (control.kind == LX_CONTROL_GROUP) {
            entry.expiry_ms = control.expiry_ms;
            len = record.len;
            entry.record = off + record.len;
            rc = parse(log, entry.record, &record);
            if (rc != LXDB_OK)
                return rc;
        }
    }
    entry.len = len + record.len;
    entry.key = record.key;
    entry.key_len = record.key_len;
    entry.value = record.value;
    entry.value_len = record.value_len;
    *ret_entry = entry;
    return LXDB_OK;
}

int lx_log_store(lx_log *log, uint64_t off, const void *bytes, size_t len)
{
    lx_debug_assert(off + len <= atomic_load(&log->length));
    if (LX_UNLIKELY(log->by_pwrite))
        return lx_file_write(log->fd, log->name, bytes, len, off);
    lx_io->store(log->map.base + off, bytes, len);
    return LXDB_OK;
}

int lx_log_store_zeros(lx_log *log, uint64_t off, uint64_t len)
{
    static const uint8_t zeros[65536];

    while (len > 0) {
        size_t part = len < sizeof zeros ? (size_t)len : sizeof zeros;
        int rc = lx_log_store(log, off, zeros, part);
        if (rc != LXDB_OK)
            return rc;
        off += part;
        len -= part;
    }
    return LXDB_OK;
}

int lx_log_set_status(lx_log *log, uint64_t off, uint8_t status)
{
    return lx_log_store(log, off, &status, 1);
}

int lx_log_set_watermark(lx_log *log, uint32_t watermark)
{
    uint8_t bytes[4];

    lx_put32(bytes, watermark);
    return lx_log_store(log, LX_WATERMARK_OFFSET, bytes, sizeof bytes);
}

int lx_log_grow(lx_log *log, uint64_t allocated, uint64_t need, uint64_t *ret_allocated)
{
    uint64_t chunk = allocated / 4;
    uint64_t size;
    int rc;

    if (chunk < CHUNK_MIN)
        chunk = CHUNK_MIN;
    if (chunk > CHUNK_MAX)
        chunk = CHUNK_MAX;
    if (need > INT64_MAX - 2 * chunk || need > LX_SLOT_OFFSET_MASK - 2 * chunk)
        return lx_fail(LXDB_NOSPACE, "%s: the log would pass 256 TiB", log->name);
    size = need > allocated + chunk ? need : allocated + chunk;
    size = (size + CHUNK_MIN - 1) / CHUNK_MIN * CHUNK_MIN;
    rc = lx_file_allocate(log->fd, log->name, allocated, size - allocated);
    if (rc == LXDB_NOSPACE && size > need) {
        /* nearly full: what is needed and no more */
        size = need;
        rc = lx_file_allocate(log->fd, log->name, allocated, size - allocated);
    }
    if (rc != LXDB_OK)
        return rc;
    *ret_allocated = size;
    return lx_log_reach(log, size);
}

uint64_t lx_log_touch(lx_log *log, uint64_t from, uint64_t to, uint64_t allocated)
{
    static const uint8_t zeros[TOUCH_STEP];

    if (log->by_pwrite)
        return UINT64_MAX; /* no page of it is ever mapped for writing */
    while (from < to) {
        uint64_t end = (from / TOUCH_STEP + 1) * TOUCH_STEP;

        if (end > allocated)
            return UINT64_MAX; /* the last pages fault one by one, until the file grows */
        if (lx_io->pwrite(log->fd, zeros, (size_t)(end - from), (off_t)from) !=
            (ssize_t)(end - from))
            return to;
        from = end;
    }
    return from;
}

/* One PAD, filled with zeros, its CRC made along the way. */
static int cover_one(lx_log *log, uint64_t from, uint64_t len)
{
    static const uint8_t zeros[4096];
    uint8_t head[LX_PAD_SIZE_MIN];
    uint8_t crc_bytes[4];
    uint64_t filler = len - LX_PAD_SIZE_MIN;
    uint32_t crc;
    int rc;

    lx_record_encode_head(head, 0, LX_CONTROL_KEY_LEN, (uint32_t)(filler + LX_PAD_VALUE_MIN));
    memcpy(head + LX_RECORD_HEADER, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN);
    head[LX_RECORD_HEADER + LX_CONTROL_KEY_LEN] = 'P';
    lx_put64(head + LX_RECORD_HEADER + LX_CONTROL_KEY_LEN + 1, from);
    crc = lx_crc32(0, head, LX_PAD_SIZE_MIN - 4);
    for (uint64_t left = filler; left > 0;) {
        size_t part = left < sizeof zeros ? (size_t)left : sizeof zeros;
        crc = lx_crc32(crc, zeros, part);
        left -= part;
    }
    lx_put32(crc_bytes, crc);
    rc = lx_log_store_zeros(log, from + LX_PAD_SIZE_MIN - 4, filler);
    if (rc == LXDB_OK)
        rc = lx_log_store(log, from, head, LX_PAD_SIZE_MIN - 4);
    if (rc == LXDB_OK)
        rc = lx_log_store(log, from + len - 4, crc_bytes, sizeof crc_bytes);
    return rc;
}

int lx_log_cover(lx_log *log, uint64_t from, uint64_t to)
{
    lx_assert(to > from && to - from >= LX_PAD_SIZE_MIN);
    while (from < to) {
        uint64_t len = to - from;
        int rc;

        if (len > PAD_MAX)
            len = len - PAD_MAX >= LX_PAD_SIZE_MIN ? PAD_MAX : PAD_MAX - LX_PAD_SIZE_MIN;
        rc = cover_one(log, from, len);
        if (rc != LXDB_OK)
            return rc;
        from += len;
    }
    return LXDB_OK;
}

int lx_log_sync(lx_log *log)
{
    return lx_file_sync(log->fd, log->name);
}

int lx_log_sync_range(lx_log *log, uint64_t from, uint64_t to)
{
    lx_debug_assert(log->writable);
    if (from >= to || to > log->map.size)
        return lx_log_sync(log);
    return lx_map_sync(&log->map, log->fd, log->name, from, to);
}
