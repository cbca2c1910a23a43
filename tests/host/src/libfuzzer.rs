// SPDX-License-Identifier: GPL-2.0-only

//! The core under libFuzzer, which has the `main()`. Built by `make fuzz`.

#![no_main]
// What only the rest of the module uses is not dead.
#![allow(dead_code, unused_imports)]

#[path = "../../../src/event.rs"]
mod event;
#[path = "../../../src/range.rs"]
mod range;
#[path = "../../../src/translation.rs"]
mod translation;

#[path = "../../../src/observe"]
mod observe {
    pub(crate) mod command;
}

mod command_reference;
mod fuzz;
mod model;

/// Tests one input; a panic does not leave this function, it aborts.
///
/// # Safety
///
/// `data` has `len` bytes.
#[no_mangle]
unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, len: usize) -> i32 {
    let input = match len {
        0 => &[],
        // SAFETY: By this function's contract.
        _ => unsafe { std::slice::from_raw_parts(data, len) },
    };
    fuzz::one(input);
    0
}
