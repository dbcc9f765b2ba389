/* SPDX-License-Identifier: MIT */
/*
 * bench/bench-peers: lxdb beside the stores that one would take instead, and beside the least that
 * any store must do. The numbers are this machine's, now: a target that is missed is printed as
 * missed and is no failure. Wrong data is one (exit status 1), of any engine.
 */
#include "bench/common.h"
#include "bench/peers/bench.h"

#include <errno.h>
#include <getopt.h>
#include <lxdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct workload {
    const char *name;
    void (*run)(struct bench *bench);
} workloads[] = {
    {"small", workload_small},     {"large", workload_large}, {"processes", workload_processes},
    {"durable", workload_durable}, {"load", workload_load},   {"scaling", workload_scaling},
};

#define WORKLOADS (sizeof workloads / sizeof workloads[0])

/* What the command line asks for. */
struct request {
    struct bench bench;
    bool wanted[WORKLOADS];
    bool list;
    const char *json;
};

static void print_help(FILE *to)
{
    fputs("usage: bench/bench-peers [options]\n"
          "  --engines LIST    only these; without a list: print what each is and how it is set\n"
          "  --workloads LIST  of small,large,processes,durable,load,scaling [all]\n"
          "  --quick           small sizes and few rounds: minutes, and no figures to quote\n"
          "  --rounds N        rounds, of which the median counts [5; small 9]\n"
          "  --small N         records of the README's shape [10k]\n"
          "  --large N         records of 16 byte keys and 100 byte values [1m]\n"
          "  --load N          records of the long load, the same shape [10m]\n"
          "  --scale N         the most records of `scaling`, the same shape [10m]\n"
          "  --work-ms N       how long a row of many records lasts in a round [500]\n"
          "  --json FILE       write all figures as JSON, too\n"
          "  --dir DIR         where the databases go, removed at the end [${TMPDIR:-/tmp}]\n"
          "Numbers may end in k (thousand) or m (million). Later options overrule earlier ones.\n",
          to);
}

/* ---- Choosing -------------------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

/* Every name of a comma-separated list has to be one that `is_known` accepts. */
static void check_list(const char *list, const char *what, bool (*is_known)(const char *))
{
    char *copy = bench_text("%s", list);
    char *rest = copy;

    for (char *name = strsep(&rest, ","); name != NULL; name = strsep(&rest, ","))
        if (!is_known(name))
            bench_fail(BENCH_USAGE, "there is no %s \"%s\" here", what, name);
    free(copy);
}

static bool is_engine(const char *name)
{
    for (size_t i = 0; all_engines[i] != NULL; i++)
        if (strcmp(all_engines[i]->name, name) == 0)
            return true;
    return false;
}

static bool is_workload(const char *name)
{
    for (size_t i = 0; i < WORKLOADS; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return true;
    return false;
}

static const char *why_missing(const struct engine *engine)
{
    return engine->missing != NULL ? engine->missing() : NULL;
}

/* `list` NULL: all that can run. */
static void choose_engines(struct bench *bench, const char *list)
{
    if (list != NULL)
        check_list(list, "engine", is_engine);
    for (size_t i = 0; all_engines[i] != NULL; i++)
        if ((list == NULL || is_listed(list, all_engines[i]->name)) &&
            why_missing(all_engines[i]) == NULL)
            bench->engines[bench->n_engines++] = all_engines[i];
}

static void choose_workloads(struct request *request, const char *list)
{
    check_list(list, "workload", is_workload);
    for (size_t i = 0; i < WORKLOADS; i++)
        request->wanted[i] = is_listed(list, workloads[i].name);
}

/* ---- What is run, where ---------------------------------------------------------------------- */

/* Print what is left out and why, each between `before` and `after`. */
static void print_skipped(FILE *file, const char *before, const char *after)
{
    for (size_t i = 0; absent_engines[i] != NULL; i++)
        fprintf(file, "%s%s is skipped: built without its library%s", before, absent_engines[i],
                after);
    for (size_t i = 0; all_engines[i] != NULL; i++)
        if (why_missing(all_engines[i]) != NULL)
            fprintf(file, "%s%s is skipped: %s%s", before, all_engines[i]->name,
                    why_missing(all_engines[i]), after);
}

static void print_engines(void)
{
    for (size_t i = 0; all_engines[i] != NULL; i++) {
        const struct engine *engine = all_engines[i];

        if (why_missing(engine) != NULL)
            continue;
        printf("%s %s\n    no syncs: %s\n", engine->name, engine->version(), engine->setting);
        if (engine->durable != NULL)
            printf("    durable:  %s\n", engine->durable);
        printf("    processes: %s\n", engine->traits & ENGINE_SHARED    ? "any number"
                                      : engine->traits & ENGINE_READERS ? "one writer, or readers"
                                                                        : "one");
    }
    print_skipped(stdout, "", "\n");
}

/* The processor as the kernel names it. */
static void read_processor(char name[128])
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(name, 128, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL) {
            snprintf(name, 128, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n\"\\"),
                     strchr(line, ':') + 2);
            break;
        }
    if (file != NULL)
        fclose(file);
}

