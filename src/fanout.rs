// SPDX-License-Identifier: GPL-2.0-only

//! One event, to every holder whose window it touches, once.
//!
//! No memory is needed to tell a holder: the block devices are walked, not listed.

use crate::{
    event::{
        Event,
        Kind, //
    },
    gate::Gate,
    holders::{
        filesystem::Filesystem,
        native,
        Found,
        Holder,
        Stuck, //
    },
    range::Range,
    registry::{
        HolderState,
        Listed,
        Registry,
        Report, //
    },
    sys::{
        block::{
            BlockDevice,
            Disk,
            Name, //
        },
        dax::{
            Front,
            GracePeriod, //
        },
        module::sleep_ms,
        super_block::ActiveSuper,
        trace, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        Mutex, //
    },
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// What a failure does to a file system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The whole holder goes down and is swept.
    Shutdown,
    /// A file system with a handler of its own gets the ranges; the rest as `Shutdown`.
    Native,
}

/// A policy that may be changed at any time.
pub(crate) struct PolicyCell(Atomic<u32>);

impl PolicyCell {
    /// Starts with `policy`.
    pub(crate) fn new(policy: Policy) -> Self {
        Self(Atomic::new(policy as u32))
    }

    /// Returns the policy of this moment.
    pub(crate) fn get(&self) -> Policy {
        if self.0.load(ordering::Relaxed) == Policy::Native as u32 {
            Policy::Native
        } else {
            Policy::Shutdown
        }
    }

    /// Sets the policy of later events.
    pub(crate) fn set(&self, policy: Policy) {
        self.0.store(policy as u32, ordering::Relaxed);
    }
}

/// Where an event happens.
pub(crate) struct Site<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) gate: &'a Gate,
    pub(crate) front: &'a Front<Gate>,
    pub(crate) grace: &'a GracePeriod,
    pub(crate) policy: Policy,
    pub(crate) registry: &'a Mutex<Registry>,
}

impl Site<'_> {
    /// Returns whether a failure is no news to the file system on `window`: it is down, and swept
    /// but for pinned pages that the worker waits for.
    ///
    /// A removal is always news: there may be another file system on the window by now, mounted
    /// through the closed gate, with data to be saved. So is a failure to such another one.
    fn is_down(&self, filesystem: &Filesystem, window: Range, event: &Event) -> bool {
        if event.kind != Kind::Failure {
            return false;
        }
        let name = filesystem.name();
        let registry = self.registry.lock();
        let Some(row) = registry.rows().iter().find(|row| row.is(&name, window)) else {
            return false;
        };
        let down = match row.state {
            HolderState::Down => self.gate.is_quiet(window),
            HolderState::Stuck => row.pins > 0,
            HolderState::Active => false,
        };
        down && row.super_block == filesystem.sb().identity() && {
            // Should another mount have got the same address: one that is down ignores this.
            let _ = filesystem.sb().shutdown();
            true
        }
    }
}

/// What is left behind of an event.
pub(crate) struct Outcome {
    /// How many holders were called.
    pub(crate) holders: u32,
    /// 0, or the first negative errno that a holder was left with.
    pub(crate) result: i32,
    /// File systems with pinned pages.
    pub(crate) stuck: KVec<Stuck>,
    /// Who did not let go and is no file system.
    pub(crate) strangers: KVec<BlockDevice>,
    /// There was no memory to list a stranger.
    pub(crate) unlisted: bool,
    /// The file system that has claimed the front's holder slot, pinned.
    pub(crate) front_holder: Option<ActiveSuper>,
    /// Windows of mounts and unmounts that did not end in time: to be told later.
    pub(crate) unsettled: Unsettled,
    /// Their block devices, as far as there was memory to list them.
    pub(crate) late: KVec<BlockDevice>,
}

/// A few windows, without allocation.
pub(crate) type Unsettled = [Option<Range>; 8];

/// How long an unfinished mount or unmount is waited for.
const UNSETTLED_MS: u32 = 5000;
const UNSETTLED_STEP_MS: u32 = 20;

/// Looks who is on `device`. Mounts and unmounts end by themselves: wait for them, within reason.
fn settle(device: &BlockDevice, window: Range) -> Result<Option<Found>> {
    let mut waited = 0;
    loop {
        match Found::on(device.get(), window) {
            Err(e) if e == EAGAIN && waited < UNSETTLED_MS => {
                sleep_ms(UNSETTLED_STEP_MS);
                waited += UNSETTLED_STEP_MS;
            }
            found => return found,
        }
    }
}

