#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check-pages.sh DIRECTORY BIN: the manual pages are what their rows print, name the options that programs have, and
# render without a warning and within 80 columns.
set -euo pipefail

pages=$1
bin=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

failed()
{
	echo "check-pages: $*" >&2
	status=1
}

# What follows from rows.
for page in "$pages"/*.scd; do
	name=${page##*/}
	if ! "$bin/print_page" "$page" > "$work/$name"; then
		failed "$name: cannot be printed"
	elif ! diff -u "$page" "$work/$name"; then
		failed "$name: is not what its rows say; './dev docs' writes it anew"
	fi
done

# The long options of TEXT on standard input, one a line.
options()
{
	grep -oE -- '--[a-z][a-z-]*' | sort -u
}

# What has no rows: the help that a program prints, or the comment that is its contract.
"$bin/droverd" --help | options > "$work/help"
sed -n '/^# OPTIONS/,/^# SIGNALS/p' "$pages/droverd.8.scd" | options > "$work/page"
diff -u "$work/help" "$work/page" || failed "droverd.8.scd: other options than 'droverd --help'"
sed -n '/^static const struct option options/,/^};/s/^\t{ "\([a-z-]*\)".*/--\1/p' "$pages/../../runtime/launch_options.c" |
	sort -u > "$work/help"
sed -n '/^# OPTIONS/,/^# DESCRIPTORS/p' "$pages/drover-launch.8.scd" | options > "$work/page"
diff -u "$work/help" "$work/page" || failed "drover-launch.8.scd: other options than the program's"

if ! command -v scdoc > /dev/null || ! command -v groff > /dev/null; then
	[ "$status" = 0 ] || exit 1
	echo "SKIP: how pages look needs scdoc and groff"
	exit 77
fi
for page in "$pages"/*.scd; do
	name=${page##*/}
	name=${name%.scd}
	if ! scdoc < "$page" > "$work/$name"; then
		failed "$name: scdoc does not take it"
		continue
	fi
	groff -K utf8 -t -man -ww -Tutf8 -P-cbou -rLL=80n "$work/$name" > "$work/$name.txt" 2> "$work/$name.warnings"
	if [ -s "$work/$name.warnings" ]; then
		cat "$work/$name.warnings" >&2
		failed "$name: has warnings"
	fi
	width=$(LC_ALL=C.UTF-8 wc -L < "$work/$name.txt")
	[ "$width" -le 80 ] || failed "$name: is $width columns wide: $(LC_ALL=C.UTF-8 grep -E '^.{81}' "$work/$name.txt" | head -n 1)"
done
exit "$status"
