/* SPDX-License-Identifier: MIT */
/*
 * What the tests of several processes stand on: forked workers, memory they share, a seeded source
 * of chance, values that describe themselves, and a supervisor that ends every test.
 *
 * A program is a tree of processes:
 *
 *     supervisor    runs no test code and so cannot hang: watches the deadline and the failure
 *                   record, ends what is left by pid, prints the counts, removes the directory
 *       director    runs the cases, one after the other; starts, stops and kills workers
 *         worker    what a case starts; may start workers of its own, which the supervisor inherits
 *                   when their parent dies first
 *
 * A check that fails, in any process or thread, writes one failure record into shared memory and
 * ends its process; the supervisor then prints it and ends the others. That is why the runner is
 * not cmocka: its assertions jump back into a test function, which a forked worker or a thread does
 * not have. Names and one-behaviour-each hold for the cases here as they do there.
 *
 * No case sleeps to let something happen. Waiting is a barrier, the end of a process, or a poll for
 * a condition that has to come (harness_until); what does not come within the deadline of the phase
 * is reported with the stage and progress of every process.
 *
 * Environment (read by these programs, never by the library):
 *   LXDB_TEST_SEED      the seed printed by an earlier run
 *   LXDB_TEST_SCALE     multiplies the rounds (default 1)
 *   LXDB_TEST_SECONDS   how long each case that asks harness_goes_on() lasts, in place of rounds
 *   LXDB_TEST_DEADLINE  seconds a phase may take (default 300, times the scale)
 *   LXDB_TEST_KEEP      when set, files of a failed run stay
 *   LXDB_TEST_HOLD      when set, a hung run is left as it is for a debugger
 * Arguments: parts of case names; a case runs if one of them occurs in its name. None: all run.
 */
#ifndef LXDB_TESTS_HARNESS_H
#define LXDB_TESTS_HARNESS_H

#include "lxdb.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Cases ----------------------------------------------------------------------------------- */

typedef struct harness_case {
    const char *name;
    void (*run)(void);
} harness_case;

/* clang-format off */
#define HARNESS_CASE(function) {#function, function}
/* clang-format on */

/* Run the cases; the result is the exit status: 0, 1, or 77 if every case was skipped. */
int harness_main(int argc, char **argv, const harness_case *cases, size_t n);

/* From a director: say why this case cannot run here. The case then returns. */
void harness_skip(const char *why);

/* `rounds` times LXDB_TEST_SCALE. */
unsigned harness_rounds(unsigned rounds);
/* Whether another round is to follow: as long as LXDB_TEST_SECONDS says, else harness_rounds(). */
bool harness_goes_on(unsigned round, unsigned rounds);

/* A new phase: names it in reports and restarts the deadline. */
void harness_phase(const char *name);

/* ---- Checks: any process, any thread --------------------------------------------------------- */

/* Record the failure, if it is the first, and end this process. */
_Noreturn void harness_fail(const char *file, int line, const char *condition, const char *format,
                            ...) __attribute__((format(printf, 4, 5)));

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            harness_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                             \
    } while (0)

/* A call into the library must give `want`; the report has lxdb_errmsg(db), and db may be NULL. */
#define CHECK_RC(db, want, call) harness_check_rc(__FILE__, __LINE__, #call, (call), (want), (db))
#define CHECK_OK(db, call) CHECK_RC(db, LXDB_OK, call)

void harness_check_rc(const char *file, int line, const char *call, int rc, int want,
                      const lxdb *db);

/* ---- Counts ---------------------------------------------------------------------------------- */

/* Add to a count that is printed at the end; `name` is a string literal. Any process or thread. */
void harness_count(const char *name, uint64_t n);
/* When all cases ran, a count below `least` is a failure: doing nothing proves nothing. */
void harness_count_least(const char *name, uint64_t least);
/* Keep the greatest `value` seen instead of a sum. */
void harness_count_max(const char *name, uint64_t value);

/* ---- Shared memory --------------------------------------------------------------------------- */

/* Zeroed memory that all workers started later share with the caller, until the program ends. */
void *harness_shared(size_t size);

typedef struct harness_barrier harness_barrier;
harness_barrier *harness_barrier_new(unsigned n);
/* Wait until `n` processes or threads have come here; then it can be used again. */
void harness_barrier_wait(harness_barrier *barrier);

