/* SPDX-License-Identifier: MIT */
/* Typed values, and cJSON trees. */
#include "harness.h"

#include <float.h>
#include <lxdb_json.h>
#include <math.h>
#include <stdio.h>

#define KEY "key", 3
#define TOO_LONG ((size_t)UINT32_MAX)

static void set_json(lxdb *db, const char *json)
{
    assert_ok(lxdb_set_json(db, KEY, json, strlen(json)));
}

static void check_json(lxdb *db, const char *json)
{
    char *text = NULL;
    size_t len = 0;
    assert_ok(lxdb_get_json(db, KEY, &text, &len));
    assert_int_equal(len, strlen(json));
    assert_string_equal(text, json);
    lxdb_free(text);
}

/* What is stored, with the tag. */
#define check_stored(db, literal) check_bytes((db), KEY, (literal), sizeof(literal) - 1)

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void bytes_are_stored_behind_their_tag(void **state)
{
    struct fixture *fixture = *state;
    void *bytes = NULL;
    size_t len = 0;
    assert_ok(lxdb_set_bytes(fixture->db, KEY, "\0\x01raw", 5));
    check_stored(fixture->db, "\0\0\x01raw");
    assert_ok(lxdb_get_bytes(fixture->db, KEY, &bytes, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(bytes, "\0\x01raw", 5);
    lxdb_free(bytes);
}

static void bytes_that_are_empty_are_the_tag_alone(void **state)
{
    struct fixture *fixture = *state;
    void *bytes = NULL;
    size_t len = 77;
    assert_ok(lxdb_set_bytes(fixture->db, KEY, NULL, 0));
    check_stored(fixture->db, "\0");
    assert_ok(lxdb_get_bytes(fixture->db, KEY, &bytes, &len));
    assert_int_equal(len, 0);
    lxdb_free(bytes);
}

static void bytes_of_megabytes_come_back(void **state)
{
    struct fixture *fixture = *state;
    size_t len = 3u << 20, got_len = 0;
    uint8_t *bytes = noise(len, 5);
    void *got = NULL;
    assert_ok(lxdb_set_bytes(fixture->db, KEY, bytes, len));
    assert_ok(lxdb_get_bytes(fixture->db, KEY, &got, &got_len));
    assert_int_equal(got_len, len);
    assert_memory_equal(got, bytes, len);
    lxdb_free(got);
    free(bytes);
}

static void set_bytes_of_null_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_bytes(fixture->db, KEY, NULL, 1), LXDB_INVALID);
    check_missing(fixture->db, "key");
}

static void set_bytes_that_leave_no_room_for_the_tag_is_toobig(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_bytes(fixture->db, KEY, "b", TOO_LONG), LXDB_TOOBIG);
    assert_code(lxdb_set_bytes(fixture->db, KEY, "b", SIZE_MAX), LXDB_TOOBIG);
    check_missing(fixture->db, "key");
}

static void get_bytes_of_json_is_type(void **state)
{
    struct fixture *fixture = *state;
    void *bytes = fixture;
    size_t len = 77;
    set_json(fixture->db, "1");
    assert_code(lxdb_get_bytes(fixture->db, KEY, &bytes, &len), LXDB_TYPE);
    assert_ptr_equal(bytes, fixture);
    assert_int_equal(len, 77);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_is_stored_exactly_as_given(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {
        "null",
        " { \"b\" : 1 , \"a\" : 2 , \"b\" : 3 } ",
        "12345678901234567890123456789",
        "1.10",
        "1E400",
        "\"\\u0041\\/\"",
        "[ ]",
        "\n\"gr\xc3\xbc\xc3\x9f!\"\n",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        set_json(fixture->db, texts[i]);
        check_json(fixture->db, texts[i]);
    }
    set_json(fixture->db, "{\"a\":1}");
    check_stored(fixture->db, "\x01{\"a\":1}");
}

static void set_json_of_other_text_is_json_and_stores_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"",       " ",           "{",   "[1,]",          "NaN",
                                        "01",     "'a'",         "nul", "{\"a\":1}}",    "\"\xff\"",
                                        "\"\n\"", "\"\\ud800\"", "1 2", "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_code(lxdb_set_json(fixture->db, KEY, texts[i], strlen(texts[i])), LXDB_JSON);
    assert_code(lxdb_set_json(fixture->db, KEY, "1\0", 2), LXDB_JSON);
    check_missing(fixture->db, "key");
}

