"""Joins a room, prints its messages and the user's notifications, and misses none of the messages when it reconnects.

    pip install "python-socketio[client]"
    URL=http://localhost:3000 EMAIL=… PASSWORD=… python client.py ROOM [TEXT]

TEXT is sent to the room once. The login is renewed before its token ends, for as long as the program runs. With TOKEN
instead of EMAIL and PASSWORD it ends with the token, which may be of any issuer.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

import socketio

ROOM, TEXT = sys.argv[1], " ".join(sys.argv[2:])
TEMPORARY = ("rate_limited", "unavailable")

URL = os.environ["URL"]

client = socketio.Client()
# `token`, and `refreshToken`, which is good for one use.
login = {"token": os.environ.get("TOKEN")}
# The last position that this client knows: after a reconnect the room sends everything after it.
since = None
# One id for all attempts: the message is stored once.
client_id = str(uuid.uuid4())


def say(*words):
    print(*words, flush=True)


def post(path, body):
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def renew():
    """Gets the next token. False if the login has ended, or there is only a token. Waits while nobody answers."""
    while "refreshToken" in login:
        try:
            login.update(post("/api/auth/refresh", {"refreshToken": login["refreshToken"]}))
            return True
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return False
        except OSError:
            pass
        client.sleep(3)
    return False


def auth():
    """The `auth` of each connect: the newest token, or a new one if that is over, as after a sleep of hours."""
    payload = login["token"].split(".")[1]
    if json.loads(base64.urlsafe_b64decode(payload + "=="))["exp"] - time.time() < 30:
        renew()
    return {"token": login["token"]}


def later(what, answer):
    """Calls `what` again after a temporary error."""

    def wait():
        client.sleep(answer.get("retryAfterMs", 1000) / 1000)
        what()

    if answer["code"] in TEMPORARY:
        client.start_background_task(wait)
    else:
        say("refused:", answer["code"])


def join():
    client.emit("join-room", {"room": ROOM, "since": since} if since else {"room": ROOM}, callback=joined)


def joined(answer):
    global since
    if answer["status"] != "ok":
        return later(join, answer)
    if answer.get("recovered") is False:
        say("some messages are lost")
    since = answer["position"]
    if TEXT:
        send()


def send():
    client.emit("send-message", {"room": ROOM, "content": TEXT, "clientId": client_id}, callback=sent)


def sent(answer):
    global TEXT
    if answer["status"] != "ok":
        return later(send, answer)
    TEXT = ""


client.on("connect", join)


@client.on("recent-messages")
def recent(messages, _about):
    for message in messages:
        new(message)


@client.on("new-message")
def new(message):
    global since
    since = message["id"]
    say(f"{message['sender']['name']}: {message['content']}")


@client.on("room-reset")
def reset(event):
    global since
    since = event["position"]
    say("some messages are lost")


@client.on("notification:new")
def notified(event):
    say("notification:", event["notification"]["title"])


@client.on("token:expiring")
def expiring(_event):
    if renew():
        client.emit("token:refresh", {"token": login["token"]})


if "EMAIL" in os.environ:
    login = post("/api/auth/login", {"email": os.environ["EMAIL"], "password": os.environ["PASSWORD"]})
client.connect(URL, auth=auth)
client.wait()
