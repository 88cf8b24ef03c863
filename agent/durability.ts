/**
 * What an acknowledged write means: `fsync` on disk, `batch` on disk within HS_BATCH_MS, `async` handed to the system. By request, else by
 * collection, else for all (HS_DURABILITY). An acknowledgement never comes before what it promises; writes of all kinds share groups, and one that
 * is to be on disk takes the others of its group with it.
 */
import type { Logger } from 'pino'
import type { OpenReplica } from '../sync/open-replica.ts'
import type { LocalWrite, Replica } from '../sync/replica.ts'
import { bad, good, splitList, type SettingType } from './config-type.ts'

/** The most lasting first. */
export const DURABILITIES = ['fsync', 'batch', 'async'] as const
export type Durability = (typeof DURABILITIES)[number]

export interface DurabilityPlan {
  readonly usual: Durability
  readonly byCollection: Readonly<Record<string, Durability>>
}

/** `async` promises nothing; this bounds what a power cut can take, and lets others hear of the writes. */
const ASYNC_FLUSH_MS = 5_000

const isDurability = (text: string | undefined): text is Durability => DURABILITIES.some(known => known === text)
const isName = (text: string): boolean => /^[a-z0-9][a-z0-9_.-]{0,63}$/.test(text)

export const durabilityPlan: SettingType<DurabilityPlan> = {
  form: () => '`fsync`, `batch` or `async`; and `collection=` one of them for some collections, comma separated',
  parse(text) {
    let usual: Durability | undefined
    const byCollection: Record<string, Durability> = {}
    for (const item of splitList(text)) {
      const [name, level, ...more] = item.split('=').map(part => part.trim())
      const isOne = isDurability(level) && more.length === 0 && name !== undefined && isName(name) && !Object.hasOwn(byCollection, name)
      if (isOne) byCollection[name] = level
      else if (isDurability(name) && level === undefined && usual === undefined) usual = name
      else return bad(`must be ${durabilityPlan.form({})}; \`${item}\` is not of that form, or comes twice`)
    }
    return good({ usual: usual ?? 'fsync', byCollection })
  },
  format: ({ usual, byCollection }) => [usual, ...Object.entries(byCollection).map(([name, level]) => `${name}=${level}`)].join(','),
}

export interface Writer {
  /** As `Replica.write`; resolves when the writes are what `durability` says, or what is set for their collections. */
  write(writes: readonly LocalWrite[], durability?: Durability): ReturnType<Replica['write']>
  /** Flushes no more; what is under way is finished. */
  close(): Promise<void>
}

export function createWriter(replica: OpenReplica, plan: DurabilityPlan, batchMs: number, log: Logger): Writer {
  let flushing: Promise<void> | undefined
  let due: { readonly timer: NodeJS.Timeout; readonly atMs: number } | undefined
  let isClosed = false

  const flush = async (level: Durability): Promise<void> => {
    try {
      await replica.flush()
    } catch (error) {
      log.error({ err: error }, 'writes could not be made durable; they are tried again')
      expect(level)
    }
  }
  /** One that is under way may have begun too early: another follows it. */
  const begin = (level: Durability): void => {
    flushing = (flushing ?? Promise.resolve()).then(() => flush(level))
  }
  /** Something was written that is to be on disk in time. */
  const expect = (level: Durability): void => {
    if (level === 'fsync' || isClosed) return
    const atMs = performance.now() + (level === 'batch' ? batchMs : ASYNC_FLUSH_MS)
    if (due !== undefined && due.atMs <= atMs) return
    clearTimeout(due?.timer)
    const timer = setTimeout(() => {
      due = undefined
      begin(level)
    }, atMs - performance.now())
    due = { timer, atMs }
  }
  // Collections that are made and deleted, and what else is written as usual.
  const { usual } = plan
  const flusher = usual === 'fsync' ? undefined : setInterval(() => begin(usual), usual === 'batch' ? batchMs : ASYNC_FLUSH_MS)

  const levelOf = (writes: readonly LocalWrite[]): Durability => {
    const levels = new Set(
      writes.map(({ collection }) => (Object.hasOwn(plan.byCollection, collection) ? plan.byCollection[collection] : plan.usual)),
    )
    return DURABILITIES.find(level => levels.has(level)) ?? plan.usual
  }

  return {
    async write(writes, durability) {
      const level = durability ?? levelOf(writes)
      const results = await replica.write(writes, { isSynced: level === 'fsync' })
      expect(level)
      return results
    },
    async close() {
      isClosed = true
      clearInterval(flusher)
      clearTimeout(due?.timer)
      await flushing
    },
  }
}
