/* SPDX-License-Identifier: MIT */
/* See common.h. */
#include "tests/demo/common.h"

#include <inttypes.h>
#include <lxdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SENTENCE_MAX 1024
#define TEXTS 8
#define TEXT_MAX 64

noreturn void demo_fail(const char *format, ...)
{
    char sentence[SENTENCE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "demo: %s\n", sentence);
    exit(1);
}

noreturn void demo_fail_call(const char *what, int rc)
{
    demo_fail("%s: %s (%s)", what, lxdb_strerror(rc), lxdb_errmsg(NULL));
}

void demo_require(int rc, const char *what)
{
    if (rc != LXDB_OK)
        demo_fail_call(what, rc);
}

void *demo_alloc(size_t n, size_t size)
{
    void *memory = calloc(n != 0 ? n : 1, size);

    if (memory == NULL)
        demo_fail("out of memory");
    return memory;
}

uint64_t demo_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t demo_random(uint64_t *stream)
{
    uint64_t x = *stream += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static char *next_text(void)
{
    static char texts[TEXTS][TEXT_MAX];
    static unsigned next;

    return texts[next++ % TEXTS];
}

const char *demo_grouped(uint64_t n)
{
    char digits[24];
    char *text = next_text();
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t to = 0;

    for (size_t i = 0; i < len; i++) {
        if (i != 0 && (len - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = '\0';
    return text;
}

const char *demo_counted(uint64_t n, const char *noun)
{
    const char *number = demo_grouped(n);
    char *text = next_text();

    snprintf(text, TEXT_MAX, "%s %s%s", number, noun, n == 1 ? "" : "s");
    return text;
}
