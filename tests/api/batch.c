/* SPDX-License-Identifier: MIT */
/* Batches: all or nothing. */
#include "harness.h"

#include <stdio.h>

#define NOT_SET ((size_t)777)

static lxdb_batch *begin(lxdb *db)
{
    lxdb_batch *batch = NULL;
    assert_ok(lxdb_batch_begin(db, &batch));
    assert_non_null(batch);
    return batch;
}

static void add_write(lxdb_batch *batch, const char *key, const char *value)
{
    assert_ok(lxdb_batch_write(batch, key, strlen(key), value, strlen(value)));
}

static void add_create(lxdb_batch *batch, const char *key, const char *value)
{
    assert_ok(lxdb_batch_create(batch, key, strlen(key), value, strlen(value)));
}

static void add_delete(lxdb_batch *batch, const char *key)
{
    assert_ok(lxdb_batch_delete(batch, key, strlen(key)));
}

static void commit_applies_every_change(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "replaced", "old");
    put(fixture->db, "deleted", "old");
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "replaced", "new");
    add_create(batch, "created", "value");
    add_delete(batch, "deleted");
    assert_ok(lxdb_batch_set_json(batch, "typed", 5, "[1]", 3));
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    for (int pass = 0; pass < 2; pass++) {
        check_value(fixture->db, "replaced", "new");
        check_value(fixture->db, "created", "value");
        check_missing(fixture->db, "deleted");
        check_value(fixture->db, "typed", "\x01[1]");
        check_count(fixture->db, 3);
        reopen(fixture);
    }
}

static void changes_do_not_show_before_commit(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "key", "value");
    check_missing(fixture->db, "key");
    check_count(fixture->db, 0);
    put(fixture->db, "other", "written meanwhile");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_value(fixture->db, "key", "value");
    check_value(fixture->db, "other", "written meanwhile");
}

static void keys_and_values_are_copied(void **state)
{
    struct fixture *fixture = *state;
    char key[] = "key", value[] = "value";
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, key, value);
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_value(fixture->db, "key", "value");
    check_count(fixture->db, 1);
}

static void empty_batch_is_ok(void **state)
{
    struct fixture *fixture = *state;
    size_t deleted = NOT_SET;
    put(fixture->db, "key", "value");
    assert_ok(lxdb_batch_commit(begin(fixture->db), &deleted, NULL));
    assert_int_equal(deleted, 0);
    check_value(fixture->db, "key", "value");
}

/* So many live bytes that a commit asks for the lines of its keys ahead. */
static void batch_in_a_store_larger_than_the_caches_is_committed(void **state)
{
    struct fixture *fixture = *state;
    size_t large = (size_t)9 << 20;
    char *value = calloc(1, large);
    lxdb_batch *batch = begin(fixture->db);
    char key[16], number[16];

    assert_non_null(value);
    assert_ok(lxdb_write(fixture->db, "large", 5, value, large));
    free(value);
    for (int pass = 0; pass < 2; pass++) { /* creates, then replaces; the even ones go */
        for (unsigned i = 0; i < 100; i++) {
            (void)snprintf(key, sizeof key, "key-%u", i);
            (void)snprintf(number, sizeof number, "%u", i + 1000 * (unsigned)pass);
            if (pass == 1 && i % 2 == 0)
                add_delete(batch, key);
            else
                add_write(batch, key, number);
        }
        assert_ok(lxdb_batch_commit(batch, NULL, NULL));
        batch = begin(fixture->db);
    }
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_count(fixture->db, 51);
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        (void)snprintf(number, sizeof number, "%u", i + 1000);
        if (i % 2 == 0)
            check_missing(fixture->db, key);
        else
            check_value(fixture->db, key, number);
    }
}

static void abort_drops_every_change(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "key", "value");
    lxdb_batch_abort(batch);
    check_count(fixture->db, 0);
}

static void abort_of_null_is_fine(void **state)
{
    (void)state;
    lxdb_batch_abort(NULL);
}

static void commit_counts_the_deleted_keys_that_were_there(void **state)
{
    struct fixture *fixture = *state;
    size_t deleted = NOT_SET;
    put(fixture->db, "a", "1");
    put(fixture->db, "b", "2");
    lxdb_batch *batch = begin(fixture->db);
    add_delete(batch, "a");
    add_delete(batch, "missing");
    add_delete(batch, "b");
    add_delete(batch, "a"); /* gone by then */
    assert_ok(lxdb_batch_commit(batch, &deleted, NULL));
    assert_int_equal(deleted, 2);
    check_count(fixture->db, 0);
}

