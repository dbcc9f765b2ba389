/* SPDX-License-Identifier: MIT */
/*
 * Slots: published, looked up without a lock, moved by splits; with deaths.
 *
 * Whoever holds the writer lock makes commits, with splits and rewrites before some of them, and
 * may be killed between any two stores; the next holder sets right what it left. Meanwhile a reader
 * looks one key up. Three keys: all have the same bucket for a home and the same tag; keys 0 and 2
 * go to one side of a split, key 1 to the other. The index begins with keys 0 and 1 in one segment.
 *
 * Step of the model                 what it stands for
 *     reader, `locate`              lx_index_locate() in store/probe.h, both times
 *     reader, the rest              probe() and lx_index_find() in store/index.c; the first round of
 *                                   lx_index_probe() is the same loads. Loads of one bucket
 *                                   are relaxed and come in any order
 *     find                          lx_change_find() in engine/commit.c, lx_index_find() in repair.c
 *     secure                        secure_slot() in commit.c with lx_index_make_room(), and
 *                                   lx_index_make_room_for_one()
 *     split                         lx_index_split(), split() and choose() in store/split.c
 *     double_directory              double_directory()
 *     finish_split                  lx_index_split_finish(): copy_segment(), point_entries()
 *     insert                        lx_segment_insert()
 *     remove                        lx_index_remove()
 *     commit                        lx_commit_apply() in commit.c, steps 0 to 5 by number
 *     repair                        lx_repair() and replay_event() in engine/repair.c
 *     memory                        the machine between the holder and the others: queue.pmh
 *     killer                        SIGKILL of the holder
 *
 * A segment is two buckets of two slots. A slot leads to a record; a record is one word, that is not
 * written yet as long as it is 0. What the reader finds is judged by what was finished before it
 * began (the queue was empty, the lock let go of) and by what was begun before it ended.
 *
 * Left out, and why that is sound:
 *     the lock          lock.pml: there is one holder at a time, so one process stands for all
 *     used and live     whether a segment is split, or rewritten, is decided here by nobody: any
 *                       insert may come with any of them, once or twice, which is more than the
 *                       counts would ask for
 *     homes             a copy of hash bits that the key has, too
 *     status bytes      no reader without the lock looks at them
 *     tail, stage, `dirty`, free list, counters
 *                       loaded under the lock alone: program order is enough, and the dead leave a
 *                       prefix of it. As releases they would only add order, so they add none here
 *     second doubling   the same as the first, with more entries; both places of a new directory
 *                       are here, behind the old entries and in fresh segments
 *     sealed segments   clearing the bit changes the entry and not the segment: one more retry
 *     length            what is past it makes a reader ask again (lx_index_reach())
 *     24 bits of the sequence
 *                       as many splits of one segment within one look-up as it takes to go around
 *
 * Broken variants, and what must catch each:
 *     BROKEN_SLOT        bytes_are_written  the slot is stored without release
 *     BROKEN_ORDER       index_is_right     the slot is stored before the record
 *     BROKEN_FENCE       nothing_missed     a segment that was retired a moment ago is emptied
 *                                           before its entries are seen to lead elsewhere
 *     BROKEN_ENTRY       nothing_missed     the entry is stored without release
 *     BROKEN_CONFIRM     nothing_missed     a miss is believed at once
 *     BROKEN_ACQUIRE     nothing_missed     what confirms a miss is loaded before the slots
 *     BROKEN_SEQUENCE    nothing_missed     an entry that leads to the same segment again is the same
 *     BROKEN_EMPTY       nothing_missed     a removed slot is left empty in a bucket that was full
 *     BROKEN_STAGE       nothing_missed     entries are pointed while the stage still says: copy
 *     BROKEN_REDO        index_is_right     a copy is done again without emptying the segment
 *     BROKEN_RETIRE      index_is_right     the retired segment is not put into the free list
 *     BROKEN_KEY         right_key          a tag that fits is believed
 */

#define KEYS 3
#define side(key) ((key) & 1)

#define RECORDS 6
#define SEGMENTS 5
#define BUCKET 2
#define SLOTS 4

/* The words of shared memory. */
#define log_at(off) (off)
#define slot_at(segment, i) (RECORDS + ((segment) - 1) * SLOTS + (i))
#define entry_at(directory, i) (RECORDS + SEGMENTS * SLOTS + 2 * (start(directory) != 0) + (i))
#define DIRECTORY (RECORDS + SEGMENTS * SLOTS + 4)
#define WORDS (DIRECTORY + 1)

