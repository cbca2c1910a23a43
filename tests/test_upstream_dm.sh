#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guest: --no-module --expect-splat
# dies: RIP: [0-9a-f]+:writecache_
# The baseline: the same kernel without the module oopses when the memory under a dm-writecache goes.
. "$(dirname "$0")/lib.sh"
[ -b "$DEV" ] || skip_all "no $DEV"
! loaded || skip_all "$MODULE is loaded"
modprobe -q dm_writecache || skip_all "no dm-writecache"
. "$HERE/writecache.sh"
plan 3

# One file is on the origin before the writers begin, and so is the file system: what is written
# after does not fill the cache to where it is written back.
setup() {
	partitions 64 && plain_layout && cached && mkfs_on ext4 && mount $WC "$M" && echo before >"$M/before" &&
		umnt "$M" && dm message wc 0 flush && is "dirty blocks in percent" "$(dirty_percent)" 0 &&
		mount $WC "$M" && writers
}
oops() { sync_log && grep -q "BUG: unable to handle page fault" "$TMP/log" && grep -q "RIP.*writecache\|writecache_map" "$TMP/log"; }
removed() {
	unbind 0
	wait_for 60 oops || { tail -n 30 "$TMP/log"; return 1; }
}
lost() {
	# The writers that were inside died there; what they had made durable is not on the origin.
	local p=0 out missed=
	for i in $WRITERS; do ! gone "${PID[writer$i]}" || p=$((p + 1)); done
	note "$p of 4 writers are dead" >>"$TMP/notes"
	# The cached device has the plain disk for itself; device-mapper shares with itself.
	dm create origin --readonly --table "0 $((ORIGIN_MIB * 2048)) linear $PLAIN 0" && mkdir -p "$TMP/origin" &&
		mount -o ro,noload /dev/mapper/origin "$TMP/origin" && has "$TMP/origin/before" before || return
	for i in $WRITERS; do
		grep -q ^D "$TMP/log$i" || { echo "writer $i has made nothing durable"; return 1; }
		out=$("$BIN/fsyncer" verify "$TMP/origin/$i" "$TMP/log$i")
		[[ $out != *BROKEN* ]] || missed=1
		note "writer $i: ${out##*$'\n'}" >>"$TMP/notes"
	done
	[ -n "$missed" ] || { echo "everything is on the origin"; return 1; }
}

must "a cache and four writers" setup
t "a removal makes the kernel oops in dm-writecache" removed
t "and durable data is not on the origin" lost
[ ! -e "$TMP/notes" ] || cat "$TMP/notes"

# Nothing here ends in good order any more.
DIRTY=1
for p in "${PID[@]}"; do disown "$p"; done
PID=()
clean() { kill "$LOG_PID" 2>/dev/null; }
finish
