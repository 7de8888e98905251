#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# A web server for tests: web_server.py PORT SIZE CONTENT [CERTIFICATE]. What it does is in the path:
#   /good    SIZE bytes that begin with CONTENT, also in parts
#   /plain   the same without saying that it gives parts
#   /endless without saying how long it is
#   /moved   a redirect to /good; /away one to a file; /round one to itself
#   /silent  nothing, for ever
#   others   404
# Of Debian's smallest Python: no http.server.
import re
import socket
import ssl
import sys
import threading

port, size, content = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
data = content + bytes(size - len(content))

ANSWERS = {
    "/plain": ("200 OK", ["Content-Length: %d" % size]),
    "/endless": ("200 OK", ["Accept-Ranges: bytes", "Transfer-Encoding: chunked"]),
    "/moved": ("302 Found", ["Location: /good", "Content-Length: 0"]),
    "/away": ("302 Found", ["Location: file:///etc/passwd", "Content-Length: 0"]),
    "/round": ("302 Found", ["Location: /round", "Content-Length: 0"]),
}


def answer(head):
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    wanted = re.search(r"^range: bytes=(\d+)-(\d+)", "\n".join(lines), re.I | re.M)
    if path == "/silent":
        threading.Event().wait()
    if path != "/good":
        status, headers = ANSWERS.get(path, ("404 Not Found", ["Content-Length: 0"]))
        return status, headers, b""
    headers = ["Accept-Ranges: bytes"]
    part, status = data, "200 OK"
    if wanted:
        first, last = int(wanted.group(1)), min(int(wanted.group(2)), size - 1)
        part, status = data[first:last + 1], "206 Partial Content"
        headers.append("Content-Range: bytes %d-%d/%d" % (first, last, size))
    headers.append("Content-Length: %d" % len(part))
    return status, headers, b"" if method == "HEAD" else part


def serve(peer):
    buffer = b""
    try:
        if len(sys.argv) > 4:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[4])
            peer = context.wrap_socket(peer, server_side=True)
        while True:
            while b"\r\n\r\n" not in buffer:
                more = peer.recv(65536)
                if not more:
                    return
                buffer += more
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            status, headers, body = answer(head)
            peer.sendall("\r\n".join(["HTTP/1.1 " + status] + headers + ["", ""]).encode() + body)
    except OSError:
        pass


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
