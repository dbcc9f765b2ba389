/* SPDX-License-Identifier: MIT */
/*
 * A second reader of data files, for small ones: what docs/format.md says, sections 1 to 5, written
 * from that page alone, byte by byte and without a thought for speed, so that it shares neither
 * code nor cleverness with lib/format/. Not even its CRC is the library's.
 */
#ifndef LXDB_FUZZ_NAIVE_H
#define LXDB_FUZZ_NAIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAIVE_MAX 8192u /* bytes of a file */

enum naive_word { NAIVE_READABLE, NAIVE_NOT_A_DATABASE, NAIVE_UNSUPPORTED_VERSION };

struct naive_record {
    size_t off, end;
    char kind;   /* 'G', 'P', or 0: no control record */
    char effect; /* '+' this is the key's value, '-' the key is gone, 0 */
    size_t slot; /* of a put: `off`, or that of the GROUP which gives it its expiry */
    int64_t expiry;
};

struct naive_range {
    size_t off, end;
};

struct naive {
    enum naive_word word; /* then, if READABLE: */
    bool blank, crashed, bad_watermark;
    bool unsteppable; /* some damaged range is not stepped over by lengths that stand in it */
    size_t tail, cut;
    size_t n_records, n_damaged;
    struct naive_record records[NAIVE_MAX / 12 + 1];
    struct naive_range damaged[NAIVE_MAX];
};

void naive_start(void); /* once, before the others */
uint32_t naive_crc(const uint8_t *bytes, size_t len);
/* The verdict on a file; good until the next call. */
const struct naive *naive_scan(const uint8_t *bytes, size_t size);

#endif
