/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp_world.h"

/* ---- the handshake ---- */

START_TEST(test_handshake)
{
	_cleanup_free_ char *text = NULL;

	if (_i) {
		w.main.q = qmp_free(w.main.q);
		server_close(&w.main.s);
		monitor_open(&w.main, true, &client_ops);
	}
	loop_quiet();
	ck_assert_int_eq(w.main.s.n, 0); /* QEMU speaks first */
	ck_assert(!qmp_is_ready(w.main.q) && !qmp_is_gone(w.main.q));
	say(&w.main.s, GREETING);
	expect_heard(&w.main.s, 1);
	expect(""); /* its machine may not be built yet */
	ck_assert_str_eq(heard(&w.main.s, 0), "qmp_capabilities");
	text = json_print(w.main.s.heard[0]);
	ck_assert_int_eq(strstr(text, "\"arguments\":{\"enable\":[\"oob\"]}") != NULL, _i);
	ck_assert_int_eq(strstr(text, "arguments") != NULL, _i);
	answer(&w.main.s, 0);
	expect("ready");
	ck_assert(qmp_is_ready(w.main.q));
	say(&w.main.s, GREETING); /* again: nothing */
	expect_heard(&w.main.s, 1);
	expect("");
}
END_TEST

START_TEST(test_calls_wait_for_the_handshake)
{
	call("A");
	loop_quiet();
	ck_assert_int_eq(w.main.s.n, 0);
	say(&w.main.s, GREETING);
	call("B");
	expect_heard(&w.main.s, 1);
	answer(&w.main.s, 0);
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(heard(&w.main.s, 1), "A");
	ck_assert_str_eq(heard(&w.main.s, 2), "B");
	answer(&w.main.s, 1);
	answer(&w.main.s, 2);
	expect("ready, A {}, B {}");
}
END_TEST

static void call_b(void)
{
	call("B");
}

START_TEST(test_calls_keep_their_order_at_ready)
{
	w.trigger = "ready";
	w.action = call_b;
	call("A");
	ready();
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(heard(&w.main.s, 1), "A");
	ck_assert_str_eq(heard(&w.main.s, 2), "B");
}
END_TEST

START_TEST(test_handshake_refused)
{
	call("A");
	say(&w.main.s, GREETING);
	expect_heard(&w.main.s, 1);
	refuse(&w.main.s, 0);
	expect("A! QemuError, gone");
}
END_TEST

START_TEST(test_gone_before_the_handshake)
{
	call("A");
	if (_i) {
		say(&w.main.s, GREETING);
		expect_heard(&w.main.s, 1);
	}
	hang_up(&w.main.s);
	expect("A! GuestGone, gone");
}
END_TEST

/* ---- calls ---- */

/* By who waited in vain, or for want of a handshake; until a reply, also to a call that was forgotten. */
START_TEST(test_slow)
{
	static const struct qmp_ops ops = { on_ready, on_event, on_gone };

	w.main.q = qmp_free(w.main.q);
	server_close(&w.main.s);
	monitor_open(&w.main, false, &ops);
	say(&w.main.s, GREETING);
	ck_assert(!qmp_is_slow(w.main.q));
	loop_pass(QMP_HANDSHAKE_MS + 1);
	ck_assert(qmp_is_slow(w.main.q));
	answer(&w.main.s, 0);
	expect("ready");
	ck_assert(!qmp_is_slow(w.main.q));
	loop_pass(QMP_HANDSHAKE_MS + 1);
	ck_assert(!qmp_is_slow(w.main.q));
	qmp_forget(call("A"));
	expect_heard(&w.main.s, 2);
	qmp_expired(w.main.q);
	emit(&w.main.s, "STOP", "{}"); /* no reply */
	expect("event STOP");
	ck_assert(qmp_is_slow(w.main.q));
	answer(&w.main.s, 1);
	expect("");
	ck_assert(!qmp_is_slow(w.main.q));
}
END_TEST

