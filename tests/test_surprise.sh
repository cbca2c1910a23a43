#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guest: --nvdimms 2
# A removal that nobody announced: the confirmation comes without a soft phase. A stock kernel announces
# every unbind, so tests/modules/surprise.c says what kill_dax() would say, and the unbind follows.
. "$(dirname "$0")/lib.sh"
. "$HERE/holders.sh"
need_module
need_test_module surprise
plan 11

SURPRISE=/sys/module/surprise/parameters/fire

setup() {
	partitions 320 320 16 && mkx "$P1" && mke "$P2" || return
	echo 0 >$S/attached && insmod "$MODULES/surprise.ko" "disk=$DEV" && echo 1 >$S/attached && both
}
both() { mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2"; }
people() {
	local n
	for n in 1 2; do
		"$BIN/file" make "$TMP/$n/f" 512 $SEED && sync && start "people$n" "$BIN/mapper" "$TMP/$n/f" $SEED \
			shared,read shared,write private,read || return
	done
	"$BIN/file" make "$TMP/2/pin" 16 $SEED && start pin "$BIN/pinner" open "$TMP/2/pin" $SEED 1
}
waits() { [[ $(<"$G/barrier") == "held since "*" 1 page in use "* ]]; }
# The callback may not wait: the worker does all of it, with a barrier, though nothing is unbound yet.
fire() {
	echo 1 >$SURPRISE && is answer "$(<$SURPRISE)" 0 && is state "$(<$S/state)" removing &&
		wait_for 60 waits && is kind "$(event kind)" surprise && is source "$(event source)" confirmation &&
		is holders "$(event holders)" 2 && is bytes "$(event bytes)" "$(($(<"/sys/block/$D/size") * 512))"
}
dead() {
	told people1 && told people2 && is XFS "$(holder "$P1" state)" down && is ext4 "$(holder "$P2" state)" stuck &&
		fails "$BIN/file" check "$TMP/1/f" $SEED && fails "$BIN/file" pfn "$TMP/2/f" 0
}
# Nobody new: neither a mount nor a holder nor an event.
closed() {
	umnt "$TMP/1" && { ! mount -o dax=always "$P1" "$TMP/1" 2>/dev/null || { fails dax_works && umnt "$TMP/1"; }; } &&
		is inject "$(wr "$G/inject" all)" ESHUTDOWN && is detach "$(wr $S/attached 0)" EBUSY
}
dax_works() { : >"$TMP/1/.dax" && "$BIN/file" dax "$TMP/1/.dax"; }
released() {
	tell pin && ended pin && wait_for 30 has "$G/barrier" none
}
again() { echo 1 >$SURPRISE && is answer "$(<$SURPRISE)" 0 && nap 0.3 && has "$G/barrier" none; }
# And now the driver goes.
gone_at_last() { umnt "$TMP/2" && unbind 60 && rmmod surprise && bind_now && attached; }
back() {
	both && "$BIN/file" check "$TMP/1/f" $SEED && "$BIN/file" check "$TMP/2/f" $SEED && umnt "$TMP/1" "$TMP/2"
}
# Whoever has claimed a part of the disk is waited for from the surprise on, also when the unbind comes
# after it and cannot sweep at once: a copy from another disk holds grace periods up.
stranger() {
	echo 0 >$S/attached && insmod "$MODULES/surprise.ko" "disk=$DEV" && echo 1 >$S/attached && both &&
		start claim python3 -c "$CLAIM" "$P3" && echo 1 >$SURPRISE && wait_for 60 claimed || return
	mke /dev/pmem1 && mnt /dev/pmem1 "$TMP/other" && "$BIN/file" make "$TMP/other/f" 1 $SEED &&
		mkfs.ext4 -q -F "$PLAIN" 16M && mkdir -p "$TMP/slow" && mount "$PLAIN" "$TMP/slow" &&
		start copy "$BIN/slowcopy" "$TMP/other/f" "$TMP/slow/page" $SEED || return
	unbind 0
	outlasted || { tell copy; ended copy; tell claim; ended claim; ended unbind; umnt "$TMP/slow" "$TMP/other"; return 1; } >&2
	umnt "$TMP/slow" "$TMP/other" "$TMP/1" "$TMP/2" && rmmod surprise && bind_now && attached
}
claimed() { [[ $(<"$G/barrier") == "held since "*" ms: 0 pages "*" 1 claimed device ${P3#/dev/}" ]]; }
outlasted() {
	wait_for 20 has "$G/barrier" "sweep not finished" && nap 1 && has "$G/barrier" "sweep not finished" && tell copy && ended copy &&
		wait_for 20 claimed && nap 1 && claimed && ! gone "${PID[unbind]}" && tell claim && ended claim &&
		wait_for 60 gone "${PID[unbind]}" && ended unbind
}

must "XFS and ext4, and a look at nd_pmem's own device" setup
must "processes map files of both, one holds a page in a pipe" people
t "the confirmation: answered at once; the worker closes, sweeps, waits for the page" fire
t "nobody maps anything, both file systems are down" dead
t "nobody new comes in" closed
t "the page is let go of: the barrier is released" released
t "a second confirmation changes nothing" again
t "the driver is unbound, and bound" gone_at_last
t "what was durable is there" back
t "a stranger is waited for, surprised and then unbound" stranger
t "detached and attached" eval "echo 0 >$S/attached && echo 1 >$S/attached"
finish
