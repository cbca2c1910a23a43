#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One event over three partitions: the whole device, then a set of sparse ranges. Each holder is
# called once, with what concerns it.
. "$(dirname "$0")/lib.sh"
need_module
plan 19

HUGE="shared,read,huge private,read,huge shared,write,huge,sync"
SMALL="shared,read shared,write private,write"

setup() {
	partitions 320 300 300 && mkx "$P1" && mke "$P2" && mke "$P3" && mount_all || return
	for i in 1 2 3; do
		"$BIN/file" make "$TMP/$i/huge" 1024 $SEED && "$BIN/file" make "$TMP/$i/small" 512 $SEED ||
			return
	done
	sync
}
mount_all() { mnt "$P1" "$TMP/1" && mnt "$P2" "$TMP/2" && mnt "$P3" "$TMP/3"; }
umount_all() { umnt "$TMP/1" "$TMP/2" "$TMP/3"; }

people() {
	for i in 1 2 3; do
		start "huge$i" "$BIN/mapper" "$TMP/$i/huge" $SEED $HUGE &&
			start "small$i" "$BIN/mapper" "$TMP/$i/small" $SEED $SMALL || return
	done
}
watch() {
	echo 0 >$TRACE/tracing_on && echo >$TRACE/trace && echo 1 >$TRACE/events/dax_holder/enable &&
		echo 1 >$TRACE/tracing_on || return
	: >"$TMP/uevents"		# here: else the words of the last listener are taken for this one's
	udevadm monitor --kernel --property --subsystem-match=block >"$TMP/uevents" &
	PID[udev]=$!
	wait_for 10 has "$TMP/uevents" KERNEL
}

called_once() {
	for i in 1 2 3; do
		local p=P$i
		is "$p state" "$(holder "${!p}" state)" down && is "$p calls" "$(holder "${!p}" events)" 1 &&
			is "$p result" "$(holder "${!p}" result)" 0 || return
	done
}
all_dead() { for i in 1 2 3; do told "huge$i" && told "small$i" || return; done; }

# The trace events are those that are promised, and perf finds them.
promised() {
	local abi=$HERE/../Documentation/ABI/testing/debugfs-dax_holder names
	names=$(sed -n '\|^What:.*/tracing/|,$s/^\t\t\([a-z]*_[a-z]*\)\( .*\|$\)/dax_holder:\1/p' "$abi" | sort)
	like names "$names" '*dax_holder:event_accepted*' &&
		is kernel "$(grep ^dax_holder: $TRACE/available_events | sort)" "$names" || return
	[ ! -x "$(command -v perf)" ] ||
		is perf "$(perf list 'dax_holder:*' 2>&1 | grep -o 'dax_holder:[a-z_]*' | sort -u)" "$names"
}

traced() {
	local seq="disk=$D seq=$(event seq)" first=$(event first) want p len
	# Nobody is called before the gate is closed; then each closes all of its own window.
	want="event_accepted: $seq kind=failure source=injected first=${first%+*} bytes=$(event bytes) ranges=$(event ranges)
gate_closed: $seq bytes=$(event bytes)"
	for i in 1 2 3; do
		p=P$i len=LEN$i
		want+="
holder_begin: $seq holder=${D}p$i
gate_closed: $seq bytes=${!len}
holder_end: $seq holder=${D}p$i result=0 usec=$(holder "${!p}" usec)"
	done
	is trace "$(sed -nE 's/ ns=([0-9]+)[0-9]{3}$/ usec=\1/; s/.* ((event|gate|holder)_[a-z]*:)/\1/p' $TRACE/trace)" "$want"
}

uevent() {
	local ev
	wait_for 10 has "$TMP/uevents" DAX_HOLDER_RESULT
	nap 0.3			# for one too many
	kill "${PID[udev]}" && wait "${PID[udev]}" 2>/dev/null
	unset "PID[udev]"
	ev=$(awk -v RS= '/DAX_HOLDER_EVENT=/' "$TMP/uevents")
	is "uevents" "$(grep -c DAX_HOLDER_EVENT= <<<"$ev")" 1 &&
		for w in ACTION=change DEVNAME=$DEV DAX_HOLDER_EVENT=failure "DAX_HOLDER_SEQ=$(event seq)" \
			"DAX_HOLDER_RANGES=$1" DAX_HOLDER_HOLDERS=3 DAX_HOLDER_RESULT=0; do
			grep -q "^$w\$" <<<"$ev" || { echo "no $w in: $ev"; return 1; }
		done
}