static void print_machine(const struct bench *bench, FILE *file, bool json)
{
    struct utsname system;
    char processor[128];

    uname(&system);
    read_processor(processor);
    fprintf(file,
            json ? "\"machine\": {\"processor\": \"%s\", \"processors\": %ld, "
                   "\"system\": \"%s %s\", \"load\": %.2f},\n"
                 : "%s, %ld processors, %s %s, load average %.2f\n",
            processor, sysconf(_SC_NPROCESSORS_ONLN), system.sysname, system.release, bench->load);
}

static void write_json(const struct request *request)
{
    const struct bench *bench = &request->bench;
    const struct settings *settings = &bench->settings;
    FILE *file = fopen(request->json, "w");
    const char *separator = "";

    if (file == NULL)
        bench_fail(BENCH_BROKEN, "cannot write %s: %s", request->json, strerror(errno));
    fprintf(file, "{\"version\": \"%s\",\n", lxdb_version());
    print_machine(bench, file, true);
    fprintf(file,
            "\"settings\": {\"rounds\": %zu, \"small_rounds\": %zu, \"small\": %zu, "
            "\"large\": %zu, \"load\": %zu, \"scale\": %zu, \"section_ms\": %zu, "
            "\"work_ms\": %zu},\n\"engines\": [",
            settings->rounds, settings->small_rounds, settings->small, settings->large,
            settings->load, settings->scale, settings->section_ms, settings->work_ms);
    for (size_t i = 0; i < bench->n_engines; i++) {
        const struct engine *engine = bench->engines[i];

        fprintf(file,
                "%s\n  {\"name\": \"%s\", \"version\": \"%s\", \"setting\": \"%s\", "
                "\"durable\": \"%s\", \"processes\": \"%s\", \"failed\": %s}",
                separator, engine->name, engine->version(), engine->setting,
                engine->durable != NULL ? engine->durable : "",
                engine->traits & ENGINE_SHARED    ? "any number"
                : engine->traits & ENGINE_READERS ? "one writer, or readers"
                                                  : "one",
                bench->failed[i] ? "true" : "false");
        separator = ",";
    }
    fputs("],\n\"skipped\": \"", file);
    print_skipped(file, "", "; ");
    fputs("\",\n", file);
    results_write_json(bench->results, file);
    fputs("}\n", file);
    if (fclose(file) != 0)
        bench_fail(BENCH_BROKEN, "cannot write %s: %s", request->json, strerror(errno));
}

/* ---- Running --------------------------------------------------------------------------------- */

