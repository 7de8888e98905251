/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules over several parameters. They see the definition alone, never the host.
 */
#include "runtime/hvparams.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static const char *const watchdog_actions[] = {
	"reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi"
};

static bool is_watchdog_action(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(watchdog_actions); i++)
		if (str_eq(watchdog_actions[i], text))
			return true;
	return false;
}

static bool is_serial_speed(int64_t speed)
{
	static const int64_t speeds[] = { 75,    110,   150,   300,   600,   1200,   1800,   2400,   4800,  9600,
					  14400, 19200, 28800, 38400, 57600, 115200, 230400, 345600, 460800 };

	for (size_t i = 0; i < ARRAY_SIZE(speeds); i++)
		if (speeds[i] == speed)
			return true;
	return false;
}

/* What has no JSON on QEMU's command line is written in its string notation, which has no way to write these. */
static bool check_lines(const struct hvparams *hv, struct err **e)
{
	for (const char *c = hv->machine_version; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
			return err_set_param(e, "hvparams.machine_version",
					     "must be the name of a machine: letters, digits, '-', '.' and '_'");
	for (const char *c = hv->cpu_type; *c; c++)
		if (iscntrl((unsigned char)*c))
			return err_set_param(e, "hvparams.cpu_type", "must be one line of printable characters");
	return true;
}

static bool check_topology(const struct hvparams *hv, int64_t vcpus, struct err **e)
{
	int64_t sockets = hv->cpu_sockets, cores = hv->cpu_cores, threads = hv->cpu_threads;
	int64_t given = (sockets ? sockets : 1) * (cores ? cores : 1) * (threads ? threads : 1);

	if (!sockets && !cores && !threads)
		return true;
	if (sockets && cores && threads ? given != vcpus : vcpus % given != 0)
		return err_set_param(e, "hvparams.cpu_cores",
				     "%" PRId64 " vcpus are no %" PRId64 " sockets of %" PRId64 " cores of %" PRId64
				     " threads (0: any number)",
				     vcpus, sockets, cores, threads);
	return true;
}

bool hvparams_check(const struct hvparams *hv, int64_t vcpus, struct err **e)
{
	char **extra;

	if (!check_lines(hv, e) || !check_topology(hv, vcpus, e))
		return false;
	if (machine_kind(hv->machine_version) == MACHINE_OTHER) {
		err_set(e, ERR_UNSUPPORTED, "'hvparams.machine_version': '%s' is neither a PC nor a Q35 machine",
			hv->machine_version);
		return err_name_param(e, "hvparams.machine_version");
	}
	if (!str_empty(hv->initrd_path) && str_empty(hv->kernel_path))
		return err_set_param(e, "hvparams.initrd_path", "needs 'kernel_path'");
	if (!str_empty(hv->watchdog) && !is_watchdog_action(hv->watchdog))
		return err_set_param(
			e, "hvparams.watchdog",
			"must be empty or one of reset, shutdown, poweroff, pause, debug, none, inject-nmi");
	if (!is_serial_speed(hv->serial_speed))
		return err_set_param(e, "hvparams.serial_speed", "%" PRId64 " is no speed of a serial port",
				     hv->serial_speed);
	if (!str_eq(hv->cpu_mask, "all") && !cpu_list_parse(hv->cpu_mask, NULL, NULL))
		return err_set_param(e, "hvparams.cpu_mask", "must be 'all' or processors such as 0-3,8");
	if (hv->security_model == SECURITY_USER && str_empty(hv->security_domain))
		return err_set_param(e, "hvparams.security_domain", "is needed for security_model user");
	if (hv->security_model != SECURITY_USER && !str_empty(hv->security_domain))
		return err_set_param(e, "hvparams.security_domain", "is for security_model user only");
	if ((hv->security_model == SECURITY_USER || hv->security_model == SECURITY_POOL || hv->use_chroot) &&
	    geteuid() != 0) {
		err_set(e, ERR_PERMISSION_DENIED, "'hvparams.%s' needs a droverd that is root",
			hv->use_chroot ? "use_chroot" : "security_model");
		return false;
	}
	extra = shell_split(hv->kvm_extra);
	if (!extra)
		return err_set_param(e, "hvparams.kvm_extra", "a quotation is not closed");
	for (char **p = extra; *p; p++)
		free(*p);
	free(extra);
	return true;
}
