/* SPDX-License-Identifier: MIT */
/* Medians, tables of them, and their JSON. */
#include "bench/peers/results.h"

#include "bench/common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void sample_add(struct sample *sample, double value)
{
    if (sample->n == RESULTS_ROUNDS_MAX)
        bench_fail(BENCH_BROKEN, "more than %d rounds", RESULTS_ROUNDS_MAX);
    sample->value[sample->n++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The value at `position` (0 to 1) of the sorted sample, between two of them if need be. */
static double sorted_at(const struct sample *sample, double position)
{
    double sorted[RESULTS_ROUNDS_MAX];
    double at = position * (double)(sample->n - 1);
    size_t below = (size_t)at;
    size_t above = below + 1 < sample->n ? below + 1 : below;

    memcpy(sorted, sample->value, sample->n * sizeof sorted[0]);
    qsort(sorted, sample->n, sizeof sorted[0], compare);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - (double)below);
}

double sample_median(const struct sample *sample)
{
    return sorted_at(sample, 0.5);
}

double sample_min(const struct sample *sample)
{
    return sorted_at(sample, 0);
}

double sample_max(const struct sample *sample)
{
    return sorted_at(sample, 1);
}

/* ---- Adding and finding ---------------------------------------------------------------------- */

struct results *results_new(void)
{
    struct results *results = mmap(NULL, sizeof *results, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (results == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "no memory for the results: %s", strerror(errno));
    return results;
}

static struct cell *find_cell(const struct results *results, const char *workload, const char *row,
                              const char *engine)
{
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct cell *cell = &results->cell[i];

        if (strcmp(cell->workload, workload) == 0 && strcmp(cell->row, row) == 0 &&
            strcmp(cell->engine, engine) == 0)
            return (struct cell *)(uintptr_t)cell;
    }
    return NULL;
}

void results_add(struct results *results, const char *workload, const char *row, const char *engine,
                 const char *unit, double value)
{
    struct cell *cell = find_cell(results, workload, row, engine);

    if (cell == NULL) {
        if (results->n_cells == RESULTS_CELLS_MAX)
            bench_fail(BENCH_BROKEN, "more than %d results", RESULTS_CELLS_MAX);
        cell = &results->cell[results->n_cells++];
        snprintf(cell->workload, sizeof cell->workload, "%s", workload);
        snprintf(cell->row, sizeof cell->row, "%s", row);
        snprintf(cell->engine, sizeof cell->engine, "%s", engine);
        snprintf(cell->unit, sizeof cell->unit, "%s", unit);
    }
    sample_add(&cell->sample, value);
}

void results_add_curve(struct results *results, const char *workload, const char *row,
                       const char *engine, const struct histogram *histogram)
{
    struct curve *curve = NULL;

    for (size_t i = 0; i < results->n_curves && curve == NULL; i++)
        if (strcmp(results->curve[i].workload, workload) == 0 &&
            strcmp(results->curve[i].row, row) == 0 &&
            strcmp(results->curve[i].engine, engine) == 0)
            curve = &results->curve[i];
    if (curve == NULL) {
        if (results->n_curves == RESULTS_CURVES_MAX)
            bench_fail(BENCH_BROKEN, "more than %d curves", RESULTS_CURVES_MAX);
        curve = &results->curve[results->n_curves++];
        snprintf(curve->workload, sizeof curve->workload, "%s", workload);
        snprintf(curve->row, sizeof curve->row, "%s", row);
        snprintf(curve->engine, sizeof curve->engine, "%s", engine);
    }
    histogram_merge(&curve->histogram, histogram);
}

const struct sample *results_find(const struct results *results, const char *workload,
                                  const char *row, const char *engine)
{
    const struct cell *cell = find_cell(results, workload, row, engine);

    return cell != NULL ? &cell->sample : NULL;
}

/* ---- Tables ---------------------------------------------------------------------------------- */

#define COLUMNS 8
#define NAMES_MAX 200

/* The different rows or engines of a workload, in the order in which they came. */
struct names {
    const char *name[NAMES_MAX];
    const char *unit[NAMES_MAX];
    size_t n;
};

static void names_add(struct names *names, const char *name, const char *unit)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->name[i], name) == 0)
            return;
    if (names->n < NAMES_MAX) {
        names->name[names->n] = name;
        names->unit[names->n++] = unit;
    }
}

static double half_spread(const struct sample *sample)
{
    return 50 * (sample_max(sample) - sample_min(sample)) / sample_median(sample);
}

