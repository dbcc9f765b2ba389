/* SPDX-License-Identifier: MIT */
/* Medians, and the table of targets. */
#include "bench/report.h"

#include "bench/common.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sample_add(struct sample *sample, double value)
{
    if (sample->n == REPORT_ROUNDS_MAX)
        bench_fail(BENCH_BROKEN, "more than %d rounds", REPORT_ROUNDS_MAX);
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
    double sorted[REPORT_ROUNDS_MAX];
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

void report_add(struct report *report, const char *name, const struct sample *sample,
                const char *unit, enum report_aim aim, double target)
{
    if (report->n == REPORT_TARGETS_MAX)
        bench_fail(BENCH_BROKEN, "more than %d targets", REPORT_TARGETS_MAX);
    report->line[report->n++] = (struct report_line){
        .name = bench_text("%s", name),
        .unit = unit,
        .measured = sample_median(sample),
        .min = sample_min(sample),
        .max = sample_max(sample),
        .target = target,
        .aim = aim,
    };
}

static bool is_met(const struct report_line *line)
{
    switch (line->aim) {
    case REPORT_AT_MOST:
        return line->measured <= line->target;
    case REPORT_BELOW:
        return line->measured < line->target;
    case REPORT_AT_LEAST:
        return line->measured >= line->target;
    }
    return false;
}

void report_print(const struct report *report)
{
    static const char *const sign[] = {
        [REPORT_AT_MOST] = "<=", [REPORT_BELOW] = "<", [REPORT_AT_LEAST] = ">="};
    size_t met = 0;

    printf("\n%-44s %10s %-7s  %-19s  %s\n", "target", "measured", "(median)", "min..max",
           "wanted     met");
    for (size_t i = 0; i < report->n; i++) {
        const struct report_line *line = &report->line[i];
        char range[48];

        snprintf(range, sizeof range, "%.3f..%.3f", line->min, line->max);
        printf("%-44s %10.3f %-8s  %-19s  %-2s %-7g %s\n", line->name, line->measured, line->unit,
               range, sign[line->aim], line->target, is_met(line) ? "yes" : "no");
        met += is_met(line);
    }
    printf("%zu of %zu met\n", met, report->n);
}

void report_free(struct report *report)
{
    for (size_t i = 0; i < report->n; i++)
        free(report->line[i].name);
    report->n = 0;
}
