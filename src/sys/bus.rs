// SPDX-License-Identifier: GPL-2.0-only

//! The nd bus: which disks there are, which come, and which are about to go.
//!
//! C headers: [`include/linux/device/bus.h`](srctree/include/linux/device/bus.h),
//! [`include/linux/nd.h`](srctree/include/linux/nd.h).

use super::block::Disk;
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    types::NotThreadSafe, //
};

/// A device of the nd bus: what nd_pmem is bound to, the parent of a disk.
///
/// # Invariants
///
/// The device is valid and this owns a reference.
pub(crate) struct NdDevice(NonNull<bindings::device>);

// SAFETY: A reference may be dropped, and all functions used here may be called, on any thread.
unsafe impl Send for NdDevice {}
// SAFETY: As above.
unsafe impl Sync for NdDevice {}

impl NdDevice {
    /// Takes another reference.
    pub(crate) fn get(&self) -> Self {
        // SAFETY: Valid by the type invariant.
        unsafe { Self::from_raw(self.0) }
    }

    /// Takes a reference.
    ///
    /// # Safety
    ///
    /// `device` must be valid.
    unsafe fn from_raw(device: NonNull<bindings::device>) -> Self {
        // SAFETY: By this function's contract.
        unsafe { bindings::get_device(device.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Self(device)
    }

    /// Returns whether `other` is the same device.
    pub(crate) fn is(&self, other: &NdDevice) -> bool {
        self.0 == other.0
    }

    /// Takes the device lock, under which drivers are bound and unbound. Sleeps.
    pub(crate) fn lock(&self) -> Locked<'_> {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_device_lock(self.0.as_ptr()) };
        // INVARIANT: Just taken.
        Locked(self, NotThreadSafe)
    }

    /// Takes the device lock if it is free.
    ///
    /// For code that runs inside a sysfs file of the disk: an unbind holds the lock while it waits
    /// for such code to end.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        // SAFETY: Valid by the type invariant.
        if !unsafe { bindings::dh_device_trylock(self.0.as_ptr()) } {
            return None;
        }
        // INVARIANT: Just taken.
        Some(Locked(self, NotThreadSafe))
    }

    /// Has lockdep see that the device lock is held.
    fn assert_locked(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_device_assert_locked(self.0.as_ptr()) };
    }
}

impl Drop for NdDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we own the reference.
        unsafe { bindings::put_device(self.0.as_ptr()) };
    }
}

/// Evidence of a held device lock.
///
/// # Invariants
///
/// The lock of the device is held, by this task if the value is ever dropped.
pub(crate) struct Locked<'a>(&'a NdDevice, NotThreadSafe);

impl Locked<'_> {
    /// Returns the disk that nd_pmem made for the device.
    pub(crate) fn pmem_disk(&self) -> Option<Disk> {
        self.0.assert_locked();
        // SAFETY: The device is valid by its invariant; by ours its driver stays what it is.
        let disk = NonNull::new(unsafe { bindings::dh_pmem_disk(self.0 .0.as_ptr()) })?;
        // SAFETY: The call returned a registered disk and a reference to its device.
        Some(unsafe { Disk::from_raw(disk) })
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this task holds the lock.
        unsafe { bindings::dh_device_unlock(self.0 .0.as_ptr()) };
    }
}

/// The nd bus itself.
///
/// # Invariants
///
/// Points to the bus, which lives as long as libnvdimm, which this module depends on.
#[derive(Clone, Copy)]
pub(crate) struct NdBus(NonNull<bindings::bus_type>);

// SAFETY: Points to static data that the C side synchronises.
unsafe impl Send for NdBus {}
// SAFETY: As above.
unsafe impl Sync for NdBus {}

