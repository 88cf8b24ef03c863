/**
 * The swarm's keys: the first seals, all of them open, so that a key can be replaced while the swarm runs (docs/operating.md).
 *
 * A packet names its key by an id, the leading 4 bytes of SHA-256("hs-agent swarm key\0" + key), so nothing is tried in vain; an id
 * is never 0. No packet is sealed with a swarm key itself: each boot of each node has its own, HKDF-SHA256 (RFC 5869) of
 *   secret  the swarm key
 *   salt    SHA-256("hs-agent swarm\0" + swarm name), all 32 bytes: swarms of different names share no key
 *   info    "hs-agent gossip 1\0", node id (16), boot id (8)
 * so that a packet counter is a nonce that no two packets under one key share.
 */
import { assert } from '../base/assert.ts'
import { concatBytes, EMPTY, fromHex, readU32 } from '../base/bytes.ts'
import type { Aead, Cryptography, Hash } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import { parseNodeId } from './identity.ts'
import type { BootId, NodeId } from './identity.ts'
import { hashSwarmName } from './packet.ts'

const KEY_ID_LABEL = encodeUtf8('hs-agent swarm key\0') ?? EMPTY
const GOSSIP_LABEL = encodeUtf8('hs-agent gossip 1\0') ?? EMPTY

/** Keys that one node holds at a time. */
export const SWARM_KEYS_MAX = 8

export interface KeyRing {
  /** Of the key that seals; 0 when the swarm is open. */
  readonly sealingId: number
  /** Of all keys, the one that seals first. */
  readonly ids: readonly number[]
  has(keyId: number): boolean
  /** The cipher of one boot of one node; `has(keyId)` must hold. Costs microseconds: seal.ts keeps those in use. */
  /** Other keys from now on; at least one, and an open ring stays open. */
  replace(keys: readonly Uint8Array[]): void
  derive(keyId: number, sender: { readonly nodeId: NodeId; readonly bootId: BootId }): Aead
}

/** A number from 1 to 2^32 - 1. */
export function swarmKeyId(key: Uint8Array, hash: Hash): number {
  return readU32(hash.sha256(concatBytes(KEY_ID_LABEL, key)), 0) || 1
}

/** `keys`: 32 bytes each; none makes an open swarm. */
export function createKeyRing(
  keys: readonly Uint8Array[],
  swarmName: string,
  ports: { readonly hash: Hash; readonly cryptography: Cryptography },
): KeyRing {
  const salt = hashSwarmName(swarmName, ports.hash)
  const byId = (keys: readonly Uint8Array[]): Map<number, Uint8Array> => new Map(keys.map(key => [swarmKeyId(key, ports.hash), key]))
  let keyById = byId(keys)
  let ids = [...keyById.keys()]
  return {
    get sealingId() {
      return ids[0] ?? 0
    },
    get ids() {
      return ids
    },
    replace(replacing) {
      assert(ids.length > 0 === replacing.length > 0, 'a swarm does not become open or sealed while it runs')
      keyById = byId(replacing)
      ids = [...keyById.keys()]
    },
    has: keyId => keyById.has(keyId),
    derive(keyId, { nodeId, bootId }) {
      const info = concatBytes(GOSSIP_LABEL, parseNodeId(nodeId) ?? EMPTY, fromHex(bootId) ?? EMPTY)
      return ports.cryptography.createAead(ports.cryptography.deriveKey(keyById.get(keyId) ?? EMPTY, salt, info))
    },
  }
}
