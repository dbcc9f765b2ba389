/* SPDX-License-Identifier: MIT */
/*
 * Compaction: copying, catching up, the switch; with writers, a reader, and deaths.
 *
 * Workers commit and compact, and may be killed between any two steps: two of them, or one beside a
 * reader who opens views and reads through them. When they have ended, what has the name holds every commit (this is
 * what an opener who is alone finds), and one more compaction leaves no file behind.
 *
 * Step of the model                 what it stands for
 *     open_view                     lx_view_open(), open_generation(), open_files() in engine/view.c
 *     refresh                       lx_view_enter() and, where the view is old, lx_view_mend()
 *     enter                         lx_writer_enter() in engine/commit.c with take_lock(), prepare(),
 *                                   set_right() and lx_repair()
 *     append                        lx_commit_apply()
 *     compact                       lx_compact() in engine/compact.c: finish_swap(), then
 *                                   compact_once() with start_files(), copy_live(), catch_up()
 *     switch_over, record_swap      the functions of these names
 *     roll_forward                  lx_compact_roll_forward(), with take_name()
 *     reader, from `base` on        lx_view_standing() in engine/view.c
 *     memory                        the machine between the holder and the others: queue.pmh
 *     killer                        SIGKILL of a worker
 *
 * Commits are numbered from 1. A data file holds the commits from `first` to `last`; a position in
 * it is counted from `first`, so the two generations that share a block differ in base and tail. An
 * index leads to the last commit that was published. Data and index file that were made together
 * have one number, which stands for both inodes.
 *
 * Left out, and why that is sound:
 *     the lock itself   lock.pml. Here it is taken when it is free or its holder is dead
 *     slots, splits     slot.pml. Publishing a commit is one store here
 *     PADs              a commit is in the log when its tail is; before that the repair of lock.pml
 *                       covers it
 *     syncs             a death of processes loses no page; the power is cut in tests/crash
 *     failing calls     as a death at that place, with the same next holder; the own files are
 *                       removed if no swap is recorded
 *     opening, closing  open_close.pml: who is alone takes the file that has the name
 *     slices, pauses    catching up is done once or not at all, at any pace
 *     a generation stored without release
 *                       would overtake more stores than QUEUE before it shows: lx_control_publish()
 *                       is one release store, which is looked at and not searched
 *     inode numbers used again
 *                       a generation that is loaded twice around the opening tells them apart
 *
 * Broken variants, and what must catch each:
 *     BROKEN_STANDING    within_interval    a block is believed without a second look
 *     BROKEN_VIEW        one_generation     a view is believed without a second look
 *     BROKEN_RECHECK     nothing_lost       a writer does not look at the generation under the lock
 *     BROKEN_REST        nothing_lost       what came after catching up is not copied
 *     BROKEN_RECORD      nothing_lost       files are renamed before the swap is recorded
 *     BROKEN_BACK        nothing_lost       the next holder forgets the swap
 *     BROKEN_CLEAN       nothing_lost       the swap is forgotten before the generation is published
 *     BROKEN_FINISH      rolls_forward      a compaction begins without finishing a recorded swap
 *     BROKEN_COMPACTOR   rolls_forward      two compact at once
 */

#define WORKERS 3
#define FILES 6
#define NO_FILE 0

/* The words of shared memory. */
#define GENERATION 0
#define DIRTY 1
#define SWAP_GENERATION 2
#define SWAP_FILE 3
#define file_of(block) (4 + (block) * 4)
#define base_of(block) (5 + (block) * 4)
#define tail_of(block) (6 + (block) * 4)
#define indexed_of(block) (7 + (block) * 4)
#define WORDS 12

#define COMMIT 1
#define SWAP 4

#include "queue.pmh"

/* ---- files and names ---- */

byte data_name = 1, index_name = 1;
byte compact_data_name, compact_index_name;
byte first[FILES], last[FILES]; /* of a data file */
byte leads_to[FILES];           /* of an index file */
byte files = 2;                 /* the next number */

/* ---- locks ---- */

byte lock;      /* worker + 1 */
byte compactor; /* byte 2 of the lock file */
bool dead[WORKERS];
#define is_free(lock) ((lock) == 0 || dead[(lock) - 1])

/* ---- what is known of the past, and what may yet be ---- */

byte commits, compactions, deaths;
byte committed = 1, finished = 1;
bool killed[WORKERS], over[WORKERS];

hidden byte nothing_lost;    /* the file that has the name holds every commit */
hidden byte one_generation;  /* data, index and block of a view belong together */
hidden byte within_interval; /* what is read was so at an instant of the read */
hidden byte rolls_forward;   /* the files of a recorded swap are there */
hidden byte nothing_stale;   /* no file is left that no compactor removes */
#define PROMISE(name, condition) name = (condition); assert(name)

#define holds_all(file) (last[file] == committed && first[file] <= committed)

/* ---- views ---- */

#define swap_is_recorded (mem[DIRTY] == SWAP && mem[SWAP_GENERATION] == generation + 1)

