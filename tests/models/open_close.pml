/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing: gate, presence, identity and data locks; who is alone recovers, others
 * attach; compaction renames a new data file meanwhile; processes die at any step, and a stranger
 * may remove the lock file.
 *
 * Two or three handles open, commit, compact and close, in the combinations that init lists: two
 * writers that come twice with two deaths; with the lock file removed; three writers; two writers
 * and a reader.
 *
 * Step of the model                 what it stands for
 *     writer, up to `attach`        lx_core_attach() in engine/open.c, its steps 1 to 6
 *     attach_alone                  attach_alone(): lx_recover(), ready := 1, both locks shared
 *     open_view                     lx_view_open() and open_generation() in engine/view.c
 *     commit                        a commit's stores into the data file of the handle's view
 *     the loop behind `attach`      calls; a compaction is one step (compact.pml has its inside)
 *     leave, close_last             engine/close.c
 *     reader                        a read-only opening: it takes no gate and no identity
 *     private                       lx_private_hold() and lx_recover_private()
 *     killer                        SIGKILL; the kernel lets go of the locks afterwards, those of
 *                                   either file first
 *     stranger                      somebody removes the lock file
 *
 * Files are numbers; a number is used again only when nobody has it open. A lock is what a handle
 * holds on the inode that it has open, so that locks on a removed file mean nothing to those who
 * come by the name. Who has to start again waits until the reason is gone: that leaves out nothing
 * but turns in which nothing has changed.
 *
 * Left out: the contents of files (what a recovery reads is powerloss's and the scan's), deadlines,
 * boot ids and signatures, which make a control block count as not there, and fork, after which a
 * child opens as here. Memory: words of the control block are stored before `ready`, a release.
 *
 * Broken variants, and what must catch each:
 *     BROKEN_RECHECK     data_file_named    who is alone does not look at the names again
 *     BROKEN_REFRESH     one_block          a new view is taken without a look at the lock file
 *     BROKEN_CUT         one_alone          the last close locks the data file of an older view
 */

#ifndef CONFIG
#define CONFIG 63 /* all combinations; single ones for a quick look */
#endif
#define HANDLES 3
#define ROUNDS 2

#define NONE 0
#define SHARED 1
#define EXCLUSIVE 2

/* Why an opening starts again. */
#define RENAMED 1
#define IN_USE 2
#define EXCLUDED 3
#define NOT_READY 4

/* ---- names and inodes ---- */

byte lock_name;              /* inode of the lock file that has the name, 0 = none */
byte data_name = 1;
bool ready[5];               /* of each lock file: its control block */
byte in_force[5];            /* and the data file that this names */

/* ---- what each handle holds ---- */

byte lock_fd[HANDLES];       /* inode, 0 = not open */
byte presence[HANDLES];
bool gate[HANDLES];
bool identity[HANDLES];
byte data_fd[HANDLES];       /* of an opening, or of the view */
byte data_lock[HANDLES];

/* ---- what is known of the past ---- */

bool attached[HANDLES];
bool in_use[HANDLES];         /* its view, by its calls */
bool scanning[HANDLES];
bool alone[HANDLES];
bool killed[HANDLES];
bool over[HANDLES];
byte may_die;
bool may_compact;
bool stranger_comes;
byte unlinked_by_stranger;

hidden byte one_alone;       /* who is alone is so, and nobody scans or uses the file it changes */
hidden byte block_is_ready;  /* who is attached has a ready control block, as long as it is */
hidden byte lock_file_named; /* who attaches has the lock file that has the name */
hidden byte data_file_named; /* what is recovered, or written to, is the file that has the name */
hidden byte one_block;       /* all who use a data file share one control block */
#define PROMISE(name, condition) name = (condition); assert(name)

#define each(property, i) (property(i, 0) || property(i, 1) || property(i, 2))
#define same_lock_file(i, j) ((i) != (j) && lock_fd[i] == lock_fd[j])
#define same_data_file(i, j) ((i) != (j) && data_fd[i] == data_fd[j] && data_fd[j] != 0)

#define has_presence(i, j) (same_lock_file(i, j) && presence[j] != NONE)
#define excludes_presence(i, j) (same_lock_file(i, j) && presence[j] == EXCLUSIVE)
#define has_gate(i, j) (same_lock_file(i, j) && gate[j])
#define has_identity(i, j) (same_lock_file(i, j) && identity[j])
#define has_data(i, j) (same_data_file(i, j) && data_lock[j] != NONE)
#define excludes_data(i, j) (same_data_file(i, j) && data_lock[j] == EXCLUSIVE)

