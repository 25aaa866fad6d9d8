// SPDX-License-Identifier: MIT
// better-sse on Node, as an application uses it: one process, a session for each stream, a channel for the broadcast.
// Its default serializer would write the text as JSON; the text of an event of signals is written as it is.
//
//   GET /sub          joins the broadcast            POST /pub         {"v": BODY} to all
//   GET /sub?key=K    is stored under K              POST /pub?key=K   {"v": BODY} to the stream under K
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const everybody = createChannel();
const keyed = new Map();

async function subscribe(req, res, key) {
  const session = await createSession(req, res, { serializer: (text) => text });
  everybody.register(session);
  if (key === null) return;
  keyed.set(key, session);
  session.once("disconnected", () => {
    if (keyed.get(key) === session) keyed.delete(key);
  });
}

async function publish(req, res, key) {
  const parts = [];
  for await (const part of req) parts.push(part);
  // better-sse writes no space after "data:". With it, the line is the one that the load generator expects of all.
  const text = ` signals {"v":${Buffer.concat(parts)}}`;
  if (key === null) everybody.broadcast(text, "datastar-patch-signals");
  else keyed.get(key)?.push(text, "datastar-patch-signals");
  res.writeHead(204).end();
}

const server = createServer((req, res) => {
  const url = new URL(req.url, "http://127.0.0.1");
  const key = url.searchParams.get("key");
  if (url.pathname === "/sub") subscribe(req, res, key);
  else if (url.pathname === "/pub") publish(req, res, key);
  else res.writeHead(404).end();
});
server.listen({ port: Number(process.argv[2] ?? 0), host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`better-sse: http://127.0.0.1:${server.address().port}`);
});
