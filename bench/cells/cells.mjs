// SPDX-License-Identifier: MIT
// A million check boxes, written by hand on Node with its own http, SQLite and compression, and without a library. The
// program does itself what vestry does for the example cells: it tracks the streams that show each part, renders a
// changed part once for all of them, and keeps the result. All clicks of a turn of the event loop are one transaction.
//
//   node cells.mjs FILE [br]
//   GET /?at=ROW.COLUMN    the page, or its stream          POST /box/BOX/TO    on the disk before the answer
//   GET /stats             number of renders of parts
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { constants, createBrotliCompress } from "node:zlib";

const SIDE = 1000, PART = 10, PARTS = SIDE / PART, SHOWN = 4;

const db = new DatabaseSync(process.argv[2]);
db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" +
        "CREATE TABLE IF NOT EXISTS tick(part INT, box INT, PRIMARY KEY(part, box)) WITHOUT ROWID");
const read = db.prepare("SELECT box FROM tick WHERE part = ?");
const add = db.prepare("INSERT INTO tick(part, box) VALUES(?, ?) ON CONFLICT DO NOTHING");
const remove = db.prepare("DELETE FROM tick WHERE part = ? AND box = ?");

// The parts that at least one stream shows, each with its streams and its last render.
const parts = new Map();
let renders = 0;

function render(number) {
  const ticked = new Set(read.all(number).map((row) => row.box));
  const down = Math.floor(number / PARTS), across = number % PARTS;
  let html = "";
  for (let box = 0; box < PART * PART; box++) {
    const row = down * PART + Math.floor(box / PART), column = across * PART + box % PART;
    html += `<input type="checkbox" value="${row * SIDE + column}" aria-label="${row + 1}, ${column + 1}"` +
      (ticked.has(box) ? " checked>" : ">");
  }
  renders++;
  return html;
}

// A viewer's claim to have a part: its number with eight digits, and the number of its changes with sixteen.
const changed = new Map();
const claimOf = (number) => "~" + number.toString(16).padStart(8, "0") + (changed.get(number) ?? 0).toString(16).padStart(16, "0");
const PAGE = "1".repeat(32) + ".00000000", PART_ALONE = "0".repeat(32) + ".00000000";

const htmlOf = (number) => parts.get(number)?.html ?? render(number);

function join(stream, numbers) {
  for (const number of numbers) {
    let part = parts.get(number);
    if (!part) parts.set(number, part = { html: render(number), streams: new Set() });
    part.streams.add(stream);
  }
}

function leave(stream, numbers) {
  for (const number of numbers) {
    const part = parts.get(number);
    part.streams.delete(stream);
    if (!part.streams.size) parts.delete(number);
  }
}

// The window around a position begins one part before the visible parts.
function windowAt(url) {
  const [row, column] = (url.searchParams.get("at") ?? "0.0").split(".").map((at) =>
    Math.max(0, Math.min(PARTS - SHOWN, Number(at) - 1 || 0)));
  const numbers = [];
  for (let down = row; down < row + SHOWN; down++)
    for (let across = column; across < column + SHOWN; across++) numbers.push(down * PARTS + across);
  return { row, column, numbers };
}

const eventOf = (number) => `event: datastar-patch-elements\ndata: selector #part-${number}\ndata: mode inner\n` +
  `data: has ${PART_ALONE}${claimOf(number)}\ndata: elements ${htmlOf(number)}\n\n`;

function put(at, insideOf) {
  let html = `<main id="content"><div id="at" data-window="${at.row} ${at.column}">`;
  at.numbers.forEach((number, i) => {
    if (i % SHOWN === 0) html += `${i ? "</div>" : ""}<div id="row-${Math.floor(number / PARTS)}">`;
    html += `<div id="part-${number}" data-ignore-morph>${insideOf(number)}</div>`;
  });
  return `${html}</div></div></main>`;
}

// The content of a document that its stream does not have to send again.
const hadOf = ({ numbers }) => `<script>el.had = '${PAGE}${numbers.map(claimOf).join("")}'</script>`;

function open(req, res, at) {
  const head = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform" };
  const isEncoded = process.argv[3] === "br" && /\bbr\b/.test(req.headers["accept-encoding"] ?? "");
  let out = res;
  if (isEncoded) { // quality and window for many streams; the defaults take megabytes for each stream
    head["Content-Encoding"] = "br";
    out = createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_LGWIN]: 18,
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT } });
    out.pipe(res);
  }
  res.writeHead(200, head);
  const stream = (event) => {
    out.write(event);
    if (isEncoded) out.flush(constants.BROTLI_OPERATION_FLUSH);
  };
  join(stream, at.numbers);
  // The viewer keeps the parts that it has; only other parts and parts that have changed meanwhile are sent.
  const had = new Set((req.headers["last-event-id"] ?? "").split("~").slice(1).map((one) => "~" + one));
  const kept = at.numbers.filter((number) => had.has(claimOf(number)));
  const rest = at.numbers.filter((number) => !had.has(claimOf(number)));
  stream(`event: datastar-patch-elements\ndata: has ${PAGE}${kept.map(claimOf).join("")}\n` +
    `data: elements ${put(at, () => "")}\n\n` + rest.map(eventOf).join(""));
  res.on("close", () => {
    leave(stream, at.numbers);
    if (isEncoded) out.destroy();
  });
}

// All clicks of a turn are one transaction. Afterwards all requests are answered, and each part is rendered once.
let waiting = [];
function commit() {
  const pressed = waiting, pressedParts = new Set();
  waiting = [];
  db.exec("BEGIN IMMEDIATE");
  for (const { box, to } of pressed) {
    const row = Math.floor(box / SIDE), column = box % SIDE;
    const number = Math.floor(row / PART) * PARTS + Math.floor(column / PART);
    (to ? add : remove).run(number, row % PART * PART + column % PART);
    pressedParts.add(number);
  }
  db.exec("COMMIT");
  for (const { res } of pressed) res.writeHead(204).end();
  for (const number of pressedParts) {
    changed.set(number, (changed.get(number) ?? 0) + 1);
    const part = parts.get(number);
    if (!part) continue;
    part.html = render(number);
    const bytes = Buffer.from(eventOf(number));
    for (const stream of part.streams) stream(bytes);
  }
}

function press(req, res, box, to) {
  req.resume();
  if (waiting.push({ res, box: Number(box), to: to === "1" }) === 1) setImmediate(commit);
}

const server = createServer((req, res) => {
  const url = new URL(req.url, "http://127.0.0.1"), [, what, box, to] = url.pathname.split("/");
  if (req.method === "POST" && what === "box" && box < SIDE * SIDE) press(req, res, box, to);
  else if (url.pathname === "/stats") res.end(JSON.stringify({ renders }));
  else if (url.pathname !== "/") res.writeHead(404).end();
  else if (req.headers["datastar-request"]) open(req, res, windowAt(url));
  else res.writeHead(200, { "Content-Type": "text/html; charset=utf-8" }).end(`<!doctype html><title>A million check ` +
    `boxes</title><body>${put(windowAt(url), htmlOf)}` + hadOf(windowAt(url)));
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`cells: http://127.0.0.1:${server.address().port}`);
});
