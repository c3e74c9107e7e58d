#!/usr/bin/env python3
"""A server of the S3 protocol for tests: s3_server.py PORT FOLDER [PAGE].

It checks each signature by itself, so that it shares no code with what it judges, and keeps objects as
files in FOLDER: BUCKET/KEY, and what was said of each in BUCKET/KEY.json beside it. Buckets are the
folders that are there. PAGE: the most objects or parts in an answer. Each request is a line of its
standard output: METHOD PATH?QUERY RANGE STATUS."""
import hashlib
import hmac
import http.server
import json
import pathlib
import sys
import urllib.parse
import xml.sax.saxutils

PORT, FOLDER = int(sys.argv[1]), pathlib.Path(sys.argv[2])
PAGE = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
KEY, SECRET, REGION = "S3RVER", "S3RVER", "us-east-1"
escape = xml.sax.saxutils.escape


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Refused(Exception):
    def __init__(self, status, code, message=""):
        self.status, self.code, self.message = status, code, message


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        print(self.command, self.path, self.headers.get("range", "-"), status, flush=True)
        self.send_response(status)
        if self.command != "HEAD" or "Content-Length" not in headers:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def xml(self, text, status=200):
        self.answer(status, ('<?xml version="1.0" encoding="UTF-8"?>' + text).encode())

    def handle_all(self):
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        try:
            self.check_signature(path, query)
            bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
            self.bucket, self.key = FOLDER / bucket, key
            if not bucket or not self.bucket.is_dir():
                raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
            self.route()
        except Refused as refused:
            self.xml(f"<Error><Code>{refused.code}</Code><Message>{refused.message}</Message></Error>",
                     refused.status)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_all

    def check_signature(self, path, query):
        given = self.headers.get("authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 "):
            raise Refused(403, "AccessDenied", "no signature")
        parts = dict(p.strip().split("=", 1) for p in given.split(" ", 1)[1].split(","))
        key, day, region, service, last = parts["Credential"].split("/")
        names = parts["SignedHeaders"].split(";")
        if key != KEY:
            raise Refused(403, "InvalidAccessKeyId", "no such key")
        if region != REGION:
            raise Refused(400, "AuthorizationHeaderMalformed",
                          f"wrong region</Message><Region>{REGION}</Region><Message>")
        if "host" not in names or "x-amz-date" not in names:
            raise Refused(403, "AccessDenied", "headers are not signed")
        for name in self.headers:
            if name.lower().startswith("x-amz-") and name.lower() not in names:
                raise Refused(403, "AccessDenied", f"{name} is not signed")
        sha256 = self.headers["x-amz-content-sha256"]
        if sha256 != hashlib.sha256(self.body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch", "the body is another")
        pairs = sorted(tuple(p.partition("=")[::2]) for p in query.split("&") if p)
        canonical = "\n".join([
            self.command, path, "&".join(f"{a}={b}" for a, b in pairs),
            "".join(f"{n}:{' '.join(self.headers[n].split())}\n" for n in names),
            ";".join(names), sha256])
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"],
                          f"{day}/{region}/{service}/{last}",
                          hashlib.sha256(canonical.encode()).hexdigest()])
        signer = ("AWS4" + SECRET).encode()
        for part in (day, region, service, last):
            signer = mac(signer, part)
        if mac(signer, text).hex() != parts["Signature"]:
            raise Refused(403, "SignatureDoesNotMatch", "the signature is another")

    def route(self):
        if not self.key:
            return self.uploads() if "uploads" in self.query else self.list()
        if self.command == "POST":
            return self.begin() if "uploads" in self.query else self.complete()
        if "uploadId" in self.query:
            return self.put_part() if self.command == "PUT" else self.parts()
        return getattr(self, "object_" + self.command.lower())()

    def place(self):
        return self.bucket / (self.key + ".object")

    def object_put(self):
        self.keep(self.body, self.headers.get("x-amz-meta-ds-sha256", ""))
        self.answer(200, ETag=f'"{hashlib.md5(self.body).hexdigest()}"')

    def keep(self, body, sha256):
        place = self.place()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix(".new").write_bytes(body)
        place.with_suffix(".meta").write_text(sha256)
        place.with_suffix(".new").rename(place)

    def object_get(self):
        if not self.place().is_file():
            raise Refused(404, "NoSuchKey", "there is no such object")
        body = self.place().read_bytes()
        headers = {"x_amz_meta_ds_sha256": self.place().with_suffix(".meta").read_text()}
        wanted = self.headers.get("range")
        if not wanted:
            if self.command == "HEAD":
                headers["Content-Length"] = str(len(body))
            return self.answer(200, body, **headers)
        begin, end = (int(n) for n in wanted.removeprefix("bytes=").split("-"))
        if begin >= len(body):
            raise Refused(416, "InvalidRange")
        self.answer(206, body[begin:end + 1], **headers)

    object_head = object_get

    def object_delete(self):
        self.place().unlink(missing_ok=True)
        self.answer(204)

    def list(self):
        keys = sorted(str(p.relative_to(self.bucket))[:-len(".object")]
                      for p in self.bucket.rglob("*.object"))
        after = self.query.get("continuation-token", "")
        keys = [k for k in keys if k.startswith(self.query.get("prefix", "")) and f"+/{k}=" > after]
        page, more = keys[:PAGE], len(keys) > PAGE
        text = "".join(f"<Contents><Key>{escape(k)}</Key><Size>"
                       f"{(self.bucket / (k + '.object')).stat().st_size}</Size></Contents>" for k in page)
        if more:
            text += f"<NextContinuationToken>+/{escape(page[-1])}=</NextContinuationToken>"
        self.xml(f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{text}"
                 "</ListBucketResult>")

    def upload_folder(self):
        folder = self.bucket / ".uploads" / self.query["uploadId"]
        if not folder.is_dir():
            raise Refused(404, "NoSuchUpload", "there is no such upload")
        return folder

    def begin(self):
        number = len(list((self.bucket / ".uploads").glob("*"))) + 1
        folder = self.bucket / ".uploads" / f"u{number:04}"
        folder.mkdir(parents=True)
        (folder / "key").write_text(json.dumps(
            [self.key, self.headers.get("x-amz-meta-ds-sha256", "")]))
        self.xml(f"<InitiateMultipartUploadResult><UploadId>{folder.name}</UploadId>"
                 "</InitiateMultipartUploadResult>")

    def uploads(self):
        text = ""
        for folder in sorted((self.bucket / ".uploads").glob("u*")):
            key, _ = json.loads((folder / "key").read_text())
            if key.startswith(self.query.get("prefix", "")):
                text += (f"<Upload><Key>{escape(key)}</Key><UploadId>{folder.name}</UploadId>"
                         f"<Initiated>{folder.name}</Initiated></Upload>")
        self.xml(f"<ListMultipartUploadsResult>{text}</ListMultipartUploadsResult>")

    def put_part(self):
        (self.upload_folder() / f"{int(self.query['partNumber']):05}").write_bytes(self.body)
        self.answer(200, ETag=f'"{hashlib.md5(self.body).hexdigest()}"')

    def parts(self):
        after = int(self.query.get("part-number-marker", 0))
        found = [p for p in sorted(self.upload_folder().glob("[0-9]*")) if int(p.name) > after]
        page, more = found[:PAGE], len(found) > PAGE
        text = "".join(f"<Part><PartNumber>{int(p.name)}</PartNumber><Size>{p.stat().st_size}</Size><ETag>"
                       f"&quot;{hashlib.md5(p.read_bytes()).hexdigest()}&quot;</ETag></Part>" for p in page)
        if more:
            text += f"<NextPartNumberMarker>{int(page[-1].name)}</NextPartNumberMarker>"
        self.xml(f"<ListPartsResult><IsTruncated>{str(more).lower()}</IsTruncated>{text}</ListPartsResult>")

    def complete(self):
        folder = self.upload_folder()
        numbers = [int(p.split("<")[0]) for p in self.body.decode().split("<PartNumber>")[1:]]
        etags = [p.split("<")[0].replace("&quot;", "") for p in self.body.decode().split("<ETag>")[1:]]
        body = b""
        for number, etag in zip(numbers, etags):
            part = (folder / f"{number:05}").read_bytes()
            if hashlib.md5(part).hexdigest() != etag:
                raise Refused(400, "InvalidPart", "a part is another")
            body += part
        key, sha256 = json.loads((folder / "key").read_text())
        self.keep(body, sha256)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        self.xml("<CompleteMultipartUploadResult><ETag>x-1</ETag></CompleteMultipartUploadResult>")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", PORT), Handler).serve_forever()
