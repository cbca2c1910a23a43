#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Attach, detach, unload and load again, 200 times each; and what must be refused, with its reason.
. "$(dirname "$0")/lib.sh"
need_module
[ -e "$KO" ] || skip_all "DAX_HOLDER_KO does not name the module"
plan 31

ROUNDS=${ROUNDS:-${DEBUG:+50}}
ROUNDS=${ROUNDS:-200}

# ------------------------------------------------------------------------- nobody uses the disk

cycle_attach() {
	local n
	for ((n = 1; n <= ROUNDS; n++)); do
		echo 0 >$S/attached && [ "$(<$S/state)" = detached ] && echo 1 >$S/attached &&
			[ "$(<$S/state)" = active ] || { echo "in round $n: $(<$S/reason)"; return 1; }
	done
	is reason "$(<$S/reason)" "" && test -d "$G"
}
# Two who write at the same time may be told EBUSY; the end must be sound all the same.
cycle_against() {
	( for ((n = 1; n <= ROUNDS; n++)); do echo 0 >$S/attached; done ) 2>/dev/null &
	for ((n = 1; n <= ROUNDS; n++)); do echo 1 >$S/attached; done 2>/dev/null
	wait $!
	attached || echo 1 >$S/attached
	is state "$(<$S/state)" active && test -d "$G"
}
cycle_load() {
	local n
	for ((n = 1; n <= ROUNDS; n++)); do
		unload && load && attached || {
			echo "in round $n"
			return 1
		}
	done
	test -d "$G"
}
traces_of_it() {
	unload && fails test -e $S && fails test -e "$G/.." &&
		fails test -e /sys/kernel/tracing/events/$MODULE && load && attached
}
cycle_bind() {
	local n
	for ((n = 1; n <= (ROUNDS + 9) / 10; n++)); do
		unbind_now && bind_now && attached && is state "$(<$S/state)" active || {
			echo "in round $n"
			return 1
		}
	done
}
bad_words() {
	for w in 2 -1 on 01x $'\n' "1 0"; do
		is "attached '$w'" "$(wr $S/attached "$w")" EINVAL || return
	done
	for w in shut nativ $'\n' "native shutdown" 1; do
		is "policy '$w'" "$(wr $S/policy "$w")" EINVAL || return
	done
	for w in 0 2 yes $'\n'; do is "clear '$w'" "$(wr $S/clear "$w")" EINVAL || return; done
	attached && is state "$(<$S/state)" active
}
policy() {
	is default "$(<$S/policy)" "[shutdown] native" && echo native >$S/policy &&
		is policy "$(<$S/policy)" "shutdown [native]" && echo shutdown >$S/policy &&
		is policy "$(<$S/policy)" "[shutdown] native"
}
modes() {
	local f
	for f in attached:644 state:444 reason:444 policy:644 last_event:444 clear:200; do
		is "mode of ${f%:*}" "$(stat -c %a $S/${f%:*})" "${f#*:}" || return
	done
	for f in holders:400 events:400 inject:200 barrier:400 override:200; do
		is "mode of ${f%:*}" "$(stat -c %a "$G/${f%:*}")" "${f#*:}" || return
	done
}

t "the files of a disk and their modes" modes
t "bad words are refused and change nothing" bad_words
t "the policy can be chosen" policy
t "$ROUNDS times detach and attach" cycle_attach
t "$ROUNDS times detach against attach" cycle_against
t "$ROUNDS times detach, unload, load" cycle_load
t "unloaded, nothing of it is left" traces_of_it
t "unbind and bind: attached again each time" cycle_bind

# -------------------------------------------------------------------------- somebody uses it

