// SPDX-License-Identifier: GPL-2.0-only

//! Disks and their block devices.
//!
//! C headers: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h),
//! [`include/linux/blk_types.h`](srctree/include/linux/blk_types.h).

use super::super_block::ActiveSuper;
use crate::{
    bindings,
    range::Range, //
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_ulong,
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};

/// A short name, as in `/sys/block`, kept inline because it is needed when there is no memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: [u8; Name::SIZE],
}

impl Name {
    const SIZE: usize = 32;

    /// The longest word that fits, in bytes.
    pub(crate) const LONGEST: usize = Self::SIZE - 1;

    /// Makes a name from a word; what does not fit is cut off.
    pub(crate) fn new(word: &str) -> Self {
        let mut bytes = [0u8; Self::SIZE];
        for (to, from) in bytes[..Self::SIZE - 1].iter_mut().zip(word.bytes()) {
            *to = from;
        }
        Self { bytes }
    }

    /// Makes a name with a C function that fills a buffer.
    ///
    /// `fill` gets the buffer and its size in bytes, and ends what it writes with NUL.
    pub(super) fn filled(fill: impl FnOnce(*mut u8, usize)) -> Self {
        let mut bytes = [0u8; Self::SIZE];
        fill(bytes.as_mut_ptr(), Self::SIZE);
        bytes[Self::SIZE - 1] = 0;
        Self { bytes }
    }

    /// Returns the name for C.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"?")
    }

    /// Returns the name for printing.
    pub(crate) fn as_str(&self) -> &str {
        self.as_c_str().to_str().unwrap_or("?")
    }
}

/// A disk (a `struct gendisk`).
///
/// # Invariants
///
/// `disk` is valid and this owns a reference to its device, so that it stays allocated, perhaps
/// longer than it is registered.
pub(crate) struct Disk {
    disk: NonNull<bindings::gendisk>,
    name: Name,
    bytes: u64,
}

// SAFETY: A reference may be dropped, and all functions used here may be called, on any thread.
unsafe impl Send for Disk {}
// SAFETY: As above; the C side synchronises with RCU, mutexes and atomics.
unsafe impl Sync for Disk {}

impl Disk {
    /// Takes over a reference to the device of `disk`.
    ///
    /// # Safety
    ///
    /// `disk` must be a registered disk, and the caller must own the reference.
    pub(super) unsafe fn from_raw(disk: NonNull<bindings::gendisk>) -> Self {
        // SAFETY: Valid by this function's contract.
        let part0 = unsafe { bindings::dh_disk_part0(disk.as_ptr()) };
        // INVARIANT: The reference is now ours.
        Self {
            disk,
            name: Name::filled(|buf, size| {
                // SAFETY: The whole-disk block device lives as long as the disk; `buf` has
                // `size` bytes.
                unsafe { bindings::dh_bdev_name(part0, buf.cast(), size) }
            }),
            // SAFETY: As above.
            bytes: unsafe { bindings::dh_bdev_bytes(part0) },
        }
    }

    /// Takes another reference.
    pub(crate) fn get(&self) -> Self {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_disk_get(self.as_raw()) };
        // INVARIANT: The reference was just taken.
        Self {
            disk: self.disk,
            name: self.name,
            bytes: self.bytes,
        }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::gendisk {
        self.disk.as_ptr()
    }