static void set_json_error_names_offset_and_reason(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_json(fixture->db, KEY, "[1, 2, }", 8), LXDB_JSON);
    const char *message = lxdb_errmsg(fixture->db);
    assert_non_null(strstr(message, "7"));
    assert_true(strlen(message) > 10);
}

static void set_json_nested_to_1000_is_ok_and_deeper_is_json(void **state)
{
    struct fixture *fixture = *state;
    char text[2002];
    memset(text, '[', 1001);
    memset(text + 1001, ']', 1001);
    assert_ok(lxdb_set_json(fixture->db, KEY, text + 1, 2000));
    assert_code(lxdb_set_json(fixture->db, KEY, text, 2002), LXDB_JSON);
}

static void set_json_of_null_pointer_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_json(fixture->db, KEY, NULL, 4), LXDB_INVALID);
}

static void set_json_that_leaves_no_room_for_the_tag_is_toobig(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_json(fixture->db, KEY, "1", TOO_LONG), LXDB_TOOBIG);
    assert_code(lxdb_set_json(fixture->db, KEY, "1", SIZE_MAX), LXDB_TOOBIG);
}

static void get_json_without_place_for_the_length_is_ok(void **state)
{
    struct fixture *fixture = *state;
    char *text = NULL;
    set_json(fixture->db, "[true]");
    assert_ok(lxdb_get_json(fixture->db, KEY, &text, NULL));
    assert_string_equal(text, "[true]");
    lxdb_free(text);
}

static void get_json_of_bytes_is_type_and_untouched(void **state)
{
    struct fixture *fixture = *state;
    char *text = (char *)fixture;
    size_t len = 77;
    assert_ok(lxdb_set_bytes(fixture->db, KEY, "1", 1));
    assert_code(lxdb_get_json(fixture->db, KEY, &text, &len), LXDB_TYPE);
    assert_ptr_equal(text, fixture);
    assert_int_equal(len, 77);
}

static void json_of_megabytes_comes_back(void **state)
{
    struct fixture *fixture = *state;
    size_t len = 2u << 20;
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    text[0] = text[len - 1] = '"';
    text[len] = '\0';
    set_json(fixture->db, text);
    check_json(fixture->db, text);
    free(text);
}

/* ---- Strings --------------------------------------------------------------------------------- */

static void check_str(lxdb *db, const char *expected, size_t expected_len)
{
    char *text = NULL;
    size_t len = 0;
    assert_ok(lxdb_get_str(db, KEY, &text, &len));
    assert_int_equal(len, expected_len);
    assert_memory_equal(text, expected, expected_len + 1);
    lxdb_free(text);
}

static void str_is_stored_as_a_json_string(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "say \"hi\"\n\t\\ gr\xc3\xbc\xc3\x9f"
                               "e \xf0\x9f\x98\x80 /";
    assert_ok(lxdb_set_str(fixture->db, KEY, text, sizeof text - 1));
    check_json(fixture->db, "\"say \\\"hi\\\"\\n\\t\\\\ gr\xc3\xbc\xc3\x9f"
                            "e \xf0\x9f\x98\x80 /\"");
    check_str(fixture->db, text, sizeof text - 1);
}

static void str_may_be_empty(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_set_str(fixture->db, KEY, NULL, 0));
    check_json(fixture->db, "\"\"");
    check_str(fixture->db, "", 0);
}

static void str_may_hold_nuls(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_set_str(fixture->db, KEY, "a\0b\0", 4));
    check_json(fixture->db, "\"a\\u0000b\\u0000\"");
    check_str(fixture->db, "a\0b\0", 4);
}

