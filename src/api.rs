// SPDX-License-Identifier: GPL-2.0-only

//! The functions of `include/linux/dax_holder.h`, which says what they do. Exported by
//! `src/exports.c`.

use crate::{
    bindings,
    clients::{
        Client,
        Registration, //
    },
    disks,
    event::Source,
    range::{
        Range,
        RangeSet, //
    },
    shim::{
        Shim,
        State, //
    },
    sys::{
        block::{
            BlockDevice,
            Name, //
        },
        callback::Callback,
        module::{
            NoIo,
            Owner, //
        }, //
    }, //
};
use core::ptr;
use kernel::{
    error::from_result,
    ffi::{
        c_int,
        c_void, //
    },
    page::PAGE_SIZE,
    prelude::*,
    str::CStr,
    sync::Arc, //
};

/// How many ranges one report may have.
const MAX_RANGES: usize = 1 << 20;

/// How long others wait for a holder that does not say, in milliseconds.
const DEADLINE_MS: u32 = 10_000;

/// Returns the part `offset`, `len` of something of `size` bytes.
fn part(offset: u64, len: u64, size: u64) -> Result<Range> {
    if (offset, len) == (0, u64::MAX) {
        return Ok(Range::whole(size));
    }
    if len == 0 {
        return Err(EINVAL);
    }
    let range = Range::new(offset, len).map_err(|_| ERANGE)?;
    if !Range::whole(size).contains(range) {
        return Err(ERANGE);
    }
    Ok(range)
}

/// Reads the name of a holder: one word.
///
/// # Safety
///
/// `name` must be NULL or a string.
unsafe fn word(name: *const u8) -> Result<Name> {
    if name.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: By this function's contract.
    let name = unsafe { CStr::from_char_ptr(name) };
    let name = name.to_str().map_err(|_| EINVAL)?;
    if name.is_empty() || name.len() > Name::LONGEST || !name.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(EINVAL);
    }
    Ok(Name::new(name))
}

/// Registers a holder of a part of `device`, which begins at byte `base` of the disk of `shim` and
/// has `size` bytes. Returns the pointer that C gets, and hands back.
///
/// # Safety
///
/// `info` must be as the header says.
unsafe fn register(
    shim: &Shim,
    device: Name,
    base: Range,
    (offset, len): (u64, u64),
    info: *const bindings::dax_holder_info,
) -> Result<*mut bindings::dax_holder_client> {
    // SAFETY: By this function's contract it is NULL or valid.
    let info = unsafe { info.as_ref() }.ok_or(EINVAL)?;
    let window = part(offset, len, base.len())?.shift_up(base.start(), 1)?;
    // SAFETY: As above.
    let name = unsafe { word(info.name) }?;
    // SAFETY: As above.
    let callback = unsafe { Callback::new(info) }?;
    let owner = if info.owner.is_null() {
        None
    } else {
        // SAFETY: As above; it is the caller's own module.
        Some(unsafe { Owner::get(info.owner) }?)
    };
    let registration = Registration {
        kind: name,
        device,
        disk: *shim.disk().name(),
        window,
        priority: info.priority,
        deadline_ms: match info.deadline_ms {
            0 => DEADLINE_MS,
            ms => ms,
        },
        callback,
    };
    let client = Client::register(shim.clients().clone(), registration, owner)?;
    Ok(Arc::into_raw(client).cast_mut().cast())
}

fn pointer_or_error<T>(result: Result<*mut T>) -> *mut T {
    result.unwrap_or_else(|e| e.to_ptr())
}

/// Finds the attached disk of `bdev`, and the bytes of it that `bdev` is.
///
/// # Safety
///
/// `bdev` must be NULL or a valid block device.
unsafe fn find(bdev: *mut bindings::block_device) -> Result<(Arc<Shim>, BlockDevice, Range)> {
    // SAFETY: By this function's contract.
    let device = unsafe { BlockDevice::get_raw(bdev) }.ok_or(EINVAL)?;
    let known = disks::find(device.disk_device()).ok_or(ENODEV)?;
    let shim = known.shim().ok_or(ENODEV)?;
    // A removal takes the block device's size long before it lets the memory go.
    let none = match shim.state() {
        State::Removing => ESHUTDOWN,
        _ => ENODEV,
    };
    let window = device.window().ok_or(none)?;
    Ok((shim, device, window))
}

/// See `include/linux/dax_holder.h`.
///
/// # Safety
///
/// As the header says.
#[no_mangle]
unsafe extern "C" fn dax_holder_register(
    bdev: *mut bindings::block_device,
    offset: u64,
    len: u64,
    info: *const bindings::dax_holder_info,
) -> *mut bindings::dax_holder_client {
    // SAFETY: By this function's contract.
    pointer_or_error(unsafe { find(bdev) }.and_then(|(shim, device, window)| {
        // SAFETY: As above.
        unsafe { register(&shim, device.name(), window, (offset, len), info) }
    }))
}

