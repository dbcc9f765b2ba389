/* SPDX-License-Identifier: MIT */
/* Read sections: peek and peek_many. */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>

static void check_peek(lxdb *db, const char *key, const char *value)
{
    const void *found = NULL;
    size_t len = 0;
    assert_ok(lxdb_peek(db, key, strlen(key), &found, &len));
    assert_int_equal(len, strlen(value));
    assert_memory_equal(found, value, len);
}

static void peek_gives_the_value(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read_begin(fixture->db));
    check_peek(fixture->db, "key", "value");
    lxdb_read_end(fixture->db);
}

static void peek_of_empty_value_is_ok(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "");
    assert_ok(lxdb_read_begin(fixture->db));
    check_peek(fixture->db, "key", "");
    lxdb_read_end(fixture->db);
}

static void peek_missing_key_is_notfound_and_untouched(void **state)
{
    struct fixture *fixture = *state;
    const void *value = fixture;
    size_t len = 77;
    assert_ok(lxdb_read_begin(fixture->db));
    assert_code(lxdb_peek(fixture->db, "key", 3, &value, &len), LXDB_NOTFOUND);
    lxdb_read_end(fixture->db);
    assert_ptr_equal(value, fixture);
    assert_int_equal(len, 77);
}

static void peek_outside_a_section_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    const void *value;
    size_t len;
    put(fixture->db, "key", "value");
    assert_code(lxdb_peek(fixture->db, "key", 3, &value, &len), LXDB_INVALID);
    assert_ok(lxdb_read_begin(fixture->db));
    lxdb_read_end(fixture->db);
    assert_code(lxdb_peek(fixture->db, "key", 3, &value, &len), LXDB_INVALID);
}

static void *peek_in_thread(void *arg)
{
    static int rc;
    const void *value;
    size_t len;
    rc = lxdb_peek(arg, "key", 3, &value, &len);
    return &rc;
}

static void peek_in_a_section_of_another_thread_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    void *rc;
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read_begin(fixture->db));
    assert_int_equal(pthread_create(&thread, NULL, peek_in_thread, fixture->db), 0);
    assert_int_equal(pthread_join(thread, &rc), 0);
    assert_code(*(int *)rc, LXDB_INVALID);
    lxdb_read_end(fixture->db);
}

static void peek_key_of_wrong_size_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *key = noise(65536, 1);
    const void *value;
    size_t len;
    assert_ok(lxdb_read_begin(fixture->db));
    assert_code(lxdb_peek(fixture->db, key, 65536, &value, &len), LXDB_TOOBIG);
    assert_code(lxdb_peek(fixture->db, key, 0, &value, &len), LXDB_INVALID);
    assert_code(lxdb_peek(fixture->db, NULL, 1, &value, &len), LXDB_INVALID);
    lxdb_read_end(fixture->db);
    free(key);
}

static void sections_nest(void **state)
{
    struct fixture *fixture = *state;
    const void *value = NULL;
    size_t len = 0;
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek(fixture->db, "key", 3, &value, &len));
    lxdb_read_end(fixture->db);
    assert_memory_equal(value, "value", 5);
    check_peek(fixture->db, "key", "value");
    lxdb_read_end(fixture->db);
    assert_code(lxdb_peek(fixture->db, "key", 3, &value, &len), LXDB_INVALID);
}

static void sections_of_two_handles_are_independent(void **state)
{
    struct fixture *fixture = *state;
    lxdb *other = open_database(fixture->path);
    const void *value;
    size_t len;
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read_begin(fixture->db));
    assert_code(lxdb_peek(other, "key", 3, &value, &len), LXDB_INVALID);
    assert_ok(lxdb_read_begin(other));
    lxdb_read_end(fixture->db);
    check_peek(other, "key", "value");
    lxdb_read_end(other);
    assert_ok(lxdb_close(other));
}

static void peeked_value_stays_while_it_is_replaced_and_deleted(void **state)
{
    struct fixture *fixture = *state;
    const void *value = NULL;
    size_t len = 0;
    put(fixture->db, "key", "first value");
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek(fixture->db, "key", 3, &value, &len));
    put(fixture->db, "key", "other value");
    assert_memory_equal(value, "first value", 11);
    check_peek(fixture->db, "key", "other value");
    drop(fixture->db, "key");
    assert_memory_equal(value, "first value", 11);
    lxdb_read_end(fixture->db);
}

