#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# make-guest.sh OUTDIR: builds the small Linux guest that the tests boot, from Debian packages only.
#
# OUTDIR then holds (what was there before is replaced, in one rename, when all has been checked):
#
#   vmlinuz    Debian's "cloud" kernel as packaged: a bzImage, goes through the firmware
#   vmlinux    the same kernel unpacked: an ELF file with a PVH entry, skips real mode
#   initrd.gz  busybox, the modules of the list "modules", the guest agent, and the files below root/
#   kver       the kernel's version
#
# Needs apt with working sources, dpkg-deb, cpio, gzip, lz4, xz and kmod; no root, and none of the
# packages installed. Where the host's package lists are missing or too old, private ones are
# fetched. The host must be amd64, for the guest's own dynamic linker is asked for the libraries.
#
# The guest obeys these words of its kernel command line:
#
#   t.net=dhcp|none|static:IP/LEN  every NIC by DHCP (the default), none, or an address on the first
#   t.ga=0                         no guest agent
#   t.button=0                     ignore the ACPI power button
#   t.exit=poweroff|reboot|panic   do that right after boot
#   t.dirty=MIB                    keep rewriting so much memory
#   t.shell=1                      a shell on the first serial port
#
# and writes one line per event to its first serial port (with console=ttyS0):
#
#   GUEST-UP KVER UPTIME               booted
#   GUEST-ADD block NAME SECTORS       a disk; also those there at boot, behind GUEST-UP
#   GUEST-ADD net NAME MAC | memory NAME | cpu NAME
#   GUEST-CHG block NAME SECTORS       a disk's size or medium
#   GUEST-DEL block|net|memory|cpu NAME
#   GUEST-NET NAME IP                  an address
#   GUEST-GA up                        the guest agent runs
#   GUEST-BUTTON power                 the power button was pressed
#   GUEST-DOWN                         powers itself off
set -euo pipefail
umask 022
export LC_ALL=C

readonly kernel_meta=linux-image-cloud-amd64
here=$(cd "$(dirname "$0")" && pwd)

say()
{
	echo "make-guest: $*" >&2
}

die()
{
	say "$@"
	exit 1
}

# --- packages ---

apt_options=()

# Package lists of our own under $work/apt, from the host's sources, made without root.
use_private_lists()
{
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
	apt_options+=(-o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache" -o Debug::NoLocking=1)
	apt-get "${apt_options[@]}" -qq update
}

# Prints the names of all packages needed, one a line. Called where "set -e" does not work.
package_names()
{
	local kernel agent

	kernel=$(apt-cache "${apt_options[@]}" depends "$kernel_meta" |
		awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ && !n++ { print $2 }') || return
	[ -n "$kernel" ] || return
	# The libraries; what the agent's package depends on besides them is for its installation.
	agent=$(apt-cache "${apt_options[@]}" depends --recurse --important qemu-guest-agent |
		awk '/^lib/ && !/perl/') || return
	printf '%s\n' "$kernel" busybox-static qemu-guest-agent "$agent"
}

# Likewise called where "set -e" does not work.
download()
{
	local names

	names=$(package_names) || return
	mkdir -p "$work/debs" || return
	# shellcheck disable=SC2086 # one word per package
	(cd "$work/debs" && apt-get "${apt_options[@]}" -qq download $names) || return
}

fetch_packages()
{
	# The sandbox user of apt could not write to our directory.
	apt_options=(-o Acquire::Retries=3)
	[ "$(id -u)" != 0 ] || apt_options+=(-o APT::Sandbox::User=root)
	if ! download 2> "$work/apt.log"; then
		say "the host's package lists do not do; fetching fresh ones"
		use_private_lists || die "cannot fetch package lists (see above)"
		download || die "cannot fetch a package (see above)"
	fi
}

# --- kernel ---

unsigned() # FILE OFFSET SIZE
{
	od -An -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# The bzImage's header (boot protocol 2.08) says where the packed kernel lies within it; its last
# four bytes are the unpacked size.
unpack_kernel() # BZIMAGE OUT
{
	local setup_sectors offset length tool

	[ "$(tail -c +$((0x202 + 1)) "$1" | head -c 4)" = HdrS ] || die "the kernel is no bzImage"
	setup_sectors=$(unsigned "$1" $((0x1f1)) 1)
	offset=$(((setup_sectors + 1) * 512 + $(unsigned "$1" $((0x248)) 4)))
	length=$(unsigned "$1" $((0x24c)) 4)
	case $(od -An -t x1 -j "$offset" -N 4 "$1" | tr -d ' ') in
	02214c18) tool=lz4 ;;
	fd377a58) tool=xz ;;
	28b52ffd) tool=zstd ;;
	1f8b*) tool=gzip ;;
	*) die "the kernel is packed in a way unknown to this script" ;;
	esac
	tail -c +$((offset + 1)) "$1" > "$work/payload"
	truncate -s $((length - 4)) "$work/payload"
	"$tool" -dc < "$work/payload" > "$2" || die "$tool cannot unpack the kernel"
	[ "$(stat -c %s "$2")" = "$(unsigned "$1" $((offset + length - 4)) 4)" ] ||
		die "vmlinux has not the size it should have"
}

copy_module() # FILE below $ktree
{
	local to=$root/${1#"$ktree"/}

	mkdir -p "${to%/*}"
	case $1 in # busybox reads plain modules only
	*.xz) xz -dc "$1" > "${to%.xz}" ;;
	*.zst) zstd -dqc "$1" > "${to%.zst}" ;;
	*) cp "$1" "$to" ;;
	esac
}

