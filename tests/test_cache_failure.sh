#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Parts of a dm-writecache's memory fail: it is taken out of use at once, nothing is written back,
# and what it had is still on the medium. Memory that it does not use is none of its business.
. "$(dirname "$0")/lib.sh"
. "$HERE/writecache.sh"
need_writecache
plan 17

# The cache on the second partition, something else on the first. It is larger than what mkfs.xfs
# zeroes: what does not fit goes past it.
setup() { partitions 300 160 && mke "$P1" && CACHE=$P2 START=$START2; }
made() {
	nothing && fresh_cache && cached 4 high_watermark 100 low_watermark 99 && mkfs_on "$1" && mount $WC "$M" && mnt "$P1" "$TMP/neighbour" &&
		start other "$BIN/fsyncer" write "$TMP/neighbour" "$TMP/logneighbour" && writers && nap 0.3
}
# What was written to the origin until now, in sectors (Documentation/ABI/stable/sysfs-block).
written() { local w; read -ra w </sys/block/"${PLAIN#/dev/}"/stat && echo "${w[6]}"; }
origin_as_before() { is "sectors written to the origin" "$(written)" "$BEFORE"; }

# n_blocks is in the super block of the cache (drivers/md/dm-writecache.c), the data behind the
# entries, 16 bytes for each.
data_offset() {
	local n
	n=$(od -An -t u8 -j 16 -N 8 "$CACHE")
	echo $(((64 + n * 16 + 4095) / 4096 * 4096))
}

lives() { kill -0 "${PID[other]}" && grep -q "$TMP/neighbour " /proc/mounts; }
down() {
	stopped && refused && lives && origin_as_before &&
		is state "$(holder "${P2#/dev/}" state)" down && is kind "$(holder "${P2#/dev/}" kind)" "$WC_DM" &&
		is "file system" "$(holder "$WC_DM" state)" down && like table "$(dm table wc)" '*error*'
}
# What the cache had is on the medium: a cache on it again has everything that was durable.
on_medium() {
	dismantle && kill -KILL "${PID[other]}" && wait "${PID[other]}" 2>/dev/null
	unset "PID[other]"
	umnt "$TMP/neighbour" && reset && cached && mount $WC "$M" || return
	for i in $WRITERS; do "$BIN/fsyncer" verify "$M/$i" "$TMP/log$i" || return; done
	dismantle
}

# fails_at FS OFFSET: in bytes of the cache
fails_at() {
	made "$1" || return
	local at=$2
	[ "$at" != data ] || at=$(data_offset)
	[ "$at" != free ] || at=$((LEN2 - 65536))	# the blocks are used from the first on
	pause && BEFORE=$(written) && inject "$((START + at))+4096" && go_on && is holders "$(event holders)" 2 && is result "$(event result)" 0 && down
}
outside() {
	made "$1" || return
	BEFORE=$(written)
	inject "$((START - 4096))+4096" && is holders "$(event holders)" 1 || return
	# The neighbour was hit, for once; the cache goes on.
	ended other && is row "$(holder "${P2#/dev/}" events)" 0 && nap 1 || return
	for i in $WRITERS; do ! gone "${PID[writer$i]}" || return; done
	for i in $WRITERS; do kill -KILL "${PID[writer$i]}"; wait "${PID[writer$i]}"; unset "PID[writer$i]"; done
	dismantle && umnt "$TMP/neighbour" && reset
}

without_agent() {
	agent_is /nonexistent && made ext4 && pause && BEFORE=$(written) && inject "$START+4096" &&
		go_on && is result "$(event result)" -2 && stopped && refused && lives && origin_as_before &&
		is state "$(holder "${P2#/dev/}" state)" stuck && is holders "$(event holders)" 2 &&
		is "file system" "$(holder "$WC_DM" state)" down &&
		# Told once, and tried again: a second failure is no news.
		inject "$((START + 8192))+4096" && is "calls" "$(holder "${P2#/dev/}" events)" 1 &&
		is clear "$(wr $S/clear 1)" EBUSY
}
released() { is state "$(holder "${P2#/dev/}" state)" down; }
with_agent() { agent_is $AGENT && wait_for 90 released && like table "$(dm table wc)" '*error*'; }

# Killed in the midst of its work, as it is when it takes too long, it leaves no device behind that is suspended:
# what waits for that, the log of XFS say, would keep the event from ending.
killed_halfway() {
	mkdir -p "$TMP/bin" && printf '#!/bin/sh\ncase " $* " in *" load "*) kill -KILL $PPID; exit 1 ;; esac\nexec %s "$@"\n' \
		"$(type -P dmsetup)" >"$TMP/bin/dmsetup" && chmod 755 "$TMP/bin/dmsetup" &&
		program halfway "PATH=$TMP/bin:\$PATH
. $AGENT" && made xfs && BEFORE=$(written) || return
	wr "$G/inject" "$START+4096" >"$TMP/inject" &
	PID[inject]=$!
	wait_for 60 gone "${PID[inject]}" || { dm resume wc; return 1; }
	ended inject && is suspended "$(dm info -c --noheadings -o suspended wc)" Active && stopped && refused && lives &&
		is state "$(holder "${P2#/dev/}" state)" stuck
}
with_the_right_one() {
	agent_is $AGENT && wait_for 90 released && dismantle && kill -KILL "${PID[other]}" && wait "${PID[other]}" 2>/dev/null
	unset "PID[other]"
	umnt "$TMP/neighbour" && reset
}

must "a cache beside a file system with DAX" setup
for fs in ext4 xfs; do
	t "$fs: a block in the data area" fails_at $fs data
	t "$fs: nothing was written back, all is on the medium" on_medium
	t "$fs: the metadata" fails_at $fs 0
	t "$fs: nothing was written back, all is on the medium" on_medium
done
t "free space of the cache" fails_at ext4 free
t "the same" on_medium
t "outside of it: it goes on" outside ext4
t "without an agent: I/O ends, nothing is written back" without_agent
t "the agent comes: released" with_agent
t "and all is on the medium" on_medium
t "an agent that is killed halfway leaves nothing suspended: the event ends" killed_halfway
t "the right one comes: released" with_the_right_one
finish