#ifdef BROKEN_VIEW
#define still_in_force_view true
#else
#define still_in_force_view (generation == mem[GENERATION])
#endif
#ifdef BROKEN_STANDING
#define still_in_force_standing true
#else
#define still_in_force_standing (generation == mem[GENERATION])
#endif

inline open_view()
{
    do
    :: generation = mem[GENERATION];
        atomic { block = generation & 1; data = NO_FILE; index = NO_FILE };
        if
        :: atomic { data_name == mem[file_of(block)] -> data = data_name };
            if
            :: atomic { index_name == mem[file_of(block)] -> index = index_name }
            :: index_name != mem[file_of(block)]
            fi
        :: data_name != mem[file_of(block)]
        fi;
        if
        :: index == NO_FILE && swap_is_recorded ->
            block = 1 - block;
            if
            :: atomic { data_name == mem[SWAP_FILE] -> data = data_name };
                if
                :: atomic { index_name == mem[SWAP_FILE] -> index = index_name }
                :: index_name != mem[SWAP_FILE] ->
                    if
                    :: atomic { compact_index_name == mem[SWAP_FILE] -> index = compact_index_name }
                    :: compact_index_name != mem[SWAP_FILE]
                    fi
                fi
            :: data_name != mem[SWAP_FILE]
            fi
        :: else
        fi;
        atomic {
            if
            :: index != NO_FILE && still_in_force_view ->
                PROMISE(one_generation, data == index && mem[file_of(block)] == data);
                break
            :: else
            fi
        }
    od
}

inline refresh()
{
    if
    :: generation == mem[GENERATION]
    :: generation != mem[GENERATION] -> open_view()
    fi
}

/* ---- the switch ---- */

/* What has the name from now on. */
inline take_data_name(file)
{
    atomic {
        if
        :: data_name != file ->
            PROMISE(rolls_forward, compact_data_name == file);
            data_name = file;
            compact_data_name = NO_FILE;
            PROMISE(nothing_lost, holds_all(data_name))
        :: data_name == file
        fi
    }
}

inline take_index_name(file)
{
    atomic {
        if
        :: index_name != file ->
            PROMISE(rolls_forward, compact_index_name == file);
            index_name = file;
            compact_index_name = NO_FILE
        :: index_name == file
        fi
    }
}

inline roll_forward()
{
    if
    :: seen[GENERATION] != seen[SWAP_GENERATION] ->
        take_data_name(seen[SWAP_FILE]);
        take_index_name(seen[SWAP_FILE]);
#ifdef BROKEN_CLEAN
        store(DIRTY, 0, RELEASE);
#endif
        store(GENERATION, seen[SWAP_GENERATION], RELEASE)
    :: seen[GENERATION] == seen[SWAP_GENERATION]
    fi;
    store(DIRTY, 0, RELEASE)
}

/* ---- the lock ---- */

inline take(i)
{
    atomic { is_free(lock) && queued == 0 -> lock = i + 1 }
}

inline release()
{
    atomic { queued == 0 -> lock = 0; finished = committed }
}

#define position(file, commit) ((commit) - first[file] + 1)

inline repair()
{
    leads_to[index] = seen[base_of(block)] + seen[tail_of(block)];
    store(indexed_of(block), seen[tail_of(block)], RELEASE);
    store(DIRTY, 0, RELEASE)
}

/* The lock, with the view in force and nothing to set right. */
inline enter(i)
{
    do
    :: refresh();
        take(i);
        if
        :: seen[DIRTY] == SWAP ->
#ifdef BROKEN_BACK
            store(DIRTY, 0, RELEASE);
#else
            roll_forward();
#endif
            release()
#ifndef BROKEN_RECHECK
        :: seen[DIRTY] != SWAP && generation != seen[GENERATION] -> release()
        :: seen[DIRTY] == COMMIT && generation == seen[GENERATION] -> repair(); break
        :: seen[DIRTY] == 0 && generation == seen[GENERATION] -> break
#else
        :: seen[DIRTY] == COMMIT -> repair(); break
        :: seen[DIRTY] == 0 -> break
#endif
        fi
    od
}

/* ---- a commit ---- */

inline append(i)
{
    enter(i);
    store(DIRTY, COMMIT, RELEASE);
    atomic {
        store(tail_of(block), seen[tail_of(block)] + 1, RELEASE);
        committed++;
        last[data] = seen[base_of(block)] + seen[tail_of(block)];
        PROMISE(nothing_lost, holds_all(data_name))
    };
    leads_to[index] = last[data];
    store(indexed_of(block), seen[tail_of(block)], RELEASE);
    store(DIRTY, 0, RELEASE);
    release()
}

/* ---- a compaction ---- */

