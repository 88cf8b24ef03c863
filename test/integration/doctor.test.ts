/** `hs-agent doctor` as a person meets it: real agents on loopback that do not see one another, each for another reason. */
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { makeSwarmKey, readSwarmKeys } from '../../agent/swarm-keys.ts'
import { ask, findFreePort, makeFolder, startAgentProcess, stopEverything, until, type AgentProcess } from '../agent-process.ts'
import { runCli } from './cli-process.ts'

const DEADLINE_MS = 60_000
afterEach(stopEverything)

interface Robot extends AgentProcess {
  readonly port: number
}

async function startRobot(env: Readonly<Record<string, string>>, port?: number): Promise<Robot> {
  const gossipPort = port ?? (await findFreePort())
  const agent = await startAgentProcess({
    env: { HS_GOSSIP_PORT: String(gossipPort), HS_GOSSIP_HOST: '127.0.0.1', HS_GOSSIP_MULTICAST: 'off', HS_SWARM_NAME: 'yard', ...env },
  })
  return { ...agent, port: gossipPort }
}

interface Answer {
  readonly status: number | null
  readonly findings: readonly {
    readonly severity: string
    readonly code: string
    readonly about: string
    readonly seen: string
    readonly reason?: string
  }[]
}

async function examine(words: readonly string[], env: Readonly<Record<string, string>>): Promise<Answer> {
  const workingDirectory = await makeFolder('hs-doctor-')
  const { status, stdout, stderr } = await runCli(['doctor', ...words, '--json'], { env, workingDirectory })
  expect(stderr).toBe('')
  return { status, ...(JSON.parse(stdout) as Pick<Answer, 'findings'>) }
}

const codesOf = ({ findings }: Answer): string[] => findings.filter(({ severity }) => severity !== 'ok').map(({ code }) => code)

/** Asks until the findings are these: gossip takes a moment to hear the others. */
async function untilFound(codes: readonly string[], words: readonly string[], env: Readonly<Record<string, string>>): Promise<Answer> {
  let answer: Answer | undefined
  await until(`doctor finds ${codes.join()}`, DEADLINE_MS, async () => {
    answer = await examine(words, env)
    return codesOf(answer).join() === codes.join() ? undefined : JSON.stringify(answer)
  })
  return answer!
}

/** Two that name one another, and what each is told of the other. */
async function startPair(here: Readonly<Record<string, string>>, there: Readonly<Record<string, string>>): Promise<[Robot, Robot]> {
  const ports = [await findFreePort(), await findFreePort()] as const
  const peers = ports.map(port => `127.0.0.1:${port}`).join(',')
  return [
    await startRobot({ HS_GOSSIP_PEERS: peers, HS_NODE_NAME: 'here', ...here }, ports[0]),
    await startRobot({ HS_GOSSIP_PEERS: peers, HS_NODE_NAME: 'there', ...there }, ports[1]),
  ]
}

it('an agent that has no room for new records says so, and how to make some', async () => {
  const robot = await startRobot({ HS_DISK_RESERVE: '1000000GiB' })
  const answer = await examine([], { HS_URL: robot.url })
  expect(answer.status).toBe(1)
  expect(answer.findings.find(({ code }) => code === 'disk-full')).toMatchObject({
    severity: 'fault',
    seen: expect.stringMatching(/takes no new records: .* are free .* kept in reserve/) as string,
  })
})

