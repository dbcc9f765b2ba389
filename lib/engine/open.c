/* SPDX-License-Identifier: MIT */
/*
 * Attaching to a database. The protocol, on the OFD locks of the lock file (layout.h):
 *
 *   1  open the data file and the lock file; refuse what is unfit
 *   2  take the gate (polled until the deadline)
 *   3  both names still lead to the files just opened? else start again
 *   4  presence and the data file's lock exclusively: then we are alone, if 3 still holds: until
 *      the locks were ours somebody attached may have renamed a new file, and died. Recover, make
 *      the control block ready, turn both locks into shared ones
 *   5  else presence shared; the control block must be ready and ours
 *   6  take an identity; open a view; let go of the gate
 *
 * INV-1  Presence is held shared only by who is attached to a ready control block (a read-only
 *        opener that finds itself alone lets go at once), so being alone means that nobody is
 *        attached.
 * INV-2  Whatever the process dies of, the kernel lets go of its locks; what it left is recovered
 *        by the next that is alone, or repaired by the next holder of the writer lock.
 */
#include "engine/view.h"
#include "sys/ofd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MIN_NS 50000u
#define POLL_MAX_NS 2000000u
#define LOOK_EVERY_MS 100u /* how old a private reader's picture may be */

lx_deadline lx_core_deadline(const lx_core *core)
{
    return lx_deadline_in(core->options.busy_timeout_ms);
}

/* Wait a little longer each time. False: the deadline has passed. */
static bool poll_again(lx_deadline deadline, uint64_t *ns)
{
    if (lx_deadline_passed(deadline))
        return false;
    lx_sleep_ns(*ns);
    if (*ns < POLL_MAX_NS)
        *ns *= 2;
    return true;
}

int lx_core_gate(lx_core *core, lx_deadline deadline)
{
    uint64_t ns = POLL_MIN_NS;

    for (;;) {
        int rc = lx_ofd_set(core->lock_fd, LX_OFD_EXCLUSIVE, LX_BYTE_GATE);

        if (rc != LXDB_BUSY)
            return rc;
        if (!poll_again(deadline, &ns))
            return lx_fail(
                LXDB_BUSY,
                "%s: another process was opening, closing or recovering the database until "
                "the deadline",
                core->place.path);
    }
}

void lx_core_gate_open(lx_core *core)
{
    (void)lx_ofd_set(core->lock_fd, LX_OFD_NONE, LX_BYTE_GATE);
}

int lx_core_check_lock_file(const lx_core *core)
{
    bool same;
    int rc = lx_file_is_named(core->lock_fd, core->place.dirfd, core->lock_name, &same);

    if (rc == LXDB_OK && !same)
        return lx_fail(LXDB_CORRUPT,
                       "%s: its lock file was removed or replaced while it was open: close it "
                       "everywhere, then open it again",
                       core->place.path);
    return rc;
}

/* Everything attached but the views. */
static void let_go(lx_core *core)
{
    lx_map_close(&core->control_map);
    core->control_map = (lx_map){0};
    core->control = NULL;
    lx_file_close(core->self.probe_fd);
    lx_file_close(core->lock_fd);
    core->self.probe_fd = core->lock_fd = -1;
}

void lx_core_detach(lx_core *core)
{
    atomic_store(&core->epoch, LX_EPOCH_NONE);
    lx_view_close_all(core);
    atomic_store(&core->generation, &core->own_generation);
    let_go(core);
}

