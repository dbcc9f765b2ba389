/* SPDX-License-Identifier: MIT */
/*
 * A target without AFL: runs the inputs that are named as arguments, files or folders of them; and
 * without arguments all of fuzz/corpus/NAME and fuzz/regressions/NAME, as a test of `make check`.
 * Without a single input it fails: a test that did nothing proves nothing.
 *
 * Prints what the inputs have reached (fuzz_reached()), and with the inputs of the repository holds
 * that against fuzz/reach.txt: lines `NAME LEAST WHAT`, where LEAST is how often, at least. The
 * driver itself counts `inputs` and `inputs that do nothing`.
 *
 * Environment: top_srcdir, where the repository is; FUZZ_SHOW, set: the name of each input is
 * printed before it runs.
 */
#include "fuzz/driver.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KINDS 64u
#define PATH_ROOM 4096u

static struct {
    const char *what;
    unsigned long long times;
} reached[KINDS];

static char current[PATH_ROOM];

void fuzz_reached(const char *what)
{
    unsigned i = 0;

    while (i < KINDS && reached[i].what != NULL && strcmp(reached[i].what, what) != 0)
        i++;
    FUZZ_CHECK(i < KINDS, "more than %u kinds of things to reach", KINDS);
    reached[i].what = what;
    reached[i].times++;
}

static _Noreturn void give_up(const char *path)
{
    fprintf(stderr, "%s: %s: %s\n", fuzz_name, path, strerror(errno));
    exit(1);
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    struct stat st;
    size_t len;

    if (file == NULL || fstat(fileno(file), &st) != 0)
        give_up(path);
    len = (size_t)st.st_size;
    data = malloc(len ? len : 1);
    if (data == NULL || fread(data, 1, len, file) != len)
        give_up(path);
    fclose(file);
    snprintf(current, sizeof current, "%s", path);
    if (getenv("FUZZ_SHOW") != NULL) {
        printf("%s\n", path);
        fflush(stdout);
    }
    fuzz_reached(fuzz_one(data, len) == 0 ? "inputs" : "inputs that do nothing");
    free(data);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void run_folder(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_input, alphasort);

    if (n < 0)
        give_up(path);
    for (int i = 0; i < n; i++) {
        char name[PATH_ROOM];

        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        run_file(name);
        free(entries[i]);
    }
    free(entries);
}

static void run(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        give_up(path);
    if (S_ISDIR(st.st_mode))
        run_folder(path);
    else
        run_file(path);
}

/* What of fuzz/reach.txt was not reached. */
static unsigned check_reached(const char *top)
{
    char path[PATH_ROOM], name[64], what[128];
    unsigned long long least;
    unsigned faults = 0, lines = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/fuzz/reach.txt", top);
    file = fopen(path, "r");
    if (file == NULL)
        give_up(path);
    while (fscanf(file, " %63s %llu %127[^\n]", name, &least, what) == 3) {
        unsigned long long times = 0;

        if (strcmp(name, fuzz_name) != 0)
            continue;
        lines++;
        for (unsigned i = 0; i < KINDS && reached[i].what != NULL; i++)
            if (strcmp(reached[i].what, what) == 0)
                times = reached[i].times;
        if (times < least) {
            fprintf(stderr, "%s: reached %llu times: %s; %llu are wanted\n", fuzz_name, times, what,
                    least);
            faults++;
        }
    }
    if (!feof(file) || lines == 0) {
        fprintf(stderr, "%s: no line of %s is understood, or none is of this target\n", fuzz_name,
                path);
        faults++;
    }
    fclose(file);
    return faults;
}

/* Under ASan nothing else says which input it was. */
static void say_input(void)
{
    if (current[0] != '\0')
        fprintf(stderr, "%s: the input is %s\n", fuzz_name, current);
}

#if defined __SANITIZE_ADDRESS__
void __sanitizer_set_death_callback(void (*callback)(void));
#define on_death(callback) __sanitizer_set_death_callback(callback)
#else
#include <signal.h>

static void on_signal(int number)
{
    say_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_death(void (*callback)(void))
{
    (void)callback;
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
}
#endif

int main(int argc, char **argv)
{
    const char *top = getenv("top_srcdir");
    unsigned faults = 0;

    if (top == NULL)
        top = ".";
    on_death(say_input);
    fuzz_start();
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    if (argc == 1) {
        static const char *const folders[] = {"corpus", "regressions"};
        char path[PATH_ROOM];
        struct stat st;

        for (unsigned i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "%s/fuzz/%s/%s", top, folders[i], fuzz_name);
            if (i == 0 || stat(path, &st) == 0) /* there need not be regressions */
                run_folder(path);
        }
    }
    current[0] = '\0';
    fuzz_end();
    for (unsigned i = 0; i < KINDS && reached[i].what != NULL; i++)
        printf("count: %s %llu\n", reached[i].what, reached[i].times);
    if (argc == 1)
        faults += check_reached(top);
    if (reached[0].what == NULL) {
        fprintf(stderr, "%s: there are no inputs\n", fuzz_name);
        faults++;
    }
    return faults == 0 ? 0 : 1;
}
