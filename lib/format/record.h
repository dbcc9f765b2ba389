/* SPDX-License-Identifier: MIT */
/*
 * A record of the log, and the control records in it. Bytes in, structs out.
 *
 *     0      1  status: 0x01 live, 0x00 dead
 *     1      2  key length K, big-endian, at least 1
 *     3      4  value length V, big-endian
 *     7      K  key
 *     7+K    V  value
 *     7+K+V  4  CRC-32, big-endian, over all preceding bytes
 *
 * The status byte may be set to 0 later without a new CRC, so a dead record's CRC matches with the
 * status it was born with. `born` tells which: 1 a put, 0 a delete marker or a control record.
 *
 * Control records are born dead, with the key 00 6c 78 64 62 and a value that starts
 *
 *     0  1  kind: 'G' or 'P'
 *     1  8  the record's own offset in the file, big-endian; another one: no control record
 *
 * GROUP 'G' goes on: 9 u32 records that follow and belong together, 13 u64 their bytes,
 * 21 i64 expiry in ms since the epoch or 0 (29 bytes in all). PAD 'P' goes on with filler.
 */
#ifndef LX_FORMAT_RECORD_H
#define LX_FORMAT_RECORD_H

#include "base/byteorder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LX_RECORD_HEADER 7u
#define LX_RECORD_OVERHEAD 11u /* header and CRC */
#define LX_KEY_MAX 65535u
#define LX_VALUE_MAX UINT32_MAX
#define LX_CONTROL_KEY "\0lxdb"
#define LX_CONTROL_KEY_LEN 5u
#define LX_GROUP_VALUE 29u
#define LX_GROUP_SIZE (LX_RECORD_OVERHEAD + LX_CONTROL_KEY_LEN + LX_GROUP_VALUE) /* 45 */
#define LX_PAD_VALUE_MIN 9u
#define LX_PAD_SIZE_MIN (LX_RECORD_OVERHEAD + LX_CONTROL_KEY_LEN + LX_PAD_VALUE_MIN) /* 25 */

/* The CRC of the first byte alone, where the CRC of every record starts. */
#define LX_RECORD_CRC_LIVE 0xa505df1bu
#define LX_RECORD_CRC_DEAD 0xd202ef8du

typedef struct lx_record {
    uint64_t off; /* of its first byte */
    uint64_t len; /* of the whole record */
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_len;
    uint32_t value_len;
    uint32_t crc;   /* as stored */
    uint8_t status; /* as stored: 0 or 1 */
    uint8_t born;   /* the status that the CRC was made with; set by lx_record_check() */
} lx_record;

static inline uint64_t lx_record_size(uint64_t key_len, uint64_t value_len)
{
    return LX_RECORD_OVERHEAD + key_len + value_len;
}

/* The head of a record of these lengths, without looking at any CRC. */
void lx_record_encode_head(uint8_t ret_head[LX_RECORD_HEADER], uint8_t status, uint32_t key_len,
                           uint32_t value_len);
/* Write a whole record to `out` (of lx_record_size() bytes). */
void lx_record_encode(uint8_t *out, uint8_t status, const void *key, uint32_t key_len,
                      const void *value, uint32_t value_len);

/* Take apart the bytes at `off` of `size` bytes of data: true if status, lengths and size agree.
 * The CRC is not looked at, `born` is not set. Never reads outside [off, size). */
static inline bool lx_record_parse(const uint8_t *data, uint64_t size, uint64_t off,
                                   lx_record *ret_record)
{
    if (off > size || size - off < LX_RECORD_OVERHEAD + 1)
        return false;

    const uint8_t *head = data + off;
    /* Another process may kill the record meanwhile: look at its status once. */
    uint8_t status = __atomic_load_n(head, __ATOMIC_RELAXED);
    uint32_t key_len = lx_get16(head + 1);
    uint32_t value_len = lx_get32(head + 3);
    uint64_t len = lx_record_size(key_len, value_len);

    if (status > 1 || key_len == 0 || len > size - off)
        return false;
    *ret_record = (lx_record){
        .off = off,
        .len = len,
        .key = head + LX_RECORD_HEADER,
        .value = head + LX_RECORD_HEADER + key_len,
        .key_len = key_len,
        .value_len = value_len,
        .crc = lx_get32(head + len - 4),
        .status = status,
    };
    return true;
}

/* Check the CRC of a parsed record, with status 1 first, then with 0; a live one must match with 1.
 * True if it is whole; sets `born`. */
bool lx_record_check(const uint8_t *data, lx_record *record);

/* Whether a record deletes its key: born dead, with no value. What is born dead with a value is a
 * control record, or one that a foreign writer killed with a new CRC: neither means anything for
 * other records. */
static inline bool lx_record_is_marker(const lx_record *record)
{
    return record->born == 0 && record->value_len == 0;
}

enum lx_control_kind { LX_CONTROL_NONE, LX_CONTROL_GROUP, LX_CONTROL_PAD };

typedef struct lx_control {
    enum lx_control_kind kind;
    uint32_t count;    /* GROUP: records that follow */
    uint64_t bytes;    /* GROUP: their bytes */
    int64_t expiry_ms; /* GROUP: 0 = none */
} lx_control;

/* What kind of control record a record is, if any; `born` must be set (a reader that trusts the
 * log, and has not checked the CRC, may set born = status). An unknown kind byte is
 * LX_CONTROL_NONE. */
lx_control lx_control_parse(const lx_record *record);
void lx_group_encode(uint8_t ret_group[LX_GROUP_SIZE], uint64_t off, uint32_t count, uint64_t bytes,
                     int64_t expiry_ms);
/* Write one PAD record of exactly `len` bytes (LX_PAD_SIZE_MIN at least, and its value at most
 * LX_VALUE_MAX), as it stands at `off`; the filler is zeros. */
void lx_pad_encode(uint8_t *out, uint64_t len, uint64_t off);

#endif
