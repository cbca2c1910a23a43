// SPDX-License-Identifier: GPL-2.0-only

//! The agent: the program of user space that does what only device-mapper's user interface can.
//!
//! `AGENT release|drop DEVICE LOWER...`, devices as `MAJOR:MINOR`; see
//! `Documentation/device-mapper.rst`. It runs in a worker of its own, so that whoever wants its
//! answer can wait for as long as he likes, and no longer.

use crate::sys::{
    module::sleep_ms,
    process::{
        self,
        End,
        Numbers,
        Process, //
    },
    work, //
};
use kernel::{
    impl_has_work,
    new_mutex,
    new_work,
    prelude::*,
    str::CStr,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// What the agent is to do with a device.
#[derive(Clone, Copy)]
pub(crate) enum Verb {
    /// Write back what the device keeps in the memory, and have it let go.
    Release,
    /// Have it let go at once: the memory is bad.
    Drop,
}

impl Verb {
    const fn word(self) -> &'static CStr {
        match self {
            Self::Release => c"release",
            Self::Drop => c"drop",
        }
    }
}

/// What the agent has answered.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// The device does not use the memory any more.
    Released,
    /// It is not of a kind that keeps memory mapped; nothing was done.
    Harmless,
}

/// The agent's exit status for [`Answer::Harmless`].
const HARMLESS: u8 = 3;

/// One run of the agent.
#[pin_data]
pub(crate) struct Attempt {
    verb: Verb,
    numbers: Numbers,
    begun: Instant<Monotonic>,
    process: Process,
    #[pin]
    answer: Mutex<Option<Result<Answer>>>,
    #[pin]
    work: Work<Attempt>,
}

impl_has_work! {
    impl HasWork<Self> for Attempt { self.work }
}

impl Attempt {
    /// Has the agent run for the devices `numbers`: the one that is to let go, and what it lies on.
    pub(crate) fn start(verb: Verb, numbers: Numbers) -> Result<Arc<Self>> {
        let queue = work::events().ok_or(ENODEV)?;
        let this = Arc::pin_init(
            pin_init!(Self {
                verb,
                numbers,
                begun: Instant::now(),
                process: Process::new(),
                answer <- new_mutex!(None, "dax_holder::Attempt::answer"),
                work <- new_work!("dax_holder::Attempt::work"),
            }),
            GFP_KERNEL,
        )?;
        // A new work item is not queued anywhere.
        let _ = queue.enqueue(this.clone());
        Ok(this)
    }

    /// Returns the answer, if the agent has ended. `ETIMEDOUT`: it was killed. `EREMOTEIO`: it has
    /// failed and says why in the kernel log. Others: it could not be run.
    pub(crate) fn answer(&self) -> Option<Result<Answer>> {
        *self.answer.lock()
    }

    /// Returns whether the agent has had its time.
    pub(crate) fn is_late(&self) -> bool {
        self.begun.elapsed().as_millis() >= i64::from(process::timeout_ms())
    }

    /// Kills the agent. What it does inside the kernel ends first.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Waits for the answer until the agent has had its time, then kills it. Sleeps.
    ///
    /// `ETIMEDOUT`: no answer yet.
    pub(crate) fn wait(&self) -> Result<Answer> {
        const STEP_MS: u32 = 10;

        loop {
            if let Some(answer) = self.answer() {
                return answer;
            }
            if self.is_late() {
                self.kill();
                return Err(ETIMEDOUT);
            }
            sleep_ms(STEP_MS);
        }
    }
}

impl WorkItem for Attempt {
    type Pointer = Arc<Attempt>;

    fn run(this: Arc<Attempt>) {
        let answer = match this.process.run(this.verb.word(), &this.numbers) {
            Ok(End::Exit(0)) => Ok(Answer::Released),
            Ok(End::Exit(HARMLESS)) => Ok(Answer::Harmless),
            Ok(End::Exit(_)) => Err(EREMOTEIO),
            Ok(End::Killed) => Err(ETIMEDOUT),
            Err(e) => Err(e),
        };
        *this.answer.lock() = Some(answer);
    }
}
