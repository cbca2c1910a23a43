// SPDX-License-Identifier: GPL-2.0-only

//! DAX devices: the one below, its holder slot, and the front that stands before it.
//!
//! C header: [`include/linux/dax.h`](srctree/include/linux/dax.h), implementation
//! `drivers/dax/super.c`.
//!
//! All positions are pages ([`kernel::page::PAGE_SIZE`]) of the disk.

use super::block::Disk;
use crate::bindings;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result, //
    },
    ffi::{
        c_int,
        c_long,
        c_ulong,
        c_void, //
    },
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        Arc,
        ArcBorrow,
        SpinLock, //
    },
    task::might_sleep, //
};

/// A reference to a `struct dax_device`.
///
/// # Invariants
///
/// `0` is valid and this owns one reference to its inode, so that the structure stays allocated;
/// whether the device is alive is another matter (`dax_alive()`).
pub(crate) struct DaxDevice(NonNull<bindings::dax_device>);

// SAFETY: A reference may be dropped, and all functions used here may be called, on any thread.
unsafe impl Send for DaxDevice {}
// SAFETY: As above; the C side synchronises with atomics and SRCU.
unsafe impl Sync for DaxDevice {}

impl DaxDevice {
    /// Returns the device that is published for `disk`, without claiming its holder slot.
    ///
    /// `None`: no DAX on this disk, or it is dead. May sleep.
    pub(crate) fn of_disk(disk: &Disk) -> Option<Self> {
        Self::get(disk, ptr::null_mut(), ptr::null())
    }

    fn get(
        disk: &Disk,
        holder: *mut c_void,
        ops: *const bindings::dax_holder_operations,
    ) -> Option<Self> {
        let mut start = 0;
        // SAFETY: `disk` owns a reference, so its whole-disk block device is valid; `holder` and
        // `ops` are NULL or, as `Slot::claim()` promises, valid until the slot is released.
        let dev = unsafe {
            bindings::fs_dax_get_by_bdev(
                bindings::dh_disk_part0(disk.as_raw()),
                &mut start,
                holder,
                ops,
            )
        };
        // INVARIANT: The call took a reference for us.
        NonNull::new(dev).map(Self)
    }

    pub(super) fn as_raw(&self) -> *mut bindings::dax_device {
        self.0.as_ptr()
    }

    /// Returns whether `other` is this very device. Only compares.
    pub(crate) fn is(&self, other: *const bindings::dax_device) -> bool {
        ptr::eq(self.as_raw(), other)
    }

    /// Returns the pointer in the holder slot; NULL if nobody claimed it. Only for comparing.
    pub(crate) fn holder(&self) -> *const c_void {
        // SAFETY: Valid by the type invariant; one word is read.
        unsafe { bindings::dax_holder(self.as_raw()) }
    }

