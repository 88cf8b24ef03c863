import { generateKeyPairSync } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../../agent/data-directory.ts'
import { loadSigningKey } from '../../../agent/signing-key.ts'
import { toHex } from '../../../base/bytes.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-key-'))
  file = join(folder, 'signing-key.pem')
})
afterEach(() => rm(folder, { recursive: true }))

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8)

describe('the signing key', () => {
  it('is made once, for its owner alone, and is the same from then on', async () => {
    const made = await loadSigningKey(folder)
    expect(made.publicKey).toHaveLength(32)
    expect(made.sign(new Uint8Array(3))).toHaveLength(64)
    expect(await modeOf(file)).toBe('600')
    const text = await readFile(file, 'utf8')
    expect(toHex((await loadSigningKey(folder)).publicKey)).toBe(toHex(made.publicKey))
    expect(await readFile(file, 'utf8')).toBe(text)
  })

  it('outlives the database', async () => {
    const first = await openDataDirectory(folder, { outageLogBytesMax: 0, digestSalt: new Uint8Array(16), wallMs: 0 })
    await first.opened.store.close()
    await rm(join(folder, 'store'), { recursive: true })
    const second = await openDataDirectory(folder, { outageLogBytesMax: 0, digestSalt: new Uint8Array(16), wallMs: 0 })
    await second.opened.store.close()
    expect(second.signingKey.publicKey).toEqual(first.signingKey.publicKey)
  })

  it('is closed again where copying made it readable to others', async () => {
    await loadSigningKey(folder)
    await chmod(file, 0o644)
    await loadSigningKey(folder)
    expect(await modeOf(file)).toBe('600')
  })

  it('is not made in the place of one that is damaged or of another kind; the message shows nothing of it', async () => {
    const { privateKey } = generateKeyPairSync('x25519')
    for (const text of ['', '-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()]) {
      await writeFile(file, text)
      const failure = await loadSigningKey(folder).catch((error: unknown) => error)
      expect(failure).toMatchObject({
        code: 'HS_STORE_OPEN_FAILED',
        detail: expect.stringContaining('does not hold an Ed25519 key') as unknown,
      })
      expect(await readFile(file, 'utf8')).toBe(text)
      expect(String(failure)).not.toContain('c2VjcmV0')
    }
  })
})
