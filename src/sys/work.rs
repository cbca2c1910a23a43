// SPDX-License-Identifier: GPL-2.0-only

//! The module's own work queues: the kernel crate's queues can neither be flushed nor destroyed,
//! which a module that unloads must do.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use core::ptr;
use kernel::{
    bindings,
    ffi::c_int,
    prelude::*,
    str::CStr,
    sync::atomic::{
        ordering,
        Atomic, //
    },
    workqueue, //
};

static EVENTS: Atomic<*mut bindings::workqueue_struct> = Atomic::new(ptr::null_mut());
static CALLS: Atomic<*mut bindings::workqueue_struct> = Atomic::new(ptr::null_mut());

/// One queue.
///
/// # Invariants
///
/// The place has a queue, which this owns.
struct Queue(&'static Atomic<*mut bindings::workqueue_struct>);

impl Queue {
    /// Creates a queue, of whose items at most `most` run at a time. Its workers may sleep for long.
    ///
    /// Not `WQ_MEM_RECLAIM`: a worker may drop the last reference to a super block, and unmounting
    /// XFS flushes queues that are not (`check_flush_dependency()` warns).
    fn new(
        place: &'static Atomic<*mut bindings::workqueue_struct>,
        name: &'static CStr,
        most: u32,
    ) -> Result<Self> {
        // SAFETY: The name is a plain format string without conversions.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                name.as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                most as c_int,
            )
        };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        place.store(queue, ordering::Release);
        // INVARIANT: Just put there.
        Ok(Self(place))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let queue = self.0.xchg(ptr::null_mut(), ordering::Full);
        // SAFETY: Created by `new()`, destroyed only here. All work is done before it returns; the
        // module's drop order sees to it that nobody queues any more.
        unsafe { bindings::destroy_workqueue(queue) };
    }
}

/// The owner of the queues; one, for the life of the module.
pub(crate) struct Queues {
    _events: Queue,
    _calls: Queue,
}

impl Queues {
    /// Creates the queues.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            _events: Queue::new(&EVENTS, c"dax_holder", 0)?,
            // Many that sleep are to take the time of one.
            _calls: Queue::new(
                &CALLS,
                c"dax_holder_calls",
                bindings::wq_consts_WQ_MAX_ACTIVE,
            )?,
        })
    }
}

fn get(
    place: &'static Atomic<*mut bindings::workqueue_struct>,
) -> Option<&'static workqueue::Queue> {
    let queue = place.load(ordering::Acquire);
    if queue.is_null() {
        return None;
    }
    // SAFETY: Not NULL, so the queue exists until the module goes, and callers are code of it.
    Some(unsafe { workqueue::Queue::from_raw(queue) })
}

/// Returns the queue of those who handle events, if the module is up.
pub(crate) fn events() -> Option<&'static workqueue::Queue> {
    get(&EVENTS)
}

/// Returns the queue of calls to registered holders, if the module is up.
pub(crate) fn calls() -> Option<&'static workqueue::Queue> {
    get(&CALLS)
}