static void delete_of_missing_keys_alone_is_ok(void **state)
{
    struct fixture *fixture = *state;
    size_t deleted = NOT_SET;
    lxdb_batch *batch = begin(fixture->db);
    add_delete(batch, "missing");
    assert_ok(lxdb_batch_commit(batch, &deleted, NULL));
    assert_int_equal(deleted, 0);
}

/* ---- Create ---------------------------------------------------------------------------------- */

static void create_of_existing_key_is_exists_with_its_position(void **state)
{
    struct fixture *fixture = *state;
    size_t deleted = NOT_SET, failed_at = NOT_SET;
    put(fixture->db, "there", "old");
    put(fixture->db, "victim", "old");
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "a", "1");
    add_delete(batch, "victim");
    add_create(batch, "b", "2");
    add_create(batch, "there", "new");
    add_write(batch, "c", "3");
    assert_code(lxdb_batch_commit(batch, &deleted, &failed_at), LXDB_EXISTS);
    assert_int_equal(failed_at, 3);
    assert_int_equal(deleted, NOT_SET);
    for (int pass = 0; pass < 2; pass++) {
        check_value(fixture->db, "there", "old");
        check_value(fixture->db, "victim", "old");
        check_count(fixture->db, 2);
        reopen(fixture);
    }
}

static void create_without_place_for_the_position_is_exists(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "there", "old");
    lxdb_batch *batch = begin(fixture->db);
    add_create(batch, "there", "new");
    assert_code(lxdb_batch_commit(batch, NULL, NULL), LXDB_EXISTS);
}

static void position_is_untouched_on_success(void **state)
{
    struct fixture *fixture = *state;
    size_t failed_at = NOT_SET;
    lxdb_batch *batch = begin(fixture->db);
    add_create(batch, "new", "1");
    assert_ok(lxdb_batch_commit(batch, NULL, &failed_at));
    assert_int_equal(failed_at, NOT_SET);
}

static void create_after_delete_in_one_batch_is_ok(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    lxdb_batch *batch = begin(fixture->db);
    add_delete(batch, "key");
    add_create(batch, "key", "new");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_value(fixture->db, "key", "new");
    reopen(fixture);
    check_value(fixture->db, "key", "new");
    check_count(fixture->db, 1);
}

static void create_after_write_in_one_batch_is_exists(void **state)
{
    struct fixture *fixture = *state;
    size_t failed_at = NOT_SET;
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "key", "one");
    add_create(batch, "key", "two");
    assert_code(lxdb_batch_commit(batch, NULL, &failed_at), LXDB_EXISTS);
    assert_int_equal(failed_at, 1);
    check_count(fixture->db, 0);
}

static void create_twice_in_one_batch_is_exists(void **state)
{
    struct fixture *fixture = *state;
    size_t failed_at = NOT_SET;
    lxdb_batch *batch = begin(fixture->db);
    add_create(batch, "key", "one");
    add_create(batch, "key", "two");
    assert_code(lxdb_batch_commit(batch, NULL, &failed_at), LXDB_EXISTS);
    assert_int_equal(failed_at, 1);
    check_count(fixture->db, 0);
}

static void create_after_write_and_delete_in_one_batch_is_ok(void **state)
{
    struct fixture *fixture = *state;
    size_t deleted = NOT_SET;
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "key", "one");
    add_delete(batch, "key");
    add_create(batch, "key", "two");
    assert_ok(lxdb_batch_commit(batch, &deleted, NULL));
    assert_int_equal(deleted, 1);
    check_value(fixture->db, "key", "two");
    check_count(fixture->db, 1);
}

/* ---- Repeated keys --------------------------------------------------------------------------- */

static void last_of_repeated_writes_wins(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "key", "one");
    add_write(batch, "other", "x");
    add_write(batch, "key", "two");
    add_write(batch, "key", "three");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    for (int pass = 0; pass < 2; pass++) {
        check_value(fixture->db, "key", "three");
        check_count(fixture->db, 2);
        check_keys(fixture->db, "", 0, "other key");
        reopen(fixture);
    }
}

static void delete_after_write_in_one_batch_deletes(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "key", "new");
    add_delete(batch, "key");
    add_write(batch, "fresh", "1");
    add_delete(batch, "fresh");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    for (int pass = 0; pass < 2; pass++) {
        check_count(fixture->db, 0);
        check_missing(fixture->db, "key");
        check_missing(fixture->db, "fresh");
        reopen(fixture);
    }
}

