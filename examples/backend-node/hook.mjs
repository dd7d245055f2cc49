// The part that every hook of this folder shares: it accepts only calls that Jackfield signed, and handles a repeated
// call once.
// @ts-check

import { readFileSync } from "node:fs";

import express from "express";
import { Webhook } from "standardwebhooks";

/** @typedef {import("../../deploy/types/events.js").HookEventRequest} EventCall */
/** @typedef {import("../../deploy/types/events.js").HookConnectRequest} ConnectCall */
/** @typedef {import("../../deploy/types/events.js").HookFactRequest} Fact */
/** @typedef {import("../../deploy/types/events.js").HookEventAnswer} Answer */

/** The gateway sends arguments of at most 64 KiB; binary ones grow by a third in base64. */
const LONGEST = "128kb";
/** How many answers are kept for repetitions. A backend of several processes keeps them in its database. */
const KEPT = 10_000;

/** An error that the client gets: `{status: "error", code, message}`. */
export class Refused extends Error {
  constructor(code, message, status = 400) {
    super(message);
    Object.assign(this, { code, status });
  }
}

/**
 * The handlers of `POST /hook` for Express. `secretFile` is the path of a secret, or of two with `+` between them while it
 * is changed, as in the gateways' setting.
 *
 * @param {string} secretFile
 * @param {(call: any) => Promise<Answer | void> | Answer | void} answer
 */
export function hook(secretFile, answer) {
  const webhooks = secretFile.split("+").map((file) => new Webhook(readFileSync(file, "utf8").trim()));
  /** @type {Map<string, Promise<Answer | void>>} */
  const answered = new Map();

  return [express.raw({ type: "application/json", limit: LONGEST }), async (request, response) => {
    const call = verified(webhooks, request.body, request.headers);
    if (!call) return response.status(401).json({ code: "bad_signature", message: "The signature is not valid" });
    // A client that got no answer sends the event again with the same `clientId`, which makes the same id; a fact is
    // delivered again until it is answered.
    const known = answered.get(call.id);
    const answering = known ?? Promise.resolve().then(() => answer(call));
    if (!known) keep(answered, call.id, answering);
    try {
      const actions = await answering;
      if (actions) response.json(actions);
      else response.status(204).end();
    } catch (error) {
      const { code = "failed", status = 500, message } = error;
      // A failure of the backend itself may pass: the call may be sent again.
      if (status >= 500) answered.delete(call.id);
      if (status >= 500) console.error(error);
      response.status(status).json({ code, message });
    }
  }];
}

/** The call, if one of the secrets signed it within the last five minutes. */
function verified(webhooks, body, headers) {
  for (const webhook of webhooks) {
    try {
      return webhook.verify(body, headers);
    } catch {
      // Signed with another secret, or not at all.
    }
  }
  return null;
}

function keep(answered, id, answering) {
  answered.set(id, answering);
  if (answered.size > KEPT) answered.delete(answered.keys().next().value);
}
