/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/uri.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <sys/un.h>

/* What a parser works on, and the node that it fills. */
struct uri {
	const char *name, *text; /* whom errors name; all of it */
	struct json_object *node;
	int port; /* the scheme's own, unless another is given */
	/* of those with an authority; NULL: not there */
	char *host, *path, *query;
	bool v6;
};

static const char credentials[] = "users and passwords would stand in QEMU's command line, where everybody on this "
				  "host reads them; this version takes none";

static bool fail(const struct uri *u, struct err **e, const char *why)
{
	return err_set_param(e, u->name, "%s", why);
}

/* ---- bytes ---- */

/* QEMU is told in JSON, which is UTF-8, and no name has a control character. */
static bool is_clean(const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);

	text_make_valid(copy, strlen(copy));
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return str_eq(copy, text);
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* In place: %XX is a byte. */
static bool percent_decode(const struct uri *u, char *text, struct err **e)
{
	char *to = text;

	for (const char *p = text; *p; p++, to++) {
		*to = *p;
		if (*p != '%')
			continue;
		if (!isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2]))
			return fail(u, e, "after '%' two hexadecimal digits are needed; the character itself is %25");
		*to = (char)(hex(p[1]) * 16 + hex(p[2]));
		if (!*to)
			return fail(u, e, "must not have a byte of zero (%00)");
		p += 2;
	}
	*to = '\0';
	return is_clean(text) || fail(u, e, "must be UTF-8 without control characters, also where %XX says it");
}

/* ---- SCHEME://HOST:PORT/PATH?QUERY ---- */

