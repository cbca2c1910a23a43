// SPDX-License-Identifier: GPL-2.0-only

//! Follows `rust/kernel/error.rs`.

use crate::alloc::AllocError;
use core::num::NonZeroI32;

/// A negative errno.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(NonZeroI32);

/// As in the kernel: our errors and `()` by default.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// The errno values, from `include/uapi/asm-generic/errno-base.h` and `errno.h`.
pub mod code {
    macro_rules! declare_err {
        ($($name:ident = $number:literal,)*) => {
            const NAMES: &[(i32, &str)] = &[$(($number, stringify!($name)),)*];
            $(
                #[allow(missing_docs)]
                pub const $name: super::Error = match core::num::NonZeroI32::new(-$number) {
                    Some(errno) => super::Error(errno),
                    None => panic!(),
                };
            )*
        };
    }

    declare_err! {
        ENOENT = 2, EIO = 5, ENXIO = 6, E2BIG = 7, EAGAIN = 11, ENOMEM = 12, EBUSY = 16,
        EEXIST = 17, ENODEV = 19, EINVAL = 22, ENOSPC = 28, ERANGE = 34, EOVERFLOW = 75,
        EOPNOTSUPP = 95, ESHUTDOWN = 108, ETIMEDOUT = 110,
    }

    pub(super) fn name(errno: i32) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(n, _)| *n == errno)
            .map(|(_, name)| *name)
    }
}

impl Error {
    /// Returns the negative errno.
    pub fn to_errno(self) -> i32 {
        self.0.get()
    }
}

impl core::fmt::Debug for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match code::name(-self.0.get()) {
            Some(name) => f.write_str(name),
            None => f.debug_tuple("Error").field(&-self.0.get()).finish(),
        }
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        code::ENOMEM
    }
}
