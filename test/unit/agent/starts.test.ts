/** Starts that did not end with a stop are counted, so that the third looks at everything (P2); where a robot is switched off they count less. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { beginStart, watchStart } from '../../../agent/starts.ts'
import { until } from '../../agent-process.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hs-starts-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Whether each of these starts, none of which lasts, finds that those before it failed. */
async function failingOf(boots: readonly string[]): Promise<boolean[]> {
  const found: boolean[] = []
  for (const boot of boots) found.push((await beginStart(folder, boot)).areFailing)
  return found
}

describe('starts that did not end with a stop', () => {
  it('P2 are failing from the third on in one boot of the machine', async () => {
    expect(await failingOf(['a', 'a', 'a', 'a'])).toEqual([false, false, true, true])
  })

  it('are failing only from the seventh on where the machine goes down with them, as a robot does that is switched off', async () => {
    expect(await failingOf(['a', 'b', 'c', 'd', 'e', 'f', 'g'])).toEqual([false, false, false, false, false, false, true])
  })

  it('are counted anew when everything was looked at', async () => {
    await failingOf(['a', 'a'])
    const third = await beginStart(folder, 'a')
    expect(third.areFailing).toBe(true)
    await third.restart()
    expect(await failingOf(['a', 'a'])).toEqual([false, true])
  })

  it('are forgotten when one is stopped', async () => {
    await failingOf(['a', 'a'])
    await watchStart(await beginStart(folder, 'a'))()
    expect(await failingOf(['a', 'a'])).toEqual([false, false])
  })

  it('P2 are forgotten when one has lasted, but for those of its boot: what ended these was not the machine', async () => {
    await failingOf(['a', 'a', 'b', 'c', 'd'])
    const close = watchStart(await beginStart(folder, 'd'), 1)
    const path = join(folder, 'starts.json')
    await until('it has lasted', 10_000, async () => {
      const text = await readFile(path, 'utf8')
      return text === '{"starts":["d","d"]}\n' ? undefined : text
    })
    expect(await failingOf(['d'])).toEqual([true])
    await close()
  })

  it('P2 count as none where the file is damaged, and it need not be one that can be written', async () => {
    for (const text of ['', 'nonsense', '{"starts":7}', '{"starts":[1,null,{}]}', '[]', 'null', 'x'.repeat(10_000)]) {
      await writeFile(join(folder, 'starts.json'), text)
      expect(await failingOf(['a'])).toEqual([false])
    }
    await rm(join(folder, 'starts.json'))
    await mkdir(join(folder, 'starts.json'))
    const start = await beginStart(folder, 'a')
    expect(start.areFailing).toBe(false)
    await start.restart()
    await start.last()
    await start.settle()
  })
})
