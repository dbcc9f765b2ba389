/* SPDX-License-Identifier: MIT */
/* Opening and closing: flags, options, helper files, unfit paths and files, read-only, crashes,
 * fork. */
#include "harness.h"
#include "tests/coverage/keep.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_code(const char *path, uint32_t flags)
{
    lxdb_options options = {.size = sizeof options, .flags = flags, .busy_timeout_ms = 100};
    lxdb *untouched = (lxdb *)&options, *db = untouched;
    int rc = lxdb_open(path, &options, &db);
    if (rc == LXDB_OK)
        assert_ok(lxdb_close(db));
    else
        assert_ptr_equal(db, untouched);
    return rc;
}

/* ---- Creating -------------------------------------------------------------------------------- */

static void open_creates_a_header_alone(void **state)
{
    struct fixture *fixture = *state;
    size_t len;
    assert_ok(lxdb_open(fixture->path, NULL, &fixture->db));
    check_count(fixture->db, 0);
    close_database(fixture);
    uint8_t *file = read_file(fixture->path, &len);
    assert_int_equal(len, 10);
    assert_memory_equal(file, "LXDB\0\x01\0\0\0\0", 10);
    free(file);
    check_files(fixture, "test.lxdb");
}

static void open_creates_with_mode_0600(void **state)
{
    struct fixture *fixture = *state;
    mode_t mask = umask(0);
    int rc = lxdb_open(fixture->path, NULL, &fixture->db);
    umask(mask);
    assert_ok(rc);
    assert_int_equal(file_mode(fixture->path), 0600);
    assert_int_equal(file_mode(in_directory(fixture, "test.lxdb-lock")), 0600);
    assert_int_equal(file_mode(in_directory(fixture, "test.lxdb-index")), 0600);
}

static void open_creates_with_the_mode_asked_for_despite_the_umask(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .mode = 0660};
    mode_t mask = umask(0077);
    int rc = lxdb_open(fixture->path, &options, &fixture->db);
    umask(mask);
    assert_ok(rc);
    assert_int_equal(file_mode(fixture->path), 0660);
    assert_int_equal(file_mode(in_directory(fixture, "test.lxdb-lock")), 0660);
    assert_int_equal(file_mode(in_directory(fixture, "test.lxdb-index")), 0660);
    fill(fixture->db, 100);
    assert_ok(lxdb_compact(fixture->db, NULL));
    assert_int_equal(file_mode(fixture->path), 0660);
    assert_int_equal(file_mode(in_directory(fixture, "test.lxdb-index")), 0660);
}

static void open_keeps_the_mode_of_an_existing_file(void **state)
{
    struct fixture *fixture = *state;
    close_database(fixture);
    assert_int_equal(chmod(fixture->path, 0640), 0);
    fixture->db = open_database(fixture->path);
    assert_int_equal(file_mode(fixture->path), 0640);
    assert_int_equal(file_mode(in_directory(fixture, "test.lxdb-lock")), 0640);
}

static void open_of_a_relative_path_survives_chdir(void **state)
{
    struct fixture *fixture = *state;
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(here >= 0);
    assert_int_equal(chdir(fixture->dir), 0);
    int rc = lxdb_open("test.lxdb", NULL, &fixture->db);
    assert_int_equal(fchdir(here), 0);
    close(here);
    assert_ok(rc);
    fill(fixture->db, 100);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_filled(fixture->db, 100);
    reopen(fixture);
    check_filled(fixture->db, 100);
}

static void blank_files_are_empty_databases(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t zeros[5000];
    static const size_t sizes[] = {0, 1, 9, 10, 11, 5000};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        write_file(fixture->path, zeros, sizes[i]);
        fixture->db = open_database(fixture->path);
        check_count(fixture->db, 0);
        put(fixture->db, "key", "value");
        reopen(fixture);
        check_value(fixture->db, "key", "value");
        close_database(fixture);
    }
}

/* ---- Flags ----------------------------------------------------------------------------------- */

static void nocreate_of_missing_file_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    assert_code(open_code(fixture->path, LXDB_NOCREATE), LXDB_NOTFOUND);
    check_files(fixture, "");
}

static void rdonly_of_missing_file_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    assert_code(open_code(fixture->path, LXDB_RDONLY), LXDB_NOTFOUND);
    check_files(fixture, "");
}

static void missing_directory_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    assert_code(open_code(in_directory(fixture, "no/test.lxdb"), 0), LXDB_NOTFOUND);
}

static void excl_of_missing_file_creates(void **state)
{
    struct fixture *fixture = *state;
    assert_code(open_code(fixture->path, LXDB_EXCL), LXDB_OK);
    check_files(fixture, "test.lxdb");
}

static void excl_of_existing_file_is_exists(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    assert_code(open_code(fixture->path, LXDB_EXCL), LXDB_EXISTS);
    close_database(fixture);
    assert_code(open_code(fixture->path, LXDB_EXCL), LXDB_EXISTS);
    fixture->db = open_database(fixture->path);
    check_value(fixture->db, "key", "value");
}