static void str_of_every_length_comes_back(void **state)
{
    struct fixture *fixture = *state;
    char text[1201];
    memset(text, '\x01', sizeof text);
    for (size_t len = 0; len < sizeof text; len += len < 600 ? 7 : 100) {
        text[len] = '\0';
        assert_ok(lxdb_set_str(fixture->db, KEY, text, len));
        check_str(fixture->db, text, len);
        text[len] = '\x01';
    }
}

static void set_str_that_is_not_utf8_is_json(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"\xff",         "a\x80", "\xc0\x80",
                                        "\xed\xa0\x80", "\xc3",  "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_code(lxdb_set_str(fixture->db, KEY, texts[i], strlen(texts[i])), LXDB_JSON);
    check_missing(fixture->db, "key");
}

static void set_str_of_null_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_str(fixture->db, KEY, NULL, 1), LXDB_INVALID);
}

static void set_str_past_32_bits_is_toobig(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_str(fixture->db, KEY, "a", TOO_LONG), LXDB_TOOBIG);
    assert_code(lxdb_set_str(fixture->db, KEY, "a", SIZE_MAX), LXDB_TOOBIG);
}

static void get_str_decodes_escapes_of_any_json_string(void **state)
{
    struct fixture *fixture = *state;
    set_json(fixture->db, " \"\\u0041\\ud83d\\ude00\\/\" ");
    check_str(fixture->db, "A\xf0\x9f\x98\x80/", 6);
}

static void get_str_without_place_for_the_length_is_ok(void **state)
{
    struct fixture *fixture = *state;
    char *text = NULL;
    set_json(fixture->db, "\"abc\"");
    assert_ok(lxdb_get_str(fixture->db, KEY, &text, NULL));
    assert_string_equal(text, "abc");
    lxdb_free(text);
}

static void get_str_of_anything_else_is_type(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"1", "null", "true", "[\"a\"]", "{\"a\":\"b\"}"};
    char *text = (char *)fixture;
    size_t len = 77;
    for (size_t i = 0; i < COUNT(texts); i++) {
        set_json(fixture->db, texts[i]);
        assert_code(lxdb_get_str(fixture->db, KEY, &text, &len), LXDB_TYPE);
    }
    assert_ok(lxdb_set_bytes(fixture->db, KEY, "\"a\"", 3));
    assert_code(lxdb_get_str(fixture->db, KEY, &text, &len), LXDB_TYPE);
    assert_ptr_equal(text, fixture);
    assert_int_equal(len, 77);
}

/* ---- Integers -------------------------------------------------------------------------------- */

static void int_is_exact_over_64_bits(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t numbers[] = {0,
                                      1,
                                      -1,
                                      9007199254740993,
                                      -9007199254740993,
                                      INT64_MAX,
                                      INT64_MIN,
                                      INT64_MAX - 1,
                                      INT64_MIN + 1};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        int64_t number = 77;
        assert_ok(lxdb_set_int(fixture->db, KEY, numbers[i]));
        assert_ok(lxdb_get_int(fixture->db, KEY, &number));
        assert_true(number == numbers[i]);
    }
    check_json(fixture->db, "-9223372036854775807");
}

static void get_int_reads_any_json_integer(void **state)
{
    struct fixture *fixture = *state;
    int64_t number = 77;
    set_json(fixture->db, " -0 ");
    assert_ok(lxdb_get_int(fixture->db, KEY, &number));
    assert_int_equal(number, 0);
}

static void get_int_behind_much_white_space_is_found(void **state)
{
    struct fixture *fixture = *state;
    char text[2000];
    int64_t number = 0;
    memset(text, ' ', sizeof text);
    memcpy(text + sizeof text - 2, "42", 2);
    assert_ok(lxdb_set_json(fixture->db, KEY, text, sizeof text));
    assert_ok(lxdb_get_int(fixture->db, KEY, &number));
    assert_int_equal(number, 42);
}

