#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Eight threads fault at random pages while the event comes. Once it has returned, nobody holds a
# mapping that works, and nobody gets a new one. ext4 alone would go on serving read faults. Then eight
# threads write(2): they meet EIO and nothing else, also those who were about to repair what had failed.
. "$(dirname "$0")/lib.sh"
need_module
plan 8

ROUNDS=${ROUNDS:-${DEBUG:+4}}
ROUNDS=${ROUNDS:-12}
THREADS=8

setup() {
	partitions 320 300 && mkx "$P1" && mke "$P2" || return
	for i in 1 2; do
		local p=P$i
		mnt "${!p}" "$TMP/$i" && "$BIN/file" make "$TMP/$i/f" 1024 $SEED && umnt "$TMP/$i" || return
	done
}

# race ARGUMENTS: of faultrace. Whoever faults again and again must not keep the event from ending.
race() {
	"$BIN/faultrace" "$@" >"$TMP/race" 2>&1 &
	PID[race]=$!
	wait_for 120 gone "${PID[race]}" || {
		echo "no end after 120 s:"
		cat "/proc/${PID[race]}/task/"*/stack
		return 1
	}
	ended race
}

# The delay differs from round to round, so that the event meets the threads in all moods. One page that
# is of no file is as bad as all of them, and what then refuses theirs is that their file system is down.
failure() {
	local p=P$1 start=START$1 len=LEN$1 n
	for ((n = 1; n <= ROUNDS; n++)); do
		mnt "${!p}" "$TMP/$1" &&
			race "$TMP/$1/f" $SEED $THREADS "$G/inject" "${!start}+$((n % 2 ? 4096 : ${!len}))" \
				$((RANDOM % 60000)) &&
			is victim "$(holder "${!p}" state)" down && umnt "$TMP/$1" && reset || {
			echo "in round $n"
			return 1
		}
	done
}
removal() {
	local p=P$1 n
	for ((n = 1; n <= (ROUNDS + 1) / 2; n++)); do
		mnt "${!p}" "$TMP/$1" &&
			race "$TMP/$1/f" $SEED $THREADS $ND/unbind "$NAME" $((RANDOM % 60000)) &&
			umnt "$TMP/$1" && bind_now && attached || {
			echo "in round $n"
			return 1
		}
	done
}
writers() {
	local p=P$1 start=START$1 len=LEN$1 n
	for ((n = 1; n <= ROUNDS; n++)); do
		mnt "${!p}" "$TMP/$1" &&
			"$BIN/writerace" "$TMP/$1" $THREADS "$G/inject" "${!start}+${!len}" $((RANDOM % 30000)) &&
			umnt "$TMP/$1" && reset || {
			echo "in round $n"
			return 1
		}
	done
}
intact() {
	for i in 1 2; do
		local p=P$i
		mnt "${!p}" "$TMP/$i" && "$BIN/file" check "$TMP/$i/f" $SEED && umnt "$TMP/$i" || return
	done
}

must "XFS and ext4 with a file of 4 MiB each" setup
t "XFS: $ROUNDS failures under $THREADS faulting threads" failure 1
t "ext4: $ROUNDS failures under $THREADS faulting threads" failure 2
t "XFS: removals under $THREADS faulting threads" removal 1
t "ext4: removals under $THREADS faulting threads" removal 2
t "XFS: $ROUNDS failures under $THREADS threads that write" writers 1
t "ext4: $ROUNDS failures under $THREADS threads that write" writers 2
t "both files are intact" intact
finish
