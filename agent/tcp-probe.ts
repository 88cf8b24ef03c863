/** Whether anybody listens at an address: what the failure detector asks before it suspects somebody who does not answer by UDP. */
import { createConnection } from 'node:net'
import type { Address } from '../swarm/address.ts'
import type { TcpOutcome } from '../swarm/probe.ts'

/** Connects and closes at once, without a word. `failed`: no answer in time, or no way there. Never rejects. */
export function probeTcp({ host, port }: Address, timeoutMs: number): Promise<TcpOutcome> {
  return new Promise(resolve => {
    const socket = createConnection({ host, port })
    const end = (outcome: TcpOutcome): void => {
      socket.destroy()
      resolve(outcome)
    }
    socket.setTimeout(timeoutMs, () => end('failed'))
    socket.once('connect', () => end('connected'))
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED' ? 'refused' : 'failed'))
  })
}
