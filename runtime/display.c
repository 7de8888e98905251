/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/display.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

const char *const display_keymaps[] = { "",   "ar", "bepo",  "cz", "da", "de",    "de-ch", "en-gb", "en-us",
					"es", "et", "fi",    "fo", "fr", "fr-be", "fr-ca", "fr-ch", "hr",
					"hu", "is", "it",    "ja", "lt", "lv",    "mk",    "nl",    "no",
					"pl", "pt", "pt-br", "ru", "sl", "sv",    "th",    "tr",    NULL };

bool display_has_vnc(const struct hvparams *hv)
{
	return !str_empty(hv->vnc_bind_address);
}

bool display_has_spice(const struct hvparams *hv)
{
	return !str_empty(hv->spice_bind);
}

bool display_has_vdagent(const struct hvparams *hv)
{
	return display_has_spice(hv) && hv->spice_use_vdagent;
}

const char *display_x509_path(const struct hvparams *hv)
{
	if (display_has_vnc(hv) && hv->vnc_tls && !str_empty(hv->vnc_x509_path))
		return hv->vnc_x509_path;
	return display_has_spice(hv) && hv->spice_use_tls ? "" : NULL;
}

enum vga display_vga(const struct hvparams *hv)
{
	if (hv->vga != VGA_DEFAULT)
		return (enum vga)hv->vga;
	if (display_has_vnc(hv))
		return VGA_STD;
	if (!display_has_spice(hv))
		return VGA_NONE;
	return machine_kind(hv->machine_version) == MACHINE_MICROVM ? VGA_STD : VGA_QXL;
}

const char *display_vga_driver(enum vga vga)
{
	static const char *const drivers[] = { [VGA_STD] = "VGA",
					       [VGA_CIRRUS] = "cirrus-vga",
					       [VGA_QXL] = "qxl-vga",
					       [VGA_VIRTIO] = "virtio-vga",
					       [VGA_VMWARE] = "vmware-svga" };

	return drivers[vga];
}

/* ---- where it listens ---- */

/* As people name them; the kernel would take more. All digits and dots: an address that is none. */
static bool is_interface_name(const char *text)
{
	size_t n = strlen(text);

	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && (c == text || !strchr("._@-", *c)))
			return false;
	return n > 0 && n < IFNAMSIZ && strspn(text, "0123456789.") < n;
}

static bool is_directory_path(const char *text)
{
	for (const char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return false;
	return file_path_is_normal(text);
}

enum bind_kind bind_kind(const char *text, struct sockaddr_storage *addr)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (str_empty(text))
		return BIND_NONE;
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		if (addr)
			memcpy(addr, &v4, sizeof(v4));
		return BIND_ADDRESS;
	}
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
		if (addr)
			memcpy(addr, &v6, sizeof(v6));
		return BIND_ADDRESS;
	}
	if (text[0] == '/')
		return is_directory_path(text) ? BIND_DIRECTORY : BIND_INVALID;
	return is_interface_name(text) ? BIND_INTERFACE : BIND_INVALID;
}

bool bind_is_wildcard(const char *text)
{
	struct sockaddr_storage addr;
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&addr)->sin6_addr;

	if (bind_kind(text, &addr) != BIND_ADDRESS)
		return false;
	if (addr.ss_family == AF_INET)
		return ((const struct sockaddr_in *)&addr)->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && !v6->s6_addr32[3]);
}

/* ---- rules ---- */

static bool check_wildcard(const struct hvparams *hv, const char *text, const char *param, const char *file,
			   const char *file_param, struct err **e)
{
	if (!bind_is_wildcard(text) || !str_empty(file) || hv->display_without_password)
		return true;
	return err_set_param(e, param,
			     "'%s' is every address of the host: set '%s', or 'display_without_password' where anybody "
			     "may see and use the guest",
			     text, file_param);
}

static bool check_vnc(const struct hvparams *hv, struct err **e)
{
	if (bind_kind(hv->vnc_bind_address, NULL) == BIND_INVALID)
		return err_set_param(e, "hvparams.vnc_bind_address",
				     "must be an IPv4 or IPv6 address, the name of an interface, or the absolute path "
				     "of a directory");
	if (!str_empty(hv->vnc_x509_path) && !hv->vnc_tls)
		return err_set_param(e, "hvparams.vnc_x509_path", "needs 'vnc_tls'");
	if (hv->vnc_x509_verify && str_empty(hv->vnc_x509_path))
		return err_set_param(e, "hvparams.vnc_x509_verify", "needs 'vnc_x509_path'");
	return check_wildcard(hv, hv->vnc_bind_address, "hvparams.vnc_bind_address", hv->vnc_password_file,
			      "vnc_password_file", e);
}

bool display_check_name(const struct hvparams *hv, const char *name, const char *parameter, struct err **e)
{
	enum { PATH_LONGEST = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };
	_cleanup_free_ char *path = xasprintf("%s/%s.vnc", hv->vnc_bind_address, name);

	if (bind_kind(hv->vnc_bind_address, NULL) != BIND_DIRECTORY || strlen(path) <= PATH_LONGEST)
		return true;
	return err_set_param(e, parameter,
			     "the socket '%s' would have a path of %zu bytes; %d is the limit of unix sockets", path,
			     strlen(path), PATH_LONGEST);
}

