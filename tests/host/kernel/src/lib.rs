// SPDX-License-Identifier: GPL-2.0-only

//! The part of the `kernel` crate that the module's pure files use, for the host.
//!
//! Names, signatures and the growth of vectors follow `rust/kernel/` of the kernel source, so that
//! the files compile unmodified. Beyond that there is [`failure`], which makes allocations fail.

pub mod alloc;
pub mod error;
pub mod failure;

/// In the kernel a module of its own, because there pointers are hashed when printed.
pub mod fmt {
    pub use core::fmt::*;
}

/// Shared values.
pub mod sync {
    pub use std::sync::Arc;
}

/// The names every kernel file imports.
pub mod prelude {
    pub use crate::{
        alloc::{
            Flags,
            KVVec,
            KVec,
            GFP_KERNEL,
            GFP_NOIO, //
        },
        error::{
            code::*,
            Error,
            Result, //
        },
    };
    pub use core::{
        format_args as fmt,
        mem::{
            align_of,
            size_of, //
        },
    };
}
