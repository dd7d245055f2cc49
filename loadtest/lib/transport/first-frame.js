// k6 throws away what a server sends before k6's event loop has heard that the WebSocket is open. A Socket.IO server speaks
// first, and its open packet was lost in 1 of 2,500 handshakes here: the client then says nothing, and the server closes the
// connection after `limits.connectTimeout`. So where the first frame is not the open packet, or none comes for a while,
// another WebSocket is begun, once: a server that never sends it is found out by the second.

// How long the open packet may take, in ms.
const PATIENCE = 1000;

// Transports over WebSockets that `begin(handlers)` opens: `{send(frame), close()}`, and tells `opened()`, `frame(text)` and
// `closed(why)`.
export function seeingTheFirstFrame(begin, patience = PATIENCE) {
  return (handlers) => {
    let link = null;
    const attempt = (isLast) => {
      // By this a late word of the first WebSocket is told from the second one's.
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
