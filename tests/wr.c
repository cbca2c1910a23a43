// SPDX-License-Identifier: GPL-2.0-only
/*
 * wr FILE [TEXT]: one write(2) of TEXT, or of all of standard input, to FILE, or if that is "-" to
 * file descriptor 3. Prints the byte count or the name of the error. The shell's own printf splits long text into several writes
 * and names no errors.
 */
#include "common.h"

int main(int argc, char **argv)
{
	static char buf[4 << 20];
	const char *text = buf;
	size_t len = 0;
	ssize_t n;

	if (argc == 3) {
		text = argv[2];
		len = strlen(text);
	} else if (argc == 2) {
		while ((n = read(0, buf + len, sizeof(buf) - len)) > 0)
			len += n;
	} else {
		fprintf(stderr, "usage: wr FILE [TEXT]\n");
		return TROUBLE;
	}
	if (strcmp(argv[1], "-"))
		n = write_once(argv[1], text, len);
	else if ((n = write(3, text, len)) < 0)
		n = -errno;
	if (n < 0) {
		printf("%s\n", strerrorname_np(-n));
		return 1;
	}
	printf("%zd\n", n);
	return 0;
}