static void peeked_value_stays_through_compaction(void **state)
{
    struct fixture *fixture = *state;
    const void *value = NULL;
    size_t len = 0;
    fill(fixture->db, 500);
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek(fixture->db, "key-250", 7, &value, &len));
    fill(fixture->db, 500);
    assert_ok(lxdb_compact(fixture->db, NULL));
    assert_ok(lxdb_compact(fixture->db, NULL));
    assert_int_equal(len, 12);
    assert_memory_equal(value, "value of 250", 12);
    lxdb_read_end(fixture->db);
    check_filled(fixture->db, 500);
}

/* The section goes on in each new generation; what the first one gave is still good. */
static void peeked_value_stays_through_peeks_in_later_generations(void **state)
{
    struct fixture *fixture = *state;
    const void *value = NULL;
    size_t len = 0;
    fill(fixture->db, 500);
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek(fixture->db, "key-250", 7, &value, &len));
    for (int round = 0; round < 50; round++) {
        put(fixture->db, "key-250", "changed");
        assert_ok(lxdb_compact(fixture->db, NULL));
        check_peek(fixture->db, "key-250", "changed");
    }
    assert_int_equal(len, 12);
    assert_memory_equal(value, "value of 250", 12);
    lxdb_read_end(fixture->db);
}

static void peek_in_a_section_from_before_compaction_sees_later_writes(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "old");
    assert_ok(lxdb_read_begin(fixture->db));
    check_peek(fixture->db, "key", "old");
    assert_ok(lxdb_compact(fixture->db, NULL));
    put(fixture->db, "key", "new");
    check_value(fixture->db, "key", "new");
    lxdb_read_end(fixture->db);
    assert_ok(lxdb_read_begin(fixture->db));
    check_peek(fixture->db, "key", "new");
    lxdb_read_end(fixture->db);
}

static void peeked_value_stays_while_the_file_grows(void **state)
{
    struct fixture *fixture = *state;
    const void *value = NULL;
    size_t len = 0;
    uint8_t *big = noise(1u << 20, 3);
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek(fixture->db, "key", 3, &value, &len));
    for (int i = 0; i < 24; i++)
        assert_ok(lxdb_write(fixture->db, "big", 3, big, 1u << 20));
    assert_memory_equal(value, "value", 5);
    lxdb_read_end(fixture->db);
    free(big);
}

/* ---- Many keys ------------------------------------------------------------------------------- */

static void peek_many_fills_every_item(void **state)
{
    struct fixture *fixture = *state;
    lxdb_item items[100];
    char keys[100][16], value[32];
    fill(fixture->db, 50);
    for (unsigned i = 0; i < COUNT(items); i++) {
        snprintf(keys[i], sizeof keys[i], "key-%u", i);
        items[i] = (lxdb_item){.key = keys[i], .key_len = strlen(keys[i]), .rc = 77};
    }
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek_many(fixture->db, items, COUNT(items)));
    for (unsigned i = 0; i < COUNT(items); i++) {
        assert_code(items[i].rc, i < 50 ? LXDB_OK : LXDB_NOTFOUND);
        if (i >= 50)
            continue;
        int len = snprintf(value, sizeof value, "value of %u", i);
        assert_int_equal(items[i].value_len, len);
        assert_memory_equal(items[i].value, value, (size_t)len);
    }
    lxdb_read_end(fixture->db);
}

static void peek_many_of_a_wrong_key_is_refused_and_untouched(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *long_key = noise(65536, 4);
    lxdb_item empty[] = {{.key = "key", .key_len = 3, .rc = 77}, {.key = "", .rc = 77}};
    lxdb_item too_long[] = {{.key = "key", .key_len = 3, .rc = 77},
                            {.key = long_key, .key_len = 65536, .rc = 77}};
    put(fixture->db, "key", "value");
    assert_ok(lxdb_read_begin(fixture->db));
    assert_code(lxdb_peek_many(fixture->db, empty, 2), LXDB_INVALID);
    assert_code(lxdb_peek_many(fixture->db, too_long, 2), LXDB_TOOBIG);
    lxdb_read_end(fixture->db);
    assert_int_equal(empty[0].rc, 77);
    assert_int_equal(too_long[0].rc, 77);
    free(long_key);
}

