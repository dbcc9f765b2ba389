/* SPDX-License-Identifier: MIT */
/* Tests of the checker itself: cases for harness_main(). */
#ifndef LXDB_TESTS_LINEAR_EXAMPLES_H
#define LXDB_TESTS_LINEAR_EXAMPLES_H

void checker_rejects_every_bad_history(void);
void checker_accepts_every_good_history(void);
void checker_agrees_with_plain_search(void);
void notation_printed_reads_back(void);

#endif