static void close_of_null_is_fine(void **state)
{
    (void)state;
    assert_ok(lxdb_close(NULL));
}

/* ---- Options --------------------------------------------------------------------------------- */

static void options_of_zeroes_are_the_defaults(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options};
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    put(fixture->db, "key", "value");
    check_value(fixture->db, "key", "value");
}

static void options_of_a_shorter_struct_have_defaults_for_the_rest(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options;
    memset(&options, 0xff, sizeof options);
    options.size = offsetof(lxdb_options, sync);
    options.flags = LXDB_EXCL;
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    assert_int_equal(file_mode(fixture->path), 0600);
    put(fixture->db, "key", "value");
}

struct longer_options {
    lxdb_options options;
    uint64_t unknown;
};

static void options_of_a_longer_struct_may_have_zeroes(void **state)
{
    struct fixture *fixture = *state;
    struct longer_options longer = {.options.size = sizeof longer};
    assert_ok(lxdb_open(fixture->path, &longer.options, &fixture->db));
}

static void options_of_a_longer_struct_with_unknown_wishes_are_invalid(void **state)
{
    struct fixture *fixture = *state;
    struct longer_options longer = {.options.size = sizeof longer, .unknown = 1};
    assert_code(lxdb_open(fixture->path, &longer.options, &fixture->db), LXDB_INVALID);
    assert_null(fixture->db);
    check_files(fixture, "");
}

static void options_out_of_range_are_invalid(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options flags = {.size = sizeof flags, .flags = 1u << 31};
    lxdb_options sync = {.size = sizeof sync, .sync = 3};
    lxdb_options negative = {.size = sizeof negative, .sync = -1};
    lxdb_options helpers = {.size = sizeof helpers, .helpers = 3};
    assert_code(lxdb_open(fixture->path, &flags, &fixture->db), LXDB_INVALID);
    assert_code(lxdb_open(fixture->path, &sync, &fixture->db), LXDB_INVALID);
    assert_code(lxdb_open(fixture->path, &negative, &fixture->db), LXDB_INVALID);
    assert_code(lxdb_open(fixture->path, &helpers, &fixture->db), LXDB_INVALID);
    check_files(fixture, "");
}

static void open_without_path_or_place_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_open(NULL, NULL, &fixture->db), LXDB_INVALID);
    assert_code(lxdb_open(fixture->path, NULL, NULL), LXDB_INVALID);
    assert_code(lxdb_open("", NULL, &fixture->db), LXDB_INVALID);
    check_files(fixture, "");
}

static void every_sync_mode_stores(void **state)
{
    struct fixture *fixture = *state;
    static const int modes[] = {LXDB_SYNC_NONE, LXDB_SYNC_INTERVAL, LXDB_SYNC_FULL};
    char key[] = "key-0";
    for (size_t i = 0; i < COUNT(modes); i++) {
        lxdb_options options = {.size = sizeof options, .sync = modes[i], .sync_interval_ms = 10};
        assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
        key[4] = (char)('0' + i);
        put(fixture->db, key, "value");
        close_database(fixture);
    }
    fixture->db = open_database(fixture->path);
    check_keys(fixture->db, "", 0, "key-0 key-1 key-2");
}

/* ---- Helper files ---------------------------------------------------------------------------- */

static void close_with_helpers(struct fixture *fixture, int helpers, unsigned keys)
{
    lxdb_options options = {.size = sizeof options, .helpers = helpers};
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    fill(fixture->db, keys);
    check_files(fixture, "test.lxdb test.lxdb-index test.lxdb-lock");
    close_database(fixture);
}

static void helpers_auto_leaves_a_small_database_alone(void **state)
{
    struct fixture *fixture = *state;
    close_with_helpers(fixture, LXDB_HELPERS_AUTO, 10);
    check_files(fixture, "test.lxdb");
}

static void helpers_remove_leaves_the_data_alone(void **state)
{
    struct fixture *fixture = *state;
    close_with_helpers(fixture, LXDB_HELPERS_REMOVE, 5000);
    check_files(fixture, "test.lxdb");
}

static void helpers_keep_leaves_all_three(void **state)
{
    struct fixture *fixture = *state;
    close_with_helpers(fixture, LXDB_HELPERS_KEEP, 10);
    check_files(fixture, "test.lxdb test.lxdb-index test.lxdb-lock");
    fixture->db = open_database(fixture->path);
    check_filled(fixture->db, 10);
}

static void helpers_kept_and_deleted_are_made_again(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"test.lxdb-index", "test.lxdb-lock"};
    for (size_t i = 0; i < COUNT(names); i++) {
        close_with_helpers(fixture, LXDB_HELPERS_KEEP, 50);
        assert_int_equal(unlink(in_directory(fixture, names[i])), 0);
        fixture->db = open_database(fixture->path);
        check_filled(fixture->db, 50);
        close_database(fixture);
    }
}

