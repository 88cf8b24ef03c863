/**
 * How does the swarm compare with Serf, which many take for the reference? Ten agents and ten nodes of Serf on the same ten hosts (network
 * namespaces on a bridge), the same faults at the same moments, counted alike.
 */
import type { Bench, Measure, Target } from './bench.ts'
import { openSides } from './swarm-sides.ts'
import { idle, join, kill, lose, outage, pause, type Killed, type Outage, type Pair, type Trials } from './swarm-trials.ts'

/** Rounds of what takes long: more are not needed to see the difference. */
const joinsMax = 3
const pausesMax = 2
const outagesMax = 2
const idleMs = 60_000
const lossPercent = 20
const lossMs = 120_000
const longOutageMs = 25_000
const shortOutageMs = 12_000

/** What counts is the worst round. */
const worst = { isWorst: true } as const
const none: Target = { candidateMax: 0 }

function toMeasure(name: string, unit: string, pairs: readonly Pair[], more: Pick<Measure, 'target' | 'isWorst'> = {}): Measure {
  return {
    name,
    unit,
    baseline: { label: 'Serf', samples: pairs.map(({ serf }) => serf) },
    candidate: { label: 'agents', samples: pairs.map(({ agents }) => agents) },
    ...more,
  }
}

const outageMeasures = (seconds: number, outages: readonly Outage[]): Measure[] => {
  const name = `radio outage of ${seconds} s`
  return [
    toMeasure(
      `${name}: healthy nodes hold healthy ones dead`,
      'times',
      outages.map(({ falseDeaths }) => falseDeaths),
      { ...worst, target: none },
    ),
    toMeasure(
      `${name}: its node holds others dead`,
      'times',
      outages.map(({ deathsByVictim }) => deathsByVictim),
      worst,
    ),
    toMeasure(
      `${name}: others hold its node dead`,
      'times',
      outages.map(({ deathsOfVictim }) => deathsOfVictim),
      worst,
    ),
    toMeasure(
      `${name}: until all lists are complete again`,
      'ms',
      outages.map(({ healMs }) => healMs),
      { ...worst, target: { candidateMax: 5_000 } },
    ),
  ]
}

export const bench: Bench = {
  question: 'Finding one another, failures and what only looks like one, against Serf (memberlist) in its LAN profile',
  isSeparate: true,
  async run({ rounds, say }) {
    const trials: Trials = { ...(await openSides()), say }
    const repeat = async <Result>(what: string, count: number, once: (round: number) => Promise<Result>): Promise<Result[]> => {
      const results: Result[] = []
      for (let round = 1; round <= count; round++) {
        say(`${what}, ${round} of ${count}`)
        const result = await once(round)
        say(JSON.stringify(result))
        results.push(result)
      }
      return results
    }
    // The first node is the one that all others name.
    const victimOf = (round: number): number => 1 + ((round * 4) % 9)

    const joins = await repeat('ten meet', Math.min(rounds, joinsMax), () => join(trials))
    const kills: Killed[] = await repeat('kill -9', rounds, round => kill(trials, victimOf(round)))
    const [idleBytes] = await repeat(`idle for ${idleMs / 1000} s`, 1, () => idle(trials, idleMs))
    const pauses = Math.min(rounds, pausesMax)
    const shortPauses = await repeat('paused for 2 s', pauses, round => pause(trials, victimOf(round), 2_000))
    const longPauses = await repeat('paused for 5 s', pauses, round => pause(trials, victimOf(round + 1), 5_000))
    const outages = Math.min(rounds, outagesMax)
    const shortOutages = await repeat('radio outage of 12 s', outages, round => outage(trials, victimOf(round), shortOutageMs))
    const longOutages = await repeat('radio outage of 25 s', outages, round => outage(trials, victimOf(round + 1), longOutageMs))
    const [lossy] = await repeat(`${lossPercent} % loss for ${lossMs / 1000} s`, 1, () => lose(trials, lossPercent, lossMs))

    const ofKills = (pick: (killed: Killed) => Pair): Pair[] => kills.map(pick)
    return [
      toMeasure('9 join 1 at once: all lists complete', 'ms', joins, { target: { ratioMax: 1 } }),
      toMeasure(
        'kill -9: first to know',
        'ms',
        ofKills(({ firstMs }) => firstMs),
        { target: { ratioMax: 0.84 } },
      ),
      toMeasure(
        'kill -9: all know',
        'ms',
        ofKills(({ allMs }) => allMs),
        { target: { ratioMax: 0.84 } },
      ),
      toMeasure(
        'kill -9: others held dead',
        'times',
        ofKills(({ falseDeaths }) => falseDeaths),
        { ...worst, target: none },
      ),
      toMeasure(
        'back again: all lists complete, longest',
        'ms',
        ofKills(({ rejoinMs }) => rejoinMs),
        { ...worst, target: { ratioMax: 1 } },
      ),
      toMeasure('idle, sent by each node', 'B/s', [idleBytes!], { target: { ratioMax: 1 } }),
      toMeasure('paused for 2 s: held dead', 'times', shortPauses, { ...worst, target: none }),
      toMeasure('paused for 5 s: held dead', 'times', longPauses, { ...worst, target: none }),
      ...outageMeasures(12, shortOutages),
      ...outageMeasures(25, longOutages),
      toMeasure(`${lossPercent} % loss for ${lossMs / 1000} s: held dead`, 'times', [lossy!.falseDeaths], { ...worst, target: none }),
      toMeasure(`${lossPercent} % loss for ${lossMs / 1000} s: suspected`, 'times', [lossy!.suspicions], { target: { ratioMax: 1 } }),
    ]
  },
}
