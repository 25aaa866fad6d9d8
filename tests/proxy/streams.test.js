// SPDX-License-Identifier: MIT
// Streams through Debian's nginx and HAProxy, with clients of the test: events pass at once, plain and encoded, over
// TCP and over a UNIX socket; streams survive a reload; clients that leave, or are cut off, are detected in time.
'use strict';
const { describe, it: test } = require('node:test');
const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const { KINDS, IS_ROOT, now, until, program, startProgram, startProxy, abortComesAs, connect1, connect2, persist } =
  require('./proxies.js');

const EVENTS = 20;
const MOST_EVENTS = 1000;
const MOST_STREAMS = { nginx: 128, haproxy: 100 }; // the default maximum for one connection with HTTP/2
const AT_ONCE_MS = 5000; // maximum on a busy machine for results without a wait
const HELD_MS = 150; // data that the kernel holds back for more (MSG_MORE) waits for 200
const clients = { 'HTTP/2': connect2, 'HTTP/1.1': connect1 };
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// Check the guide's statement about each proxy and version; if it changes, the test must fail.
function assertIsAbort(ended, kind, version) {
  const expected = abortComesAs(kind, version);
  if (expected === 'either') assert.ok(ended);
  else assert.equal(ended, expected, `an abort, through ${kind}, over ${version}`);
}

// Each test has its own program and proxy, and mostly waits.
const AT_A_TIME = 3;

