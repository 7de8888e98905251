/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The start, step by step. Before "let QEMU go" nothing of the guest exists: a launcher that loses us
 * ends by itself. From there until "run the guest" the process is killed on the way back.
 */
#include "runtime/start.h"

#include "base/file.h"
#include "base/log.h"
#include "qmp/wait.h"
#include "runtime/adopt.h"
#include "runtime/argv.h"
#include "runtime/cgroup.h"
#include "runtime/device_record.h"
#include "runtime/fdsets.h"
#include "runtime/fit.h"
#include "runtime/launcher.h"
#include "runtime/logs.h"
#include "runtime/machine_state.h"
#include "runtime/monitors.h"
#include "runtime/observe.h"
#include "runtime/pinning.h"
#include "runtime/prepare.h"
#include "runtime/record.h"
#include "runtime/remote.h"
#include "runtime/servers.h"
#include "runtime/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPAWN_MS = 30000, LINGER_MS = 2000, READY_MS = 60000, CALL_MS = 30000 };

struct start {
	struct instance *inst;
	bool paused;
	struct prepare prepare;
	int *fds; /* as QEMU will see them */
	unsigned n_fds;
	struct launcher launcher;
	bool killed;               /* QEMU, by us */
	bool stopped;              /* on the way back it was found that somebody ends it */
	struct json_object *named; /* the definition with its machine's name */
};

static void close_all(struct start *s)
{
	for (unsigned i = 0; i < s->n_fds; i++)
		closep(&s->fds[i]);
}

/* Room for the files too, once their number is known. */
static void make_room(struct start *s, size_t n)
{
	s->fds = xrealloc(s->fds, n, sizeof(int));
	for (; s->n_fds < n; s->n_fds++)
		s->fds[s->n_fds] = -1;
}

void start_free(struct start *s)
{
	if (!s)
		return;
	close_all(s);
	launcher_clear(&s->launcher);
	prepare_clear(&s->prepare);
	json_object_put(s->named);
	free(s->fds);
	free(s);
}

/* ---- begin and end ---- */

/* Two QEMUs of one instance write to the same disks. One that nobody knows of runs where a definition was lost and made
 * again, or where it could not be looked for. */
static enum verdict look(struct op *op, void *arg)
{
	struct instance *inst = ((const struct start *)arg)->inst;
	struct err *e = NULL;

	/* A reboot that was interrupted comes here again, whatever the next droverd could read. */
	if (inst->broken || !inst->stored)
		return op_fail(op, ERR_WRONG_STATE, "the definition of '%s' cannot be read", inst->name);
	if (inst->run_dir < 0 || inst->unknown)
		adopt(inst);
	if (inst->process)
		return op_fail(op, ERR_WRONG_STATE,
			       "process %d was found in the run directory of '%s' and is taken for its; "
			       "'instance-stop' ends it",
			       inst->pid, inst->name);
	if (!instance_is_known(inst, &e))
		return op_fail_err(op, e);
	if (inst->run_dir < 0)
		return OP_DONE;
	/* Its turn came before that of who would collect the last run, or that could not be recorded. */
	enter_rest(inst);
	return record_state_if_possible(op, inst);
}

static enum verdict begin(struct op *op, void *arg)
{
	const struct start *s = arg;
	struct err *e = NULL;

	if (s->inst->run_dir >= 0)
		record_clear(s->inst);
	if (!instance_is_known(s->inst, &e))
		return op_fail_err(op, e);
	s->inst->ending = s->inst->resumed = false;
	s->inst->starting = true;
	instance_enter(s->inst, STATE_NOSTATE, "", "starting");
	return OP_DONE;
}

/* The last of the way back: there is no process, so the instance is off; unless that is not so. */
static enum verdict stay_off(struct op *op, void *arg)
{
	const struct start *s = arg;
	bool ours = s->stopped || s->inst->ending || (op->err && op->err->class == ERR_CANCELLED);

