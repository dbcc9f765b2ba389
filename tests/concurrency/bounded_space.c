/* SPDX-License-Identifier: MIT */
/*
 * What a process that does not let go of an old generation costs: one generation of the files, and
 * never more, however much is overwritten meanwhile. Processes are stopped in a read section or
 * between two writes, keep an iterator, are killed, or sit idle, while another overwrites the live
 * data many times with automatic compaction on.
 *
 * The disk is looked at all along, in two ways. As root the program runs on a tmpfs of its own,
 * whose statvfs() counts whatever takes space, named or not, at one instant. And in any case it
 * looks at the files themselves: by name, and through the descriptors that the processes hold of
 * files without a name. Both have to give the same number of bytes whenever nobody writes.
 *
 * The writer waits for a compaction that is due, so that the bound holds however slow the machine
 * is; should compaction not come, or old files stay, it waits for ever and the deadline reports it.
 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define KEYS 512u
#define VALUE_LEN 8192u
#define STEP 32u        /* keys between two looks at whether a compaction is due */
#define FLOOR (4 * MIB) /* of dead bytes: as much as there is live data */
#define LIVE_MAX (UINT64_C(1) * KEYS * (VALUE_LEN + 32)) /* with keys and heads */
/* The live data, the dead data that starts a compaction, a quarter allocated ahead. */
#define GENERATION_MAX ((LIVE_MAX + FLOOR) / 4 * 5 + MIB)
#define TIMES 200u /* the live data is overwritten */
#define TIMES_FEW 16u
#define HELD 64u /* keys that a reader keeps pointers to */
#define CROWD 4u /* readers stopped at different generations */
#define FILES 64u
#define LOOKS 8u /* by statvfs(), which is quick, for one at the files */

struct scene {
    const char *path;
    _Atomic uint64_t begun, made; /* passes over all keys: the version of every value */
    _Atomic uint64_t times;       /* passes that the writer is to make */
    _Atomic uint64_t live;        /* bytes of the live records */
    _Atomic uint64_t compactions;
    _Atomic uint64_t held; /* old generations that stay until they are let go */
    _Atomic uint64_t let_go, end;
    int workers[CROWD + 1]; /* whose descriptors may hold files */
    _Atomic unsigned workers_n;
    uint64_t most;         /* that the disk may hold */
    const char *most_name; /* under which the most that it did hold is printed */
};

static size_t key_make(char *key, size_t cap, unsigned number)
{
    return (size_t)snprintf(key, cap, "key/%u", number);
}

static lxdb_options options(void)
{
    return (lxdb_options){.compact_floor = FLOOR};
}

/* ---- What the disk holds --------------------------------------------------------------------- */

struct file {
    uint64_t ino, bytes;
    bool data; /* else an index, or the lock file */
    bool named;
};

struct picture {
    struct file files[FILES];
    unsigned n;
    uint64_t bytes, old_bytes; /* of all files; of those without a name */
    unsigned old;              /* data files without a name */
};

static bool own_file_system; /* with nothing on it but the database */

/* Put a tmpfs over the directory of this run, in a name space of mounts that ends with us. It is
 * larger than any bound here, and smaller than what is overwritten. */
static void own_file_system_make(void)
{
    static bool tried;

    if (tried)
        return;
    tried = true;
    own_file_system = unshare(CLONE_NEWNS) == 0 &&
                      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                      mount("none", harness_directory(), "tmpfs", 0, "size=256m") == 0;
    if (!own_file_system)
        printf("not checked against statvfs(): mounting a tmpfs: %s\n", strerror(errno));
}

static uint64_t own_file_system_bytes(void)
{
    struct statvfs info;

    CHECK(statvfs(harness_directory(), &info) == 0, "statvfs: %s", strerror(errno));
    return (info.f_blocks - info.f_bfree) * info.f_frsize;
}

static void picture_add(struct picture *picture, const struct stat *info, bool data, bool named)
{
    struct file file = {info->st_ino, (uint64_t)info->st_blocks * 512, data, named};

    for (unsigned i = 0; i < picture->n; i++)
        if (picture->files[i].ino == file.ino)
            return;
    CHECK(picture->n < FILES, "there are %u files", picture->n);
    picture->files[picture->n++] = file;
    picture->bytes += file.bytes;
    picture->old_bytes += named ? 0 : file.bytes;
    picture->old += data && !named;
}

