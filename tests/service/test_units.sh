#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What systemd says of the units as they are installed: nothing at all, and an exposure of at most 4.
set -euo pipefail
exec < /dev/null

readonly most=40 # tenths

cmake=$1 build=$2
if ! command -v systemd-analyze > /dev/null; then
	echo "SKIP: there is no systemd-analyze"
	exit 77
fi
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/units"
DESTDIR=$stage "$cmake" --install "$build" > "$stage/install.log" || {
	cat "$stage/install.log"
	exit 1
}

# The programs are looked for, so the copies name those that were installed here.
find "$stage" -path "$stage/units" -prune -o \( -name '*.service' -o -name '*.socket' -o -name '*.timer' \) -print | while read -r unit; do
	sed -E "s|^(Exec[A-Za-z]+=)/|\\1$stage/|" "$unit" > "$stage/units/${unit##*/}"
done
cd "$stage/units"
for unit in droverd.service droverd.socket drover-guests.service drover-metrics.service drover-metrics.timer; do
	[ -f "$unit" ] || {
		echo "$unit is not installed"
		exit 1
	}
done

# It ends well whatever it finds, so what it prints counts.
said=$(SYSTEMD_LOG_LEVEL=info systemd-analyze verify --man=no ./*.service ./*.socket ./*.timer 2>&1) || said+=" (status $?)"
if [ -n "$said" ]; then
	echo "systemd-analyze verify: $said"
	exit 1
fi
for unit in *.service; do
	systemd-analyze security --offline=true --no-pager --threshold="$most" "./$unit" > security.log || {
		cat security.log
		exit 1
	}
done
for list in sysusers.d tmpfiles.d; do
	[ -n "$(find "$stage" -path "*/$list/drover.conf")" ] || {
		echo "there is no $list/drover.conf"
		exit 1
	}
done
