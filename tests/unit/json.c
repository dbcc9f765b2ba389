/* SPDX-License-Identifier: MIT */
/* The JSON checker and the conversions of single values (format/json.h). */
#include "format/json.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct text {
    const char *bytes;
    size_t len;
};
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A refused text, and the offset of the first byte that cannot stand there. */
struct refused {
    const char *bytes;
    size_t len;
    size_t at;
};
#define REFUSED(literal, at)                                                                       \
    {                                                                                              \
        (literal), sizeof(literal) - 1, (at)                                                       \
    }
#define CUT(literal)                                                                               \
    {                                                                                              \
        (literal), sizeof(literal) - 1, sizeof(literal) - 1                                        \
    }

/* The text in memory of exactly its length, so that a sanitizer sees a read past its end. */
static char *exact_copy(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return copy;
}

static void check_accepted(const struct text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        const char *why = "";
        char *copy = exact_copy(texts[i].bytes, texts[i].len);
        if (!lx_json_check(copy, texts[i].len, &at, &why))
            fail_msg("case %zu, \"%s\": refused at %zu: %s", i, texts[i].bytes, at, why);
        free(copy);
    }
}

static void check_refused(const struct refused *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = SIZE_MAX;
        const char *why = NULL;
        char *copy = exact_copy(texts[i].bytes, texts[i].len);
        if (lx_json_check(copy, texts[i].len, &at, &why))
            fail_msg("case %zu, \"%s\": accepted", i, texts[i].bytes);
        if (at != texts[i].at)
            fail_msg("case %zu, \"%s\": refused at %zu (%s), not at %zu", i, texts[i].bytes, at,
                     why, texts[i].at);
        assert_non_null(why);
        free(copy);
    }
}

/* ---- What is JSON ---------------------------------------------------------------------------- */

static void json_any_single_value_is_accepted(void **state)
{
    (void)state;
    static const struct text texts[] = {
        TEXT("null"),
        TEXT("true"),
        TEXT("false"),
        TEXT("0"),
        TEXT("\"\""),
        TEXT("[]"),
        TEXT("{}"),
        TEXT("\"text\""),
        TEXT("[null]"),
        TEXT("{\"\":null}"),
        TEXT("[true,false]"),
        TEXT("[1,2,3]"),
        TEXT("[[],[]]"),
        TEXT("[{},{}]"),
        TEXT("[[[[[]]]]]"),
        TEXT("{\"a\":{\"b\":{\"c\":[]}}}"),
        TEXT("{\"a\":1,\"b\":[2,{\"c\":3}],\"d\":\"e\"}"),
        TEXT("[[1],{\"a\":[2]},3]"),
        TEXT("{\"a\":[{}],\"b\":{}}"),
    };
    check_accepted(texts, COUNT(texts));
}

static void json_white_space_around_tokens_is_accepted(void **state)
{
    (void)state;
    static const struct text texts[] = {
        TEXT(" null"),
        TEXT("null "),
        TEXT("\t\r\n 1\t\r\n "),
        TEXT("[ ]"),
        TEXT("{ }"),
        TEXT(" [ 1 , 2 ] "),
        TEXT("\n{\n\"a\"\n:\n1\n,\n\"b\"\n:\n[\n]\n}\n"),
        TEXT("{\"a\"\t:\r1}"),
        TEXT("[\r\n]"),
    };
    check_accepted(texts, COUNT(texts));
}

static void json_other_space_is_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("\v1", 0),
        REFUSED("\f1", 0),
        REFUSED("1\v", 1),
        REFUSED("1\f", 1),
        REFUSED("\0"
                "1",
                0),
        REFUSED("1\0", 1),
        REFUSED("[\0]", 1),
        REFUSED("\xc2\xa0"
                "1",
                0),
        REFUSED("1\xc2\xa0", 1),
        REFUSED("\xe2\x80\xa8"
                "1",
                0),
        REFUSED("1\xc2\x85", 1),
        REFUSED("\x1f"
                "1",
                0),
        REFUSED("\x7f"
                "1",
                0),
        REFUSED("\b1", 0),
    };
    check_refused(texts, COUNT(texts));
}

static void json_byte_order_mark_is_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("\xef\xbb\xbf"
                "1",
                0),
        REFUSED("\xef\xbb\xbf{}", 0),
        REFUSED("\xef\xbb\xbf", 0),
        REFUSED("\xff\xfe"
                "1\0",
                0),
        REFUSED("\xfe\xff\0"
                "1",
                0),
        REFUSED("1\xef\xbb\xbf", 1),
    };
    check_refused(texts, COUNT(texts));
}

static void json_byte_order_mark_inside_a_string_is_accepted(void **state)
{
    (void)state;
    static const struct text texts[] = {TEXT("\"\xef\xbb\xbf\"")};
    check_accepted(texts, COUNT(texts));
}

static void json_text_that_ends_early_is_refused_at_its_end(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        CUT(""),
        CUT(" "),
        CUT("\n\t"),
        CUT("n"),
        CUT("nul"),
        CUT("t"),
        CUT("tru"),
        CUT("fals"),
        CUT("-"),
        CUT("1."),
        CUT("1e"),
        CUT("1e+"),
        CUT("1.5E-"),
        CUT("\""),
        CUT("\"a"),
        CUT("\"a\\"),
        CUT("\"\\u"),
        CUT("\"\\u0"),
        CUT("\"\\u00"),
        CUT("\"\\u004"),
        CUT("\"\\u0041"),
        CUT("\"\\ud83d"),
        CUT("\"\\ud83d\\"),
        CUT("\"\\ud83d\\u"),
        CUT("\"\\ud83d\\ud"),
        CUT("\"\\ud83d\\ude0"),
        CUT("\"\xc3"),
        CUT("\"\xe2\x82"),
        CUT("\"\xf0\x9f\x98"),
        CUT("["),
        CUT("[1"),
        CUT("[1,"),
        CUT("[[]"),
        CUT("{"),
        CUT("{\"a\""),
        CUT("{\"a\":"),
        CUT("{\"a\":1"),
        CUT("{\"a\":1,"),
        CUT("{\"a"),
        CUT("{\"a\":[{"),
        CUT("[ "),
        CUT("{ "),
        CUT("{\"a\" "),
        CUT("{\"a\": "),
        CUT("[1 "),
        CUT("[1, "),
    };
    check_refused(texts, COUNT(texts));
}