    /// Empties the holder slot in the name of `holder`. Does not wait for callbacks that have begun.
    ///
    /// # Safety
    ///
    /// The slot is that of `holder`, or empty, and nobody claims it meanwhile.
    unsafe fn release(&self, holder: *const c_void) {
        // `fs_put_dax()` drops a reference too; `self` keeps its own.
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::ihold(bindings::dax_inode(self.as_raw())) };
        // SAFETY: As above; the holder by this function's contract.
        unsafe { bindings::fs_put_dax(self.as_raw(), holder.cast_mut()) };
    }

    /// Returns the number of references to the device, ours included. A snapshot.
    pub(crate) fn references(&self) -> u32 {
        // SAFETY: Valid by the type invariant; the count is read atomically.
        unsafe { bindings::dh_dax_references(self.as_raw()) }
    }

    /// Returns whether the device's cache is flushed by `dax_flush()`.
    fn write_cache(&self) -> bool {
        // SAFETY: Valid by the type invariant; an atomic bit test.
        unsafe { bindings::dax_write_cache_enabled(self.as_raw()) }
    }

    /// Returns the page frame number of page `first`, and for how many pages, at most `pages`, the
    /// numbers go on from there.
    ///
    /// In recovery mode, because pages that are known as bad have numbers too; a gate below does
    /// not refuse that. Fails if a device is dead.
    pub(crate) fn frames(&self, first: u64, pages: u64) -> Result<(c_ulong, u64)> {
        let mut pfn = 0;
        let _lock = ReadLock::new();
        // SAFETY: Valid by the type invariant; the read lock that the call demands is held, the
        // address is not asked for, and `pfn` outlives the call.
        let pages = unsafe {
            bindings::dax_direct_access(
                self.as_raw(),
                first as c_ulong,
                pages.min(c_long::MAX as u64) as c_long,
                bindings::dax_access_mode_DAX_RECOVERY_WRITE,
                ptr::null_mut(),
                &mut pfn,
            )
        };
        if pages < 0 {
            return Err(Error::from_errno(pages as c_int));
        }
        Ok((pfn, pages as u64))
    }

    /// Tells whoever has claimed the holder slot of a failure of `len` bytes at byte `offset`.
    ///
    /// The caller pins the holder's super block: a file system gives the slot back without a grace
    /// period (`fs_put_dax()`), so without the pin the handler could run on freed memory. Sleeps,
    /// for as long as the handler takes.
    pub(crate) fn notify(&self, offset: u64, len: u64, flags: c_int) -> Result {
        // SAFETY: Valid by the type invariant; the holder by the rule above.
        kernel::error::to_result(unsafe {
            bindings::dax_holder_notify_failure(self.as_raw(), offset, len, flags)
        })
    }
}

impl Drop for DaxDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we own the reference.
        unsafe { bindings::put_dax(self.as_raw()) };
    }
}

/// A read-side section of the DAX core's SRCU domain.
pub(crate) struct ReadLock(c_int);

impl ReadLock {
    /// Enters one.
    pub(crate) fn new() -> Self {
        // SAFETY: May be called from any context that can be preempted.
        Self(unsafe { bindings::dax_read_lock() })
    }
}

impl Drop for ReadLock {
    fn drop(&mut self) {
        // SAFETY: `self.0` came from the matching lock call.
        unsafe { bindings::dax_read_unlock(self.0) };
    }
}

/// Grace periods of the DAX core's SRCU domain.
///
/// `dax_srcu` is private to drivers/dax, but `kill_dax()` waits for a grace period of it. This is
/// a device that was never published, so killing it again and again has no other effect - and
/// needs no memory when it matters.
pub(crate) struct GracePeriod(DaxDevice);

impl GracePeriod {
    /// Allocates the device. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: NULL operations are allowed: the device cannot be accessed.
        let dev = from_err_ptr(unsafe { bindings::alloc_dax(ptr::null_mut(), ptr::null()) })?;
        // INVARIANT: `alloc_dax()` returned the first reference.
        let this = Self(DaxDevice(NonNull::new(dev).ok_or(ENOMEM)?));
        this.wait();
        Ok(this)
    }

    /// Waits until every access that has begun is over: translations, kernel copies, callbacks.
    ///
    /// Sleeps. Must not be called from within such a section, so neither from a front's operations
    /// nor from a holder's callback (lockdep: "Illegal synchronize_srcu() in same-type SRCU").
    pub(crate) fn wait(&self) {
        might_sleep();
        // SAFETY: Valid by the invariant of `DaxDevice`; nothing else uses this device.
        unsafe { bindings::kill_dax(self.0.as_raw()) };
    }
}

