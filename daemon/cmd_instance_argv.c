/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commands.h"
#include "runtime/argv.h"

static const struct param rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

static bool query(struct call *call, struct json_object **ret, struct err **e)
{
	struct instance *inst = call_instance(call, e);
	_cleanup_free_ char *binary = NULL;
	char **argv;

	if (!inst)
		return false;
	if (inst->broken)
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken->desc);
	binary = argv_binary(&inst->def, e);
	if (!binary)
		return false;
	argv = argv_build(&inst->def, &(struct argv_env){ .binary = binary }, &(struct argv_files){ 0 });
	*ret = json_object_new_object();
	json_add(*ret, "argv", argv_to_json(argv));
	/* For people: devices in QEMU's string notation. There are none yet that would be JSON in argv. */
	json_add(*ret, "text", argv_to_json(argv));
	argv_free(argv);
	return true;
}

const struct command cmd_instance_argv = {
	.name = "instance-argv",
	.class = CLASS_QUERY,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "The command line that a start would use now. Nothing is touched.",
	.returns = "{argv, text}: text is the same list for people, devices in QEMU's string notation",
	.query = query,
};
