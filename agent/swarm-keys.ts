/** The swarm's keys as bytes, by the ids that packets and links name them by. */
import { randomBytes } from 'node:crypto'
import { swarmKeyId } from '../swarm/key-ring.ts'
import type { MemberView } from '../swarm/member.ts'
import { systemHash } from './ports.ts'

export interface SwarmKey {
  /** What packets and links name it by, as a number and as 8 hexadecimal digits; no secret. */
  readonly number: number
  readonly id: string
  /** 32 bytes. */
  readonly bytes: Uint8Array
}

/** `texts`: base64 of 32 bytes each, as HS_SWARM_KEY has them; the first seals. */
export function readSwarmKeys(texts: readonly string[]): SwarmKey[] {
  return texts.map(text => {
    const bytes = new Uint8Array(Buffer.from(text, 'base64'))
    const number = swarmKeyId(bytes, systemHash)
    return { number, id: formatKeyId(number), bytes }
  })
}

/** How far a key has come through the swarm, as this node has last heard of the others. */
export interface KeyUse {
  readonly id: string
  /** This node seals with it. */
  readonly seals: boolean
  readonly peers: number
  readonly peersSealing: number
  readonly peersHolding: number
}

/** For each of this node's keys, in their order. */
export function countKeyUse(keys: readonly SwarmKey[], members: readonly MemberView[]): KeyUse[] {
  return keys.map(({ id, number }, at) => ({
    id,
    seals: at === 0,
    peers: members.length,
    peersSealing: members.filter(({ keyId }) => keyId === number).length,
    peersHolding: members.filter(({ keyIds }) => keyIds.includes(number)).length,
  }))
}

/** A new key: 32 random bytes, as HS_SWARM_KEY takes them. */
export function makeSwarmKey(): string {
  return randomBytes(32).toString('base64')
}

export function formatKeyId(keyId: number): string {
  return keyId.toString(16).padStart(8, '0')
}
