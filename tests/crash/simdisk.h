/* SPDX-License-Identifier: MIT */
/*
 * A disk that loses power. It stands behind lx_io: the calls go through to real files in a real
 * directory, and beside them it keeps what a disk would have of the data file, of NAME-compact and
 * of NAME-lost:
 *
 *   durable   the bytes and the size as of the last successful sync of the file; a sync of a range
 *             (msync) is of its sectors and of the size, and leaves the other sectors as they were
 *   versions  every content that a sector of 512 bytes has had since then, also in the middle of a
 *             store
 *   resizes   every size that the file has had since then
 *   names     what the directory said at its last sync, and what was created, renamed and removed
 *             since
 *
 * A loss of power keeps of each sector any one of its versions, of the sizes any one, of the
 * changes of names any subset; never-written bytes are zeros. What a cut takes away goes with the
 * size, except that the rest of the last block of 4096 bytes may have become zeros before.
 *
 * Syncs never reach the real files, so they cost nothing. The two helper files are not recorded:
 * tests put what they like in their place. One disk is mounted at a time; calls on it may come from
 * several threads.
 */
#ifndef LX_TESTS_SIMDISK_H
#define LX_TESTS_SIMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SECTOR 512u
#define SIM_BLOCK 4096u

enum sim_name { SIM_DATA, SIM_COMPACT, SIM_LOST, SIM_NAMES };

/* What happened. Of a sync before it takes effect, of everything else after. */
enum sim_event { SIM_STORED, SIM_RESIZED, SIM_NAMED, SIM_SYNCS_FILE, SIM_SYNCS_DIRECTORY };

struct sim_disk;

/* A splitmix64 generator: what is random here and in the tests. */
struct sim_rng {
    uint64_t state;
};
uint64_t sim_random(struct sim_rng *rng);
uint32_t sim_below(struct sim_rng *rng, uint32_t n); /* 0 .. n-1 */

/* ---- disks ------------------------------------------------------------------------------------
 */

struct sim_disk *sim_disk_new(void);
struct sim_disk *sim_disk_clone(const struct sim_disk *disk);
void sim_disk_free(struct sim_disk *disk); /* NULL is fine */
/* A durable file. */
void sim_disk_put(struct sim_disk *disk, enum sim_name name, const uint8_t *bytes, size_t len);
/* What reads as the file now: false if there is none. `*ret_bytes` are the first `*ret_used` of its
 * `*ret_size` bytes, the others zeros; good until the disk changes. */
bool sim_disk_get(const struct sim_disk *disk, enum sim_name name, const uint8_t **ret_bytes,
                  size_t *ret_used, uint64_t *ret_size);

/* ---- power loss -------------------------------------------------------------------------------
 */

/* Which of all images: the `number`th; or one that is made from `number` as a seed; or, with
 * `digits`, the one whose choices they are: of n possibilities, from the oldest on, the one that
 * the next digit modulo n says, and when there are no digits left, the newest. */
struct sim_choice {
    bool random;
    uint64_t number;
    const uint8_t *digits; /* NULL: one of the others */
    size_t digit_count;
};

/* How many images of the data file there are to number; UINT64_MAX for too many to count. Some of
 * them may be equal. */
uint64_t sim_images(const struct sim_disk *disk);
/* The file as that image has it: false if it has none. Writes the first *ret_used bytes into `out`,
 * which has room for `room`; the others of *ret_size are zeros. */
bool sim_image(const struct sim_disk *disk, struct sim_choice choice, enum sim_name name,
               uint8_t *out, size_t room, size_t *ret_used, uint64_t *ret_size);
/* All of that image, as a disk with nothing pending. */
struct sim_disk *sim_crash(const struct sim_disk *disk, struct sim_choice choice);

/* ---- mounting ---------------------------------------------------------------------------------
 */

/* Make the real directory `dir` hold what the disk reads as now, with `name` for the data file, and
 * record there what goes through lx_io, until sim_unmount(). */
void sim_mount(struct sim_disk *disk, const char *dir, const char *name);
void sim_unmount(void);
/* `event` is called in the middle of the call, and must not use the library. NULL: nobody. */
void sim_watch(void (*event)(void *arg, enum sim_event event), void *arg);

/* Syncs that claim success and do nothing. */
void sim_lie(bool files, bool directory);
/* The nth sync of a file from now on fails, once, with EIO. Of its pending sectors (of the range)
 * any version, or none, has reached the disk, and the others never will, though they are still what
 * reads give. 0: none. */
void sim_fail_sync(unsigned nth, uint64_t seed);
bool sim_sync_has_failed(void);   /* since sim_fail_sync() */
uint64_t sim_syncs(void);         /* asked for since the program began */
uint64_t sim_syncs_in_part(void); /* of a range, that left something of its file pending */

#endif