static void helpers_kept_and_damaged_are_made_again(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"test.lxdb-index", "test.lxdb-lock"};
    uint8_t *garbage = noise(8192, 13);
    for (size_t i = 0; i < COUNT(names); i++) {
        close_with_helpers(fixture, LXDB_HELPERS_KEEP, 50);
        write_file(in_directory(fixture, names[i]), garbage, 8192);
        fixture->db = open_database(fixture->path);
        check_filled(fixture->db, 50);
        close_database(fixture);
    }
    free(garbage);
}

static void index_kept_for_other_data_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .helpers = LXDB_HELPERS_KEEP};
    close_with_helpers(fixture, LXDB_HELPERS_KEEP, 50);
    copy_file(fixture->path, in_directory(fixture, "other"));
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    assert_ok(lxdb_clear(fixture->db, NULL));
    put(fixture->db, "later", "value");
    close_database(fixture);
    copy_file(in_directory(fixture, "other"), fixture->path);
    fixture->db = open_database(fixture->path);
    check_filled(fixture->db, 50);
}

/* As another program deletes: one byte changes, and neither size nor the last record. */
static void index_kept_for_a_file_that_was_changed_in_place_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes;
    size_t len;
    lxdb_stat_info info;
    close_with_helpers(fixture, LXDB_HELPERS_KEEP, 50);
    bytes = read_file(fixture->path, &len);
    assert_int_equal(bytes[10], 1); /* the status of key-0 */
    bytes[10] = 0;
    write_file(fixture->path, bytes, len);
    free(bytes);
    fixture->db = open_database(fixture->path);
    check_missing(fixture->db, "key-0");
    check_count(fixture->db, 49);
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_int_equal(info.compactions, 0); /* the old index was never in use, nor mended */
}

static void file_closed_cleanly_has_no_padding(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    assert_true(file_size(fixture->path) > 10 + 11 + 3 + 5);
    close_database(fixture);
    assert_int_equal(file_size(fixture->path), 10 + 11 + 3 + 5);
}

static void copy_of_a_closed_file_is_the_database(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 500);
    close_database(fixture);
    copy_file(fixture->path, in_directory(fixture, "copy.lxdb"));
    fixture->db = open_database(in_directory(fixture, "copy.lxdb"));
    check_filled(fixture->db, 500);
}

/* ---- Files that are no database -------------------------------------------------------------- */

static void check_refused_untouched(struct fixture *fixture, const void *bytes, size_t len,
                                    int want)
{
    size_t after_len;
    write_file(fixture->path, bytes, len);
    assert_code(open_code(fixture->path, 0), want);
    assert_code(open_code(fixture->path, LXDB_RDONLY), want);
    uint8_t *after = read_file(fixture->path, &after_len);
    assert_int_equal(after_len, len);
    assert_memory_equal(after, bytes, len);
    free(after);
}

static void file_with_other_magic_is_notdb(void **state)
{
    struct fixture *fixture = *state;
    check_refused_untouched(fixture, "SQLite format 3\0", 16, LXDB_NOTDB);
    check_refused_untouched(fixture, "lxdb\0\x01\0\0\0\0", 10, LXDB_NOTDB);
    check_refused_untouched(fixture, "\0\0\0\0\0\0\0\0\0\0\0x", 12, LXDB_NOTDB);
}

static void file_shorter_than_a_header_is_notdb(void **state)
{
    struct fixture *fixture = *state;
    for (size_t len = 1; len < 10; len++)
        check_refused_untouched(fixture, "LXDB\0\x01\0\0\0", len, LXDB_NOTDB);
}

static void file_of_another_version_is_version(void **state)
{
    struct fixture *fixture = *state;
    check_refused_untouched(fixture, "LXDB\0\x02\0\0\0\0", 10, LXDB_VERSION);
    check_refused_untouched(fixture, "LXDB\x01\0\0\0\0\0", 10, LXDB_VERSION);
    check_refused_untouched(fixture, "LXDB\0\0\0\0\0\0", 10, LXDB_VERSION);
}

static void directory_is_unsupported(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    assert_code(open_code(fixture->path, 0), LXDB_UNSUPPORTED);
    assert_code(open_code(fixture->path, LXDB_RDONLY), LXDB_UNSUPPORTED);
}

static void fifo_is_unsupported_and_does_not_block(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_code(open_code(fixture->path, 0), LXDB_UNSUPPORTED);
    assert_code(open_code(fixture->path, LXDB_RDONLY), LXDB_UNSUPPORTED);
}

static void device_is_unsupported(void **state)
{
    (void)state;
    assert_code(open_code("/dev/null", LXDB_RDONLY), LXDB_UNSUPPORTED);
    assert_code(open_code("/dev/zero", LXDB_RDONLY), LXDB_UNSUPPORTED);
}

