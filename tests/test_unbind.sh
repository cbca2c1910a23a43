#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The disk goes away under two file systems with mapped readers and writers, and comes back.
. "$(dirname "$0")/lib.sh"
need_module
plan 8

ROUNDS=${ROUNDS:-${DEBUG:+5}}
ROUNDS=${ROUNDS:-20}
HUGE="shared,read,huge shared,write,huge private,read,huge shared,write,huge,sync"
SMALL="shared,read shared,write private,read private,write shared,write,sync"

setup() {
	partitions 320 300 && mkx "$P1" "$1" && mke "$P2" && both_mounted || return
	for i in 1 2; do
		"$BIN/file" make "$TMP/$i/huge" 1024 $SEED && "$BIN/file" make "$TMP/$i/small" 128 $SEED &&
			mkdir "$TMP/$i/sync" || return
	done
	umnt "$TMP/1" "$TMP/2" && rm -f "$TMP"/log[12]
}
both_mounted() { mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2"; }

# What was durable before the last removal is there and is right.
durable() {
	for i in 1 2; do
		"$BIN/file" check "$TMP/$i/huge" $SEED && "$BIN/file" check "$TMP/$i/small" $SEED || return
		[ ! -e "$TMP/log$i" ] || "$BIN/fsyncer" verify "$TMP/$i/sync" "$TMP/log$i" || return
	done
}

people() {
	for i in 1 2; do
		start "huge$i" "$BIN/mapper" "$TMP/$i/huge" $SEED $HUGE &&
			start "small$i" "$BIN/mapper" "$TMP/$i/small" $SEED $SMALL &&
			start "sync$i" "$BIN/fsyncer" write "$TMP/$i/sync" "$TMP/log$i" || return
	done
}

dead() {
	for i in 1 2; do
		told "huge$i" && told "small$i" && ended "sync$i" && stopped_by_error "$TMP/sync$i" "$TMP/$i" ENXIO || return
	done
}

one_round() {
	both_mounted && durable && people && unbind && dead && umnt "$TMP/1" "$TMP/2" && bind_now &&
		attached
}

# rounds RMAPBT
rounds() {
	for ((n = 1; n <= ROUNDS; n++)); do
		one_round || { echo "in round $n"; return 1; }
		if ((n == 1)); then
			logged "$D: event [0-9]+: removal.* 2 holders, result 0" || return
		fi
	done
}

sound() {
	both_mounted && durable && umnt "$TMP/1" "$TMP/2" && xfs_repair -n "$P1" && e2fsck -fn "$P2"
}

for rmapbt in 1 0; do
	with="XFS rmapbt=$rmapbt and ext4"
	must "$with: made" setup $rmapbt
	t "$with: $ROUNDS times unbind under readers and writers, all of them dead, rebind, content right" rounds
	t "$with: mounts, checks and fsck at the end" sound
done

# A disk that nobody uses goes at once, and comes back attached.
idle() { unbind && fails test -b "$DEV" && bind_now && attached && is state "$(<$S/state)" active; }
t "an unused disk" idle

# A frozen file system has writers that wait until somebody thaws it. XFS ends that when it goes for good.
thawed() {
	mnt "$P1" "$TMP/1" && fsfreeze -f "$TMP/1" || return
	"$BIN/fsyncer" write "$TMP/1/sync" "$TMP/log1" >"$TMP/write" 2>&1 &
	PID[write]=$!
	wait_for 30 stands_in write 'sb_start_write|percpu_rwsem_wait' && unbind && ended write && stopped_by_error "$TMP/write" "$TMP/1" && umnt "$TMP/1" && bind_now && attached
}
t "XFS, frozen: its writer ends" thawed
finish