/* ---- Workers --------------------------------------------------------------------------------- */

typedef void (*harness_work)(void *arg);

/*
 * Fork a worker that runs work(arg) and exits. Gives its number, which is reused once the worker
 * was waited for or killed. May be called by workers, also by those with threads.
 */
int harness_start(const char *role, harness_work work, void *arg);
/* The pid, in the namespace of whoever started it. */
int harness_pid(int worker);
/* Wait for its end, and fail unless it was an orderly one. */
void harness_wait(int worker);
/* SIGKILL and reap. Only by the process that started it. */
void harness_kill(int worker);
/* SIGKILL without reaping: for workers whose parent is another process, which has to reap them.
 * Once it did, give the number back. */
void harness_kill_remote(int worker);
void harness_forget(int worker);
/* Stop a process and return when the kernel has stopped all of it; let it go on. */
void harness_stop(int worker);
void harness_continue(int worker);

/* In a worker: what it is doing (a string literal), and that it did one more thing. */
void harness_stage(const char *stage);
void harness_progress(void);
uint64_t harness_progress_of(int worker);
/* Return once the worker has made `more` steps from now on; for workers that go on stepping. */
void harness_await_progress(int worker, uint64_t more);
/* Return once it has made `steps` since its start. */
void harness_await_steps(int worker, uint64_t steps);
/* From a director: wait for `n` workers that go through rounds side by side. Each counts its own in
 * rounds[i], and stores HARNESS_DONE there at its end. A deadline is for a few rounds of all. */
#define HARNESS_DONE UINT64_MAX
void harness_await_rounds(_Atomic uint64_t *rounds, size_t n);
/* Poll until condition(arg) holds. */
void harness_until(const char *what, bool (*condition)(void *arg), void *arg);
/* As harness_until, for a word that has to become at least `least`. */
void harness_until_least(const char *what, _Atomic uint64_t *word, uint64_t least);

/* ---- Chance ---------------------------------------------------------------------------------- */

typedef struct harness_rng {
    uint64_t state;
} harness_rng;

/* Of the run: for names of what it leaves behind. */
uint64_t harness_seed(void);
/* A stream of its own for each (seed of the run, stream). */
harness_rng harness_rng_make(uint64_t stream);
uint64_t harness_random(harness_rng *rng);
/* 0 .. n-1 */
uint64_t harness_below(harness_rng *rng, uint64_t n);
/* Pass a short, random time without sleeping: at most `most_ns`. */
void harness_dawdle(harness_rng *rng, uint64_t most_ns);
uint64_t harness_now_ms(void);

/* ---- Files and databases --------------------------------------------------------------------- */

/* Of this run; removed with all files in it at the end. */
const char *harness_directory(void);
/* A path in the directory of this run that was never used before; lives as long as the program. */
const char *harness_path(const char *name);
/* Open, or fail; `options` may be NULL and its `size` is set here. */
lxdb *harness_open(const char *path, lxdb_options options);
/* The last close of a database must leave it clean: watermark 0, verify without a complaint. */
void harness_check_closed(const char *path, uint64_t records);

/* Remove a database that nobody has open, with every file beside it. */
void harness_remove(const char *path);

/* A whole file. Missing: *ret_bytes NULL, false. Free with free(). */
bool harness_file_read(const char *path, void **ret_bytes, size_t *ret_len);
/* Replace the contents in place (same inode) or create. */
void harness_file_write(const char *path, const void *bytes, size_t len);
bool harness_file_exists(const char *path);

/* ---- Values that describe themselves --------------------------------------------------------- */

#define HARNESS_VALUE_MIN 32u

/* Fill `len` >= HARNESS_VALUE_MIN bytes: what key, version and length they are of, a checksum. */
void harness_value_fill(void *buf, size_t len, const void *key, size_t key_len, uint64_t version);
/* The version; fails unless every byte is as harness_value_fill() made it for this key. */
uint64_t harness_value_check(const void *value, size_t len, const void *key, size_t key_len);
/* Read a key: its version, 0 if it is not there. Fails on any other result. */
uint64_t harness_value_read(lxdb *db, const void *key, size_t key_len);
/* Write a key with a value of `len` bytes; the result is the library's. */
int harness_value_write(lxdb *db, const void *key, size_t key_len, uint64_t version, size_t len);

#endif