#define is_alone(i, j) ((i) != (j) && alone[j])
#define is_attached(i, j) (same_lock_file(i, j) && attached[j])
#define scans_data(i, j) (same_data_file(i, j) && scanning[j] && !killed[j])
#define alone_with_data(i, j) (same_data_file(i, j) && alone[j] && !killed[j])
#define other_block(i, j) \
    (same_data_file(i, j) && in_use[j] && !killed[j] && lock_fd[i] != lock_fd[j])

#define is_open(inode) \
    (lock_name == (inode) || lock_fd[0] == (inode) || lock_fd[1] == (inode) || lock_fd[2] == (inode))

/* A fresh lock file takes the name. */
inline create_lock_file()
{
    lock_name = (!is_open(1) -> 1 : (!is_open(2) -> 2 : (!is_open(3) -> 3 : 4)));
    ready[lock_name] = false;
    in_force[lock_name] = 0
}

inline close_lock_file(i)
{
    d_step {
        lock_fd[i] = 0;
        presence[i] = NONE;
        gate[i] = false;
        identity[i] = false
    }
}

inline close_data_file(i)
{
    d_step {
        data_fd[i] = 0;
        data_lock[i] = NONE;
        in_use[i] = false
    }
}

/* lx_view_open() */
inline open_view(i)
{
    ok = false;
    do
    :: data_name != in_force[lock_fd[i]] -> break
    :: atomic {
            data_name == in_force[lock_fd[i]] ->
            data_fd[i] = data_name;
            data_lock[i] = NONE;
            in_use[i] = false
        };
        if
        :: each(excludes_data, i) -> break
        :: atomic { !each(excludes_data, i) -> data_lock[i] = SHARED }
        fi;
#ifndef BROKEN_REFRESH
        if
        :: lock_fd[i] != lock_name -> break
        :: lock_fd[i] == lock_name
        fi;
#endif
        if
        :: atomic { data_fd[i] == in_force[lock_fd[i]] -> ok = true; in_use[i] = true }; break
        :: data_fd[i] != in_force[lock_fd[i]]
        fi
    od;
    if
    :: ok
    :: atomic { !ok -> data_fd[i] = 0; data_lock[i] = NONE }
    fi
}

inline commit(i)
{
    d_step {
        PROMISE(data_file_named, data_fd[i] == data_name);
        PROMISE(one_block, !each(other_block, i));
        PROMISE(one_alone, !each(alone_with_data, i))
    }
}

#define no_longer(cause) \
    ((cause) == RENAMED || \
     ((cause) == IN_USE && !each(holds_data_name, i)) || \
     ((cause) == EXCLUDED && !each(excludes_lock_name, i)) || \
     ((cause) == NOT_READY && (!each(has_lock_name, i) || ready[lock_name])))
#define holds_data_name(i, j) ((i) != (j) && data_fd[j] == data_name && data_lock[j] != NONE)
#define has_lock_name(i, j) ((i) != (j) && lock_fd[j] == lock_name && presence[j] != NONE)
#define excludes_lock_name(i, j) \
    ((i) != (j) && lock_fd[j] == lock_name && presence[j] == EXCLUSIVE)

inline start_again(i)
{
    atomic {
        data_fd[i] = 0;
        lock_fd[i] = 0;
        presence[i] = NONE;
        gate[i] = false;
        identity[i] = false
    };
    atomic { no_longer(cause) -> cause = 0; goto again }
}

