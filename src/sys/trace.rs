// SPDX-License-Identifier: GPL-2.0-only

//! Trace events, defined in `src/trace.h`; free when they are off.

use crate::{
    bindings,
    event::Event, //
};
use kernel::{
    ffi::c_ulong,
    str::{
        CStr,
        CStrExt as _, //
    }, //
};

/// An event was accepted.
pub(crate) fn event_accepted(disk: &CStr, event: &Event) {
    // SAFETY: The string is only read during the call.
    unsafe {
        bindings::dh_trace_event_accepted(
            disk.as_char_ptr(),
            event.seq,
            event.kind as u32,
            event.source as u32,
            event.ranges.first().map_or(0, |r| r.start()),
            event.ranges.bytes(),
            event.ranges.len() as c_ulong,
        )
    };
}

/// The gate refuses `bytes` bytes more.
pub(crate) fn gate_closed(disk: &CStr, seq: u64, bytes: u64) {
    // SAFETY: The string is only read during the call.
    unsafe { bindings::dh_trace_gate_closed(disk.as_char_ptr(), seq, bytes) };
}

/// A holder is being told.
pub(crate) fn holder_begin(disk: &CStr, seq: u64, holder: &CStr) {
    // SAFETY: The strings are only read during the call.
    unsafe {
        bindings::dh_trace_holder_begin(disk.as_char_ptr(), seq, holder.as_char_ptr());
    };
}

/// A holder has answered: 0 or a negative errno, after `ns` nanoseconds.
pub(crate) fn holder_end(disk: &CStr, seq: u64, holder: &CStr, result: i32, ns: u64) {
    // SAFETY: The strings are only read during the call.
    unsafe {
        bindings::dh_trace_holder_end(disk.as_char_ptr(), seq, holder.as_char_ptr(), result, ns);
    };
}

/// The removal barrier was taken.
pub(crate) fn barrier_taken(disk: &CStr) {
    // SAFETY: The string is only read during the call.
    unsafe { bindings::dh_trace_barrier_taken(disk.as_char_ptr()) };
}

/// The removal barrier was released after `ns` nanoseconds; `forced`: by the administrator.
pub(crate) fn barrier_released(disk: &CStr, ns: u64, forced: bool) {
    // SAFETY: The string is only read during the call.
    unsafe { bindings::dh_trace_barrier_released(disk.as_char_ptr(), ns, forced) };
}
