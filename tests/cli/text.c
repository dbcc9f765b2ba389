/* SPDX-License-Identifier: MIT */
/*
 * The tool's text formats, without a database: hexadecimal, base64, JSON and NDJSON records.
 */
#include "format/json.h"
#include "tools/base64.h"
#include "tools/hex.h"
#include "tools/json.h"
#include "tools/ndjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_holds(const struct buffer *buffer, const char *bytes, size_t len)
{
    assert_false(buffer->failed);
    assert_int_equal(buffer->len, len);
    assert_memory_equal(buffer->data, bytes, len);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

static void buffer_reset_after_failure_is_usable(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    assert_null(buffer_room(&buffer, SIZE_MAX));
    assert_true(buffer.failed);
    buffer_add_text(&buffer, "lost");
    assert_int_equal(buffer.len, 0);
    buffer_reset(&buffer);
    buffer_add_text(&buffer, "kept");
    assert_holds(&buffer, "kept", 4);
    buffer_free(&buffer);
}

static void buffer_growing_keeps_contents(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    for (int i = 0; i < 10000; i++)
        buffer_add(&buffer, &i, sizeof(i));
    assert_int_equal(buffer.len, 10000 * sizeof(int));
    for (int i = 0; i < 10000; i++)
        assert_memory_equal(buffer.data + (size_t)i * sizeof(i), &i, sizeof(i));
    buffer_free(&buffer);
}

/* ---- Hexadecimal ----------------------------------------------------------------------------- */

static void hex_all_bytes_round_trip(void **state)
{
    struct buffer text = {0};
    struct buffer back = {0};
    char bytes[256];

    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)(unsigned char)i;
    hex_encode(&text, bytes, sizeof(bytes));
    assert_int_equal(text.len, 512);
    assert_memory_equal(text.data, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(hex_decode(&back, text.data, text.len));
    assert_holds(&back, bytes, sizeof(bytes));
    buffer_free(&text);
    buffer_free(&back);
}

static void hex_upper_case_is_read(void **state)
{
    struct buffer back = {0};

    (void)state;
    assert_true(hex_decode(&back, "AbCD", 4));
    assert_holds(&back, "\xab\xcd", 2);
    buffer_free(&back);
}

static void hex_wrong_text_is_refused(void **state)
{
    static const char *const wrong[] = {"0", "000", "0g", "g0", " 0", "0x", "0\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buffer back = {0};

        assert_false(hex_decode(&back, wrong[i], strlen(wrong[i])));
        buffer_free(&back);
    }
}

/* ---- Base64 ---------------------------------------------------------------------------------- */

static void base64_vectors_of_rfc_4648_hold(void **state)
{
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct buffer text = {0};
        struct buffer back = {0};

        base64_encode(&text, vectors[i][0], strlen(vectors[i][0]));
        assert_holds(&text, vectors[i][1], strlen(vectors[i][1]));
        assert_true(base64_decode(&back, vectors[i][1], strlen(vectors[i][1])));
        assert_int_equal(back.len, strlen(vectors[i][0]));
        if (back.len != 0)
            assert_memory_equal(back.data, vectors[i][0], back.len);
        buffer_free(&text);
        buffer_free(&back);
    }
}

static void base64_all_pairs_of_bytes_round_trip(void **state)
{
    struct buffer text = {0};
    struct buffer back = {0};

    (void)state;
    for (int i = 0; i < 256 * 256; i++) {
        const char bytes[] = {(char)(unsigned char)(i >> 8), (char)(unsigned char)(i & 255)};

        buffer_reset(&text);
        buffer_reset(&back);
        base64_encode(&text, bytes, sizeof(bytes));
        assert_true(base64_decode(&back, text.data, text.len));
        assert_holds(&back, bytes, sizeof(bytes));
    }
    buffer_free(&text);
    buffer_free(&back);
}