static void json_every_proper_prefix_of_an_object_is_refused_at_its_end(void **state)
{
    (void)state;
    static const char whole[] = "{\"name\": \"gr\xc3\xbc\xc3\x9f"
                                "e\", \"n\": [1, -2.5e+3, true, null], \"\\ud83d\\ude00\": {}}";
    size_t at;
    const char *why;

    for (size_t len = 0; len < sizeof whole - 1; len++) {
        char *copy = exact_copy(whole, len);
        assert_false(lx_json_check(copy, len, &at, &why));
        assert_int_equal(at, len);
        free(copy);
    }
    assert_true(lx_json_check(whole, sizeof whole - 1, &at, &why));
}

/* Texts that end with a closing bracket are read another way than others. */
static void json_space_behind_a_closing_bracket_changes_no_verdict(void **state)
{
    (void)state;
    static const char whole[] = "{\"name\" : \"gr\xc3\xbc\xc3\x9f"
                                "e\", \"n\":[1, -2.5e+3 ,true,[ ], null], \"\\ud83d\\ude00\": {}}";
    static const char ends[][3] = {"]", "}", "]]", "]}", "}]", "}}"};

    for (size_t i = 0; i < sizeof whole * COUNT(ends); i++) {
        char text[sizeof whole + 3];
        size_t len = (size_t)snprintf(text, sizeof text, "%.*s%s", (int)(i / COUNT(ends)), whole,
                                      ends[i % COUNT(ends)]);
        size_t at = SIZE_MAX, spaced_at = SIZE_MAX;
        const char *why = NULL, *spaced_why = NULL;

        char *copy = exact_copy(text, len);
        bool accepted = lx_json_check(copy, len, &at, &why);
        free(copy);
        text[len] = ' ';
        copy = exact_copy(text, len + 1);
        assert_int_equal(lx_json_check(copy, len + 1, &spaced_at, &spaced_why), accepted);
        free(copy);
        if (accepted)
            continue;
        assert_int_equal(at == len ? len + 1 : at, spaced_at);
        assert_string_equal(why, spaced_why);
    }
}

static void json_more_text_after_the_value_is_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("1 2", 2),       REFUSED("{} {}", 3),  REFUSED("[]]", 2),
        REFUSED("{}}", 2),       REFUSED("null,", 4),  REFUSED("nulll", 4),
        REFUSED("truefalse", 4), REFUSED("\"a\"b", 3), REFUSED("\"a\"\"b\"", 3),
        REFUSED("1:", 1),        REFUSED("[1]1", 3),   REFUSED("1//", 1),
        REFUSED("{}#", 2),       REFUSED("1/**/", 1),  REFUSED("0x10", 1),
        REFUSED("1}", 1),        REFUSED("1]", 1),
    };
    check_refused(texts, COUNT(texts));
}

static void json_words_that_it_does_not_have_are_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("NaN", 0),       REFUSED("nan", 1),   REFUSED("Infinity", 0),
        REFUSED("-Infinity", 1), REFUSED("-NaN", 1),  REFUSED("inf", 0),
        REFUSED("+1", 0),        REFUSED("[NaN]", 1), REFUSED("True", 0),
        REFUSED("FALSE", 0),     REFUSED("None", 0),  REFUSED("NULL", 0),
        REFUSED("nuLl", 2),      REFUSED("trua", 3),  REFUSED("undefined", 0),
        REFUSED("a", 0),         REFUSED("'a'", 0),   REFUSED("{'a':1}", 1),
        REFUSED("{a:1}", 1),     REFUSED("`", 0),     REFUSED("\\u0031", 0),
        REFUSED("//", 0),        REFUSED("\xff", 0),  REFUSED("\x80", 0),
    };
    check_refused(texts, COUNT(texts));
}

static void json_misplaced_separators_and_brackets_are_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("]", 0),
        REFUSED("}", 0),
        REFUSED(",", 0),
        REFUSED(":", 0),
        REFUSED("[,]", 1),
        REFUSED("[1,]", 3),
        REFUSED("[,1]", 1),
        REFUSED("[1,,2]", 3),
        REFUSED("[1 2]", 3),
        REFUSED("[1:2]", 2),
        REFUSED("[}", 1),
        REFUSED("{]", 1),
        REFUSED("[1}", 2),
        REFUSED("{\"a\":1]", 6),
        REFUSED("{,}", 1),
        REFUSED("{\"a\"}", 4),
        REFUSED("{\"a\":}", 5),
        REFUSED("{\"a\":1,}", 7),
        REFUSED("{\"a\",1}", 4),
        REFUSED("{\"a\"::1}", 5),
        REFUSED("{\"a\" 1}", 5),
        REFUSED("{\"a\":1 \"b\":2}", 7),
        REFUSED("{\"a\":1,,\"b\":2}", 7),
        REFUSED("{:1}", 1),
        REFUSED("{1:1}", 1),
        REFUSED("{null:1}", 1),
        REFUSED("{[]:1}", 1),
        REFUSED("{\"a\":1:2}", 6),
        REFUSED("[[]", 3),
        REFUSED("{\"a\":[}", 6),
        REFUSED("[{]", 2),
        REFUSED("{\"a\":1;\"b\":2}", 6),
    };
    check_refused(texts, COUNT(texts));
}