inline record_swap()
{
    store(file_of(1 - block), 0, RELAXED);
    store(base_of(1 - block), 0, RELAXED);
    store(tail_of(1 - block), 0, RELAXED);
    store(indexed_of(1 - block), 0, RELAXED);
    store(file_of(1 - block), copy, RELAXED);
    store(base_of(1 - block), first[copy] - 1, RELAXED);
    store(tail_of(1 - block), position(copy, last[copy]), RELEASE);
    store(indexed_of(1 - block), position(copy, last[copy]), RELEASE);
    store(SWAP_FILE, copy, RELAXED);
    store(SWAP_GENERATION, generation + 1, RELAXED);
    store(DIRTY, SWAP, RELEASE)
}

inline copy_up_to(commit)
{
    d_step { last[copy] = commit; leads_to[copy] = commit }
}

inline switch_over(i)
{
#ifndef BROKEN_REST
    copy_up_to(seen[base_of(block)] + seen[tail_of(block)]);
#endif
#ifdef BROKEN_RECORD
    take_data_name(copy);
    take_index_name(copy);
#endif
    record_swap();
    roll_forward();
    release()
}

inline compact(i)
{
#ifndef BROKEN_COMPACTOR
    atomic { is_free(compactor) -> compactor = i + 1 };
#endif
#ifndef BROKEN_FINISH
    if
    :: mem[DIRTY] == SWAP -> enter(i); release()
    :: mem[DIRTY] != SWAP
    fi;
#endif
    do
    :: refresh();
        copying = generation;
        compact_data_name = NO_FILE;
        atomic { copy = files; files++; compact_data_name = copy };
        compact_index_name = NO_FILE;
        compact_index_name = copy;
        atomic {
            first[copy] = first[data] - 1 + mem[indexed_of(block)];
            copy_up_to(first[copy])
        };
        if
        :: copy_up_to(first[data] - 1 + mem[indexed_of(block)])
        :: true
        fi;
        enter(i);
        if
        :: generation == copying -> switch_over(i); break
        :: generation != copying -> release()
        fi
    od;
    atomic {
        if
        :: compactor == i + 1 -> compactor = 0
        :: else
        fi;
        copy = NO_FILE;
        copying = 0
    }
}

/* ---- who takes part ---- */

proctype worker(byte i)
{
    byte generation, block, data, index, copy, copying;

    {
        do
        :: atomic { commits > 0 -> commits-- }; append(i)
        :: atomic { compactions > 0 -> compactions-- }; compact(i)
        :: i != 2 || compactions == 0 -> break
        od;
        atomic { over[i] = true; generation = 0; block = 0; data = 0; index = 0 }
    } unless {
        killed[i]
    };
    atomic {
        dead[i] = killed[i];
        over[i] = true;
        generation = 0; block = 0; data = 0; index = 0; copy = 0; copying = 0
    }
}

proctype killer()
{
end:
    do
    :: atomic { deaths > 0 && !over[0] && !killed[0] -> killed[0] = true; deaths-- }
    :: atomic { deaths > 0 && !over[1] && !killed[1] -> killed[1] = true; deaths-- }
    od
}

proctype reader()
{
    byte generation, block, data, index, base, tail, commit, least;

    atomic { least = finished; generation = 0 };
    refresh();
    commit = leads_to[index];
    atomic {
        PROMISE(within_interval, commit >= least && commit <= committed);
        PROMISE(one_generation, commit >= first[data] && commit <= last[data]);
        commit = 0;
        least = finished
    };
    do
    :: refresh();
        base = mem[base_of(block)];
        tail = mem[tail_of(block)];
        if
        :: still_in_force_standing -> break
        :: else
        fi
    od;
    atomic {
        PROMISE(within_interval, base + tail >= least && base + tail <= committed);
        generation = 0; block = 0; data = 0; index = 0; base = 0; tail = 0; least = 0
    }
}

inline begin(word, value)
{
    mem[word] = value;
    seen[word] = value
}

init
{
    d_step {
        begin(GENERATION, 1);
        begin(file_of(1), 1);
        begin(base_of(1), 0);
        begin(tail_of(1), 1);
        begin(indexed_of(1), 1);
        first[1] = 1;
        last[1] = 1;
        leads_to[1] = 1
    };
    atomic {
        run worker(0);
        if
        :: commits = 1; compactions = 1; deaths = 1;
            run worker(1)
        :: compactions = 2;
            run worker(1)
        :: commits = 1; compactions = 1; over[1] = true;
            run reader()
        :: commits = 1; compactions = 1; deaths = 1; over[1] = true;
            run reader()
        fi;
        run memory();
        run killer()
    };
    atomic {
        over[0] && over[1] && queued == 0 ->
        PROMISE(nothing_lost, holds_all(data_name));
        commits = 0;
        compactions = 1;
        run worker(2)
    };
    atomic {
        over[2] && queued == 0 ->
        PROMISE(nothing_lost, holds_all(data_name) && leads_to[index_name] == committed);
        PROMISE(nothing_stale, compact_data_name == NO_FILE && compact_index_name == NO_FILE);
        PROMISE(rolls_forward, mem[DIRTY] == 0)
    }
}