/// See `include/linux/dax_holder.h`.
///
/// # Safety
///
/// As the header says.
#[no_mangle]
unsafe extern "C" fn dax_holder_register_dax(
    dax_dev: *mut bindings::dax_device,
    offset: u64,
    len: u64,
    info: *const bindings::dax_holder_info,
) -> *mut bindings::dax_holder_client {
    pointer_or_error(disks::find_dax(dax_dev).ok_or(ENODEV).and_then(|shim| {
        let disk = shim.disk();
        let window = Range::whole(disk.bytes());
        // SAFETY: By this function's contract.
        unsafe { register(&shim, *disk.name(), window, (offset, len), info) }
    }))
}

/// See `include/linux/dax_holder.h`.
///
/// # Safety
///
/// As the header says: `client` comes from a registration and is not used any more.
#[no_mangle]
unsafe extern "C" fn dax_holder_unregister(client: *mut bindings::dax_holder_client) -> c_int {
    let client: *const Client = client.cast_const().cast();
    from_result(|| {
        // SAFETY: By this function's contract `register()` made it, and holds a reference for it.
        unsafe { &*client }.unregister()?;
        // SAFETY: That reference is given back, as it is used for the last time.
        drop(unsafe { Arc::from_raw(client) });
        Ok(0)
    })
}

/// Returns the holder of a pointer that C has.
///
/// # Safety
///
/// `client` must come from a registration and not be unregistered for `'a`.
unsafe fn client<'a>(client: *const bindings::dax_holder_client) -> &'a Client {
    // SAFETY: By this function's contract `register()` made it, and holds a reference for it.
    unsafe { &*client.cast() }
}

/// See `include/linux/dax_holder.h`.
///
/// # Safety
///
/// As the header says.
#[no_mangle]
unsafe extern "C" fn dax_holder_private(holder: *const bindings::dax_holder_client) -> *mut c_void {
    // SAFETY: By this function's contract.
    unsafe { client(holder) }.callback().private()
}

/// See `include/linux/dax_holder.h`.
///
/// # Safety
///
/// As the header says.
#[no_mangle]
unsafe extern "C" fn dax_holder_event(
    holder: *mut bindings::dax_holder_client,
    event: *mut bindings::dax_holder_event,
) -> c_int {
    // SAFETY: By this function's contract.
    let Some(told) = unsafe { client(holder) }.told() else {
        return EINVAL.to_errno();
    };
    // SAFETY: By this function's contract.
    unsafe {
        *event = bindings::dax_holder_event {
            first: told.first,
            last: told.last,
            kind: told.kind as bindings::dax_holder_kind,
        };
    }
    0
}

/// See `include/linux/dax_holder.h`.
///
/// # Safety
///
/// As the header says.
#[no_mangle]
unsafe extern "C" fn dax_holder_next_range(
    holder: *mut bindings::dax_holder_client,
    range: *mut bindings::dax_holder_range,
) -> bool {
    // SAFETY: By this function's contract, for this and the next.
    let (client, range) = unsafe { (client(holder), &mut *range) };
    let Some(part) = client.next_range(range.offset) else {
        return false;
    };
    (range.offset, range.len) = (part.start(), part.len());
    true
}

/// See `include/linux/dax_holder.h`.
///
/// # Safety
///
/// As the header says.
#[no_mangle]
unsafe extern "C" fn dax_holder_report(
    bdev: *mut bindings::block_device,
    ranges: *const bindings::dax_holder_range,
    nr: usize,
    handled: *mut bindings::dax_holder_handled,
) -> c_int {
    from_result(|| {
        if ranges.is_null() || nr == 0 {
            return Err(EINVAL);
        }
        if nr > MAX_RANGES {
            return Err(E2BIG);
        }
        // SAFETY: By this function's contract.
        let (shim, _, window) = unsafe { find(bdev) }?;
        // As in the event itself: reclaim must not wait for the pins of an inode.
        let _noio = NoIo::new();
        // Without memory for a list they are looked at all the same: what is wrong is refused.
        let mut failed = KVVec::with_capacity(nr, GFP_KERNEL).ok();
        // SAFETY: By this function's contract there are `nr` of them.
        for range in unsafe { core::slice::from_raw_parts(ranges, nr) } {
            let range = part(range.offset, range.len, window.len())?;
            let range = range.shift_up(window.start(), PAGE_SIZE as u64)?;
            if let Some(failed) = &mut failed {
                // There is room.
                failed.push(range, GFP_KERNEL)?;
            }
        }
        if shim.clients().is_calling() {
            return Err(EDEADLK);
        }
        let failed = failed.map(RangeSet::from_unsorted);
        let done = Shim::fail(shim.as_arc_borrow(), Source::Reported, failed)?;
        if let Some(handled) = ptr::NonNull::new(handled) {
            // SAFETY: By this function's contract it may be written.
            unsafe {
                handled.write(bindings::dax_holder_handled {
                    event: done.seq,
                    bytes: done.bytes,
                    holders: done.holders,
                    result: done.result,
                });
            }
        }
        Ok(0)
    })
}