static void json_duplicate_names_are_accepted(void **state)
{
    (void)state;
    static const struct text texts[] = {
        TEXT("{\"a\":1,\"a\":2}"),
        TEXT("{\"a\":1,\"a\":1}"),
        TEXT("{\"\":{},\"\":[]}"),
        TEXT("{\"a\":1,\"\\u0061\":2}"),
    };
    check_accepted(texts, COUNT(texts));
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static void json_numbers_of_the_grammar_are_accepted(void **state)
{
    (void)state;
    static const struct text texts[] = {
        TEXT("0"),
        TEXT("-0"),
        TEXT("1"),
        TEXT("-1"),
        TEXT("10"),
        TEXT("123456789"),
        TEXT("0.0"),
        TEXT("-0.0"),
        TEXT("0.5"),
        TEXT("1.50"),
        TEXT("1e0"),
        TEXT("1E0"),
        TEXT("1e+0"),
        TEXT("1e-0"),
        TEXT("1e00"),
        TEXT("1e007"),
        TEXT("0e0"),
        TEXT("0E+10"),
        TEXT("-0e-0"),
        TEXT("1.5e10"),
        TEXT("-1.5E-10"),
        TEXT("1e999999999999999999999"),
        TEXT("123456789012345678901234567890"),
        TEXT("0.00000000000000000000000000000001"),
        TEXT("9223372036854775808"),
        TEXT("-9223372036854775809"),
        TEXT("[0,-0,0.1]"),
    };
    check_accepted(texts, COUNT(texts));
}

static void json_numbers_outside_the_grammar_are_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("00", 1),   REFUSED("01", 1),       REFUSED("-01", 2),   REFUSED("-00", 2),
        REFUSED("1.e1", 2), REFUSED(".5", 0),       REFUSED("-.5", 1),   REFUSED("+0", 0),
        REFUSED("--1", 1),  REFUSED("-+1", 1),      REFUSED("1.2.3", 3), REFUSED("1e1.5", 3),
        REFUSED("1ee1", 2), REFUSED("1e++1", 3),    REFUSED("1e 1", 2),  REFUSED("1 .5", 2),
        REFUSED("- 1", 1),  REFUSED("1_000", 1),    REFUSED("1,000", 1), REFUSED("0b1", 1),
        REFUSED("0o7", 1),  REFUSED("0x1", 1),      REFUSED("1f", 1),    REFUSED("1L", 1),
        REFUSED("1.x", 2),  REFUSED("-a", 1),       REFUSED("[-]", 2),   REFUSED("[1.]", 3),
        REFUSED("[1e]", 3), REFUSED("\xd9\xa1", 0), REFUSED("1e0x", 3),
    };
    check_refused(texts, COUNT(texts));
}

/* ---- Strings --------------------------------------------------------------------------------- */

static void json_escapes_of_the_grammar_are_accepted(void **state)
{
    (void)state;
    static const struct text texts[] = {
        TEXT("\"\\\"\""),
        TEXT("\"\\\\\""),
        TEXT("\"\\/\""),
        TEXT("\"\\b\\f\\n\\r\\t\""),
        TEXT("\"\\u0000\""),
        TEXT("\"\\u001f\""),
        TEXT("\"\\uABCD\\uabcd\\uAbCd\""),
        TEXT("\"\\uffff\""),
        TEXT("\"\\ud7ff\""),
        TEXT("\"\\ue000\""),
        TEXT("\"\\\\u12\""),
        TEXT("\"\\\\\\\"\""),
        TEXT("{\"\\u0061\\n\":\"\\/\"}"),
    };
    check_accepted(texts, COUNT(texts));
}

static void json_escapes_outside_the_grammar_are_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("\"\\a\"", 2),        REFUSED("\"\\v\"", 2),     REFUSED("\"\\0\"", 2),
        REFUSED("\"\\x41\"", 2),      REFUSED("\"\\'\"", 2),     REFUSED("\"\\ \"", 2),
        REFUSED("\"\\U0041\"", 2),    REFUSED("\"\\N\"", 2),     REFUSED("\"\\\n\"", 2),
        REFUSED("\"\\\xc3\xa9\"", 2), REFUSED("\"\\u\"", 3),     REFUSED("\"\\u1\"", 4),
        REFUSED("\"\\u12\"", 5),      REFUSED("\"\\u123\"", 6),  REFUSED("\"\\u123g\"", 6),
        REFUSED("\"\\ug123\"", 3),    REFUSED("\"\\u 123\"", 3), REFUSED("\"\\u+123\"", 3),
        REFUSED("\"\\u-123\"", 3),    REFUSED("\"\\u0x12\"", 4), REFUSED("\"\\u12:4\"", 5),
        REFUSED("\"\\u12/4\"", 5),    REFUSED("\"\\u@123\"", 3), REFUSED("\"\\u`123\"", 3),
        REFUSED("\"\\\"", 3),
    };
    check_refused(texts, COUNT(texts));
}

static void json_surrogate_pairs_are_accepted(void **state)
{
    (void)state;
    static const struct text texts[] = {
        TEXT("\"\\ud800\\udc00\""),     TEXT("\"\\udbff\\udfff\""),
        TEXT("\"\\uD83D\\uDE00\""),     TEXT("\"\\ud83d\\ude00\\ud83d\\ude00\""),
        TEXT("{\"\\ud83d\\ude00\":0}"),
    };
    check_accepted(texts, COUNT(texts));
}

