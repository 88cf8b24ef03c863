/** What the cores take from outside: hashing, cryptography, randomness, clocks, and the wire codec. `agent` implements them, so does the simulator. */

export interface Hash {
  /** SHA-256 (FIPS 180-4): 32 bytes of its own. */
  sha256(bytes: Uint8Array): Uint8Array
  /** Writes the leading `length` bytes of the SHA-256 of `bytes` into `target` at `at`. */
  sha256Into(bytes: Uint8Array, target: Uint8Array, at: number, length: number): void
}

/** Authenticated encryption under one key: ChaCha20-Poly1305 (RFC 8439). */
export interface Aead {
  /** As long as `plain` and the tag's 16 bytes. `nonce`: 12 bytes, never used before under this key. */
  seal(nonce: Uint8Array, associated: Uint8Array, plain: Uint8Array): Uint8Array
  /** Undefined when key, nonce, associated data and bytes do not belong together. */
  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Uint8Array | undefined
}

export interface Cryptography {
  /** `key`: 32 bytes. */
  createAead(key: Uint8Array): Aead
  /** HKDF with SHA-256 (RFC 5869): 32 bytes. */
  deriveKey(secret: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array
  /** HMAC with SHA-256 (RFC 2104): 32 bytes. */
  mac(key: Uint8Array, bytes: Uint8Array): Uint8Array
}

export interface Random {
  /** `count` unpredictable (in the simulator: seeded) bytes. */
  bytes(count: number): Uint8Array
  /** A number in [0, 1). */
  fraction(): number
}

export interface Clock {
  /** Milliseconds that only grow, unrelated to wall time; every deadline is measured on this one. */
  monotonicMs(): number
  /** Unix time in milliseconds; may be wrong, jump and run backwards. */
  wallMs(): number
  /** Whether the board says that its wall clock is synchronised. */
  trusted(): boolean
}

/** CBOR (RFC 8949) as it travels: no tags, no indefinite lengths, bounded depth, valid UTF-8. */
export interface Codec {
  encode(value: unknown): Uint8Array
  /** Undefined for anything that is not one well-formed item of the permitted kind. */
  decode(bytes: Uint8Array): unknown
}
