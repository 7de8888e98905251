/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/verbs.h"

/* Of a VALUE that is JSON if it reads as JSON. */
#define QUOTES "Text that looks like a number needs quotes: KEY='\"2026\"'. "

static const struct cli_option define_options[] = {
	{ "file", OPTION_TEXT, "FILE", .doc = "Read the definition from FILE, whatever its name." },
	{ "memory", OPTION_TEXT, "SIZE", .doc = "Memory at boot: 512M, 4G." },
	{ "vcpus", OPTION_UINT, "N", .doc = "Virtual processors." },
	{ "kernel", OPTION_TEXT, "PATH", .doc = "Boot this kernel (hvparam kernel_path)." },
	{ "initrd", OPTION_TEXT, "PATH", .doc = "With this initial RAM disk (initrd_path)." },
	{ "append", OPTION_TEXT, "TEXT", .doc = "And this kernel command line (kernel_args)." },
	{ "disk", OPTION_TEXT, "KEY=VALUE,...", .doc = "A disk: path=/srv/a.qcow2,format=qcow2; may be repeated." },
	{ "nic", OPTION_TEXT, "KEY=VALUE,...", .doc = "A network card: mode=user; may be repeated." },
	{ "set", OPTION_TEXT, "PARAM=VALUE", .doc = "Any other hvparam; may be repeated." },
	CLI_OPTION_END,
};

static const struct cli_option undefine_options[] = {
	{ "force", OPTION_FLAG, .member = "force", .doc = "Stop it first if it runs." },
	CLI_OPTION_END,
};

static const struct cli_option modify_options[] = {
	{ "dry-run", OPTION_FLAG, .member = "dry-run", .doc = "Change nothing; say what would be." },
	CLI_OPTION_END,
};

static const struct cli_option edit_options[] = {
	{ "yes", OPTION_FLAG, .doc = "Apply the plan without asking." },
	CLI_OPTION_END,
};

static const struct cli_option reboot_options[] = {
	{ "timeout", OPTION_SECONDS, "SECONDS", .member = "timeout",
	  .doc = "How long the guest may take to power off (120)." },
	CLI_OPTION_END,
};

static const char *const start_boots[] = { "disk", "cdrom", "floppy", "network", NULL };
static const struct cli_option start_options[] = {
	{ "paused", OPTION_FLAG, .member = "paused", .doc = "Do not let the guest run yet." },
	{ "boot", OPTION_CHOICE, "WHAT", start_boots, "boot", "What is booted this once: the first of its kind." },
	CLI_OPTION_END,
};

static const char *const shutdown_modes[] = { "auto", "agent", "acpi", NULL };
static const char *const shutdown_thens[] = { "fail", "stop", NULL };
static const struct cli_option shutdown_options[] = {
	{ "timeout", OPTION_SECONDS, "SECONDS", .member = "timeout", .doc = "How long the guest may take (120)." },
	{ "mode", OPTION_CHOICE, "MODE", shutdown_modes, "mode",
	  "Whom to ask: the guest agent, the power button (acpi), or both in turn (auto)." },
	{ "then", OPTION_CHOICE, "WHAT", shutdown_thens, "then", "What to do if the guest does not obey (fail)." },
	{ "on-host-shutdown", OPTION_FLAG, .doc = "All guests, as the on_host_shutdown of each says." },
	CLI_OPTION_END,
};

static const struct cli_option list_options[] = {
	{ "watch", OPTION_FLAG, .doc = "Draw it again with each event." },
	CLI_OPTION_END,
};

static const struct cli_option stats_options[] = {
	{ "watch", OPTION_FLAG, .doc = "Ask and draw again and again." },
	{ "interval", OPTION_SECONDS, "SECONDS", .doc = "How long --watch waits in between (2)." },
	{ "prometheus", OPTION_FLAG, .doc = "All numbers, in Prometheus' text format (docs/METRICS.md)." },
	{ "output", OPTION_TEXT, "FILE", .doc = "With --prometheus: into FILE, which is replaced as a whole." },
	CLI_OPTION_END,
};

static const struct cli_option wait_options[] = {
	{ "timeout", OPTION_SECONDS, "SECONDS", .doc = "Give up after that long: Timeout." },
	CLI_OPTION_END,
};

static const struct cli_option show_options[] = {
	{ "slots", OPTION_FLAG, .doc = "Only the map of places: which device sits where, how many are free." },
	CLI_OPTION_END,
};

#define NO_LIVE                                                                                            \
	{                                                                                                  \
		"no-live", OPTION_FLAG, .doc = "The definition only; the guest follows at its next start." \
	}
