/**
 * Where a node's gossip socket is: an IP address in text and a UDP port; on the wire 4 or 16 bytes and a number.
 * IPv4-mapped IPv6 addresses are IPv4 here, so that one address has one form (text form of IPv6: RFC 5952).
 */

export interface Address {
  /** An IP address, no name. */
  readonly host: string
  readonly port: number
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && a.host === b.host
}

export function addressKey(address: Address): string {
  return `${address.host} ${address.port}`
}

/** 4 bytes of an IPv4 address, 16 of IPv6; undefined for a name, for a zone (`fe80::1%eth0`) and for anything else. */
export function encodeHost(host: string): Uint8Array | undefined {
  if (!host.includes(':')) return encodeIpv4(host)
  const bytes = encodeIpv6(host)
  return bytes !== undefined && isMapped(bytes) ? bytes.slice(12) : bytes
}

/** Text of 4 or 16 bytes; undefined for any other length. */
export function decodeHost(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return undefined
  return isMapped(bytes) ? bytes.subarray(12).join('.') : formatIpv6(bytes)
}

/** The one text form of an address; what is not an IP address comes back unchanged. */
export function canonicalHost(host: string): string {
  const bytes = encodeHost(host)
  return (bytes && decodeHost(bytes)) ?? host
}

export function isLoopback(host: string): boolean {
  return host.startsWith('127.') || host === '::1'
}

/** Whether a single node can have this address: no multicast, broadcast or unspecified address. */
export function isUnicast(host: string): boolean {
  const bytes = encodeHost(host)
  if (bytes === undefined) return false
  if (bytes.length === 4) return bytes[0] !== 0 && bytes[0]! < 224
  return bytes[0] !== 0xff && bytes.some(byte => byte !== 0)
}

/** Whether `host` means to `receiver` what it means to us: loopback stays on its machine, link-local on its link. */
export function isTellable(host: string, receiver: string): boolean {
  if (isLoopback(host) && !isLoopback(receiver)) return false
  const bytes = encodeHost(host)
  if (bytes === undefined) return false
  return bytes.length === 4 || !(bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80)
}

const DOT = 0x2e
const ZERO = 0x30

function encodeIpv4(text: string): Uint8Array | undefined {
  // By hand: it is done for every member of every page.
  const bytes = new Uint8Array(4)
  let part = 0
  let digits = 0
  let value = 0
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : DOT
    if (code === DOT) {
      if (digits === 0 || value > 255 || part === 4) return undefined
      bytes[part++] = value
      digits = 0
      value = 0
    } else {
      // No leading zeros: some read them as octal.
      if (code < ZERO || code > ZERO + 9 || digits === 3 || (digits > 0 && value === 0)) return undefined
      value = value * 10 + code - ZERO
      digits += 1
    }
  }
  return part === 4 ? bytes : undefined
}

function encodeIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map(groupsOf)
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined
  const zeros = 8 - head.length - (tail?.length ?? 0)
  if (tail === undefined ? zeros !== 0 : zeros < 1) return undefined
  const groups = [...head, ...Array.from({ length: tail === undefined ? 0 : zeros }, () => 0), ...(tail ?? [])]
  return Uint8Array.from(groups.flatMap(group => [group >> 8, group & 0xff]))
}

/** The 16-bit groups of one side of `::`, the last two perhaps written as IPv4; undefined when it is not that. */
function groupsOf(half: string): number[] | undefined {
  if (half === '') return []
  const groups: number[] = []
  const parts = half.split(':')
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const ipv4 = i === parts.length - 1 ? encodeIpv4(part) : undefined
    if (ipv4 === undefined) return undefined
    groups.push(ipv4[0]! * 256 + ipv4[1]!, ipv4[2]! * 256 + ipv4[3]!)
  }
  return groups
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every(byte => byte === 0)
}

function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes[2 * i]! * 256 + bytes[2 * i + 1]!)
  let [from, length] = [0, 0]
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === 0) end += 1
    if (end - i > length) [from, length] = [i, end - i]
  }
  const text = (part: number[]): string => part.map(group => group.toString(16)).join(':')
  // A single zero group is written out (RFC 5952, section 4.2.2).
  return length < 2 ? text(groups) : `${text(groups.slice(0, from))}::${text(groups.slice(from + length))}`
}
