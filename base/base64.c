/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/base64.h"

#include "base/cleanup.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	char *text = xcalloc((n + 2) / 3 + 1, 4), *out = text;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
			     (i + 2 < n ? p[i + 2] : 0);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = (char)(i + 1 < n ? digits[v >> 6 & 63] : '=');
		*out++ = (char)(i + 2 < n ? digits[v & 63] : '=');
	}
	return text;
}

static int value_of(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

void *base64_decode(const char *text, size_t *n)
{
	size_t length = strlen(text), pad = 0;
	_cleanup_free_ unsigned char *bytes = xcalloc(length / 4 * 3 + 1, 1);
	unsigned char *out = bytes;

	if (length % 4)
		return NULL;
	while (pad < 2 && pad < length && text[length - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < length; i += 4) {
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int value = i + k < length - pad ? value_of(text[i + k]) : 0;

			if (value < 0)
				return NULL;
			v = v << 6 | (uint32_t)value;
		}
		*out++ = (unsigned char)(v >> 16);
		*out++ = (unsigned char)(v >> 8);
		*out++ = (unsigned char)v;
	}
	*n = length / 4 * 3 - pad;
	return TAKE_PTR(bytes);
}