static void json_lone_surrogates_are_refused(void **state)
{
    (void)state;
    static const struct refused texts[] = {
        REFUSED("\"\\ud800\"", 7),         REFUSED("\"\\udbff\"", 7),
        REFUSED("\"\\udc00\"", 4),         REFUSED("\"\\udfff\"", 4),
        REFUSED("\"\\uDC00\"", 4),         REFUSED("\"\\ud800x\"", 7),
        REFUSED("\"\\ud800\\n\"", 8),      REFUSED("\"\\ud800\\u0041\"", 9),
        REFUSED("\"\\ud800\\ud800\"", 10), REFUSED("\"\\ud800\\udbff\"", 10),
        REFUSED("\"\\ud800\\ue000\"", 9),  REFUSED("\"\\ud800\\udcxx\"", 11),
        REFUSED("\"\\udc00\\ud800\"", 4),  REFUSED("{\"\\ud800\":0}", 8),
        REFUSED("\"\\ud800\\ud7ff\"", 10), REFUSED("\"\\ud800\xed\xb0\x80\"", 7),
    };
    check_refused(texts, COUNT(texts));
}

static void json_raw_control_characters_in_strings_are_refused(void **state)
{
    (void)state;
    for (int byte = 0; byte < 0x20; byte++) {
        for (size_t before = 0; before < 20; before++) {
            char text[40];
            size_t at, len = before + 3;
            const char *why;
            memset(text, 'x', sizeof text);
            text[0] = '"';
            text[1 + before] = (char)byte;
            text[2 + before] = '"';
            assert_false(lx_json_check(text, len, &at, &why));
            assert_int_equal(at, 1 + before);
        }
    }
}

static void json_every_other_ascii_character_in_strings_is_accepted(void **state)
{
    (void)state;
    for (int byte = 0x20; byte < 0x80; byte++) {
        for (size_t before = 0; before < 20; before++) {
            char text[40];
            size_t at;
            const char *why;
            memset(text, 'x', sizeof text);
            text[0] = '"';
            text[1 + before] = (char)byte;
            text[30] = '"';
            if (byte != '"' && byte != '\\')
                assert_true(lx_json_check(text, 31, &at, &why));
        }
    }
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

static const struct text valid_utf8[] = {
    TEXT("\x7f"),
    TEXT("\xc2\x80"),
    TEXT("\xdf\xbf"),
    TEXT("\xe0\xa0\x80"),
    TEXT("\xe0\xbf\xbf"),
    TEXT("\xe1\x80\x80"),
    TEXT("\xec\xbf\xbf"),
    TEXT("\xed\x80\x80"),
    TEXT("\xed\x9f\xbf"),
    TEXT("\xee\x80\x80"),
    TEXT("\xef\xbf\xbf"),
    TEXT("\xf0\x90\x80\x80"),
    TEXT("\xf0\xbf\xbf\xbf"),
    TEXT("\xf1\x80\x80\x80"),
    TEXT("\xf3\xbf\xbf\xbf"),
    TEXT("\xf4\x80\x80\x80"),
    TEXT("\xf4\x8f\xbf\xbf"),
    TEXT("gr\xc3\xbc\xc3\x9f"
         "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"),
};

/* Stray, overlong, surrogate, beyond U+10FFFF, cut short by another character. */
static const struct refused invalid_utf8[] = {
    REFUSED("\x80", 0),
    REFUSED("\xbf", 0),
    REFUSED("\xc0\x80", 0),
    REFUSED("\xc0\xaf", 0),
    REFUSED("\xc1\xbf", 0),
    REFUSED("\xe0\x80\x80", 1),
    REFUSED("\xe0\x9f\xbf", 1),
    REFUSED("\xed\xa0\x80", 1),
    REFUSED("\xed\xbf\xbf", 1),
    REFUSED("\xf0\x80\x80\x80", 1),
    REFUSED("\xf0\x8f\xbf\xbf", 1),
    REFUSED("\xf4\x90\x80\x80", 1),
    REFUSED("\xf5\x80\x80\x80", 0),
    REFUSED("\xf8\x88\x80\x80\x80", 0),
    REFUSED("\xfc\x84\x80\x80\x80\x80", 0),
    REFUSED("\xfe", 0),
    REFUSED("\xff", 0),
    REFUSED("\xc3 ", 1),
    REFUSED("\xc3\xc3", 1),
    REFUSED("\xe2\x82 ", 2),
    REFUSED("\xe2 \xac", 1),
    REFUSED("\xf0\x9f\x98 ", 3),
    REFUSED("\xf0\x9f \x80", 2),
    REFUSED("\xf0 \x98\x80", 1),
    REFUSED("ab\x80", 2),
    REFUSED("\xc3\xa9\xa9", 2),
};

static void utf8_valid_text_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(valid_utf8); i++) {
        size_t at;
        char *copy = exact_copy(valid_utf8[i].bytes, valid_utf8[i].len);
        assert_true(lx_utf8_check(copy, valid_utf8[i].len, &at));
        free(copy);
    }
}

static void utf8_empty_text_is_accepted(void **state)
{
    (void)state;
    size_t at;
    assert_true(lx_utf8_check(NULL, 0, &at));
}

static void utf8_invalid_text_is_refused_at_its_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(invalid_utf8); i++) {
        size_t at = SIZE_MAX;
        char *copy = exact_copy(invalid_utf8[i].bytes, invalid_utf8[i].len);
        assert_false(lx_utf8_check(copy, invalid_utf8[i].len, &at));
        assert_int_equal(at, invalid_utf8[i].at);
        free(copy);
    }
}

static void utf8_text_cut_inside_a_character_is_refused_at_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(valid_utf8) - 1; i++) {
        for (size_t len = 1; len < valid_utf8[i].len; len++) {
            size_t at = SIZE_MAX;
            char *copy = exact_copy(valid_utf8[i].bytes, len);
            assert_false(lx_utf8_check(copy, len, &at));
            assert_int_equal(at, len);
            free(copy);
        }
    }
}

