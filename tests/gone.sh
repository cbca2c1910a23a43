# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the suites and by what runs them.

# gone PID: has it ended? Also if bash has not taken notice: read's timer, when it fires at the
# wrong moment, makes bash lose SIGCHLD for good (seen on the debug kernel, where all is slow).
gone() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	stat=${stat##*) }
	[ "${stat%% *}" = Z ]
}