START_TEST(test_arguments)
{
	_cleanup_free_ char *text = NULL;

	ready();
	qmp_send(w.main.q, "A", parse("{\"x\": [1]}"), -1, on_reply, (void *)(uintptr_t) "A");
	expect_heard(&w.main.s, 2);
	text = json_print(json_get_typed(w.main.s.heard[1], "arguments", json_type_object));
	ck_assert_str_eq(text, "{\"x\":[1]}");
	answer_with(&w.main.s, 1, "\"return\": [1, {}]");
	expect("A [1,{}]");
}
END_TEST

START_TEST(test_replies_in_any_order)
{
	ready();
	call("A");
	call("B");
	call("C");
	expect_heard(&w.main.s, 4);
	answer(&w.main.s, 3);
	answer_with(&w.main.s, 1, "\"return\": 1");
	answer_with(&w.main.s, 2, "\"return\": [2]");
	expect("C {}, A 1, B [2]");
}
END_TEST

static const struct {
	const char *member, *class, *desc;
} errors[] = {
	{ "\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no 'x'\"}", "DeviceNotFound", "no 'x'" },
	{ "\"error\": {\"desc\": \"no 'x'\"}", "GenericError", "no 'x'" },
	{ "\"error\": {\"class\": 1, \"desc\": []}", "GenericError", NULL },
	{ "\"error\": {}, \"return\": {}", "GenericError", NULL },
	{ "\"error\": \"text\"", NULL, NULL },
	{ "\"nonsense\": 1", NULL, NULL },
};

static void keep_error(struct json_object *ret, const struct err *e, void *data)
{
	ck_assert_ptr_null(ret);
	w.err = err_copy(e);
}

START_TEST(test_errors)
{
	ready();
	qmp_send(w.main.q, "A", NULL, -1, keep_error, NULL);
	expect_heard(&w.main.s, 2);
	answer_with(&w.main.s, 1, errors[_i].member);
	ck_assert_ptr_nonnull(w.err);
	ck_assert_int_eq(w.err->class, ERR_QEMU);
	if (errors[_i].desc)
		ck_assert_str_eq(w.err->desc, errors[_i].desc);
	if (errors[_i].class)
		ck_assert_str_eq(json_get_str(w.err->extra, "qemu-class"), errors[_i].class);
}
END_TEST

START_TEST(test_replies_to_nothing)
{
	ready();
	call("A");
	expect_heard(&w.main.s, 2);
	say(&w.main.s,
	    "{\"return\": {}}{\"return\": {}, \"id\": 4711}{\"return\": {}, \"id\": \"x\"}{\"error\": {}}{}");
	say(&w.main.s, "{\"event\": 1}");
	expect("");
	answer(&w.main.s, 1);
	expect("A {}");
	answer(&w.main.s, 1);
	expect("");
}
END_TEST

/* To one that was not asked yet. */
START_TEST(test_premature_reply)
{
	call("A");
	say(&w.main.s, "{\"return\": {}, \"id\": 1}");
	expect("");
	ready();
	expect_heard(&w.main.s, 2);
	answer(&w.main.s, 1);
	expect("A {}");
}
END_TEST

START_TEST(test_forget)
{
	struct qmp_call *a, *c;

	c = call("C");
	qmp_forget(c);
	ready();
	a = call("A");
	call("B");
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(heard(&w.main.s, 1), "A");
	qmp_forget(a);
	answer(&w.main.s, 1);
	answer(&w.main.s, 2);
	expect("B {}");
}
END_TEST

START_TEST(test_forgotten_when_gone)
{
	ready();
	qmp_forget(call("A"));
	call("B");
	hang_up(&w.main.s);
	expect("B! GuestGone, gone");
}
END_TEST

