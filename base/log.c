/* SPDX-License-Identifier: BSD-2-Clause */
#define SD_JOURNAL_SUPPRESS_LOCATION 1
#include "base/log.h"

#include "base/text.h"

#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

static struct {
	const char *program;
	int level;
	bool journal;
} logger = { .program = "drover", .level = LOG_INFO };

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
	logger.journal = stderr_is_journal();
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
	if (logger.journal) {
		if (instance)
			sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", level, "DROVER_INSTANCE=%s", instance, NULL);
		else
			sd_journal_send("MESSAGE=%s", text, "PRIORITY=%i", level, NULL);
	} else if (instance) {
		fprintf(stderr, "%s: %s: %s\n", logger.program, instance, text);
	} else {
		fprintf(stderr, "%s: %s\n", logger.program, text);
	}
}