/// Who occupies the holder slot of a DAX device.
pub(crate) trait SlotHolder: Send + Sync + Sized {
    /// Tells of a failure of `len` bytes at byte `offset`; `(0, u64::MAX)` is all of the device.
    ///
    /// Called inside a read-side section of the DAX core's SRCU domain and, for a memory failure,
    /// under `mf_mutex`: may sleep, must be short, must not wait for a [`GracePeriod`], take the
    /// device lock, or put the last reference to an inode or a super block. `flags` are `MF_*`.
    fn notify_failure(this: ArcBorrow<'_, Self>, offset: u64, len: u64, flags: c_int) -> Result;
}

/// The claimed holder slot of a disk's DAX device. Dropping it releases the slot and waits until
/// no callback runs any more; sleeps, not for callbacks.
///
/// Once somebody uses it, drop it only while the device is not published for its disk: a callback
/// that has begun must not find another holder than the one whose operations it read.
///
/// # Invariants
///
/// The slot's holder pointer is that of `holder`, its operations are [`Slot::OPS`]; or the device
/// was killed since, and the slot is empty.
pub(crate) struct Slot<T: SlotHolder> {
    device: DaxDevice,
    holder: Arc<T>,
    grace: GracePeriod,
}

impl<T: SlotHolder> Slot<T> {
    const OPS: bindings::dax_holder_operations = bindings::dax_holder_operations {
        notify_failure: Some(Self::notify_failure),
    };

    /// Claims the slot of the device that is published for `disk`, in the name of `holder`.
    ///
    /// Calls may come before this returns. `EBUSY`: somebody else has it.
    pub(crate) fn claim(disk: &Disk, holder: Arc<T>) -> Result<Self> {
        let grace = GracePeriod::new()?;
        let device = DaxDevice::get(disk, Arc::as_ptr(&holder).cast_mut().cast(), &Self::OPS)
            .ok_or(EBUSY)?;
        // INVARIANT: The call succeeded with our holder and operations.
        Ok(Self {
            device,
            holder,
            grace,
        })
    }

    /// The entry point from `dax_holder_notify_failure()`.
    ///
    /// # Safety
    ///
    /// Only called by the DAX core for a device whose slot was claimed by [`Self::claim`], inside
    /// a read-side section.
    unsafe extern "C" fn notify_failure(
        device: *mut bindings::dax_device,
        offset: u64,
        len: u64,
        flags: c_int,
    ) -> c_int {
        // SAFETY: The core calls with a valid device.
        let holder = unsafe { bindings::dax_holder(device) }.cast::<T>();
        if holder.is_null() {
            // The slot was released after the core had read its operations.
            return ENXIO.to_errno();
        }
        // Nobody else can have claimed the slot since the core read our operations: the device is
        // not published between the release of the slot and the end of the grace period after it.
        // SAFETY: The pointer came from an `Arc` that the `Slot` drops only after the grace period
        // that follows the release, so it outlives the read-side section the core is in.
        let holder = unsafe { ArcBorrow::from_raw(holder.cast_const()) };
        from_result(|| T::notify_failure(holder, offset, len, flags).map(|()| 0))
    }
}

impl<T: SlotHolder> Drop for Slot<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we are the holder, or the device is dead and the slot empty.
        unsafe { self.device.release(Arc::as_ptr(&self.holder).cast()) };
        self.grace.wait();
    }
}

/// Where the memory of a disk of nd_pmem is: one piece of addresses and of page frames.
///
/// What its DAX device answers as long as no block of it is bad, without asking.
///
/// # Invariants
///
/// `pages` pages begin at `address` and at `frame`, while the driver is bound. `bad` is how many
/// ranges the disk's list of bad blocks has, and stays readable for longer than the pages.
pub(crate) struct Memory {
    address: *mut c_void,
    frame: c_ulong,
    pages: u64,
    bad: NonNull<c_int>,
}

