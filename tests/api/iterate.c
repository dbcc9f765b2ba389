/* SPDX-License-Identifier: MIT */
/* Iterators, count and clear. */
#include "harness.h"

#include <stdio.h>

static lxdb_iter *open_iter(lxdb *db, uint32_t flags)
{
    lxdb_iter *iter = NULL;
    assert_ok(lxdb_iter_open(db, NULL, 0, flags, &iter));
    assert_non_null(iter);
    return iter;
}

static void check_next(lxdb_iter *iter, const char *key, const char *value)
{
    const void *found_key = NULL, *found = NULL;
    size_t key_len = 0, len = 0;
    assert_ok(lxdb_iter_next(iter, &found_key, &key_len, &found, &len));
    assert_int_equal(key_len, strlen(key));
    assert_memory_equal(found_key, key, key_len);
    assert_int_equal(len, strlen(value));
    if (len > 0)
        assert_memory_equal(found, value, len);
}

/* Key-0 to key-(n-1) as fill() wrote them, then the end; closes the iterator. */
static void check_rest(lxdb_iter *iter, unsigned from, unsigned n)
{
    char key[32], value[32];
    const void *found;
    size_t len;
    for (unsigned i = from; i < n; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        snprintf(value, sizeof value, "value of %u", i);
        check_next(iter, key, value);
    }
    assert_code(lxdb_iter_next(iter, &found, &len, NULL, NULL), LXDB_NOTFOUND);
    lxdb_iter_close(iter);
}

/* ---- Order ----------------------------------------------------------------------------------- */

static void empty_database_has_only_an_end(void **state)
{
    struct fixture *fixture = *state;
    check_keys(fixture->db, "", 0, "");
    check_keys(fixture->db, "", LXDB_ITER_REVERSE, "");
}

static void order_is_that_of_the_last_write(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "b", "1");
    put(fixture->db, "a", "1");
    put(fixture->db, "d", "1");
    put(fixture->db, "c", "1");
    check_keys(fixture->db, "", 0, "b a d c");
    put(fixture->db, "a", "2");
    drop(fixture->db, "d");
    check_keys(fixture->db, "", 0, "b c a");
    put(fixture->db, "d", "2");
    assert_ok(lxdb_update(fixture->db, "b", 1, "3", 1));
    check_keys(fixture->db, "", 0, "c a d b");
}

static void reverse_order_is_newest_first(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "b", "1");
    put(fixture->db, "a", "1");
    put(fixture->db, "c", "1");
    put(fixture->db, "b", "2");
    check_keys(fixture->db, "", LXDB_ITER_REVERSE, "b c a");
}

static void order_survives_reopening_and_compaction(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "b", "1");
    put(fixture->db, "a", "1");
    put(fixture->db, "c", "1");
    put(fixture->db, "b", "2");
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_keys(fixture->db, "", 0, "a c b");
    reopen(fixture);
    check_keys(fixture->db, "", 0, "a c b");
    put(fixture->db, "a", "2");
    reopen(fixture);
    check_keys(fixture->db, "", 0, "c b a");
}

/* ---- What it yields -------------------------------------------------------------------------- */

static void values_come_with_their_keys(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 5000);
    check_rest(open_iter(fixture->db, 0), 0, 5000);
}

static void empty_values_come_with_length_zero(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "empty", "");
    put(fixture->db, "full", "value");
    lxdb_iter *iter = open_iter(fixture->db, 0);
    check_next(iter, "empty", "");
    check_next(iter, "full", "value");
    lxdb_iter_close(iter);
}

static void keys_only_gives_keys(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "a", "1");
    put(fixture->db, "b", "2");
    check_keys(fixture->db, "", LXDB_ITER_KEYS, "a b");
    check_keys(fixture->db, "", LXDB_ITER_KEYS | LXDB_ITER_REVERSE, "b a");
}

static void end_stays_the_end(void **state)
{
    struct fixture *fixture = *state;
    const void *key = fixture;
    size_t len = 77;
    put(fixture->db, "a", "1");
    lxdb_iter *iter = open_iter(fixture->db, 0);
    check_next(iter, "a", "1");
    for (int i = 0; i < 3; i++)
        assert_code(lxdb_iter_next(iter, &key, &len, NULL, NULL), LXDB_NOTFOUND);
    assert_ptr_equal(key, fixture);
    assert_int_equal(len, 77);
    lxdb_iter_close(iter);
}

static void prefix_selects_keys(void **state)
{
    struct fixture *fixture = *state;
    static const char *const keys[] = {"user:1", "user",    "user:2", "use",
                                       "item:1", "user:10", "USER:1"};
    for (size_t i = 0; i < COUNT(keys); i++)
        put(fixture->db, keys[i], "x");
    check_keys(fixture->db, "user:", 0, "user:1 user:2 user:10");
    check_keys(fixture->db, "user:", LXDB_ITER_REVERSE, "user:10 user:2 user:1");
    check_keys(fixture->db, "user:1", 0, "user:1 user:10");
    check_keys(fixture->db, "user:10", 0, "user:10");
    check_keys(fixture->db, "user:100", 0, "");
    check_keys(fixture->db, "", 0, "user:1 user user:2 use item:1 user:10 USER:1");
}

