// A client connects in a loop from before the start of the server: its first response is that of the route, and not
// 404.
// node first.mjs NAME VESTRY_BENCH: NAME is the adapter
// SPDX-License-Identifier: MIT
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

const [adapter, bench] = process.argv.slice(2)
const ROUNDS = 4

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

// The status of a response; null: no server listens.
function ask(port) {
  return new Promise(resolve => {
    http.get({ port, host: '127.0.0.1', path: '/stats', agent: false }, answer => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode))
    }).on('error', () => resolve(null))
  })
}

let failed = 0
for (let round = 0; round < ROUNDS; round++) {
  const port = await freePort()
  const server = spawn(bench, ['serve', '--adapter', adapter, '--port', String(port)], { stdio: ['ignore', 'ignore', 'inherit'] })
  let status = null
  while (status === null && server.exitCode === null) status = await ask(port)
  if (status !== 200) {
    console.log(`${adapter}: the first answer is ${status}`)
    failed = 1
  }
  server.kill()
  if (server.exitCode === null) await once(server, 'exit')
}
process.exit(failed)
