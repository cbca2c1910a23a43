// SPDX-License-Identifier: GPL-2.0-only
/*
 * scribbler KIND FILE COUNT SEED SIZE [racing|removing]: COUNT writes of random and mutated text to
 * FILE, a control file of the KIND inject, override, attached, policy, clear, agent or agent_timeout,
 * of a disk of SIZE bytes; and whether each answer is the one that Documentation/ABI promises. Says
 * how many were accepted, and how often each error came. A wrong answer ends it, with the text.
 *
 * racing: others detach and attach the disk meanwhile. removing: the disk's removal waits; what would
 * be right, to go on with it or to fail, is refused or not tried.
 */
#include "common.h"
#include <ctype.h>
#include <sys/uio.h>

#define MOST	(160 << 10)
#define LIMIT	131072			/* what inject reads */
#define ITEMS	4096

enum kind { INJECT, OVERRIDE, ATTACHED, POLICY, CLEAR, AGENT, AGENT_TIMEOUT };
static const char *const kinds[] = {
	"inject", "override", "attached", "policy", "clear", "agent", "agent_timeout",
};
static enum kind kind;
static bool racing, removing;
static uint64_t state, size;
static unsigned long accepted, errors[4096];

static uint64_t rnd(uint64_t below)
{
	state = mix(state);
	return state % below;
}

/* ---- what the answer has to be -------------------------------------------------------- */

#define ACCEPT	1

typedef unsigned __int128 u128;
#define TOP	((u128)1 << 64)

/* A number of inject; false: none. More than 64 bits count as 2^64. */
static bool number(const char *s, size_t len, u128 *value)
{
	unsigned int base = 10;

	if (len >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2, len -= 2;
	}
	if (!len)
		return false;
	for (*value = 0; len; s++, len--) {
		if (base == 16 ? !isxdigit((unsigned char)*s) : !isdigit((unsigned char)*s))
			return false;
		*value = *value * base + (isdigit((unsigned char)*s) ? *s - '0' : tolower(*s) - 'a' + 10);
		if (*value > TOP)
			*value = TOP;
	}
	return true;
}

static int inject_item(const char *s, size_t len)
{
	const char *plus = memchr(s, '+', len);
	u128 offset, length;

	if (len == 3 && !memcmp(s, "all", 3))
		return ACCEPT;
	if (!plus || !number(s, plus - s, &offset) || !number(plus + 1, s + len - plus - 1, &length))
		return -EINVAL;
	if (offset >= TOP || length >= TOP)
		return -EOVERFLOW;
	if (!offset && length == TOP - 1)
		return ACCEPT;
	if (!length)
		return -EINVAL;
	if (offset + length >= TOP)
		return -EOVERFLOW;
	if (offset % PAGE || length % PAGE)
		return -EINVAL;
	return offset + length > size ? -ERANGE : ACCEPT;
}

static bool between(char c) { return c && strchr(" \t\r\n,", c); }

static int inject(const char *s, size_t len)
{
	size_t items = 0, at = 0, end;
	int answer;

	if (len > LIMIT)
		return -E2BIG;
	while (at < len) {
		if (between(s[at])) {
			at++;
			continue;
		}
		if (items++ == ITEMS)
			return -E2BIG;
		for (end = at; end < len && !between(s[end]); end++)
			;
		answer = inject_item(s + at, end - at);
		if (answer != ACCEPT)
			return answer;
		at = end;
	}
	return items ? ACCEPT : -EINVAL;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	while (len && *s && strchr(" \t\n\f\r", *s))
		s++, len--;
	while (len && s[len - 1] && strchr(" \t\n\f\r", s[len - 1]))
		len--;
	return len == strlen(word) && !memcmp(s, word, len);
}

/* As the kernel reads parameters: decimal, octal, hexadecimal, one line feed at the end. */
static bool is_seconds(const char *s)
{
	unsigned long long n;
	char *end;

	s += *s == '+';
	if (!isdigit((unsigned char)*s))
		return false;
	n = strtoull(s, &end, 0);
	end += *end == '\n';
	return !*end && n >= 1 && n <= 3600;
}

/* ACCEPT, or the one errno; 0: it depends, see may_depend(). @s is followed by a NUL. */
static int expected(const char *s, size_t len)
{
	size_t line;

	switch (kind) {
	case INJECT:
		return inject(s, len);
	case OVERRIDE:
		/* Nothing waits; or it does, and the right word is never tried. */
		return -EINVAL;
	case ATTACHED:
		return is_word(s, len, "0") || is_word(s, len, "1") ? 0 : -EINVAL;
	case POLICY:
		return is_word(s, len, "shutdown") || is_word(s, len, "native") ? ACCEPT : -EINVAL;
	case CLEAR:
		return is_word(s, len, "1") ? 0 : -EINVAL;
	case AGENT:
		line = strcspn(s, "\n");
		return line && *s != '/' ? -EINVAL : line >= 128 ? -ENAMETOOLONG : ACCEPT;
	case AGENT_TIMEOUT:
		return is_seconds(s) ? ACCEPT : 0;
	}
	return 0;
}