static void order_of_changes_is_the_order_of_iteration(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "a", "0");
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "d", "1");
    add_write(batch, "b", "1");
    add_write(batch, "a", "1");
    add_write(batch, "c", "1");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_keys(fixture->db, "", 0, "d b a c");
    reopen(fixture);
    check_keys(fixture->db, "", 0, "d b a c");
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

static void batch_of_thousands_is_applied(void **state)
{
    struct fixture *fixture = *state;
    char key[32], value[32];
    size_t deleted = NOT_SET;
    lxdb_batch *batch = begin(fixture->db);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        snprintf(value, sizeof value, "value of %u", i);
        add_create(batch, key, value);
    }
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_filled(fixture->db, 20000);
    reopen(fixture);
    check_filled(fixture->db, 20000);
    batch = begin(fixture->db);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        add_delete(batch, key);
    }
    assert_ok(lxdb_batch_commit(batch, &deleted, NULL));
    assert_int_equal(deleted, 20000);
    check_count(fixture->db, 0);
}

static void batch_of_large_values_is_applied(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *value = noise(1u << 20, 7);
    lxdb_batch *batch = begin(fixture->db);
    for (uint8_t i = 0; i < 8; i++)
        assert_ok(lxdb_batch_write(batch, &i, 1, value + i, (1u << 20) - i));
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    for (uint8_t i = 0; i < 8; i++)
        check_bytes(fixture->db, &i, 1, value + i, (1u << 20) - i);
    free(value);
}