static void utf8_invalid_byte_after_long_ascii_is_refused_at_its_byte(void **state)
{
    (void)state;
    char text[64];
    for (size_t i = 0; i < sizeof text; i++) {
        size_t at = SIZE_MAX;
        memset(text, 'x', sizeof text);
        text[i] = '\xff';
        assert_false(lx_utf8_check(text, sizeof text, &at));
        assert_int_equal(at, i);
    }
}

/* Puts the text into quotes, behind `before` plain bytes. */
static size_t quote_plainly(char *out, size_t before, const char *bytes, size_t len)
{
    out[0] = '"';
    memset(out + 1, 'x', before);
    memcpy(out + 1 + before, bytes, len);
    out[1 + before + len] = '"';
    return before + len + 2;
}

static void json_valid_utf8_in_strings_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(valid_utf8); i++) {
        for (size_t before = 0; before < 10; before++) {
            char text[80];
            size_t at, len = quote_plainly(text, before, valid_utf8[i].bytes, valid_utf8[i].len);
            const char *why;
            assert_true(lx_json_check(text, len, &at, &why));
        }
    }
}

static void json_invalid_utf8_in_strings_is_refused_at_its_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(invalid_utf8); i++) {
        for (size_t before = 0; before < 10; before++) {
            char text[80];
            size_t at = 0,
                   len = quote_plainly(text, before, invalid_utf8[i].bytes, invalid_utf8[i].len);
            const char *why;
            assert_false(lx_json_check(text, len, &at, &why));
            assert_int_equal(at, 1 + before + invalid_utf8[i].at);
        }
    }
}

/* ---- Nesting --------------------------------------------------------------------------------- */

/* `depth` brackets of the kinds that the bits of `pattern` say, around nothing; the length in
 * *ret_len and the offset of the innermost bracket in *ret_at. */
static char *nested(unsigned depth, uint64_t pattern, size_t *ret_len, size_t *ret_at)
{
    char *text = malloc((size_t)depth * 6);
    char *p = text;

    assert_non_null(text);
    for (unsigned i = 0; i < depth; i++) {
        if (i > 0 && (pattern >> ((i - 1) % 64) & 1)) {
            memcpy(p, "\"\":", 3);
            p += 3;
        }
        *ret_at = (size_t)(p - text);
        *p++ = pattern >> (i % 64) & 1 ? '{' : '[';
    }
    for (unsigned i = depth; i-- > 0;)
        *p++ = pattern >> (i % 64) & 1 ? '}' : ']';
    *ret_len = (size_t)(p - text);
    return text;
}

static const uint64_t patterns[] = {0, UINT64_MAX, UINT64_C(0x5555555555555555),
                                    UINT64_C(0xfedcba9876543210), UINT64_C(0x8000000000000001)};

static void json_nesting_to_the_limit_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        size_t len, innermost, at;
        const char *why;
        char *text = nested(LX_JSON_DEPTH, patterns[i], &len, &innermost);
        assert_true(lx_json_check(text, len, &at, &why));
        free(text);
    }
}

static void json_nesting_past_the_limit_is_refused_at_the_bracket(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        size_t len, innermost, at = 0;
        const char *why;
        char *text = nested(LX_JSON_DEPTH + 1, patterns[i], &len, &innermost);
        assert_false(lx_json_check(text, len, &at, &why));
        assert_int_equal(at, innermost);
        free(text);
    }
}

static void json_nesting_is_not_counted_across_siblings(void **state)
{
    (void)state;
    size_t at;
    const char *why;
    char text[3 * (LX_JSON_DEPTH + 5) + 2];
    char *p = text;

    *p++ = '[';
    for (unsigned i = 0; i < LX_JSON_DEPTH + 5; i++) {
        memcpy(p, "[],", 3);
        p += 3;
    }
    p[-1] = ']';
    assert_true(lx_json_check(text, (size_t)(p - text), &at, &why));
}

static void json_wrong_closing_bracket_is_refused_at_every_depth(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        size_t len, innermost, at;
        const char *why;
        unsigned depth = 200;
        char *text = nested(depth, patterns[i], &len, &innermost);
        for (size_t place = innermost + 1; place < len; place++) {
            text[place] ^= ']' ^ '}';
            assert_false(lx_json_check(text, len, &at, &why));
            assert_int_equal(at, place);
            text[place] ^= ']' ^ '}';
        }
        free(text);
    }
}

/* ---- Types ----------------------------------------------------------------------------------- */

