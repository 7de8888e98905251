/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The peer is the other end of a socketpair in the same process. What a stream reports is noted in
 * a log, which tests wait for and compare: values as text, "!" bad, "!!" bad and fatal, "drained",
 * "closed" with its errno.
 */
#include "base/stream.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 20000

struct world;
typedef void hook_fn(struct world *w, struct json_object *value);

static struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct stream *s;
	int peer;
	int fds; /* open before the test */
	bool inside; /* a function of the stream, which must not call back */
	char log[4096];
	hook_fn *on_value, *on_bad, *on_drained, *on_closed;
	size_t bytes; /* of values, when they are too many for the log */
	bool quiet;
	int count;
} world;

static long skew; /* seconds that the clock of this program is ahead */

/* Stands in for libc's, for libuv: time passes when a test says so. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += skew;
	return rc;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void note(struct world *w, const char *text)
{
	ck_assert(!w->inside);
	if (w->log[0])
		strcat(w->log, " ");
	ck_assert_uint_lt(strlen(w->log) + strlen(text), sizeof(w->log) - 1);
	strcat(w->log, text);
}

static void on_value(struct stream *s, struct json_object *value, void *data)
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

static void on_bad(struct stream *s, const struct err *e, bool fatal, void *data)
{
	struct world *w = data;

	ck_assert(!str_empty(e->desc));
	note(w, fatal ? "!!" : "!");
	if (w->on_bad)
		w->on_bad(w, NULL);
}

static void on_closed(struct stream *s, int error, void *data)
{
	struct world *w = data;
	char text[32];

	snprintf(text, sizeof(text), "closed %d", error);
	note(w, text);
	if (w->on_closed)
		w->on_closed(w, NULL);
}

static void on_drained(struct stream *s, void *data)
{
	struct world *w = data;

	note(w, "drained");
	if (w->on_drained)
		w->on_drained(w, NULL);
}

static const struct stream_ops ops = { on_value, on_bad, on_closed, on_drained };
static const struct json_limits limits = { .bytes = 1000, .depth = 8 };

static void open_stream(int fd)
{
	world.s = stream_new(&world.loop, fd, &limits, &ops, &world);
}

static void setup(void)
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

static void teardown(void)
{
	world.s = stream_free(world.s);
	world.peer = fd_close(world.peer);
	uv_close((uv_handle_t *)&world.deadline, NULL);
	while (uv_run(&world.loop, UV_RUN_DEFAULT))
		;
	ck_assert_int_eq(uv_loop_close(&world.loop), 0);
	ck_assert_int_eq(count_fds(), world.fds);
}

static void on_deadline(uv_timer_t *timer)
{
	ck_abort_msg("still waiting after '%s'", world.log);
}

/* One turn of the loop that waits for something to happen. */
static void turn(void)
{
	uv_timer_start(&world.deadline, on_deadline, DEADLINE_MS, 0);
	uv_run(&world.loop, UV_RUN_ONCE);
	uv_timer_stop(&world.deadline);
}

/* Until the log is just EXPECTED. */
static void expect(const char *expected)
{
	while (strcmp(world.log, expected) != 0) {
		ck_assert_msg(str_starts(expected, world.log), "'%s' is no start of '%s'", world.log, expected);
		/* a timer that is due would be followed by a sleep */
		if (!uv_run(&world.loop, UV_RUN_NOWAIT) || strcmp(world.log, expected) != 0)
			turn();
	}
}

/* Nothing more comes of itself. */
static void expect_nothing_after(const char *expected)
{
	expect(expected);
	for (int i = 0; i < 20; i++)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	ck_assert_str_eq(world.log, expected);
}

/* The loop would sleep without end. */
static void expect_asleep(void)
{
	uv_run(&world.loop, UV_RUN_NOWAIT);
	if (uv_loop_alive(&world.loop))
		ck_assert_int_eq(uv_backend_timeout(&world.loop), -1);
}

static void peer_write(const char *text)
{
	ck_assert_int_eq(write(world.peer, text, strlen(text)), (ssize_t)strlen(text));
}

static void peer_hang_up(void)
{
	world.peer = fd_close(world.peer);
}

