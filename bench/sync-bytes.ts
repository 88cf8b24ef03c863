/**
 * How many bytes does it take to bring over what has changed? Two agents whose links go through relays that count both directions; one of
 * them is stopped, so much changes at the other, it starts again. Against what others would send for the same.
 */
import { ask } from '../test/agent-process.ts'
import { createSeededRandom } from '../test/seeded-random.ts'
import { createAgentClient } from './agent-client.ts'
import type { Bench, BenchContext, Measure, Target } from './bench.ts'
import { makeRecords, PAYLOAD_BYTES, recordKey, toNdjson, type MadeRecord } from './made-records.ts'
import { frameBytes } from './raw-transfer.ts'
import { awaitMeeting, createRelayedPair, type RelayedPair } from './relayed-pair.ts'
import { createXorReplica, syncXorReplicas, type XorReplica } from './xor-buckets.ts'

const recordsUnlessSaid = 100_000
/** What others send grows with the records; what they are to be beaten by is stated for so many. */
const recordsOfTargets = 1_000_000
const recordsPerPart = 100_000
const changeCounts = [1, 100, 1_000, 10_000] as const
/** Bytes hardly differ from round to round. */
const roundsMax = 3

const keyOf = (i: number): string => recordKey(`part${String(Math.floor(i / recordsPerPart)).padStart(4, '0')}`, i % recordsPerPart)

/** Records number `from` to `from + count`, as they are at first. */
function makePart(from: number, count: number): MadeRecord[] {
  return makeRecords(count, '', from + 1).map((record, i) => ({ ...record, key: keyOf(from + i) }))
}

async function fill(pair: RelayedPair, count: number, say: BenchContext['say']): Promise<void> {
  for (let from = 0; from < count; from += recordsPerPart) {
    say(`storing records: ${from} of ${count}`)
    await pair.post('home', toNdjson(makePart(from, Math.min(recordsPerPart, count - from))))
  }
}

/** The numbers of so many records all over the collection, each once. */
function pickNumbers(count: number, changes: number, seed: number): number[] {
  const random = createSeededRandom(seed)
  const numbers = new Set<number>()
  while (numbers.size < changes) numbers.add(Math.floor(random.fraction() * count))
  return [...numbers]
}

/** These records with other payloads. */
const makeChanges = (numbers: readonly number[], seed: number): MadeRecord[] =>
  makeRecords(numbers.length, '', seed).map((record, i) => ({ ...record, key: keyOf(numbers[i]!) }))

/** The two sides of the bucket scheme, holding the same. */
function createXorPair(count: number): readonly [XorReplica, XorReplica] {
  const pair = [createXorReplica(), createXorReplica()] as const
  const payload = 'n'.repeat(PAYLOAD_BYTES)
  for (let id = 0; id < count; id++) {
    const item = { id, vector: Float32Array.of(id, 1), payload, written: 0 }
    for (const replica of pair) replica.put(item)
  }
  return pair
}

interface Trial {
  readonly agents: number
  readonly buckets: number
  /** Of the changed records. */
  readonly keysAndPayloads: number
}

async function bringOver(pair: RelayedPair, records: readonly MadeRecord[]): Promise<number> {
  await pair.stop('away')
  if (records.length > 0) await pair.post('home', toNdjson(records))
  pair.resetBytes()
  await pair.start('away')
  await pair.awaitAgreement()
  return pair.bytes()
}

export const bench: Bench = {
  question:
    'Bytes of both directions to bring over what has changed, against its payload, sending everything, and comparing 256 XOR buckets (`--records N`)',
  isSeparate: true,
  async run(context) {
    const { say, records: count = recordsUnlessSaid } = context
    const rounds = Math.min(context.rounds, roundsMax)
    const pair = await createRelayedPair()
    await pair.start('home')
    await fill(pair, count, say)

    say('first copy')
    pair.resetBytes()
    await pair.start('away')
    await pair.awaitAgreement()
    const firstCopy = pair.bytes()
    if (firstCopy === 0) throw new Error('the links of the agents do not lead through the relays')

    const xor = createXorPair(count)
    const trials = new Map<number, Trial[]>([0, ...changeCounts].map(changes => [changes, []]))
    for (let round = 1; round <= rounds; round++) {
      for (const [changes, made] of trials) {
        say(`round ${round} of ${rounds}: ${changes} changed`)
        const numbers = pickNumbers(count, changes, round * 100_003 + changes)
        const records = makeChanges(numbers, round)
        const agents = await bringOver(pair, records)
        for (const id of numbers)
          xor[0].put({ id, vector: Float32Array.of(id, round + 1), payload: 'c'.repeat(PAYLOAD_BYTES), written: round })
        const keysAndPayloads = records.reduce((sum, { key, payload }) => sum + key.length + payload.length, 0)
        made.push({ agents, buckets: syncXorReplicas(...xor), keysAndPayloads })
        say(JSON.stringify(made.at(-1)))
      }
    }
    const missed = await countMissed(pair, say)
    await pair.close()

    const fullBytes = frameBytes(makePart(0, 1)) * count
    const isForTargets = count >= recordsOfTargets
    const samplesOf = (changes: number, pick: (trial: Trial) => number): number[] => (trials.get(changes) ?? []).map(pick)
    const candidateOf = (changes: number) => ({ label: 'agents', samples: samplesOf(changes, ({ agents }) => agents) })
    const against = (changes: number, label: string, pick: (trial: Trial) => number, target?: Target): Measure => ({
      name: `${changes} of ${count} changed`,
      unit: 'B',
      baseline: { label, samples: samplesOf(changes, pick) },
      candidate: candidateOf(changes),
      ...(target !== undefined && { target }),
    })
    const payloadTarget = (payloadBytes: number): Target => ({ candidateMax: 1.1 * payloadBytes + 700 })
    const fewer = (times: number): Target | undefined => (isForTargets ? { ratioMax: Number((1 / times).toPrecision(3)) } : undefined)
    return [
      ...changeCounts.map(changes => against(changes, 'payloads', () => changes * PAYLOAD_BYTES, payloadTarget(changes * PAYLOAD_BYTES))),
      against(10_000, 'keys and payloads', ({ keysAndPayloads }) => keysAndPayloads),
      {
        name: `first copy of ${count}`,
        unit: 'B',
        baseline: { label: 'payloads', samples: [count * PAYLOAD_BYTES] },
        candidate: { label: 'agents', samples: [firstCopy] },
        target: payloadTarget(count * PAYLOAD_BYTES),
      },
      against(1, 'sending everything', () => fullBytes),
      against(100, 'sending everything', () => fullBytes, fewer(5_000)),
      against(10_000, 'sending everything', () => fullBytes, fewer(70)),
      against(0, 'XOR buckets', ({ buckets }) => buckets),
      against(1, 'XOR buckets', ({ buckets }) => buckets, fewer(1_000)),
      against(100, 'XOR buckets', ({ buckets }) => buckets, fewer(1_000)),
      against(10_000, 'XOR buckets', ({ buckets }) => buckets),
      ...missed,
    ]
  },
}