static void base64_wrong_text_is_refused(void **state)
{
    static const char *const wrong[] = {
        "Zg",   "Zg=",  "Z===", "====", "=Zg=", "Zg==Zg==", "Zm9v\n",
        "Zh==", "Zm9=", "Zm-v", "Zm_v", "Zm 9", "Zg=a",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buffer back = {0};

        if (base64_decode(&back, wrong[i], strlen(wrong[i])))
            fail_msg("read: %s", wrong[i]);
        buffer_free(&back);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* The tool and the library must agree on what is JSON: else `set` could store a typed value that
 * lxdb_set_json() would refuse, and `import` could not take back what `export` printed. */
static bool verdicts_agree(const char *text, size_t len)
{
    const char *value = NULL;
    const char *why = NULL;
    size_t value_len = 0;
    size_t at = 0;

    return json_check(text, len, &value, &value_len) == lx_json_check(text, len, &at, &why);
}

static void json_all_short_texts_are_judged_as_by_the_library(void **state)
{
    static const char alphabet[] = "{}[]\",:\\ 01-.eu\n\x80\xc3";
    enum { LETTERS = sizeof(alphabet) - 1, LONGEST = 4 };
    char text[LONGEST];
    unsigned long judged = 0;

    (void)state;
    for (size_t len = 0; len <= LONGEST; len++) {
        unsigned long texts = 1;

        for (size_t i = 0; i < len; i++)
            texts *= LETTERS;
        for (unsigned long number = 0; number < texts; number++) {
            unsigned long rest = number;

            for (size_t i = 0; i < len; i++) {
                text[i] = alphabet[rest % LETTERS];
                rest /= LETTERS;
            }
            if (!verdicts_agree(text, len))
                fail_msg("different verdicts on '%.*s'", (int)len, text);
            judged++;
        }
    }
    assert_int_equal(judged, 1 + 18 + 18 * 18 + 18 * 18 * 18 + 18 * 18 * 18 * 18);
}

/* Each valid text, cut at each length and with each byte replaced by each value. */
static void json_damaged_texts_are_judged_as_by_the_library(void **state)
{
    static const char *const texts[] = {
        "{\"a\":[1,-2.5e+10,true,false,null],\"b\":{}}",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        " [ { \"k\" : \"v\" } , [ ] , 0.0E-0 ] ",
        "\"\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t len = strlen(texts[i]);
        char *text = strdup(texts[i]);

        assert_non_null(text);
        assert_true(verdicts_agree(text, len));
        for (size_t at = 0; at < len; at++) {
            assert_true(verdicts_agree(text, at));
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)(unsigned char)byte;
                if (!verdicts_agree(text, len))
                    fail_msg("different verdicts with byte %d at %zu of text %zu", byte, at, i);
            }
            text[at] = texts[i][at];
        }
        free(text);
    }
}

static void json_depth_is_limited_as_by_the_library(void **state)
{
    enum { DEEPEST = JSON_DEPTH + 2 };
    char text[2 * DEEPEST];

    (void)state;
    for (size_t depth = DEEPEST - 4; depth <= DEEPEST; depth++) {
        const char *value;
        size_t value_len;

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_check(text, 2 * depth, &value, &value_len), depth <= JSON_DEPTH);
        assert_true(verdicts_agree(text, 2 * depth));
    }
}