START_TEST(test_out_of_band)
{
	ready();
	qmp_send_oob(w.main.q, NULL, "A", on_reply, (void *)(uintptr_t) "A");
	expect_heard(&w.main.s, 2);
	ck_assert_str_eq(json_get_str(w.main.s.heard[1], "exec-oob"), "A");
	ck_assert_ptr_null(json_get_str(w.main.s.heard[1], "execute"));
}
END_TEST

START_TEST(test_slices)
{
	static const char text[] = GREETING
		"\n {\"return\": {}, \"id\": 1}\r\n{\"event\": \"STOP\"} {\"event\": \"RESUME\"}";

	for (const char *p = text; *p; p++) {
		say_bytes(&w.main.s, p, 1);
		loop_poll();
	}
	expect("ready, event STOP, event RESUME");
}
END_TEST

/* ---- descriptors ---- */

START_TEST(test_one_descriptor_at_a_time)
{
	ready();
	call("A");
	call_fd("B");
	call("C");
	call_fd("D");
	call_fd("E");
	call("F");
	expect_heard(&w.main.s, 3); /* A is no obstacle */
	ck_assert_str_eq(w.main.s.files[1], "");
	ck_assert_str_eq(w.main.s.files[2], "B");
	answer(&w.main.s, 1);
	expect_heard(&w.main.s, 3);
	answer(&w.main.s, 2);
	expect_heard(&w.main.s, 5);
	ck_assert_str_eq(heard(&w.main.s, 3), "C");
	ck_assert_str_eq(w.main.s.files[3], "");
	ck_assert_str_eq(w.main.s.files[4], "D");
	refuse(&w.main.s, 4);
	expect_heard(&w.main.s, 6);
	ck_assert_str_eq(w.main.s.files[5], "E");
	answer(&w.main.s, 5);
	expect_heard(&w.main.s, 7);
	ck_assert_str_eq(w.main.s.files[6], "");
	expect("A {}, B {}, D! QemuError, E {}");
}
END_TEST

/* QEMU has not run it yet, whoever waits for it. */
START_TEST(test_forgotten_descriptor_is_in_the_way)
{
	struct qmp_call *a, *b;

	ready();
	a = call_fd("A");
	b = call_fd("B");
	call_fd("C");
	qmp_forget(a);
	qmp_forget(b); /* never sent */
	expect_heard(&w.main.s, 2);
	answer(&w.main.s, 1);
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(w.main.s.files[2], "C");
}
END_TEST

/* The look at what is open is teardown's. */
START_TEST(test_unsent_descriptors_are_closed)
{
	if (_i)
		ready();
	call_fd("A");
	call_fd("B");
	if (_i == 2) {
		hang_up(&w.main.s);
		expect("A! GuestGone, B! GuestGone, gone");
	}
}
END_TEST

/* ---- events ---- */

static void keep_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	_cleanup_free_ char *value = json_print(event), *text = xasprintf("%s %s %.2f", name, value, time);

	note(text);
}

START_TEST(test_events)
{
	static const struct qmp_ops ops = { .event = keep_event, .gone = on_gone };

	monitor_open(&w.oob, true, &ops);
	say(&w.oob.s, GREETING);
	emit(&w.oob.s, "STOP", "{\"a\": 1}");
	expect_heard(&w.oob.s, 1);
	answer(&w.oob.s, 0);
	say(&w.oob.s, "{\"event\": \"RESUME\"}{\"event\": \"RESET\", \"data\": 1, \"timestamp\": \"now\"}");
	expect("STOP {\"a\":1} 1700000000.25, RESUME null 0.00, RESET null 0.00");
}
END_TEST

static struct tap {
	struct qmp_listener l;
	const char *name;
	struct tap *stops, *starts;
} taps[4];

static void tap_event(struct qmp_listener *l, const char *name, struct json_object *data)
{
	struct tap *t = CONTAINER_OF(l, struct tap, l);
	_cleanup_free_ char *text = xasprintf("%s %s", t->name, name);

	note(text);
	if (t->stops)
		qmp_unlisten(&t->stops->l);
	if (t->starts)
		qmp_listen(w.main.q, &t->starts->l);
	t->starts = NULL;
}