impl NdBus {
    /// Finds the bus. Sleeps.
    pub(crate) fn find() -> Result<Self> {
        // SAFETY: No requirements.
        let bus = from_err_ptr(unsafe { bindings::dh_nd_bus() }.cast_mut())?;
        // INVARIANT: That is what the call returns if it succeeds.
        Ok(Self(NonNull::new(bus).ok_or(ENODEV)?))
    }

    /// Calls `f` for each device that nd_pmem drives now. Sleeps.
    pub(crate) fn for_each_pmem(self, mut f: impl FnMut(&NdDevice)) {
        let mut device = ptr::null_mut();
        loop {
            // SAFETY: The bus is valid by the type invariant; `device` is NULL or carries the
            // reference of the last turn, which the call puts.
            device = unsafe { bindings::dh_next_bound(self.0.as_ptr(), device) };
            let Some(found) = NonNull::new(device) else {
                return;
            };
            // SAFETY: Valid by the reference the call returned.
            f(&unsafe { NdDevice::from_raw(found) });
        }
    }
}

/// Who listens to nd_pmem's disks. The device lock of `device` is held in each call.
pub(crate) trait Listener {
    /// A driver was bound: perhaps there is a new disk.
    fn bound(device: &NdDevice, locked: &Locked<'_>);
    /// The driver is about to be unbound; everything still works. May take its time; cannot veto.
    fn unbinding(device: &NdDevice);
    /// The driver was unbound; the disk, if there was one, is gone.
    fn unbound(device: &NdDevice);
}

/// A registered listener. Dropping it waits for calls that run; hold no lock that they take.
pub(crate) struct Listening<L: Listener> {
    bus: NdBus,
    block: KBox<bindings::notifier_block>,
    _listener: PhantomData<fn() -> L>,
}

// SAFETY: The notifier block is only touched by the chain, under its lock.
unsafe impl<L: Listener> Send for Listening<L> {}
// SAFETY: As above; there are no methods on a shared value.
unsafe impl<L: Listener> Sync for Listening<L> {}

impl<L: Listener> Listening<L> {
    /// Registers `L` on `bus`. Sleeps.
    pub(crate) fn new(bus: NdBus) -> Result<Self> {
        let mut block = KBox::new(
            bindings::notifier_block {
                notifier_call: Some(Self::call),
                ..Default::default()
            },
            GFP_KERNEL,
        )?;
        // SAFETY: The bus is valid by its invariant; the block stays at its place on the heap until
        // `drop()`.
        to_result(unsafe { bindings::bus_register_notifier(bus.0.as_ptr(), &mut *block) })?;
        Ok(Self {
            bus,
            block,
            _listener: PhantomData,
        })
    }

    /// The entry point from `bus_notify()`.
    ///
    /// # Safety
    ///
    /// Only called by the bus's notifier chain: `data` is a valid device.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        action: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        if let Some(device) = NonNull::new(data.cast::<bindings::device>()) {
            // SAFETY: By this function's contract.
            let device = unsafe { NdDevice::from_raw(device) };
            match action as bindings::bus_notifier_event {
                bindings::bus_notifier_event_BUS_NOTIFY_BOUND_DRIVER => {
                    // INVARIANT: The driver core holds the lock, and goes on holding it.
                    let locked = ManuallyDrop::new(Locked(&device, NotThreadSafe));
                    L::bound(&device, &locked);
                }
                bindings::bus_notifier_event_BUS_NOTIFY_UNBIND_DRIVER => {
                    device.assert_locked();
                    L::unbinding(&device);
                }
                bindings::bus_notifier_event_BUS_NOTIFY_UNBOUND_DRIVER => {
                    device.assert_locked();
                    L::unbound(&device);
                }
                _ => {}
            }
        }
        0 // NOTIFY_DONE
    }
}

impl<L: Listener> Drop for Listening<L> {
    fn drop(&mut self) {
        // SAFETY: Registered by `new()`. The call waits for those that run.
        unsafe { bindings::bus_unregister_notifier(self.bus.0.as_ptr(), &mut *self.block) };
    }
}
