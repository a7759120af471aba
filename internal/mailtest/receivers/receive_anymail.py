"""Django with Anymail: its views take inbound mail of Postmark, Mailgun and SendGrid."""
import hashlib
import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"], DEBUG_PROPAGATE_EXCEPTIONS=True, SECRET_KEY="x", ROOT_URLCONF=__name__, INSTALLED_APPS=["anymail"], DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    ANYMAIL={"WEBHOOK_SECRET": "user:password", "MAILGUN_WEBHOOK_SIGNING_KEY": "key-0123456789"},
)
django.setup()

from anymail.exceptions import AnymailInvalidAddress  # noqa: E402
from anymail.signals import inbound  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("anymail.urls"))]


def octets(part):
    content = part.get_content_bytes()
    return {"name": part.get_filename(), "type": part.get_content_type(), "sha256": hashlib.sha256(content).hexdigest()}


def addresses(read):
    try:
        return [a.addr_spec for a in read() if a]
    except AnymailInvalidAddress:  # which the mail has in their place
        return []


def received(sender, event, esp_name, **_):
    m = event.message
    print(json.dumps({
        "from": addresses(lambda: [m.from_email]), "to": addresses(lambda: m.to), "subject": m.subject, "text": m.text, "html": m.html,
        "sender": m.envelope_sender, "recipient": m.envelope_recipient, "reply": m.stripped_text, "id": event.event_id,
        "attachments": [octets(a) for a in m.attachments], "inline": {cid: octets(a) for cid, a in m.inline_attachments.items()},
    }), flush=True)


inbound.connect(received)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