static bool is_host(const char *host)
{
	for (const char *c = host; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
			return false;
	return *host && strlen(host) <= 253;
}

static bool take_port(struct uri *u, const char *text, struct err **e)
{
	enum { DIGITS_MAX = 5, PORT_MAX = 65535 };
	size_t n = strspn(text, "0123456789");

	u->port = n && n <= DIGITS_MAX && !text[n] ? (int)strtol(text, NULL, 10) : 0;
	return (u->port > 0 && u->port <= PORT_MAX) || fail(u, e, "the port must be a number from 1 to 65535");
}

/* Leaves the host without brackets. */
static bool take_authority(struct uri *u, char *text, struct err **e)
{
	char *port = strchr(text, ':'), *end = strchr(text, ']');
	struct in6_addr address;

	if (strchr(text, '@'))
		return fail(u, e, credentials);
	u->v6 = *text == '[';
	if (u->v6) {
		if (!end || (end[1] && end[1] != ':'))
			return fail(u, e, "an IPv6 address stands in brackets, before the port: [::1]:10809");
		*end = '\0';
		port = end[1] ? end + 1 : NULL;
	} else if (port) {
		*port = '\0';
	}
	u->host = xstrdup(text + u->v6);
	if (u->v6 ? inet_pton(AF_INET6, u->host, &address) != 1 : !is_host(u->host))
		return fail(u, e, "needs a host: a name, an IPv4 address, or an IPv6 address in brackets");
	return !port || take_port(u, port + 1, e);
}

static bool take_parts(struct uri *u, const char *rest, bool local, struct err **e)
{
	size_t n = strcspn(rest, "/?");
	_cleanup_free_ char *authority = xstrndup(rest, n);
	const char *query = strchr(rest, '?');

	if (strchr(rest, '#'))
		return fail(u, e, "'#' has no meaning here; in a name it is %23");
	if (query)
		u->query = xstrdup(query + 1);
	rest += n;
	if (*rest == '/')
		u->path = query ? xstrndup(rest + 1, (size_t)(query - rest - 1)) : xstrdup(rest + 1);
	if (!local)
		return take_authority(u, authority, e);
	return !*authority || fail(u, e, "a socket has no host: three slashes, and ?socket=PATH");
}

/* The one word of the query of those that go by a socket of this host. */
static char *take_socket(const struct uri *u, struct err **e)
{
	enum { PATH_LONGEST = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };
	_cleanup_free_ char *path = NULL;

	if (!u->query || !str_starts(u->query, "socket=") || strchr(u->query, '&')) {
		fail(u, e, "needs ?socket=PATH, and nothing else there");
		return NULL;
	}
	path = xstrdup(u->query + strlen("socket="));
	if (!percent_decode(u, path, e))
		return NULL;
	if (*path != '/' || strlen(path) > PATH_LONGEST) {
		fail(u, e, "the socket's path must be absolute, and of 107 bytes at most");
		return NULL;
	}
	return TAKE_PTR(path);
}

static struct json_object *inet_server(const struct uri *u)
{
	_cleanup_free_ char *port = xasprintf("%d", u->port);
	struct json_object *o = json_object_new_object();

	json_add_str(o, "type", "inet");
	json_add_str(o, "host", u->host);
	json_add_str(o, "port", port);
	return o;
}

/* Where the server is; NULL: it cannot be told. */
static struct json_object *take_server(const struct uri *u, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	struct json_object *o;

	if (u->host && u->query) {
		fail(u, e, "'?' has no meaning here; in a name it is %3F");
		return NULL;
	}
	if (u->host)
		return inet_server(u);
	path = take_socket(u, e);
	if (!path)
		return NULL;
	o = json_object_new_object();
	json_add_str(o, "type", "unix");
	json_add_str(o, "path", path);
	return o;
}

/* ---- the schemes ---- */

static bool parse_nbd(struct uri *u, struct err **e)
{
	struct json_object *server = take_server(u, e);

	if (!server)
		return false;
	json_add(u->node, "server", server);
	if (!u->path)
		return fail(u, e, "needs a slash behind the host, and then the name of the export, if it has one");
	if (!percent_decode(u, u->path, e))
		return false;
	if (*u->path)
		json_add_str(u->node, "export", u->path);
	return true;
}

static bool parse_iscsi(struct uri *u, struct err **e)
{
	enum { TARGET_MAX = 223, DIGITS_MAX = 5, LUN_MAX = 16383 };
	char *lun = u->path ? strchr(u->path, '/') : NULL;
	_cleanup_free_ char *portal = NULL;

	if (u->query)
		return fail(u, e, "'?' has no meaning here");
	if (!lun || strspn(lun + 1, "0123456789") != strlen(lun + 1) || strlen(lun + 1) > DIGITS_MAX || !lun[1] ||
	    strtol(lun + 1, NULL, 10) > LUN_MAX)
		return fail(u, e, "must be iscsi://HOST[:PORT]/TARGET/LUN, with a LUN from 0 to 16383");
	*lun++ = '\0';
	if (!percent_decode(u, u->path, e))
		return false;
	if (!*u->path || strlen(u->path) > TARGET_MAX)
		return fail(u, e, "the target must have a name, of 223 bytes at most");
	portal = xasprintf(u->v6 ? "[%s]:%d" : "%s:%d", u->host, u->port);
	json_add_str(u->node, "transport", "tcp");
	json_add_str(u->node, "portal", portal);
	json_add_str(u->node, "target", u->path);
	json_add_int(u->node, "lun", strtol(lun, NULL, 10));
	return true;
}

static bool parse_gluster(struct uri *u, struct err **e)
{
	struct json_object *servers, *server;
	char *path = u->path ? strchr(u->path, '/') : NULL;

	if (!path || path == u->path || !path[1])
		return fail(u, e, "must have a volume and the path of the image in it: /VOLUME/PATH");
	*path++ = '\0';
	if (!percent_decode(u, u->path, e) || !percent_decode(u, path, e))
		return false;
	server = take_server(u, e);
	if (!server)
		return false;
	servers = json_object_new_array();
	json_object_array_add(servers, server);
	json_add_str(u->node, "volume", u->path);
	json_add_str(u->node, "path", path);
	json_add(u->node, "server", servers);
	return true;
}

/* It goes to the server as it is, whatever bytes its %XX are. */
static bool parse_http(struct uri *u, struct err **e)
{
	for (const char *c = u->text; *c; c++) {
		bool escape = *c == '%' && (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2]));

		if (escape || *c < 0 || !isgraph((unsigned char)*c) || strchr("\"<>\\^`{|}", *c))
			return fail(u, e, "what a URL cannot have is written as %XX, with two hexadecimal digits");
	}
	if (!u->path)
		return fail(u, e, "needs a slash behind the host");
	json_add_str(u->node, "url", u->text);
	return true;
}

/* ---- rbd:, which is Ceph's own notation ---- */

/* The first C of TEXT that has no backslash in front, or NULL. */
static char *find_plain(char *text, char c)
{
	for (char *p = text; *p; p++) {
		if (*p == c)
			return p;
		if (*p == '\\' && p[1])
			p++;
	}
	return NULL;
}

/* Ends TEXT at the first plain C; what is behind it, or NULL. */
static char *cut(char *text, char c)
{
	char *p = find_plain(text, c);

	if (p)
		*p++ = '\0';
	return p;
}

/* Adds TEXT, without its backslashes, as KEY. */
static bool add_plain(const struct uri *u, const char *key, char *text, struct err **e)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (*p == '\\' && !*++p)
			return fail(u, e, "a backslash has nothing behind it");
		*to++ = *p;
	}
	*to = '\0';
	if (!*text || !is_clean(text))
		return fail(u, e, "pool, image and values must not be empty, and are UTF-8 without control characters");
	json_add_str(u->node, key, text);
	return true;
}