/* Open the data file and see that it is fit to be a database. */
static int open_data(lx_core *core, bool first, int *ret_fd, lx_file_info *ret_info)
{
    const lxdb_options *options = &core->options;
    int flags = core->readonly ? LX_FILE_RDONLY : 0;
    lx_file_info info;
    int fd;
    int rc;

    if (first && !core->readonly && !(options->flags & LXDB_NOCREATE))
        flags |= LX_FILE_CREATE | (options->flags & LXDB_EXCL && !core->made ? LX_FILE_EXCL : 0);
    rc = lx_file_open(core->place.dirfd, core->place.name, flags, options->mode, &fd);
    if (rc != LXDB_OK)
        return rc;
    if (flags & LX_FILE_EXCL)
        core->made = true;
    rc = lx_file_info_get(fd, core->place.path, &info);
    if (rc == LXDB_OK)
        rc = lx_file_check_fit(&info, core->place.path, core->readonly);
    if (rc == LXDB_OK && !(options->flags & LXDB_ANYFS))
        rc = lx_file_check_filesystem(fd, core->place.path);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_info = info;
    return LXDB_OK;
}

/* The lock file, made if it is not there, with the data file's owner and mode. */
static int open_lock_file(lx_core *core, const lx_file_info *data, int data_fd, int *ret_fd)
{
    int fd;
    int rc = lx_file_open(core->place.dirfd, core->lock_name,
                          core->readonly ? LX_FILE_RDONLY : LX_FILE_CREATE, data->mode, &fd);
    lx_file_info info;

    if (rc != LXDB_OK)
        return rc;
    rc = lx_file_info_get(fd, core->lock_name, &info);
    if (rc == LXDB_OK)
        rc = lx_file_check_helper(&info, core->lock_name, data->uid);
    if (rc == LXDB_OK && !core->readonly && info.size == 0 &&
        (info.uid != data->uid || info.gid != data->gid || info.mode != data->mode))
        rc = lx_file_copy_access(data_fd, fd, core->lock_name);
    if (rc != LXDB_OK) {
        lx_file_close(fd);
        return rc;
    }
    *ret_fd = fd;
    return LXDB_OK;
}

/* Whether both names still lead to what was opened. LX_AGAIN if not. */
static int check_names(lx_core *core, int data_fd)
{
    bool same;
    int rc = lx_file_is_named(core->lock_fd, core->place.dirfd, core->lock_name, &same);

    if (rc == LXDB_OK && same)
        rc = lx_file_is_named(data_fd, core->place.dirfd, core->place.name, &same);
    if (rc == LXDB_OK && !same)
        return LX_AGAIN;
    return rc;
}

static int take_identity(lx_core *core)
{
    lx_file_info info;
    char name[16];
    int rc;

    rc = lx_file_open(core->place.dirfd, core->lock_name, LX_FILE_RDONLY, 0, &core->self.probe_fd);
    if (rc == LXDB_OK)
        rc = lx_file_info_get(core->lock_fd, core->lock_name, &info);
    if (rc != LXDB_OK)
        return rc;
    core->self.lock_id = info.id;
    core->self.pid = lx_process_id();
    lx_process_name(name);
    memcpy(core->self.command, name, sizeof name);
    for (;;) {
        uint64_t bits;

        rc = lx_random64(&bits);
        if (rc != LXDB_OK)
            return rc;
        core->self.identity = (bits >> 2) | LX_BYTE_IDENTITY;
        rc = lx_ofd_set(core->lock_fd, LX_OFD_EXCLUSIVE, core->self.identity);
        if (rc != LXDB_BUSY) /* somebody else's number: one in 2^61 */
            return rc;
    }
}

static int map_control(lx_core *core, bool alone)
{
    lx_file_info info;
    int rc = lx_file_info_get(core->lock_fd, core->lock_name, &info);

    if (rc != LXDB_OK)
        return rc;
    if (info.size < LX_CONTROL_SIZE) {
        if (!alone)
            return LX_AGAIN; /* whoever was alone died before it was made */
        rc = lx_file_allocate(core->lock_fd, core->lock_name, 0, LX_CONTROL_SIZE);
        if (rc != LXDB_OK)
            return rc;
    }
    rc = lx_control_map(core->lock_fd, core->lock_name, !core->readonly, &core->control_map);
    if (rc == LXDB_OK)
        core->control = (struct lx_control_file *)(void *)core->control_map.base;
    return rc;
}

