/* SPDX-License-Identifier: MIT */
/*
 * The checker must reject the bad histories of examples.txt and accept the good ones, and must say
 * of small random histories what a search without any cleverness says. This comes before any
 * history of the library is believed.
 */
#include "tests/linear/examples.h"

#include "tests/concurrency/harness.h"
#include "tests/linear/check.h"
#include "tests/linear/plain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BAD 40u
#define GOOD_LEAST 15u
#define RANDOM_HISTORIES 15000u

/* ---- Made by hand ---------------------------------------------------------------------------- */

static FILE *examples_open(void)
{
    char path[4096];
    const char *top = getenv("top_srcdir");
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/tests/linear/examples.txt", top != NULL ? top : "..");
    file = fopen(path, "r");
    CHECK(file != NULL, "cannot open %s: set top_srcdir to the top of the sources", path);
    return file;
}

/* The next one; false at the end. `name` begins with "bad " or "good ". */
static bool examples_next(FILE *file, char name[128], struct history *ret_history)
{
    const char *fault;

    do {
        if (fgets(name, 128, file) == NULL)
            return false;
    } while (strncmp(name, "bad ", 4) != 0 && strncmp(name, "good ", 5) != 0);
    name[strcspn(name, "\n")] = '\0';
    CHECK(history_read(file, ret_history, &fault), "examples.txt, %s: %s", name, fault);
    CHECK(ret_history->n > 0, "examples.txt, %s is empty", name);
    return true;
}

static void report_wrong_verdict(const char *name, const struct history *history,
                                 enum verdict verdict)
{
    fprintf(stderr, "\n%s is %s:\n", name, verdict_name(verdict));
    history_print(stderr, history);
    if (verdict == VERDICT_ILLEGAL)
        check_explain(history, stderr);
}

/* Both checkers, where the slow one can. */
static bool verdict_is(const char *name, const struct history *history, enum verdict wanted)
{
    enum verdict verdict = check_scope(history, scope_whole(history), NULL);

    if (verdict == wanted && wanted == VERDICT_LEGAL)
        verdict = check_history(history, NULL); /* then each key is legal, too */
    if (verdict != wanted) {
        report_wrong_verdict(name, history, verdict);
        return false;
    }
    CHECK(history->n > PLAIN_OPERATIONS || plain_is_legal(history) == (wanted == VERDICT_LEGAL),
          "%s: the plain search disagrees", name);
    return true;
}

static unsigned examples_check(const char *kind, enum verdict wanted, unsigned *ret_all)
{
    FILE *file = examples_open();
    struct history history;
    unsigned right = 0;
    char name[128];

    *ret_all = 0;
    while (examples_next(file, name, &history)) {
        if (strncmp(name, kind, strlen(kind)) == 0) {
            ++*ret_all;
            right += verdict_is(name, &history, wanted);
        }
        history_free(&history);
    }
    (void)fclose(file);
    return right;
}

void checker_rejects_every_bad_history(void)
{
    unsigned all, rejected = examples_check("bad ", VERDICT_ILLEGAL, &all);

    printf("%u of %u bad histories rejected\n", rejected, all);
    CHECK(rejected == all && all == BAD, "%u of %u, of %u that there should be", rejected, all,
          BAD);
}

void checker_accepts_every_good_history(void)
{
    unsigned all, accepted = examples_check("good ", VERDICT_LEGAL, &all);

    printf("%u of %u good histories accepted\n", accepted, all);
    CHECK(accepted == all && all >= GOOD_LEAST, "%u of %u", accepted, all);
}

void notation_printed_reads_back(void)
{
    FILE *file = examples_open(), *copy;
    char name[128], *text, *again;
    struct history history, read;
    size_t text_len, again_len;
    const char *fault;

    while (examples_next(file, name, &history)) {
        copy = open_memstream(&text, &text_len);
        CHECK(copy != NULL, "no memory");
        history_print(copy, &history);
        (void)fclose(copy);
        copy = fmemopen(text, text_len, "r");
        CHECK(copy != NULL && history_read(copy, &read, &fault), "%s:\n%s", name, text);
        (void)fclose(copy);
        copy = open_memstream(&again, &again_len);
        CHECK(copy != NULL, "no memory");
        history_print(copy, &read);
        (void)fclose(copy);
        CHECK(strcmp(text, again) == 0, "%s: printed\n%sand, read back,\n%s", name, text, again);
        history_free(&history);
        history_free(&read);
        free(text);
        free(again);
    }
    (void)fclose(file);
}

/* ---- Random ---------------------------------------------------------------------------------- */

static void compare_with_plain(const struct history *history, bool spoilt)
{
    enum verdict verdict = check_history(history, NULL);
    bool legal = plain_is_legal(history);

    if ((verdict == VERDICT_LEGAL) != legal || verdict == VERDICT_UNKNOWN) {
        report_wrong_verdict("random history", history, verdict);
        CHECK(false, "the plain search calls it %s", legal ? "legal" : "illegal");
    }
    CHECK(spoilt || legal, "the machine made a history that is not legal");
    harness_count(legal ? "random histories both call legal" : "random histories both call illegal",
                  1);
}

void checker_agrees_with_plain_search(void)
{
    harness_rng rng = harness_rng_make(1);
    struct history history;

    for (unsigned i = 0; i < RANDOM_HISTORIES; i++) {
        plain_make(&rng, &history);
        compare_with_plain(&history, false);
        plain_spoil(&rng, &history);
        compare_with_plain(&history, true);
        history_free(&history);
    }
    harness_count_least("random histories both call legal", RANDOM_HISTORIES);
    harness_count_least("random histories both call illegal", RANDOM_HISTORIES / 5);
}
