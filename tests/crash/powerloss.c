/* SPDX-License-Identifier: MIT */
/*
 * Power loss. Sequences of operations run on the simulated disk (simdisk.h). At every sync, before it
 * takes effect, between operations, and now and then in the middle of one, the power is cut: a number of
 * the images that the disk may then have are made and judged.
 *
 * What is judged, by the model of the sequence (the state after each of its commits):
 *
 *   scan   every image: the plan of recovery (lx_scan_plan, lx_scan_walk) yields the state after some prefix
 *          of the commits, no shorter than what was acknowledged as durable (a flush, a commit in mode
 *          full, a compaction, a close, the opening), no longer than what was begun; it finds no
 *          damage, which a loss of power never looks like; batches are in it whole
 *   open   every OPEN_EVERY-th image is opened by the library beside helper files that are gone, as they were,
 *          torn, or noise: it reads the same as the scan said, by key, count and iteration; what was cut is in
 *          the -lost file. The opening itself is a sequence whose every image must still be that state, or,
 *          while what was cut is still there, have it in the -lost file
 *   again  then the operations that were lost run again with other values of the same lengths, so that their
 *          records end where stale ones did, on a disk that loses power too; and so on, LEVELS deep
 *   close  the closed file is strictly back to back whole records, and has the last state
 *
 * Besides cuts of power there are ends of all processes, after which the next opening finds the page cache as it
 * was: nothing may be lost then; and syncs that fail, after which writes are refused until a compaction.
 *
 * Before anything else the test proves that it can fail: with a disk whose syncs do nothing it must find a
 * lost commit (--lying-disk=files, --lying-disk=directory run only that).
 */
#include "base/hash.h"
#include "format/scan.h"
#include "lxdb.h"
#include "tests/crash/simdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPEN_EVERY 50u
#define KEYS 4u
#define OPS 12u
#define COMMITS (OPS + 1)
#define LEVELS 3u
#define LIE_FOUND_WITHIN 2000u
#define IMAGE_ROOM (8u << 20)
#define HELPER_ROOM (256u << 10)
#define NAME "power.lxdb"

/* ---- what is counted and reported ------------------------------------------------------------- */

static struct {
    uint64_t sequences, images, opened, recovering, again, kills, failed_syncs, strict, cut, missing;
} counts;

static struct {
    uint64_t seed;
    const char *phase;
    char sequence[1024];
    bool lying;
    char dir[256];
} test;

static uint64_t *kept_images; /* survives the process that proves the self-check */

static void remove_files(void)
{
    static const char *const suffixes[] = {"", "-compact", "-lost", "-lock", "-index",
                                           "-compact-index"};
    char path[512];

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(path, sizeof path, "%s/" NAME "%s", test.dir, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(test.dir);
}
