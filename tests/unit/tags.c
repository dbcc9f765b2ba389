/* SPDX-License-Identifier: MIT */
/* base/tags.h: held against comparing word by word. */
#include "base/tags.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static alignas(64) _Atomic uint64_t words[8];

static uint32_t expected(uint64_t hash)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < 8; i++)
        if (words[i] >> 48 == hash >> 48)
            mask |= UINT32_C(1) << i;
    return mask;
}

static void tags_every_tag_in_every_word_is_found_there_alone(void **state)
{
    (void)state;
    for (uint64_t tag = 0; tag < 0x10000; tag++) {
        for (unsigned i = 0; i < 8; i++)
            words[i] = (tag ^ (i == tag % 8 ? 0 : 1 + i)) << 48 | 0xffffffffffff;
        assert_int_equal(lx_tags_match(words, tag << 48), UINT32_C(1) << tag % 8);
    }
}

static void tags_at_the_ends_of_their_range_do_not_meet(void **state)
{
    static const uint64_t tags[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0x00ff};

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        words[i] = tags[i] << 48;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(lx_tags_match(words, tags[i] << 48), UINT32_C(1) << i);
    assert_int_equal(lx_tags_match(words, UINT64_C(0x1234) << 48), 0);
}

static void tags_of_several_words_are_all_found_whatever_the_low_bits_say(void **state)
{
    uint64_t random = 88172645463325252u;

    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        for (unsigned i = 0; i < 8; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            words[i] = (random >> 62) << 48 | random >> 16;
        }
        random = random * 6364136223846793005u + 1442695040888963407u;
        assert_int_equal(lx_tags_match(words, (random >> 62) << 48 | random >> 20),
                         expected((random >> 62) << 48 | random >> 20));
    }
}

static void words_with_a_zero_are_told_from_those_with_half_of_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned j = 0; j < 8; j++)
            words[j] = j % 2 ? UINT64_C(1) << 32 : 1; /* the other half of each is zero */
        assert_false(lx_words_have_zero(words));
        assert_int_equal(lx_words_zero(words), 0);
        for (unsigned bit = 0; bit < 64; bit++) {
            words[i] = UINT64_C(1) << bit;
            assert_false(lx_words_have_zero(words));
        }
        words[i] = 0;
        assert_true(lx_words_have_zero(words));
        assert_int_equal(lx_words_zero(words), UINT32_C(1) << i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_every_tag_in_every_word_is_found_there_alone),
        cmocka_unit_test(tags_at_the_ends_of_their_range_do_not_meet),
        cmocka_unit_test(tags_of_several_words_are_all_found_whatever_the_low_bits_say),
        cmocka_unit_test(words_with_a_zero_are_told_from_those_with_half_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
