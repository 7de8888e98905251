/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char device[] = "/dev/vhost-net", parameter[] = "hvparams.vhost_net";

bool vhost_decode(const struct hvparams *hv, enum vhost *ret, struct err **e)
{
	struct json_object *o = hv->vhost_net;
	enum vhost vhost = VHOST_AUTO;

	if (json_object_is_type(o, json_type_boolean))
		vhost = json_object_get_boolean(o) ? VHOST_ON : VHOST_OFF;
	else if (!json_object_is_type(o, json_type_string) || !str_eq(json_object_get_string(o), "auto"))
		return err_set_param(e, parameter, "must be true, false or \"auto\"");
	if (ret)
		*ret = vhost;
	return true;
}

static enum vhost vhost_of(const struct hvparams *hv)
{
	enum vhost vhost = VHOST_OFF;

	vhost_decode(hv, &vhost, NULL);
	return vhost;
}

unsigned vhost_queues(const struct nic *n, const struct hvparams *hv)
{
	return nic_type_of(n, hv) == NIC_TYPE_PARAVIRTUAL ? nic_taps(n, hv) : 0;
}

bool vhost_is_there(char **reason)
{
	if (access(device, R_OK | W_OK) == 0)
		return true;
	*reason = xasprintf("%s: %s", device, strerror(errno));
	return false;
}

bool vhost_is_wanted(const struct hvparams *hv)
{
	enum vhost vhost = vhost_of(hv);
	_cleanup_free_ char *reason = NULL;

	return vhost == VHOST_ON || (vhost == VHOST_AUTO && vhost_is_there(&reason));
}

static bool refuse(struct err **e, int error)
{
	bool denied = error == EACCES || error == EPERM;

	err_set(e, denied ? ERR_PERMISSION_DENIED : ERR_UNSUPPORTED, "'%s': %s: %s; %s, or set it to \"auto\" or false",
		parameter, device, strerror(error), denied ? "let droverd open it" : "its module is 'vhost_net'");
	return err_name_param(e, parameter);
}

bool vhost_open(const struct hvparams *hv, unsigned queues, int *fds, struct err **e)
{
	for (unsigned i = 0; i < queues; i++)
		fds[i] = -1;
	for (unsigned i = 0; i < queues && vhost_is_wanted(hv); i++) {
		int error;

		fds[i] = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fds[i] >= 0)
			continue;
		error = errno;
		while (i-- > 0)
			closep(&fds[i]);
		return vhost_of(hv) == VHOST_AUTO || refuse(e, error);
	}
	return true;
}
