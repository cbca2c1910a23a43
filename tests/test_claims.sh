#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guest: --size 2G
# Five XFS on one disk, each of which claims a DAX device for itself: all have DAX, however they are
# mounted, and each is told of its own ranges only. ROUNDS: of mounts that race with each other, and
# with attaching and detaching.
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
need_module
need_test_module slow_bind
plan 15

ALL="1 2 3 4 5"
ROUNDS=${ROUNDS:-${DEBUG:+5}}
ROUNDS=${ROUNDS:-20}

# No DAX is no error of mount(8): the file system says so.
dax_on() {
	local n
	for n; do
		: >"$TMP/$n/.dax" && "$BIN/file" dax "$TMP/$n/.dax" || { echo "no DAX on $n"; return 1; }
	done
}

# together COMMAND N...: at the same time, for each N.
together() {
	local n pids=() bad=0
	for n in "${@:2}"; do
		"$1" "$n" &
		pids+=($!)
	done
	for n in "${pids[@]}"; do wait "$n" || bad=1; done
	((!bad))
}
mount_one() { local p=P$1; mount -o dax=always "${!p}" "$TMP/$1"; }
umount_one() { umount "$TMP/$1"; }
mount_all() { for n in $ALL; do mount_one "$n" || return; done; dax_on $ALL; }
umount_all() { for n in $ALL; do umount_one "$n" || return; done; }

setup() {
	local n p
	partitions 320 320 320 320 320 || return
	for n in $ALL; do
		p=P$n
		mkdir -p "$TMP/$n" && mkx "${!p}" || return
	done
}
files() {
	local n
	mount_all || return
	for n in $ALL; do "$BIN/file" make "$TMP/$n/f" 512 $SEED || return; done
	sync
}
people() {
	local n
	for n; do
		start "people$n" "$BIN/mapper" ${ALIVE:-} "$TMP/$n/f" $SEED shared,read shared,write private,read ||
			return
	done
}
others_than() { local n; for n in $ALL; do ((n == $1)) || echo "$n"; done; }