	s->inst->starting = false;
	if (s->inst->process || s->inst->unknown)
		return OP_DONE;
	instance_enter(s->inst, STATE_SHUTOFF, "", ours ? "admin" : "failed");
	return record_state(op, s->inst);
}

/* ---- the run directory ---- */

static enum verdict dir_make(struct op *op, void *arg)
{
	struct start *s = arg;
	struct instance *inst = s->inst;
	struct err *e = NULL;

	if (!record_remove(inst, &e)) /* only what is there without a process is a leftover */
		return op_fail_err(op, e);
	/* QEMU comes through it to its own directory. */
	if (mkdirat(inst->rt->dirs.run_instances, inst->name, 0711) < 0) {
		err_set_errno(&e, ERR_GENERIC, errno, "cannot make the run directory of '%s'", inst->name);
		return op_fail_err(op, e);
	}
	inst->run_dir = file_open_dir(inst->rt->dirs.run_instances, inst->name, &e);
	if (inst->run_dir < 0)
		return op_fail_err(op, e);
	if (mkdirat(inst->run_dir, "q", 0700) < 0 ||
	    (s->prepare.confine.drop &&
	     fchownat(inst->run_dir, "q", s->prepare.confine.uid, s->prepare.confine.gid, AT_SYMLINK_NOFOLLOW) < 0)) {
		err_set_errno(&e, ERR_GENERIC, errno, "cannot make the directory of QEMU of '%s'", inst->name);
		return op_fail_err(op, e);
	}
	return OP_DONE;
}

static enum verdict dir_remove(struct op *op, void *arg)
{
	struct start *s = arg;

	s->stopped = s->inst->ending;
	if (!s->inst->process)
		record_clear(s->inst);
	return OP_DONE;
}

/* ---- what QEMU is given ---- */

static void add_log(struct err *e, const struct instance *inst)
{
	_cleanup_free_ char *log = instance_log_tail(inst);

	if (log)
		err_add(e, "log", json_object_new_string(log));
}

/* QEMU knows images by fd sets and nodes; whoever reads its words knows the definition: "disks[1].path: '/images/x'". The
 * node of a device that is passed through has the name of the disk. */
static char *image_named(const struct start *s, const struct err *e)
{
	static const char set[] = "/dev/fdset/";
	const char *log = json_get_str(e->extra, "log"), *p = log ? strstr(log, set) : NULL;
	unsigned long number = p ? strtoul(p + sizeof(set) - 1, NULL, 10) : 0;

	for (size_t i = 0; i < s->prepare.files.n; i++) {
		const struct argv_file *f = &s->prepare.files.items[i];

		if (f->set == number || (f->kind && log && strstr(log, f->node)))
			return xasprintf("%s: '%s'", f->what, f->path);
	}
	return remote_named(&s->inst->def, log);
}

/* QEMU ended by itself during the start: its own words are the error. */
static void explain_end(struct op *op, const struct start *s)
{
	const struct instance *inst = s->inst;
	int64_t status = json_get_int(inst->exit, "status", -1), signal = json_get_int(inst->exit, "signal", 0);
	_cleanup_free_ char *image = NULL;
	struct err *e = NULL;
	const char *log;

	if (!op->err || op->err->class != ERR_GUEST_GONE)
		return;
	if (s->killed)
		err_set(&e, ERR_QEMU, "QEMU closed its monitor before it was ready, did not end, and was killed");
	else if (signal)
		err_set(&e, ERR_QEMU, "QEMU was ended by signal %" PRId64 " before it was ready", signal);
	else
		err_set(&e, ERR_QEMU, "QEMU ended with status %" PRId64 " before it was ready", status);
	add_log(e, inst);
	image = image_named(s, e);
	log = json_get_str(e->extra, "log");
	if (image && remote_lacks_driver(log)) {
		e->class = ERR_UNSUPPORTED;
	} else if (image && log && strstr(log, " lock")) { /* as it is when the disk is attached */
		e->class = ERR_STORAGE;
		err_prefix(e, "it is in use");
	}
	if (image) {
		_cleanup_free_ char *parameter = xstrndup(image, strcspn(image, ":"));

		err_prefix(e, "%s", image);
		err_name_param(&e, parameter);
	}
	err_free(op->err);
	op->err = e;
}

