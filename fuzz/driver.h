/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target is, and what it may use. A target is one C file, fuzz/NAME.c, that defines
 *
 *   fuzz_name    NAME: its inputs are in fuzz/corpus/NAME and fuzz/regressions/NAME
 *   fuzz_one     what is done with an input
 *   fuzz_start   what is done once, before the first input; need not be there
 *   fuzz_end     and after the last one, when inputs are replayed; likewise
 *
 * and is linked twice: with driver_afl.c, compiled by afl-clang-fast, and with driver_replay.c, by
 * the ordinary compiler. Nothing else differs between the two.
 *
 * INV-1  fuzz_one() does the same for the same bytes, whatever came before: no clock, no random
 *        number, no address decides anything, and nothing is left behind.
 * INV-2  What contradicts a promise ends in fuzz_fail(), a death that the fuzzer takes for a crash.
 */
#ifndef LXDB_FUZZ_DRIVER_H
#define LXDB_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>

extern const char fuzz_name[];
void fuzz_start(void);
void fuzz_end(void);
/* `data` is a block of exactly `len` bytes (one if `len` is 0), which the target may change.
 * Returns 0; or 1 for an input that it could do nothing with, such as a script without a step. */
int fuzz_one(uint8_t *data, size_t len);

/* ---- for targets (fuzz/driver_*.c and fuzz/common.c have them) ------------------------------- */

/* Say what is wrong, and abort. */
_Noreturn void fuzz_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* FUZZ_CHECK(condition, format, ...): the condition holds, or what is said is wrong. */
#define FUZZ_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(__FILE__, __LINE__, __VA_ARGS__);                                            \
    } while (0)

/* Count something that the corpus has to reach (fuzz/reach.txt). `what` is a literal. The replay
 * driver prints the counts; under the fuzzer they go nowhere. */
void fuzz_reached(const char *what);

/* ---- input bytes, taken from the front ------------------------------------------------------- */

struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

static inline struct fuzz_input fuzz_input(const uint8_t *data, size_t len)
{
    return (struct fuzz_input){data, len};
}

/* The next byte; 0 when there are none left. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

/* The next two bytes, the higher one first. */
static inline uint16_t fuzz_short(struct fuzz_input *input)
{
    uint16_t high = fuzz_byte(input);

    return (uint16_t)(high << 8 | fuzz_byte(input));
}

#endif
