/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/display_host.h"

#include "base/file.h"
#include "base/text.h"
#include "qmp/wait.h"
#include "runtime/display_port.h"
#include "runtime/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CALL_MS = 30000 };

/* In the run directory: the path of the socket that drover-open has made. */
#define SOCKET_NOTE "vnc.path"

/* ffdhe2048 of RFC 7919. Without it QEMU looks for primes of its own, for a second or many. */
static const char dh_params[] = "-----BEGIN DH PARAMETERS-----\n"
				"MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz\n"
				"+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a\n"
				"87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7\n"
				"YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi\n"
				"7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD\n"
				"ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==\n"
				"-----END DH PARAMETERS-----\n";

/* What QEMU reads in its own directory: the first four are copies, and of them the list of what the CA has revoked need not be
 * there. SPICE asks no client for a certificate. */
static const char *const tls_files[] = { X509_CA, X509_CERT, X509_KEY, X509_CRL, DH_PARAMS };
enum { SPICE_FILES = 3, VNC_FILES = 4 };

static void forget_secret(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void displays_clear(struct displays *d)
{
	display_port_let_go(d);
	closep(&d->fd);
	forget_secret(&d->password);
	free(d->path);
	d->path = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(d->paths); i++) {
		free(d->paths[i]);
		d->paths[i] = NULL;
	}
	d->place = (struct display_place){ .port = 0 };
}

/* ---- what is opened ---- */

static char *socket_name(const struct instance *inst)
{
	return xasprintf("%s.vnc", inst->name);
}

size_t displays_items(struct displays *d, const struct instance *inst, struct open_item *items)
{
	const struct hvparams *hv = &inst->def.hvparams;
	const char *x509 = display_x509_path(hv);
	bool vnc = display_has_vnc(hv);
	const char *file = vnc ? hv->vnc_password_file : display_has_spice(hv) ? hv->spice_password_file : NULL;
	size_t n = 0;

	for (size_t i = 0; x509 && i < (vnc ? VNC_FILES : SPICE_FILES); i++, n++) {
		d->paths[n] = *x509 ? xasprintf("%s/%s", x509, tls_files[i]) :
				      xasprintf("%s/tls/%s", inst->rt->dirs.etc, tls_files[i]);
		items[n] = (struct open_item){ .what = vnc ? "hvparams.vnc_x509_path" : "hvparams.spice_use_tls",
					       .path = d->paths[n],
					       .flags = OPEN_BOOT | OPEN_COPY |
							(str_eq(tls_files[i], X509_CRL) ? OPEN_OPTIONAL : 0U),
					       .copy = tls_files[i],
					       .fd = -1 };
	}
	if (!str_empty(file))
		items[n++] = (struct open_item){ .what = vnc ? "hvparams.vnc_password_file" :
							       "hvparams.spice_password_file",
						 .path = file,
						 .flags = OPEN_LINE,
						 .fd = -1 };
	if (vnc && bind_kind(hv->vnc_bind_address, NULL) == BIND_DIRECTORY) {
		d->paths[n] = socket_name(inst);
		items[n] = (struct open_item){ .what = "hvparams.vnc_bind_address",
					       .path = hv->vnc_bind_address,
					       .flags = OPEN_LISTEN,
					       .copy = d->paths[n],
					       .fd = -1 };
		n++;
	}
	return n;
}

/* ---- passwords ---- */

/* No more than QEMU looks at, and what JSON can say. */
static bool check_password(const char *text, const struct hvparams *hv, struct err **e)
{
	const char *param = display_has_vnc(hv) ? "hvparams.vnc_password_file" : "hvparams.spice_password_file";
	size_t max = display_has_vnc(hv) ? VNC_PASSWORD_MAX : SPICE_PASSWORD_MAX, n = strlen(text);
	char *copy = xstrdup(text);
	bool valid;

	text_make_valid(copy, n);
	valid = str_eq(copy, text);
	forget_secret(&copy);
	if (!valid)
		return err_set_param(e, param, "its first line is no text in UTF-8");
	if (n > max)
		return err_set_param(e, param, "its first line is longer than %zu characters; %s looks at no more", max,
				     display_has_vnc(hv) ? "VNC" : "SPICE");
	return true;
}

/* ---- the socket in a directory ---- */

/* If it is a socket of ours and nobody listens on it. */
static void remove_socket(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	_cleanup_free_ char *parent = xstrndup(path, (size_t)(name - path));
	_cleanup_close_ int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;

	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode) ||
	    st.st_uid != geteuid())
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir, name) >=
		    (int)sizeof(addr.sun_path) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno != ECONNREFUSED)
		return;
	unlinkat(dir, name, 0);
}

/* ---- the steps ---- */

static bool lacks(const struct prepare *p, const char *param, const char *what, struct err **e)
{
	err_set(e, ERR_UNSUPPORTED, "'%s': '%s' has no %s", param, p->binary, what);
	return err_name_param(e, param);
}