static void get_int_of_anything_else_is_type(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"9223372036854775808",
                                        "-9223372036854775809",
                                        "1.0",
                                        "1e3",
                                        "true",
                                        "null",
                                        "\"1\"",
                                        "[1]",
                                        "{}"};
    int64_t number = 77;
    for (size_t i = 0; i < COUNT(texts); i++) {
        set_json(fixture->db, texts[i]);
        assert_code(lxdb_get_int(fixture->db, KEY, &number), LXDB_TYPE);
    }
    assert_int_equal(number, 77);
}

/* ---- Doubles --------------------------------------------------------------------------------- */

static void double_comes_back_the_same(void **state)
{
    struct fixture *fixture = *state;
    static const double numbers[] = {0.0,     -0.0,    0.1,      -1.5,      1e23,    1.0 / 3,
                                     DBL_MAX, DBL_MIN, -DBL_MAX, 0x1p-1074, 0x1p-44, 123456789.125};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        double number = 77;
        assert_ok(lxdb_set_double(fixture->db, KEY, numbers[i]));
        assert_ok(lxdb_get_double(fixture->db, KEY, &number));
        assert_memory_equal(&number, &numbers[i], sizeof number);
    }
}

static void double_is_stored_as_the_shortest_number(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_set_double(fixture->db, KEY, 0.1));
    check_json(fixture->db, "0.1");
    assert_ok(lxdb_set_double(fixture->db, KEY, 3));
    check_json(fixture->db, "3.0");
}

static void set_double_that_json_does_not_have_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set_double(fixture->db, KEY, (double)NAN), LXDB_INVALID);
    assert_code(lxdb_set_double(fixture->db, KEY, (double)INFINITY), LXDB_INVALID);
    assert_code(lxdb_set_double(fixture->db, KEY, -(double)INFINITY), LXDB_INVALID);
    check_missing(fixture->db, "key");
}

static void get_double_reads_any_json_number(void **state)
{
    struct fixture *fixture = *state;
    double number = 77;
    set_json(fixture->db, "12345678901234567890");
    assert_ok(lxdb_get_double(fixture->db, KEY, &number));
    assert_true(number == 12345678901234567890.0);
}

static void get_double_of_anything_else_is_type(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"1e309", "-1e309", "true", "null", "\"1\"", "[1]", "{}"};
    double number = 77;
    for (size_t i = 0; i < COUNT(texts); i++) {
        set_json(fixture->db, texts[i]);
        assert_code(lxdb_get_double(fixture->db, KEY, &number), LXDB_TYPE);
    }
    assert_true(number == 77);
}

/* ---- Truth and null -------------------------------------------------------------------------- */

static void bool_comes_back_as_one_or_zero(void **state)
{
    struct fixture *fixture = *state;
    int truth = 77;
    assert_ok(lxdb_set_bool(fixture->db, KEY, -5));
    check_json(fixture->db, "true");
    assert_ok(lxdb_get_bool(fixture->db, KEY, &truth));
    assert_int_equal(truth, 1);
    assert_ok(lxdb_set_bool(fixture->db, KEY, 0));
    check_json(fixture->db, "false");
    assert_ok(lxdb_get_bool(fixture->db, KEY, &truth));
    assert_int_equal(truth, 0);
}

static void get_bool_of_anything_else_is_type(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"1", "0", "null", "\"true\"", "[true]", "{}"};
    int truth = 77;
    for (size_t i = 0; i < COUNT(texts); i++) {
        set_json(fixture->db, texts[i]);
        assert_code(lxdb_get_bool(fixture->db, KEY, &truth), LXDB_TYPE);
    }
    assert_int_equal(truth, 77);
}

static void null_is_stored_as_null(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(lxdb_set_null(fixture->db, KEY));
    check_stored(fixture->db, "\x01null");
}

/* ---- All of them ----------------------------------------------------------------------------- */

/* The code of every typed get on "key"; they must agree. */
static void check_all_gets(lxdb *db, int want)
{
    char *text;
    void *bytes;
    size_t len;
    int64_t whole;
    double number;
    int truth;
    cJSON *tree;
    assert_code(lxdb_get_json(db, KEY, &text, &len), want);
    assert_code(lxdb_get_bytes(db, KEY, &bytes, &len), want);
    assert_code(lxdb_get_str(db, KEY, &text, &len), want);
    assert_code(lxdb_get_int(db, KEY, &whole), want);
    assert_code(lxdb_get_double(db, KEY, &number), want);
    assert_code(lxdb_get_bool(db, KEY, &truth), want);
    assert_code(lxdb_get(db, KEY, &tree), want);
}

