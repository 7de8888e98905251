/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/top_view.h"

#include "cli/shapes.h"
#include "cli/text.h"

#include <stdio.h>
#include <string.h>

enum {
	GAP = 2,
	EVENTS_FROM = 12, /* lower screens are for instances alone */
	EVENTS_PART = 3,  /* of the screen */
};

/* Widths of numbers are what most of them need, so that columns stay where they are while numbers change. */
static const struct {
	struct column column;
	size_t width;
} columns[TOP_COLUMNS] = {
	[TOP_NAME] = { { .title = "NAME", .min = 8 } },
	[TOP_STATE] = { { .title = "STATE", .min = 7 }, 11 },
	[TOP_CPU] = { { .title = "CPU%", .right = true }, 6 },
	[TOP_MEMORY] = { { .title = "MEMORY", .right = true }, 7 },
	[TOP_READ] = { { .title = "READ/s", .right = true }, 8 },
	[TOP_WRITE] = { { .title = "WRITE/s", .right = true }, 8 },
	[TOP_RX] = { { .title = "RX/s", .right = true }, 8 },
	[TOP_TX] = { { .title = "TX/s", .right = true }, 8 },
};

static const char *const keys[] = {
	"j k, arrows   select an instance",
	"c, Enter      its console; ^] leaves it",
	"s             start",
	"d             shut down, after a question",
	"p             pause, or resume",
	"< >           sort by the column before, after",
	"r             sort the other way round",
	"?             this help; any key leaves it",
	"q             quit",
};

static const char short_keys[] = "q quit  ? help  c console  s start  d shutdown  p pause  < > sort";

/* ---- columns ---- */

struct layout {
	size_t n;
	size_t widths[TOP_COLUMNS];
	struct column columns[TOP_COLUMNS];
};

static size_t natural_width(const struct top_model *m, enum top_column c)
{
	size_t title = strlen(columns[c].column.title) + 1, width = columns[c].width > title ? columns[c].width : title;

	for (size_t i = 0; i < m->n; i++) {
		_cleanup_free_ char *cell = top_cell(&m->rows[i], c);
		size_t w = text_width(cell);

		width = w > width ? w : width;
	}
	return width;
}

static void lay_out(const struct top_model *m, size_t width, struct layout *l)
{
	size_t least = 0;

	for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
		size_t w = natural_width(m, c), min = columns[c].column.min;

		least += (c ? GAP : 0) + (min && min < w ? min : w);
		if (least > width && c)
			break;
		l->columns[l->n] = columns[c].column;
		l->widths[l->n++] = w;
	}
	table_fit(l->widths, l->columns, l->n, width);
}

/* ROW NULL: the titles, with a star at that of the column which is sorted by. */
static char *row_text(const struct layout *l, const struct top_model *m, const struct top_row *row, const char *mark)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t c = 0; c < l->n; c++) {
		_cleanup_free_ char *cell = row ? top_cell(row, c) :
						  xasprintf("%s%s", c == m->sort ? "*" : "", l->columns[c].title);
		_cleanup_free_ char *plain = text_plain(cell, ""), *cut = text_cut(plain, l->widths[c], mark);
		int pad = (int)(l->widths[c] - text_width(cut));

		fprintf(f, "%*s%*s%s%*s", c ? GAP : 0, "", l->columns[c].right ? pad : 0, "", cut,
			l->columns[c].right ? 0 : pad, "");
	}
	fclose(f);
	return text;
}

/* ---- lines ---- */

struct page {
	struct top_line *lines;
	size_t n, height, width;
	const char *mark; /* of what was cut */
};

/* Consumes TEXT. */
static void add(struct page *p, char *text, enum style style)
{
	_cleanup_free_ char *plain = text_plain(text, "");

	free(text);
	if (p->n < p->height)
		p->lines[p->n++] = (struct top_line){ text_cut(plain, p->width, p->mark), style, false };
}

static char *header(const struct top_model *m, const struct top_view *view)
{
	_cleanup_free_ char *counts = top_counts(m);

	return xasprintf("%s%s%s", view->host ? view->host : "", view->host ? "  " : "", counts);
}

/* Those in trouble have the colour of it; what runs is what one expects. */
static enum style style_of(const struct top_row *row)
{
	enum style style = row->stale ? STYLE_WARN : shape_state_style(row->state);

	return style == STYLE_GOOD ? STYLE_NONE : style;
}

static void add_rows(struct page *p, const struct top_model *m, size_t room)
{
	struct layout l = { 0 };
	size_t selected = top_selected(m), first;

	lay_out(m, p->width, &l);
	if (p->height > 2)
		add(p, row_text(&l, m, NULL, p->mark), STYLE_TITLE);
	first = selected < m->n && selected >= room ? selected - room + 1 : 0;
	for (size_t i = first; i < m->n && i - first < room; i++) {
		add(p, row_text(&l, m, &m->rows[i], p->mark), style_of(&m->rows[i]));
		p->lines[p->n - 1].selected = i == selected;
	}
}

/* The last ones, the newest at the bottom. */
static void add_events(struct page *p, const struct top_model *m, size_t room)
{
	size_t n = m->n_events < room - 1 ? m->n_events : room - 1;

	add(p, xstrdup(n ? "LAST EVENTS" : "NO EVENTS YET"), STYLE_TITLE);
	for (size_t i = m->n_events - n; i < m->n_events; i++)
		add(p, xstrdup(m->events[i]), STYLE_NONE);
}

static void fill_to(struct page *p, size_t n)
{
	while (p->n < n && p->n < p->height)
		p->lines[p->n++] = (struct top_line){ 0 };
}

struct top_line *top_view(const struct top_model *m, const struct top_view *view, size_t height, size_t width)
{
	struct page p = { .lines = xcalloc(height + 1, sizeof(*p.lines)),
			  .height = height,
			  .width = width,
			  .mark = view->utf8 ? "\u2026" : "~" };
	size_t top = height > 3 ? 1 : 0, titles = height > 2 ? 1 : 0, bottom = height > 1 ? 1 : 0;
	size_t events = height >= EVENTS_FROM ? height / EVENTS_PART : 0;

	if (top)
		add(&p, header(m, view), STYLE_TITLE);
	if (view->help) {
		for (size_t i = 0; i < ARRAY_SIZE(keys) && p.n + bottom < height; i++)
			add(&p, xstrdup(keys[i]), STYLE_NONE);
	} else {
		add_rows(&p, m, height - top - titles - bottom - events);
		fill_to(&p, height - bottom - events);
		if (events)
			add_events(&p, m, events);
	}
	fill_to(&p, height - bottom);
	if (view->trouble)
		add(&p, xstrdup(view->trouble), STYLE_BAD);
	else
		add(&p, xstrdup(view->message ? view->message : short_keys), view->message ? STYLE_WARN : STYLE_DIM);
	return p.lines;
}

void top_lines_free(struct top_line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(lines[i].text);
	free(lines);
}