/* We are not alone: is the control block one that we can use? */
static int check_control(const lx_core *core)
{
    if (core->control->head.magic == LX_CONTROL_MAGIC &&
        core->control->head.signature != lx_layout_signature())
        return lx_fail(
            LXDB_VERSION,
            "%s: other processes have it open with another version of the library: use the "
            "same version, or close it everywhere first",
            core->place.path);
    /* acquire: the block before the word; pairs with the release in attach_alone() */
    if (!lx_control_is_ours(core->control) ||
        atomic_load_explicit(&core->control->head.ready, memory_order_acquire) != 1)
        return LX_AGAIN;
    return LXDB_OK;
}

/* Alone, with the gate, presence and the data file's lock: make everything ready for others. Owns
 * data_fd. */
static int attach_alone(lx_core *core, int data_fd, lx_view **ret_view)
{
    int rc = map_control(core, true);

    if (rc != LXDB_OK) {
        lx_file_close(data_fd);
        return rc;
    }
    rc = lx_recover(core, data_fd, ret_view);
    if (rc != LXDB_OK) {
        /* leave nothing beside a file that is no database */
        if (rc == LXDB_NOTDB || rc == LXDB_VERSION)
            (void)lx_file_remove(core->place.dirfd, core->lock_name);
        return rc;
    }
    /* release: everything before it; pairs with the acquire in check_control() */
    atomic_store_explicit(&core->control->head.ready, 1, memory_order_release);
    lx_step("open-ready");
    rc = lx_ofd_set((*ret_view)->log.fd, LX_OFD_SHARED, LX_BYTE_DATA);
    if (rc == LXDB_OK)
        rc = lx_ofd_set(core->lock_fd, LX_OFD_SHARED, LX_BYTE_PRESENCE);
    if (rc != LXDB_OK)
        lx_view_unpin(core, *ret_view);
    return rc;
}

/* Behind the gate. Owns data_fd. LX_AGAIN: start again. */
static int attach_behind_gate(lx_core *core, int data_fd, lx_view **ret_view)
{
    int rc = check_names(core, data_fd);

    if (rc == LXDB_OK)
        rc = take_identity(core);
    if (rc == LXDB_OK)
        rc = lx_ofd_set(core->lock_fd, LX_OFD_EXCLUSIVE, LX_BYTE_PRESENCE);
    if (rc == LXDB_OK) {
        rc = lx_ofd_set(data_fd, LX_OFD_EXCLUSIVE, LX_BYTE_DATA);
        if (rc == LXDB_OK)
            rc = check_names(core, data_fd);
        if (rc == LXDB_OK)
            return attach_alone(core, data_fd, ret_view);
        lx_file_close(data_fd);
        if (rc != LXDB_BUSY)
            return rc;
        /* Somebody who is closing lets go of the file a moment after its lock file, so ask again;
         * but it is worth a sentence if it stays so. */
        core->elsewhere = true;
        return LX_AGAIN;
    }
    lx_file_close(data_fd);
    if (rc != LXDB_BUSY)
        return rc;
    rc = lx_ofd_set(core->lock_fd, LX_OFD_SHARED, LX_BYTE_PRESENCE);
    if (rc == LXDB_BUSY)
        return LX_AGAIN;
    if (rc == LXDB_OK)
        rc = map_control(core, false);
    if (rc == LXDB_OK)
        rc = check_control(core);
    if (rc == LXDB_OK)
        rc = lx_view_open(core, ret_view);
    return rc;
}

static void attached(lx_core *core, lx_view *view)
{
    atomic_store(&core->generation,
                 core->control != NULL ? &core->control->head.generation : &core->own_generation);
    lx_view_publish(core, view);
    if (core->control != NULL) {
        atomic_store(&core->epoch, lx_fork_epoch);
        lx_helper_watch(core);
    }
}

