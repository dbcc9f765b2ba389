/* SPDX-License-Identifier: MIT */
/* Namespaces: handles with keys of their own. */
#include "harness.h"

static lxdb *space(lxdb *db, const char *name)
{
    lxdb *ns = NULL;
    assert_ok(lxdb_namespace(db, name, &ns));
    assert_non_null(ns);
    return ns;
}

static void keys_are_isolated(void **state)
{
    struct fixture *fixture = *state;
    lxdb *a = space(fixture->db, "a"), *b = space(fixture->db, "b");
    put(fixture->db, "key", "root");
    put(a, "key", "of a");
    check_missing(b, "key");
    put(b, "key", "of b");
    check_value(fixture->db, "key", "root");
    check_value(a, "key", "of a");
    check_value(b, "key", "of b");
    drop(a, "key");
    check_missing(a, "key");
    check_value(b, "key", "of b");
    check_value(fixture->db, "key", "root");
    assert_ok(lxdb_close(a));
    assert_ok(lxdb_close(b));
}

static void keys_are_stored_behind_name_and_nul(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "facts");
    put(ns, "sky", "blue");
    check_bytes(fixture->db, "facts\0sky", 9, "blue", 4);
    assert_ok(lxdb_write(fixture->db, "facts\0grass", 11, "green", 5));
    check_value(ns, "grass", "green");
    assert_ok(lxdb_close(ns));
}

static void name_that_begins_another_is_isolated(void **state)
{
    struct fixture *fixture = *state;
    lxdb *shorter = space(fixture->db, "ab"), *longer = space(fixture->db, "abc");
    put(shorter, "key", "shorter");
    put(longer, "key", "longer");
    check_keys(shorter, "", 0, "key");
    check_keys(longer, "", 0, "key");
    check_value(shorter, "key", "shorter");
    check_value(longer, "key", "longer");
    assert_ok(lxdb_clear(shorter, NULL));
    check_value(longer, "key", "longer");
    assert_ok(lxdb_close(shorter));
    assert_ok(lxdb_close(longer));
}

static void two_handles_of_one_name_share_keys(void **state)
{
    struct fixture *fixture = *state;
    lxdb *first = space(fixture->db, "same"), *second = space(fixture->db, "same");
    put(first, "key", "value");
    check_value(second, "key", "value");
    assert_ok(lxdb_close(first));
    check_value(second, "key", "value");
    assert_ok(lxdb_close(second));
}

static void every_raw_call_works_in_a_namespace(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    char buf[8];
    size_t len = 0;
    assert_code(lxdb_update(ns, "key", 3, "v", 1), LXDB_NOTFOUND);
    assert_ok(lxdb_create(ns, "key", 3, "one", 3));
    assert_code(lxdb_create(ns, "key", 3, "two", 3), LXDB_EXISTS);
    assert_ok(lxdb_update(ns, "key", 3, "three", 5));
    assert_ok(lxdb_read(ns, "key", 3, buf, sizeof buf, &len));
    assert_int_equal(len, 5);
    assert_ok(lxdb_exists(ns, "key", 3));
    assert_ok(lxdb_delete(ns, "key", 3));
    assert_code(lxdb_delete(ns, "key", 3), LXDB_NOTFOUND);
    assert_ok(lxdb_close(ns));
}

static void every_agent_call_works_in_a_namespace(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    int64_t sum = 0;
    put(fixture->db, "n", "not a number");
    assert_ok(lxdb_incr(ns, "n", 1, 5, &sum));
    assert_int_equal(sum, 5);
    assert_ok(lxdb_cas(ns, "c", 1, NULL, 0, "new", 3));
    check_value(ns, "c", "new");
    check_missing(fixture->db, "c");
    check_value(fixture->db, "n", "not a number");
    assert_ok(lxdb_close(ns));
}

