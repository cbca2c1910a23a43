# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# For the suites of registered holders, sourced after lib.sh: orders to tests/modules/holder_test.c.

H=/sys/kernel/debug/holder_test
MODULES=$BIN/../${KERNEL:-stock}/tests
PATIENT=600000		# ms; a deadline that no slow guest misses

need_test_module() { [ -e "$MODULES/$1.ko" ] || skip_all "$1.ko is not built: make test-modules"; }
test_module() { is "$1 $2" "$("$BIN/modloop" "$1" "$([ "$1" = load ] && echo "$MODULES/$2.ko" || echo "$2")")" ok; }

# order FILE WORDS...: one command, which must succeed. not ERRNO FILE WORDS...: which must not.
order() {
	REPLY=$(wr "$H/$1" "${*:2}")
	like "$*" "$REPLY" '[0-9]*'
}
not() { is "${*:2}" "$(wr "$H/$2" "${*:3}")" "$1"; }
add() { order add deadline=$PATIENT "$@"; }
remove() {
	local name
	(($#)) || { order remove $'\n'; return; }
	for name; do order remove "name=$name" || return; done
}

# row FILE COLUMN WORD: the fields of the first row with this WORD in that column, in ROW by name.
# By awk: the shell reads such a file a line at a time, for each of which the kernel prints it all.
declare -A ROW
row() {
	local name value
	ROW=()
	while read -r name value; do ROW[$name]=$value; done < <(awk -v column="$2" -v word="$3" '
		$1 == "#" { for (i = 2; i <= NF; i++) { name[i - 1] = $i; if ($i == column) at = i - 1 } }
		$1 != "#" && at && $at == word { for (i = 1; i <= NF; i++) print name[i], $i; exit }' "$1")
	wait $!		# it has the file open, and with it the module that made it, after it has said all
	((${#ROW[@]})) || { echo "no $3 in $1"; return 1; }
}
# has_fields WHO FIELD=VALUE...: of ROW
has_fields() {
	local pair
	for pair in "${@:2}"; do is "$1's ${pair%%=*}" "${ROW[${pair%%=*}]}" "${pair#*=}" || return; done
}
# heard NAME FIELD=VALUE...: what the holder NAME was told; none may ever see the contract broken.
heard() { row "$H/state" name "$1" && has_fields "$1" wrong=0 doubled=0 "${@:2}"; }
# listed NAME FIELD=VALUE...: its line in the holders file
listed() { row "$G/holders" kind "$1" && has_fields "$1 in holders" "${@:2}"; }
unlisted() { fails row "$G/holders" kind "$1" >/dev/null || { echo "$1 is listed"; return 1; }; }
# in_call NAME: it is being called just now
in_call() { row "$H/state" name "$1" && [ "${ROW[running]}" = 1 ]; }

# report WORDS...: an event; later NUMBER BYTES HOLDERS RESULT: what came of it.
report() { order report "disk=$DEV" "$@"; }
came_to() { is "what came of it" "$(<$H/report)" "event=$1 bytes=$2 holders=$3 result=$4"; }
# behind NAME FILE WORDS...: any command in the background, as PID[NAME]; its answer in $TMP/NAME
behind() {
	: >"$TMP/$1"
	wr "$H/$2" "${*:3}" >"$TMP/$1" 2>&1 &
	PID[$1]=$!
}
hex() { printf '0x%x+0x%x' "$1" "$2"; }

# ---- the storm of tests/modules/holder_storm.c

STORM=/sys/kernel/debug/holder_storm
storm_begins() { is "the storm begins" "$(wr $STORM/start "$DEV")" ${#DEV}; }
# storm_saw FIELD=LEAST...: that much.
storm_saw() {
	local result pair value
	result=$(<$STORM/result)
	for pair; do
		value=${result##*"${pair%%=*}="} value=${value%% *}
		((value >= ${pair#*=})) || return
	done
}
# It ends, and nothing was wrong.
storm_ends() {
	local answer result
	answer=$(wr $STORM/stop 1)
	result=$(<$STORM/result)
	note "$result" >>"$TMP/notes"
	is "the storm ends" "$answer" 1 && is wrong "${result##*wrong=}" 0 || { echo "$result"; return 1; }
}
# One more injection among the reports. Meanwhile nobody may detach; clearing may find a holder being
# called.
storm_strike() {
	local n what=
	for ((n = RANDOM % 8; n >= 0; n--)); do what+=" $((RANDOM % 128 * MIB + RANDOM % 256 * 4096))+4096"; done
	((RANDOM % 16)) || what=all
	inject "$what" && is detach "$(wr $S/attached 0)" EBUSY && like clear "$(wr $S/clear 1)" '[1E]*' || return
	nap 0.0$((RANDOM % 10))
}