# Copies the listed modules with all that they need, and writes the list that init loads.
copy_modules()
{
	local name mark list word file

	depmod -b "$ktree" "$kver"
	while read -r name mark; do
		case $name in '' | '#'*) continue ;; esac
		if ! list=$(modprobe -C /dev/null -d "$ktree" -S "$kver" --show-depends "$name" 2> /dev/null); then
			[ "$mark" = '?' ] || die "the kernel has no module '$name'"
			continue
		fi
		while read -r word file; do
			[ "$word" != insmod ] || copy_module "$file"
		done <<< "$list"
		echo "$name"
	done < "$here/modules" > "$root/etc/modules"
	cp "$ktree/lib/modules/$kver"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$kver/"
	depmod -b "$root" "$kver"
}

build_kernel()
{
	ktree=$work/kernel
	mkdir "$ktree"
	dpkg-deb -x "$work"/debs/linux-image-*.deb "$ktree"
	# later releases of Debian keep the modules below usr
	[ -e "$ktree/lib" ] || ln -s usr/lib "$ktree/lib"
	kver=$(basename "$ktree"/boot/vmlinuz-*)
	kver=${kver#vmlinuz-}
	[ -d "$ktree/lib/modules/$kver" ] || die "no modules for kernel '$kver'"
	echo "$kver" > "$result/kver"
	cp "$ktree/boot/vmlinuz-$kver" "$result/vmlinuz"
	unpack_kernel "$result/vmlinuz" "$result/vmlinux"
	copy_modules
}

# --- user space ---

# The agent, the libraries that its own dynamic linker finds for it among the packages, the linker.
copy_agent() # TREE
{
	local program linker path arrow library

	program=$(find "$1" -path '*bin/qemu-ga' -type f)
	linker=$(find -L "$1" -name ld-linux-x86-64.so.2 -print -quit)
	path=$(find "$1" -name '*.so*' -printf '%h\n' | sort -u | paste -sd :)
	[ -n "$program" ] || die "the packages have no guest agent"
	[ -n "$linker" ] || die "the packages have no dynamic linker"
	mkdir -p "$root/lib64" "$root/lib/x86_64-linux-gnu"
	cp "$program" "$root/bin/"
	cp -L "$linker" "$root/lib64/"
	"$linker" --inhibit-cache --library-path "$path" --list "$program" > "$work/libraries" ||
		die "the guest agent's libraries are not complete"
	while read -r _ arrow library _; do
		case $arrow:$library in
		'=>:'*/ld-linux-x86-64.so.2) ;;
		"=>:$1"/*) cp -L "$library" "$root/lib/x86_64-linux-gnu/" ;;
		'=>:'*) die "the guest agent would take '$library' from outside of the packages" ;;
		esac
	done < "$work/libraries"
}

build_user_space()
{
	local tree=$work/user deb busybox

	mkdir "$tree"
	for deb in "$work"/debs/*.deb; do
		case ${deb##*/} in
		linux-image-*) ;;
		*) dpkg-deb -x "$deb" "$tree" ;;
		esac
	done
	busybox=$(find "$tree" -path '*bin/busybox' -type f)
	[ -n "$busybox" ] || die "the packages have no busybox"
	cp "$busybox" "$root/bin/busybox"
	ln -s bin "$root/sbin"
	mkdir "$root/usr"
	ln -s ../bin ../sbin "$root/usr/"
	copy_agent "$tree"
}

pack_initrd()
{
	(cd "$root" && find . -exec touch -hd @0 {} + && find . -print0 | sort -z |
		cpio --null -o -H newc --quiet -R 0:0 --reproducible) | gzip -9n > "$result/initrd.gz"
}

# --- the whole ---

check_result()
{
	local name

	[ "$(head -c 4 "$result/vmlinux")" = $'\x7fELF' ] || die "vmlinux is no ELF file"
	# a note of type 18 by "Xen" is the PVH entry
	grep -aqP '\x12\0\0\0Xen\0' "$result/vmlinux" || die "vmlinux has no PVH entry"
	gzip -dc "$result/initrd.gz" | cpio -t --quiet > "$work/contents" || die "initrd.gz is broken"
	for name in init bin/busybox bin/qemu-ga bin/hotplug bin/netup bin/lease bin/agent bin/shutdown etc/modules \
		etc/acpi/PWRF/00000080 lib64/ld-linux-x86-64.so.2 "lib/modules/$kver/modules.dep"; do
		grep -qxF "$name" "$work/contents" || die "initrd.gz lacks '$name'"
	done
}

put_in_place() # OUTDIR
{
	chmod 755 "$result"
	[ ! -e "$1" ] || mv -T "$1" "$work/old"
	mv -T "$result" "$1"
}

[ $# = 1 ] || die "usage: make-guest.sh OUTDIR"
for tool in apt-get apt-cache dpkg-deb cpio gzip lz4 xz depmod modprobe; do
	PATH=$PATH:/usr/sbin:/sbin command -v "$tool" > /dev/null || die "'$tool' is missing"
done
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$(dirname "$1")"
# beside OUTDIR, so that the last step is a rename
work=$(mktemp -d "$(cd "$(dirname "$1")" && pwd)/.$(basename "$1").XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
result=$work/result
root=$work/root
mkdir "$result"
cp -r "$here/root" "$root"

fetch_packages
build_kernel
build_user_space
pack_initrd
check_result
put_in_place "$1"
say "$1: Linux $kver, initrd $(($(stat -c %s "$1/initrd.gz") / 1024)) KiB"
