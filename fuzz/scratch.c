/* SPDX-License-Identifier: MIT */
/* See scratch.h. */
#include "fuzz/scratch.h"

#include "fuzz/driver.h"
#include "lxdb.h"
#include "sys/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_MS UINT64_C(1000000)
#define STEP_MS 50u

char scratch_dir[256];
char scratch_path[300];

static uint64_t random_state;
/* Of each thread its own: what a helper thread does is not part of an input's way. */
static _Thread_local uint64_t now_ms = START_MS;

int __wrap_lx_random64(uint64_t *ret_bits);
int64_t __wrap_lx_wall_ms(void);
int64_t __wrap_lx_wall_coarse_ms(void);
uint64_t __wrap_lx_now_coarse_ms(void);

int64_t __wrap_lx_wall_ms(void)
{
    return SCRATCH_NOW_MS;
}

int64_t __wrap_lx_wall_coarse_ms(void)
{
    return SCRATCH_NOW_MS;
}

uint64_t __wrap_lx_now_coarse_ms(void)
{
    return now_ms += STEP_MS;
}

int __wrap_lx_random64(uint64_t *ret_bits)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    *ret_bits = z ^ z >> 31;
    return LXDB_OK;
}

void scratch_make(void)
{
    const char *parent = getenv("FUZZ_DIR");

    if (parent == NULL)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(scratch_dir, sizeof scratch_dir, "%s/lxdb-fuzz.XXXXXX", parent);
    FUZZ_CHECK(mkdtemp(scratch_dir) != NULL, "%s: %s", scratch_dir, strerror(errno));
    snprintf(scratch_path, sizeof scratch_path, "%s/" SCRATCH_NAME, scratch_dir);
}

void scratch_clear(void)
{
    DIR *dir = opendir(scratch_dir);
    struct dirent *entry;

    FUZZ_CHECK(dir != NULL, "%s: %s", scratch_dir, strerror(errno));
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            FUZZ_CHECK(unlinkat(dirfd(dir), entry->d_name, 0) == 0, "%s/%s: %s", scratch_dir,
                       entry->d_name, strerror(errno));
    closedir(dir);
    random_state = 0;
    now_ms = START_MS;
}

void scratch_remove(void)
{
    scratch_clear();
    FUZZ_CHECK(rmdir(scratch_dir) == 0, "%s: %s", scratch_dir, strerror(errno));
}

/* In memory fallocate() would clear hundreds of pages of each file. */
static int cheap_fallocate(int fd, int mode, off_t off, off_t len)
{
    struct stat st;

    if (mode != 0)
        return lx_io_system.fallocate(fd, mode, off, len);
    if (lx_io_system.fstat(fd, &st) != 0)
        return -1;
    return off + len > st.st_size ? lx_io_system.ftruncate(fd, off + len) : 0;
}

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static int no_sync_of_range(void *addr, size_t len, int fd)
{
    (void)addr;
    (void)len;
    return no_sync(fd);
}

void scratch_make_cheap(void)
{
    static struct lx_io io;

    io = lx_io_system;
    io.fallocate = cheap_fallocate;
    io.fdatasync = no_sync;
    io.fsync = no_sync;
    io.msync = no_sync_of_range;
    lx_io = &io;
}

void scratch_write(const char *suffix, const uint8_t *bytes, size_t len)
{
    char path[400];
    int fd;

    snprintf(path, sizeof path, "%s%s", scratch_path, suffix);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && close(fd) == 0, "%s: %s", path,
               strerror(errno));
}

uint8_t *scratch_read(const char *suffix, size_t *ret_len)
{
    char path[400];
    uint8_t *bytes;
    struct stat st;
    int fd;

    snprintf(path, sizeof path, "%s%s", scratch_path, suffix);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    FUZZ_CHECK(fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
    bytes = malloc((size_t)st.st_size + 1);
    FUZZ_CHECK(bytes != NULL && read(fd, bytes, (size_t)st.st_size) == (ssize_t)st.st_size,
               "%s: %s", path, strerror(errno));
    close(fd);
    *ret_len = (size_t)st.st_size;
    return bytes;
}
