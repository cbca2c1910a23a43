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
plan 16

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
# calls BEGIN END REGISTERED: of each holder, a line; then the most at one time.
calls() { is "the calls" "$(<$R/calls)" "$(printf '%s\n' "$@")"; }
whole_part() { echo "1 $N $N failure 0+$1 1 $1"; }
# Three of one behind the other: the last first, then the first first.
by_priority() {
	local three="offset=4096 len=8192 count=3"
	next
	load_rust "$P2" $three priority=-1 step=1 && inject "$((START2 + 4096))+24576" &&
		is holders "$(event holders)" 3 && is result "$(event result)" 0 &&
		seen "$(whole_part 8192)" "$(whole_part 8192)" "$(whole_part 8192)" &&
		calls "5 6 1" "3 4 1" "1 2 1" "most 1" && unload_rust || return
	next
	load_rust "$P2" $three priority=2147483647 step=-1 && inject "$((START2 + 4096))+24576" &&
		is holders "$(event holders)" 3 && is result "$(event result)" 0 &&
		seen "$(whole_part 8192)" "$(whole_part 8192)" "$(whole_part 8192)" &&
		calls "1 2 1" "3 4 1" "5 6 1" "most 1" && unload_rust && reset
}
# Each returns once all have been called.
parallel() {
	local i all=()
	next
	for i in 1 2 3 4 5 6 7 8; do all+=("$(whole_part 4096)"); done
	load_rust "$P2" len=4096 count=8 meet=8 deadline_ms=$((60000 * PATIENCE)) && inject "$START2+32768" &&
		is holders "$(event holders)" 8 && is result "$(event result)" 0 && seen "${all[@]}" &&
		like "the calls" "$(<$R/calls)" '*most 8' && unload_rust && reset
}
# The first of two is held, and comes before the other. What comes meanwhile is told at once.
late() {
	local late=$((2000 * PATIENCE))
	next
	load_rust "$P2" len=16384 count=2 priority=2 step=-1 held=1 deadline_ms=$late && inject "$START2+32768" &&
		is holders "$(event holders)" 2 && is result "$(event result)" -110 &&
		said "holder_test_rust on ${P2#/dev/} has not answered event $N within $late ms: stuck" &&
		first_is stuck -110 0 && seen "$(whole_part 16384)" "$(whole_part 16384)" &&
		calls "1 0 1" "2 3 1" "most 2" && is clear "$(wr $S/clear 1)" EBUSY &&
		inject "$((START2 + 8192))+16384" && is holders "$(event holders)" 2 && is result "$(event result)" -110 &&
		inject "$START2+4096" && is holders "$(event holders)" 1 && is result "$(event result)" -110 &&
		seen "$(whole_part 16384)" "2 $N $((N + 1)) failure 0+8192 2 24576" && calls "1 0 1" "4 5 1" "most 2" &&
		first_is stuck -110 0 && wr "$R/release" 1 >/dev/null && wait_for 60 first_is active 0 2 &&
		seen "2 $N $((N + 2)) failure 0+16384 3 28672" "2 $N $((N + 1)) failure 0+8192 2 24576" &&
		calls "7 8 1" "4 5 1" "most 2" && inject "$START2+4096" &&
		is holders "$(event holders)" 1 && is result "$(event result)" 0 &&
		seen "3 $N $((N + 3)) failure 0+4096 4 32768" "2 $N $((N + 1)) failure 0+8192 2 24576" &&
		calls "9 10 1" "4 5 1" "most 2" && unload_rust && reset
}
# first_is STATE RESULT EVENTS: of the first of them, in the holders file
first_is() {
	is state "$(holder "$P2" state)" "$1" && is result "$(holder "$P2" result)" "$2" && is events "$(holder "$P2" events)" "$3"
}
# The first drops the second: before its turn, after it, and while it is called.
drops_another() {
	next
	load_rust "$P2" len=8192 count=2 drops=1 priority=1 step=-1 && inject "$START2+16384" &&
		is holders "$(event holders)" 1 && seen "$(whole_part 8192)" "0 0 0 - 0+0 0 0" &&
		calls "1 2 1" "0 0 0" "most 1" && listed_so_often 1 && inject "$START2+16384" &&
		is holders "$(event holders)" 1 && seen "2 $N $((N + 1)) failure 0+8192 2 16384" "0 0 0 - 0+0 0 0" &&
		calls "3 4 1" "0 0 0" "most 1" && unload_rust || return
	next
	load_rust "$P2" len=8192 count=2 drops=1 priority=1 step=1 && inject "$START2+16384" &&
		is holders "$(event holders)" 2 && seen "$(whole_part 8192)" "$(whole_part 8192)" &&
		calls "3 4 1" "1 2 0" "most 1" && listed_so_often 1 && unload_rust || return
	next
	load_rust "$P2" len=8192 count=2 drops=1 meet=2 delay_ms=500 && inject "$START2+16384" &&
		is holders "$(event holders)" 2 && is result "$(event result)" 0 &&
		seen "$(whole_part 8192)" "$(whole_part 8192)" &&
		like "the calls" "$(<$R/calls)" $'[12] 4 1\n[12] 3 0\nmost 2' && listed_so_often 1 && unload_rust && reset
}
listed_so_often() { is "in the holders file" "$(grep -c ' holder_test_rust ' "$G/holders")" "$1"; }
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
t "the order of priorities" by_priority
t "those of one priority are called at the same time" parallel
t "one that misses its deadline is stuck, and its late answer counts" late
t "one that drops another: before its turn, after it, and while it is called" drops_another
t "dropping waits for the call" waits
t "an owner keeps the module" owned
t "a removal" removed
t "the samples" samples
t "one that drops itself stays" suicide
finish
