/** What the robots say of themselves, asked over HTTP: nothing that is shown is made up. */
import type { Robot } from './robot.ts'

export interface RobotView {
  readonly name: string
  /** Undefined while it does not run. */
  readonly pid: number | undefined
  /** Milliseconds since it last heard of each other robot; those that it does not list are not there. */
  readonly heardAgoMsByName: ReadonlyMap<string, number>
  readonly heldByCollection: ReadonlyMap<string, { readonly count: number; readonly digest: string }>
  /** The payload at the key that two robots write, as JSON; undefined where nothing is. */
  readonly contested: string | undefined
  /** Where it believes its peers' gossip sockets to be. */
  readonly peerAddresses: readonly string[]
}

export const CONTESTED = { name: 'map', key: 'door/7' } as const

/** Asks one robot; one that is down, or dies while it is asked, is shown as down. */
export async function observe({ name, running }: Robot): Promise<RobotView> {
  const down = { name, pid: undefined, heardAgoMsByName: new Map(), heldByCollection: new Map(), contested: undefined, peerAddresses: [] }
  if (running === undefined) return down
  const { client, pid } = running
  try {
    const [{ peers }, collections, page] = await Promise.all([
      client.listPeers(),
      client.listCollections(),
      // A listing, since a record or its collection may not be there yet.
      client.listRecords({ name: CONTESTED.name, prefix: CONTESTED.key, limit: 1 }).catch(() => undefined),
    ])
    const record = page?.records[0]
    return {
      name,
      pid,
      heardAgoMsByName: new Map(peers.map(peer => [peer.node_name, peer.last_seen_ago_ms])),
      heldByCollection: new Map(collections.map(held => [held.name, { count: held.record_count, digest: held.digest }])),
      contested: record === undefined ? undefined : JSON.stringify(record.payload),
      peerAddresses: peers.map(peer => peer.gossip_addr),
    }
  } catch (error) {
    // The connection was refused, or ended: it has just died. Anything else is a fault of the demo or of the agent.
    if (error instanceof TypeError && /^(fetch failed|terminated)$/.test(error.message)) return down
    throw error
  }
}

/** Whether all of them run, hold the same collections, and have the same digest of each. */
export function isSame(views: readonly RobotView[], collections: readonly string[]): boolean {
  return collections.every(collection => isSameIn(views, collection))
}

/** The same for one collection. */
export function isSameIn(views: readonly RobotView[], collection: string): boolean {
  const digests = new Set(views.map(({ heldByCollection }) => heldByCollection.get(collection)?.digest))
  return digests.size === 1 && !digests.has(undefined)
}
