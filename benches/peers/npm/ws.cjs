// Echo and broadcast on ws and Node: one thread, no compression, bufferutil for the masks (its own
// advice). `/broadcast` is the loop over the clients that its documentation gives.
'use strict';
const { WebSocketServer, WebSocket } = require('ws');

const BROADCAST = '/broadcast';
const server = new WebSocketServer(
  { host: '127.0.0.1', port: 0, backlog: 4096, perMessageDeflate: false, maxPayload: 4 << 20 },
  () => console.log(`listening on ws://127.0.0.1:${server.address().port}`),
);
const members = new Set();

server.on('connection', (socket, request) => {
  socket.on('error', () => socket.terminate());
  if (request.url === BROADCAST) {
    members.add(socket);
    socket.on('close', () => members.delete(socket));
    socket.on('message', (data, binary) => {
      for (const member of members) {
        if (member.readyState === WebSocket.OPEN) member.send(data, { binary });
      }
    });
  } else {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  }
});

// For the row of idle connections only: what a collector would free is no cost of a connection.
if (process.env.PEER_IDLE) setInterval(() => globalThis.gc(), 1000);
