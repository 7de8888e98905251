/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams: reading, pausing, and being freed anywhere. */
#include "stream_world.h"

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

static void do_answer_and_finish(struct world *w, struct json_object *value)
{
	send_text("{\"error\":1}", -1);
	peer_write("and so on\n");
	call(stream_finish);
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
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
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

/* The other end is closed, not just shut down for writing, while nobody reads or writes. */
START_TEST(test_hung_up_while_paused)
{
	int fds[2];

	stream_free(world.s);
	fd_close(world.peer);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	world.peer = fds[1];
	world.s = stream_new(&world.loop, fds[0], &limits, &ops_hung_up, &world);
	set_pause(true);
	peer_write("1 2 ");
	/* where the kernel has it: urgent, and of no interest to anybody */
	if (send(world.peer, "x", 1, MSG_OOB) < 0)
		ck_assert_int_eq(errno, EOPNOTSUPP);
	ck_assert_int_eq(shutdown(world.peer, SHUT_WR), 0);
	expect_nothing_after("");
	expect_asleep();
	peer_hang_up();
	expect_nothing_after("gone");
	expect_asleep();
	set_pause(false);
	expect_nothing_after("gone 1 2 closed 0");
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

int main(void)
{
	TCase *tc = tcase_create("in");

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
	tcase_add_test(tc, test_hung_up_while_paused);
	tcase_add_test(tc, test_free_in_value);
	tcase_add_test(tc, test_free_in_bad);
	tcase_add_test(tc, test_free_in_bad_at_end);
	tcase_add_test(tc, test_free_in_kept_portion);
	tcase_add_test(tc, test_free_in_closed);
	tcase_add_test(tc, test_free_in_drained);
	tcase_add_test(tc, test_free_with_report_pending);
	return world_run(tc);
}
