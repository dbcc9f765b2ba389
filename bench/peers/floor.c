/* SPDX-License-Identifier: MIT */
/*
 * No store, but the least that every store has to do, behind the same operations:
 *
 *   get      a probe of an open-addressing table that is at most half full, records in its slots,
 *            and a copy of the value
 *   put      a copy of key and value behind the last one in a mapped file whose pages are there,
 *            and their CRC-32
 *   durable  write(2) into a page of its own, and fdatasync(2)
 *
 * A batch fills the table, for the gets. What a put appends nothing ever reads.
 */
#include "bench/common.h"
#include "bench/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The file: pages for durable puts, and the log, which is used as a ring. The table is in memory of
 * the process, in large pages if there are such, and in a file of its own between processes. */
#define PAGES ((size_t)64)
#define PAGE ((size_t)4096)
#define LOG_BYTES ((size_t)16 << 20)
#define SLOT_DATA 126

struct slot {
    unsigned char key_len; /* 0: empty */
    unsigned char value_len;
    char data[SLOT_DATA]; /* key, value */
};

_Static_assert(sizeof(struct slot) == 128, "two cache lines, and nothing in a third");

struct floor {
    int fd;
    int table_fd;
    char *map;
    struct slot *slots;
    size_t mask;
    char *log;
    size_t end;
    bool durable;
    bool reader;
};

static noreturn void refuse(const char *operation)
{
    bench_fail(BENCH_BROKEN, "floor: %s: %s", operation, strerror(errno));
}

static size_t table_bytes(const struct floor *floor)
{
    return (floor->mask + 1) * sizeof(struct slot);
}

static int open_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        refuse("open");
    return fd;
}

/* What an earlier process left of the table, if one did. */
static void read_table(struct floor *floor, const char *path)
{
    char *table_path = bench_text("%s-table", path);
    size_t done = 0;
    ssize_t n = 1;

    floor->table_fd = open_file(table_path);
    free(table_path);
    floor->slots = mmap(NULL, table_bytes(floor), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (floor->slots == MAP_FAILED)
        refuse("mmap");
    madvise(floor->slots, table_bytes(floor), MADV_HUGEPAGE);
    for (; done < table_bytes(floor) && n > 0; done += (size_t)n) {
        n = pread(floor->table_fd, (char *)floor->slots + done, table_bytes(floor) - done,
                  (off_t)done);
        if (n < 0)
            refuse("read");
    }
}

static void write_table(const struct floor *floor)
{
    for (size_t done = 0; done < table_bytes(floor);) {
        ssize_t n = pwrite(floor->table_fd, (const char *)floor->slots + done,
                           table_bytes(floor) - done, (off_t)done);

        if (n <= 0)
            refuse("write");
        done += (size_t)n;
    }
}

static void *open_floor(const char *path, const struct engine_config *config)
{
    struct floor *floor = bench_alloc(1, sizeof *floor);
    static const char zeros[PAGES * PAGE];
    size_t size = PAGES * PAGE + LOG_BYTES;
    size_t capacity = 16;

    while (capacity < 2 * config->records)
        capacity *= 2;
    floor->mask = capacity - 1;
    floor->durable = (config->flags & ENGINE_DURABLE) != 0;
    floor->reader = (config->flags & ENGINE_READER) != 0;
    floor->fd = open_file(path);
    if (ftruncate(floor->fd, (off_t)size) != 0)
        refuse("truncate");
    if (floor->durable && (pwrite(floor->fd, zeros, sizeof zeros, 0) != (ssize_t)sizeof zeros ||
                           fsync(floor->fd) != 0))
        refuse("write");
    floor->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, floor->fd, 0);
    if (floor->map == MAP_FAILED)
        refuse("mmap");
    floor->log = floor->map + PAGES * PAGE;
    if (!floor->reader)
        memset(floor->log, 0, LOG_BYTES); /* no page is to be fetched by a put */
    read_table(floor, path);
    return floor;
}

