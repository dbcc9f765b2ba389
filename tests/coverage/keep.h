/* SPDX-License-Identifier: MIT */
/*
 * What a process has run is counted when it exits. One that is killed, or that ends by _exit(),
 * calls this before, so that in a build with --enable-coverage its last moments count too.
 */
#ifndef LXDB_TESTS_COVERAGE_KEEP_H
#define LXDB_TESTS_COVERAGE_KEEP_H

#ifdef LX_COVERAGE
void __gcov_dump(void);
void __gcov_reset(void);

static inline void coverage_keep(void)
{
    __gcov_dump();
    __gcov_reset(); /* nothing twice, should it go on */
}
#else
static inline void coverage_keep(void)
{
}
#endif

#endif
