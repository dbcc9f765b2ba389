/* SPDX-License-Identifier: MIT */
#include "bench/peers/bench.h"
void targets_print(struct bench *bench)
{
    (void)bench;
}
void workload_processes(struct bench *bench)
{
    (void)bench;
}
void workload_durable(struct bench *bench)
{
    (void)bench;
}
void workload_load(struct bench *bench)
{
    (void)bench;
}
void workload_scaling(struct bench *bench)
{
    (void)bench;
}