static bool check_binary(const struct prepare *p, struct err **e)
{
	const struct hvparams *hv = &p->inst->def.hvparams;
	const char *driver = display_vga_driver(display_vga(hv));

	/* It knows the command without the modules as well, which come together. */
	if (display_has_spice(hv) && (!caps_has_command(p->caps, "query-spice") || !caps_has_type(p->caps, "qxl-vga")))
		return lacks(p, "hvparams.spice_bind", "SPICE", e);
	if (display_has_vnc(hv) && !caps_has_command(p->caps, "display-update"))
		return lacks(p, "hvparams.vnc_bind_address", "'display-update'", e);
	if (display_has_vnc(hv) && hv->vnc_tls && !caps_has_type(p->caps, "tls-creds-x509"))
		return lacks(p, "hvparams.vnc_tls", "TLS", e);
	if (driver && !caps_has_type(p->caps, driver))
		return lacks(p, "hvparams.vga", driver, e);
	return true;
}

static bool write_dh_params(const struct instance *inst, struct err **e)
{
	static const char name[] = "q/" DH_PARAMS;
	_cleanup_close_ int fd = openat(inst->run_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
					0444);

	if (fd >= 0 && fchmod(fd, 0444) == 0 && write(fd, dh_params, sizeof(dh_params) - 1) == sizeof(dh_params) - 1)
		return true;
	return err_set_errno(e, ERR_GENERIC, errno, "cannot make '%s'", name);
}

/* What drover-open has made of displays_items(); NULL: it was not asked for it. */
static struct open_item *find_item(struct prepare *p, unsigned flag)
{
	for (size_t i = p->files.n; i < p->n_items; i++)
		if (p->items[i].flags & flag)
			return &p->items[i];
	return NULL;
}

/* Before anything else can fail: who clears up goes by the note. */
static bool take_socket(struct prepare *p, struct err **e)
{
	struct displays *d = &p->displays;
	struct open_item *item = find_item(p, OPEN_LISTEN);
	_cleanup_free_ char *path = item ? xasprintf("%s/%s", item->path, item->copy) : NULL;

	if (!item)
		return true;
	if (!file_write(p->inst->run_dir, SOCKET_NOTE, path, 0600, false, e))
		return false;
	d->fd = TAKE_FD(item->fd);
	d->path = TAKE_PTR(path);
	return true;
}

/* One that could not be noted. */
static void leave_socket(struct prepare *p)
{
	struct open_item *item = find_item(p, OPEN_LISTEN);
	_cleanup_free_ char *path = NULL;

	if (!item || item->fd < 0)
		return;
	path = xasprintf("%s/%s", item->path, item->copy);
	closep(&item->fd); /* until then somebody listens on it */
	remove_socket(path);
}

static bool take_password(struct prepare *p, struct err **e)
{
	struct displays *d = &p->displays;
	struct open_item *item = find_item(p, OPEN_LINE);

	if (!item)
		return true;
	d->password = xstrdup(item->line);
	explicit_bzero(item->line, sizeof(item->line));
	return check_password(d->password, &p->inst->def.hvparams, e);
}

static enum verdict displays_check(struct op *op, void *arg)
{
	struct err *e = NULL;

	return check_binary(arg, &e) ? OP_DONE : op_fail_err(op, e);
}

static enum verdict displays_open(struct op *op, void *arg)
{
	struct prepare *p = arg;
	const struct hvparams *hv = &p->inst->def.hvparams;
	struct err *e = NULL;
	bool ok = take_socket(p, &e) && take_password(p, &e);

	if (ok && !p->displays.path && (display_has_vnc(hv) || display_has_spice(hv)))
		ok = display_port_take(&p->displays, p->inst, &e);
	if (ok && display_has_vnc(hv) && hv->vnc_tls)
		ok = write_dh_params(p->inst, &e);
	return ok ? OP_DONE : op_fail_err(op, e);
}

static enum verdict displays_close(struct op *op, void *arg)
{
	struct prepare *p = arg;

	leave_socket(p);
	displays_clear(&p->displays);
	return OP_DONE;
}

static const struct step step_check = { "see whether QEMU has the displays", displays_check };
static const struct step step_open = { "open the displays", displays_open, displays_close };

static bool is_wanted(const struct hvparams *hv)
{
	return display_has_vnc(hv) || display_has_spice(hv) || display_vga(hv) != VGA_NONE;
}

void displays_check_plan(struct op *op, struct prepare *p)
{
	if (is_wanted(&p->inst->def.hvparams))
		op_add(op, &step_check, p);
}

void displays_open_plan(struct op *op, struct prepare *p)
{
	if (is_wanted(&p->inst->def.hvparams))
		op_add(op, &step_open, p);
}

