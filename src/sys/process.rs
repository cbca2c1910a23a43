// SPDX-License-Identifier: GPL-2.0-only

//! The agent's process: a program of user space, run by the kernel.
//!
//! C header: [`include/linux/umh.h`](srctree/include/linux/umh.h). Which program is the module's
//! parameter `agent`, see `src/agent.c`.

use crate::bindings;
use core::ptr;
use kernel::{
    error::to_result,
    ffi::c_uint,
    prelude::*,
    str::CStr,
    sync::atomic::{
        ordering,
        Atomic, //
    }, //
};

/// How a process has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this exit status.
    Exit(u8),
    /// By a signal.
    Killed,
}

/// The devices that one run of the agent is about, by number, as many as it can be told.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    numbers: [u32; Self::MOST],
    count: usize,
    cut: bool,
}

impl Numbers {
    const MOST: usize = bindings::DH_AGENT_NUMBERS as usize;

    /// Takes the first of `numbers`.
    pub(crate) fn new(mut numbers: impl Iterator<Item = u32>) -> Self {
        let mut this = Self {
            numbers: [0; Self::MOST],
            count: 0,
            cut: false,
        };
        for (slot, number) in this.numbers.iter_mut().zip(numbers.by_ref()) {
            *slot = number;
            this.count += 1;
        }
        this.cut = numbers.next().is_some();
        this
    }

    /// Returns whether there were more than the agent can be told.
    pub(crate) fn are_cut(&self) -> bool {
        self.cut
    }

    fn as_slice(&self) -> &[u32] {
        &self.numbers[..self.count]
    }
}

/// One run of the agent.
///
/// # Invariants
///
/// `pid` is NULL, or a process to which this owns a reference.
pub(crate) struct Process {
    pid: Atomic<*mut bindings::pid>,
}

impl Process {
    /// A run that has not begun.
    pub(crate) fn new() -> Self {
        Self {
            pid: Atomic::new(ptr::null_mut()),
        }
    }

    /// Runs the agent with `verb` and the devices of `numbers`, once, and waits for its end.
    ///
    /// Sleeps for as long as it takes, and cannot be interrupted but by [`Process::kill`]. `ENOENT`
    /// and what else `execve()` answers: it was not run; `ENOENT` also if there is to be none.
    pub(crate) fn run(&self, verb: &CStr, numbers: &Numbers) -> Result<End> {
        let numbers = numbers.as_slice();
        let mut path = [0u8; bindings::DH_AGENT_PATH as usize];
        // SAFETY: `path` has as many bytes as the call copies.
        unsafe { bindings::dh_agent_path(path.as_mut_ptr().cast()) };
        if path[0] == 0 {
            return Err(ENOENT);
        }
        // SAFETY: `path` ends with NUL, as the parameter does; the strings and the numbers outlive
        // the call, which waits for the process's end. `pid` is written once, with a pointer that
        // carries the reference of the invariant.
        let status = unsafe {
            bindings::dh_agent_run(
                path.as_ptr().cast(),
                verb.as_char_ptr(),
                numbers.as_ptr(),
                numbers.len() as c_uint,
                self.pid.as_ptr(),
            )
        };
        to_result(status.min(0))?;
        Ok(if status & 0x7f == 0 {
            End::Exit((status >> 8) as u8)
        } else {
            End::Killed
        })
    }

    /// Kills it, if it has begun. What it does inside the kernel ends first.
    pub(crate) fn kill(&self) {
        let pid = self.pid.load(ordering::Acquire);
        if !pid.is_null() {
            // SAFETY: By the type invariant we own a reference; a process that is gone is not found.
            unsafe { bindings::dh_process_kill(pid) };
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = self.pid.load(ordering::Acquire);
        if !pid.is_null() {
            // SAFETY: By the type invariant we own the reference.
            unsafe { bindings::dh_process_put(pid) };
        }
    }
}

/// Returns how long one run of the agent may take, in milliseconds.
pub(crate) fn timeout_ms() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::dh_agent_timeout() }.saturating_mul(1000)
}