/* A record: what it says of which key. */
#define put(key) (1 + (key))
#define delete(key) (1 + KEYS + (key))
#define PAD (1 + 2 * KEYS)
#define is_put(record) ((record) >= 1 && (record) <= KEYS)
#define key_of(record) (((record) - 1) % KEYS)

/* A slot: empty, marker, or an offset. */
#define EMPTY 0
#define MARKER 1
#define lead_to(off) ((off) + 2)
#define leads_to(slot) ((slot) - 2)
#define is_record(slot) ((slot) > MARKER)

/* An entry: segment, depth, sequence. The directory word: depth, segment that it starts in; 0 stands
 * for where it begins. */
#define entry(segment, depth, sequence) ((segment) | (depth) << 3 | (sequence) << 4)
#define segment_of(entry) ((entry) & 7)
#define depth_of(entry) (((entry) >> 3) & 1)
#define sequence_of(entry) ((entry) >> 4)
#define directory(depth, start) ((depth) | (start) << 1)
#define depth(directory) ((directory) & 1)
#define start(directory) ((directory) >> 1)
#define locate(directory, key) entry_at(directory, side(key) & depth(directory))

#include "queue.pmh"

/* ---- shared, under the lock alone ---- */

#define COMMIT 1
#define SPLIT 2
byte dirty;
byte tail = 2, indexed = 2, intent_end;
byte stage, old_segment, where, split_depth, free_after, segments_after;
byte new_segment[2];
byte free_head, segments = 2; /* the next that is not used yet */
byte next_free[SEGMENTS + 1];

/* ---- what is known of the past, and what may yet be ---- */

byte commits, splits, deaths;
bool killed;
byte done[KEYS];  /* offset + 1 of its last finished commit */
bool gone[KEYS];  /* it is not there, or about to be removed */
byte wanted = KEYS; /* by the reader, */
bool missable;      /* who may find nothing */

hidden byte bytes_are_written;
hidden byte right_key;
hidden byte nothing_missed;
hidden byte nothing_stale;
hidden byte index_is_right;
#define PROMISE(name, condition) name = (condition); assert(name)

/* ---- segments ---- */

#ifdef BROKEN_SLOT
#define SLOT_ORDER RELAXED
#else
#define SLOT_ORDER RELEASE
#endif
#ifdef BROKEN_ENTRY
#define ENTRY_ORDER RELAXED
#else
#define ENTRY_ORDER RELEASE
#endif

