/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dax_holder

#if !defined(DAX_HOLDER_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DAX_HOLDER_TRACE_H

#include <linux/tracepoint.h>

/* The orders of the enums in src/event.rs. */
#define show_kind(k) \
	__print_symbolic(k, { 0, "failure" }, { 1, "removal" }, { 2, "surprise" })
#define show_source(s) \
	__print_symbolic(s, { 0, "memory_failure" }, { 1, "unbind" }, \
			 { 2, "confirmation" }, { 3, "injected" }, { 4, "reported" })

TRACE_EVENT(event_accepted,
	TP_PROTO(const char *disk, u64 seq, unsigned int kind, unsigned int source,
		 u64 first, u64 bytes, unsigned long ranges),
	TP_ARGS(disk, seq, kind, source, first, bytes, ranges),
	TP_STRUCT__entry(
		__string(disk, disk)
		__field(u64, seq)
		__field(unsigned int, kind)
		__field(unsigned int, source)
		__field(u64, first)
		__field(u64, bytes)
		__field(unsigned long, ranges)
	),
	TP_fast_assign(
		__assign_str(disk);
		__entry->seq = seq;
		__entry->kind = kind;
		__entry->source = source;
		__entry->first = first;
		__entry->bytes = bytes;
		__entry->ranges = ranges;
	),
	TP_printk("disk=%s seq=%llu kind=%s source=%s first=0x%llx bytes=%llu ranges=%lu",
		  __get_str(disk), __entry->seq, show_kind(__entry->kind),
		  show_source(__entry->source), __entry->first, __entry->bytes,
		  __entry->ranges)
);

TRACE_EVENT(gate_closed,
	TP_PROTO(const char *disk, u64 seq, u64 bytes),
	TP_ARGS(disk, seq, bytes),
	TP_STRUCT__entry(
		__string(disk, disk)
		__field(u64, seq)
		__field(u64, bytes)
	),
	TP_fast_assign(
		__assign_str(disk);
		__entry->seq = seq;
		__entry->bytes = bytes;
	),
	TP_printk("disk=%s seq=%llu bytes=%llu", __get_str(disk), __entry->seq,
		  __entry->bytes)
);

TRACE_EVENT(holder_begin,
	TP_PROTO(const char *disk, u64 seq, const char *holder),
	TP_ARGS(disk, seq, holder),
	TP_STRUCT__entry(
		__string(disk, disk)
		__field(u64, seq)
		__string(holder, holder)
	),
	TP_fast_assign(
		__assign_str(disk);
		__entry->seq = seq;
		__assign_str(holder);
	),
	TP_printk("disk=%s seq=%llu holder=%s", __get_str(disk), __entry->seq,
		  __get_str(holder))
);

TRACE_EVENT(holder_end,
	TP_PROTO(const char *disk, u64 seq, const char *holder, int result, u64 ns),
	TP_ARGS(disk, seq, holder, result, ns),
	TP_STRUCT__entry(
		__string(disk, disk)
		__field(u64, seq)
		__string(holder, holder)
		__field(int, result)
		__field(u64, ns)
	),
	TP_fast_assign(
		__assign_str(disk);
		__entry->seq = seq;
		__assign_str(holder);
		__entry->result = result;
		__entry->ns = ns;
	),
	TP_printk("disk=%s seq=%llu holder=%s result=%d ns=%llu", __get_str(disk),
		  __entry->seq, __get_str(holder), __entry->result, __entry->ns)
);

TRACE_EVENT(barrier_taken,
	TP_PROTO(const char *disk),
	TP_ARGS(disk),
	TP_STRUCT__entry(__string(disk, disk)),
	TP_fast_assign(__assign_str(disk);),
	TP_printk("disk=%s", __get_str(disk))
);

TRACE_EVENT(barrier_released,
	TP_PROTO(const char *disk, u64 ns, bool forced),
	TP_ARGS(disk, ns, forced),
	TP_STRUCT__entry(
		__string(disk, disk)
		__field(u64, ns)
		__field(bool, forced)
	),
	TP_fast_assign(
		__assign_str(disk);
		__entry->ns = ns;
		__entry->forced = forced;
	),
	TP_printk("disk=%s held_ns=%llu%s", __get_str(disk), __entry->ns,
		  __entry->forced ? " forced" : "")
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
