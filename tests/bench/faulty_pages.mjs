// SPDX-License-Identifier: MIT
// A server of pages with a fault: the last page does not receive the last of six changes.
import { createServer } from "node:http";

const row = (n) => String(n).padStart(6, "0");
const streams = [];
let text = "";
const event = (bytes) => {
  let rows = "";
  for (let n = 0; n * 64 < bytes; n++)
    rows += `<li id="row-${row(n)}">Row ${row((n * 7919) % 999983)} of these, as pages have them.</li>`;
  const html = `<main id="content"><p>Now: <span id="state">${text}</span></p><ol>${rows}</ol></main>`;
  return `event: datastar-patch-elements\ndata: elements ${html}\n\n`;
};

createServer(async (req, res) => {
  const bytes = Number(new URL(req.url, "http://127.0.0.1").searchParams.get("bytes"));
  if (req.method === "GET") {
    res.writeHead(200, { "Content-Type": "text/event-stream" }).write(event(bytes));
    req.on("close", () => streams.splice(0));
    streams.push({ res, bytes });
    return;
  }
  text = "";
  for await (const part of req) text += part;
  const round = parseInt(text);
  for (const [at, stream] of streams.entries())
    if (at < 4 || round < 6) stream.res.write(event(stream.bytes));
  res.writeHead(204).end();
}).listen(0, "127.0.0.1", function () {
  console.log(`faulty: http://127.0.0.1:${this.address().port}`);
});
