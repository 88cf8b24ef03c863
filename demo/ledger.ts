/** What the robots have acknowledged, kept by the demo itself, to be held against what they have in the end. */
import type { StoredRecord } from '../client/hs-agent-client.ts'
import type { Robot } from './robot.ts'

interface Written {
  readonly collection: string
  readonly key: string
  /** As JSON. */
  readonly payload: string
}

export interface Ledger {
  /** Writes records through a robot; counted once they are acknowledged. Throws when one is refused. */
  write(robot: Robot, collection: string, payloadByKey: Readonly<Record<string, unknown>>): Promise<void>
  count(): number
  /** Reads everything back from every robot. Returns what is wrong, in sentences. */
  check(robots: readonly Robot[], collections: readonly string[]): Promise<string[]>
}

/**
 * `keepsBoth` are the collections in which writes that did not know of one another stay side by side; in the others one of them holds.
 */
export function createLedger(keepsBoth: ReadonlySet<string>): Ledger {
  const written: Written[] = []

  const check = (held: ReadonlyMap<string, readonly string[]>, who: string): string[] => {
    const payloadsByPlace = Map.groupBy(written, ({ collection, key }) => `${collection} ${key}`)
    return [...payloadsByPlace].flatMap(([place, writes]) => {
      const found = held.get(place) ?? []
      const wanted = writes.map(({ payload }) => payload)
      const isKept = keepsBoth.has(writes[0]?.collection ?? '')
        ? wanted.every(payload => found.includes(payload))
        : wanted.includes(found[0] ?? '')
      return isKept ? [] : [`${who} has lost ${place}: wanted ${wanted.join(' or ')}, found ${found.join(', ') || 'nothing'}`]
    })
  }

  return {
    async write(robot, collection, payloadByKey) {
      const { client } = runningOf(robot)
      const entries = Object.entries(payloadByKey)
      const body = entries.map(([key, payload]) => ({ key, payload }))
      const { accepted, rejected } = await client.putRecords({ name: collection, body })
      if (accepted !== body.length) throw new Error(`${robot.name} refused ${JSON.stringify(rejected[0])}`)
      for (const [key, payload] of entries) written.push({ collection, key, payload: JSON.stringify(payload) })
    },
    count: () => written.length,
    async check(robots, collections) {
      const exports: string[] = []
      const faults: string[] = []
      for (const robot of robots) {
        const records = await readAll(robot, collections)
        exports.push(JSON.stringify([...records]))
        const held = new Map([...records].map(([place, record]) => [place, payloadsOf(record)]))
        faults.push(...check(held, robot.name))
      }
      if (new Set(exports).size !== 1) faults.push('the robots do not hold the same records')
      return faults
    },
  }
}

async function readAll(robot: Robot, collections: readonly string[]): Promise<Map<string, StoredRecord>> {
  const { client } = runningOf(robot)
  const records = new Map<string, StoredRecord>()
  for (const name of collections) {
    for await (const record of client.listRecordsStream({ name })) records.set(`${name} ${record.key}`, record)
  }
  return records
}

const payloadsOf = ({ payload, conflicts = [] }: StoredRecord): string[] =>
  [payload, ...conflicts.map(conflict => conflict.payload)].map(value => JSON.stringify(value))

function runningOf({ name, running }: Robot): NonNullable<Robot['running']> {
  if (running === undefined) throw new Error(`${name} does not run`)
  return running
}
