#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Mount and umount race with failures and with removals: 200 rounds in all.
. "$(dirname "$0")/lib.sh"
need_module
plan 6

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

must "XFS and ext4" setup
t "XFS: $EACH failures" failure xfs 1
t "ext4: $EACH failures" failure ext4 2
t "XFS: $EACH removals" removal xfs 1
t "ext4: $EACH removals" removal ext4 2
t "both file systems are sound" sound
[ ! -e "$TMP/notes" ] || cat "$TMP/notes"
finish
