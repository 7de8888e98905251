#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check-package.sh DIRECTORY: installs the packages in DIRECTORY, upgrades them beside a guest that runs, removes and purges
# them, in a copy of this system that lies in memory (an overlay in a mount namespace); DROVER_GUEST names the test guest.
#
# There is no systemd in there. What stands for systemctl writes down what the packages' scripts ask for, makes the links of
# enabled units, and does of the rest what concerns droverd: its start, its stop, the ExecStop= of drover-guests.service.
set -euo pipefail

if [ "$$" != 1 ]; then
	[ "$(id -u)" = 0 ] || {
		echo "SKIP: needs root"
		exit 77
	}
	exec unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi

packages=$1
guest=${DROVER_GUEST:?run ./dev package}
readonly deadline=600 # tenths of a second that nothing ever needs

work=$(mktemp -d)
trap 'umount -R "$work" 2> /dev/null; rmdir "$work"' EXIT
mount -t tmpfs tmpfs "$work"
mkdir "$work"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root" || {
	echo "SKIP: this host has no overlay of its own root"
	exit 77
}
root=$work/root
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for dir in run tmp; do
	mount -t tmpfs tmpfs "$root/$dir"
done
mkdir -p "$root/run/systemd/system" "$root/tmp/packages" "$root/tmp/guest"
cp "$packages"/drover{,d}_*_amd64.deb "$root/tmp/packages"
cp "$guest"/{vmlinuz,initrd.gz} "$root/tmp/guest"

# where services are not started at all, as in a container
rm -f "$root/usr/sbin/policy-rc.d"
mv "$root/bin/systemctl" "$root/bin/systemctl.real"

cat > "$root/bin/systemctl" << 'END'
#!/bin/bash
echo "$*" >> /tmp/systemctl.log
case " $* " in # links
' --root=/'*) exec systemctl.real "$@" ;;
*' is-enabled '*) exec systemctl.real --root=/ "$@" ;;
esac
words=()
for word; do
	[[ $word == -* ]] || words+=("$word")
done
stop()
{
	[ -s /tmp/droverd.pid ] || return
	kill "$(cat /tmp/droverd.pid)"
	while kill -0 "$(cat /tmp/droverd.pid)" 2> /dev/null; do sleep 0.1; done
	rm /tmp/droverd.pid
}
for unit in "${words[@]:1}"; do
	case $words/$unit in
	stop/droverd.service) stop ;;
	start/droverd.service | restart/droverd.service)
		[ "$words" = start ] && [ -s /tmp/droverd.pid ] && continue
		stop
		setsid /usr/sbin/droverd >> /tmp/droverd.log 2>&1 < /dev/null &
		echo $! > /tmp/droverd.pid
		;;
	stop/drover-guests.service | restart/drover-guests.service)
		$(sed -n 's/^ExecStop=//p' /lib/systemd/system/drover-guests.service) >> /tmp/guests.log 2>&1
		;;
	esac
done
exit 0
END
chmod +x "$root/bin/systemctl"

failed()
{
	echo "check-package: $*" >&2
	tail -n 20 "$root"/tmp/{systemctl,droverd,guests,dpkg}.log >&2 || :
	exit 1
}

in_root()
{
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

package() # ARGUMENT...
{
	: > "$root/tmp/systemctl.log"
	in_root dpkg "$@" >> "$root/tmp/dpkg.log" 2>&1 || failed "dpkg $* fails"
}

await() # WHAT COMMAND...
{
	local what=$1 tries

	shift
	for ((tries = 0; tries < deadline; tries++)); do
		! "$@" > /dev/null 2>&1 || return 0
		sleep 0.1
	done
	failed "not so: $what"
}

# What of the packages there is: files that are in the copy and not in the system, but for dpkg's own and what this
# test has put there.
left()
{
	(cd "$work/upper" && find . -mindepth 1 ! -type d) |
		grep -vE '^\./(var/(lib/dpkg|cache|log/(dpkg|alternatives)|lib/systemd/deb-systemd)|(usr/)?bin/systemctl|usr/sbin/policy-rc\.d)' |
		grep -vE '^\./etc/(group|gshadow|\.pwd\.lock|passwd|shadow)-?$' || :
}

pid_of()
{
	in_root drover call query-instance instance=web | sed 's/.*"pid": *\([0-9]*\).*/\1/'
}

echo "package: installs"
package --install --recursive /tmp/packages
await "droverd runs" in_root drover version
in_root getent group drover > /dev/null || failed "there is no group 'drover'"
for unit in droverd.service droverd.socket drover-guests.service; do
	[ -n "$(find "$root/etc/systemd/system" -name "$unit" -type l)" ] || failed "$unit is not enabled"
done

[ -s "$root/usr/share/bash-completion/completions/drover" ] || failed "bash does not find the completion"
[ -s "$root/usr/share/zsh/vendor-completions/_drover" ] || failed "zsh does not find the completion"

[ -s "$root/usr/share/drover/grafana/drover.json" ] || failed "there is no dashboard"

echo "package: upgrades beside a guest"
in_root drover define web --kernel /tmp/guest/vmlinuz --initrd /tmp/guest/initrd.gz --append t.net=none > /dev/null
in_root drover start web > /dev/null || failed "the guest does not start"
await "the guest has booted" in_root sh -c 'drover console --log web | grep GUEST-GA'
guest_pid=$(pid_of)
daemon_pid=$(cat "$root/tmp/droverd.pid")
mkdir "$root/tmp/newer"
for file in "$root"/tmp/packages/*.deb; do
	dpkg-deb --raw-extract "$file" "$work/raw"
	sed -i 's/^Version: .*/&+newer/; s/\(drover (= [^)]*\))/\1+newer)/' "$work/raw/DEBIAN/control"
	dpkg-deb --root-owner-group --build "$work/raw" "$root/tmp/newer/${file##*/}" > /dev/null
	rm -r "$work/raw"
done
package --install --recursive /tmp/newer
await "droverd runs" in_root drover version
[ "$(cat "$root/tmp/droverd.pid")" != "$daemon_pid" ] || failed "droverd was not started anew"
! grep -E '(stop|restart).* drover-guests\.service' "$root/tmp/systemctl.log" || failed "the upgrade stops the guests"
[ "$(pid_of)" = "$guest_pid" ] || failed "the guest has another process"
[ -d "$root/proc/$guest_pid" ] || failed "the guest's process is gone"
in_root drover --json list | grep -q '"state": *"running"' || failed "the guest does not run"

echo "package: removes"
package --remove droverd drover
[ ! -d "$root/proc/$guest_pid" ] || failed "the guest runs without a droverd"
grep -q 'web: shutoff' "$root/tmp/guests.log" || failed "the guest was not shut down"
for unit in droverd.service droverd.socket drover-guests.service drover-metrics.timer; do
	grep -qE "stop .*$unit" "$root/tmp/systemctl.log" || failed "$unit is not stopped"
done
[ -s "$root/var/lib/drover/instances/web/definition.json" ] || failed "the definition is gone"

echo "package: purges"
package --purge droverd drover
[ -z "$(left)" ] || failed "left behind: $(left)"
for dir in etc/drover var/lib/drover var/log/drover usr/libexec/drover usr/share/drover usr/share/doc/drover usr/share/doc/droverd; do
	[ ! -e "$root/$dir" ] || failed "left behind: /$dir"
done