// SAFETY: The pointers are handed out or read atomically, never written through.
unsafe impl Send for Memory {}
// SAFETY: As above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Asks `lower`, the DAX device of `disk`, where its memory is.
    pub(crate) fn of(lower: &DaxDevice, disk: &Disk) -> Result<Self> {
        let (mut address, mut frame) = (ptr::null_mut(), 0);
        let _lock = ReadLock::new();
        // In recovery mode, because the first page may be bad.
        // SAFETY: Valid by the type invariant of `DaxDevice`, the read lock is held, and both results
        // outlive the call.
        let pages = unsafe {
            bindings::dax_direct_access(
                lower.as_raw(),
                0,
                1,
                bindings::dax_access_mode_DAX_RECOVERY_WRITE,
                &mut address,
                &mut frame,
            )
        };
        if pages < 1 {
            return Err(Error::from_errno(pages as c_int));
        }
        // SAFETY: `disk` owns a reference; nd_pmem sets its list before it adds the disk.
        let bad = unsafe { bindings::dh_disk_bad_count(disk.as_raw()) };
        // INVARIANT: nd_pmem maps the namespace in one piece, of which the disk is all. The list is
        // part of its `struct pmem_device`, which is freed after the pages are.
        Ok(Self {
            address,
            frame,
            pages: disk.bytes() / kernel::page::PAGE_SIZE as u64,
            bad: NonNull::new(bad.cast_mut()).ok_or(ENXIO)?,
        })
    }

    /// Returns the number of the first page frame.
    pub(crate) fn frame(&self) -> c_ulong {
        self.frame
    }

    /// Returns the address and the frame of page `first`, and for how many pages they go on from
    /// there; `None`: the DAX device must be asked.
    ///
    /// # Safety
    ///
    /// The driver must be bound, or the removal barrier be held.
    #[inline]
    unsafe fn at(&self, first: u64) -> Option<(*mut c_void, c_ulong, u64)> {
        // SAFETY: By this function's contract and the type invariant. As `__pmem_direct_access()`
        // reads it: whoever adds a bad block does not wait for us.
        let bad = unsafe { self.bad.as_ptr().read_volatile() };
        if bad != 0 || first >= self.pages {
            return None;
        }
        // NO-OVERFLOW: Within the memory.
        let at = self
            .address
            .wrapping_add(first as usize * kernel::page::PAGE_SIZE);
        Some((at, self.frame + first as c_ulong, self.pages - first))
    }
}

/// How a front reaches its memory, and who decides.
pub(crate) trait FrontOperations: Send + Sync {
    /// Returns the device below.
    fn lower(&self) -> &DaxDevice;

    /// Returns where its memory is, as long as nothing is refused: then there is no need to ask for
    /// admission. The device below has not been killed, or the removal barrier is held.
    fn open_memory(&self) -> Option<&Memory>;

    /// Admits an access to up to `pages` pages from page `first` on, or to fewer.
    ///
    /// `recovery`: the access overwrites, and may repair, a range that failed. Returns the number
    /// of pages, at least one. Called inside a read-side section; must not sleep for long.
    fn admit(&self, first: u64, pages: u64, recovery: bool) -> Result<u64>;

    /// Says that `pages` pages from page `first` on were overwritten as a recovery.
    fn recovered(&self, first: u64, pages: u64);
}

/// A front: a DAX device of ours, published for a disk in place of the lower one.
///
/// Its holder slot is free for a file system that has a handler of its own. Dropping it kills it,
/// which sleeps and is not for callbacks; it must not be published any more.
///
/// # Invariants
///
/// The private pointer of `device` is that of `behind`, its operations are [`Front::OPS`].
pub(crate) struct Front<T: FrontOperations> {
    device: DaxDevice,
    behind: Arc<Behind<T>>,
    killed: Atomic<bool>,
}

/// What the private pointer of a front points to.
#[pin_data]
struct Behind<T> {
    owner: Arc<T>,
    /// Whether the front has a write cache: what its device says too, but without a call.
    cached: Atomic<bool>,
    /// Held while both are changed.
    #[pin]
    following: SpinLock<()>,
}