/* QEMU writes there what it says on the second monitor, also while nobody is connected. */
static int events_log_open(const struct instance *inst, struct err **e)
{
	int fd = openat(inst->run_dir, "events.log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		err_set_errno(e, ERR_GENERIC, errno, "cannot make 'events.log'");
	return fd;
}

static enum verdict sockets_bind(struct op *op, void *arg)
{
	struct start *s = arg;
	struct instance *inst = s->inst;
	struct err *e = NULL;

	make_room(s, FD_COUNT + s->prepare.files.n + s->prepare.n_taps);
	for (size_t i = 0; i < s->prepare.files.n; i++)
		s->fds[FD_COUNT + i] = TAKE_FD(s->prepare.items[i].fd);
	for (size_t i = 0; i < s->prepare.n_taps; i++)
		s->fds[FD_COUNT + s->prepare.files.n + i] = TAKE_FD(s->prepare.taps[i]);
	s->fds[STDOUT_FILENO] = logs_open(inst, LOG_QEMU, true, &e);
	if (!e)
		s->fds[FD_QMP] = dirs_listen(inst->run_dir, "qmp.sock", 0600, &e);
	if (!e)
		s->fds[FD_QMP2] = dirs_listen(inst->run_dir, "qmp2.sock", 0600, &e);
	if (!e && inst->def.hvparams.serial_console)
		s->fds[FD_SERIAL] = dirs_listen(inst->run_dir, "serial.sock", 0600, &e);
	if (!e && inst->def.hvparams.serial_console)
		s->fds[FD_CONSOLE_LOG] = logs_open(inst, LOG_CONSOLE, false, &e);
	if (!e)
		s->fds[FD_EVENTS_LOG] = events_log_open(inst, &e);
	if (!e && inst->def.hvparams.use_guest_agent)
		s->fds[FD_AGENT] = dirs_listen(inst->run_dir, "agent.sock", 0600, &e);
	return e ? op_fail_err(op, e) : OP_DONE;
}

static enum verdict sockets_close(struct op *op, void *arg)
{
	struct start *s = arg;

	close_all(s);
	explain_end(op, s);
	return OP_DONE;
}

/* ---- the process ---- */

static enum verdict process_spawn(struct op *op, void *arg)
{
	struct start *s = arg;
	struct err *e = NULL;
	enum verdict v;

	if (!cgroups_make(&s->inst->rt->cgroups, s->inst->name, &s->inst->cgroup, &e))
		return op_fail_err(op, e);
	s->prepare.confine.cgroup = s->inst->cgroup;
	s->fds[STDERR_FILENO] = fcntl(s->fds[STDOUT_FILENO], F_DUPFD_CLOEXEC, 0);
	v = launcher_spawn(op, &s->launcher, &s->prepare.confine, s->prepare.argv, s->fds, s->n_fds);
	close_all(s);
	return v;
}

/* Kills what holds the locks, whoever of our lives started it. */
static enum verdict process_kill(struct op *op, void *arg)
{
	struct start *s = arg;
	struct instance *inst = s->inst;

	launcher_hang_up(&s->launcher); /* one that was not told to go ends by this */
	inst->going = false;
	inst->starting = true; /* also in another life: the end is this start's, whatever QEMU still says */
	if (!inst->process && inst->run_dir >= 0)
		observe_hold(inst, 0, 0, NULL); /* who cannot be seen is not cleared away either */
	if (!inst->process && s->launcher.child)
		return launcher_wait_end(op, &s->launcher); /* so young that no lock names it yet */
	if (!inst->process)
		return OP_DONE;
	s->killed = process_alive(inst->process);
	process_signal(inst->process, SIGKILL);
	return instance_wait_end(op, inst, false);
}

static enum verdict record_put(struct op *op, void *arg)
{
	struct start *s = arg;
	struct err *e = NULL;

	s->inst->starts++;
	return record_write(s->inst, &s->prepare, &e) ? OP_DONE : op_fail_err(op, e);
}

static enum verdict process_go(struct op *op, void *arg)
{
	return launcher_go(op, &((struct start *)arg)->launcher);
}

/* A monitor that hung up means that QEMU is ending by itself: its status is worth waiting for. */
static enum verdict process_linger(struct op *op, void *arg)
{
	struct start *s = arg;

	if (!s->inst->process || !op->err || op->err->class != ERR_GUEST_GONE)
		return OP_DONE;
	op_wait_ms(op, LINGER_MS);
	return instance_wait_end(op, s->inst, true);
}

static enum verdict monitors_connect(struct op *op, void *arg)
{
	struct start *s = arg;
	struct err *e = NULL;

	launcher_hang_up(&s->launcher);
	if (!monitors_open(s->inst, &e))
		return op_fail_err(op, e);
	return observe_ask(op, s->inst, "starting");
}

/* ---- the machine ---- */

/* What the guest was started with is its machine from now on, whatever the alias means to a later QEMU. */
static enum verdict machine_name(struct op *op, void *arg)
{
	struct start *s = arg;
	struct instance *inst = s->inst;
	const char *machine = json_get_str(json_get_typed(inst->record, "hvparams", json_type_object),
					   "machine_version");

	if (!inst->stored || !machine || str_eq(machine, inst->def.hvparams.machine_version))
		return OP_DONE;
	json_object_deep_copy(inst->stored, &s->named, NULL);
	definition_set_machine(s->named, machine);
	/* The guest runs: it does not end for this. The next start names it again. */
	return store_replace_if_possible(op, inst->rt, inst->name, s->named);
}

/* What is told is what the next droverd would read. */
static enum verdict machine_take(struct op *op, void *arg)
{
	struct start *s = arg;
	struct runtime *rt = s->inst->rt;

	if (s->named && store_has(rt, s->inst->name, s->named))
		instance_define(rt, TAKE_PTR(s->named));
	return OP_DONE;
}

/* ---- the guest ---- */

static enum verdict guest_run(struct op *op, void *arg)
{
	struct start *s = arg;

	if (s->paused)
		return OP_DONE;
	s->inst->causes.running = "booted";
	return qmp_call(op, s->inst->qmp, "cont", NULL, NULL, NULL);
}

static enum verdict on_probed(struct op *op, struct json_object *ret, void *arg)
{
	struct start *s = arg;
	const char *status = json_get_str(ret, "status");

	if (!s->paused && str_eq(status, "prelaunch"))
		return op_fail(op, ERR_CANCELLED, "the guest had not been started");
	return OP_DONE;
}

/* What a guest has done is its own, and so is its end, whether or not QEMU lived to say so. */
static enum verdict guest_recall(struct op *op, void *arg)
{
	return observe_has_run(((const struct start *)arg)->inst) ?
		       OP_DONE :
		       op_fail(op, ERR_CANCELLED, "the guest was not seen to run");
}

static enum verdict guest_probe(struct op *op, void *arg)
{
	struct start *s = arg;

	return qmp_call_or(op, s->inst->qmp, "query-status", on_probed, guest_recall, s);
}

static enum verdict on_nodes(struct op *op, struct json_object *ret, void *arg)
{
	struct start *s = arg;
	struct err *e = NULL;

	if (!remote_check(&s->inst->def, ret, &e))
		return op_fail_err(op, e);
	return record_sizes(s->inst, ret, &e) ? OP_DONE : op_fail_err(op, e);
}

static enum verdict sizes_ask(struct op *op, void *arg)
{
	struct start *s = arg;

	return s->inst->def.disks.n == 0 ? OP_DONE : qmp_call_nodes(op, s->inst->qmp, on_nodes, s);
}

/* QEMU has read them by its first reply. */
static enum verdict copies_remove(struct op *op, void *arg)
{
	struct start *s = arg;

	unlinkat(s->inst->run_dir, "q/" COPY_OF_KERNEL, 0);
	unlinkat(s->inst->run_dir, "q/" COPY_OF_INITRD, 0);
	displays_remove_copies(s->inst);
	return OP_DONE;
}

static enum verdict guest_ask(struct op *op, void *arg)
{
	struct start *s = arg;

	s->inst->starting = false; /* an end is its own from here on */
	return observe_ask(op, s->inst, s->paused ? "starting" : "booted");
}

static const struct step step_look = { "look for a process", look, .timeout_ms = CALL_MS };
static const struct step step_begin = { "begin", begin, stay_off, .timeout_ms = CALL_MS };
static const struct step step_dir = { "make the run directory", dir_make, dir_remove };
static const struct step step_sockets = { "bind the sockets", sockets_bind, sockets_close };
static const struct step step_spawn = { "spawn the launcher", process_spawn, process_kill, .timeout_ms = SPAWN_MS };
static const struct step step_record = { "write the runtime record", record_put, NULL };
static const struct step step_go = { "let QEMU go", process_go, process_linger, .timeout_ms = SPAWN_MS };
static const struct step step_connect = { "connect the monitors", monitors_connect, NULL, .timeout_ms = READY_MS };
static const struct step step_sizes = { "ask for the sizes of disks", sizes_ask, .timeout_ms = CALL_MS };
static const struct step step_copies = { "remove what QEMU has read", copies_remove };
static const struct step step_run = { "run the guest",       guest_run,     NULL, guest_probe,
				      .timeout_ms = CALL_MS, .commit = true };
static const struct step step_ask = { "ask for its state", guest_ask, NULL, .timeout_ms = CALL_MS };
static const struct step step_machine = { "name the machine", machine_name, .timeout_ms = CALL_MS };
static const struct step step_take = { "take it over", machine_take };

struct start *start_plan(struct op *op, struct instance *inst, bool paused, int boot)
{
	struct start *s = xcalloc(1, sizeof(*s));

	s->inst = inst;
	s->paused = paused;
	launcher_init(&s->launcher, inst);
	prepare_init(&s->prepare, inst);
	s->prepare.boot = boot;
	make_room(s, FD_COUNT);
	op_add(op, &step_look, s);
	if (device_record_has_leavers(inst)) /* its turn came before that of who would have taken them off */
		device_record_leave_plan(op, inst);
	op_add(op, &step_begin, s);
	op_add(op, &prepare_ask_binary, &s->prepare);
	s->prepare.account = account_plan(op, &inst->def.hvparams);
	op_add(op, &prepare_claim_uid, &s->prepare);
	op_add(op, &prepare_look_at_kvm, &s->prepare);
	op_add(op, &fit_look, &s->prepare);
	displays_check_plan(op, &s->prepare);
	op_add(op, &servers_ask, &s->prepare);
	machine_state_plan(op, &s->prepare);
	op_add(op, &step_dir, s);
	op_add(op, &prepare_open_files, &s->prepare);
	displays_open_plan(op, &s->prepare);
	op_add(op, &prepare_make_taps, &s->prepare);
	op_add(op, &prepare_build, &s->prepare);
	op_add(op, &step_sockets, s);
	op_add(op, &step_spawn, s);
	op_add(op, &step_record, s);
	op_add(op, &step_go, s);
	op_add(op, &step_connect, s);
	op_add(op, &step_copies, s);
	displays_plan(op, &s->prepare);
	op_add(op, &step_sizes, s);
	op_add(op, &pinning_pin, inst);
	machine_state_keep_plan(op, &s->prepare);
	op_add(op, &step_run, s);
	op_add(op, &step_ask, s);
	op_add(op, &step_machine, s);
	op_add(op, &step_take, s);
	return s;
}