/// Tells one holder, by its own handler if the policy says so and it has one.
fn tell(
    site: &Site<'_>,
    event: &Event,
    found: &Found,
    window: Range,
    stuck: &mut Stuck,
) -> (Report, HolderState) {
    let mut native = Ok(());
    if let (Found::Filesystem(filesystem), Policy::Native, Kind::Failure) =
        (found, site.policy, event.kind)
    {
        match native::notify(site.front, filesystem, &event.ranges) {
            Some(Ok(())) => return (Report::of(Ok(())), HolderState::Active),
            // It cannot, or there is no handler: that is no answer to keep.
            None => {}
            Some(Err(e)) if e == EOPNOTSUPP => {}
            Some(Err(e)) => native = Err(e),
        }
    }
    // At a removal everything is refused, and was waited for, already.
    if event.kind == Kind::Failure {
        // On ENOMEM the whole gate closes, which is no worse for this holder.
        let _ = site.gate.take_down(window);
        trace::gate_closed(site.disk.name().as_c_str(), event.seq, window.len());
        // Without the wait, an access that passed the gate before could come after the sweep.
        site.grace.wait();
    }
    let mut report = found.holder().let_go(event, stuck);
    let state = if report.pins > 0 || report.result.is_err() {
        HolderState::Stuck
    } else {
        // Without memory the next failure is told again.
        let _ = site.gate.mark_quiet(window);
        HolderState::Down
    };
    report.result = native.and(report.result);
    (report, state)
}

/// Runs `event`: tells every holder whose window one of its ranges touches, each once.
///
/// The gate refuses the event's ranges already, and a grace period has passed. Sleeps; the caller
/// serialises events of a disk.
pub(crate) fn run(site: &Site<'_>, event: &Event) -> Outcome {
    let disk = site.disk.name().as_c_str();
    let mut outcome = Outcome {
        holders: 0,
        result: 0,
        stuck: KVec::new(),
        strangers: KVec::new(),
        unlisted: false,
        front_holder: None,
        unsettled: [None; 8],
        late: KVec::new(),
    };
    // Held to the end, so that no other super block takes the address of one that was told.
    let mut told_supers = [const { None::<ActiveSuper> }; 16];
    for device in site.disk.block_devices() {
        let Some(window) = device.window() else {
            continue;
        };
        if !event.ranges.overlaps(window) || !device.claimed() {
            continue;
        }
        let name = device.name();
        let begun = Instant::<Monotonic>::now();
        let mut stuck = Stuck::new(name, window);
        let mut told = Listed::default();
        let found = settle(&device, window);
        let (kind, report, state) = match &found {
            // Unmounted meanwhile.
            Ok(None) => continue,
            // A mount that does not end: it finds the gate closed, and is told when it has.
            Err(e) => {
                let _ = site.gate.take_down(window);
                if let Some(slot) = outcome.unsettled.iter_mut().find(|slot| slot.is_none()) {
                    *slot = Some(window);
                }
                let _ = outcome.late.push(device.get(), GFP_KERNEL);
                (
                    Name::new("unsettled"),
                    Report::of(Err(*e)),
                    HolderState::Stuck,
                )
            }
            Ok(Some(found)) => {
                if let Found::Filesystem(filesystem) = found {
                    if filesystem.sb().has_private(site.front.holder()) {
                        outcome.front_holder = Some(filesystem.sb().get());
                    }
                    if site.is_down(filesystem, window, event) {
                        continue;
                    }
                    // One file system on two partitions, its log on the second say: told once.
                    let same = |told: &ActiveSuper| told.identity() == filesystem.sb().identity();
                    if told_supers.iter().flatten().any(same) {
                        let _ = site.gate.take_down(window);
                        continue;
                    }
                    if let Some(slot) = told_supers.iter_mut().find(|slot| slot.is_none()) {
                        *slot = Some(filesystem.sb().get());
                    }
                }
                trace::holder_begin(disk, event.seq, name.as_c_str());
                if let Ok(own) = event.ranges.translate(window) {
                    told = Listed::new(&own);
                }
                let (report, state) = tell(site, event, found, window, &mut stuck);
                (found.holder().kind(), report, state)
            }
        };
        let ns = begun.elapsed().as_nanos() as u64;
        let result = report.result.map_or_else(Error::to_errno, |()| 0);
        trace::holder_end(disk, event.seq, name.as_c_str(), result, ns);
        outcome.holders += 1;
        if outcome.result == 0 {
            outcome.result = result;
        }
        if let Some(row) = site.registry.lock().row(name, kind, window) {
            row.state = state;
            row.result = result;
            row.usec = ns / 1000;
            row.inodes = report.inodes;
            row.pages = report.pages;
            row.pins = report.pins;
            row.events += 1;
            row.ranges = told;
            if let Ok(Some(Found::Filesystem(filesystem))) = &found {
                row.super_block = filesystem.sb().identity();
            }
        }
        match found {
            Ok(Some(Found::Filesystem(filesystem))) => {
                if let Some(stuck) = filesystem.into_stuck(stuck) {
                    // Without memory the pins are waited for here.
                    let _ = outcome.stuck.push(stuck, GFP_KERNEL);
                }
            }
            Ok(Some(Found::Stranger(stranger))) => {
                let listed = outcome.strangers.push(stranger.into_device(), GFP_KERNEL);
                outcome.unlisted |= listed.is_err();
            }
            _ => {}
        }
    }
    outcome
}
