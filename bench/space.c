/* SPDX-License-Identifier: MIT */
/*
 * bench/space: what the disk holds while a reader that holds on to an old state is stopped, and a
 * writer overwrites the live data many times; of lxdb and, where they are installed, of LMDB and
 * SQLite. Every store gets the same work:
 *
 *   1  fill: every key once
 *   2  another process takes hold of that state and is stopped (SIGSTOP)
 *   3  overwrite all keys so many times, each in a transaction of its own
 *   4  the reader goes on: it still sees the old state, lets go, and sees the new
 *   5  overwrite all keys once more, with nobody holding on to anything
 *   6  the reader closes, then the writer
 *
 * The disk is looked at all along, about every millisecond: the blocks of all files in the
 * directory and of those without a name that either process has open. Wrong data is a failure
 * (status 1).
 */
#include "bench/common.h"
#include "bench/space_store.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB 1048576.0
#define FILES_MAX 64u
#define STILL_NS 2000000000u /* without a change for so long, the disk is at rest */

static const struct space_store *const stores[] = {
    &space_lxdb,
#ifdef BENCH_LMDB
    &space_lmdb,
#endif
#ifdef BENCH_SQLITE
    &space_sqlite,
#endif
};

#define STORES (sizeof stores / sizeof stores[0])

struct job {
    size_t records, value, times;
    const char *dir;
};

/* Shared by the processes of one store. */
struct scene {
    _Atomic uint64_t wanted, made; /* passes */
    _Atomic uint64_t refused, longest_ns;
    _Atomic uint64_t reader_done, reader_end, writer_end;
};

struct result {
    uint64_t most, at_end, after, closed; /* bytes on the disk */
    uint64_t refused, longest_ns, ns;
};

static void nap(void)
{
    static const struct timespec some = {0, 1000000};

    nanosleep(&some, NULL);
}

/* ---- What the disk holds --------------------------------------------------------------------- */

struct picture {
    ino_t seen[FILES_MAX];
    size_t n;
    uint64_t bytes;
};

static void picture_add(struct picture *picture, const struct stat *info)
{
    for (size_t i = 0; i < picture->n; i++)
        if (picture->seen[i] == info->st_ino)
            return;
    if (picture->n == FILES_MAX)
        bench_fail(BENCH_BROKEN, "more than %u files", FILES_MAX);
    picture->seen[picture->n++] = info->st_ino;
    picture->bytes += (uint64_t)info->st_blocks * 512;
}

/* All files in `dir`, or those in `fds` that lead to a file of `under`. */
static void picture_add_all(struct picture *picture, const char *dir, const char *under)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;
    struct stat info;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char target[4096] = "";

        if (under != NULL) {
            ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);

            if (len < 0 || strncmp(target, under, strlen(under)) != 0)
                continue;
        }
        if (fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && S_ISREG(info.st_mode))
            picture_add(picture, &info);
    }
    if (folder != NULL)
        closedir(folder);
}

static uint64_t disk_use(const char *dir, const pid_t *pids, size_t n)
{
    struct picture picture = {.n = 0};

    picture_add_all(&picture, dir, NULL);
    for (size_t i = 0; i < n; i++) {
        char fds[64];

        snprintf(fds, sizeof fds, "/proc/%d/fd", (int)pids[i]);
        picture_add_all(&picture, fds, dir);
    }
    return picture.bytes;
}

/* ---- Processes ------------------------------------------------------------------------------- */

static void make_pass(const struct job *job, const struct space_store *store, void *db,
                      struct scene *scene, uint64_t pass)
{
    uint8_t *value = bench_alloc(1, job->value);

    for (size_t key = 0; key < job->records; key++) {
        uint64_t from, took;

        for (size_t i = 0; i + 8 <= job->value; i += 8) {
            uint64_t word = i == 0 ? pass : bench_mix(pass * job->records + key + i);

            memcpy(value + i, &word, sizeof word);
        }
        from = bench_now();
        if (store->put(db, key, value, job->value) != SPACE_OK)
            atomic_fetch_add(&scene->refused, 1);
        took = bench_now() - from;
        if (took > scene->longest_ns)
            scene->longest_ns = took;
    }
    free(value);
}

static uint64_t live_bytes(const struct job *job)
{
    return (uint64_t)job->records * job->value;
}

static void *open_store(const struct job *job, const struct space_store *store, const char *path)
{
    return store->open(path, live_bytes(job), (job->times + 4) * live_bytes(job) * 8 + (1u << 26));
}

static void write_passes(const struct job *job, const struct space_store *store, const char *path,
                         struct scene *scene)
{
    void *db = open_store(job, store, path);

    while (scene->writer_end == 0) {
        uint64_t pass = scene->made + 1;

        if (pass > scene->wanted) {
            nap();
            continue;
        }
        make_pass(job, store, db, scene, pass);
        scene->made = pass;
    }
    store->close(db);
}

static void hold_and_look(const struct job *job, const struct space_store *store, const char *path,
                          struct scene *scene)
{
    void *db = open_store(job, store, path);
    uint64_t pass;

    store->hold(db);
    raise(SIGSTOP);
    pass = store->look(db);
    if (pass != 1)
        bench_fail(BENCH_WRONG, "%s: pass %llu in the state that pass 1 left", store->name,
                   (unsigned long long)pass);
    store->release(db);
    pass = store->read(db, 0);
    if (pass != scene->made)
        bench_fail(BENCH_WRONG, "%s: pass %llu, the last was %llu", store->name,
                   (unsigned long long)pass, (unsigned long long)scene->made);
    scene->reader_done = 1;
    while (scene->reader_end == 0)
        nap();
    store->close(db);
}