static void picture_add_named(struct picture *picture, const struct scene *scene)
{
    static const char *const suffixes[] = {"", "-index", "-lock", "-compact", "-compact-index"};
    char path[512];
    struct stat info;

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", scene->path, suffixes[i]);
        if (lstat(path, &info) == 0)
            picture_add(picture, &info, i == 0 || i == 3, true);
    }
}

/* What a process holds open of our files. Those without a name count as old generations. */
static void picture_add_held(struct picture *picture, const struct scene *scene, int pid)
{
    size_t path_len = strlen(scene->path);
    char folder[64], link[sizeof(folder) + 300], target[512];
    struct dirent *entry;
    struct stat info;
    DIR *fds;

    (void)snprintf(folder, sizeof(folder), "/proc/%d/fd", pid);
    fds = opendir(folder);
    if (fds == NULL)
        return; /* it has ended */
    while ((entry = readdir(fds)) != NULL) {
        ssize_t len;

        (void)snprintf(link, sizeof(link), "%s/%s", folder, entry->d_name);
        len = readlink(link, target, sizeof(target) - 1);
        if (len <= 0)
            continue;
        target[len] = '\0';
        if (strncmp(target, scene->path, path_len) == 0 && stat(link, &info) == 0)
            picture_add(picture, &info, strstr(target + path_len, "-index") == NULL,
                        info.st_nlink != 0);
    }
    (void)closedir(fds);
}

static void picture_take_once(struct picture *picture, const struct scene *scene)
{
    memset(picture, 0, sizeof(*picture));
    picture_add_named(picture, scene);
    for (unsigned i = 0; i < scene->workers_n; i++)
        picture_add_held(picture, scene, harness_pid(scene->workers[i]));
}

/* All files that there were at one instant: the same in two looks one after the other. False: they
 * were changing. */
static bool picture_take(struct picture *picture, const struct scene *scene)
{
    struct picture before;

    picture_take_once(&before, scene);
    picture_take_once(picture, scene);
    if (before.n != picture->n)
        return false;
    for (unsigned i = 0; i < before.n; i++)
        if (before.files[i].ino != picture->files[i].ino ||
            before.files[i].named != picture->files[i].named)
            return false;
    return true;
}

/* Whether the files of the picture are all that takes space. Not so while the kernel is still
 * taking down a file that nobody has any more. */
static bool picture_is_all(const struct picture *picture)
{
    return !own_file_system || own_file_system_bytes() == picture->bytes;
}

/* ---- Workers --------------------------------------------------------------------------------- */

/* Whether what a compaction replaced is gone, but for what is held. */
static bool old_files_are_gone(const struct scene *scene)
{
    struct picture picture;

    return picture_take(&picture, scene) && picture.old <= atomic_load(&scene->held) &&
           picture_is_all(&picture);
}

struct due {
    struct scene *scene;
    lxdb *db;
    uint64_t compactions;
};

/* That no compaction is due, and that the last one is over. */
static bool nothing_is_due(void *arg)
{
    struct due *due = arg;
    lxdb_stat_info info;

    CHECK_OK(due->db, lxdb_stat(due->db, &info));
    atomic_store(&due->scene->live, info.live_bytes);
    if (info.dead_bytes > FLOOR && info.dead_bytes > info.live_bytes)
        return false;
    if (info.compactions == due->compactions)
        return true;
    if (!old_files_are_gone(due->scene))
        return false;
    due->compactions = info.compactions;
    atomic_store(&due->scene->compactions, info.compactions);
    return true;
}

