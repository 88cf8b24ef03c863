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
import { concatBytes, EMPTY, fromHex, readU32 } from '../base/bytes.ts'
import type { Aead, Cryptography, Hash } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import { parseNodeId } from './identity.ts'
import type { BootId, NodeId } from './identity.ts'
import { hashSwarmName } from './packet.ts'

const KEY_ID_LABEL = encodeUtf8('hs-agent swarm key\0') ?? EMPTY
const GOSSIP_LABEL = encodeUtf8('hs-agent gossip 1\0') ?? EMPTY

export interface KeyRing {
  /** Of the key that seals; 0 when the swarm is open. */
  readonly sealingId: number
  has(keyId: number): boolean
  /** The cipher of one boot of one node; `has(keyId)` must hold. Costs microseconds: seal.ts keeps those in use. */
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
  const keyById = new Map(keys.map(key => [swarmKeyId(key, ports.hash), key]))
  const [sealingId = 0] = keyById.keys()
  return {
    sealingId,
    has: keyId => keyById.has(keyId),
    derive(keyId, { nodeId, bootId }) {
      const info = concatBytes(GOSSIP_LABEL, parseNodeId(nodeId) ?? EMPTY, fromHex(bootId) ?? EMPTY)
      return ports.cryptography.createAead(ports.cryptography.deriveKey(keyById.get(keyId) ?? EMPTY, salt, info))
    },
  }
}
