/**
 * Asks a TCP port what listens there, without proving anything and without a word that an agent would have to take: an agent without a
 * swarm key speaks first (its preamble), one with a key waits for a TLS handshake and names the ids of its keys in it (link-security.ts).
 * The handshake is broken off then.
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { PREAMBLE } from './frame-reader.ts'
import { LINK_TERMS } from './link-security.ts'

export type LinkAnswer =
  /** An agent without a swarm key. */
  | { readonly kind: 'plain' }
  /** An agent with these keys. */
  | { readonly kind: 'sealed'; readonly keyIds: readonly string[] }
  /** It takes the connection, and is no agent. */
  | { readonly kind: 'other' }
  /** It takes the connection, and says nothing: a process that stands still. */
  | { readonly kind: 'silent' }
  /** The system's code: ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT, ... */
  | { readonly kind: 'failed'; readonly code: string }

/** What is waited for: the connection, the first word of an agent without a key, and the answer in a handshake. */
export const INQUIRY_TIMES = { connectMs: 4_000, firstWordMs: 1_000, handshakeMs: 3_000 } as const

/** Key ids of a hint: what else comes there is not ours. */
const KEY_ID = /^[0-9a-f]{8}$/
const KEY_IDS_MAX = 16

/** Never rejects. */
export async function askLink(
  host: string,
  port: number,
  times: { readonly [Name in keyof typeof INQUIRY_TIMES]: number } = INQUIRY_TIMES,
): Promise<LinkAnswer> {
  const socket = connect({ host, port })
  const failure = await connected(socket, times.connectMs)
  if (failure !== undefined) {
    socket.destroy()
    return { kind: 'failed', code: failure }
  }
  const word = await firstWord(socket, times.firstWordMs)
  const answer = word === undefined ? await askForKeys(socket, times.handshakeMs) : judgeWord(word)
  socket.destroy()
  return answer
}

function judgeWord(word: Uint8Array): LinkAnswer {
  return Buffer.from(word.subarray(0, PREAMBLE.length)).equals(PREAMBLE) ? { kind: 'plain' } : { kind: 'other' }
}

function connected(socket: Socket, timeoutMs: number): Promise<string | undefined> {
  return new Promise(resolve => {
    const timer = setTimeout(() => resolve('ETIMEDOUT'), timeoutMs)
    const end = (code?: string): void => {
      clearTimeout(timer)
      resolve(code)
    }
    socket.once('connect', () => end())
    // It stays: a connection may break at any later time.
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
  })
}

/** Undefined when nothing comes in time; empty when the other side ends the connection. */
function firstWord(socket: Socket, timeoutMs: number): Promise<Uint8Array | undefined> {
  return new Promise(resolve => {
    const end = (word: Uint8Array | undefined): void => {
      clearTimeout(timer)
      socket.removeAllListeners('data')
      socket.pause()
      resolve(word)
    }
    const timer = setTimeout(() => end(undefined), timeoutMs)
    socket.once('data', (word: Buffer) => end(word))
    socket.once('close', () => end(new Uint8Array(0)))
  })
}

function askForKeys(socket: Socket, timeoutMs: number): Promise<LinkAnswer> {
  return new Promise(resolve => {
    let answer: LinkAnswer | undefined
    const end = (otherwise: LinkAnswer): void => {
      clearTimeout(timer)
      resolve(answer ?? otherwise)
    }
    const timer = setTimeout(() => end({ kind: 'silent' }), timeoutMs)
    const secured = connectTls({
      ...LINK_TERMS,
      socket,
      pskCallback(hint) {
        const keyIds = (hint ?? '').split(' ').filter(id => KEY_ID.test(id))
        if (keyIds.length > 0) answer = { kind: 'sealed', keyIds: keyIds.slice(0, KEY_IDS_MAX) }
        // No key, no handshake.
        return null
      },
      checkServerIdentity: () => undefined,
    })
    // Whatever ends it without a hint is no agent with a key, also when it says nothing.
    secured.once('error', () => end({ kind: 'other' }))
    secured.once('close', () => end({ kind: 'other' }))
  })
}
