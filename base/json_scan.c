/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json_scan.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

enum state {
	STATE_IDLE, /* between values */
	STATE_VALUE,
	STATE_FIRST_ELEMENT, /* behind [ */
	STATE_FIRST_KEY,     /* behind { */
	STATE_KEY,
	STATE_COLON,
	STATE_AFTER, /* behind a value within brackets */
	STATE_STRING,
	STATE_UTF8,
	STATE_ESCAPE,
	STATE_HEX,
	STATE_LOW_BACKSLASH, /* behind a high surrogate */
	STATE_LOW_U,
	STATE_LITERAL,
	STATE_MINUS, /* from here on: numbers */
	STATE_ZERO,
	STATE_INT,
	STATE_DOT,
	STATE_FRACTION,
	STATE_E,
	STATE_E_SIGN,
	STATE_EXPONENT,
	STATE_COUNT
};

static enum scan_verdict bad(struct json_scan *s, const char *why)
{
	s->why = why;
	return SCAN_BAD;
}

static enum scan_verdict over(struct json_scan *s, const char *why)
{
	s->why = why;
	return SCAN_OVER;
}

static enum scan_verdict go(struct json_scan *s, enum state state)
{
	s->state = state;
	return SCAN_GO;
}

bool json_is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static bool in_object(const struct json_scan *s)
{
	unsigned at = s->depth - 1;

	return s->brackets[at / CHAR_BIT] >> (at % CHAR_BIT) & 1;
}

static enum scan_verdict value_end(struct json_scan *s)
{
	return s->depth ? go(s, STATE_AFTER) : SCAN_WHOLE;
}

static enum scan_verdict open_bracket(struct json_scan *s, bool object)
{
	unsigned at = s->depth, bit = 1U << (at % CHAR_BIT);

	if (s->depth >= s->limits->depth)
		return over(s, "nested too deep");
	if (object)
		s->brackets[at / CHAR_BIT] |= (unsigned char)bit;
	else
		s->brackets[at / CHAR_BIT] &= (unsigned char)~bit;
	s->depth++;
	return go(s, object ? STATE_FIRST_KEY : STATE_FIRST_ELEMENT);
}

static enum scan_verdict close_bracket(struct json_scan *s, bool object)
{
	if (in_object(s) != object)
		return bad(s, "brackets do not match");
	s->depth--;
	return value_end(s);
}

static enum scan_verdict open_string(struct json_scan *s, bool key)
{
	s->key = key;
	s->high = 0;
	return go(s, STATE_STRING);
}

static enum scan_verdict open_literal(struct json_scan *s, const char *rest)
{
	s->literal = rest;
	return go(s, STATE_LITERAL);
}

static enum scan_verdict on_value(struct json_scan *s, unsigned char c)
{
	if (++s->values > JSON_VALUES_MAX)
		return over(s, "too many values");
	s->negative = s->wide = false;
	s->digits = 0;
	switch (c) {
	case '{':
		return open_bracket(s, true);
	case '[':
		return open_bracket(s, false);
	case '"':
		return open_string(s, false);
	case 't':
		return open_literal(s, "rue");
	case 'f':
		return open_literal(s, "alse");
	case 'n':
		return open_literal(s, "ull");
	case '-':
		s->negative = true;
		return go(s, STATE_MINUS);
	case '0':
		return go(s, STATE_ZERO);
	default:
		if (!is_digit(c))
			return bad(s, "a value was expected");
		s->digits = c - '0';
		return go(s, STATE_INT);
	}
}

static enum scan_verdict on_inner_value(struct json_scan *s, unsigned char c)
{
	return json_is_space(c) ? SCAN_GO : on_value(s, c);
}

static enum scan_verdict on_first_element(struct json_scan *s, unsigned char c)
{
	return c == ']' ? close_bracket(s, false) : on_inner_value(s, c);
}

static enum scan_verdict on_key(struct json_scan *s, unsigned char c)
{
	if (json_is_space(c))
		return SCAN_GO;
	if (c != '"')
		return bad(s, "a key was expected");
	s->members++;
	return open_string(s, true);
}

static enum scan_verdict on_first_key(struct json_scan *s, unsigned char c)
{
	return c == '}' ? close_bracket(s, true) : on_key(s, c);
}

static enum scan_verdict on_colon(struct json_scan *s, unsigned char c)
{
	if (json_is_space(c))
		return SCAN_GO;
	return c == ':' ? go(s, STATE_VALUE) : bad(s, "a colon was expected");
}

