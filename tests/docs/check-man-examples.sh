#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The examples of drover(1) and droverd.json(5) do what they say they do, on a daemon and a guest of their own: each command ends
# well, and droverd takes the file.
set -euo pipefail
exec < /dev/null

man=$1 bin=$2
here=$(dirname "$0")
page=$(mktemp --suffix=.md)
trap 'rm -f "$page"' EXIT

# The literal blocks of a page below "# EXAMPLES".
examples_of() # PAGE
{
	awk '/^# / { on = $2 ~ /^EXAMPLES?$/ } /^```/ { inside = !inside; next } on && inside' "$man/$1"
}

{
	cat << 'END'
```console
$ PATH=$PWD/build/debug/bin:$PATH
$ mkdir -p /tmp/tour/etc /tmp/tour/srv
$ cat > /tmp/tour/etc/droverd.json << 'JSON'
END
	examples_of droverd.json.5.scd | sed 's/^/> /'
	cat << 'END'
> JSON
$ droverd --root /tmp/tour --log-level warning & daemon=$!
$ export DROVER_SOCKET=/tmp/tour/run/drover.sock
$ until drover version > /dev/null 2>&1; do sleep 0.1; done
$ guest=$(./dev guest)
$ cat > /tmp/tour/srv/web1.json << JSON
> {"name": "web1", "memory": "256M", "hvparams": {"kernel_path": "$guest/vmlinuz", "initrd_path": "$guest/initrd.gz",
>  "kernel_args": "t.net=none"}}
> JSON
$ qemu-img create -q -f qcow2 /tmp/tour/srv/data.qcow2 64M
END
	examples_of drover.1.scd | grep . | sed 's|/srv/|/tmp/tour/srv/|g' | while read -r command; do
		# shellcheck disable=SC2016 # the example's variables
		printf '$ %s > /tmp/tour/out 2>&1; status=$?; [ $status = 0 ] || cat /tmp/tour/out; echo $status\n0\n' "$command"
		case $command in
		"drover start"*) echo '$ until drover console --log web1 | grep -q GUEST-UP; do sleep 0.2; done' ;;
		esac
	done
	cat << 'END'
$ drover list web1 | grep -c shutoff
1
$ kill $daemon; wait
```
END
} > "$page"
"$here/run_examples.py" "$page" "$bin" | sed "s|$page|the pages|"
exit "${PIPESTATUS[0]}"
