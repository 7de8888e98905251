#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the examples of a page: run_examples.py [--write] PAGE.md BIN

The blocks ```console of a page are one session of a shell, at the top of the source tree: "$ " begins a command, "> "
goes on with it, all else is what it prints. That must be what it does print, but for what differs from run to run (see
VARIABLE), for what the shell says of its jobs, and for "…", which stands for any part of a line or, alone, for any lines.
$PWD/build/debug/bin means BIN, /tmp/tour a directory of this run's own. With --write the page gets the true output
where it is not equal. DROVER_GUEST names the test guest.

All that is started ends with this: it runs as process 1 of a PID namespace. No module is used that python3-minimal lacks.
"""
import os
import re
import signal
import subprocess
import sys

DEADLINE = 120  # seconds that no command ever needs
MARK = "--run-examples-mark--"

# What differs from run to run, and what stands for it.
VARIABLE = [
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"\b(disk|nic)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", r"\1-ID"),
    (r"52:54:00(:[0-9a-f]{2}){3}", "MAC"),
    (r"\d+\.\d+\.\d+-\d+-cloud-amd64", "KERNEL"),
    (r"\[ *\d+\.\d+\]", "[TIME]"),
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", "DATE"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?", "CLOCK"),
    (r"\b\d+(\.\d+)? ?(ms|s|m|min)\b", "SPAN"),
    (r"^(\S+ +(running|paused|blocked|crashed) +\S+ +)\d+", r"\1PID"),
    (r"\b(pid:?|PID|process) +\d+", r"\1 PID"),
    (r"#\d+", "#N"),
    (r"\buid \d+", "uid UID"),
    (r"^version +\d+\.\d+\.\d+", "version VERSION"),
    (r"QEMU \d+\.\d+\.\d+", "QEMU VERSION"),
    (r"(GUEST-UP \S+) [\d.]+", r"\1 SECONDS"),
]

# What a shell says of its jobs at some time or other.
JOB = re.compile(r"bash: line \d+: +\d+ (Killed|Terminated)|\[\d+\][+-]? ")


def fail(text):
    print("run_examples: %s" % text, file=sys.stderr)
    sys.exit(1)


class Example:
    """A command and what is printed behind it; `first` and `last` are lines of the page."""

    def __init__(self, line, command):
        self.line = line
        self.command = command
        self.first = self.last = line + 1

    def expected(self, lines):
        return lines[self.first:self.last]


def examples_of(lines):
    examples = []
    inside = False
    for i, line in enumerate(lines):
        if not inside:
            inside = line == "```console"
            fresh = True
        elif line == "```":
            inside = False
        elif line.startswith("$ "):
            examples.append(Example(i, line[2:]))
            fresh = False
        elif fresh:
            fail("line %d: a block begins with something that is no command" % (i + 1))
        elif line.startswith("> ") and examples[-1].last == i:
            if examples[-1].first != i:
                fail("line %d: a command goes on behind its output" % (i + 1))
            examples[-1].command += "\n" + line[2:]
            examples[-1].first = examples[-1].last = i + 1
        else:
            examples[-1].last = i + 1
    return examples


def plain(line):
    for pattern, name in VARIABLE:
        line = re.sub(pattern, name, line)
    return re.sub(r"[ \t]+", " ", line).strip()


def matches(expected, actual):
    """Whether the lines are the same, with … in what is expected."""
    if not expected:
        return not actual
    if expected[0].strip() == "…":
        return any(matches(expected[1:], actual[i:]) for i in range(len(actual) + 1))
    if not actual:
        return False
    # What is variable is blanked in both first, then … becomes a pattern.
    pattern = ".*".join(re.escape(part) for part in plain(expected[0]).split("…"))
    return re.fullmatch(pattern, plain(actual[0])) is not None and matches(expected[1:], actual[1:])


class Shell:
    def __init__(self, places):
        self.places = places
        self.process = subprocess.Popen(["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.run("shopt -s expand_aliases; set -m")

    def run(self, command):
        """What COMMAND prints, as lines of the page."""
        for shown, real in self.places:
            command = command.replace(shown, real)
        # < /dev/null: the shell's own input is what is still to be run
        self.process.stdin.write(("{ %s\n} < /dev/null\nprintf '\\n%s\\n'\n" % (command, MARK)).encode())
        self.process.stdin.flush()
        self.lines = lines = []
        while True:
            line = self.process.stdout.readline().decode(errors="replace")
            if not line:
                fail("the shell has ended behind '%s'" % command)
            line = line.rstrip("\r\n")
            if line == MARK:
                break
            if not JOB.match(line):
                lines.append(line)
        # the mark's own line end comes behind what had none
        lines.pop()
        for shown, real in self.places:
            lines = [line.replace(real, shown) for line in lines]
        return lines


def run_page(page, places, write):
    lines = open(page, encoding="utf-8").read().split("\n")
    examples = examples_of(lines)
    if not examples:
        fail("%s has no examples" % page)
    shell = Shell(places)
    signal.signal(signal.SIGALRM, lambda *_: fail("\n  + ".join(["'%s' does not end" % example.command] + shell.lines)))
    wrong = 0
    outputs = []
    for example in examples:
        signal.alarm(DEADLINE)
        actual = shell.run(example.command)
        signal.alarm(0)
        if matches(example.expected(lines), actual):
            outputs.append(example.expected(lines))
            continue
        wrong += 1
        outputs.append([line.rstrip() for line in actual])
        print("%s:%d: %s" % (page, example.line + 1, example.command))
        for line in example.expected(lines):
            print("  - " + line)
        for line in actual:
            print("  + " + line)
    if write:
        for example, output in reversed(list(zip(examples, outputs))):
            lines[example.first:example.last] = output
        open(page, "w", encoding="utf-8").write("\n".join(lines))
    print("%d examples, %d not as told" % (len(examples), wrong))
    return 0 if write or wrong == 0 else 1


def main():
    arguments = sys.argv[1:]
    write = arguments[:1] == ["--write"]
    if write:
        arguments.pop(0)
    if len(arguments) != 2:
        fail("usage: run_examples.py [--write] PAGE.md BIN")
    page, binaries = arguments
    if not os.environ.get("DROVER_GUEST") or os.geteuid() != 0:
        print("SKIP: the examples need the test guest (DROVER_GUEST) and root")
        return 77
    if os.getpid() != 1:
        # all ends with it, and the directory is removed behind it
        directory = subprocess.check_output(["mktemp", "-d", "/tmp/drover-doc.XXXXXX"], text=True).strip()
        os.chmod(directory, 0o755)
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable]
        environment = dict(os.environ, DROVER_EXAMPLES=directory)
        try:
            return subprocess.call(command + sys.argv, env=environment)
        finally:
            subprocess.call(["rm", "-rf", directory])
    os.environ["LC_ALL"] = "C.UTF-8"
    os.environ.pop("DROVER_SOCKET", None)
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    page = os.path.abspath(page)
    binaries = os.path.abspath(binaries)
    os.chdir(top)
    places = [("/tmp/tour", os.environ["DROVER_EXAMPLES"] + "/tour"), ("$PWD/build/debug/bin", binaries)]
    return run_page(page, places, write)


if __name__ == "__main__":
    sys.exit(main())
