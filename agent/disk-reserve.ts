/**
 * The disk reserve (P3, HS_DISK_RESERVE): the data disk has other tenants, and a database on a full one cannot even clean up. Below the reserve
 * writes that take room are refused, and taken again when a quarter more than the reserve is free, so that it does not go to and fro.
 *
 * The disk is looked at the more often the nearer it is to the reserve. What is written between two looks comes out of the reserve.
 */
import { statfs } from 'node:fs/promises'
import type { Logger } from 'pino'
import { bad, good, type SettingType } from './config-type.ts'

/** Free space that is kept: bytes, or a share of the disk. */
export interface Reserve {
  readonly amount: number
  readonly unit: '%' | 'KiB' | 'MiB' | 'GiB'
}

const PERCENT_MAX = 50
const BYTES_BY_UNIT = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

export const diskReserve: SettingType<Reserve> = {
  form: () => `share of the disk up to \`${PERCENT_MAX}%\`, an amount with its unit (KiB, MiB or GiB), or \`0\` for none`,
  parse(text) {
    if (text === '0') return good({ amount: 0, unit: '%' })
    const [, digits, unit] = /^(\d{1,9}(?:\.\d{1,3})?) ?(%|KiB|MiB|GiB)$/.exec(text) ?? []
    const amount = Number(digits)
    if (unit === '%' && amount <= PERCENT_MAX) return good({ amount, unit })
    if (unit === 'KiB' || unit === 'MiB' || unit === 'GiB') return good({ amount, unit })
    return bad(`must be a ${diskReserve.form({})}`)
  },
  format: ({ amount, unit }) => `${amount}${unit}`,
}

/** What is free is to exceed the reserve by this factor before writes are taken again. */
const RESUME_FACTOR = 1.25
/** Faster than the disks of robots are filled: so far from the reserve, the next look can wait so long. */
const FILLING_BYTES_PER_MS = 200_000
const LOOK_MS_MIN = 100
const LOOK_MS_MAX = 5_000
/** While the disk is full: how soon it is noticed that there is room again. */
const FULL_LOOK_MS = 1_000

export interface DiskView {
  readonly sizeBytes: number
  /** What this process may still use. */
  readonly freeBytes: number
  readonly reserveBytes: number
  /** Writes that take room are refused. */
  readonly isFull: boolean
}

export interface DiskWatch {
  view(): DiskView
  /** Looks now. */
  look(): Promise<DiskView>
  /** Why nothing that takes room is written, in a sentence; undefined while there is room. */
  noRoom(): string | undefined
  close(): Promise<void>
}

export interface DiskWatchOptions {
  readonly folder: string
  readonly reserve: Reserve
  readonly log: Logger
  /** The disk has reached the reserve, or has room again. */
  readonly onChange: (view: DiskView) => void
  /** The disk was looked at. */
  readonly onLook: (view: DiskView) => void
  /** For tests. */
  readonly measure?: (folder: string) => Promise<Pick<DiskView, 'sizeBytes' | 'freeBytes'>>
}

/** Looks once before it resolves. A disk that cannot be asked counts as having room: what does not fit then fails by itself. */
export async function watchDisk(options: DiskWatchOptions): Promise<DiskWatch> {
  const { folder, reserve, log, onChange, onLook, measure = measureDisk } = options
  let view: DiskView = { sizeBytes: 0, freeBytes: 0, reserveBytes: 0, isFull: false }
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  let hasFailed = false

  const look = async (): Promise<void> => {
    try {
      const { sizeBytes, freeBytes } = await measure(folder)
      const reserveBytes =
        reserve.unit === '%' ? Math.floor((sizeBytes * reserve.amount) / 100) : reserve.amount * BYTES_BY_UNIT[reserve.unit]
      const isFull = freeBytes < (view.isFull ? RESUME_FACTOR * reserveBytes : reserveBytes)
      const hasChanged = isFull !== view.isFull
      view = { sizeBytes, freeBytes, reserveBytes, isFull }
      hasFailed = false
      if (hasChanged) onChange(view)
      onLook(view)
    } catch (error) {
      if (!hasFailed) log.warn({ err: error }, 'the disk cannot be asked how much is free; it is tried again')
      hasFailed = true
    }
  }
  const lookAgain = (): void => {
    if (isClosed) return
    const headroomMs = (view.freeBytes - view.reserveBytes) / FILLING_BYTES_PER_MS
    const waitMs = view.isFull ? FULL_LOOK_MS : Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, headroomMs))
    timer = setTimeout(() => void (looking = look().then(lookAgain)), waitMs)
  }
  let looking = look()
  await looking
  lookAgain()

  return {
    view: () => view,
    async look() {
      await look()
      return view
    },
    noRoom: () => (view.isFull ? describeFull(view) : undefined),
    async close() {
      isClosed = true
      clearTimeout(timer)
      await looking
    },
  }
}

async function measureDisk(folder: string): Promise<Pick<DiskView, 'sizeBytes' | 'freeBytes'>> {
  const { blocks, bavail, bsize } = await statfs(folder)
  return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize }
}

export function describeFull({ freeBytes, reserveBytes }: DiskView): string {
  const resumeBytes = RESUME_FACTOR * reserveBytes
  return (
    `the disk has ${inMiB(freeBytes)} free, and ${inMiB(reserveBytes)} are kept in reserve (HS_DISK_RESERVE): ` +
    `new records are taken again when ${inMiB(resumeBytes)} are free, deletes now`
  )
}

const inMiB = (bytes: number): string => `${(bytes / BYTES_BY_UNIT.MiB).toFixed(1)} MiB`
