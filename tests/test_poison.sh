#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# memory_failure() on the frames of a mapped file: from the victim itself (MADV_HWPOISON), from
# outside (hwpoison-inject), one and 16384 of them, under both policies.
. "$(dirname "$0")/lib.sh"
need_module
plan 17

FRAMES=${FRAMES:-16384}
CORRUPT=/sys/kernel/debug/hwpoison/corrupt-pfn
SPECS="shared,read shared,write private,read"

inject_there() {
	modprobe hwpoison-inject && test -e $CORRUPT && echo 1 >/proc/sys/vm/memory_failure_early_kill &&
		echo 1 >/proc/sys/vm/memory_failure_recovery
}

# made RMAPBT: XFS and ext4 with a file to poison and one to watch. A rebind first: it gives the
# memory new struct pages, without the poison of the test before.
made() {
	unbind_now && bind_now && partitions 320 300 && mkx "$P1" "$1" && mke "$P2" &&
		mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" || return
	for i in 1 2; do
		"$BIN/file" make "$TMP/$i/bad" 64 $SEED && "$BIN/file" make "$TMP/$i/watch" 512 $SEED || return
	done
	sync
}
gone_again() { umnt "$TMP/1" "$TMP/2" && echo shutdown >$S/policy && reset_if_failed; }
reset_if_failed() { [ "$(<$S/state)" = active ] || reset; }

watchers() {
	start victim "$BIN/mapper" ${2:-} "$TMP/$1/watch" $SEED $SPECS &&
		start other "$BIN/mapper" -a "$TMP/$((3 - $1))/watch" $SEED $SPECS
}
down() { [ "$(holder "$1" state)" = down ]; }

# hit HOW PARTITION: one frame of the file `bad`
hit() {
	case $1 in
	madvise) "$BIN/poison" madvise "$TMP/$2/bad" 7 | tee "$TMP/hit" && has "$TMP/hit" readable=0 ;;
	inject) hit_pfn "$("$BIN/file" pfn "$TMP/$2/bad" 9)" ;;
	esac
}
# The answer of the handlers may be an errno ("queued", "not mine"); ENXIO would be: not tried.
hit_pfn() { like corrupt-pfn "$(wr $CORRUPT "$1")" '@([0-9]*|EBUSY|EIO|EOPNOTSUPP|EHWPOISON)'; }
shopt -s extglob

# whole HOW PARTITION: the file system goes down as a whole, the other one notices nothing
whole() {
	local p=P$2
	watchers "$2" && hit "$1" "$2" && wait_for 20 down "${!p}" && is calls "$(holder "${!p}" events)" 1 &&
		is result "$(holder "${!p}" result)" 0 && is source "$(event source)" memory_failure &&
		is kind "$(event kind)" failure && is bytes "$(event bytes)" 4096 &&
		told victim && told other && fails "$BIN/file" make "$TMP/$2/late" 4 $SEED &&
		"$BIN/file" check "$TMP/$((3 - $2))/bad" $SEED
}
# XFS with rmapbt handles its own: processes of the poisoned page die, the rest goes on.
ranged() {
	watchers 1 -a && hit "$1" 1 && nap 1 && is kind "$(event kind)" failure &&
		is calls "$(holder "$P1" events)" 1 && is result "$(holder "$P1" result)" 0 &&
		! down "$P1" && told victim && told other && "$BIN/file" make "$TMP/1/new" 64 $SEED &&
		"$BIN/file" check "$TMP/1/new" $SEED && fails "$BIN/file" check "$TMP/1/bad" $SEED
}
# run POLICY FUNCTION HOW PARTITION RMAPBT
try() { made "$5" && echo "$1" >$S/policy && "$2" "$3" "$4" && gone_again; }

must "hwpoison-inject is there" inject_there
for how in madvise inject; do
	t "$how, policy shutdown: XFS goes down as a whole" try shutdown whole $how 1 1
	t "$how, policy shutdown: ext4 goes down as a whole" try shutdown whole $how 2 1
	t "$how, policy native: XFS with rmapbt handles the range, its other files live" try native ranged $how 1 1
	t "$how, policy native: XFS without rmapbt cannot, and goes down as a whole" try native whole $how 1 0
	t "$how, policy native: ext4 has no handler, and goes down as a whole" try native whole $how 2 1
done

# A frame of free space belongs to a mounted file system all the same; one of no partition to nobody.
free_frame() {
	made 1 && "$BIN/file" make "$TMP/2/bait" 64 $SEED && pfn=$("$BIN/file" pfn "$TMP/2/bait" 5) &&
		rm "$TMP/2/bait" && sync && watchers 2 && hit_pfn "$pfn" && wait_for 20 down "$P2" && told victim && told other &&
		gone_again
}
nobodys_frame() {
	made 1 && pfn=$("$BIN/file" pfn "$TMP/1/bad" 0) && at=$("$BIN/file" where "$TMP/1/bad" 0) &&
		watchers 1 -a && hit_pfn $((pfn - (at + START1) / 4096 + (START2 + LEN2) / 4096 + 16)) && nap 1 &&
		is holders "$(event holders)" 0 && is first "$(event first)" "$(printf '0x%x+0x1000' $((START2 + LEN2 + 65536)))" &&
		told victim && told other && gone_again
}
t "a frame of free space takes its file system down" free_frame
t "a frame outside all partitions is counted, and takes nobody down" nobodys_frame

# storm PARTITION RMAPBT POLICY
storm() {
	local p=P$1 before events
	made "$2" && echo "$3" >$S/policy && "$BIN/file" make "$TMP/$1/many" "$FRAMES" $SEED &&
		watchers "$1" && before=$(holder "${!p}" events) && echo 1 >/proc/sys/kernel/printk || return
	"$BIN/poison" storm "$TMP/$1/many" "$FRAMES" | tee "$TMP/storm"
	echo 5 >/proc/sys/kernel/printk
	note "$(<"$TMP/storm")" >>"$TMP/notes"
	wait_for 20 down "${!p}" && is "calls of the holder" "$(holder "${!p}" events)" $((before + 1)) &&
		is "calls of the other" "$(holder "$(other "$1")" events)" 0 &&
		has "$TMP/storm" readable=0 && told victim && told other || return
	# Counted since the rebind. What comes while one event is handled is the next one, so how many
	# there are is a matter of time: two have been seen.
	events=$(event seq)
	note "events of the disk: $events" >>"$TMP/notes"
	((events > 0 && events <= FRAMES / 100 + 4)) || { echo "$FRAMES frames were $events events"; return 1; }
	gone_again
}
other() { [ "$1" = 1 ] && echo "$P2" || echo "$P1"; }
t "$FRAMES frames of XFS: it is called once" storm 1 1 shutdown
t "$FRAMES frames of ext4: it is called once" storm 2 1 shutdown
t "$FRAMES frames of XFS without rmapbt, policy native: it is called once" storm 1 0 native
cat "$TMP/notes"

# After a storm the disk is as good as new once it has been rebound.
after() {
	made 1 && "$BIN/file" check "$TMP/1/watch" $SEED && "$BIN/file" check "$TMP/2/watch" $SEED &&
		umnt "$TMP/1" "$TMP/2" && is state "$(<$S/state)" active
}
t "after a rebind all is as new" after
finish
