#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A range inside one partition takes that file system down as a whole, and nothing else.
. "$(dirname "$0")/lib.sh"
need_module
plan 24

HUGE="shared,read,huge shared,write,huge private,read,huge shared,write,huge,sync"
SMALL="shared,read shared,write private,read private,write shared,write,sync"

setup() {
	partitions 320 300 64 && mkx "$P1" && mke "$P2" &&
		mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" || return
	for i in 1 2; do
		"$BIN/file" make "$TMP/$i/huge" 1024 $SEED && "$BIN/file" make "$TMP/$i/small" 128 $SEED &&
			"$BIN/file" make "$TMP/$i/quiet" 16 $SEED || return
	done
	sync
}

# people VICTIM NEIGHBOUR: processes on both
people() {
	start "huge$1" "$BIN/mapper" "$TMP/$1/huge" $SEED $HUGE &&
		start "small$1" "$BIN/mapper" "$TMP/$1/small" $SEED $SMALL &&
		start "huge$2" "$BIN/mapper" -a "$TMP/$2/huge" $SEED $HUGE &&
		start "small$2" "$BIN/mapper" -a "$TMP/$2/small" $SEED $SMALL &&
		mkdir -p "$TMP/$2/new" &&
		start sync "$BIN/fsyncer" write "$TMP/$2/new" "$TMP/log$2"
}

# One page of one file, by its place on the disk.
strike() {
	local start=START$1 at
	at=$(("$("$BIN/file" where "$TMP/$1/quiet" 3)" + ${!start}))
	inject "$at+4096" && is "bytes written" "$REPLY" $((${#at} + 5)) &&
		is state "$(<$S/state)" failed &&
		is kind "$(event kind)" failure && is source "$(event source)" injected &&
		is ranges "$(event ranges)" 1 && is bytes "$(event bytes)" 4096 &&
		is holders "$(event holders)" 1 && is result "$(event result)" 0 &&
		logged "$D: event $(event seq): failure"
}

told_both() { told "huge$1" && told "small$1"; }

table() {
	local v=P$1 n=P$2
	is "victim" "$(holder "${!v}" state)" down && is "victim's calls" "$(holder "${!v}" events)" 1 &&
		is "victim's result" "$(holder "${!v}" result)" 0 &&
		is "neighbour" "$(holder "${!n}" state)" active &&
		is "neighbour's calls" "$(holder "${!n}" events)" 0
}

# Files of the victim that are far from the range are dead as well, for read and for write; so is what it
# reaches without DAX, for it is shut down.
victim_dead() {
	fails "$BIN/file" check "$TMP/$1/huge" $SEED && fails "$BIN/file" pfn "$TMP/$1/small" 0 &&
		fails "$BIN/file" make "$TMP/$1/late" 4 $SEED && fails mkdir "$TMP/$1/late.d"
}

neighbour_lives() {
	"$BIN/file" check "$TMP/$1/huge" $SEED && "$BIN/file" make "$TMP/$1/late" 512 $SEED &&
		"$BIN/file" check "$TMP/$1/late" $SEED && "$BIN/file" pfn "$TMP/$1/late" 7 >/dev/null &&
		"$BIN/file" dax "$TMP/$1/late"
}

syncer_lives() {
	! gone "${PID[sync]}" || { echo "stopped: $(<"$TMP/sync")"; return 1; }
	kill "${PID[sync]}"
	wait "${PID[sync]}" 2>/dev/null
	unset "PID[sync]"
	"$BIN/fsyncer" verify "$TMP/$1/new" "$TMP/log$1"
}

refused_clear() { is "clear with the victim mounted" "$(wr $S/clear 1)" EBUSY; }

# back VICTIM: unmount, clear, mount again with its log replayed
back() {
	local v=P$1
	umnt "$TMP/$1" && reset && mnt "${!v}" "$TMP/$1" &&
		for f in huge small quiet; do "$BIN/file" check "$TMP/$1/$f" $SEED || return; done
	is "row after clear" "$(holder "${!v}" state)" active
}

must "XFS and ext4 on one disk" setup
for v in 1 2; do
	n=$((3 - v))
	t "partition $v is the victim: readers, writers, 2 MiB, 4 KiB, private, MAP_SYNC on both" people $v $n
	t "partition $v: one event of one page" strike $v
	t "partition $v: none of its processes can touch its memory" told_both $v
	t "partition $v: the holders' table tells the two apart" table $v $n
	t "partition $v: its other files are dead too" victim_dead $v
	t "partition $v: the neighbour's processes notice nothing" told_both $n
	t "partition $v: the neighbour's fsyncs went on, and hold" syncer_lives $n
	t "partition $v: the neighbour takes new files and mappings" neighbour_lives $n
	t "partition $v: clear is refused while it is mounted" refused_clear
	t "partition $v: unmount, clear, mount: recovered, content right" back $v
done

# The edges: the last page of one partition, the first of the next, and between all of them.
nobody() {
	inject "$START3+4096" && is holders "$(event holders)" 0 && both_alive && reset
}
both_alive() { "$BIN/file" check "$TMP/1/small" $SEED && "$BIN/file" check "$TMP/2/small" $SEED; }
edge() {
	local v=P$1
	inject "$2+4096" && is holders "$(event holders)" 1 && is victim "$(holder "${!v}" state)" down &&
		"$BIN/file" check "$TMP/$3/small" $SEED && back "$1"
}
t "a range in a partition without a holder calls nobody" nobody
t "the last page of partition 1" edge 1 $((START1 + LEN1 - 4096)) 2
t "the first page of partition 2" edge 2 "$START2" 1
umnt "$TMP/1" "$TMP/2"
finish
