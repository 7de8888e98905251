/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake-qemu: a QEMU without a guest. It takes the command line that droverd makes, serves QMP on the
 * listening descriptors it was given, keeps a run state and what it was given (gear.h), and misbehaves as its script
 * says (script.h).
 *
 * What it says is what QEMU 7.2 says, in its order: events that a command causes come before the reply; a
 * monitor has one client, others wait in the backlog; out-of-band commands pass those of the main loop.
 * Its guest powers off on SIGUSR1 and panics on SIGUSR2, finds its disk full on SIGHUP; on SIGTERM QEMU ends with
 * status 0. Its firmware makes two resets of one, when the guest runs.
 */
#include "fake.h"
#include "guest.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 5 }; /* for a file that is waited for */

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool fake_runs(const struct fake *f)
{
	return str_eq(f->status, "running");
}

/* ---- output ---- */

void flush_all(struct fake *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct monitor *m = &f->monitors[i];

		while (m->fd >= 0 && m->out_len) {
			struct pollfd p = { .fd = m->fd, .events = POLLOUT };

			if (poll(&p, 1, -1) > 0)
				monitor_flush(m);
		}
	}
}

void emit(struct fake *f, const char *name, struct json_object *data)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *stamp = json_object_new_object();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_add_int(stamp, "seconds", now.tv_sec);
	json_add_int(stamp, "microseconds", now.tv_nsec / 1000);
	json_add(o, "timestamp", stamp);
	json_add_str(o, "event", name);
	if (data)
		json_add(o, "data", data);
	for (size_t i = 0; i < f->n; i++)
		if (f->monitors[i].negotiated)
			monitor_send(&f->monitors[i], o);
	if (f->log >= 0) {
		_cleanup_free_ char *text = json_print(o);

		dprintf(f->log, "%s\r\n", text);
	}
}

void emit_text(struct fake *f, const char *name, const char *data)
{
	emit(f, name, data ? json_tokener_parse(data) : NULL);
}

/* ---- the loop ---- */

static void greet(struct fake *f, struct monitor *m)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *qmp, *list;

	if (script_says(&f->script, "greeting", "none"))
		return;
	if (script_says(&f->script, "greeting", "garbage")) {
		monitor_write(m, "220 mail.example.org ESMTP\r\n");
		return;
	}
	if (script_says(&f->script, "greeting", "half")) {
		monitor_write(m, "{\"QMP\": {\"version\": {\"qemu\": ");
		return;
	}
	o = json_object_new_object();
	qmp = json_object_new_object();
	list = json_object_new_array();
	json_object_array_add(list, json_object_new_string("oob"));
	json_add(qmp, "version", fake_version());
	json_add(qmp, "capabilities", list);
	json_add(o, "QMP", qmp);
	monitor_send(m, o);
}

static void take_client(struct fake *f, struct monitor *m)
{
	if (!monitor_accept(m))
		return;
	greet(f, m);
	at_place(f, m, "greeting", count_place(f, "greeting"), false);
}

static void monitor_read(struct fake *f, struct monitor *m)
{
	char buf[65536];
	ssize_t n = monitor_recv(m, buf, sizeof(buf));
	const char *p = buf;
	size_t left = n > 0 ? (size_t)n : 0;

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		monitor_close(m);
		fdsets_sweep(f);
		return;
	}
	while (m->fd >= 0) {
		_cleanup_json_ struct json_object *o = NULL;
		_cleanup_err_ struct err *e = NULL;

		switch (json_reader_next(m->reader, &p, &left, &o, &e)) {
		case JSON_VALUE:
			take_request(f, m, o);
			break;
		case JSON_BAD:
		case JSON_OVERFLOW:
			reply_syntax_error(m);
			break;
		case JSON_MORE:
			return;
		}
	}
}

static void take_signals(struct fake *f, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			guest_power_off(f);
		} else if (info.ssi_signo == SIGUSR2) {
			guest_panic(f);
		} else if (info.ssi_signo == SIGHUP) {
			guest_stand_still(f, "no-space");
		} else if (!script_says(&f->script, "term", "ignore")) {
			fprintf(stderr, "fake-qemu: terminating on signal %u\n", info.ssi_signo);
			_exit(0);
		}
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int timeout_of(const struct fake *f)
{
	int64_t left = f->answer.due - now_ms();

	if (f->hung)
		return -1;
	if (!f->answer.m)
		return devices_wait(f) || f->resets ? POLL_MS : -1;
	if (f->answer.hold || f->resets)
		return POLL_MS;
	return left > 0 ? (int)left : 0;
}

