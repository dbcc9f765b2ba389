// SPDX-License-Identifier: MIT
//
// The calls of gbench.h, each a word of Google Benchmark. This is the only C++ of the project, and
// needed by nothing but the benches. It keeps to the public interface of Google Benchmark 1.7.
//
// A gbench_state is a benchmark::State under another name. Set-up and tear-down are called from
// here, around the function: those of Google Benchmark take no user pointer.
#include "bench/gbench.h"

#include <benchmark/benchmark.h>

#include <deque>
#include <string>
#include <vector>

using benchmark::Counter;
using benchmark::State;

struct gbench {
    gbench_function *run;
    void *user;
    gbench_function *setup = nullptr;
    gbench_function *teardown = nullptr;
    benchmark::internal::Benchmark *registered = nullptr;
};

static State *of_c(gbench_state *state)
{
    return reinterpret_cast<State *>(state);
}

static const State *of_c(const gbench_state *state)
{
    return reinterpret_cast<const State *>(state);
}

static void run_once(const gbench &bench, State &state)
{
    auto *c_state = reinterpret_cast<gbench_state *>(&state);

    if (bench.setup != nullptr)
        bench.setup(c_state, bench.user);
    if (!state.error_occurred())
        bench.run(c_state, bench.user);
    if (bench.teardown != nullptr)
        bench.teardown(c_state, bench.user);
}

// ---- The program --------------------------------------------------------------------------------

bool gbench_init(int *argc, char **argv)
{
    benchmark::Initialize(argc, argv);
    return !benchmark::ReportUnrecognizedArguments(*argc, argv);
}

void gbench_context(const char *key, const char *value)
{
    benchmark::AddCustomContext(key, value);
}

size_t gbench_run(void)
{
    size_t selected = benchmark::RunSpecifiedBenchmarks();

    benchmark::Shutdown();
    return selected;
}

// ---- Registration -------------------------------------------------------------------------------

gbench *gbench_register(const char *name, gbench_function *run, void *user)
{
    static std::deque<gbench> benches; // never moves its elements

    benches.push_back(gbench{run, user});
    gbench *bench = &benches.back();
    bench->registered = benchmark::RegisterBenchmark(
        name, [bench](State &state) { run_once(*bench, state); });
    return bench;
}

void gbench_setup(gbench *bench, gbench_function *setup)
{
    bench->setup = setup;
}

void gbench_teardown(gbench *bench, gbench_function *teardown)
{
    bench->teardown = teardown;
}

void gbench_arg(gbench *bench, int64_t arg)
{
    bench->registered->Arg(arg);
}

void gbench_args(gbench *bench, const int64_t *args, size_t n)
{
    bench->registered->Args(std::vector<int64_t>(args, args + n));
}

void gbench_range(gbench *bench, int64_t first, int64_t last, int multiplier)
{
    bench->registered->RangeMultiplier(multiplier)->Range(first, last);
}

void gbench_dense_range(gbench *bench, int64_t first, int64_t last, int step)
{
    bench->registered->DenseRange(first, last, step);
}

void gbench_args_product(gbench *bench, const int64_t *const *lists, const size_t *list_lens,
                         size_t n)
{
    std::vector<std::vector<int64_t>> product;

    for (size_t i = 0; i < n; i++)
        product.emplace_back(lists[i], lists[i] + list_lens[i]);
    bench->registered->ArgsProduct(product);
}

void gbench_arg_names(gbench *bench, const char *const *names, size_t n)
{
    bench->registered->ArgNames(std::vector<std::string>(names, names + n));
}

void gbench_iterations(gbench *bench, int64_t iterations)
{
    bench->registered->Iterations(iterations);
}

void gbench_min_time(gbench *bench, double seconds)
{
    bench->registered->MinTime(seconds);
}

void gbench_repetitions(gbench *bench, int repetitions)
{
    bench->registered->Repetitions(repetitions);
}

void gbench_aggregates_only(gbench *bench)
{
    bench->registered->ReportAggregatesOnly();
}

void gbench_use_real_time(gbench *bench)
{
    bench->registered->UseRealTime();
}

void gbench_use_manual_time(gbench *bench)
{
    bench->registered->UseManualTime();
}

void gbench_time_unit(gbench *bench, gbench_unit unit)
{
    static const benchmark::TimeUnit units[] = {benchmark::kNanosecond, benchmark::kMicrosecond,
                                                benchmark::kMillisecond, benchmark::kSecond};

    bench->registered->Unit(units[unit]);
}

// ---- A run --------------------------------------------------------------------------------------

bool gbench_keep_running(gbench_state *state)
{
    return of_c(state)->KeepRunning();
}

bool gbench_keep_running_batch(gbench_state *state, int64_t n)
{
    return of_c(state)->KeepRunningBatch(n);
}

void gbench_pause(gbench_state *state)
{
    of_c(state)->PauseTiming();
}

void gbench_resume(gbench_state *state)
{
    of_c(state)->ResumeTiming();
}

void gbench_set_iteration_time(gbench_state *state, double seconds)
{
    of_c(state)->SetIterationTime(seconds);
}

void gbench_skip(gbench_state *state, const char *message)
{
    of_c(state)->SkipWithError(message);
}

bool gbench_skipped(const gbench_state *state)
{
    return of_c(state)->error_occurred();
}

int64_t gbench_arg_of(const gbench_state *state, size_t i)
{
    return of_c(state)->range(i);
}

int64_t gbench_iterations_done(const gbench_state *state)
{
    return of_c(state)->iterations();
}

// ---- What the report says of a run --------------------------------------------------------------

void gbench_counter(gbench_state *state, const char *name, double value, gbench_counter_kind kind)
{
    static const Counter::Flags flags[] = {Counter::kDefaults, Counter::kIsRate,
                                           Counter::kAvgIterations,
                                           Counter::kIsRate | Counter::kInvert};

    of_c(state)->counters[name] = Counter(value, flags[kind]);
}

void gbench_items(gbench_state *state, int64_t items)
{
    of_c(state)->SetItemsProcessed(items);
}

void gbench_bytes(gbench_state *state, int64_t bytes)
{
    of_c(state)->SetBytesProcessed(bytes);
}

void gbench_label(gbench_state *state, const char *text)
{
    of_c(state)->SetLabel(text);
}