    fn device(&self) -> *mut bindings::device {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_disk_device(self.as_raw()) }
    }

    /// Returns whether `other` is the same disk.
    pub(crate) fn is(&self, other: &Disk) -> bool {
        self.disk == other.disk
    }

    /// Returns whether `device` is this disk's own device. Only compares.
    pub(crate) fn is_device(&self, device: *const bindings::device) -> bool {
        core::ptr::eq(self.device(), device)
    }

    /// Returns the disk's name, `pmem0` say.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether the disk's queue promises DAX.
    pub(crate) fn has_dax(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_disk_has_dax(self.as_raw()) }
    }

    /// Returns the whole disk and its partitions.
    ///
    /// May sleep between the steps; partitions that come or go meanwhile may or may not be seen.
    pub(crate) fn block_devices(&self) -> BlockDevices<'_> {
        BlockDevices {
            disk: self,
            next: 0,
        }
    }

    /// Returns whether it is a disk of device-mapper.
    pub(crate) fn is_device_mapper(&self) -> bool {
        // SAFETY: Valid by the type invariant; the name does not change.
        unsafe { bindings::dh_disk_is_dm(self.as_raw()) }
    }

    /// Ends all I/O to the disk, that which waits too, with an error, for ever; the file systems on
    /// it are shut down. As for a disk that was pulled.
    ///
    /// Sleeps, takes `s_umount` shared. I/O that the driver has begun goes on.
    pub(crate) fn mark_dead(&self) {
        // SAFETY: Valid by the type invariant; a disk that is gone already may be marked too.
        unsafe { bindings::blk_mark_disk_dead(self.as_raw()) };
    }

    /// Returns whether anybody has claimed the disk or a part of it: a mounted file system, a
    /// device-mapper table, an exclusive opener.
    pub(crate) fn claimed(&self) -> bool {
        // SAFETY: Valid by the type invariant; one word is read.
        unsafe { bindings::dh_disk_claimed(self.as_raw()) }
    }

    /// Adds the sysfs group `dax_holder`. May sleep.
    pub(crate) fn add_attributes(&self) -> Result {
        // SAFETY: The device is valid by the type invariant.
        to_result(unsafe { bindings::dh_attributes_add(self.device()) })
    }

    /// Removes the sysfs group and waits for those who are inside its files. May sleep.
    pub(crate) fn remove_attributes(&self) {
        // SAFETY: As above; removing a group that is not there is allowed.
        unsafe { bindings::dh_attributes_remove(self.device()) };
    }

    /// Sends a change uevent with the given `KEY=value` strings. May sleep, allocates.
    pub(crate) fn change_uevent(&self, variables: &[CString]) -> Result {
        let mut env: KVec<*const u8> = KVec::with_capacity(variables.len() + 1, GFP_KERNEL)?;
        for v in variables {
            env.push(v.as_char_ptr().cast(), GFP_KERNEL)?;
        }
        env.push(core::ptr::null(), GFP_KERNEL)?;
        // SAFETY: The device is valid; `env` is a NULL-terminated array of C strings that outlive
        // the call.
        to_result(unsafe { bindings::dh_uevent(self.device(), env.as_ptr().cast()) })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we own the reference.
        unsafe { bindings::put_device(self.device()) };
    }
}

/// The iterator of [`Disk::block_devices`].
pub(crate) struct BlockDevices<'a> {
    disk: &'a Disk,
    next: c_ulong,
}

impl Iterator for BlockDevices<'_> {
    type Item = BlockDevice;

    fn next(&mut self) -> Option<BlockDevice> {
        // SAFETY: The disk is valid by its invariant.
        let raw = unsafe { bindings::dh_next_bdev(self.disk.as_raw(), &mut self.next) };
        // SAFETY: A non-NULL result is a block device with a reference for us.
        NonNull::new(raw).map(|raw| unsafe { BlockDevice::from_raw(raw) })
    }
}

/// A block device: a partition or a whole disk.
///
/// # Invariants
///
/// `bdev` is valid and this owns a reference to it.
pub(crate) struct BlockDevice {
    bdev: NonNull<bindings::block_device>,
}

// SAFETY: A reference may be dropped, and all functions used here may be called, on any thread.
unsafe impl Send for BlockDevice {}

impl BlockDevice {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// `bdev` must be valid and the caller must own a reference.
    unsafe fn from_raw(bdev: NonNull<bindings::block_device>) -> Self {
        // INVARIANT: By this function's contract.
        Self { bdev }
    }

