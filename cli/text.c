/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/text.h"

#include "base/json.h"
#include "base/text.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

/* The length of the character at S and its number; 0 where there is none in UTF-8. */
static size_t utf8_next(const char *s, uint32_t *ret)
{
	unsigned char lo, hi, lead = (unsigned char)*s;
	size_t more;

	*ret = lead;
	if (lead < 0x80)
		return 1;
	more = json_utf8_lead(lead, &lo, &hi);
	if (more == 0)
		return 0;
	*ret = lead & (0x3fU >> more);
	for (size_t i = 1; i <= more; i++, lo = 0x80, hi = 0xbf) {
		unsigned char c = (unsigned char)s[i];

		if (c < lo || c > hi)
			return 0;
		*ret = *ret << 6 | (c & 0x3f);
	}
	return more + 1;
}

/* Beyond ASCII: C1 controls, line separators, marks and overrides of the direction of writing. */
static bool unsafe(uint32_t cp)
{
	return (cp >= 0x80 && cp <= 0x9f) || cp == 0x200e || cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

/* Appends TEXT, in which ASCII controls other than newline are escaped already. */
static char *put_plain(char *p, const char *text)
{
	while (*text) {
		uint32_t cp = 0;
		size_t n = utf8_next(text, &cp);

		if (n == 0) {
			p += sprintf(p, "\\x%02x", (unsigned)(unsigned char)*text++);
			continue;
		}
		if (cp == '\n')
			p += sprintf(p, "\\x0a");
		else if (unsafe(cp))
			p += sprintf(p, "\\u%04x", (unsigned)cp);
		else
			p = mempcpy(p, text, n);
		text += n;
	}
	return p;
}

char *text_plain(const char *text, const char *keep)
{
	/* The longest escape of a byte is \xNN. */
	char *out = xcalloc(strlen(text) + 1, 4), *p = out;

	while (*text) {
		size_t n = strcspn(text, keep);
		_cleanup_free_ char *piece = xstrndup(text, n), *escaped = text_escape(piece);

		p = put_plain(p, escaped);
		text += n;
		if (*text)
			*p++ = *text++;
	}
	return out;
}

void text_block(FILE *f, const char *text, unsigned indent, bool escape)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		size_t shown = n > 0 && text[n] == '\n' && text[n - 1] == '\r' ? n - 1 : n;
		_cleanup_free_ char *line = xstrndup(text, shown), *plain = escape ? text_plain(line, "\t") : NULL;

		fprintf(f, "%*s%s\n", (int)indent, "", plain ? plain : line);
		text += n + (text[n] == '\n');
	}
}

char *text_plain_json(const char *json)
{
	/* The worst is DEL, one byte that becomes six. */
	char *out = xcalloc(strlen(json) + 1, 6), *p = out;

	while (*json) {
		uint32_t cp = 0;
		size_t n = utf8_next(json, &cp);

		if (n > 0 && (unsafe(cp) || cp == 0x7f)) {
			p += sprintf(p, "\\u%04x", (unsigned)cp);
			json += n;
		} else {
			*p++ = *json++;
		}
	}
	return out;
}

/* The columns of the character at TEXT, whose length goes to *LEN. */
static size_t char_width(const char *text, size_t *len)
{
	uint32_t cp = 0;
	int width;

	*len = utf8_next(text, &cp);
	if (*len == 0) {
		*len = 1;
		return 1;
	}
	width = wcwidth((wchar_t)cp);
	return width < 0 ? 1 : (size_t)width;
}

size_t text_width(const char *text)
{
	size_t width = 0, len;

	for (; *text; text += len)
		width += char_width(text, &len);
	return width;
}

char *text_cut(const char *text, size_t width, const char *mark)
{
	size_t room, used = 0, at = 0, len;

	if (text_width(text) <= width)
		return xstrdup(text);
	room = width > text_width(mark) ? width - text_width(mark) : 0;
	for (; text[at]; at += len) {
		size_t w = char_width(text + at, &len);

		if (used + w > room)
			break;
		used += w;
	}
	return xasprintf("%.*s%s", (int)at, text, width >= text_width(mark) ? mark : "");
}

