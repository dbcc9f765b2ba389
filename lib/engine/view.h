/* SPDX-License-Identifier: MIT */
/*
 * The read side: a view of the generation in force, protected by RCU. The only user of liburcu.
 *
 * A reader enters, and from then to leave the view cannot be freed. The one comparison of
 * generations is enough: compaction freezes an old generation at the switch, so a reader that is
 * preempted right after it returns the state of an instant inside its own call.
 */
#ifndef LX_ENGINE_VIEW_H
#define LX_ENGINE_VIEW_H

#include "base/tsan.h"
#include "engine/core.h"

#include <urcu/static/pointer.h>
#include <urcu/static/urcu-bp.h>
#include <urcu-pointer.h>

/* ThreadSanitizer: what a reader did happened before the grace period that waited for it. */
#define LX_VIEW_READ (&lx_view_grace_period)
void lx_view_grace_period(void);

static inline void lx_view_leave(void)
{
    lx_tsan_release(LX_VIEW_READ);
    _urcu_bp_read_unlock();
}

/* Enter with the view in force, if it is at hand. */
static inline bool lx_view_enter_at_once(lx_core *core, lx_view **ret_view)
{
    const _Atomic uint64_t *generation;
    lx_view *view;

    /* acquire: the view of this attachment; pairs with the store in open.c attached() */
    if (LX_UNLIKELY(atomic_load_explicit(&core->epoch, memory_order_acquire) != lx_fork_epoch))
        return false;
    _urcu_bp_read_lock();
    view = _rcu_dereference(core->view);
    lx_tsan_acquire(&core->view);
    generation = atomic_load_explicit(&core->generation, memory_order_relaxed);
    /* acquire: the block before its generation; pairs with lx_control_publish() */
    if (LX_LIKELY(view != NULL &&
                  view->generation == atomic_load_explicit(generation, memory_order_acquire))) {
        *ret_view = view;
        return true;
    }
    lx_view_leave();
    return false;
}

/* The same once the core was attached or looked after, whatever it takes. */
int lx_view_enter_slowly(lx_core *core, lx_view **ret_view);

/* Enter the read side with the view in force. Nothing to leave when the result is not LXDB_OK. */
static inline int lx_view_enter(lx_core *core, lx_view **ret_view)
{
    return LX_LIKELY(lx_view_enter_at_once(core, ret_view)) ? LXDB_OK
                                                            : lx_view_enter_slowly(core, ret_view);
}

/* The words of the view's block, without the writer lock. LX_AGAIN: the generation is not in force
 * any more. A block is used again by the next generation but one, so whoever reads it looks at the
 * generation afterwards. */
int lx_view_standing(const lx_core *core, const lx_view *view, struct lx_standing *ret_standing);

/* Keep a view beyond the read side; inside it, or by who holds a pin already. */
void lx_view_pin(lx_view *view);
void lx_view_unpin(lx_core *core, lx_view *view);
/* Enter, pin, leave. */
int lx_view_get(lx_core *core, lx_view **ret_view);

/* Replace the core's view, with its mutex held; the old one is freed when nobody can see it. */
void lx_view_publish(lx_core *core, lx_view *view);
/* Open the files that the control block names and map them. */
int lx_view_open(lx_core *core, lx_view **ret_view);
/* A view on files already open; owns both on success. */
int lx_view_make(lx_core *core, uint64_t generation, lx_log *log, lx_index *index,
                 struct lx_control_block *block, lx_view **ret_view);
/* After LX_AGAIN with a view: open it anew, with more address space or of the generation in force.
 * After LX_DAMAGED: have a new index made, by a compaction. LX_AGAIN: done, try again; else a code
 * for the caller. Any other `rc` comes back as it is. Without the writer lock, outside the read
 * side, with the view pinned or not. */
int lx_view_mend(lx_core *core, const lx_view *view, int rc);
/* Close: free all views, whoever pins them. */
void lx_view_close_all(lx_core *core);
/* In a child of fork: no mapping came along and the descriptors are closed. Iterators of the parent
 * may still pin a view: its memory is theirs to free, with nothing behind it. */
void lx_view_forget_all(lx_core *core);

void lx_rcu_before_fork(void);
void lx_rcu_after_fork_parent(void);
void lx_rcu_after_fork_child(void);

#endif
