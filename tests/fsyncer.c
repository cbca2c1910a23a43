// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsyncer write DIR LOG	write files and make them durable until an error comes
 * fsyncer fsync DIR LOG	the same without mappings, for file systems without DAX
 * fsyncer verify DIR LOG	every file the log calls durable must be there and be right
 *
 * LOG must lie on another disk. A record says `I name seed pages` before a file is touched and
 * `D name seed pages` once it is durable; a file whose last word is I may hold anything. Files
 * are overwritten in turn; every third one through a MAP_SYNC mapping, whose stores need no
 * fsync (only the size does, before), the others with write and fsync. READY comes after the
 * first eight files.
 */
#include "common.h"

#define FILES	48
#define MOST	16	/* pages */

struct record {
	char word;
	uint64_t seed;
	size_t pages;
};

static uint64_t page[PAGE / 8];

/* False: an error came; *why says which. */
static bool put(const char *path, uint64_t seed, size_t pages, bool mapped, const char **why)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	bool good = false;
	char *p = NULL;
	size_t i;

	if (fd < 0) {
		*why = "open";
		return false;
	}
	*why = "write";
	if (mapped) {
		*why = "allocate";
		if (ftruncate(fd, pages * PAGE) || fallocate(fd, 0, 0, pages * PAGE) || fsync(fd))
			goto out;
		*why = "mmap";
		p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC,
			 fd, 0);
		if (p == MAP_FAILED) {
			p = NULL;
			goto out;
		}
		*why = "SIGBUS";
		errno = EIO;
		for (i = 0; i < pages; i++) {
			fill_page(page, seed, i);
			if (!can_copy(p + i * PAGE, page))
				goto out;
		}
		good = true;
	} else {
		for (i = 0; i < pages; i++) {
			fill_page(page, seed, i);
			if (pwrite(fd, page, PAGE, i * PAGE) != (ssize_t)PAGE)
				goto out;
		}
		if (ftruncate(fd, pages * PAGE))
			goto out;
		*why = "fsync";
		good = !fsync(fd);
	}
out:
	if (p)
		munmap(p, pages * PAGE);
	close(fd);
	return good;
}

static int do_write(const char *dir, const char *log, bool dax)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	const char *why = "";
	char path[512];

	if (fd < 0)
		die("%s", log);
	catch_sigbus();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint64_t n = 0;; n++) {
		uint64_t seed = mix(n ^ usec_now());
		size_t pages = 1 + seed % MOST;
		int name = n % FILES;

		snprintf(path, sizeof(path), "%s/f%d", dir, name);
		dprintf(fd, "I %d %llu %zu\n", name, (unsigned long long)seed, pages);
		if (!put(path, seed, pages, dax && n % 3 == 2, &why)) {
			printf("STOPPED after %llu files: %s: %s\n", (unsigned long long)n, why,
			       strerrorname_np(errno));
			return 0;
		}
		dprintf(fd, "D %d %llu %zu\n", name, (unsigned long long)seed, pages);
		if (n == 8)
			printf("READY\n");
		nap(3000);
	}
}

static int do_verify(const char *dir, const char *log)
{
	static struct record last[FILES];
	FILE *f = fopen(log, "r");
	unsigned long long seed;
	int name, good = 0, bad = 0;
	size_t pages;
	char word, path[512];

	if (!f)
		die("%s", log);
	while (fscanf(f, " %c %d %llu %zu", &word, &name, &seed, &pages) == 4)
		if (name >= 0 && name < FILES)
			last[name] = (struct record){ word, seed, pages };
	for (name = 0; name < FILES; name++) {
		struct record *r = &last[name];
		int fd;
		size_t i;

		if (r->word != 'D')
			continue;
		snprintf(path, sizeof(path), "%s/f%d", dir, name);
		fd = open(path, O_RDONLY);
		for (i = 0; fd >= 0 && i < r->pages; i++)
			if (read(fd, page, PAGE) != (ssize_t)PAGE || !page_matches(page, r->seed, i))
				break;
		if (fd < 0 || i < r->pages || file_size(fd) != r->pages * PAGE) {
			printf("BROKEN %s: durable, but %s at page %zu of %zu\n", path,
			       fd < 0 ? "missing" : "different", i, r->pages);
			bad++;
		} else {
			good++;
		}
		if (fd >= 0)
			close(fd);
	}
	printf("%d durable files right, %d wrong\n", good, bad);
	/* A log without a durable file proves nothing. */
	return bad || !good ? BROKEN : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "write"))
		return do_write(argv[2], argv[3], true);
	if (argc == 4 && !strcmp(argv[1], "fsync"))
		return do_write(argv[2], argv[3], false);
	if (argc == 4 && !strcmp(argv[1], "verify"))
		return do_verify(argv[2], argv[3]);
	fprintf(stderr, "usage: fsyncer write|fsync|verify DIR LOG\n");
	return TROUBLE;
}
