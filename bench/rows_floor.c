/* SPDX-License-Identifier: MIT */
/* The floors. All pages are touched before the clock starts. */
#include "bench/rows_floor.h"

#include "bench/common.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADER 7 /* of a record: status, two lengths */
#define CRC 4
#define VALUE_MAX 160

struct slot {
    uint32_t tag; /* more bits of the hash */
    uint32_t at;  /* where its data begins, plus one; 0: empty */
};

/* The value that a get has copied. */
struct result {
    uint32_t len;
    char value[VALUE_MAX];
};

/* A mapped file. */
struct log {
    char *map;
    size_t size;
};

struct floor {
    const struct pair *pairs;
    size_t n;
    struct slot *slots;
    size_t mask;
    char *data; /* key length, value length, key, value, of each record */
    struct result *results;
    struct log log, copy;
    size_t end;    /* of what was put into the log */
    uint32_t scan; /* the CRC-32 of the log */
};

static size_t record_size(const struct pair *pair)
{
    return HEADER + pair->key_len + pair->value_len + CRC;
}

static void log_open(struct log *log, const char *dir, const char *name, size_t size)
{
    char *path = bench_text("%s/%s", dir, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
        bench_fail(BENCH_BROKEN, "cannot make %s: %s", path, strerror(errno));
    log->size = size;
    log->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (log->map == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "cannot map %s: %s", path, strerror(errno));
    memset(log->map, 1, size);
    close(fd);
    unlink(path);
    free(path);
}

/* The first and last eight bytes of a key decide. */
static uint64_t hash(const struct pair *pair)
{
    uint64_t head = 0, tail = 0;

    memcpy(&head, pair->key, pair->key_len < sizeof head ? pair->key_len : sizeof head);
    if (pair->key_len > sizeof tail)
        memcpy(&tail, (const char *)pair->key + pair->key_len - sizeof tail, sizeof tail);
    return bench_mix(head ^ bench_mix(tail));
}

/* The slot of a key, or the empty one where it belongs; *ret_data is what it leads to. */
static struct slot *probe(const struct floor *floor, const struct pair *pair, uint64_t hashed,
                          const char **ret_data)
{
    for (uint64_t i = hashed;; i++) {
        struct slot *slot = &floor->slots[i & floor->mask];
        const char *data = floor->data + slot->at - 1;

        *ret_data = data;
        if (slot->at == 0 ||
            (slot->tag == (uint32_t)(hashed >> 32) && (uint8_t)data[0] == pair->key_len &&
             memcmp(data + 2, pair->key, pair->key_len) == 0))
            return slot;
    }
}

/* Put a record at the end of the log. */
static void put(struct floor *floor, const struct pair *pair, size_t value_len)
{
    char *at = floor->log.map + floor->end;
    size_t len = HEADER + pair->key_len + value_len;
    uint16_t key_len = (uint16_t)pair->key_len;
    uint32_t crc, len32 = (uint32_t)value_len;

    at[0] = value_len > 0;
    memcpy(at + 1, &key_len, sizeof key_len);
    memcpy(at + 3, &len32, sizeof len32);
    memcpy(at + HEADER, pair->key, pair->key_len);
    memcpy(at + HEADER + pair->key_len, pair->value, value_len);
    crc = libdeflate_crc32(0, at, len);
    memcpy(at + len, &crc, sizeof crc);
    floor->end += len + sizeof crc;
}

static void put_all(struct floor *floor)
{
    floor->end = 0;
    for (size_t i = 0; i < floor->n; i++)
        put(floor, &floor->pairs[i], floor->pairs[i].value_len);
}

/* Fill the table. */
static void fill(struct floor *floor)
{
    uint32_t at = 0;

    for (size_t i = 0; i < floor->n; i++) {
        const struct pair *pair = &floor->pairs[i];
        uint64_t hashed = hash(pair);
        const char *found;
        struct slot *slot = probe(floor, pair, hashed, &found);
        char *data = floor->data + at;

        *slot = (struct slot){.tag = (uint32_t)(hashed >> 32), .at = at + 1};
        data[0] = (char)pair->key_len;
        data[1] = (char)pair->value_len;
        memcpy(data + 2, pair->key, pair->key_len);
        memcpy(data + 2 + pair->key_len, pair->value, pair->value_len);
        at += (uint32_t)(2 + pair->key_len + pair->value_len);
    }
}

struct floor *floor_open(const char *dir, const struct pair *pairs, size_t n)
{
    struct floor *floor = bench_alloc(1, sizeof *floor);
    size_t capacity = 16, bytes = 0;

    for (size_t i = 0; i < n; i++) {
        if (pairs[i].key_len > UINT8_MAX || pairs[i].value_len > VALUE_MAX)
            bench_fail(BENCH_BROKEN, "a record too large for its floor");
        bytes += record_size(&pairs[i]);
    }
    while (capacity < 2 * n)
        capacity *= 2;
    floor->pairs = pairs;
    floor->n = n;
    floor->mask = capacity - 1;
    floor->slots = bench_alloc(capacity, sizeof *floor->slots);
    floor->data = bench_alloc(bytes, 1);
    floor->results = bench_alloc(n, sizeof *floor->results);
    fill(floor);
    memset(floor->results, 1, n * sizeof *floor->results);
    log_open(&floor->log, dir, "floor-log", bytes);
    log_open(&floor->copy, dir, "floor-copy", bytes);
    put_all(floor);
    return floor;
}

static void get_all(struct floor *floor)
{
    for (size_t i = 0; i < floor->n; i++) {
        struct result *result = &floor->results[i];
        const char *data;

        probe(floor, &floor->pairs[i], hash(&floor->pairs[i]), &data);
        result->len = (uint8_t)data[1];
        memcpy(result->value, data + 2 + (uint8_t)data[0], result->len);
    }
}

double floor_run(struct floor *floor, enum floor_kind kind)
{
    uint64_t start = bench_now();

    switch (kind) {
    case FLOOR_GET:
        get_all(floor);
        break;
    case FLOOR_PUT:
        put_all(floor);
        break;
    case FLOOR_DELETE:
        floor->end = 0;
        for (size_t i = 0; i < floor->n; i++)
            put(floor, &floor->pairs[i], 0);
        break;
    case FLOOR_COPY:
        memcpy(floor->copy.map, floor->log.map, floor->log.size);
        break;
    case FLOOR_SCAN:
        floor->scan = (uint32_t)libdeflate_crc32(0, floor->log.map, floor->log.size);
        break;
    }
    return (double)(bench_now() - start) / 1e9;
}

static bool values_copied(const struct floor *floor)
{
    for (size_t i = 0; i < floor->n; i++) {
        const struct pair *pair = &floor->pairs[i];

        if (floor->results[i].len != pair->value_len ||
            memcmp(floor->results[i].value, pair->value, pair->value_len) != 0)
            return false;
    }
    return true;
}

bool floor_verify(const struct floor *floor, enum floor_kind kind)
{
    switch (kind) {
    case FLOOR_GET:
        return values_copied(floor);
    case FLOOR_PUT:
        return floor->end == floor->log.size;
    case FLOOR_DELETE:
        return floor->end > 0 && floor->end < floor->log.size;
    case FLOOR_COPY:
        return memcmp(floor->copy.map, floor->log.map, floor->log.size) == 0;
    case FLOOR_SCAN:
        return floor->scan == libdeflate_crc32(0, floor->log.map, floor->log.size);
    }
    return false;
}

void floor_close(struct floor *floor)
{
    munmap(floor->log.map, floor->log.size);
    munmap(floor->copy.map, floor->copy.size);
    free(floor->slots);
    free(floor->data);
    free(floor->results);
    free(floor);
}
