// Echo and broadcast on Bun's server: one thread, no compression, its own publish/subscribe.
const TOPIC = 'all';
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch(request, server) {
    const broadcast = new URL(request.url).pathname === '/broadcast';
    if (server.upgrade(request, { data: broadcast })) return undefined;
    return new Response('this is a WebSocket server', { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    maxPayloadLength: 4 << 20,
    backpressureLimit: 64 << 20,
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      if (socket.data) socket.subscribe(TOPIC);
    },
    message(socket, message) {
      if (socket.data) server.publish(TOPIC, message);
      else socket.send(message);
    },
  },
});
console.log(`listening on ws://127.0.0.1:${server.port}`);

// For the row of idle connections only: what a collector would free is no cost of a connection.
if (process.env.PEER_IDLE) setInterval(() => Bun.gc(true), 1000);
