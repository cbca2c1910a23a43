// SPDX-License-Identifier: GPL-2.0-only

//! The fronts of one disk: the one that is published, and those that were.
//!
//! A DAX device has one holder slot, so a front serves one file system with a handler of its own.
//! When the slot of the published front is claimed, another one takes its place before the next
//! claim is made (`lookup`). All of them share the gate. A front whose holder has gone serves again, so
//! there are never more than there were holders at a time.

use crate::{
    bindings::dax_device,
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
    seats: KVec<Seat>,
    /// Which of them is published, or is to be.
    current: usize,
    published: bool,
}

/// A front, and whose it is.
struct Seat {
    front: Arc<Front<Gate>>,
    /// The byte of the disk at which the block device begins for which its slot was claimed last; not
    /// known without the hook, but then there is one front only.
    base: Option<u64>,
}

impl Seat {
    fn new(gate: &Arc<Gate>) -> Result<Self> {
        Ok(Self {
            front: Arc::new(Front::new(gate.clone())?, GFP_KERNEL)?,
            base: None,
        })
    }

    fn is_free(&self) -> bool {
        self.front.holder().is_null()
    }
}

impl List {
    fn publish(&mut self, which: usize, disk: &Disk, publishing: &Publishing) -> Result {
        publishing.publish(disk, self.seats[which].front.device())?;
        (self.current, self.published) = (which, true);
        Ok(())
    }
}

impl Fronts {
    /// Makes the first front before `gate`. Nothing is published.
    pub(crate) fn new(gate: Arc<Gate>) -> Result<impl PinInit<Self>> {
        let mut seats = KVec::with_capacity(1, GFP_KERNEL)?;
        seats.push(Seat::new(&gate)?, GFP_KERNEL)?;
        let list = List {
            seats,
            current: 0,
            published: false,
        };
        Ok(pin_init!(Self {
            gate,
            list <- new_mutex!(list, "dax_holder::Fronts::list"),
        }))
    }

    /// Shows lockdep what comes after the lock of the list: what `inner` takes.
    #[cfg(CONFIG_PROVE_LOCKING)]
    pub(crate) fn teach_lock_order(&self, inner: impl FnOnce()) {
        let _list = self.list.lock();
        inner();
    }

    /// Publishes a front for `disk`. `EBUSY`: another DAX device is published.
    pub(crate) fn publish(&self, disk: &Disk, publishing: &Publishing) -> Result {
        let mut list = self.list.lock();
        let current = list.current;
        list.publish(current, disk, publishing)
    }

    /// Leaves `disk` without a front that others can find.
    pub(crate) fn withdraw(&self, disk: &Disk, publishing: &Publishing) {
        publishing.withdraw(disk);
        self.list.lock().published = false;
    }

    /// Sees to it that a front is published for `disk`, with a free slot if one is to be claimed.
    ///
    /// `ENOMEM`: none is. May sleep.
    pub(crate) fn make_room(&self, disk: &Disk, claim: bool, publishing: &Publishing) -> Result {
        // Dropped off the lock: a front that is not kept is killed, which waits for a grace period.
        let mut spare = None;
        let mut list = self.list.lock();
        let mut next = list.current;
        if claim && !list.seats[next].is_free() {
            if !list.seats.iter().any(Seat::is_free) {
                drop(list);
                spare = Some(Seat::new(&self.gate)?);
                list = self.list.lock();
            }
            next = match list.seats.iter().position(Seat::is_free) {
                Some(free) => free,
                None => {
                    list.seats.reserve(1, GFP_KERNEL)?;
                    // One that was free a moment ago is not: as without memory.
                    let seat = spare.take().ok_or(ENOMEM)?;
                    let _ = list.seats.push_within_capacity(seat);
                    list.seats.len() - 1
                }
            };
        }
        if list.published {
            if next == list.current {
                return Ok(());
            }
            publishing.withdraw(disk);
            list.published = false;
        }
        // Should it fail, the next one who looks tries again.
        list.publish(next, disk, publishing)
    }

    /// Notes that the slot of `device` was claimed for a block device that begins at byte `base`.
    pub(crate) fn claimed(&self, device: *const dax_device, base: u64) {
        let mut list = self.list.lock();
        let mut seats = list.seats.iter_mut();
        if let Some(seat) = seats.find(|seat| seat.front.device().is(device)) {
            seat.base = Some(base);
        }
    }

    /// Returns whether `f` holds for one of the fronts.
    fn any(&self, f: impl FnMut(&Seat) -> bool) -> bool {
        self.list.lock().seats.iter().any(f)
    }

    /// Returns whether `device` is one of the fronts. Only compares.
    pub(crate) fn has(&self, device: *const dax_device) -> bool {
        self.any(|seat| seat.front.device().is(device))
    }

    /// Returns whether somebody besides us has a reference to a front.
    pub(crate) fn in_use(&self) -> bool {
        self.any(|seat| seat.front.in_use())
    }

    /// Returns whether the slot of a front is claimed.
    pub(crate) fn are_claimed(&self) -> bool {
        self.any(|seat| !seat.is_free())
    }

    /// Returns the front whose slot the file system of `sb` has claimed for its block device that
    /// begins at byte `base` of the disk. One file system can have several: for its log, say.
    pub(crate) fn of(&self, sb: &ActiveSuper, base: u64) -> Option<Arc<Front<Gate>>> {
        let list = self.list.lock();
        let mut seats = list.seats.iter();
        let seat = seats.find(|seat| {
            sb.has_private(seat.front.holder()) && seat.base.is_none_or(|of| of == base)
        })?;
        Some(seat.front.clone())
    }

    /// Refuses every access from now on, for ever, and waits for those that have begun. `pin` pins
    /// the super block of a holder, see [`Front::kill`]. Returns whether all fronts are dead.
    ///
    /// None may be published any more, so none is added. Sleeps; not for callbacks.
    pub(crate) fn kill(&self, mut pin: impl FnMut(&Front<Gate>) -> Option<ActiveSuper>) -> bool {
        let mut dead = true;
        for at in 0.. {
            // Off the lock: that waits, and with the pin a whole file system may go.
            let seat = self
                .list
                .lock()
                .seats
                .get(at)
                .map(|seat| seat.front.clone());
            let Some(front) = seat else { break };
            if !front.kill(false) {
                let pinned = pin(&front);
                dead &= front.kill(pinned.is_some());
            }
        }
        dead
    }
}