static void tap_gone(struct qmp_listener *l)
{
	struct tap *t = CONTAINER_OF(l, struct tap, l);
	_cleanup_free_ char *text = xasprintf("%s gone", t->name);

	ck_assert_ptr_null(l->prev);
	note(text);
}

static struct tap *tap(int i)
{
	static const char *const names[] = { "t0", "t1", "t2", "t3" };

	taps[i] = (struct tap){ .l = { .event = tap_event, .gone = tap_gone }, .name = names[i] };
	return &taps[i];
}

START_TEST(test_listeners)
{
	ready();
	for (int i = 0; i < 3; i++)
		qmp_listen(w.main.q, &tap(i)->l);
	emit(&w.main.s, "STOP", "{}");
	expect("t2 STOP, t1 STOP, t0 STOP, event STOP");
	qmp_unlisten(&taps[1].l);
	qmp_unlisten(&taps[1].l);
	emit(&w.main.s, "STOP", "{}");
	expect("t2 STOP, t0 STOP, event STOP");
	hang_up(&w.main.s);
	expect("t2 gone, t0 gone, gone");
}
END_TEST

/* One that stops others, itself, or adds one: each is called once at most, a new one from the next event on. */
START_TEST(test_listeners_change_each_other)
{
	ready();
	for (int i = 0; i < 3; i++)
		qmp_listen(w.main.q, &tap(i)->l);
	taps[2].stops = &taps[_i];
	taps[2].starts = tap(3);
	emit(&w.main.s, "STOP", "{}");
	expect(_i == 0 ? "t2 STOP, t1 STOP, event STOP" :
	       _i == 1 ? "t2 STOP, t0 STOP, event STOP" :
			 "t2 STOP, t1 STOP, t0 STOP, event STOP");
	emit(&w.main.s, "STOP", "{}");
	expect(_i == 0 ? "t3 STOP, t2 STOP, t1 STOP, event STOP" :
	       _i == 1 ? "t3 STOP, t2 STOP, t0 STOP, event STOP" :
			 "t3 STOP, t1 STOP, t0 STOP, event STOP");
}
END_TEST

/* ---- the end ---- */

START_TEST(test_gone)
{
	ready();
	call("A");
	call_fd("B");
	call("C");
	qmp_listen(w.main.q, &tap(0)->l);
	if (_i) {
		qmp_close(w.main.q);
		qmp_close(w.main.q);
	} else {
		hang_up(&w.main.s);
	}
	expect("A! GuestGone, B! GuestGone, C! GuestGone, t0 gone, gone");
	ck_assert(qmp_is_gone(w.main.q) && qmp_is_gone(NULL) && !qmp_is_ready(NULL));
	qmp_close(w.main.q);
	expect("");
}
END_TEST

/* What was said before it hung up is heard. */
START_TEST(test_last_words)
{
	ready();
	call("A");
	call("B");
	expect_heard(&w.main.s, 3);
	say_bytes(&w.main.s, "{\"event\": \"SHUTDOWN\"}", 21);
	shutdown(w.main.s.fd, SHUT_WR);
	expect("event SHUTDOWN, A! GuestGone, B! GuestGone, gone");
}
END_TEST

/* There is nobody to send to. */
START_TEST(test_send_when_gone)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	if (_i)
		ready();
	w.log[0] = '\0';
	hang_up(&w.main.s);
	expect("gone");
	ck_assert_ptr_null(qmp_send(w.main.q, "A", parse("{\"a\": 1}"), fd, on_reply, NULL));
	ck_assert_ptr_null(qmp_send_oob(w.main.q, NULL, "A", on_reply, NULL));
	qmp_forget(NULL);
	expect("");
}
END_TEST

