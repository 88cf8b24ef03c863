/** The file of a backup: what it says of itself, and that nothing else is taken for a whole one. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBackup, writeBackup, type BackupHeader } from '../../../agent/backup/backup-file.ts'
import type { Row } from '../../../sync/store.ts'
import { createMemoryStore } from '../../memory-store.ts'

const HEADER: BackupHeader = { nodeId: 'n', nodeName: 'robot é', version: '1.2.3', createdAtMs: 1_700_000_000_000, saltId: 'ab' }

async function storeOf(rows: readonly (readonly [string, Uint8Array])[]) {
  const store = createMemoryStore()
  const batch = store.batch()
  for (const [key, value] of rows) batch.put(Buffer.from(key), value)
  await batch.write({ sync: true })
  return store
}

async function bytesOf(rows: readonly (readonly [string, Uint8Array])[]): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of writeBackup(await storeOf(rows), HEADER)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function read(bytes: Uint8Array, size = 1_000): Promise<{ readonly header: BackupHeader; readonly rows: Row[] }> {
  const { header, blocks } = await readBackup(inPieces(bytes, size))
  const rows: Row[] = []
  for await (const block of blocks) rows.push(...block)
  return { header, rows }
}

const texts = (rows: readonly Row[]): string[] =>
  rows.map(([key, value]) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString('hex')}`)
const SOME = Array.from({ length: 50 }, (_, i) => [`k${String(i).padStart(3, '0')}`, Buffer.alloc(i * 37, i)] as const)

describe('a backup', () => {
  it('holds every row, however it is cut into chunks, in blocks of a quarter of a mebibyte', async () => {
    const large = [['a', Buffer.alloc(3_000_000, 7)], ['b', Buffer.alloc(0)], ...SOME] as const
    const bytes = await bytesOf(large)
    for (const size of [1, 7, 4_096, bytes.length]) {
      const { header, rows } = await read(bytes, size === 1 ? 13 : size)
      expect(header).toEqual(HEADER)
      expect(texts(rows)).toEqual(large.map(([key, value]) => `${key}=${Buffer.from(value).toString('hex')}`))
    }
  })

  it('of an empty store has a header and an end', async () => {
    expect((await read(await bytesOf([]))).rows).toEqual([])
  })

  it('cut off anywhere, or with something behind it, is not whole', async () => {
    const bytes = await bytesOf(SOME)
    for (let length = 0; length < bytes.length; length++) {
      await expect(read(bytes.subarray(0, length)), `cut at ${length}`).rejects.toMatchObject({ code: 'HS_BACKUP_INVALID' })
    }
    await expect(read(Buffer.concat([bytes, Buffer.of(0)]))).rejects.toThrow('something follows its end')
  })

  it('with any bit turned over is refused, in one sentence', async () => {
    const bytes = await bytesOf(SOME)
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes)
      damaged[at]! ^= 1 << (at % 8)
      await expect(read(damaged), `byte ${at}`).rejects.toMatchObject({ code: 'HS_BACKUP_INVALID' })
    }
  })

  it('P16 any bytes, and any behind a good header, end in a refusal', async () => {
    const head = (await bytesOf([])).subarray(0, -44)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, isBehind) => {
        const trial = isBehind ? Buffer.concat([head, bytes]) : bytes
        await expect(read(trial)).rejects.toMatchObject({ code: 'HS_BACKUP_INVALID' })
      }),
    )
  })

  it('of a later format is named as one', async () => {
    const bytes = await bytesOf(SOME)
    const later = Buffer.concat([Buffer.from('{"hs_agent_backup":2}\n'), bytes])
    await expect(read(later)).rejects.toThrow('it has format 2, and this version reads format 1')
  })
})