/* Where the text alone does not decide. */
static bool may_depend(ssize_t n)
{
	switch (kind) {
	case ATTACHED:
	case CLEAR:
		return n > 0 || n == -EBUSY || n == -EINVAL;
	case AGENT_TIMEOUT:
		return n == -EINVAL || n == -ERANGE;
	default:
		return false;
	}
}

static bool sysfs(void) { return kind >= ATTACHED; }

static void wrong(const char *how, const char *s, size_t len, ssize_t n, int want)
{
	printf("%s of %zu bytes: answer %zd (%s), should be %s; the text:\n", how, len, n,
	       n < 0 ? strerrorname_np(-n) : "bytes",
	       want == ACCEPT ? "all of it" : want < 0 ? strerrorname_np(-want) : "another one");
	for (size_t i = 0; i < len && i < 400; i++)
		printf("%02x", (unsigned char)s[i]);
	printf("\n");
	exit(BROKEN);
}

/* Judges the answer @n to the text @s. */
static void judge(const char *how, const char *s, size_t len, ssize_t n)
{
	char text[PAGE + 1];
	int want;

	if (n < 0)
		errors[-n]++;
	if (racing && (n == -EIO || n == -ENODEV || n == -ESHUTDOWN))
		return;
	if (sysfs()) {
		/* sysfs takes a page at a time, and nothing for nothing. */
		len = len < PAGE ? len : PAGE;
		memcpy(text, s, len);
		text[len] = 0;
		s = text;
		if (!len && !n)
			return;
	}
	want = expected(s, len);
	if (removing && kind == INJECT && want == ACCEPT)
		want = -ESHUTDOWN;
	if (want == 0 ? !may_depend(n) : want == ACCEPT ? n != (ssize_t)len : n != want)
		wrong(how, s, len, n, want);
	accepted += n > 0;
}

/* ---- what is written ------------------------------------------------------------------- */

static char text[MOST + 1];
static size_t length;

static void add(const char *s, size_t len)
{
	if (len > MOST - length)
		len = MOST - length;
	memcpy(text + length, s, len);
	length += len;
}

static void add_right(void)
{
	static const char *const words[][6] = {
		[OVERRIDE] = { "release", "release\n", "releas", "releases", "RELEASE", "" },
		[ATTACHED] = { "0", "1", "1\n", "0\n", "on", "2" },
		[POLICY] = { "shutdown", "native", "native\n", " shutdown\n", "[shutdown] native", "none" },
		[CLEAR] = { "1", "1\n", "\t1", "0", "11", "all" },
		[AGENT] = { "/usr/lib/dax_holder/agent", "/bin/true\n", "\n", "agent", "./agent", "../bin/sh" },
		[AGENT_TIMEOUT] = { "60", "0x10\n", "3600", "3601", "0", "18446744073709551616" },
	};
	static const char *const ranges[] = {
		"4096+4096", "0x1000+0x2000", "all", "0+0xffffffffffffffff", "0+4096\n", "8192+65536,",
		"0xfffffffffffff000+4096", "18446744073709551616+4096", "0+0", "4096+1", "0x+4096", "1+1",
	};
	char item[80];

	if (kind != INJECT) {
		const char *word = words[kind][rnd(6)];

		add(word, strlen(word));
		return;
	}
	do {
		uint64_t at = rnd(size / PAGE) * PAGE;
		const char *s = item;

		switch (rnd(4)) {
		case 0:
			s = ranges[rnd(12)];
			break;
		case 1:
			sprintf(item, "%#lx+%lu", at, PAGE * (1 + rnd(4)));
			break;
		case 2:
			sprintf(item, "%lu+%#lx", size - PAGE * rnd(4), PAGE * (1 + rnd(2)));
			break;
		default:
			sprintf(item, "%lu+%lu", at, PAGE);
		}
		add(s, strlen(s));
		add(&" \n,\t"[rnd(4)], 1);
	} while (rnd(2));
}

static void mutate(void)
{
	static const char special[] = " \n\t,+x0X-19af/[]\0\xff";
	size_t at = rnd(length + 1), len = 1 + rnd(8);
	char some[8];

	switch (rnd(9)) {
	case 0:
		if (length)
			text[at % length] ^= 1 << rnd(8);
		break;
	case 1:
		if (length)
			text[at % length] = rnd(256);
		break;
	case 2:
		if (length)
			text[at % length] = special[rnd(sizeof(special))];
		break;
	case 3:		/* delete */
		len = len < length - at ? len : length - at;
		memmove(text + at, text + at + len, length - at - len);
		length -= len;
		break;
	case 4:		/* insert */
		if (length + len > MOST)
			break;
		memmove(text + at + len, text + at, length - at);
		for (size_t i = 0; i < len; i++)
			text[at + i] = rnd(2) ? special[rnd(sizeof(special))] : (char)rnd(256);
		length += len;
		break;
	case 5:
		length = at;
		break;
	case 6:
		add_right();
		break;
	case 7:		/* once more what is there, now and then until it is long */
		do {
			add(text, length);
		} while (length && length < MOST && rnd(200) == 0);
		break;
	case 8:
		for (size_t i = 0; i < sizeof(some); i++)
			some[i] = rnd(256);
		add(some, len);
	}
}

