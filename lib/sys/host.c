/* SPDX-License-Identifier: MIT */
/* Facts and services of the host, apart from the files of a database. See host.h. */
#include "sys/host.h"

#include "base/assert.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- Clocks ---------------------------------------------------------------------------------- */

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000, MS_PER_S = 1000 };

static struct timespec now(clockid_t clock)
{
    struct timespec ts;

    lx_assert(clock_gettime(clock, &ts) == 0); /* these clocks are always there */
    return ts;
}

static int64_t to_ms(struct timespec ts)
{
    return (int64_t)ts.tv_sec * MS_PER_S + ts.tv_nsec / NS_PER_MS;
}

uint64_t lx_now_ms(void)
{
    return (uint64_t)to_ms(now(CLOCK_MONOTONIC));
}

uint64_t lx_now_coarse_ms(void)
{
    return (uint64_t)to_ms(now(CLOCK_MONOTONIC_COARSE));
}

uint64_t lx_now_ns(void)
{
    struct timespec ts = now(CLOCK_MONOTONIC);

    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int64_t lx_wall_ms(void)
{
    return to_ms(now(CLOCK_REALTIME));
}

int64_t lx_wall_coarse_ms(void)
{
    return to_ms(now(CLOCK_REALTIME_COARSE));
}

lx_deadline lx_deadline_in(uint32_t ms)
{
    return ms == UINT32_MAX ? LX_NEVER : lx_now_ms() + ms;
}

bool lx_deadline_passed(lx_deadline deadline)
{
    return deadline != LX_NEVER && lx_now_ms() >= deadline;
}

/* ---- Identity -------------------------------------------------------------------------------- */

int lx_random64(uint64_t *ret_bits)
{
    uint64_t bits;
    ssize_t got;

    do
        got = getrandom(&bits, sizeof bits, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return lx_fail_errno(errno, "random numbers");
    lx_assert(got == (ssize_t)sizeof bits); /* as promised for up to 256 bytes */
    *ret_bits = bits;
    return LXDB_OK;
}

/* The first line of a small file in /proc, without the newline. Its length; 0 if there is none. */
static size_t line_read(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;
    const char *newline;

    if (fd < 0)
        return 0;
    do
        got = read(fd, buf, size);
    while (got < 0 && errno == EINTR);
    (void)close(fd);
    if (got <= 0)
        return 0;
    newline = memchr(buf, '\n', (size_t)got);
    return newline != NULL ? (size_t)(newline - buf) : (size_t)got;
}

uint64_t lx_boot_id(void)
{
    char uuid[64];
    size_t len = line_read("/proc/sys/kernel/random/boot_id", uuid, sizeof uuid);
    uint64_t hash;

    if (len == 0)
        return 0;
    hash = lx_hash(uuid, len, 0);
    return hash != 0 ? hash : 1; /* 0 says that it is not known */
}

uint32_t lx_process_id(void)
{
    return (uint32_t)getpid();
}

void lx_process_name(char ret_name[16])
{
    char name[16] = {0};
    size_t len = line_read("/proc/self/comm", name, sizeof name - 1);

    if (len == 0) { /* no /proc: what the C library knows */
        len = strnlen(program_invocation_short_name, sizeof name - 1);
        memcpy(name, program_invocation_short_name, len);
    }
    memset(name + len, 0, sizeof name - len);
    memcpy(ret_name, name, sizeof name);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* FUTEX_PRIVATE_FLAG stays off: the words lie in files that other processes map as well. Failures
 * need no report: the callers look at their word again in any case. */
void lx_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t ns)
{
    const uint64_t longest = (uint64_t)INT32_MAX * NS_PER_S; /* fits a 32-bit tv_sec */
    const uint64_t sleep = ns < longest ? ns : longest;
    const struct __kernel_old_timespec timeout = {.tv_sec = (long)(sleep / NS_PER_S),
                                                  .tv_nsec = (long)(sleep % NS_PER_S)};

    (void)syscall(SYS_futex, (void *)word, FUTEX_WAIT, expected, &timeout, NULL, 0);
}

void lx_futex_wake(_Atomic uint32_t *word, int waiters)
{
    (void)syscall(SYS_futex, (void *)word, FUTEX_WAKE, waiters, NULL, NULL, 0);
}

void lx_sleep_ns(uint64_t ns)
{
    struct timespec until = now(CLOCK_MONOTONIC);
    int cancel = lx_cancel_off();

    until.tv_sec += (time_t)(ns / NS_PER_S);
    until.tv_nsec += (long)(ns % NS_PER_S);
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
    lx_cancel_restore(cancel);
}

void lx_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst); /* at least read the word again */
#endif
}

void lx_yield(void)
{
    (void)sched_yield();
}

/* ---- Cancellation ---------------------------------------------------------------------------- */

int lx_cancel_off(void)
{
    int state;

    lx_assert(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0);
    return state;
}

void lx_cancel_restore(int state)
{
    int disabled;

    lx_assert(pthread_setcancelstate(state, &disabled) == 0);
}