proctype writer(byte i; byte rounds)
{
    byte cause;
    bool ok, last;

    {
        ok = false;
again:
        data_fd[i] = data_name;
        atomic {
            if
            :: lock_name == 0 -> create_lock_file()
            :: else
            fi;
            lock_fd[i] = lock_name
        };
        atomic { !each(has_gate, i) -> gate[i] = true };
        if
        :: lock_fd[i] != lock_name -> cause = RENAMED; goto not_now
        :: lock_fd[i] == lock_name
        fi;
        if
        :: data_fd[i] != data_name -> cause = RENAMED; goto not_now
        :: atomic { data_fd[i] == data_name -> identity[i] = true }
        fi;
        if
        :: atomic { each(has_presence, i) -> data_fd[i] = 0; goto not_alone }
        :: atomic { !each(has_presence, i) -> presence[i] = EXCLUSIVE }
        fi;
        if
        :: each(has_data, i) -> cause = IN_USE; goto not_now
        :: atomic { !each(has_data, i) -> data_lock[i] = EXCLUSIVE }
        fi;
#ifndef BROKEN_RECHECK
        if
        :: lock_fd[i] != lock_name -> cause = RENAMED; goto not_now
        :: lock_fd[i] == lock_name
        fi;
        if
        :: data_fd[i] != data_name -> cause = RENAMED; goto not_now
        :: data_fd[i] == data_name
        fi;
#endif
        /* attach_alone() */
        atomic {
            alone[i] = true;
            PROMISE(one_alone, !each(is_alone, i) && !each(scans_data, i));
            PROMISE(block_is_ready, !each(is_attached, i));
            ready[lock_fd[i]] = false
        };
        atomic {
            PROMISE(data_file_named, data_fd[i] == data_name);
            in_force[lock_fd[i]] = data_fd[i];
            ready[lock_fd[i]] = true;
            alone[i] = false
        };
        data_lock[i] = SHARED;
        atomic { presence[i] = SHARED; in_use[i] = true };
        goto attach;
not_now:
        data_lock[i] = NONE;
        start_again(i);
not_alone:
        if
        :: each(excludes_presence, i) -> cause = EXCLUDED; goto not_now
        :: atomic { !each(excludes_presence, i) -> presence[i] = SHARED }
        fi;
        if
        :: !ready[lock_fd[i]] -> cause = NOT_READY; goto not_now
        :: ready[lock_fd[i]]
        fi;
        open_view(i);
        if
        :: !ok -> goto leave
        :: ok
        fi;
attach:
        atomic {
            PROMISE(block_is_ready, ready[lock_fd[i]]);
            PROMISE(lock_file_named,
                    lock_fd[i] == lock_name || lock_fd[i] == unlinked_by_stranger);
            attached[i] = true;
            gate[i] = false
        };
        do
        :: atomic { may_compact && data_fd[i] == in_force[lock_fd[i]] ->
                commit(i);
                may_compact = false;
                data_name = 2;
                in_force[lock_fd[i]] = 2
            }
        :: atomic { data_fd[i] == in_force[lock_fd[i]] -> commit(i) }
        :: data_fd[i] != in_force[lock_fd[i]] ->
            open_view(i);
            if
            :: !ok -> break
            :: ok
            fi
        :: break
        od;
        /* leave() */
        atomic { !each(has_gate, i) -> gate[i] = true };
        if
        :: atomic { !each(has_presence, i) -> presence[i] = EXCLUSIVE; last = true }
        :: each(has_presence, i) ->
            if
            :: !each(has_identity, i)
            :: each(has_identity, i) -> goto detach
            fi
        fi;
        /* close_last() */
#ifdef BROKEN_CUT
        if
        :: atomic { last && !each(has_data, i) -> data_lock[i] = EXCLUSIVE }
        :: else -> last = false
        fi;
#endif
        if
        :: data_fd[i] != in_force[lock_fd[i]] ->
            open_view(i);
            if
            :: !ok -> goto detach
            :: ok
            fi
        :: data_fd[i] == in_force[lock_fd[i]]
        fi;
#ifndef BROKEN_CUT
        atomic {
            if
            :: last && !each(has_data, i) -> data_lock[i] = EXCLUSIVE
            :: else -> last = false
            fi
        };
#endif
        commit(i); /* the session ends: the watermark */
        if
        :: !last -> goto detach
        :: last
        fi;
        atomic {
            alone[i] = true;
            PROMISE(one_alone, !each(is_alone, i) && !each(scans_data, i));
            PROMISE(block_is_ready, !each(is_attached, i));
            ready[lock_fd[i]] = false
        };
        atomic {
            alone[i] = false;
            if
            :: lock_name = 0
            :: true
            fi
        };
detach:
        atomic { attached[i] = false; last = false };
leave:
        close_data_file(i);
        close_lock_file(i);
        atomic {
            rounds--;
            ok = false;
            if
            :: rounds > 0 -> goto again
            :: rounds == 0
            fi
        };
        over[i] = true
    } unless {
        killed[i]
    };
    atomic { attached[i] = false; alone[i] = false; ok = false; last = false; rounds = 0; cause = 0 };
    if
    :: close_data_file(i); close_lock_file(i)
    :: close_lock_file(i); close_data_file(i)
    fi;
    over[i] = true
}

