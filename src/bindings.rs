// SPDX-License-Identifier: GPL-2.0-only

//! The wall: bindings made by this module's own bindgen step (see Kbuild). No logic.
//!
//! Only `sys` looks behind it. Every type that the kernel crate already binds is the kernel
//! crate's.

// Generated code has no comments and keeps the names of C. The kernel's own wall makes the same
// exceptions for it (rust/bindings/lib.rs).
#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    rustdoc::all,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

pub(crate) use kernel::bindings::*;

use kernel::ffi;

include!(concat!(env!("DAX_HOLDER_OBJ"), "/bindings_generated.rs"));