static const struct cli_option attach_options[] = { NO_LIVE, CLI_OPTION_END };
static const struct cli_option detach_options[] = {
	{ "timeout", OPTION_SECONDS, "SECONDS", .member = "timeout",
	  .doc = "How long the guest has to let go (30); then it is detach-pending." },
	NO_LIVE,
	CLI_OPTION_END,
};
#define DETACH_DETAIL                                                                                                \
	"A guest that runs has to let go of it. One that does not in time is asked again until it does; the device " \
	"is shown as detach-pending meanwhile, and leaves at the latest when the process ends."

static const struct cli_option top_options[] = {
	{ "interval", OPTION_SECONDS, "SECONDS",
	  .doc = "How often the numbers are asked for while something runs (2)." },
	CLI_OPTION_END,
};

static const struct cli_option guest_options[] = {
	{ "wait", OPTION_SECONDS, "SECONDS", .member = "wait", .doc = "How long to wait for the agent to come (0)." },
	CLI_OPTION_END,
};

static const struct cli_option argv_options[] = {
	{ "json-argv", OPTION_FLAG, .doc = "The words as QEMU gets them, devices in JSON." },
	CLI_OPTION_END,
};

static const char *const log_choices[] = { "qemu", "console", NULL };
static const struct cli_option log_options[] = {
	{ "which", OPTION_CHOICE, "LOG", log_choices, "which",
	  "QEMU's own words (qemu) or the guest's serial console." },
	{ "bytes", OPTION_UINT, "N", .member = "bytes", .doc = "At most the last N bytes (65536)." },
	{ "follow", OPTION_FLAG, .doc = "Then print what comes, until interrupted." },
	CLI_OPTION_END,
};

static const struct cli_option trace_options[] = {
	{ "since", OPTION_SECONDS, "TIME", .member = "since", .doc = "Only what came after, in seconds since 1970." },
	{ "operation", OPTION_TEXT, "ID", .member = "operation",
	  .doc = "Only what was said on behalf of it: the id of a job, or that of an error." },
	CLI_OPTION_END,
};

static const struct cli_option console_options[] = {
	{ "log", OPTION_FLAG, .doc = "Print what the console's log holds, and end." },
	{ "take", OPTION_FLAG, .member = "take", .doc = "Type here even if someone else does, who then only reads." },
	{ "ro", OPTION_FLAG, .doc = "Watch only." },
	CLI_OPTION_END,
};

static const struct cli_option screenshot_options[] = {
	{ "display", OPTION_TEXT, "ID", .member = "display", .doc = "Id of the graphics card, if there are several." },
	CLI_OPTION_END,
};

static const struct cli_option password_options[] = {
	{ "expire", OPTION_SECONDS, "SECONDS", .member = "expire", .doc = "It holds so long; else for ever." },
	CLI_OPTION_END,
};

static const struct cli_option events_options[] = {
	{ "since", OPTION_UINT, "N", .doc = "Begin with the first event after number N." },
	CLI_OPTION_END,
};

