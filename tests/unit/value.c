/* SPDX-License-Identifier: MIT */
/* Namespaced keys (format/value.h). */
#include "format/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NAMESPACE_OF(key) lx_key_namespace((const uint8_t *)(key), sizeof(key) - 1)

static void namespace_of_a_key_without_nul_is_the_root(void **state)
{
    (void)state;
    assert_int_equal(NAMESPACE_OF("plain"), 0);
    assert_int_equal(NAMESPACE_OF("x"), 0);
    assert_int_equal(lx_key_namespace(NULL, 0), 0);
}

static void namespace_of_a_key_with_nul_inside_ends_at_the_first(void **state)
{
    (void)state;
    assert_int_equal(NAMESPACE_OF("memory\0turn_1"), 6);
    assert_int_equal(NAMESPACE_OF("m\0k"), 1);
    assert_int_equal(NAMESPACE_OF("a\0b\0c"), 1);
    assert_int_equal(NAMESPACE_OF("a\0\0"), 1); /* the key in namespace a is one NUL */
}

static void namespace_of_a_key_that_starts_with_nul_is_the_root(void **state)
{
    (void)state;
    assert_int_equal(NAMESPACE_OF("\0lxdb"), 0);
    assert_int_equal(NAMESPACE_OF("\0a\0b"), 0);
    assert_int_equal(NAMESPACE_OF("\0"), 0);
}

static void namespace_of_a_key_that_ends_with_its_first_nul_is_the_root(void **state)
{
    (void)state;
    assert_int_equal(NAMESPACE_OF("memory\0"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(namespace_of_a_key_without_nul_is_the_root),
        cmocka_unit_test(namespace_of_a_key_with_nul_inside_ends_at_the_first),
        cmocka_unit_test(namespace_of_a_key_that_starts_with_nul_is_the_root),
        cmocka_unit_test(namespace_of_a_key_that_ends_with_its_first_nul_is_the_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
