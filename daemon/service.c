/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/service.h"

#include "base/log.h"
#include "runtime/kept.h"
#include "runtime/monitors.h"

#include <fcntl.h>
#include <systemd/sd-daemon.h>

static bool take_socket(struct daemon *d, int fd, struct err **e)
{
	if (d->listen_fd >= 0)
		return err_set(e, ERR_UNSUPPORTED, "more than one socket was passed, one is wanted");
	fcntl(fd, F_SETFL, O_NONBLOCK);
	d->listen_fd = fd;
	return true;
}

/* The manager's own copy goes before anything is read: the next droverd must not get one with half a message, and while
 * there is one QEMU takes no other connection. */
static void take_monitor(struct daemon *d, const char *name, int fd)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	kept_add(&d->rt.kept, name, fd);
}

bool service_begin(struct daemon *d, struct err **e)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	bool ok = true;

	sd_notify(0, "STATUS=Taking over guests");
	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (monitors_is_kept(names[i]))
			take_monitor(d, names[i], fd);
		else
			ok = ok && take_socket(d, fd, e);
		free(names[i]);
	}
	free(names);
	return ok;
}

static void on_watchdog(uv_timer_t *timer)
{
	sd_notify(0, "WATCHDOG=1");
}

/* Twice in the time that it allows. What children inherit says nothing of it. */
static void keep_watchdog(struct daemon *d)
{
	enum { US_PER_MS = 1000, PER_INTERVAL = 2 };
	uint64_t us, ms;

	if (sd_watchdog_enabled(1, &us) <= 0)
		return;
	ms = us / US_PER_MS / PER_INTERVAL;
	ms = ms ? ms : 1;
	uv_timer_init(d->loop, &d->watchdog);
	uv_timer_start(&d->watchdog, on_watchdog, ms, ms);
}

void service_ready(struct daemon *d)
{
	unsigned n = 0;

	for (struct instance *inst = instance_first(&d->rt); inst; inst = instance_next(inst))
		n += inst->process != NULL;
	keep_watchdog(d);
	kept_clear(&d->rt.kept); /* of guests that are no more */
	sd_notifyf(0, "READY=1\nSTATUS=Ready; guests taken over: %u", n);
}

static void leave_monitor(const struct instance *inst, unsigned which)
{
	_cleanup_free_ char *name = NULL, *text = NULL;
	int fd = monitors_keep(inst, which, &name);

	if (fd < 0)
		return;
	text = xasprintf("FDSTORE=1\nFDNAME=%s", name);
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void service_stopping(struct daemon *d)
{
	for (struct instance *inst = instance_first(&d->rt); inst; inst = instance_next(inst))
		for (unsigned i = 0; i < MONITORS; i++)
			leave_monitor(inst, i);
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping; guests go on");
}