static void json_type_is_that_of_the_value(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum lx_json_type type;
    } cases[] = {
        {"{}", LX_JSON_OBJECT},    {" {\"a\":1}", LX_JSON_OBJECT},  {"[1]", LX_JSON_ARRAY},
        {"\"a\"", LX_JSON_STRING}, {"\n\t\r \"\"", LX_JSON_STRING}, {"0", LX_JSON_NUMBER},
        {"-1", LX_JSON_NUMBER},    {"9e9", LX_JSON_NUMBER},         {"true", LX_JSON_TRUE},
        {"false", LX_JSON_FALSE},  {"null", LX_JSON_NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(lx_json_type_of(cases[i].text, strlen(cases[i].text)), cases[i].type);
}

static void json_type_of_no_json_is_not(void **state)
{
    (void)state;
    assert_int_equal(lx_json_type_of("", 0), LX_JSON_NOT);
    assert_int_equal(lx_json_type_of(NULL, 0), LX_JSON_NOT);
    assert_int_equal(lx_json_type_of("  ", 2), LX_JSON_NOT);
    assert_int_equal(lx_json_type_of("x", 1), LX_JSON_NOT);
    assert_int_equal(lx_json_type_of("]", 1), LX_JSON_NOT);
}

/* ---- Quoting --------------------------------------------------------------------------------- */

static void check_quoted(const char *text, size_t len, const char *expected)
{
    char *out = malloc(lx_json_quote_max(len));
    assert_non_null(out);
    size_t out_len = lx_json_quote(out, text, len);
    assert_int_equal(out_len, strlen(expected));
    assert_memory_equal(out, expected, out_len);
    free(out);
}

static void quote_plain_text_is_kept(void **state)
{
    (void)state;
    check_quoted("", 0, "\"\"");
    check_quoted(NULL, 0, "\"\"");
    check_quoted("plain /text/", 12, "\"plain /text/\"");
    check_quoted("\x7f", 1, "\"\x7f\"");
    check_quoted("gr\xc3\xbc\xf0\x9f\x98\x80", 8, "\"gr\xc3\xbc\xf0\x9f\x98\x80\"");
}

static void quote_escapes_what_must_be(void **state)
{
    (void)state;
    check_quoted("\"", 1, "\"\\\"\"");
    check_quoted("\\", 1, "\"\\\\\"");
    check_quoted("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
    check_quoted("\0\x01\x1f", 3, "\"\\u0000\\u0001\\u001f\"");
    check_quoted("\x0b", 1, "\"\\u000b\"");
}

static void quote_of_controls_only_fills_the_stated_room(void **state)
{
    (void)state;
    char text[100] = {0};
    char *out = malloc(lx_json_quote_max(sizeof text));
    assert_non_null(out);
    assert_int_equal(lx_json_quote(out, text, sizeof text), lx_json_quote_max(sizeof text));
    free(out);
}

static void check_unquoted(const char *json, size_t len, const char *expected, size_t expected_len)
{
    size_t at;
    const char *why;
    assert_true(lx_json_check(json, len, &at, &why));
    char *out = malloc(len);
    assert_non_null(out);
    assert_int_equal(lx_json_unquote(out, json, len), expected_len);
    assert_memory_equal(out, expected, expected_len);
    free(out);
}
#define CHECK_UNQUOTED(json, expected)                                                             \
    check_unquoted(json, sizeof(json) - 1, expected, sizeof(expected) - 1)

static void unquote_decodes_escapes(void **state)
{
    (void)state;
    CHECK_UNQUOTED("\"\"", "");
    CHECK_UNQUOTED(" \"a\" ", "a");
    CHECK_UNQUOTED("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    CHECK_UNQUOTED("\"\\u0000\"", "\0");
    CHECK_UNQUOTED("\"a\\u0000b\"", "a\0b");
    CHECK_UNQUOTED("\"\\u0041\\u007F\"", "A\x7f");
    CHECK_UNQUOTED("\"\\u0080\\u07ff\"", "\xc2\x80\xdf\xbf");
    CHECK_UNQUOTED("\"\\u0800\\uffff\"", "\xe0\xa0\x80\xef\xbf\xbf");
    CHECK_UNQUOTED("\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80");
    CHECK_UNQUOTED("\"\\\\u0041\"", "\\u0041");
}

static void unquote_joins_surrogate_pairs(void **state)
{
    (void)state;
    CHECK_UNQUOTED("\"\\ud800\\udc00\"", "\xf0\x90\x80\x80");
    CHECK_UNQUOTED("\"\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80");
    CHECK_UNQUOTED("\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf");
}

static void unquote_undoes_quote_for_every_character(void **state)
{
    (void)state;
    for (uint32_t byte = 0; byte < 0x80; byte++) {
        char text = (char)byte;
        char quoted[8], plain[8];
        size_t len = lx_json_quote(quoted, &text, 1);
        assert_int_equal(lx_json_unquote(plain, quoted, len), 1);
        assert_int_equal(plain[0], text);
    }
}

static void unquote_works_in_place(void **state)
{
    (void)state;
    char text[] = " \"\\u0041\\ud83d\\ude00\\u00e9 plain \\n\" ";
    static const char expected[] = "A\xf0\x9f\x98\x80\xc3\xa9 plain \n";
    assert_int_equal(lx_json_unquote(text, text, sizeof text - 1), sizeof expected - 1);
    assert_memory_equal(text, expected, sizeof expected - 1);
}

/* ---- Integers -------------------------------------------------------------------------------- */

static void int_within_64_bits_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t number;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"1", 1},
        {"-1", -1},
        {"10", 10},
        {" 7 ", 7},
        {"\n-8\t", -8},
        {"9007199254740993", 9007199254740993},
        {"-9007199254740993", -9007199254740993},
        {"999999999999999999", 999999999999999999},
        {"9223372036854775806", INT64_MAX - 1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", -INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t number = 77;
        assert_true(lx_json_to_int(cases[i].text, strlen(cases[i].text), &number));
        assert_true(number == cases[i].number);
    }
}

static void int_of_anything_else_is_refused_and_untouched(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "9223372036854775808",
        "-9223372036854775809",
        "9223372036854775810",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551617",
        "92233720368547758070",
        "-92233720368547758080",
        "100000000000000000000000000000",
        "1.0",
        "1e3",
        "1E3",
        "0.0",
        "-0.0",
        "0e0",
        "1.5",
        "true",
        "null",
        "\"1\"",
        "[1]",
        "{}",
        "",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t number = 77;
        assert_false(lx_json_to_int(cases[i], strlen(cases[i]), &number));
        assert_true(number == 77);
    }
}