/* Of 8 to 16 bytes, or the first and last 8 of more. */
static size_t hash(const struct pair *pair)
{
    uint64_t head, tail;

    memcpy(&head, pair->key, sizeof head);
    memcpy(&tail, (const char *)pair->key + pair->key_len - sizeof tail, sizeof tail);
    return (size_t)bench_mix(head ^ bench_mix(tail));
}

/* The slot of a key, or the empty one where it belongs. */
static struct slot *probe(const struct floor *floor, const struct pair *pair)
{
    for (size_t i = hash(pair);; i++) {
        struct slot *slot = &floor->slots[i & floor->mask];

        if (slot->key_len == 0 ||
            (slot->key_len == pair->key_len && memcmp(slot->data, pair->key, pair->key_len) == 0))
            return slot;
    }
}

static int get_floor(void *db, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    const struct slot *slot = probe(db, pair);

    if (slot->key_len == 0)
        return ENGINE_NO;
    memcpy(buf, slot->data + slot->key_len, slot->value_len < cap ? slot->value_len : cap);
    *ret_len = slot->value_len;
    return ENGINE_OK;
}

static void put_durable(struct floor *floor, const struct pair *pair)
{
    off_t own = (off_t)(((size_t)getpid() % PAGES) * PAGE);

    if (pwrite(floor->fd, pair->value, pair->value_len, own) != (ssize_t)pair->value_len ||
        fdatasync(floor->fd) != 0)
        refuse("durable put");
}

static int put_floor(void *db, const struct pair *pair)
{
    struct floor *floor = db;
    size_t len = pair->key_len + pair->value_len;
    uint32_t crc;
    char *at;

    if (floor->durable) {
        put_durable(floor, pair);
        return ENGINE_OK;
    }
    if (LOG_BYTES - floor->end < len + sizeof crc)
        floor->end = 0;
    at = floor->log + floor->end;
    memcpy(at, pair->key, pair->key_len);
    memcpy(at + pair->key_len, pair->value, pair->value_len);
    crc = libdeflate_crc32(0, at, len);
    memcpy(at + len, &crc, sizeof crc);
    floor->end += len + sizeof crc;
    return ENGINE_OK;
}

static int batch_floor(void *db, const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct pair *pair = &pairs[i];
        struct slot *slot = probe(db, pair);

        if (pair->key_len + pair->value_len > SLOT_DATA)
            bench_fail(BENCH_BROKEN, "floor: a record of over %d bytes", SLOT_DATA);
        slot->key_len = (unsigned char)pair->key_len;
        slot->value_len = (unsigned char)pair->value_len;
        memcpy(slot->data, pair->key, pair->key_len);
        memcpy(slot->data + pair->key_len, pair->value, pair->value_len);
    }
    return ENGINE_OK;
}

static void tour_floor(void *db, struct tour *tour)
{
    const struct floor *floor = db;

    for (size_t i = 0; i <= floor->mask; i++) {
        const struct slot *slot = &floor->slots[i];

        if (slot->key_len > 0)
            tour_add(tour, slot->data, slot->key_len, slot->data + slot->key_len, slot->value_len);
    }
}

static void close_floor(void *db)
{
    struct floor *floor = db;

    if (!floor->reader)
        write_table(floor);
    munmap(floor->slots, table_bytes(floor));
    munmap(floor->map, PAGES * PAGE + LOG_BYTES);
    close(floor->table_fd);
    close(floor->fd);
    free(floor);
}

static const char *version_floor(void)
{
    return "";
}

const struct engine engine_floor = {
    .name = "floor",
    .setting = "no store: get a table in memory, put a copy and a CRC-32 into a mapped file, "
               "compaction a copy of the live bytes, rebuild a CRC-32 of the file",
    .durable = "write(2) of the value in place and fdatasync(2), each process for itself",
    .traits = ENGINE_READERS | ENGINE_FLOOR,
    .version = version_floor,
    .open = open_floor,
    .get = get_floor,
    .put = put_floor,
    .batch = batch_floor,
    .tour = tour_floor,
    .close = close_floor,
};
