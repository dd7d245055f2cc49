// The stock client, as the page loads it.

declare const io: typeof import("socket.io-client").io;
