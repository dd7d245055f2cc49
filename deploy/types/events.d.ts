// Generated from docs/asyncapi.json by `npm run --prefix e2e types`: do not edit.

import type { Socket } from "socket.io-client";

/**
 * RFC 3339, UTC, with milliseconds
 */
export type Timestamp = string;
/**
 * A socket's public id
 */
export type SocketId = string;
export type UserId = string;
/**
 * A binary part of 1 to 4,000 bytes: ArrayBuffer in browsers, Buffer in Node.js
 */
export type Bytes = ArrayBuffer | Uint8Array;
export type ClientsUpdatedPayload = SocketId[];
/**
 * The message of `connect_error`: a permanent refusal
 */
export type ConnectErrorCode =
  | "missing_token"
  | "invalid_token"
  | "token_expired"
  | "token_revoked"
  | "user_inactive"
  | "session_conflict"
  | "invalid_namespace";
export type ConnectionPayload = string;
/**
 * Text, or a binary part in its place
 */
export type Content = MessageText | Bytes;
export type MessageText = string;
export type ErrorCode =
  | "validation_failed"
  | "not_in_room"
  | "forbidden"
  | "too_many_rooms"
  | "rate_limited"
  | "payload_too_large"
  | "unknown_event"
  | "unavailable"
  | "internal";
export type RoomName = string;
/**
 * The receivers of an emit
 */
export type HookTarget =
  | {
      except?: HookExcept;
      user: UserId;
    }
  | {
      except?: HookExcept;
      users: UserId[];
    }
  | {
      except?: HookExcept;
      namespace?: string;
      room: RoomName;
    }
  | {
      everyone: true;
      except?: HookExcept;
      namespace?: string;
    }
  | {
      namespace?: string;
      socket: SocketId;
    };
/**
 * Socket ids, `user:<id>`, names of rooms
 *
 * @maxItems 100
 */
export type HookExcept = string[];
/**
 * Something that happened, in order for each user and room
 */
