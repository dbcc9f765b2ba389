/* SPDX-License-Identifier: MIT */
/* The clock, the random orders and the scratch directory of the bench programs. */
#include "bench/common.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void bench_fail(int status, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("bench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

uint64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void *bench_alloc(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        bench_fail(BENCH_BROKEN, "no memory for %zu times %zu bytes", count, size);
    return memory;
}

char *bench_text(const char *format, ...)
{
    va_list args;
    char *text;
    int length;

    va_start(args, format);
    length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        bench_fail(BENCH_BROKEN, "no memory for a string");
    return text;
}

void bench_shuffle(uint32_t *order, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(bench_mix(seed + i) % i);
        uint32_t swap = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swap;
    }
}

size_t bench_parse_count(const char *option, const char *text, size_t max)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno == 0 && (*end == 'k' || *end == 'm')) {
        unsigned long long unit = *end++ == 'k' ? 1000 : 1000000;

        number = number > max / unit ? (unsigned long long)max + 1 : number * unit;
    }
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < 1 || number > max)
        bench_fail(BENCH_USAGE, "%s takes a number from 1 to %zu, not \"%s\"", option, max, text);
    return (size_t)number;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static int remove_content(const char *path, const struct stat *status, int type, struct FTW *where)
{
    return where->level > 0 ? remove_entry(path, status, type, where) : 0;
}

void bench_empty(const char *dir)
{
    if (nftw(dir, remove_content, 16, FTW_DEPTH | FTW_PHYS) != 0)
        bench_fail(BENCH_BROKEN, "cannot empty %s: %s", dir, strerror(errno));
}

static void remove_tree(const char *dir)
{
    if (nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "bench: cannot remove %s: %s\n", dir, strerror(errno));
}

/* Wait for the child, or for a signal that ends the program. Sets *ret_status as waitpid() does and
 * returns 0, or returns the signal, with the child killed and reaped. */
static int wait_for_child(pid_t child, const sigset_t *watched, int *ret_status)
{
    for (;;) {
        int signal_number = sigwaitinfo(watched, NULL);

        if (signal_number == SIGCHLD) {
            if (waitpid(child, ret_status, WNOHANG) == child)
                return 0;
        } else if (signal_number > 0) {
            kill(child, SIGKILL);
            waitpid(child, ret_status, 0);
            return signal_number;
        }
    }
}

/* End this process by the signal itself, as whoever started it expects. */
static noreturn void die_by(int signal_number, const sigset_t *mask)
{
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    sigprocmask(SIG_SETMASK, mask, NULL);
    _exit(128 + signal_number);
}

int bench_run_in_scratch(const char *parent, int (*run)(const char *dir, void *arg), void *arg)
{
    const char *fallback = getenv("TMPDIR");
    sigset_t watched, before;
    char *dir;
    int status = 0;
    int ended_by;
    pid_t child;

    if (parent == NULL)
        parent = fallback != NULL && fallback[0] != '\0' ? fallback : "/tmp";
    dir = bench_text("%s/lxdb-bench.XXXXXX", parent);

    /* Blocked before the directory exists, so that no signal can come between. */
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGHUP);
    sigaddset(&watched, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &watched, &before);
    /* The child's own children become ours when it is killed: they may still write to `dir`. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);

    if (mkdtemp(dir) == NULL)
        bench_fail(BENCH_BROKEN, "cannot make a directory under %s: %s", parent, strerror(errno));
    fflush(NULL);
    child = fork();
    if (child == 0) {
        bench_follow_parent();
        sigprocmask(SIG_SETMASK, &before, NULL);
        exit(run(dir, arg));
    }
    ended_by = child < 0 ? 0 : wait_for_child(child, &watched, &status);
    while (wait(NULL) > 0)
        ;
    remove_tree(dir);
    free(dir);

    if (child < 0)
        bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
    if (ended_by != 0)
        die_by(ended_by, &before);
    if (WIFSIGNALED(status))
        bench_fail(BENCH_BROKEN, "the measuring process died: %s", strsignal(WTERMSIG(status)));
    sigprocmask(SIG_SETMASK, &before, NULL);
    return WEXITSTATUS(status);
}

void bench_follow_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}