# strike N: one page of its file.
strike() {
	local start=START$1
	inject "$(("$("$BIN/file" where "$TMP/$1/f" 100)" + ${!start}))+4096" &&
		is holders "$(event holders)" 1 && is result "$(event result)" "${2:-0}"
}
# Its own range takes each down, and nobody else: who is still up goes on, from the first to the last.
own_range() {
	local n m
	for n in $ALL; do
		people "$n" && ALIVE=-a people $(((n % 5) + 1)) $((((n + 1) % 5) + 1)) && strike "$n" &&
			told "people$n" && told "people$(((n % 5) + 1))" && told "people$((((n + 1) % 5) + 1))" &&
			fails "$BIN/file" check "$TMP/$n/f" $SEED || { echo "when $n was struck"; return 1; }
		for m in $(others_than "$n"); do
			"$BIN/file" check "$TMP/$m/f" $SEED || return
		done
		umount_one "$n" && reset && mount_one "$n" && dax_on "$n" && "$BIN/file" check "$TMP/$n/f" $SEED || return
	done
}
# With its own handler each hears of its own page, in whatever order they were mounted.
native() {
	local n p
	echo native >$S/policy
	for n in 3 5 1 4 2; do
		p=P$n
		strike "$n" && is state "$(holder "${!p}" state)" active && is calls "$(holder "${!p}" events)" 1 &&
			: >"$TMP/$n/up" || { echo "when $n was struck"; return 1; }
	done
	echo shutdown >$S/policy
	umount_all && reset
}
parallel() {
	local n
	for ((n = 0; n < ROUNDS; n++)); do
		together mount_one $ALL && dax_on $ALL && together umount_one 4 2 1 5 3 || { echo "round $n"; return 1; }
	done
}
# Five at a time, and the same front serves the next five: nothing is left of the earlier ones.
reused() {
	local before after
	before=$(awk '/^dax_cache /{ print $2 }' /proc/slabinfo)
	parallel && after=$(awk '/^dax_cache /{ print $2 }' /proc/slabinfo) || return
	((after <= before)) || { echo "DAX devices: $before before, $after after"; return 1; }
}
refused_detach() {
	mount_all && is "detach" "$(wr $S/attached 0)" EBUSY && dax_on $ALL && umount_all &&
		is "detach" "$(wr $S/attached 0)" 1 && is "attach" "$(wr $S/attached 1)" 1
}
# A mount waits for the moment in which the disk has no DAX device. Whoever comes first has the disk,
# so that attaching or detaching is refused, but nobody finds no DAX.
swaps() {
	local n pid done=0
	for ((n = 0; n < ROUNDS; n++)); do
		wr $S/attached $((n % 2)) >"$TMP/wr" &
		pid=$!
		((n % 3)) || nap 0.00$((RANDOM % 10))
		mount_one 1 && dax_on 1 || { echo "round $n: $(<"$TMP/wr")"; return 1; }
		wait $pid
		umount_one 1 || return
		[[ $(<"$TMP/wr") != 1 ]] || done=$((done + 1))
	done
	attached || echo 1 >$S/attached
	((done > 0)) || { echo "it was neither attached nor detached in $ROUNDS rounds"; return 1; }
}
# The disk can be mounted before the driver core has told us that it was bound.
at_once() {
	local n
	insmod "$MODULES/slow_bind.ko" "disk=$DEV" || return
	for n in 1 2 3; do
		unbind 60 && start soon "$BIN/mountsoon" "$P1" "$TMP/1" xfs && bind_now && ended soon && attached &&
			dax_on 1 || { echo "round $n: $(<$S/reason)"; return 1; }
		umount_one 1 || return
	done
	rmmod slow_bind
}
removal() {
	local n
	mount_all && people $ALL && unbind 120 || return
	for n in $ALL; do told "people$n" || return; done
	umount_all && bind_now && mount_all || return
	for n in $ALL; do "$BIN/file" check "$TMP/$n/f" $SEED || return; done
	umount_all
}
# in_both: a page of the file and one of the log, in one event.
in_both() {
	inject "$(("$("$BIN/file" where "$TMP/4/f" 100)" + START4))+4096,$((START5 + MIB))+4096" && is holders "$(event holders)" 2
}
# Two claims by one file system. Mounted again they find the fronts in another order.
with_log() {
	local n
	mkfs.xfs -q -f -K -m reflink=0,rmapbt=1 -d agcount=2 -l "logdev=$P5,size=64m" "$P4" && mount_logged &&
		dax_on 4 && "$BIN/file" make "$TMP/4/f" 128 $SEED && sync && echo native >$S/policy || return
	for n in 1 2; do
		strike 4 && is state "$(holder "$P4" state)" active && : >"$TMP/4/up" &&
			umount_one 4 && reset && mount_logged || { echo "mount $n"; return 1; }
	done
	# Its handler knows of the data alone until it is told of the log.
	start people4 "$BIN/mapper" "$TMP/4/f" $SEED shared,write && in_both && fails touch "$TMP/4/x" && told people4 &&
		umount_one 4 && reset && mount_logged || return
	echo shutdown >$S/policy
	start people4 "$BIN/mapper" "$TMP/4/f" $SEED shared,write && unbind 120 && told people4 &&
		logged "$D: event [0-9]+: removal.* 1 holder, result 0" && umount_one 4 &&
		bind_now && mount_logged && umount_one 4
}
mount_logged() { mount -o "dax=always,logdev=$P5" "$P4" "$TMP/4"; }
# What this is all for: a kernel by itself gives DAX to the first one.
without() {
	unload && insmod "$KO" hook_lookups=0 && wait_for 20 attached && logged "no hook before DAX lookups" &&
		mount_one 1 && dax_on 1 && mount_one 2 && fails "$BIN/file" dax "$TMP/2/f" && umount_one 2 && umount_one 1
}
# Others look for DAX devices, and find none, while the hook comes and goes under them.
hook_goes() {
	local n loop
	mkfs.ext4 -q -F "$PLAIN" 16M && mkdir -p "$TMP/plain" || return
	(while [ ! -e "$TMP/enough" ]; do mount "$PLAIN" "$TMP/plain" && umount "$TMP/plain" || exit; done) &
	loop=$!
	for ((n = 0; n < ROUNDS; n++)); do
		unload && load && wait_for 20 attached && ! gone $loop || { echo "round $n"; break; }
	done
	: >"$TMP/enough"
	wait $loop && ((n == ROUNDS))
}
with_again() { unload && load && wait_for 20 attached && mount_one 1 && mount_one 2 && dax_on 1 2 && umount_one 2 && umount_one 1; }

must "five XFS on one disk" setup
must "all five are mounted with DAX" files
t "each is taken down by its own range only" own_range
t "policy native: each hears of its own page" native
t "$ROUNDS times mounted at the same time, all with DAX" parallel
t "$ROUNDS times more: DAX devices are used again" reused
t "detaching is refused while they are mounted, and not afterwards" refused_detach
t "$ROUNDS mounts while the disk is attached or detached: each has DAX" swaps
t "mounted before anybody was told of the disk: attached, and with DAX" at_once
t "the disk is removed under all five, mapped" removal
t "an XFS with its log on the same disk" with_log
t "without the hook the second one has no DAX" without
t "and with it again" with_again
t "$ROUNDS times unloaded and loaded while others mount" hook_goes
t "nothing is left: detached" eval "echo 0 >$S/attached && echo 1 >$S/attached"
finish
