// Packets as other clients write them are accepted, and packets that no client would write end the connection.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import msgpack from "socket.io-msgpack-parser";

import { ALL_BYTES } from "./support/binary.mjs";
import { TRANSPORTS, VERSIONS, closeAll, connect } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { here } from "./support/pace.mjs";
import { startTrusting } from "./support/standalone.mjs";
import { until } from "./support/until.mjs";
import { SEPARATOR, closeWires, openWire } from "./support/wire.mjs";

/** Far longer than any of these tests waits for the end of a connection: this timeout must not end one. */
const CONNECT_TIMEOUT = "60s";

describe("packets on the wire", OWN, () => {
  let program;
  before(async () => {
    program = await startTrusting({ set: { "limits.connectTimeout": CONNECT_TIMEOUT, "session.policy": "multi" } });
  });
  after(() => program?.stop());
  afterEach(() => {
    closeAll();
    closeWires();
  });

  const wire = (transport) => openWire(program.url, { transport });
  const joined = async (transport) => (await wire(transport)).join(program.user().token);
  /** Acknowledgement ids of their own, so that no answer is taken for another's. */
  let id = 0;

  // 0xfb 0xff is the shortest input whose base64 has both characters in which the two alphabets differ.
  const odd = Buffer.from([0xfb, 0xff, 0xfe, 0x00]);
  /** Acknowledgements with parts, as base64, in place of the placeholders: a server may number parts as it likes. */
  const whole = (answers) => {
    const left = [...answers];
    const together = [];
    while (left.length > 0) {
      const [, count, text] = left.shift().match(/^4(?:3|6(\d+)-)(.*)$/);
      const parts = left.splice(0, Number(count ?? 0)).map((part) => part.slice(1));
      together.push(text.replace(/\{"_placeholder":true,"num":(\d+)\}/g, (_, number) => JSON.stringify(parts[number])));
    }
    return together;
  };
  const lines = (text, width) => text.match(new RegExp(`.{1,${width}}`, "g")).join("\n");
  const spellings = {
    "standard": [ALL_BYTES, (text) => text],
    "with a line feed at the end (Java)": [ALL_BYTES, (text) => `${text}\n`],
    "with a line feed after each 76 characters (Java)": [ALL_BYTES, (text) => `${lines(text, 76)}\n`],
    "with CR LF after each 76 characters": [ALL_BYTES, (text) => `${lines(text, 76).replaceAll("\n", "\r\n")}\r\n`],
    "without padding": [odd, (text) => text.replaceAll("=", "")],
    "URL-safe": [odd, (text) => text.replaceAll("+", "-").replaceAll("/", "_")],
    "URL-safe, without padding, with a line feed": [odd, (text) => `${text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}\n`],
    "empty": [Buffer.alloc(0), (text) => text],
  };
  for (const [name, [bytes, spelled]] of Object.entries(spellings)) {
    test(`polling, base64 ${name}: accepted, in one payload or in two`, async () => {
      const client = await joined("polling");
      const canonical = bytes.toString("base64");
      const expected = (ack) => [`461-${ack}[{"_placeholder":true,"num":0}]`, `b${canonical}`];
      for (const together of [true, false]) {
        const event = `451-${++id}["echo",{"_placeholder":true,"num":0}]`;
        const part = `b${spelled(canonical)}`;
        const payloads = together ? [`${event}${SEPARATOR}${part}`] : [event, part];
        for (const payload of payloads) assert.equal(await client.post(payload), 200, JSON.stringify(payload));
        const ack = id;
        await client.until("acknowledgement", (packet) => packet.startsWith(`461-${ack}[`));
        await until("part", () => client.packets.length > client.packets.indexOf(expected(ack)[0]) + 1);
        const from = client.packets.indexOf(expected(ack)[0]);
        assert.deepEqual(client.packets.slice(from, from + 2), expected(ack));
      }
      assert.equal(client.ended, false);
    });
  }

  test("polling: texts and parts of many events in one payload are handled in order", async () => {
    const client = await joined("polling");
    const from = client.packets.length;
    const payload = [
      '421["echo","first"]',
      '452-2["echo",{"_placeholder":true,"num":1},{"a":{"_placeholder":true,"num":0}}]', "bAQ==", "bAg==\n",
      '423["echo",{"text":"ñ 👋"}]',
      '451-4["echo",[{"_placeholder":true,"num":0}]]', "b",
      '425["echo"]',
    ];
    assert.equal(await client.send(...payload), 200);
    await client.until("the last one", (packet) => packet === "435[]");
    const answers = client.packets.slice(from).filter((packet) => /^(43|46|b)/.test(packet));
    assert.deepEqual(whole(answers), ["1[\"first\"]", "2[\"Ag==\",{\"a\":\"AQ==\"}]", "3[{\"text\":\"ñ 👋\"}]", "4[[\"\"]]", "5[]"]);
  });

  test("WebSocket: texts and parts of many events are handled in order", async () => {
    const client = await joined("websocket");
    const from = client.packets.length;
    await client.send('421["echo","first"]', '451-2["echo",{"_placeholder":true,"num":0}]', ALL_BYTES, '423["echo","last"]');
    await client.until("the last one", (packet) => packet === '433["last"]');
    const answers = client.packets.slice(from).filter((packet) => Buffer.isBuffer(packet) || /^4[36]/.test(packet));
    assert.deepEqual(answers, ['431["first"]', '461-2[{"_placeholder":true,"num":0}]', ALL_BYTES, '433["last"]']);
  });

  /** Lists of packets; the last of each is not allowed. */
  const malformed = {
    "an unknown type": ["4abc"],
    "an unknown number": ['49["echo",1]'],
    "an event without an array": ["42{}"],
    "an event of a text": ['42"echo"'],
    "an event without a name": ["42[]"],
    "an event that is cut off": ['42["echo",'],
    "an odd acknowledgement id": ['42abc["echo",1]'],
    "a binary event without a count": ['45["echo",{"_placeholder":true,"num":0}]'],
    "a binary event with an odd count": ['45x-["echo",{"_placeholder":true,"num":0}]'],
    "a binary event that is no array": ["451-{}"],
    "a text where a part is due": ['451-["echo",{"_placeholder":true,"num":0}]', '42["echo",1]'],
    "a placeholder of a part that is not there": ['451-["echo",{"_placeholder":true,"num":1}]', ALL_BYTES],
    "a part of no event": [ALL_BYTES],
  };
  const begun = {
    "in a namespace": joined,
    "before CONNECT": wire,
  };
  for (const [transport, asSent] of [["websocket", (packet) => packet], ["polling", (packet) => Buffer.isBuffer(packet) ? `b${packet.toString("base64")}` : packet]]) {
    for (const [where, begin] of Object.entries(begun)) {
      test(`${transport}, ${where}: a malformed packet ends the connection at once`, async () => {
        await Promise.all(Object.entries(malformed).map(async ([name, packets]) => {
          const client = await begin(transport);
          const came = client.packets.length;
          // The server may answer a refused payload by closing the connection.
          for (const packet of packets) await Promise.resolve(client.send(asSent(packet))).catch(() => {});
          await client.closed().catch((error) => assert.fail(`${name}: ${error.message}`));
          assert.deepEqual(client.packets.slice(came).filter((packet) => /error/.test(packet)), [], name);
        }));
      });
    }

    test(`${transport}: an event before CONNECT ends the connection at once`, async () => {
      for (const packet of ['42["echo",1]', '421["echo",1]', '42/chat,["echo",1]', '451-["echo",{"_placeholder":true,"num":0}]']) {
        const client = await wire(transport);
        await Promise.resolve(client.send(packet)).catch(() => {});
        // A part after the text of a binary event does not make it valid.
        if (packet.startsWith("45")) await Promise.resolve(client.send(asSent(ALL_BYTES))).catch(() => {});
        await client.closed().catch((error) => assert.fail(`${packet}: ${error.message}`));
      }
    });

    test(`${transport}: an acknowledgement without a request is ignored`, async () => {
      const client = await joined(transport);
      await client.send('437["x"]');
      await client.send('461-8[{"_placeholder":true,"num":0}]', asSent(ALL_BYTES));
      await client.send('429["echo","still here"]');
      await client.until("answer", (packet) => packet === '439["still here"]');
      assert.equal(client.ended, false);
    });
  }

  test("a malformed packet of one connection does no harm to others", async () => {
    const [bad, good] = [await joined("websocket"), await joined("websocket")];
    await bad.send("4abc");
    await bad.closed();
    await good.send('421["echo","undisturbed"]');
    await good.until("answer", (packet) => packet === '431["undisturbed"]');
  });

  for (const [name, options] of Object.entries(TRANSPORTS)) {
    test(`a client with another parser (msgpack), ${name}: its connection is closed at once, and the client notices`, async () => {
      const client = connect(program.url, { token: program.user().token, parser: msgpack, ...options });
      const closes = [];
      client.socket.io.on("close", (reason) => closes.push(reason));
      await until("closed", () => closes.length > 0, here(3000));
      assert.match(closes[0], /^transport (close|error)$/);
      assert.equal(client.connects, 0);
    });
  }

  for (const version of Object.keys(VERSIONS)) {
    test(`client ${version}: a malformed packet ends as a closed transport`, async () => {
      const client = connect(program.url, { token: program.user().token, version, reconnection: false });
      await client.ready();
      client.socket.io.engine.write("2{}");
      assert.equal(await client.disconnected(here(3000)), "transport close");
    });
  }
});

