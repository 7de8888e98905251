#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A host with a systemd of its own: namespaces in which this host's programs, what is installed from the build, and empty
# /etc, /run, /tmp, /home and /var are the system. droverd is started, stopped, killed and hung there while guests run, and at
# last the host goes down.
set -euo pipefail
exec < /dev/null

readonly path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly deadline=60 # seconds for whatever is awaited
export PATH=$path

skip()
{
	echo "SKIP: $*"
	exit 77
}

# --- inside: the way to process 1 ---

# Everything below $1 is what it will see. Of the host nothing can be written.
become_host() # WORK
{
	local work=$1 root=$1/root node file

	mount --make-rprivate /
	mount --rbind / "$root"
	mount -o remount,bind,ro "$root"
	mount --bind "$work/stage/usr/local" "$root/usr/local"
	mount --bind "$work/var" "$root/var"
	for file in etc run tmp home; do
		mount -t tmpfs -o mode=0755 tmpfs "$root/$file"
	done
	chmod 1777 "$root/tmp"
	mount -t proc proc "$root/proc"
	mount --bind "$root/proc/sys" "$root/proc/sys" # of the kernel, which is this host's
	mount -o remount,bind,ro "$root/proc/sys"
	[ ! -e "$root/proc/sysrq-trigger" ] || mount --bind /dev/null "$root/proc/sysrq-trigger"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
	for node in null zero full random urandom tty; do
		: > "$root/dev/$node"
		mount --bind "/dev/$node" "$root/dev/$node"
	done
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"

	for file in nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives; do
		[ ! -e "/etc/$file" ] || cp -a "/etc/$file" "$root/etc/"
	done
	grep -v '^drover:' /etc/group > "$root/etc/group"
	cp /etc/passwd "$root/etc/"
	# With one of its own it does not think that it boots for the first time, and enables nothing by itself.
	tr -d - < /proc/sys/kernel/random/uuid > "$root/etc/machine-id"
	cp -a "$work/units" "$root/etc/systemd"
	systemctl --quiet --root="$root" enable droverd.service 2> "$work/enable.log"

	cd "$root"
	mkdir run/old
	pivot_root . run/old
	umount -l /run/old
	rmdir /run/old
	exec env -i container=drover-test PATH="$path" /lib/systemd/systemd --system --unit=multi-user.target \
		--log-target=journal
}

if [ "${1:-}" = --become-host ]; then
	become_host "$2"
fi

# --- outside ---

cmake=$1 build=$2
[ "$(id -u)" = 0 ] || skip "only root can make a host"
[ -x /lib/systemd/systemd ] || skip "there is no systemd"
[ -n "${DROVER_GUEST:-}" ] || skip "there is no test guest (DROVER_GUEST)"
command -v qemu-system-x86_64 > /dev/null || skip "there is no QEMU"
unshare -m -p -f -C -i -u -n sh -c 'mount -t proc proc /proc && mount -t sysfs sysfs /sys' 2> /dev/null ||
	skip "namespaces of our own cannot be made"
cgroup=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
[ -n "$cgroup" ] || skip "no cgroup v2 is mounted"
cgroup=$cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/drover-test-$$
mkdir "$cgroup" 2> /dev/null || skip "no control group can be made in $(dirname "$cgroup")"

work=$(mktemp -d)
host= # pid of unshare
tear_down()
{
	local status=$?

	[ -z "$host" ] || kill -KILL "$host" 2> /dev/null || true
	wait
	for _ in $(seq 100); do
		find "$cgroup" -depth -type d -exec rmdir {} + 2> /dev/null && break
		sleep 0.1
	done
	rm -rf --one-file-system "$work"
	exit "$status"
}
trap tear_down EXIT

mkdir -p "$work"/{stage,root,var/log/journal,units/system/droverd.service.d}
chmod 755 "$work"
DESTDIR=$work/stage "$cmake" --install "$build" > "$work/install.log"
[ -f "$work/stage/usr/local/lib/systemd/system/droverd.service" ] || skip "this build is not installed to /usr/local"
cp "$DROVER_GUEST/vmlinuz" "$DROVER_GUEST/initrd.gz" "$work/var/"

