/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "tests/coverage/keep.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* ---- Fixtures -------------------------------------------------------------------------------- */

int fresh_directory(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const char *base = getenv("TMPDIR");

    if (!fixture)
        return -1;
    snprintf(fixture->dir, sizeof fixture->dir, "%s/lxdb-api-XXXXXX",
             base && *base ? base : "/tmp");
    if (!mkdtemp(fixture->dir)) {
        print_error("%s: %s\n", fixture->dir, strerror(errno));
        free(fixture);
        return -1;
    }
    snprintf(fixture->path, sizeof fixture->path, "%s/test.lxdb", fixture->dir);
    *state = fixture;
    return 0;
}

int fresh_database(void **state)
{
    if (fresh_directory(state) != 0)
        return -1;
    struct fixture *fixture = *state;
    if (lxdb_open(fixture->path, NULL, &fixture->db) != LXDB_OK) {
        print_error("open: %s\n", lxdb_errmsg(NULL));
        return -1;
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

int remove_all(void **state)
{
    struct fixture *fixture = *state;
    int rc = lxdb_close(fixture->db);

    if (rc != LXDB_OK)
        print_error("close: %s\n", lxdb_errmsg(NULL));
    chmod(fixture->dir, 0700);
    if (nftw(fixture->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        print_error("%s: cannot remove: %s\n", fixture->dir, strerror(errno));
        rc = LXDB_IO;
    }
    free(fixture);
    return rc == LXDB_OK ? 0 : -1;
}

void assert_code_at(int rc, int want, const char *text, const char *file, int line)
{
    if (rc == want)
        return;
    print_error("%s\n    gave %d (%s), not %d (%s)\n    message: %s\n", text, rc, lxdb_strerror(rc),
                want, lxdb_strerror(want), lxdb_errmsg(NULL));
    _fail(file, line);
}

/* ---- Databases ------------------------------------------------------------------------------- */

lxdb *open_with(const char *path, uint32_t flags)
{
    lxdb_options options = {.size = sizeof options, .flags = flags};
    lxdb *db = NULL;

    assert_ok(lxdb_open(path, &options, &db));
    assert_non_null(db);
    return db;
}

lxdb *open_database(const char *path)
{
    return open_with(path, LXDB_NOCREATE);
}

void close_database(struct fixture *fixture)
{
    lxdb *db = fixture->db;

    fixture->db = NULL;
    assert_ok(lxdb_close(db));
}

void reopen(struct fixture *fixture)
{
    close_database(fixture);
    fixture->db = open_database(fixture->path);
}

void put(lxdb *db, const char *key, const char *value)
{
    assert_ok(lxdb_write(db, key, strlen(key), value, strlen(value)));
}

void drop(lxdb *db, const char *key)
{
    assert_ok(lxdb_delete(db, key, strlen(key)));
}

void check_bytes(lxdb *db, const void *key, size_t key_len, const void *value, size_t value_len)
{
    void *stored = NULL;
    size_t stored_len = 0;

    assert_ok(lxdb_read_alloc(db, key, key_len, &stored, &stored_len));
    assert_int_equal(stored_len, value_len);
    if (value_len > 0)
        assert_memory_equal(stored, value, value_len);
    lxdb_free(stored);
}

void check_value(lxdb *db, const char *key, const char *value)
{
    check_bytes(db, key, strlen(key), value, strlen(value));
}

void check_missing(lxdb *db, const char *key)
{
    assert_code(lxdb_exists(db, key, strlen(key)), LXDB_NOTFOUND);
}

void check_count(lxdb *db, uint64_t count)
{
    uint64_t stored = UINT64_MAX;

    assert_ok(lxdb_count(db, &stored));
    assert_int_equal(stored, count);
}

void fill(lxdb *db, unsigned n)
{
    char key[32], value[32];

    for (unsigned i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        snprintf(value, sizeof value, "value of %u", i);
        put(db, key, value);
    }
}

void check_filled(lxdb *db, unsigned n)
{
    char key[32], value[32];

    for (unsigned i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        snprintf(value, sizeof value, "value of %u", i);
        check_value(db, key, value);
    }
    check_count(db, n);
}

void check_keys(lxdb *db, const char *prefix, uint32_t flags, const char *keys)
{
    char found[4096];
    size_t used = 0;
    lxdb_iter *iter = NULL;
    const void *key;
    size_t key_len;
    int rc;

    assert_ok(lxdb_iter_open(db, prefix, strlen(prefix), flags, &iter));
    while ((rc = lxdb_iter_next(iter, &key, &key_len, NULL, NULL)) == LXDB_OK) {
        assert_true(used + key_len + 2 < sizeof found);
        if (used > 0)
            found[used++] = ' ';
        memcpy(found + used, key, key_len);
        used += key_len;
    }
    found[used] = '\0';
    lxdb_iter_close(iter);
    assert_code(rc, LXDB_NOTFOUND);
    assert_string_equal(found, keys);
}

uint8_t *noise(size_t len, uint64_t seed)
{
    uint8_t *bytes = malloc(len ? len : 1);
    uint64_t word = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes[i] = (uint8_t)(word >> 24);
    }
    return bytes;
}

/* ---- Files ----------------------------------------------------------------------------------- */

const char *in_directory(const struct fixture *fixture, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", fixture->dir, name);
    return path;
}

void write_file(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(close(fd), 0);
}

uint8_t *read_file(const char *path, size_t *ret_len)
{
    size_t len = (size_t)file_size(path);
    uint8_t *bytes = malloc(len ? len : 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_non_null(bytes);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, len), len);
    assert_int_equal(close(fd), 0);
    *ret_len = len;
    return bytes;
}

void copy_file(const char *from, const char *to)
{
    size_t len;
    uint8_t *bytes = read_file(from, &len);

    write_file(to, bytes, len);
    free(bytes);
}

static struct stat stat_of(const char *path)
{
    struct stat info;

    assert_int_equal(lstat(path, &info), 0);
    return info;
}

uint64_t file_size(const char *path)
{
    return (uint64_t)stat_of(path).st_size;
}

unsigned file_mode(const char *path)
{
    return (unsigned)stat_of(path).st_mode & 07777;
}

static int visible(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

void check_files(const struct fixture *fixture, const char *names)
{
    char found[2048] = "";
    struct dirent **entries;
    int n = scandir(fixture->dir, &entries, visible, by_bytes);

    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%s%s", i ? " " : "", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    assert_string_equal(found, names);
}

/* ---- Processes ------------------------------------------------------------------------------- */

static int child_status(void (*body)(const struct fixture *), const struct fixture *fixture,
                        bool unprivileged)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (unprivileged && geteuid() == 0)
            child_require(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0,
                          "become nobody");
        body(fixture);
        coverage_keep();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

void run_child(void (*body)(const struct fixture *), const struct fixture *fixture)
{
    int status = child_status(body, fixture, false);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void run_child_killed(void (*body)(const struct fixture *), const struct fixture *fixture)
{
    int status = child_status(body, fixture, false);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

void give_away(const struct fixture *fixture, bool files)
{
    static const char *const names[] = {"", "test.lxdb", "test.lxdb-lock", "test.lxdb-index"};

    for (size_t i = 0; geteuid() == 0 && i < (files ? COUNT(names) : 1); i++) {
        const char *path = in_directory(fixture, names[i]);
        assert_true(lchown(path, NOBODY, NOBODY) == 0 || errno == ENOENT);
    }
}

void run_child_unprivileged(void (*body)(const struct fixture *), const struct fixture *fixture)
{
    int status = child_status(body, fixture, true);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void child_require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "child: %s: failed; errno: %s\n", what, strerror(errno));
    _exit(1);
}

void child_require_code(int rc, int want, const char *what)
{
    if (rc == want)
        return;
    fprintf(stderr, "child: %s: gave %d (%s), not %d (%s): %s\n", what, rc, lxdb_strerror(rc), want,
            lxdb_strerror(want), lxdb_errmsg(NULL));
    _exit(1);
}

void die_now(void)
{
    coverage_keep();
    raise(SIGKILL);
}
