// SPDX-License-Identifier: GPL-2.0-only

//! Disks that are stacked on a block device, those of device-mapper above all.
//!
//! Found by the links in their `slaves` directories in sysfs, the one public record that every
//! driver which stacks keeps (`block/holder.c`).

use super::block::{
    BlockDevice,
    Disk, //
};
use crate::bindings;
use core::ptr::{
    self,
    NonNull, //
};

/// That a disk is stacked on a block device.
///
/// # Invariants
///
/// `link` is valid and this owns a reference to it.
pub(crate) struct Stacking {
    link: NonNull<bindings::kernfs_node>,
}

// SAFETY: References to kernfs nodes may be dropped on any thread.
unsafe impl Send for Stacking {}

impl Stacking {
    /// Takes another reference.
    pub(crate) fn get(&self) -> Self {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_stacking_get(self.link.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Self { link: self.link }
    }

    /// Returns whether the disk is still stacked there, by a table that is live or that waits to be.
    ///
    /// A snapshot. What was gone never comes back: stacked again is another `Stacking`.
    pub(crate) fn holds(&self) -> bool {
        // SAFETY: Valid by the type invariant; one word is read.
        unsafe { bindings::dh_stacking_holds(self.link.as_ptr()) }
    }
}

impl Drop for Stacking {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we own the reference.
        unsafe { bindings::dh_stacking_put(self.link.as_ptr()) };
    }
}

/// Returns the disks that are stacked on `lower`, and that they are.
///
/// `lower_disk` is the disk that `lower` is a part of. Looks at every disk of the machine; takes
/// their `open_mutex`, one at a time. Sleeps.
pub(crate) fn above<'a>(lower_disk: &'a Disk, lower: &'a BlockDevice) -> Above<'a> {
    Above {
        lower,
        walk: Walk::new(lower_disk),
    }
}

/// Returns every disk of the machine; `any` is one of them. Sleeps.
pub(crate) fn every(any: &Disk) -> Every<'_> {
    Every(Walk::new(any))
}

/// A walk over the disks of the machine.
///
/// # Invariants
///
/// `place` is NULL, or a disk to which this owns a reference.
struct Walk<'a> {
    any: &'a Disk,
    place: *mut bindings::gendisk,
}

impl<'a> Walk<'a> {
    fn new(any: &'a Disk) -> Self {
        // INVARIANT: NULL.
        Self {
            any,
            place: ptr::null_mut(),
        }
    }

    /// Goes to the next disk, which stays for as long as the walk stays there.
    fn step(&mut self) -> Option<NonNull<bindings::gendisk>> {
        // INVARIANT: The call puts the old reference and returns a new one.
        // SAFETY: The disk is valid by its invariant, `place` by ours.
        self.place = unsafe { bindings::dh_next_disk(self.any.as_raw(), self.place) };
        NonNull::new(self.place)
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        if let Some(place) = NonNull::new(self.place) {
            // SAFETY: By the type invariant we own the reference, which the disk takes over.
            drop(unsafe { Disk::from_raw(place) });
        }
    }
}

/// Takes a reference to a disk that a walk is at.
///
/// # Safety
///
/// `disk` must be valid.
unsafe fn take(disk: NonNull<bindings::gendisk>) -> Disk {
    // SAFETY: By this function's contract; the reference that is taken is for the `Disk`.
    unsafe {
        bindings::dh_disk_get(disk.as_ptr());
        Disk::from_raw(disk)
    }
}

/// The iterator of [`every`].
pub(crate) struct Every<'a>(Walk<'a>);

impl Iterator for Every<'_> {
    type Item = Disk;

    fn next(&mut self) -> Option<Disk> {
        // SAFETY: The walk keeps it.
        self.0.step().map(|disk| unsafe { take(disk) })
    }
}

/// The iterator of [`above`].
pub(crate) struct Above<'a> {
    lower: &'a BlockDevice,
    walk: Walk<'a>,
}

impl Iterator for Above<'_> {
    type Item = (Disk, Stacking);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let upper = self.walk.step()?;
            // SAFETY: Both are valid: the walk keeps the one, the other by its invariant.
            let link = unsafe { bindings::dh_stacking(upper.as_ptr(), self.lower.as_raw()) };
            if let Some(link) = NonNull::new(link) {
                // SAFETY: The walk keeps it.
                let disk = unsafe { take(upper) };
                // INVARIANT: The call took a reference for us.
                return Some((disk, Stacking { link }));
            }
        }
    }
}