static pid_t
start(const struct job *job, const struct space_store *store, const char *path, struct scene *scene,
      void (*work)(const struct job *, const struct space_store *, const char *, struct scene *))
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid < 0)
        bench_fail(BENCH_BROKEN, "fork: %s", strerror(errno));
    if (pid == 0) {
        bench_follow_parent();
        work(job, store, path, scene);
        exit(0);
    }
    return pid;
}

static void check_ended(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        bench_fail(BENCH_BROKEN, "a process ended by a signal");
    if (WEXITSTATUS(status) != 0)
        exit(WEXITSTATUS(status));
}

/* ---- One store ------------------------------------------------------------------------------- */

struct measurement {
    const char *dir;
    struct scene *scene;
    pid_t pids[2];
    size_t n;
    uint64_t most;
};

static uint64_t look(struct measurement *measurement)
{
    uint64_t bytes = disk_use(measurement->dir, measurement->pids, measurement->n);
    siginfo_t ended = {0};

    if (bytes > measurement->most)
        measurement->most = bytes;
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0)
        check_ended(ended.si_pid); /* too early: it said why */
    return bytes;
}

static void await_passes(struct measurement *measurement, uint64_t passes)
{
    measurement->scene->wanted = passes;
    while (measurement->scene->made < passes) {
        look(measurement);
        nap();
    }
}

/* When a store has done what it does by itself. */
static uint64_t at_rest(struct measurement *measurement)
{
    uint64_t bytes = look(measurement), since = bench_now();

    while (bench_now() - since < STILL_NS) {
        uint64_t now = look(measurement);

        if (now != bytes)
            since = bench_now();
        bytes = now;
        nap();
    }
    return bytes;
}

static void measure(const struct job *job, const struct space_store *store, struct result *result)
{
    struct scene *scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *path = bench_text("%s/data", job->dir);
    struct measurement measurement = {.dir = job->dir, .scene = scene};
    uint64_t from;
    int status;

    if (scene == MAP_FAILED)
        bench_fail(BENCH_BROKEN, "no shared memory");
    measurement.pids[measurement.n++] = start(job, store, path, scene, write_passes);
    await_passes(&measurement, 1);
    measurement.pids[measurement.n++] = start(job, store, path, scene, hold_and_look);
    if (waitpid(measurement.pids[1], &status, WUNTRACED) < 0 || !WIFSTOPPED(status))
        bench_fail(BENCH_BROKEN, "%s: the reader did not stop", store->name);
    from = bench_now();
    scene->longest_ns = 0;
    await_passes(&measurement, 1 + job->times);
    result->ns = bench_now() - from;
    result->refused = scene->refused;
    result->longest_ns = scene->longest_ns;
    result->at_end = at_rest(&measurement);
    result->most = measurement.most;
    kill(measurement.pids[1], SIGCONT);
    while (scene->reader_done == 0) {
        look(&measurement);
        nap();
    }
    await_passes(&measurement, 2 + job->times);
    result->after = at_rest(&measurement);
    scene->reader_end = 1;
    check_ended(measurement.pids[1]);
    scene->writer_end = 1;
    check_ended(measurement.pids[0]);
    result->closed = disk_use(job->dir, NULL, 0);
    munmap(scene, sizeof *scene);
    free(path);
}

static void print_table(const struct job *job, const struct result *results)
{
    double live = (double)live_bytes(job) / MIB;

    printf("MiB on the disk; %.1f MiB live (%zu values of %zu bytes), overwritten %zu times: %.1f "
           "MiB\n\n",
           live, job->records, job->value, job->times, live * (double)job->times);
    printf("| store | most | at the end | after the reader went on | closed | puts refused | "
           "longest put, ms | all puts, s |\n");
    printf("|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < STORES; i++) {
        const struct result *r = &results[i];

        printf("| %s | %.1f | %.1f | %.1f | %.1f | %llu | %.1f | %.1f |\n", stores[i]->name,
               (double)r->most / MIB, (double)r->at_end / MIB, (double)r->after / MIB,
               (double)r->closed / MIB, (unsigned long long)r->refused, (double)r->longest_ns / 1e6,
               (double)r->ns / 1e9);
    }
    printf("\n");
    for (size_t i = 0; i < STORES; i++)
        printf("%s: %s\n", stores[i]->name, stores[i]->setting);
}

static int run(const char *dir, void *arg)
{
    struct result results[STORES];
    struct job *job = arg;

    job->dir = dir;
    for (size_t i = 0; i < STORES; i++) {
        memset(&results[i], 0, sizeof results[i]);
        measure(job, stores[i], &results[i]);
        bench_empty(dir);
    }
    print_table(job, results);
    return 0;
}

static void print_help(FILE *to)
{
    fputs("usage: bench/space [options]\n"
          "  --records N  keys [1000]; may end in k or m\n"
          "  --value N    bytes of a value, at least 8 [4000]\n"
          "  --times N    so often all is overwritten [200]\n"
          "  --dir DIR    where the databases go, removed at the end [${TMPDIR:-/tmp}]\n",
          to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"records", required_argument, NULL, 'r'}, {"value", required_argument, NULL, 'v'},
        {"times", required_argument, NULL, 't'},   {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct job job = {.records = 1000, .value = 4000, .times = 200};
    const char *parent = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            job.records = bench_parse_count("--records", optarg, 1000000);
            break;
        case 'v':
            job.value = bench_parse_count("--value", optarg, 1000000);
            break;
        case 't':
            job.times = bench_parse_count("--times", optarg, 10000);
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
    if (optind != argc || job.value < 8) {
        print_help(stderr);
        return BENCH_USAGE;
    }
    return bench_run_in_scratch(parent, run, &job);
}