static void get_of_missing_key_is_notfound(void **state)
{
    struct fixture *fixture = *state;
    check_all_gets(fixture->db, LXDB_NOTFOUND);
}

static void get_of_empty_value_is_type(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key", "");
    check_all_gets(fixture->db, LXDB_TYPE);
}

static void get_of_value_with_unknown_tag_is_type(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->db, "key",
        "\x02"
        "1");
    check_all_gets(fixture->db, LXDB_TYPE);
    char value[1000];
    memset(value, '1', sizeof value);
    assert_ok(lxdb_write(fixture->db, KEY, value, sizeof value));
    check_all_gets(fixture->db, LXDB_TYPE);
}

static void get_of_text_that_is_no_json_despite_its_tag_is_type(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"\x01",
                                         "\x01\"",
                                         "\x01\"\\u12\"",
                                         "\x01-",
                                         "\x01"
                                         "1 2",
                                         "\x01tru",
                                         "\x01\"\xff\"",
                                         "\x01\"\\ud800\"",
                                         "\x01"
                                         "1e"};
    char *text;
    int64_t whole;
    double number;
    int truth;
    cJSON *tree;
    for (size_t i = 0; i < COUNT(values); i++) {
        put(fixture->db, "key", values[i]);
        assert_code(lxdb_get_str(fixture->db, KEY, &text, NULL), LXDB_TYPE);
        assert_code(lxdb_get_int(fixture->db, KEY, &whole), LXDB_TYPE);
        assert_code(lxdb_get_double(fixture->db, KEY, &number), LXDB_TYPE);
        assert_code(lxdb_get_bool(fixture->db, KEY, &truth), LXDB_TYPE);
        assert_code(lxdb_get(fixture->db, KEY, &tree), LXDB_TYPE);
    }
}

static void get_without_place_for_the_result_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    size_t len;
    set_json(fixture->db, "1");
    assert_code(lxdb_get_json(fixture->db, KEY, NULL, &len), LXDB_INVALID);
    assert_code(lxdb_get_bytes(fixture->db, KEY, NULL, &len), LXDB_INVALID);
    assert_code(lxdb_get_str(fixture->db, KEY, NULL, &len), LXDB_INVALID);
    assert_code(lxdb_get_int(fixture->db, KEY, NULL), LXDB_INVALID);
    assert_code(lxdb_get_double(fixture->db, KEY, NULL), LXDB_INVALID);
    assert_code(lxdb_get_bool(fixture->db, KEY, NULL), LXDB_INVALID);
    assert_code(lxdb_get(fixture->db, KEY, NULL), LXDB_INVALID);
}

static void typed_calls_refuse_wrong_keys(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *key = noise(65536, 6);
    static const struct {
        size_t len;
        int want;
    } cases[] = {{0, LXDB_INVALID}, {65536, LXDB_TOOBIG}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text;
        void *bytes;
        size_t len, key_len = cases[i].len;
        int64_t whole;
        int want = cases[i].want;
        assert_code(lxdb_set_bytes(fixture->db, key, key_len, "a", 1), want);
        assert_code(lxdb_set_json(fixture->db, key, key_len, "1", 1), want);
        assert_code(lxdb_set_str(fixture->db, key, key_len, "a", 1), want);
        assert_code(lxdb_set_int(fixture->db, key, key_len, 1), want);
        assert_code(lxdb_set_double(fixture->db, key, key_len, 1), want);
        assert_code(lxdb_set_bool(fixture->db, key, key_len, 1), want);
        assert_code(lxdb_set_null(fixture->db, key, key_len), want);
        assert_code(lxdb_get_json(fixture->db, key, key_len, &text, &len), want);
        assert_code(lxdb_get_bytes(fixture->db, key, key_len, &bytes, &len), want);
        assert_code(lxdb_get_str(fixture->db, key, key_len, &text, &len), want);
        assert_code(lxdb_get_int(fixture->db, key, key_len, &whole), want);
    }
    free(key);
}

