/* SPDX-License-Identifier: MIT */
/*
 * Databases, files and self-describing values for the tests of several processes; see harness.h.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Files and databases --------------------------------------------------------------------- */

const char *harness_path(const char *name)
{
    static unsigned number;
    size_t size = strlen(harness_directory()) + strlen(name) + 32;
    char *path = harness_shared(size); /* for every process, and no leak in any */

    (void)snprintf(path, size, "%s/%u-%s.lxdb", harness_directory(), number++, name);
    return path;
}

lxdb *harness_open(const char *path, lxdb_options options)
{
    lxdb *db = NULL;

    options.size = sizeof(options);
    CHECK_OK(NULL, lxdb_open(path, &options, &db));
    return db;
}

void harness_remove(const char *path)
{
    static const char *const suffixes[] = {"",         "-lock",          "-index",
                                           "-compact", "-compact-index", "-lost"};
    char name[4200];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        CHECK(unlink(name) == 0 || errno == ENOENT, "%s: %s", name, strerror(errno));
    }
}

bool harness_file_exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

bool harness_file_read(const char *path, void **ret_bytes, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    char *bytes;
    size_t len = 0;
    ssize_t n;

    *ret_bytes = NULL;
    *ret_len = 0;
    if (fd < 0) {
        CHECK(errno == ENOENT, "%s: %s", path, strerror(errno));
        return false;
    }
    CHECK(fstat(fd, &info) == 0, "%s: %s", path, strerror(errno));
    bytes = malloc((size_t)info.st_size + 1);
    CHECK(bytes != NULL, "no memory");
    while ((n = read(fd, bytes + len, (size_t)info.st_size - len)) > 0)
        len += (size_t)n;
    CHECK(n == 0, "%s: %s", path, strerror(errno));
    (void)close(fd);
    *ret_bytes = bytes;
    *ret_len = len;
    return true;
}

void harness_file_write(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t done = 0;
    ssize_t n = 0;

    CHECK(fd >= 0, "%s: %s", path, strerror(errno));
    while (done < len && (n = write(fd, (const char *)bytes + done, len - done)) > 0)
        done += (size_t)n;
    CHECK(done == len, "%s: %s", path, strerror(errno));
    CHECK(close(fd) == 0, "%s: %s", path, strerror(errno));
}

void harness_check_closed(const char *path, uint64_t records)
{
    static const unsigned char closed[4];
    lxdb_report report;
    void *bytes;
    size_t len;

    CHECK(harness_file_read(path, &bytes, &len), "%s is gone", path);
    CHECK(len >= 10 && memcmp(bytes, "LXDB\0\1", 6) == 0, "%s has no header", path);
    CHECK(memcmp((char *)bytes + 6, closed, 4) == 0, "the watermark of %s is not 0", path);
    free(bytes);
    CHECK_OK(NULL, lxdb_verify(path, &report, NULL));
    CHECK(report.crashed == 0, "%s counts as crashed", path);
    CHECK(report.tail == report.file_size, "%s is %llu bytes, its log ends at %llu", path,
          (unsigned long long)report.file_size, (unsigned long long)report.tail);
    CHECK(report.records_live == records, "%s has %llu live records, expected %llu", path,
          (unsigned long long)report.records_live, (unsigned long long)records);
}

/* ---- Values ---------------------------------------------------------------------------------- */

struct value_head {
    uint64_t key_hash;
    uint64_t version;
    uint64_t length;
    uint64_t checksum;
};

_Static_assert(sizeof(struct value_head) == HARNESS_VALUE_MIN, "the head is the least value");

static uint64_t hash_bytes(const void *bytes, size_t len, uint64_t hash)
{
    const unsigned char *at = bytes;
    uint64_t word;

    for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    word = len;
    for (size_t i = 0; i < len; i++)
        word = word << 8 | at[i];
    return harness_random(&(harness_rng){hash ^ word});
}

static uint64_t value_checksum(const struct value_head *head, const unsigned char *filler)
{
    uint64_t hash = hash_bytes(head, offsetof(struct value_head, checksum), 1);

    return hash_bytes(filler, head->length - sizeof(*head), hash);
}

void harness_value_fill(void *buf, size_t len, const void *key, size_t key_len, uint64_t version)
{
    struct value_head head = {hash_bytes(key, key_len, 0), version, len, 0};
    harness_rng rng = {head.key_hash ^ version};
    unsigned char *filler = (unsigned char *)buf + sizeof(head);
    size_t left = len - sizeof(head);
    size_t piece;
    uint64_t word;

    for (unsigned char *at = filler; left > 0; at += piece, left -= piece) {
        piece = left < sizeof(word) ? left : sizeof(word);
        word = harness_random(&rng);
        memcpy(at, &word, piece);
    }
    head.checksum = value_checksum(&head, filler);
    memcpy(buf, &head, sizeof(head));
}

uint64_t harness_value_check(const void *value, size_t len, const void *key, size_t key_len)
{
    struct value_head head;

    CHECK(len >= sizeof(head), "value of %.*s has %zu bytes", (int)key_len, (const char *)key, len);
    memcpy(&head, value, sizeof(head));
    CHECK(head.key_hash == hash_bytes(key, key_len, 0), "value under %.*s is another key's",
          (int)key_len, (const char *)key);
    CHECK(head.length == len, "value of %.*s is %zu bytes and says %llu", (int)key_len,
          (const char *)key, len, (unsigned long long)head.length);
    CHECK(head.checksum == value_checksum(&head, (const unsigned char *)value + sizeof(head)),
          "value of %.*s, version %llu, is damaged", (int)key_len, (const char *)key,
          (unsigned long long)head.version);
    return head.version;
}

uint64_t harness_value_read(lxdb *db, const void *key, size_t key_len)
{
    uint64_t version = 0;
    void *value = NULL;
    size_t len = 0;
    int rc = lxdb_read_alloc(db, key, key_len, &value, &len);

    if (rc == LXDB_NOTFOUND)
        return 0;
    CHECK(rc == LXDB_OK, "read of %.*s gave %s: %s", (int)key_len, (const char *)key,
          lxdb_strerror(rc), lxdb_errmsg(db));
    version = harness_value_check(value, len, key, key_len);
    lxdb_free(value);
    return version;
}

int harness_value_write(lxdb *db, const void *key, size_t key_len, uint64_t version, size_t len)
{
    void *value = malloc(len);
    int rc;

    CHECK(value != NULL, "no memory");
    harness_value_fill(value, len, key, key_len, version);
    rc = lxdb_write(db, key, key_len, value, len);
    free(value);
    return rc;
}
