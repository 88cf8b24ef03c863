/**
 * Cookies: who can echo one is there now, at the address that it was sent to. A cookie is the leading 8 bytes of HMAC-SHA-256 of
 * the address under a secret that is drawn anew every 30 s; the one before it counts too, so a cookie is good for 30 to 60 s. Nothing
 * is kept for those who have been sent one.
 *
 * Source: the stateless cookies of DTLS (RFC 6347, section 4.2.1). Departure: no node id or boot id goes in. An echo is believed of
 * whoever sealed the packet that carries it, and a packet cannot carry a cookie that did not exist when it was sealed; so a greeting can
 * carry a cookie before it is known who will answer.
 */
import { EMPTY, equalSecrets } from '../base/bytes.ts'
import type { Cryptography, Random } from '../base/ports.ts'
import { encodeUtf8 } from '../base/utf8.ts'
import { addressKey } from './address.ts'
import type { Address } from './address.ts'

export const COOKIE_BYTES = 8
const SECRET_BYTES = 32
const SECRET_MS = 30_000

export interface Cookies {
  make(address: Address, nowMs: number): Uint8Array
  /** Whether this cookie was made for this address, and not too long ago. */
  isGood(cookie: Uint8Array, address: Address, nowMs: number): boolean
}

export function createCookies(ports: { readonly random: Random; readonly cryptography: Cryptography }): Cookies {
  let present = ports.random.bytes(SECRET_BYTES)
  let past = ports.random.bytes(SECRET_BYTES)
  let drawnAtMs: number | undefined

  const refresh = (nowMs: number): void => {
    drawnAtMs ??= nowMs
    const ageMs = nowMs - drawnAtMs
    if (ageMs < SECRET_MS) return
    past = ageMs < 2 * SECRET_MS ? present : ports.random.bytes(SECRET_BYTES)
    present = ports.random.bytes(SECRET_BYTES)
    drawnAtMs = nowMs
  }
  const makeWith = (secret: Uint8Array, address: Address): Uint8Array =>
    ports.cryptography.mac(secret, encodeUtf8(addressKey(address)) ?? EMPTY).slice(0, COOKIE_BYTES)

  return {
    make(address, nowMs) {
      refresh(nowMs)
      return makeWith(present, address)
    },
    isGood(cookie, address, nowMs) {
      refresh(nowMs)
      return [present, past].some(secret => equalSecrets(makeWith(secret, address), cookie))
    },
  }
}
