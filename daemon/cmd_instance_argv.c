/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commands.h"
#include "runtime/argv.h"

static const struct param rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

static bool query(struct call *call, struct json_object **ret, struct err **e)
{
	struct instance *inst = call_instance(call, e);
	_cleanup_free_ char *binary = NULL;
	struct argv_files files;
	char **argv, **text;

	if (!inst)
		return false;
	if (inst->broken)
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken->desc);
	binary = argv_binary(&inst->def, e);
	if (!binary)
		return false;
	argv_files_list(&inst->def, &files);
	argv = argv_build(&inst->def, &(struct argv_env){ .binary = binary }, &files);
	text = argv_text(argv);
	*ret = json_object_new_object();
	json_add(*ret, "argv", argv_to_json(argv));
	json_add(*ret, "text", argv_to_json(text));
	argv_free(text);
	argv_free(argv);
	argv_files_clear(&files);
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
