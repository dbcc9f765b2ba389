/* SPDX-License-Identifier: MIT */
/*
 * The first program: counts how often it was run, also when many copies of it run at once.
 *
 * Build:   cc -o first first.c $(pkg-config --cflags --libs lxdb)
 * Prints, at its first run:
 *     visit 1
 */
#include <lxdb.h>
#include <stdio.h>

int main(void)
{
    lxdb *db;
    int64_t visits;
    if (lxdb_open("memory.lxdb", NULL, &db) == LXDB_OK &&
        lxdb_incr(db, "visits", 6, 1, &visits) == LXDB_OK && lxdb_close(db) == LXDB_OK)
        return printf("visit %lld\n", (long long)visits) < 0;
    fprintf(stderr, "%s\n", lxdb_errmsg(NULL));
    return 1;
}
