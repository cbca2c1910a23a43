#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The front behaves as the raw device: the same questions to both, in one boot, must get the same
# answers. A question whose answer would be the same for a device without DAX is no question.
. "$(dirname "$0")/lib.sh"
need_module
plan 13

T=/sys/kernel/tracing
M=$TMP/m

attach() { [ "$(<$S/attached)" = "$1" ] || echo "$1" >$S/attached; }

# flushes CACHE: how many times an fsync of 8 pages, stored through a mapping, flushes the cache.
hits() { awk '$1 == "dax_holder_wb" { print $2 }' $T/kprobe_profile; }
flushes() {
	local before
	echo "$1" >/sys/block/$D/dax/write_cache
	before=$(hits)
	xfs_io -c 'mmap -rw 0 32k' -c 'mwrite -S 0x5a 0 32k' -c 'msync -s 0 32k' "$M/f" &&
		echo $(($(hits) - before > 0))
}

# What a file system on the disk says of its DAX: a line each, for both to say the same.
answers() {
	mnt "$P1" "$M" && "$BIN/file" make "$M/f" 512 $SEED || return
	echo "map_sync: $(start sync "$BIN/mapper" -a "$M/f" $SEED shared,write,sync && told sync && echo ok)"
	echo "flush with write cache: $(flushes 1), without: $(flushes 0), with again: $(flushes 1)"
	"$BIN/file" make "$M/g" 16 $SEED || return
	sector=$(((START1 + $("$BIN/file" where "$M/g" 3)) / 512))
	echo "$sector 8" >/sys/block/$D/badblocks || return
	echo "read of a bad block: $(dd if="$M/g" bs=4096 skip=3 count=1 of=/dev/null 2>&1 | head -n1)"
	echo "read beside it: $(dd if="$M/g" bs=4096 skip=4 count=1 of=/dev/null 2>&1 | head -n1)"
	echo "load from it: $(xfs_io -c 'mmap -r 12k 4k' -c 'mread 12k 8' "$M/g" >/dev/null 2>&1; echo $?)"
	echo "part of it written: $(dd if="$SEEDFILE" of="$M/g" bs=512 seek=25 count=1 conv=notrunc 2>&1 | head -n1)"
	echo "all of it written: $(dd if="$SEEDFILE" of="$M/g" bs=4096 seek=3 count=1 conv=notrunc 2>&1 | head -n1)"
	echo "read after that: $(dd if="$M/g" bs=4096 skip=3 count=1 of=/dev/null 2>&1 | head -n1)"
	echo "bad blocks left: $(wc -l <$BB)"
	umnt "$M"
}

BB=/sys/block/$D/badblocks

# The emulated device cannot clear poison: bad blocks go with the driver.
renew() { ! mountpoint -q "$M" || umnt "$M"; unbind && bind_now && attach "$1"; }

SEEDFILE=$TMP/page
ask() {	# MKFS ARGUMENT
	local which front=1 raw=0
	head -c 4096 /dev/zero | tr '\0' q >"$SEEDFILE"
	for which in front raw; do
		renew ${!which} &&
			partitions 400 && "$1" "$P1" ${2:-} && answers >"$TMP/$which" || {
			cat "$TMP/$which"
			return 1
		}
	done
	renew 1
	diff "$TMP/raw" "$TMP/front"
}

# What both say must be the answers of a device that has what is asked for.
said() {
	local line
	for line; do grep -qxF "$line" "$TMP/front" || { echo "not said: $line"; cat "$TMP/front"; return 1; }; done
}

must "a probe on the cache flush" eval \
	"echo p:dax_holder_wb arch_wb_cache_pmem >>$T/kprobe_events && echo 1 >$T/events/kprobes/dax_holder_wb/enable"
for kind in "mkx 1" "mkx 0" "mke"; do
	t "$kind: front and raw device give the same answers" ask $kind
	t "$kind: MAP_SYNC works, the write cache attribute is obeyed" said "map_sync: ok" \
		"flush with write cache: 1, without: 0, with again: 1"
done
t "a bad block is refused by both, its neighbour is not" eval \
	'grep -q "read of a bad block:.*error" "$TMP/front" && grep -q "read beside it: 1+0" "$TMP/front"'

ext4() { partitions 400 && mke "$P1" && mnt "$P1" "$M" && "$BIN/file" make "$M/f" 1024 $SEED && sync; }

# Written through the front, read through the block layer and by a file system on the bare disk.
same_bytes() {
	local at sum
	at=$("$BIN/file" where "$M/f" 0) && sum=$(head -c 65536 "$M/f" | md5sum) &&
		is "through the block layer" "$(dd if="$DEV" bs=4096 skip=$(((at + START1) / 4096)) count=16 \
			iflag=direct status=none | md5sum)" "$sum" &&
		umnt "$M" && attach 0 && mnt "$P1" "$M" && "$BIN/file" check "$M/f" $SEED && umnt "$M" && attach 1
}

# dm sees the front and copies its promises: MAP_SYNC and 2 MiB mappings work above it.
above() {
	dmsetup --noudevsync create dh_test --table "0 $((LEN1 / 512)) linear $P1 0" &&
		mnt /dev/mapper/dh_test "$M" && start dm "$BIN/mapper" -a "$M/f" $SEED shared,read,huge \
		shared,write,huge,sync shared,write,sync private,write && told dm && umnt "$M" &&
		dmsetup --noudevsync remove dh_test
}

# XFS does not take DAX together with reflink on a partition; that has to stay its own decision.
refused() {
	mkfs.xfs -q -f -K -m reflink=1 "$P1" && fails mount -o dax=always "$P1" "$M" &&
		sync_log && log_since | grep "XFS.*reflink"
}

must "ext4 through the front" ext4
t "what was written through the front is on the disk" same_bytes
t "device-mapper above the front: DAX, MAP_SYNC, 2 MiB" above
t "what XFS refuses on a partition it refuses here" refused
t "no probe is left" eval "echo 0 >$T/events/kprobes/dax_holder_wb/enable && echo -:dax_holder_wb >>$T/kprobe_events"
finish