static void int_prints_and_reads_back(void **state)
{
    (void)state;
    static const struct {
        int64_t number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {-1, "-1"},
        {9, "9"},
        {10, "10"},
        {-100, "-100"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
        {INT64_MIN + 1, "-9223372036854775807"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[LX_JSON_NUMBER_MAX];
        size_t len = lx_json_from_int(out, cases[i].number);
        assert_int_equal(len, strlen(cases[i].text));
        assert_memory_equal(out, cases[i].text, len);
    }
}

/* ---- Doubles --------------------------------------------------------------------------------- */

static void check_double(const char *text, double expected)
{
    double number = 77;
    if (!lx_json_to_double(text, strlen(text), &number))
        fail_msg("%s: refused", text);
    if (memcmp(&number, &expected, sizeof number) != 0)
        fail_msg("%s: %a instead of %a", text, number, expected);
}

static void double_is_the_nearest(void **state)
{
    (void)state;
    check_double("0", 0.0);
    check_double("-0", -0.0);
    check_double("-0.0e5", -0.0);
    check_double("1", 1.0);
    check_double(" -1.5 ", -1.5);
    check_double("0.1", 0x1.999999999999ap-4);
    check_double("0.3", 0x1.3333333333333p-2);
    check_double("1e22", 1e22);
    check_double("1e23", 0x1.52d02c7e14af6p+76);
    check_double("8.5e-23", 0x1.9b08e7413dd76p-74);
    check_double("123456789012345678", 0x1.b69b4ba630f35p+56);
    check_double("9007199254740993", 0x1p+53);               /* halfway: to even, down */
    check_double("9007199254740995", 0x1.0000000000002p+53); /* halfway: to even, up */
    check_double("9007199254740993.0000000000000000000000001", 0x1.0000000000001p+53);
    check_double("1.7976931348623157e308", DBL_MAX);
    check_double("2.2250738585072014e-308", DBL_MIN);
    check_double("2.2250738585072011e-308", 0x0.fffffffffffffp-1022);
    check_double("5e-324", 0x1p-1074);
    check_double("2.4703282292062328e-324", 0x1p-1074);
    check_double("2.4703282292062327e-324", 0.0);
    check_double("1e-400", 0.0);
    check_double("-1e-400", -0.0);
    check_double("1e-99999999999999999999999", 0.0);
    check_double("0e99999999999999999999999", 0.0);
    check_double("0.000e-99999999999999999999999", 0.0);
}

static void double_rounds_by_the_last_of_a_thousand_digits(void **state)
{
    (void)state;
    /* 1 + 2^-53 is halfway between 1 and the next double; a digit far behind decides. */
    static const char halfway[] = "1.00000000000000011102230246251565404236316680908203125";
    char text[2000];
    size_t len = sizeof halfway - 1;

    check_double(halfway, 1.0);
    memcpy(text, halfway, len);
    memset(text + len, '0', 1500);
    text[len + 1500] = '\0';
    check_double(text, 1.0);
    text[len + 1499] = '1';
    check_double(text, 0x1.0000000000001p+0);
}

static void double_with_many_zeros_and_their_exponent_is_exact(void **state)
{
    (void)state;
    char text[3000];

    memset(text, '0', sizeof text);
    text[1] = '.';
    strcpy(text + 2000, "25e1999");
    check_double(text, 2.5);

    memset(text, '0', sizeof text);
    text[0] = '3';
    strcpy(text + 2000, "e-1999");
    check_double(text, 3.0);
}

static void double_that_overflows_is_refused_and_untouched(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "1e309",
        "-1e309",
        "1.7976931348623159e308",
        "1e400",
        "1e99999999999999999999999",
        "-1e99999999999999999999999",
        /* 2^1024 - 2^970: halfway between DBL_MAX and what would come next */
        "179769313486231580793728971405303415079934132710037826936173"
        "778980444968292764750946649017977587207096330286416692887910"
        "946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834"
        "936475292719074168444365510704342711559699508093042880177904"
        "174497792",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double number = 77;
        assert_false(lx_json_to_double(cases[i], strlen(cases[i]), &number));
        assert_true(number == 77);
    }
}

static void double_of_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"true", "null", "\"1.5\"", "[1.5]", "{}", ""};
    for (size_t i = 0; i < COUNT(cases); i++) {
        double number;
        assert_false(lx_json_to_double(cases[i], strlen(cases[i]), &number));
    }
}

static void check_printed(double number, const char *expected)
{
    char out[LX_JSON_NUMBER_MAX];
    size_t len = 0;
    assert_true(lx_json_from_double(out, &len, number));
    if (len != strlen(expected) || memcmp(out, expected, len) != 0)
        fail_msg("%a: %.*s instead of %s", number, (int)len, out, expected);
}

static void double_prints_the_shortest_digits(void **state)
{
    (void)state;
    check_printed(0.0, "0.0");
    check_printed(-0.0, "-0.0");
    check_printed(1.0, "1.0");
    check_printed(-1.0, "-1.0");
    check_printed(0.1, "0.1");
    check_printed(0.1 + 0.2, "0.30000000000000004");
    check_printed(100.0, "100.0");
    check_printed(123.456, "123.456");
    check_printed(0.0001, "0.0001");
    check_printed(0.00001, "1e-05");
    check_printed(1e15, "1000000000000000.0");
    check_printed(1e16, "1e+16");
    check_printed(1.5e16, "1.5e+16");
    check_printed(9007199254740993.0, "9007199254740992.0");
    check_printed(1e22, "1e+22");
    check_printed(1e23, "1e+23");
    check_printed(1e100, "1e+100");
    check_printed(1.0 / 3.0, "0.3333333333333333");
    check_printed(-2.0 / 3.0, "-0.6666666666666666");
    check_printed(DBL_MAX, "1.7976931348623157e+308");
    check_printed(-DBL_MAX, "-1.7976931348623157e+308");
    check_printed(DBL_MIN, "2.2250738585072014e-308");
    check_printed(DBL_EPSILON, "2.220446049250313e-16");
}

