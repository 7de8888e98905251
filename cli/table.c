/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/table.h"

#include "cli/text.h"

#include <assert.h>
#include <string.h>

enum { GAP = 2 };

struct cell {
	char *text;
	enum style style;
};

struct row {
	struct cell *cells; /* as many as the table has columns */
	size_t used;
	char *note;
};

struct table {
	const struct column *columns;
	size_t n;
	struct row *rows;
	size_t n_rows;
};

struct table *table_new(const struct column *columns, size_t n)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->columns = columns;
	t->n = n;
	return t;
}

struct table *table_free(struct table *t)
{
	if (!t)
		return NULL;
	for (size_t r = 0; r < t->n_rows; r++) {
		for (size_t c = 0; c < t->n; c++)
			free(t->rows[r].cells[c].text);
		free(t->rows[r].cells);
		free(t->rows[r].note);
	}
	free(t->rows);
	free(t);
	return NULL;
}

void table_row(struct table *t)
{
	struct row *row;

	t->rows = xrealloc(t->rows, t->n_rows + 1, sizeof(*t->rows));
	row = &t->rows[t->n_rows++];
	*row = (struct row){ .cells = xcalloc(t->n, sizeof(*row->cells)) };
}

static struct row *last_row(struct table *t)
{
	assert(t->n_rows > 0);
	return &t->rows[t->n_rows - 1];
}

void table_cell(struct table *t, enum style style, const char *text)
{
	struct row *row = last_row(t);

	assert(row->used < t->n);
	row->cells[row->used++] = (struct cell){ .text = str_empty(text) ? NULL : text_plain(text, ""),
						 .style = style };
}

void table_cellf(struct table *t, enum style style, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	table_cell(t, style, text);
}

void table_note(struct table *t, const char *text)
{
	struct row *row = last_row(t);

	free(row->note);
	row->note = text_plain(text, "");
}

size_t table_rows(const struct table *t)
{
	return t->n_rows;
}

/* The column that shrinks next, N if none may. */
static size_t next_to_shrink(const size_t *widths, const struct column *columns, size_t n, bool below_min)
{
	size_t found = n;

	for (size_t c = 0; c < n; c++) {
		size_t least = below_min ? TABLE_FLOOR : columns[c].min;

		if (!columns[c].min || widths[c] <= least)
			continue;
		if (found == n || (below_min ? widths[c] * columns[found].min > widths[found] * columns[c].min :
					       widths[c] > widths[found]))
			found = c;
	}
	return found;
}

void table_fit(size_t *widths, const struct column *columns, size_t n, size_t width)
{
	size_t sum = n ? GAP * (n - 1) : 0;

	for (size_t c = 0; c < n; c++)
		sum += widths[c];
	for (; sum > width; sum--) {
		size_t c = next_to_shrink(widths, columns, n, false);

		if (c == n)
			c = next_to_shrink(widths, columns, n, true);
		if (c == n)
			return;
		widths[c]--;
	}
}

