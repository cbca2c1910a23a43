// SPDX-License-Identifier: GPL-2.0-only
/*
 * file make FILE PAGES SEED	a file of known content, fsynced, in extents as large as possible
 * file check FILE SEED		compare it (the first word of each page is the writers')
 * file dax FILE		exit 0 if statx says STATX_ATTR_DAX
 * file where FILE PAGE	byte offset of that page on the block device (FIEMAP)
 * file pfn FILE PAGE		page frame under a mapping of it
 */
#include "common.h"
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

static void make(const char *path, size_t pages, uint64_t seed)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct fsxattr fx;
	uint64_t page[PAGE / 8];

	if (fd < 0)
		die("%s", path);
	/* XFS takes the hint and aligns extents to 2 MiB; ext4 says no and needs none. */
	if (!ioctl(fd, FS_IOC_FSGETXATTR, &fx)) {
		fx.fsx_xflags |= FS_XFLAG_EXTSIZE;
		fx.fsx_extsize = HUGE_PAGE;
		ioctl(fd, FS_IOC_FSSETXATTR, &fx);
	}
	if (fallocate(fd, 0, 0, pages * PAGE))
		die("fallocate %s", path);
	for (size_t i = 0; i < pages; i++) {
		fill_page(page, seed, i);
		if (pwrite(fd, page, PAGE, i * PAGE) != (ssize_t)PAGE)
			die("writing %s", path);
	}
	if (fsync(fd))
		die("fsync %s", path);
	close(fd);
}

static int check(const char *path, uint64_t seed)
{
	int fd = open(path, O_RDONLY);
	uint64_t page[PAGE / 8];
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		die("%s", path);
	while ((got = read(fd, page, PAGE)) == (ssize_t)PAGE) {
		if (!page_matches(page, seed, n)) {
			printf("%s: page %zu differs\n", path, n);
			return BROKEN;
		}
		n++;
	}
	if (got || !n) {
		printf("%s: read error or short after %zu pages\n", path, n);
		return BROKEN;
	}
	return 0;
}

static int dax(const char *path)
{
	struct statx sx;

	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &sx))
		die("statx %s", path);
	return sx.stx_attributes & STATX_ATTR_DAX ? 0 : BROKEN;
}

static void where(const char *path, size_t page)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} f = { .map = { .fm_start = page * PAGE, .fm_length = PAGE, .fm_extent_count = 1,
			 .fm_flags = FIEMAP_FLAG_SYNC } };
	int fd = open(path, O_RDONLY);
	struct fiemap_extent *x = f.map.fm_extents;

	if (fd < 0 || ioctl(fd, FS_IOC_FIEMAP, &f.map) || !f.map.fm_mapped_extents)
		die("FIEMAP %s", path);
	printf("%llu\n", (unsigned long long)(x->fe_physical + page * PAGE - x->fe_logical));
}

static void pfn(const char *path, size_t page)
{
	int fd = open(path, O_RDWR), pm = open("/proc/self/pagemap", O_RDONLY);
	char *p;
	uint64_t e;

	if (fd < 0 || pm < 0)
		die("%s", path);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, page * PAGE);
	if (p == MAP_FAILED)
		die("mmap %s", path);
	(void)*(volatile char *)p;
	if (pread(pm, &e, 8, (uintptr_t)p / PAGE * 8) != 8 || !(e >> 63))
		die("pagemap");
	printf("%llu\n", (unsigned long long)(e & ((1ull << 55) - 1)));
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (!strcmp(verb, "make") && argc == 5)
		make(argv[2], strtoul(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	else if (!strcmp(verb, "check") && argc == 4)
		return check(argv[2], strtoull(argv[3], NULL, 0));
	else if (!strcmp(verb, "dax") && argc == 3)
		return dax(argv[2]);
	else if (!strcmp(verb, "where") && argc == 4)
		where(argv[2], strtoul(argv[3], NULL, 0));
	else if (!strcmp(verb, "pfn") && argc == 4)
		pfn(argv[2], strtoul(argv[3], NULL, 0));
	else {
		fprintf(stderr, "usage: file make|check|dax|where|pfn FILE ...\n");
		return TROUBLE;
	}
	return 0;
}
