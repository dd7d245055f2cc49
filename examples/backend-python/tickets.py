"""A help desk: answers events that clients send, with Python 3.10 or later.

    SECRET_FILE=tickets.secret python tickets.py

Users open tickets and add notes to them; the help desk (role ADMIN) sees all tickets and closes them. State is in
memory, and one process has it: a real desk has a database.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

PORT = int(os.environ.get("PORT", "4001"))
# The path of a secret, or of two with `+` between them while it is changed, as in the gateways' setting.
SECRET_FILES = os.environ.get("SECRET_FILE", "tickets.secret").split("+")
WEBHOOKS = [Webhook(Path(path).read_text(encoding="utf-8").strip()) for path in SECRET_FILES]
# A call is longer than the arguments of its event, which have at most 64 KiB.
LONGEST = 256 * 1024
# Answers kept for repetitions: a client that got none sends its event again.
KEPT = 10_000

HELPERS = "helpers"
tickets = []
answers = {}
# One call at a time, so that a repetition waits for the first.
lock = Lock()


class Refused(Exception):
    """The client gets this as `{status: "error", code, message}`."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


def is_helper(call):
    return (call.get("data") or {}).get("helper") is True


def changed(ticket):
    """To the helpers, and to all sockets of the user whose ticket it is."""
    return [
        {"event": "ticket:changed", "data": ticket, "to": {"room": HELPERS, "except": ["user:" + ticket["user"]]}},
        {"event": "ticket:changed", "data": ticket, "to": {"user": ticket["user"]}},
    ]


def ticket_open(call, first):
    text = first.get("text") if isinstance(first, dict) else None
    if not isinstance(text, str) or not 1 <= len(text) <= 500:
        raise Refused(400, "invalid_text", "text must have 1 to 500 characters")
    ticket = {"id": len(tickets) + 1, "user": call["user"]["id"], "text": text, "open": True}
    tickets.append(ticket)
    return {"ack": [{"status": "ok", "ticket": ticket}], "emit": changed(ticket)}


def ticket_list(call, _first):
    seen = [ticket for ticket in tickets if is_helper(call) or ticket["user"] == call["user"]["id"]]
    return {"ack": [{"status": "ok", "tickets": seen[-100:]}]}


def ticket_close(call, first):
    if not is_helper(call):
        raise Refused(403, "forbidden", "Only helpers may do this")
    ticket = next((one for one in tickets if isinstance(first, dict) and one["id"] == first.get("id")), None)
    if ticket is None:
        raise Refused(404, "no_such_ticket", "There is no such ticket")
    ticket["open"] = False
    return {"ack": [{"status": "ok", "ticket": ticket}], "emit": changed(ticket)}


EVENTS = {"ticket:open": ticket_open, "ticket:list": ticket_list, "ticket:close": ticket_close}


def answer(call):
    """The status and the body for a call."""
    if call["type"] == "connect":
        helper = "ADMIN" in call["user"]["roles"]
        return 200, {"join": [HELPERS], "data": {"helper": True}} if helper else {}
    if call["type"] != "event" or call["event"] not in EVENTS:
        return 404, {"code": "unknown_event", "message": "No such event"}
    try:
        return 200, EVENTS[call["event"]](call, next(iter(call["args"]), None))
    except Refused as refused:
        return refused.status, refused.body


class Hook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length", LONGEST + 1))
        body = self.rfile.read(length) if length <= LONGEST else b""
        call = verified(body, dict(self.headers.items()))
        if call is None:
            self.close_connection = True
            return self.reply(401, {"code": "bad_signature", "message": "The signature is not valid"})
        with lock:
            if call["id"] not in answers:
                answers[call["id"]] = answer(call)
            if len(answers) > KEPT:
                del answers[next(iter(answers))]
            return self.reply(*answers[call["id"]])

    def reply(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Logs nothing: calls are frequent."""


def verified(body, headers):
    """The call, if one of the secrets signed it within the last five minutes."""
    for webhook in WEBHOOKS:
        try:
            return webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            continue
    return None


if __name__ == "__main__":
    print(f"the help desk listens on {PORT}", flush=True)
    ThreadingHTTPServer(("", PORT), Hook).serve_forever()
