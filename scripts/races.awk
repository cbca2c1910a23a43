# SPDX-License-Identifier: GPL-2.0-only
# A kernel's log without KCSAN's reports of races that are none of ours: each of these becomes one line
# that no longer says BUG. For scripts/guest and for the suites (tests/lib.sh).
#
# The kernel has races of its own, most of which are known and do no harm. One is ours if any frame of
# either stack, or the place an access was reordered to, is in a module of this folder. Whom an interrupt
# has interrupted says nothing; nor who waits for a lock whose own queue is what races: that has no data
# but its own.

function said(line) { sub(/^\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? ?/, "", line); return line }

# Is this line a part of a report? Other CPUs may talk in the midst of it.
function part(text) {
	return text ~ /^(=+|)$/ || text ~ /^ +(\||\+->|[^ ]+\+0x[0-9a-f]+\/0x[0-9a-f]+|bits changed: )/ ||
		text ~ / bytes by .* on cpu [0-9]+:$/ || text ~ /^value changed: / ||
		text ~ /^(Reported by Kernel Concurrency Sanitizer|CPU: |Tainted: |Hardware name: |BUG: KCSAN: )/
}

function report(	i) {
	for (i = 1; i <= n; i++) {
		if (ours || !part(said(held[i])))
			print held[i]
		else if (held[i] ~ /BUG: KCSAN: /) {
			sub(/BUG: KCSAN: /, "KCSAN, not of dax_holder: ", held[i])
			print held[i]
		}
	}
	n = ours = interrupt = interrupted = 0
}

{ text = said($0) }
text ~ /^BUG: KCSAN: / { report(); queue = text ~ /: data-race in osq_(un)?lock( \/ osq_(un)?lock)?$/ }
text !~ /^BUG: KCSAN: / && !n { print; next }
{
	held[++n] = $0
	if (text ~ / bytes by .* on cpu [0-9]+:$/) {
		interrupt = text ~ / by interrupt on cpu/
		interrupted = 0
	}
	if (part(text) && !interrupted && !queue && text ~ /\[(dax_holder|holder_[a-z_]+|slow_bind|surprise)\]/)
		ours = 1
	if (interrupt && text ~ /^ +asm_(sysvec_|common_interrupt)/)
		interrupted = 1
	if (text ~ /^=+$/)
		report()
}
END { report() }