static void refused_change_leaves_the_batch_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *key = noise(65536, 8);
    lxdb_batch *batch = begin(fixture->db);
    add_write(batch, "good", "1");
    assert_code(lxdb_batch_write(batch, key, 65536, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_batch_create(batch, key, 65536, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_batch_delete(batch, key, 65536), LXDB_TOOBIG);
    assert_code(lxdb_batch_set_json(batch, key, 65536, "1", 1), LXDB_TOOBIG);
    assert_code(lxdb_batch_write(batch, "", 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_batch_create(batch, "", 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_batch_delete(batch, "", 0), LXDB_INVALID);
    assert_code(lxdb_batch_set_json(batch, "", 0, "1", 1), LXDB_INVALID);
    assert_code(lxdb_batch_write(batch, "k", 1, NULL, 1), LXDB_INVALID);
    assert_code(lxdb_batch_write(batch, NULL, 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_batch_write(batch, "k", 1, "v", (size_t)UINT32_MAX + 1), LXDB_TOOBIG);
    assert_code(lxdb_batch_create(batch, "k", 1, "v", (size_t)UINT32_MAX + 1), LXDB_TOOBIG);
    add_write(batch, "better", "2");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_keys(fixture->db, "", 0, "good better");
    free(key);
}

static void set_json_of_other_text_is_json(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = begin(fixture->db);
    assert_code(lxdb_batch_set_json(batch, "k", 1, "[1", 2), LXDB_JSON);
    assert_code(lxdb_batch_set_json(batch, "k", 1, "", 0), LXDB_JSON);
    assert_code(lxdb_batch_set_json(batch, "k", 1, NULL, 1), LXDB_INVALID);
    assert_code(lxdb_batch_set_json(batch, "k", 1, "1", (size_t)UINT32_MAX), LXDB_TOOBIG);
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_count(fixture->db, 0);
}

static void empty_values_are_kept(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = begin(fixture->db);
    assert_ok(lxdb_batch_write(batch, "a", 1, NULL, 0));
    assert_ok(lxdb_batch_create(batch, "b", 1, "", 0));
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    reopen(fixture);
    check_value(fixture->db, "a", "");
    check_value(fixture->db, "b", "");
}

static void without_batch_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    lxdb_batch *batch = NULL;
    assert_code(lxdb_batch_begin(NULL, &batch), LXDB_INVALID);
    assert_code(lxdb_batch_begin(fixture->db, NULL), LXDB_INVALID);
    assert_code(lxdb_batch_write(NULL, "k", 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_batch_create(NULL, "k", 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_batch_set_json(NULL, "k", 1, "1", 1), LXDB_INVALID);
    assert_code(lxdb_batch_delete(NULL, "k", 1), LXDB_INVALID);
    assert_code(lxdb_batch_commit(NULL, NULL, NULL), LXDB_INVALID);
}

static void batch_of_a_namespace_changes_its_keys(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = NULL;
    put(fixture->db, "key", "of the root");
    assert_ok(lxdb_namespace(fixture->db, "space", &ns));
    lxdb_batch *batch = begin(ns);
    add_create(batch, "key", "of the namespace");
    add_write(batch, "other", "1");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_value(ns, "key", "of the namespace");
    check_value(fixture->db, "key", "of the root");
    check_bytes(fixture->db, "space\0other", 11, "1", 1);
    batch = begin(ns);
    add_delete(batch, "key");
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_missing(ns, "key");
    check_value(fixture->db, "key", "of the root");
    assert_ok(lxdb_close(ns));
}

static void two_batches_are_independent(void **state)
{
    struct fixture *fixture = *state;
    size_t failed_at = NOT_SET;
    lxdb_batch *first = begin(fixture->db), *second = begin(fixture->db);
    add_create(first, "key", "first");
    add_create(second, "key", "second");
    assert_ok(lxdb_batch_commit(second, NULL, NULL));
    assert_code(lxdb_batch_commit(first, NULL, &failed_at), LXDB_EXISTS);
    assert_int_equal(failed_at, 0);
    check_value(fixture->db, "key", "second");
}

static void batch_survives_a_compaction_before_its_commit(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 100);
    lxdb_batch *batch = begin(fixture->db);
    add_delete(batch, "key-0");
    add_write(batch, "key-1", "new");
    assert_ok(lxdb_compact(fixture->db, NULL));
    assert_ok(lxdb_batch_commit(batch, NULL, NULL));
    check_missing(fixture->db, "key-0");
    check_value(fixture->db, "key-1", "new");
    check_count(fixture->db, 99);
}

static void commit_in_child(const struct fixture *fixture)
{
    lxdb *db = NULL;
    lxdb_batch *batch = NULL;
    child_require_code(lxdb_open(fixture->path, NULL, &db), LXDB_OK, "open");
    child_require_code(lxdb_write(db, "before", 6, "1", 1), LXDB_OK, "write");
    child_require_code(lxdb_batch_begin(db, &batch), LXDB_OK, "begin");
    child_require_code(lxdb_batch_write(batch, "left", 4, "1", 1), LXDB_OK, "batch_write");
    child_require_code(lxdb_batch_delete(batch, "before", 6), LXDB_OK, "batch_delete");
    child_require_code(lxdb_batch_write(batch, "right", 5, "1", 1), LXDB_OK, "batch_write");
    child_require_code(lxdb_batch_commit(batch, NULL, NULL), LXDB_OK, "commit");
    die_now();
}

static void committed_batch_survives_a_kill(void **state)
{
    struct fixture *fixture = *state;
    run_child_killed(commit_in_child, fixture);
    fixture->db = open_database(fixture->path);
    check_keys(fixture->db, "", 0, "left right");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(commit_applies_every_change),
        test_in_database(changes_do_not_show_before_commit),
        test_in_database(keys_and_values_are_copied),
        test_in_database(empty_batch_is_ok),
        test_in_database(batch_in_a_store_larger_than_the_caches_is_committed),
        test_in_database(abort_drops_every_change),
        cmocka_unit_test(abort_of_null_is_fine),
        test_in_database(commit_counts_the_deleted_keys_that_were_there),
        test_in_database(delete_of_missing_keys_alone_is_ok),
        test_in_database(create_of_existing_key_is_exists_with_its_position),
        test_in_database(create_without_place_for_the_position_is_exists),
        test_in_database(position_is_untouched_on_success),
        test_in_database(create_after_delete_in_one_batch_is_ok),
        test_in_database(create_after_write_in_one_batch_is_exists),
        test_in_database(create_twice_in_one_batch_is_exists),
        test_in_database(create_after_write_and_delete_in_one_batch_is_ok),
        test_in_database(last_of_repeated_writes_wins),
        test_in_database(delete_after_write_in_one_batch_deletes),
        test_in_database(order_of_changes_is_the_order_of_iteration),
        test_in_database(batch_of_thousands_is_applied),
        test_in_database(batch_of_large_values_is_applied),
        test_in_database(refused_change_leaves_the_batch_as_it_was),
        test_in_database(set_json_of_other_text_is_json),
        test_in_database(empty_values_are_kept),
        test_in_database(without_batch_is_invalid),
        test_in_database(batch_of_a_namespace_changes_its_keys),
        test_in_database(two_batches_are_independent),
        test_in_database(batch_survives_a_compaction_before_its_commit),
        test_in_directory(committed_batch_survives_a_kill),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
