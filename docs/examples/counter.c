/* SPDX-License-Identifier: MIT */
/*
 * Several processes add to one counter at the same time, and no addition is lost. Each process
 * opens the database itself: one that is killed takes nothing with it that it had been told was
 * done.
 *
 * Build:   cc -o counter counter.c $(pkg-config --cflags --libs lxdb)
 * Prints:
 *     4 processes added 1000 each
 *     the counter stands at 4000
 */
#include <lxdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH "counter.lxdb"
#define PROCESSES 4
#define ADDITIONS 1000

static const char key[] = "additions";

/* What lxdb_errmsg() says is made for people: with the path, and who holds the lock. */
static void check(int rc)
{
    if (rc != LXDB_OK) {
        fprintf(stderr, "counter: %s\n", lxdb_errmsg(NULL));
        exit(1);
    }
}

static void add(void)
{
    lxdb *db;

    check(lxdb_open(PATH, NULL, &db));
    for (int i = 0; i < ADDITIONS; i++)
        check(lxdb_incr(db, key, strlen(key), 1, NULL));
    check(lxdb_close(db));
}

int main(void)
{
    lxdb *db;
    int64_t sum;
    int status;

    check(lxdb_open(PATH, NULL, &db));
    check(lxdb_set_int(db, key, strlen(key), 0));
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            perror("counter: fork");
            return 1;
        }
        if (pid == 0) {
            add();
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        if (wait(&status) < 0 || status != 0) {
            fprintf(stderr, "counter: a process failed\n");
            return 1;
        }
    }
    check(lxdb_get_int(db, key, strlen(key), &sum));
    check(lxdb_close(db));
    printf("%d processes added %d each\n", PROCESSES, ADDITIONS);
    printf("the counter stands at %lld\n", (long long)sum);
    return 0;
}