static void json_white_space_around_a_value_is_left_out(void **state)
{
    const char *value = NULL;
    size_t len = 0;

    (void)state;
    assert_true(json_check(" \t{ }\r\n", 7, &value, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(value, "{ }", 3);
}

static void json_quoted_text_reads_back(void **state)
{
    static const char text[] = "a\"\\\b\f\n\r\t\x01\x1f\x7f\0\xc3\xa9\xf0\x9f\x98\x80/";
    struct buffer quoted = {0};
    struct buffer back = {0};

    (void)state;
    json_quote(&quoted, text, sizeof(text) - 1);
    assert_ptr_equal(json_string_end(quoted.data, quoted.data + quoted.len),
                     quoted.data + quoted.len);
    json_unquote(&back, quoted.data, quoted.len);
    assert_holds(&back, text, sizeof(text) - 1);
    buffer_free(&quoted);
    buffer_free(&back);
}

static void json_quoted_text_is_spelled_as_by_the_library(void **state)
{
    struct buffer quoted = {0};
    char text[128], wanted[2 + 6 * sizeof(text)];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)i;
    json_quote(&quoted, text, sizeof(text));
    assert_true(lx_json_quote_max(sizeof(text)) <= sizeof(wanted));
    assert_holds(&quoted, wanted, lx_json_quote(wanted, text, sizeof(text)));
    buffer_free(&quoted);
}

static void json_quoting_replaces_what_is_not_utf8(void **state)
{
    struct buffer quoted = {0};

    (void)state;
    json_quote(&quoted, "a\xff\xc3", 3);
    assert_holds(&quoted, "\"a\xef\xbf\xbd\xef\xbf\xbd\"", 9);
    buffer_free(&quoted);
}

static void json_escapes_stand_for_their_characters(void **state)
{
    static const char literal[] = "\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\\u0000\\/\"";
    static const char text[] = "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0/";
    struct buffer back = {0};

    (void)state;
    json_unquote(&back, literal, sizeof(literal) - 1);
    assert_holds(&back, text, sizeof(text) - 1);
    buffer_free(&back);
}

/* ---- NDJSON ---------------------------------------------------------------------------------- */

/* What one record looks like, read back: key and value must be the same bytes. */
static void assert_round_trip(const char *line, const char *key, size_t key_len, const char *value,
                              size_t value_len)
{
    struct ndjson_record record = {0};
    struct buffer text = {0};
    const char *why = "";

    ndjson_add_record(&text, key, key_len, value, value_len);
    assert_holds(&text, line, strlen(line));
    if (!ndjson_parse(&record, text.data, text.len, &why))
        fail_msg("%s: %s", line, why);
    assert_holds(&record.key, key, key_len);
    assert_true(record.has_value);
    if (record.json != NULL) {
        assert_int_equal(value[0], 1);
        assert_int_equal(record.json_len, value_len - 1);
        assert_memory_equal(record.json, value + 1, value_len - 1);
    } else {
        assert_int_equal(record.bytes.len, value_len);
        if (value_len != 0)
            assert_memory_equal(record.bytes.data, value, value_len);
    }
    buffer_free(&text);
    ndjson_free(&record);
}

static void ndjson_typed_json_keeps_its_text(void **state)
{
    static const char value[] = "\1{\"b\": 12345678901234567890,\t\"a\":1.0, \"a\":[ ]}";

    (void)state;
    assert_round_trip(
        "{\"key\":\"k\",\"value\":{\"b\": 12345678901234567890,\t\"a\":1.0, \"a\":[ ]}}\n", "k", 1,
        value, sizeof(value) - 1);
}

static void ndjson_json_of_many_lines_is_base64(void **state)
{
    (void)state;
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"AVsKXQ==\"}\n", "k", 1, "\1[\n]", 4);
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"AVsNXQ==\"}\n", "k", 1, "\1[\r]", 4);
}

static void ndjson_json_with_space_around_is_base64(void **state)
{
    (void)state;
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"ASAx\"}\n", "k", 1, "\1 1", 3);
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"ATEg\"}\n", "k", 1, "\0011 ", 3);
}

static void ndjson_tag_without_json_is_base64(void **state)
{
    (void)state;
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"AQ==\"}\n", "k", 1, "\1", 1);
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"AX0se30=\"}\n", "k", 1, "\1},{}", 5);
}

static void ndjson_other_values_are_base64(void **state)
{
    (void)state;
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"\"}\n", "k", 1, "", 0);
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"AHg=\"}\n", "k", 1, "\0x", 2);
    assert_round_trip("{\"key\":\"k\",\"value_b64\":\"aGk=\"}\n", "k", 1, "hi", 2);
}

static void ndjson_keys_of_any_bytes_round_trip(void **state)
{
    (void)state;
    assert_round_trip("{\"key\":\"n\\u0000k\\\"\",\"value\":1}\n", "n\0k\"", 4, "\0011", 2);
    assert_round_trip("{\"key_b64\":\"/w==\",\"value\":1}\n", "\xff", 1, "\0011", 2);
}

static void ndjson_members_in_any_order_and_spelling_are_read(void **state)
{
    static const char line[] =
        " { \"value\" : [1, 2] , \"\\u006bey\" : \"a\" , \"op\":\"set\" } \r";
    struct ndjson_record record = {0};
    const char *why = "";

    (void)state;
    assert_true(ndjson_parse(&record, line, sizeof(line) - 1, &why));
    assert_int_equal(record.op, NDJSON_OP_SET);
    assert_holds(&record.key, "a", 1);
    assert_int_equal(record.json_len, 6);
    assert_memory_equal(record.json, "[1, 2]", 6);
    ndjson_free(&record);
}

static void ndjson_record_can_be_used_again(void **state)
{
    static const char first[] = "{\"op\":\"create\",\"key\":\"a\",\"value_b64\":\"AA==\"}";
    static const char second[] = "{\"key\":\"b\",\"value\":1}";
    struct ndjson_record record = {0};
    const char *why = "";

    (void)state;
    assert_true(ndjson_parse(&record, first, sizeof(first) - 1, &why));
    assert_true(ndjson_parse(&record, second, sizeof(second) - 1, &why));
    assert_int_equal(record.op, NDJSON_OP_NONE);
    assert_holds(&record.key, "b", 1);
    assert_int_equal(record.bytes.len, 0);
    assert_non_null(record.json);
    ndjson_free(&record);
}

