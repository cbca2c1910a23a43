#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guest: --no-module --expect-splat
# The same programs on the same kernel without the module: they must report what the suites say
# never happens with it. Otherwise the suites prove nothing.
. "$(dirname "$0")/lib.sh"
[ -b "$DEV" ] || skip_all "no $DEV"
! loaded || skip_all "$MODULE is loaded"
plan 5

setup() {
	partitions 320 300 && mkx "$P1" 0 && mke "$P2" && mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" || return
	for i in 1 2; do
		"$BIN/file" make "$TMP/$i/f" 512 $SEED && "$BIN/file" make "$TMP/$i/pin" 16 $SEED || return
	done
	sync
}
broken() {
	tell "$1" || return
	wait_for 60 has "$TMP/$1" readable=
	cat "$TMP/$1"
	has "$TMP/$1" BROKEN
}

# ext4 refuses write faults after a shutdown, not read faults: why the module needs its gate.
shut_reader() {
	start reader "$BIN/mapper" "$TMP/2/f" $SEED shared,read private,read &&
		xfs_io -x -c shutdown "$TMP/2" && broken reader && fails ended reader &&
		umnt "$TMP/2" && mnt "$P2" "$TMP/2"
}

# A removal leaves a pure reader of either file system with the raw memory.
unbind_readers() {
	start reader1 "$BIN/mapper" -k "$TMP/1/f" $SEED shared,read private,read &&
		start reader2 "$BIN/mapper" -k "$TMP/2/f" $SEED shared,read private,read || return
	start pin "$BIN/pinner" open "$TMP/2/pin" $SEED 1 && kill -STOP "${PID[pin]}" || return
	disown "${PID[pin]}"
	unset "PID[pin]"
	unbind 60
}

must "XFS without rmapbt and ext4, no module" setup
t "a reader survives the shutdown of ext4" shut_reader
t "a removal does not wait for a pinned page" unbind_readers
t "a reader of XFS without rmapbt keeps the removed memory" broken reader1
t "a reader of ext4 keeps the removed memory" broken reader2

# The readers stay: the end of such a mapping may hang the kernel. What it says now does not
# matter any more, nor does the state it is in.
DIRTY=1
clean() { kill "$LOG_PID" 2>/dev/null; }
finish