impl<T: FrontOperations> Behind<T> {
    /// Returns whether the front has a write cache exactly if the device below has.
    #[inline]
    fn follows(&self) -> bool {
        self.owner.lower().write_cache() == self.cached.load(ordering::Relaxed)
    }

    /// Has the front `device` follow: the disk's write_cache attribute changes the lower device
    /// only.
    ///
    /// # Safety
    ///
    /// `device` must be the front that this is behind.
    unsafe fn follow(&self, device: *mut bindings::dax_device) {
        let _following = self.following.lock();
        let cached = self.owner.lower().write_cache();
        // SAFETY: Valid by this function's contract; an atomic bit operation.
        unsafe { bindings::dax_write_cache(device, cached) };
        self.cached.store(cached, ordering::Relaxed);
    }
}

impl<T: FrontOperations> Front<T> {
    const OPS: bindings::dax_operations = bindings::dax_operations {
        direct_access: Some(Self::direct_access),
        zero_page_range: Some(Self::zero_page_range),
        recovery_write: Some(Self::recovery_write),
    };

    /// Allocates a front with the properties of the owner's lower device.
    pub(crate) fn new(owner: Arc<T>) -> Result<Self> {
        let behind = Arc::pin_init(
            pin_init!(Behind {
                owner,
                cached: Atomic::new(false),
                following <- new_spinlock!((), "dax_holder::Behind::following"),
            }),
            GFP_KERNEL,
        )?;
        let lower = behind.owner.lower();
        // SAFETY: `OPS` is static and complete. The private pointer is valid as long as our
        // operations can be reached: until the front is dropped, see there.
        let dev = from_err_ptr(unsafe {
            bindings::alloc_dax(Arc::as_ptr(&behind).cast_mut().cast(), &Self::OPS)
        })?;
        // INVARIANT: `alloc_dax()` returned the first reference.
        let device = DaxDevice(NonNull::new(dev).ok_or(ENOMEM)?);
        // nd_pmem sets both on every device (drivers/nvdimm/pmem.c); there is no getter.
        // SAFETY: Valid and not yet published; atomic bit operations.
        unsafe { bindings::set_dax_nocache(device.as_raw()) };
        // SAFETY: As above.
        unsafe { bindings::set_dax_nomc(device.as_raw()) };
        // SAFETY: `lower` is valid by its invariant; an atomic bit test.
        if unsafe { bindings::dax_synchronous(lower.as_raw()) } {
            // SAFETY: As above.
            unsafe { bindings::set_dax_synchronous(device.as_raw()) };
        }
        // SAFETY: This is behind it.
        unsafe { behind.follow(device.as_raw()) };
        // INVARIANT: As passed to `alloc_dax()`.
        Ok(Self {
            device,
            behind,
            killed: Atomic::new(false),
        })
    }

    /// Returns whether somebody besides us has a reference to the front.
    pub(crate) fn in_use(&self) -> bool {
        self.device.references() > 1
    }

    /// Returns the pointer in the front's holder slot: for XFS its `struct xfs_mount`.
    ///
    /// Only for comparing. NULL if nobody claimed it.
    pub(crate) fn holder(&self) -> *const c_void {
        self.device.holder()
    }

    /// Returns the front as a DAX device.
    pub(crate) fn device(&self) -> &DaxDevice {
        &self.device
    }

