/* SPDX-License-Identifier: MIT */
/* Records and control records: bytes in, structs out. */
#include "format/record.h"

#include "base/assert.h"
#include "base/byteorder.h"
#include "base/crc.h"

#define OWN_OFFSET 1u /* places in the value of a control record */
#define GROUP_COUNT 9u
#define GROUP_BYTES 13u
#define GROUP_EXPIRY 21u

_Static_assert(LX_RECORD_OVERHEAD == 1 + 2 + 4 + 4, "status, two lengths, CRC");
_Static_assert(LX_GROUP_SIZE == 45 && GROUP_EXPIRY + 8 == LX_GROUP_VALUE, "layout of a GROUP");
_Static_assert(LX_PAD_SIZE_MIN == 25 && OWN_OFFSET + 8 == LX_PAD_VALUE_MIN, "layout of a PAD");

void lx_record_encode_head(uint8_t ret_head[LX_RECORD_HEADER], uint8_t status, uint32_t key_len,
                           uint32_t value_len)
{
    lx_debug_assert(status <= 1 && key_len >= 1 && key_len <= LX_KEY_MAX);
    ret_head[0] = status;
    lx_put16(ret_head + 1, (uint16_t)key_len);
    lx_put32(ret_head + 3, value_len);
}

static void seal(uint8_t *record, uint64_t len)
{
    lx_put32(record + len - 4, lx_crc32(0, record, (size_t)(len - 4)));
}

void lx_record_encode(uint8_t *out, uint8_t status, const void *key, uint32_t key_len,
                      const void *value, uint32_t value_len)
{
    lx_record_encode_head(out, status, key_len, value_len);
    memcpy(out + LX_RECORD_HEADER, key, key_len);
    if (value_len > 0)
        memcpy(out + LX_RECORD_HEADER + key_len, value, value_len);
    seal(out, lx_record_size(key_len, value_len));
}

/* The CRC that the record has if its status is `status`, whatever that byte is at this moment. */
static uint32_t crc_with_status(const uint8_t *data, const lx_record *record, uint8_t status)
{
    uint32_t crc = status == 1 ? LX_RECORD_CRC_LIVE : LX_RECORD_CRC_DEAD;

    return lx_crc32(crc, data + record->off + 1, (size_t)(record->len - 5));
}

bool lx_record_check(const uint8_t *data, lx_record *record)
{
    if (crc_with_status(data, record, 1) == record->crc)
        record->born = 1;
    else if (record->status == 0 && crc_with_status(data, record, 0) == record->crc)
        record->born = 0;
    else
        return false;
    return true;
}

lx_control lx_control_parse(const lx_record *record)
{
    lx_control control = {.kind = LX_CONTROL_NONE};
    const uint8_t *value = record->value;

    if (record->born != 0 || record->key_len != LX_CONTROL_KEY_LEN ||
        memcmp(record->key, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN) != 0 ||
        record->value_len < LX_PAD_VALUE_MIN || lx_get64(value + OWN_OFFSET) != record->off)
        return control;
    if (value[0] == 'G' && record->value_len == LX_GROUP_VALUE) {
        control.kind = LX_CONTROL_GROUP;
        control.count = lx_get32(value + GROUP_COUNT);
        control.bytes = lx_get64(value + GROUP_BYTES);
        control.expiry_ms = (int64_t)lx_get64(value + GROUP_EXPIRY);
    } else if (value[0] == 'P') {
        control.kind = LX_CONTROL_PAD;
    }
    return control;
}

/* Head, key, kind and own offset of a control record; returns its value. */
static uint8_t *encode_control(uint8_t *out, uint8_t kind, uint32_t value_len, uint64_t off)
{
    uint8_t *value = out + LX_RECORD_HEADER + LX_CONTROL_KEY_LEN;

    lx_record_encode_head(out, 0, LX_CONTROL_KEY_LEN, value_len);
    memcpy(out + LX_RECORD_HEADER, LX_CONTROL_KEY, LX_CONTROL_KEY_LEN);
    value[0] = kind;
    lx_put64(value + OWN_OFFSET, off);
    return value;
}

void lx_group_encode(uint8_t ret_group[LX_GROUP_SIZE], uint64_t off, uint32_t count, uint64_t bytes,
                     int64_t expiry_ms)
{
    uint8_t *value = encode_control(ret_group, 'G', LX_GROUP_VALUE, off);

    lx_put32(value + GROUP_COUNT, count);
    lx_put64(value + GROUP_BYTES, bytes);
    lx_put64(value + GROUP_EXPIRY, (uint64_t)expiry_ms);
    seal(ret_group, LX_GROUP_SIZE);
}

void lx_pad_encode(uint8_t *out, uint64_t len, uint64_t off)
{
    uint64_t overhead = LX_PAD_SIZE_MIN - LX_PAD_VALUE_MIN;

    lx_assert(len >= LX_PAD_SIZE_MIN && len - overhead <= LX_VALUE_MAX);
    uint8_t *value = encode_control(out, 'P', (uint32_t)(len - overhead), off);
    memset(value + LX_PAD_VALUE_MIN, 0, (size_t)(len - LX_PAD_SIZE_MIN));
    seal(out, len);
}
