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
        native,
        Found,
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
    sync::Mutex,
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

/// Where an event happens.
pub(crate) struct Site<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) gate: &'a Gate,
    pub(crate) front: &'a Front<Gate>,
    pub(crate) grace: &'a GracePeriod,
    pub(crate) policy: Policy,
    pub(crate) registry: &'a Mutex<Registry>,
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
}

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
    if let (Found::Filesystem(filesystem), Policy::Native, Kind::Failure) =
        (found, site.policy, event.kind)
    {
        if let Some(Ok(())) = native::notify(site.front, filesystem, &event.ranges) {
            return (Report::of(Ok(())), HolderState::Active);
        }
    }
    if !site.gate.is_closed() {
        // On ENOMEM the whole gate closes, which is no worse for this holder.
        let _ = site.gate.take_down(window);
        trace::gate_closed(site.disk.name().as_c_str(), event.seq, window.len());
        // Without the wait, an access that passed the gate before could come after the sweep.
        site.grace.wait();
    }
    let report = found.holder().let_go(event, stuck);
    let state = if report.pins > 0 || report.result.is_err() {
        HolderState::Stuck
    } else {
        let _ = site.gate.mark_quiet(window);
        HolderState::Down
    };
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
    };
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
            // A mount that does not end: it finds the gate closed.
            Err(e) => {
                let _ = site.gate.take_down(window);
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
                }
                if site.gate.is_quiet(window) {
                    // Down and swept by an earlier event: nothing to do, nobody to tell.
                    continue;
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
