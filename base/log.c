/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include "base/text.h"

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	const char *program;
	int level;
	int journal; /* a socket for it; -1: stderr is not the journal's */
} logger = { .program = "drover", .level = LOG_INFO, .journal = -1 };

static const struct {
	const char *name;
	int level;
} levels[] = {
	{ "debug", LOG_DEBUG },     { "info", LOG_INFO }, { "notice", LOG_NOTICE },
	{ "warning", LOG_WARNING }, { "err", LOG_ERR },
};

/* systemd sets JOURNAL_STREAM to the device and inode of what it connected stderr to. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	char *end;
	struct stat st;

	if (!text || fstat(STDERR_FILENO, &st) < 0)
		return false;
	dev = strtoull(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	ino = strtoull(end + 1, &end, 10);
	return !*end && st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *program, int level)
{
	logger.program = program;
	logger.level = level;
	logger.journal = fd_close(logger.journal);
	if (stderr_is_journal())
		logger.journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void log_set_level(int level)
{
	logger.level = level;
}

int log_level(void)
{
	return logger.level;
}

int log_level_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (str_eq(levels[i].name, name))
			return levels[i].level;
	return -1;
}

/* Its own protocol: libsystemd waits for room. TEXT may have several lines. */
static void journal_send(int level, const char *instance, const char *text)
{
	static const struct sockaddr_un journal = { AF_UNIX, "/run/systemd/journal/socket" };
	_cleanup_free_ char *rest = xasprintf("\nPRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n%s%s%s", level, logger.program,
					      instance ? "DROVER_INSTANCE=" : "", instance ? instance : "",
					      instance ? "\n" : "");
	uint64_t len = htole64(strlen(text));
	struct iovec iov[] = { { (char *)(uintptr_t) "MESSAGE\n", strlen("MESSAGE\n") },
			       { &len, sizeof(len) },
			       { (char *)(uintptr_t)text, strlen(text) },
			       { rest, strlen(rest) } };
	const struct msghdr msg = { .msg_name = (void *)(uintptr_t)&journal,
				    .msg_namelen = sizeof(journal),
				    .msg_iov = iov,
				    .msg_iovlen = ARRAY_SIZE(iov) };

	sendmsg(logger.journal, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void log_write(int level, const char *instance, const char *fmt, ...)
{
	_cleanup_free_ char *raw = NULL, *text = NULL;
	va_list ap;

	if (level > logger.level)
		return;
	va_start(ap, fmt);
	raw = xvasprintf(fmt, ap);
	va_end(ap);
	text = text_escape(raw);
	if (logger.journal >= 0) {
		journal_send(level, instance, text);
	} else if (instance) {
		fprintf(stderr, "%s: %s: %s\n", logger.program, instance, text);
	} else {
		fprintf(stderr, "%s: %s\n", logger.program, text);
	}
}
