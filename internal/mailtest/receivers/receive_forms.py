"""A receiver that reads forms with what Python brings along: email.parser."""
import base64
import email.parser
import email.policy
import json
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        fields, files = [], []
        if kind == "application/x-www-form-urlencoded":
            fields = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
        else:
            message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
            assert not message.defects, message.defects
            for part in message.iter_parts():
                content, name = part.get_payload(decode=True), part.get_param("name", header="content-disposition")
                if part.get_filename() is None:
                    fields.append((name, content.decode("utf-8")))
                else:
                    files.append((name, part.get_filename(), part.get_content_type(), base64.b64encode(content).decode()))
        print(json.dumps({"fields": fields, "files": files}), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