setup() {
	partitions 320 300 && mkx "$P1" && mke "$P2" && mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" || return
	for i in 1 2; do "$BIN/file" make "$TMP/$i/f" 256 $SEED || return; done
	umnt "$TMP/1" "$TMP/2"
}
users() { mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2"; }

# busy WHY: neither detach nor unload, as often as you like, nor both at once; the users notice nothing
busy() {
	local n
	is detach "$(wr $S/attached 0)" EBUSY && logged "$D: .*$1" || return
	"$BIN/modloop" refused $MODULE "$ROUNDS" &
	for ((n = 1; n <= ROUNDS; n++)); do
		! echo 0 >$S/attached || { echo "detached in round $n"; return 1; }
	done 2>/dev/null
	wait $! && attached && is state "$(<$S/state)" active
}
# one PARTITION: only that one is mounted
one() {
	local p=P$1
	mnt "${!p}" "$TMP/$1" &&
		start reader "$BIN/mapper" -a "$TMP/$1/f" $SEED shared,read shared,write private,read &&
		busy "" && told reader && umnt "$TMP/$1"
}
both() {
	users && start r1 "$BIN/mapper" -a "$TMP/1/f" $SEED shared,write &&
		start r2 "$BIN/mapper" -a "$TMP/2/f" $SEED shared,write && busy "" && told r1 && told r2 &&
		umnt "$TMP/1" "$TMP/2"
}
table() {
	dmsetup --noudevsync create dh_test --table "0 $((LEN2 / 512)) linear $P2 0" && busy "" &&
		mnt /dev/mapper/dh_test "$TMP/2" && "$BIN/file" check "$TMP/2/f" $SEED && busy "" &&
		umnt "$TMP/2" && dmsetup --noudevsync remove dh_test
}
free_again() { echo 0 >$S/attached && echo 1 >$S/attached && attached; }

must "two file systems" setup
t "XFS is mounted: detach and unload are refused $ROUNDS times, with the reason in the log" one 1
t "ext4 is mounted: the same" one 2
t "both are mounted: the same" both
t "a device-mapper table lies on it: the same, and it is a DAX device" table
t "all gone: detach works" free_again

# ------------------------------------------------------------- users of the bare disk come first

bare() {
	echo 0 >$S/attached && is state "$(<$S/state)" detached && mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" &&
		"$BIN/file" check "$TMP/1/f" $SEED && "$BIN/file" check "$TMP/2/f" $SEED
}
refused() {
	is attach "$(wr $S/attached 1)" EBUSY && logged "$D: " && is state "$(<$S/state)" detached &&
		[ -n "$(<$S/reason)" ] && fails test -d "$G"
}
refused_200() {
	local n
	refused || return
	for ((n = 1; n <= ROUNDS; n++)); do
		! echo 1 >$S/attached || { echo "attached in round $n"; return 1; }
	done 2>/dev/null
	refused
}
dax_there() { "$BIN/file" make "$TMP/$1/g" 16 $SEED && "$BIN/file" dax "$TMP/$1/g" && "$BIN/file" pfn "$TMP/$1/g" 3 >/dev/null; }
only_ext4() { umnt "$TMP/1" && refused && dax_there 2; }
only_xfs() { umnt "$TMP/2" && mnt "$P1" "$TMP/1" && refused && dax_there 1; }
reload_refused() {
	unload && load && is attached "$(<$S/attached)" 0 && [ -n "$(<$S/reason)" ] && logged "$D: " && dax_there 1
}
reload_refused_ext4() {
	umnt "$TMP/1" && mnt "$P2" "$TMP/2" && unload && load && is attached "$(<$S/attached)" 0 &&
		[ -n "$(<$S/reason)" ] && dax_there 2
}
# While refused, the bare disk does what it always did: the end of XFS frees the slot.
attach_after() { umnt "$TMP/2" && echo 1 >$S/attached && attached && is reason "$(<$S/reason)" ""; }

t "detached: both file systems mount with DAX as before" bare
t "attach is refused with EBUSY and a reason, $ROUNDS times" refused_200
t "and the bare file systems have kept their DAX" dax_there 1
t "refused for ext4 alone" only_ext4
t "refused for XFS alone, which has the slot" only_xfs
t "loaded over a mounted XFS: that disk is refused, the module stays" reload_refused
t "loaded over a mounted ext4: the same" reload_refused_ext4
t "unmounted: attach works" attach_after
t "and both file systems mount through the front" both

# ------------------------------------------------------------------------------ disks without DAX

# nd_pmem drives these too: raw, without struct pages; sector, a btt with a disk of another name.
# ndctl has the disk open exclusively while it unbinds it: that must not be waited for.
made() {
	timeout 60 ndctl create-namespace -f -e namespace0.0 --mode=$1 ${3:-} >/dev/null &&
		wait_for 10 test -b "/dev/$2"
}
mode_refused() {
	local S=/sys/block/$1/dax_holder
	is attached "$(cat $S/attached)" 0 && like reason "$(<$S/reason)" '*raw or sector mode*' &&
		is attach "$(wr $S/attached 1)" EOPNOTSUPP && is state "$(<$S/state)" detached && others_go_on
}
fsdax_again() {
	made fsdax "$D" --map=mem && wait_for 20 bound && attached || return
	NAME=$(basename "$(readlink -f "/sys/block/$D/device")")	# pfn0.1 perhaps
}
for mode in "raw $D" "sector ${D}s"; do
	set -- $mode
	[ -x "$(command -v ndctl)" ] || {
		for what in made refused back; do skip "$1: $what" "no ndctl"; done
		continue
	}
	t "the namespace is made $1: its disk is $2" made $1 $2
	t "it is refused with EOPNOTSUPP and a reason, other disks are not" mode_refused $2
	t "made fsdax again: attached" fsdax_again
done
t "detach and attach still work" free_again
t "and the loop of loads" traces_of_it
finish
