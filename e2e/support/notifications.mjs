// A user's notifications: as stored, and as a device knows them from the events that it received.

import { randomUUID } from "node:crypto";

/** Notifies a user over the HTTP API; returns the notification's id. */
export async function notify(api, user, title = `about ${randomUUID()}`) {
  const { status, body } = await api.post(`/users/${user.id}/notifications`, { title, message: "m", type: "info" });
  if (status !== 201) throw new Error(`notify: ${status} ${JSON.stringify(body)}`);
  return body.notificationId;
}

/** The stored notifications, newest first, read in pages over the HTTP API. */
export async function stored(api, user) {
  const all = [];
  for (;;) {
    const before = all.length > 0 ? `&before=${all.at(-1).id}` : "";
    const { status, body } = await api.get(`/users/${user.id}/notifications?limit=100${before}`);
    if (status !== 200) throw new Error(`list: ${status} ${JSON.stringify(body)}`);
    all.push(...body.notifications);
    if (!body.more) return { all, unreadCount: body.unreadCount };
  }
}

/**
 * Goes through all events that a client received since it connected with an empty inbox, and returns each count that
 * does not follow from the events before it: there must be none.
 */
export function wrongCounts(client) {
  const unread = new Map();
  const wrong = [];
  for (const [index, { name, args: [data] }] of client.events.entries()) {
    if (name === "notification:new") unread.set(data.notification.id, true);
    else if (name === "notification:deleted") unread.delete(data.notificationId);
    else if (name === "notification:read" && data.all) for (const id of unread.keys()) unread.set(id, false);
    else if (name === "notification:read") unread.set(data.notificationId, false);
    else if (name === "notification:unread_count") {
      const expected = [...unread.values()].filter(Boolean).length;
      if (data.unreadCount !== expected) wrong.push({ index, received: data.unreadCount, expected });
    }
  }
  return wrong;
}

/** The count that a client shows. */
export const shown = (client) => client.last("notification:unread_count")?.unreadCount;
