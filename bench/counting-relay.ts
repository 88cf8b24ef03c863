/** A relay for TCP connections that counts the bytes of both directions: what two programs really say, whatever they think they said. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface CountingRelay {
  readonly port: number
  /** Bytes that have come from either side since the last `reset`. */
  bytes(): number
  reset(): void
  /** Ends all connections. */
  close(): Promise<void>
}

/** Listens on a free port of loopback; each connection is passed on to `targetPort`. */
export async function startCountingRelay(targetPort: number): Promise<CountingRelay> {
  let bytes = 0
  const sockets = new Set<Socket>()
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (to.write(chunk)) return
      from.pause()
      to.once('drain', () => from.resume())
    })
    from.on('end', () => to.end())
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
  }
  const server = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true })
    pass(near, far)
    pass(far, near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return {
    port: address.port,
    bytes: () => bytes,
    reset: () => void (bytes = 0),
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
