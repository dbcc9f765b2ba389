/* SPDX-License-Identifier: MIT */
/* base/error.h: what a thread is told about its last failure. */
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

/* More than is kept of a sentence. */
enum { KEPT_MAX = 384 };

static void fill(char *text, size_t len, const char *unit)
{
    const size_t unit_len = strlen(unit);

    for (size_t i = 0; i < len; i++)
        text[i] = unit[i % unit_len];
    text[len] = '\0';
}

static bool is_utf8(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        int more = *p < 0x80             ? 0
                   : (*p & 0xE0) == 0xC0 ? 1
                   : (*p & 0xF0) == 0xE0 ? 2
                   : (*p & 0xF8) == 0xF0 ? 3
                                         : -1;

        if (more < 0)
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xC0) != 0x80)
                return false;
    }
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text);
    const size_t end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void fail_keeps_sentence_and_returns_code(void **state)
{
    (void)state;
    assert_int_equal(lx_fail(LXDB_CORRUPT, "at %d: %s", 42, "odd"), LXDB_CORRUPT);
    assert_string_equal(lx_error_message(), "at 42: odd");
}

static void fail_with_kept_sentence_as_argument_wraps_it(void **state)
{
    (void)state;
    lx_fail(LXDB_IO, "inner");
    lx_fail(LXDB_IO, "outer: %s", lx_error_message());
    assert_string_equal(lx_error_message(), "outer: inner");
}

static void fail_leaves_errno_alone(void **state)
{
    (void)state;
    errno = ENOTTY;
    lx_fail(LXDB_IO, "%s", "something");
    assert_int_equal(errno, ENOTTY);
    lx_fail_errno(EIO, "%s", "something");
    assert_int_equal(errno, ENOTTY);
}

/* No multibyte character of the C locale, so that formatting fails. */
static void fail_that_cannot_be_formatted_has_words_of_code_and_leaves_errno_alone(void **state)
{
    static const wchar_t unprintable[] = {0x110000, 0};

    (void)state;
    errno = ENOTTY;
    assert_int_equal(lx_fail(LXDB_CORRUPT, "%ls", unprintable), LXDB_CORRUPT);
    assert_int_equal(errno, ENOTTY);
    assert_string_equal(lx_error_message(), lx_code_text(LXDB_CORRUPT));
}

static void fail_errno_appends_its_text(void **state)
{
    (void)state;
    lx_fail_errno(ENOSPC, "a.lxdb: writing");
    assert_string_equal(lx_error_message(), "a.lxdb: writing: No space left on device");
}

