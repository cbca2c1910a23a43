// SPDX-License-Identifier: GPL-2.0-only

//! Device-mapper devices that may have mapped the memory for themselves: dm-writecache.
//!
//! No gate can take such a mapping away. The agent replaces the device's table; until it has, the
//! memory must stay, and no new I/O may come.

use super::{
    agent::{
        Answer,
        Attempt,
        Verb, //
    },
    Holder,
    Left, //
};
use crate::{
    event::{
        Kind,
        Told, //
    },
    registry::Report,
    stack::Layer,
    sys::{
        block::{
            Disk,
            Name, //
        },
        process::Numbers,
        stacking::Stacking, //
    }, //
};
use kernel::{
    fmt,
    prelude::*,
    sync::Arc,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// A stacked disk that may have the memory mapped.
pub(crate) struct Mapper<'a>(pub(crate) &'a Layer);

impl Holder for Mapper<'_> {
    fn name(&self) -> Name {
        self.0.lower_name()
    }

    fn kind(&self) -> Name {
        *self.0.disk.name()
    }

    fn notify_failure(self, told: &Told) -> (Report, Option<Left>) {
        let mut unreleased = match Unreleased::new(self.0, told.kind) {
            Ok(unreleased) => unreleased,
            Err(e) => {
                stop(&self.0.disk);
                return (Report::of(Err(e)), Some(Left::Unlisted));
            }
        };
        match unreleased.try_now() {
            Ok(()) => (Report::of(Ok(())), None),
            Err(e) => {
                unreleased.brake(e);
                (Report::of(Err(e)), Some(Left::Mapping(unreleased)))
            }
        }
    }
}

/// The emergency without memory: nobody can be made to let go of `disk`, and nobody is listed.
pub(crate) fn stop(disk: &Disk) {
    pr_warn!(
        "{}: no memory: its I/O ends here, the memory stays\n",
        disk.name().as_str()
    );
    disk.mark_dead();
}

/// A stacked disk that has not let go of the memory yet. The worker has the agent try again.
pub(crate) struct Unreleased {
    pub(crate) upper: Disk,
    /// What it holds.
    pub(crate) name: Name,
    stackings: KVec<Stacking>,
    verb: Verb,
    numbers: Numbers,
    attempt: Option<Arc<Attempt>>,
    tries: u32,
    last: Instant<Monotonic>,
    why: Error,
}

impl Unreleased {
    /// The longest time between two tries, in milliseconds.
    const LONGEST_MS: i64 = 60_000;

    fn new(layer: &Layer, kind: Kind) -> Result<Self> {
        let mut stackings = KVec::new();
        for stacking in layer.stackings() {
            stackings.push(stacking, GFP_KERNEL)?;
        }
        Ok(Self {
            upper: layer.disk.get(),
            name: layer.lower_name(),
            stackings,
            verb: match kind {
                Kind::Removal => Verb::Release,
                Kind::Failure | Kind::Surprise => Verb::Drop,
            },
            numbers: Numbers::new(layer.numbers()),
            attempt: None,
            tries: 0,
            last: Instant::now(),
            why: EAGAIN,
        })
    }

    fn gone(&self) -> bool {
        !self.stackings.iter().any(Stacking::holds)
    }

    fn start(&mut self) -> Result {
        if !self.upper.is_device_mapper() {
            return Err(EOPNOTSUPP);
        }
        self.tries += 1;
        self.last = Instant::now();
        self.attempt = Some(Attempt::start(self.verb, self.numbers)?);
        Ok(())
    }

    /// Takes the agent at its word only for what cannot be seen from here.
    fn judge(&self, answer: Result<Answer>) -> Result {
        match answer? {
            // But not if he has not heard of all.
            Answer::Harmless if !self.numbers.are_cut() => Ok(()),
            Answer::Released if self.gone() => Ok(()),
            Answer::Harmless | Answer::Released => Err(EBUSY),
        }
    }

    /// Has the agent try, and waits for it, for as long as it may take. Sleeps.
    fn try_now(&mut self) -> Result {
        self.start()?;
        let answer = self.attempt.as_ref().ok_or(EAGAIN)?.wait();
        self.judge(answer)
    }

    /// The emergency: ends the I/O that comes from above. What the device does of its own accord
    /// goes on, on memory that stays.
    fn brake(&mut self, why: Error) {
        self.why = why;
        pr_warn!("{}: its I/O ends here, the memory stays\n", &*self);
        self.upper.mark_dead();
    }

    /// Looks whether it has let go, and if not, has the agent try again now and then. Does not wait.
    ///
    /// Returns whether it has let go.
    pub(crate) fn retry(&mut self) -> bool {
        if self.gone() {
            return true;
        }
        if let Some(attempt) = &self.attempt {
            match attempt.answer() {
                // Killed every time it is asked for: the process may not have begun before.
                None if attempt.is_late() => attempt.kill(),
                None => {}
                Some(answer) => {
                    let judged = self.judge(answer);
                    self.attempt = None;
                    match judged {
                        Ok(()) => return true,
                        Err(e) => self.why = e,
                    }
                }
            }
            return false;
        }
        let pause = (500i64 << self.tries.min(7)).min(Self::LONGEST_MS);
        if self.last.elapsed().as_millis() >= pause {
            if let Err(e) = self.start() {
                self.last = Instant::now();
                self.why = e;
            }
        }
        false
    }
}

impl Drop for Unreleased {
    fn drop(&mut self) {
        if let Some(attempt) = &self.attempt {
            attempt.kill();
        }
    }
}

/// Says who has not let go, and why.
impl fmt::Display for Unreleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = if self.tries == 1 { "try" } else { "tries" };
        f.write_fmt(fmt!(
            "{} on {}: not let go after {} {} of the agent: {} (error {})",
            self.upper.name().as_str(),
            self.name.as_str(),
            self.tries,
            tries,
            match self.why {
                e if e == ENOENT => "there is no agent, or not where the parameter says",
                e if e == EACCES => "the agent is not executable",
                e if e == ETIMEDOUT => "the agent takes too long",
                e if e == EREMOTEIO => "the agent failed, see its own words",
                e if e == EBUSY => "the agent says it has, but it has not",
                e if e == EOPNOTSUPP => "it is not of device-mapper, nothing makes it",
                _ => "the agent could not be run",
            },
            self.why.to_errno()
        ))
    }
}
