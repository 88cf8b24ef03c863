/**
 * What happens around the records: peers that come and go, exchanges that end, a role that changes. Told to whoever listens now and
 * kept nowhere; changes of records have a feed on disk instead (sync/feed.ts).
 */
import type { NodeRole, PeerView } from './http/port.ts'

export interface PeerEvent {
  readonly kind: 'peer'
  readonly change: 'joined' | 'changed' | 'dropped'
  /** What has changed (`restarted`, `address`, `described`, `trust`, `status`), or why the peer is gone (`timeout`, `left`, `dead`). */
  readonly reason?: string
  readonly peer: PeerView
}

/** One collection has been exchanged with one peer. */
export interface SyncEvent {
  readonly kind: 'sync'
  /** Node id. */
  readonly peer: string
  readonly collection: string
  /** Both sides hold the same. */
  readonly inSync: boolean
  readonly entriesSent: number
  readonly entriesReceived: number
  readonly bytesSent: number
  readonly bytesReceived: number
}

export interface RoleEvent {
  readonly kind: 'role'
  readonly role: NodeRole
  readonly epoch: number
}

export type AgentEvent = PeerEvent | SyncEvent | RoleEvent

export interface EventHub {
  publish(event: AgentEvent): void
  /** Calls back at once with every event from now on, until the returned function is called. Listeners do not throw. */
  subscribe(listener: (event: AgentEvent) => void): () => void
}

export function createEventHub(): EventHub {
  const listeners = new Set<(event: AgentEvent) => void>()
  return {
    publish(event) {
      for (const listener of listeners) listener(event)
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
