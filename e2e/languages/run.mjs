// Stock clients of other languages against a cluster on this machine, on every transport: see README.md.

import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { NAMES, STEPS, walkThrough } from "../support/languages.mjs";
import { startRooms } from "../support/rooms.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const BUILT = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "jackfield/languages");
const run = (command, args, options) => promisify(execFile)(command, args, { maxBuffer: 1 << 26, ...options });

/** The steps of `rust_socketio`: with Node's server, too, it reads nothing after a binary part over a WebSocket. */
const rustSteps = (transport) => {
  const last = transport === "polling" ? ["own", "received", "emitted", "refused", "alive", "back"] : ["refused"];
  return ["connected", "transport", "text", "sent", ...last];
};
const all = () => STEPS;

/** Of each language: its steps by transport; and `build`, which builds its program and returns the command for it. */
const LANGUAGES = {
  "python-sync": { steps: all, build: () => python("sync") },
  "python-asyncio": { steps: all, build: () => python("asyncio") },
  java: { steps: all, build: java },
  go: { steps: all, build: go },
  rust: { steps: rustSteps, build: rust },
};

async function python(kind) {
  const folder = join(BUILT, "python");
  await run("python3", ["-m", "venv", folder]);
  const requirements = join(HERE, "../requirements.txt");
  await run(join(folder, "bin/pip"), ["install", "--quiet", "--only-binary=:all:", "--require-hashes", "--requirement", requirements]);
  return [join(folder, "bin/python"), join(HERE, "python/client.py"), kind];
}

async function java() {
  const target = join(BUILT, "java");
  const project = ["-q", "-B", "-f", join(HERE, "java/pom.xml"), `-Dbuilt=${target}`];
  await run("mvn", [...project, "compile", "dependency:copy-dependencies"]);
  return ["java", "-cp", `${join(target, "classes")}:${join(target, "dependency")}/*`, "Client"];
}

async function go() {
  const program = join(BUILT, "go-client");
  await run("go", ["build", "-o", program, "."], { cwd: join(HERE, "go") });
  return [program];
}

async function rust() {
  const target = join(BUILT, "rust");
  await run("cargo", ["build", "--locked", "--manifest-path", join(HERE, "rust/Cargo.toml"), "--target-dir", target]);
  return [join(target, "debug/client")];
}

await mkdir(BUILT, { recursive: true });
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(LANGUAGES);
const unknown = wanted.filter((name) => !LANGUAGES[name]);
if (unknown.length > 0) throw new Error(`no client ${unknown.join(", ")}; there are ${Object.keys(LANGUAGES).join(", ")}`);

const cluster = await startRooms({ nodes: 2, set: { "session.policy": "multi" } });
let failures = 0;
try {
  for (const name of wanted) {
    const { steps, build } = LANGUAGES[name];
    const command = await build();
    for (const transport of NAMES) {
      const { results, rest } = await walkThrough(cluster, command, transport);
      const taken = steps(transport);
      const wrong = taken.filter((step) => results[step] !== "ok");
      console.log(`${name.padEnd(15)} ${transport.padEnd(10)} ${wrong.length === 0 ? `ok: ${taken.join(", ")}` : "FAILED"}`);
      for (const step of wrong) console.log(`  ${step}: ${results[step] ?? "not reached"}`);
      if (wrong.length > 0) console.log(rest.replace(/^/gm, "  | "));
      failures += wrong.length;
    }
  }
} finally {
  await cluster.stop();
}
process.exit(failures === 0 ? 0 : 1);
