// SPDX-License-Identifier: GPL-2.0-only

//! What others call instead of `fs_dax_get_by_bdev()`: who mounts a file system, or makes a
//! device-mapper table.
//!
//! Whoever wants to claim the holder slot of a disk's DAX device finds it free, however many have
//! claimed one before: each gets a front of its own. Without the hook (a kernel that cannot, or
//! `hook_lookups=0`) the second claim is refused, as it is without us.

use crate::{
    bindings,
    disks,
    shim::Shim,
    sys::{
        block::BlockDevice,
        module::sleep_ms,
        publishing::Publishing, //
    }, //
};
use core::ptr;
use kernel::{
    ffi::c_void,
    prelude::*,
    sync::Arc,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How long a lookup waits for a disk that has just come to be attached.
const ARRIVAL_MS: i64 = 5000;

/// Waits for the right to publish, and for the disk of `bdev` to be attached if it has just come: it can
/// be mounted a moment before the driver core tells us of it. Returns the disk, if it is attached.
///
/// Only for so long: the driver core tells us under the device lock, and who waits may hold locks that a
/// removal waits for under that.
///
/// # Safety
///
/// `bdev` must be a valid block device, and open.
unsafe fn begin(bdev: *mut bindings::block_device) -> (Publishing, Option<Arc<Shim>>) {
    // SAFETY: By this function's contract.
    let device = unsafe { BlockDevice::get_raw(bdev) };
    let since = Instant::<Monotonic>::now();
    loop {
        let publishing = Publishing::begin();
        let Some(device) = &device else {
            return (publishing, None);
        };
        let disk = device.disk_device();
        // SAFETY: By this function's contract.
        let comes = unsafe { device.is_on_pmem() } && disks::arrives(disk);
        if !comes || since.elapsed().as_millis() > ARRIVAL_MS {
            return (publishing, disks::find(disk).and_then(|known| known.shim()));
        }
        drop(publishing);
        sleep_ms(1);
    }
}

/// See `src/lookup.c`. In process context, outside read-side sections of the DAX core; sleeps.
///
/// # Safety
///
/// As for `fs_dax_get_by_bdev()`: `bdev` is valid and open, `start` may be written, `holder` and
/// `ops` are NULL, or valid until the slot is given back.
#[no_mangle]
unsafe extern "C" fn dax_holder_lookup(
    bdev: *mut bindings::block_device,
    start: *mut u64,
    holder: *mut c_void,
    ops: *const bindings::dax_holder_operations,
) -> *mut bindings::dax_device {
    // SAFETY: By this function's contract.
    let (publishing, shim) = unsafe { begin(bdev) };
    let claim = !holder.is_null();
    if let Some(shim) = &shim {
        if let Err(e) = shim.make_room(claim, &publishing) {
            pr_warn!(
                "{}: no DAX device for who asks: error {}\n",
                shim.disk().name().as_str(),
                e.to_errno()
            );
            // A claim that is refused leaks a reference (`fs_dax_get_by_bdev()`): do not try.
            return ptr::null_mut();
        }
    }
    // SAFETY: By this function's contract.
    let device = unsafe { publishing.look_up(bdev, start, holder, ops) };
    if let (Some(shim), true, false) = (&shim, claim, device.is_null()) {
        // SAFETY: By this function's contract; the call has written it.
        shim.claimed(device, unsafe { *start });
    }
    device
}