static void prefix_may_be_any_bytes(void **state)
{
    struct fixture *fixture = *state;
    lxdb_iter *iter = NULL;
    const void *key;
    size_t len;
    assert_ok(lxdb_write(fixture->db,
                         "\0\xff"
                         "a",
                         3, "1", 1));
    assert_ok(lxdb_write(fixture->db,
                         "\0\xfe"
                         "a",
                         3, "2", 1));
    assert_ok(lxdb_iter_open(fixture->db, "\0\xff", 2, 0, &iter));
    assert_ok(lxdb_iter_next(iter, &key, &len, NULL, NULL));
    assert_int_equal(len, 3);
    assert_memory_equal(key,
                        "\0\xff"
                        "a",
                        3);
    assert_code(lxdb_iter_next(iter, &key, &len, NULL, NULL), LXDB_NOTFOUND);
    lxdb_iter_close(iter);
}

/* ---- The state as of open -------------------------------------------------------------------- */

static void later_writes_do_not_show(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 1000);
    lxdb_iter *iter = open_iter(fixture->db, 0);
    check_next(iter, "key-0", "value of 0");
    put(fixture->db, "key-500", "new");
    put(fixture->db, "new", "new");
    drop(fixture->db, "key-600");
    drop(fixture->db, "key-0");
    check_rest(iter, 1, 1000);
    check_value(fixture->db, "key-500", "new");
    check_missing(fixture->db, "key-600");
}

static void writes_between_open_and_first_next_do_not_show(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 10);
    lxdb_iter *iter = open_iter(fixture->db, 0);
    assert_ok(lxdb_clear(fixture->db, NULL));
    put(fixture->db, "new", "new");
    check_rest(iter, 0, 10);
}

static void compaction_does_not_show(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 1000);
    lxdb_iter *iter = open_iter(fixture->db, 0);
    check_next(iter, "key-0", "value of 0");
    for (unsigned i = 0; i < 100; i++)
        put(fixture->db, "key-7", "new");
    assert_ok(lxdb_compact(fixture->db, NULL));
    put(fixture->db, "key-8", "new");
    check_rest(iter, 1, 1000);
}

static void clearing_does_not_show(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 1000);
    lxdb_iter *iter = open_iter(fixture->db, 0);
    check_next(iter, "key-0", "value of 0");
    assert_ok(lxdb_clear(fixture->db, NULL));
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_count(fixture->db, 0);
    check_rest(iter, 1, 1000);
}

static void growth_does_not_show(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *big = noise(1u << 20, 9);
    fill(fixture->db, 100);
    lxdb_iter *iter = open_iter(fixture->db, 0);
    for (int i = 0; i < 16; i++)
        assert_ok(lxdb_write(fixture->db, "big", 3, big, 1u << 20));
    check_rest(iter, 0, 100);
    free(big);
}

static void deleting_every_key_while_iterating_works(void **state)
{
    struct fixture *fixture = *state;
    const void *key;
    size_t len;
    unsigned seen = 0;
    int rc;
    fill(fixture->db, 3000);
    lxdb_iter *iter = open_iter(fixture->db, LXDB_ITER_KEYS);
    while ((rc = lxdb_iter_next(iter, &key, &len, NULL, NULL)) == LXDB_OK) {
        assert_ok(lxdb_delete(fixture->db, key, len));
        seen++;
    }
    lxdb_iter_close(iter);
    assert_code(rc, LXDB_NOTFOUND);
    assert_int_equal(seen, 3000);
    check_count(fixture->db, 0);
}

static void writing_every_key_while_iterating_ends(void **state)
{
    struct fixture *fixture = *state;
    const void *key;
    size_t len;
    unsigned seen = 0;
    int rc;
    fill(fixture->db, 3000);
    lxdb_iter *iter = open_iter(fixture->db, LXDB_ITER_KEYS);
    while ((rc = lxdb_iter_next(iter, &key, &len, NULL, NULL)) == LXDB_OK) {
        assert_ok(lxdb_write(fixture->db, key, len, "new", 3));
        seen++;
    }
    lxdb_iter_close(iter);
    assert_code(rc, LXDB_NOTFOUND);
    assert_int_equal(seen, 3000);
    check_count(fixture->db, 3000);
}

