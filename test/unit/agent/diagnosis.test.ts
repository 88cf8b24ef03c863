/** From observations to sentences: each cause for which two robots do not see one another has its own, and nothing is told that was not seen. */
import { describe, expect, it } from 'vitest'
import { describeNetworkFault } from '../../../agent/diagnosis/error-words.ts'
import { explainPair, type PairObservations } from '../../../agent/diagnosis/explain-pair.ts'
import { explainDiagnosis } from '../../../agent/diagnosis/explain.ts'
import { gravest, type Finding, type FindingCode } from '../../../agent/diagnosis/finding.ts'
import type { DiagnosisJson } from '../../../agent/diagnosis/shape.ts'
import type { LinkAnswer } from '../../../agent/link-inquiry.ts'
import { peer, QUIET, stranger } from './diagnosis-fixture.ts'

const isBad = ({ severity }: Finding): boolean => severity !== 'ok'
const withNode = (changed: Partial<DiagnosisJson['node']>): Partial<DiagnosisJson> => ({ node: { ...QUIET.node, ...changed } })
const SEED = '10.0.0.9:7946'
const silentSeed = { seed: SEED, addresses: [{ addr: SEED, is_self: false, node_id: null }], error: null }

interface Case {
  readonly cause: string
  readonly observed: Partial<DiagnosisJson>
  readonly code: FindingCode
  readonly severity: Finding['severity']
  /** Of the whole finding. */
  readonly says: RegExp
}