/* What says something of a SPICE that there is not. */
static bool check_no_spice(const struct hvparams *hv, struct err **e)
{
	const struct {
		const char *name;
		bool given;
	} members[] = {
		{ "hvparams.spice_ip_version", hv->spice_ip_version != 0 },
		{ "hvparams.spice_password_file", !str_empty(hv->spice_password_file) },
		{ "hvparams.spice_image_compression", hv->spice_image_compression != 0 },
		{ "hvparams.spice_jpeg_wan_compression", hv->spice_jpeg_wan_compression != 0 },
		{ "hvparams.spice_zlib_glz_wan_compression", hv->spice_zlib_glz_wan_compression != 0 },
		{ "hvparams.spice_streaming_video", hv->spice_streaming_video != 0 },
		{ "hvparams.spice_use_tls", hv->spice_use_tls },
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (members[i].given)
			return err_set_param(e, members[i].name, "needs 'spice_bind'");
	return true;
}

static bool check_spice(const struct hvparams *hv, struct err **e)
{
	struct sockaddr_storage addr;
	enum bind_kind kind = bind_kind(hv->spice_bind, &addr);

	for (const char *c = hv->spice_tls_ciphers; *c; c++)
		if (!isgraph((unsigned char)*c))
			return err_set_param(e, "hvparams.spice_tls_ciphers",
					     "must be a list of ciphers as OpenSSL has it, without blanks");
	if (kind == BIND_NONE)
		return check_no_spice(hv, e);
	if (kind != BIND_ADDRESS && kind != BIND_INTERFACE)
		return err_set_param(e, "hvparams.spice_bind",
				     "must be an IPv4 or IPv6 address or the name of an interface");
	if (display_has_vnc(hv))
		return err_set_param(e, "hvparams.spice_bind",
				     "VNC and SPICE exclude each other: "
				     "'vnc_bind_address' must be empty");
	if (kind == BIND_ADDRESS && hv->spice_ip_version && (hv->spice_ip_version == 6) != (addr.ss_family == AF_INET6))
		return err_set_param(e, "hvparams.spice_ip_version", "'%s' is an address of IPv%d", hv->spice_bind,
				     addr.ss_family == AF_INET6 ? 6 : 4);
	return check_wildcard(hv, hv->spice_bind, "hvparams.spice_bind", hv->spice_password_file, "spice_password_file",
			      e);
}

bool display_check(const struct hvparams *hv, struct err **e)
{
	return check_vnc(hv, e) && check_spice(hv, e);
}

/* ---- what QEMU is told ---- */

char *display_vnc_option(const struct hvparams *hv)
{
	if (!display_has_vnc(hv))
		return NULL;
	return xasprintf("none%s%s", str_empty(hv->vnc_password_file) ? "" : ",password=on",
			 hv->vnc_tls ? ",tls-creds=vnctls0" : "");
}

static char *add(char *text, const char *name, const char *value)
{
	_cleanup_free_ char *old = text, *escaped = argv_escape(value);

	return str_empty(value) ? TAKE_PTR(old) : xasprintf("%s,%s=%s", old, name, escaped);
}

char *display_spice_option(const struct hvparams *hv, const struct display_place *place)
{
	const char *address = place ? place->address : hv->spice_bind;
	char *text;

	if (!display_has_spice(hv))
		return NULL;
	/* With ipv4 or ipv6 it would look the address up, and find none where only lo is of that family. */
	text = xasprintf("addr=%s,%s=%d", address, hv->spice_use_tls ? "tls-port" : "port", place ? place->port : 5900);
	if (hv->spice_use_tls) {
		text = add(text, "x509-cacert-file", X509_CA);
		text = add(text, "x509-cert-file", X509_CERT);
		text = add(text, "x509-key-file", X509_KEY);
		text = add(text, "tls-ciphers", hv->spice_tls_ciphers);
	}
	text = add(text, "disable-ticketing", str_empty(hv->spice_password_file) ? "on" : "");
	text = add(text, "image-compression", spice_image_compressions[hv->spice_image_compression]);
	text = add(text, "jpeg-wan-compression", spice_wan_compressions[hv->spice_jpeg_wan_compression]);
	text = add(text, "zlib-glz-wan-compression", spice_wan_compressions[hv->spice_zlib_glz_wan_compression]);
	text = add(text, "streaming-video", spice_streaming_videos[hv->spice_streaming_video]);
	text = add(text, "playback-compression", hv->spice_playback_compression ? "" : "off");
	return add(text, "agent-mouse", hv->spice_use_vdagent ? "" : "off");
}

void display_parts(const struct hvparams *hv, struct parts *parts)
{
	const bool x509 = !str_empty(hv->vnc_x509_path);
	struct json_object *o;

	if (!display_has_vnc(hv) || !hv->vnc_tls)
		return;
	o = json_object_new_object();
	json_add_str(o, "qom-type", x509 ? "tls-creds-x509" : "tls-creds-anon");
	json_add_str(o, "id", "vnctls0");
	json_add_str(o, "endpoint", "server");
	json_add_str(o, "dir", ".");
	if (x509)
		json_add_bool(o, "verify-peer", hv->vnc_x509_verify);
	parts_add(parts, OUTLET_OBJECT, o);
}