static void two_iterators_have_their_own_states(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "a", "1");
    lxdb_iter *first = open_iter(fixture->db, 0);
    put(fixture->db, "b", "1");
    lxdb_iter *second = open_iter(fixture->db, LXDB_ITER_REVERSE);
    put(fixture->db, "a", "2");
    check_next(second, "b", "1");
    check_next(first, "a", "1");
    check_next(second, "a", "1");
    const void *key;
    size_t len;
    assert_code(lxdb_iter_next(first, &key, &len, NULL, NULL), LXDB_NOTFOUND);
    assert_code(lxdb_iter_next(second, &key, &len, NULL, NULL), LXDB_NOTFOUND);
    lxdb_iter_close(first);
    lxdb_iter_close(second);
}

static void another_handle_sees_the_same(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    fill(fixture->db, 100);
    check_rest(open_iter(other, 0), 0, 100);
    assert_ok(lxdb_close(other));
}

static void close_before_the_end_is_fine(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 10);
    lxdb_iter *iter = open_iter(fixture->db, 0);
    check_next(iter, "key-0", "value of 0");
    lxdb_iter_close(iter);
    lxdb_iter_close(NULL);
}

static void wrong_arguments_are_invalid(void **state)
{
    struct fixture *fixture = *state;
    lxdb_iter *iter = NULL;
    const void *key;
    size_t len;
    assert_code(lxdb_iter_open(NULL, NULL, 0, 0, &iter), LXDB_INVALID);
    assert_code(lxdb_iter_open(fixture->db, NULL, 0, 0, NULL), LXDB_INVALID);
    assert_code(lxdb_iter_open(fixture->db, NULL, 1, 0, &iter), LXDB_INVALID);
    assert_code(lxdb_iter_open(fixture->db, NULL, 0, 1u << 31, &iter), LXDB_INVALID);
    assert_null(iter);
    assert_code(lxdb_iter_next(NULL, &key, &len, NULL, NULL), LXDB_INVALID);
}

/* ---- Count and clear ------------------------------------------------------------------------- */

static void count_follows_every_change(void **state)
{
    struct fixture *fixture = *state;
    check_count(fixture->db, 0);
    put(fixture->db, "a", "1");
    check_count(fixture->db, 1);
    put(fixture->db, "a", "2");
    check_count(fixture->db, 1);
    put(fixture->db, "b", "1");
    check_count(fixture->db, 2);
    drop(fixture->db, "a");
    check_count(fixture->db, 1);
    assert_ok(lxdb_compact(fixture->db, NULL));
    check_count(fixture->db, 1);
    reopen(fixture);
    check_count(fixture->db, 1);
}

static void count_without_place_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_count(fixture->db, NULL), LXDB_INVALID);
}

static void clear_removes_and_counts_every_key(void **state)
{
    struct fixture *fixture = *state;
    uint64_t deleted = 77;
    fill(fixture->db, 3000);
    assert_ok(lxdb_clear(fixture->db, &deleted));
    assert_int_equal(deleted, 3000);
    check_count(fixture->db, 0);
    check_keys(fixture->db, "", 0, "");
    reopen(fixture);
    check_count(fixture->db, 0);
    check_missing(fixture->db, "key-7");
}

static void clear_of_empty_database_is_ok(void **state)
{
    struct fixture *fixture = *state;
    uint64_t deleted = 77;
    assert_ok(lxdb_clear(fixture->db, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(lxdb_clear(fixture->db, NULL));
}

static void clear_leaves_a_database_that_works(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture->db, 100);
    assert_ok(lxdb_clear(fixture->db, NULL));
    fill(fixture->db, 200);
    check_filled(fixture->db, 200);
    reopen(fixture);
    check_filled(fixture->db, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(empty_database_has_only_an_end),
        test_in_database(order_is_that_of_the_last_write),
        test_in_database(reverse_order_is_newest_first),
        test_in_database(order_survives_reopening_and_compaction),
        test_in_database(values_come_with_their_keys),
        test_in_database(empty_values_come_with_length_zero),
        test_in_database(keys_only_gives_keys),
        test_in_database(end_stays_the_end),
        test_in_database(prefix_selects_keys),
        test_in_database(prefix_may_be_any_bytes),
        test_in_database(later_writes_do_not_show),
        test_in_database(writes_between_open_and_first_next_do_not_show),
        test_in_database(compaction_does_not_show),
        test_in_database(clearing_does_not_show),
        test_in_database(growth_does_not_show),
        test_in_database(deleting_every_key_while_iterating_works),
        test_in_database(writing_every_key_while_iterating_ends),
        test_in_database(two_iterators_have_their_own_states),
        test_in_database(another_handle_sees_the_same),
        test_in_database(close_before_the_end_is_fine),
        test_in_database(wrong_arguments_are_invalid),
        test_in_database(count_follows_every_change),
        test_in_database(count_without_place_is_invalid),
        test_in_database(clear_removes_and_counts_every_key),
        test_in_database(clear_of_empty_database_is_ok),
        test_in_database(clear_leaves_a_database_that_works),
    };
    return cmocka_run_group_tests_name("iterate", tests, NULL, NULL);
}
