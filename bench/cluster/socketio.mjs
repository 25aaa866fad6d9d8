// SPDX-License-Identifier: MIT
// Socket.IO with its Redis adapter, as an application uses it; one of several processes.
//
//   ?key=K of a handshake   the socket joins the room K
//   POST /pub               emits "v" with BODY to all sockets of all nodes
//   POST /pub?key=K         the same to the room K
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
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

const publisher = createClient({ url: `redis://127.0.0.1:${redis}` });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const io = new Server(server, { adapter: createAdapter(publisher, subscriber), serveClient: false, transports: ["websocket"] });
io.on("connection", (socket) => {
  const key = socket.handshake.query.key;
  if (key) socket.join(key);
});
server.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`socket.io: http://127.0.0.1:${server.address().port}`);
});