    /// Refuses every access from now on, for ever, and waits for those that have begun.
    ///
    /// Afterwards nothing reaches our code through the front, however long somebody keeps it.
    /// The slot is taken from its holder, so the caller says whether it has that holder's
    /// super block `pinned`; without a pin, and with a holder, nothing is done and the answer is
    /// `false`: that is XFS on its way up or down, which gives the slot back after the block device
    /// (`xfs_mount_free()`). The front must not be published any more, so that nobody new claims
    /// the slot. Sleeps; not for callbacks (see [`GracePeriod::wait`]).
    pub(crate) fn kill(&self, pinned: bool) -> bool {
        if self.killed.load(ordering::Acquire) {
            return true;
        }
        let holder = self.holder();
        if !pinned && !holder.is_null() {
            return false;
        }
        // `kill_dax()` would tell the holder, who knows, inside a read-side section. XFS freezes itself then,
        // even if it is down, which waits for its writers; and one who truncates or unlinks a file waits for
        // the pins of its pages. Until they were let go of, no grace period would end.
        // SAFETY: He is pinned, so he keeps the slot until we have taken it, or there is none; nobody
        // finds the device any more to claim it. That it is empty later his own release accepts.
        unsafe { self.device.release(holder) };
        // SAFETY: Valid by the invariant of `DaxDevice`.
        unsafe { bindings::kill_dax(self.device.as_raw()) };
        // A late fsync must not write back a cache line of memory that may be gone.
        // SAFETY: As above.
        unsafe { bindings::dax_write_cache(self.device.as_raw(), false) };
        self.killed.store(true, ordering::Release);
        true
    }

    /// Returns what is behind a front, inside one of its operations.
    ///
    /// # Safety
    ///
    /// Only within an operation of `device`, which must be a `Front<T>`.
    unsafe fn behind<'a>(device: *mut bindings::dax_device) -> Result<&'a Behind<T>> {
        // SAFETY: The core calls with a valid device.
        let behind = unsafe { bindings::dax_get_private(device) }.cast::<Behind<T>>();
        // NULL: killed since the core looked whether it was alive.
        // SAFETY: Points into the `Arc` of the `Front`, which drops it only after `kill()` has
        // waited for the read-side section that the core is in.
        unsafe { behind.cast_const().as_ref() }.ok_or(ENXIO)
    }

