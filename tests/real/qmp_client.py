#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A QMP client that knows QMP and nothing else: qmp_client.py SOCKET [COMMAND [NAME=JSON]... [-- ...]]

It does what qmp-shell and the qmp.py that came with QEMU for years do: reads lines, negotiates, takes the
next line that is no event for the answer, sends no ids. Without a command it calls each that query-commands lists,
without arguments. It prints each answer as a line of JSON, then each event, and ends with status 1 where the
other side does not keep to the protocol.
"""
import json
import socket
import sys


class ProtocolError(Exception):
    pass


class Monitor:
    def __init__(self, path):
        self.events = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.lines = self.sock.makefile("r", encoding="utf-8", newline="\r\n")
        greeting = self.read()
        if "QMP" not in greeting or "version" not in greeting["QMP"] or "capabilities" not in greeting["QMP"]:
            raise ProtocolError("no greeting: %s" % greeting)
        version = greeting["QMP"]["version"]["qemu"]
        self.version = "%(major)d.%(minor)d.%(micro)d" % version
        answer = self.call("qmp_capabilities")
        if answer.get("return") != {}:
            raise ProtocolError("no handshake: %s" % answer)

    def read(self):
        line = self.lines.readline()
        if not line.endswith("\r\n"):
            raise ProtocolError("no line: %r" % line)
        return json.loads(line)

    def call(self, command, arguments=None):
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self.sock.sendall(json.dumps(request).encode("ascii"))
        while True:
            message = self.read()
            if "event" not in message:
                return self.checked(message)
            stamp = message["timestamp"]
            if not isinstance(stamp["seconds"], int) or not 0 <= stamp["microseconds"] < 1000000:
                raise ProtocolError("no time: %s" % message)
            self.events.append(message)

    @staticmethod
    def checked(message):
        if ("return" in message) == ("error" in message):
            raise ProtocolError("neither or both: %s" % message)
        if "error" in message and not (message["error"]["class"] and message["error"]["desc"]):
            raise ProtocolError("no error: %s" % message)
        return message


def split(words):
    """COMMAND NAME=JSON... -- COMMAND ..."""
    commands = []
    for word in words:
        if not commands or word == "--":
            commands.append(None)
        if word != "--" and commands[-1] is None:
            commands[-1] = (word, {})
        elif word != "--":
            name, _, value = word.partition("=")
            commands[-1][1][name] = json.loads(value)
    return commands


def main():
    monitor = Monitor(sys.argv[1])
    names = [row["name"] for row in monitor.call("query-commands")["return"]]
    for command, arguments in split(sys.argv[2:]) or [(name, None) for name in names]:
        print(json.dumps(monitor.call(command, arguments)))
    for event in monitor.events:
        print(json.dumps(event))


if __name__ == "__main__":
    try:
        main()
    except (ProtocolError, OSError, ValueError, KeyError, TypeError) as e:
        print("%s: %s" % (type(e).__name__, e), file=sys.stderr)
        sys.exit(1)
