// SPDX-License-Identifier: GPL-2.0-only

//! Makes allocations of the current thread fail, and counts them.

use std::cell::Cell;

thread_local! {
    static ALLOWED: Cell<Option<usize>> = const { Cell::new(None) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Calls `f` with room for `allowed` allocations; every further one fails.
pub fn after<T>(allowed: usize, f: impl FnOnce() -> T) -> T {
    /// Restores the switch even if a failing test unwinds through here.
    struct Restore(Option<usize>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ALLOWED.set(self.0);
        }
    }
    let _restore = Restore(ALLOWED.replace(Some(allowed)));
    f()
}

/// Calls `f` and returns how often it allocated, besides its result.
pub fn count<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = f();
    (ALLOCATIONS.get() - before, result)
}

/// Returns whether the next allocation may succeed.
pub(crate) fn allocate() -> bool {
    match ALLOWED.get() {
        Some(0) => return false,
        Some(n) => ALLOWED.set(Some(n - 1)),
        None => (),
    }
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    true
}
