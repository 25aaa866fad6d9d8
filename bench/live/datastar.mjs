// SPDX-License-Identifier: MIT
// The official TypeScript SDK on Node, as an application uses it: one process, a generator for each stream. At each
// change, the page is rendered separately for each of its streams, and patched.
//
//   GET /page?topic=T&bytes=N     opens a stream that shows T's text, and N bytes of rows
//   POST /state?topic=T           sets T's text to the body: 204
import { createServer } from "node:http";
import { ServerSentEventGenerator } from "@starfederation/datastar-sdk/node";

const texts = new Map();
const pages = new Map();

const digits = (number) => String(number).padStart(6, "0");
const escape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function render(topic, bytes) {
  let html = `<main id="content"><p>Now: <span id="state">${escape(texts.get(topic) ?? "")}</span></p><ol>`;
  for (let row = 0; row * 64 < bytes; row++)
    html += `<li id="row-${digits(row)}">Row ${digits((row * 7919) % 999983)} of these, as pages have them.</li>`;
  return `${html}</ol></main>`;
}

function subscribe(req, res, topic, bytes) {
  if (!pages.has(topic)) pages.set(topic, new Set());
  const here = pages.get(topic);
  const page = { bytes };
  const keep = (stream) => {
    page.stream = stream;
    here.add(page);
    stream.patchElements(render(topic, bytes));
  };
  ServerSentEventGenerator.stream(req, res, keep, { keepalive: true, onAbort: () => here.delete(page) });
}

async function change(req, res, topic) {
  const parts = [];
  for await (const part of req) parts.push(part);
  texts.set(topic, Buffer.concat(parts).toString());
  for (const page of pages.get(topic) ?? []) page.stream.patchElements(render(topic, page.bytes));
  res.writeHead(204).end();
}

const server = createServer((req, res) => {
  const url = new URL(req.url, "http://127.0.0.1");
  const topic = url.searchParams.get("topic");
  if (url.pathname === "/page") subscribe(req, res, topic, Number(url.searchParams.get("bytes")));
  else if (url.pathname === "/state") change(req, res, topic);
  else res.writeHead(404).end();
});
server.listen({ port: Number(process.argv[2] ?? 0), host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`datastar-sdk: http://127.0.0.1:${server.address().port}`);
});