const posesCollection = 'poses'
const poseCount = 3_000
const changesOfKind = 100
const kinds = ['metadata edits', 'sign flips', 'deletes'] as const

/** Every tenth, from a number of its own for each kind. */
const numbersOf = (kind: (typeof kinds)[number]): number[] =>
  Array.from({ length: changesOfKind }, (_, i) => kinds.indexOf(kind) * 1_000 + i * 10)

interface Pose {
  readonly vector: readonly number[]
  readonly payload: { readonly note: string }
}

const poseKey = (id: number): string => recordKey('pose', id)
const poseOf = (id: number): Pose => ({ vector: [id + 0.5, 1, id + 2.5, 3], payload: { note: `as at first, ${id}` } })

/** The pose behind its change; undefined: deleted. */
function changePose(kind: (typeof kinds)[number], id: number): Pose | undefined {
  const { vector, payload } = poseOf(id)
  if (kind === 'deletes') return undefined
  if (kind === 'metadata edits') return { vector, payload: { note: `edited, ${id}` } }
  return { vector: vector.map((value, i) => (i % 2 === 0 ? -value : value)), payload }
}

const sameAs = (wanted: Pose | undefined, found: Pose | undefined): boolean => JSON.stringify(wanted) === JSON.stringify(found)

/** Changes of kinds that weak digests do not see, made at one side; how many of them are not what the other side holds afterwards. */
async function countMissed(pair: RelayedPair, say: BenchContext['say']): Promise<Measure[]> {
  say('changes that weak digests do not see')
  const xor = [createXorReplica(), createXorReplica()] as const
  const toItem = (id: number, { vector, payload }: Pose, written: number) => ({
    id,
    vector: Float32Array.from(vector),
    payload: JSON.stringify(payload),
    written,
  })
  const ids = [...Array(poseCount).keys()]
  const lineOf = (id: number, pose: Pose): string => `${JSON.stringify({ key: poseKey(id), ...pose })}\n`
  for (const id of ids) for (const replica of xor) replica.put(toItem(id, poseOf(id), 0))
  await pair.post('home', [Buffer.from(ids.map(id => lineOf(id, poseOf(id))).join(''))], posesCollection)
  await pair.awaitAgreement(posesCollection)

  const missed: Measure[] = []
  // One kind at a time: a bucket that another kind's changes show to be different is exchanged whole, and brings these along.
  for (const kind of kinds) {
    const numbers = numbersOf(kind)
    await pair.stop('away')
    const client = createAgentClient(pair.agent('home').url)
    for (const id of numbers) {
      const pose = changePose(kind, id)
      const path = `/api/collections/${posesCollection}/records/${encodeURIComponent(poseKey(id))}`
      if (pose === undefined) {
        xor[0].delete(id)
        await client.send('DELETE', path)
      } else {
        xor[0].put(toItem(id, pose, 1))
        await client.send('PUT', path, Buffer.from(JSON.stringify(pose)))
      }
    }
    client.close()
    syncXorReplicas(...xor)
    await pair.start('away')
    await awaitMeeting(pair)
    await pair.awaitAgreement(posesCollection)

    const poses = await readPoses(pair)
    const viewXor = (id: number): Pose | undefined => {
      const item = xor[1].get(id)
      return item && { vector: [...item.vector], payload: JSON.parse(item.payload) as Pose['payload'] }
    }
    const count = (view: (id: number) => Pose | undefined): number => numbers.filter(id => !sameAs(changePose(kind, id), view(id))).length
    missed.push({
      name: `${changesOfKind} ${kind}: not brought over`,
      unit: 'changes',
      baseline: { label: 'XOR buckets', samples: [count(viewXor)] },
      candidate: { label: 'agents', samples: [count(id => poses.get(poseKey(id)))] },
      target: { candidateMax: 0 },
    })
  }
  return missed
}

async function readPoses(pair: RelayedPair): Promise<Map<string, Pose>> {
  const poses = new Map<string, Pose>()
  let cursor: string | null = ''
  while (cursor !== null) {
    const path = `/api/collections/${posesCollection}/records?limit=1000${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`
    const page = (await ask(pair.agent('away'), path)) as { records: (Pose & { key: string })[]; cursor: string | null }
    for (const { key, vector, payload } of page.records) poses.set(key, { vector, payload })
    cursor = page.cursor
  }
  return poses
}
