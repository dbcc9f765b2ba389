/* SPDX-License-Identifier: MIT */
/* See field.h. Everything here may run in a signal handler of the client's thread. */
#include "tests/linear/field.h"

#include "sys/io.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What a library built with LX_STEPS calls; see base/assert.h. */
void lx_step(const char *name);

#define PAUSES_MAX 24u  /* naps in a pause */
#define TIMER_NS 50000u /* at most, from the start of a call to the signal */
#define STEPS 5u        /* at one of so many steps an order is obeyed, at fewer there is a pause */

static struct field *field;
static struct seat *seat;
static harness_rng rng;
static timer_t timer;
static volatile sig_atomic_t timer_is_set;
static _Thread_local bool is_client; /* the library's helper thread is left alone */
static uint32_t batch_records;       /* of the batch that is being committed, or 0 */
static struct lx_io table;

static bool one_of(uint32_t n)
{
    return harness_below(&rng, n) == 0;
}

static void nap(void)
{
    static const struct timespec shortest = {0, 1};

    (void)nanosleep(&shortest, NULL);
}

static void pause_a_little(void)
{
    uint64_t until = atomic_load(&field->finished) + 1 + harness_below(&rng, one_of(8) ? 200 : 12);
    uint64_t naps = 1 + harness_below(&rng, PAUSES_MAX);

    for (uint64_t i = 0; i < naps && atomic_load(&field->finished) < until; i++)
        nap();
}

static void die(const char *where)
{
    atomic_store(&seat->obeyed, where);
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* Once for an order: the signal may have obeyed it since it was looked at. */
static void park(int order, const char *where)
{
    if (!atomic_compare_exchange_strong(&seat->order, &order, ORDER_NONE))
        return;
    atomic_store(&seat->obeyed, where);
    while (!atomic_load(&seat->may_go_on))
        nap();
    atomic_store(&seat->may_go_on, false);
}

static void notice_publishing(const char *name)
{
    if (batch_records > 0 && strcmp(name, "commit-publishing") == 0)
        atomic_store(&field->publishing, seat->life->number + 1);
    else if (strcmp(name, "commit-published") == 0 || strcmp(name, "repair-done") == 0)
        atomic_store(&field->publishing, 0);
}

void lx_step(const char *name)
{
    /* where a batch comes once for each record, it is disturbed as often as elsewhere in all */
    uint32_t rare = STEPS + (strcmp(name, "commit-publishing") == 0 ? batch_records : 0);
    int order;

    if (!is_client)
        return;
    notice_publishing(name);
    if (strcmp(name, "split-recorded") == 0)
        harness_count("splits of an index segment", 1);
    order = atomic_load(&seat->order);
    if (order == ORDER_DIE_AT_STEP && one_of(rare))
        die(name);
    else if (order == ORDER_PARK_AT_STEP && one_of(rare))
        park(order, name);
    else if (one_of(4 * rare))
        pause_a_little();
}

/* Record bytes on their way into the log, or a status byte. */
static void store(void *to, const void *from, size_t len)
{
    uint32_t rare = STEPS + batch_records;
    int order = is_client ? atomic_load(&seat->order) : ORDER_NONE;

    if (order == ORDER_DIE_ANYWHERE && one_of(rare))
        die("store");
    else if (order == ORDER_PARK_ANYWHERE && one_of(rare))
        park(order, "store");
    else if (is_client && one_of(4 * rare))
        pause_a_little();
    lx_io_system.store(to, from, len);
}

static void on_timer(int signal_number)
{
    bool inside = atomic_load(&seat->in_call);
    int order = atomic_load(&seat->order);

    (void)signal_number;
    timer_is_set = 0;
    if (inside)
        harness_count("calls interrupted at any instruction", 1);
    if (inside && order == ORDER_DIE_ANYWHERE)
        die("any instruction");
    else if (inside && order == ORDER_PARK_ANYWHERE)
        park(order, "any instruction");
    else
        pause_a_little();
}

/* But a sync is a good moment for others. */
static int sync_nothing(int fd)
{
    (void)fd;
    if (is_client && one_of(2))
        pause_a_little();
    return 0;
}

static int sync_nothing_of_range(void *addr, size_t len, int fd)
{
    (void)addr;
    (void)len;
    return sync_nothing(fd);
}

void disturb_no_syncs(void)
{
    table = lx_io_system;
    table.fdatasync = sync_nothing;
    table.fsync = sync_nothing;
    table.msync = sync_nothing_of_range;
    table.store = store;
    lx_io = &table;
}

void disturb_start(struct field *with, struct seat *on, uint64_t stream)
{
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

    field = with;
    seat = on;
    rng = harness_rng_make(stream);
    is_client = true;
    disturb_no_syncs();
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0, "no signal handler");
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "no timer");
}

void disturb_call_begins(bool may_wait)
{
    struct itimerspec when = {{0, 0}, {0, 1}};

    atomic_store(&seat->may_wait, may_wait);
    atomic_store(&seat->in_call, true);
    if (timer_is_set || !one_of(3))
        return;
    timer_is_set = 1;
    when.it_value.tv_nsec += (long)harness_below(&rng, TIMER_NS);
    (void)timer_settime(timer, 0, &when, NULL);
}

void disturb_call_ends(void)
{
    atomic_store(&seat->in_call, false);
    atomic_store(&seat->may_wait, false);
}

void disturb_batch(uint32_t records)
{
    batch_records = records;
}
