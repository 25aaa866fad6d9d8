// SPDX-License-Identifier: MIT
// A server of streams that makes one mistake, at its third event: node faulty.mjs FAULT [h2]; h2: HTTP/2 without TLS.
import http from "node:http";
import http2 from "node:http2";

const [fault, version] = process.argv.slice(2);
const streams = [];
let events = 0;
let held = null; // the event that is sent too late

function publish(body) {
  const event = `event: datastar-patch-signals\ndata: signals {"v":${body}}\n\n`;
  const errs = ++events === 3;
  streams.forEach((stream, i) => {
    if (errs && i === 1) {
      if (fault === "lose") return;
      if (fault === "swap") {
        held = event;
        return;
      }
      if (fault === "twice") stream.write(event);
      if (fault === "end") return void stream.end();
      if (fault === "change") return void stream.write(event.replace("xxx", "xxy"));
    }
    stream.write(event);
    if (held && !errs && i === 1) {
      stream.write(held);
      held = null;
    }
  });
}

const server = (version ? http2 : http).createServer(async (req, res) => {
  if (req.method === "GET") {
    res.writeHead(fault === "refuse" && streams.length === 1 ? 503 : 200, { "Content-Type": "text/event-stream" });
    res.flushHeaders();
    if (!version) res.socket.setNoDelay(true);
    streams.push(res);
    return;
  }
  let body = "";
  for await (const part of req) body += part;
  publish(body);
  res.writeHead(204).end();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
