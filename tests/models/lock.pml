/* SPDX-License-Identifier: MIT */
/*
 * The writer lock, with deaths and repairs.
 *
 * Three writers make one commit each: a put, a delete, or a batch of two. Any of them may be killed
 * between any two stores, two in all, so that a repair may be cut as well. What the dead leave is
 * set right by the next holder, and once all have ended an auditor takes the lock as any taker
 * does, repairs if need be, and reads log, index and counters.
 *
 * Step of the model                 what it stands for
 *     take, its first `if`          lx_lock_try() and spin() in store/lock.c: compare-and-swap
 *     take, from `look` on          wait_for(): waiters bit, futex, verdict, compare-and-swap
 *     is_dead                       lx_lock_is_dead()
 *     release                       lx_lock_release(): exchange, then wake
 *     commit                        lx_commit_apply() in engine/commit.c, steps 0 to 5 by number
 *     repair                        lx_repair() in engine/repair.c; `cover` is cover() with
 *                                   lx_log_cover() and cover_one() of store/log.c, `replay` is
 *                                   lx_replay() with replay_event()
 *     killer                        SIGKILL; `held` of the victim falls later, when the kernel gets
 *                                   to closing its description
 *     audit                         what verify and the next reader would find
 *
 * Time. With `clock` a sleep may end at any moment and so may a deadline (LXDB_BUSY). Without it
 * neither happens by itself, so that a wake-up that is lost shows as a state in which nobody can go
 * on; only a death, or a waiter that gave up and so swallowed a wake-up, lets sleeps end then: that
 * is what their bound of 20 ms is for. A stopped process is one that takes no step for long: every
 * interleaving has those, and with `clock` the others run into sleeps' ends and deadlines meanwhile.
 *
 * Memory. Stores take effect in program order. All words here but `word` are touched under the lock
 * alone, which is taken with acquire and let go with release; a victim's stores are a prefix of its
 * program order, and its locks, which the kernel lets go after the last of them, order them before
 * a verdict. Readers without the lock are in slot.pml and compact.pml.
 *
 * Left out: descriptors that were closed or replaced, which can say nothing (tests/unit/lock); the
 * words about the holder (for sentences only); splits (slot.pml) and swaps
 * (compact.pml), which are other bits of `dirty`; growth, which ends before step 0; publish_seq,
 * which readers of many keys compare; the record counters besides the number of keys, which are
 * stored beside it in the same way; the GROUP of a batch, since replay needs only the tail that all
 * its records share; stores that fail, after which the same writer repairs, as the next one would
 * here. Identities are never used again (62 random bits).
 *
 * Broken variants, and what must catch each:
 *     BROKEN_LEASE       mutual_exclusion   a sleep's end is taken for a death
 *     BROKEN_TAKEOVER    mutual_exclusion   a dead holder is replaced by a store
 *     BROKEN_BIT         invalid end state  who slept takes the lock without the waiters bit
 *     BROKEN_WAKE        invalid end state  release looks at the waiters bit before it lets go
 *     BROKEN_INTENT      log_parses         `dirty` is stored before the intent
 *     BROKEN_COVER       log_parses         what never reached the log is not covered
 *     BROKEN_CLEAN       counts_are_right   the repair clears `dirty` before it has replayed
 *     BROKEN_COUNT       counts_are_right   the repair adds to the counters as it replays
 */

#define WRITERS 3
#define NOBODY 255
#define DEATHS 3

#define WAITERS 1
#define mine(i) (((i) + 1) << 1)
#define owner(w) (((w) >> 1) - 1)

/* Writer 0 puts key 1, writer 1 both keys in a batch, writer 2 deletes key 0 or, if it is not there,
 * puts it. */
#define writes(i, key) ((i) == 1 || (key) == ((i) == 0))

/* Cells of the log. A record is two equal cells, the head and what its CRC vouches for: torn when
 * they differ. A PAD is a head, cells between, an end. DEAD is the status byte, in a head. */
#define CELLS 12
#define RECORD 2
#define PAD_MIN 3
#define PAD_HEAD 30
#define PAD_CELL 31
#define PAD_END 32
#define DEAD 64
#define cell(i, removes, key) (4 + (i) * 4 + (removes) * 2 + (key))
#define cell_key(c) ((c) & 1)
#define cell_removes(c) (((c) >> 1) & 1)
#define cell_writer(c) ((((c) & ~DEAD) >> 2) - 1)

/* ---- shared: the lock file, the log, the index ---- */

byte word;
bool dirty;
byte intent_end, intent_records;
byte tail, indexed, records;
byte log[CELLS];
byte slot[2]; /* offset + 1 in the log, 0 = empty */

/* ---- the kernel ---- */

bool held[WRITERS]; /* the identity's lock */
bool asleep[WRITERS];
bool killed[WRITERS];

/* ---- time, and what is known of the past ---- */

