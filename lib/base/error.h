/* SPDX-License-Identifier: MIT */
/*
 * The calling thread's last failure. A failing function says what happened where it knows most,
 * with lx_fail(), and its callers pass the code on. Results that are answers rather than failures
 * (LXDB_NOTFOUND, LXDB_EXISTS on a hot path) use lx_answer(), which formats nothing.
 *
 * Nothing here allocates, takes a lock or changes errno. A sentence is UTF-8 if its parts are; one
 * that is too long (it names a long path) loses its middle and keeps both ends.
 */
#ifndef LX_BASE_ERROR_H
#define LX_BASE_ERROR_H

#include "lxdb.h"

/* Keep the sentence, return `code`. The sentence kept so far may be one of the arguments. */
int lx_fail(int code, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* The same for a failed system call: the sentence gets ": " and the text of `err`; the code is the
 * one that `err` means (ENOSPC, EDQUOT, EFBIG: LXDB_NOSPACE; ENOMEM: LXDB_NOMEM; EROFS, EACCES,
 * EPERM: LXDB_READONLY; anything else: LXDB_IO). */
int lx_fail_errno(int err, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* Keep only the code, in one store; lx_error_message() then gives the words of lx_code_text(). */
int lx_answer(int code);

/* The last sentence of this thread, "" before the first. Good until the next one. */
const char *lx_error_message(void);

/* A few words for a code, also for one that does not exist. Static storage. */
const char *lx_code_text(int code);

#endif
