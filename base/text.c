/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

char *text_escape(const char *text)
{
	size_t n = strlen(text);
	char *out = xcalloc(n + 1, 4), *p = out;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];

		if ((c < 0x20 && c != '\n') || c == 0x7f)
			p += sprintf(p, "\\x%02x", c);
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0) /* the 8-bit controls, in UTF-8 */
			p += sprintf(p, "\\u%04x", *(const unsigned char *)++text);
		else
			*p++ = (char)c;
	}
	return out;
}

/* The length of the UTF-8 sequence at S, 0 if it is none. After some first bytes the range of the second is
 * narrower (RFC 3629, section 4). */
static size_t sequence(const unsigned char *s, size_t n)
{
	static const struct {
		unsigned char from, to, second_from, second_to, len;
	} rows[] = {
		{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (s[0] < rows[i].from || s[0] > rows[i].to)
			continue;
		if (rows[i].len > n || (rows[i].len > 1 && (s[1] < rows[i].second_from || s[1] > rows[i].second_to)))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return rows[i].len;
	}
	return 0;
}

void text_make_valid(char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = sequence((const unsigned char *)s + i, n - i);

		if (len == 0)
			s[i++] = '?';
		i += len;
	}
}
