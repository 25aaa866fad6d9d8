// SPDX-License-Identifier: MIT
// The official TypeScript SDK on Node, as an application uses it: one process, a generator for each
// stream.
//
//   GET /sub          joins the broadcast            POST /pub         {"v": BODY} to all
//   GET /sub?key=K    is stored under K              POST /pub?key=K   {"v": BODY} to the stream under K
//
// datastar.mjs PORT [CERTIFICATE]; with a file that contains a key and its certificate: HTTP/2 over TLS.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import { ServerSentEventGenerator } from "@starfederation/datastar-sdk/node";

const everybody = new Set();
const keyed = new Map();

function subscribe(req, res, key) {
  let mine;
  const forget = () => {
    everybody.delete(mine);
    if (keyed.get(key) === mine) keyed.delete(key);
  };
  const keep = (stream) => {
    mine = stream;
    everybody.add(stream);
    if (key !== null) keyed.set(key, stream);
  };
  ServerSentEventGenerator.stream(req, res, keep, { keepalive: true, onAbort: forget });
}

async function publish(req, res, key) {
  const parts = [];
  for await (const part of req) parts.push(part);
  const signals = `{"v":${Buffer.concat(parts)}}`;
  if (key === null) for (const stream of everybody) stream.patchSignals(signals);
  else keyed.get(key)?.patchSignals(signals);
  res.writeHead(204).end();
}

function handle(req, res) {
  const url = new URL(req.url, "http://127.0.0.1");
  const key = url.searchParams.get("key");
  if (url.pathname === "/sub") subscribe(req, res, key);
  else if (url.pathname === "/pub") publish(req, res, key);
  else res.writeHead(404).end();
}

const [port, certificate] = process.argv.slice(2);
const pair = certificate && readFileSync(certificate);
const server = certificate ? createSecureServer({ key: pair, cert: pair }, handle) : createServer(handle);
server.listen({ port: Number(port ?? 0), host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`datastar-sdk: ${certificate ? "https" : "http"}://127.0.0.1:${server.address().port}`);
});