describe('streams', { concurrency: AT_A_TIME }, () => KINDS.forEach((kind) => {
  for (const [where, plain] of [['tcp', false], ['unix', false], ['unix', true]]) {
    // capability: C18
    test(`c18: ${kind} over ${where}, ${plain ? 'plain' : 'with TLS'}: events pass at once`, async (t) => {
      const server = await startProgram(t, where);
      const proxy = await startProxy(t, kind, server.upstream, { plain });
      for (const [version, connect] of Object.entries(plain ? { 'HTTP/1.1': connect1 } : clients)) {
        for (const coding of ['identity', 'br', 'gzip']) {
          const client = await connect(t, proxy);
          const stream = await client.open({ 'accept-encoding': coding });
          assert.equal(stream.headers['content-encoding'], coding === 'identity' ? undefined : coding);
          assert.equal(stream.headers['content-type'], 'text/event-stream');
          assert.equal(stream.headers['cache-control'], 'no-cache, no-transform');
          const took = [];
          // Each event must arrive before the next one is sent: data that waits for more never arrives.
          // Data that the kernel holds back never takes less; a busy machine sometimes does.
          for (let n = 1; n <= EVENTS || (Math.min(...took) >= HELD_MS && n <= MOST_EVENTS); n++) {
            const since = now();
            await client.say(n);
            await stream.until(`{"n":${n}}`, AT_ONCE_MS);
            took.push(now() - since);
          }
          assert.ok(Math.min(...took) < HELD_MS, `${took}`);
          t.diagnostic(`${version}, ${coding}: the median of ${took.length} is ${median(took).toFixed(1)} ms, a request and an event`);
          stream.request.destroy();
        }
      }
    });
  }

  if (kind === 'haproxy') { // nginx speaks HTTP/1.1 only with programs
    // capability: C17
    test('c17: haproxy speaks HTTP/2 with the program: events pass, and ends and aborts are detected', async (t) => {
      const server = await startProgram(t, 'unix', { adapter: 'h2' });
      const proxy = await startProxy(t, kind, server.upstream, { h2c: true });
      const kept = {};
      for (const [version, connect] of Object.entries(clients)) {
        const client = await connect(t, proxy);
        const [stays, goes, ends] = [await client.open(), await client.open({ cookie: `large=${'c'.repeat(6000)}` }), await client.open()];
        for (let n = 1; n <= EVENTS; n++) {
          await client.say(n);
          for (const stream of [stays, goes, ends]) await stream.until(`{"n":${n}}`, AT_ONCE_MS);
        }
        const before = await server.seen();
        if (version === 'HTTP/2') goes.request.close(8);
        else goes.request.destroy();
        await until('a client has left', async () => (await server.seen()).open === before.open - 1, AT_ONCE_MS);
        await client.say(EVENTS + 1);
        await stays.until(`{"n":${EVENTS + 1}}`, AT_ONCE_MS);
        kept[version] = stays;
        ends.request.destroy();
        await until('another one, too', async () => (await server.seen()).open === before.open - 2, AT_ONCE_MS);
      }
      await server.stop();
      for (const [version, stream] of Object.entries(kept)) {
        await until('the stream ends', () => stream.ended);
        assertIsAbort(stream.ended, kind, version);
      }
    });
  }

  // capability: C18
  test(`c18: ${kind}: the queue of a stalled reader fills in the program, not in the proxy`, async (t) => {
    const server = await startProgram(t, 'unix');
    const proxy = await startProxy(t, kind, server.upstream);
    const client = connect1(t, proxy);
    await client.open({ stalls: 'yes' });
    // The kernel and the proxy hold some megabytes; then the queue is full, and the stream is closed.
    let n = 0;
    for (; n < 500 && (await server.seen()).full === 0; n++) await client.say(n, '/flood');
    assert.equal((await server.seen()).full, 1);
    t.diagnostic(`full after ${n} events of 64 KiB`);
  });

  // capability: C18
  test(`c18: ${kind}: a clean end and an abort, as the client sees them`, async (t) => {
    const server = await startProgram(t, 'unix');
    const proxy = await startProxy(t, kind, server.upstream);
    for (const connect of Object.values(clients)) {
      const client = await connect(t, proxy);
      const stream = await client.open();
      await client.say(0, '/end');
      await until('the stream ends', () => stream.ended);
      assert.equal(stream.ended, 'clean'); // so a browser does not reconnect
    }
    const streams = {};
    for (const [version, connect] of Object.entries(clients)) streams[version] = await (await connect(t, proxy)).open();
    await server.stop();
    for (const [version, stream] of Object.entries(streams)) {
      await until('the stream ends', () => stream.ended);
      assertIsAbort(stream.ended, kind, version);
    }
  });

  // capability: C18
  test(`c18: ${kind}: a client that leaves is detected at once`, async (t) => {
    const server = await startProgram(t, 'unix'); // its first heartbeat comes after 15 s
    const proxy = await startProxy(t, kind, server.upstream);
    const ways = {
      'a stream that is given up (HTTP/2)': async () => {
        const client = await connect2(t, proxy);
        const stays = await client.open();
        const { request } = await client.open();
        return { leave: () => request.close(8), stays, client };
      },
      'a connection that closes (HTTP/2)': async () => {
        const client = await connect2(t, proxy);
        await client.open();
        return { leave: () => client.session.destroy() };
      },
      'a connection that closes (HTTP/1.1)': async () => {
        const { request } = await connect1(t, proxy).open();
        return { leave: () => request.destroy() };
      },
    };
    for (const [what, prepare] of Object.entries(ways)) {
      const before = await server.seen();
      const { leave, stays, client } = await prepare();
      const there = await server.seen();
      leave();
      const took = await until(what, async () => (await server.seen()).open === there.open - 1, AT_ONCE_MS);
      assert.equal((await server.seen()).hangup, before.hangup + 1);
      if (stays) {
        await client.say(7);
        await stays.until('{"n":7}');
      }
      t.diagnostic(`${what}: ${took.toFixed(0)} ms`);
    }
  });

  // capability: C18
  test(`c18: ${kind}: streams and requests share a connection, up to a hundred`, async (t) => {
    const server = await startProgram(t, 'unix');
    const proxy = await startProxy(t, kind, server.upstream);
    const client = await connect2(t, proxy);
    assert.equal(client.session.remoteSettings.maxConcurrentStreams, MOST_STREAMS[kind]);
    const streams = [];
    while (streams.length < MOST_STREAMS[kind] - 1) streams.push(await client.open());
    await client.say(1); // the last free slot
    for (const stream of streams) await stream.until('{"n":1}');
    assert.equal((await server.seen()).open, streams.length);
  });

  // capability: C18
  test(`c18: ${kind}: the program gets the client's address, and no claims of the client`, async (t) => {
    const server = await startProgram(t, 'tcp');
    const proxy = await startProxy(t, kind, server.upstream);
    await (await connect2(t, proxy)).open({ 'x-forwarded-for': '203.0.113.9' });
    assert.deepEqual((await server.seen()).seen, [{ peer: '127.0.0.1', forwarded: '127.0.0.1' }]);
  });

  // capability: C18
  test(`c18: ${kind}: streams survive a reload, as long as the old workers run`, async (t) => {
    const server = await startProgram(t, 'unix');
    const patient = await startProxy(t, kind, server.upstream);
    const hasty = await startProxy(t, kind, server.upstream, { linger: '2s' });
    for (const connect of Object.values(clients)) {
      const client = await connect(t, patient);
      const stream = await client.open();
      const old = await patient.reload();
      const [after, late] = await persist(async () => {
        const next = await connect(t, patient); // an old worker may accept it, and then send GOAWAY
        let opened;
        try {
          opened = await next.open();
          await next.say(1);
        } catch (error) { // the old worker would not end before this stream does
          opened?.request.destroy();
          next.session?.destroy();
          throw error;
        }
        return [next, opened];
      });
      await stream.until('{"n":1}');
      await late.until('{"n":1}');
      assert.ok(old.some((pid) => patient.workers().includes(pid))); // the worker of the stream still runs
      stream.request.destroy();
      late.request.destroy();
      client.session?.destroy();
      after.session?.destroy();
      await until('the old workers end', () => !old.some((pid) => patient.workers().includes(pid)));
    }
    for (const [version, connect] of Object.entries(clients)) {
      const stream = await (await connect(t, hasty)).open();
      const since = now();
      const old = await hasty.reload();
      await until('the stream is cut', () => stream.ended);
      const took = now() - since;
      assertIsAbort(stream.ended, kind, version);
      await until('the old workers end', () => !old.some((pid) => hasty.workers().includes(pid)));
      assert.ok(took > 1500, `${took} ms`);
      t.diagnostic(`cut ${took.toFixed(0)} ms after the reload, of 2000`);
    }
  });

  // capability: C18
  test(`c18: ${kind}: a silently disconnected client is detected in the configured time`, async (t) => {
    if (!IS_ROOT) return t.skip('a network to cut takes root');
    const ip = program('ip');
    const run = (...words) => spawnSync(ip, words, { encoding: 'utf8' });
    const id = `vp${process.pid % 100000}${kind[0]}`;
    const [near, far] = [`${id}n`, `${id}f`];
    const inside = (name, ...words) => [ip, 'netns', 'exec', name, ...words];
    t.after(() => [near, far].forEach((name) => run('netns', 'del', name)));
    const steps = [['netns', 'add', near], ['netns', 'add', far],
      ['-n', near, 'link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far', 'netns', far],
      ['-n', near, 'addr', 'add', '10.0.0.1/30', 'dev', 'near'], ['-n', far, 'addr', 'add', '10.0.0.2/30', 'dev', 'far'],
      ['-n', near, 'link', 'set', 'near', 'up'], ['-n', far, 'link', 'set', 'far', 'up'],
      // The guide's statement about nginx: the kernel gives up after this number of retransmissions, the first after
      // 200 ms or more.
      ['netns', 'exec', near, 'sh', '-c', 'echo 3 > /proc/sys/net/ipv4/tcp_retries2']];
    for (const step of steps) {
      const { status, stderr } = run(...step);
      if (status !== 0) return t.skip(`no network to cut: ip ${step.join(' ')}: ${stderr}`);
    }
    const heartbeatMs = 500;
    const server = await startProgram(t, 'unix', { heartbeatMs });
    const proxy = await startProxy(t, kind, server.upstream, { address: '10.0.0.1', lost: '2s', prefix: inside(near) });
    for (const version of ['--http2', '--http1.1']) {
      if (version === '--http1.1') run('-n', far, 'link', 'set', 'far', 'up');
      const [command, ...words] = inside(far, 'curl', '-skN', '--retry-connrefused', '--retry', '20', '--retry-delay', '1',
        version, '-H', 'Datastar-Request: true', `${proxy.url}/stream`);
      const client = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(client, 'exit');
      t.after(() => client.kill());
      await once(client.stdout, 'data'); // a heartbeat
      assert.equal((await server.seen()).open, 1);
      const since = now();
      run('-n', far, 'link', 'set', 'far', 'down');
      await until('it is gone', async () => (await server.seen()).open === 0);
      const took = now() - since;
      t.diagnostic(`${version}: gone after ${took.toFixed(0)} ms; a heartbeat is ${heartbeatMs}, ` +
        (kind === 'haproxy' ? 'tcp-ut 2000' : 'three repetitions 3000'));
      assert.ok(took > 1500 && took < 15_000, `${took} ms`);
      client.kill();
      await exited;
    }
  });
}));
