// Accounts, over the HTTP API.

import { PATIENCE_MS, inParallel } from "./until.mjs";

const PASSWORD = "Passw0rd!";
let count = 0;

/** Calls the API behind the balancer; returns the status and the body. */
export async function api(cluster, method, path, body, token) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const url = `${cluster.balancer}/api${path}`;
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS) });
  return { status: answer.status, headers: answer.headers, body: answer.status === 204 ? null : await answer.json() };
}

/** A new account, signed in: `{id, email, fullName, roles, token, refreshToken}`. */
export async function register(cluster, fullName = "Some Body") {
  const email = `user-${process.pid}-${++count}@example.com`;
  const { status, body } = await api(cluster, "POST", "/auth/register", { email, password: PASSWORD, fullName });
  if (status !== 201) throw new Error(`register: ${status} ${JSON.stringify(body)}`);
  return { ...body.user, token: body.token, refreshToken: body.refreshToken };
}

/** A further login of the same user: `{id, …, token, refreshToken}`. */
export async function anotherLogin(cluster, user) {
  const credentials = { email: user.email, password: user.password ?? PASSWORD };
  const { status, body } = await api(cluster, "POST", "/auth/login", credentials);
  if (status !== 200) throw new Error(`login: ${status} ${JSON.stringify(body)}`);
  return { ...body.user, token: body.token, refreshToken: body.refreshToken };
}

/** Many of them. */
export function registerMany(cluster, number) {
  const names = Array.from({ length: number }, (_, index) => `User Number ${index}`);
  return inParallel(names, 4, (name) => register(cluster, name));
}

/** The token of a further login. */
export async function login(cluster, user) {
  return (await anotherLogin(cluster, user)).token;
}
