// The Python clients, over every transport. Other languages: `languages/`.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { join } from "node:path";

import { closeAll } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { NAMES, STEPS, walkThrough } from "./support/languages.mjs";
import { startRooms } from "./support/rooms.mjs";
import { ROOT } from "./support/xtask.mjs";

const PROGRAM = join(ROOT, "e2e/languages/python/client.py");

describe("python-socketio", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ nodes: 2, set: { "session.policy": "multi" } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  for (const kind of ["sync", "asyncio"]) {
    for (const transport of NAMES) {
      test(`${kind}, ${transport}: binary parts both ways, a backend's emit, a refusal`, async () => {
        const { results, rest } = await walkThrough(cluster, [process.env.PYTHON ?? "python3", PROGRAM, kind], transport);
        assert.deepEqual(results, Object.fromEntries(STEPS.map((step) => [step, "ok"])), rest);
      });
    }
  }
});