    /// Takes a reference to a block device of somebody else's; `None` for NULL.
    ///
    /// # Safety
    ///
    /// `bdev` must be NULL or valid.
    pub(crate) unsafe fn get_raw(bdev: *mut bindings::block_device) -> Option<Self> {
        let bdev = NonNull::new(bdev)?;
        // SAFETY: Valid by this function's contract.
        unsafe { bindings::dh_bdev_get(bdev.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Some(Self { bdev })
    }

    /// Returns the device of the disk that it is a part of, only to be compared.
    pub(crate) fn disk_device(&self) -> *const bindings::device {
        // SAFETY: Valid by the type invariant; a block device keeps its disk.
        unsafe { bindings::dh_disk_device((*self.as_raw()).bd_disk) }
    }

    /// Returns whether its disk is there, and nd_pmem's.
    ///
    /// # Safety
    ///
    /// It must be open.
    pub(crate) unsafe fn is_on_pmem(&self) -> bool {
        // SAFETY: Valid by the type invariant, and open by this function's contract.
        unsafe { bindings::dh_bdev_on_pmem(self.as_raw()) }
    }

    /// Takes another reference.
    pub(crate) fn get(&self) -> Self {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_bdev_get(self.bdev.as_ptr()) };
        // INVARIANT: The reference was just taken.
        Self { bdev: self.bdev }
    }

    /// Returns the bytes of the disk that this is.
    pub(crate) fn window(&self) -> Option<Range> {
        // SAFETY: Valid by the type invariant.
        let (start, bytes) = unsafe {
            (
                bindings::dh_bdev_start(self.bdev.as_ptr()),
                bindings::dh_bdev_bytes(self.bdev.as_ptr()),
            )
        };
        Range::new(start, bytes).ok()
    }

    /// Returns the name, `pmem0p1` say.
    pub(crate) fn name(&self) -> Name {
        Name::filled(|buf, size| {
            // SAFETY: Valid by the type invariant; `buf` has `size` bytes.
            unsafe { bindings::dh_bdev_name(self.bdev.as_ptr(), buf.cast(), size) }
        })
    }

    /// Returns the device number.
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::dh_bdev_number(self.bdev.as_ptr()) }
    }

    /// Returns the raw pointer, for `sys`.
    pub(super) fn as_raw(&self) -> *mut bindings::block_device {
        self.bdev.as_ptr()
    }

    /// Returns the size in bytes of an allocation group of the XFS on this block device.
    ///
    /// `None` if it cannot be read. Reads the first page of the device; sleeps.
    pub(crate) fn xfs_group_bytes(&self) -> Option<u64> {
        // SAFETY: Valid by the type invariant; a file system holds it, so its mapping is in use.
        match unsafe { bindings::dh_bdev_xfs_group_bytes(self.bdev.as_ptr()) } {
            0 => None,
            bytes => Some(bytes),
        }
    }

    /// Returns what holds it: the type of a file system, or `claimed`; `None`: nobody does.
    ///
    /// A snapshot, for show. Takes `bd_holder_lock`, a mutex.
    pub(crate) fn kind(&self) -> Option<Name> {
        let mut claimed = false;
        let name = Name::filled(|buf, size| {
            // SAFETY: Valid by the type invariant; `buf` has `size` bytes.
            claimed = unsafe { bindings::dh_bdev_kind(self.bdev.as_ptr(), buf.cast(), size) };
        });
        claimed.then_some(name)
    }

    /// Returns whether somebody has claimed it for himself. A snapshot.
    ///
    /// Not so a whole disk that the block layer has claimed because a partition of it is.
    pub(crate) fn claimed(&self) -> bool {
        // SAFETY: Valid by the type invariant; one word is read.
        unsafe { bindings::dh_bdev_claimed(self.bdev.as_ptr()) }
    }

    /// Returns the mounted super block that holds this block device.
    ///
    /// `Ok(None)`: nobody does, or not a file system. `EAGAIN`: it is being mounted or unmounted
    /// at this moment. Takes `bd_holder_lock`, a mutex.
    pub(crate) fn super_block(&self) -> Result<Option<ActiveSuper>> {
        // SAFETY: Valid by the type invariant.
        let sb = from_err_ptr(unsafe { bindings::dh_bdev_super(self.bdev.as_ptr()) })?;
        // SAFETY: A non-NULL result is a super block with an active reference for us.
        Ok(NonNull::new(sb).map(|sb| unsafe { ActiveSuper::from_raw(sb) }))
    }

    /// Freezes the file system on it: everything is written back, nothing is being written. `None`
    /// if that fails.
    ///
    /// Sleeps until those who are inside a write have left it.
    pub(crate) fn freeze(&self) -> Option<Frozen<'_>> {
        // SAFETY: Valid by the type invariant; the caller holds no lock of the block layer.
        let frozen = unsafe { bindings::bdev_freeze(self.bdev.as_ptr()) };
        // INVARIANT: Just frozen.
        (frozen == 0).then_some(Frozen(self))
    }

    /// Takes the file systems on it down in good order, as `del_gendisk()` does: everything that
    /// can be is written back, unused inodes go, `->shutdown` is called.
    ///
    /// Sleeps, takes `s_umount` shared; does not unmap anything.
    pub(crate) fn mark_dead(&self) {
        // SAFETY: Valid by the type invariant; the caller holds no lock of the block layer.
        unsafe { bindings::bdev_mark_dead(self.bdev.as_ptr(), false) };
    }
}

impl Drop for BlockDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we own the reference.
        unsafe { bindings::dh_bdev_put(self.bdev.as_ptr()) };
    }
}

/// A frozen file system; dropping it thaws.
///
/// # Invariants
///
/// The block device was frozen, and not thawed in return.
pub(crate) struct Frozen<'a>(&'a BlockDevice);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // SAFETY: Valid by its invariant, and frozen by ours.
        unsafe { bindings::bdev_thaw(self.0.bdev.as_ptr()) };
    }
}
