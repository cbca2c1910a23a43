// SPDX-License-Identifier: GPL-2.0-only

//! Which DAX device a disk has for whoever asks, and who may ask meanwhile.
//!
//! C header: [`include/linux/dax.h`](srctree/include/linux/dax.h), implementation
//! `drivers/dax/super.c`: `dax_hosts` has no exchange, so there is a moment without any device when one
//! takes the place of another. Everybody finds devices by `fs_dax_get_by_bdev()`; where we stand before
//! that function (`src/lookup.c`), they wait for that moment to pass.

use super::{
    block::Disk,
    dax::DaxDevice,
    module::NoIo, //
};
use crate::bindings;
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*,
    sync::GlobalGuard, //
};

kernel::sync::global_lock! {
    // SAFETY: Initialised in `Hook::new()` before anything else uses it.
    unsafe(uninit) static PUBLISHING: Mutex<()> = ();
}

/// The right to publish. While it exists nobody else publishes and, with the hook, nobody looks up.
///
/// Who has it waits for grace periods, so it must not be asked for inside one: in a callback of the
/// DAX core. Removals and mounts wait for it, so no allocation may wait for them: for the pins of an
/// inode that reclaim evicts, say.
pub(crate) struct Publishing {
    _guard: GlobalGuard<PUBLISHING>,
    _noio: NoIo,
}

impl Publishing {
    /// Waits for the right. Sleeps.
    pub(crate) fn begin() -> Self {
        Self {
            _guard: PUBLISHING.lock(),
            _noio: NoIo::new(),
        }
    }

    /// Makes `device` the DAX device that later users of `disk` get.
    ///
    /// `EBUSY` if one is published already; `ENOMEM`, but not if there is [`Room`]. May sleep.
    pub(crate) fn publish(&self, disk: &Disk, device: &DaxDevice) -> Result {
        // SAFETY: Both are valid by their invariants. The entry is removed before either goes: by
        // `withdraw()`, at the latest when the driver has been unbound (`disks`).
        to_result(unsafe { bindings::dax_add_host(device.as_raw(), disk.as_raw()) })
    }

    /// Leaves `disk` without a published DAX device: nobody can get one any more.
    pub(crate) fn withdraw(&self, disk: &Disk) {
        // SAFETY: `disk` is valid; it is only used as a key.
        unsafe { bindings::dax_remove_host(disk.as_raw()) };
    }

    /// Looks a DAX device up for somebody else, as they have asked.
    ///
    /// # Safety
    ///
    /// As for `fs_dax_get_by_bdev()`: `bdev` is valid, `start` may be written, `holder` and `ops` are
    /// NULL, or valid until the slot is given back.
    pub(crate) unsafe fn look_up(
        &self,
        bdev: *mut bindings::block_device,
        start: *mut u64,
        holder: *mut c_void,
        ops: *const bindings::dax_holder_operations,
    ) -> *mut bindings::dax_device {
        // SAFETY: By this function's contract.
        unsafe { bindings::fs_dax_get_by_bdev(bdev, start, holder, ops) }
    }
}

/// Room for what is published for a disk: while it exists, [`Publishing::publish`] takes no memory.
///
/// What is withdrawn is published again, whatever happens: a disk that is detached, or not attached
/// after all, must not lose its DAX device for want of memory. `dax_hosts` is an xarray by the address of the
/// disk, and each disk is far from the next: an entry is some ten nodes, which go with it. So there is
/// another one beside it, within the same node. Nobody finds that: who looks has the address of a disk.
///
/// # Invariants
///
/// `beside` is an entry of `dax_hosts` that belongs to this.
pub(crate) struct Room {
    beside: *mut bindings::gendisk,
}

// SAFETY: The pointer is never followed, and the entry may be removed on any thread.
unsafe impl Send for Room {}
// SAFETY: As above; there are no methods on a shared value.
unsafe impl Sync for Room {}

impl Room {
    /// Makes room for `disk`; `device` is one of its own. `ENOMEM`. May sleep.
    pub(crate) fn new(disk: &Disk, device: &DaxDevice) -> Result<Self> {
        let beside = disk.as_raw().wrapping_byte_add(1);
        // SAFETY: `device` is valid by its invariant, and is not looked at before the entry is removed;
        // the address of a disk is only used as a key.
        to_result(unsafe { bindings::dax_add_host(device.as_raw(), beside) })?;
        // INVARIANT: Just added. A disk is larger than a byte, so nobody else has this address.
        Ok(Self { beside })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: As in `new()`; by the type invariant the entry is ours.
        unsafe { bindings::dax_remove_host(self.beside) };
    }
}

/// The hook before `fs_dax_get_by_bdev()`, if there is one. Dropping it waits until nobody is in it.
pub(crate) struct Hook(bool);

impl Hook {
    /// Puts the hook up, or says why there is none.
    ///
    /// # Safety
    ///
    /// To be called once, by the module's init, before anything else of this file.
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: Called exactly once, by this function's contract.
        unsafe { PUBLISHING.init() };
        // SAFETY: What is called from now on waits for PUBLISHING, and `Drop` ends it before the
        // module goes.
        let err = unsafe { bindings::dh_lookup_hook() };
        if err != 0 {
            pr_info!(
                "no hook before DAX lookups (error {err}): one XFS of a disk has DAX, not more\n"
            );
        }
        Self(err == 0)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if self.0 {
            // SAFETY: `new()` has put it up.
            unsafe { bindings::dh_lookup_unhook() };
        }
    }
}
