/* SPDX-License-Identifier: MIT */
/* sys/io.h: a store of four bytes, step by step: no instruction leaves a half of it. */
#include "sys/io.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PLACES 12u /* among them that of the watermark, which no alignment helps */
#define STEPS_MOST 10000000u

static const uint8_t before[4] = {0x11, 0x22, 0x33, 0x44};
static const uint8_t after[4] = {0x55, 0x66, 0x77, 0x88};

static uint8_t *page; /* shared with the child */

/* Stopped before and after the store. */
static void store_traced(unsigned place)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    (void)raise(SIGSTOP);
    lx_io_system.store(page + place, after, sizeof after);
    (void)raise(SIGSTOP);
    _exit(0);
}

static int status_of(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* False: processes may not be traced here. */
static bool step_through(unsigned place)
{
    unsigned steps = 0;
    int status;
    pid_t pid;

    memcpy(page + place, before, sizeof before);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        store_traced(place);
    status = status_of(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return false;
    do {
        assert_true(WIFSTOPPED(status) && steps < STEPS_MOST);
        assert_true(memcmp(page + place, before, sizeof before) == 0 ||
                    memcmp(page + place, after, sizeof after) == 0);
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        status = status_of(pid);
        steps++;
    } while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    assert_true(steps > 10);
    assert_memory_equal(page + place, after, sizeof after);
    assert_int_equal(kill(pid, SIGKILL), 0);
    status = status_of(pid);
    assert_true(WIFSIGNALED(status));
    return true;
}

static void store_of_four_bytes_is_never_left_in_part(void **state)
{
    (void)state;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    for (unsigned place = 0; place < PLACES; place++) {
        if (!step_through(place)) {
            print_message("processes may not be traced here\n");
            skip();
        }
    }
    assert_int_equal(munmap(page, 4096), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_of_four_bytes_is_never_left_in_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