static int run_workloads(const char *dir, void *arg)
{
    struct request *request = arg;
    struct bench *bench = &request->bench;

    bench->dir = dir;
    bench->results = results_new();
    printf("lxdb %s beside other stores; ", lxdb_version());
    getloadavg(&bench->load, 1);
    print_machine(bench, stdout, false);
    print_skipped(stdout, "", "\n");
    for (size_t i = 0; i < WORKLOADS; i++) {
        uint64_t start = bench_now();

        if (!request->wanted[i])
            continue;
        workloads[i].run(bench);
        printf("  (%s took %.0f s)\n", workloads[i].name, (double)(bench_now() - start) / 1e9);
        fflush(stdout);
    }
    targets_print(bench);
    if (request->json != NULL)
        write_json(request);
    for (size_t i = 0; i < bench->n_engines; i++)
        if (bench->failed[i])
            printf("%s FAILED and was left out\n", bench->engines[i]->name);
    return bench->status;
}

static const struct settings full = {.rounds = 5,
                                     .small_rounds = 9,
                                     .small = 10000,
                                     .large = 1000000,
                                     .load = 10000000,
                                     .scale = 10000000,
                                     .section_ms = 50,
                                     .work_ms = 500};

static const struct settings quick = {.rounds = 3,
                                      .small_rounds = 3,
                                      .small = 2000,
                                      .large = 50000,
                                      .load = 300000,
                                      .scale = 100000,
                                      .section_ms = 10,
                                      .work_ms = 60};

static void set(struct request *request, const char *name, const char *value)
{
    struct settings *settings = &request->bench.settings;

    if (strcmp(name, "workloads") == 0)
        choose_workloads(request, value);
    else if (strcmp(name, "rounds") == 0)
        settings->rounds = settings->small_rounds = bench_parse_count("--rounds", value,
                                                                      RESULTS_ROUNDS_MAX);
    else if (strcmp(name, "small") == 0)
        settings->small = bench_parse_count("--small", value, 999999);
    else if (strcmp(name, "large") == 0)
        settings->large = bench_parse_count("--large", value, 20000000);
    else if (strcmp(name, "load") == 0)
        settings->load = bench_parse_count("--load", value, 100000000);
    else if (strcmp(name, "scale") == 0)
        settings->scale = bench_parse_count("--scale", value, 100000000);
    else if (strcmp(name, "work-ms") == 0)
        settings->work_ms = bench_parse_count("--work-ms", value, 60000);
    else if (strcmp(name, "quick") == 0)
        *settings = quick;
    else if (strcmp(name, "json") == 0)
        request->json = value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"engines", optional_argument, NULL, 'e'},
        {"workloads", required_argument, NULL, 's'},
        {"quick", no_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 's'},
        {"small", required_argument, NULL, 's'},
        {"large", required_argument, NULL, 's'},
        {"load", required_argument, NULL, 's'},
        {"scale", required_argument, NULL, 's'},
        {"work-ms", required_argument, NULL, 's'},
        {"json", required_argument, NULL, 's'},
        {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct request request = {.bench = {.settings = full}};
    const char *parent = NULL;
    const char *engines = NULL;
    int option, which;

    for (size_t i = 0; i < WORKLOADS; i++)
        request.wanted[i] = true;
    while ((option = getopt_long(argc, argv, "", options, &which)) != -1) {
        switch (option) {
        case 's':
            set(&request, options[which].name, optarg);
            break;
        case 'e':
            /* getopt wants "=" before an argument that may be missing; here it need not be. */
            engines = optarg;
            if (engines == NULL && optind < argc && argv[optind][0] != '-')
                engines = argv[optind++];
            request.list = engines == NULL;
            break;
        case 'd':
            parent = optarg;
            break;
        case 'h':
            print_help(stdout);
            return 0;
        default:
            print_help(stderr);
            return BENCH_USAGE;
        }
    }
    if (optind != argc) {
        print_help(stderr);
        return BENCH_USAGE;
    }
    if (request.list) {
        print_engines();
        return 0;
    }
    choose_engines(&request.bench, engines);
    return bench_run_in_scratch(parent, run_workloads, &request);
}
