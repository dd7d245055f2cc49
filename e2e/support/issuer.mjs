// An issuer of tokens of our own: tests can send any token to a gateway that trusts it.

import { createHmac, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer } from "node:http";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Serves its key set; `token()` makes good tokens, and bad ones when asked. */
export async function startIssuer() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const kid = randomUUID();
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, alg: "EdDSA", use: "sig" };
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "application/json").end(JSON.stringify({ keys: [jwk] }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();

  return {
    jwksUrl: `http://127.0.0.1:${server.address().port}/jwks.json`,
    token: (claims = {}, header = {}, key = privateKey) => signed({ ...defaults(), ...claims }, { alg: "EdDSA", kid, typ: "JWT", ...header }, key),
    stop: () => server.close(),
  };
}

/** Claims of a token as our auth service makes it. */
export function defaults() {
  const now = Math.floor(Date.now() / 1000);
  const [sub, sid, jti] = [randomUUID(), randomUUID(), randomUUID()];
  const who = { sub, email: "a@example.com", name: "A B", roles: ["USER"] };
  return { iss: "jackfield", aud: "jackfield", ...who, sid, jti, iat: now, nbf: now, exp: now + 600 };
}

/** A token; `key` is a private key, or a text for HS256, or nothing for no signature. */
export function signed(claims, header, key) {
  const content = `${encode(header)}.${encode(claims)}`;
  if (key === null) return `${content}.`;
  const isText = typeof key === "string" || Buffer.isBuffer(key);
  const signature = isText ? createHmac("sha256", key).update(content).digest() : sign(null, Buffer.from(content), key);
  return `${content}.${signature.toString("base64url")}`;
}

/** A private key that nobody trusts. */
export function otherKey() {
  return generateKeyPairSync("ed25519").privateKey;
}