# When droverd has ended, it is written down which guests are there.
cat > "$work/units/system/droverd.service.d/test.conf" << 'END'
[Service]
ExecStopPost=/bin/sh -c 'for i in /run/drover/instances/*/runtime.json; do [ ! -e "$i" ] || echo "$i"; done > /var/at-stop'
END
# Modules are the host's.
ln -s /dev/null "$work/units/system/modprobe@.service"

(
	echo "$BASHPID" > "$cgroup/cgroup.procs"
	exec setpriv --pdeathsig KILL unshare -m -p -f -C -i -u -n --kill-child "$0" --become-host "$work"
) > "$work/boot.log" 2>&1 &
host=$!

fail()
{
	echo "FAILED: $*"
	tail -n 50 "$work/boot.log" "$work/enable.log" || true
	journal -n 60 -u droverd.service -u drover-guests.service || true
	exit 1
}

init_pid()
{
	tr -d ' ' 2> /dev/null < "/proc/$host/task/$host/children"
}

# Runs a command on the host, as root there.
in_host() # COMMAND...
{
	nsenter -t "$(init_pid)" -m -p -n -u -i -C -r -w env -i PATH="$path" "$@"
}

journal()
{
	journalctl -D "$work/var/log/journal" --no-pager -q -o short-monotonic "$@"
}

# Waits until a command succeeds.
await() # COMMAND...
{
	local end=$((SECONDS + deadline))

	until "$@" 2> /dev/null; do
		if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$host"; then
			fail "waited for: $*"
		fi
		sleep 0.1
	done
}

property() # NAME [UNIT]
{
	in_host systemctl show -P "$1" "${2:-droverd.service}"
}

is() # WANTED GIVEN
{
	[ "$1" = "$2" ] || fail "line ${BASH_LINENO[0]}: wanted '$1', not '$2'"
}

# A member of an instance in a listing, a number or a text.
member() # INSTANCE MEMBER
{
	in_host drover --json list "$1" | grep -oP "\"$2\": *\"?\\K[a-z0-9-]+" | head -n 1
}

is_active() # UNIT
{
	[ "$(property ActiveState "$1")" = active ]
}

has_booted()
{
	[ "$(in_host systemctl is-active multi-user.target)" = active ]
}

# --- the host boots: droverd is there, and so are its group and its socket ---

await has_booted
is active "$(property ActiveState)"
is active "$(property ActiveState drover-guests.service)"
is "Ready; guests taken over: 0" "$(property StatusText)"
is "660 root drover" "$(in_host stat -c '%a %U %G' /run/drover/drover.sock)"

# --- with droverd come the others ---

in_host systemctl stop drover-guests.service droverd.service droverd.socket
is inactive "$(property ActiveState drover-guests.service)"
in_host systemctl start droverd.service
await is_active drover-guests.service # which is behind droverd
is active "$(property ActiveState droverd.socket)"

# --- two guests: one is to be shut down with the host, one is left; the units' confinement lets them be all they may ---

in_host sh -c 'truncate -s 8M /home/disk.raw /tmp/disk.raw; chmod 600 /home/disk.raw /tmp/disk.raw'
in_host drover define - << END
{ "name": "web", "memory": "128M", "on_host_shutdown": "shutdown",
  "hvparams": { "accel": "tcg", "kernel_path": "/var/vmlinuz", "initrd_path": "/var/initrd.gz",
    "kernel_args": "t.net=none", "use_chroot": true },
  "disks": [ { "path": "/home/disk.raw", "format": "raw" } ], "nics": [ { "mode": "user" } ] }
END
in_host drover define - << END
{ "name": "left", "memory": "32M", "on_host_shutdown": "leave", "hvparams": { "accel": "tcg" },
  "disks": [ { "path": "/tmp/disk.raw", "format": "raw" } ] }
END
in_host drover start web left
web=$(member web pid) left=$(member left pid)
for name in web left; do
	is "$(member "$name" pid)" "$(in_host sh -c "cat /sys/fs/cgroup/system.slice/droverd.service/drover-*-$name/cgroup.procs")"
done

