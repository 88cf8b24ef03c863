/**
 * The key that this node signs checkpoints and proofs with: Ed25519 (RFC 8032), PKCS #8 in `signing-key.pem` of the data directory, apart
 * from the database so that it outlives it. Made once, readable by its owner alone, and never sent anywhere.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { chmod, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeDurably } from './durable-file.ts'
import { AgentError } from './errors.ts'

export interface SigningKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}

const FILE = 'signing-key.pem'
const OTHERS = 0o077

/** Reads the key, or makes one; durable when it resolves. Throws AgentError HS_STORE_OPEN_FAILED. */
export async function loadSigningKey(dataDir: string): Promise<SigningKey> {
  const path = join(dataDir, FILE)
  try {
    const text = await readOwn(path)
    if (text !== undefined) return readSigningKey(path, text)
    return await makeSigningKey(dataDir)
  } catch (error) {
    if (error instanceof AgentError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new AgentError('HS_STORE_OPEN_FAILED', `the signing key in ${path} cannot be read or written: ${reason}`, { cause: error })
  }
}

/** Makes a key in the place of any other: no two nodes sign with one. */
export async function makeSigningKey(dataDir: string): Promise<SigningKey> {
  const { privateKey } = generateKeyPairSync('ed25519')
  await writeDurably(join(dataDir, FILE), privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  return createSigningKey(privateKey)
}

export function createSigningKey(privateKey: KeyObject): SigningKey {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  return {
    publicKey: new Uint8Array(Buffer.from(x, 'base64url')),
    sign: message => new Uint8Array(sign(null, message, privateKey)),
  }
}

/** The file's text, undefined when there is none. A copy that somebody made readable to all is closed again. */
async function readOwn(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path)
    if ((mode & OTHERS) !== 0) await chmod(path, mode & 0o700)
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function readSigningKey(path: string, text: string): SigningKey {
  let key: KeyObject | undefined
  try {
    key = createPrivateKey(text)
  } catch {
    // Said below, without a word of what is in the file.
  }
  if (key?.asymmetricKeyType === 'ed25519') return createSigningKey(key)
  throw new AgentError(
    'HS_STORE_OPEN_FAILED',
    `${path} does not hold an Ed25519 key; restore it, or remove it to get a new one (proofs made so far keep their old public key)`,
  )
}