static enum scan_verdict on_after(struct json_scan *s, unsigned char c)
{
	if (json_is_space(c))
		return SCAN_GO;
	switch (c) {
	case ',':
		return go(s, in_object(s) ? STATE_KEY : STATE_VALUE);
	case '}':
		return close_bracket(s, true);
	case ']':
		return close_bracket(s, false);
	default:
		return bad(s, "a comma or closing bracket was expected");
	}
}

static enum scan_verdict on_string(struct json_scan *s, unsigned char c)
{
	if (c == '"')
		return s->key ? go(s, STATE_COLON) : value_end(s);
	if (c == '\\')
		return go(s, STATE_ESCAPE);
	if (c < 0x20)
		return bad(s, "a control byte in a string");
	if (c < 0x80)
		return SCAN_GO;
	s->more = json_utf8_lead(c, &s->lo, &s->hi);
	return s->more ? go(s, STATE_UTF8) : bad(s, "text that is not UTF-8");
}

static enum scan_verdict on_utf8(struct json_scan *s, unsigned char c)
{
	if (c < s->lo || c > s->hi)
		return bad(s, "text that is not UTF-8");
	s->lo = 0x80;
	s->hi = 0xbf;
	return --s->more ? SCAN_GO : go(s, STATE_STRING);
}

static enum scan_verdict on_escape(struct json_scan *s, unsigned char c)
{
	if (c == 'u') {
		s->hex = 4;
		s->unit = 0;
		return go(s, STATE_HEX);
	}
	/* strchr() would find the terminator too */
	return c && strchr("\"\\/bfnrt", c) ? go(s, STATE_STRING) : bad(s, "an unknown escape in a string");
}

static enum scan_verdict on_hex(struct json_scan *s, unsigned char c)
{
	unsigned char lower = c | 0x20;
	bool high, low;

	if (is_digit(c))
		s->unit = (uint16_t)(s->unit << 4 | (c - '0'));
	else if (lower >= 'a' && lower <= 'f')
		s->unit = (uint16_t)(s->unit << 4 | (lower - 'a' + 10));
	else
		return bad(s, "four hexadecimal digits were expected");
	if (--s->hex)
		return SCAN_GO;
	high = s->unit >= 0xd800 && s->unit <= 0xdbff;
	low = s->unit >= 0xdc00 && s->unit <= 0xdfff;
	if (low != (s->high != 0))
		return bad(s, "half a surrogate pair");
	if (!s->unit)
		return bad(s, "NUL in a string");
	s->high = high ? s->unit : 0;
	return go(s, high ? STATE_LOW_BACKSLASH : STATE_STRING);
}

static enum scan_verdict on_low_backslash(struct json_scan *s, unsigned char c)
{
	return c == '\\' ? go(s, STATE_LOW_U) : bad(s, "half a surrogate pair");
}

static enum scan_verdict on_low_u(struct json_scan *s, unsigned char c)
{
	return c == 'u' ? on_escape(s, c) : bad(s, "half a surrogate pair");
}

static enum scan_verdict on_literal(struct json_scan *s, unsigned char c)
{
	if (c != (unsigned char)*s->literal)
		return bad(s, "an unknown word");
	s->literal++;
	return *s->literal ? SCAN_GO : value_end(s);
}

/* A number has no end of its own: C is the first byte that does not belong to it. */
static enum scan_verdict number_end(struct json_scan *s, unsigned char c)
{
	if (!s->depth)
		return SCAN_WHOLE_BEFORE;
	s->state = STATE_AFTER;
	return on_after(s, c);
}

static enum scan_verdict integer_end(struct json_scan *s, unsigned char c)
{
	if (s->wide || (s->negative && s->digits > (uint64_t)INT64_MAX + 1))
		return bad(s, "an integer of more than 64 bits");
	return number_end(s, c);
}

static enum scan_verdict integer_next(struct json_scan *s, unsigned char c)
{
	if (c == '.')
		return go(s, STATE_DOT);
	if (c == 'e' || c == 'E')
		return go(s, STATE_E);
	return integer_end(s, c);
}

static enum scan_verdict on_minus(struct json_scan *s, unsigned char c)
{
	if (c == '0')
		return go(s, STATE_ZERO);
	if (!is_digit(c))
		return bad(s, "a digit was expected");
	s->digits = c - '0';
	return go(s, STATE_INT);
}

