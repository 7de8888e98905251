/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of streams share: a loop, a stream, its peer.
 *
 * The peer is the other end of a socketpair in the same process. What a stream reports is noted in
 * a log, which tests wait for and compare: values as text, "!" bad, "!!" bad and fatal, "drained",
 * "closed" with its errno. The end of each test counts the open descriptors.
 */
#ifndef DROVER_TESTS_STREAM_WORLD_H
#define DROVER_TESTS_STREAM_WORLD_H

#include "base/stream.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 60000

struct world;
typedef void hook_fn(struct world *w, struct json_object *value);

static struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct stream *s;
	int peer;
	int fds;     /* open before the test */
	bool inside; /* a function of the stream, which must not call back */
	char log[4096];
	hook_fn *on_value, *on_bad, *on_drained, *on_closed;
	size_t bytes; /* of values, when they are too many for the log */
	bool quiet;
	int count;
} world;

static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline void note(struct world *w, const char *text)
{
	ck_assert(!w->inside);
	if (w->log[0])
		strcat(w->log, " ");
	ck_assert_uint_lt(strlen(w->log) + strlen(text), sizeof(w->log) - 1);
	strcat(w->log, text);
}

static inline void on_value(struct stream *s, struct json_object *value, void *data)
{
	struct world *w = data;
	_cleanup_free_ char *text = json_print(value);

	w->count++;
	w->bytes += strlen(text);
	if (!w->quiet)
		note(w, text);
	if (w->on_value)
		w->on_value(w, value);
}

static inline void on_bad(struct stream *s, const struct err *e, bool fatal, void *data)
{
	struct world *w = data;

	ck_assert(!str_empty(e->desc));
	note(w, fatal ? "!!" : "!");
	if (w->on_bad)
		w->on_bad(w, NULL);
}

static inline void on_closed(struct stream *s, int error, void *data)
{
	struct world *w = data;
	char text[32];

	snprintf(text, sizeof(text), "closed %d", error);
	note(w, text);
	if (w->on_closed)
		w->on_closed(w, NULL);
}

static inline void on_drained(struct stream *s, void *data)
{
	struct world *w = data;

	note(w, "drained");
	if (w->on_drained)
		w->on_drained(w, NULL);
}

static inline void on_hung_up(struct stream *s, void *data)
{
	note(data, "gone");
}

static const struct stream_ops ops = { on_value, on_bad, on_closed, on_drained, NULL };
static const struct stream_ops ops_hung_up = { on_value, on_bad, on_closed, on_drained, on_hung_up };
static const struct json_limits limits = { .bytes = 1000, .depth = 8 };

static inline void open_stream(int fd)
{
	world.s = stream_new(&world.loop, fd, &limits, &ops, &world);
}

static inline void setup(void)
{
	int fds[2];

	memset(&world, 0, sizeof(world));
	world.fds = count_fds();
	ck_assert_int_eq(uv_loop_init(&world.loop), 0);
	uv_timer_init(&world.loop, &world.deadline);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	world.peer = fds[1];
	fcntl(world.peer, F_SETFL, O_NONBLOCK);
	open_stream(fds[0]);
}

static inline void teardown(void)
{
	world.s = stream_free(world.s);
	world.peer = fd_close(world.peer);
	uv_close((uv_handle_t *)&world.deadline, NULL);
	while (uv_run(&world.loop, UV_RUN_DEFAULT))
		;
	ck_assert_int_eq(uv_loop_close(&world.loop), 0);
	ck_assert_int_eq(count_fds(), world.fds);
}

static inline void on_deadline(uv_timer_t *timer)
{
	ck_abort_msg("still waiting after '%s'", world.log);
}

/* One turn of the loop that waits for something to happen. */
static inline void turn(void)
{
	uv_timer_start(&world.deadline, on_deadline, DEADLINE_MS, 0);
	uv_run(&world.loop, UV_RUN_ONCE);
	uv_timer_stop(&world.deadline);
}

/* Until the log is just EXPECTED. */
static inline void expect(const char *expected)
{
	while (strcmp(world.log, expected) != 0) {
		ck_assert_msg(str_starts(expected, world.log), "'%s' is no start of '%s'", world.log, expected);
		/* a timer that is due would be followed by a sleep */
		uv_run(&world.loop, UV_RUN_NOWAIT);
		if (strcmp(world.log, expected) != 0)
			turn();
	}
}

/* Nothing more comes of itself. */
static inline void expect_nothing_after(const char *expected)
{
	expect(expected);
	for (int i = 0; i < 20; i++)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	ck_assert_str_eq(world.log, expected);
}

/* The loop would sleep without end. */
static inline void expect_asleep(void)
{
	uv_run(&world.loop, UV_RUN_NOWAIT);
	if (uv_loop_alive(&world.loop))
		ck_assert_int_eq(uv_backend_timeout(&world.loop), -1);
}

static inline void peer_write(const char *text)
{
	ck_assert_int_eq(write(world.peer, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void peer_hang_up(void)
{
	world.peer = fd_close(world.peer);
}

/* What the peer can read now; -1 at the end of file. */
static inline ssize_t peer_read(char *buf, size_t size)
{
	ssize_t n = read(world.peer, buf, size);

	if (n < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return n == 0 ? -1 : n < 0 ? 0 : n;
}

/* Everything that the peer can read now, not kept. True at the end of file. */
static inline bool peer_drain(size_t *total)
{
	static char buf[65536];
	ssize_t n;

	while ((n = peer_read(buf, sizeof(buf))) > 0)
		*total += (size_t)n;
	return n < 0;
}

/* The same until the end of file. */
static inline size_t peer_read_all(void)
{
	size_t total = 0;

	while (!peer_drain(&total))
		turn();
	return total;
}

static inline void expect_read(const char *expected)
{
	char buf[1024] = "";
	size_t n = 0;

	while (n < strlen(expected)) {
		ssize_t more = peer_read(buf + n, sizeof(buf) - 1 - n);

		ck_assert_int_ge(more, 0);
		n += (size_t)more;
		if (!more)
			turn();
	}
	ck_assert_str_eq(buf, expected);
}

static inline void send_text(const char *json, int fd)
{
	_cleanup_json_ struct json_object *o = NULL;

	ck_assert(json_parse(json, strlen(json), &json_limits_request, &o, NULL));
	world.inside = true;
	stream_send(world.s, o, fd);
	world.inside = false;
}

/* A value of SIZE bytes on the wire, more than a socket takes if it is a megabyte. */
static inline void send_large(size_t size)
{
	_cleanup_free_ char *text = xcalloc(size, 1);
	_cleanup_json_ struct json_object *o = NULL;

	memset(text, 'x', size);
	o = json_object_new_string_len(text, (int)size - 4);
	world.inside = true;
	stream_send(world.s, o, -1);
	world.inside = false;
}

static inline void call(void (*f)(struct stream *))
{
	world.inside = true;
	f(world.s);
	world.inside = false;
}

static inline void set_pause(bool pause)
{
	world.inside = true;
	stream_pause(world.s, pause);
	world.inside = false;
}

/* The main of a program: runs the tests of TC, each in a world of its own. */
static inline int world_run(TCase *tc)
{
	Suite *suite = suite_create("stream");
	SRunner *runner = srunner_create(suite);
	uv_loop_t warm_up; /* libuv opens something of its own for good */
	int failed;

	uv_loop_init(&warm_up);
	uv_loop_close(&warm_up);
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
