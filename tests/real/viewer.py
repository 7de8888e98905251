#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Looks at a display: viewer.py WORD...

  vnc PLACE [PASSWORD]       the handshake of RFB 3.8 with security type None, or VNC's challenge
  vnctls PLACE CA [PASSWORD [CLIENT]] the same in VeNCrypt with a server certificate of CA (a file), and with CLIENT-cert.pem
                             and CLIENT-key.pem
  vncanon PLACE [PASSWORD]   the same in VeNCrypt with anonymous TLS
  spice PORT [CA]            the first message of SPICE and its answer, in TLS with CA

PLACE is PORT or the path of a socket. It prints "WIDTH HEIGHT NAME" when the screen is there (of SPICE: the version), or
"refused: WHY", "closed", and ends with 0; anything else is a traceback.
"""
import socket
import ssl
import struct
import sys

VENCRYPT, NONE, VNC = 19, 1, 2
TLS_NONE, TLS_VNC, X509_NONE, X509_VNC = 257, 258, 260, 261


class Refused(Exception):
    pass


# --- DES, of which VNC takes each byte of the key with its bits turned around ---

IP = [58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24,
      16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39,
      31, 23, 15, 7]
FP = [40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21,
      61, 29, 36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9,
      49, 17, 57, 25]
E = [32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17, 16, 17, 18, 19, 20, 21, 20, 21, 22,
     23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1]
P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25]
PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55,
       47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4]
PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30,
       40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
S = [
    [14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8, 4, 1, 14, 8,
     13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13],
    [15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5, 0, 14, 7, 11,
     10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9],
    [10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1, 13, 6, 4, 9,
     8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12],
    [7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9, 10, 6, 9, 0,
     12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14],
    [2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6, 4, 2, 1, 11,
     10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3],
    [12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8, 9, 14, 15, 5,
     2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13],
    [4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6, 1, 4, 11, 13,
     12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12],
    [13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2, 7, 11, 4, 1,
     9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11],
]


def bits(data):
    return [byte >> (7 - i) & 1 for byte in data for i in range(8)]


def des(key, block):
    half = [bits(key)[i - 1] for i in PC1]
    c, d, keys = half[:28], half[28:], []
    for shift in SHIFTS:
        c, d = c[shift:] + c[:shift], d[shift:] + d[:shift]
        keys.append([(c + d)[i - 1] for i in PC2])
    text = [bits(block)[i - 1] for i in IP]
    left, right = text[:32], text[32:]
    for k in keys:
        mixed = [right[i - 1] ^ bit for i, bit in zip(E, k)]
        out = []
        for i in range(8):
            six = mixed[6 * i:6 * i + 6]
            value = S[i][(six[0] * 2 + six[5]) * 16 + six[1] * 8 + six[2] * 4 + six[3] * 2 + six[4]]
            out += [value >> 3 & 1, value >> 2 & 1, value >> 1 & 1, value & 1]
        left, right = right, [a ^ out[i - 1] for a, i in zip(left, P)]
    whole = [(right + left)[i - 1] for i in FP]
    return bytes(int("".join(map(str, whole[8 * i:8 * i + 8])), 2) for i in range(8))


assert des(bytes.fromhex("133457799bbcdff1"), bytes.fromhex("0123456789abcdef")).hex() == "85e813540f0ab405"

# --- RFB ---


def connect(place):
    if place.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(place)
    else:
        sock = socket.create_connection(("127.0.0.1", int(place)))
    sock.settimeout(60)
    return sock


def read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise Refused("closed")
        data += more
    return data


def number(sock, form):
    return struct.unpack(form, read(sock, struct.calcsize(form)))[0]


def answer(sock, password):
    key = (password.encode() + bytes(8))[:8]
    key = bytes(int("{:08b}".format(b)[::-1], 2) for b in key)
    challenge = read(sock, 16)
    sock.sendall(des(key, challenge[:8]) + des(key, challenge[8:]))


def look(sock):
    if number(sock, ">I") != 0:
        raise Refused("refused: %s" % read(sock, number(sock, ">I")).decode())
    sock.sendall(b"\1")
    width, height = struct.unpack(">HH", read(sock, 4))
    read(sock, 16)
    print(width, height, read(sock, number(sock, ">I")).decode())


def context(ca, client=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    if ca:
        c.load_verify_locations(ca)
        if client:
            c.load_cert_chain(client + "-cert.pem", client + "-key.pem")
    else:
        c.verify_mode = ssl.CERT_NONE
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        c.set_ciphers("aNULL:@SECLEVEL=0")
    return c


def vnc(place, password, wanted, ca=None, client=None):
    sock = connect(place)
    assert read(sock, 12) == b"RFB 003.008\n"
    sock.sendall(b"RFB 003.008\n")
    types = list(read(sock, number(sock, "B")))
    if wanted:
        assert types == [VENCRYPT], types
        sock.sendall(bytes([VENCRYPT]))
        assert read(sock, 2) == b"\0\2"
        sock.sendall(b"\0\2")
        assert number(sock, "B") == 0
        kinds = [number(sock, ">I") for _ in range(number(sock, "B"))]
        assert kinds == [wanted], kinds
        sock.sendall(struct.pack(">I", wanted))
        assert number(sock, "B") == 1
        sock = context(ca, client).wrap_socket(sock)
    else:
        assert types == [VNC if password else NONE], types
        sock.sendall(bytes(types))
    if password:
        answer(sock, password)
    look(sock)


# --- SPICE ---


def spice(port, ca):
    sock = connect(port)
    if ca:
        sock = context(ca).wrap_socket(sock)
    # REDQ, 2.2, 18 bytes: connection 0, the main channel, no capabilities
    sock.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18))
    magic, major, minor, size = struct.unpack("<4sIII", read(sock, 16))
    assert magic == b"REDQ", magic
    print("%d.%d" % (major, minor))


def main(kind, place, *rest):
    rest = list(rest)
    ca = rest.pop(0) if kind == "vnctls" else None
    password = rest[0] if rest else None
    if kind == "spice":
        spice(place, password)
    elif kind == "vnc":
        vnc(place, password, 0)
    elif kind == "vnctls":
        vnc(place, password, X509_VNC if password else X509_NONE, ca, *rest[1:])
    else:
        vnc(place, password, TLS_VNC if password else TLS_NONE)


try:
    main(*sys.argv[1:])
except Refused as why:
    print(why)
except (ConnectionError, ssl.SSLError) as why:
    print("closed: %s" % type(why).__name__)