    /// As [`Front::behind`], the owner alone.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn owner<'a>(device: *mut bindings::dax_device) -> Result<&'a T> {
        // SAFETY: By this function's contract.
        unsafe { Self::behind(device) }.map(|behind| &*behind.owner)
    }

    /// `direct_access` where nothing is in its way: nothing is refused, no block is bad. Returns for
    /// how many pages the answer holds; `None`: it is not that simple.
    ///
    /// # Safety
    ///
    /// As for `direct_access`.
    #[inline]
    unsafe fn direct(
        device: *mut bindings::dax_device,
        first: c_ulong,
        mode: bindings::dax_access_mode,
        address: *mut *mut c_void,
        pfn: *mut c_ulong,
    ) -> Option<c_long> {
        // SAFETY: By this function's contract.
        let behind = unsafe { Self::behind(device) }.ok()?;
        let memory = behind.owner.open_memory()?;
        if mode != bindings::dax_access_mode_DAX_ACCESS || !behind.follows() {
            return None;
        }
        // SAFETY: As `open_memory()` promises; until the read lock that the core holds is given up, for
        // neither ends before a grace period.
        let (at, frame, pages) = unsafe { memory.at(first as u64) }?;
        if !address.is_null() {
            // SAFETY: The caller's, to be written.
            unsafe { *address = at };
        }
        if !pfn.is_null() {
            // SAFETY: As above.
            unsafe { *pfn = frame };
        }
        Some(pages as c_long)
    }

    /// `direct_access` of a front.
    ///
    /// # Safety
    ///
    /// Only called by the DAX core, inside a read-side section, for a `Front<T>`.
    unsafe extern "C" fn direct_access(
        device: *mut bindings::dax_device,
        first: c_ulong,
        pages: c_long,
        mode: bindings::dax_access_mode,
        address: *mut *mut c_void,
        pfn: *mut c_ulong,
    ) -> c_long {
        // The usual case, for which a file system must not pay more than without us: the calls that
        // are spared here are 3 % of a page fault (Documentation/performance.rst).
        // SAFETY: By this function's own contract.
        if let Some(pages) = unsafe { Self::direct(device, first, mode, address, pfn) } {
            return pages;
        }
        let recovery = mode == bindings::dax_access_mode_DAX_RECOVERY_WRITE;
        // Only `DaxDevice::frames()` asks for no address in this mode: it reaches no memory, and
        // wants to know where a stacked device lies whatever is refused.
        let question = recovery && address.is_null();
        // SAFETY: By this function's own contract.
        let admitted = unsafe { Self::behind(device) }.and_then(|behind| {
            let pages = pages as u64;
            if question {
                return Ok((behind, pages));
            }
            let pages = behind.owner.admit(first as u64, pages, recovery)?;
            Ok((behind, pages))
        });
        let (behind, pages) = match admitted {
            Ok(x) => x,
            Err(e) => return e.to_errno() as c_long,
        };
        let lower = behind.owner.lower();
        if !behind.follows() {
            // SAFETY: What it found is behind `device`.
            unsafe { behind.follow(device) };
        }
        // SAFETY: `lower` is valid by its invariant, the read lock is held by the core, and the
        // pointers are the caller's.
        unsafe {
            bindings::dax_direct_access(lower.as_raw(), first, pages as c_long, mode, address, pfn)
        }
    }

    /// `zero_page_range` of a front.
    ///
    /// # Safety
    ///
    /// As for `direct_access`.
    unsafe extern "C" fn zero_page_range(
        device: *mut bindings::dax_device,
        first: c_ulong,
        pages: usize,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By this function's own contract.
            let owner = unsafe { Self::owner(device) }?;
            if owner.admit(first as u64, pages as u64, true)? < pages as u64 {
                return Err(EIO);
            }
            // SAFETY: `lower` is valid by its invariant; the read lock is held by the core.
            kernel::error::to_result(unsafe {
                bindings::dax_zero_page_range(owner.lower().as_raw(), first, pages)
            })?;
            owner.recovered(first as u64, pages as u64);
            Ok(0)
        })
    }

    /// `recovery_write` of a front. Returns the bytes written, 0 for none.
    ///
    /// `address` is from a `direct_access` in the same read-side section, which was admitted. So this
    /// access has begun, whoever refuses it since waits for it, and nobody is asked again: the core
    /// would turn a refusal here into `EFAULT` for the caller of `write()`.
    ///
    /// # Safety
    ///
    /// As for `direct_access`; `address` and `iter` are the caller's, for `bytes` bytes.
    unsafe extern "C" fn recovery_write(
        device: *mut bindings::dax_device,
        first: c_ulong,
        address: *mut c_void,
        bytes: usize,
        iter: *mut kernel::bindings::iov_iter,
    ) -> usize {
        const PAGE: u64 = kernel::page::PAGE_SIZE as u64;

        // SAFETY: By this function's own contract.
        let Ok(owner) = (unsafe { Self::owner(device) }) else {
            return 0;
        };
        let in_page = address as u64 % PAGE;
        // SAFETY: `lower` is valid by its invariant, the read lock is held by the core, and the
        // rest is the caller's.
        let done = unsafe {
            bindings::dax_recovery_write(owner.lower().as_raw(), first, address, bytes, iter)
        };
        // Only whole pages are repaired.
        if in_page == 0 && done as u64 >= PAGE {
            owner.recovered(first as u64, done as u64 / PAGE);
        }
        done
    }
}

impl<T: FrontOperations> Drop for Front<T> {
    fn drop(&mut self) {
        // A file system may keep the device long after; it must not find its way to `behind`.
        if self.kill(false) {
            return;
        }
        // The administrator gave up on a removal while XFS was half way up or down. Whatever it
        // may still call stays: the device, what is behind it, and this module's code.
        pr_err!("a front is left behind with its holder; the module stays\n");
        // SAFETY: Valid by the invariant of `DaxDevice`.
        unsafe { bindings::ihold(bindings::dax_inode(self.device.as_raw())) };
        core::mem::forget(self.behind.clone());
        core::mem::forget(super::module::Pin::new());
    }
}
