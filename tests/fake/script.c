/* SPDX-License-Identifier: BSD-2-Clause */
#include "script.h"

#include <stdio.h>
#include <string.h>

enum kind { AT_PLACE, AT_PLACE_VALUE, THROUGHOUT };

static const struct {
	const char *word;
	enum kind kind;
} words[] = {
	{ "again", THROUGHOUT },     { "chunk", THROUGHOUT },     { "delay", AT_PLACE_VALUE },
	{ "eject", AT_PLACE_VALUE }, { "error", AT_PLACE_VALUE }, { "event", AT_PLACE_VALUE },
	{ "garbage", AT_PLACE },     { "half", AT_PLACE },        { "line", AT_PLACE_VALUE },
	{ "unplug", THROUGHOUT },    { "wrongid", AT_PLACE },     { "exit", AT_PLACE_VALUE },
	{ "flood", AT_PLACE_VALUE }, { "fdsets", THROUGHOUT },    { "freeze", AT_PLACE },
	{ "greeting", THROUGHOUT },  { "hang", AT_PLACE },        { "linger", AT_PLACE_VALUE },
	{ "hangup", AT_PLACE },      { "hold", AT_PLACE_VALUE },  { "kill", AT_PLACE_VALUE },
	{ "lie", AT_PLACE },         { "panic", AT_PLACE },       { "pause", AT_PLACE },
	{ "powerdown", THROUGHOUT }, { "poweroff", AT_PLACE },    { "record", THROUGHOUT },
	{ "resets", THROUGHOUT },    { "say", THROUGHOUT },       { "silent", AT_PLACE },
	{ "state", AT_PLACE_VALUE }, { "term", THROUGHOUT },      { "twice", AT_PLACE },
};

static void give_up(const char *text, const char *why)
{
	fprintf(stderr, "fake-qemu: '%s': %s\n", text, why);
	exit(2);
}

static void spaces(char *text)
{
	for (; *text; text++)
		if (*text == '_')
			*text = ' ';
}

static void read_line(struct script *s, const char *text)
{
	struct script_line *l;
	char *colon, *times;
	size_t i = 0;

	s->lines = xrealloc(s->lines, s->n + 1, sizeof(*s->lines));
	l = &s->lines[s->n++];
	*l = (struct script_line){ .word = xstrdup(text) };
	l->place = strchr(l->word, '=');
	if (!l->place)
		give_up(text, "has no value");
	*l->place++ = '\0';
	while (i < ARRAY_SIZE(words) && !str_eq(words[i].word, l->word))
		i++;
	if (i == ARRAY_SIZE(words))
		give_up(text, "no such word");
	if (words[i].kind == THROUGHOUT) {
		l->value = TAKE_PTR(l->place);
	} else {
		colon = strchr(l->place, ':');
		if (words[i].kind == AT_PLACE ? colon != NULL : colon == NULL)
			give_up(text, colon ? "takes a place only" : "needs a value behind ':'");
		if (colon) {
			*colon = '\0';
			l->value = colon + 1;
		}
		l->after = *l->place && l->place[strlen(l->place) - 1] == '+';
		if (l->after)
			l->place[strlen(l->place) - 1] = '\0';
		times = strchr(l->place, '#');
		if (times) {
			*times = '\0';
			l->nth = (unsigned)strtoul(times + 1, NULL, 10);
		}
	}
	if (str_eq(l->word, "say") || str_eq(l->word, "error") || str_eq(l->word, "line"))
		spaces(l->value);
}

void script_read(struct script *s, const char *append)
{
	static const char prefix[] = "fake.";
	_cleanup_free_ char *copy = xstrdup(append);
	char *save = NULL;

	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (str_starts(word, prefix))
			read_line(s, word + sizeof(prefix) - 1);
}

struct script_line *script_next(struct script *s, struct script_line *prev, const char *word, const char *place,
				unsigned nth, bool after)
{
	for (size_t i = prev ? (size_t)(prev - s->lines) + 1 : 0; i < s->n; i++) {
		struct script_line *l = &s->lines[i];

		if (str_eq(l->word, word) && str_eq(l->place, place) && l->after == after && (!l->nth || l->nth == nth))
			return l;
	}
	return NULL;
}

const char *script_value(const struct script *s, const char *word)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->lines[i].word, word) && !s->lines[i].place)
			return s->lines[i].value;
	return NULL;
}

bool script_says(const struct script *s, const char *word, const char *value)
{
	const char *said = script_value(s, word);

	return said && str_eq(said, value);
}

const char *script_value_for(const struct script *s, const char *word, const char *id)
{
	const char *all = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const char *value = s->lines[i].value;
		size_t len = value ? strcspn(value, "/:") : 0;

		if (!value || !str_eq(s->lines[i].word, word) || s->lines[i].place)
			continue;
		if (value[len] != '/')
			all = value;
		else if (strlen(id) == len && strncmp(value, id, len) == 0)
			return value + len + 1;
	}
	return all;
}
