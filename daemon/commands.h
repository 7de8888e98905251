/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows of all commands; each is defined in the file of its name.
 */
#ifndef DROVER_DAEMON_COMMANDS_H
#define DROVER_DAEMON_COMMANDS_H

#include "daemon/command.h"

extern const struct command cmd_console_attach, cmd_devices_change, cmd_devices_collect, cmd_disk_attach,
	cmd_disk_detach, cmd_disk_resize, cmd_display_password, cmd_instance_argv, cmd_instance_autostart,
	cmd_instance_collect, cmd_instance_define, cmd_instance_import, cmd_instance_modify, cmd_instance_nmi,
	cmd_instance_pause, cmd_instance_poweroff, cmd_instance_qmp, cmd_instance_reboot, cmd_instance_rename,
	cmd_instance_reset, cmd_instance_restart, cmd_instance_resume, cmd_instance_screenshot, cmd_instance_send_key,
	cmd_instance_settle, cmd_instance_shutdown, cmd_instance_start, cmd_instance_stop, cmd_instance_undefine,
	cmd_job_cancel, cmd_job_dismiss, cmd_nic_attach, cmd_nic_detach, cmd_query_commands, cmd_query_events,
	cmd_query_guest, cmd_query_host, cmd_query_instance, cmd_query_instances, cmd_query_jobs, cmd_query_log,
	cmd_query_schema, cmd_query_stats, cmd_query_trace, cmd_query_version;

#endif
