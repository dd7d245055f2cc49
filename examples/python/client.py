"""Joins a room, prints its messages and the user's notifications, and misses none of the messages when it reconnects.

    pip install "python-socketio[client]"
    URL=http://localhost:3000 TOKEN=… python client.py ROOM [TEXT]

TEXT is sent to the room once.
"""

import os
import sys
import uuid

import socketio

ROOM, TEXT = sys.argv[1], " ".join(sys.argv[2:])
TEMPORARY = ("rate_limited", "unavailable")

client = socketio.Client()
# The last position that this client knows: after a reconnect the room sends everything after it.
since = None
# One id for all attempts: the message is stored once.
client_id = str(uuid.uuid4())


def say(*words):
    print(*words, flush=True)


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


client.connect(os.environ["URL"], auth={"token": os.environ["TOKEN"]})
client.wait()