/* Overwrite everything, `times` times, and again when there are to be more. */
static void writer_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, options());
    struct due due = {scene, db, 0};
    size_t key_len;
    char key[32];

    while (atomic_load(&scene->end) == 0) {
        uint64_t version = atomic_load(&scene->made) + 1;

        if (version > atomic_load(&scene->times)) {
            harness_until_least("asked for no more passes", &scene->times, version);
            continue;
        }
        harness_stage("overwriting");
        atomic_store(&scene->begun, version);
        for (unsigned i = 0; i < KEYS; i++) {
            key_len = key_make(key, sizeof(key), i);
            CHECK_OK(db, harness_value_write(db, key, key_len, version, VALUE_LEN));
            if (i % STEP == STEP - 1 && !nothing_is_due(&due))
                harness_until("a compaction that is due", nothing_is_due, &due);
        }
        atomic_store(&scene->made, version);
        harness_progress();
    }
    CHECK_OK(NULL, lxdb_close(db));
}

/* The newest versions are there. */
static void check_new(lxdb *db, const struct scene *scene)
{
    char key[32];

    for (unsigned i = 0; i < KEYS; i += 17) {
        uint64_t least = atomic_load(&scene->made);
        uint64_t version = harness_value_read(db, key, key_make(key, sizeof(key), i));

        CHECK(version >= least && version <= atomic_load(&scene->begun),
              "%s: version %llu, %llu was acknowledged", key, (unsigned long long)version,
              (unsigned long long)least);
        harness_count("new values read by those who went on", 1);
    }
}

/* What a holder does last: it has let go and idles until all is over. */
static void idle_and_close(lxdb *db, struct scene *scene)
{
    harness_progress();
    harness_until_least("idle", &scene->end, 1);
    CHECK_OK(NULL, lxdb_close(db));
}

struct held {
    const void *value;
    uint64_t version;
    size_t len, key_len;
    char key[32];
};

static void peek_all(lxdb *db, struct held held[HELD])
{
    for (unsigned i = 0; i < HELD; i++) {
        held[i].key_len = key_make(held[i].key, sizeof(held[i].key), i * (KEYS / HELD));
        CHECK_OK(db, lxdb_peek(db, held[i].key, held[i].key_len, &held[i].value, &held[i].len));
        held[i].version = harness_value_check(held[i].value, held[i].len, held[i].key,
                                              held[i].key_len);
    }
}

static void check_held(const struct held held[HELD])
{
    for (unsigned i = 0; i < HELD; i++) {
        uint64_t version = harness_value_check(held[i].value, held[i].len, held[i].key,
                                               held[i].key_len);

        CHECK(version == held[i].version, "%s: version %llu under a pointer to version %llu",
              held[i].key, (unsigned long long)version, (unsigned long long)held[i].version);
        harness_count("old values behind pointers", 1);
    }
}

/* Keeps pointers in a read section, and is stopped there. */
static void section_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, options());
    struct held held[HELD];

    CHECK_OK(db, lxdb_read_begin(db));
    peek_all(db, held);
    harness_progress();
    harness_until_least("in a section", &scene->let_go, 1);
    check_held(held);
    lxdb_read_end(db);
    check_new(db, scene);
    idle_and_close(db, scene);
}

/* Peeks again in the same section whenever there was a compaction. */
static void long_section_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, options());
    struct held held[CROWD][HELD];

    CHECK_OK(db, lxdb_read_begin(db));
    for (unsigned i = 0; i < CROWD; i++) {
        harness_until_least("in a section", &scene->let_go, i);
        peek_all(db, held[i]);
        harness_progress();
    }
    harness_until_least("in a section", &scene->let_go, CROWD);
    for (unsigned i = 0; i < CROWD; i++)
        check_held(held[i]);
    lxdb_read_end(db);
    check_new(db, scene);
    idle_and_close(db, scene);
}

/* Has written, and is stopped before it writes again. */
static void other_writer_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, options());

    CHECK_OK(db, harness_value_write(db, "other", 5, 1, 100));
    harness_progress();
    harness_until_least("between two writes", &scene->let_go, 1);
    CHECK(harness_value_read(db, "other", 5) == 1, "its own write");
    CHECK_OK(db, harness_value_write(db, "other", 5, 2, 100));
    CHECK(harness_value_read(db, "other", 5) == 2, "its own write");
    check_new(db, scene);
    idle_and_close(db, scene);
}

struct reading {
    struct scene *scene;
    lxdb *db;
};