static void peek_many_of_nothing_is_ok(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_read_begin(fixture->db));
    assert_ok(lxdb_peek_many(fixture->db, NULL, 0));
    lxdb_read_end(fixture->db);
}

static void peek_many_without_items_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_read_begin(fixture->db));
    assert_code(lxdb_peek_many(fixture->db, NULL, 1), LXDB_INVALID);
    lxdb_read_end(fixture->db);
}

static void peek_many_outside_a_section_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    lxdb_item item = {.key = "key", .key_len = 3};
    put(fixture->db, "key", "value");
    assert_code(lxdb_peek_many(fixture->db, &item, 1), LXDB_INVALID);
}

/* A writer sets two keys to the same number, batch after batch; a reader that sees them differ has
 * seen half a batch. */
#define PAIRS 2000

static void *write_pairs(void *arg)
{
    static int rc;
    lxdb *db = arg;
    rc = LXDB_OK;
    for (unsigned i = 1; i <= PAIRS && rc == LXDB_OK; i++) {
        lxdb_batch *batch = NULL;
        rc = lxdb_batch_begin(db, &batch);
        if (rc == LXDB_OK)
            rc = lxdb_batch_write(batch, "left", 4, &i, sizeof i);
        if (rc == LXDB_OK)
            rc = lxdb_batch_write(batch, "right", 5, &i, sizeof i);
        if (rc == LXDB_OK)
            rc = lxdb_batch_commit(batch, NULL, NULL);
        else
            lxdb_batch_abort(batch);
    }
    return &rc;
}

static void peek_many_sees_a_batch_whole(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    void *rc;
    unsigned left = 0, right = 0, looks = 0;
    assert_ok(lxdb_write(fixture->db, "left", 4, &left, sizeof left));
    assert_ok(lxdb_write(fixture->db, "right", 5, &right, sizeof right));
    assert_int_equal(pthread_create(&thread, NULL, write_pairs, fixture->db), 0);
    while (pthread_tryjoin_np(thread, &rc) != 0) {
        lxdb_item items[] = {{.key = "left", .key_len = 4}, {.key = "right", .key_len = 5}};
        unsigned before = left;
        assert_ok(lxdb_read_begin(fixture->db));
        assert_ok(lxdb_peek_many(fixture->db, items, 2));
        assert_ok(items[0].rc);
        assert_ok(items[1].rc);
        memcpy(&left, items[0].value, sizeof left);
        memcpy(&right, items[1].value, sizeof right);
        lxdb_read_end(fixture->db);
        assert_int_equal(left, right);
        assert_true(left >= before);
        looks++;
    }
    assert_ok(*(int *)rc);
    assert_true(looks > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(peek_gives_the_value),
        test_in_database(peek_of_empty_value_is_ok),
        test_in_database(peek_missing_key_is_notfound_and_untouched),
        test_in_database(peek_outside_a_section_is_invalid),
        test_in_database(peek_in_a_section_of_another_thread_is_invalid),
        test_in_database(peek_key_of_wrong_size_is_refused),
        test_in_database(sections_nest),
        test_in_database(sections_of_two_handles_are_independent),
        test_in_database(peeked_value_stays_while_it_is_replaced_and_deleted),
        test_in_database(peeked_value_stays_through_compaction),
        test_in_database(peeked_value_stays_through_peeks_in_later_generations),
        test_in_database(peek_in_a_section_from_before_compaction_sees_later_writes),
        test_in_database(peeked_value_stays_while_the_file_grows),
        test_in_database(peek_many_fills_every_item),
        test_in_database(peek_many_of_a_wrong_key_is_refused_and_untouched),
        test_in_database(peek_many_of_nothing_is_ok),
        test_in_database(peek_many_without_items_is_invalid),
        test_in_database(peek_many_outside_a_section_is_invalid),
        test_in_database(peek_many_sees_a_batch_whole),
    };
    return cmocka_run_group_tests_name("zero_copy", tests, NULL, NULL);
}