static int attach_writer(lx_core *core, bool first, lx_deadline deadline)
{
    lx_file_info data;
    lx_view *view;
    int data_fd;
    int rc = open_data(core, first, &data_fd, &data);

    if (rc != LXDB_OK)
        return rc;
    rc = open_lock_file(core, &data, data_fd, &core->lock_fd);
    if (rc == LXDB_OK)
        rc = lx_core_gate(core, deadline);
    if (rc != LXDB_OK) {
        lx_file_close(data_fd);
        return rc;
    }
    rc = attach_behind_gate(core, data_fd, &view);
    if (rc != LXDB_OK)
        return rc;
    lx_core_gate_open(core);
    attached(core, view);
    return LXDB_OK;
}

bool lx_private_unchanged(const lx_file_info *a, const lx_file_info *b)
{
    return a->size == b->size && a->modify_ns == b->modify_ns && a->change_ns == b->change_ns;
}

static bool is_attached_to(lx_core *core)
{
    bool others = false;
    uint64_t at;
    int fd;

    if (lx_file_open(core->place.dirfd, core->lock_name, LX_FILE_RDONLY, 0, &fd) != LXDB_OK)
        return false;
    (void)lx_ofd_query(fd, LX_BYTE_PRESENCE, 1, &others, &at);
    lx_file_close(fd);
    return others;
}

int lx_private_hold(lx_core *core, int data_fd, lx_file_info *ret_info)
{
    bool same;
    int rc = lx_ofd_set(data_fd, LX_OFD_SHARED, LX_BYTE_DATA);

    if (rc != LXDB_OK)
        return rc == LXDB_BUSY ? LX_AGAIN : rc;
    rc = lx_file_is_named(data_fd, core->place.dirfd, core->place.name, &same);
    if (rc == LXDB_OK && (!same || is_attached_to(core)))
        rc = LX_AGAIN;
    if (rc == LXDB_OK)
        rc = lx_file_info_get(data_fd, core->place.path, ret_info);
    if (rc != LXDB_OK)
        lx_private_release(data_fd);
    return rc;
}

void lx_private_release(int data_fd)
{
    (void)lx_ofd_set(data_fd, LX_OFD_NONE, LX_BYTE_DATA);
}

/* A reader may not take the gate. It asks who is there before it holds anything, so that it does
 * not look to a writer like somebody who is attached. */
static int attach_reader(lx_core *core, bool first)
{
    lx_file_info data;
    lx_view *view = NULL;
    bool others = false;
    uint64_t at;
    int data_fd;
    int rc = open_data(core, first, &data_fd, &data);

    if (rc != LXDB_OK)
        return rc;
    rc = open_lock_file(core, &data, data_fd, &core->lock_fd);
    if (rc == LXDB_OK)
        rc = lx_ofd_query(core->lock_fd, LX_BYTE_PRESENCE, 1, &others, &at);
    else if (rc == LXDB_NOTFOUND)
        rc = LXDB_OK;
    if (rc == LXDB_OK && others) {
        rc = lx_ofd_set(core->lock_fd, LX_OFD_SHARED, LX_BYTE_PRESENCE);
        if (rc == LXDB_BUSY)
            rc = LX_AGAIN; /* being opened or closed right now */
        if (rc == LXDB_OK)
            rc = lx_ofd_query(core->lock_fd, LX_BYTE_PRESENCE, 1, &others, &at);
        if (rc == LXDB_OK && !others)
            rc = LX_AGAIN; /* they are gone */
        if (rc == LXDB_OK)
            rc = check_names(core, data_fd);
        if (rc == LXDB_OK)
            rc = map_control(core, false);
        if (rc == LXDB_OK)
            rc = check_control(core);
        if (rc == LXDB_OK)
            rc = lx_view_open(core, &view);
        lx_file_close(data_fd);
    } else if (rc == LXDB_OK) {
        lx_file_close(core->lock_fd);
        core->lock_fd = -1;
        atomic_store(&core->looked_ms, lx_now_coarse_ms());
        rc = lx_private_hold(core, data_fd, &core->seen);
        if (rc == LXDB_OK) {
            rc = lx_recover_private(core, data_fd, &view);
            lx_private_release(data_fd);
        }
        if (rc != LXDB_OK)
            lx_file_close(data_fd);
    } else {
        lx_file_close(data_fd);
    }
    if (rc == LXDB_OK)
        attached(core, view);
    return rc;
}