static bool reads_until_let_go(void *arg)
{
    const struct reading *reading = arg;
    uint64_t least = atomic_load(&reading->scene->made);

    CHECK(harness_value_read(reading->db, "key/0", 5) >= least, "an old value beside an iterator");
    return atomic_load(&reading->scene->let_go) != 0;
}

/* Keeps an iterator, and reads on beside it. */
static void iterator_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, options());
    struct reading reading = {scene, db};
    const void *key, *value;
    size_t key_len, value_len, n = 0;
    uint64_t version = 0;
    lxdb_iter *iter;
    int rc;

    CHECK_OK(db, lxdb_iter_open(db, NULL, 0, 0, &iter));
    harness_progress();
    harness_until("reading beside an iterator", reads_until_let_go, &reading);
    for (; (rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len)) == LXDB_OK; n++) {
        uint64_t here = harness_value_check(value, value_len, key, key_len);

        version = n == 0 ? here : version;
        CHECK(here == version, "an iteration gives versions %llu and %llu",
              (unsigned long long)version, (unsigned long long)here);
        harness_count("old values of an iteration", 1);
    }
    CHECK_RC(db, LXDB_NOTFOUND, rc);
    CHECK(n == KEYS, "an iteration gives %zu of %u keys", n, KEYS);
    CHECK(version < scene->made, "the iteration is of the newest state");
    lxdb_iter_close(iter);
    idle_and_close(db, scene);
}

/* Reads once and does nothing more until it is told to. */
static void idle_run(void *arg)
{
    struct scene *scene = arg;
    lxdb *db = harness_open(scene->path, options());

    (void)harness_value_read(db, "key/0", 5);
    harness_progress();
    harness_until_least("idle", &scene->let_go, 1);
    check_new(db, scene);
    idle_and_close(db, scene);
}

/* ---- The director ---------------------------------------------------------------------------- */

/* The files of a picture, for a report. */
static const char *describe(const struct picture *picture)
{
    static char text[64 * FILES];
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < picture->n && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " %s%s %llu KiB;",
                                 picture->files[i].named ? "" : "old ",
                                 picture->files[i].data ? "data" : "helper",
                                 (unsigned long long)picture->files[i].bytes >> 10);
    return text;
}

static void sample_files(struct scene *scene)
{
    struct picture picture;

    if (!picture_take(&picture, scene))
        return;
    CHECK(picture.bytes <= scene->most, "%llu bytes are taken, %llu may be:%s",
          (unsigned long long)picture.bytes, (unsigned long long)scene->most, describe(&picture));
    harness_count("looks at the files", 1);
    harness_count_max(scene->most_name, picture.bytes >> 10);
}

/* One more look at the disk, which is never to hold more than it may. */
static void sample(struct scene *scene)
{
    static unsigned looks;
    struct picture picture;
    uint64_t bytes;

    if (looks++ % LOOKS == 0 || !own_file_system)
        sample_files(scene);
    if (!own_file_system)
        return;
    bytes = own_file_system_bytes();
    if (bytes > scene->most)
        (void)picture_take(&picture, scene);
    CHECK(bytes <= scene->most, "%llu bytes are taken, %llu may be; a moment later there were:%s",
          (unsigned long long)bytes, (unsigned long long)scene->most, describe(&picture));
    harness_count("looks by statvfs", 1);
    harness_count_max(scene->most_name, bytes >> 10);
}

struct passes {
    struct scene *scene;
    uint64_t times;
};

static bool passes_made(void *arg)
{
    struct passes *passes = arg;

    sample(passes->scene);
    return atomic_load(&passes->scene->made) >= passes->times;
}

/* Overwrite everything so many times. There is a compaction whenever it was overwritten once, and
 * a little more. */
static void overwrite(struct scene *scene, uint64_t times)
{
    uint64_t made = scene->made;
    uint64_t compactions = atomic_load(&scene->compactions);

    for (uint64_t n = 1; n <= times; n++) {
        struct passes passes = {scene, made + n};

        harness_phase("overwriting"); /* each pass may take as long as a phase may */
        atomic_store(&scene->times, passes.times);
        harness_until("overwriting", passes_made, &passes);
    }
    compactions = atomic_load(&scene->compactions) - compactions;
    CHECK(compactions >= (times - 1) / 2 && compactions <= times,
          "%llu compactions while all was overwritten %llu times", (unsigned long long)compactions,
          (unsigned long long)times);
    harness_count("MiB overwritten", times * scene->live / MIB);
    harness_count("compactions", compactions);
}

