#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# With the front in between everything answers as the bare disk does.
. "$(dirname "$0")/lib.sh"
need_module
plan 10

SPECS="shared,read,huge shared,write,huge shared,write,huge,sync shared,write,sync private,write"

# as_bare FUNCTION ARGUMENTS: what it prints must be the same detached and attached, and be
# something.
as_bare() {
	echo 0 >$S/attached && is state "$(<$S/state)" detached && "$@" >"$TMP/bare" 2>&1
	fresh && attached && "$@" >"$TMP/front" 2>&1
	fresh
	[ -s "$TMP/bare" ] && diff "$TMP/bare" "$TMP/front"
}
# New badblocks, no mounts.
fresh() { umount "$TMP"/[12] 2>/dev/null; unbind_now && bind_now; } >/dev/null

both() {
	partitions 320 300 && mkx "$P1" "$1" && mke "$P2" && mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" || return
	for i in 1 2; do
		"$BIN/file" make "$TMP/$i/f" 1024 $SEED && start m$i "$BIN/mapper" -a "$TMP/$i/f" $SEED $SPECS &&
			told m$i || return
	done
	umnt "$TMP/1" "$TMP/2"
}

# Written through the front, read from the bare disk, and through the block layer.
same_bytes() {
	local at sum1 sum2
	mnt "$P2" "$TMP/2" && "$BIN/file" make "$TMP/2/g" 16 99 && at=$("$BIN/file" where "$TMP/2/g" 0) || return
	sum1=$(md5sum <"$TMP/2/g")
	sum2=$(dd if="$DEV" bs=4096 skip=$(((at + START2) / 4096)) count=16 iflag=direct status=none | md5sum)
	umnt "$TMP/2" && is "through the block layer" "$sum2" "$sum1" && echo 0 >$S/attached &&
		mnt "$P2" "$TMP/2" && "$BIN/file" check "$TMP/2/g" 99 && umnt "$TMP/2" && echo 1 >$S/attached
}

# A bad block of the medium: reads, faults, and the write that may repair it.
bad_block() {
	local at p=P$1
	mnt "${!p}" "$TMP/$1" && at=$("$BIN/file" where "$TMP/$1/f" 5) || return
	[ "$1" = 1 ] && at=$((at + START1)) || at=$((at + START2))
	echo "$((at / 512)) 8" >/sys/block/$D/badblocks
	echo "badblocks: $(</sys/block/$D/badblocks)"
	dd if="$TMP/$1/f" of=/dev/null bs=4096 skip=5 count=1 status=none; echo "read: $?"
	dd if="$TMP/$1/f" of=/dev/null bs=4096 skip=4 count=1 status=none; echo "read before it: $?"
	"$BIN/file" pfn "$TMP/$1/f" 5 >/dev/null; echo "fault: $?"
	"$BIN/file" pfn "$TMP/$1/f" 600 >/dev/null; echo "fault elsewhere: $?"
	dd if=/dev/zero of="$TMP/$1/f" bs=4096 seek=5 count=1 conv=notrunc status=none; echo "write: $?"
	sync "$TMP/$1/f"; echo "fsync: $?"
	dd if="$TMP/$1/f" of=/dev/null bs=4096 skip=5 count=1 status=none; echo "read again: $?"
	echo "badblocks: $(</sys/block/$D/badblocks)"
}
bad_block_sane() { as_bare bad_block "$1" && has "$TMP/front" "read: 1" && has "$TMP/front" "fault elsewhere: 0"; }

write_cache() {
	local a=/sys/block/$D/dax/write_cache
	cat $a
	echo 0 >$a; echo "off: $?"; cat $a
	mnt "$P2" "$TMP/2" && "$BIN/file" make "$TMP/2/h" 16 7; echo "make: $?"
	echo 1 >$a; echo "on: $?"; cat $a
	"$BIN/file" check "$TMP/2/h" 7; echo "check: $?"
}

# dm sees the front; it copies the disk's promises, so that MAP_SYNC works above it.
mapped() {
	dmsetup --noudevsync create dh_test --table "0 $((LEN2 / 512)) linear $P2 0" &&
		mnt /dev/mapper/dh_test "$TMP/2" && start dm "$BIN/mapper" -a "$TMP/2/f" $SEED $SPECS && told dm
	echo "mapper: $?"
	cat /sys/block/dm-0/queue/dax
	umnt "$TMP/2" && dmsetup --noudevsync remove dh_test
}
mapped_sane() { as_bare mapped && has "$TMP/front" "mapper: 0"; }

# The limit of the kernel stays: XFS takes the one slot, a second one goes without DAX.
reflink() { mkfs.xfs -q -f -K -m reflink=1 "$P1" && mount -o dax=always "$P1" "$TMP/1"; echo "mount: $?"; }

queue() { cat /sys/block/$D/queue/{dax,logical_block_size,physical_block_size,write_cache,fua}; cat /sys/block/$D/size; }

must "XFS without rmapbt, ext4: dax=always, 2 MiB and 4 KiB mappings, MAP_SYNC" both 0
must "XFS with rmapbt, ext4: the same" both 1
t "the attributes of the disk" as_bare queue
t "what was written through the front is on the disk" same_bytes
t "XFS: a bad block: reads, faults and repair as on the bare disk" bad_block_sane 1
t "ext4: a bad block: the same" bad_block_sane 2
t "the write cache attribute" as_bare write_cache
t "device-mapper over it: DAX, MAP_SYNC" mapped_sane
t "what XFS refuses on a partition it refuses here" as_bare reflink
t "attached, and nothing is pending" is state "$(<$S/state)" active
finish