int lx_core_attach(lx_core *core, bool first)
{
    lx_deadline deadline = lx_core_deadline(core);
    uint64_t ns = POLL_MIN_NS;
    int state = lx_cancel_off();
    int rc;

    for (;;) {
        core->elsewhere = false;
        rc = core->readonly ? attach_reader(core, first) : attach_writer(core, first, deadline);
        if (rc == LXDB_OK)
            break;
        let_go(core);
        if (rc != LX_AGAIN)
            break;
        if (!poll_again(deadline, &ns)) {
            rc = lx_fail(LXDB_BUSY,
                         core->elsewhere
                             ? "%s: in use under another name, or beside a lock file that "
                               "was removed: close it there first"
                             : "%s: other processes were opening, closing or replacing the "
                               "database until the deadline",
                         core->place.path);
            break;
        }
    }
    lx_cancel_restore(state);
    return rc;
}

/* A private reader: is the picture still that of the file? */
static bool still_private(lx_core *core)
{
    uint64_t now = lx_now_coarse_ms();
    lx_file_info info;
    bool same = false;

    if (now - atomic_load(&core->looked_ms) < LOOK_EVERY_MS)
        return true;
    atomic_store(&core->looked_ms, now);
    if (lx_file_is_named(core->view->log.fd, core->place.dirfd, core->place.name, &same) !=
            LXDB_OK ||
        !same || lx_file_info_get(core->view->log.fd, core->place.path, &info) != LXDB_OK)
        return false;
    return lx_private_unchanged(&info, &core->seen) && !is_attached_to(core);
}

/* Attach anew, keeping the old view for those who pin it. */
static int attach_again(lx_core *core)
{
    lx_view *old = core->view;

    if (old != NULL) { /* a private reader's: its users may still be inside */
        rcu_set_pointer(&core->view, NULL);
        lx_helper_retire(core, old);
    }
    return lx_core_attach(core, false);
}

int lx_core_refresh(lx_core *core)
{
    int rc = LXDB_OK;

    pthread_mutex_lock(&core->mutex);
    if (atomic_load(&core->epoch) == lx_fork_epoch) {
        lx_view *view;

        if (core->view == NULL || core->view->generation != lx_control_generation(core->control)) {
            rc = lx_view_open(core, &view);
            if (rc == LXDB_OK)
                lx_view_publish(core, view);
        }
    } else if (core->view != NULL && core->control == NULL && still_private(core)) {
        rc = LX_AGAIN;
    } else {
        rc = attach_again(core);
        if (rc == LXDB_OK && core->control == NULL)
            rc = LX_AGAIN;
    }
    pthread_mutex_unlock(&core->mutex);
    return rc;
}

/* ---- making a core --------------------------------------------------------------------------- */

