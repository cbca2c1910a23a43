// SPDX-License-Identifier: GPL-2.0-only

//! The DAX holder notification layer, for Rust modules of others.
//!
//! kbuild gives a module outside the kernel no metadata of a Rust crate, so this file is compiled
//! into each module that uses it:
//!
//! ```ignore
//! #[path = "../dax_holder/rust/dax_holder.rs"]
//! mod dax_holder;
//! ```
//!
//! Its bindings are made by `rust/Makefile.dax_holder`. What it promises is that of
//! `include/linux/dax_holder.h`; see `Documentation/holders.rst`.

// A module uses what it needs.
#![allow(dead_code, unreachable_pub)]

use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    ffi::c_int,
    prelude::*,
    str::CStr,
    sync::Arc,
    types::NotThreadSafe, //
};

#[allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub
)]
mod bindings {
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(env!("DAX_HOLDER_BINDINGS"));
}

/// What happens to the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ranges have lost their content; the disk stays.
    Failure,
    /// The whole disk is about to go; it still works, write back what is dirty.
    Removal,
    /// The whole disk goes without having been announced.
    Surprise,
}

/// Bytes of a block device, or of a holder's own range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Range {
    /// The first byte.
    pub offset: u64,
    /// How many; never 0 in an event.
    pub len: u64,
}

impl Range {
    /// All of a block device.
    pub const ALL: Self = Self {
        offset: 0,
        len: u64::MAX,
    };
}

/// A holder.
pub trait Holder: Send + Sync {
    /// Lets go of what `told` covers: when it returns, nothing of the holder uses that memory.
    ///
    /// Runs in a worker thread, may sleep, and is never called twice at the same time for one
    /// registration. Must not wait for the end of an event of the same disk. `Ok`: done; from a
    /// priority above 0 it also means that the layer need not take the file system there down.
    /// `EOPNOTSUPP`: nothing is held there. Other errors: it could not let go, so at a removal the
    /// memory stays until the registration is dropped.
    fn notify_failure(&self, told: &Told<'_>) -> Result;
}

/// What a holder is told: one event, or several that came while it was busy.
pub struct Told<'a> {
    client: NonNull<bindings::dax_holder_client>,
    range: Range,
    event: bindings::dax_holder_event,
    _call: PhantomData<&'a ()>,
    // What it asks for can only be asked for by the task that is called.
    _task: NotThreadSafe,
}

impl Told<'_> {
    /// Returns the smallest range that covers all, in bytes of the holder's own range.
    pub fn hull(&self) -> Range {
        self.range
    }

    /// Returns what happens to the memory; of several events, the gravest.
    pub fn kind(&self) -> Kind {
        match self.event.kind {
            bindings::dax_holder_kind_DAX_HOLDER_FAILURE => Kind::Failure,
            bindings::dax_holder_kind_DAX_HOLDER_REMOVAL => Kind::Removal,
            _ => Kind::Surprise,
        }
    }

    /// Returns the number of the first event that this tells, counted per disk from 1.
    pub fn first(&self) -> u64 {
        self.event.first
    }

    /// Returns the number of the last event that this tells.
    pub fn last(&self) -> u64 {
        self.event.last
    }

    /// Iterates over the parts, in ascending order, in bytes of the holder's own range.
    pub fn ranges(&self) -> impl Iterator<Item = Range> + '_ {
        let mut from = 0;
        core::iter::from_fn(move || {
            let mut range = bindings::dax_holder_range {
                offset: from,
                len: 0,
            };
            // SAFETY: The callback of this client runs for as long as `self` is borrowed.
            if !unsafe { bindings::dax_holder_next_range(self.client.as_ptr(), &mut range) } {
                return None;
            }
            // Ranges end before `u64::MAX`.
            from = range.offset + range.len;
            Some(Range {
                offset: range.offset,
                len: range.len,
            })
        })
    }
}

/// A block device of somebody else's.
///
/// # Invariants
///
/// The pointer is valid for `'a`.
#[derive(Clone, Copy)]
pub struct BlockDevice<'a>(
    NonNull<kernel::bindings::block_device>,
    PhantomData<&'a kernel::bindings::block_device>,
);

impl BlockDevice<'_> {
    /// Wraps a block device, `sb->s_bdev` say. `EINVAL` for NULL.
    ///
    /// # Safety
    ///
    /// `bdev` must be NULL or valid for `'a`.
    pub unsafe fn from_raw(bdev: *mut kernel::bindings::block_device) -> Result<Self> {
        // INVARIANT: By this function's contract.
        Ok(Self(NonNull::new(bdev).ok_or(EINVAL)?, PhantomData))
    }
}

/// How a holder registers.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How it is called in the holders file and in the log: one word of at most 31 bytes.
    pub name: &'a CStr,
    /// Holders of a higher priority are told first, and have answered before the next; above 0:
    /// before file systems are taken down.
    pub priority: i32,
    /// How long the others wait for an answer, in milliseconds; 0 means 10000.
    pub deadline_ms: u32,
}

/// A registration. Dropping it unregisters the holder, and waits for its call if there is one.
///
/// A holder that drops its own registration while it is called cannot be unregistered: it says so in
/// the kernel log and stays, with its module, for ever.
///
/// # Invariants
///
/// `client` is registered, with [`Registration::OPS`] and a pointer into `holder`.
pub struct Registration<T: Holder + 'static> {
    client: NonNull<bindings::dax_holder_client>,
    holder: Arc<T>,
}

