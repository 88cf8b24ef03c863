/** A relay for TCP connections that counts the bytes of both directions: what two programs really say, whatever they think they said. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface CountingRelay {
  readonly port: number
  /** Bytes that have come from either side since the last `reset`. */
  bytes(): number
  /** When the first of them came, by `performance.now()`; undefined while there are none. */
  firstMs(): number | undefined
  reset(): void
  /** Ends all connections, and every new one, until it is called with false. */
  cut(isCut: boolean): void
  /** Ends all connections. */
  close(): Promise<void>
}

/** Listens on a free port of loopback; each connection is passed on to `targetPort`. */
export async function startCountingRelay(targetPort: number): Promise<CountingRelay> {
  let bytes = 0
  let firstMs: number | undefined
  let isCut = false
  const sockets = new Set<Socket>()
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      firstMs ??= performance.now()
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
    if (isCut) return near.destroy()
    const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true })
    pass(near, far)
    pass(far, near)
    return undefined
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return {
    port: address.port,
    bytes: () => bytes,
    firstMs: () => firstMs,
    reset() {
      bytes = 0
      firstMs = undefined
    },
    cut(isCutNow) {
      isCut = isCutNow
      if (isCut) for (const socket of sockets) socket.destroy()
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
