"""The Python client; its steps are in README.md beside this folder. `client.py sync` or `client.py asyncio`."""

import asyncio
import os
import queue
import sys

import socketio

URL, TOKEN = os.environ["URL"], os.environ["TOKEN"]
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}[os.environ["TRANSPORT"]]
EVERY_BYTE = bytes(range(256))
ECHOED = {"part": EVERY_BYTE, "inside": [{"deep": b"\x01\x02"}, "ñ 👋"], "empty": b""}
LONG = b"x" * 40_000
SECONDS = 10
# A stock client waits longer after each failed attempt.
BACK_SECONDS = 30


def report(step, good, seen=None):
    print(f"ok {step}" if good else f"failed {step} {seen!r:.200}", flush=True)


def one_by_one():
    received, gone, refusals, opened = queue.Queue(), [], queue.Queue(), queue.Queue()
    client = socketio.Client()
    client.on("connect", lambda: opened.put(True))
    client.on("message", lambda data: received.put(("received", data["message"])))
    client.on("file", lambda data: received.put(("emitted", data["part"])))
    client.on("disconnect", lambda *reason: gone.append(reason))
    client.connect(URL, auth={"token": TOKEN}, transports=TRANSPORTS)
    opened.get(timeout=SECONDS)
    report("connected", client.transport() == TRANSPORTS[-1], client.transport())
    answer = client.call("echo", ECHOED, timeout=SECONDS)
    report("echo", answer == ECHOED, answer)
    answer = client.call("echo", LONG, timeout=SECONDS)
    report("long", answer == LONG, answer)
    client.call("message", EVERY_BYTE, timeout=SECONDS)
    # The first message is its own.
    for step in ["own", "received", "emitted"]:
        name, part = received.get(timeout=SECONDS)
        report(step, part == EVERY_BYTE and name == step.replace("own", "received"), (name, part))
    stranger = socketio.Client()
    stranger.on("connect_error", lambda data: refusals.put(data))
    try:
        stranger.connect(URL, auth={"token": "garbage"}, transports=TRANSPORTS, wait_timeout=SECONDS)
    except socketio.exceptions.ConnectionError:
        pass
    refusal = refusals.get(timeout=SECONDS)
    report("refused", refusal == {"message": "invalid_token"}, refusal)
    answer = client.call("echo", "text", timeout=SECONDS)
    report("alive", answer == "text" and not gone, (answer, gone))
    opened.get(timeout=BACK_SECONDS)
    answer = client.call("echo", LONG, timeout=SECONDS)
    report("back", answer == LONG and len(gone) == 1, (answer, gone))
    client.disconnect()


async def at_once():
    received, gone, refusals, opened = asyncio.Queue(), [], asyncio.Queue(), asyncio.Queue()
    client = socketio.AsyncClient()
    client.on("connect", lambda: opened.put_nowait(True))
    client.on("message", lambda data: received.put_nowait(("received", data["message"])))
    client.on("file", lambda data: received.put_nowait(("emitted", data["part"])))
    client.on("disconnect", lambda *reason: gone.append(reason))
    await client.connect(URL, auth={"token": TOKEN}, transports=TRANSPORTS)
    await asyncio.wait_for(opened.get(), SECONDS)
    report("connected", client.transport() == TRANSPORTS[-1], client.transport())
    # Both at the same time.
    answers = await asyncio.gather(client.call("echo", ECHOED, timeout=SECONDS), client.call("echo", LONG, timeout=SECONDS))
    report("echo", answers[0] == ECHOED, answers[0])
    report("long", answers[1] == LONG, answers[1])
    await client.call("message", EVERY_BYTE, timeout=SECONDS)
    for step in ["own", "received", "emitted"]:
        name, part = await asyncio.wait_for(received.get(), SECONDS)
        report(step, part == EVERY_BYTE and name == step.replace("own", "received"), (name, part))
    stranger = socketio.AsyncClient()
    stranger.on("connect_error", lambda data: refusals.put_nowait(data))
    try:
        await stranger.connect(URL, auth={"token": "garbage"}, transports=TRANSPORTS, wait_timeout=SECONDS)
    except socketio.exceptions.ConnectionError:
        pass
    refusal = await asyncio.wait_for(refusals.get(), SECONDS)
    report("refused", refusal == {"message": "invalid_token"}, refusal)
    answer = await client.call("echo", "text", timeout=SECONDS)
    report("alive", answer == "text" and not gone, (answer, gone))
    await asyncio.wait_for(opened.get(), BACK_SECONDS)
    answer = await client.call("echo", LONG, timeout=SECONDS)
    report("back", answer == LONG and len(gone) == 1, (answer, gone))
    await client.disconnect()


if sys.argv[1] == "sync":
    one_by_one()
else:
    asyncio.run(at_once())