static void compose(void)
{
	length = 0;
	switch (rnd(8)) {
	case 0:
		for (size_t n = rnd(64); n; n--)
			text[length++] = rnd(256);
		break;
	case 1:
		add_right();
		break;
	default:
		add_right();
		for (size_t n = 1 + rnd(4); n; n--)
			mutate();
	}
	/* Rarely longer than anybody reads. */
	while (rnd(300) == 0 && length && length < MOST)
		while (length < MOST && rnd(50))
			add(text, length);
	text[length] = 0;
	/* That would work, and take the memory away from its users; a part of the text would too. */
	for (char *word; kind == OVERRIDE && removing && (word = memmem(text, length, "release", 7));)
		*word = '-';
}

static ssize_t answer(ssize_t n) { return n < 0 ? -errno : n; }

/* One text, in one of several ways. */
static void scribble(int fd, char *edge)
{
	size_t part = length > 1 ? 1 + rnd(length - 1) : 0;
	struct iovec v[2] = { { text, part }, { text + part, length - part } };
	ssize_t n;

	switch (part ? rnd(20) : 0) {
	case 1: case 2:		/* in two writes: two texts */
		for (int i = 0; i < 2; i++) {
			char *own = malloc(v[i].iov_len + 1);

			if (!own)
				die("malloc");
			memcpy(own, v[i].iov_base, v[i].iov_len);
			own[v[i].iov_len] = 0;
			judge("part", own, v[i].iov_len, answer(write(fd, own, v[i].iov_len)));
			free(own);
		}
		return;
	case 3: case 4:		/* in two pieces: one text for sysfs, two for debugfs */
		n = answer(writev(fd, v, 2));
		if (sysfs()) {
			judge("pieces", text, length, n);
		} else {
			char next = text[part];

			text[part] = 0;
			judge("first piece", text, part, n > (ssize_t)part ? (ssize_t)part : n);
			text[part] = next;
			if (n > (ssize_t)part)
				judge("second piece", text + part, length - part, n - part);
		}
		return;
	case 5:			/* where in the file does not matter */
		judge("at", text, length, answer(pwrite(fd, text, length, rnd(1 << 20))));
		return;
	case 6:			/* from memory that ends too early */
		edge[-1] = text[0];
		n = answer(write(fd, edge - 1, length));
		errors[n < 0 ? -n : 0]++;
		if (racing && (n == -EIO || n == -ENODEV))
			return;
		if (kind == INJECT && length > LIMIT ? n != -E2BIG :
		    kind == OVERRIDE && length > 16 ? n != -EINVAL : n != -EFAULT)
			wrong("faulting", text, length, n, -EFAULT);
		return;
	default:
		judge("write", text, length, answer(write(fd, text, length)));
	}
}

int main(int argc, char **argv)
{
	unsigned long count, done, written = 0;
	int fd = -1;
	char *edge;

	if (argc < 6) {
		fprintf(stderr, "usage: scribbler KIND FILE COUNT SEED SIZE [racing|removing]\n");
		return TROUBLE;
	}
	while (strcmp(kinds[kind], argv[1]))
		if (++kind > AGENT_TIMEOUT)
			die("%s", argv[1]);
	count = strtoul(argv[3], NULL, 0);
	state = strtoull(argv[4], NULL, 0);
	size = strtoull(argv[5], NULL, 0);
	racing = argc > 6 && !strcmp(argv[6], "racing");
	removing = argc > 6 && !strcmp(argv[6], "removing");
	edge = place(PAGE, false);
	if (mmap(edge, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap");
	edge += PAGE;		/* behind it nothing may be touched */

	for (done = 0; done < count; done++) {
		if (fd >= 0 && (racing || !rnd(64))) {
			close(fd);
			fd = -1;
		}
		if (fd < 0)
			fd = open(argv[2], O_WRONLY | O_CLOEXEC);
		if (fd < 0) {
			if (!racing || errno != ENOENT)
				die("%s", argv[2]);
			nap(100);
			continue;
		}
		compose();
		scribble(fd, edge);
		written++;
	}
	printf("writes %lu accepted %lu", written, accepted);
	for (int e = 1; e < 4096; e++)
		if (errors[e])
			printf(" %s %lu", strerrorname_np(e), errors[e]);
	printf("\n");
	return 0;
}
