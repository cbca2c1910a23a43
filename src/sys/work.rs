// SPDX-License-Identifier: GPL-2.0-only

//! The module's own work queue: the kernel crate's queues can neither be flushed nor destroyed,
//! which a module that unloads must do.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h).

use core::ptr;
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        ordering,
        Atomic, //
    },
    workqueue, //
};

static QUEUE: Atomic<*mut bindings::workqueue_struct> = Atomic::new(ptr::null_mut());

/// The owner of the queue; one, for the life of the module.
pub(crate) struct Queue(());

impl Queue {
    /// Creates the queue. Its workers may sleep for long.
    ///
    /// Not `WQ_MEM_RECLAIM`: a worker may drop the last reference to a super block, and unmounting
    /// XFS flushes queues that are not (`check_flush_dependency()` warns).
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The name is a plain format string without conversions; 0 is the default limit.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"dax_holder".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                0,
            )
        };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        QUEUE.store(queue, ordering::Release);
        Ok(Self(()))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let queue = QUEUE.xchg(ptr::null_mut(), ordering::Full);
        // SAFETY: Created by `new()`, destroyed only here. All work is done before it returns; the
        // module's drop order sees to it that nobody queues any more.
        unsafe { bindings::destroy_workqueue(queue) };
    }
}

/// Returns the queue, if the module is up.
pub(crate) fn queue() -> Option<&'static workqueue::Queue> {
    let queue = QUEUE.load(ordering::Acquire);
    if queue.is_null() {
        return None;
    }
    // SAFETY: Not NULL, so the queue exists until the module goes, and callers are code of it.
    Some(unsafe { workqueue::Queue::from_raw(queue) })
}
