/**
 * What happens around the records: peers that come and go, exchanges that end, a role that changes. Told to whoever listens now and
 * kept nowhere; changes of records have a feed on disk instead (sync/feed.ts).
 */
import type { Comeback } from './comeback.ts'
import type { DiskView } from './disk-reserve.ts'
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

/** The role of this node. Published when it changes; a stream of events also begins with the one at that moment. */
export interface RoleEvent {
  readonly kind: 'role'
  readonly role: NodeRole
  readonly epoch: number
}

/** Something is wrong with who this node is. */
export interface IdentityEvent {
  readonly kind: 'identity'
  /** Another process uses this node's id. */
  readonly fault: 'duplicate'
  /** Where that one's gossip comes from. */
  readonly addr: string
}

/** The database came back from damage at this start. A stream of events says so behind the role, as long as the agent runs. */
export interface StoreEvent {
  readonly kind: 'store'
  readonly recovery: Comeback['kind']
  /** In a sentence. */
  readonly detail: string
}

/** The disk has reached its reserve, or has room again. A stream of events says that it is full behind the role, while it is. */
export interface DiskEvent {
  readonly kind: 'disk'
  readonly isFull: boolean
  readonly freeBytes: number
  readonly reserveBytes: number
}

export type AgentEvent = PeerEvent | SyncEvent | RoleEvent | IdentityEvent | StoreEvent | DiskEvent

export const toDiskEvent = ({ isFull, freeBytes, reserveBytes }: DiskView): DiskEvent => ({ kind: 'disk', isFull, freeBytes, reserveBytes })

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
