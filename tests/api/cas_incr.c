/* SPDX-License-Identifier: MIT */
/* Read, decide and write in one step: lxdb_cas and lxdb_incr. */
#include "harness.h"

#include <pthread.h>

#define KEY "key", 3
#define TOO_LONG ((size_t)UINT32_MAX + 1)

/* ---- Compare and set ------------------------------------------------------------------------- */

static void cas_of_equal_value_stores(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    assert_ok(lxdb_cas(fixture->db, KEY, "old", 3, "newer", 5));
    check_value(fixture->db, "key", "newer");
    check_count(fixture->db, 1);
}

static void cas_of_other_value_is_conflict(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"new", "ol", "older", "", "OLD"};
    put(fixture->db, "key", "old");
    for (size_t i = 0; i < COUNT(values); i++)
        assert_code(lxdb_cas(fixture->db, KEY, values[i], strlen(values[i]), "x", 1),
                    LXDB_CONFLICT);
    check_value(fixture->db, "key", "old");
}

static void cas_of_missing_key_with_expectation_is_conflict(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_cas(fixture->db, KEY, "old", 3, "new", 3), LXDB_CONFLICT);
    assert_code(lxdb_cas(fixture->db, KEY, "", 0, "new", 3), LXDB_CONFLICT);
    check_missing(fixture->db, "key");
}

static void cas_of_missing_key_without_expectation_stores(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_cas(fixture->db, KEY, NULL, 0, "new", 3));
    check_value(fixture->db, "key", "new");
    drop(fixture->db, "key");
    assert_ok(lxdb_cas(fixture->db, KEY, NULL, 0, "again", 5));
    check_value(fixture->db, "key", "again");
}

static void cas_of_existing_key_without_expectation_is_conflict(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "");
    assert_code(lxdb_cas(fixture->db, KEY, NULL, 0, "new", 3), LXDB_CONFLICT);
    check_value(fixture->db, "key", "");
}

static void cas_of_empty_value_stores(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "");
    assert_ok(lxdb_cas(fixture->db, KEY, "", 0, "new", 3));
    check_value(fixture->db, "key", "new");
}

static void cas_to_empty_value_stores(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    assert_ok(lxdb_cas(fixture->db, KEY, "old", 3, NULL, 0));
    check_value(fixture->db, "key", "");
}

static void cas_to_the_same_value_is_ok(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "same");
    assert_ok(lxdb_cas(fixture->db, KEY, "same", 4, "same", 4));
    check_value(fixture->db, "key", "same");
}

static void cas_of_wrong_arguments_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *key = noise(65536, 11);
    assert_code(lxdb_cas(NULL, KEY, NULL, 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_cas(fixture->db, NULL, 1, NULL, 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_cas(fixture->db, "", 0, NULL, 0, "v", 1), LXDB_INVALID);
    assert_code(lxdb_cas(fixture->db, KEY, NULL, 1, "v", 1), LXDB_INVALID);
    assert_code(lxdb_cas(fixture->db, KEY, NULL, 0, NULL, 1), LXDB_INVALID);
    assert_code(lxdb_cas(fixture->db, key, 65536, NULL, 0, "v", 1), LXDB_TOOBIG);
    assert_code(lxdb_cas(fixture->db, KEY, NULL, 0, "v", TOO_LONG), LXDB_TOOBIG);
    check_count(fixture->db, 0);
    free(key);
}

/* ---- Increment ------------------------------------------------------------------------------- */

static void incr_of_missing_key_counts_from_zero(void **state)
{
    struct fixture *fixture = *state;
    int64_t sum = 77, number = 0;
    assert_ok(lxdb_incr(fixture->db, KEY, 5, &sum));
    assert_int_equal(sum, 5);
    assert_ok(lxdb_get_int(fixture->db, KEY, &number));
    assert_int_equal(number, 5);
    check_value(fixture->db, "key",
                "\x01"
                "5");
}

static void incr_adds_any_number(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t steps[] = {1, 99, 0, -1000, 900, INT64_MAX, -INT64_MAX, INT64_MIN};
    int64_t sum = 0, expected = 0;
    for (size_t i = 0; i < COUNT(steps); i++) {
        expected += steps[i];
        assert_ok(lxdb_incr(fixture->db, KEY, steps[i], &sum));
        assert_true(sum == expected);
    }
    reopen(fixture);
    assert_ok(lxdb_get_int(fixture->db, KEY, &sum));
    assert_true(sum == expected);
}

static void incr_without_place_for_the_sum_is_ok(void **state)
{
    struct fixture *fixture = *state;
    int64_t number = 0;
    assert_ok(lxdb_set_int(fixture->db, KEY, 40));
    assert_ok(lxdb_incr(fixture->db, KEY, 2, NULL));
    assert_ok(lxdb_get_int(fixture->db, KEY, &number));
    assert_int_equal(number, 42);
}

static void incr_that_leaves_64_bits_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    int64_t sum = 77, number = 0;
    assert_ok(lxdb_set_int(fixture->db, KEY, INT64_MAX));
    assert_code(lxdb_incr(fixture->db, KEY, 1, &sum), LXDB_INVALID);
    assert_code(lxdb_incr(fixture->db, KEY, INT64_MAX, &sum), LXDB_INVALID);
    assert_ok(lxdb_get_int(fixture->db, KEY, &number));
    assert_true(number == INT64_MAX);
    assert_ok(lxdb_set_int(fixture->db, KEY, INT64_MIN));
    assert_code(lxdb_incr(fixture->db, KEY, -1, &sum), LXDB_INVALID);
    assert_code(lxdb_incr(fixture->db, KEY, INT64_MIN, &sum), LXDB_INVALID);
    assert_ok(lxdb_get_int(fixture->db, KEY, &number));
    assert_true(number == INT64_MIN);
    assert_int_equal(sum, 77);
}

