#!/usr/bin/env python3
"""A proxy in front of an HTTP server that answers some requests badly: faulty_proxy.py PORT SERVER_PORT FILE.

FILE has a word for each request, one after the other, and is read again for each: ok, 500, 503, late (the
server does as asked, but the answer is a 500), cut (no answer), lost (the server does as asked, then no
answer), short (half of the answer, then the end), half (half of the answer, which says that it is all),
silent (no answer for as long as the client waits). Without a word left it is ok."""
import http.client
import http.server
import pathlib
import sys
import threading

PORT, SERVER_PORT, FILE = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
lock = threading.Lock()


def next_fault():
    with lock:
        words = FILE.read_text().split() if FILE.exists() else []
        FILE.write_text(" ".join(words[1:]))
        return words[0] if words else "ok"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def forward(self, body):
        server = http.client.HTTPConnection("127.0.0.1", SERVER_PORT)
        server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            server.putheader(name, value)
        server.endheaders(body)
        answer = server.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def refuse(self, status):
        text = b"<Error><Code>SlowDown</Code><Message>busy</Message></Error>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def handle_all(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        fault = next_fault()
        print(fault, self.command, self.path, flush=True)
        if fault in ("500", "503"):
            return self.refuse(int(fault))
        if fault == "cut":
            return self.hang_up()
        if fault == "silent":
            self.connection.recv(1)  # until the client gives up
            return self.hang_up()
        status, headers, answer = self.forward(body)
        if fault == "late":
            return self.refuse(500)
        if fault == "lost":
            return self.hang_up()
        half = answer[:len(answer) // 2]
        self.send_response(status)
        for name, value in headers:
            if name.lower() in ("content-length", "transfer-encoding", "connection"):
                continue
            self.send_header(name, value)
        size = len(answer)
        if self.command == "HEAD":
            size = dict((n.lower(), v) for n, v in headers).get("content-length", 0)
        self.send_header("Content-Length", str(len(half) if fault == "half" else size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(half if fault in ("short", "half") else answer)
        if fault == "short":
            self.wfile.flush()
            self.hang_up()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_all


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", PORT), Handler).serve_forever()
