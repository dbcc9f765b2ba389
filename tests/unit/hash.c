/* SPDX-License-Identifier: MIT */
/* base/hash.h: XXH3-64. Its values are part of index files, so they are pinned here. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void hash_of_nothing_is_the_published_value(void **state)
{
    (void)state;
    assert_true(lx_hash("", 0, 0) == 0x2D06800538D394C2);
}

static void hash_values_stay_those_that_index_files_hold(void **state)
{
    (void)state;
    assert_true(lx_hash("a", 1, 0) == 0xE6C632B61E964E1F);
    assert_true(lx_hash("agent/state", 11, 0x0123456789ABCDEF) == 0xE04F9C2ED8104077);
}

static void hash_depends_on_seed(void **state)
{
    (void)state;
    assert_true(lx_hash("key", 3, 1) != lx_hash("key", 3, 2));
}

static void hash_depends_on_every_byte(void **state)
{
    char key[300] = {0};
    const uint64_t plain = lx_hash(key, sizeof key, 7);

    (void)state;
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = 1;
        assert_true(lx_hash(key, sizeof key, 7) != plain);
        key[i] = 0;
    }
}

static void hash_does_not_depend_on_alignment(void **state)
{
    char *room = malloc(300 + 16);
    const char key[300] = "the same bytes";
    const uint64_t expected = lx_hash(key, sizeof key, 7);

    (void)state;
    assert_non_null(room);
    for (size_t shift = 0; shift < 16; shift++) {
        memcpy(room + shift, key, sizeof key);
        assert_true(lx_hash(room + shift, sizeof key, 7) == expected);
    }
    free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_of_nothing_is_the_published_value),
        cmocka_unit_test(hash_values_stay_those_that_index_files_hold),
        cmocka_unit_test(hash_depends_on_seed),
        cmocka_unit_test(hash_depends_on_every_byte),
        cmocka_unit_test(hash_does_not_depend_on_alignment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
