// A Redis that speaks TLS only, requires client certificates, and has named users; and the certificates for it.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { promisify } from "node:util";
import { freePort } from "./standalone.mjs";
import { ifReachable, until, within } from "./until.mjs";
import { ROOT } from "./xtask.mjs";

/** The only name in the server's certificate: the address that it listens on is not. */
export const NAME = "redis.internal.example";
/** Both hold characters that must be percent-encoded in a URL. */
export const USER = "jack@field";
export const PASSWORD = "p#ss/w:rd-%-secret";

const run = promisify(execFile);
/** The permissions that the user needs, according to the documentation. */
async function permissions() {
  const text = await readFile(join(ROOT, "docs/deployment/redis.md"), "utf8");
  return /`user jackfield on >PASSWORD (.*?)`/s.exec(text)[1].replace(/\s+/g, " ");
}

/** Certificates in files of a new folder: see the script. */
async function makeCertificates() {
  const folder = await mkdtemp(join(tmpdir(), "jackfield-tls-"));
  await run("sh", [join(ROOT, "xtask/kit/certificates.sh"), folder, NAME]);
  return { folder, file: (name) => join(folder, name) };
}

/** Starts it. `settings` are those of a gateway that may use it; `ask` sends a command as its administrator. */
export async function startTlsRedis() {
  const { folder, file } = await makeCertificates();
  const port = await freePort();
  const admin = "administrator";
  await writeFile(file("users"), `user default off\nuser ${admin} on >${admin} ~* &* +@all\nuser ${USER} on >${PASSWORD} ${await permissions()}\n`);
  const tls = ["--tls-cert-file", file("server.pem"), "--tls-key-file", file("server.key"), "--tls-ca-cert-file", file("ca.pem")];
  const own = ["--bind", "127.0.0.1", "--port", "0", "--tls-port", String(port), ...tls, "--tls-auth-clients", "yes"];
  const rest = ["--aclfile", file("users"), "--dir", folder, "--save", ""];
  const child = spawn("redis-server", [...own, ...rest], { stdio: "ignore" });
  // However the test ends, it does not stay behind.
  process.on("exit", () => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  const [ca, cert, key] = await Promise.all(["ca.pem", "client.pem", "client.key"].map((name) => readFile(file(name))));

  /** Sends one command, written as in `redis-cli`; returns all of its answer that comes at once. */
  async function ask(command) {
    const socket = connect({ port, host: "127.0.0.1", ca, cert, key, servername: NAME });
    try {
      await within(5000, "a TLS connection", once(socket, "secureConnect"));
      for (const line of [`AUTH ${admin} ${admin}`, command]) {
        socket.write(`${line}\r\n`);
        const [answer] = await within(5000, `answer to ${line}`, once(socket, "data"));
        if (line === command) return answer.toString();
        if (!answer.toString().startsWith("+OK")) throw new Error(answer.toString());
      }
    } finally {
      socket.destroy();
    }
  }
  await until("it answers", async () => await ifReachable(ask("PING")) === "+PONG\r\n", 10_000);
  const url = (password) =>
    `rediss://${encodeURIComponent(USER)}:${encodeURIComponent(password)}@127.0.0.1:${port}`;
  return {
    ask,
    file,
    url,
    settings: {
      "redis.url": url(PASSWORD),
      "redis.caFile": file("ca.pem"),
      "redis.certFile": file("client.pem"),
      "redis.keyFile": file("client.key"),
      "redis.serverName": NAME,
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
