// SPDX-License-Identifier: MIT
// An HTTP proxy between Chromium and a server, which simulates network faults. It speaks HTTP/1.1 with the browser, and
// HTTP/2 with a server that has TLS. It requests no encoding from the server,
// so that it can read the data.
'use strict';
const http = require('node:http');
const http2 = require('node:http2');
const { once } = require('node:events');

// Return a function like http.request that sends all requests over one connection of HTTP/2, as long as that is open.
function overHttp2(t, server) {
  const without = new Set(['connection', 'host', 'keep-alive', 'transfer-encoding', 'upgrade']);
  let session = null;
  t.after(() => session?.destroy());
  return ({ method, path, headers }, then) => {
    if (!session || session.closed || session.destroyed)
      session = http2.connect(server.url, { rejectUnauthorized: false }).on('error', () => {});
    const rest = Object.fromEntries(Object.entries(headers).filter(([name]) => !without.has(name)));
    const up = session.request({ ...rest, ':method': method, ':path': path, ':authority': headers.host });
    up.on('aborted', () => up.destroy(new Error('reset'))); // also for the code CANCEL, which Node takes for no error
    return up.on('response', ({ ':status': statusCode, ...fields }) =>
      then(Object.assign(up, { statusCode, headers: fields })));
  };
}

/** Start a proxy in front of a server.
 *  fail        number of next streams that get `failWith`, a status (502)
 *  cutAfter    cut each open stream after this number of further bytes; null: do not
 *  end()       end open streams, as if the server had ended them
 *  lose()      open streams pass no more data, without a close; new ones do
 *  refuse      a status for answers to streams (leases); 0: pass them
 *  answers     number of answers
 *  isSwallowing  pass nothing in either direction, and close nothing
 *  isHolding   pass a stream only after it has ended; timeOut() of a held one: it gets 504
 *  cutsMs      cut each stream after this time; 0: do not
 *  isStripping  of requests and responses, pass only headers of HTTP itself, and those that describe the content
 *  streams     all so far: { text, open, retry, contents(), signs() } */
async function startProxy(t, server) {
  const proxy = { fail: 0, failWith: 502, refuse: 0, answers: 0, isSwallowing: false, isHolding: false, cutsMs: 0, isStripping: false, streams: [], failed: 0 };
  const sockets = new Set();
  const requestOf = server.url.startsWith('https:') ? overHttp2(t, server) : http.request;
  const held = []; // work to do when the network is back

  const whenPassing = (then) => (proxy.isSwallowing ? held.push(then) : then());
  proxy.swallow = () => (proxy.isSwallowing = true);
  proxy.back = () => {
    proxy.isSwallowing = false;
    for (const then of held.splice(0)) then();
  };
  proxy.cut = () => {
    for (const stream of proxy.streams) if (stream.open) stream.down.destroy();
  };
  proxy.lose = () => {
    for (const stream of proxy.streams) stream.isLost = true;
  };
  proxy.cutAfter = (bytes) => {
    for (const stream of proxy.streams) if (stream.open) stream.left = bytes;
  };
  const openOnes = () => proxy.streams.filter(({ open }) => open);
  proxy.end = () => openOnes().forEach((stream) => stream.end());
  proxy.open = () => openOnes().length;

  const KNOWN = /^(host|connection|content-.*|cookie|set-cookie|transfer-encoding|accept|datastar-request|user-agent|location|origin)$/;
  const strip = (headers) => proxy.isStripping
    ? Object.fromEntries(Object.entries(headers).filter(([name]) => KNOWN.test(name)))
    : { ...headers };

  function hold(stream, from, to, begin) {
    const chunks = [];
    from.on('data', (data) => {
      stream.text += data;
      chunks.push(data);
    });
    from.on('end', () => {
      begin();
      to.end(Buffer.concat(chunks));
    });
    from.on('error', () => to.destroy());
    stream.timeOut = () => {
      from.removeAllListeners('end').removeAllListeners('error').on('error', () => {});
      to.writeHead(504).end(() => from.destroy());
    };
  }

  function follow(stream, from, to) {
    if (proxy.cutsMs) setTimeout(() => to.socket?.destroy(), proxy.cutsMs);
    from.on('data', (data) => {
      if (stream.left !== null && data.length >= stream.left) {
        to.write(data.subarray(0, stream.left), () => to.socket?.destroy());
        from.destroy();
        return;
      }
      if (stream.left !== null) stream.left -= data.length;
      stream.text += data;
      if (!stream.isLost) whenPassing(() => to.write(data));
    });
    from.on('end', () => whenPassing(() => stream.isLost || to.end()));
    from.on('error', () => to.destroy());
  }

  function newStream(to) {
    const stream = { text: '', open: true, left: null, down: to.socket, end: () => to.end() };
    const count = (what) => stream.text.split(`event: ${what}\n`).length - 1;
    stream.contents = () => count('datastar-patch-elements');
    stream.signs = () => stream.text.split('data: signals {}\n').length - 1;
    stream.retry = () => Number(/(?:^|\n)retry: (\d+)\n/.exec(stream.text)?.[1] ?? 0);
    to.on('close', () => (stream.open = false));
    proxy.streams.push(stream);
    return stream;
  }

  function pass(request, answer) {
    const isStream = request.method === 'GET' && request.headers['datastar-request'];
    if (isStream && proxy.fail) {
      proxy.fail--;
      proxy.failed++;
      answer.writeHead(proxy.failWith).end();
      return;
    }
    if (request.headers['vestry-lease']) proxy.answers++;
    if (request.headers['vestry-lease'] && proxy.refuse) {
      answer.writeHead(proxy.refuse).end();
      return;
    }
    const headers = strip(request.headers);
    delete headers['accept-encoding'];
    const up = requestOf(
      { port: server.port, host: '127.0.0.1', method: request.method, path: request.url, headers, agent: false },
      (from) => {
        whenPassing(() => {
          const { connection, 'keep-alive': ignored, ...rest } = strip(from.headers);
          const begin = () => answer.writeHead(from.statusCode, rest);
          const isEvents = isStream && /event-stream/.test(rest['content-type']);
          const stream = isEvents && Object.assign(newStream(answer), { url: request.url, headers });
          if (isEvents && proxy.isHolding) return hold(stream, from, answer, begin);
          begin();
          answer.flushHeaders();
          if (isEvents) follow(stream, from, answer);
          else from.pipe(answer);
        });
      },
    );
    up.on('error', () => answer.destroy());
    answer.on('close', () => whenPassing(() => up.destroy()));
    request.pipe(up);
  }

  const listener = http.createServer((request, answer) => whenPassing(() => pass(request, answer)));
  listener.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  listener.keepAliveTimeout = 60_000;
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  proxy.url = `http://127.0.0.1:${listener.address().port}/`;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return proxy;
}

module.exports = { startProxy };
