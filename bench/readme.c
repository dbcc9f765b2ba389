/* SPDX-License-Identifier: MIT */
/*
 * bench/readme: the rows of the table of lxcore 0.1.0, over lxdb and over a Python store of the
 * same design (bench/pystore.py), in one run on one machine; and the floor under each row.
 *
 * A row lasts a millisecond or so. It is repeated, each time prepared before and verified behind
 * the clock, into sections of at least MIN_SECONDS on the clock. Sections of all rows and stores
 * are made REPETITIONS times, in random order, so that what slows the machine down for a while
 * slows all of them down. A check that fails makes the row an error in the report. bench/readme.py
 * makes tables of the report.
 */
#include "bench/common.h"
#include "bench/gbench.h"
#include "bench/rows.h"

#include <errno.h>
#include <lxdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS 10000
#define REPETITIONS 9
/* The number of passes is fixed after the first section, and the others may be quicker: twice what
 * is wanted. */
#define MIN_SECONDS 0.1

/* ---- The Python store: a process that runs rows when told so --------------------------------- */

struct python {
    FILE *to, *from;
    pid_t pid;
};

struct program {
    const char *python; /* the interpreter */
    const char *store;  /* its script */
};

static void make_pipe(int ends[2])
{
    if (pipe(ends) != 0)
        bench_fail(BENCH_BROKEN, "cannot make a pipe: %s", strerror(errno));
}

static void python_start(struct python *python, const struct program *program, const char *dir)
{
    char *records = bench_text("%d", RECORDS);
    int to[2], from[2];

    make_pipe(to);
    make_pipe(from);
    python->pid = fork();
    if (python->pid < 0)
        bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
    if (python->pid == 0) {
        bench_follow_parent();
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        close(to[0]);
        close(to[1]);
        close(from[0]);
        close(from[1]);
        execlp(program->python, program->python, program->store, dir, records, (char *)NULL);
        bench_fail(BENCH_BROKEN, "cannot run %s: %s", program->python, strerror(errno));
    }
    free(records);
    close(to[0]);
    close(from[1]);
    python->to = fdopen(to[1], "w");
    python->from = fdopen(from[0], "r");
}

static void python_stop(struct python *python)
{
    int status;

    fclose(python->to);
    fclose(python->from);
    if (waitpid(python->pid, &status, 0) != python->pid || status != 0)
        bench_fail(BENCH_BROKEN, "the Python store ended badly");
}

/* Have a row run. Returns its seconds, and the check in words in `check`; or a negative number if
 * the check failed. */
static double python_run(struct python *python, const char *row, char *check, size_t cap)
{
    char line[256];
    char *tab, *end;
    double seconds;

    fprintf(python->to, "%s\n", row);
    fflush(python->to);
    if (fgets(line, sizeof line, python->from) == NULL)
        bench_fail(BENCH_BROKEN, "the Python store ended in row %s", row);
    line[strcspn(line, "\n")] = '\0';
    tab = strchr(line, '\t');
    if (tab == NULL)
        bench_fail(BENCH_BROKEN, "the Python store says \"%s\"", line);
    *tab = '\0';
    if (strcmp(line, "failed") == 0)
        return -1;
    seconds = strtod(line, &end);
    if (end == line || *end != '\0')
        bench_fail(BENCH_BROKEN, "the Python store says \"%s\"", line);
    snprintf(check, cap, "%s", tab + 1);
    return seconds;
}

/* ---- Sections -------------------------------------------------------------------------------- */

struct section {
    const struct row *row;
    const char *dir;       /* of lxdb, which every section begins empty */
    struct python *python; /* NULL: this section is not the Python store's */
    struct rows *rows;
    struct floor *floor;
};

static void set_up(gbench_state *state, void *user)
{
    struct section *section = user;

    (void)state;
    section->rows = rows_open(section->dir, RECORDS);
}

static void tear_down(gbench_state *state, void *user)
{
    struct section *section = user;

    (void)state;
    rows_close(section->rows);
}

static void run_lxdb(gbench_state *state, void *user)
{
    struct section *section = user;
    char *check = NULL;

    while (gbench_keep_running(state)) {
        free(check);
        rows_prepare(section->rows, section->row);
        gbench_set_iteration_time(state, rows_run(section->rows, section->row));
        check = rows_verify(section->rows, section->row);
        if (check == NULL)
            gbench_skip(state, "the check failed");
    }
    if (check != NULL)
        gbench_label(state, check);
    free(check);
}

static void set_up_floor(gbench_state *state, void *user)
{
    struct section *section = user;

    set_up(state, user);
    rows_prepare(section->rows, section->row);
    section->floor = floor_open(section->dir, rows_pairs(section->rows), RECORDS);
}

