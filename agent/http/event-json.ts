/** Blocks of `text/event-stream` (HTML, section 9.2), each ended by a blank line, and the JSON of the events that are not changes. */
import type { AgentEvent } from '../event-hub.ts'
import { ROLE_NAMES } from './cluster-routes.ts'

const LINE_END = Buffer.from('\n')
const BLOCK_END = Buffer.from('\n\n')

/** What a block holds: any of these, of which `data` makes it an event that is told to the client's program. */
export interface Block {
  readonly comment?: string
  /** Milliseconds that a client waits before it comes back. */
  readonly retryMs?: number
  /** The client's place from here on. */
  readonly id?: string
  readonly event?: string
  /** One line. */
  readonly data?: string | Buffer
}

export function toBlock({ comment, retryMs, id, event, data }: Block): Buffer {
  const fields = [
    ...(comment === undefined ? [] : [`: ${comment}`]),
    ...(retryMs === undefined ? [] : [`retry: ${retryMs}`]),
    ...(event === undefined ? [] : [`event: ${event}`]),
    ...(id === undefined ? [] : [`id: ${id}`]),
  ]
  const head = Buffer.from(fields.join('\n'))
  if (data === undefined) return Buffer.concat([head, BLOCK_END])
  const text = typeof data === 'string' ? Buffer.from(data) : data
  return Buffer.concat([head, LINE_END, Buffer.from('data: '), text, BLOCK_END])
}

/** `data` of an event that is no change. */
export function toEventJson(event: AgentEvent): object {
  switch (event.kind) {
    case 'peer': {
      const { change, reason, peer } = event
      return {
        kind: 'peer',
        change,
        ...(reason === undefined ? {} : { reason }),
        node_id: peer.nodeId,
        node_name: peer.nodeName,
        addr: peer.addr,
        role: ROLE_NAMES[peer.role],
        status: peer.status,
        incarnation: peer.incarnation,
      }
    }
    case 'sync':
      return {
        kind: 'sync',
        peer: event.peer,
        collection: event.collection,
        in_sync: event.inSync,
        entries_sent: event.entriesSent,
        entries_received: event.entriesReceived,
        bytes_sent: event.bytesSent,
        bytes_received: event.bytesReceived,
      }
    case 'role':
      return { kind: 'role', role: ROLE_NAMES[event.role], epoch: event.epoch }
    case 'identity':
      return { kind: 'identity', fault: event.fault, addr: event.addr }
    case 'store':
      return { kind: 'store', recovery: event.recovery, detail: event.detail }
    case 'disk':
      return { kind: 'disk', full: event.isFull, free_bytes: event.freeBytes, reserve_bytes: event.reserveBytes }
  }
}