static void symbolic_link_is_unsupported(void **state)
{
    struct fixture *fixture = *state;
    close_database(fixture);
    const char *link = in_directory(fixture, "link.lxdb");
    assert_int_equal(symlink("test.lxdb", link), 0);
    assert_code(open_code(link, 0), LXDB_UNSUPPORTED);
    assert_code(open_code(link, LXDB_RDONLY), LXDB_UNSUPPORTED);
    check_files(fixture, "link.lxdb test.lxdb");
}

static void dangling_link_is_unsupported_and_makes_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(symlink("elsewhere", fixture->path), 0);
    assert_code(open_code(fixture->path, 0), LXDB_UNSUPPORTED);
    check_files(fixture, "test.lxdb");
}

static void hard_link_is_unsupported(void **state)
{
    struct fixture *fixture = *state;
    close_database(fixture);
    const char *name = in_directory(fixture, "other.lxdb");
    assert_int_equal(link(fixture->path, name), 0);
    assert_code(open_code(fixture->path, 0), LXDB_UNSUPPORTED);
    assert_code(open_code(name, 0), LXDB_UNSUPPORTED);
    assert_int_equal(unlink(name), 0);
    assert_code(open_code(fixture->path, 0), LXDB_OK);
}

static void hostile_helper_names_are_refused_and_followed_nowhere(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"test.lxdb-lock", "test.lxdb-index"};
    close_database(fixture);
    write_file(in_directory(fixture, "victim"), "precious", 8);
    for (size_t i = 0; i < COUNT(names); i++) {
        size_t len;
        const char *name = in_directory(fixture, names[i]);
        assert_int_equal(symlink("victim", name), 0);
        int rc = open_code(fixture->path, 0); /* refused, or the link replaced */
        assert_true(rc == LXDB_OK || rc == LXDB_UNSUPPORTED);
        uint8_t *victim = read_file(in_directory(fixture, "victim"), &len);
        assert_int_equal(len, 8);
        assert_memory_equal(victim, "precious", 8);
        free(victim);
        unlink(name);
    }
}

static void open_as_other_user(const struct fixture *fixture)
{
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_UNSUPPORTED, "open");
}

static void file_of_another_user_is_unsupported(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    assert_ok(lxdb_open(fixture->path, NULL, &fixture->db));
    put(fixture->db, "key", "value");
    close_database(fixture);
    assert_int_equal(chmod(fixture->path, 0666), 0);
    assert_int_equal(chown(fixture->path, 1, 1), 0);
    give_away(fixture, false);
    run_child_unprivileged(open_as_other_user, fixture);
}

/* A helper file that somebody else made, or that is another file too, would be theirs to write to
 * while we trust it. */
static void put_helper_of(const struct fixture *fixture, const char *suffix, uid_t owner)
{
    static const char bytes[4 * 4096];
    char name[64];

    snprintf(name, sizeof name, "test.lxdb%s", suffix);
    write_file(in_directory(fixture, name), bytes, sizeof bytes);
    assert_int_equal(chown(in_directory(fixture, name), owner, owner), 0);
    assert_int_equal(chmod(in_directory(fixture, name), 0666), 0);
}

static void open_beside_helper_of_another_user(const struct fixture *fixture)
{
    lxdb *db = NULL;

    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_UNSUPPORTED, "open");
    child_require(strstr(lxdb_errmsg(NULL), "belongs to user 1") != NULL, lxdb_errmsg(NULL));
}

static void lock_file_of_another_user_is_unsupported(void **state)
{
    struct fixture *fixture = *state;

    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    close_database(fixture);
    give_away(fixture, true);
    put_helper_of(fixture, "-lock", 1);
    run_child_unprivileged(open_beside_helper_of_another_user, fixture);
    open_beside_helper_of_another_user(fixture); /* root is not to trust it either */
}

static void lost_file_of_another_user_gets_nothing(void **state)
{
    struct fixture *fixture = *state;

    if (geteuid() != 0)
        skip();
    close_database(fixture);
    write_file(fixture->path, "LXDB\0\1\0\0\0\0and a secret", 22);
    give_away(fixture, true);
    put_helper_of(fixture, "-lost", 1);
    run_child_unprivileged(open_beside_helper_of_another_user, fixture);
    open_beside_helper_of_another_user(fixture);
    assert_int_equal(file_size(in_directory(fixture, "test.lxdb-lost")), 4 * 4096);
}

static void helper_with_another_name_is_unsupported(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"test.lxdb-lock", "test.lxdb-lost"};
    uint8_t *victim;
    size_t len;

    close_database(fixture);
    write_file(fixture->path, "LXDB\0\1\0\0\0\0and a torn end", 24);
    write_file(in_directory(fixture, "victim"), "precious", 8);
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_int_equal(link(in_directory(fixture, "victim"), in_directory(fixture, names[i])), 0);
        assert_code(open_code(fixture->path, 0), LXDB_UNSUPPORTED);
        victim = read_file(in_directory(fixture, "victim"), &len);
        assert_int_equal(len, 8);
        assert_memory_equal(victim, "precious", 8);
        free(victim);
        assert_int_equal(unlink(in_directory(fixture, names[i])), 0);
    }
}