bool clock;
byte may_die;
bool over[WRITERS];
byte holder = NOBODY;
bool committed[WRITERS]; /* the tail went past its commit */

/* ---- the promises: the name is what spin reports ---- */

hidden byte mutual_exclusion; /* also: a living holder, stopped or not, is never robbed */
hidden byte log_parses;       /* whole records and PADs up to the tail, nothing behind it */
hidden byte nothing_lost;     /* what was acknowledged or passed the tail is in the log */
hidden byte index_is_right;   /* the last record of each key decides; its predecessors are dead */
hidden byte counts_are_right;
#define PROMISE(name, condition) name = (condition); assert(name)

/* ---- the lock ---- */

#define compare_and_swap(from, to) word == (from) -> word = (to)

inline entered(i)
{
    PROMISE(mutual_exclusion, holder == NOBODY || killed[holder]);
    holder = i
}

#ifdef BROKEN_LEASE
#define is_dead(identity) true
#else
#define is_dead(identity) !held[identity]
#endif

#ifdef BROKEN_BIT
#define mine_after_sleep(i) mine(i)
#else
#define mine_after_sleep(i) (mine(i) | WAITERS)
#endif

/* Falls through with the lock; jumps to `gone` when the deadline has passed. Looks and what is
 * decided from them alone are one step: a compare-and-swap finds out whether they still hold. */
inline take(i)
{
    if
    :: atomic { compare_and_swap(0, mine(i)); entered(i); goto inside }
    :: word != 0
    fi;
look:
    atomic {
        seen = word;
        if
        :: seen != 0 && clock -> goto gone
        :: seen == 0 -> goto grab
        :: seen != 0 && (seen & WAITERS) -> goto sleep
        :: seen != 0 && !(seen & WAITERS)
        fi
    };
    atomic {
        if
        :: compare_and_swap(seen, seen | WAITERS); seen = seen | WAITERS
        :: else -> goto look
        fi
    };
sleep:
    atomic {
        if
        :: word == seen -> asleep[i] = true
        :: else -> goto look
        fi
    };
    if
    :: !asleep[i]
    :: asleep[i] && clock -> asleep[i] = false
    fi;
    atomic {
        if
        :: word == seen && is_dead(owner(seen))
        :: goto look
        fi
    };
#ifdef BROKEN_TAKEOVER
    atomic { word = mine_after_sleep(i); entered(i); goto inside };
#endif
grab:
    atomic {
        if
        :: compare_and_swap(seen, mine_after_sleep(i)); entered(i); goto inside
        :: else -> goto look
        fi
    };
inside:
    seen = 0
}

inline wake_one()
{
    if
    :: atomic { asleep[0] -> asleep[0] = false }
    :: atomic { asleep[1] -> asleep[1] = false }
    :: atomic { asleep[2] -> asleep[2] = false }
    :: !asleep[0] && !asleep[1] && !asleep[2]
    fi
}

inline release()
{
#ifdef BROKEN_WAKE
    seen = word;
    atomic { word = 0; holder = NOBODY };
#else
    atomic { seen = word; word = 0; holder = NOBODY };
#endif
    if
    :: seen & WAITERS -> wake_one()
    :: else
    fi
}

/* ---- the commit ---- */

inline commit(i)
{
    atomic {
        removes = (i == 2 && slot[0] != 0);
        end = tail + (i == 1 -> 2 * RECORD : RECORD);
        at = tail
    };
#ifdef BROKEN_INTENT
    log[at] = cell(i, removes, i == 0);
    at++;
#endif
    intent_end = end; /* 0 */
    intent_records = records - removes + (writes(i, 0) && slot[0] == 0) +
                     (writes(i, 1) && slot[1] == 0);
    dirty = true;
    do /* 1 */
    :: at < end ->
        log[at] = cell(i, removes, (i == 0 || at - tail >= RECORD));
        at++
    :: else -> break
    od;
    atomic { tail = end; committed[i] = true }; /* 2 */
    if /* 3 */
    :: writes(i, 0) && slot[0] != 0 -> log[slot[0] - 1] = log[slot[0] - 1] | DEAD
    :: else
    fi;
    if
    :: writes(i, 1) && slot[1] != 0 -> log[slot[1] - 1] = log[slot[1] - 1] | DEAD
    :: else
    fi;
    if /* 4 */
    :: writes(i, 0) -> slot[0] = (removes -> 0 : indexed + 1)
    :: else
    fi;
    if
    :: writes(i, 1) -> slot[1] = end - RECORD + 1
    :: else
    fi;
    records = intent_records; /* 5 */
    indexed = end;
    dirty = false
}

/* ---- the repair ---- */

inline cover()
{
    end = (intent_end - tail < PAD_MIN -> tail + PAD_MIN : intent_end);
    intent_records = records;
    intent_end = end;
    at = tail + 1;
    do
    :: at < end - 1 -> log[at] = PAD_CELL; at++
    :: else -> break
    od;
    log[tail] = PAD_HEAD;
    log[end - 1] = PAD_END;
    tail = end
}