const CASES: readonly Case[] = [
  {
    cause: 'gossip is off',
    observed: withNode({ gossip_enabled: false, gossip_port: null }),
    code: 'gossip-off',
    severity: 'warning',
    says: /HS_GOSSIP_PORT=7946/,
  },
  {
    cause: 'no interface',
    observed: { interfaces: [{ name: 'lo', address: '127.0.0.1', use: 'left-out', left_out_for: 'loopback', error: null }] },
    code: 'no-interface',
    severity: 'fault',
    says: /cable is out.*bring a network up/,
  },
  {
    cause: 'loopback alone, because nothing else is there',
    observed: { interfaces: [{ name: 'lo', address: '127.0.0.1', use: 'joined', left_out_for: null, error: null }], peers: [peer()] },
    code: 'no-interface',
    severity: 'fault',
    says: /only agents of this machine/,
  },
  {
    cause: 'an interface that HS_GOSSIP_INTERFACE names is not there',
    observed: { interfaces: [], interfaces_missing: ['wlan7'] },
    code: 'interface-missing',
    severity: 'fault',
    says: /wlan7, which HS_GOSSIP_INTERFACE names/,
  },
  {
    cause: 'the port of the group is held by another program',
    observed: { interfaces: [{ name: 'wlan0', address: '10.0.0.1', use: 'failed', left_out_for: null, error: 'EADDRINUSE' }] },
    code: 'multicast',
    severity: 'fault',
    says: /another program holds the port.*ss -lunp/,
  },
  {
    cause: 'multicast is mute',
    observed: { peers: [peer()], multicast: { ...QUIET.multicast, mute: true } },
    code: 'multicast-mute',
    severity: 'fault',
    says: /drops it \(IGMP snooping.*HS_GOSSIP_PEERS/,
  },
  {
    cause: 'multicast is off and nobody is named',
    observed: withNode({ multicast_group: null }),
    code: 'multicast-off',
    severity: 'warning',
    says: /only who names this agent/,
  },
  {
    cause: 'a firewall of this machine',
    observed: { peers: [peer()], faults: [{ what: 'send', error: 'EPERM', count: 12, last_ago_ms: 900 }] },
    code: 'send-refused',
    severity: 'fault',
    says: /EPERM, 12 times.*a firewall of its own/,
  },
  {
    cause: 'another swarm name',
    observed: { strangers: [stranger()] },
    code: 'other-swarm',
    severity: 'warning',
    says: /another one than `yard`.*same HS_SWARM_NAME/,
  },
  {
    cause: 'no swarm name there',
    observed: { strangers: [stranger({ is_default_swarm: true })] },
    code: 'other-swarm',
    severity: 'warning',
    says: /its HS_SWARM_NAME is not set/,
  },
  {
    cause: 'a key there and none here',
    observed: { strangers: [stranger({ reason: 'sealed', key_id: 'aabbccdd' })] },
    code: 'key-missing-here',
    severity: 'fault',
    says: /set there \(key aabbccdd\) and not here/,
  },
  {
    cause: 'a key here and none there',
    observed: { ...withNode({ key_ids: ['11223344'] }), strangers: [stranger({ reason: 'not-sealed' })] },
    code: 'key-missing-there',
    severity: 'fault',
    says: /set here \(key 11223344\) and not there/,
  },
  {
    cause: 'another key',
    observed: { ...withNode({ key_ids: ['11223344'] }), strangers: [stranger({ reason: 'unknown-key', key_id: 'aabbccdd' })] },
    code: 'key-other',
    severity: 'fault',
    says: /seals with swarm key aabbccdd.*here: 11223344/,
  },
  {
    cause: 'packets that were not sealed with the key that they name',
    observed: { ...withNode({ key_ids: ['11223344'] }), strangers: [stranger({ reason: 'bad-seal', key_id: '11223344' })] },
    code: 'seal-broken',
    severity: 'fault',
    says: /forges/,
  },
  {
    cause: 'another version',
    observed: { strangers: [stranger({ reason: 'other-version', wire_version: 2, node_id: null })] },
    code: 'other-version',
    severity: 'fault',
    says: /version 2 of the wire format/,
  },
  {
    cause: 'another program on the port',
    observed: { strangers: [stranger({ reason: 'not-a-packet', kind: 'json', node_id: null, wire_version: null })] },
    code: 'other-program',
    severity: 'warning',
    says: /HyperspaceDB.*HS_GOSSIP_COMPAT/,
  },
  {
    cause: 'an earlier run of a node',
    observed: { strangers: [stranger({ reason: 'stale-boot' })] },
    code: 'stale-boot',
    severity: 'fault',
    says: /copies of one data directory/,
  },
  {
    cause: 'a full list',
    observed: { strangers: [stranger({ reason: 'members-full' })] },
    code: 'members-full',
    severity: 'fault',
    says: /list of members is full/,
  },
  {
    cause: 'a host that sends too much',
    observed: { strangers: [stranger({ reason: 'rate-limited' })] },
    code: 'rate-limited',
    severity: 'warning',
    says: /more packets than one host may/,
  },
  {
    cause: 'a one-way link to somebody who was never let in',
    observed: { strangers: [stranger({ reason: 'unproven', packets: 9 })] },
    code: 'one-way',
    severity: 'fault',
    says: /9 packets in 29 s, and answers nothing.*those from here do not arrive there/,
  },
  {
    cause: 'a link that has become one-way',
    observed: { peers: [peer({ pings_unanswered: 20, answered_ago_ms: 60_000 })] },
    code: 'one-way',
    severity: 'fault',
    says: /has not answered the last 20 pings/,
  },
  {
    cause: 'a peer that only others hear',
    observed: { peers: [peer({ pings_unanswered: 20, direct_ago_ms: null, heard_ago_ms: 3_000 })] },
    code: 'others-only',
    severity: 'fault',
    says: /never been heard here directly; others heard it 3.0 s ago.*by way of the others/,
  },
  {
    cause: 'a peer that is silent',
    observed: { peers: [peer({ status: 'suspect', heard_ago_ms: 12_000 })] },
    code: 'suspect',
    severity: 'warning',
    says: /suspect: last sign of life 12 s ago/,
  },
  {
    cause: 'a peer that nothing says belongs here',
    observed: { peers: [peer({ may_exchange: false })] },
    code: 'not-synced',
    severity: 'warning',
    says: /HS_SWARM_KEY, or the same HS_SWARM_NAME/,
  },
  {
    cause: 'TCP that does not pass although gossip does',
    observed: { peers: [peer({ link: { outcome: 'ETIMEDOUT', ago_ms: 4_000 } })] },
    code: 'link-failed',
    severity: 'fault',
    says: /\(TCP\) failed 4.0 s ago.*a firewall on the way/,
  },
  {
    cause: 'a clock that is off',
    observed: { peers: [peer({ clock_skew_ms: -3_600_000 })] },
    code: 'clock-skew',
    severity: 'warning',
    says: /60 min behind/,
  },
  {
    cause: 'a clock that was never set',
    observed: { ...withNode({ wall_ms: 86_400_000 }), peers: [peer()] },
    code: 'clock',
    severity: 'warning',
    says: /1970-01-02: it was never set/,
  },
  {
    cause: 'a copy of this node',
    observed: { ...withNode({ duplicate_identity: '10.0.0.4:7946' }), peers: [peer()] },
    code: 'duplicate-identity',
    severity: 'fault',
    says: /10\.0\.0\.4:7946 uses the node id/,
  },
  {
    cause: 'a named peer that does not answer',
    observed: { seeds: [silentSeed] },
    code: 'seed-silent',
    severity: 'fault',
    says: /hs-agent doctor 10\.0\.0\.9:7946/,
  },
  {
    cause: 'a named peer whose name does not resolve',
    observed: { seeds: [{ seed: 'rover:7946', addresses: [], error: 'ENOTFOUND' }], peers: [peer()] },
    code: 'seed-name',
    severity: 'fault',
    says: /getent hosts rover/,
  },
  {
    cause: 'nobody at all',
    observed: {},
    code: 'nobody-heard',
    severity: 'fault',
    says: /40 multicast packets left, and none of others came/,
  },
]

describe('what an agent has observed', () => {
  it.each(CASES)('$cause: $code, and nothing else', ({ observed, code, severity, says }) => {
    const findings = explainDiagnosis({ ...QUIET, ...observed }).filter(isBad)
    expect(findings.map(finding => [finding.code, finding.severity])).toEqual([[code, severity]])
    const { seen, reason, advice } = findings[0]!
    expect([seen, reason, advice].join(' ')).toMatch(says)
  })

  it('P17 nothing is wrong, and nothing is said to be, where peers are heard and answer', () => {
    const seeds = [{ ...silentSeed, addresses: [{ addr: SEED, is_self: false, node_id: 'x' }] }]
    const findings = explainDiagnosis({ ...QUIET, seeds, peers: [peer(), peer({ node_id: 'x', addr: SEED })] })
    expect(gravest(findings)).toBe('ok')
    expect(findings.map(({ code }) => code)).toEqual(['ports', 'multicast', 'peer', 'peer'])
  })

  it('what is over is not told: a stranger of long ago, one that was let in since, a start a moment ago, a fault that has passed', () => {
    const over: readonly Partial<DiagnosisJson>[] = [
      { strangers: [stranger({ last_ago_ms: 300_000 })] },
      { strangers: [stranger({ reason: 'unknown-key', last_ago_ms: 5_000 })], peers: [peer({ direct_ago_ms: 300 })] },
      { strangers: [stranger({ reason: 'unproven', packets: 2 })] },
      { strangers: [stranger({ reason: 'unproven', first_ago_ms: 1_000, last_ago_ms: 100 })] },
      { faults: [{ what: 'send', error: 'ENETUNREACH', count: 3, last_ago_ms: 120_000 }] },
    ]
    for (const observed of over)
      expect(explainDiagnosis({ ...QUIET, peers: [peer({ node_id: 'y' })], ...observed }).filter(isBad)).toEqual([])
  })

  it('a named peer that is this agent itself, or whose refusal is explained, is not said to be silent', () => {
    const self = { seed: SEED, addresses: [{ addr: SEED, is_self: true, node_id: null }], error: null }
    expect(explainDiagnosis({ ...QUIET, seeds: [self], peers: [peer()] }).filter(isBad)).toEqual([])
    const codes = explainDiagnosis({ ...QUIET, seeds: [silentSeed], strangers: [stranger({ addr: SEED, host: '10.0.0.9' })] }).filter(isBad)
    expect(codes.map(({ code }) => code)).toEqual(['other-swarm'])
  })

  it('a large swarm is told in few lines', () => {
    const many = Array.from({ length: 500 }, (_, i) => peer({ node_id: `n${i}`, pings_unanswered: i < 400 ? 50 : 0 }))
    const findings = explainDiagnosis({ ...QUIET, peers: many })
    expect(findings.length).toBeLessThan(16)
    expect(findings.map(({ seen }) => seen)).toContain('392 more peers: the same')
    expect(findings.map(({ seen }) => seen)).toContain('100 peers are heard and answer')
  })
})

const pairOf = (answer: LinkAnswer, changed: Partial<PairObservations> = {}): PairObservations => ({
  host: '10.0.0.2',
  addresses: [{ address: '10.0.0.2', answer }],
  port: 7946,
  isPortAsked: false,
  isSelf: false,
  nameError: undefined,
  here: QUIET,
  there: undefined,
  ...changed,
})
const THERE: DiagnosisJson = { ...QUIET, ...withNode({ node_id: peer().node_id, node_name: 'robot-2' }) }
const here = (changed: Partial<DiagnosisJson>): Pick<PairObservations, 'here'> => ({ here: { ...QUIET, ...changed } })

describe('one pair of robots', () => {
  const plain: LinkAnswer = { kind: 'plain' }
  const cases: readonly (readonly [string, PairObservations, readonly FindingCode[], RegExp])[] = [
    ['nobody listens there', pairOf({ kind: 'failed', code: 'ECONNREFUSED' }), ['host-unreachable'], /nobody listens on that port/],
    ['there is no such host', pairOf({ kind: 'failed', code: 'EHOSTUNREACH' }), ['host-unreachable'], /off, out of range/],
    ['there is no way there', pairOf({ kind: 'failed', code: 'ENETUNREACH' }), ['host-unreachable'], /no route/],
    ['nothing comes back', pairOf({ kind: 'failed', code: 'ETIMEDOUT' }), ['host-unreachable'], /a firewall on the way/],
    ['the process there stands still', pairOf({ kind: 'silent' }), ['host-silent'], /stands still/],
    ['another program has the port', pairOf({ kind: 'other' }), ['other-program'], /no peer link of hs-agent/],
    ['its name is not known', pairOf(plain, { nameError: 'ENOTFOUND', addresses: [] }), ['host-name'], /has no address/],
    ['it is this agent', pairOf(plain, { isSelf: true }), ['host-is-self'], /this agent itself/],
    [
      'the key is missing here',
      pairOf({ kind: 'sealed', keyIds: ['aabbccdd'] }),
      ['key-missing-here', 'host-unheard'],
      /set there and not here/,
    ],
    [
      'the key is missing there, as link and gossip agree',
      pairOf(plain, here({ ...withNode({ key_ids: ['11223344'] }), strangers: [stranger({ reason: 'not-sealed' })] })),
      ['key-missing-there'],
      /the one there has none/,
    ],
    [
      'the keys differ',
      pairOf(
        { kind: 'sealed', keyIds: ['aabbccdd'] },
        here({ ...withNode({ key_ids: ['11223344'] }), strangers: [stranger({ reason: 'unknown-key' })] }),
      ),
      ['key-other'],
      /has swarm key aabbccdd, this one has 11223344/,
    ],
    ['the swarm names differ', pairOf(plain, here({ strangers: [stranger()] })), ['other-swarm'], /another swarm/],
    ['TCP passes and gossip was never heard', pairOf(plain), ['host-unheard'], /HS_GOSSIP_PEERS=10\.0\.0\.2:7946 here/],
    [
      'UDP does not pass, though it is named',
      pairOf(
        plain,
        here({ seeds: [{ seed: '10.0.0.2:7946', addresses: [{ addr: '10.0.0.2:7946', is_self: false, node_id: null }], error: null }] }),
      ),
      ['host-unheard'],
      /UDP does not pass although TCP does/,
    ],
    [
      'both are asked: names',
      pairOf(plain, { there: { ...THERE, node: { ...THERE.node, swarm_name: 'shed' } } }),
      ['other-swarm', 'host-unheard'],
      /`yard` here and `shed` there/,
    ],
    [
      'both are asked: only there something is heard',
      pairOf(plain, { there: { ...THERE, strangers: [stranger({ node_id: QUIET.node.node_id, reason: 'unproven' })] } }),
      ['one-way', 'host-unheard'],
      /Packets from here arrive at robot-2, and those the other way do not.*a firewall here/,
    ],
    [
      'both are asked: only here something is heard',
      pairOf(plain, { ...here({ strangers: [stranger({ reason: 'unproven' })] }), there: THERE }),
      ['one-way'],
      /Packets from robot-2 arrive here.*a firewall there/,
    ],
    [
      'both are asked: groups',
      pairOf(plain, {
        ...here({ peers: [peer()] }),
        there: {
          ...THERE,
          node: { ...THERE.node, multicast_group: null },
          seeds: [silentSeed],
          peers: [peer({ node_id: QUIET.node.node_id })],
        },
      }),
      ['other-group'],
      /is 239\.83\.65\.71:7946 here and off there/,
    ],
  ]
  it.each(cases)('%s', (_cause, pair, codes, says) => {
    const findings = explainPair(pair).filter(isBad)
    expect(findings.map(({ code }) => code)).toEqual(codes)
    expect(findings.map(({ seen, reason, advice }) => [seen, reason, advice].join(' ')).join('\n')).toMatch(says)
  })

  it('is well when both hear one another, whoever else is not', () => {
    const others = here({
      peers: [peer(), peer({ node_id: 'z', addr: '10.0.0.3:7946', pings_unanswered: 99 })],
      strangers: [stranger({ addr: '10.0.0.5', host: '10.0.0.5' })],
    })
    const there = { ...THERE, peers: [peer({ node_id: QUIET.node.node_id })] }
    for (const pair of [pairOf({ kind: 'plain' }, others), pairOf({ kind: 'plain' }, { ...others, there })]) {
      expect(gravest(explainPair(pair))).toBe('ok')
    }
  })

  it('asked for a port, looks at that agent alone', () => {
    const two = here({ peers: [peer(), peer({ node_id: 'z', addr: '10.0.0.2:7947', pings_unanswered: 99 })] })
    expect(gravest(explainPair(pairOf({ kind: 'plain' }, { ...two, isPortAsked: true })))).toBe('ok')
    expect(gravest(explainPair(pairOf({ kind: 'plain' }, { ...two, isPortAsked: true, port: 7947 })))).toBe('fault')
  })
})

it('an unknown error code still has a sentence', () => {
  expect(describeNetworkFault('EWEIRD').happened).not.toBe('')
})