back() {
	umount_all && reset && mount_all || return
	for i in 1 2 3; do
		"$BIN/file" check "$TMP/$i/huge" $SEED && "$BIN/file" check "$TMP/$i/small" $SEED || return
	done
}

whole() {
	inject "$1" && is ranges "$(event ranges)" 1 && is holders "$(event holders)" 3 &&
		is result "$(event result)" 0 && like first "$(event first)" '0x0+*' &&
		is bytes "$(event bytes)" $(($(</sys/block/$D/size) * 512))
}

t "the trace events are those of the ABI, and perf lists them" promised
numbered() {
	echo 0 >$S/attached && echo 1 >$S/attached && is last_event "$(<$S/last_event)" none && inject 0+4096 && is seq "$(event seq)" 1 &&
		inject 8192+4096 && is seq "$(event seq)" 2 && reset
}
t "attached anew, events are counted from 1" numbered
must "three file systems" setup
must "readers and writers on all, 2 MiB and 4 KiB" people
t "trace and uevents are listened to" watch
t "the whole device, as the word all" whole all
t "each holder is called once" called_once
t "no process can touch any of the memory" all_dead
t "trace: the event, its gate, then each holder's begin, gate and end once, with the right fields" traced
t "one uevent" uevent 1
t "unmount, clear, mount: recovered, content right" back
again() { people && whole "0+0xffffffffffffffff" && called_once && all_dead && back; }
t "the whole device, as (0, U64_MAX)" again

# Unsorted, with an overlap, two neighbours that are one range, and one range across the border
# of two partitions: 4 ranges in all, in every partition.
A=$((START1 + 8 * MIB)) B=$((START1 + 200 * MIB)) C=$((START2 + 100 * MIB))
sparse() {
	inject "$((START3 - 8192))+16384, $((A + 8192))+4096 $A+8192
$C+4096,$((C - 4096))+8192 $B+0x1000" &&
		is ranges "$(event ranges)" 4 && is holders "$(event holders)" 3 &&
		is result "$(event result)" 0 && is bytes "$(event bytes)" $((16384 + 12288 + 8192 + 4096)) &&
		like "ring" "$(tail -n1 "$G/events")" "*list=$(hex $A 12288),$(hex $B 4096),$(hex $((C - 4096)) 8192),$(hex $((START3 - 8192)) 16384)*"
}
hex() { printf '0x%x+0x%x' "$1" "$2"; }
# The ranges each has heard are its own: clipped to its partition, and counted from its start.
called_clipped() {
	called_once && is "of 1" "$(holder "$P1" ranges)" "$(hex $((8 * MIB)) 12288),$(hex $((200 * MIB)) 4096)" &&
		is "of 2" "$(holder "$P2" ranges)" \
			"$(hex $((100 * MIB - 4096)) 8192),$(hex $((LEN2 - 8192)) 8192)" &&
		is "of 3" "$(holder "$P3" ranges)" "$(hex 0 8192)"
}
sparse_people() { people && watch; }
must "readers and writers again" sparse_people
t "a set of sparse ranges in all three partitions" sparse
t "each holder is called once, with its own ranges" called_clipped
t "no process can touch any of its memory" all_dead
sparse_seen() { traced && uevent 4; }
t "trace and uevent: three holders, four ranges" sparse_seen
t "unmount, clear, mount: recovered, content right" back
# More than two parts of 64 MiB: if the first one took long enough, another CPU is called for the rest.
large() {
	"$BIN/file" make "$TMP/1/large" 4096 $SEED && start large "$BIN/mapper" "$TMP/1/large" $SEED shared,read,small shared,write,small &&
		truncate -s 144M "$TMP/1/large" && sync || return
	echo >$TRACE/trace && echo 1 >$TRACE/events/workqueue/workqueue_queue_work/enable && inject all
	local rc=$?
	echo 0 >$TRACE/events/workqueue/workqueue_queue_work/enable
	((rc == 0)) && told large && has $TRACE/trace "function=unmap_parts" && umount_all && reset && mount_all &&
		truncate -s 16M "$TMP/1/large" && "$BIN/file" check "$TMP/1/large" $SEED
}
t "a file of 144 MiB is unmapped by two CPUs" large
umount_all
finish