struct quiet {
    const struct scene *scene;
    struct picture picture;
};

static bool is_quiet(void *arg)
{
    struct quiet *quiet = arg;

    return picture_take(&quiet->picture, quiet->scene) &&
           quiet->picture.old == atomic_load(&quiet->scene->held) &&
           picture_is_all(&quiet->picture);
}

/* With nobody writing: until the old generations that are held, and no others, are left, and the
 * files that were found are all that takes space. */
static void await_quiet(const struct scene *scene)
{
    struct quiet quiet = {.scene = scene};

    harness_phase("until only the old generations that are held are left");
    harness_until("only those old generations that are held", is_quiet, &quiet);
    harness_count("quiet looks that agree", 1);
    if (quiet.picture.old > 0)
        harness_count_max("one old generation, KiB",
                          (quiet.picture.old_bytes >> 10) / quiet.picture.old);
}

static void set_held(struct scene *scene, uint64_t held)
{
    atomic_store(&scene->held, held);
}

static int join(struct scene *scene, const char *role, harness_work work)
{
    int worker = harness_start(role, work, scene);

    CHECK(scene->workers_n < CROWD + 1, "the list of workers is full");
    scene->workers[scene->workers_n++] = worker;
    return worker;
}

/* An empty database. What may be on the disk: a generation, the file that a compaction makes,
 * `most` old generations, and what does not count in larger databases: helper files, and the
 * megabyte that a compaction allocates beyond what it needs. */
static struct scene *scene_new(const char *name, unsigned most)
{
    struct scene *scene = harness_shared(sizeof(*scene));

    own_file_system_make();
    scene->path = harness_path(name);
    scene->most = GENERATION_MAX + LIVE_MAX + 2 * MIB + most * GENERATION_MAX;
    scene->most_name = most == 1 ? "most on the disk beside one old generation, KiB"
                                 : "most on the disk beside several, KiB";
    harness_count_max(most == 1 ? "it may be, KiB" : "they may be, KiB", scene->most >> 10);
    return scene;
}

/* And a writer that has filled it and overwritten it until it was compacted. */
static struct scene *scene_filled(const char *name, unsigned most)
{
    struct scene *scene = scene_new(name, most);

    (void)join(scene, "writer", writer_run);
    overwrite(scene, 3);
    await_quiet(scene);
    return scene;
}

static void scene_end(struct scene *scene)
{
    uint64_t extra = 0;
    lxdb *db;

    set_held(scene, 0);
    await_quiet(scene);
    harness_phase("end");
    atomic_store(&scene->end, 1);
    atomic_fetch_add(&scene->times, 1); /* wakes the writer */
    for (unsigned i = 0; i < scene->workers_n; i++)
        harness_wait(scene->workers[i]);
    db = harness_open(scene->path, (lxdb_options){.flags = LXDB_NOCREATE});
    check_new(db, scene);
    extra = harness_value_read(db, "other", 5) != 0;
    CHECK_OK(NULL, lxdb_close(db));
    harness_check_closed(scene->path, KEYS + extra);
}

/* The life of one process that holds one old generation while all is overwritten. */
static void one_holder(const char *name, harness_work work, bool stopped, unsigned times)
{
    struct scene *scene = scene_filled(name, 1);
    int holder = join(scene, name, work);

    harness_await_steps(holder, 1);
    if (stopped)
        harness_stop(holder);
    set_held(scene, 1);
    overwrite(scene, harness_rounds(times));
    await_quiet(scene);
    harness_phase("holder goes on");
    atomic_store(&scene->let_go, 1);
    if (stopped)
        harness_continue(holder);
    harness_await_steps(holder, 2);
    scene_end(scene);
    harness_count("old generations held and let go", 1);
}