static bool add_rbd_option(const struct uri *u, char *option, struct err **e)
{
	static const struct {
		const char *name, *key;
	} known[] = { { "conf", "conf" }, { "id", "user" }, { "user", "user" } };
	char *value = cut(option, '=');

	if (str_eq(option, "key"))
		return fail(u, e, credentials);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!str_eq(known[i].name, option))
			continue;
		if (json_object_object_get_ex(u->node, known[i].key, NULL))
			return fail(u, e, "conf and id are said once");
		/* QEMU would see the name of a snapshot behind it. */
		if (!value || find_plain(value, '@'))
			return fail(u, e, "an option is NAME=VALUE, with a backslash in front of '@' and ':'");
		if (str_eq(known[i].key, "conf") && *value != '/')
			return fail(u, e, "the path of conf must be absolute");
		return add_plain(u, known[i].key, value, e);
	}
	return fail(u, e, "the options are conf and id; others belong into the file that conf names");
}

static bool parse_rbd(struct uri *u, struct err **e)
{
	_cleanup_free_ char *text = xstrdup(u->text + strlen("rbd:"));
	char *options = cut(text, ':'), *snapshot = cut(text, '@'), *image = cut(text, '/'), *inner;

	if (!image || (snapshot && find_plain(snapshot, '@')))
		return fail(u, e, "must be rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:conf=PATH][:id=USER]");
	inner = cut(image, '/');
	if (inner && find_plain(inner, '/'))
		return fail(u, e, "has too many slashes; in the name of an image one has a backslash in front");
	if (!add_plain(u, "pool", text, e) || (inner && !add_plain(u, "namespace", image, e)) ||
	    !add_plain(u, "image", inner ? inner : image, e) || (snapshot && !add_plain(u, "snapshot", snapshot, e)))
		return false;
	for (char *next; options; options = next) {
		next = cut(options, ':');
		if (!add_rbd_option(u, options, e))
			return false;
	}
	return true;
}

/* ---- all of them ---- */

static const struct scheme {
	const char *prefix, *driver;
	enum { OPAQUE, SOCKET, AUTHORITY } form;
	int port;
	bool (*parse)(struct uri *u, struct err **e);
} schemes[] = {
	{ "nbd://", "nbd", AUTHORITY, 10809, parse_nbd },
	{ "nbd+tcp://", "nbd", AUTHORITY, 10809, parse_nbd },
	{ "nbd+unix://", "nbd", SOCKET, 0, parse_nbd },
	{ "rbd:", "rbd", OPAQUE, 0, parse_rbd },
	{ "iscsi://", "iscsi", AUTHORITY, 3260, parse_iscsi },
	{ "gluster://", "gluster", AUTHORITY, 24007, parse_gluster },
	{ "gluster+tcp://", "gluster", AUTHORITY, 24007, parse_gluster },
	{ "gluster+unix://", "gluster", SOCKET, 0, parse_gluster },
	{ "http://", "http", AUTHORITY, 80, parse_http },
	{ "https://", "https", AUTHORITY, 443, parse_http },
};

static const struct scheme *find_scheme(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (str_starts(text, schemes[i].prefix))
			return &schemes[i];
	return NULL;
}

struct json_object *uri_parse(const char *text, const char *name, struct err **e)
{
	_cleanup_json_ struct json_object *node = json_object_new_object();
	const struct scheme *s = find_scheme(text);
	struct uri u = { .name = name, .text = text, .node = node, .port = s ? s->port : 0 };
	bool ok;

	if (s)
		json_add_str(node, "driver", s->driver);
	if (!s && str_starts(text, "nbd:"))
		ok = fail(&u, e,
			  "is QEMU's old notation: write nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH");
	else if (!s)
		ok = fail(&u, e,
			  "must begin with nbd://, nbd+unix://, rbd:, iscsi://, gluster://, http:// or https://");
	else
		ok = (s->form == OPAQUE || take_parts(&u, text + strlen(s->prefix), s->form == SOCKET, e)) &&
		     s->parse(&u, e);
	free(u.host);
	free(u.path);
	free(u.query);
	return ok ? TAKE_PTR(node) : NULL;
}

bool uri_is_read_only(struct json_object *node)
{
	const char *driver = json_get_str(node, "driver");

	return str_starts(driver, "http") || json_object_object_get_ex(node, "snapshot", NULL);
}

/* Gluster may have several. */
static struct json_object *server_of(struct json_object *node)
{
	struct json_object *server = NULL;

	json_object_object_get_ex(node, "server", &server);
	return json_object_is_type(server, json_type_array) ? json_object_array_get_idx(server, 0) : server;
}

char *uri_server(struct json_object *node)
{
	struct json_object *server = server_of(node);
	const char *portal = json_get_str(node, "portal"), *path = json_get_str(server, "path"),
		   *host = json_get_str(server, "host");

	if (portal || path)
		return xstrdup(portal ? portal : path);
	if (!host)
		return NULL;
	return xasprintf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, json_get_str(server, "port"));
}

const char *uri_host_path(struct json_object *node)
{
	struct json_object *server = server_of(node);

	return json_get_str(server ? server : node, server ? "path" : "conf");
}
