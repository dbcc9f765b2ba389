/* SPDX-License-Identifier: MIT */
/*
 * Says what the JSON checker makes of texts, for tests/api/json_python.py. On stdin: texts, each
 * after its length as 4 bytes big-endian. On stdout one line for each:
 *
 *     no OFFSET WHY                 refused
 *     ok                            an object, array, true, false or null
 *     ok string HEX HEX             decoded; decoded and quoted again
 *     ok number INT DOUBLE PRINTED  INT or "-"; the double as hexadecimal float, and as we print
 *                                   it, or "-" and "-"
 */
#include "base/byteorder.h"
#include "format/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_hex(const char *bytes, size_t len)
{
    putchar(' ');
    for (size_t i = 0; i < len; i++)
        printf("%02x", (unsigned)(uint8_t)bytes[i]);
}

static int print_string(const char *text, size_t len)
{
    char *plain = malloc(len);
    if (!plain)
        return 1;
    size_t plain_len = lx_json_unquote(plain, text, len);
    char *quoted = malloc(lx_json_quote_max(plain_len));
    if (!quoted) {
        free(plain);
        return 1;
    }
    size_t quoted_len = lx_json_quote(quoted, plain, plain_len);
    fputs("ok string", stdout);
    print_hex(plain, plain_len);
    print_hex(quoted, quoted_len);
    free(quoted);
    free(plain);
    return 0;
}

static void print_number(const char *text, size_t len)
{
    int64_t whole;
    double number;
    char printed[LX_JSON_NUMBER_MAX];
    size_t printed_len;

    fputs("ok number ", stdout);
    if (lx_json_to_int(text, len, &whole))
        printf("%" PRId64, whole);
    else
        putchar('-');
    if (lx_json_to_double(text, len, &number) && lx_json_from_double(printed, &printed_len, number))
        printf(" %a %.*s", number, (int)printed_len, printed);
    else
        fputs(" - -", stdout);
}

static int judge(const char *text, size_t len)
{
    size_t at;
    const char *why;
    int result = 0;

    if (!lx_json_check(text, len, &at, &why))
        printf("no %zu %s", at, why);
    else if (lx_json_type_of(text, len) == LX_JSON_STRING)
        result = print_string(text, len);
    else if (lx_json_type_of(text, len) == LX_JSON_NUMBER)
        print_number(text, len);
    else
        fputs("ok", stdout);
    putchar('\n');
    return result;
}

int main(void)
{
    uint8_t head[4];

    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        size_t len = lx_get32(head);
        char *text = malloc(len + !len); /* no longer than the text: overruns show */
        if (!text || fread(text, 1, len, stdin) != len || judge(text, len) != 0) {
            free(text);
            return 1;
        }
        free(text);
    }
    return ferror(stdin) ? 1 : 0;
}
