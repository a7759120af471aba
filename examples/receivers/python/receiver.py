"""A receiver of postferry's webhooks: python3 receiver.py (PORT and HOOK_SECRET are set)."""
import base64
import hashlib
import hmac
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["HOOK_SECRET"].removeprefix("whsec_"))
LARGEST = 100 << 20  # octets; no mail is larger


def verified(headers, body):
    """The check of Standard Webhooks: a fresh timestamp, and one signature of the list that is ours."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isdecimal() or abs(time.time() - int(stamp)) > 300:
        return False
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
    want = b"v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
    return any(hmac.compare_digest(s.encode(), want) for s in headers.get("webhook-signature", "").split())


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        size = int(self.headers.get("content-length", -1))
        if not 0 <= size <= LARGEST:
            return self.send_error(413)
        body = self.rfile.read(size)
        # When it is verified: store it under webhook-id, unless it is there already; then answer 2xx.
        self.send_response(200 if verified(self.headers, body) else 401)
        self.send_header("content-length", "0")
        self.end_headers()


if len(KEY) < 24:
    raise SystemExit("HOOK_SECRET is no secret")
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver).serve_forever()