static void double_below_normal_prints_few_digits(void **state)
{
    (void)state;
    check_printed(0x1p-1074, "5e-324");
    check_printed(0x1p-1073, "1e-323");
    check_printed(0x3p-1074, "1.5e-323");
    check_printed(0x0.fffffffffffffp-1022, "2.225073858507201e-308");
}

static void double_power_of_two_prints_the_neighbour_in_reach(void **state)
{
    (void)state;
    /* With 16 digits the nearest, ...801e-14, is out of reach below. */
    check_printed(0x1p-44, "5.684341886080802e-14");
    check_printed(0x1p-1022, "2.2250738585072014e-308");
}

static void double_prints_json_that_reads_back_the_same(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        double number, back;
        char out[LX_JSON_NUMBER_MAX];
        size_t len, at;
        const char *why;

        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&number, &bits, sizeof number);
        if (!isfinite(number))
            continue;
        assert_true(lx_json_from_double(out, &len, number));
        assert_true(len <= LX_JSON_NUMBER_MAX);
        assert_true(lx_json_check(out, len, &at, &why));
        assert_true(memchr(out, '.', len) || memchr(out, 'e', len));
        assert_true(lx_json_to_double(out, len, &back));
        assert_memory_equal(&back, &number, sizeof number);
    }
}

static void double_that_json_does_not_have_is_refused(void **state)
{
    (void)state;
    char out[LX_JSON_NUMBER_MAX];
    size_t len = 77;
    assert_false(lx_json_from_double(out, &len, (double)NAN));
    assert_false(lx_json_from_double(out, &len, (double)INFINITY));
    assert_false(lx_json_from_double(out, &len, -(double)INFINITY));
    assert_int_equal(len, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_any_single_value_is_accepted),
        cmocka_unit_test(json_white_space_around_tokens_is_accepted),
        cmocka_unit_test(json_other_space_is_refused),
        cmocka_unit_test(json_byte_order_mark_is_refused),
        cmocka_unit_test(json_byte_order_mark_inside_a_string_is_accepted),
        cmocka_unit_test(json_text_that_ends_early_is_refused_at_its_end),
        cmocka_unit_test(json_every_proper_prefix_of_an_object_is_refused_at_its_end),
        cmocka_unit_test(json_space_behind_a_closing_bracket_changes_no_verdict),
        cmocka_unit_test(json_more_text_after_the_value_is_refused),
        cmocka_unit_test(json_words_that_it_does_not_have_are_refused),
        cmocka_unit_test(json_misplaced_separators_and_brackets_are_refused),
        cmocka_unit_test(json_duplicate_names_are_accepted),
        cmocka_unit_test(json_numbers_of_the_grammar_are_accepted),
        cmocka_unit_test(json_numbers_outside_the_grammar_are_refused),
        cmocka_unit_test(json_escapes_of_the_grammar_are_accepted),
        cmocka_unit_test(json_escapes_outside_the_grammar_are_refused),
        cmocka_unit_test(json_surrogate_pairs_are_accepted),
        cmocka_unit_test(json_lone_surrogates_are_refused),
        cmocka_unit_test(json_raw_control_characters_in_strings_are_refused),
        cmocka_unit_test(json_every_other_ascii_character_in_strings_is_accepted),
        cmocka_unit_test(utf8_valid_text_is_accepted),
        cmocka_unit_test(utf8_empty_text_is_accepted),
        cmocka_unit_test(utf8_invalid_text_is_refused_at_its_byte),
        cmocka_unit_test(utf8_text_cut_inside_a_character_is_refused_at_its_end),
        cmocka_unit_test(utf8_invalid_byte_after_long_ascii_is_refused_at_its_byte),
        cmocka_unit_test(json_valid_utf8_in_strings_is_accepted),
        cmocka_unit_test(json_invalid_utf8_in_strings_is_refused_at_its_byte),
        cmocka_unit_test(json_nesting_to_the_limit_is_accepted),
        cmocka_unit_test(json_nesting_past_the_limit_is_refused_at_the_bracket),
        cmocka_unit_test(json_nesting_is_not_counted_across_siblings),
        cmocka_unit_test(json_wrong_closing_bracket_is_refused_at_every_depth),
        cmocka_unit_test(json_type_is_that_of_the_value),
        cmocka_unit_test(json_type_of_no_json_is_not),
        cmocka_unit_test(quote_plain_text_is_kept),
        cmocka_unit_test(quote_escapes_what_must_be),
        cmocka_unit_test(quote_of_controls_only_fills_the_stated_room),
        cmocka_unit_test(unquote_decodes_escapes),
        cmocka_unit_test(unquote_joins_surrogate_pairs),
        cmocka_unit_test(unquote_undoes_quote_for_every_character),
        cmocka_unit_test(unquote_works_in_place),
        cmocka_unit_test(int_within_64_bits_is_exact),
        cmocka_unit_test(int_of_anything_else_is_refused_and_untouched),
        cmocka_unit_test(int_prints_and_reads_back),
        cmocka_unit_test(double_is_the_nearest),
        cmocka_unit_test(double_rounds_by_the_last_of_a_thousand_digits),
        cmocka_unit_test(double_with_many_zeros_and_their_exponent_is_exact),
        cmocka_unit_test(double_that_overflows_is_refused_and_untouched),
        cmocka_unit_test(double_of_no_number_is_refused),
        cmocka_unit_test(double_prints_the_shortest_digits),
        cmocka_unit_test(double_below_normal_prints_few_digits),
        cmocka_unit_test(double_power_of_two_prints_the_neighbour_in_reach),
        cmocka_unit_test(double_prints_json_that_reads_back_the_same),
        cmocka_unit_test(double_that_json_does_not_have_is_refused),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
