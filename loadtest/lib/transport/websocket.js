// The WebSocket transport, over k6's event loop. Starts as a WebSocket, like a client configured to skip polling.

import { WebSocket } from 'k6/experimental/websockets';

import { seeingTheFirstFrame } from './first-frame.js';

// Transports to the server at this base URL.
export function websocket(baseUrl) {
  const url = `${baseUrl.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`;
  return seeingTheFirstFrame(({ opened, frame, closed }) => {
    const socket = new WebSocket(url);
    socket.onopen = opened;
    socket.onmessage = ({ data }) => frame(data);
    socket.onerror = ({ error }) => closed(`websocket: ${error}`);
    socket.onclose = ({ code }) => closed(`websocket closed: ${code}`);
    return {
      send: (text) => socket.send(text),
      close: () => socket.close(),
    };
  });
}