static void incr_of_anything_but_an_integer_is_type(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"",
                                         "5",
                                         "\x01"
                                         "1.0",
                                         "\x01true",
                                         "\x01\"5\"",
                                         "\x01[5]",
                                         "\x01null",
                                         "\x01"
                                         "9223372036854775808",
                                         "\x01x",
                                         "\x02"
                                         "5",
                                         "\x01"
                                         "5 5",
                                         "\x01"
                                         "-01",
                                         "\x01-"};
    int64_t sum = 77;
    for (size_t i = 0; i < COUNT(values); i++) {
        put(fixture->db, "key", values[i]);
        assert_code(lxdb_incr(fixture->db, KEY, 1, &sum), LXDB_TYPE);
        check_value(fixture->db, "key", values[i]);
    }
    assert_ok(lxdb_set_bytes(fixture->db, KEY, "5", 1));
    assert_code(lxdb_incr(fixture->db, KEY, 1, &sum), LXDB_TYPE);
    assert_int_equal(sum, 77);
}

static void incr_of_an_integer_in_white_space_is_ok(void **state)
{
    struct fixture *fixture = *state;
    int64_t sum = 77;
    assert_ok(lxdb_set_json(fixture->db, KEY, " 41 ", 4));
    assert_ok(lxdb_incr(fixture->db, KEY, 1, &sum));
    assert_int_equal(sum, 42);
}

static void incr_of_wrong_arguments_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *key = noise(65536, 12);
    int64_t sum;
    assert_code(lxdb_incr(NULL, KEY, 1, &sum), LXDB_INVALID);
    assert_code(lxdb_incr(fixture->db, NULL, 1, 1, &sum), LXDB_INVALID);
    assert_code(lxdb_incr(fixture->db, "", 0, 1, &sum), LXDB_INVALID);
    assert_code(lxdb_incr(fixture->db, key, 65536, 1, &sum), LXDB_TOOBIG);
    free(key);
}

#define THREADS 4
#define STEPS 1000

static void *count_up(void *arg)
{
    int64_t sum;
    for (int i = 0; i < STEPS; i++) {
        if (lxdb_incr(arg, KEY, 1, &sum) != LXDB_OK)
            return arg;
    }
    return NULL;
}

static void incr_by_threads_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[THREADS];
    void *failed[THREADS];
    int64_t number = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, fixture->db), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], &failed[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_null(failed[i]);
    assert_ok(lxdb_get_int(fixture->db, KEY, &number));
    assert_int_equal(number, THREADS * STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(cas_of_equal_value_stores),
        test_in_database(cas_of_other_value_is_conflict),
        test_in_database(cas_of_missing_key_with_expectation_is_conflict),
        test_in_database(cas_of_missing_key_without_expectation_stores),
        test_in_database(cas_of_existing_key_without_expectation_is_conflict),
        test_in_database(cas_of_empty_value_stores),
        test_in_database(cas_to_empty_value_stores),
        test_in_database(cas_to_the_same_value_is_ok),
        test_in_database(cas_of_wrong_arguments_is_refused),
        test_in_database(incr_of_missing_key_counts_from_zero),
        test_in_database(incr_adds_any_number),
        test_in_database(incr_without_place_for_the_sum_is_ok),
        test_in_database(incr_that_leaves_64_bits_is_invalid),
        test_in_database(incr_of_anything_but_an_integer_is_type),
        test_in_database(incr_of_an_integer_in_white_space_is_ok),
        test_in_database(incr_of_wrong_arguments_is_refused),
        test_in_database(incr_by_threads_loses_nothing),
    };
    return cmocka_run_group_tests_name("cas_incr", tests, NULL, NULL);
}
