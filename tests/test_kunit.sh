#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# KUnit: the tests inside the module have run when it was loaded, and passed. Each is a result below that
# of its suite.
# kernel: debug kcsan
. "$(dirname "$0")/lib.sh"
K=/sys/kernel/debug/kunit
[ -d $K ] || skip_all "this kernel has no KUnit, or does not show it in debugfs"
! dmesg | grep -q 'kunit: disabled' || skip_all "KUnit is off: boot with kunit.enable=1 kunit.autorun=1"
need_module
plan 6

# passed SUITE: its results are those of a complete run without failed or skipped tests.
passed() {
	local line wanted=0 good=0 all=
	[ -e "$K/$1/results" ] || { echo "no suite $1"; return 1; }
	while IFS= read -r line; do
		echo "$line"
		case $line in
		'    1..'*) wanted=${line##*..} ;;
		*'# SKIP'* | *'not ok '*) return 1 ;;
		'    ok '*) good=$((good + 1)) ;;
		"ok 1 $1") all=1 ;;
		esac
	done <"$K/$1/results"
	((wanted > 0)) && is "tests that passed" "$good" "$wanted" && is "the suite's result" "$all" 1
}

# kunit SUITE WHAT
kunit() {
	# Its own KTAP has a level for the file and one for the tests.
	sed -n 's/^    /  /p' "$K/$1/results"
	t "$2" passed "$1"
}

again() {
	local suite
	for suite in dax_holder_{range,event,registry,command,translation}; do
		echo run >"$K/$suite/run" && passed "$suite" || return 1
	done
}

kunit dax_holder_range "ranges and sets of them"
kunit dax_holder_event "events and the failures that wait"
kunit dax_holder_registry "what holders have answered, and the last events"
kunit dax_holder_command "the inject command"
kunit dax_holder_translation "from the bytes of a disk to those of a stacked device"
t "all of them once more, on demand" again
finish