static void call_a(void)
{
	ck_assert_ptr_null(call("A"));
}

START_TEST(test_send_while_it_ends)
{
	static const char *const triggers[] = { "A! GuestGone", "t0 gone", "gone" };

	ready();
	call("A");
	qmp_listen(w.main.q, &tap(0)->l);
	w.trigger = triggers[_i];
	w.action = call_a;
	hang_up(&w.main.s);
	expect("A! GuestGone, t0 gone, gone");
}
END_TEST

static const char *const garbage[] = {
	"hello", "[]", "1 ", "null ", "\"text\"", "{'QMP': {}}", "{\"a\": \"\x01\"}", "}"
};

START_TEST(test_garbage)
{
	if (_i % 2)
		ready();
	call("A");
	say(&w.main.s, garbage[_i / 2]);
	say(&w.main.s, "\n");
	expect("A! QemuError, gone");
}
END_TEST

START_TEST(test_oversize)
{
	enum { SIZE = 1 << 20, TIMES = 65 };
	char *piece = xcalloc(SIZE, 1);

	memset(piece, 'x', SIZE);
	ready();
	say_bytes(&w.main.s, "{\"return\": \"", 12);
	for (int i = 0; i < TIMES && !qmp_is_gone(w.main.q); i++)
		say_bytes(&w.main.s, piece, SIZE);
	expect("gone");
	free(piece);
}
END_TEST

/* ---- freed, or closed, inside a callback ---- */