static void peek_works_in_a_namespace(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    lxdb_item item = {.key = "key", .key_len = 3, .rc = 77};
    const void *value = NULL;
    size_t len = 0;
    put(ns, "key", "value");
    assert_ok(lxdb_read_begin(ns));
    assert_ok(lxdb_peek(ns, "key", 3, &value, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(value, "value", 5);
    assert_ok(lxdb_peek_many(ns, &item, 1));
    assert_ok(item.rc);
    assert_int_equal(item.value_len, 5);
    lxdb_read_end(ns);
    assert_ok(lxdb_close(ns));
}

static void iteration_strips_the_name(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    put(fixture->db, "root", "1");
    put(ns, "b", "1");
    put(ns, "a", "1");
    put(ns, "b", "2");
    check_keys(ns, "", 0, "a b");
    check_keys(ns, "", LXDB_ITER_REVERSE, "b a");
    check_keys(ns, "b", 0, "b");
    check_keys(ns, "ns", 0, "");
    assert_ok(lxdb_close(ns));
}

static void iteration_of_the_database_yields_keys_as_stored(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    lxdb_iter *iter = NULL;
    const void *key;
    size_t len;
    put(ns, "inner", "1");
    put(fixture->db, "outer", "1");
    assert_ok(lxdb_iter_open(fixture->db, NULL, 0, LXDB_ITER_KEYS, &iter));
    assert_ok(lxdb_iter_next(iter, &key, &len, NULL, NULL));
    assert_int_equal(len, 8);
    assert_memory_equal(key, "ns\0inner", 8);
    assert_ok(lxdb_iter_next(iter, &key, &len, NULL, NULL));
    assert_int_equal(len, 5);
    assert_memory_equal(key, "outer", 5);
    assert_code(lxdb_iter_next(iter, &key, &len, NULL, NULL), LXDB_NOTFOUND);
    lxdb_iter_close(iter);
    assert_ok(lxdb_close(ns));
}

static void count_is_of_the_namespace_or_of_all(void **state)
{
    struct fixture *fixture = *state;
    lxdb *a = space(fixture->db, "a"), *b = space(fixture->db, "b");
    fill(a, 30);
    fill(b, 20);
    put(fixture->db, "root", "1");
    check_count(a, 30);
    check_count(b, 20);
    check_count(fixture->db, 51);
    assert_ok(lxdb_close(a));
    assert_ok(lxdb_close(b));
}

static void clear_of_a_namespace_keeps_the_others(void **state)
{
    struct fixture *fixture = *state;
    lxdb *a = space(fixture->db, "a"), *b = space(fixture->db, "b");
    uint64_t deleted = 77;
    fill(a, 300);
    fill(b, 200);
    put(fixture->db, "root", "1");
    assert_ok(lxdb_clear(a, &deleted));
    assert_int_equal(deleted, 300);
    check_count(a, 0);
    check_filled(b, 200);
    check_count(fixture->db, 201);
    assert_ok(lxdb_close(a));
    assert_ok(lxdb_close(b));
}

static void clear_of_the_database_clears_namespaces(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    uint64_t deleted = 77;
    fill(ns, 30);
    put(fixture->db, "root", "1");
    assert_ok(lxdb_clear(fixture->db, &deleted));
    assert_int_equal(deleted, 31);
    check_count(ns, 0);
    assert_ok(lxdb_close(ns));
}

/* ---- Listing --------------------------------------------------------------------------------- */

static void listing_of_none_is_null(void **state)
{
    struct fixture *fixture = *state;
    lxdb_namespace_info *list = (lxdb_namespace_info *)fixture;
    size_t n = 77;
    put(fixture->db, "root", "1");
    assert_ok(lxdb_namespaces(fixture->db, &list, &n));
    assert_null(list);
    assert_int_equal(n, 0);
}

static void listing_is_sorted_with_counts(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"zoo", "b", "\xff", "ab", "a", "B"};
    static const char *const sorted[] = {"B", "a", "ab", "b", "zoo", "\xff"};
    static const unsigned counts[] = {6, 5, 4, 2, 1, 3};
    lxdb_namespace_info *list = NULL;
    size_t n = 0;
    for (unsigned i = 0; i < COUNT(names); i++) {
        lxdb *ns = space(fixture->db, names[i]);
        fill(ns, i + 1);
        assert_ok(lxdb_close(ns));
    }
    put(fixture->db, "root", "1");
    assert_ok(lxdb_namespaces(fixture->db, &list, &n));
    assert_int_equal(n, COUNT(sorted));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(list[i].name, sorted[i]);
        assert_int_equal(list[i].name_len, strlen(sorted[i]));
        assert_int_equal(list[i].count, counts[i]);
    }
    lxdb_free(list);
}

static void namespace_exists_as_long_as_it_has_a_key(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "brief");
    lxdb_namespace_info *list = NULL;
    size_t n = 77;
    assert_ok(lxdb_namespaces(fixture->db, &list, &n));
    assert_int_equal(n, 0);
    put(ns, "key", "value");
    assert_ok(lxdb_namespaces(fixture->db, &list, &n));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].name, "brief");
    lxdb_free(list);
    drop(ns, "key");
    assert_ok(lxdb_namespaces(fixture->db, &list, &n));
    assert_int_equal(n, 0);
    assert_ok(lxdb_close(ns));
}

static void keys_with_a_nul_at_an_end_belong_to_the_root(void **state)
{
    struct fixture *fixture = *state;
    lxdb_namespace_info *list = NULL;
    size_t n = 77;
    assert_ok(lxdb_write(fixture->db, "\0key", 4, "1", 1));
    assert_ok(lxdb_write(fixture->db, "key\0", 4, "1", 1));
    assert_ok(lxdb_namespaces(fixture->db, &list, &n));
    assert_int_equal(n, 0);
    assert_null(list);
}

static void listing_without_place_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    lxdb_namespace_info *list;
    size_t n;
    assert_code(lxdb_namespaces(NULL, &list, &n), LXDB_INVALID);
    assert_code(lxdb_namespaces(fixture->db, NULL, &n), LXDB_INVALID);
    assert_code(lxdb_namespaces(fixture->db, &list, NULL), LXDB_INVALID);
}

