#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# guest: --nvdimms 2 --size 512M
# File systems on device-mapper devices that pass DAX on. Two devices of each layout, XFS on one and
# ext4 on the other: a range beside them, a range of one segment under either, and removal.
# LAYOUTS="a,b": only these.
. "$(dirname "$0")/lib.sh"
need_module
[ -b /dev/pmem1 ] || skip_all "no second disk"
ALL="one segment,three segments,reverse order,two disks,two stripes,three stripes,stripes on two disks,linear on stripes"
IFS=, read -ra LAYOUTS <<<"${LAYOUTS:-$ALL}"
others() { :; }			# both disks are under test
plan $((1 + 7 * ${#LAYOUTS[@]} + 3))

M=$MIB C=65536			# C: a chunk of the stripes
FS=(- xfs ext4)
SMALL=(64 shared,read shared,write private,read shared,write,sync)
HUGE=(512 shared,read,huge shared,write,huge,sync private,read,huge)

# layout NAME: everything is counted in MiB or bytes from the start of the device's own part of a
# disk, the first 208 MiB of it for XFS, the second for ext4.
#   SPLIT	the partitions of a part. Never two legs on one: dm-stripe then writes what comes
#		with a flush (the log of XFS) to the wrong place, seen without the module too
#   TABLES	what lies on what, the lowest first; linear DEVICE:OFFSET:LENGTH..., and
#		stripe LENGTH DEVICE:OFFSET... Device 0 and 1: partitions of that disk; r: the same
#		place of pmem0, by way of the whole disk; i: the table before
#   SPAN	from where to where it has something of pmem0, of pmem1
#   BESIDE	ranges of pmem0 that it has nothing of
#   HIT		for XFS and for ext4: disk and ranges that fail; TOLD: what the file system then hears
layout() {
	BIG=("${SMALL[@]}") SPLIT=(208) SPAN=() HIT=() TOLD=()
	case $1 in
	"one segment")
		BIG=("${HUGE[@]}") TABLES=("linear 0:8:192") SPAN=("8*M 200*M")
		BESIDE="8*M-4096 4096 200*M 4096"
		HIT[1]="0 9*M 8192" TOLD[1]="1*M 8192"
		HIT[2]="0 8*M-4096 8192 200*M-8192 16384" TOLD[2]="0 4096 192*M-8192 8192" ;;
	"three segments")
		BIG=("${HUGE[@]}") TABLES=("linear 0:0:64 0:72:64 0:140:64") SPAN=("0 204*M")
		BESIDE="64*M 8*M 136*M 4*M 204*M 4*M"
		HIT[1]="0 72*M-4096 8192" TOLD[1]="64*M 4096"
		HIT[2]="0 141*M 8192 203*M 2*M" TOLD[2]="129*M 8192 191*M 1*M" ;;
	"reverse order")	# the segments adjoin on the disk: what is one range there is two here
		BIG=("${HUGE[@]}") TABLES=("linear r:128:64 r:64:64 r:0:64") SPAN=("0 192*M")
		BESIDE="192*M 16*M"
		HIT[1]="0 65*M 4096" TOLD[1]="65*M 4096"
		HIT[2]="0 64*M-4096 8192" TOLD[2]="64*M 4096 192*M-4096 4096" ;;
	"two disks")
		BIG=("${HUGE[@]}") TABLES=("linear 0:8:96 1:16:96") SPAN=("8*M 104*M" "16*M 112*M")
		BESIDE="8*M-4096 4096 104*M 8*M"
		HIT[1]="0 103*M 2*M" TOLD[1]="95*M 1*M"
		HIT[2]="1 15*M 1*M+4096" TOLD[2]="96*M 4096" ;;
	"two stripes")
		SPLIT=(104 104) TABLES=("stripe 192 0:0 0:104") SPAN=("0 200*M")
		BESIDE="96*M 8*M 200*M 4096"
		HIT[1]="0 104*M+C/2 2*C" TOLD[1]="C+C/2 C/2 3*C C 5*C C/2"
		HIT[2]="0 1*M 1*M"
		TOLD[2]="32*C C 34*C C 36*C C 38*C C 40*C C 42*C C 44*C C 46*C C ..." ;;
	"three stripes")	# what adjoins here is one range
		SPLIT=(72 68 68) TABLES=("stripe 192 0:0 0:72 0:140") SPAN=("0 204*M")
		BESIDE="64*M 8*M 136*M 4*M"
		HIT[1]="0 140*M 4096" TOLD[1]="2*C 4096"
		HIT[2]="0 0 C+4096 72*M C+4096 140*M C+4096" TOLD[2]="0 3*C+4096 4*C 4096 5*C 4096" ;;
	"stripes on two disks")
		TABLES=("stripe 192 0:0 1:16") SPAN=("0 96*M" "16*M 112*M")
		BESIDE="96*M 8*M"
		HIT[1]="0 C C" TOLD[1]="2*C C"
		HIT[2]="1 16*M-4096 8192" TOLD[2]="C 4096" ;;
	"linear on stripes")	# 8 MiB of the stripes are not used
		SPLIT=(104 104) TABLES=("stripe 192 0:0 0:104" "linear i:100:92 i:0:92") SPAN=("0 200*M")
		BESIDE="46*M 4*M 150*M 4*M"
		HIT[1]="0 104*M 4096" TOLD[1]="92*M+C 4096"
		HIT[2]="0 50*M-4096 8192" TOLD[2]="0 4096" ;;
	*) echo "no layout $1"; return 1 ;;
	esac
}

