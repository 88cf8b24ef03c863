/**
 * With whom data may be exchanged: with nobody who has not been heard itself. With a swarm key, with everybody who has: nobody else is heard. Without one everybody heard is listed, and
 * whoever was met by multicast alone under the default swarm name is not synced with (HS_SWARM_OPEN).
 */
import { DEFAULT_SWARM_NAME } from './options.ts'

export type TrustReason =
  /** It holds the swarm key. */
  | 'key'
  /** HS_SWARM_OPEN is set here. */
  | 'open'
  /** Both carry the same swarm name, and it is not the default one. */
  | 'swarm-name'
  /** Its address stands in our HS_GOSSIP_PEERS. */
  | 'named-by-us'
  /** It told us, by unicast, that our address stands in its HS_GOSSIP_PEERS. */
  | 'named-by-peer'
  /** Others speak of it, and nothing of its own has come yet: listed, not synced. */
  | 'hearsay'
  /** None of these: listed, not synced. */
  | 'not-named'

export interface TrustRule {
  readonly keys: readonly Uint8Array[]
  readonly open: boolean
  readonly swarmName: string
}

export interface TrustedPeer {
  /** When a packet of its own was last taken; -Infinity while there was none. */
  readonly directMs: number
  readonly namedByUs: boolean
  readonly namesUs: boolean
}

/** `named…` as observed; that the swarm names are the same was a condition for reading the packet at all. */
export function judgeTrust(rule: TrustRule, peer: TrustedPeer): TrustReason {
  if (peer.directMs === -Infinity) return 'hearsay'
  if (rule.keys.length > 0) return 'key'
  if (rule.open) return 'open'
  if (rule.swarmName !== DEFAULT_SWARM_NAME) return 'swarm-name'
  if (peer.namedByUs) return 'named-by-us'
  if (peer.namesUs) return 'named-by-peer'
  return 'not-named'
}

export function mayExchange(reason: TrustReason): boolean {
  return reason !== 'not-named' && reason !== 'hearsay'
}
