/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the public interface share: a fresh directory for each test, a database in it,
 * keys and values as C strings, files and child processes. A failed assertion ends the test.
 */
#ifndef LX_TESTS_API_HARNESS_H
#define LX_TESTS_API_HARNESS_H

#include <lxdb.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct fixture {
    char dir[256];
    char path[320]; /* of the database: test.lxdb in dir */
    lxdb *db;       /* NULL, or closed by the teardown */
};

/* Setups and the teardown of a test. */
int fresh_directory(void **state);
int fresh_database(void **state); /* opened with the defaults */
int remove_all(void **state);

#define test_in_directory(function)                                                                \
    cmocka_unit_test_setup_teardown(function, fresh_directory, remove_all)
#define test_in_database(function)                                                                 \
    cmocka_unit_test_setup_teardown(function, fresh_database, remove_all)

/* Fails with both codes in words, and lxdb_errmsg(). */
#define assert_code(rc, want) assert_code_at((rc), (want), #rc, __FILE__, __LINE__)
void assert_code_at(int rc, int want, const char *text, const char *file, int line);
#define assert_ok(rc) assert_code(rc, LXDB_OK)

/* ---- Databases ------------------------------------------------------------------------------- */

lxdb *open_database(const char *path); /* with the defaults, and LXDB_NOCREATE */
lxdb *open_with(const char *path, uint32_t flags);
void close_database(struct fixture *fixture);
void reopen(struct fixture *fixture);

/* Keys and values as C strings. */
void put(lxdb *db, const char *key, const char *value);
void drop(lxdb *db, const char *key);
void check_value(lxdb *db, const char *key, const char *value);
void check_missing(lxdb *db, const char *key);
void check_bytes(lxdb *db, const void *key, size_t key_len, const void *value, size_t value_len);
void check_count(lxdb *db, uint64_t count);
/* Store key-0 to key-(n-1), each with a value of its own number; check them and no other key. */
void fill(lxdb *db, unsigned n);
void check_filled(lxdb *db, unsigned n);
/* The keys as an iteration gives them, joined with spaces. */
void check_keys(lxdb *db, const char *prefix, uint32_t flags, const char *keys);
/* Bytes that differ everywhere, made from `seed`; to be freed. */
uint8_t *noise(size_t len, uint64_t seed);

/* ---- Files ----------------------------------------------------------------------------------- */

/* A path in the fixture's directory, good until the next but three calls. */
const char *in_directory(const struct fixture *fixture, const char *name);
void write_file(const char *path, const void *bytes, size_t len);
uint8_t *read_file(const char *path, size_t *ret_len); /* to be freed */
void copy_file(const char *from, const char *to);
uint64_t file_size(const char *path);
unsigned file_mode(const char *path); /* permission bits */
/* The names in the fixture's directory, sorted and joined with spaces. */
void check_files(const struct fixture *fixture, const char *names);

/* ---- Processes ------------------------------------------------------------------------------- */

/* Run `body` in a child. What it is to do, and not cmocka, judges there, with child_require(). */
void run_child(void (*body)(const struct fixture *fixture), const struct fixture *fixture);
/* The same, and the child is to die of SIGKILL. */
void run_child_killed(void (*body)(const struct fixture *fixture), const struct fixture *fixture);
/* Give the directory (and with `files` what is in it) to the user that run_child_unprivileged()
 * becomes; nothing to do when we are not root. */
void give_away(const struct fixture *fixture, bool files);
/* The same as a user other than root (and, when we are not root, as ourselves). */
void run_child_unprivileged(void (*body)(const struct fixture *fixture),
                            const struct fixture *fixture);
void child_require(bool condition, const char *what);
/* A code that a child expects. */
void child_require_code(int rc, int want, const char *what);
void die_now(void); /* SIGKILL */

#endif
