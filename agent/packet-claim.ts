/** What a datagram says of its sender in the clear, whether or not anybody believes it. */
import { decodeHeader } from '../swarm/packet.ts'

export interface PacketClaim {
  /** `agent`: it has our magic; `json`: it begins as a JSON object does (HyperspaceDB's heartbeats are such); else `other`. */
  readonly kind: 'agent' | 'json' | 'other'
  /** Of the wire format; undefined unless it is an agent's. */
  readonly version: number | undefined
  /** These are undefined where the header cannot be read. */
  readonly nodeId: string | undefined
  /** 0: not sealed. */
  readonly keyId: number | undefined
  /** What the sender's swarm name comes down to: 16 hexadecimal digits. */
  readonly swarmTag: string | undefined
  /** It says that it went to the discovery group. */
  readonly isMulticast: boolean
}

export function readPacketClaim(bytes: Uint8Array): PacketClaim {
  const isAgent = bytes[0] === 0x68 && bytes[1] === 0x73
  const header = isAgent ? decodeHeader(bytes) : undefined
  const known = typeof header === 'object' ? header : undefined
  return {
    kind: isAgent ? 'agent' : bytes[0] === 0x7b ? 'json' : 'other',
    version: isAgent ? bytes[2] : undefined,
    nodeId: known?.nodeId,
    keyId: known?.keyId,
    swarmTag: known?.swarm,
    isMulticast: known?.multicast ?? false,
  }
}
