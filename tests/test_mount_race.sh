#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Mount and umount race with failures and with removals: 200 rounds in all. And mounts that do not end for long:
# nine of them, one more than an event can list.
. "$(dirname "$0")/lib.sh"
need_module
plan 9

ROUNDS=${ROUNDS:-${DEBUG:+40}}
ROUNDS=${ROUNDS:-200}
EACH=$(((ROUNDS + 3) / 4))

setup() {
	partitions 320 300 && mkx "$P1" && mke "$P2" || return
	for i in 1 2; do
		local p=P$i
		mnt "${!p}" "$TMP/$i" && "$BIN/file" make "$TMP/$i/probe" 16 $SEED && umnt "$TMP/$i" || return
	done
}
races() {
	local rc
	"$BIN/mountrace" -n $EACH "$@" >"$TMP/races"
	rc=$?
	cat "$TMP/races"
	note "${*: -3:1}: $(tail -n1 "$TMP/races")" >>"$TMP/notes"
	return $rc
}
failure() {
	local p=P$2 start=START$2 len=LEN$2
	races -c $S/clear -e "$G/inject" -t "${!start}+${!len}" "$1" "${!p}" "$TMP/$2"
}
removal() {
	local p=P$2
	races -b $ND/bind -e $ND/unbind -t "$NAME" "$1" "${!p}" "$TMP/$2" && attached
}
sound() { xfs_repair -n "$P1" && e2fsck -fn "$P2"; }

# A mount waits for a table that is suspended.
HUNG=/proc/sys/kernel/hung_task_timeout_secs
setup_slow() {
	local i p
	# They hang on purpose, for longer than that on a slow machine.
	[ ! -e $HUNG ] || { SECS=$(<$HUNG) && echo 0 >$HUNG; } || return
	partitions 16 16 16 16 16 16 16 16 16 || return
	for i in {1..9}; do
		p=P$i
		mke "${!p}" && mkdir -p "$TMP/slow$i" || return
	done
}
hang() {
	local i p
	for i; do
		p=P$i
		dmsetup --noudevsync create "dh_slow$i" --table "0 32768 linear ${!p} 0" &&
			dmsetup --noudevsync suspend --nolockfs "dh_slow$i" &&
			start "mount$i" "$BIN/mountsoon" "/dev/mapper/dh_slow$i" "$TMP/slow$i" ext4 && wait_for 30 stands_in mount$i ext4_ || return
	done
}
goes_on() {
	local i
	for i; do dmsetup --noudevsync resume "dh_slow$i" && ended "mount$i" || return; done
}
unsettled() { is "unsettled mounts" "$(grep -c ' unsettled ' "$G/holders")" "$1"; }
# Another file system cannot be written to any more.
down() { fails touch "$TMP/slow$1/new"; }
all_down() {
	local i
	for i; do wait_for 60 down $i || return; done
}
ends_clear() {
	local i
	for i; do umnt "$TMP/slow$i" || return; done
	tables_gone && wait_for 60 reset
}
nine() {
	hang {1..9} && inject all && unsettled 9 && goes_on {1..9} && all_down {1..9} && ends_clear {1..9}
}
# After a minute it is given up, which the log says; the next event tells him.
given_up() {
	hang 5 && inject all && unsettled 1 && wait_for 300 logged 'a mount or unmount does not end: not told of event' &&
		goes_on 5 && touch "$TMP/slow5/new" && inject all && all_down 5 && ends_clear 5
}

must "XFS and ext4" setup
t "XFS: $EACH failures" failure xfs 1
t "ext4: $EACH failures" failure ext4 2
t "XFS: $EACH removals" removal xfs 1
t "ext4: $EACH removals" removal ext4 2
t "both file systems are sound" sound
must "nine tables" setup_slow
t "nine mounts that do not end: all are told when they do" nine
t "one that does not end for a minute: the log says so, and the next event tells it" given_up
[ ! -e $HUNG ] || echo "$SECS" >$HUNG
[ ! -e "$TMP/notes" ] || cat "$TMP/notes"
finish