static const struct {
	const char *trigger, *freed, *closed;
} inside[] = {
	{ "ready", "ready", "ready, A! GuestGone, B! GuestGone, t0 gone, gone" },
	{ "t0 STOP", "ready, t0 STOP", "ready, t0 STOP, A! GuestGone, B! GuestGone, t0 gone, gone" },
	{ "event STOP", "ready, t0 STOP, event STOP",
	  "ready, t0 STOP, event STOP, A! GuestGone, B! GuestGone, t0 gone, gone" },
	{ "A {}", "ready, t0 STOP, event STOP, A {}", "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
	{ "B! GuestGone", "ready, t0 STOP, event STOP, A {}, B! GuestGone",
	  "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
	{ "t0 gone", "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone",
	  "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
	{ "gone", "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone",
	  "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
};

START_TEST(test_freed_or_closed_inside)
{
	bool freed = _i % 2;

	w.trigger = inside[_i / 2].trigger;
	w.action = freed ? free_main : close_main;
	call("A");
	call("B");
	qmp_listen(w.main.q, &tap(0)->l);
	say(&w.main.s, GREETING);
	expect_heard(&w.main.s, 1);
	/* all in one go: what is read already is not for the freed */
	say(&w.main.s, "{\"return\": {}, \"id\": 3}{\"event\": \"STOP\"}{\"return\": {}, \"id\": 1}");
	hang_up(&w.main.s);
	expect(freed ? inside[_i / 2].freed : inside[_i / 2].closed);
	ck_assert_int_eq(w.main.q == NULL, freed);
}
END_TEST

static void free_within_close(void)
{
	w.trigger = "gone";
	w.action = free_main;
	close_main();
}

START_TEST(test_freed_inside_close_inside_event)
{
	ready();
	w.trigger = "event STOP";
	w.action = free_within_close;
	call("A");
	emit(&w.main.s, "STOP", "{}");
	expect("event STOP, A! GuestGone, gone");
}
END_TEST

/* ---- who looks on ---- */

/* Notes "> A#1", "< A#1!", "< STOP": ! where there is a latency, + where a descriptor goes along, and for whom. */
static void on_passes(struct qmp *q, const struct qmp_message *m, void *data)
{
	_cleanup_free_ char *id = m->id ? xasprintf("#%d", (int)m->id) : xstrdup(""), *text = NULL;
	enum { RIDICULOUS = 3600 };
	const char *what = json_object_is_type(m->value, json_type_object) ? "" : " something else";

	text = xasprintf("%s %s%s%s%s%s%s%s", m->sent ? ">" : "<", m->name ? m->name : "?", id,
			 m->descriptor ? "+" : "", m->latency >= 0 && m->latency < RIDICULOUS ? "!" : "",
			 m->operation ? " for " : "", m->operation ? m->operation : "", what);
	note(text);
}

/* Each message, before anything is made of it; a reply that nobody waits for as well, and what is none. */
START_TEST(test_passes)
{
	static const struct qmp_ops ops = { on_ready, on_event, on_gone, NULL, on_passes };
	int fd = memfd_create("x", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, "x", 1), 1);
	w.main.q = qmp_free(w.main.q);
	server_close(&w.main.s);
	monitor_open(&w.main, false, &ops);
	qmp_send_for(w.main.q, "#7", "A", NULL, fd, on_reply, (void *)(uintptr_t) "A");
	expect("");
	say(&w.main.s, GREETING);
	expect_heard(&w.main.s, 1);
	expect("< QMP, > qmp_capabilities#2");
	answer(&w.main.s, 0);
	expect("< qmp_capabilities#2!, ready, > A#1+ for #7");
	qmp_forget(call("B")); /* behind a descriptor: it is never sent */
	emit(&w.main.s, "STOP", "{}");
	answer(&w.main.s, 1);
	expect("< STOP, event STOP, < A#1! for #7, A {}");
	qmp_forget(call("C"));
	expect_heard(&w.main.s, 3);
	refuse(&w.main.s, 2);
	say(&w.main.s, "{\"return\": {}, \"id\": 77}\r\n");
	say(&w.main.s, "[1]\r\n");
	expect("> C#4, < C#4!, < ?, < ? something else, gone");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_handshake, 0, 2);
	tcase_add_test(tc, test_calls_wait_for_the_handshake);
	tcase_add_test(tc, test_calls_keep_their_order_at_ready);
	tcase_add_test(tc, test_handshake_refused);
	tcase_add_loop_test(tc, test_gone_before_the_handshake, 0, 2);
	tcase_add_test(tc, test_slow);
	tcase_add_test(tc, test_arguments);
	tcase_add_test(tc, test_replies_in_any_order);
	tcase_add_loop_test(tc, test_errors, 0, ARRAY_SIZE(errors));
	tcase_add_test(tc, test_replies_to_nothing);
	tcase_add_test(tc, test_premature_reply);
	tcase_add_test(tc, test_forget);
	tcase_add_test(tc, test_forgotten_when_gone);
	tcase_add_test(tc, test_out_of_band);
	tcase_add_test(tc, test_slices);
	tcase_add_test(tc, test_one_descriptor_at_a_time);
	tcase_add_test(tc, test_forgotten_descriptor_is_in_the_way);
	tcase_add_loop_test(tc, test_unsent_descriptors_are_closed, 0, 3);
	tcase_add_test(tc, test_events);
	tcase_add_test(tc, test_listeners);
	tcase_add_loop_test(tc, test_listeners_change_each_other, 0, 3);
	tcase_add_loop_test(tc, test_gone, 0, 2);
	tcase_add_test(tc, test_last_words);
	tcase_add_loop_test(tc, test_send_when_gone, 0, 2);
	tcase_add_loop_test(tc, test_send_while_it_ends, 0, 3);
	tcase_add_loop_test(tc, test_garbage, 0, 2 * ARRAY_SIZE(garbage));
	tcase_add_test(tc, test_oversize);
	tcase_add_loop_test(tc, test_freed_or_closed_inside, 0, 2 * ARRAY_SIZE(inside));
	tcase_add_test(tc, test_freed_inside_close_inside_event);
	tcase_add_test(tc, test_passes);
}

int main(void)
{
	return loop_main("qmp", add, setup, teardown);
}