static void tear_down_floor(gbench_state *state, void *user)
{
    struct section *section = user;

    floor_close(section->floor);
    tear_down(state, user);
}

static void run_floor(gbench_state *state, void *user)
{
    const struct section *section = user;

    while (gbench_keep_running(state)) {
        gbench_set_iteration_time(state, floor_run(section->floor, section->row->floor));
        if (!floor_verify(section->floor, section->row->floor))
            gbench_skip(state, "the check failed");
    }
}

static void run_python(gbench_state *state, void *user)
{
    struct section *section = user;
    char check[256] = "";

    while (gbench_keep_running(state)) {
        double seconds = python_run(section->python, section->row->name, check, sizeof check);

        if (seconds < 0)
            gbench_skip(state, "the check failed");
        else
            gbench_set_iteration_time(state, seconds);
    }
    gbench_label(state, check);
}

static gbench *add(const struct section *section, const char *store, gbench_function *run)
{
    char *name = bench_text("%s/%s", section->row->name, store);
    struct section *kept = bench_alloc(1, sizeof *kept); /* as long as the program */
    gbench *bench;

    *kept = *section;
    bench = gbench_register(name, run, kept);
    gbench_use_manual_time(bench);
    gbench_time_unit(bench, GBENCH_MILLISECONDS);
    free(name);
    return bench;
}

/* The sections of one row over lxdb. */
static void add_lxdb(const struct row *row, const char *store, const char *dir)
{
    gbench *bench = add(&(struct section){.row = row, .dir = dir}, store, run_lxdb);

    gbench_setup(bench, set_up);
    gbench_teardown(bench, tear_down);
}

static void add_floor(const struct row *row, const char *dir)
{
    gbench *bench = add(&(struct section){.row = row, .dir = dir}, "floor", run_floor);

    gbench_setup(bench, set_up_floor);
    gbench_teardown(bench, tear_down_floor);
}

static char *make_dir(const char *parent, const char *name)
{
    char *dir = bench_text("%s/%s", parent, name);

    if (mkdir(dir, 0700) != 0)
        bench_fail(BENCH_BROKEN, "cannot make %s: %s", dir, strerror(errno));
    return dir;
}

static int run_all(const char *dir, void *arg)
{
    char *lxdb_dir = make_dir(dir, "lxdb");
    char *python_dir = make_dir(dir, "python");
    struct python python;
    size_t ran;

    python_start(&python, arg, python_dir);
    for (size_t i = 0; i < ROWS; i++) {
        add_lxdb(&row_table[i], "lxdb", lxdb_dir);
        add(&(struct section){.row = &row_table[i], .python = &python}, "python", run_python);
        add_floor(&row_table[i], lxdb_dir);
    }
    for (size_t i = 0; i < ROW_TREES; i++)
        add_lxdb(&row_trees[i], "trees", lxdb_dir);

    for (size_t i = 0; i < ROWS; i++) {
        char *key = bench_text("published %s", row_table[i].name);
        char *figure = bench_text("%g %s", row_table[i].published,
                                  row_table[i].unit == ROW_SECONDS ? "s" : "ops/s");

        gbench_context(key, figure);
        free(key);
        free(figure);
    }
    gbench_context("records", "10000");
    gbench_context("lxdb", lxdb_version());
    ran = gbench_run();
    python_stop(&python);
    free(lxdb_dir);
    free(python_dir);
    return ran > 0 ? 0 : BENCH_USAGE;
}

/* Our settings as options in front of the user's, which win. */
static bool take_options(int argc, char **argv)
{
    char **all = bench_alloc((size_t)argc + 5, sizeof *all);
    int n = 0;

    all[n++] = argv[0];
    all[n++] = bench_text("--benchmark_repetitions=%d", REPETITIONS);
    all[n++] = bench_text("--benchmark_min_time=%g", MIN_SECONDS);
    all[n++] = bench_text("--benchmark_enable_random_interleaving=true");
    all[n++] = bench_text("--benchmark_display_aggregates_only=true");
    for (int i = 3; i < argc; i++)
        all[n++] = argv[i];
    return gbench_init(&n, all); /* which keeps pointers into all */
}

int main(int argc, char **argv)
{
    struct program program;

    if (argc < 3 || argv[1][0] == '-') {
        fprintf(stderr, "usage: bench/readme PYTHON pystore.py [options of Google Benchmark]\n");
        return BENCH_USAGE;
    }
    program = (struct program){.python = argv[1], .store = argv[2]};
    if (!take_options(argc, argv))
        return BENCH_USAGE;
    return bench_run_in_scratch(NULL, run_all, &program);
}