static void typed_values_survive_reopening_and_namespaces(void **state)
{
    struct fixture *fixture = *state;
    lxdb *ns = NULL;
    int64_t number = 0;
    assert_ok(lxdb_namespace(fixture->db, "facts", &ns));
    assert_ok(lxdb_set_int(ns, KEY, 41));
    assert_ok(lxdb_close(ns));
    assert_ok(lxdb_set_str(fixture->db, KEY, "text", 4));
    reopen(fixture);
    check_str(fixture->db, "text", 4);
    assert_ok(lxdb_namespace(fixture->db, "facts", &ns));
    assert_ok(lxdb_get_int(ns, KEY, &number));
    assert_int_equal(number, 41);
    assert_ok(lxdb_close(ns));
}

/* ---- cJSON trees ----------------------------------------------------------------------------- */

static void tree_comes_back_equal(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] =
        "{\"name\":\"gr\xc3\xbc\xc3\x9f"
        "e\",\"list\":[1,2.5,-3,true,false,null,[],{}],\"deep\":{\"a\":[[0]]}}";
    cJSON *tree = cJSON_Parse(text), *got = NULL;
    assert_non_null(tree);
    assert_ok(lxdb_set(fixture->db, KEY, tree));
    check_json(fixture->db, text);
    assert_ok(lxdb_get(fixture->db, KEY, &got));
    assert_true(cJSON_Compare(tree, got, 1));
    cJSON_Delete(tree);
    cJSON_Delete(got);
}

static void tree_of_an_item_with_siblings_is_that_item(void **state)
{
    struct fixture *fixture = *state;
    cJSON *tree = cJSON_Parse("[[1],[2]]");
    assert_non_null(tree);
    assert_ok(lxdb_set(fixture->db, KEY, tree->child));
    check_json(fixture->db, "[1]");
    cJSON_Delete(tree);
}

static void tree_without_json_text_is_json(void **state)
{
    struct fixture *fixture = *state;
    static const double numbers[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        cJSON *tree = cJSON_Parse("{\"a\":[1,{\"b\":[]}]}");
        assert_non_null(tree);
        cJSON_AddItemToArray(tree->child->child->next->child, cJSON_CreateNumber(numbers[i]));
        assert_code(lxdb_set(fixture->db, KEY, tree), LXDB_JSON);
        cJSON_Delete(tree);
    }
    cJSON invalid = {.type = cJSON_Invalid};
    assert_code(lxdb_set(fixture->db, KEY, &invalid), LXDB_JSON);
    cJSON *latin = cJSON_CreateString("gr\xfc\xdf");
    assert_code(lxdb_set(fixture->db, KEY, latin), LXDB_JSON);
    cJSON_Delete(latin);
    cJSON *raw = cJSON_CreateRaw("{raw}");
    assert_code(lxdb_set(fixture->db, KEY, raw), LXDB_JSON);
    cJSON_Delete(raw);
    check_missing(fixture->db, "key");
}

static void tree_nested_past_1000_is_json(void **state)
{
    struct fixture *fixture = *state;
    cJSON *tree = cJSON_CreateArray();
    for (int i = 1; i < 1000; i++) {
        cJSON *outer = cJSON_CreateArray();
        cJSON_AddItemToArray(outer, tree);
        tree = outer;
    }
    assert_ok(lxdb_set(fixture->db, KEY, tree));
    cJSON *outer = cJSON_CreateArray();
    cJSON_AddItemToArray(outer, tree);
    assert_code(lxdb_set(fixture->db, KEY, outer), LXDB_JSON);
    cJSON_Delete(outer);
}

static void tree_that_is_null_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    assert_code(lxdb_set(fixture->db, KEY, NULL), LXDB_INVALID);
}

