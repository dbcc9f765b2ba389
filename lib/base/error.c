/* SPDX-License-Identifier: MIT */
/*
 * The last failure of each thread: one int and one short text in static thread-local storage. The
 * initial-exec model makes lx_answer() a plain store, on the path of every lookup that misses; it
 * also draws on the few hundred bytes that the C library keeps free for libraries loaded with
 * dlopen(), so the text is small and a long sentence is shortened.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    KEPT_SIZE = 384,   /* of the text kept for a thread */
    WHOLE_SIZE = 4608, /* of a sentence before it is shortened: a path of PATH_MAX and words */
    ERRNO_SIZE = 128   /* of the text of an errno in it */
};

/* Beside the codes, which are zero or less: the text is what happened last. */
enum { SENTENCE_KEPT = 1 };

static _Thread_local struct {
    int code; /* SENTENCE_KEPT, or the last answer; 0 before anything failed */
    char text[KEPT_SIZE];
} last __attribute__((tls_model("initial-exec")));

_Static_assert(sizeof last <= 400, "static thread-local storage is scarce");

static const char *const code_texts[] = {
    [-LXDB_OK] = "success",
    [-LXDB_NOTFOUND] = "not found",
    [-LXDB_EXISTS] = "exists already",
    [-LXDB_INVALID] = "invalid argument",
    [-LXDB_TOOBIG] = "too big",
    [-LXDB_BUSY] = "busy until the deadline",
    [-LXDB_CONFLICT] = "another value than expected",
    [-LXDB_TYPE] = "a value of another type",
    [-LXDB_JSON] = "not JSON",
    [-LXDB_NOTDB] = "not a database",
    [-LXDB_VERSION] = "unsupported version",
    [-LXDB_CORRUPT] = "stored data is damaged",
    [-LXDB_IO] = "input/output error",
    [-LXDB_NOSPACE] = "no space left",
    [-LXDB_NOMEM] = "out of memory",
    [-LXDB_READONLY] = "read-only",
    [-LXDB_UNSUPPORTED] = "unsupported file or file system",
    [-LXDB_GAP] = "the cursor lies before the start of the log",
    [-LXDB_PENDING] = "committed, not yet known to be on the disk",
    [-LXDB_CLOSED] = "the handle is not attached any more",
};

const char *lx_code_text(int code)
{
    const int count = (int)(sizeof code_texts / sizeof *code_texts);

    if (code > 0 || code <= -count)
        return "unknown result code";
    return code_texts[-code];
}

/* ---- Shortening ------------------------------------------------------------------------------ */

/* A byte in the middle of a UTF-8 character, which has at most three of them. */
static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* The start of the character that `at` lies in. Where the bytes are not UTF-8, `at`. */
static size_t character_start(const char *text, size_t at)
{
    for (size_t back = 0; back <= 3 && back <= at; back++)
        if (!is_continuation(text[at - back]))
            return at - back;
    return at;
}

/* The first start of a character at or after `at`; text[] is NUL-terminated. Else `at`. */
static size_t character_next(const char *text, size_t at)
{
    for (size_t ahead = 0; ahead <= 3; ahead++)
        if (!is_continuation(text[at + ahead]))
            return at + ahead;
    return at;
}

/* The length of what vsnprintf() left of a text that did not fit, without half a character at the
 * end: the last character goes, since nothing tells whether it was whole. */
static size_t cut_length(const char *text, size_t size)
{
    return size < 2 ? 0 : character_start(text, size - 2);
}

/* Keep a sentence. Its end says what went wrong and its start with what, so the middle goes. */
static void keep(const char *text, size_t len)
{
    static const char gap[] = " ... ";

    if (len < KEPT_SIZE) {
        memcpy(last.text, text, len + 1);
    } else {
        size_t head = character_start(text, KEPT_SIZE / 3);
        size_t room = KEPT_SIZE - head - sizeof gap;
        size_t tail = character_next(text, len - room);

        memcpy(last.text, text, head);
        memcpy(last.text + head, gap, sizeof gap - 1);
        memcpy(last.text + head + sizeof gap - 1, text + tail, len - tail + 1);
    }
    last.code = SENTENCE_KEPT;
}

/* Format into buf[size], which is NUL-terminated then. Returns the length. */
__attribute__((format(printf, 3, 0))) static size_t print(char *buf, size_t size,
                                                          const char *format, va_list args)
{
    int len = vsnprintf(buf, size, format, args);
    size_t used;

    if (len < 0) /* an encoding error: the words of the code must do */
        used = 0;
    else if ((size_t)len < size)
        return (size_t)len;
    else
        used = cut_length(buf, size);
    buf[used] = '\0';
    return used;
}

/* ---- Failures -------------------------------------------------------------------------------- */

int lx_fail(int code, const char *format, ...)
{
    int saved_errno = errno;
    char whole[WHOLE_SIZE]; /* not last.text: an argument may point into it */
    va_list args;
    size_t len;

    va_start(args, format);
    len = print(whole, sizeof whole, format, args);
    va_end(args);

    if (len > 0)
        keep(whole, len);
    else
        lx_answer(code);
    errno = saved_errno;
    return code;
}

/* strerror_r() has two forms, and which one a C library declares is its own choice. */
__attribute__((unused)) static const char *text_of_gnu(const char *text, const char *buf)
{
    (void)buf;
    return text;
}

__attribute__((unused)) static const char *text_of_posix(int failed, const char *buf)
{
    return failed ? "unknown error" : buf;
}

static const char *errno_text(int err, char buf[ERRNO_SIZE])
{
    return _Generic(strerror_r(err, buf, ERRNO_SIZE), char * : text_of_gnu, int : text_of_posix)(
        strerror_r(err, buf, ERRNO_SIZE), buf);
}

static int errno_code(int err)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return LXDB_NOSPACE;
    case ENOMEM:
        return LXDB_NOMEM;
    case EROFS:
    case EACCES:
    case EPERM:
        return LXDB_READONLY;
    default:
        return LXDB_IO;
    }
}

int lx_fail_errno(int err, const char *format, ...)
{
    int saved_errno = errno;
    char whole[WHOLE_SIZE];
    char buf[ERRNO_SIZE];
    va_list args;
    size_t len;
    int more;

    va_start(args, format);
    len = print(whole, sizeof whole - ERRNO_SIZE, format, args);
    va_end(args);

    more = snprintf(whole + len, ERRNO_SIZE, ": %s", errno_text(err, buf));
    if (more >= ERRNO_SIZE)
        len += cut_length(whole + len, ERRNO_SIZE);
    else if (more > 0)
        len += (size_t)more;
    whole[len] = '\0';

    keep(whole, len);
    errno = saved_errno;
    return errno_code(err);
}

int lx_answer(int code)
{
    last.code = code;
    return code;
}

const char *lx_error_message(void)
{
    if (last.code == SENTENCE_KEPT)
        return last.text;
    return last.code == LXDB_OK ? "" : lx_code_text(last.code);
}
