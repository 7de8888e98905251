/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams: writing, descriptors, ends, handing over the socket. */
#include "stream_world.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

static long skew; /* seconds that the clock of this program is ahead */

/* Stands in for libc's, for libuv: time passes when a test says so. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += skew;
	return rc;
}

static void do_free(struct world *w, struct json_object *value)
{
	w->s = stream_free(w->s);
}

static void do_finish(struct world *w, struct json_object *value)
{
	call(stream_finish);
}

static void do_echo(struct world *w, struct json_object *value)
{
	w->inside = true;
	stream_send(w->s, value, -1);
	w->inside = false;
}

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
/* NOLINTNEXTLINE(readability-non-const-parameter): recvmsg() writes to it */
static int read_byte_and_fd(char *byte)
{
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
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
	} rows[] = { { "[1]", -1 }, { "[2]", 0 },  { "[3]", -1 }, { "[4]", 1 },
		     { "[5]", 2 },  { "[6]", -1 }, { "[7]", -1 } };
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
	TCase *tc = tcase_create("out");

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
	return world_run(tc);
}
