#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo.sh: a tour with a real virtual machine, on a droverd of its own below a temporary directory.
#
# "./dev demo" runs it. DROVER_BIN is the programs' directory, DROVER_GUEST the test guest's. What the
# tour tells it also checks, and it ends with status 1 at the first thing that is not so. Nothing of
# it is left behind.
set -euo pipefail

bin=${DROVER_BIN:?run ./dev demo}
guest=${DROVER_GUEST:?run ./dev demo}
root=$(mktemp -d "${TMPDIR:-/tmp}/drover-demo.XXXXXX")
daemon='' # pid of droverd
qemu=''   # pid of QEMU
keeper='' # pid of QEMU's parent
chapter='the beginning'

drover()
{
	"$bin/drover" --socket "$root/run/drover.sock" "$@"
}

tell() # TITLE [LINE...]
{
	chapter=$1
	printf '\n'
	printf '# %s\n' "$@"
}

# Shows a command as one would type it, then runs it.
show()
{
	printf '$ %s\n' "$*"
	"$@"
}

failed()
{
	echo "demo: $chapter: $*" >&2
	if [ -s "$root/droverd.log" ]; then
		echo "demo: droverd said:" >&2
		tail -n 30 "$root/droverd.log" >&2
	fi
	exit 1
}

check() # WHAT COMMAND...
{
	local what=$1

	shift
	"$@" || failed "not as told: $what"
	echo "(checked: $what)"
}

member() # NAME: the first member of that name in JSON on standard input
{
	sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}

# A zombie is not running; who reaps it is not our business.
is_running() # PID
{
	local state

	state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2> /dev/null) || return 1
	[ -n "$state" ] && [ "$state" != Z ]
}

is_gone() # PID
{
	local tries

	for ((tries = 0; tries < 100; tries++)); do
		is_running "$1" || return 0
		sleep 0.1
	done
	return 1
}

cleanup()
{
	local status=$?

	trap '' INT TERM HUP
	if [ -n "$daemon" ]; then
		[ "$status" = 0 ] || timeout -k 1 20 "$bin/drover" --socket "$root/run/drover.sock" stop demo \
			> /dev/null 2>&1 || :
		kill "$daemon" 2> /dev/null && is_gone "$daemon" || kill -9 "$daemon" 2> /dev/null || :
	fi
	# only where droverd could not do it
	if [ -z "$qemu" ] && [ -s "$root/run/instances/demo/runtime.json" ]; then
		qemu=$(member pid < "$root/run/instances/demo/runtime.json") || :
	fi
	if [ -n "$qemu" ] && [[ $(readlink "/proc/$qemu/exe") == *qemu* ]]; then
		kill -9 "$qemu" 2> /dev/null || :
	fi
	rm -rf "$root"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

start_daemon()
{
	local tries

	printf '$ %s\n' "droverd --root $root &"
	# a session of its own: Ctrl-C is for us, who then take leave of it in order
	setsid "$bin/droverd" --root "$root" >> "$root/droverd.log" 2>&1 &
	daemon=$!
	disown "$daemon"
	for ((tries = 0; tries < 300; tries++)); do
		! drover list > /dev/null 2>&1 || return 0
		is_running "$daemon" || break
		sleep 0.1
	done
	failed "droverd does not answer"
}

await_console() # TEXT
{
	local tries

	for ((tries = 0; tries < 240; tries++)); do
		# all of the log is read, so that no reader leaves early
		if drover console --log demo | grep -F "$1" > "$root/found"; then
			tail -n 1 "$root/found"
			return 0
		fi
		sleep 0.5
	done
	failed "no '$1' on the guest's console"
}

state_is() # STATE
{
	[ "$(drover --json list | member state)" = "$1" ]
}

list_is_empty()
{
	! drover --json list | grep -q '"name"'
}

tell "The daemon starts." \
	"All that it has lies below one directory; the system's own daemon has /etc/drover, /var/lib/drover and so on." \
	"(Each 'drover' below is run with --socket $root/run/drover.sock.)"
start_daemon

tell "A machine is defined by a JSON document. What that leaves out has a default."
cat > "$root/demo.json" << END
{
  "name": "demo",
  "memory": "256M",
  "hvparams": {
    "kernel_path": "$guest/vmlinuz",
    "initrd_path": "$guest/initrd.gz",
    "kernel_args": "console=ttyS0 t.net=none"
  }
}
END
show cat "$root/demo.json"
printf '$ %s\n' "drover define - < $root/demo.json"
drover define - < "$root/demo.json"
show drover list
check "demo is defined and does not run" state_is shutoff

tell "It starts."
show drover start demo
qemu=$(drover --json list | member pid)
[ -n "$qemu" ] || failed "the list does not tell QEMU's pid"
keeper=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$qemu/status")
check "demo runs, as pid $qemu" is_running "$qemu"

tell "Its console is kept in a log: we wait for the line that the guest writes when it has booted."
printf '$ %s\n' "drover console --log demo | grep GUEST-UP"
await_console GUEST-UP

tell "What drover knows is told from memory, without a question to QEMU."
show drover list
show drover show demo
check "demo is running" state_is running

tell "QEMU's command line, as the manual of QEMU would write it."
show drover argv demo

tell "Now the daemon is killed, the hard way. The machine does not depend on it."
show kill -9 "$daemon"
is_gone "$daemon" || failed "droverd is still there"
check "QEMU still runs, as pid $qemu" is_running "$qemu"

tell "A new daemon finds it again."
start_daemon
show drover list
check "it is the same process, pid $qemu" [ "$(drover --json list | member pid)" = "$qemu" ]
check "demo is running" state_is running

tell "The guest is asked to shut down, and does."
show drover shutdown demo
printf '$ %s\n' "drover console --log demo | tail -n 4"
await_console GUEST-DOWN > /dev/null
drover console --log demo > "$root/console"
tail -n 4 "$root/console"
check "the guest powered itself off" grep -q GUEST-DOWN "$root/console"
show drover list
check "demo is shut off" state_is shutoff
check "QEMU is gone" is_gone "$qemu"
[ "$keeper" = 1 ] || check "the process that kept it is gone" is_gone "$keeper"
qemu=''

tell "The definition is removed."
show drover undefine demo
show drover list
check "nothing is left" list_is_empty

tell "The daemon ends."
show kill "$daemon"
check "it is gone" is_gone "$daemon"
daemon=''
printf '\nThat was the tour.\n'
