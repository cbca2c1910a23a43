// SPDX-License-Identifier: GPL-2.0-only

//! One event, to every holder that it touches, once: first the registered ones of high priority, then
//! those on what is stacked on the disk, then those on the disk itself, then the other registered
//! ones.
//!
//! At a removal from the top down, for whoever is above still writes through those below him; after
//! a failure from the bottom up, for nothing more is to go through.
//!
//! No memory is needed to tell a holder on the disk: the block devices are walked, not listed.

use crate::{
    clients::{
        Band,
        Clients,
        Totals, //
    },
    event::{
        Event,
        Kind,
        Told, //
    },
    fronts::Fronts,
    gate::Gate,
    holders::{
        device_mapper::{
            self,
            Mapper, //
        },
        filesystem::{
            Access,
            Filesystem, //
        },
        native,
        stranger::Stranger,
        Holder,
        Left,
        Stuck,
        Unreleased, //
    },
    place::Place,
    range::{
        Range,
        RangeSet, //
    },
    registry::{
        HolderState,
        Listed,
        Registry,
        Report,
        Row, //
    },
    stack::{
        self,
        Layer,
        Stack, //
    },
    sys::{
        block::{
            BlockDevice,
            Disk,
            Name, //
        },
        dax::{
            DaxDevice,
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
    pub(crate) fronts: &'a Fronts,
    pub(crate) grace: &'a GracePeriod,
    pub(crate) policy: Policy,
    pub(crate) registry: &'a Mutex<Registry>,
    /// Who has registered.
    pub(crate) clients: &'a Clients,
    /// What is stacked on the disk; `None`: there was no memory to look, and the event is all of it.
    pub(crate) stack: Option<&'a Stack>,
    /// Stacked disks that are being waited for already.
    pub(crate) unreleased: &'a Mutex<KVec<Unreleased>>,
}

/// What is left behind of an event.
pub(crate) struct Outcome {
    /// How many holders were called.
    pub(crate) holders: u32,
    /// 0, or the first negative errno that a holder was left with.
    pub(crate) result: i32,
    /// File systems with pinned pages.
    pub(crate) stuck: KVec<Stuck>,
    /// The same, of which there was no memory to list them.
    pub(crate) unkept: [Option<Stuck>; 4],
    /// Stacked disks that may still have the memory mapped.
    pub(crate) unreleased: KVec<Unreleased>,
    /// Who else did not let go.
    pub(crate) strangers: KVec<BlockDevice>,
    /// There was no memory to list somebody.
    pub(crate) unlisted: bool,
    /// Windows of mounts and unmounts that did not end in time: to be told later.
    pub(crate) unsettled: Unsettled,
    /// Their block devices, as far as there was memory to list them.
    pub(crate) late: KVec<BlockDevice>,
}

impl Outcome {
    const fn new() -> Self {
        Self {
            holders: 0,
            result: 0,
            stuck: KVec::new(),
            unkept: [const { None }; 4],
            unreleased: KVec::new(),
            strangers: KVec::new(),
            unlisted: false,
            unsettled: [None; 8],
            late: KVec::new(),
        }
    }

    /// Notes who is to be waited for.
    fn keep(&mut self, left: Option<Left>) {
        let kept = match left {
            None => Ok(()),
            Some(Left::Pins(stuck)) => {
                if let Err(stuck) = push(&mut self.stuck, stuck) {
                    // To drop it waits for the pins: first all others are told.
                    if let Some(slot) = self.unkept.iter_mut().find(|slot| slot.is_none()) {
                        *slot = Some(stuck);
                    }
                }
                Ok(())
            }
            Some(Left::Mapping(unreleased)) => self.unreleased.push(unreleased, GFP_KERNEL),
            Some(Left::Claim(device)) => self.strangers.push(device, GFP_KERNEL),
            Some(Left::Unlisted) => {
                self.unlisted = true;
                Ok(())
            }
        };
        self.unlisted |= kept.is_err();
    }

    /// Notes that `place` could not be told yet.
    fn put_off(&mut self, place: &Place<'_>) {
        let window = place.window;
        match self.unsettled.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(window),
            // What lies between is told as well: better than not to tell this one.
            None => self.unsettled[0] = self.unsettled[0].map(|first| first.hull(window)),
        }
        let _ = self.late.push(place.device.get(), GFP_KERNEL);
    }
}

/// Adds `item` to `list`; gives it back if there is no memory.
fn push<T>(list: &mut KVec<T>, item: T) -> Result<(), T> {
    if list.reserve(1, GFP_KERNEL).is_err() {
        return Err(item);
    }
    // There is room now.
    let _ = list.push_within_capacity(item);
    Ok(())
}

/// A few windows, without allocation.
pub(crate) type Unsettled = [Option<Range>; 8];

/// What a holder was told, and what came of it.
struct Answer {
    report: Report,
    state: HolderState,
    left: Option<Left>,
}

/// How long an unfinished mount or unmount is waited for.
const UNSETTLED_MS: u32 = 5000;
const UNSETTLED_STEP_MS: u32 = 20;

/// Looks for a file system on `device`. Mounts and unmounts end by themselves: waits for them,
/// within reason.
fn settle(device: &BlockDevice) -> Result<Option<ActiveSuper>> {
    let mut waited = 0;
    loop {
        match device.super_block() {
            Err(e) if e == EAGAIN && waited < UNSETTLED_MS => {
                sleep_ms(UNSETTLED_STEP_MS);
                waited += UNSETTLED_STEP_MS;
            }
            found => return found,
        }
    }
}

/// Runs `event`: tells every holder that it touches, each once.
///
/// The gate refuses the event's ranges already, and a grace period has passed. Sleeps; the caller
/// serialises events of a disk.
pub(crate) fn run(site: &Site<'_>, event: &Event) -> Outcome {
    let mut telling = Telling {
        site,
        event,
        outcome: Outcome::new(),
        absorbed: RangeSet::new(),
        stopped: false,
        supers: [const { None }; 16],
    };
    site.clients.mark(event);
    telling.absorbed = telling.registered(Band::Before);
    if let Some(stack) = site.stack {
        if event.kind == Kind::Removal {
            stack.top_down().for_each(|layer| telling.layer(layer));
        } else {
            stack.bottom_up().for_each(|layer| telling.layer(layer));
        }
    } else {
        let top_down = event.kind == Kind::Removal;
        stack::each_above(site.disk, top_down, |upper| telling.unknown_layer(upper));
    }
    for device in site.disk.block_devices() {
        telling.device(device);
    }
    telling.registered(Band::After);
    telling.outcome
}

/// An event on its way to the holders.
struct Telling<'a> {
    site: &'a Site<'a>,
    event: &'a Event,
    outcome: Outcome,
    /// What registered holders have seen to, in bytes of the disk.
    absorbed: RangeSet,
    /// A layer that may have mapped the memory was stopped, and is not remembered.
    stopped: bool,
    /// Who was told, and is not to be told on another device. Held to the end, so that no other super block
    /// takes the address of one.
    supers: [Option<ActiveSuper>; 16],
}