static void kept_index_of_another_user_is_made_anew(void **state)
{
    struct fixture *fixture = *state;
    lxdb_options options = {.size = sizeof options, .helpers = LXDB_HELPERS_KEEP};
    struct stat made;

    if (geteuid() != 0)
        skip();
    close_database(fixture);
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    put(fixture->db, "key", "value");
    close_database(fixture);
    assert_int_equal(chown(in_directory(fixture, "test.lxdb-index"), 1, 1), 0);
    assert_ok(lxdb_open(fixture->path, &options, &fixture->db));
    check_value(fixture->db, "key", "value");
    assert_int_equal(stat(in_directory(fixture, "test.lxdb-index"), &made), 0);
    assert_int_equal(made.st_uid, 0);
}

/* ---- Twice ----------------------------------------------------------------------------------- */

static void two_handles_in_one_process_share_the_database(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    put(fixture->db, "a", "1");
    check_value(other, "a", "1");
    put(other, "b", "2");
    check_value(fixture->db, "b", "2");
    drop(other, "a");
    check_missing(fixture->db, "a");
    assert_ok(lxdb_compact(other, NULL));
    put(fixture->db, "c", "3");
    check_keys(other, "", 0, "b c");
    close_database(fixture);
    put(other, "d", "4");
    check_keys(other, "", 0, "b c d");
    assert_ok(lxdb_close(other));
    fixture->db = open_database(fixture->path);
    check_keys(fixture->db, "", 0, "b c d");
}

static void two_databases_in_one_process_are_apart(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_with(in_directory(fixture, "other.lxdb"), 0);
    put(fixture->db, "key", "one");
    put(other, "key", "two");
    check_value(fixture->db, "key", "one");
    check_value(other, "key", "two");
    assert_ok(lxdb_close(other));
}

static void database_in_use_under_another_name_is_busy(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    const char *name = in_directory(fixture, "renamed.lxdb");
    assert_int_equal(rename(fixture->path, name), 0);
    assert_code(open_code(name, 0), LXDB_BUSY);
    assert_int_equal(rename(name, fixture->path), 0);
}

static void lock_file_removed_under_users_is_busy(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    const char *lock = in_directory(fixture, "test.lxdb-lock");
    const char *aside = in_directory(fixture, "aside");
    assert_int_equal(rename(lock, aside), 0);
    assert_code(open_code(fixture->path, 0), LXDB_BUSY);
    assert_int_equal(rename(aside, lock), 0);
    check_value(fixture->db, "key", "value");
}

/* ---- Read-only ------------------------------------------------------------------------------- */

/* Every call that changes something; none may. */
static void check_every_change_is_readonly(lxdb *db)
{
    lxdb_batch *batch = NULL;
    int64_t sum = 77;
    uint64_t deleted = 77;
    assert_code(lxdb_create(db, "new", 3, "v", 1), LXDB_READONLY);
    assert_code(lxdb_write(db, "key-1", 5, "v", 1), LXDB_READONLY);
    assert_code(lxdb_update(db, "key-1", 5, "v", 1), LXDB_READONLY);
    assert_code(lxdb_delete(db, "key-1", 5), LXDB_READONLY);
    assert_code(lxdb_set_bytes(db, "t", 1, "v", 1), LXDB_READONLY);
    assert_code(lxdb_set_json(db, "t", 1, "1", 1), LXDB_READONLY);
    assert_code(lxdb_set_str(db, "t", 1, "v", 1), LXDB_READONLY);
    assert_code(lxdb_set_int(db, "t", 1, 1), LXDB_READONLY);
    assert_code(lxdb_set_double(db, "t", 1, 1), LXDB_READONLY);
    assert_code(lxdb_set_bool(db, "t", 1, 1), LXDB_READONLY);
    assert_code(lxdb_set_null(db, "t", 1), LXDB_READONLY);
    assert_code(lxdb_cas(db, "c", 1, NULL, 0, "v", 1), LXDB_READONLY);
    assert_code(lxdb_incr(db, "i", 1, 1, &sum), LXDB_READONLY);
    assert_code(lxdb_clear(db, &deleted), LXDB_READONLY);
    assert_code(lxdb_compact(db, NULL), LXDB_READONLY);
    int rc = lxdb_batch_begin(db, &batch); /* refused at the start or at the end */
    if (rc == LXDB_OK) {
        assert_ok(lxdb_batch_write(batch, "b", 1, "v", 1));
        rc = lxdb_batch_commit(batch, NULL, NULL);
    }
    assert_code(rc, LXDB_READONLY);
    assert_int_equal(sum, 77);
    assert_int_equal(deleted, 77);
}