/* Descriptors that came with a request are its own until it is done; out of band QEMU reads on, and mixes them up. */
static bool may_read(const struct fake *f, const struct monitor *m)
{
	bool waits = f->answer.m == m || (m->requests && json_object_array_length(m->requests) > 0);

	return m->oob || !m->n_fds || !waits;
}

static void serve(struct fake *f)
{
	int signals = open_signals();

	for (;;) {
		struct pollfd fds[MONITORS_MAX + 1] = { { .fd = f->hung ? -1 : signals, .events = POLLIN } };

		for (size_t i = 0; i < f->n; i++) {
			const struct monitor *m = &f->monitors[i];

			fds[i + 1].fd = m->fd < 0 ? m->listener : m->fd;
			fds[i + 1].events = (short)((may_read(f, m) ? POLLIN : 0) | (m->out_len ? POLLOUT : 0));
		}
		if (poll(fds, f->n + 1, timeout_of(f)) < 0 && errno != EINTR)
			_exit(1);
		for (size_t i = 0; i < f->n; i++) {
			struct monitor *m = &f->monitors[i];

			if (fds[i + 1].revents & POLLOUT)
				monitor_flush(m);
			if (!(fds[i + 1].revents & ~POLLOUT))
				continue;
			if (m->fd < 0)
				take_client(f, m);
			else
				monitor_read(f, m);
		}
		if (fds[0].revents)
			take_signals(f, signals);
		if (f->resets && now_ms() >= f->resets && fake_runs(f) && !f->hung) {
			guest_reboot(f);
			fprintf(stderr, "fake-qemu: reset again\n");
		}
		run_main_loop(f);
	}
}

#define REAL_QEMU "qemu-system-x86_64"

/* ---- the command line ---- */

static void read_option(struct fake *f, char **argv, const char *option, const char *value)
{
	if (value)
		gear_option(f, option, value);
	if (str_eq(option, "-S")) {
		f->status = "prelaunch";
		f->moved = false;
	} else if (str_eq(option, "-name") && value) {
		f->name = option_value(value, NULL);
	} else if (str_eq(option, "-uuid") && value) {
		f->uuid = value;
	} else if (str_eq(option, "-action") && value) {
		f->ends_at_reboot = strstr(value, "reboot=shutdown") != NULL;
	} else if (str_eq(option, "-append") && value) {
		script_read(&f->script, value);
	} else if (str_eq(option, "-mon") && value && f->n < MONITORS_MAX) {
		struct monitor *m = &f->monitors[f->n++];

		*m = (struct monitor){ .id = option_value(value, "chardev"), .fd = -1 };
		m->listener = option_listener(argv, m->id);
		f->log = f->log < 0 ? chardev_log(&f->gear, m->id) : f->log;
	}
}

int main(int argc, char **argv)
{
	static const int deadly[] = { SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV };
	static struct fake fake;
	struct fake *f = &fake;
	const char *text;

	/* Who asks what it can do asks the real one. */
	for (char **p = argv + 1; p[0] && p[1]; p++) {
		if (str_eq(p[0], "-machine") && str_starts(p[1], "none"))
			execvp(REAL_QEMU, argv);
		if (str_eq(p[0], "-machine"))
			f->q35 = strstr(p[1], "q35") != NULL;
	}
	/* A sanitizer would make an exit of them. */
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
		signal(deadly[i], SIG_DFL);
	f->status = "running";
	f->moved = true;
	f->record = f->log = f->vnc = -1;
	f->counts = json_object_new_object();
	gear_init(&f->gear);
	for (char **p = argv + 1; p[0]; p++)
		read_option(f, argv + 1, p[0], p[1]);
	text = script_value(&f->script, "say");
	if (text)
		fprintf(stderr, "fake-qemu: %s\n", text);
	text = script_value(&f->script, "chunk");
	for (size_t i = 0; i < f->n && text; i++)
		f->monitors[i].chunk = strtoul(text, NULL, 10);
	text = script_value(&f->script, "record");
	if (text)
		f->record = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	at_place(f, NULL, "start", 1, false);
	if (!f->n) {
		fprintf(stderr, "fake-qemu: no monitor\n");
		return 1;
	}
	serve(f);
}
