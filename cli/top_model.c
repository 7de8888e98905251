/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/top_model.h"

#include "cli/shapes.h"
#include "cli/text.h"

#include <math.h>
#include <string.h>

static bool is_text(enum top_column column)
{
	return column == TOP_NAME || column == TOP_STATE;
}

static void row_clear(struct top_row *row)
{
	free(row->name);
	free(row->uuid);
	free(row->state);
	json_object_put(row->sample);
}

static void rows_free(struct top_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		row_clear(&rows[i]);
	free(rows);
}

struct top_model *top_model_new(void)
{
	struct top_model *m = xcalloc(1, sizeof(*m));

	m->sort = TOP_CPU;
	return m;
}

struct top_model *top_model_free(struct top_model *m)
{
	if (!m)
		return NULL;
	rows_free(m->rows, m->n);
	for (size_t i = 0; i < m->n_events; i++)
		free(m->events[i]);
	free(m->selected);
	free(m);
	return NULL;
}

/* ---- order ---- */

static int compare_numbers(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return (a < b) - (a > b);
}

static int compare(const void *a, const void *b, void *data)
{
	const struct top_row *x = a, *y = b;
	const struct top_model *m = data;
	int order = 0;

	if (m->sort == TOP_STATE)
		order = strcmp(x->state, y->state);
	else if (!is_text(m->sort))
		order = compare_numbers(top_number(x, m->sort), top_number(y, m->sort));
	if (m->sort == TOP_NAME || order == 0) {
		order = strcmp(x->name, y->name);
		return m->sort == TOP_NAME && m->backwards ? -order : order;
	}
	return m->backwards ? -order : order;
}

static void sort(struct top_model *m)
{
	if (m->n > 1)
		qsort_r(m->rows, m->n, sizeof(*m->rows), compare, m);
}

void top_sort(struct top_model *m, int step)
{
	m->sort = (enum top_column)(((int)m->sort + step + TOP_COLUMNS) % TOP_COLUMNS);
	sort(m);
}

void top_turn(struct top_model *m)
{
	m->backwards = !m->backwards;
	sort(m);
}

/* ---- what is selected ---- */

static const char *key_of(const struct top_row *row)
{
	return *row->uuid ? row->uuid : row->name;
}

size_t top_selected(const struct top_model *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (str_eq(m->selected, key_of(&m->rows[i])))
			return i;
	return m->n;
}

static void select_row(struct top_model *m, size_t i)
{
	free(m->selected);
	m->selected = i < m->n ? xstrdup(key_of(&m->rows[i])) : NULL;
}

void top_select(struct top_model *m, int step)
{
	int64_t at = (int64_t)top_selected(m) + step, last = (int64_t)m->n - 1;

	at = at > last ? last : at;
	select_row(m, at < 0 ? 0 : (size_t)at);
}

/* ---- rates ---- */

static double rate(double before, double now, double seconds)
{
	return seconds > 0 && now >= before ? (now - before) / seconds : NAN;
}

static struct json_object *find(struct json_object *list, const char *uuid)
{
	for (size_t i = 0; uuid && i < json_length(list); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(list, i), "uuid"), uuid))
			return json_object_array_get_idx(list, i);
	return NULL;
}

/* Of the devices that both samples have. */
static double rate_of(struct json_object *before, struct json_object *now, const char *list, const char *counter,
		      double seconds)
{
	struct json_object *old = json_get_typed(before, list, json_type_array);
	struct json_object *new = json_get_typed(now, list, json_type_array);
	double sum = NAN;

	for (size_t i = 0; i < json_length(new); i++) {
		struct json_object *device = json_object_array_get_idx(new, i);
		struct json_object *was = find(old, json_get_str(device, "uuid"));
		double one = rate(json_get_double(was, counter, NAN), json_get_double(device, counter, NAN), seconds);

		if (!isnan(one))
			sum = isnan(sum) ? one : sum + one;
	}
	return sum;
}

static double cpu_time(struct json_object *sample)
{
	return json_get_double(json_get_typed(sample, "cpu", json_type_object), "time", NAN);
}

static const struct {
	const char *list, *counter;
} counters[TOP_COLUMNS] = {
	[TOP_READ] = { "disks", "read-bytes" },
	[TOP_WRITE] = { "disks", "write-bytes" },
	[TOP_RX] = { "nics", "rx-bytes" },
	[TOP_TX] = { "nics", "tx-bytes" },
};

static void forget_numbers(struct top_row *row)
{
	for (size_t c = 0; c < TOP_COLUMNS; c++)
		row->numbers[c] = NAN;
	json_object_put(row->sample);
	row->sample = NULL;
	row->stale = false;
}

static void take_sample(struct top_row *row, struct json_object *sample)
{
	double at = json_get_double(sample, "as-of", NAN), seconds = at - json_get_double(row->sample, "as-of", NAN);

	row->stale = json_get_bool(sample, "stale", false);
	if (isnan(at) || seconds == 0) /* it was not asked again */
		return;
	row->numbers[TOP_MEMORY] = json_get_double(json_get_typed(sample, "memory", json_type_object), "resident", NAN);
	row->numbers[TOP_CPU] = rate(cpu_time(row->sample), cpu_time(sample), seconds);
	for (size_t c = TOP_READ; c < TOP_COLUMNS; c++)
		row->numbers[c] = rate_of(row->sample, sample, counters[c].list, counters[c].counter, seconds);
	json_object_put(row->sample);
	row->sample = json_object_get(sample);
}