static void tree_of_a_string_with_nul_is_type(void **state)
{
    struct fixture *fixture = *state;
    cJSON *tree = (cJSON *)fixture;
    set_json(fixture->db, "{\"a\":\"b\\\\\\u0000c\"}");
    assert_code(lxdb_get(fixture->db, KEY, &tree), LXDB_TYPE);
    assert_ptr_equal(tree, fixture);
}

static void tree_of_a_string_with_escaped_backslash_is_ok(void **state)
{
    struct fixture *fixture = *state;
    cJSON *tree = NULL;
    set_json(fixture->db, "\"a\\\\u0000\"");
    assert_ok(lxdb_get(fixture->db, KEY, &tree));
    assert_string_equal(cJSON_GetStringValue(tree), "a\\u0000");
    cJSON_Delete(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_database(bytes_are_stored_behind_their_tag),
        test_in_database(bytes_that_are_empty_are_the_tag_alone),
        test_in_database(bytes_of_megabytes_come_back),
        test_in_database(set_bytes_of_null_is_invalid),
        test_in_database(set_bytes_that_leave_no_room_for_the_tag_is_toobig),
        test_in_database(get_bytes_of_json_is_type),
        test_in_database(json_is_stored_exactly_as_given),
        test_in_database(set_json_of_other_text_is_json_and_stores_nothing),
        test_in_database(set_json_error_names_offset_and_reason),
        test_in_database(set_json_nested_to_1000_is_ok_and_deeper_is_json),
        test_in_database(set_json_of_null_pointer_is_invalid),
        test_in_database(set_json_that_leaves_no_room_for_the_tag_is_toobig),
        test_in_database(get_json_without_place_for_the_length_is_ok),
        test_in_database(get_json_of_bytes_is_type_and_untouched),
        test_in_database(json_of_megabytes_comes_back),
        test_in_database(str_is_stored_as_a_json_string),
        test_in_database(str_may_be_empty),
        test_in_database(str_may_hold_nuls),
        test_in_database(str_of_every_length_comes_back),
        test_in_database(set_str_that_is_not_utf8_is_json),
        test_in_database(set_str_of_null_is_invalid),
        test_in_database(set_str_past_32_bits_is_toobig),
        test_in_database(get_str_decodes_escapes_of_any_json_string),
        test_in_database(get_str_without_place_for_the_length_is_ok),
        test_in_database(get_str_of_anything_else_is_type),
        test_in_database(int_is_exact_over_64_bits),
        test_in_database(get_int_reads_any_json_integer),
        test_in_database(get_int_behind_much_white_space_is_found),
        test_in_database(get_int_of_anything_else_is_type),
        test_in_database(double_comes_back_the_same),
        test_in_database(double_is_stored_as_the_shortest_number),
        test_in_database(set_double_that_json_does_not_have_is_invalid),
        test_in_database(get_double_reads_any_json_number),
        test_in_database(get_double_of_anything_else_is_type),
        test_in_database(bool_comes_back_as_one_or_zero),
        test_in_database(get_bool_of_anything_else_is_type),
        test_in_database(null_is_stored_as_null),
        test_in_database(get_of_missing_key_is_notfound),
        test_in_database(get_of_empty_value_is_type),
        test_in_database(get_of_value_with_unknown_tag_is_type),
        test_in_database(get_of_text_that_is_no_json_despite_its_tag_is_type),
        test_in_database(get_without_place_for_the_result_is_invalid),
        test_in_database(typed_calls_refuse_wrong_keys),
        test_in_database(typed_values_survive_reopening_and_namespaces),
        test_in_database(tree_comes_back_equal),
        test_in_database(tree_of_an_item_with_siblings_is_that_item),
        test_in_database(tree_without_json_text_is_json),
        test_in_database(tree_nested_past_1000_is_json),
        test_in_database(tree_that_is_null_is_invalid),
        test_in_database(tree_of_a_string_with_nul_is_type),
        test_in_database(tree_of_a_string_with_escaped_backslash_is_ok),
    };
    return cmocka_run_group_tests_name("typed", tests, NULL, NULL);
}
