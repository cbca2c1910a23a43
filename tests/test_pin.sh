#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A page is pinned when the disk is removed, by a pipe or by a transfer in flight: the removal waits,
# says who, and finishes when the page is let go.
. "$(dirname "$0")/lib.sh"
need_module
plan 34

setup() {
	partitions 320 300 && mkx "$P1" && mke "$P2" && both_mounted || return
	for i in 1 2; do
		"$BIN/file" make "$TMP/$i/pin" 64 $SEED && "$BIN/file" make "$TMP/$i/map" 512 $SEED || return
	done
	sync
}
watch() { echo >$TRACE/trace && echo 1 | tee $TRACE/events/dax_holder/barrier_{taken,released}/enable; }
# Each removal has waited for more than the second of waits().
traced() {
	is taken "$(grep -c "barrier_taken: disk=$D\$" $TRACE/trace)" "$n" &&
		is released "$(grep -cE "barrier_released: disk=$D held_ns=[0-9]{10,}\$" $TRACE/trace)" "$n"
}
# A disk that keeps a transfer for as long as we like: suspended.
SLOW=/dev/mapper/dh_slow
slow() { dmsetup --noudevsync create "${SLOW##*/}" --table "0 2048 linear $PLAIN 0"; }
both_mounted() { mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2"; }

# held COUNT: the barrier is held, for so many pages, all of them pinned
held() { [[ $(cat "$G/barrier" 2>&1) == "held since "*" ms: $1 page"*"pinned $1)"* ]]; }

not_held() {
	is barrier "$(<"$G/barrier")" none &&
		is "override without a removal" "$(wr "$G/override" release)" EINVAL
}

# pins HOW PARTITION PAGES [write|read]
pins() {
	INODE=$(stat -c %i "$TMP/$2/pin")
	[ -z "${4:-}" ] || dmsetup --noudevsync suspend $SLOW || return
	start pin "$BIN/pinner" "$1" "$TMP/$2/pin" $SEED "$3" ${4:+"$4" $SLOW} &&
		start map1 "$BIN/mapper" "$TMP/1/map" $SEED shared,read shared,write private,read &&
		start map2 "$BIN/mapper" "$TMP/2/map" $SEED shared,read shared,write private,read
}
waits() {
	unbind 0
	wait_for 30 held "$1" || { cat "$G/barrier"; return 1; }
	nap 1
	! gone "${PID[unbind]}" || { echo "the removal did not wait"; return 1; }
	held "$1"
}
# Who: the partition and the file.
names() { has "$G/barrier" "${D}p$1:" && has "$G/barrier" "inode $INODE"; }
# Everybody but the owner of the pin is through with it: the mappings do not wait for the pin.
swept() { told map1 && told map2 && held "$1"; }
says() { wait_for 25 logged "$D: removal waits: $1 pages? in use .*pinned $1\)"; }
wrong_words() {
	is "override yes" "$(wr "$G/override" yes)" EINVAL && is "override empty" "$(wr "$G/override" '')" EINVAL &&
		is "override releases" "$(wr "$G/override" releases)" EINVAL &&
		is "inject while removing" "$(wr "$G/inject" all)" ESHUTDOWN && held 1
}
finishes() {
	! gone "${PID[unbind]}" && { [ -z "${1:-}" ] || dmsetup --noudevsync resume $SLOW; } &&
		told pin && has "$TMP/pin" RELEASED && wait_for 60 gone "${PID[unbind]}" && ended unbind &&
		umnt "$TMP/1" "$TMP/2" && bind_now && attached && both_mounted || return
	for i in 1 2; do
		"$BIN/file" check "$TMP/$i/pin" $SEED && "$BIN/file" check "$TMP/$i/map" $SEED || return
	done
}

must "XFS and ext4, and a disk to be suspended" eval "setup && slow && watch"
t "no barrier is held, and there is nothing to override" not_held
n=0
# The pinned file is open or closed: a closed one is evicted from under its own pins. The pages are in
# a pipe, or in a transfer to a disk, or in one from it, which would write to whatever the memory is by
# then: what the first has left on the disk, the second must bring to the file.
for what in "open 1 1" "open 2 16" "closed 1 2" "closed 2 1" "open 1 16 write" "closed 2 2 read"; do
	set -- $what
	by=${4:+an O_DIRECT $4} by=${by:-a pipe}
	fs=$([ "$2" = 1 ] && echo XFS || echo ext4)
	n=$((n + 1))
	t "$fs: $3 page(s) of a file that is $1, pinned by $by" pins $what
	t "$fs: the removal waits for $3" waits "$3"
	[ "$1" != open ] || t "$fs: the barrier names partition and inode" names "$2"
	[ $n != 1 ] || t "$fs: nothing but the right word overrides; no injection meanwhile" wrong_words
	[ $n != 2 ] || t "$fs: a line every 10 s says how many are waited for" says "$3"
	t "$fs: all mappings are gone long before" swept "$3"
	t "$fs: released with the right content, the removal ends, all is there again" finishes ${4:-}
done
# A file that is being evicted is on no list any more: only its page says that it is in use. Who evicts it may be a
# writer of its file system all the while.
unlinked() {
	"$BIN/file" make "$TMP/$1/gone" 64 $SEED && sync && start pin "$BIN/pinner" closed "$TMP/$1/gone" $SEED 1 || return
	rm "$TMP/$1/gone" &
	PID[rm]=$!
	nap 1 && ! gone "${PID[rm]}" || { echo "nobody waits for the page"; return 1; }
	waits 1
	local rc=$?
	told pin && wait_for 30 gone "${PID[rm]}" && wait_for 30 gone "${PID[unbind]}" && ended unbind || return
	n=$((n + 1))
	umnt "$TMP/1" "$TMP/2" && bind_now && attached && both_mounted && return $rc
}
t "XFS: a pinned file that is closed and unlinked is waited for" unlinked 1
t "ext4: a pinned file that is closed and unlinked is waited for" unlinked 2
t "trace: each barrier is taken, held and released, none by force" traced
dmsetup --noudevsync remove $SLOW
umnt "$TMP/1" "$TMP/2"
finish