/* One record of the log, at `at`. */
inline replay_record()
{
    if
    :: slot[cell_key(log[at])] == 0 ->
        if
        :: !cell_removes(log[at]) ->
#ifdef BROKEN_COUNT
            records++;
#endif
            slot[cell_key(log[at])] = at + 1
        :: else
        fi
    :: slot[cell_key(log[at])] != 0 && slot[cell_key(log[at])] - 1 < at ->
        old = slot[cell_key(log[at])] - 1;
        log[old] = log[old] | DEAD;
#ifdef BROKEN_COUNT
        records = records - cell_removes(log[at]);
#endif
        slot[cell_key(log[at])] = (cell_removes(log[at]) -> 0 : at + 1)
    :: else /* published already */
    fi
}

inline replay()
{
    at = indexed;
    do
    :: at == tail -> break
    :: at < tail && log[at] == PAD_HEAD ->
        d_step {
            do
            :: log[at] != PAD_END -> at++
            :: else -> at++; break
            od
        }
    :: else -> replay_record(); at = at + RECORD
    od
}

inline repair()
{
#ifdef BROKEN_COVER
    if
    :: tail < intent_end -> intent_records = records
    :: else
    fi;
#else
    if
    :: tail < intent_end -> cover()
    :: else
    fi;
#endif
#ifdef BROKEN_CLEAN
    dirty = false;
#endif
    replay();
#ifndef BROKEN_COUNT
    records = intent_records;
#endif
    indexed = tail;
    dirty = false
}

/* ---- who takes part ---- */

proctype writer(byte i)
{
    byte seen, end, at, old;
    bool removes;

    {
        take(i);
        if
        :: dirty -> repair()
        :: else
        fi;
        commit(i);
        release();
gone:
        atomic { over[i] = true; seen = 0; end = 0; at = 0; old = 0; removes = false }
    } unless {
        killed[i]
    };
    atomic {
        asleep[i] = false;
        held[i] = false;
        over[i] = true;
        seen = 0; end = 0; at = 0; old = 0; removes = false
    }
}

proctype killer()
{
end:
    do
    :: atomic { may_die > 0 && !over[0] && !killed[0] -> killed[0] = true; may_die-- }
    :: atomic { may_die > 0 && !over[1] && !killed[1] -> killed[1] = true; may_die-- }
    :: atomic { may_die > 0 && !over[2] && !killed[2] -> killed[2] = true; may_die-- }
    od
}

inline audit()
{
    d_step {
        at = 0;
        end = 0;      /* live keys by the log */
        last[0] = 0;
        last[1] = 0;
        do
        :: at >= tail -> break
        :: at < tail && log[at] == PAD_HEAD ->
            do
            :: log[at] != PAD_END && at < tail ->
                at++;
                PROMISE(log_parses, at < tail && (log[at] == PAD_CELL || log[at] == PAD_END))
            :: else -> at++; break
            od
        :: else ->
            PROMISE(log_parses, log[at] != 0 && (log[at] & ~DEAD) < PAD_HEAD &&
                                at + 1 < tail && (log[at] & ~DEAD) == log[at + 1]);
            in_log[cell_writer(log[at])] = true;
            old = last[cell_key(log[at])];
            if
            :: old != 0 -> PROMISE(index_is_right, log[old - 1] & DEAD)
            :: else
            fi;
            last[cell_key(log[at])] = (cell_removes(log[at]) -> 0 : at + 1);
            at = at + RECORD
        od;
        PROMISE(log_parses, at == tail);
        do
        :: at < CELLS -> PROMISE(log_parses, log[at] == 0); at++
        :: else -> break
        od;
        at = 0;
        do
        :: at < WRITERS ->
            PROMISE(nothing_lost, in_log[at] == committed[at]);
            at++
        :: else -> break
        od;
        at = 0;
        do
        :: at < 2 ->
            PROMISE(index_is_right, slot[at] == last[at]);
            if
            :: last[at] != 0 -> PROMISE(index_is_right, !(log[last[at] - 1] & DEAD))
            :: else
            fi;
            end = end + (last[at] != 0);
            at++
        :: else -> break
        od;
        PROMISE(counts_are_right, records == end && indexed == tail && !dirty)
    }
}

init
{
    byte end, at, old;
    byte last[2];
    bool in_log[WRITERS];

    atomic {
        if
        :: clock = true; may_die = DEATHS
        :: true
        fi;
        held[0] = true;
        held[1] = true;
        held[2] = true;
        run writer(0);
        run writer(1);
        run writer(2);
        run killer()
    };
    over[0] && over[1] && over[2];
    d_step { PROMISE(mutual_exclusion, word == 0 || !held[owner(word)]) };
    if
    :: dirty -> repair()
    :: else
    fi;
    audit()
}