# They are the same processes, and droverd knows them.
are_there()
{
	is "$web $left" "$(member web pid) $(member left pid)"
	is "running running" "$(member web state) $(member left state)"
	is "Ready; guests taken over: 2" "$(property StatusText)"
}

has_other_process() # PID
{
	[ "$(property ActiveState)" = active ] && [ "$(property MainPID)" != "$1" ]
}

# --- stopped, and started by the first who connects ---

inode=$(in_host stat -c %i /run/drover/drover.sock)
in_host systemctl stop droverd.service
is inactive "$(property ActiveState)"
in_host drover list > "$work/list"
grep -q '^web .*running' "$work/list" || fail "the list is $(cat "$work/list")"
is active "$(property ActiveState)"
is "$inode" "$(in_host stat -c %i /run/drover/drover.sock)"
are_there

# --- restarted, killed, hung ---

# How often QEMU has greeted a client of its monitors, and how often that was answered when it began.
greeted()
{
	grep -c '"direction":"in".*"name":"QMP"' "$work/var/log/drover/web.trace" || true
}
have_begun() # TIMES
{
	[ "$(grep -c '"direction":"in".*"name":"qmp_capabilities"' "$work/var/log/drover/web.trace")" -ge "$1" ]
}

# The start, and the one after the stop.
await have_begun 4
is 4 "$(greeted)"
pid=$(property MainPID)
in_host systemctl restart droverd.service
has_other_process "$pid" || fail "the restart has left droverd as it was"
are_there
await have_begun 6
is 4 "$(greeted)" # both monitors have stayed connected

pid=$(property MainPID)
in_host kill -KILL "$pid"
await has_other_process "$pid"
are_there
await have_begun 8
is 6 "$(greeted)" # with nobody to leave them to somebody they have not

was_watchdog()
{
	grep -q 'Watchdog timeout' <(journal -u droverd.service)
}

# A loop that stands still for ten seconds; the rest of the time that is no hang, on a busy machine.
in_host mkdir -p /run/systemd/system/droverd.service.d
in_host sh -c 'printf "[Service]\nWatchdogSec=10\n" > /run/systemd/system/droverd.service.d/hang.conf'
in_host systemctl daemon-reload
in_host systemctl restart droverd.service
pid=$(property MainPID)
in_host kill -STOP "$pid"
await has_other_process "$pid"
await was_watchdog
in_host rm /run/systemd/system/droverd.service.d/hang.conf
in_host systemctl daemon-reload
in_host systemctl restart droverd.service
are_there

# --- numbers for Prometheus, by the timer ---

in_host mkdir -p /var/lib/prometheus/node-exporter
in_host systemctl --quiet enable --now drover-metrics.timer
await grep -q '^drover_instance_state{name="web",.*state="running"} 1$' "$work/var/lib/prometheus/node-exporter/drover.prom"

# --- the host goes down ---

await grep -q 'GUEST-ADD block' "$work/var/log/drover/web.console"
await grep -q 'GUEST-GA up' "$work/var/log/drover/web.console"
# What "systemctl poweroff" comes to, without asking somebody who is about to go.
kill -s RTMIN+4 "$(init_pid)"
timeout "$deadline" tail --pid="$host" -f /dev/null || fail "the host does not go down"
host=
grep -q GUEST-DOWN "$work/var/log/drover/web.console" || fail "the guest was not shut down"
for text in '"state": *"shutoff"' '"reason": *"admin"'; do
	grep -q "$text" "$work/var/lib/drover/instances/web/state.json" || fail "droverd has not seen the guest's end: no $text"
done
is /run/drover/instances/left/runtime.json "$(cat "$work/var/at-stop")"
grep -q ' serves /run/drover/drover.sock' <(journal -t droverd PRIORITY=6) || fail "droverd's own words are not in the journal"
grep -q 'web: shutoff' <(journal -u drover-guests.service) || fail "the unit has not said what it did"
awk '
/Stopped .*shutting down guests/ { guests = NR }
/Stopping .*QEMU virtual machines/ { droverd = NR }
END { exit !(guests && guests < droverd) }' <(journal) || fail "droverd did not stay until guests were shut down"