static void fail_errno_maps_errno_to_code(void **state)
{
    static const struct {
        int err;
        int code;
    } cases[] = {
        {ENOSPC, LXDB_NOSPACE}, {EDQUOT, LXDB_NOSPACE}, {EFBIG, LXDB_NOSPACE},
        {ENOMEM, LXDB_NOMEM},   {EROFS, LXDB_READONLY}, {EACCES, LXDB_READONLY},
        {EPERM, LXDB_READONLY}, {EIO, LXDB_IO},         {EMFILE, LXDB_IO},
        {99999, LXDB_IO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(lx_fail_errno(cases[i].err, "x"), cases[i].code);
}

static void fail_errno_with_unknown_errno_has_its_number(void **state)
{
    (void)state;
    lx_fail_errno(99999, "x");
    assert_non_null(strstr(lx_error_message(), "99999"));
}

static void sentence_of_every_length_keeps_its_end_and_is_bounded(void **state)
{
    char path[6000];

    (void)state;
    for (size_t len = 1; len < sizeof path; len += len < 800 ? 1 : 97) {
        fill(path, len, "p");
        lx_fail_errno(EROFS, "%s: opening it", path);
        assert_true(strlen(lx_error_message()) < KEPT_MAX);
        assert_int_equal(lx_error_message()[0], 'p');
        assert_true(ends_with(lx_error_message(), ": Read-only file system"));
    }
}

static void sentence_that_just_fits_is_kept_whole(void **state)
{
    char text[KEPT_MAX];

    (void)state;
    fill(text, KEPT_MAX - 1, "abc");
    lx_fail(LXDB_IO, "%s", text);
    assert_string_equal(lx_error_message(), text);
}

static void sentence_one_byte_too_long_loses_its_middle(void **state)
{
    char text[KEPT_MAX + 1];

    (void)state;
    fill(text, KEPT_MAX, "abc");
    text[0] = '<';
    text[KEPT_MAX - 1] = '>';
    lx_fail(LXDB_IO, "%s", text);
    assert_int_equal(strlen(lx_error_message()), KEPT_MAX - 1);
    assert_int_equal(lx_error_message()[0], '<');
    assert_non_null(strstr(lx_error_message(), " ... "));
    assert_true(ends_with(lx_error_message(), ">"));
}

static void sentence_in_utf8_stays_utf8_wherever_it_is_cut(void **state)
{
    static const char *const units[] = {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x97\x9D"};
    char text[5001];

    (void)state;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        const size_t size = strlen(units[u]);

        for (size_t count = 90; count * size < sizeof text; count += 1 + count / 60) {
            for (size_t shift = 0; shift < size; shift++) {
                fill(text, count * size, units[u]);
                lx_fail(LXDB_IO, "%.*s%s", (int)shift, "xxxx", text);
                assert_true(is_utf8(lx_error_message()));
                assert_true(strlen(lx_error_message()) < KEPT_MAX);
            }
        }
    }
}

static void sentence_of_continuation_bytes_alone_is_kept_bounded(void **state)
{
    char text[6000];

    (void)state;
    fill(text, sizeof text - 1, "\x80");
    lx_fail(LXDB_IO, "%s", text);
    assert_int_equal(strlen(lx_error_message()), KEPT_MAX - 1);
}

static void answer_replaces_sentence_by_words_of_code(void **state)
{
    (void)state;
    lx_fail(LXDB_IO, "a sentence");
    assert_int_equal(lx_answer(LXDB_NOTFOUND), LXDB_NOTFOUND);
    assert_string_equal(lx_error_message(), lx_code_text(LXDB_NOTFOUND));
    lx_fail(LXDB_IO, "a sentence");
    assert_string_equal(lx_error_message(), "a sentence");
}

struct seen {
    char before[64];
    char after[64];
};

static void *fail_in_thread(void *arg)
{
    struct seen *seen = arg;

    strncpy(seen->before, lx_error_message(), sizeof seen->before - 1);
    lx_fail(LXDB_IO, "of the thread");
    strncpy(seen->after, lx_error_message(), sizeof seen->after - 1);
    return NULL;
}

static void message_belongs_to_its_thread(void **state)
{
    struct seen seen = {.before = "unset"};
    pthread_t thread;

    (void)state;
    lx_fail(LXDB_IO, "of the caller");
    assert_int_equal(pthread_create(&thread, NULL, fail_in_thread, &seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(seen.before, "");
    assert_string_equal(seen.after, "of the thread");
    assert_string_equal(lx_error_message(), "of the caller");
}

static void code_text_of_each_code_is_its_own(void **state)
{
    (void)state;
    for (int a = LXDB_OK; a >= LXDB_CLOSED; a--) {
        assert_string_not_equal(lx_code_text(a), "");
        assert_string_not_equal(lx_code_text(a), lx_code_text(1));
        for (int b = LXDB_OK; b > a; b--)
            assert_string_not_equal(lx_code_text(a), lx_code_text(b));
    }
}

static void code_text_of_no_code_says_so(void **state)
{
    (void)state;
    assert_string_equal(lx_code_text(LXDB_CLOSED - 1), "unknown result code");
    assert_string_equal(lx_code_text(1), "unknown result code");
    assert_string_equal(lx_code_text(INT32_MIN), "unknown result code");
    assert_string_equal(lx_code_text(INT32_MAX), "unknown result code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_keeps_sentence_and_returns_code),
        cmocka_unit_test(fail_with_kept_sentence_as_argument_wraps_it),
        cmocka_unit_test(fail_leaves_errno_alone),
        cmocka_unit_test(fail_that_cannot_be_formatted_has_words_of_code_and_leaves_errno_alone),
        cmocka_unit_test(fail_errno_appends_its_text),
        cmocka_unit_test(fail_errno_maps_errno_to_code),
        cmocka_unit_test(fail_errno_with_unknown_errno_has_its_number),
        cmocka_unit_test(sentence_of_every_length_keeps_its_end_and_is_bounded),
        cmocka_unit_test(sentence_that_just_fits_is_kept_whole),
        cmocka_unit_test(sentence_one_byte_too_long_loses_its_middle),
        cmocka_unit_test(sentence_in_utf8_stays_utf8_wherever_it_is_cut),
        cmocka_unit_test(sentence_of_continuation_bytes_alone_is_kept_bounded),
        cmocka_unit_test(answer_replaces_sentence_by_words_of_code),
        cmocka_unit_test(message_belongs_to_its_thread),
        cmocka_unit_test(code_text_of_each_code_is_its_own),
        cmocka_unit_test(code_text_of_no_code_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