static void rdonly_handle_alone_reads_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    size_t before_len, after_len;
    fill(fixture->db, 100);
    close_database(fixture);
    uint8_t *before = read_file(fixture->path, &before_len);
    fixture->db = open_with(fixture->path, LXDB_RDONLY);
    check_filled(fixture->db, 100);
    check_every_change_is_readonly(fixture->db);
    check_filled(fixture->db, 100);
    close_database(fixture);
    uint8_t *after = read_file(fixture->path, &after_len);
    assert_int_equal(after_len, before_len);
    assert_memory_equal(after, before, before_len);
    free(before);
    free(after);
    check_files(fixture, "test.lxdb");
}

static void rdonly_handle_beside_a_writer_sees_its_writes(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 100);
    lxdb *reader = open_with(fixture->path, LXDB_RDONLY);
    check_filled(reader, 100);
    put(fixture->db, "later", "value");
    check_value(reader, "later", "value");
    check_every_change_is_readonly(reader);
    assert_ok(lxdb_compact(fixture->db, NULL));
    put(fixture->db, "after", "compaction");
    check_value(reader, "after", "compaction");
    drop(fixture->db, "later");
    check_missing(reader, "later");
    assert_ok(lxdb_close(reader));
}

static void rdonly_handle_notices_a_later_writer(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 100);
    close_database(fixture);
    lxdb *reader = open_with(fixture->path, LXDB_RDONLY);
    check_filled(reader, 100);
    fixture->db = open_database(fixture->path);
    put(fixture->db, "later", "value");
    int rc = LXDB_NOTFOUND; /* it looks now and then, not at every call */
    for (int i = 0; i < 5000 && rc == LXDB_NOTFOUND; i++) {
        rc = lxdb_exists(reader, "later", 5);
        usleep(1000);
    }
    assert_ok(rc);
    check_value(reader, "later", "value");
    assert_ok(lxdb_close(reader));
}

static void rdonly_handle_iterates_lists_and_counts(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = NULL;
    lxdb_namespace_info *list = NULL;
    lxdb_stat_info info;
    size_t n = 0;
    put(fixture->db, "b", "1");
    put(fixture->db, "a", "1");
    assert_ok(lxdb_write(fixture->db, "ns\0k", 4, "1", 1));
    close_database(fixture);
    fixture->db = open_with(fixture->path, LXDB_RDONLY);
    check_keys(fixture->db, "a", 0, "a");
    check_count(fixture->db, 3);
    assert_ok(lxdb_namespaces(fixture->db, &list, &n));
    assert_int_equal(n, 1);
    lxdb_free(list);
    assert_ok(lxdb_namespace(fixture->db, "ns", &ns));
    check_keys(ns, "", LXDB_ITER_REVERSE, "k");
    check_every_change_is_readonly(ns);
    assert_ok(lxdb_close(ns));
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_int_equal(info.records, 3);
}

static void read_protected(const struct fixture *fixture)
{
    lxdb_options options = {.size = sizeof options, .flags = LXDB_RDONLY};
    lxdb *db = NULL;
    char buf[32];
    size_t len = 0;
    uint64_t count = 0;
    child_require_code(lxdb_open(fixture->path, &options, &db), LXDB_OK, "open");
    child_require_code(lxdb_count(db, &count), LXDB_OK, "count");
    child_require(count == 100, "100 keys");
    child_require_code(lxdb_read(db, "key-7", 5, buf, sizeof buf, &len), LXDB_OK, "read");
    child_require(len == 10 && memcmp(buf, "value of 7", 10) == 0, "its value");
    child_require_code(lxdb_write(db, "key-7", 5, "v", 1), LXDB_READONLY, "write");
    child_require_code(lxdb_close(db), LXDB_OK, "close");
    db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_READONLY, "open for writing");
}

static void file_with_mode_0400_in_a_protected_directory_is_readable(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 100);
    close_database(fixture);
    assert_int_equal(chmod(fixture->path, 0400), 0);
    assert_int_equal(chmod(fixture->dir, 0500), 0);
    give_away(fixture, true);
    run_child_unprivileged(read_protected, fixture);
    check_files(fixture, "test.lxdb");
}

static void create_in_protected_directory(const struct fixture *fixture)
{
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_READONLY, "open");
}

static void creating_in_a_protected_directory_is_readonly(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(chmod(fixture->dir, 0500), 0);
    give_away(fixture, true);
    run_child_unprivileged(create_in_protected_directory, fixture);
    check_files(fixture, "");
}

/* ---- Crashes --------------------------------------------------------------------------------- */

static void write_and_die(const struct fixture *fixture)
{
    lxdb *db = NULL;
    char key[32], value[32];
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        snprintf(value, sizeof value, "value of %u", i);
        child_require_code(lxdb_write(db, key, strlen(key), value, strlen(value)), LXDB_OK,
                           "write");
    }
    child_require_code(lxdb_write(db, "victim", 6, "v", 1), LXDB_OK, "write");
    child_require_code(lxdb_delete(db, "victim", 6), LXDB_OK, "delete");
    die_now();
}

