/** Damage to files, as bad cards, power cuts and people do it; drawn from a seed. */
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../base/ports.ts'

const pick = <T>(random: Random, items: readonly T[]): T | undefined => items[Math.floor(random.fraction() * items.length)]

async function filesIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true })).sort()
  const files: string[] = []
  for (const name of names) {
    const status = await stat(join(folder, name))
    // LOCK holds nothing, LOG is for people.
    if (status.isFile() && !/(^|\/)(LOCK|LOG(\.old)?)$/.test(name)) files.push(name)
  }
  return files
}

type Damage = (path: string, random: Random) => Promise<string>

const damages: readonly Damage[] = [
  async (path, random) => {
    const { size } = await stat(path)
    const length = Math.floor(random.fraction() * size)
    await truncate(path, length)
    return `cut at ${length} of ${size}`
  },
  async (path, random) => {
    const bytes = await readFile(path)
    const flips = bytes.length === 0 ? 0 : 1 + Math.floor(random.fraction() * 3)
    const places: number[] = []
    for (let i = 0; i < flips; i++) {
      const at = Math.floor(random.fraction() * bytes.length)
      bytes[at]! ^= 1 << Math.floor(random.fraction() * 8)
      places.push(at)
    }
    await writeFile(path, bytes)
    return `bits turned over at ${places.join(', ')} of ${bytes.length}`
  },
  async path => {
    await rm(path)
    return 'removed'
  },
  async path => {
    await truncate(path, 0)
    return 'emptied'
  },
  async (path, random) => {
    const bytes = await readFile(path)
    const at = Math.floor(random.fraction() * bytes.length)
    const end = Math.min(bytes.length, at + 4096)
    await writeFile(path, bytes.fill(0, at, end))
    return `zeros from ${at} to ${end} of ${bytes.length}`
  },
]

/** Does something to a random file under `folder`, one of those that `isEligible` names; says what, in words. */
export async function damageOne(folder: string, random: Random, isEligible: (name: string) => boolean = () => true): Promise<string> {
  const name = pick(random, (await filesIn(folder)).filter(isEligible))
  if (name === undefined) return 'nothing there'
  const damage = pick(random, damages)
  return `${name}: ${await damage?.(join(folder, name), random)}`
}
