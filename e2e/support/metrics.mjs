// The values on gateways' `/metrics`.

import assert from "node:assert/strict";

/** The sum over these gateways of a series, or of all with that name. Each exists from the start. */
export async function metric(gateways, name) {
  const pages = await Promise.all(gateways.map(async ({ internal }) => (await fetch(`${internal}/metrics`)).text()));
  const lines = pages.flatMap((page) => page.split("\n")).filter((line) => [" ", "{"].some((end) => line.startsWith(name + end)));
  assert.ok(lines.length >= gateways.length, `there is no ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}
