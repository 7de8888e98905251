/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.h"
#include "fake.h"

void guest_halt(struct fake *f, const char *status)
{
	bool ran = fake_runs(f);

	f->status = status;
	if (ran)
		emit(f, "STOP", NULL);
}

void guest_power_off(struct fake *f)
{
	if (!fake_runs(f))
		return;
	emit_text(f, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
	guest_halt(f, "shutdown");
}

void guest_panic(struct fake *f)
{
	if (!fake_runs(f))
		return;
	emit_text(f, "GUEST_PANICKED", "{\"action\": \"pause\"}");
	guest_halt(f, "guest-panicked");
}

void guest_run(struct fake *f)
{
	f->status = "running";
	f->moved = true;
	emit(f, "RESUME", NULL);
	if (f->rebooting)
		guest_reboot(f);
}

void guest_stand_still(struct fake *f, const char *status)
{
	static const struct {
		const char *status, *event, *data;
	} rows[] = {
		{ "suspended", "SUSPEND", NULL },
		{ "watchdog", "WATCHDOG", "{\"action\": \"pause\"}" },
		{ "io-error", "BLOCK_IO_ERROR",
		  "{\"action\": \"stop\", \"nospace\": false, \"reason\": \"Input/output error\"}" },
		{ "no-space", "BLOCK_IO_ERROR",
		  "{\"action\": \"stop\", \"nospace\": true, \"reason\": \"No space left\"}" },
	};

	f->full = str_eq(status, "no-space") || str_eq(status, "unheard");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].status, status))
			emit_text(f, rows[i].event, rows[i].data);
	guest_halt(f, f->full ? "io-error" : status);
}

void guest_reset(struct fake *f, bool by_guest, const char *reason)
{
	struct json_object *data = json_object_new_object();

	json_add_bool(data, "guest", by_guest);
	json_add_str(data, "reason", reason);
	emit(f, f->ends_at_reboot ? "SHUTDOWN" : "RESET", data);
	if (f->ends_at_reboot)
		guest_halt(f, "shutdown");
	else
		devices_reset(f);
}

void guest_reboot(struct fake *f)
{
	const char *ms = f->rebooting ? script_value(&f->script, "resets") : NULL;

	f->resets = ms ? now_ms() + strtol(ms, NULL, 10) : 0;
	f->rebooting = false;
	guest_reset(f, true, "guest-reset");
}
