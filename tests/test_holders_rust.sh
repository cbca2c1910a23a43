#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Holders in Rust (rust/dax_holder.rs), and the modules of Documentation/holders.rst. What the layer
# itself promises is the matter of test_holders; this is about the wrapper. The last one cannot be
# unloaded any more.
# guest: own
. "$(dirname "$0")/lib.sh"
need_module
MODULES=$BIN/../${KERNEL:-stock}
[ -e "$MODULES/tests/holder_test_rust.ko" ] || skip_all "holder_test_rust.ko is not built: make test-modules"
plan 12

R=/sys/kernel/debug/holder_test_rust/holders
numbers() { local n; n=$(<"/sys/class/block/${1#/dev/}/dev"); echo "major=${n%:*} minor=${n#*:}"; }
# load_rust PARTITION PARAMETER=VALUE...
load_rust() { insmod "$MODULES/tests/holder_test_rust.ko" $(numbers "$1") "${@:2}"; }
unload_rust() { rmmod holder_test_rust; }
# seen CALLS FIRST LAST KIND HULL PARTS BYTES: of each holder, a line
seen() { is "what the holders saw" "$(<$R/state)" "$(printf '%s\n' "$@")"; }
next() { local n; n=$(event seq); N=$((${n:-0} + 1)); }
said() { sync_log && log_since | grep -qF "$1" || { echo "not in the log: $1"; return 1; }; }

setup() { partitions 64 320 64; }
# Sparse ranges, from before the partition to behind it: the holder sees its part, from its beginning.
parts() {
	next
	load_rust "$P2" && inject "$((START2 - 4096))+8192,$((START2 + 65536))+4096,$((START3 - 8192))+16384" &&
		seen "1 $N $N failure 0+$LEN2 3 $((4096 + 4096 + 8192))" &&
		is holders "$(event holders)" 1 && unload_rust && reset
}
# Ten in a row, an event for the third to the fifth.
several() {
	next
	load_rust "$P2" offset=8192 len=8192 count=10 && inject "$((START2 + 8192 + 2 * 8192 + 4096))+$((8192 + 8192))" &&
		seen "0 0 0 - 0+0 0 0" "0 0 0 - 0+0 0 0" "1 $N $N failure 4096+4096 1 4096" \
			"1 $N $N failure 0+8192 1 8192" "1 $N $N failure 0+4096 1 4096" \
			"0 0 0 - 0+0 0 0" "0 0 0 - 0+0 0 0" "0 0 0 - 0+0 0 0" "0 0 0 - 0+0 0 0" "0 0 0 - 0+0 0 0" &&
		is holders "$(event holders)" 3 && unload_rust && reset
}
answers() {
	load_rust "$P2" answer=-5 && inject "$START2+4096" && is result "$(event result)" -5 &&
		unload_rust && load_rust "$P2" answer=-95 && inject "$START2+4096" &&
		is "result of one that holds nothing" "$(event result)" 0 && unload_rust && reset
}
absorbs() {
	mkx "$P2" && mnt "$P2" "$TMP/2" && load_rust "$P2" priority=1 && inject "$START2+4096" &&
		is holders "$(event holders)" 1 && touch "$TMP/2/alive" && unload_rust &&
		inject "$((START2 + 4096))+4096" && fails touch "$TMP/2/dead" && umount "$TMP/2" && reset
}
reports() {
	next
	load_rust "$P2" count=2 len=1048576 && wr "$R/report" "4096 100 0 100 1048576 1" >/dev/null &&
		said "report: event $N, 12288 bytes, 2 holders, result 0" &&
		seen "1 $N $N failure 0+8192 1 8192" "1 $N $N failure 0+4096 1 4096" &&
		is "a report beyond the end" "$(wr "$R/report" "$LEN2 1")" ERANGE &&
		is "a report of nothing" "$(wr "$R/report" "4096 0")" EINVAL &&
		unload_rust && reset
}
refused() {
	fails load_rust "$P2" offset=4096 len="$LEN2" && fails load_rust "$PLAIN" &&
		# The second of two does not fit: the first must be unregistered, or this module's exit never.
		fails load_rust "$P2" len=$((LEN2 / 2 + 4096)) count=2 &&
		inject "$START2+4096" && is holders "$(event holders)" 0 && reset
}
# Dropping a registration waits for its call.
waits() {
	load_rust "$P2" delay_ms=3000 || return
	wr "$G/inject" "$START2+4096" >"$TMP/inject" &
	wait_for 20 running && unload_rust && wait $! && like "inject" "$(<"$TMP/inject")" '[0-9]*' &&
		is holders "$(event holders)" 1 && is result "$(event result)" 0 && reset
}
# The gate is closed just before the holders are told.
running() { [ "$(<$S/state)" = failed ] && nap 0.5; }
owned() {
	load_rust "$P2" owner=1 && fails unload_rust && wr "$R/drop" 1 >/dev/null && unload_rust
}
removed() {
	next
	load_rust "$P2" && unbind_now && seen "1 $N $N removal 0+$LEN2 1 $LEN2" && bind_now && attached &&
		unload_rust
}
# The samples, C and Rust: the same words.
samples() {
	local name lines
	for name in holder_c holder_rust; do
		next
		insmod "$MODULES/samples/$name.ko" $([ $name = holder_c ] && echo "device=$P2" || numbers "$P2") &&
			inject "$((START2 + 4096))+4096,$((START2 + 12288))+4096" && rmmod $name || return
		lines=$(dmesg | sed -n "s/^\[[^]]*\] $name: //p" | tail -3)
		is "what $name says" "$lines" "$(printf '%s\n' "events $N to $N, failure: 12288 bytes at 4096" \
			"- 4096 bytes at 4096" "- 4096 bytes at 12288")" || return
	done
	reset
}
# It cannot be unregistered within its own call. It stays, which it says, and so does its module.
suicide() {
	fails load_rust "$P2" suicide=1 && load_rust "$P2" suicide=1 owner=1 && inject "$START2+4096" &&
		said "dropped its registration while it was called: it stays" &&
		next && inject "$START2+4096" && seen "2 $((N - 1)) $N failure 0+4096 2 8192" &&
		fails unload_rust
}

must "partitions" setup
t "the parts of an event, in own coordinates" parts
t "several, and what concerns each" several
t "answers" answers
t "above the file system: it stays up" absorbs
t "reports" reports
t "what is refused leaves nobody behind" refused
t "dropping waits for the call" waits
t "an owner keeps the module" owned
t "a removal" removed
t "the samples" samples
t "one that drops itself stays" suicide
finish
