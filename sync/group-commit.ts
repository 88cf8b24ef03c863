/**
 * Group commit: jobs that arrive while a group is being written share the next one.
 *
 * A job changes the open group at once, in the order of submission, and its promise resolves when that group is durable (or written,
 * when the group is not synced). At most two groups exist: one in flight, one open. When a write fails, both are void: every job in
 * them is rejected and `recover` loads the state from the store again, so that memory never runs ahead of the disk.
 */
import type { WriteBatch } from './write-batch.ts'

/** A group is closed when it holds this much; later jobs wait for the next one. */
export const GROUP_BYTES_MAX = 4 * 1024 * 1024
/** Jobs that may wait for a place in a group. Beyond it a job is refused: callers bound their own concurrency well below. */
export const JOBS_WAITING_MAX = 16_384

interface Pending {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

interface Group {
  readonly batch: WriteBatch
  readonly pending: Pending[]
  sync: boolean
  /** A job threw and may have left half of its changes: nothing of the group may reach the disk. */
  broken?: { readonly error: unknown }
}

export interface GroupCommitOptions<Sealed> {
  readonly createBatch: () => WriteBatch
  /** Adds what is written once per group; what it returns is handed to `written`. */
  readonly seal: (batch: WriteBatch) => Sealed
  readonly write: (batch: WriteBatch, sync: boolean) => Promise<void>
  /** Runs after a group was written and before its jobs resolve. */
  readonly written: (sealed: Sealed, sync: boolean) => void
  /** Loads the state from the store again after a failed write. */
  readonly recover: () => Promise<void>
}

export interface GroupCommit {
  /** Runs `job` in a group; resolves with its answer when the group is written - and durable, with `sync`. */
  submit<T>(job: (batch: WriteBatch) => T, sync: boolean): Promise<T>
  /** The group that is being written, if any. */
  inFlight(): WriteBatch | undefined
  /** Resolves when nothing is open or in flight. */
  idle(): Promise<void>
}

export function createGroupCommit<Sealed>(options: GroupCommitOptions<Sealed>): GroupCommit {
  let open: Group | undefined
  let flying: Group | undefined
  let isWriting = false
  let isRecovering = false
  let hasStaleState = false
  const waiting: (() => void)[] = []
  let idleListeners: (() => void)[] = []

  const isClosed = (): boolean => isRecovering || (open !== undefined && open.batch.bytes >= GROUP_BYTES_MAX)

  const admit = (): void => {
    while (waiting.length > 0 && !isClosed()) waiting.shift()?.()
  }

  const fail = async (groups: readonly (Group | undefined)[], error: unknown): Promise<void> => {
    isRecovering = true
    for (const group of groups) group?.batch.discard()
    try {
      await options.recover()
      hasStaleState = false
    } catch {
      // The store cannot be read either: nothing is written until it can.
      hasStaleState = true
    }
    isRecovering = false
    for (const group of groups) for (const { reject } of group?.pending ?? []) reject(error)
  }

  const pump = async (): Promise<void> => {
    isWriting = true
    // One turn of patience lets all callers of this turn share the first group.
    await Promise.resolve()
    while (open !== undefined) {
      flying = open
      open = undefined
      const group = flying
      try {
        if (hasStaleState) throw new Error('the state could not be read again after a failed write')
        if (group.broken !== undefined) throw group.broken.error
        const sealed = options.seal(group.batch)
        const written = options.write(group.batch, group.sync)
        admit()
        await written
        options.written(sealed, group.sync)
        flying = undefined
        for (const { resolve } of group.pending) resolve()
      } catch (error) {
        const voided = [group, open]
        flying = undefined
        open = undefined
        await fail(voided, error)
      }
      admit()
    }
    isWriting = false
    const listeners = idleListeners
    idleListeners = []
    for (const listener of listeners) listener()
  }

  return {
    async submit<T>(job: (batch: WriteBatch) => T, sync: boolean): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        const run = (): void => {
          open ??= { batch: options.createBatch(), pending: [], sync: false }
          const group = open
          if (sync) group.sync = true
          try {
            const answer = job(group.batch)
            group.pending.push({ resolve: () => resolve(answer), reject })
          } catch (error) {
            group.broken = { error }
            reject(error)
          }
          if (!isWriting) void pump()
        }
        if (waiting.length === 0 && !isClosed()) run()
        else if (waiting.length < JOBS_WAITING_MAX) waiting.push(run)
        else reject(new Error(`${JOBS_WAITING_MAX} writes are waiting already`))
      })
    },
    inFlight: () => flying?.batch,
    async idle() {
      if (isWriting) await new Promise<void>(resolve => void idleListeners.push(resolve))
    },
  }
}
