// SPDX-License-Identifier: GPL-2.0-only

//! The fronts of one disk: the one that is published, and those that were.
//!
//! A DAX device has one holder slot, so a front serves one file system with a handler of its own.
//! When the slot of the published front is claimed, another one takes its place before the next
//! claim is made (`lookup`). All of them share the gate. A front whose holder has gone serves again, so
//! there are never more than there were holders at a time.

use crate::{
    gate::Gate,
    sys::{
        block::Disk,
        dax::Front,
        publishing::Publishing,
        super_block::ActiveSuper, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// The fronts of a disk.
#[pin_data]
pub(crate) struct Fronts {
    gate: Arc<Gate>,
    #[pin]
    list: Mutex<List>,
}

struct List {
    /// Never empty.
    fronts: KVec<Arc<Front<Gate>>>,
    /// Which of them is published, or is to be.
    current: usize,
}

impl Fronts {
    /// Makes the first front before `gate`. Nothing is published.
    pub(crate) fn new(gate: Arc<Gate>) -> Result<impl PinInit<Self>> {
        let mut fronts = KVec::with_capacity(1, GFP_KERNEL)?;
        fronts.push(Arc::new(Front::new(gate.clone())?, GFP_KERNEL)?, GFP_KERNEL)?;
        Ok(pin_init!(Self {
            gate,
            list <- new_mutex!(List { fronts, current: 0 }, "dax_holder::Fronts::list"),
        }))
    }

    /// Publishes a front for `disk`. Errors as for a DAX device: `EBUSY`, `ENOMEM`.
    pub(crate) fn publish(&self, disk: &Disk, publishing: &Publishing) -> Result {
        let list = self.list.lock();
        publishing.publish(disk, list.fronts[list.current].device())
    }

    /// Publishes another front for `disk` if the slot of the published one is claimed.
    ///
    /// `ENOMEM`: all is as before. May sleep.
    pub(crate) fn make_room(&self, disk: &Disk, publishing: &Publishing) -> Result {
        let mut list = self.list.lock();
        let is_free = |front: &Arc<Front<Gate>>| front.holder().is_null();
        if is_free(&list.fronts[list.current]) {
            return Ok(());
        }
        let free = match list.fronts.iter().position(is_free) {
            Some(free) => free,
            None => {
                let front = Arc::new(Front::new(self.gate.clone())?, GFP_KERNEL)?;
                list.fronts.push(front, GFP_KERNEL)?;
                list.fronts.len() - 1
            }
        };
        publishing.withdraw(disk);
        let published = publishing.publish(disk, list.fronts[free].device());
        if published.is_ok() {
            list.current = free;
        } else if let Err(e) = publishing.publish(disk, list.fronts[list.current].device()) {
            pr_err!(
                "{}: lost its DAX device ({}): mount again later\n",
                disk.name().as_str(),
                e.to_errno()
            );
        }
        published
    }

    /// Calls `f` for each front.
    fn any(&self, f: impl FnMut(&Arc<Front<Gate>>) -> bool) -> bool {
        self.list.lock().fronts.iter().any(f)
    }

    /// Returns whether `device` is one of the fronts. Only compares.
    pub(crate) fn has(&self, device: *const crate::bindings::dax_device) -> bool {
        self.any(|front| front.device().is(device))
    }

    /// Returns whether somebody besides us has a reference to a front.
    pub(crate) fn in_use(&self) -> bool {
        self.any(|front| front.in_use())
    }

    /// Returns whether the slot of a front is claimed.
    pub(crate) fn claimed(&self) -> bool {
        self.any(|front| !front.holder().is_null())
    }

    /// Returns the front whose slot the file system of `sb` has claimed.
    pub(crate) fn of(&self, sb: &ActiveSuper) -> Option<Arc<Front<Gate>>> {
        let list = self.list.lock();
        let mut fronts = list.fronts.iter();
        fronts.find(|front| sb.has_private(front.holder())).cloned()
    }

    /// Refuses every access from now on, for ever, and waits for those that have begun. `pin` pins
    /// the super block of a holder, see [`Front::kill`]. Returns whether all fronts are dead.
    ///
    /// None may be published any more. Sleeps; not for callbacks.
    pub(crate) fn kill(&self, mut pin: impl FnMut(&Front<Gate>) -> Option<ActiveSuper>) -> bool {
        let list = self.list.lock();
        let mut dead = true;
        for front in &list.fronts {
            if !front.kill(false) {
                let pinned = pin(front);
                dead &= front.kill(pinned.is_some());
            }
        }
        dead
    }
}
