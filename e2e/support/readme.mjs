// The code blocks of README files and of the pages of `docs/`, as they are printed there.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { ROOT } from "./xtask.mjs";

const inFolder = async (folder) => {
  const files = await readdir(join(ROOT, folder), { recursive: true });
  return files.filter((file) => file.endsWith(".md") && !file.includes("node_modules")).map((file) => join(folder, file));
};
const PAGES = ["README.md", ...await inFolder("docs"), ...await inFolder("examples")];
const TEXTS = await Promise.all(PAGES.map((page) => readFile(join(ROOT, page), "utf8")));

/** The code block after this mark. */
export function example(name) {
  const mark = new RegExp(`<!-- example:${name} -->\\s+\`\`\`\\w*\\n([\\s\\S]*?)\n\`\`\``);
  const found = TEXTS.map((text) => text.match(mark)).filter(Boolean);
  assert.equal(found.length, 1, `${found.length} examples are named ${name}`);
  return found[0][1];
}

/** The settings in such a block: one in each line. */
export function settings(name) {
  return Object.fromEntries(example(name).split("\n").map((line) => {
    const [key, ...value] = line.split("=");
    return [key, value.join("=")];
  }));
}