/* `to` := the word of the slot that leads to the key, or WORDS. */
inline find(key)
{
    d_step {
        segment = segment_of(seen[locate(seen[DIRECTORY], key)]);
        to = WORDS;
        i = 0;
        do
        :: i < SLOTS ->
            if
            :: is_record(seen[slot_at(segment, i)]) &&
               key_of(seen[log_at(leads_to(seen[slot_at(segment, i)]))]) == key ->
                to = slot_at(segment, i);
                break
            :: else
            fi;
            if
            :: i % BUCKET == 1 && (seen[slot_at(segment, i)] == EMPTY ||
                                   seen[slot_at(segment, i - 1)] == EMPTY) -> break
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

/* Into `segment`. */
inline insert(off)
{
    d_step {
        to = 0;
        do
        :: is_record(seen[slot_at(segment, to)]) -> to++
        :: else -> break
        od;
        assert(to < SLOTS);
        to = slot_at(segment, to)
    };
    store(to, lead_to(off), SLOT_ORDER)
}

inline remove()
{
    d_step {
        /* the other slot of its bucket */
        i = ((to - RECORDS) % BUCKET == 0 -> to + 1 : to - 1);
#ifdef BROKEN_EMPTY
        i = EMPTY
#else
        i = (seen[i] == EMPTY -> EMPTY : MARKER)
#endif
    };
    store(to, i, RELEASE);
    i = 0
}

/* ---- splits ---- */

inline empty_segment(number)
{
    do
    :: d_step { i < SLOTS && seen[slot_at(number, i)] == EMPTY -> 
            do
            :: i < SLOTS && seen[slot_at(number, i)] == EMPTY -> i++
            :: else -> break
            od }
    :: atomic { i < SLOTS && seen[slot_at(number, i)] != EMPTY ->
            store(slot_at(number, i), EMPTY, RELAXED);
            i++ }
    :: atomic { i == SLOTS -> i = 0; break }
    od
}

#define number_for(i) (new_segment[1] != 0 && (i) == 1 -> new_segment[1] : new_segment[0])

inline copy_segment()
{
#ifndef BROKEN_FENCE
    release_fence();
#endif
#ifndef BROKEN_REDO
    empty_segment(new_segment[0]);
    if
    :: new_segment[1] != 0 -> empty_segment(new_segment[1])
    :: new_segment[1] == 0
    fi;
#endif
    i = 0;
    do
    :: atomic { i < SLOTS && is_record(seen[slot_at(old_segment, i)]) ->
            from = leads_to(seen[slot_at(old_segment, i)]);
            segment = number_for(side(key_of(seen[log_at(from)]))) };
        insert(from);
        atomic { i++; from = 0; to = 0 }
    :: d_step { i < SLOTS && !is_record(seen[slot_at(old_segment, i)]) ->
            do
            :: i < SLOTS && !is_record(seen[slot_at(old_segment, i)]) -> i++
            :: else -> break
            od }
    :: atomic { i == SLOTS -> i = 0; break }
    od
}

#ifdef BROKEN_SEQUENCE
#define sequence_after(entry) 0
#else
#define sequence_after(entry) (sequence_of(entry) + 1)
#endif

inline point_entry()
{
    atomic {
        from = seen[entry_at(seen[DIRECTORY], i)];
        if
        :: segment_of(from) == number_for(i) /* a dead holder did this one */
        :: segment_of(from) != number_for(i) ->
            from = entry(number_for(i), split_depth + (new_segment[1] != 0), sequence_after(from));
            store(entry_at(seen[DIRECTORY], i), from, ENTRY_ORDER)
        fi;
        from = 0
    }
}

inline point_entries()
{
    i = where;
    do
    :: i <= depth(seen[DIRECTORY]) -> point_entry(); i = i + 1 + split_depth
    :: i > depth(seen[DIRECTORY]) -> i = 0; break
    od
}

inline finish_split()
{
    atomic {
        if
        :: segments <= start(seen[DIRECTORY]) -> segments = start(seen[DIRECTORY]) + 1
        :: else
        fi
    };
    if
    :: stage == 1 ->
        free_head = free_after;
        segments = segments_after;
        copy_segment();
#ifdef BROKEN_STAGE
        point_entries();
#endif
        stage = 2
    :: stage != 1
    fi;
    if
    :: stage == 2 ->
        point_entries();
        next_free[old_segment] = free_after;
#ifndef BROKEN_RETIRE
        free_head = old_segment;
#endif
        stage = 0
    :: stage == 0
    fi
}

inline double_directory()
{
    if
    :: atomic { true -> from = seen[DIRECTORY] } /* in place */
    :: atomic { true -> from = directory(0, segments) }
    fi;
    store(entry_at(from, 0), seen[entry_at(seen[DIRECTORY], 0)], RELAXED);
    store(entry_at(from, 1), seen[entry_at(seen[DIRECTORY], 0)], RELAXED);
    store(DIRECTORY, from | 1, RELEASE);
    atomic {
        if
        :: segments <= start(from) -> segments = start(from) + 1
        :: else
        fi;
        from = 0
    }
}

/* The free list's head, else the next that is not used. */
inline choose(n)
{
    if
    :: free_after != 0 -> new_segment[n] = free_after; free_after = next_free[free_after]
    :: else -> new_segment[n] = segments_after; segments_after++
    fi;
    assert(new_segment[n] <= SEGMENTS);
    PROMISE(index_is_right, new_segment[n] != start(seen[DIRECTORY]))
}

inline split(key)
{
    atomic {
        dirty = dirty | SPLIT;
        splits--;
        if
        :: two = true
        :: two = false
        :: two = false
        fi
    };
    if
    :: two && depth(seen[DIRECTORY]) == 0 -> double_directory()
    :: else
    fi;
    atomic {
        from = seen[locate(seen[DIRECTORY], key)];
        two = two && depth_of(from) == 0;
        old_segment = segment_of(from);
        split_depth = depth_of(from);
        where = side(key) & split_depth;
        from = 0;
        free_after = free_head;
        segments_after = segments;
        choose(0);
        if
        :: two -> choose(1)
        :: else -> new_segment[1] = 0
        fi;
        two = false;
        stage = 1
    };
    finish_split();
    dirty = dirty & ~SPLIT
}

#define last_slot(key) seen[slot_at(segment_of(seen[locate(seen[DIRECTORY], key)]), SLOTS - 1)]
#define segment_has_room(key) !is_record(last_slot(key))

inline secure(key)
{
    do
    :: splits > 0 -> split(key)
    :: segment_has_room(key) -> break
    od
}

/* ---- commits ---- */

inline commit(key, removes)
{
    find(key);
    if
    :: to == WORDS -> secure(key)
    :: to != WORDS
    fi;
    atomic {
        intent_end = tail + 1; /* 0 */
        dirty = COMMIT;
        if
        :: removes ->
            gone[key] = true;
            missable = missable || key == wanted
        :: else
        fi
    };
#ifdef BROKEN_ORDER
    if
    :: to != WORDS && !removes -> store(to, lead_to(tail), SLOT_ORDER)
    :: else
    fi;
#endif
    atomic {
        from = (removes -> delete(key) : put(key));
        store(log_at(tail), from, RELAXED); /* 1 */
        from = 0
    };
    tail = intent_end; /* 2 */
    find(key); /* 4 */
    if
    :: removes -> remove()
    :: !removes && to != WORDS -> store(to, lead_to(indexed), SLOT_ORDER)
    :: !removes && to == WORDS ->
        insert(indexed)
    fi;
    atomic { indexed = tail; dirty = 0 } /* 5 */
}

inline repair()
{
    if
    :: dirty & SPLIT -> finish_split()
    :: !(dirty & SPLIT)
    fi;
    if
    :: dirty & COMMIT ->
        if
        :: tail < intent_end -> store(log_at(tail), PAD, RELAXED); tail = intent_end
        :: tail == intent_end
        fi;
        if
        :: indexed < tail && seen[log_at(indexed)] != PAD ->
            atomic { from = seen[log_at(indexed)]; key = key_of(from); removes = !is_put(from);
                from = 0 };
            find(key);
            if
            :: to == WORDS && !removes ->
                secure(key);
                find(key);
                insert(indexed)
            :: to != WORDS && leads_to(seen[to]) < indexed && removes -> remove()
            :: to != WORDS && leads_to(seen[to]) < indexed && !removes ->
                store(to, lead_to(indexed), SLOT_ORDER)
            :: else
            fi
        :: else
        fi
    :: !(dirty & COMMIT)
    fi;
    atomic { indexed = tail; dirty = 0 }
}

/* With all stores in memory: index and free list are what the log says. */
inline audit()
{
    d_step {
        key = 0;
        n = 0; /* keys that are there */
        do
        :: key < KEYS ->
            done[key] = 0;
            i = 0;
            do
            :: i < tail ->
                if
                :: seen[log_at(i)] == put(key) -> done[key] = i + 1; gone[key] = false
                :: seen[log_at(i)] == delete(key) -> done[key] = i + 1; gone[key] = true
                :: else
                fi;
                i++
            :: else -> break
            od;
            gone[key] = gone[key] || done[key] == 0;
            segment = segment_of(seen[locate(seen[DIRECTORY], key)]);
            i = 0;
            from = 0; /* slots that lead to the key */
            do
            :: i < SLOTS ->
                if
                :: is_record(seen[slot_at(segment, i)]) &&
                   key_of(seen[log_at(leads_to(seen[slot_at(segment, i)]))]) == key ->
                    from++;
                    PROMISE(index_is_right, leads_to(seen[slot_at(segment, i)]) + 1 == done[key])
                :: else
                fi;
                i++
            :: else -> break
            od;
            PROMISE(index_is_right, from == !gone[key]);
            n = n + from;
            key++
        :: else -> break
        od;
        /* segments: each is in force, in the free list, or the directory's; nothing else in force */
        i = 0;
        from = 0;
        do
        :: i <= depth(seen[DIRECTORY]) ->
            segment = segment_of(seen[entry_at(seen[DIRECTORY], i)]);
            if
            :: i == 0 || segment != segment_of(seen[entry_at(seen[DIRECTORY], 0)]) ->
                from++;
                to = 0;
                do
                :: to < SLOTS -> n = n - is_record(seen[slot_at(segment, to)]); to++
                :: else -> break
                od
            :: else
            fi;
            to = free_head;
            do
            :: to != 0 -> PROMISE(index_is_right, to != segment); to = next_free[to]
            :: else -> break
            od;
            i++
        :: else -> break
        od;
        PROMISE(index_is_right, n == 0);
        to = free_head;
        do
        :: to != 0 -> from++; to = next_free[to]
        :: else -> break
        od;
        PROMISE(index_is_right, from + (start(seen[DIRECTORY]) != 0) == segments - 1);
        key = 0; i = 0; from = 0; to = 0; n = 0; segment = 0
    }
}

proctype holder()
{
    byte key, i, from, to, segment, n;
    bool removes, two;

    do
    :: atomic { commits == 0 && dirty == 0 -> break }
    :: commits > 0 || dirty != 0 ->
        {
            if
            :: dirty != 0 -> repair()
            :: dirty == 0 ->
                atomic {
                    commits--;
                    if
                    :: key = 0
                    :: key = 1
                    :: key = 2
                    fi;
                    if
                    :: removes = false
                    :: !gone[key] -> removes = true
                    fi
                };
                commit(key, removes)
            fi;
            atomic { queued == 0 -> removes = false; audit() }
        } unless {
            atomic {
                killed ->
                key = 0; i = 0; from = 0; to = 0; segment = 0; n = 0; removes = false; two = false };
            atomic { queued == 0 -> killed = false }
        }
    od
}

proctype killer()
{
end:
    do
    :: atomic { deaths > 0 && dirty != 0 -> deaths--; killed = true }
    od
}

/* ---- the reader ---- */

inline look_at(i)
{
    slot = mem[slot_at(segment_of(entry_now), i)];
    if
    :: is_record(slot) ->
        atomic {
            record = mem[log_at(leads_to(slot))];
            PROMISE(bytes_are_written, record != 0);
#ifdef BROKEN_KEY
            if
            :: true
#else
            if
            :: is_put(record) && key_of(record) == wanted
#endif
                ->
                PROMISE(right_key, record == put(wanted));
                PROMISE(nothing_stale, leads_to(slot) + 1 >= least);
                goto out
            :: else -> record = 0; slot = 0
            fi
        }
    :: else -> slot = 0
    fi
}

inline look_for_empty(i)
{
    has_empty = has_empty || mem[slot_at(segment_of(entry_now), i)] == EMPTY
}

inline load_again()
{
    directory_after = mem[DIRECTORY];
    entry_after = mem[locate(directory_after, wanted)]
}

proctype reader()
{
    byte directory_now, entry_now, directory_after, entry_after, bucket, slot, record, least;
    bool has_empty;

    atomic {
        if
        :: wanted = 0
        :: wanted = 1
        :: wanted = 2
        fi;
        least = done[wanted];
        missable = gone[wanted];
        directory_now = mem[DIRECTORY]
    };
    entry_now = mem[locate(directory_now, wanted)];
again:
#ifdef BROKEN_ACQUIRE
    load_again();
#endif
    do
    :: bucket < SLOTS ->
        if
        :: look_at(bucket); look_at(bucket + 1)
        :: look_at(bucket + 1); look_at(bucket)
        fi;
        look_for_empty(bucket);
        look_for_empty(bucket + 1);
        if
        :: has_empty -> break
        :: !has_empty -> bucket = bucket + BUCKET
        fi
    :: bucket == SLOTS -> break
    od;
    atomic { bucket = 0; has_empty = false };
#ifndef BROKEN_ACQUIRE
    load_again();
#endif
#ifndef BROKEN_CONFIRM
    if
    :: directory_now != directory_after || entry_now != entry_after ->
        atomic { directory_now = directory_after; entry_now = entry_after };
        goto again
    :: else
    fi;
#endif
    atomic { PROMISE(nothing_missed, missable) };
out:
    atomic { wanted = KEYS; missable = false; directory_now = 0; entry_now = 0; directory_after = 0;
        entry_after = 0; bucket = 0; has_empty = false; slot = 0; record = 0; least = 0 }
}

inline begin(word, value)
{
    mem[word] = value;
    seen[word] = value
}

init
{
    d_step {
        begin(log_at(0), put(0));
        begin(log_at(1), put(1));
        begin(slot_at(1, 0), lead_to(0));
        begin(slot_at(1, 1), lead_to(1));
        begin(entry_at(0, 0), entry(1, 0, 0));
        done[0] = 1;
        done[1] = 2;
        gone[2] = true
    };
    atomic {
        if
        :: commits = 1; splits = 2
        :: commits = 1; splits = 1; deaths = 1
        :: commits = 2; splits = 1
        :: commits = 2; deaths = 1
        fi;
        run holder();
        run reader();
        run memory();
        run killer()
    }
}
