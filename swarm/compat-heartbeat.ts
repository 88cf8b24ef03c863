/**
 * The heartbeat of HyperspaceDB's own gossip (3.1, `crates/hyperspace-server/src/gossip.rs`): one JSON object a datagram, plain text.
 *
 * | field | JSON |
 * |---|---|
 * | type | "Heartbeat" |
 * | node_id, role | strings |
 * | http_port, gossip_port | u16; heartbeats leave from another port than the one that listens |
 * | logical_clock | u64 |
 * | digests | array of {name: string, state_hash: u64, vector_count: u64, logical_clock: u64} |
 * | timestamp_secs | u64, Unix seconds; receivers judge the sender's life by it and their own wall clock |
 *
 * All numbers are bare JSON integers up to 2^64 - 1. A double holds few of them, so they are read from their spelling and kept as
 * BigInt (P12). Their receive buffer ends at 4,096 bytes; what is longer is cut there and then not understood.
 */
import { readU32 } from '../base/bytes.ts'
import { decodeUtf8, encodeUtf8 } from '../base/utf8.ts'

export const COMPAT_BYTES_MAX = 4_096

const U64_MAX = 2n ** 64n - 1n
const OPENING_BRACE = 0x7b

export interface CompatDigest {
  /** 1 to 256 characters, none of which controls a terminal. */
  readonly name: string
  readonly stateHash: bigint
  readonly vectorCount: bigint
  readonly logicalClock: bigint
}

export interface CompatHeartbeat {
  /** 1 to 64 letters, digits and `._:-`; a UUID as a rule. */
  readonly nodeId: string
  /** As it is sent: `Leader`, `Follower`, or another word. */
  readonly role: string
  readonly httpPort: number
  /** Where it listens: 1 to 65535. */
  readonly gossipPort: number
  readonly logicalClock: bigint
  readonly digests: readonly CompatDigest[]
  readonly timestampSecs: bigint
}

/** Whether a datagram can be one of theirs: native packets begin with other bytes. */
export function looksLikeCompat(bytes: Uint8Array): boolean {
  return bytes[0] === OPENING_BRACE
}

/** Reads a datagram; `other-message` is a JSON object with another `type`. Unknown fields are passed over, as their reader does. */
export function decodeCompatHeartbeat(bytes: Uint8Array): CompatHeartbeat | 'too-large' | 'malformed' | 'other-message' {
  if (bytes.length > COMPAT_BYTES_MAX) return 'too-large'
  const fields = parseObject(bytes)
  if (fields === undefined) return 'malformed'
  if (fields['type'] !== 'Heartbeat') return 'other-message'
  const { node_id: nodeId, role, logical_clock: logicalClock, timestamp_secs: timestampSecs } = fields
  const httpPort = toPort(fields['http_port'], 0)
  const gossipPort = toPort(fields['gossip_port'], 1)
  const digests = toDigests(fields['digests'])
  if (typeof nodeId !== 'string' || !/^[A-Za-z0-9._:-]{1,64}$/.test(nodeId)) return 'malformed'
  if (!isShownText(role, 64) || httpPort === undefined || gossipPort === undefined || digests === undefined) return 'malformed'
  if (!isU64(logicalClock) || !isU64(timestampSecs)) return 'malformed'
  return { nodeId, role, httpPort, gossipPort, logicalClock, digests, timestampSecs }
}

/**
 * The datagram, with as many of the digests as fit into `bytesMax` in their order: put the newest first. Undefined when it is too long
 * without any.
 */
export function encodeCompatHeartbeat(
  heartbeat: CompatHeartbeat,
  bytesMax: number = COMPAT_BYTES_MAX,
): { readonly bytes: Uint8Array; readonly digestCount: number } | undefined {
  const { nodeId, role, httpPort, gossipPort, logicalClock, digests, timestampSecs } = heartbeat
  const head =
    `{"type":"Heartbeat","node_id":${JSON.stringify(nodeId)},"role":${JSON.stringify(role)},"http_port":${httpPort},` +
    `"gossip_port":${gossipPort},"logical_clock":${logicalClock},"digests":[`
  const tail = `],"timestamp_secs":${timestampSecs}}`
  let room = bytesMax - utf8Length(head) - utf8Length(tail)
  if (room < 0) return undefined
  const texts: string[] = []
  for (const digest of digests) {
    const text =
      `{"name":${JSON.stringify(digest.name)},"state_hash":${digest.stateHash},"vector_count":${digest.vectorCount},` +
      `"logical_clock":${digest.logicalClock}}`
    room -= utf8Length(text) + (texts.length === 0 ? 0 : 1)
    if (room < 0) break
    texts.push(text)
  }
  const bytes = encodeUtf8(head + texts.join(',') + tail)
  return bytes && { bytes, digestCount: texts.length }
}

/** The leading 64 bits of a digest, as a heartbeat carries them. */
export function leadingU64(digest: Uint8Array): bigint {
  return (BigInt(readU32(digest, 0)) << 32n) | BigInt(readU32(digest, 4))
}

/** JSON.parse tells a reviver how a number was spelled (ECMA-262, "JSON.parse source text access"); the type library does not know yet. */
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown

/** Whole numbers become BigInt; others, which no field takes, stay what they are. */
const keepIntegers: Reviver = (_key, value, context) =>
  typeof value === 'number' && /^(?:0|[1-9][0-9]{0,19})$/.test(context?.source ?? '') ? BigInt(context?.source ?? '') : value

function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  const text = decodeUtf8(bytes)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text, keepIntegers)
    return isObject(value) ? value : undefined
  } catch {
    // No JSON, or nested deeper than the stack.
    return undefined
  }
}

function toDigests(value: unknown): CompatDigest[] | undefined {
  if (!Array.isArray(value)) return undefined
  const digests: CompatDigest[] = []
  for (const fields of value) {
    if (!isObject(fields)) return undefined
    const { name, state_hash: stateHash, vector_count: vectorCount, logical_clock: logicalClock } = fields
    if (!isShownText(name, 256) || !isU64(stateHash) || !isU64(vectorCount) || !isU64(logicalClock)) return undefined
    digests.push({ name, stateHash, vectorCount, logicalClock })
  }
  return digests
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isU64(value: unknown): value is bigint {
  return typeof value === 'bigint' && value <= U64_MAX
}

function toPort(value: unknown, min: number): number | undefined {
  return isU64(value) && value >= min && value <= 65_535 ? Number(value) : undefined
}

function isShownText(value: unknown, charactersMax: number): value is string {
  if (typeof value !== 'string' || value.length === 0 || value.length > charactersMax || !value.isWellFormed()) return false
  // oxlint-disable-next-line no-control-regex
  return !/[\u0000-\u001f\u007f-\u009f]/.test(value)
}

function utf8Length(text: string): number {
  return encodeUtf8(text)?.length ?? Infinity
}
