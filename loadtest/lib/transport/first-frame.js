// k6 drops the frames that a server sends before k6's event loop has processed the opening of the WebSocket. A
// Socket.IO server sends first, and its open packet was lost in 1 of 2,500 handshakes here: the client then sends
// nothing, and the server closes the connection after `limits.connectTimeout`. So if the first frame is not the open
// packet, or none comes within `patience`, the client opens another WebSocket, once. A server that never sends the
// packet still fails, on the second one.

// How long the open packet may take, in ms.
const PATIENCE = 1000;

// Transports over WebSockets that `begin(handlers)` opens. It returns `{send(frame), close()}`, and calls `opened()`,
// `frame(text)` and `closed(why)`.
export function seeingTheFirstFrame(begin, patience = PATIENCE) {
  return (handlers) => {
    let link = null;
    const attempt = (isLast) => {
      // Identifies this WebSocket, so that late calls from the first one are ignored.
      const mine = { timer: undefined };
      link = mine;
      const again = () => {
        clearTimeout(mine.timer);
        attempt(true);
        mine.socket.close();
      };
      let isFirst = true;
      mine.socket = begin({
        opened: () => {
          if (link === mine && isFirst && !isLast) mine.timer = setTimeout(again, patience);
        },
        frame: (text) => {
          if (link !== mine) return;
          clearTimeout(mine.timer);
          if (isFirst && !isLast && text[0] !== '0') return again();
          isFirst = false;
          return handlers.frame(text);
        },
        closed: (why) => {
          if (link !== mine) return;
          clearTimeout(mine.timer);
          handlers.closed(why);
        },
      });
    };
    attempt(false);
    return {
      send: (text) => link.socket.send(text),
      close: () => {
        const { socket, timer } = link;
        link = null;
        clearTimeout(timer);
        socket.close();
      },
    };
  };
}
