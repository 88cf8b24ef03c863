import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readMarker, requestRecovery, writeMarker } from '../../../agent/recovery-marker.ts'

let folder = ''
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'hs-marker-'))))
afterEach(() => rm(folder, { recursive: true }))

it('P2 a recovery that is asked for does not make one forget what it has moved aside', async () => {
  await requestRecovery(folder, 'a table is damaged')
  expect(await readMarker(folder)).toEqual({ reason: 'a table is damaged', sources: [], attempts: [] })
  const underWay = { reason: 'earlier', sources: ['quarantine-20261127T000000Z'], attempts: ['boot'] }
  await writeMarker(folder, underWay)
  await requestRecovery(folder, 'a table is damaged')
  expect(await readMarker(folder)).toEqual(underWay)
})