proctype reader(byte i)
{
    byte cause;
    bool ok;

    {
        ok = false;
again:
        data_fd[i] = data_name;
        atomic {
            if
            :: lock_name == 0 -> goto private
            :: lock_name != 0 -> lock_fd[i] = lock_name
            fi
        };
        if
        :: !each(has_presence, i) -> goto private
        :: each(has_presence, i)
        fi;
        if
        :: each(excludes_presence, i) -> cause = EXCLUDED; goto not_now
        :: atomic { !each(excludes_presence, i) -> presence[i] = SHARED }
        fi;
        if
        :: !each(has_presence, i) -> cause = RENAMED; goto not_now
        :: each(has_presence, i)
        fi;
        if
        :: lock_fd[i] != lock_name -> cause = RENAMED; goto not_now
        :: lock_fd[i] == lock_name
        fi;
        if
        :: data_fd[i] != data_name -> cause = RENAMED; goto not_now
        :: data_fd[i] == data_name
        fi;
        if
        :: !ready[lock_fd[i]] -> cause = NOT_READY; goto not_now
        :: ready[lock_fd[i]]
        fi;
        open_view(i);
        if
        :: !ok -> goto detach
        :: ok
        fi;
        atomic {
            PROMISE(block_is_ready, ready[lock_fd[i]]);
            PROMISE(lock_file_named,
                    lock_fd[i] == lock_name || lock_fd[i] == unlinked_by_stranger);
            attached[i] = true
        };
        if
        :: data_fd[i] != in_force[lock_fd[i]] -> open_view(i)
        :: true
        fi;
        attached[i] = false;
        goto detach;
private:
        close_lock_file(i);
        if
        :: each(excludes_data, i) -> cause = IN_USE; goto not_now
        :: atomic { !each(excludes_data, i) -> data_lock[i] = SHARED }
        fi;
        if
        :: data_fd[i] != data_name -> cause = RENAMED; goto not_now
        :: data_fd[i] == data_name
        fi;
        lock_fd[i] = lock_name;
        if
        :: lock_fd[i] != 0 && each(has_presence, i) -> cause = RENAMED; goto not_now
        :: lock_fd[i] == 0 || !each(has_presence, i)
        fi;
        close_lock_file(i);
        scanning[i] = true;
        atomic { PROMISE(one_alone, !each(alone_with_data, i)); scanning[i] = false };
        data_lock[i] = NONE;
        goto detach;
not_now:
        data_lock[i] = NONE;
        start_again(i);
detach:
        close_data_file(i);
        close_lock_file(i);
        atomic { over[i] = true; ok = false }
    } unless {
        killed[i]
    };
    atomic { attached[i] = false; scanning[i] = false; ok = false; cause = 0 };
    if
    :: close_data_file(i); close_lock_file(i)
    :: close_lock_file(i); close_data_file(i)
    fi;
    over[i] = true
}

proctype killer()
{
end:
    do
    :: atomic { may_die > 0 && !over[0] && !killed[0] -> killed[0] = true; may_die-- }
    :: atomic { may_die > 0 && !over[1] && !killed[1] -> killed[1] = true; may_die-- }
    od
}

proctype stranger()
{
end:
    atomic { stranger_comes && lock_name != 0 ->
        unlinked_by_stranger = lock_name;
        lock_name = 0;
        stranger_comes = false }
}

init
{
    atomic {
        if
#if CONFIG & 1
        :: may_die = 2; may_compact = true; over[2] = true;
            run writer(0, 2); run writer(1, 2)
#endif
#if CONFIG & 2
        :: may_die = 1; may_compact = true; stranger_comes = true; over[2] = true;
            run writer(0, 2); run writer(1, 1)
#endif
#if CONFIG & 4
        :: may_die = 1;
            run writer(0, 1); run writer(1, 1); run writer(2, 1)
#endif
#if CONFIG & 8
        :: may_die = 1;
            run writer(0, 1); run writer(1, 1); run reader(2)
#endif
#if CONFIG & 16
        :: stranger_comes = true; may_compact = true; over[1] = true;
            run writer(0, 2); run reader(2)
#endif
#if CONFIG & 32
        :: may_compact = true;
            run writer(0, 1); run writer(1, 1); run reader(2)
#endif
        fi;
        run killer();
        run stranger()
    }
}