/* ---- what QEMU is told ---- */

static enum verdict password_set(struct op *op, void *arg)
{
	struct prepare *p = arg;
	struct json_object *o = json_object_new_object();

	json_add_str(o, "protocol", display_has_vnc(&p->inst->def.hvparams) ? "vnc" : "spice");
	json_add_str(o, "password", p->displays.password);
	forget_secret(&p->displays.password);
	return qmp_call(op, p->inst->qmp, "set_password", o, NULL, NULL);
}

static enum verdict socket_give(struct op *op, void *arg)
{
	struct prepare *p = arg;
	struct json_object *o = json_object_new_object();

	json_add_str(o, "fdname", "vnc");
	return qmp_call_fd(op, p->inst->qmp, "getfd", o, TAKE_FD(p->displays.fd), NULL, NULL);
}

static enum verdict socket_use(struct op *op, void *arg)
{
	struct prepare *p = arg;
	struct json_object *o = json_object_new_object(), *list = json_object_new_array(),
			   *address = json_object_new_object();

	json_add_str(address, "type", "fd");
	json_add_str(address, "str", "vnc");
	json_object_array_add(list, address);
	json_add_str(o, "type", "vnc");
	json_add(o, "addresses", list);
	return qmp_call(op, p->inst->qmp, "display-update", o, NULL, NULL);
}

/* SPICE has its port by now. */
static enum verdict port_let_go(struct op *op, void *arg)
{
	display_port_let_go(&((struct prepare *)arg)->displays);
	return OP_DONE;
}

static const struct step step_password = { "set the password", password_set, .timeout_ms = CALL_MS };
static const struct step step_give = { "give VNC its socket", socket_give, .timeout_ms = CALL_MS };
static const struct step step_use = { "have VNC listen", socket_use, .timeout_ms = CALL_MS };
static const struct step step_let_go = { "let the port go", port_let_go };

void displays_plan(struct op *op, struct prepare *p)
{
	const struct hvparams *hv = &p->inst->def.hvparams;
	bool vnc = display_has_vnc(hv), spice = display_has_spice(hv);

	if (spice)
		op_add(op, &step_let_go, p);
	if ((vnc && !str_empty(hv->vnc_password_file)) || (spice && !str_empty(hv->spice_password_file)))
		op_add(op, &step_password, p);
	if (!vnc)
		return;
	op_add(op, &step_give, p);
	op_add(op, &step_use, p);
}

/* ---- what is told of it ---- */

struct json_object *displays_describe(const struct displays *d, const struct hvparams *hv)
{
	struct json_object *list = json_object_new_array(), *o;
	bool vnc = display_has_vnc(hv);

	if (!vnc && !display_has_spice(hv))
		return list;
	o = json_object_new_object();
	json_add_str(o, "kind", vnc ? "vnc" : "spice");
	if (d->path) {
		json_add_str(o, "path", d->path);
	} else {
		json_add_str(o, "address", d->place.address);
		json_add_int(o, !vnc && hv->spice_use_tls ? "tls-port" : "port", d->place.port);
	}
	json_add_bool(o, "password", !str_empty(vnc ? hv->vnc_password_file : hv->spice_password_file));
	if (vnc && hv->vnc_tls)
		json_add_bool(o, "tls", true);
	json_object_array_add(list, o);
	return list;
}

/* ---- what is left of it ---- */

void displays_remove_copies(const struct instance *inst)
{
	for (size_t i = 0; i < ARRAY_SIZE(tls_files); i++) {
		_cleanup_free_ char *path = xasprintf("q/%s", tls_files[i]);

		unlinkat(inst->run_dir, path, 0);
	}
}

static bool is_picture(const char *name)
{
	const char *number = name + strlen(DISPLAY_PICTURE);
	size_t digits = str_starts(name, DISPLAY_PICTURE) ? strspn(number, "0123456789") : 0;

	return digits > 0 && str_eq(number + digits, ".png");
}

bool displays_is_ours(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tls_files); i++)
		if (str_eq(tls_files[i], name))
			return true;
	return is_picture(name);
}

static void remove_picture(const char *name, void *data)
{
	if (is_picture(name))
		unlinkat(*(const int *)data, name, 0);
}

void displays_sweep(const struct instance *inst)
{
	_cleanup_close_ int dir = file_open_dir(inst->run_dir, "q", NULL);

	if (dir >= 0)
		file_list(dir, remove_picture, &dir, NULL);
}

void displays_remove_socket(const struct instance *inst)
{
	_cleanup_free_ char *path = NULL;
	size_t length;

	/* drover-open has seen that the directory is on no file system that somebody else answers for; where it was not, or
	 * refused, nobody is to wait here. */
	if (file_read(inst->run_dir, SOCKET_NOTE, PATH_MAX, &path, &length, NULL))
		remove_socket(path);
}