static void print_columns(const struct results *results, const char *workload,
                          const struct names *engines, const struct names *rows, size_t first,
                          size_t end)
{
    printf("\n  %-14s", "");
    for (size_t i = first; i < end; i++)
        printf(" %17s", rows->name[i]);
    printf("\n  %-14s", "");
    for (size_t i = first; i < end; i++)
        printf(" %17s", rows->unit[i]);
    putchar('\n');
    for (size_t j = 0; j < engines->n; j++) {
        printf("  %-14s", engines->name[j]);
        for (size_t i = first; i < end; i++) {
            const struct sample *sample = results_find(results, workload, rows->name[i],
                                                       engines->name[j]);
            double median = sample != NULL ? sample_median(sample) : 0;

            if (sample == NULL)
                printf(" %17s", "-");
            else
                printf(" %11.*f +-%2.0f%%", median < 100 ? 2 : 0, median,
                       median > 0 ? half_spread(sample) : 0);
        }
        putchar('\n');
    }
}

void results_print(const struct results *results, const char *workload)
{
    struct names engines = {.n = 0}, rows = {.n = 0};

    for (size_t i = 0; i < results->n_cells; i++) {
        const struct cell *cell = &results->cell[i];

        if (strcmp(cell->workload, workload) == 0) {
            names_add(&engines, cell->engine, "");
            names_add(&rows, cell->row, cell->unit);
        }
    }
    for (size_t first = 0; first < rows.n; first += COLUMNS)
        print_columns(results, workload, &engines, &rows, first,
                      first + COLUMNS < rows.n ? first + COLUMNS : rows.n);
    fflush(stdout);
}

bool target_is_met(const struct target *target)
{
    double median = sample_median(&target->measured);

    return target->aim == AT_MOST ? median <= target->wanted : median >= target->wanted;
}

void results_print_targets(const struct results *results)
{
    size_t met = 0;

    printf("\n%-58s %10s %12s %-20s %-19s %s\n", "target", "wanted", "median", "", "min..max",
           "met");
    for (size_t i = 0; i < results->n_targets; i++) {
        const struct target *target = &results->target[i];
        char range[48];

        snprintf(range, sizeof range, "%.3f..%.3f", sample_min(&target->measured),
                 sample_max(&target->measured));
        printf("%-58s %s %7g %12.3f %-20s %-19s %s\n", target->name,
               target->aim == AT_MOST ? "<=" : ">=", target->wanted,
               sample_median(&target->measured), target->unit, range,
               target_is_met(target) ? "yes" : "no");
        met += target_is_met(target);
    }
    printf("%zu of %zu met\n", met, results->n_targets);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_sample(const struct sample *sample, FILE *file)
{
    fprintf(file, "\"median\": %.9g, \"min\": %.9g, \"max\": %.9g, \"values\": [",
            sample_median(sample), sample_min(sample), sample_max(sample));
    for (size_t i = 0; i < sample->n; i++)
        fprintf(file, "%s%.9g", i > 0 ? ", " : "", sample->value[i]);
    fputc(']', file);
}

/* The numbers that shares of all do not exceed, closer and closer to the largest. */
static void write_curve(const struct curve *curve, FILE *file)
{
    const char *separator = "";

    fprintf(file, "{\"workload\": \"%s\", \"row\": \"%s\", \"engine\": \"%s\", \"points\": [",
            curve->workload, curve->row, curve->engine);
    for (double above = 1; above * (double)curve->histogram.total >= 1; above *= 0.75) {
        fprintf(file, "%s[%.9g, %llu]", separator, 1 - above,
                (unsigned long long)histogram_quantile(&curve->histogram, 1 - above));
        separator = ", ";
    }
    fprintf(file, "], \"total\": %llu, \"max\": %llu}", (unsigned long long)curve->histogram.total,
            (unsigned long long)curve->histogram.max);
}

void results_write_json(const struct results *results, FILE *file)
{
    fputs("\"results\": [", file);
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct cell *cell = &results->cell[i];

        fprintf(file,
                "%s\n  {\"workload\": \"%s\", \"row\": \"%s\", \"engine\": \"%s\", "
                "\"unit\": \"%s\", ",
                i > 0 ? "," : "", cell->workload, cell->row, cell->engine, cell->unit);
        write_sample(&cell->sample, file);
        fputc('}', file);
    }
    fputs("],\n\"curves\": [", file);
    for (size_t i = 0; i < results->n_curves; i++) {
        fprintf(file, "%s\n  ", i > 0 ? "," : "");
        write_curve(&results->curve[i], file);
    }
    fputs("],\n\"targets\": [", file);
    for (size_t i = 0; i < results->n_targets; i++) {
        const struct target *target = &results->target[i];

        fprintf(file,
                "%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"aim\": \"%s\", \"wanted\": %g, "
                "\"met\": %s, ",
                i > 0 ? "," : "", target->name, target->unit,
                target->aim == AT_MOST ? "at most" : "at least", target->wanted,
                target_is_met(target) ? "true" : "false");
        write_sample(&target->measured, file);
        fputc('}', file);
    }
    fputc(']', file);
}