// SAFETY: A holder may be unregistered on any thread.
unsafe impl<T: Holder> Send for Registration<T> {}
// SAFETY: A shared registration only gives out its holder, which is `Sync`.
unsafe impl<T: Holder> Sync for Registration<T> {}

impl<T: Holder> Registration<T> {
    const OPS: bindings::dax_holder_client_ops = bindings::dax_holder_client_ops {
        notify_failure: Some(Self::notify_failure),
    };

    /// Registers `holder` for `range` of `device`; [`Range::ALL`] means all of it. `module`, the
    /// caller's own, cannot be unloaded until the registration is dropped. May sleep.
    ///
    /// Errors: see `dax_holder_register()` in `include/linux/dax_holder.h`. The registration ends with
    /// the disk: drop it then, and register anew when the disk is back.
    pub fn new(
        device: BlockDevice<'_>,
        range: Range,
        options: Options<'_>,
        module: &'static ThisModule,
        holder: Arc<T>,
    ) -> Result<Self> {
        Self::register(device, range, options, module.as_ptr().cast(), holder)
    }

    /// As [`Registration::new`], but the module can be unloaded.
    ///
    /// # Safety
    ///
    /// The registration must be dropped, and not within the holder's own call, before the code of the
    /// caller's module goes: by what the module's own drop drops, say.
    pub unsafe fn without_owner(
        device: BlockDevice<'_>,
        range: Range,
        options: Options<'_>,
        holder: Arc<T>,
    ) -> Result<Self> {
        Self::register(device, range, options, ptr::null_mut(), holder)
    }

    fn register(
        device: BlockDevice<'_>,
        range: Range,
        options: Options<'_>,
        owner: *mut kernel::bindings::module,
        holder: Arc<T>,
    ) -> Result<Self> {
        let info = bindings::dax_holder_info {
            name: options.name.as_char_ptr(),
            ops: &Self::OPS,
            private: Arc::as_ptr(&holder).cast_mut().cast(),
            owner,
            priority: options.priority,
            deadline_ms: options.deadline_ms,
        };
        // SAFETY: The device is valid by its invariant; `info` and the name outlive the call, which
        // copies them; `OPS` is static; the holder is kept by the result until it is unregistered.
        let client = from_err_ptr(unsafe {
            bindings::dax_holder_register(device.0.as_ptr(), range.offset, range.len, &info)
        })?;
        // INVARIANT: Just registered.
        Ok(Self {
            client: NonNull::new(client).ok_or(EINVAL)?,
            holder,
        })
    }

    /// Returns the holder.
    pub fn holder(&self) -> &Arc<T> {
        &self.holder
    }

    /// The callback.
    ///
    /// # Safety
    ///
    /// Only called by the layer, for a client that was registered by [`Registration::register`].
    unsafe extern "C" fn notify_failure(
        client: *mut bindings::dax_holder_client,
        offset: u64,
        len: u64,
        _flags: c_int,
    ) -> c_int {
        let mut event = bindings::dax_holder_event::default();
        from_result(|| {
            // SAFETY: This is the callback of `client`; `event` is ours.
            to_result(unsafe { bindings::dax_holder_event(client, &mut event) })?;
            // SAFETY: By this function's contract; unregistering waits for this call, and only then
            // the holder is dropped.
            let holder: &T = unsafe { &*bindings::dax_holder_private(client).cast() };
            holder.notify_failure(&Told {
                client: NonNull::new(client).ok_or(EINVAL)?,
                range: Range { offset, len },
                event,
                _call: PhantomData,
                _task: NotThreadSafe,
            })?;
            Ok(0)
        })
    }
}

impl<T: Holder> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered; nobody uses the pointer afterwards.
        if unsafe { bindings::dax_holder_unregister(self.client.as_ptr()) } != 0 {
            pr_err!("a DAX holder dropped its registration while it was called: it stays\n");
            core::mem::forget(self.holder.clone());
        }
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug)]
pub struct Handled {
    /// The number of the event.
    pub event: u64,
    /// How many bytes it concerned, after rounding out to pages.
    pub bytes: u64,
    /// How many holders were told.
    pub holders: u32,
    /// What the first of them that did not answer 0 has answered.
    pub result: Result,
}

/// Reports that `ranges` of `device` have failed, and has every holder told. Sleeps for as long as
/// they take.
///
/// Errors: see `dax_holder_report()` in `include/linux/dax_holder.h`; then nothing has happened.
pub fn report(device: BlockDevice<'_>, ranges: &[Range]) -> Result<Handled> {
    let mut handled = bindings::dax_holder_handled::default();
    // SAFETY: The device is valid by its invariant; `Range` has the layout of `struct
    // dax_holder_range`; all outlives the call.
    to_result(unsafe {
        bindings::dax_holder_report(
            device.0.as_ptr(),
            ranges.as_ptr().cast(),
            ranges.len(),
            &mut handled,
        )
    })?;
    Ok(Handled {
        event: handled.event,
        bytes: handled.bytes,
        holders: handled.holders,
        result: to_result(handled.result),
    })
}
