/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover top` without a terminal: rates of two samples, order, selection, and screens of any size. */
#include "cli/client.h"
#include "cli/text.h"
#include "cli/top_view.h"

#include <check.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_qemu, &o, NULL), "%s", text);
	return o;
}

/* TEXT: JSON with ' for ", printf-like. */
static struct json_object *json(const char *fmt, ...) _printf_(1, 2);
static struct json_object *json(const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	return parse(text);
}

/* Consume LIST. */
static void instances(struct top_model *m, struct json_object *list)
{
	top_take_instances(m, list);
	json_object_put(list);
}

static void stats(struct top_model *m, struct json_object *list)
{
	top_take_stats(m, list);
	json_object_put(list);
}

#define RUNNING(name, uuid, pid) \
	"{'name': '" name "', 'uuid': '" uuid "', 'state': 'running', 'pid': " pid ", 'vcpus': 1}"
#define SHUTOFF(name, uuid) "{'name': '" name "', 'uuid': '" uuid "', 'state': 'shutoff'}"

/* "NAME STATE CPU MEMORY READ WRITE RX TX" of the row at I. */
static void check_row(const struct top_model *m, size_t i, const char *expected)
{
	_cleanup_free_ char *text = xstrdup("");

	ck_assert_uint_lt(i, m->n);
	for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
		_cleanup_free_ char *cell = top_cell(&m->rows[i], c), *before = text;

		text = xasprintf("%s%s%s", before, c ? "|" : "", cell);
	}
	ck_assert_str_eq(text, expected);
}

/* The names, in their order. */
static void check_order(const struct top_model *m, const char *expected)
{
	_cleanup_free_ char *text = xstrdup("");

	for (size_t i = 0; i < m->n; i++) {
		_cleanup_free_ char *before = text;

		text = xasprintf("%s%s%s", before, i ? " " : "", m->rows[i].name);
	}
	ck_assert_str_eq(text, expected);
}

/* ---- rates ---- */

static struct json_object *sample(const char *stale, double at, double cpu, int read, int rx)
{
	return json(
		"[{'name': 'a', 'uuid': 'ua', 'stale': %s, 'as-of': %f, 'cpu': {'time': %f}, 'memory': {'resident': "
		"1048576}, 'disks': [{'uuid': 'd0', 'read-bytes': %d, 'write-bytes': 7}, {'uuid': 'd1', 'read-bytes': "
		"1000, 'write-bytes': 0}], 'nics': [{'uuid': 'n0', 'rx-bytes': %d}, {'uuid': 'n1'}]}]",
		stale, at, cpu, read, rx);
}

START_TEST(rates)
{
	_cleanup_(top_model_freep) struct top_model *m = top_model_new();

	instances(m, json("[" RUNNING("a", "ua", "7") "]"));
	ck_assert(top_running(m));
	check_row(m, 0, "a|running|-|-|-|-|-|-");
	stats(m, sample("false", 100, 10, 5000, 100));
	check_row(m, 0, "a|running|-|1M|-|-|-|-");
	stats(m, sample("false", 102, 13, 7048, 300));
	check_row(m, 0, "a|running|150.0|1M|1K|0|100|-");
	/* Nobody has asked it again: what was so is so. */
	stats(m, sample("false", 102, 13, 7048, 300));
	check_row(m, 0, "a|running|150.0|1M|1K|0|100|-");
	/* It does not answer; and does again, after 10 s. */
	stats(m, sample("true", 102, 13, 7048, 300));
	check_row(m, 0, "a|running, stale|150.0|1M|1K|0|100|-");
	stats(m, sample("false", 112, 14, 7048, 300));
	check_row(m, 0, "a|running|10.0|1M|0|0|0|-");
	/* A counter that falls, and a clock that was set back. */
	stats(m, sample("false", 113, 1, 0, 400));
	check_row(m, 0, "a|running|-|1M|0|0|100|-");
	stats(m, sample("false", 50, 2, 1, 500));
	check_row(m, 0, "a|running|-|1M|-|-|-|-");
}
END_TEST

/* One disk goes, another one comes: neither is a rate. */
START_TEST(rates_of_devices)
{
	_cleanup_(top_model_freep) struct top_model *m = top_model_new();

	instances(m, json("[" RUNNING("a", "ua", "7") "]"));
	stats(m, json("[{'uuid': 'ua', 'as-of': 1, 'disks': [{'uuid': 'd0', 'read-bytes': 900000}, {'uuid': 'd1', "
		      "'read-bytes': 10}]}]"));
	stats(m, json("[{'uuid': 'ua', 'as-of': 2, 'disks': [{'uuid': 'd2', 'read-bytes': 500000}, {'uuid': 'd1', "
		      "'read-bytes': 15}]}]"));
	check_row(m, 0, "a|running|-|-|5|-|-|-");
}
END_TEST

/* Another process counts from the beginning; the same one goes on, over a new list, and a pause is no rate. */
START_TEST(processes)
{
	_cleanup_(top_model_freep) struct top_model *m = top_model_new();

	instances(m, json("[" RUNNING("a", "ua", "7") "]"));
	stats(m, sample("false", 100, 10, 5000, 100));
	stats(m, sample("false", 102, 13, 7048, 300));
	instances(m, json("[" RUNNING("a", "ua", "7") "]"));
	check_row(m, 0, "a|running|150.0|1M|1K|0|100|-");
	instances(m, json("[{'name': 'a', 'uuid': 'ua', 'state': 'paused', 'pid': 7}]"));
	check_row(m, 0, "a|paused|-|1M|-|-|-|-");
	ck_assert(!top_running(m));
	instances(m, json("[" RUNNING("a", "ua", "8") "]"));
	check_row(m, 0, "a|running|-|-|-|-|-|-");
	stats(m, sample("false", 110, 60, 9000, 900));
	check_row(m, 0, "a|running|-|1M|-|-|-|-");
	instances(m, json("[" SHUTOFF("a", "ua") "]"));
	check_row(m, 0, "a|shutoff|-|-|-|-|-|-");
}
END_TEST

START_TEST(strange)
{
	static const char *const odd[] = {
		"7",
		"null",
		"{}",
		"[7, null, [], {}, {'name': 7}, {'uuid': 'ua'}]",
		"[{'uuid': 'ua', 'as-of': 'x', 'cpu': 7, 'disks': {}, 'memory': []}]",
		"[{'uuid': 'ua', 'as-of': 9, 'disks': [7, {'uuid': 8}], 'nics': [{}], 'memory': {'resident': -1}}]"
	};
	_cleanup_(top_model_freep) struct top_model *m = top_model_new();

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		instances(m, json("[" RUNNING("a", "ua", "7") ", {'name': 'b', 'error': {'class': 'GenericError'}}, "
							      "{'name': 'c', 'state': 7, 'pid': 'x'}]"));
		stats(m, json("%s", odd[i]));
		check_row(m, 0, "a|running|-|-|-|-|-|-");
		check_row(m, 1, "b|unreadable|-|-|-|-|-|-");
		check_row(m, 2, "c||-|-|-|-|-|-");
		instances(m, json("%s", odd[i]));
		ck_assert_uint_eq(m->n, 0);
	}
}
END_TEST

/* ---- order and selection ---- */

static struct top_model *three(void)
{
	struct top_model *m = top_model_new();

	instances(m, json("[" SHUTOFF("a", "ua") "," RUNNING("b", "ub", "1") "," RUNNING("c", "uc", "2") "]"));
	stats(m, json("[{'uuid': 'ub', 'as-of': 1, 'cpu': {'time': 0}, 'memory': {'resident': 9}}, {'uuid': 'uc', "
		      "'as-of': 1, 'cpu': {'time': 0}, 'memory': {'resident': 5}}]"));
	stats(m, json("[{'uuid': 'ub', 'as-of': 2, 'cpu': {'time': 1}, 'memory': {'resident': 9}}, {'uuid': 'uc', "
		      "'as-of': 2, 'cpu': {'time': 2}, 'memory': {'resident': 5}}]"));
	return m;
}

START_TEST(order)
{
	_cleanup_(top_model_freep) struct top_model *m = three();

	check_order(m, "c b a"); /* by cpu */
	top_turn(m);
	check_order(m, "a b c");
	top_turn(m);
	top_sort(m, 1); /* memory */
	check_order(m, "b c a");
	top_sort(m, -2); /* state; equal ones by name */
	check_order(m, "b c a");
	top_turn(m);
	check_order(m, "a b c");
	top_sort(m, -1); /* name */
	check_order(m, "c b a");
	top_sort(m, -1); /* round: tx, which nobody has */
	ck_assert_int_eq(m->sort, TOP_TX);
	check_order(m, "a b c");
}
END_TEST

/* It goes with the instance; where that has gone, to who is in its place. */
START_TEST(selection)
{
	_cleanup_(top_model_freep) struct top_model *m = three();

	top_select(m, -9);
	ck_assert_str_eq(m->selected, "uc");
	top_select(m, 1);
	ck_assert_str_eq(m->selected, "ub");
	top_sort(m, 1);
	ck_assert_uint_eq(top_selected(m), 0);
	top_select(m, 99);
	ck_assert_str_eq(m->selected, "ua");
	top_select(m, -1);
	ck_assert_str_eq(m->selected, "uc");
	instances(m, json("[" SHUTOFF("a", "ua") "," RUNNING("b", "ub", "1") "]"));
	ck_assert_uint_eq(top_selected(m), 1);
	instances(m, json("[]"));
	ck_assert_ptr_null(m->selected);
	top_select(m, 1);
	ck_assert_uint_eq(top_selected(m), m->n);
	instances(m, json("[" SHUTOFF("a", "ua") ", {'name': 'bad'}]"));
	ck_assert_str_eq(m->selected, "ua"); /* somebody is as soon as there is anybody */
	top_select(m, 1);
	ck_assert_str_eq(m->selected, "bad");
}
END_TEST

START_TEST(counts)
{
	_cleanup_(top_model_freep) struct top_model *m = three(), *none = top_model_new();
	_cleanup_free_ char *text = top_counts(m), *nothing = top_counts(none), *turned = NULL;

	ck_assert_str_eq(text, "3 instances: 2 running, 1 shutoff");
	ck_assert_str_eq(nothing, "0 instances");
	top_turn(m);
	turned = top_counts(m);
	ck_assert_str_eq(turned, text);
}
END_TEST

/* ---- events ---- */

static bool event(struct top_model *m, struct json_object *o)
{
	bool list = top_take_event(m, o);

	json_object_put(o);
	return list;
}

START_TEST(events)
{
	_cleanup_(top_model_freep) struct top_model *m = top_model_new();

	ck_assert(event(m, json("{'event': 'INSTANCE_STATE', 'data': {'instance': 'a', 'state': 'running', 'reason': "
				"'booted'}, 'timestamp': {'seconds': 1700000000, 'microseconds': 5}}")));
	ck_assert_str_eq(m->events[0], "22:13:20  INSTANCE_STATE  a  state=running reason=booted");
	ck_assert(!event(m, json("{'event': 'QEMU_EVENT', 'data': {'instance': 'a', 'event': 'RTC'}}")));
	ck_assert_str_eq(m->events[1], "-  QEMU_EVENT  a  event=RTC");
	ck_assert(!event(m, json("{'event': 'X'}")));
	ck_assert_str_eq(m->events[2], "-  X  -");
	for (int i = 0; i < 2 * TOP_EVENTS; i++)
		event(m, json("{'event': 'E%d'}", i));
	ck_assert_uint_eq(m->n_events, TOP_EVENTS);
	ck_assert_str_eq(m->events[TOP_EVENTS - 1], "-  E127  -");
	ck_assert_str_eq(m->events[0], "-  E64  -");
}
END_TEST

/* ---- screens ---- */

/* The lines, each with a newline; that of the selected row begins with ">". The caller's. */
static char *page(const struct top_model *m, const struct top_view *view, size_t height, size_t width)
{
	struct top_line *lines = top_view(m, view, height, width);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; i < height; i++) {
		size_t n = lines[i].text ? strlen(lines[i].text) : 0;

		ck_assert_msg(!n || text_width(lines[i].text) <= width, "wider than %zu: '%s'", width, lines[i].text);
		while (n > 0 && lines[i].text[n - 1] == ' ')
			n--;
		fprintf(f, "%s%.*s\n", lines[i].selected ? ">" : "", (int)n, n ? lines[i].text : "");
	}
	fclose(f);
	top_lines_free(lines, height);
	return text;
}

static void check_page(const struct top_model *m, const struct top_view *view, size_t height, size_t width,
		       const char *expected)
{
	_cleanup_free_ char *text = page(m, view, height, width);

	ck_assert_str_eq(text, expected);
}

START_TEST(whole_screen)
{
	_cleanup_(top_model_freep) struct top_model *m = three();
	struct top_view view = { .host = "host1" };

	top_select(m, 0);
	event(m, json("{'event': 'ONE'}"));
	event(m, json("{'event': 'TWO', 'data': {'instance': 'b', 'text': '\\u001b[31m'}}"));
	check_page(m, &view, 12, 80,
		   "host1  3 instances: 2 running, 1 shutoff\n"
		   "NAME   STATE         *CPU%   MEMORY    READ/s   WRITE/s      RX/s      TX/s\n"
		   "c      running       200.0        5         -         -         -         -\n"
		   "b      running       100.0        9         -         -         -         -\n"
		   ">a      shutoff           -        -         -         -         -         -\n"
		   "\n"
		   "\n"
		   "LAST EVENTS\n"
		   "-  ONE  -\n"
		   "-  TWO  b  text=\\x1b[31m\n"
		   "\n"
		   "q quit  ? help  c console  s start  d shutdown  p pause  < > sort\n");
	view.message = "a: running";
	view.trouble = "No daemon.";
	check_page(m, &view, 4, 40,
		   "host1  3 instances: 2 running, 1 shutoff\n"
		   "NAME   STATE         *CPU%   MEMORY\n"
		   ">a      shutoff           -        -\n"
		   "No daemon.\n");
	view.trouble = NULL;
	check_page(m, &view, 2, 40, ">a      shutoff           -        -\na: running\n");
	view.help = true;
	check_page(m, &view, 4, 40,
		   "host1  3 instances: 2 running, 1 shutoff\n"
		   "j k, arrows   select an instance\n"
		   "c, Enter      its console; ^] leaves it\n"
		   "a: running\n");
}
END_TEST

START_TEST(small_screen)
{
	_cleanup_(top_model_freep) struct top_model *m = three();
	const struct top_view view = { .host = NULL };

	top_select(m, -9);
	check_page(m, &view, 5, 20,
		   "3 instances: 2 runn~\n"
		   "NAME   STATE\n"
		   ">c      running\n"
		   "b      running\n"
		   "q quit  ? help  c c~\n");
	top_select(m, 9);
	check_page(m, &view, 5, 20,
		   "3 instances: 2 runn~\n"
		   "NAME   STATE\n"
		   "b      running\n"
		   ">a      shutoff\n"
		   "q quit  ? help  c c~\n");
	check_page(m, &view, 1, 1, ">~\n");
}
END_TEST

/* No size at which a line is too wide, or the selected instance is not to be seen. */
START_TEST(any_size)
{
	_cleanup_(top_model_freep) struct top_model *m = top_model_new();
	const struct top_view view = { .host = "a-host-with-a-long-name.example.org", .utf8 = true };
	_cleanup_json_ struct json_object *list = json_object_new_array();

	for (int i = 0; i < 50; i++)
		json_object_array_add(list, json("{'name': '%.*s%d', 'uuid': 'u%d', 'state': 'pmsuspended', 'pid': %d}",
						 i % 40, "a-name-that-is-as-long-as-people-make-them-these-days", i, i,
						 i + 1));
	top_take_instances(m, list);
	for (int i = 0; i < 40; i++)
		event(m, json("{'event': 'E', 'data': {'text': '\\u6f22\\u5b57x\\n'}}"));
	for (size_t height = 0; height < 20; height++)
		for (size_t width = 1; width < 100; width += 7)
			for (int at = 0; at < 3; at++) {
				_cleanup_free_ char *text = NULL;

				top_select(m, at == 0 ? -99 : at == 1 ? 23 : 99);
				text = page(m, &view, height, width);
				ck_assert_msg(!height || strchr(text, '>'), "%zux%zu", width, height);
			}
}
END_TEST

/* ---- the session ---- */

struct heard {
	unsigned events, replies;
	int64_t id;
};

static void on_event(struct json_object *event, void *data)
{
	struct heard *h = data;

	h->events++;
}

static void on_reply(struct json_object *reply, void *data)
{
	struct heard *h = data;

	h->replies++;
	h->id = json_get_int(reply, "id", -1);
}

static void put(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* No reply is waited for, and no end of what has only begun; what is left over of the greeting is taken without reading. */
START_TEST(session)
{
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct heard h = { 0 };
	char asked[256] = "";
	int64_t id = 0;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	put(fds[1], "{\"QMP\":{}}\r\n{\"return\":{},\"id\":1}\r\n{\"event\":\"A\"}\r\n");
	c = client_new(fds[0], "/socket", &e);
	ck_assert_msg(c, "%s", e ? e->desc : "");
	ck_assert_int_gt(read(fds[1], asked, sizeof(asked) - 1), 0);
	client_on_event(c, on_event, &h);
	client_on_reply(c, on_reply, &h);
	ck_assert(client_buffered(c));
	ck_assert(client_take(c, &e));
	ck_assert_uint_eq(h.events, 1);
	ck_assert(client_send(c, "query-stats", NULL, &id, &e));
	memset(asked, 0, sizeof(asked));
	ck_assert_int_gt(read(fds[1], asked, sizeof(asked) - 1), 0);
	ck_assert_str_eq(asked, "{\"execute\":\"query-stats\",\"id\":2}\n");
	put(fds[1], "{\"event\":\"B\"}\r\n{\"return\":[],\"i");
	ck_assert(client_take(c, &e));
	ck_assert_uint_eq(h.events, 2);
	ck_assert_uint_eq(h.replies, 0);
	put(fds[1], "d\":2}\r\n{\"error\":{\"class\":\"Gap\",\"desc\":\"lost\"}}\r\n");
	ck_assert(client_take(c, &e));
	ck_assert_uint_eq(h.replies, 2);
	ck_assert_int_eq(h.id, -1); /* the last one answered nothing */
	close(fds[1]);
	ck_assert(!client_take(c, &e));
	ck_assert_int_eq(e->class, ERR_UNAVAILABLE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { rates,  rates_of_devices, processes,    strange,      order,    selection,
				       counts, events,           whole_screen, small_screen, any_size, session };
	Suite *suite = suite_create("drover top, without a terminal");
	TCase *tc = tcase_create("top");
	SRunner *runner;
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	setenv("TZ", "UTC", 1);
	suite_add_tcase(suite, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, tests[i]);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