impl Telling<'_> {
    /// Tells the registered holders of `band`. Returns what they have seen to.
    fn registered(&mut self, band: Band) -> RangeSet {
        let Totals {
            holders,
            result,
            absorbed,
        } = self.site.clients.tell(self.event, band);
        self.count(holders, result);
        absorbed
    }

    /// Counts `holders` more, the first of which that did not answer 0 has answered `result`.
    fn count(&mut self, holders: u32, result: i32) {
        self.outcome.holders += holders;
        if self.outcome.result == 0 {
            self.outcome.result = result;
        }
    }

    /// Returns whether registered holders have seen to all that the event is to `place`.
    fn is_absorbed(&self, place: &Place<'_>) -> bool {
        let mut touched = self.event.ranges.within(place.window);
        !self.absorbed.is_empty() && touched.all(|range| self.absorbed.contains(range))
    }

    /// Who is on a layer, and the layer itself.
    fn layer(&mut self, layer: &Layer) {
        if layer.touched().is_empty() {
            return;
        }
        if layer.maps && self.event.kind != Kind::Removal {
            self.mapper(layer);
        }
        let access = match (layer.dax, layer.is_stacked()) {
            (true, _) => Access::Direct,
            (false, true) => Access::Cached,
            (false, false) => Access::CutOff,
        };
        for device in layer.disk.block_devices() {
            let place = Place::on(device, layer);
            let Some(place) = place.filter(|place| place.is_touched(self.event)) else {
                continue;
            };
            // Whoever lies on a layer and is none yet: a table that is just being loaded, say.
            if !self.file_system(&place, access) && layer.dax && !self.is_below(&place) {
                self.stranger(&place);
            }
        }
        if layer.maps && self.event.kind == Kind::Removal {
            self.mapper(layer);
        }
    }

    /// Who is on a layer, and the layer itself, if there is no memory to look what it is made of. Then
    /// the event is all of the disk.
    fn unknown_layer(&mut self, upper: &Disk) {
        let removal = self.event.kind == Kind::Removal;
        let dax = DaxDevice::of_disk(upper).is_some();
        if !dax && !removal {
            self.stop(upper);
        }
        let access = match (dax, removal) {
            (true, _) => Access::Direct,
            (false, true) => Access::Cached,
            (false, false) => Access::CutOff,
        };
        for device in upper.block_devices().filter(BlockDevice::claimed) {
            let place = Place::somewhere_on(device, self.site.disk);
            if !self.file_system(&place, access) && dax && !stack::is_below(upper, &place.device) {
                self.stranger(&place);
            }
        }
        if !dax && removal {
            self.stop(upper);
        }
    }

    /// A layer that may have mapped the memory, and cannot be made to let go. A removal waits until
    /// nobody has claimed the disk.
    fn stop(&mut self, upper: &Disk) {
        device_mapper::stop(upper);
        self.stopped = true;
        let answer = Answer {
            report: Report::of(Err(ENOMEM)),
            state: HolderState::Stuck,
            left: Some(Left::Unlisted),
        };
        let window = Range::whole(self.site.disk.bytes());
        self.book(
            Row::fresh(*upper.name(), Name::new("stopped"), window),
            answer,
            0,
        );
    }

    /// Who is on a block device of the disk.
    fn device(&mut self, device: BlockDevice) {
        let Some(place) = Place::of(device) else {
            return;
        };
        if !place.is_touched(self.event)
            || !place.device.claimed()
            || self.file_system(&place, Access::Direct)
        {
            return;
        }
        // A user of the memory has a front. A program that has merely opened the disk for itself, as
        // ndctl does to unbind it, must not be waited for: it waits for us.
        if !self.is_below(&place) && self.site.fronts.in_use() {
            self.stranger(&place);
        }
    }

    /// Returns whether a layer lies on `place`, which is told for itself.
    fn is_below(&self, place: &Place<'_>) -> bool {
        match self.site.stack {
            Some(stack) => stack.on(&place.device.name()).is_some(),
            // Who waits for a layer that is not remembered is told under which device it is.
            None if self.stopped && self.event.kind != Kind::Failure => false,
            None => stack::is_below(self.site.disk, &place.device),
        }
    }

    /// Whoever has claimed `place`, and is neither a file system nor a layer.
    fn stranger(&mut self, place: &Place<'_>) {
        if place.device.claimed() {
            self.tell(Stranger(place.device.get()), place, 0, Self::generic);
        }
    }

    /// The file system on `place`. Returns whether there is one.
    fn file_system(&mut self, place: &Place<'_>, access: Access) -> bool {
        let sb = match settle(&place.device) {
            // Or unmounted meanwhile.
            Ok(None) => return false,
            Ok(Some(sb)) => sb,
            Err(e) => {
                self.unsettled(place, e);
                return true;
            }
        };
        if self.is_absorbed(place) {
            return true;
        }
        if self.is_down(&sb, place) {
            // Should another mount have got the same address: one that is down ignores this.
            let _ = sb.shutdown();
            return true;
        }
        // One file system on two partitions, its log on the second say: told once.
        let same = |told: &ActiveSuper| told.identity() == sb.identity();
        if self.supers.iter().flatten().any(same) {
            place.refuse(self.site.gate);
            return true;
        }
        let identity = sb.identity();
        let told = sb.get();
        let filesystem = Filesystem::new(place.device.get(), sb, access);
        let state = self.tell(filesystem, place, identity, Self::native);
        // One that goes on knows of this device only.
        if state != HolderState::Active {
            if let Some(slot) = self.supers.iter_mut().find(|slot| slot.is_none()) {
                *slot = Some(told);
            }
        }
        true
    }

    /// Returns whether a failure is no news to the file system on `place`: it is down, and swept
    /// but for pinned pages that the worker waits for.
    ///
    /// A removal is always news: there may be another file system there by now, mounted through
    /// the closed gate, with data to be saved. So is a failure to such another one.
    fn is_down(&self, sb: &ActiveSuper, place: &Place<'_>) -> bool {
        if self.event.kind != Kind::Failure {
            return false;
        }
        let name = place.device.name();
        let registry = self.site.registry.lock();
        let mut rows = registry.rows().iter();
        let row = rows.find(|row| row.is(&name) && row.super_block == sb.identity());
        row.is_some_and(|row| match row.state {
            HolderState::Down => place.is_quiet(self.site.gate),
            HolderState::Stuck => row.pins > 0,
            HolderState::Active => false,
        })
    }

    /// A stacked disk that may have mapped the memory; once it has let go, it is not stacked there
    /// any more.
    fn mapper(&mut self, layer: &Layer) {
        let waiting = |unreleased: &Unreleased| unreleased.upper.is(&layer.disk);
        if self.site.unreleased.lock().iter().any(waiting) {
            return;
        }
        let device = layer.disk.block_devices().next();
        if let Some(place) = device.and_then(|device| Place::on(device, layer)) {
            self.tell(Mapper(layer), &place, 0, Self::release);
        }
    }

    /// A mount or an unmount that does not end: it finds the gate closed, and is told when it has.
    fn unsettled(&mut self, place: &Place<'_>, why: Error) {
        place.refuse(self.site.gate);
        self.outcome.put_off(place);
        let answer = Answer {
            report: Report::of(Err(why)),
            state: HolderState::Stuck,
            left: None,
        };
        let row = Row::fresh(place.device.name(), Name::new("unsettled"), place.window);
        self.book(row, answer, 0);
    }

    /// Tells one holder by `how`, and writes down what it has answered. Returns its state.
    fn tell<H: Holder>(
        &mut self,
        holder: H,
        place: &Place<'_>,
        super_block: usize,
        how: impl FnOnce(&Self, H, &Place<'_>, Option<&RangeSet>) -> Answer,
    ) -> HolderState {
        let disk = self.site.disk.name().as_c_str();
        let mut row = Row::fresh(holder.name(), holder.kind(), place.window);
        trace::holder_begin(disk, self.event.seq, row.name.as_c_str());
        let begun = Instant::<Monotonic>::now();
        let touched = place.touched(self.event).ok();
        let answer = how(self, holder, place, touched.as_ref());
        let ns = begun.elapsed().as_nanos() as u64;
        let state = answer.state;
        row.super_block = super_block;
        row.ranges = touched.as_ref().map_or(Listed::default(), Listed::new);
        self.book(row, answer, ns);
        state
    }

    /// Tells a file system by its own handler, if the policy says so and it has one.
    fn native(
        &self,
        filesystem: Filesystem,
        place: &Place<'_>,
        touched: Option<&RangeSet>,
    ) -> Answer {
        let mut native = Ok(());
        if let (Policy::Native, Kind::Failure, Some(touched)) =
            (self.site.policy, self.event.kind, touched)
        {
            let answer = match place.layer {
                None => {
                    let base = place.window.start();
                    let front = self.site.fronts.of(filesystem.sb(), base);
                    front.and_then(|front| {
                        native::notify(front.device(), base, &filesystem, touched)
                    })
                }
                Some(layer) => DaxDevice::of_disk(&layer.disk).and_then(|device| {
                    let base = place.device.window()?.start();
                    native::notify(&device, base, &filesystem, touched)
                }),
            };
            match answer {
                Some(Ok(())) => {
                    return Answer {
                        report: Report::of(Ok(())),
                        state: HolderState::Active,
                        left: None,
                    }
                }
                // It cannot, or there is no handler: that is no answer to keep.
                None => {}
                Some(Err(e)) if e == EOPNOTSUPP => {}
                Some(Err(e)) => native = Err(e),
            }
        }
        let mut answer = self.generic(filesystem, place, touched);
        answer.report.result = native.and(answer.report.result);
        answer
    }

    /// Makes a stacked disk let go of the memory.
    fn release(&self, mapper: Mapper<'_>, place: &Place<'_>, touched: Option<&RangeSet>) -> Answer {
        let answer = self.generic(mapper, place, touched);
        if answer.state == HolderState::Down {
            place.hush(self.site.gate);
        }
        answer
    }

    /// Makes a holder let go of all it holds.
    fn generic<H: Holder>(
        &self,
        holder: H,
        place: &Place<'_>,
        touched: Option<&RangeSet>,
    ) -> Answer {
        let site = self.site;
        // At a removal everything on this disk is refused, and was waited for, already.
        if self.event.kind == Kind::Failure || place.is_elsewhere() {
            place.refuse(site.gate);
            trace::gate_closed(
                site.disk.name().as_c_str(),
                self.event.seq,
                place.window.len(),
            );
            // Without the wait, an access that passed the gate before could come after the sweep.
            site.grace.wait();
        }
        // Without memory to say what concerns him: all he holds.
        let hull = touched.and_then(RangeSet::hull);
        let hull = hull.unwrap_or(Range::whole(place.window.len()));
        let (report, mut left) = holder.notify_failure(&Told::new(self.event, hull));
        if let Some(Left::Pins(stuck)) = &mut left {
            stuck.quiet = place.is_direct().then_some(place.window);
        }
        let state = if left.is_some() || report.result.is_err() {
            HolderState::Stuck
        } else {
            if place.is_dax() {
                place.hush(site.gate);
            }
            HolderState::Down
        };
        Answer {
            report,
            state,
            left,
        }
    }

    /// Writes down what a holder has answered after `ns` nanoseconds.
    fn book(&mut self, mut row: Row, answer: Answer, ns: u64) {
        let report = answer.report;
        row.state = answer.state;
        row.result = report.result.map_or_else(Error::to_errno, |()| 0);
        row.usec = ns / 1000;
        row.inodes = report.inodes;
        row.pages = report.pages;
        row.pins = report.pins;
        let disk = self.site.disk.name().as_c_str();
        trace::holder_end(disk, self.event.seq, row.name.as_c_str(), row.result, ns);
        self.count(1, row.result);
        self.outcome.keep(answer.left);
        self.site.registry.lock().told(row);
    }
}