describe("a connection without a namespace", OWN, () => {
  const TIMEOUT_MS = 2000;
  let program;
  before(async () => {
    program = await startTrusting({ set: { "limits.connectTimeout": `${TIMEOUT_MS}ms`, "session.policy": "multi" } });
  });
  after(() => program?.stop());
  afterEach(closeWires);

  for (const transport of ["websocket", "polling"]) {
    test(`${transport}: leaving the only namespace keeps the connection open for another one`, async () => {
      const { token } = program.user();
      const client = await (await openWire(program.url, { transport })).join(token);
      await client.send("41");
      await client.join(token, "/chat");
      await client.send('42/chat,1["echo","in chat"]');
      await client.until("answer", (packet) => packet === '43/chat,1["in chat"]');
      await client.send("41/chat,");
      client.packets.length = 0;
      await client.join(token);
      await client.send('422["echo","and back"]');
      await client.until("answer", (packet) => packet === '432["and back"]');
      assert.equal(client.ended, false);
    });

    test(`${transport}: closed after limits.connectTimeout, whether it was in a namespace before or not`, async () => {
      const never = await openWire(program.url, { transport });
      const left = await (await openWire(program.url, { transport })).join(program.user().token);
      const stays = await (await openWire(program.url, { transport })).join(program.user().token);
      const since = Date.now();
      await left.send("41");
      await left.closed(3 * TIMEOUT_MS);
      assert.ok(Date.now() - since >= TIMEOUT_MS / 2, "not at once");
      await never.closed(3 * TIMEOUT_MS);
      await stays.send('421["echo","still here"]');
      await stays.until("answer", (packet) => packet === '431["still here"]');
    });
  }
});
