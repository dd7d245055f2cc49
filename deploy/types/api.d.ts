// Generated from docs/openapi.json by `npm run --prefix e2e types`: do not edit.

export interface paths {
    "/v1/batch": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Makes up to 1,000 calls, one after the other.
         * @description Each needs the scope that it needs alone. Calls that cannot begin within 25 seconds are answered with 503 and not made.
         */
        post: operations["batch"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/emit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Emits an event.
         * @description With `ack`, to at most 1,000 sockets: more are refused as `too_many_receivers`, before anyone gets the event.
         */
        post: operations["emit"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/facts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The facts, in order. */
        get: operations["facts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/feeds/{feed}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Publishes an update. */
        post: operations["publish"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/hooks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The configured hooks. */
        get: operations["hooks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/hooks/{name}/dead": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A hook's dead facts. */
        get: operations["dead"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/hooks/{name}/dead/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Sends dead facts again, for another day. They come after facts that were delivered meanwhile. */
        post: operations["retry"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/nodes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The live nodes. */
        get: operations["nodes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/rooms/{room}/join": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Lets sockets into a room: each gets `joined` `{room}` and every message from then on, in the order of its own events.
         *     Sockets that would be in more than `limits.rooms` rooms stay out.
         */
        post: operations["join"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/rooms/{room}/leave": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Makes sockets leave a room: each gets `left` `{room, code: "by_backend"}`, in the order of its own events. */
        post: operations["leave"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/rooms/{room}/members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The members of a room, on all nodes. */
        get: operations["members"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/rooms/{room}/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A room's stored messages. */
        get: operations["history"];
        put?: never;
        /** Sends a message to a room as the system. The message is stored like any other. */
        post: operations["send"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/stats": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Users, sockets and rooms of the whole cluster. */
        get: operations["stats"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/notifications": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Notifies many users. */
        post: operations["notify_many"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Whether many users are online. */
        post: operations["status_of_many"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether a user is online. */
        get: operations["status_of_one"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}/disconnect": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ends a user's sockets: the sessions, and the subscriptions to feeds that sent a token of the user. */
        post: operations["disconnect"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}/notifications": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A user's notifications. */
        get: operations["list"];
        put?: never;
        /** Notifies a user: stores the notification, and sends it to the user's devices. */
        post: operations["notify"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}/notifications/{notificationId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Deletes a notification, and notifies the user's devices. */
        delete: operations["delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{id}/revoke": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Revokes a user's tokens. */
        post: operations["revoke"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description The clients' acknowledgements. */
        Acknowledged: {
            /** @description In the order of arrival. */
            acks: components["schemas"]["Acknowledgement"][];
            /** @description Sockets that did not answer in time, or answered more than 64 KiB, or more than 1 MiB together with the others. */
            missing: number;
        };
        /** @description One client's acknowledgement. */
        Acknowledgement: {
            /** @description Its arguments. `{"$binary": "<base64>"}` anywhere in them is a binary part. */
            args: Record<string, never>[];
            socketId: string;
            user: string;
        };
        /** @description One call. */
        BatchCall: {
            /** @description The call's body. */
            body: Record<string, never>;
            /** @description As the header `Idempotency-Key` of a call of its own. */
            idempotencyKey?: string | null;
            /** @description Always `POST`. */
            method: components["schemas"]["CallMethod"];
            /**
             * @description The path of a POST endpoint, except this one.
             * @example /v1/emit
             */
            path: string;
        };
        /** @description Calls in their order. */
        BatchRequest: {
            calls: components["schemas"]["BatchCall"][];
        };
        /** @description One call's result. */
        BatchResult: {
            /** @description The answer; `null` if there is none. */
            body?: Record<string, never> | null;
            /**
             * Format: int32
             * @description The HTTP status.
             */
            status: number;
        };
        /** @description The calls' results in their order. */
        BatchResults: {
            results: components["schemas"]["BatchResult"][];
        };
        /**
         * @description The method of a call.
         * @enum {string}
         */
        CallMethod: "POST";
        /**
         * @description The kind of change.
         * @enum {string}
         */
        Change: "CREATE" | "UPDATE" | "DELETE";
        /** @description A fact that was given up. */
        DeadFact: {
            /**
             * Format: date-time
             * @description When it was given up.
             */
            at: string;
            fact: components["schemas"]["Fact"];
            /**
             * @description The last failure: a status, or what was wrong.
             * @example status_400
             */
            reason: string;
        };
        /** @description The facts that a hook refused until the end of their term, by partition. */
        DeadFacts: {
            /** @description At most 1,000 of each of the 16 partitions: the last that were given up. */
            dead: components["schemas"]["DeadFact"][];
        };
        /** @description Why the user is disconnected. */
        DisconnectRequest: {
            /** @description The reason that the clients receive. */
            reason?: string | null;
        };
        /** @description Number of sessions that are being ended. Subscriptions to feeds end, too, but are not counted. */
        Disconnected: {
            sessions: number;
        };
        /**
         * @description The durability that it has reached, as the rule of the room or feed wants it: the memory of Redis, a replica of it, or its disk.
         * @enum {string}
         */
        Durable: "memory" | "replica" | "disk";
        /** @description An event and its receivers. */
        EmitRequest: {
            /** @description Waits for the clients' acknowledgements, and answers them with 200. Clients that are away are not asked. */
            ack?: boolean;
            /** @description The node adds `timestamp`, the time of sending. `{"$binary": "<base64>"}` anywhere in it is a binary part. */
            data?: Record<string, never>;
            /**
             * @description 1 to 128 characters, and none of Socket.IO's own (`connect`, `disconnect`, …).
             * @example data:updated
             */
            event: string;
            /**
             * Format: int32
             * @description With `ack`: how long to wait, in milliseconds; 5,000 if omitted.
             */
            timeout?: number | null;
            to: components["schemas"]["To"];
        };
        /** @description Number of sessions that the event was sent to; omitted for rooms and everyone. */
        Emitted: {
            delivered?: number | null;
        };
        /** @description Every error's body. */
        Error: {
            /**
             * @description Stable, for programs.
             * @example validation_failed
             */
            code: string;
            /**
             * @description The status's standard phrase.
             * @example Bad Request
             */
            error: string;
            /** @description For people: a list for validation errors, one sentence otherwise. */
            message: components["schemas"]["ErrorMessage"];
            /**
             * Format: int32
             * @description The HTTP status, repeated.
             * @example 400
             */
            statusCode: number;
        };
        /** @description The text for people: a list for validation errors, one sentence otherwise. */
        ErrorMessage: string | string[];
        /** @description A fact, as hooks get it. */
        Fact: {
            data: Record<string, never>;
            /** @description Stable: the same in every repetition. */
            id: string;
            /** Format: date-time */
            timestamp: string;
            /** @example session.ended */
            type: string;
        };
        /** @description Facts by their time; those about one user, and those about one room, in their order. */
        Facts: {
            /** @description Continues after these facts. */
            cursor: string;
            /**
             * Format: int64
             * @description How many facts after the cursor are no longer kept.
             */
            dropped?: number;
            facts: components["schemas"]["Fact"][];
            /** @description Whether more facts follow now. */
            more: boolean;
            /** @description Redis lost data: facts after the cursor may be missing. */
            reset?: boolean;
        };
        /** @description An update for a feed's subscribers. */
        FeedRequest: {
            /** @description Anything, at most 64 KiB of JSON, nested less than 64 levels deep. */
            data: unknown;
            /**
             * @description The feed's configured entity if omitted.
             * @example PRODUCTOS
             */
            entity?: string | null;
            type: components["schemas"]["Change"];
        };
        /** @description Oldest first. */
        History: {
            messages: components["schemas"]["StoredMessage"][];
        };
        /** @description A configured hook. The numbers are those of the node that answers, since its start, but for `delivery`. */
        Hook: {
            /**
             * @description `open` while the backend does not answer: one call at a time is sent, as a probe.
             * @enum {string}
             */
            breaker: "closed" | "open";
            /** @description Calls so far, by outcome. */
            calls: Record<string, never>;
            /** @description Whether it decides who joins the namespace. */
            connect: boolean;
            delivery?: null | components["schemas"]["HookDelivery"];
            /** @description Patterns of the events that it handles. */
            events: string[];
            /** @description Patterns of the facts that it gets. */
            facts: string[];
            lastError?: null | components["schemas"]["HookError"];
            name: string;
            namespace: string;
            /** @description Calls that are open. */
            open: number;
            /**
             * Format: int64
             * @description Milliseconds that a call may take.
             */
            timeoutMs: number;
            /** @description Without its query. */
            url: string;
        };
        /** @description The delivery of facts to a hook, in the whole cluster. */
        HookDelivery: {
            /**
             * Format: int64
             * @description Facts that it refused for a whole day.
             */
            dead: number;
            /**
             * Format: int64
             * @description Facts that were no longer kept when they were due, and dead ones beyond 1,000 in a partition.
             */
            dropped: number;
            /** @description Why. */
            error?: string | null;
            /**
             * Format: int64
             * @description Facts that the hook refused, and those that wait behind them.
             */
            parked: number;
            /**
             * Format: date-time
             * @description Until when nothing is sent, because the hook does not answer; at the latest in any partition.
             */
            pausedUntil?: string | null;
            /**
             * Format: int64
             * @description Recorded facts of all kinds that the hook has not got to.
             */
            waiting: number;
        };
        /** @description The last call that failed. */
        HookError: {
            /** Format: date-time */
            at: string;
            outcome: string;
            /** @description At most 256 characters. */
            reason: string;
        };
        /** @description In the order of the configuration. */
        HookList: {
            hooks: components["schemas"]["Hook"][];
            /** @description The node that answers. */
            node: string;
        };
        /** @description Newest first. */
        Listed: {
            /** @description Whether there are older notifications. */
            more: boolean;
            notifications: components["schemas"]["Notification"][];
            /** Format: int64 */
            unreadCount: number;
        };
        /** @description One user. */
        Member: {
            name: string;
            userId: string;
        };
        /** @description A room's members. */
        Members: {
            /** @description Number of users, not of sockets. */
            count: number;
            /** @description At most 500 of the users. */
            members: components["schemas"]["Member"][];
            room: string;
        };
        /** @description A message. */
        MessageRequest: {
            content: string;
            /** @description `/` if omitted. */
            namespace?: string | null;
        };
        /** @description A live node, as of its last heartbeat. */
        Node: {
            /** @description Host and internal port. */
            address: string;
            /**
             * Format: int64
             * @description Seconds since `startedAt`.
             */
            age: number;
            /** @description The node is shutting down. */
            draining: boolean;
            id: string;
            /** @description One for each namespace that a connection is in. */
            sockets: number;
            /** Format: date-time */
            startedAt: string;
            version: string;
        };
        /** @description Sorted by id. */
        Nodes: {
            nodes: components["schemas"]["Node"][];
        };
        /** @description A stored notification. */
        Notification: {
            createdAt: string;
            data?: unknown;
            id: string;
            message: string;
            read: boolean;
            title: string;
            type: string;
        };
        /** @description A notification for one user. */
        NotificationRequest: {
            /** @description Anything, at most 16 KiB of JSON, nested less than 64 levels deep. */
            data?: unknown;
            message: string;
            title: string;
            /** @example info */
            type: string;
        };
        /** @description A notification for many users. */
        NotificationsRequest: {
            /** @description Anything, at most 16 KiB of JSON, nested less than 64 levels deep. */
            data?: unknown;
            message: string;
            title: string;
            /** @example info */
            type: string;
            userIds: string[];
        };
        /** @description The request was sent to the nodes. */
        Ordered: Record<string, never>;
        /** @description The update was stored, and is being sent. */
        Published: {
            durable: components["schemas"]["Durable"];
            /** @description Ids sort in the feed's order. */
            id: string;
        };
        /** @description The facts are being sent again. */
        Retried: {
            /** @description How many: those that were still dead. */
            retried: number;
        };
        /** @description The facts to send again. */
        RetryRequest: {
            /** @description All if omitted. */
            ids?: string[] | null;
        };
        /** @description The tokens: without `sid` and `jti`, all tokens of the user that were issued until now. */
        RevokeRequest: {
            /** @description The token that is revoked: its claim `jti`. */
            jti?: string | null;
            /** @description The reason that the clients receive. */
            reason?: string | null;
            /** @description The login whose tokens are revoked: the tokens' claim `sid`, or the one that the issuer's setting names. */
            sid?: string | null;
        };
        /** @description The revocation. */
        Revoked: {
            /**
             * Format: date-time
             * @description Until then it is kept: tokens that are valid for longer would be accepted again.
             * @example 2026-01-01T00:00:00.000Z
             */
            until: string;
        };
        /** @description These sockets in the namespace. */
        RoomSockets: {
            /** @description `/` if omitted. */
            namespace?: string | null;
            /** @description Their public ids: `socket.id` on the clients. */
            sockets: string[];
        };
        /** @description Exactly one of `users`, `sockets`. */
        RoomSocketsRequest: components["schemas"]["RoomUsers"] | components["schemas"]["RoomSockets"];
        /** @description All sockets of these users in the namespace. */
        RoomUsers: {
            /** @description `/` if omitted. */
            namespace?: string | null;
            users: string[];
        };
        /** @description The message was stored. */
        Sent: {
            durable: components["schemas"]["Durable"];
            messageId: string;
        };
        /** @description The whole cluster, as of the nodes' last heartbeats. */
        Stats: {
            nodes: number;
            /** @description Rooms with a member on any node. */
            rooms: number;
            /** @description One for each namespace that a connection is in. */
            sockets: number;
            /**
             * @description Users with a session on any node, each counted once. If a node has more than 512 users, the overlap between
             *     nodes is estimated from a sample, and the number is a few per cent off.
             */
            users: number;
        };
        /** @description The users to look up. */
        StatusRequest: {
            userIds: string[];
        };
        /** @description In the order of the request, each user once. */
        Statuses: {
            users: components["schemas"]["UserStatus"][];
        };
        /** @description The notification was stored, and is being sent to the user's devices. */
        Stored: {
            /** @description Number of sessions that it was sent to. */
            delivered: number;
            notificationId: string;
            /** Format: int64 */
            unreadCount: number;
        };
        /** @description The notification was stored for each user, and is being sent. */
        StoredForMany: {
            /** @description Number of sessions that it was sent to. */
            delivered: number;
            /** @description The same for all users. */
            notificationId: string;
            /** @description Number of users. */
            users: number;
        };
        /** @description A stored message. */
        StoredMessage: {
            content: string;
            id: string;
            room: string;
            sender: components["schemas"]["StoredSender"];
            timestamp: string;
        };
        /** @description The sender of a message. */
        StoredSender: {
            id: string;
            name: string;
        };
        /**
         * @description Exactly one of `user`, `users`, `room`, `everyone`, `socket`; `namespace` goes with the last three, and `except` with
         *     all but the last.
         */
        To: components["schemas"]["ToUser"] | components["schemas"]["ToUsers"] | components["schemas"]["ToRoom"] | components["schemas"]["ToEveryone"] | components["schemas"]["ToSocket"];
        /** @description All sockets in a namespace. */
        ToEveryone: {
            /** @enum {boolean} */
            everyone: true;
            /** @description These do not get it: ids of sockets, `user:<id>`, names of rooms. */
            except?: string[];
            /** @description `/` if omitted. */
            namespace?: string | null;
        };
        /** @description The members of a room. */
        ToRoom: {
            /** @description These do not get it: ids of sockets, `user:<id>`, names of rooms. */
            except?: string[];
            /** @description `/` if omitted. */
            namespace?: string | null;
            room: string;
        };
        /** @description One socket. */
        ToSocket: {
            /** @description `/` if omitted. */
            namespace?: string | null;
            /** @description Its public id: `socket.id` on the client. */
            socket: string;
        };
        /** @description All sockets of one user. */
        ToUser: {
            /** @description These do not get it: ids of sockets, `user:<id>`, names of rooms. */
            except?: string[];
            user: string;
        };
        /** @description All sockets of these users. */
        ToUsers: {
            /** @description These do not get it: ids of sockets, `user:<id>`, names of rooms. */
            except?: string[];
            users: string[];
        };
        /** @description Whether a user is online. */
        UserStatus: {
            /** @description Agrees with `user:online` and `user:offline`. */
            online: boolean;
            /**
             * Format: date-time
             * @description When the oldest of these connections began.
             * @example 2026-01-01T00:00:00.000Z
             */
            since?: string | null;
            /** @description Connections, on all nodes. */
            sockets: number;
            userId: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    batch: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BatchRequest"];
            };
        };
        responses: {
            /** @description The calls' results in their order */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BatchResults"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    emit: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EmitRequest"];
            };
        };
        responses: {
            /** @description With `ack`: the clients' acknowledgements */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Acknowledged"];
                };
            };
            /** @description The event was sent to the nodes */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Emitted"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    facts: {
        parameters: {
            query?: {
                /** @description The `cursor` of the answer before; from the oldest fact that is kept if omitted. */
                after?: string;
                /** @description 1 to 1000; 100 if omitted. */
                limit?: number;
                /**
                 * @description Names of facts, separated by commas; each may end in `*`. All if omitted.
                 * @example session.*,user.online
                 */
                type?: string;
                /** @description Seconds to wait for a fact if there is none, up to 25; 0 if omitted. */
                wait?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Facts after the cursor */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Facts"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `not_found` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    publish: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /**
                 * @description The feed's configured name
                 * @example productos
                 */
                feed: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["FeedRequest"];
            };
        };
        responses: {
            /** @description Stored, and being sent */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Published"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `not_found` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    hooks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description In the order of the configuration */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HookList"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    dead: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The hook */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Dead facts */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeadFacts"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `not_found` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    retry: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The hook */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RetryRequest"];
            };
        };
        responses: {
            /** @description Being sent again */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Retried"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `not_found` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    nodes: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description By id */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Nodes"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    join: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The room */
                room: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RoomSocketsRequest"];
            };
        };
        responses: {
            /** @description The nodes let the sockets into the room */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ordered"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    leave: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The room */
                room: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RoomSocketsRequest"];
            };
        };
        responses: {
            /** @description The nodes make the sockets leave the room */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ordered"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    members: {
        parameters: {
            query?: {
                /** @description `/` if omitted. */
                namespace?: string;
            };
            header?: never;
            path: {
                /** @description The room */
                room: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The room's members */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Members"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    history: {
        parameters: {
            query?: {
                /** @description `/` if omitted. */
                namespace?: string;
                /** @description Lists messages older than the one with this id; the newest if omitted. */
                before?: string;
                /** @description 1 to 100; 50 if omitted. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description The room */
                room: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Oldest first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["History"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `not_found` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    send: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The room */
                room: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MessageRequest"];
            };
        };
        responses: {
            /** @description Stored, and being sent */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Sent"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    stats: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All nodes together */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Stats"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    notify_many: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NotificationsRequest"];
            };
        };
        responses: {
            /** @description Stored, and being sent */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StoredForMany"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    status_of_many: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["StatusRequest"];
            };
        };
        responses: {
            /** @description Online or not, for each user */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Statuses"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    status_of_one: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The user; for `status` and `notifications`, use POST `/v1/users/status` */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Online or not */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UserStatus"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    disconnect: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The user */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DisconnectRequest"];
            };
        };
        responses: {
            /** @description The nodes are ending the user's sockets */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Disconnected"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    list: {
        parameters: {
            query?: {
                /** @description Lists notifications older than the one with this id; the newest if omitted. */
                before?: string;
                /** @description 1 to 100; 50 if omitted. */
                limit?: number;
            };
            header?: never;
            path: {
                /** @description The user */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Newest first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Listed"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    notify: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The user */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NotificationRequest"];
            };
        };
        responses: {
            /** @description Stored, and being sent */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Stored"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The user */
                id: string;
                /** @description The notification */
                notificationId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Deleted */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `not_found` */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
    revoke: {
        parameters: {
            query?: never;
            header?: {
                /** @description Calls with the same key within five minutes run once. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The user */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RevokeRequest"];
            };
        };
        responses: {
            /** @description The nodes refuse the tokens, and end their sockets */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Revoked"];
                };
            };
            /** @description `validation_failed` */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `invalid_api_key` */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `need_scope` */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `in_progress`, with `Retry-After` */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `payload_too_large` */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unsupported_media_type` */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `idempotency_key_reused`, `too_many_receivers` */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `too_many_attempts`, with `Retry-After`: wrong keys */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
            /** @description `unavailable`, with `Retry-After` */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Error"];
                };
            };
        };
    };
}
