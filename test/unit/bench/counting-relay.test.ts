import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { startCountingRelay } from '../../../bench/counting-relay.ts'

const undoings: (() => void)[] = []
afterEach(() => {
  for (const undo of undoings.splice(0)) undo()
})

describe('the relay that sync benches count with', () => {
  it('passes on and counts what either side says, to the last byte before an end', async () => {
    const server = createServer(socket => {
      socket.on('data', (chunk: Buffer) => {
        socket.write(chunk)
        socket.write(chunk)
      })
      socket.on('end', () => socket.end('bye'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    undoings.push(() => server.close())
    const relay = await startCountingRelay((server.address() as { port: number }).port)
    expect(relay.firstMs()).toBeUndefined()

    const socket: Socket = connect({ port: relay.port, host: '127.0.0.1' })
    let heard = 0
    socket.on('data', (chunk: Buffer) => void (heard += chunk.length))
    socket.end(Buffer.alloc(300_000))
    await once(socket, 'close')
    expect(heard).toBe(600_003)
    expect(relay.bytes()).toBe(900_003)
    expect(relay.firstMs()).toBeDefined()
    relay.reset()
    expect(relay.bytes()).toBe(0)
    await relay.close()
  })
})
