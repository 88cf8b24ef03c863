/**
 * The nodes that were heard in HyperspaceDB's own gossip: a table beside the members, for being listed and nothing else. Nothing here
 * reaches the members, their evidence, rumours, seeds, trust or sync, so whatever such a datagram claims, it can only put a marked line
 * into a list (P16).
 *
 * Invariants (docs/protocol.md):
 *   C1 a node is dropped 30 s after its last heartbeat by our monotonic clock; its wall clock decides nothing;
 *   C2 a heartbeat with the id of a member, or our own, is refused; who becomes a member is no longer here;
 *   C3 the table is bounded, as a whole and per host, and newcomers are refused at the bound;
 *   C4 an address that we were not told by the configuration gets at most three times the bytes that came from it.
 */
import { isUnicast } from './address.ts'
import type { Address } from './address.ts'
import { decodeCompatHeartbeat } from './compat-heartbeat.ts'
import type { CompatHeartbeat } from './compat-heartbeat.ts'
import { createSourceLimits } from './token-bucket.ts'
import type { Rate } from './token-bucket.ts'

export interface CompatLimits {
  readonly peersMax: number
  /** Several nodes may share a host, but one host cannot fill the table. */
  readonly peersPerHostMax: number
  /** Datagrams looked at per source host, and hosts with a bucket of their own. */
  readonly sourceRate: Rate
  readonly sourcesMax: number
  /** Theirs: they send every 5 s and drop after 30. */
  readonly intervalMs: number
  readonly timeoutMs: number
  /** An id keeps the host that it was heard from until it was silent for this long. */
  readonly hostHoldMs: number
}

export const COMPAT_LIMITS: CompatLimits = {
  peersMax: 256,
  peersPerHostMax: 32,
  sourceRate: { perSecond: 20, burst: 64 },
  sourcesMax: 256,
  intervalMs: 5_000,
  timeoutMs: 30_000,
  hostHoldMs: 15_000,
}

/** Bytes given back per byte received to who is not named (as in RFC 9000, section 8), and the most that is saved up. */
const AMPLIFICATION = 3
const ALLOWANCE_BYTES_MAX = 4_096

export type CompatRejectReason =
  | 'rate-limited'
  /** Larger than 4,096 bytes. */
  | 'too-large'
  /** Not the JSON or not the fields that it should be. */
  | 'malformed'
  /** JSON with another `type`. */
  | 'other-message'
  | 'own-id'
  /** It bears the id of a native member. */
  | 'native-id'
  /** The node of this id was heard from another host a moment ago. */
  | 'other-host'
  | 'table-full'

export interface CompatPeer {
  readonly heartbeat: CompatHeartbeat
  /** Observed host, claimed port. */
  readonly address: Address
  readonly heardAgoMs: number
  /** Its clock less ours at the last heartbeat, to be shown; to a second. Undefined when it is beyond any date. */
  readonly clockSkewMs: number | undefined
}

export interface CompatPeers {
  /** Takes a datagram; what it was, or why it was not taken. */
  hear(bytes: Uint8Array, from: Address, nowMs: number, wallMs: number): 'joined' | 'heard' | CompatRejectReason
  /** To be called every `intervalMs`, after everything that has arrived was heard; ids that are no longer listed. */
  tick(nowMs: number): string[]
  list(nowMs: number): CompatPeer[]
  /** Where to send: to each of them, what `send` returns as sent, in bytes, is taken from its allowance. */
  greetEach(nowMs: number, send: (to: Address, bytesMax: number) => number): void
}

interface Row {
  heartbeat: CompatHeartbeat
  address: Address
  heardMs: number
  clockSkewMs: number | undefined
  allowanceBytes: number
}

/** `isMember` gets an id in lower case. */
export function createCompatPeers(ownId: string, isMember: (nodeId: string) => boolean, limits: CompatLimits = COMPAT_LIMITS): CompatPeers {
  const rowById = new Map<string, Row>()
  const sources = createSourceLimits(limits.sourceRate, limits.sourcesMax)
  let tickedMs: number | undefined
  /** Nobody is dropped before this time: we stood still, and the silence was ours. */
  let graceUntilMs = -Infinity

  const isLate = (nowMs: number): boolean => tickedMs !== undefined && nowMs - tickedMs > 3 * limits.intervalMs
  const isGone = (id: string, row: Row, nowMs: number): boolean =>
    isMember(id) || (nowMs >= Math.max(graceUntilMs, row.heardMs + limits.timeoutMs) && !isLate(nowMs))

  const admit = (id: string, host: string, nowMs: number): CompatRejectReason | undefined => {
    if (id === ownId) return 'own-id'
    if (isMember(id)) return 'native-id'
    if (!isUnicast(host)) return 'malformed'
    const known = rowById.get(id)
    if (known !== undefined) {
      return known.address.host !== host && nowMs - known.heardMs < limits.hostHoldMs ? 'other-host' : undefined
    }
    let ofHost = 0
    for (const { address } of rowById.values()) if (address.host === host) ofHost += 1
    return rowById.size >= limits.peersMax || ofHost >= limits.peersPerHostMax ? 'table-full' : undefined
  }

  return {
    hear(bytes, from, nowMs, wallMs) {
      if (!sources.admit(from.host, nowMs)) return 'rate-limited'
      const heartbeat = decodeCompatHeartbeat(bytes)
      if (typeof heartbeat === 'string') return heartbeat
      const id = heartbeat.nodeId.toLowerCase()
      const reason = admit(id, from.host, nowMs)
      if (reason !== undefined) return reason
      const known = rowById.get(id)
      const skewMs = Number(heartbeat.timestampSecs) * 1_000 - wallMs
      const address = { host: from.host, port: heartbeat.gossipPort }
      // Another address has earned nothing yet.
      const saved = known?.address.host === address.host && known.address.port === address.port ? known.allowanceBytes : 0
      rowById.set(id, {
        heartbeat,
        address,
        heardMs: nowMs,
        clockSkewMs: Number.isSafeInteger(Math.trunc(skewMs)) ? Math.round(skewMs) : undefined,
        allowanceBytes: Math.min(ALLOWANCE_BYTES_MAX, saved + AMPLIFICATION * bytes.length),
      })
      return known === undefined ? 'joined' : 'heard'
    },
    tick(nowMs) {
      if (isLate(nowMs)) graceUntilMs = nowMs + 2 * limits.intervalMs
      tickedMs = nowMs
      const gone: string[] = []
      for (const [id, row] of rowById) {
        if (!isGone(id, row, nowMs)) continue
        rowById.delete(id)
        gone.push(row.heartbeat.nodeId)
      }
      return gone
    },
    list(nowMs) {
      const peers: CompatPeer[] = []
      for (const [id, row] of rowById) {
        const { heartbeat, address, heardMs, clockSkewMs } = row
        if (!isGone(id, row, nowMs)) peers.push({ heartbeat, address, heardAgoMs: Math.max(0, nowMs - heardMs), clockSkewMs })
      }
      return peers
    },
    greetEach(nowMs, send) {
      for (const [id, row] of rowById) {
        if (!isGone(id, row, nowMs)) row.allowanceBytes -= send(row.address, row.allowanceBytes)
      }
    },
  }
}
