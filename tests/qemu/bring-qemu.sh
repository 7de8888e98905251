#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bring-qemu.sh VERSION OUTDIR: brings a QEMU that is not the system's, 10 or 11, from Debian's packages.
#
# OUTDIR, which must not be there, then holds
#
#   usr/bin   qemu-system-x86_64, qemu-img and the others, as one puts them in PATH; nothing else
#   usr/...   their firmware and modules, and all libraries they need
#
# Nothing is installed, and the programs need no wrapper: the loader and the libraries in OUTDIR/usr are written
# into each, and with "qemu-bundle" beside it a QEMU looks for its files below that instead of /usr. So OUTDIR
# cannot be moved, and whoever is to run them needs only to see OUTDIR/usr.
#
# Needs apt with a mirror of Debian among its sources, dpkg-deb, tar and patchelf; no root. The host must be amd64.
set -euo pipefail
umask 022
export LC_ALL=C

readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
readonly libraries=usr/lib/x86_64-linux-gnu

die()
{
	echo "bring-qemu: $*" >&2
	exit 1
}

[ $# = 2 ] || die "usage: bring-qemu.sh VERSION OUTDIR"
case $1 in
10) suites=(bookworm bookworm-backports) ;;
11) suites=(trixie trixie-backports) ;;
*) die "'$1' is neither 10 nor 11" ;;
esac
version=$1
out=$(realpath -m -- "$2")
[ ! -e "$out" ] || die "'$out' is there already"
[ "$(dpkg --print-architecture)" = amd64 ] || die "the host is not amd64"
command -v patchelf > /dev/null || die "patchelf is missing"
mkdir -p "${out%/*}"
work=$(mktemp -d -- "${out%/*}/.qemu-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# --- packages ---

# The repository of the host's own Debian, whatever it is called; its lists may be missing.
mirror()
{
	local codename

	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	apt-get --print-uris update | sed -n "s|^'\(.*\)/dists/$codename/InRelease'.*|\1|p" | head -n 1
}

# As on a machine without any package.
apt()
{
	apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State::Status=/dev/null -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 -o Debug::NoLocking=1 "$@"
}

mirror=$(mirror)
[ -n "$mirror" ] || die "apt's sources name no mirror of this Debian"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
for suite in "${suites[@]}"; do
	echo "deb [signed-by=$keyring] $mirror $suite main"
done > "$work/sources.list"
apt update
apt --yes --no-install-recommends --download-only -t "${suites[1]}" install \
	qemu-system-x86 qemu-system-modules-spice qemu-utils qemu-block-extra > /dev/null

# --- the tree ---

tree=$work/tree
mkdir -p "$tree/usr/lib" "$tree/usr/lib64" "$tree/usr/bin" "$tree/usr/sbin"
# Packages of before and after the merge into /usr.
for name in bin sbin lib lib64; do
	ln -s "usr/$name" "$tree/$name"
done
for deb in "$work"/cache/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tree" --keep-directory-symlink --no-same-owner \
		--exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale'
done
find "$tree" -mindepth 1 -maxdepth 1 ! -name usr -exec rm -r {} +
find "$tree/usr/bin" "$tree/usr/sbin" ! -type d ! -name 'qemu-*' -delete
ln -s ../.. "$tree/usr/bin/qemu-bundle"

for program in "$tree"/usr/bin/qemu-*; do
	if [ -f "$program" ] && [ ! -L "$program" ] && patchelf --print-interpreter "$program" > /dev/null 2>&1; then
		patchelf --set-interpreter "$out/$libraries/ld-linux-x86-64.so.2" \
			--force-rpath --set-rpath "$out/$libraries" "$program"
	fi
done
chmod 755 "$tree"
mv -T "$tree" "$out"

found=$("$out/usr/bin/qemu-system-x86_64" --version | sed -n 's/.* version \([0-9]*\)\..*/\1/p')
if [ "$found" != "$version" ]; then
	rm -r "$out"
	die "what came is not QEMU $version but '$found'"
fi