/* How many bytes of WORD, N long, fit in ROOM columns; at least a character. */
static size_t fitting(const char *word, size_t n, size_t room)
{
	size_t at = 0, used = 0, len;

	while (at < n) {
		used += char_width(word + at, &len);
		if (at > 0 && used > room)
			break;
		at += len;
	}
	return at < n ? at : n;
}

void text_wrap(FILE *f, const char *text, unsigned at, unsigned indent, unsigned width)
{
	bool first = true; /* in its line */
	size_t column = at, room = width > indent ? width - indent : 1;

	while (*text) {
		size_t n, w;

		if (*text == ' ' || *text == '\n') {
			if (*text++ == '\n') {
				fputc('\n', f);
				column = 0;
				first = true;
			}
			continue;
		}
		n = strcspn(text, " \n");
		n = fitting(text, n, room);
		_cleanup_free_ char *word = xstrndup(text, n);
		w = text_width(word);
		if ((first ? column > indent && column + w > width : column + 1 + w > width)) {
			fputc('\n', f);
			column = 0;
			first = true;
		}
		if (column == 0)
			column = (size_t)fprintf(f, "%*s", (int)indent, "");
		else if (!first)
			column += (size_t)fprintf(f, " ");
		fputs(word, f);
		column += w;
		text += n;
		/* what is left of a word too long for a line goes on in the next one */
		first = *text && *text != ' ' && *text != '\n';
		if (first) {
			fputc('\n', f);
			column = 0;
		}
	}
	fputc('\n', f);
}

char *text_size(uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	uint64_t unit = 1;
	size_t n = 0; /* unit is 1024 to the n-th */
	double value;

	while (n < 6 && bytes && bytes % (unit << 10) == 0) {
		unit <<= 10;
		n++;
	}
	if (bytes / unit < 10000) /* exact */
		return n ? xasprintf("%llu%c", (unsigned long long)(bytes / unit), units[n - 1]) :
			   xasprintf("%llu", (unsigned long long)bytes);
	n = 0;
	value = (double)bytes;
	do {
		value /= 1024;
		n++;
	} while (n < 6 && value >= 1023.95);
	return xasprintf("%.1f%c", value, units[n - 1]);
}

char *text_duration(double seconds)
{
	unsigned long long s = seconds > 0 && seconds < 1e15 ? (unsigned long long)seconds : 0;

	if (s < 60)
		return xasprintf("%llus", s);
	if (s < 3600)
		return xasprintf("%llum", s / 60);
	if (s < 86400)
		return xasprintf("%lluh%llum", s / 3600, s % 3600 / 60);
	return xasprintf("%llud%lluh", s / 86400, s % 86400 / 3600);
}

char *text_time(double when, bool millis)
{
	char text[64] = "";
	struct tm tm;
	time_t t;

	if (!isfinite(when) || fabs(when) > 1e11) /* the year 5138 */
		return xstrdup("-");
	t = (time_t)floor(when);
	if (!localtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return xstrdup("-");
	if (!millis)
		return xstrdup(text);
	return xasprintf("%s.%03u", text, (unsigned)((when - floor(when)) * 1000) % 1000);
}

char *text_quote(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
	/* No byte needs more than the four of \xNN or '\''. */
	char *out, *p;
	bool dollar = false;

	if (*text && strspn(text, safe) == strlen(text))
		return xstrdup(text);
	for (const char *s = text; *s && !dollar;) {
		uint32_t cp = 0;
		size_t n = utf8_next(s, &cp);

		dollar = n == 0 || cp < 0x20 || cp == 0x7f || unsafe(cp);
		s += n;
	}
	p = out = xcalloc(strlen(text) + 2, 4);
	p = stpcpy(p, dollar ? "$'" : "'");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (dollar && (c < 0x20 || c >= 0x7f)) /* whole characters would need a UTF-8 locale there */
			p += sprintf(p, "\\x%02x", (unsigned)c);
		else if (dollar && (c == '\'' || c == '\\'))
			p += sprintf(p, "\\%c", c);
		else if (c == '\'')
			p = stpcpy(p, "'\\''");
		else
			*p++ = (char)c;
	}
	stpcpy(p, "'");
	return out;
}