# ------------------------------------------------------------------------------------- helpers

# on DISK COMMAND...: with the helpers of lib.sh meaning pmem0 or pmem1
on() {
	local D=pmem$1
	local DEV=/dev/$D S=/sys/block/$D/dax_holder G=/sys/kernel/debug/dax_holder/$D
	"${@:2}"
}
both_disks() { on 0 "$@" && on 1 "$@"; }
spans() { [ -n "${SPAN[1]:-}" ]; }
start_of() { echo $(((2 + 208 * ($1 - 1)) * MIB)); }

# list NUMBER PAIR...: as for inject; hexlist PAIR...: as in the column `ranges`
list() {
	local base text=
	base=$(start_of "$1")
	shift
	while (($#)); do
		text+=" $((base + $1))+$(($2))"
		shift 2
	done
	echo "${text# }"
}
hexlist() {
	local text='' pair
	while (($# > 1)); do
		printf -v pair ',0x%x+0x%x' $(($1)) $(($2))
		text+=$pair
		shift 2
	done
	text+=${1:+,$1}
	echo "${text#,}"
}

# table NUMBER NAME KIND SEGMENT...; LIMITS: where its segments end, if it is linear
table() {
	local v=$1 name=$2 kind=$3 at=0 text='' seg dev off len part sectors=$((MIB / 512))
	LIMITS=()
	shift 3
	[ "$kind" = linear ] || { len=$1 text="0 $((len * sectors)) striped $(($# - 1)) $((C / 512))"; shift; }
	for seg; do
		IFS=: read -r dev off len <<<"$seg"
		case $dev in
		r) dev=/dev/pmem0 off=$((off + $(start_of "$v") / MIB)) ;;
		i) dev=/dev/mapper/dh_in$v ;;
		*)	for ((part = 0; off >= SPLIT[part]; part++)); do off=$((off - SPLIT[part])); done
			dev=/dev/pmem${dev}p$(((v - 1) * ${#SPLIT[@]} + part + 1)) ;;
		esac
		off=$((off * sectors))
		if [ "$kind" = stripe ]; then
			text+=" $dev $off"
		else
			text+="$((at * sectors)) $((len * sectors)) linear $dev $off"$'\n'
			at=$((at + len))
			LIMITS+=($((at * MIB)))
		fi
	done
	dmsetup --noudevsync create "$name" <<<"$text"
}

mk1() { mkfs.xfs -q -f -K --unsupported -m reflink=0,rmapbt=1 -d agcount=4,su=2m,sw=1 -l size=24m "$1"; }
mk2() { mke "$1" -g 8192 -O ^flex_bg; }

# up [mk]: both devices and what is on them
up() {
	local v d
	for v in 1 2; do
		# shellcheck disable=SC2086
		{ ((${#TABLES[@]} == 1)) || table $v dh_in$v ${TABLES[0]}; } && table $v dh_$v ${TABLES[-1]} || return
		for d in /sys/block/dm-*; do
			[ "$(<"$d/dm/name")" != dh_$v ] || DM[v]=${d##*/}
		done
		[ -z "${1:-}" ] || "mk$v" /dev/mapper/dh_$v || return
		mnt /dev/mapper/dh_$v "$TMP/$v" || return
	done
}
down() { umnt "$TMP/1" "$TMP/2" && tables_gone; }

# Each file has a directory of its own, for which both file systems choose a place of its own.
DIRS="0 1 2 3 4 5"
checked() {
	local d
	for d in $DIRS; do "$BIN/file" check "$TMP/$1/$d/f" $SEED || return; done
}
right() { checked 1 && checked 2; }

laid_out() { layout "$1" && both_disks partitions "${SPLIT[@]}" "${SPLIT[@]}" 40 && up mk; }
made() { laid_out "$1" && files 1 && files 2 && sync && { ! spans || on 1 neighbour; }; }
files() {
	local d pages=${BIG[0]}
	mkdir "$TMP/$1"/{sync,0,1,2,3,4,5} || return
	for d in $DIRS; do
		"$BIN/file" make "$TMP/$1/$d/f" "$pages" $SEED || return
		pages=${SMALL[0]}
		keep_apart "/sys/fs/ext4/${DM[$1]}" || return
	done
	spread "$1"
}
# ext4: not one file behind the other, but each near its directory.
keep_apart() { [ ! -d "$1" ] || { echo 65536 >"$1/mb_stream_req" && echo "${SMALL[0]}" >"$1/mb_group_prealloc"; }; }
# Every segment has a file. Stripes have one by their nature.
spread() {
	local d limit from=0 where found=()
	for d in $DIRS; do found+=("$("$BIN/file" where "$TMP/$1/$d/f" 0)"); done
	for limit in "${LIMITS[@]}"; do
		for where in "${found[@]}" none; do
			[ "$where" = none ] || ((where < from || where >= limit)) || break
		done
		[ "$where" != none ] || { echo "${FS[$1]} has no file between $from and $limit: ${found[*]}"; return 1; }
		from=$limit
	done
}
# On the other disk, and none of it lies on device-mapper.
neighbour() {
	N=$((2 * ${#SPLIT[@]} + 1))
	mke "${DEV}p$N" && mnt "${DEV}p$N" "$TMP/3" && "$BIN/file" make "$TMP/3/f" "${SMALL[0]}" $SEED &&
		start neighbour "$BIN/mapper" -a "$TMP/3/f" $SEED "${SMALL[@]:1}"
}

# people NUMBER [-a]
people() {
	local d specs=("${BIG[@]:1}")
	for d in $DIRS; do
		start "map$1$d" "$BIN/mapper" ${2:-} "$TMP/$1/$d/f" $SEED "${specs[@]}" || return
		specs=(shared,read shared,write)
	done
}
told_all() {
	local d
	for d in $DIRS; do told "map$1$d" || return; done
}

# --------------------------------------------------------------------------------------- tests

nobody() {
	local beside
	read -ra beside <<<"$BESIDE"
	people 1 -a && people 2 -a && inject "$(list 1 "${beside[@]}") $(list 2 "${beside[@]}")" &&
		is holders "$(event holders)" 0 && is result "$(event result)" 0 && untouched 1 &&
		untouched 2 && told_all 1 && told_all 2
}
untouched() {
	like "row of ${FS[$1]}" "$(holder "${DM[$1]}" state)" '@(none|active)' &&
		like "calls of ${FS[$1]}" "$(holder "${DM[$1]}" events)" '@(none|0)'
}
shopt -s extglob

# row NUMBER DISK: of the file system; what lies between it and the disk was never called.
# hit NUMBER DISK PAIR...: these fail on that disk.
row() {
	local span dm=${DM[$1]} base
	read -ra span <<<"${SPAN[$2]}"
	base=$(start_of "$1")
	is kind "$(holder "$dm" kind)" "${FS[$1]}" &&
		is start "$(holder "$dm" start)" "$(printf 0x%x $((base + ${span[0]})))" &&
		is length "$(holder "$dm" length)" "$(printf 0x%x $((${span[1]} - (${span[0]}))))" &&
		is state "$(holder "$dm" state)" down && is result "$(holder "$dm" result)" 0 &&
		is calls "$(holder "$dm" events)" 1 &&
		fails grep -vE '^#|^[^ ]+ (xfs|ext4) | 0 -$' "$G/holders"
}
hit() {
	local told
	read -ra told <<<"${TOLD[$1]}"
	inject "$(list "$1" "${@:3}")" && is holders "$(event holders)" 1 && is result "$(event result)" 0 &&
		row "$1" "$2" && is ranges "$(holder "${DM[$1]}" ranges)" "$(hexlist "${told[@]}")" || {
			cat "$G/holders"
			return 1
		}
}
strike() {
	local what
	read -ra what <<<"${HIT[$1]}"
	on "${what[0]}" hit "$1" "${what[@]}"
}
# Nobody can touch any of its memory, wherever that lies, nor map it anew.
dead() {
	local d
	told_all "$1" || return
	for d in $DIRS; do
		fails "$BIN/file" pfn "$TMP/$1/$d/f" 0 && fails "$BIN/file" check "$TMP/$1/$d/f" $SEED || return
	done
	fails "$BIN/file" make "$TMP/$1/late" 4 $SEED
}
struck1() { people 1 && people 2 -a && strike 1 && dead 1 && told_all 2 && checked 2 && untouched 2; }
struck2() { people 2 && strike 2 && dead 2; }

clear_if_failed() { [ "$(<$S/state)" = active ] || reset; }
cleared() { down && both_disks clear_if_failed && up && right; }
unharmed() { is "state of $D" "$(<$S/state)" active; }

removed() {
	local v
	for v in 1 2; do
		people $v && start "sync$v" "$BIN/fsyncer" write "$TMP/$v/sync" "$TMP/log$v" || return
	done
	unbind && fails test -e /sys/block/pmem0 && test -b /dev/mapper/dh_1 && has /proc/mounts " $TMP/1 " &&
		logged "pmem0: event [0-9]+: removal.* 2 holders, result 0" || return
	for v in 1 2; do ended "sync$v" && stopped_by_error "$TMP/sync$v" "$TMP/$v" ENXIO && dead $v || return; done
	! spans || on 1 other_disk
}
# It stays, refuses what belonged to the dead file systems, and its other file system goes on.
other_disk() {
	attached && is "state of $D" "$(<$S/state)" failed && told neighbour &&
		like "calls of ${D}p$N" "$(holder "${D}p$N" events)" '@(none|0)' &&
		"$BIN/file" make "$TMP/3/late" 16 $SEED && "$BIN/file" check "$TMP/3/late" $SEED && umnt "$TMP/3"
}
back() {
	down && { ! spans || on 1 reset; } && bind_now && attached && up && right || return
	for v in 1 2; do "$BIN/fsyncer" verify "$TMP/$v/sync" "$TMP/log$v" || return; done
	down && both_disks unharmed
}

must "device-mapper is there" modprobe dm_mod
for l in "${LAYOUTS[@]}"; do
	end=$((DONE + 7)) DM=()
	t "$l: XFS and ext4 with DAX, a file on each segment" made "$l" &&
		t "$l: ranges beside them: nobody is called, all goes on" nobody &&
		t "$l: ranges under XFS: called once with its own ranges, all of it is dead, ext4 goes on" struck1 &&
		t "$l: ranges under ext4: the same" struck2 &&
		t "$l: unmounted, cleared, made again: content right" cleared &&
		t "$l: removal under readers and writers: it ends, all of them are dead" removed &&
		t "$l: bound, made again: what was durable is there" back || {
			while ((DONE < end)); do result 1 "$l: not reached"; done
			tidy >/dev/null 2>&1
		}
done

# ------------------------------------------------------------------------------- policy native

# XFS signals, and unmaps for, only those processes that want to be told early.
native() {
	laid_out "one segment" && files 1 && "$BIN/file" make "$TMP/1/bad" 1 $SEED &&
		echo 1 >/proc/sys/vm/memory_failure_early_kill && echo native >$S/policy && people 1 -a && start bad "$BIN/mapper" "$TMP/1/bad" $SEED shared,read shared,write
}
ranged() {
	local at
	at=$("$BIN/file" where "$TMP/1/bad" 0) && inject "$(($(start_of 1) + 8 * M + at))+4096" &&
		is holders "$(event holders)" 1 && is state "$(holder "${DM[1]}" state)" active &&
		is calls "$(holder "${DM[1]}" events)" 1 && is result "$(holder "${DM[1]}" result)" 0 &&
		is ranges "$(holder "${DM[1]}" ranges)" "$(hexlist "$at" 4096)" && untouched 2 && told bad
}
goes_on() {
	told_all 1 && checked 1 && fails "$BIN/file" check "$TMP/1/bad" $SEED &&
		"$BIN/file" make "$TMP/1/late" 64 $SEED && "$BIN/file" check "$TMP/1/late" $SEED && down &&
		reset
}
t "policy native: XFS on one segment" native
t "policy native: XFS hears of one page in its own bytes; who maps that gets SIGBUS" ranged
t "policy native: its other files go on" goes_on
echo 0 >/proc/sys/vm/memory_failure_early_kill
echo shutdown >$S/policy
finish