const struct verb cli_verbs[] = {
	{
		.name = "list",
		.usage = "[NAME...] [--watch]",
		.summary = "List instances and their states.",
		.options = list_options,
		.max = WORDS_ANY,
		.command = "query-instances",
		.run = verb_list,
	},
	{
		.name = "show",
		.usage = "NAME [--slots]",
		.summary = "Show all about an instance.",
		.options = show_options,
		.min = 1,
		.max = 1,
		.command = "query-instance",
		.run = verb_show,
	},
	{
		.name = "define",
		.usage = "{FILE | - | NAME [OPTIONS]}",
		.summary = "Create or replace an instance's definition.",
		.detail = "The definition is JSON from FILE or, with -, from the standard input. The word is a file if "
			  "it is -, contains a / or ends in .json; else it is the name of an instance that the options "
			  "describe. What there is of that name is replaced as a whole; 'drover modify' changes parts. "
			  "A VALUE is JSON if it reads as JSON, else text. " QUOTES
			  "PARAM:=JSON insists on JSON, PARAM=@FILE reads the value from a file.",
		.options = define_options,
		.max = 1,
		.command = "instance-define",
		.run = verb_define,
	},
	{
		.name = "import",
		.usage = "{FILE | -}",
		.summary = "Make an instance of what Ganeti has on this host.",
		.detail =
			"FILE is a runtime file of Ganeti's: /run/ganeti/kvm-hypervisor/conf/NAME.runtime. If the "
			"instance "
			"runs, its process goes on and is drover's from then on; Ganeti's daemons must have been ended "
			"before.",
		.min = 1,
		.max = 1,
		.command = "instance-import",
		.run = verb_import,
	},
	{
		.name = "undefine",
		.usage = "NAME... [--force]",
		.summary = "Forget instances.",
		.options = undefine_options,
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-undefine",
		.done = "undefined",
		.run = verb_each,
	},
	{
		.name = "modify",
		.usage = "NAME KEY=VALUE... [--dry-run]",
		.summary = "Change a part of an instance's definition.",
		.detail = "A VALUE is JSON if it reads as JSON, else text; null restores a default. " QUOTES
			  "KEY:=JSON insists on JSON, KEY=@FILE reads the value from a file, and dots in KEY lead into "
			  "objects: hvparams.kernel_args=quiet. What cannot hold at once is pending until the next "
			  "start.",
		.options = modify_options,
		.min = 2,
		.max = WORDS_ANY,
		.command = "instance-modify",
		.run = verb_modify,
	},
	{
		.name = "edit",
		.usage = "NAME [--yes]",
		.summary = "Change an instance's definition in an editor.",
		.detail =
			"The editor is $VISUAL, else $EDITOR, else vi. Before anything is changed, what would hold at "
			"once "
			"and what waits for the next start is shown, and asked for. A text that cannot be taken may be "
			"edited again, or is kept.",
		.options = edit_options,
		.min = 1,
		.max = 1,
		.command = "instance-modify",
		.run = verb_edit,
	},
	{
		.name = "rename",
		.usage = "NAME NEW-NAME",
		.summary = "Give a stopped instance another name.",
		.min = 2,
		.max = 2,
		.command = "instance-rename",
		.done = "renamed",
		.run = verb_rename,
	},
	{
		.name = "argv",
		.usage = "NAME [--json-argv]",
		.summary = "Print the QEMU command line of a start.",
		.detail = "For reading: drover opens images and sockets itself and hands them over as descriptors (fd "
			  "sets), so that the line by itself starts nothing. Nothing is started or touched.",
		.options = argv_options,
		.min = 1,
		.max = 1,
		.command = "instance-argv",
		.run = verb_argv,
	},
	{
		.name = "start",
		.usage = "NAME... [--paused] [--boot WHAT]",
		.summary = "Start instances.",
		.options = start_options,
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-start",
		.lengthy = true,
		.run = verb_each,
	},
	{
		.name = "shutdown",
		.usage = "{NAME... | --on-host-shutdown} [--timeout SECONDS] [--mode MODE] [--then WHAT]",
		.summary = "Ask guests to power off, and wait.",
		.detail = "With --on-host-shutdown those of a later order of autostart come first, those without "
			  "autostart "
			  "beside them, those of one order side by side; --timeout is for each of them, and --then is "
			  "stop unless it is given.",
		.options = shutdown_options,
		.max = WORDS_ANY,
		.command = "instance-shutdown",
		.lengthy = true,
		.run = verb_shutdown,
	},
	{
		.name = "reboot",
		.usage = "NAME... [--timeout SECONDS]",
		.summary = "Ask guests to power off, and boot them again.",
		.detail = "What is pending for the next start is brought about: by a new process then.",
		.options = reboot_options,
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-reboot",
		.lengthy = true,
		.done = "rebooted",
		.run = verb_each,
	},
	{
		.name = "stop",
		.usage = "NAME...",
		.summary = "End instances at once, without asking the guest.",
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-stop",
		.lengthy = true,
		.run = verb_each,
	},
	{
		.name = "pause",
		.aliases = { "suspend" },
		.usage = "NAME...",
		.summary = "Halt the virtual processors.",
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-pause",
		.run = verb_each,
	},
	{
		.name = "resume",
		.usage = "NAME...",
		.summary = "Let paused or blocked instances run on, wake those that sleep.",
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-resume",
		.run = verb_each,
	},
	{
		.name = "reset",
		.usage = "NAME...",
		.summary = "Press the reset button.",
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-reset",
		.done = "reset",
		.run = verb_each,
	},
	{
		.name = "disk attach",
		.usage = "NAME KEY=VALUE... [--no-live]",
		.summary = "Add a disk, to a guest that runs as well.",
		.detail = "The keys are a disk's members in a definition, path and format first of all. A VALUE is "
			  "JSON if it reads as JSON, else text. " QUOTES "KEY=@FILE reads it from a file, and dots in "
			  "KEY lead into objects: throttle.bps_total=10M.",
		.options = attach_options,
		.min = 2,
		.max = WORDS_ANY,
		.command = "disk-attach",
		.lengthy = true,
		.done = "attached",
		.run = verb_attach,
	},
	{
		.name = "disk detach",
		.usage = "NAME DISK [--timeout SECONDS] [--no-live]",
		.summary = "Take a disk away, from a guest that runs as well.",
		.detail = "DISK is a name (disk1), an id or a UUID. " DETACH_DETAIL,
		.options = detach_options,
		.min = 2,
		.max = 2,
		.command = "disk-detach",
		.lengthy = true,
		.done = "detached",
		.run = verb_detach,
	},
	{
		.name = "disk resize",
		.usage = "NAME DISK SIZE",
		.summary = "Make a disk larger, of a guest that runs as well.",
		.detail = "DISK is a name (disk1), an id or a UUID; SIZE is how large it is to be: 20G, or bytes. A "
			  "disk never gets "
			  "smaller: what is beyond the new end would be lost.",
		.min = 3,
		.max = 3,
		.command = "disk-resize",
		.lengthy = true,
		.done = "resized",
		.run = verb_resize,
	},
	{
		.name = "nic attach",
		.usage = "NAME KEY=VALUE... [--no-live]",
		.summary = "Add a network card, to a guest that runs as well.",
		.detail = "The keys are a card's members in a definition: mode=user. A VALUE is JSON if it reads as "
			  "JSON, else text. " QUOTES "KEY=@FILE reads it from a file.",
		.options = attach_options,
		.min = 2,
		.max = WORDS_ANY,
		.command = "nic-attach",
		.lengthy = true,
		.done = "attached",
		.run = verb_attach,
	},
	{
		.name = "nic detach",
		.usage = "NAME NIC [--timeout SECONDS] [--no-live]",
		.summary = "Take a network card away, from a guest that runs as well.",
		.detail = "NIC is a name (nic0), an id, a UUID or a MAC address. " DETACH_DETAIL,
		.options = detach_options,
		.min = 2,
		.max = 2,
		.command = "nic-detach",
		.lengthy = true,
		.done = "detached",
		.run = verb_detach,
	},
	{
		.name = "stats",
		.usage = "[NAME...] [--watch [--interval SECONDS] | --prometheus [--output FILE]]",
		.summary = "Show what running instances use.",
		.detail = "They are asked, all at once; one that does not answer within a second is shown as it was.",
		.options = stats_options,
		.max = WORDS_ANY,
		.command = "query-stats",
		.run = verb_stats,
	},
	{
		.name = "top",
		.usage = "[--interval SECONDS]",
		.summary = "Show what instances do, on the whole screen.",
		.detail = "A table that follows the events, with rates while something runs; ? explains the keys, q "
			  "quits.",
		.options = top_options,
		.run = verb_top,
	},
	{
		.name = "guest",
		.usage = "NAME [--wait SECONDS]",
		.summary = "Show what the agent in the guest says.",
		.detail = "These are the guest's own words.",
		.options = guest_options,
		.min = 1,
		.max = 1,
		.command = "query-guest",
		.run = verb_guest,
	},
	{
		.name = "nmi",
		.usage = "NAME...",
		.summary = "Send a non-maskable interrupt: many systems write a dump then.",
		.min = 1,
		.max = WORDS_ANY,
		.command = "instance-nmi",
		.done = "interrupted",
		.run = verb_each,
	},
	{
		.name = "screenshot",
		.usage = "NAME FILE [--display ID]",
		.summary = "Write what the guest's graphics card shows into a file.",
		.detail = "The picture is a PNG; with - it goes to the standard output, unless that is a terminal.",
		.options = screenshot_options,
		.min = 2,
		.max = 2,
		.command = "instance-screenshot",
		.run = verb_screenshot,
	},
	{
		.name = "send-key",
		.usage = "NAME KEY...",
		.summary = "Press keys together on the guest's keyboard.",
		.detail = "Keys have QEMU's names: ctrl, alt, shift, delete, ret, spc, tab, f1, a, 1. They may be in "
			  "one word: ctrl-alt-delete.",
		.min = 2,
		.max = WORDS_ANY,
		.command = "instance-send-key",
		.done = "pressed",
		.run = verb_send_key,
	},
	{
		.name = "display-password",
		.usage = "NAME [DISPLAY] [--expire SECONDS]",
		.summary = "Change the password of VNC or SPICE, until the process ends.",
		.detail = "The password is asked for on a terminal, and else the first line of the standard input. "
			  "DISPLAY is vnc or spice; without it, what the instance has.",
		.options = password_options,
		.min = 1,
		.max = 2,
		.command = "display-password",
		.done = "changed",
		.run = verb_display_password,
	},
	{
		.name = "console",
		.usage = "NAME [--log] [--take] [--ro]",
		.summary = "Attach to the serial console.",
		.detail = "On a terminal ^] (control and the closing bracket) leaves. Without one, input is typed to "
			  "its end, and output printed until the console ends.",
		.options = console_options,
		.min = 1,
		.max = 1,
		.command = "console-attach",
		.run = verb_console,
	},
	{
		.name = "log",
		.usage = "NAME [--which LOG] [--bytes N] [--follow]",
		.summary = "Print QEMU's or the console's log.",
		.detail = "To follow the console's log is to read the console (which somebody else may type at) until "
			  "the "
			  "process ends. QEMU's own log is asked for each second; what of it was written and rotated "
			  "away in between is not seen.",
		.options = log_options,
		.min = 1,
		.max = 1,
		.command = "query-log",
		.run = verb_log,
	},
	{
		.name = "trace",
		.usage = "NAME [--operation ID] [--since TIME]",
		.summary = "Print what droverd and QEMU have said to each other.",
		.detail = "A line for each message on the two monitors, to (->) and from (<-) QEMU, with the "
			  "milliseconds "
			  "that a reply took; with --json all of it. A generated id needs quotes in a shell: '#17'. "
			  "Secrets are ***.",
		.options = trace_options,
		.min = 1,
		.max = 1,
		.command = "query-trace",
		.run = verb_trace,
	},
	{
		.name = "events",
		.usage = "[--since N]",
		.summary = "Print events as they happen.",
		.detail = "A line each, until interrupted; with --json one JSON object a line.",
		.options = events_options,
		.command = "query-events",
		.run = verb_events,
	},
	{
		.name = "wait",
		.usage = "NAME STATE... [--timeout SECONDS]",
		.summary = "Wait until an instance is in one of these states.",
		.detail = "It is not polled; 'drover help states' lists the states.",
		.options = wait_options,
		.min = 2,
		.max = WORDS_ANY,
		.command = "query-instance",
		.run = verb_wait,
	},
	{
		.name = "host",
		.usage = "",
		.summary = "Show the host, what works on it, and the QEMU binaries in use.",
		.command = "query-host",
		.run = verb_host,
	},
	{
		.name = "jobs",
		.usage = "[NAME]",
		.summary = "List operations under way and finished jobs.",
		.max = 1,
		.command = "query-jobs",
		.run = verb_jobs,
	},
	{
		.name = "jobs cancel",
		.usage = "ID...",
		.summary = "Take back what a job has done so far.",
		.detail = "A generated id needs quotes in a shell: '#17'.",
		.min = 1,
		.max = WORDS_ANY,
		.command = "job-cancel",
		.done = "cancelling",
		.run = verb_each_job,
	},
	{
		.name = "jobs dismiss",
		.usage = "ID...",
		.summary = "Forget a finished job.",
		.detail = "A generated id needs quotes in a shell: '#17'.",
		.min = 1,
		.max = WORDS_ANY,
		.command = "job-dismiss",
		.done = "dismissed",
		.run = verb_each_job,
	},
	{
		.name = "call",
		.usage = "COMMAND [KEY=VALUE...]",
		.summary = "Send any command of the API.",
		.detail =
			"A VALUE is JSON if it reads as JSON, else text. " QUOTES
			"KEY:=JSON insists on JSON, KEY=@FILE reads the value from a file (- is the standard input), "
			"and dots in KEY make objects within objects: definition.name=web1. The result is printed as "
			"JSON. What has no verb is reached so: devices-change, instance-qmp, live of instance-modify.",
		.min = 1,
		.max = WORDS_ANY,
		.run = verb_call,
	},
	{
		.name = "help",
		.usage = "[VERB | TOPIC [NAME] | COMMAND [ARGUMENT]]",
		.summary = "Explain verbs, parameters, errors, states, commands of the API.",
		.detail =
			"The topics are hvparams, definition, disk, nic, config, errors and states. All but verbs and "
			"errors is told by the daemon.",
		.max = 2,
		.run = verb_help,
	},
	{
		.name = "complete",
		.usage = "-- WORD...",
		.summary = "Print what the last word may become.",
		.detail = "What the completions of bash and zsh run; a TAB and a remark stand behind each.",
		.hidden = true,
		.min = 1,
		.max = WORDS_ANY,
		.run = verb_complete,
	},
	{
		.name = "proxy",
		.usage = "",
		.summary = "Copy the standard input and output to and from the daemon's socket.",
		.detail = "What --host runs on the other host.",
		.hidden = true,
		.run = verb_proxy,
	},
	{
		.name = "version",
		.usage = "",
		.summary = "Print the versions of this program and of the daemon.",
		.command = "query-version",
		.run = verb_version,
	},
	VERB_END,
};
