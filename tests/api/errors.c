/* SPDX-License-Identifier: MIT */
/* Codes and sentences: strerror, errmsg, version, NULL handles, a full disk. */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void strerror_has_words_of_its_own_for_every_code(void **state)
{
    (void)state;
    for (int code = LXDB_CLOSED; code <= LXDB_OK; code++) {
        assert_non_null(lxdb_strerror(code));
        assert_true(strlen(lxdb_strerror(code)) > 1);
        for (int other = LXDB_CLOSED; other < code; other++)
            assert_string_not_equal(lxdb_strerror(code), lxdb_strerror(other));
    }
}

static void strerror_of_unknown_codes_is_a_text(void **state)
{
    (void)state;
    static const int codes[] = {1, -20, 9999, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < COUNT(codes); i++)
        assert_true(strlen(lxdb_strerror(codes[i])) > 1);
}

static void version_is_three_numbers(void **state)
{
    (void)state;
    unsigned major, minor, patch;
    char rest;
    assert_int_equal(sscanf(lxdb_version(), "%u.%u.%u%c", &major, &minor, &patch, &rest), 3);
}

/* ---- Sentences ------------------------------------------------------------------------------- */

static void *message_of_fresh_thread(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)(lxdb_errmsg(NULL)[0] == '\0');
}

static void errmsg_of_a_thread_that_never_failed_is_empty(void **state)
{
    (void)state;
    pthread_t thread;
    void *empty = NULL;
    assert_code(lxdb_open(NULL, NULL, NULL), LXDB_INVALID);
    assert_int_equal(pthread_create(&thread, NULL, message_of_fresh_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, &empty), 0);
    assert_non_null(empty);
}

static void errmsg_of_open_names_the_path(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .flags = LXDB_NOCREATE};
    assert_code(lxdb_open(fixture->path, &options, &fixture->db), LXDB_NOTFOUND);
    assert_non_null(strstr(lxdb_errmsg(NULL), "test.lxdb"));
    write_file(fixture->path, "not a database", 14);
    assert_code(lxdb_open(fixture->path, NULL, &fixture->db), LXDB_NOTDB);
    assert_non_null(strstr(lxdb_errmsg(NULL), "test.lxdb"));
    unlink(fixture->path);
    assert_int_equal(symlink("elsewhere", fixture->path), 0);
    assert_code(lxdb_open(fixture->path, NULL, &fixture->db), LXDB_UNSUPPORTED);
    assert_non_null(strstr(lxdb_errmsg(NULL), "test.lxdb"));
}

static void errmsg_of_other_version_names_it(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->path, "LXDB\0\x07\0\0\0\0", 10);
    assert_code(lxdb_open(fixture->path, NULL, &fixture->db), LXDB_VERSION);
    assert_non_null(strstr(lxdb_errmsg(NULL), "test.lxdb"));
}

static void errmsg_is_that_of_the_last_failure(void **state)
{
    struct fixture *fixture = *state;
    char first[512];
    assert_code(lxdb_write(fixture->db, "", 0, "v", 1), LXDB_INVALID);
    snprintf(first, sizeof first, "%s", lxdb_errmsg(fixture->db));
    assert_true(strlen(first) > 0);
    assert_code(lxdb_set_json(fixture->db, "k", 1, "[", 1), LXDB_JSON);
    assert_true(strlen(lxdb_errmsg(fixture->db)) > 0);
    assert_string_not_equal(lxdb_errmsg(fixture->db), first);
}

static void errmsg_of_an_answer_is_its_words(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_exists(fixture->db, "no", 2), LXDB_NOTFOUND);
    assert_true(strlen(lxdb_errmsg(fixture->db)) > 0);
}

static void *fail_in_thread(void *arg)
{
    (void)lxdb_set_json(arg, "k", 1, "[", 1);
    return NULL;
}