static void ndjson_wrong_lines_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"", "not one JSON object"},
        {"[]", "not one JSON object"},
        {"{", "not one JSON object"},
        {"{}", "an object without members"},
        {"{\"key\":\"a\",\"value\":1", "not one JSON object"},
        {"{\"key\":\"a\",\"value\":1,}", "not one JSON object"},
        {"{\"key\":\"a\" \"value\":1}", "not one JSON object"},
        {"{\"key\":\"a\",\"value\":01}", "not one JSON object"},
        {"{\"key\":\"a\",\"value\":}", "not one JSON object, or one nested too deep"},
        {"{\"key\":\"a\",\"value\":1}x", "text behind the object"},
        {"{\"key\":\"a\",\"value\":1}{}", "text behind the object"},
        {"{\"value\":1}", "no key"},
        {"{\"key\":1,\"value\":1}", "a key, value_b64 or op that is not a string"},
        {"{\"key\":\"a\",\"key\":\"a\",\"value\":1}", "a second key"},
        {"{\"key\":\"a\",\"key_b64\":\"YQ==\",\"value\":1}", "a second key"},
        {"{\"key\":\"a\",\"value\":1,\"value\":1}", "a second value"},
        {"{\"key\":\"a\",\"value\":1,\"value_b64\":\"\"}", "a second value"},
        {"{\"key\":\"a\",\"value_b64\":\"A\"}", "a value_b64 that is not base64"},
        {"{\"key_b64\":\"A\",\"value\":1}", "a key_b64 that is not base64"},
        {"{\"key\":\"a\",\"value\":1,\"ttl\":5}", "an unknown member"},
        {"{\"op\":\"put\",\"key\":\"a\"}", "an op other than set, create, del"},
        {"{\"op\":\"set\",\"op\":\"set\",\"key\":\"a\"}", "a second op"},
        {"{\"key\":\"\xff\",\"value\":1}", "not one JSON object, or one nested too deep"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct ndjson_record record = {0};
        const char *why = "nothing";

        assert_false(ndjson_parse(&record, wrong[i][0], strlen(wrong[i][0]), &why));
        assert_string_equal(why, wrong[i][1]);
        ndjson_free(&record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_reset_after_failure_is_usable),
        cmocka_unit_test(buffer_growing_keeps_contents),
        cmocka_unit_test(hex_all_bytes_round_trip),
        cmocka_unit_test(hex_upper_case_is_read),
        cmocka_unit_test(hex_wrong_text_is_refused),
        cmocka_unit_test(base64_vectors_of_rfc_4648_hold),
        cmocka_unit_test(base64_all_pairs_of_bytes_round_trip),
        cmocka_unit_test(base64_wrong_text_is_refused),
        cmocka_unit_test(json_all_short_texts_are_judged_as_by_the_library),
        cmocka_unit_test(json_damaged_texts_are_judged_as_by_the_library),
        cmocka_unit_test(json_depth_is_limited_as_by_the_library),
        cmocka_unit_test(json_white_space_around_a_value_is_left_out),
        cmocka_unit_test(json_quoted_text_reads_back),
        cmocka_unit_test(json_quoted_text_is_spelled_as_by_the_library),
        cmocka_unit_test(json_quoting_replaces_what_is_not_utf8),
        cmocka_unit_test(json_escapes_stand_for_their_characters),
        cmocka_unit_test(ndjson_typed_json_keeps_its_text),
        cmocka_unit_test(ndjson_json_of_many_lines_is_base64),
        cmocka_unit_test(ndjson_json_with_space_around_is_base64),
        cmocka_unit_test(ndjson_tag_without_json_is_base64),
        cmocka_unit_test(ndjson_other_values_are_base64),
        cmocka_unit_test(ndjson_keys_of_any_bytes_round_trip),
        cmocka_unit_test(ndjson_members_in_any_order_and_spelling_are_read),
        cmocka_unit_test(ndjson_record_can_be_used_again),
        cmocka_unit_test(ndjson_wrong_lines_are_refused),
    };

    return cmocka_run_group_tests_name("cli text", tests, NULL, NULL);
}