/* What the peer can read now; -1 at the end of file. */
static ssize_t peer_read(char *buf, size_t size)
{
	ssize_t n = read(world.peer, buf, size);

	if (n < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return n == 0 ? -1 : n < 0 ? 0 : n;
}

/* Everything that the peer can read now, not kept. True at the end of file. */
static bool peer_drain(size_t *total)
{
	static char buf[65536];
	ssize_t n;

	while ((n = peer_read(buf, sizeof(buf))) > 0)
		*total += (size_t)n;
	return n < 0;
}

/* The same until the end of file. */
static size_t peer_read_all(void)
{
	size_t total = 0;

	while (!peer_drain(&total))
		turn();
	return total;
}

static void expect_read(const char *expected)
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

static void send_text(const char *json, int fd)
{
	_cleanup_json_ struct json_object *o = NULL;

	ck_assert(json_parse(json, strlen(json), &json_limits_request, &o, NULL));
	world.inside = true;
	stream_send(world.s, o, fd);
	world.inside = false;
}

/* A value of SIZE bytes on the wire, more than a socket takes if it is a megabyte. */
static void send_large(size_t size)
{
	_cleanup_free_ char *text = xcalloc(size, 1);
	_cleanup_json_ struct json_object *o = NULL;

	memset(text, 'x', size);
	o = json_object_new_string_len(text, (int)size - 4);
	world.inside = true;
	stream_send(world.s, o, -1);
	world.inside = false;
}

static void call(void (*f)(struct stream *))
{
	world.inside = true;
	f(world.s);
	world.inside = false;
}

static void set_pause(bool pause)
{
	world.inside = true;
	stream_pause(world.s, pause);
	world.inside = false;
}

static void do_pause(struct world *w, struct json_object *value)
{
	set_pause(true);
}

static void do_resume(struct world *w, struct json_object *value)
{
	set_pause(false);
}

static void do_free(struct world *w, struct json_object *value)
{
	w->s = stream_free(w->s);
}

static void do_finish(struct world *w, struct json_object *value)
{
	call(stream_finish);
}

static void do_answer_and_finish(struct world *w, struct json_object *value)
{
	send_text("{\"error\":1}", -1);
	call(stream_finish);
}

static void do_echo(struct world *w, struct json_object *value)
{
	w->inside = true;
	stream_send(w->s, value, -1);
	w->inside = false;
}

/* Reading */

START_TEST(test_several_values_in_one_write)
{
	peer_write("1 [2]{\"a\":3}\r\n\"4\"\r\nnull ");
	expect_nothing_after("1 [2] {\"a\":3} \"4\" null");
	expect_asleep();
}
END_TEST

START_TEST(test_one_byte_writes)
{
	for (const char *p = "{\"execute\": [1.5, \"\xc3\xbc\"]}\r\n[] 7 "; *p; p++) {
		ck_assert_int_eq(write(world.peer, p, 1), 1);
		uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	expect_nothing_after("{\"execute\":[1.5,\"\xc3\xbc\"]} [] 7");
}
END_TEST

START_TEST(test_garbage_newline_value)
{
	peer_write("{\"a\" oops [1] \"\n{\"good\":1}\nbad again\n[2]");
	expect_nothing_after("! {\"good\":1} ! [2]");
}
END_TEST

START_TEST(test_oversize_is_fatal)
{
	char text[2001];

	memset(text, ' ', sizeof(text));
	text[0] = '[';
	text[2000] = '\0';
	peer_write(text);
	expect("!!");
	peer_write("1\n2\n");
	expect_nothing_after("!!");
	expect_asleep();
}
END_TEST

/* The peer sees the answer and then the end of file, not a reset, though not all of its words were read. */
START_TEST(test_oversize_answered)
{
	world.on_bad = do_answer_and_finish;
	peer_write("[[[[[[[[[[[[");
	peer_write("1 2 3\n");
	expect("!! closed 0");
	do_free(&world, NULL);
	expect_read("{\"error\":1}\r\n");
	ck_assert_int_eq(peer_read(&(char){ 0 }, 1), -1);
}
END_TEST

START_TEST(test_hang_up)
{
	peer_write("[1] [2] 3");
	peer_hang_up();
	expect_nothing_after("[1] [2] 3 closed 0");
	expect_asleep();
}
END_TEST

START_TEST(test_hang_up_within_value)
{
	peer_write("[1] [2");
	peer_hang_up();
	expect_nothing_after("[1] ! closed 0");
}
END_TEST

/* 64 KiB per turn of the loop. */
START_TEST(test_portions)
{
	static char text[150000];
	size_t total = sizeof(text);

	world.quiet = true;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(text); i += 100)
		text[i] = text[i + 99] = '"';
	ck_assert_int_eq(write(world.peer, text, sizeof(text)), sizeof(text));
	turn();
	ck_assert_uint_gt(world.bytes, 0);
	ck_assert_uint_le(world.bytes, 65536);
	while (world.bytes < total)
		turn();
}
END_TEST

/* Descriptors that nobody asked for do not stay, which teardown() counts. */
START_TEST(test_received_fds_are_dropped)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int before = count_fds(), fds[3] = { null, null, null };
	union {
		char buf[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (char[]){ "[1] [2]" }, 7 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	ck_assert_int_eq(sendmsg(world.peer, &msg, 0), 7);
	ck_assert_int_eq(sendmsg(world.peer, &msg, 0), 7);
	expect("[1] [2] [1] [2]");
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

/* Pause */

START_TEST(test_pause_within_portion)
{
	world.on_value = do_pause;
	peer_write("1 2 [3] 4");
	expect_nothing_after("1");
	expect_asleep();
	set_pause(false); /* which delivers nothing from within, see note() */
	expect_nothing_after("1 2");
	set_pause(false);
	expect_nothing_after("1 2 [3]");
	peer_write("5 ");
	peer_hang_up();
	expect_nothing_after("1 2 [3]");
	set_pause(false);
	/* 4 and 5 are one number */
	expect_nothing_after("1 2 [3] 45");
	set_pause(false);
	expect_nothing_after("1 2 [3] 45 closed 0");
}
END_TEST

START_TEST(test_pause_before_reading)
{
	set_pause(true);
	peer_write("1 2 ");
	expect_nothing_after("");
	expect_asleep();
	set_pause(false);
	set_pause(true);
	expect_nothing_after("");
	set_pause(false);
	expect_nothing_after("1 2");
}
END_TEST

/* A session is not read from until its replies are taken. */
START_TEST(test_pause_until_drained)
{
	world.on_value = do_pause;
	world.on_drained = do_resume;
	send_large(1 << 20);
	peer_write("1 2 ");
	expect("1");
	send_large(1 << 20);
	while (world.count < 2) {
		peer_drain(&world.bytes);
		turn();
	}
	ck_assert_str_eq(world.log, "1 drained 2");
}
END_TEST

START_TEST(test_paused_with_output_and_peer_gone)
{
	set_pause(true);
	send_large(1 << 20);
	peer_write("1 ");
	peer_hang_up();
	expect_nothing_after("closed 0");
	expect_asleep();
}
END_TEST

/* Freeing */

START_TEST(test_free_in_value)
{
	world.on_value = do_free;
	send_large(1 << 20);
	peer_write("1 2 [3");
	expect_nothing_after("1");
	ck_assert_ptr_null(world.s);
}
END_TEST

START_TEST(test_free_in_bad)
{
	world.on_bad = do_free;
	peer_write("x\n1 2");
	expect_nothing_after("!");
}
END_TEST

START_TEST(test_free_in_bad_at_end)
{
	world.on_bad = do_free;
	peer_write("[");
	peer_hang_up();
	expect_nothing_after("!");
}
END_TEST

START_TEST(test_free_in_kept_portion)
{
	world.on_value = do_pause;
	peer_write("1 2 3 ");
	expect("1");
	world.on_value = do_free;
	set_pause(false);
	expect_nothing_after("1 2");
}
END_TEST

START_TEST(test_free_in_closed)
{
	world.on_closed = do_free;
	peer_hang_up();
	expect_nothing_after("closed 0");
}
END_TEST

START_TEST(test_free_in_drained)
{
	world.on_drained = do_free;
	send_large(1 << 20);
	peer_write("1 ");
	expect("1");
	while (world.s) {
		peer_drain(&world.bytes);
		peer_write(" ");
		turn();
	}
	ck_assert_str_eq(world.log, "1 drained");
}
END_TEST

START_TEST(test_free_with_report_pending)
{
	call(stream_finish);
	do_free(&world, NULL);
	expect_nothing_after("");
}
END_TEST

/* Writing */

START_TEST(test_send_at_once)
{
	send_text("{\"a\": [1, \"/\"]}", -1);
	ck_assert_uint_eq(stream_queued(world.s), 0);
	send_text("null", -1);
	expect_read("{\"a\":[1,\"/\"]}\r\nnull\r\n");
	expect_nothing_after("");
}
END_TEST

START_TEST(test_slow_reader)
{
	size_t queued = 0, total = 0;
	static char got[8 << 20];

	for (int i = 0; i < 2000; i++) {
		_cleanup_free_ char *text = xasprintf("[%d,\"%0*d\"]", i, 1000, i);

		ck_assert_uint_ge(stream_queued(world.s), queued);
		queued = stream_queued(world.s);
		send_text(text, -1);
		total += strlen(text) + 2;
	}
	ck_assert_uint_gt(queued, 1 << 20);
	expect_asleep();
	for (size_t n = 0; n < total;) {
		n += (size_t)peer_read(got + n, sizeof(got) - n);
		uv_run(&world.loop, UV_RUN_NOWAIT);
	}
	expect_nothing_after("drained");
	ck_assert_uint_eq(stream_queued(world.s), 0);
	for (int i = 0, at = 0; i < 2000; i++) {
		_cleanup_free_ char *text = xasprintf("[%d,\"%0*d\"]\r\n", i, 1000, i);

		ck_assert_int_eq(memcmp(got + at, text, strlen(text)), 0);
		at += (int)strlen(text);
	}
	expect_asleep();
}
END_TEST

/* The descriptor that came with the next byte, -1 if none did. */
static int read_byte_and_fd(char *byte)
{
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int fd = -1;

	while (recvmsg(world.peer, &msg, MSG_CMSG_CLOEXEC) != 1) {
		ck_assert_int_eq(errno, EAGAIN);
		turn();
	}
	c = CMSG_FIRSTHDR(&msg);
	if (c) {
		ck_assert_uint_eq(c->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
		ck_assert_ptr_null(CMSG_NXTHDR(&msg, c));
	}
	return fd;
}

static void expect_value_with(const char *text, const struct stat *file)
{
	for (const char *p = text; *p; p++) {
		char byte;
		_cleanup_close_ int fd = read_byte_and_fd(&byte);

		ck_assert_int_eq(byte, *p);
		ck_assert_int_eq(fd >= 0, p == text && file);
		if (fd >= 0) {
			struct stat st;

			ck_assert_int_eq(fstat(fd, &st), 0);
			ck_assert(st.st_ino == file->st_ino && st.st_dev == file->st_dev);
		}
	}
}

/* _i: whether the socket is full before, so that all of it is queued. */
START_TEST(test_fds_travel_with_their_values)
{
	static const struct {
		const char *text;
		int file;
	} rows[] = { { "[1]", -1 }, { "[2]", 0 }, { "[3]", -1 }, { "[4]", 1 }, { "[5]", 2 }, { "[6]", -1 }, { "[7]", -1 } };
	FILE *files[3];
	struct stat st[3];

	if (_i)
		send_large(1 << 20);
	for (int i = 0; i < 3; i++) {
		files[i] = tmpfile();
		ck_assert_int_eq(fstat(fileno(files[i]), &st[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		send_text(rows[i].text, rows[i].file < 0 ? -1 : fcntl(fileno(files[rows[i].file]), F_DUPFD_CLOEXEC, 0));
	ck_assert_int_eq(stream_queued(world.s) > 0, _i);
	for (size_t n = 0; _i && n < 1 << 20;) {
		char buf[65536];
		ssize_t more = peer_read(buf, sizeof(buf) < (1 << 20) - n ? sizeof(buf) : (1 << 20) - n);

		n += (size_t)more;
		if (!more)
			turn();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *line = xasprintf("%s\r\n", rows[i].text);

		expect_value_with(line, rows[i].file < 0 ? NULL : &st[rows[i].file]);
	}
	for (int i = 0; i < 3; i++)
		fclose(files[i]);
}
END_TEST

/* Descriptors in a queue that is dropped are closed, which teardown() counts. */
START_TEST(test_queued_fds_are_closed)
{
	send_large(1 << 20);
	send_text("1", fcntl(world.peer, F_DUPFD_CLOEXEC, 0));
	send_text("2", open("/dev/null", O_RDONLY | O_CLOEXEC));
	do_free(&world, NULL);
}
END_TEST

START_TEST(test_send_to_closed_peer)
{
	peer_hang_up();
	send_text("1", -1); /* which would raise SIGPIPE */
	ck_assert_uint_eq(stream_queued(world.s), 0);
	send_text("2", open("/dev/null", O_RDONLY | O_CLOEXEC));
	expect_nothing_after("closed 0");
	send_text("3", open("/dev/null", O_RDONLY | O_CLOEXEC));
	expect_nothing_after("closed 0");
}
END_TEST

START_TEST(test_last_words_after_failed_write)
{
	peer_write("[1] [2]");
	peer_hang_up();
	send_text("1", -1);
	expect_nothing_after("[1] [2] closed 0");
}
END_TEST

/* The kernel signals an error on our side when the peer leaves with our words unread. */
START_TEST(test_last_words_after_reset)
{
	send_text("1", -1);
	peer_write("[1] [2]");
	peer_hang_up();
	expect_nothing_after("[1] [2] closed 0");
}
END_TEST

START_TEST(test_send_of_bad_fd)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	send_text("1", fd);
	ck_assert_str_eq(world.log, "");
	expect("closed 9");
	ck_assert_int_eq(EBADF, 9);
	expect_asleep();
}
END_TEST

START_TEST(test_not_a_socket)
{
	do_free(&world, NULL);
	open_stream(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	send_text("1", -1);
	expect("closed 1");
	ck_assert_int_eq(EPERM, 1);
}
END_TEST

/* It sent all it had to say and waits for the answers. */
START_TEST(test_half_closed_peer_gets_answers)
{
	size_t got = 0;

	world.on_value = do_echo;
	peer_write("[1] [2] [3]");
	shutdown(world.peer, SHUT_WR);
	send_large(1 << 20);
	while (!strstr(world.log, "closed")) {
		peer_drain(&got);
		turn();
	}
	ck_assert_str_eq(world.log, "[1] [2] [3] drained closed 0");
	do_free(&world, NULL);
	ck_assert_uint_eq(got + peer_read_all(), (1 << 20) + 3 * 5);
}
END_TEST

/* The end */

START_TEST(test_finish_idle)
{
	call(stream_finish);
	ck_assert_str_eq(world.log, "");
	expect_nothing_after("closed 0");
	ck_assert_int_eq(peer_read(&(char){ 0 }, 1), -1);
	expect_asleep();
}
END_TEST

START_TEST(test_finish_with_unread_output)
{
	send_large(1 << 20);
	peer_write("1 2 3");
	call(stream_finish);
	send_text("\"too late\"", open("/dev/null", O_RDONLY | O_CLOEXEC));
	expect_nothing_after("");
	ck_assert_uint_eq(peer_read_all(), 1 << 20);
	expect_nothing_after("drained closed 0");
}
END_TEST

START_TEST(test_finish_in_value)
{
	world.on_value = do_finish;
	peer_write("1 2 3");
	expect_nothing_after("1 closed 0");
	ck_assert_int_eq(peer_read(&(char){ 0 }, 1), -1);
}
END_TEST

START_TEST(test_finish_loses_patience)
{
	char buf[300000];

	send_large(1 << 20);
	call(stream_finish);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	skew += 4;
	uv_run(&world.loop, UV_RUN_NOWAIT);
	ck_assert_str_eq(world.log, "");
	/* progress */
	ck_assert_int_gt(peer_read(buf, sizeof(buf)), 0);
	uv_run(&world.loop, UV_RUN_NOWAIT);
	skew += 4;
	expect_nothing_after("");
	/* none */
	skew += 4;
	expect_nothing_after("closed 0");
	expect_asleep();
	ck_assert_uint_lt(peer_read_all(), 1 << 20);
}
END_TEST

/* Only an end has a timer. */
START_TEST(test_slow_reader_is_waited_for)
{
	send_large(1 << 20);
	expect_asleep();
	skew += 1000;
	expect_nothing_after("");
	ck_assert_uint_gt(stream_queued(world.s), 0);
}
END_TEST

/* Detaching */

static struct {
	int fd;
	char *rest, *out;
	size_t len, out_len;
} detached;

static void do_detach(struct world *w, struct json_object *value)
{
	stream_detach(w->s, &detached.fd, &detached.rest, &detached.len, &detached.out, &detached.out_len);
	w->s = NULL;
}

static void detach_done(void)
{
	free(detached.rest);
	free(detached.out);
	detached.fd = fd_close(detached.fd);
}

START_TEST(test_detach)
{
	world.on_value = do_detach;
	peer_write("[1]\r\nraw \xff bytes");
	expect_nothing_after("[1]");
	ck_assert_uint_eq(detached.len, 13);
	ck_assert_int_eq(memcmp(detached.rest, "\r\nraw \xff bytes", 13), 0);
	ck_assert_uint_eq(detached.out_len, 0);
	ck_assert_int_eq(fcntl(detached.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	peer_write("more");
	expect_nothing_after("[1]");
	ck_assert_int_eq(read(detached.fd, (char[4]){ 0 }, 4), 4);
	detach_done();
}
END_TEST

START_TEST(test_detach_with_output)
{
	size_t queued, got = 0;

	world.on_value = do_detach;
	send_large(1 << 20);
	send_text("[2]", open("/dev/null", O_RDONLY | O_CLOEXEC));
	queued = stream_queued(world.s);
	peer_write("[1]");
	expect("[1]");
	ck_assert_uint_eq(detached.len, 0);
	ck_assert_uint_eq(detached.out_len, queued);
	ck_assert_int_eq(memcmp(detached.out + queued - 9, "x\"\r\n[2]\r\n", 9), 0);
	peer_drain(&got);
	ck_assert_uint_eq(got + queued, (1 << 20) + 5);
	detach_done();
}
END_TEST

START_TEST(test_peer)
{
	uid_t uid = (uid_t)-1;
	pid_t pid = -1;

	ck_assert(stream_peer(world.s, &uid, &pid));
	ck_assert_int_eq(uid, getuid());
	ck_assert_int_eq(pid, getpid());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("stream");
	SRunner *runner;
	uv_loop_t warm_up; /* libuv opens something of its own for good */
	int failed;

	uv_loop_init(&warm_up);
	uv_loop_close(&warm_up);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_several_values_in_one_write);
	tcase_add_test(tc, test_one_byte_writes);
	tcase_add_test(tc, test_garbage_newline_value);
	tcase_add_test(tc, test_oversize_is_fatal);
	tcase_add_test(tc, test_oversize_answered);
	tcase_add_test(tc, test_hang_up);
	tcase_add_test(tc, test_hang_up_within_value);
	tcase_add_test(tc, test_portions);
	tcase_add_test(tc, test_received_fds_are_dropped);
	tcase_add_test(tc, test_pause_within_portion);
	tcase_add_test(tc, test_pause_before_reading);
	tcase_add_test(tc, test_pause_until_drained);
	tcase_add_test(tc, test_paused_with_output_and_peer_gone);
	tcase_add_test(tc, test_free_in_value);
	tcase_add_test(tc, test_free_in_bad);
	tcase_add_test(tc, test_free_in_bad_at_end);
	tcase_add_test(tc, test_free_in_kept_portion);
	tcase_add_test(tc, test_free_in_closed);
	tcase_add_test(tc, test_free_in_drained);
	tcase_add_test(tc, test_free_with_report_pending);
	tcase_add_test(tc, test_send_at_once);
	tcase_add_test(tc, test_slow_reader);
	tcase_add_test(tc, test_queued_fds_are_closed);
	tcase_add_test(tc, test_send_to_closed_peer);
	tcase_add_test(tc, test_last_words_after_failed_write);
	tcase_add_test(tc, test_last_words_after_reset);
	tcase_add_test(tc, test_send_of_bad_fd);
	tcase_add_test(tc, test_not_a_socket);
	tcase_add_test(tc, test_half_closed_peer_gets_answers);
	tcase_add_test(tc, test_finish_idle);
	tcase_add_test(tc, test_finish_with_unread_output);
	tcase_add_test(tc, test_finish_in_value);
	tcase_add_test(tc, test_finish_loses_patience);
	tcase_add_test(tc, test_slow_reader_is_waited_for);
	tcase_add_test(tc, test_detach);
	tcase_add_test(tc, test_detach_with_output);
	tcase_add_test(tc, test_peer);
	tcase_add_loop_test(tc, test_fds_travel_with_their_values, 0, 2);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