describe('two agents that run and do not see one another', () => {
  const [KEY, OTHER_KEY] = [makeSwarmKey(), makeSwarmKey()]
  const [keyId, otherKeyId] = readSwarmKeys([KEY, OTHER_KEY]).map(({ id }) => id)
  const cases: readonly (readonly [string, Record<string, string>, Record<string, string>, readonly [string, string], RegExp, RegExp])[] = [
    [
      'their swarm names differ',
      {},
      { HS_SWARM_NAME: 'shed' },
      ['other-swarm', 'other-swarm'],
      /another one than `yard`/,
      /without a swarm key/,
    ],
    [
      'one has a key',
      { HS_SWARM_KEY: KEY },
      {},
      ['key-missing-there', 'key-missing-here'],
      new RegExp(`set here \\(key ${keyId}\\)`),
      /the one there has none/,
    ],
    [
      'their keys differ',
      { HS_SWARM_KEY: KEY },
      { HS_SWARM_KEY: OTHER_KEY },
      ['key-other', 'key-other'],
      new RegExp(`here: ${keyId}`),
      new RegExp(`has swarm key ${otherKeyId}, this one has ${keyId}`),
    ],
  ]
  it.each(cases)(
    'P16 because %s: both sides say so, and so does a look at the other one',
    async (_why, hereEnv, thereEnv, codes, says, seenThere) => {
      const [here, there] = await startPair(hereEnv, thereEnv)
      const answer = await untilFound([codes[0]], [], { HS_URL: here.url })
      expect(answer.status).toBe(codes[0] === 'other-swarm' ? 0 : 1)
      expect(JSON.stringify(answer.findings)).toMatch(says)
      await untilFound([codes[1]], [], { HS_URL: there.url })
      const asked = await untilFound([codes[0]], [`127.0.0.1:${there.port}`], { HS_URL: here.url })
      expect(asked.status).toBe(1)
      expect(JSON.stringify(asked.findings)).toMatch(seenThere)
      const both = await untilFound([codes[0]], [`127.0.0.1:${there.port}`, '--peer-url', there.url], { HS_URL: here.url })
      expect(both.findings.map(({ code }) => code)).toContain('agent')
    },
  )

  it('because nobody is there: the port is refused, or something else has it', async () => {
    const free = await findFreePort()
    const here = await startRobot({ HS_GOSSIP_PEERS: `127.0.0.1:${free}` })
    const env = { HS_URL: here.url }
    await untilFound(['seed-silent'], [], env)
    const refused = await examine([`127.0.0.1:${free}`], env)
    expect(refused).toMatchObject({ status: 1, findings: [{ code: 'agent' }, { code: 'host-unreachable', severity: 'fault' }] })
    expect(JSON.stringify(refused.findings)).toContain('ECONNREFUSED')
    const other = createServer(socket => socket.on('error', () => {}).end('220 mail\r\n'))
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    try {
      expect(codesOf(await examine([`127.0.0.1:${(other.address() as AddressInfo).port}`], env))).toEqual(['other-program'])
    } finally {
      await new Promise(resolve => other.close(resolve))
    }
    expect(codesOf(await examine([`127.0.0.1:${here.port}`], env))).toEqual(['host-is-self'])
    expect(codesOf(await examine(['no-such-robot.invalid'], env))).toEqual(['host-name'])
  })
})

it('two agents that see one another are well, and the doctor says so with status 0', async () => {
  const [here, there] = await startPair({}, {})
  await untilFound([], [], { HS_URL: here.url })
  const asked = await untilFound([], [`127.0.0.1:${there.port}`, '--peer-url', there.url], { HS_URL: here.url })
  expect(asked.status).toBe(0)
  const workingDirectory = await makeFolder()
  const { status, stdout } = await runCli(['doctor'], { env: { HS_URL: here.url }, workingDirectory })
  expect(status).toBe(0)
  expect(stdout).toMatch(/^ok +here \(node [0-9a-f]{8}, version .*\) answers at http/)
  expect(stdout).toMatch(/^ok +there \(127\.0\.0\.1:\d+\) is heard and answers, round trip .* ms\.$/m)
  expect(stdout.trimEnd().split('\n').at(-1)).toBe('Nothing wrong was found.')

  let metrics = ''
  await until('a probe is answered', DEADLINE_MS, async () => {
    metrics = await (await fetch(`${here.url}/metrics`)).text()
    return /^hs_swarm_probes_total\{result="answered"\} [1-9]/m.test(metrics) ? undefined : metrics
  })
  expect(metrics).toMatch(/^hs_swarm_members\{state="alive"\} 1$/m)
  for (const state of ['suspect', 'dead', 'left']) expect(metrics).toContain(`hs_swarm_members{state="${state}"} 0`)
  for (const direction of ['received', 'sent']) {
    expect(metrics).toMatch(new RegExp(`^hs_gossip_packets_total\\{direction="${direction}",kind="ping"\\} [1-9]`, 'm'))
    expect(metrics).toMatch(new RegExp(`^hs_gossip_bytes_total\\{direction="${direction}",kind="ping"\\} [1-9]`, 'm'))
  }
  expect(metrics).toMatch(/^hs_gossip_multicast_mute 0$/m)
  expect(metrics).toMatch(/^hs_peer_clock_skew_ms \d+(\.\d+)?$/m)
  for (const name of ['suspicions_total{by="this-node"}', 'false_suspicions_total', 'refutations_total'])
    expect(metrics).toContain(`hs_swarm_${name} `)
})

