// A TCP link to a server that can turn into a black hole: it then drops everything, in both directions, and neither
// side notices.

import { connect as connectTcp, createServer } from "node:net";

/** A link to the server of `url`. */
export async function startLink(url) {
  let { port } = new URL(url);
  const sockets = new Set();
  let whole = true;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true });
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.setNoDelay(true);
      // A black hole still reads and so acknowledges everything: the sender's kernel sees no error.
      from.on("data", (data) => whole && to.write(data));
      from.on("end", () => whole && to.end());
      from.on("error", () => whole && to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        if (whole) to.destroy();
      });
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** From now on new connections lead to another server. */
    to: (url) => {
      ({ port } = new URL(url));
    },
    /** From now on nothing comes through, not even an end. */
    swallow: () => {
      whole = false;
    },
    /** Comes back: the connections of before are reset, new ones are whole. */
    mend: () => {
      whole = true;
      for (const socket of sockets) socket.destroy();
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
