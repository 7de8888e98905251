/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/service.h"

#include <systemd/sd-daemon.h>

void service_recovering(void)
{
	sd_notify(0, "STATUS=Taking over guests");
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
	sd_notifyf(0, "READY=1\nSTATUS=Ready; guests taken over: %u", n);
}

void service_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping; guests go on");
}