/* ---- Handles --------------------------------------------------------------------------------- */

static void wrong_names_are_refused(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = (lxdb *)fixture;
    char *name = malloc(65535);
    assert_non_null(name);
    memset(name, 'n', 65534);
    name[65534] = '\0';
    assert_code(lxdb_namespace(fixture->db, "", &ns), LXDB_INVALID);
    assert_code(lxdb_namespace(fixture->db, NULL, &ns), LXDB_INVALID);
    assert_code(lxdb_namespace(fixture->db, "n", NULL), LXDB_INVALID);
    assert_code(lxdb_namespace(NULL, "n", &ns), LXDB_INVALID);
    assert_code(lxdb_namespace(fixture->db, name, &ns), LXDB_TOOBIG);
    assert_ptr_equal(ns, fixture);
    free(name);
}

static void namespace_of_a_namespace_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "outer"), *inner = NULL;
    assert_code(lxdb_namespace(ns, "inner", &inner), LXDB_INVALID);
    assert_null(inner);
    assert_ok(lxdb_close(ns));
}

static void name_of_65533_bytes_leaves_room_for_one_byte_of_key(void **state)
{
    struct fixture *fixture = *state;
    char *name = malloc(65534);
    assert_non_null(name);
    memset(name, 'n', 65533);
    name[65533] = '\0';
    lxdb *ns = space(fixture->db, name);
    put(ns, "k", "value");
    check_value(ns, "k", "value");
    assert_code(lxdb_write(ns, "kk", 2, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_exists(ns, "kk", 2), LXDB_TOOBIG);
    check_count(ns, 1);
    assert_ok(lxdb_close(ns));
    free(name);
}

static void name_separator_and_key_are_65535_bytes_at_most(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "name");
    uint8_t *key = noise(65535, 10);
    void *value;
    size_t len;
    assert_ok(lxdb_write(ns, key, 65530, "v", 1));
    assert_code(lxdb_write(ns, key, 65531, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_create(ns, key, 65531, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_delete(ns, key, 65535), LXDB_TOOBIG);
    assert_code(lxdb_read(ns, key, 65531, NULL, 0, &len), LXDB_TOOBIG);
    assert_code(lxdb_read_alloc(ns, key, 65531, &value, &len), LXDB_TOOBIG);
    assert_code(lxdb_write(ns, "", 0, "v", 1), LXDB_INVALID);
    free(key);
    assert_ok(lxdb_close(ns));
}

static void namespace_keeps_the_database_open(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    close_database(fixture);
    put(ns, "key", "value");
    check_value(ns, "key", "value");
    assert_ok(lxdb_close(ns));
    fixture->db = open_database(fixture->path);
    check_bytes(fixture->db, "ns\0key", 6, "value", 5);
}

static void upkeep_works_through_a_namespace(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = space(fixture->db, "ns");
    lxdb_stat_info info;
    uint64_t position = 0;
    put(fixture->db, "root", "1");
    put(ns, "key", "value");
    assert_ok(lxdb_flush(ns));
    assert_ok(lxdb_position(ns, &position));
    assert_ok(lxdb_wait_durable(ns, position, 10000));
    assert_ok(lxdb_compact(ns, NULL));
    assert_ok(lxdb_stat(ns, &info));
    assert_int_equal(info.records, 2);
    check_value(ns, "key", "value");
    check_value(fixture->db, "root", "1");
    assert_ok(lxdb_close(ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(keys_are_isolated),
        test_in_database(keys_are_stored_behind_name_and_nul),
        test_in_database(name_that_begins_another_is_isolated),
        test_in_database(two_handles_of_one_name_share_keys),
        test_in_database(every_raw_call_works_in_a_namespace),
        test_in_database(every_agent_call_works_in_a_namespace),
        test_in_database(peek_works_in_a_namespace),
        test_in_database(iteration_strips_the_name),
        test_in_database(iteration_of_the_database_yields_keys_as_stored),
        test_in_database(count_is_of_the_namespace_or_of_all),
        test_in_database(clear_of_a_namespace_keeps_the_others),
        test_in_database(clear_of_the_database_clears_namespaces),
        test_in_database(listing_of_none_is_null),
        test_in_database(listing_is_sorted_with_counts),
        test_in_database(namespace_exists_as_long_as_it_has_a_key),
        test_in_database(keys_with_a_nul_at_an_end_belong_to_the_root),
        test_in_database(listing_without_place_is_invalid),
        test_in_database(wrong_names_are_refused),
        test_in_database(namespace_of_a_namespace_is_invalid),
        test_in_database(name_of_65533_bytes_leaves_room_for_one_byte_of_key),
        test_in_database(name_separator_and_key_are_65535_bytes_at_most),
        test_in_database(namespace_keeps_the_database_open),
        test_in_database(upkeep_works_through_a_namespace),
    };
    return cmocka_run_group_tests_name("namespaces", tests, NULL, NULL);
}
