// SPDX-License-Identifier: MIT
// Ports for servers that a test starts again: port.h contains the reason, and the method of reservation.
'use strict';
const dgram = require('node:dgram');
const net = require('node:net');

const FIRST = 20_000, COUNT = 12_000, TRIES = 1000;

const locked = (port) => new Promise((done) => {
  const socket = dgram.createSocket('udp4');
  socket.once('error', () => socket.close(() => done(null)));
  socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => done(socket.unref())); // until the process ends
});
const listens = (port) => new Promise((done) => {
  const server = net.createServer();
  server.once('error', () => done(true));
  server.listen(port, '127.0.0.1', () => server.close(() => done(false)));
});

// Return the first of `count` consecutive ports at which nothing listens, and which no other test gets.
async function reservePort(count = 1) {
  for (let i = 0; i < TRIES; i++) {
    const first = FIRST + Math.floor(Math.random() * (COUNT - count)), locks = [];
    let isFree = true;
    for (let port = first; isFree && port < first + count; port++) {
      const lock = await locked(port);
      if (lock) locks.push(lock);
      isFree = lock !== null && !(await listens(port));
    }
    if (isFree) return first;
    for (const lock of locks) lock.close();
  }
  throw new Error(`no port is free from ${FIRST} on`);
}

module.exports = { reservePort };
