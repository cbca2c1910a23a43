// SPDX-License-Identifier: GPL-2.0-only
/*
 * poison madvise FILE PAGE	madvise(MADV_HWPOISON) of that page in our own shared mapping
 * poison storm FILE COUNT	memory_failure() on the frames of the first COUNT pages, one by one,
 *				through hwpoison-inject, by a process that has them mapped
 *
 * Prints what came of it; exit 0 if the events could be made at all.
 */
#include "common.h"

#define CORRUPT "/sys/kernel/debug/hwpoison/corrupt-pfn"

static char *map(const char *file, size_t pages)
{
	int fd = open(file, O_RDWR);
	char *p;

	if (fd < 0)
		die("%s", file);
	if (file_size(fd) < pages * PAGE)
		errno = 0, die("%s is too short", file);
	p = mmap(place(pages * PAGE, true), pages * PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static int do_madvise(const char *file, size_t page)
{
	char *p = map(file, page + 1) + page * PAGE;
	int rc;

	if (!can_write(p))
		errno = 0, die("the page cannot be touched");
	rc = madvise(p, PAGE, MADV_HWPOISON) ? errno : 0;
	printf("madvise=%s signal=%s", rc ? strerrorname_np(rc) : "0", bus_name(bus_code));
	printf(" readable=%d\n", can_read(p));
	/* EBUSY, EIO and the like are answers of the handlers; EINVAL, EPERM mean: not tried. */
	return rc == EINVAL || rc == EPERM ? TROUBLE : 0;
}

static int do_storm(const char *file, size_t count)
{
	char *p = map(file, count), text[32];
	uint64_t *pfn = calloc(count, sizeof(*pfn)), t;
	int pm = open("/proc/self/pagemap", O_RDONLY), fd = open(CORRUPT, O_WRONLY);
	size_t done = 0, refused = 0, readable = 0;
	int last = 0;

	if (pm < 0 || fd < 0)
		die(CORRUPT);
	for (size_t i = 0; i < count; i++)
		if (!can_read(p + i * PAGE))
			errno = 0, die("page %zu cannot be touched", i);
	if (pread(pm, pfn, count * 8, (uintptr_t)p / PAGE * 8) != (ssize_t)(count * 8))
		die("pagemap");
	t = usec_now();
	for (size_t i = 0; i < count; i++) {
		int n = snprintf(text, sizeof(text), "0x%llx",
				 (unsigned long long)(pfn[i] & ((1ull << 55) - 1)));

		if (write(fd, text, n) == n) {
			done++;
		} else {
			refused++;
			last = errno;
			if (last == EPERM || last == EINVAL || last == ENXIO)
				die("corrupt-pfn %s", text);
		}
	}
	t = usec_now() - t;
	for (size_t i = 0; i < count; i++)
		readable += can_read(p + i * PAGE);
	printf("%zu frames in %llu us: %zu handled, %zu failed (%s); readable=%zu\n", count,
	       (unsigned long long)t, done, refused, last ? strerrorname_np(last) : "none", readable);
	return 0;
}

int main(int argc, char **argv)
{
	catch_sigbus();
	if (argc == 4 && !strcmp(argv[1], "madvise"))
		return do_madvise(argv[2], strtoul(argv[3], NULL, 0));
	if (argc == 4 && !strcmp(argv[1], "storm"))
		return do_storm(argv[2], strtoul(argv[3], NULL, 0));
	fprintf(stderr, "usage: poison madvise FILE PAGE | poison storm FILE COUNT\n");
	return TROUBLE;
}