static void acknowledged_writes_survive_a_kill(void **state)
{
    struct fixture *fixture = *state;
    run_child_killed(write_and_die, fixture);
    fixture->db = open_database(fixture->path);
    check_filled(fixture->db, 1000);
    check_missing(fixture->db, "victim");
    put(fixture->db, "after", "recovery");
    reopen(fixture);
    check_value(fixture->db, "after", "recovery");
    check_count(fixture->db, 1001);
}

static void write_and_exit(const struct fixture *fixture)
{
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "key", 3, "value", 5), LXDB_OK, "write");
    coverage_keep();
    _exit(0);
}

static void acknowledged_writes_survive_an_exit_without_close(void **state)
{
    struct fixture *fixture = *state;
    run_child(write_and_exit, fixture);
    fixture->db = open_database(fixture->path);
    check_value(fixture->db, "key", "value");
}

static void recovery_after_a_kill_has_a_receipt(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    run_child_killed(write_and_die, fixture);
    fixture->db = open_database(fixture->path);
    memset(&report, 0xff, sizeof report);
    assert_ok(lxdb_recovery(fixture->db, &report));
    assert_int_equal(report.crashed, 1);
    assert_int_equal(report.bad_watermark, 0);
    assert_int_equal(report.records_live, 1000);
    assert_int_equal(report.bytes_cut, 0);
    assert_int_equal(report.bytes_damaged, 0);
    assert_int_equal(report.ranges_total, 0);
    assert_int_equal(report.ranges_listed, 0);
    assert_true(report.watermark >= 10 && report.watermark <= report.tail);
    assert_true(report.tail <= report.file_size);
    assert_true(report.time_ms > INT64_C(1500000000000));
    lxdb_stat_info info;
    assert_ok(lxdb_stat(fixture->db, &info));
    assert_true(info.recoveries >= 1);
}

static void recovery_cuts_a_torn_tail_and_keeps_it_aside(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    run_child_killed(write_and_die, fixture);
    /* The last bytes of the log that are not zero become garbage. */
    size_t len;
    uint8_t *file = read_file(fixture->path, &len);
    size_t end = len;
    while (end > 0 && file[end - 1] == 0)
        end--;
    memset(file + end, 0x5a, len - end < 100 ? len - end : 100);
    write_file(fixture->path, file, len);
    free(file);
    fixture->db = open_database(fixture->path);
    check_filled(fixture->db, 1000);
    assert_ok(lxdb_recovery(fixture->db, &report));
    assert_int_equal(report.crashed, 1);
    assert_true(report.bytes_cut > 0);
    assert_int_equal(report.ranges_listed, 1);
    assert_int_equal(report.ranges[0].kind, LXDB_RANGE_CUT);
    assert_int_equal(report.ranges[0].offset, report.tail);
    assert_true(file_size(in_directory(fixture, "test.lxdb-lost")) > 0);
}

static void recovery_of_a_database_that_never_crashed_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    assert_code(lxdb_recovery(fixture->db, &report), LXDB_NOTFOUND);
    put(fixture->db, "key", "value");
    reopen(fixture);
    assert_code(lxdb_recovery(fixture->db, &report), LXDB_NOTFOUND);
}

static void recovery_without_place_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    lxdb_report report;
    assert_code(lxdb_recovery(NULL, &report), LXDB_INVALID);
    assert_code(lxdb_recovery(fixture->db, NULL), LXDB_INVALID);
}

static void rdonly_open_of_a_crashed_database_reads_and_leaves_it(void **state)
{
    struct fixture *fixture = *state;
    size_t before_len, after_len;
    run_child_killed(write_and_die, fixture);
    uint8_t *before = read_file(fixture->path, &before_len);
    fixture->db = open_with(fixture->path, LXDB_RDONLY);
    check_filled(fixture->db, 1000);
    close_database(fixture);
    uint8_t *after = read_file(fixture->path, &after_len);
    assert_int_equal(after_len, before_len);
    assert_memory_equal(after, before, before_len);
    free(before);
    free(after);
}

static void write_beside_and_die(const struct fixture *fixture)
{
    lxdb *db = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "of the child", 12, "value", 5), LXDB_OK, "write");
    die_now();
}

static void kill_of_another_process_does_not_stop_this_one(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "before", "value");
    run_child_killed(write_beside_and_die, fixture);
    check_value(fixture->db, "of the child", "value");
    put(fixture->db, "after", "value");
    reopen(fixture);
    check_count(fixture->db, 3);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void use_inherited_handle(const struct fixture *fixture)
{
    char buf[16];
    size_t len = 0;
    child_require_code(lxdb_read(fixture->db, "parent", 6, buf, sizeof buf, &len), LXDB_OK, "read");
    child_require(len == 5 && memcmp(buf, "value", 5) == 0, "the parent's value");
    child_require_code(lxdb_write(fixture->db, "child", 5, "value", 5), LXDB_OK, "write");
    child_require_code(lxdb_close(fixture->db), LXDB_OK, "close");
}