static int fill_options(const lxdb_options *given, lxdb_options *ret_options)
{
    lxdb_options options = {0};

    if (given != NULL) {
        const uint8_t *bytes = (const uint8_t *)given;
        size_t known = given->size < sizeof options ? given->size : sizeof options;

        if (given->size < offsetof(lxdb_options, sync))
            return lx_fail(LXDB_INVALID, "options.size must be sizeof(lxdb_options)");
        for (size_t i = known; i < given->size; i++)
            if (bytes[i] != 0)
                return lx_fail(
                    LXDB_INVALID,
                    "options has a field that this version of the library does not know");
        memcpy(&options, given, known);
    }
    options.size = sizeof options;
    if (options.flags &
        ~(uint32_t)(LXDB_RDONLY | LXDB_NOCREATE | LXDB_EXCL | LXDB_ANYFS | LXDB_NOAUTOCOMPACT))
        return lx_fail(LXDB_INVALID, "options.flags has an unknown bit");
    if (options.flags & LXDB_EXCL && options.flags & (LXDB_NOCREATE | LXDB_RDONLY))
        return lx_fail(LXDB_INVALID, "LXDB_EXCL goes with neither LXDB_NOCREATE nor LXDB_RDONLY");
    if (options.sync < LXDB_SYNC_NONE || options.sync > LXDB_SYNC_FULL)
        return lx_fail(LXDB_INVALID, "options.sync is none of LXDB_SYNC_*");
    if (options.helpers < LXDB_HELPERS_AUTO || options.helpers > LXDB_HELPERS_REMOVE)
        return lx_fail(LXDB_INVALID, "options.helpers is none of LXDB_HELPERS_*");
    if (options.mode & ~0777u)
        return lx_fail(LXDB_INVALID, "options.mode has more than permission bits");
    if (options.sync_interval_ms == 0)
        options.sync_interval_ms = 1000;
    if (options.busy_timeout_ms == 0)
        options.busy_timeout_ms = 10000;
    if (options.compact_floor == 0)
        options.compact_floor = UINT64_C(64) << 20;
    if (options.mode == 0)
        options.mode = 0600;
    *ret_options = options;
    return LXDB_OK;
}

static char *suffixed(const char *name, const char *suffix)
{
    size_t size = strlen(name) + strlen(suffix) + 1;
    char *text = malloc(size);

    if (text != NULL)
        (void)snprintf(text, size, "%s%s", name, suffix);
    return text;
}

static void free_core(lx_core *core)
{
    lx_place_close(&core->place);
    free(core->lock_name);
    free(core->index_name);
    free(core->compact_name);
    free(core->compact_index_name);
    free(core->lost_name);
    pthread_mutex_destroy(&core->views_mutex);
    pthread_mutex_destroy(&core->mutex);
    free(core);
}

void lx_core_free(lx_core *core)
{
    lx_fork_unregister(core);
    free_core(core);
}

int lx_core_open(const char *path, const lxdb_options *options, lx_core **ret_core)
{
    lx_core *core = calloc(1, sizeof *core);
    int rc;

    if (core == NULL)
        return lx_fail(LXDB_NOMEM, "out of memory");
    core->place.dirfd = core->lock_fd = core->self.probe_fd = -1;
    atomic_init(&core->epoch, LX_EPOCH_NONE);
    atomic_init(&core->generation, &core->own_generation);
    atomic_init(&core->refs, 1);
    pthread_mutex_init(&core->mutex, NULL);
    pthread_mutex_init(&core->views_mutex, NULL);
    rc = fill_options(options, &core->options);
    if (rc == LXDB_OK)
        rc = lx_place_open(path, &core->place);
    if (rc != LXDB_OK)
        goto out;
    core->readonly = core->options.flags & LXDB_RDONLY;
    core->lock_name = suffixed(core->place.name, "-lock");
    core->index_name = suffixed(core->place.name, "-index");
    core->compact_name = suffixed(core->place.name, "-compact");
    core->compact_index_name = suffixed(core->place.name, "-compact-index");
    core->lost_name = suffixed(core->place.name, "-lost");
    if (!core->lock_name || !core->index_name || !core->compact_name || !core->compact_index_name ||
        !core->lost_name) {
        rc = lx_fail(LXDB_NOMEM, "out of memory");
        goto out;
    }
    rc = lx_fork_setup();
    if (rc == LXDB_OK)
        rc = lx_fork_register(core);
    if (rc != LXDB_OK)
        goto out;
    rc = lx_core_attach(core, true);
    if (rc != LXDB_OK)
        lx_fork_unregister(core);
out:
    if (rc != LXDB_OK) {
        free_core(core);
        return rc;
    }
    *ret_core = core;
    return LXDB_OK;
}