void top_take_stats(struct top_model *m, struct json_object *list)
{
	for (size_t i = 0; i < m->n; i++) {
		struct json_object *sample = find(list, m->rows[i].uuid);

		if (sample)
			take_sample(&m->rows[i], sample);
	}
	sort(m);
}

/* ---- the list ---- */

static struct top_row row_of(struct json_object *o)
{
	struct json_object *error = NULL;
	bool unreadable = json_object_object_get_ex(o, "error", &error);
	const char *uuid = json_get_str(o, "uuid"), *state = json_get_str(o, "state");
	struct top_row row = { .name = xstrdup(json_get_str(o, "name")),
			       .uuid = xstrdup(uuid ? uuid : ""),
			       .state = xstrdup(unreadable ? "unreadable" :
						state      ? state :
							     ""),
			       .pid = json_get_int(o, "pid", 0) };

	forget_numbers(&row);
	return row;
}

/* The same process goes on counting. */
static void keep_numbers(struct top_model *m, struct top_row *row)
{
	for (size_t i = 0; i < m->n && row->pid; i++) {
		struct top_row *was = &m->rows[i];

		if (!str_eq(was->uuid, row->uuid) || was->pid != row->pid)
			continue;
		memcpy(row->numbers, was->numbers, sizeof(row->numbers));
		row->stale = was->stale;
		row->sample = TAKE_PTR(was->sample);
		return;
	}
}

void top_take_instances(struct top_model *m, struct json_object *list)
{
	struct top_row *rows = xcalloc(json_length(list) + 1, sizeof(*rows));
	size_t n = 0, at = top_selected(m);

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!json_get_str(o, "name"))
			continue;
		rows[n] = row_of(o);
		keep_numbers(m, &rows[n++]);
	}
	rows_free(m->rows, m->n);
	m->rows = rows;
	m->n = n;
	sort(m);
	/* Who stood in the place of the one that has gone. */
	if (top_selected(m) == m->n)
		select_row(m, at < m->n || !m->n ? at : m->n - 1);
}

bool top_running(const struct top_model *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (str_eq(m->rows[i].state, "running"))
			return true;
	return false;
}

/* ---- what is shown ---- */

double top_number(const struct top_row *row, enum top_column column)
{
	bool shown = column == TOP_MEMORY ? row->pid != 0 : str_eq(row->state, "running");

	return shown ? row->numbers[column] : NAN;
}

char *top_cell(const struct top_row *row, enum top_column column)
{
	double number;

	if (column == TOP_NAME)
		return xstrdup(row->name);
	if (column == TOP_STATE)
		return xasprintf("%s%s", row->state, row->stale ? ", stale" : "");
	number = top_number(row, column);
	if (isnan(number) || number < 0 || number >= 0x1p63)
		return xstrdup("-");
	return column == TOP_CPU ? xasprintf("%.1f", number * 100) : text_size((uint64_t)number);
}

/* The first state behind AFTER (NULL: the first at all) in the order of the alphabet; how many are in it, 0: none. */
static size_t next_state(const struct top_model *m, const char *after, const char **ret)
{
	size_t n = 0;

	*ret = NULL;
	for (size_t i = 0; i < m->n; i++) {
		const char *state = m->rows[i].state;
		int order = *ret ? strcmp(state, *ret) : -1;

		if ((after && strcmp(state, after) <= 0) || order > 0)
			continue;
		n = order < 0 ? 1 : n + 1;
		*ret = state;
	}
	return n;
}

char *top_counts(const struct top_model *m)
{
	char *text = xasprintf("%zu instance%s", m->n, m->n == 1 ? "" : "s");
	const char *state = NULL, *separator = ": ";

	for (size_t n; (n = next_state(m, state, &state)); separator = ", ") {
		_cleanup_free_ char *before = text;

		text = xasprintf("%s%s%zu %s", before, separator, n, state);
	}
	return text;
}

/* ---- events ---- */

bool top_take_event(struct top_model *m, struct json_object *event)
{
	static const char *const lists[] = { "INSTANCE_STATE", "INSTANCE_DEFINED", "INSTANCE_UNDEFINED", "DAEMON" };
	struct json_object *stamp = json_get_typed(event, "timestamp", json_type_object);
	const char *name = json_get_str(event, "event");
	const char *instance = json_get_str(json_get_typed(event, "data", json_type_object), "instance");
	_cleanup_free_ char *time = text_time(json_get_double(stamp, "seconds", NAN), false);
	_cleanup_free_ char *rest = shape_event(event);
	const char *clock = strchr(time, ' ');

	if (m->n_events == TOP_EVENTS) {
		free(m->events[0]);
		memmove(&m->events[0], &m->events[1], (TOP_EVENTS - 1) * sizeof(m->events[0]));
		m->n_events--;
	}
	m->events[m->n_events++] = xasprintf("%s  %s  %s%s%s", clock ? clock + 1 : time, name,
					     instance ? instance : "-", rest ? "  " : "", rest ? rest : "");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (str_eq(name, lists[i]))
			return true;
	return false;
}
