#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Bad injections: the right errno, one line that says what was wrong, and nothing happens.
. "$(dirname "$0")/lib.sh"
need_module
plan 32

SIZE=$(($(</sys/block/$D/size) * 512))

setup() {
	partitions 300 && mke "$P1" && mnt "$P1" "$TMP/e" &&
		"$BIN/file" make "$TMP/e/f" 256 $SEED &&
		start reader "$BIN/mapper" -a "$TMP/e/f" $SEED shared,read shared,write &&
		BEFORE=$(<$S/last_event)
}

untouched() {
	is state "$(<$S/state)" active &&
		is last_event "$(<$S/last_event)" "$BEFORE" &&
		is "events of the holder" "$(holder "$P1" events)" 0
}

# bad ERRNO TEXT
bad() {
	is "write of '${2:0:60}'" "$(wr "$G/inject" "$2")" "$1" && untouched &&
		logged "$D" && is "lines about it" "$(log_since | grep -c "$MODULE: ")" 1
}
# bad_list ERRNO COUNT: COUNT ranges, each of them right
list() { for ((i = 0; i < $1; i++)); do echo "$((SIZE - MIB))+4096"; done; }
bad_list() {
	list "$2" >"$TMP/list"
	is "write of $2 ranges" "$(wr "$G/inject" <"$TMP/list")" "$1" && untouched && logged "$D"
}
bad_long() {
	printf '4096+4096%131100s' '' >"$TMP/list"
	is "write of much text" "$(wr "$G/inject" <"$TMP/list")" E2BIG && untouched && logged "$D"
}

must "a file system with mapped files, none of whose processes may notice" setup
t "empty" bad EINVAL ""
t "blanks" bad EINVAL "  "
t "a line feed" bad EINVAL $'\n'
t "garbage" bad EINVAL "garbage"
t "a word that only begins like 'all'" bad EINVAL "allall"
t "offset only" bad EINVAL "0x1000"
t "no length" bad EINVAL "0x1000+"
t "no offset" bad EINVAL "+0x1000"
t "only the plus" bad EINVAL "+"
t "hex prefix without digits" bad EINVAL "0x+0x1000"
t "digits that are not hex" bad EINVAL "0xfg000+0x1000"
t "text after the number" bad EINVAL "4096+4096x"
t "three numbers" bad EINVAL "4096+4096+4096"
t "negative offset" bad EINVAL "-4096+4096"
t "negative length" bad EINVAL "4096+-4096"
t "wrong separator" bad EINVAL "4096+4096;8192+4096"
t "unaligned offset" bad EINVAL "1+4096"
t "unaligned length" bad EINVAL "4096+1"
t "length of zero" bad EINVAL "4096+0"
t "one bad item after a good one" bad EINVAL "$((2 * MIB))+4096 garbage"
t "one good item after a bad one" bad EINVAL "garbage,$((2 * MIB))+4096"
t "begins at the end of the disk" bad ERANGE "$SIZE+4096"
t "ends past the end of the disk" bad ERANGE "$((SIZE - 4096))+8192"
t "far past the end, after a good item" bad ERANGE "$((2 * MIB))+4096 0x7ffffffffffff000+4096"
t "the sum wraps" bad EOVERFLOW "0xfffffffffffff000+0x2000"
t "the sum is 2^64" bad EOVERFLOW "0x1000+0xfffffffffffff000"
t "a number of more than 64 bits" bad EOVERFLOW "0x10000000000000000+4096"
t "more than 4096 ranges" bad_list E2BIG 4097
t "more than 128 KiB of text" bad_long

# Only now is it shown that the interface does not simply refuse everything.
most() {
	list 4096 >"$TMP/list"
	like "write of 4096 ranges" "$(wr "$G/inject" <"$TMP/list")" '[0-9]*' &&
		is state "$(<$S/state)" failed && is "ranges, merged" "$(event ranges)" 1 &&
		is holders "$(event holders)" 0
}
t "4096 ranges are not too many; nobody lives there" most
t "nobody has noticed anything" told reader
finish