static void errmsg_of_another_thread_does_not_show(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    char before[512];
    assert_code(lxdb_write(fixture->db, "", 0, "v", 1), LXDB_INVALID);
    snprintf(before, sizeof before, "%s", lxdb_errmsg(fixture->db));
    assert_int_equal(pthread_create(&thread, NULL, fail_in_thread, fixture->db), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(lxdb_errmsg(fixture->db), before);
}

static void errmsg_with_a_long_path_is_whole_enough(void **state)
{
    struct fixture *fixture = *state;
    char path[4096];
    lxdb *db = NULL;
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    int rc = lxdb_open(path, NULL, &db);
    assert_true(rc == LXDB_TOOBIG || rc == LXDB_INVALID || rc == LXDB_NOTFOUND);
    assert_true(strlen(lxdb_errmsg(NULL)) > 0);
    assert_null(db);
    (void)fixture;
}

/* ---- NULL handles ---------------------------------------------------------------------------- */

static void null_handles_are_invalid(void **state)
{
    (void)state;
    const void *view;
    void *value;
    char *text;
    size_t len;
    uint64_t count;
    int64_t whole;
    double number;
    int truth;
    lxdb_item item = {.key = "k", .key_len = 1};
    assert_code(lxdb_create(NULL, "k", 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_write(NULL, "k", 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_update(NULL, "k", 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_delete(NULL, "k", 1), LXDB_INVALID);
    assert_code(lxdb_exists(NULL, "k", 1), LXDB_INVALID);
    assert_code(lxdb_read(NULL, "k", 1, NULL, 0, &len), LXDB_INVALID);
    assert_code(lxdb_read_alloc(NULL, "k", 1, &value, &len), LXDB_INVALID);
    assert_code(lxdb_read_begin(NULL), LXDB_INVALID);
    lxdb_read_end(NULL);
    assert_code(lxdb_peek(NULL, "k", 1, &view, &len), LXDB_INVALID);
    assert_code(lxdb_peek_many(NULL, &item, 1), LXDB_INVALID);
    assert_code(lxdb_set_bytes(NULL, "k", 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_set_json(NULL, "k", 1, "1", 1), LXDB_INVALID);
    assert_code(lxdb_set_str(NULL, "k", 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_set_int(NULL, "k", 1, 1), LXDB_INVALID);
    assert_code(lxdb_set_double(NULL, "k", 1, 1), LXDB_INVALID);
    assert_code(lxdb_set_bool(NULL, "k", 1, 1), LXDB_INVALID);
    assert_code(lxdb_set_null(NULL, "k", 1), LXDB_INVALID);
    assert_code(lxdb_get_json(NULL, "k", 1, &text, &len), LXDB_INVALID);
    assert_code(lxdb_get_bytes(NULL, "k", 1, &value, &len), LXDB_INVALID);
    assert_code(lxdb_get_str(NULL, "k", 1, &text, &len), LXDB_INVALID);
    assert_code(lxdb_get_int(NULL, "k", 1, &whole), LXDB_INVALID);
    assert_code(lxdb_get_double(NULL, "k", 1, &number), LXDB_INVALID);
    assert_code(lxdb_get_bool(NULL, "k", 1, &truth), LXDB_INVALID);
    assert_code(lxdb_count(NULL, &count), LXDB_INVALID);
    assert_code(lxdb_clear(NULL, &count), LXDB_INVALID);
}

static void missing_places_are_invalid(void **state)
{
    struct fixture *fixture = *state;
    const void *view;
    size_t len;
    put(fixture->db, "k", "v");
    assert_code(lxdb_read(fixture->db, "k", 1, NULL, 1, &len), LXDB_INVALID);
    assert_code(lxdb_read_alloc(fixture->db, "k", 1, NULL, &len), LXDB_INVALID);
    assert_ok(lxdb_read_begin(fixture->db));
    assert_code(lxdb_peek(fixture->db, "k", 1, NULL, &len), LXDB_INVALID);
    assert_code(lxdb_peek(fixture->db, "k", 1, &view, NULL), LXDB_INVALID);
    lxdb_read_end(fixture->db);
}

/* ---- No space -------------------------------------------------------------------------------- */

/* Under a limit on the size of files: writes until it is reached. No signal comes of it (SIGXFSZ
 * would end the child), what was acknowledged is there, deletes work and make room. */
static void write_until_full(const struct fixture *fixture)
{
    struct rlimit limit = {.rlim_cur = 3u << 20, .rlim_max = 3u << 20};
    static char value[20000];
    char key[32], buf[8];
    lxdb *db = NULL;
    size_t len;
    unsigned written = 0;
    int rc = LXDB_OK;

    child_require(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    while (rc == LXDB_OK && written < 1000) {
        snprintf(key, sizeof key, "key-%u", written);
        rc = lxdb_write(db, key, strlen(key), value, sizeof value);
        if (rc == LXDB_OK)
            written++;
    }
    child_require_code(rc, LXDB_NOSPACE, "write to a full file");
    child_require(strstr(lxdb_errmsg(db), "test.lxdb") != NULL, "the message names the file");
    child_require(written >= 20, "a good part of the limit was used");
    uint64_t count = 0;
    child_require_code(lxdb_count(db, &count), LXDB_OK, "count");
    child_require(count == written, "what was acknowledged is there, and nothing else");
    child_require_code(lxdb_read(db, "key-0", 5, buf, sizeof buf, &len), LXDB_TOOBIG, "read");
    child_require(len == sizeof value, "its length");
    for (unsigned i = 0; i + 10 < written; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        child_require_code(lxdb_delete(db, key, strlen(key)), LXDB_OK, "delete on a full disk");
    }
    child_require_code(lxdb_compact(db, NULL), LXDB_OK, "compact");
    child_require_code(lxdb_write(db, "again", 5, "v", 1), LXDB_OK, "write after compaction");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void full_file_is_nospace_and_deletes_still_work(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    run_child(write_until_full, fixture);
    assert_ok(lxdb_verify(fixture->path, &report, NULL));
    fixture->db = open_database(fixture->path);
    check_value(fixture->db, "again", "v");
    check_missing(fixture->db, "key-0");
}

/* Small records until not one more goes in: what is left then is for deletes, 16 KiB of them. */
static void delete_when_no_put_goes_in(const struct fixture *fixture)
{
    struct rlimit limit = {.rlim_cur = 1u << 20, .rlim_max = 1u << 20};
    lxdb *db = NULL;
    uint16_t key = 0;
    int rc = LXDB_OK;

    child_require(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    for (unsigned n = 0; rc == LXDB_OK && n < 200000; n++) {
        key = (uint16_t)(n % 2000);
        rc = lxdb_write(db, &key, sizeof key, "", 0);
    }
    child_require_code(rc, LXDB_NOSPACE, "write to a full file");
    for (key = 0; key < 1000; key++)
        child_require_code(lxdb_delete(db, &key, sizeof key), LXDB_OK, "delete on a full disk");
    child_require_code(lxdb_write(db, &key, sizeof key, "", 0), LXDB_NOSPACE, "write behind");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
}

static void file_full_to_the_last_byte_for_puts_takes_deletes(void **state)
{
    struct fixture *fixture = *state;
    run_child(delete_when_no_put_goes_in, fixture);
    fixture->db = open_database(fixture->path);
    check_bytes(fixture->db, &(uint16_t){1000}, sizeof(uint16_t), "", 0);
    assert_code(lxdb_exists(fixture->db, &(uint16_t){999}, sizeof(uint16_t)), LXDB_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strerror_has_words_of_its_own_for_every_code),
        cmocka_unit_test(strerror_of_unknown_codes_is_a_text),
        cmocka_unit_test(version_is_three_numbers),
        cmocka_unit_test(errmsg_of_a_thread_that_never_failed_is_empty),
        test_in_directory(errmsg_of_open_names_the_path),
        test_in_directory(errmsg_of_other_version_names_it),
        test_in_database(errmsg_is_that_of_the_last_failure),
        test_in_database(errmsg_of_an_answer_is_its_words),
        test_in_database(errmsg_of_another_thread_does_not_show),
        test_in_directory(errmsg_with_a_long_path_is_whole_enough),
        cmocka_unit_test(null_handles_are_invalid),
        test_in_database(missing_places_are_invalid),
        test_in_directory(full_file_is_nospace_and_deletes_still_work),
        test_in_directory(file_full_to_the_last_byte_for_puts_takes_deletes),
    };
    return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
