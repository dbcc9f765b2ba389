/* SPDX-License-Identifier: MIT */
/* The simulated disk: see simdisk.h. */
#include "tests/crash/simdisk.h"

#include "sys/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NO_FILE (-1)
#define ONE_STORE 4u
#define NO_VERSION UINT32_MAX
#define FILES 32   /* inodes of one disk, those without a name included */
#define CHANGES 64 /* of names since the last sync of the directory */
#define COUNTED 6  /* changes of which all subsets are numbered */
#define DESCRIPTORS 1024
#define MAPPINGS 64
#define DIRECTORY (-2) /* in the table of descriptors */

/* ---- memory and chance ------------------------------------------------------------------------
 */

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "simulated disk: %s: %s\n", what, strerror(errno));
    abort();
}

/* Room for one more of `size` bytes in an array of `count`. */
static void *one_more(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 8;
        array = realloc(array, *capacity * size);
        require(array != NULL, "out of memory");
    }
    return array;
}

static void *copy_of(const void *bytes, size_t len)
{
    void *copy = malloc(len ? len : 1);

    require(copy != NULL, "out of memory");
    if (len != 0)
        memcpy(copy, bytes, len);
    return copy;
}

uint64_t sim_random(struct sim_rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t sim_below(struct sim_rng *rng, uint32_t n)
{
    return (uint32_t)((sim_random(rng) >> 32) * n >> 32);
}

/* ---- a disk -----------------------------------------------------------------------------------
 */

/* One content of a sector. */
struct version {
    uint64_t time;
    uint32_t
        before;   /* the version of the same sector before this one, or NO_VERSION: the durable */
    uint32_t era; /* resizes that had been made */
    uint8_t bytes[SIM_SECTOR];
};

struct sector {
    uint64_t number;
    uint32_t count; /* of versions */
    uint32_t last;
};

struct resize {
    uint64_t size;
    uint64_t time;
    bool cut; /* what was beyond is zeros from here on */
};

/* The first `used` bytes of a file; what lies beyond is zeros. */
struct contents {
    uint8_t *bytes;
    size_t used, room;
};

struct file {
    uint64_t inode; /* of the real file; 0: it has none */
    struct contents durable, now;
    struct resize *resizes; /* [0]: the durable size */
    size_t resize_count, resize_room;
    struct version *versions;
    size_t version_count, version_room;
    struct sector *sectors; /* those that have versions */
    size_t sector_count, sector_room;
};

struct names {
    int file[SIM_NAMES];
};

struct change {
    uint64_t time;
    int file; /* NO_FILE: removed */
    enum sim_name name;
    enum sim_name from; /* SIM_NAMES: created or removed, else the name it had */
};

struct sim_disk {
    uint64_t time;
    struct names durable, now;
    struct change changes[CHANGES];
    unsigned change_count;
    struct file files[FILES];
    int file_count;
};

struct sim_disk *sim_disk_new(void)
{
    struct sim_disk *disk = calloc(1, sizeof *disk);

    require(disk != NULL, "out of memory");
    for (int i = 0; i < SIM_NAMES; i++)
        disk->durable.file[i] = disk->now.file[i] = NO_FILE;
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    if (disk == NULL)
        return;
    for (int i = 0; i < disk->file_count; i++) {
        struct file *file = &disk->files[i];
        free(file->durable.bytes);
        free(file->now.bytes);
        free(file->resizes);
        free(file->versions);
        free(file->sectors);
    }
    free(disk);
}

struct sim_disk *sim_disk_clone(const struct sim_disk *disk)
{
    struct sim_disk *clone = copy_of(disk, sizeof *disk);

    for (int i = 0; i < clone->file_count; i++) {
        struct file *file = &clone->files[i];
        file->durable.bytes = copy_of(file->durable.bytes, file->durable.used);
        file->durable.room = file->durable.used;
        file->now.bytes = copy_of(file->now.bytes, file->now.used);
        file->now.room = file->now.used;
        file->resizes = copy_of(file->resizes, file->resize_count * sizeof *file->resizes);
        file->resize_room = file->resize_count;
        file->versions = copy_of(file->versions, file->version_count * sizeof *file->versions);
        file->version_room = file->version_count;
        file->sectors = copy_of(file->sectors, file->sector_count * sizeof *file->sectors);
        file->sector_room = file->sector_count;
    }
    return clone;
}

static void contents_reach(struct contents *contents, size_t used)
{
    if (used <= contents->used)
        return;
    if (used > contents->room) {
        contents->room = 2 * used;
        contents->bytes = realloc(contents->bytes, contents->room);
        require(contents->bytes != NULL, "out of memory");
    }
    memset(contents->bytes + contents->used, 0, used - contents->used);
    contents->used = used;
}

static void contents_cut(struct contents *contents, uint64_t size)
{
    if (contents->used > size)
        contents->used = (size_t)size;
}

static void contents_copy(struct contents *to, const struct contents *from)
{
    to->used = 0;
    contents_reach(to, from->used);
    if (from->used != 0)
        memcpy(to->bytes, from->bytes, from->used);
}

static uint64_t size_now(const struct file *file)
{
    return file->resizes[file->resize_count - 1].size;
}

static int new_file(struct sim_disk *disk, uint64_t inode)
{
    struct file *file;

    require(disk->file_count < FILES, "too many files");
    file = &disk->files[disk->file_count];
    *file = (struct file){.inode = inode};
    file->resizes = one_more(NULL, 0, &file->resize_room, sizeof *file->resizes);
    file->resizes[0] = (struct resize){0};
    file->resize_count = 1;
    return disk->file_count++;
}

/* The file is on the disk as it is now. */
static void settle(struct file *file)
{
    contents_copy(&file->durable, &file->now);
    file->resizes[0] = (struct resize){.size = size_now(file)};
    file->resize_count = 1;
    file->version_count = 0;
    file->sector_count = 0;
}

/* Bytes of a file: [from, to). */
struct range {
    uint64_t from, to;
};

static const struct range all_of_it = {0, UINT64_MAX};

static bool is_within(const struct sector *sector, struct range range)
{
    uint64_t start = sector->number * SIM_SECTOR;

    return start < range.to && start + SIM_SECTOR > range.from;
}

/* Sectors that overlap the range have no versions any more. */
static void forget_versions(struct file *file, struct range range)
{
    struct version *old = file->versions;
    size_t kept = 0;

    file->versions = NULL;
    file->version_count = file->version_room = 0;
    for (size_t i = 0; i < file->sector_count; i++) {
        struct sector sector = file->sectors[i];
        uint32_t at = sector.last;

        if (is_within(&sector, range))
            continue;
        sector.last = (uint32_t)file->version_count;
        while (at != NO_VERSION) { /* from the last one back */
            struct version *version;

            file->versions = one_more(file->versions, file->version_count, &file->version_room,
                                      sizeof *file->versions);
            version = &file->versions[file->version_count++];
            *version = old[at];
            at = version->before;
            if (at != NO_VERSION)
                version->before = (uint32_t)file->version_count;
        }
        file->sectors[kept++] = sector;
    }
    file->sector_count = kept;
    free(old);
}

void sim_disk_put(struct sim_disk *disk, enum sim_name name, const uint8_t *bytes, size_t len)
{
    int number = new_file(disk, 0);
    struct file *file = &disk->files[number];

    contents_reach(&file->now, len);
    if (len != 0)
        memcpy(file->now.bytes, bytes, len);
    file->resizes[0].size = len;
    settle(file);
    disk->durable.file[name] = disk->now.file[name] = number;
}

bool sim_disk_get(const struct sim_disk *disk, enum sim_name name, const uint8_t **ret_bytes,
                  size_t *ret_used, uint64_t *ret_size)
{
    const struct file *file;

    if (disk->now.file[name] == NO_FILE)
        return false;
    file = &disk->files[disk->now.file[name]];
    *ret_bytes = file->now.bytes;
    *ret_used = file->now.used;
    *ret_size = size_now(file);
    return true;
}

/* ---- what happens to it -----------------------------------------------------------------------
 */

static struct sector *sector_of(struct file *file, uint64_t number)
{
    struct sector *sector;

    for (size_t i = file->sector_count; i-- > 0;)
        if (file->sectors[i].number == number)
            return &file->sectors[i];
    file->sectors = one_more(file->sectors, file->sector_count, &file->sector_room,
                             sizeof *file->sectors);
    sector = &file->sectors[file->sector_count++];
    *sector = (struct sector){.number = number, .last = NO_VERSION};
    return sector;
}

static void add_version(struct sim_disk *disk, struct file *file, uint64_t number,
                        const uint8_t bytes[SIM_SECTOR])
{
    struct sector *sector = sector_of(file, number);
    struct version *version;

    file->versions = one_more(file->versions, file->version_count, &file->version_room,
                              sizeof *file->versions);
    version = &file->versions[file->version_count];
    version->time = disk->time;
    version->before = sector->last;
    version->era = (uint32_t)file->resize_count - 1;
    memcpy(version->bytes, bytes, SIM_SECTOR);
    sector->last = (uint32_t)file->version_count++;
    sector->count++;
}

/* Bytes that were written within one sector. In the middle of a store into a mapping the sector may
 * be on its way to the disk, so there is a version with a part of them too. Not of a pwrite, which
 * holds the page meanwhile, and not of up to ONE_STORE bytes: those are a single instruction. */
static void write_sector(struct sim_disk *disk, struct file *file, uint64_t off,
                         const uint8_t *bytes, size_t len, bool mapped)
{
    uint64_t number = off / SIM_SECTOR;
    size_t at = (size_t)(off % SIM_SECTOR);
    uint8_t sector[SIM_SECTOR] = {0};
    struct sim_rng rng = {disk->time};
    uint64_t start = number * SIM_SECTOR;

    if (start < file->now.used)
        memcpy(sector, file->now.bytes + start,
               file->now.used - start < SIM_SECTOR ? (size_t)(file->now.used - start) : SIM_SECTOR);
    if (memcmp(sector + at, bytes, len) == 0)
        return;
    if (mapped && len > ONE_STORE) {
        size_t part = 1 + sim_below(&rng, (uint32_t)len - 1);
        memcpy(sector + at, bytes, part);
        add_version(disk, file, number, sector);
    }
    memcpy(sector + at, bytes, len);
    add_version(disk, file, number, sector);
    contents_reach(&file->now, (size_t)(off + len));
    memcpy(file->now.bytes + off, bytes, len);
}

static void add_resize(struct sim_disk *disk, struct file *file, uint64_t size)
{
    bool cut = size < size_now(file);

    file->resizes = one_more(file->resizes, file->resize_count, &file->resize_room,
                             sizeof *file->resizes);
    file->resizes[file->resize_count++] = (struct resize){size, disk->time, cut};
}

static void write_bytes(struct sim_disk *disk, struct file *file, uint64_t off,
                        const uint8_t *bytes, size_t len, bool mapped)
{
    disk->time++;
    while (len > 0) {
        size_t part = SIM_SECTOR - (size_t)(off % SIM_SECTOR);

        if (part > len)
            part = len;
        write_sector(disk, file, off, bytes, part, mapped);
        off += part;
        bytes += part;
        len -= part;
    }
    if (off > size_now(file))
        add_resize(disk, file, off);
}

static void change_size(struct sim_disk *disk, struct file *file, uint64_t size)
{
    static const uint8_t zeros[SIM_BLOCK];
    uint64_t block_end = (size + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;

    disk->time++;
    if (size == size_now(file))
        return;
    if (size < file->now.used) { /* the rest of the last block: zeros, which may be written first */
        uint64_t end = block_end < file->now.used ? block_end : file->now.used;
        uint64_t was = size_now(file);

        if (end > size)
            write_bytes(disk, file, size, zeros, (size_t)(end - size), false);
        require(size_now(file) == was, "a cut made the file grow");
    }
    add_resize(disk, file, size);
    contents_cut(&file->now, size);
}

static void change_name(struct sim_disk *disk, enum sim_name name, int file, enum sim_name from)
{
    require(disk->change_count < CHANGES, "too many changes of names without a sync");
    disk->changes[disk->change_count++] = (struct change){++disk->time, file, name, from};
    if (from != SIM_NAMES)
        disk->now.file[from] = NO_FILE;
    disk->now.file[name] = file;
}

/* The sync of a range has failed: what was pending in it is lost, or not, for good. */
static void drop_pending(struct file *file, struct range range, struct sim_rng *rng)
{
    for (size_t i = 0; i < file->sector_count; i++) {
        uint32_t at = file->sectors[i].last;
        uint64_t start = file->sectors[i].number * SIM_SECTOR;

        if (!is_within(&file->sectors[i], range))
            continue;
        for (uint32_t back = sim_below(rng, file->sectors[i].count + 1); back > 0; back--)
            at = file->versions[at].before;
        if (at == NO_VERSION)
            continue;
        contents_reach(&file->durable, (size_t)start + SIM_SECTOR);
        memcpy(file->durable.bytes + start, file->versions[at].bytes, SIM_SECTOR);
    }
    forget_versions(file, range);
}

/* ---- power loss -------------------------------------------------------------------------------
 */

/* Makes the choices of one image, in a fixed order. */
struct chooser {
    struct sim_choice choice;
    uint64_t left; /* numbered: what is left of the number */
    struct sim_rng rng;
    enum { ANY, MOSTLY_NEW, MOSTLY_OLD, ENDS, UP_TO_TIME, STYLES } style;
    uint64_t time; /* UP_TO_TIME: the last moment that reached the disk */
};

static struct chooser chooser_make(const struct sim_disk *disk, struct sim_choice choice)
{
    struct chooser chooser = {.choice = choice, .left = choice.number, .rng = {choice.number}};

    if (choice.random) {
        chooser.style = sim_below(&chooser.rng, STYLES);
        chooser.time = disk->time - sim_below(&chooser.rng, 64) % (disk->time + 1);
    }
    return chooser;
}

/* One of 0 (the oldest) to n-1 (the newest). `in_time` of them, from the oldest on, are not too
 * late for UP_TO_TIME. */
static uint32_t choose(struct chooser *chooser, uint32_t n, uint32_t in_time)
{
    uint32_t digit;

    if (chooser->choice.digits != NULL) {
        if (chooser->choice.digit_count == 0)
            return n - 1;
        chooser->choice.digit_count--;
        return *chooser->choice.digits++ % n;
    }
    if (!chooser->choice.random) {
        digit = (uint32_t)(chooser->left % n);
        chooser->left /= n;
        return digit;
    }
    digit = sim_below(&chooser->rng, n);
    switch (chooser->style) {
    case MOSTLY_NEW:
        return sim_below(&chooser->rng, 6) ? n - 1 : digit;
    case MOSTLY_OLD:
        return sim_below(&chooser->rng, 6) ? 0 : digit;
    case ENDS:
        return sim_below(&chooser->rng, 2) ? n - 1 : 0;
    case UP_TO_TIME:
        return in_time - 1;
    default:
        return digit;
    }
}

static uint64_t times(uint64_t a, uint64_t b)
{
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

static uint64_t file_images(const struct file *file)
{
    uint64_t images = file->resize_count;

    for (size_t i = 0; i < file->sector_count; i++)
        images = times(images, file->sectors[i].count + 1);
    return images;
}

uint64_t sim_images(const struct sim_disk *disk)
{
    uint64_t most = 1;

    if (disk->change_count > COUNTED)
        return UINT64_MAX;
    for (int i = 0; i < disk->file_count; i++) { /* any that has, had or may get the name */
        uint64_t images = file_images(&disk->files[i]);
        if (images > most)
            most = images;
    }
    return times(most, UINT64_C(1) << disk->change_count);
}

/* The names that an image has. */
static struct names choose_names(const struct sim_disk *disk, struct chooser *chooser)
{
    struct names names = disk->durable;

    for (unsigned i = 0; i < disk->change_count; i++) {
        const struct change *change = &disk->changes[i];

        if (choose(chooser, 2, change->time <= chooser->time ? 2 : 1) == 0)
            continue;
        names.file[change->name] = change->file;
        if (change->from != SIM_NAMES && names.file[change->from] == change->file)
            names.file[change->from] = NO_FILE;
    }
    return names;
}

/* Zero what the cuts took that a content of `era` has not seen, up to the chosen resize. */
static void apply_cuts(const struct file *file, uint32_t era, uint32_t chosen, uint64_t start,
                       uint8_t *bytes, size_t len)
{
    for (uint32_t i = era + 1; i <= chosen; i++) {
        uint64_t size = file->resizes[i].size;

        if (file->resizes[i].cut && size < start + len)
            memset(bytes + (size > start ? size - start : 0), 0,
                   size > start ? (size_t)(start + len - size) : len);
    }
}

/* A range of the file is on the disk as it is now, and so is the size of the file; what a cut took
 * is gone for good. */
static void settle_range(struct file *file, struct range range)
{
    uint32_t newest = (uint32_t)file->resize_count - 1;
    uint64_t size = size_now(file);

    apply_cuts(file, 0, newest, 0, file->durable.bytes, file->durable.used);
    contents_cut(&file->durable, size);
    for (size_t i = 0; i < file->sector_count; i++) {
        uint64_t start = file->sectors[i].number * SIM_SECTOR;

        if (is_within(&file->sectors[i], range) && start < file->now.used) {
            uint64_t rest = file->now.used - start;
            size_t len = rest < SIM_SECTOR ? (size_t)rest : SIM_SECTOR;

            contents_reach(&file->durable, (size_t)start + len);
            memcpy(file->durable.bytes + start, file->now.bytes + start, len);
        }
        for (uint32_t at = file->sectors[i].last; at != NO_VERSION;
             at = file->versions[at].before) {
            struct version *version = &file->versions[at];

            apply_cuts(file, version->era, newest, start, version->bytes, SIM_SECTOR);
            version->era = 0;
        }
    }
    forget_versions(file, range);
    file->resizes[0] = (struct resize){.size = size};
    file->resize_count = 1;
}

static uint32_t resizes_in_time(const struct file *file, uint64_t time)
{
    uint32_t n = 1;

    while (n < file->resize_count && file->resizes[n].time <= time)
        n++;
    return n;
}

static uint32_t versions_in_time(const struct file *file, const struct sector *sector,
                                 uint64_t time)
{
    uint32_t n = sector->count + 1;

    for (uint32_t at = sector->last; at != NO_VERSION && file->versions[at].time > time;
         at = file->versions[at].before)
        n--;
    return n;
}

static void choose_contents(const struct file *file, struct chooser *chooser, uint8_t *out,
                            size_t room, size_t *ret_used, uint64_t *ret_size)
{
    uint32_t chosen = choose(chooser, (uint32_t)file->resize_count,
                             resizes_in_time(file, chooser->time));
    uint64_t size = file->resizes[chosen].size;
    size_t used = file->durable.used;

    require(used <= room, "an image is too large");
    if (used != 0)
        memcpy(out, file->durable.bytes, used);
    apply_cuts(file, 0, chosen, 0, out, used);
    for (size_t i = 0; i < file->sector_count; i++) {
        const struct sector *sector = &file->sectors[i];
        uint64_t start = sector->number * SIM_SECTOR;
        uint32_t at = sector->last;
        uint32_t pick = choose(chooser, sector->count + 1,
                               versions_in_time(file, sector, chooser->time));

        for (uint32_t back = sector->count - pick; back > 0; back--)
            at = file->versions[at].before;
        if (at == NO_VERSION)
            continue;
        require(start + SIM_SECTOR <= room, "an image is too large");
        if (used < start + SIM_SECTOR) {
            if (used < start)
                memset(out + used, 0, (size_t)start - used);
            used = (size_t)start + SIM_SECTOR;
        }
        memcpy(out + start, file->versions[at].bytes, SIM_SECTOR);
        apply_cuts(file, file->versions[at].era, chosen, start, out + start, SIM_SECTOR);
    }
    if (used > size) {
        memset(out + size, 0, used - (size_t)size);
        used = (size_t)size;
    }
    *ret_used = used;
    *ret_size = size;
}

bool sim_image(const struct sim_disk *disk, struct sim_choice choice, enum sim_name name,
               uint8_t *out, size_t room, size_t *ret_used, uint64_t *ret_size)
{
    struct chooser chooser = chooser_make(disk, choice);
    int file = choose_names(disk, &chooser).file[name];

    if (file == NO_FILE)
        return false;
    if (name != SIM_DATA && choice.digits == NULL) { /* only those of the data file are numbered */
        choice.random = true;
        choice.number = choice.number * FILES + (unsigned)file;
        chooser = chooser_make(disk, choice);
    }
    choose_contents(&disk->files[file], &chooser, out, room, ret_used, ret_size);
    return true;
}

struct sim_disk *sim_crash(const struct sim_disk *disk, struct sim_choice choice)
{
    struct sim_disk *image = sim_disk_new();

    for (int name = 0; name < SIM_NAMES; name++) {
        size_t room = 0, used;
        uint8_t *bytes;
        uint64_t size;

        for (int i = 0; i < disk->file_count; i++) {
            const struct file *file = &disk->files[i];
            if (room < file->durable.used)
                room = file->durable.used;
            for (size_t j = 0; j < file->sector_count; j++)
                if (room < (file->sectors[j].number + 1) * SIM_SECTOR)
                    room = (size_t)(file->sectors[j].number + 1) * SIM_SECTOR;
        }
        bytes = malloc(room + 1);
        require(bytes != NULL, "out of memory");
        if (sim_image(disk, choice, (enum sim_name)name, bytes, room, &used, &size)) {
            sim_disk_put(image, (enum sim_name)name, bytes, used);
            image->files[image->file_count - 1].resizes[0].size = size;
        }
        free(bytes);
    }
    return image;
}

/* ---- the table of file operations -------------------------------------------------------------
 */

struct mapping {
    uint8_t *base;
    size_t len;
    int file;
};

/* All of it under `lock`, which is held over the real call too, so that the records are in its
 * order. */
static struct {
    struct sim_disk *disk; /* NULL: nothing is mounted */
    char dir[512];
    char names[SIM_NAMES][128];
    int descriptors[DESCRIPTORS]; /* what file: file + 1, DIRECTORY, or 0 */
    struct mapping mappings[MAPPINGS];
    void (*event)(void *arg, enum sim_event event);
    void *arg;
    bool lying_files, lying_directory, failed;
    unsigned fail_after;
    struct sim_rng fail_rng;
    uint64_t syncs, syncs_in_part;
} sim;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void happened(enum sim_event event)
{
    if (sim.event != NULL)
        sim.event(sim.arg, event);
}

static struct file *file_behind(int fd)
{
    if (sim.disk == NULL || fd < 0 || fd >= DESCRIPTORS || sim.descriptors[fd] <= 0)
        return NULL;
    return &sim.disk->files[sim.descriptors[fd] - 1];
}

static enum sim_name name_of(int dirfd, const char *name)
{
    if (sim.disk == NULL || dirfd < 0 || dirfd >= DESCRIPTORS ||
        sim.descriptors[dirfd] != DIRECTORY)
        return SIM_NAMES;
    for (int i = 0; i < SIM_NAMES; i++)
        if (strcmp(name, sim.names[i]) == 0)
            return (enum sim_name)i;
    return SIM_NAMES;
}

static bool is_directory(const char *path)
{
    size_t len = strlen(sim.dir);

    return sim.disk != NULL && strncmp(path, sim.dir, len) == 0 &&
           (path[len] == '\0' || (path[len] == '/' && path[len + 1] == '\0'));
}

static int inode_of(int fd, uint64_t *ret_inode)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -1;
    *ret_inode = (uint64_t)st.st_ino;
    return 0;
}

/* The descriptor of a file that has one of our names. */
static void note_opened(int fd, enum sim_name name, bool created)
{
    uint64_t inode;
    int file = sim.disk->now.file[name];

    require(fd < DESCRIPTORS && inode_of(fd, &inode) == 0, "a descriptor");
    if (created) {
        for (int i = 0; i < sim.disk->file_count; i++) /* the number of a file that is gone */
            if (sim.disk->files[i].inode == inode)
                sim.disk->files[i].inode = 0;
        file = new_file(sim.disk, inode);
        change_name(sim.disk, name, file, SIM_NAMES);
    }
    require(file != NO_FILE && sim.disk->files[file].inode == inode, "an unknown file");
    sim.descriptors[fd] = file + 1;
    if (created)
        happened(SIM_NAMED);
}

static int sim_openat(int dirfd, const char *name, int flags, mode_t mode)
{
    enum sim_name known;
    int fd;

    pthread_mutex_lock(&lock);
    known = name_of(dirfd, name);
    fd = lx_io_system.openat(dirfd, name, flags, mode);
    require(known == SIM_NAMES || !(flags & O_CREAT) || (flags & O_EXCL), "O_CREAT alone");
    if (fd >= 0 && known != SIM_NAMES)
        note_opened(fd, known, (flags & O_CREAT) != 0);
    else if (fd >= 0 && dirfd == AT_FDCWD && is_directory(name) && fd < DESCRIPTORS)
        sim.descriptors[fd] = DIRECTORY;
    pthread_mutex_unlock(&lock);
    return fd;
}

static int sim_close(int fd)
{
    int rc;

    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < DESCRIPTORS)
        sim.descriptors[fd] = 0;
    rc = lx_io_system.close(fd);
    pthread_mutex_unlock(&lock);
    return rc;
}

static ssize_t sim_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    struct file *file;
    ssize_t done;

    pthread_mutex_lock(&lock);
    file = file_behind(fd);
    done = lx_io_system.pwrite(fd, buf, len, off);
    if (file != NULL && done > 0) {
        write_bytes(sim.disk, file, (uint64_t)off, buf, (size_t)done, false);
        happened(SIM_STORED);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

static int sim_ftruncate(int fd, off_t size)
{
    struct file *file;
    int rc;

    pthread_mutex_lock(&lock);
    file = file_behind(fd);
    rc = lx_io_system.ftruncate(fd, size);
    if (file != NULL && rc == 0) {
        change_size(sim.disk, file, (uint64_t)size);
        happened(SIM_RESIZED);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int sim_fallocate(int fd, int mode, off_t off, off_t len)
{
    struct file *file;
    int rc;

    pthread_mutex_lock(&lock);
    file = file_behind(fd);
    require(file == NULL || mode == 0, "a mode of fallocate() that is not simulated");
    rc = lx_io_system.fallocate(fd, mode, off, len);
    if (file != NULL && rc == 0 && (uint64_t)(off + len) > size_now(file)) {
        change_size(sim.disk, file, (uint64_t)(off + len));
        happened(SIM_RESIZED);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int sync_file(struct file *file, struct range range)
{
    happened(SIM_SYNCS_FILE);
    sim.syncs++;
    if (sim.fail_after != 0 && --sim.fail_after == 0) {
        drop_pending(file, range, &sim.fail_rng);
        sim.failed = true;
        errno = EIO;
        return -1;
    }
    if (sim.lying_files)
        return 0;
    if (range.from == 0 && range.to == UINT64_MAX)
        settle(file);
    else
        settle_range(file, range);
    sim.syncs_in_part += file->sector_count != 0;
    return 0;
}

static int sync_directory(void)
{
    happened(SIM_SYNCS_DIRECTORY);
    sim.syncs++;
    if (sim.lying_directory)
        return 0;
    sim.disk->durable = sim.disk->now;
    sim.disk->change_count = 0;
    return 0;
}

static int sync_any(int fd)
{
    struct file *file;
    int rc = 0;

    pthread_mutex_lock(&lock);
    file = file_behind(fd);
    if (file != NULL)
        rc = sync_file(file, all_of_it);
    else if (sim.disk != NULL && fd >= 0 && fd < DESCRIPTORS && sim.descriptors[fd] == DIRECTORY)
        rc = sync_directory();
    pthread_mutex_unlock(&lock);
    return rc;
}

/* The mapping that `at` is in, or NULL. */
static const struct mapping *mapping_at(const uint8_t *at)
{
    for (int i = 0; sim.disk != NULL && i < MAPPINGS; i++) {
        const struct mapping *mapping = &sim.mappings[i];

        if (mapping->base != NULL && at >= mapping->base && at < mapping->base + mapping->len)
            return mapping;
    }
    return NULL;
}

static int sim_msync(void *addr, size_t len, int fd)
{
    const uint8_t *at = addr;
    const struct mapping *mapping;
    struct range range;
    int rc = 0;

    pthread_mutex_lock(&lock);
    mapping = mapping_at(at);
    if (mapping != NULL) {
        range.from = (uint64_t)(at - mapping->base);
        range.to = range.from + len;
        require(range.from % (uint64_t)sysconf(_SC_PAGESIZE) == 0, "msync from within a page");
        require(range.to <= mapping->len, "msync past the end of a mapping");
        require(file_behind(fd) == &sim.disk->files[mapping->file], "msync for another file");
        rc = sync_file(&sim.disk->files[mapping->file], range);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int sim_renameat(int dirfd, const char *from, const char *to)
{
    enum sim_name old, new;
    int rc;

    pthread_mutex_lock(&lock);
    old = name_of(dirfd, from);
    new = name_of(dirfd, to);
    require((old == SIM_NAMES) == (new == SIM_NAMES), "a rename to or from an unknown name");
    rc = lx_io_system.renameat(dirfd, from, to);
    if (rc == 0 && old != SIM_NAMES) {
        change_name(sim.disk, new, sim.disk->now.file[old], old);
        happened(SIM_NAMED);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static int sim_unlinkat(int dirfd, const char *name)
{
    enum sim_name known;
    int rc;

    pthread_mutex_lock(&lock);
    known = name_of(dirfd, name);
    rc = lx_io_system.unlinkat(dirfd, name);
    if (rc == 0 && known != SIM_NAMES) {
        change_name(sim.disk, known, NO_FILE, SIM_NAMES);
        happened(SIM_NAMED);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static void *sim_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
    struct file *file;
    void *base;

    pthread_mutex_lock(&lock);
    file = file_behind(fd);
    base = lx_io_system.mmap(addr, len, prot, flags, fd, off);
    if (file != NULL && base != MAP_FAILED) {
        int i = 0;

        require(off == 0, "a mapping from the middle of a file");
        while (i < MAPPINGS && sim.mappings[i].base != NULL)
            i++;
        require(i < MAPPINGS, "too many mappings");
        sim.mappings[i] = (struct mapping){base, len, (int)(file - sim.disk->files)};
    }
    pthread_mutex_unlock(&lock);
    return base;
}

static int sim_munmap(void *addr, size_t len)
{
    int rc;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAPPINGS; i++)
        if (sim.mappings[i].base == addr)
            sim.mappings[i].base = NULL;
    rc = lx_io_system.munmap(addr, len);
    pthread_mutex_unlock(&lock);
    return rc;
}

static void sim_store(void *to, const void *from, size_t len)
{
    const uint8_t *at = to;
    const struct mapping *mapping;

    pthread_mutex_lock(&lock);
    lx_io_system.store(to, from, len);
    mapping = mapping_at(at);
    if (mapping != NULL) {
        write_bytes(sim.disk, &sim.disk->files[mapping->file], (uint64_t)(at - mapping->base), from,
                    len, true);
        happened(SIM_STORED);
    }
    pthread_mutex_unlock(&lock);
}

static struct lx_io table;

/* ---- mounting ---------------------------------------------------------------------------------
 */

static void make_real(struct file *file, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0, path);
    require(pwrite(fd, file->now.bytes, file->now.used, 0) == (ssize_t)file->now.used, path);
    require(ftruncate(fd, (off_t)size_now(file)) == 0, path);
    require(inode_of(fd, &file->inode) == 0, path);
    require(close(fd) == 0, path);
}

void sim_mount(struct sim_disk *disk, const char *dir, const char *name)
{
    static const char *const suffixes[] = {"",      "-compact", "-lost",
                                           "-lock", "-index",   "-compact-index"};
    char path[768];

    require(sim.disk == NULL, "another disk is mounted");
    if (lx_io != &table) {
        table = (struct lx_io){
            .openat = sim_openat,
            .close = sim_close,
            .fstat = lx_io_system.fstat,
            .fstatat = lx_io_system.fstatat,
            .pread = lx_io_system.pread,
            .pwrite = sim_pwrite,
            .ftruncate = sim_ftruncate,
            .fallocate = sim_fallocate,
            .fdatasync = sync_any,
            .fsync = sync_any,
            .renameat = sim_renameat,
            .unlinkat = sim_unlinkat,
            .mmap = sim_mmap,
            .munmap = sim_munmap,
            .msync = sim_msync,
            .store = sim_store,
        };
        lx_io = &table;
    }
    for (int i = 0; i < disk->file_count; i++)
        disk->files[i].inode = 0;
    for (int i = 0; i < (int)(sizeof suffixes / sizeof *suffixes); i++) {
        snprintf(path, sizeof path, "%s/%s%s", dir, name, suffixes[i]);
        require(unlink(path) == 0 || errno == ENOENT, path);
        if (i < SIM_NAMES)
            snprintf(sim.names[i], sizeof sim.names[i], "%s%s", name, suffixes[i]);
        if (i < SIM_NAMES && disk->now.file[i] != NO_FILE)
            make_real(&disk->files[disk->now.file[i]], path);
    }
    snprintf(sim.dir, sizeof sim.dir, "%s", dir);
    sim.disk = disk;
}

void sim_unmount(void)
{
    for (int i = 0; i < MAPPINGS; i++)
        require(sim.mappings[i].base == NULL, "a mapping is left");
    for (int i = 0; i < DESCRIPTORS; i++)
        require(sim.descriptors[i] == 0, "a descriptor is left");
    sim.disk = NULL;
    sim.event = NULL;
    sim.fail_after = 0;
    sim.failed = false;
}

void sim_watch(void (*event)(void *arg, enum sim_event event), void *arg)
{
    sim.event = event;
    sim.arg = arg;
}

void sim_lie(bool files, bool directory)
{
    sim.lying_files = files;
    sim.lying_directory = directory;
}

void sim_fail_sync(unsigned nth, uint64_t seed)
{
    sim.fail_after = nth;
    sim.fail_rng.state = seed;
    sim.failed = false;
}

bool sim_sync_has_failed(void)
{
    return sim.failed;
}

uint64_t sim_syncs(void)
{
    return sim.syncs;
}

uint64_t sim_syncs_in_part(void)
{
    return sim.syncs_in_part;
}