static const char *const styles[] = {
	[STYLE_NONE] = "",         [STYLE_TITLE] = "\033[1m", [STYLE_GOOD] = "\033[32m",
	[STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m",  [STYLE_DIM] = "\033[2m",
};

const char *style_on(const struct screen *screen, enum style style)
{
	return screen->colour ? styles[style] : "";
}

const char *style_off(const struct screen *screen, enum style style)
{
	return screen->colour && style != STYLE_NONE ? "\033[0m" : "";
}

/* LAST: nothing follows in the line, so no blanks at its end either. */
static void print_cell(FILE *f, const char *text, enum style style, const struct column *column, size_t width,
		       bool last, const struct screen *screen)
{
	_cleanup_free_ char *cut = text_cut(text, width, screen->utf8 ? "\u2026" : "~");
	size_t pad = width - text_width(cut);

	if (column->right)
		fprintf(f, "%*s", (int)pad, "");
	fprintf(f, "%s%s%s", style_on(screen, style), cut, style_off(screen, style));
	if (!last)
		fprintf(f, "%*s", (int)(GAP + (column->right ? 0 : pad)), "");
}

/* The columns that are printed, and where their cells are. */
struct layout {
	size_t n;
	size_t *at, *widths;
	struct column *columns;
};

/* The width of the table's column C with its title; *EMPTY: no cell has a text. */
static size_t column_width(const struct table *t, size_t c, bool *empty)
{
	size_t width = text_width(t->columns[c].title);

	*empty = true;
	for (size_t r = 0; r < t->n_rows; r++) {
		const char *text = t->rows[r].cells[c].text;
		size_t w = text ? text_width(text) : 1;

		*empty &= !text;
		width = w > width ? w : width;
	}
	return width;
}

/* The width that the column needs at least. */
static size_t least_width(const struct layout *l, size_t i)
{
	return l->columns[i].min && l->widths[i] > TABLE_FLOOR ? TABLE_FLOOR : l->widths[i];
}

/* The column that is left out next. */
static size_t next_to_drop(const struct layout *l)
{
	for (size_t i = l->n - 1; i > 0; i--)
		if (!l->columns[i].keep)
			return i;
	return l->n - 1;
}

static void drop_column(struct layout *l, size_t i)
{
	for (l->n--; i < l->n; i++) {
		l->at[i] = l->at[i + 1];
		l->widths[i] = l->widths[i + 1];
		l->columns[i] = l->columns[i + 1];
	}
}

/* Leaves out what has no room even where all are as narrow as they may be. */
static void drop_columns(struct layout *l, size_t width)
{
	size_t least = l->n ? GAP * (l->n - 1) : 0;

	for (size_t i = 0; i < l->n; i++)
		least += least_width(l, i);
	while (least > width && l->n > 1) {
		size_t i = next_to_drop(l);

		least -= GAP + least_width(l, i);
		drop_column(l, i);
	}
}

static void lay_out(const struct table *t, size_t width, struct layout *l)
{
	for (size_t c = 0; c < t->n; c++) {
		bool empty;
		size_t w = column_width(t, c, &empty);

		if (width && empty && t->columns[c].optional)
			continue;
		l->at[l->n] = c;
		l->widths[l->n] = w;
		l->columns[l->n++] = t->columns[c];
	}
	if (width) {
		drop_columns(l, width);
		table_fit(l->widths, l->columns, l->n, width);
	}
}

/* ROW NULL: the titles. */
static void print_row(FILE *f, const struct row *row, const struct layout *l, const struct screen *screen)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct cell *cell = row ? &row->cells[l->at[i]] : NULL;
		const char *text = cell ? cell->text : l->columns[i].title;
		enum style style = cell ? cell->style : STYLE_TITLE;

		if (!text) {
			text = "-";
			style = STYLE_NONE;
		}
		print_cell(f, text, style, &l->columns[i], l->widths[i], i + 1 == l->n, screen);
	}
	fputc('\n', f);
}

void table_print(const struct table *t, FILE *f, unsigned indent, const struct screen *screen)
{
	_cleanup_free_ size_t *at = xcalloc(t->n, sizeof(*at)), *widths = xcalloc(t->n, sizeof(*widths));
	_cleanup_free_ struct column *columns = xcalloc(t->n, sizeof(*columns));
	struct layout l = { .at = at, .widths = widths, .columns = columns };

	lay_out(t, !screen->width ? 0 : screen->width > indent ? screen->width - indent : 1, &l);
	fprintf(f, "%*s", (int)indent, "");
	print_row(f, NULL, &l, screen);
	for (size_t r = 0; r < t->n_rows; r++) {
		fprintf(f, "%*s", (int)indent, "");
		print_row(f, &t->rows[r], &l, screen);
		if (!t->rows[r].note)
			continue;
		fprintf(f, "%*s", (int)indent + 2, "");
		if (screen->width >= TEXT_NARROW)
			text_wrap(f, t->rows[r].note, indent + 2, indent + 2, screen->width);
		else
			fprintf(f, "%s\n", t->rows[r].note);
	}
}
