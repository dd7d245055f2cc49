// What gateways say on `/metrics`.

import assert from "node:assert/strict";

/** Of these gateways together, the sum of all series whose line begins so. */
export async function metric(gateways, name) {
  const pages = await Promise.all(gateways.map(async ({ internal }) => (await fetch(`${internal}/metrics`)).text()));
  const lines = pages.flatMap((page) => page.split("\n")).filter((line) => line.startsWith(name));
  assert.ok(lines.length > 0, `there is no ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}