static enum scan_verdict on_zero(struct json_scan *s, unsigned char c)
{
	return is_digit(c) ? bad(s, "a number with a leading zero") : integer_next(s, c);
}

static enum scan_verdict on_int(struct json_scan *s, unsigned char c)
{
	if (!is_digit(c))
		return integer_next(s, c);
	if (__builtin_mul_overflow(s->digits, 10, &s->digits) || __builtin_add_overflow(s->digits, c - '0', &s->digits))
		s->wide = true;
	return SCAN_GO;
}

static enum scan_verdict on_dot(struct json_scan *s, unsigned char c)
{
	return is_digit(c) ? go(s, STATE_FRACTION) : bad(s, "a digit was expected");
}

static enum scan_verdict on_fraction(struct json_scan *s, unsigned char c)
{
	if (is_digit(c))
		return SCAN_GO;
	return c == 'e' || c == 'E' ? go(s, STATE_E) : number_end(s, c);
}

static enum scan_verdict on_e_sign(struct json_scan *s, unsigned char c)
{
	return is_digit(c) ? go(s, STATE_EXPONENT) : bad(s, "a digit was expected");
}

static enum scan_verdict on_e(struct json_scan *s, unsigned char c)
{
	return c == '+' || c == '-' ? go(s, STATE_E_SIGN) : on_e_sign(s, c);
}

static enum scan_verdict on_exponent(struct json_scan *s, unsigned char c)
{
	return is_digit(c) ? SCAN_GO : number_end(s, c);
}

static enum scan_verdict (*const on_byte[])(struct json_scan *s, unsigned char c) = {
	[STATE_IDLE] = on_value,
	[STATE_VALUE] = on_inner_value,
	[STATE_FIRST_ELEMENT] = on_first_element,
	[STATE_FIRST_KEY] = on_first_key,
	[STATE_KEY] = on_key,
	[STATE_COLON] = on_colon,
	[STATE_AFTER] = on_after,
	[STATE_STRING] = on_string,
	[STATE_UTF8] = on_utf8,
	[STATE_ESCAPE] = on_escape,
	[STATE_HEX] = on_hex,
	[STATE_LOW_BACKSLASH] = on_low_backslash,
	[STATE_LOW_U] = on_low_u,
	[STATE_LITERAL] = on_literal,
	[STATE_MINUS] = on_minus,
	[STATE_ZERO] = on_zero,
	[STATE_INT] = on_int,
	[STATE_DOT] = on_dot,
	[STATE_FRACTION] = on_fraction,
	[STATE_E] = on_e,
	[STATE_E_SIGN] = on_e_sign,
	[STATE_EXPONENT] = on_exponent,
};
static_assert(ARRAY_SIZE(on_byte) == STATE_COUNT, "one function per state");

/* Most bytes are the inside of strings. */
static size_t plain_bytes(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

enum scan_verdict json_scan(struct json_scan *s, const char *p, size_t n, size_t *used)
{
	enum scan_verdict v = SCAN_GO;
	size_t i = 0;

	while (i < n && v == SCAN_GO) {
		if (s->state == STATE_STRING) {
			size_t left = s->limits->bytes - s->bytes;
			size_t plain = plain_bytes(p + i, n - i < left ? n - i : left);

			i += plain;
			s->bytes += plain;
			if (i == n)
				break;
		}
		v = on_byte[s->state](s, (unsigned char)p[i]);
		if (v == SCAN_WHOLE_BEFORE)
			break;
		i++;
		if (++s->bytes > s->limits->bytes)
			v = over(s, "too long");
	}
	*used = i;
	return v;
}

bool json_scan_end(struct json_scan *s)
{
	/* only a number can be whole here; the space is what ends it */
	if (!s->depth && s->state >= STATE_MINUS)
		return on_byte[s->state](s, ' ') == SCAN_WHOLE_BEFORE;
	s->why = "the input ends within a value";
	return false;
}

bool json_scan_idle(const struct json_scan *s)
{
	return s->state == STATE_IDLE;
}

void json_scan_reset(struct json_scan *s)
{
	s->state = STATE_IDLE;
	s->bytes = s->values = s->members = 0;
	s->depth = 0;
}

void json_scan_init(struct json_scan *s, const struct json_limits *limits)
{
	assert(limits->bytes > 0 && limits->bytes < INT_MAX && limits->depth <= JSON_DEPTH_MAX);
	s->limits = limits;
	json_scan_reset(s);
}
