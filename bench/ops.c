/* SPDX-License-Identifier: MIT */
/*
 * bench/ops: the time of each single operation, by number of keys. Options are those of Google
 * Benchmark; --benchmark_filter=get runs a part, --benchmark_out=FILE writes JSON.
 */
#include "bench/common.h"
#include "bench/gbench.h"
#include "bench/op.h"

#include <lxdb.h>

/* What one run needs besides the operation. */
struct job {
    const struct op *op;
    const char *dir;
    struct op_store store;
};

static void set_up(gbench_state *state, void *user)
{
    struct job *job = user;

    op_store_open(&job->store, job->dir, (size_t)gbench_arg_of(state, 0));
    op_begin(job->op, &job->store);
}

static void tear_down(gbench_state *state, void *user)
{
    struct job *job = user;

    (void)state;
    op_store_close(&job->store);
    bench_empty(job->dir);
}

static void run(gbench_state *state, void *user)
{
    struct job *job = user;
    struct op_store *store = &job->store;
    /* Either divides the number of keys, so that a store is used up at the end of a batch. */
    size_t batch = job->op->by_rounds ? store->n : OP_BATCH;

    while (gbench_keep_running_batch(state, (int64_t)batch)) {
        job->op->run(store, batch);
        if (job->op->rewind != NULL && store->at == store->n) {
            gbench_pause(state);
            job->op->rewind(store);
            gbench_resume(state);
        }
    }
    gbench_items(state, gbench_iterations_done(state));
}

static int run_all(const char *dir, void *arg)
{
    struct job *jobs = bench_alloc(ops_n, sizeof *jobs);

    (void)arg;
    for (size_t i = 0; i < ops_n; i++) {
        gbench *bench;

        jobs[i] = (struct job){.op = &ops[i], .dir = dir};
        bench = gbench_register(ops[i].name, run, &jobs[i]);
        gbench_setup(bench, set_up);
        gbench_teardown(bench, tear_down);
        gbench_range(bench, 1000, 1000000, 10);
        gbench_arg_names(bench, &(const char *){"keys"}, 1);
        gbench_use_real_time(bench);
    }
    gbench_context("lxdb", lxdb_version());
    return gbench_run() > 0 ? 0 : BENCH_USAGE;
}

int main(int argc, char **argv)
{
    if (!gbench_init(&argc, argv))
        return BENCH_USAGE;
    return bench_run_in_scratch(NULL, run_all, NULL);
}
