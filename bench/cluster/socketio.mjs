// SPDX-License-Identifier: MIT
// Socket.IO, as an application uses it: socketio.mjs PORT [REDIS]. With the port of a Redis server, it is one of several
// processes that its Redis adapter connects.
//
//   ?key=K of a handshake   the socket joins the room K
//   POST /pub               emits "v" with BODY to all sockets of all nodes
//   POST /pub?key=K         the same to the room K
import { createServer } from "node:http";
import { Server } from "socket.io";

const [port, redis] = process.argv.slice(2).map(Number);

const server = createServer(async (req, res) => {
  const url = new URL(req.url, "http://127.0.0.1");
  if (url.pathname === "/stats") return res.end(JSON.stringify({ open: io.engine.clientsCount }));
  if (url.pathname !== "/pub") return res.writeHead(404).end();
  const parts = [];
  for await (const part of req) parts.push(part);
  const key = url.searchParams.get("key");
  (key === null ? io : io.to(key)).emit("v", JSON.parse(Buffer.concat(parts)));
  res.writeHead(204).end();
});

async function redisAdapter() {
  const { createAdapter } = await import("@socket.io/redis-adapter");
  const { createClient } = await import("redis");
  const publisher = createClient({ url: `redis://127.0.0.1:${redis}` });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return createAdapter(publisher, subscriber);
}

const options = { serveClient: false, transports: ["websocket"] };
if (redis) options.adapter = await redisAdapter();
const io = new Server(server, options);
io.on("connection", (socket) => {
  const key = socket.handshake.query.key;
  if (key) socket.join(key);
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`socket.io: http://127.0.0.1:${server.address().port}`);
});
