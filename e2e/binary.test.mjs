// Binary parts, both ways: acknowledged and passed on as sent, over every transport and between nodes. Which events and
// fields take one is tested in process.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { ALL_BYTES, readable } from "./support/binary.mjs";
import { TRANSPORTS, VERSIONS, closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { done, join, newRoom, startRooms } from "./support/rooms.mjs";

/** Parts of one event by default (`limits.attachments`); a stock client accepts no more, either. */
const MOST_PARTS = 10;

const parts = (count) => Array.from({ length: count }, (_, index) => Buffer.from([index, 255 - index]));

describe("binary parts over three nodes", OWN, () => {
  let cluster;
  before(async () => {
    // The tests send many events to few clients: limits on that are tested elsewhere.
    cluster = await startRooms({ set: { "session.policy": "multi" } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const at = (node, user = cluster.user(), options = {}) => signedIn(cluster.urls[node], user, options);

  for (const version of Object.keys(VERSIONS)) {
    for (const [name, options] of Object.entries(TRANSPORTS)) {
      const clientAt = async (node, user) => {
        const client = await at(node, user, { version, ...options });
        await client.upgraded();
        return client;
      };

      test(`client ${version}, ${name}: echo is acknowledged with its parts`, async () => {
        const client = await clientAt(0);
        const sent = [
          [ALL_BYTES],
          [new Uint8Array([1, 2, 3])],
          [new Uint8Array([4, 5]).buffer],
          [Buffer.alloc(0)],
          [{ a: [Buffer.from("a"), 1, null], b: { c: new Uint8Array([7]), text: "ñ 👋" } }],
          [Buffer.from("first"), "text", { second: Buffer.from("second") }],
          [Buffer.alloc(20_000, "x")],
        ];
        for (const args of sent) {
          assert.deepEqual(readable(await client.askAll("echo", ...args)), readable(args));
        }
        // Parts and texts of concurrent events do not mix.
        const together = await Promise.all(sent.flatMap((args, index) => [client.askAll("echo", ...args), client.askAll("echo", index)]));
        assert.deepEqual(readable(together), readable(sent.flatMap((args, index) => [args, [index]])));
        assert.deepEqual(client.all("error"), []);
      });

      test(`client ${version}, ${name}: other nodes receive the parts of messages unchanged`, async () => {
        const user = cluster.user({ name: "Ana Lopez" });
        const [sender, other] = [await clientAt(0, user), await clientAt(1)];
        const room = newRoom();
        for (const client of [sender, other]) await join(client, room);
        const passed = async (event, payload, heardAs, expected, receivers) => {
          await done(sender, event, payload);
          for (const receiver of receivers) {
            const { timestamp, ...received } = await receiver.waitFor(heardAs);
            assert.deepEqual(readable(received), readable(expected), `${event} at ${receiver.url}`);
            receiver.events.length = 0;
          }
        };
        const both = [sender, other];
        const from = { sender: sender.id };
        await passed("message", ALL_BYTES, "message", { ...from, message: ALL_BYTES }, both);
        await passed("message", { content: ALL_BYTES }, "message", { ...from, message: ALL_BYTES }, both);
        await passed("message", { content: ALL_BYTES, room }, "message", { ...from, message: ALL_BYTES }, both);
        await passed("room-message", { room, message: ALL_BYTES }, "room-message", { ...from, message: ALL_BYTES, room }, [other]);
        const named = { fullName: "Ana Lopez", message: ALL_BYTES };
        await passed("message-client", { id: sender.id, message: ALL_BYTES }, "message-server", named, both);
        await passed("message", "text again", "message", { ...from, message: "text again" }, both);
      });

      test(`client ${version}, ${name}: ${MOST_PARTS} parts pass, one more is an error and nothing else`, async () => {
        const client = await clientAt(0);
        assert.deepEqual(readable(await client.ask("echo", parts(MOST_PARTS))), readable(parts(MOST_PARTS)));
        for (const count of [MOST_PARTS + 1, 50]) {
          // The next event directly follows the refused parts.
          const [answer, next] = await Promise.all([client.ask("echo", parts(count)), client.ask("echo", { next: Buffer.from("n") })]);
          assert.deepEqual({ ...answer, message: "" }, { status: "error", code: "validation_failed", message: "" }, JSON.stringify(answer));
          assert.match(answer.message, /attachments/);
          assert.deepEqual(readable(next), { next: "<6e>" });
          assert.deepEqual(client.all("error"), []);

          client.send("echo", parts(count));
          const error = await client.waitFor("error");
          assert.deepEqual({ ...error, message: "" }, { status: "error", code: "validation_failed", message: "", event: "echo" });
          assert.match(error.message, /attachments/);
          assert.equal(await client.ask("echo", "and afterwards"), "and afterwards");
          assert.equal(client.all("error").length, 1);
          client.events.length = 0;
        }
        assert.deepEqual(client.disconnects, []);
      });

      test(`client ${version}, ${name}: a backend's emit arrives with its parts, from any node`, async () => {
        const user = cluster.user();
        const [client, second] = [await clientAt(1, user), await clientAt(2, user)];
        const room = newRoom();
        for (const one of [client, second]) await join(one, room);
        const base64 = ALL_BYTES.toString("base64");
        const data = { file: { $binary: base64 }, list: [{ deep: { $binary: "AQI=" } }, "text"], empty: { $binary: "" }, n: 7 };
        const expected = { file: ALL_BYTES, list: [{ deep: Buffer.from([1, 2]) }, "text"], empty: Buffer.alloc(0), n: 7 };
        const targets = [{ user: user.id }, { users: [user.id, randomUUID()] }, { room }, { everyone: true }];
        for (const [index, to] of targets.entries()) {
          const event = `file-${index}`;
          const { status, body } = await new Api(cluster, 0).post("/emit", { event, data, to });
          assert.equal(status, 202, JSON.stringify(body));
          for (const one of [client, second]) {
            const { timestamp, ...received } = await one.waitFor(event);
            assert.deepEqual(readable(received), readable(expected), JSON.stringify(to));
            assert.equal(typeof timestamp, "string");
          }
        }
      });
    }
  }
});
