/**
 * Sealing and opening packets: ChaCha20-Poly1305 (RFC 8439) under the key of the sender's boot (key-ring.ts), the nonce being the
 * packet counter (4 zero bytes, then its 8), the associated data the whole clear header. The swarm's name is in the key.
 *
 * Why this cipher: most small ARM boards have no AES instructions; without them AES is slow, and its time tells of the key.
 *
 * Invariants (docs/protocol.md):
 *   G11 with a key nothing is taken that was not sealed with one of ours; without one nothing that is sealed;
 *   G12 a packet that does not authenticate leaves no trace: a derived key is kept only after it has opened a packet.
 */
import { concatBytes, createByteWriter } from '../base/bytes.ts'
import type { Aead } from '../base/ports.ts'
import type { RejectReason } from './events.ts'
import type { BootId, NodeId } from './identity.ts'
import type { KeyRing } from './key-ring.ts'
import { HEADER_BYTES } from './packet.ts'
import type { PacketHeader } from './packet.ts'

const NONCE_BYTES = 12

/** The way out: from a header and a body to a datagram. */
export type SealPacket = (head: Uint8Array, counter: number, body: Uint8Array) => Uint8Array

/** The way in: the body of a datagram, authentic when there is a key. */
export type OpenPacket = (header: PacketHeader, bytes: Uint8Array) => Uint8Array | RejectReason

export function createSeal(ring: KeyRing, own: { readonly nodeId: NodeId; readonly bootId: BootId }): SealPacket {
  let keyId = 0
  let aead: Aead | undefined
  return (head, counter, body) => {
    if (ring.sealingId !== keyId) {
      keyId = ring.sealingId
      aead = ring.derive(keyId, own)
    }
    return concatBytes(head, aead === undefined ? body : aead.seal(nonceOf(counter), head, body))
  }
}

/** `sendersMax`: keys of senders that are kept; the one unused longest goes first. */
export function createOpener(ring: KeyRing, sendersMax: number): OpenPacket {
  const aeadBySender = new Map<string, Aead>()
  return (header, bytes) => {
    const { keyId } = header
    if (ring.sealingId === 0) return keyId === 0 ? bytes.subarray(HEADER_BYTES) : 'sealed'
    if (keyId === 0) return 'not-sealed'
    if (!ring.has(keyId)) return 'unknown-key'
    const sender = `${keyId} ${header.nodeId} ${header.bootId}`
    const aead = aeadBySender.get(sender) ?? ring.derive(keyId, header)
    const body = aead.open(nonceOf(header.counter), bytes.subarray(0, HEADER_BYTES), bytes.subarray(HEADER_BYTES))
    if (body === undefined) return 'bad-seal'
    aeadBySender.delete(sender)
    aeadBySender.set(sender, aead)
    const [oldest] = aeadBySender.keys()
    if (aeadBySender.size > sendersMax && oldest !== undefined) aeadBySender.delete(oldest)
    return body
  }
}

function nonceOf(counter: number): Uint8Array {
  return createByteWriter(NONCE_BYTES).u32(0).u64(counter).finish()
}