it('the API tells the observations and the findings', async () => {
  const [here, there] = await startPair({}, { HS_SWARM_NAME: 'shed' })
  await until('the stranger is told', DEADLINE_MS, async () => {
    const diagnosis = (await ask(here, '/api/swarm/diagnosis')) as {
      strangers: { addr: string; reason: string }[]
      findings: { code: string }[]
    }
    const isTold = diagnosis.strangers.some(({ addr, reason }) => addr === `127.0.0.1:${there.port}` && reason === 'other-swarm')
    return isTold && diagnosis.findings.some(({ code }) => code === 'other-swarm') ? undefined : JSON.stringify(diagnosis)
  })
  expect(await ask(here, '/api/swarm/diagnosis')).toMatchObject({
    node: { swarm_name: 'yard', key_ids: [], gossip_port: here.port },
    peers: [],
  })
})

describe('without an agent', () => {
  const settings = async (): Promise<Record<string, string>> => ({
    HS_HTTP_PORT: String(await findFreePort()),
    HS_GOSSIP_PORT: String(await findFreePort()),
    HS_GOSSIP_INTERFACE: 'lo',
    HS_DATA_DIR: `${await makeFolder()}/data`,
  })

  it('says that no agent answers, and looks at what an agent would need; nothing is made', async () => {
    const env = await settings()
    const answer = await examine([], env)
    expect(codesOf(answer)).toEqual(['agent-unreachable'])
    expect(answer.status).toBe(0)
    expect(answer.findings.map(({ code }) => code)).toEqual([
      'agent-unreachable',
      'config',
      'data-directory',
      'disk',
      'ports',
      'multicast',
      'clock',
    ])
    expect(codesOf(await examine([], env))).toEqual(['agent-unreachable'])
  })

  it('a port that is taken is told with who has it', async () => {
    const env = await settings()
    const other = createServer()
    await new Promise<void>(resolve => other.listen({ host: '0.0.0.0', port: Number(env['HS_GOSSIP_PORT']) }, resolve))
    try {
      const answer = await examine([], env)
      expect(answer.status).toBe(1)
      expect(answer.findings.find(({ code }) => code === 'port-taken')?.seen).toMatch(
        new RegExp(
          `^TCP port ${env['HS_GOSSIP_PORT']} \\(HS_GOSSIP_PORT, for the peer link\\) is taken by .*\\(process ${process.pid}\\)$`,
        ),
      )
    } finally {
      await new Promise(resolve => other.close(resolve))
    }
  })

  it('an agent that runs under another URL is found by its data directory and its port', async () => {
    const agent = await startRobot({ HS_GOSSIP_HOST: '0.0.0.0' })
    const answer = await examine([], { ...(await settings()), HS_DATA_DIR: agent.dataDir, HS_GOSSIP_PORT: String(agent.port) })
    expect(answer.status).toBe(1)
    const told = answer.findings.filter(({ severity }) => severity === 'fault').map(({ code, seen }) => `${code}: ${seen}`)
    expect(told).toEqual([
      `agent-unreachable: The data directory ${agent.dataDir} is open in hs-agent (process ${agent.pid}), and no agent answers`,
      `port-taken: TCP port ${agent.port} (HS_GOSSIP_PORT, for the peer link) is taken by another hs-agent (process ${agent.pid})`,
    ])
  })

  it('wrong settings are findings, each with its rule', async () => {
    const answer = await examine([], { HS_GOSSIP_PORT: 'abc', HS_SWARM_KEY: 'short' })
    expect(answer.status).toBe(1)
    expect(answer.findings).toMatchObject([
      { code: 'config', about: 'HS_GOSSIP_PORT', severity: 'fault' },
      { code: 'config', about: 'HS_SWARM_KEY', severity: 'fault' },
    ])
    expect(JSON.stringify(answer)).not.toContain('short')
  })

  it('an interface that is named and not there, a data directory that cannot be one, are faults', async () => {
    const env = { ...(await settings()), HS_GOSSIP_INTERFACE: 'wlan99', HS_DATA_DIR: '/proc/version/data' }
    expect(codesOf(await examine([], env))).toEqual(['agent-unreachable', 'data-directory', 'interface-missing'])
  })
})

it('a token that is missing is told as such', async () => {
  const agent = await startRobot({ HS_API_TOKEN: 'a-long-token' })
  expect(codesOf(await examine([], { HS_URL: agent.url }))).toEqual(['agent-refuses'])
})