static void handle_inherited_by_fork_works(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "parent", "value");
    run_child(use_inherited_handle, fixture);
    check_value(fixture->db, "child", "value");
    put(fixture->db, "later", "value");
    reopen(fixture);
    check_count(fixture->db, 3);
}

static void close_inherited_handle(const struct fixture *fixture)
{
    child_require_code(lxdb_close(fixture->db), LXDB_OK, "close");
}

static void handle_closed_in_a_child_stays_open_in_the_parent(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    run_child(close_inherited_handle, fixture);
    check_value(fixture->db, "key", "value");
    put(fixture->db, "key", "new");
    check_files(fixture, "test.lxdb test.lxdb-index test.lxdb-lock");
    check_value(fixture->db, "key", "new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(open_creates_a_header_alone),
        test_in_directory(open_creates_with_mode_0600),
        test_in_directory(open_creates_with_the_mode_asked_for_despite_the_umask),
        test_in_database(open_keeps_the_mode_of_an_existing_file),
        test_in_directory(open_of_a_relative_path_survives_chdir),
        test_in_directory(blank_files_are_empty_databases),
        test_in_directory(nocreate_of_missing_file_is_notfound),
        test_in_directory(rdonly_of_missing_file_is_notfound),
        test_in_directory(missing_directory_is_notfound),
        test_in_directory(excl_of_missing_file_creates),
        test_in_database(excl_of_existing_file_is_exists),
        cmocka_unit_test(close_of_null_is_fine),
        test_in_directory(options_of_zeroes_are_the_defaults),
        test_in_directory(options_of_a_shorter_struct_have_defaults_for_the_rest),
        test_in_directory(options_of_a_longer_struct_may_have_zeroes),
        test_in_directory(options_of_a_longer_struct_with_unknown_wishes_are_invalid),
        test_in_directory(options_out_of_range_are_invalid),
        test_in_directory(open_without_path_or_place_is_invalid),
        test_in_directory(every_sync_mode_stores),
        test_in_directory(helpers_auto_leaves_a_small_database_alone),
        test_in_directory(helpers_remove_leaves_the_data_alone),
        test_in_directory(helpers_keep_leaves_all_three),
        test_in_directory(helpers_kept_and_deleted_are_made_again),
        test_in_directory(helpers_kept_and_damaged_are_made_again),
        test_in_directory(index_kept_for_other_data_is_not_believed),
        test_in_directory(index_kept_for_a_file_that_was_changed_in_place_is_not_believed),
        test_in_database(file_closed_cleanly_has_no_padding),
        test_in_database(copy_of_a_closed_file_is_the_database),
        test_in_directory(file_with_other_magic_is_notdb),
        test_in_directory(file_shorter_than_a_header_is_notdb),
        test_in_directory(file_of_another_version_is_version),
        test_in_directory(directory_is_unsupported),
        test_in_directory(fifo_is_unsupported_and_does_not_block),
        cmocka_unit_test(device_is_unsupported),
        test_in_database(symbolic_link_is_unsupported),
        test_in_directory(dangling_link_is_unsupported_and_makes_nothing),
        test_in_database(hard_link_is_unsupported),
        test_in_database(hostile_helper_names_are_refused_and_followed_nowhere),
        test_in_directory(file_of_another_user_is_unsupported),
        test_in_database(lock_file_of_another_user_is_unsupported),
        test_in_database(lost_file_of_another_user_gets_nothing),
        test_in_database(helper_with_another_name_is_unsupported),
        test_in_database(kept_index_of_another_user_is_made_anew),
        test_in_database(two_handles_in_one_process_share_the_database),
        test_in_database(two_databases_in_one_process_are_apart),
        test_in_database(database_in_use_under_another_name_is_busy),
        test_in_database(lock_file_removed_under_users_is_busy),
        test_in_database(rdonly_handle_alone_reads_and_changes_nothing),
        test_in_database(rdonly_handle_beside_a_writer_sees_its_writes),
        test_in_database(rdonly_handle_notices_a_later_writer),
        test_in_database(rdonly_handle_iterates_lists_and_counts),
        test_in_database(file_with_mode_0400_in_a_protected_directory_is_readable),
        test_in_directory(creating_in_a_protected_directory_is_readonly),
        test_in_directory(acknowledged_writes_survive_a_kill),
        test_in_directory(acknowledged_writes_survive_an_exit_without_close),
        test_in_directory(recovery_after_a_kill_has_a_receipt),
        test_in_directory(recovery_cuts_a_torn_tail_and_keeps_it_aside),
        test_in_database(recovery_of_a_database_that_never_crashed_is_notfound),
        test_in_database(recovery_without_place_is_invalid),
        test_in_directory(rdonly_open_of_a_crashed_database_reads_and_leaves_it),
        test_in_database(kill_of_another_process_does_not_stop_this_one),
        test_in_database(handle_inherited_by_fork_works),
        test_in_database(handle_closed_in_a_child_stays_open_in_the_parent),
    };
    return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
