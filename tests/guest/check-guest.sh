#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check-guest.sh [OUTDIR]: boots what make-guest.sh built and sees that it does what it promises.
# Without OUTDIR it is $DROVER_GUEST, and without that there is nothing to check (status 77).
#
# One QEMU per case, with its serial port on a pipe: a line is waited for, not looked for again and
# again, and the end of QEMU is the end of the pipe.
set -euo pipefail

die()
{
	echo "check-guest: $*" >&2
	exit 1
}

guest=${1:-${DROVER_GUEST:-}}
if [ -z "$guest" ]; then
	echo "SKIP: DROVER_GUEST does not name a test guest"
	exit 77
fi
qemu="qemu-system-x86_64"
readonly deadline=120 # seconds that no case ever needs

for file in vmlinuz vmlinux initrd.gz kver; do
	[ -s "$guest/$file" ] || die "'$guest/$file' is missing"
done
command -v "$qemu" > /dev/null || die "'$qemu' is missing"

work=$(mktemp -d)
pid=
cleanup()
{
	[ -z "$pid" ] || kill "$pid" 2> /dev/null || :
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# QEMU's monitor is a pair of pipes as well. Nothing here needs its answers.
mkfifo "$work/qmp.in" "$work/qmp.out"
# shellcheck disable=SC2034 # answers is open so that the pipe has a reader
exec {monitor}<> "$work/qmp.in" {answers}<> "$work/qmp.out"

boot() # KERNEL WORDS [OPTION...]
{
	local kernel=$1 words=$2

	shift 2
	: > "$work/log"
	coproc QEMU {
		exec timeout -k 5 "$deadline" "$qemu" -nodefaults -no-user-config -accel tcg -m 128M -display none \
			-chardev stdio,id=serial,signal=off -serial chardev:serial -chardev "pipe,id=qmp,path=$work/qmp" \
			-mon chardev=qmp,mode=control -kernel "$guest/$kernel" -initrd "$guest/initrd.gz" \
			-append "console=ttyS0 t.net=none $words" "$@" 2>&1
	}
	pid=$QEMU_PID
	# bash forgets its own descriptor when QEMU ends, which may be before the last line is read
	exec {serial}<&"${QEMU[0]}"
}

failed()
{
	cat "$work/log" >&2
	die "$case_name: $*"
}

await() # PATTERN
{
	local line

	while read -r -t "$deadline" line <&"$serial"; do
		line=${line%$'\r'}
		echo "$line" >> "$work/log"
		# shellcheck disable=SC2053 # a pattern is meant
		[[ $line != $1 ]] || return 0
	done
	failed "no line '$1'"
}

# The guest writes nothing like PATTERN any more, and QEMU ends by itself with status 0.
await_end() # PATTERN
{
	local line status=0

	while read -r -t "$deadline" line <&"$serial"; do
		echo "$line" >> "$work/log"
		# shellcheck disable=SC2053 # a pattern is meant
		[[ ${line%$'\r'} != $1 ]] || failed "unexpected '$line'"
	done
	wait "$pid" || status=$?
	pid=
	exec {serial}<&-
	[ "$status" = 0 ] || failed "QEMU ended with status $status"
}

command()
{
	printf '{"execute": "%s"}\n' "$1" >&"$monitor"
}

begin()
{
	case_name=$1
	echo "$case_name"
}

begin "boot, power button"
boot vmlinuz ''
await "GUEST-UP $(< "$guest/kver") *"
command qmp_capabilities
command system_powerdown
await "GUEST-BUTTON power"
await "GUEST-DOWN"
await_end "GUEST-*"

begin "boot by PVH, disk at boot, button ignored"
boot vmlinux 't.button=0' -blockdev null-co,node-name=d,size=1048576 -device virtio-blk-pci,drive=d
await "GUEST-UP *"
await "GUEST-ADD block vda 2048"
command qmp_capabilities
command system_powerdown
await "GUEST-BUTTON power"
command quit
await_end "GUEST-DOWN"

begin "t.exit=poweroff"
boot vmlinuz 't.exit=poweroff'
await "GUEST-UP *"
await "GUEST-DOWN"
await_end "GUEST-*"

begin "t.exit=reboot"
boot vmlinuz 't.exit=reboot' -no-reboot
await "GUEST-UP *"
await_end "GUEST-*"

begin "t.exit=panic"
boot vmlinuz 't.exit=panic' -device pvpanic -action panic=shutdown
await "GUEST-UP *"
await "*Kernel panic*"
await_end "GUEST-*"
