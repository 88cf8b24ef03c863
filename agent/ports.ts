/** The cores' ports on this machine: OpenSSL's hash, ciphers and random bytes, and the two clocks. */
import { createCipheriv, createDecipheriv, createSecretKey, hash, hkdfSync, randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Aead, Clock, Cryptography, Hash, Random } from '../base/ports.ts'

// The one-shot form with a binary (latin1) answer takes 260 ns for 64 bytes; asking for a buffer 670 ns, createHash 850 ns.
function sha256Into(bytes: Uint8Array, target: Uint8Array, at: number, length: number): void {
  const text = hash('sha256', bytes, 'binary')
  for (let i = 0; i < length; i++) target[at + i] = text.charCodeAt(i)
}

export const systemHash: Hash = {
  sha256(bytes) {
    const digest = new Uint8Array(32)
    sha256Into(bytes, digest, 0, 32)
    return digest
  },
  sha256Into,
}

const CIPHER = 'chacha20-poly1305'
const TAG_BYTES = 16

function createSystemAead(key: Uint8Array): Aead {
  // A key object is read once; the bytes of a key would be with every packet, at three times the price.
  const secret = createSecretKey(key)
  return {
    seal(nonce, associated, plain) {
      const cipher = createCipheriv(CIPHER, secret, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(associated, { plaintextLength: plain.length })
      const sealed = new Uint8Array(plain.length + TAG_BYTES)
      sealed.set(cipher.update(plain))
      cipher.final()
      sealed.set(cipher.getAuthTag(), plain.length)
      return sealed
    },
    open(nonce, associated, sealed) {
      const length = sealed.length - TAG_BYTES
      if (length < 0) return undefined
      const decipher = createDecipheriv(CIPHER, secret, nonce, { authTagLength: TAG_BYTES })
      decipher.setAAD(associated, { plaintextLength: length })
      decipher.setAuthTag(sealed.subarray(length))
      const plain = decipher.update(sealed.subarray(0, length))
      try {
        decipher.final()
      } catch {
        return undefined
      }
      return new Uint8Array(plain)
    },
  }
}

const BLOCK_BYTES = 64

/**
 * HMAC (RFC 2104) of two one-shot hashes. A swarm makes a cookie with every packet to a stranger, and createHmac takes many times as long: it
 * makes a key object of the bytes each time.
 */
function hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const inner = new Uint8Array(BLOCK_BYTES + bytes.length)
  const outer = new Uint8Array(BLOCK_BYTES + 32)
  if (key.length <= BLOCK_BYTES) inner.set(key)
  else sha256Into(key, inner, 0, 32)
  for (let i = 0; i < BLOCK_BYTES; i++) {
    outer[i] = inner[i]! ^ 0x5c
    inner[i]! ^= 0x36
  }
  inner.set(bytes, BLOCK_BYTES)
  sha256Into(inner, outer, BLOCK_BYTES, 32)
  return systemHash.sha256(outer)
}

export const systemCryptography: Cryptography = {
  createAead: createSystemAead,
  deriveKey: (secret, salt, info) => new Uint8Array(hkdfSync('sha256', secret, salt, info, 32)),
  mac: hmacSha256,
}

export const systemRandom: Random = {
  bytes: count => new Uint8Array(randomBytes(count)),
  fraction: () => Math.random(),
}

export function createSystemClock(isTrusted: () => boolean): Clock {
  return {
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    trusted: isTrusted,
  }
}