export type HookFactRequest =
  | {
      data: {
        namespace?: string;
        node: string;
        session: string;
        socketId?: SocketId;
        user: UserId;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "session.started";
    }
  | {
      data: {
        node: string;
        /**
         * Such as `client`, `ping_timeout`, `node_lost`, `replaced`
         */
        reason: string;
        session: string;
        user: UserId;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "session.ended";
    }
  | {
      data: {
        user: UserId;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "user.online";
    }
  | {
      data: {
        user: UserId;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "user.offline";
    }
  | {
      data: {
        namespace: string;
        room: RoomName;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "room.occupied";
    }
  | {
      data: {
        namespace: string;
        room: RoomName;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "room.vacated";
    }
  | {
      data: {
        namespace: string;
        room: RoomName;
        user: UserId;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "room.joined";
    }
  | {
      data: {
        namespace: string;
        room: RoomName;
        user: UserId;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "room.left";
    }
  | {
      data: {
        content: MessageText;
        messageId: Position;
        namespace: string;
        room: RoomName;
        sender: Author;
        timestamp: Timestamp;
      };
      /**
       * The webhook-id, also when it is delivered again
       */
      id: string;
      timestamp: Timestamp;
      type: "message.stored";
    };
/**
 * A place in a room: opaque, sorts as text
 */
export type Position = string;
export type JoinRoomRequest =
  | RoomName
  | {
      room: RoomName;
      /**
       * The last position that the client knows
       */
      since?: string | null;
    };
export type LeaveRoomRequest =
  | RoomName
  | {
      room: RoomName;
    };
export type MessageRequest =
  | Content
  | {
      content: Content;
      room?: RoomName | null;
    };
export type Uuid = string;
export type NotificationListRequest = {
  /**
   * Exclusive
   */
  before?: Uuid | null;
  /**
   * 50 if omitted
   */
  limit?: number | null;
} | null;
export type NotificationMarkReadRequest =
  | {
      all?: false;
      notificationId: Uuid;
    }
  | {
      all: true;
      notificationId?: null;
    };
export type NotificationReadPayload =
  | {
      notificationId: Uuid;
      success: true;
    }
  | {
      all: true;
      notificationId: null;
      success: true;
    };
/**
 * @maxItems 100
 */
export type RecentMessagesPayload1 = NewMessagePayload[];
export type UpdatesPayload =
  | {
      createdAt: Timestamp;
      /**
       * As the backend sent it
       */
      data: unknown;
      entity: string;
      type: "CREATE" | "UPDATE" | "DELETE";
    }
  | {
      /**
       * As the reader sent it
       */
      data: unknown;
      message: string;
    };

export interface AuthenticatedPayload {
  /**
   * Null if the token has none
   */
  email: string | null;
  /**
   * The end of the token
   */
  expiresAt: Timestamp;
  socketId: SocketId;
  success: true;
  userId: UserId;
}
export interface Author {
  id: UserId;
  name: string;
}
export interface ClientsCountPayload {
  count: number;
}
/**
 * The `auth` option of a client
 */
export interface ConnectAuth {
  /**
   * Sent by the stock client when it comes back
   */
  offset?: string;
  /**
   * Sent by the stock client when it comes back
   */
  pid?: string;
  /**
   * Asks for recovery
   */
  recover?: boolean;
  token?: string;
}
export interface Done {
  status: "ok";
}
export interface ErrorAck {
  /**
   * A code of the gateway, or of a hook for an event of the application
   */
  code: ErrorCode | string;
  /**
   * For people; it may change
   */
  message: string;
  /**
   * Milliseconds. Only with `rate_limited`
   */
  retryAfterMs?: number;
  status: "error";
}
export interface ErrorPayload {
  code: ErrorCode | string;
  /**
   * The event's name, cut at 64 characters; empty if the session ends because of flooding
   */
  event: string;
  /**
   * For people; it may change
   */
  message: string;
  /**
   * Milliseconds. Only with `rate_limited`
   */
  retryAfterMs?: number;
  status: "error";
}
/**
 * 200: lets the socket in
 */
export interface HookConnectAnswer {
  /**
   * Sent with every event of this socket
   */
  data?: unknown;
  /**
   * @maxItems 100
   */
  join?: RoomName[];
}
/**
 * A socket asks to connect; its token was verified
 */
export interface HookConnectRequest {
  /**
   * As the client sent it, without its token; omitted if longer than 4 KB
   */
  auth?: unknown;
  id: string;
  namespace: string;
  session: string;
  /**
   * Absent if the client asks to be recovered
   */
  socketId?: SocketId;
  timestamp: Timestamp;
  type: "connect";
  user: HookUser;
}
export interface HookUser {
  email: string | null;
  id: UserId;
  name: string;
  roles: string[];
}
export interface HookEmit {
  /**
   * Several arguments, in place of data
   */
  args?: unknown[];
  /**
   * One argument
   */
  data?: unknown;
  event: string;
  to: HookTarget;
}
/**
 * 4xx: the error that the client gets; `rejected` without a valid code
 */
export interface HookErrorAnswer {
  code?: string;
  message?: string;
}
/**
 * 200: actions, then the acknowledgement
 */
export interface HookEventAnswer {
  /**
   * The arguments; `{status:"ok"}` if omitted
   */
  ack?: unknown[];
  disconnect?: {
    reason?: string;
  };
  /**
   * @maxItems 100
   */
  emit?: HookEmit[];
  /**
   * @maxItems 100
   */
  join?: RoomName[];
  /**
   * @maxItems 100
   */
  leave?: RoomName[];
}
/**
 * An event of the application that a client sent. Binary parts are `{"$binary": "<base64>"}`
 */
export interface HookEventRequest {
  /**
   * Whether the client asked for an acknowledgement
   */
  ack: boolean;
  args: unknown[];
  /**
   * As the connect hook returned it for this socket
   */
  data?: unknown;
  event: string;
  /**
   * The webhook-id. The same for a repetition, if the first argument has a `clientId` of 1 to 64 characters
   */
  id: string;
  namespace: string;
  rooms: RoomName[];
  session: string;
  socketId: SocketId;
  timestamp: Timestamp;
  type: "event";
  user: HookUser;
}
export interface JoinRoomAck {
  /**
   * Users, this one included
   */
  members: number;
  /**
   * Every later message reaches this socket live
   */
  position: Position;
  /**
   * Only if `since` was sent: whether no later message is missing
   */
  recovered?: boolean;
  room: RoomName;
  status: "ok";
}
export interface JoinedPayload {
  room: RoomName;
}
export interface LeaveRoomAck {
  room: RoomName;
  status: "ok";
}
export interface LeftPayload {
  code: "forbidden" | "by_backend";
  room: RoomName;
}
export interface Member {
  name: string;
  userId: UserId;
}
export interface MessageAck {
  message: "Message sent successfully";
  status: "ok";
}
export interface MessageClientRequest {
  /**
   * Ignored
   */
  id?: unknown;
  /**
   * Empty or omitted: sent as `no-message!!!`
   */
  message?: string | Bytes | null;
}
export interface MessagePayload {
  message: Content;
  sender: SocketId;
  timestamp: Timestamp;
}
export interface MessageServerPayload {
  /**
   * The name in the sender's token
   */
  fullName: string;
  message: Content;
}
export interface NewMessagePayload {
  content: MessageText;
  /**
   * Compared as text, ids sort in the room's order
   */
  id: Position;
  room: RoomName;
  /**
   * The user; `system` for a backend
   */
  sender: Author;
  timestamp: Timestamp;
}
export interface NotificationDeletedPayload {
  notificationId: Uuid;
  timestamp: Timestamp;
}
export interface NotificationListAck {
  /**
   * There are older ones
   */
  more: boolean;
  /**
   * @maxItems 100
   */
  notifications: {
    createdAt: Timestamp;
    /**
     * As the backend sent it; missing if it sent none
     */
    data?: unknown;
    /**
     * UUID v7; ids sort by age
     */
    id: Uuid;
    message: string;
    read: boolean;
    title: string;
    /**
     * The application defines the types
     */
    type: string;
  }[];
  status: "ok";
  /**
   * Of the whole inbox
   */
  unreadCount: number;
}
export interface NotificationMarkReadAck {
  success: true;
}
export interface NotificationNewPayload {
  notification: {
    /**
     * As the backend sent it; missing if it sent none
     */
    data?: unknown;
    /**
     * UUID v7; ids sort by age
     */
    id: Uuid;
    message: string;
    title: string;
    /**
     * The application defines the types
     */
    type: string;
  };
  timestamp: Timestamp;
}
export interface NotificationUnreadCountPayload {
  timestamp: Timestamp;
  unreadCount: number;
}
export interface PresenceSubscribeAck {
  /**
   * Those who are online now
   */
  online: UserId[];
  status: "ok";
}
export interface PresenceSubscribeRequest {
  /**
   * @maxItems 500
   */
  userIds: UserId[];
}
export interface PrivateMessageAck {
  /**
   * Sessions that it was sent to
   */
  delivered: number;
  messageId: Uuid;
  status: "ok";
}
export interface PrivateMessagePayload {
  content: MessageText;
  from: Author;
  /**
   * The messageId of the acknowledgement
   */
  id: Uuid;
  timestamp: Timestamp;
  to: UserId;
}
export interface PrivateMessageRequest {
  content: MessageText;
  to: UserId;
}
export interface RecentMessagesPayload2 {
  /**
   * True on all but the last
   */
  more: boolean;
  room: RoomName;
}
export interface RoomHistoryAck {
  /**
   * @maxItems 100
   */
  messages: NewMessagePayload[];
  status: "ok";
}
export interface RoomHistoryRequest {
  /**
   * A message's id, exclusive
   */
  before?: string | null;
  /**
   * 50 if omitted
   */
  limit?: number | null;
  room: RoomName;
}
export interface RoomMembersAck {
  count: number;
  /**
   * @maxItems 500
   */
  members: Member[];
  room: RoomName;
  status: "ok";
}
export interface RoomMembersRequest {
  room: RoomName;
}
export interface RoomMessagePayload {
  message: Content;
  room: RoomName;
  sender: SocketId;
  timestamp: Timestamp;
}
export interface RoomMessageRequest {
  message: Content;
  room: RoomName;
}
export interface RoomResetPayload {
  position: Position;
  room: RoomName;
}
export interface SendMessageAck {
  /**
   * What the message has reached, as the room's rule wants: the memory of Redis, a replica, or disk
   */
  durable: "memory" | "replica" | "disk";
  messageId: Position;
  status: "ok";
}
export interface SendMessageRequest {
  /**
   * The same one within 5 minutes is stored once
   */
  clientId?: string | null;
  content: MessageText;
  room: RoomName;
}
export interface SessionEndedPayload {
  at: Timestamp;
  /**
   * Empty if the backend gave none
   */
  reason: string;
}
export interface SessionReplacedPayload {
  at: Timestamp;
}
export interface TokenExpiredPayload {
  expiresAt: Timestamp;
}
export interface TokenExpiringPayload {
  expiresAt: Timestamp;
}
export interface TokenRefreshAck {
  expiresAt: Timestamp;
  status: "ok";
}
export interface TokenRefreshRequest {
  token: string;
}
export interface TypingRequest {
  /**
   * `true` if omitted
   */
  isTyping?: boolean;
  room: RoomName;
}
/**
 * Any JSON without binary parts, at most 64 levels deep
 */
export interface UpdateProductRequest {
  [k: string]: unknown;
}
export interface UserJoinedPayload {
  name: string;
  room: RoomName;
  userId: UserId;
}
export interface UserLeftPayload {
  name: string;
  room: RoomName;
  userId: UserId;
}
export interface UserOfflinePayload {
  timestamp: Timestamp;
  userId: UserId;
}
export interface UserOnlinePayload {
  timestamp: Timestamp;
  userId: UserId;
}
export interface UserTypingPayload {
  isTyping: boolean;
  name: string;
  room: RoomName;
  userId: UserId;
}

/** Events that a client receives in `/`. In `/chat` there is neither presence nor roster. */
export interface ServerToClientEvents {
  /** The first event of every socket in `/` and `/chat`. */
  "authenticated": (data: AuthenticatedPayload) => void;
  /** In place of clients-updated above `roster.max`. */
  "clients-count": (data: ClientsCountPayload) => void;
  /** The ids of all sockets in `/` of the cluster, while there are at most `roster.max`. */
  "clients-updated": (data: ClientsUpdatedPayload) => void;
  /** An event failed, and its sender had not asked for an acknowledgement. */
  "error": (data: ErrorPayload) => void;
  /** After join-room, to the joining socket alone. */
  "joined": (data: JoinedPayload) => void;
  /** To a socket that was removed from a room: `forbidden` if the user's roles do not allow it any more, `by_backend` if a backend decided so. */
  "left": (data: LeftPayload) => void;
  /** From message. It does not name the room. */
  "message": (data: MessagePayload) => void;
  /** From message-client. */
  "message-server": (data: MessageServerPayload) => void;
  /** A stored message, to all members of the room, once and in the room's order. */
  "new-message": (data: NewMessagePayload) => void;
  /** A backend deleted a notification. */
  "notification:deleted": (data: NotificationDeletedPayload) => void;
  /** A backend posted a notification. */
  "notification:new": (data: NotificationNewPayload) => void;
  /** The user marked one notification, or all, as read. */
  "notification:read": (data: NotificationReadPayload) => void;
  /** On connect and with every change, to every socket of the user. */
  "notification:unread_count": (data: NotificationUnreadCountPayload) => void;
  /** From private-message. */
  "private-message": (data: PrivateMessagePayload) => void;
  /** After joined, to the joining socket alone, one or more times: messages, oldest first. */
  "recent-messages": (data: RecentMessagesPayload1, about: RecentMessagesPayload2) => void;
  /** From room-message. */
  "room-message": (data: RoomMessagePayload) => void;
  /** Messages of the room were lost; everything after this position follows. */
  "room-reset": (data: RoomResetPayload) => void;
  /** A backend ended the user's sockets, or their token was revoked; DISCONNECT follows. */
  "session:ended": (data: SessionEndedPayload) => void;
  /** A newer session took the place of this one; DISCONNECT follows. */
  "session:replaced": (data: SessionReplacedPayload) => void;
  /** The token has ended; DISCONNECT follows. */
  "token:expired": (data: TokenExpiredPayload) => void;
  /** The token ends in 60 s: send token:refresh. */
  "token:expiring": (data: TokenExpiringPayload) => void;
  /** A user's first socket joined the room. */
  "user-joined": (data: UserJoinedPayload) => void;
  /** A user's last socket left the room, or has been gone for `presence.grace`. */
  "user-left": (data: UserLeftPayload) => void;
  /** From typing. */
  "user-typing": (data: UserTypingPayload) => void;
  /** A user's last session has been gone for `presence.grace`. */
  "user:offline": (data: UserOfflinePayload) => void;
  /** A user's first session anywhere began. */
  "user:online": (data: UserOnlinePayload) => void;
}

/** Events that a client sends in `/`. In `/chat` there is neither presence nor roster. */
export interface ClientToServerEvents {
  /** The acknowledgement repeats all arguments: measures the round trip. */
  "echo": (...args: any[]) => void;
  /** Answered by joined, recent-messages, and then the acknowledgement. Others get user-joined. */
  "join-room": EmitOne<JoinRoomRequest, JoinRoomAck>;
  /** Others get user-left if it was the user's last socket in the room. */
  "leave-room": EmitOne<LeaveRoomRequest, LeaveRoomAck>;
  /** To everybody in the namespace or in a room, the sender too, as message. */
  "message": EmitOne<MessageRequest, MessageAck>;
  /** To everybody in the namespace, the sender too, as message-server. */
  "message-client": EmitOne<MessageClientRequest, Done>;
  /** The user's notifications, newest first; notification:unread_count follows. */
  "notification:list": Emit<NotificationListRequest, NotificationListAck>;
  /** Marks one notification, or all, as read. */
  "notification:mark_read": EmitOne<NotificationMarkReadRequest, NotificationMarkReadAck>;
  /** The presence of these users, at any size of the cluster; replaces the list before. */
  "presence:subscribe": EmitOne<PresenceSubscribeRequest, PresenceSubscribeAck>;
  /** To every socket of one user, and to the sender's others, as private-message. */
  "private-message": EmitOne<PrivateMessageRequest, PrivateMessageAck>;
  /** Stored messages of a room, oldest first; for members. */
  "room-history": EmitOne<RoomHistoryRequest, RoomHistoryAck>;
  /** The users in a room; for users who may join it. */
  "room-members": EmitOne<RoomMembersRequest, RoomMembersAck>;
  /** To the room's other sockets as room-message; not stored. */
  "room-message": EmitOne<RoomMessageRequest, Done>;
  /** Stored, numbered, and sent to all members as new-message; acknowledged once it is stored. */
  "send-message": EmitOne<SendMessageRequest, SendMessageAck>;
  /** A newer token of the same user: the session goes on until the later end of the two. */
  "token:refresh": EmitOne<TokenRefreshRequest, TokenRefreshAck>;
  /** To the room's other sockets as user-typing, at most once a second. */
  "typing": EmitOne<TypingRequest, Done>;
}

/** Events that a reader of a feed receives */
export interface FeedToClientEvents {
  /** The feed's greeting, the first event after CONNECT. */
  "connection": (data: ConnectionPayload) => void;
  /** An event failed, and its sender had not asked for an acknowledgement. */
  "error": (data: ErrorPayload) => void;
  /** A backend ended the user's sockets, or their token was revoked; DISCONNECT follows. */
  "session:ended": (data: SessionEndedPayload) => void;
  /** The token has ended; DISCONNECT follows. */
  "token:expired": (data: TokenExpiredPayload) => void;
  /** The token ends in 60 s: send token:refresh. */
  "token:expiring": (data: TokenExpiringPayload) => void;
  /** An update from a backend, or from a reader's updateProduct. */
  "updates": (data: UpdatesPayload) => void;
}

/** Events that a reader of a feed sends */
export interface ClientToFeedEvents {
  /** A newer token of the same user: the session goes on until the later end of the two. */
  "token:refresh": EmitOne<TokenRefreshRequest, TokenRefreshAck>;
  /** An update from a reader with one of the feed's roles; everybody gets updates. */
  "updateProduct": Emit<UpdateProductRequest, Done>;
}

/** An event with one argument, with or without an acknowledgement. */
type EmitOne<D, A> = (...args: [data: D] | [data: D, ack: (answer: A | ErrorAck) => void]) => void;
/** An event whose argument may be omitted. */
type Emit<D, A> = (...args: [data?: D] | [data: D, ack: (answer: A | ErrorAck) => void] | [ack: (answer: A | ErrorAck) => void]) => void;
/** The arguments of an event without the acknowledgement. */
type Sent<F extends (...args: any[]) => void> = Parameters<F> extends infer P
  ? P extends [...infer D, (...args: any[]) => any] ? D : never : never;
/** The answer of an event. */
type Answer<F extends (...args: any[]) => void> = Parameters<F> extends infer P
  ? P extends [...any[], (answer: infer A) => any] ? A : never : never;
type Anything = (...args: any[]) => void;
interface Asks<Emit> {
  emitWithAck<E extends keyof Emit>(
    event: E,
    ...args: Emit[E] extends Anything ? Sent<Emit[E]> : never
  ): Promise<Emit[E] extends Anything ? Answer<Emit[E]> : never>;
}
interface AsksInTime<Emit> extends Asks<Emit> {
  emit<E extends keyof Emit>(
    event: E,
    ...args: Emit[E] extends Anything
      ? [...Sent<Emit[E]>, ack: (error: Error | null, answer: Answer<Emit[E]>) => void]
      : never
  ): unknown;
}

/**
 * A socket in `/` or `/chat`, with the types of `emitWithAck` and `timeout`, which
 * `Socket<ServerToClientEvents, ClientToServerEvents>` does not have. `Listen` and `Own` are events of the
 * application.
 */
export type JackfieldSocket<Listen = {}, Own = {}> = Asks<ClientToServerEvents & Own> & {
  timeout(ms: number): AsksInTime<ClientToServerEvents & Own>;
} & Socket<ServerToClientEvents & Listen, ClientToServerEvents & Own>;

/** A socket of a feed. */
export type JackfieldFeed = Asks<ClientToFeedEvents> & Socket<FeedToClientEvents, ClientToFeedEvents>;
