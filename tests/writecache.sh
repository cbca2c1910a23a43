# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Shared by the suites about dm-writecache: a cache on the persistent memory before an origin on the
# plain disk, with a file system on it. Sourced after lib.sh.
PARAMETERS=/sys/module/$MODULE/parameters
AGENT=/usr/lib/dax_holder/agent
WC=/dev/mapper/wc
M=$TMP/m				# the file system on the cache
ORIGIN_MIB=320
dm() { dmsetup --noudevsync "$@"; }

need_writecache() {
	need_module
	[ -d $PARAMETERS ] || skip_all "no parameters"
	modprobe -q dm_writecache || skip_all "no dm-writecache"
}

# A cache that knows nothing; one with two extents looks different in the kernel: it is vmapped.
fresh_cache() { dd if=/dev/zero of="$CACHE" bs=1M count=1 oflag=direct status=none; }
plain_layout() { CACHE=$P1; }
vmapped_layout() {
	local half=$((LEN1 / 1024))
	dm create extents --table "0 $half linear $P1 $half
$half $half linear $P1 0" && CACHE=/dev/mapper/extents
}
# cached [FEATURES]: the cache before the origin
cached() {
	dm create wc --table "0 $((ORIGIN_MIB * 2048)) writecache p $PLAIN $CACHE 4096 ${*:-0}" &&
		WC_DM=$(dm info -c --noheadings -o blkdevname wc)
}
mkfs_on() {
	mkdir -p "$M"
	case $1 in
	ext4) mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0 -N 1024 $WC ;;
	xfs) mkfs.xfs -q -f -K -m reflink=0 $WC ;;
	esac
}
field() { dm status wc | cut -d' ' -f"$1"; }
dirty_percent() { local n; n=$(field 5) && echo $(((n - $(field 6)) * 100 / n)); }

WRITERS="1 2 3 4"
# writers: four of them, with fsync; nothing to do with DAX
writers() {
	for i in $WRITERS; do
		mkdir -p "$M/$i" && start "writer$i" "$BIN/fsyncer" fsync "$M/$i" "$TMP/log$i" || return
	done
}
# Between two writes: ext4 7.3 calls data durable that is lost when it is shut down, or its disk
# fails, in the middle of an fsync() (seen on a plain disk without the module too: after 22 of 160
# shutdowns by ioctl). A removal takes care of that; a failure cannot.
pause() {
	for i in $WRITERS; do kill -STOP "${PID[writer$i]}" && wait_for 20 paused "${PID[writer$i]}" || return; done
}
paused() { [[ $(</proc/"$1"/stat) == *') T '* ]]; }
go_on() { for i in $WRITERS; do kill -CONT "${PID[writer$i]}"; done; }
stopped() {
	for i in $WRITERS; do ended "writer$i" && stopped_by_error "$TMP/writer$i" "$M" || return; done
}
# Nothing from above reaches the disk any more, and it ends at once: with EIO, or, once the device is
# marked dead, at the end of a device of no size.
refused() {
	local out
	out=$(timeout 20 dd if=$WC of=/dev/null bs=4k count=1 iflag=direct 2>&1)
	[[ $out == *"0+0 records in"* ]] && { [[ $out == *"Input/output error"* ]] || marked_dead; } ||
		{ echo "read of the cached device: $out"; return 1; }
	out=$(timeout 20 dd if=/dev/zero of=$WC bs=4k count=1 oflag=direct 2>&1)
	[[ $out == *"0+0 records out"* ]] && { [[ $out == *"Input/output error"* ]] || marked_dead; } ||
		{ echo "write to the cached device: $out"; return 1; }
}
marked_dead() { [ "$(<"/sys/block/$WC_DM/size")" = 0 ]; }
# Whatever a test before has left.
nothing() {
	umount "$M" 2>/dev/null
	for d in wc extents; do ! dm info -c $d >/dev/null 2>&1 || dm remove --retry $d || return; done
}
dismantle() { umnt "$M" && nothing; }

# The origin alone has everything that was durable above, and is sound.
on_origin() {
	local i
	mount "$PLAIN" "$M" || return
	for i in $WRITERS; do
		"$BIN/fsyncer" verify "$M/$i" "$TMP/log$i" || return
	done
	umnt "$M" && case $(blkid -p -s TYPE -o value "$PLAIN") in
	ext4) e2fsck -fn "$PLAIN" ;;
	xfs) xfs_repair -n "$PLAIN" ;;
	*) echo "no file system on the origin"; return 1 ;;
	esac
}

agent_is() { echo "$1" >$PARAMETERS/agent; }
# program NAME TEXT: an agent of our own
program() {
	printf '#!/bin/sh\n%s\n' "$2" >"$TMP/$1" && chmod +x "$TMP/$1" && agent_is "$TMP/$1"
}

clean_writecache() {
	agent_is $AGENT
	echo 60 >$PARAMETERS/agent_timeout
	nothing
	wipefs -qa "$PLAIN"
}
eval "lib_$(declare -f clean)"
clean() { clean_writecache >/dev/null 2>&1; lib_clean; }