static void stopped_reader_costs_one_old_generation(void)
{
    one_holder("stopped reader", section_run, true, TIMES);
    harness_count_least("MiB overwritten", 5 * TIMES);
    harness_count_least("compactions", TIMES);
    harness_count_least("looks at the files", 20);
    harness_count_least("quiet looks that agree", 20);
    harness_count_least("old values behind pointers", 5 * HELD);
    if (own_file_system)
        harness_count_least("looks by statvfs", TIMES);
}

static void stopped_writer_outside_the_lock_costs_one_old_generation(void)
{
    one_holder("stopped writer", other_writer_run, true, TIMES_FEW);
}

static void open_iterator_costs_one_old_generation(void)
{
    one_holder("iterator", iterator_run, false, TIMES_FEW);
}

static void stopped_readers_cost_one_old_generation_each(void)
{
    struct scene *scene = scene_filled("crowd", CROWD);
    int readers[CROWD];

    for (unsigned i = 0; i < CROWD; i++) {
        readers[i] = join(scene, "stopped reader", section_run);
        harness_await_steps(readers[i], 1);
        harness_stop(readers[i]);
        set_held(scene, i + 1);
        overwrite(scene, 2);
    }
    overwrite(scene, harness_rounds(TIMES_FEW));
    await_quiet(scene);
    harness_phase("one is killed, the others go on");
    scene->workers_n--;
    harness_kill(readers[CROWD - 1]);
    set_held(scene, CROWD - 1);
    await_quiet(scene);
    atomic_store(&scene->let_go, 1);
    for (unsigned i = 0; i < CROWD - 1; i++) {
        harness_continue(readers[i]);
        harness_await_steps(readers[i], 2);
        set_held(scene, CROWD - 2 - i);
        await_quiet(scene);
        harness_count("old generations held and let go", 1);
    }
    scene_end(scene);
}

/* The writer goes on only when the idle process has let go. */
static void idle_process_lets_go_of_its_old_generation_by_itself(void)
{
    struct scene *scene = scene_filled("idle", 0);
    int idle = join(scene, "idle", idle_run);

    harness_await_steps(idle, 1);
    overwrite(scene, harness_rounds(3));
    await_quiet(scene);
    CHECK(harness_progress_of(idle) == 1, "it was not idle");
    harness_count("old generations let go while idle", scene->compactions - 1);
    atomic_store(&scene->let_go, 1);
    harness_await_steps(idle, 2);
    scene_end(scene);
}

/* It attached to a log shorter than the floor, and so has no helper thread. */
static void idle_process_without_helper_lets_go_at_its_next_call(void)
{
    struct scene *scene = scene_new("without helper", 1);
    int idle = join(scene, "idle", idle_run);

    harness_await_steps(idle, 1);
    set_held(scene, 1);
    (void)join(scene, "writer", writer_run);
    overwrite(scene, harness_rounds(TIMES_FEW));
    atomic_store(&scene->let_go, 1);
    harness_await_steps(idle, 2);
    scene_end(scene);
    harness_count("old generations held and let go", 1);
}

static void section_costs_each_generation_that_it_peeked_in(void)
{
    struct scene *scene = scene_filled("long section", CROWD);
    int reader = join(scene, "long section", long_section_run);

    for (unsigned i = 1; i <= CROWD; i++) {
        harness_await_steps(reader, i);
        set_held(scene, i);
        overwrite(scene, 4);
        await_quiet(scene);
        atomic_store(&scene->let_go, i);
    }
    harness_await_steps(reader, CROWD + 1);
    scene_end(scene);
    harness_count("old generations held and let go", CROWD);
}

int main(int argc, char **argv)
{
    static const harness_case cases[] = {
        HARNESS_CASE(stopped_reader_costs_one_old_generation),
        HARNESS_CASE(stopped_writer_outside_the_lock_costs_one_old_generation),
        HARNESS_CASE(open_iterator_costs_one_old_generation),
        HARNESS_CASE(stopped_readers_cost_one_old_generation_each),
        HARNESS_CASE(idle_process_lets_go_of_its_old_generation_by_itself),
        HARNESS_CASE(idle_process_without_helper_lets_go_at_its_next_call),
        HARNESS_CASE(section_costs_each_generation_that_it_peeked_in),
    };

    return harness_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
