// SPDX-License-Identifier: GPL-2.0-only
/* Trace definitions, and a function each for Rust: declare_trace! is in-tree only. */
#include "helpers.h"
#define CREATE_TRACE_POINTS
#include "trace.h"

void dh_trace_event_accepted(const char *disk, u64 seq, unsigned int kind,
			     unsigned int source, u64 first, u64 bytes, unsigned long ranges)
{
	trace_event_accepted(disk, seq, kind, source, first, bytes, ranges);
}

void dh_trace_gate_closed(const char *disk, u64 seq, u64 bytes)
{
	trace_gate_closed(disk, seq, bytes);
}

void dh_trace_holder_begin(const char *disk, u64 seq, const char *holder)
{
	trace_holder_begin(disk, seq, holder);
}

void dh_trace_holder_end(const char *disk, u64 seq, const char *holder, int result, u64 ns)
{
	trace_holder_end(disk, seq, holder, result, ns);
}

void dh_trace_barrier_taken(const char *disk)
{
	trace_barrier_taken(disk);
}

void dh_trace_barrier_released(const char *disk, u64 ns, bool forced)
{
	trace_barrier_released(disk, ns, forced);
}
