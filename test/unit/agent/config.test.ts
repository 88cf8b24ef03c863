import { describe, expect, it } from 'vitest'
import { createConfigError, formatFault, loadConfig, maskedConfig } from '../../../agent/config.ts'
import { reserved, settingNames, settings } from '../../../agent/config-table.ts'
import type { Config, ConfigFault, Environment } from '../../../agent/config.ts'

const context = { version: '0.1.0', workingDirectory: '/srv/robot' }

function configOf(env: Environment): Config {
  const result = loadConfig(env, context)
  if (!result.ok) throw createConfigError(result.faults)
  return result.config
}

function faultsOf(env: Environment): readonly ConfigFault[] {
  const result = loadConfig(env, context)
  return result.ok ? [] : result.faults
}

const messageOf = (env: Environment): string => faultsOf(env).map(formatFault).join('\n')

const KEY = `${'A'.repeat(43)}=`

describe('defaults', () => {
  it('an empty environment gives every default, with an absolute data directory and gossip off', () => {
    expect(configOf({})).toEqual({
      dataDir: '/srv/robot/data',
      httpHost: '127.0.0.1',
      httpPort: 50050,
      apiTokens: [],
      nodeName: undefined,
      role: 'edge',
      gossipPort: undefined,
      gossipPeers: [],
      gossipHost: '0.0.0.0',
      gossipMulticast: { host: '239.83.65.71', port: 7946 },
      gossipInterfaces: [],
      gossipProfile: 'lan',
      gossipCompat: 'off',
      swarmName: 'default',
      swarmOpen: false,
      syncCompression: 'auto',
      syncKbpsMax: undefined,
      digestSalt: undefined,
      swarmKeys: [],
      syncLiveLinks: 16,
      syncDefault: 'both',
      clockTrusted: 'auto',
      clockDriftMaxMs: 60_000,
      durability: { usual: 'fsync', byCollection: {} },
      batchMs: 50,
      scrubRowsPerSecond: 100,
      verifyIntervalMs: 604_800_000,
      outageLogMib: 64,
      diskReserve: { amount: 5, unit: '%' },
      logLevel: 'info',
      ignoreUnknown: false,
      url: 'http://127.0.0.1:50050',
    })
  })

  it('every default is a text that its own type reads', () => {
    const given = Object.fromEntries(settingNames.map(variable => [variable, settings[variable].default]))
    expect(configOf(given)).toEqual(configOf({}))
  })

  it('an empty or blank variable counts as unset', () => {
    expect(configOf({ HS_HTTP_PORT: '', HS_ROLE: '  ', HS_NO_SUCH: '' })).toEqual(configOf({}))
  })

  it('under systemd the data directory is the state directory, unless HS_DATA_DIR is set', () => {
    expect(configOf({ STATE_DIRECTORY: '/var/lib/hs-agent' }).dataDir).toBe('/var/lib/hs-agent')
    expect(configOf({ STATE_DIRECTORY: '/var/lib/a:/var/lib/b' }).dataDir).toBe('/var/lib/a')
    expect(configOf({ STATE_DIRECTORY: '/var/lib/hs-agent', HS_DATA_DIR: 'here' }).dataDir).toBe('/srv/robot/here')
  })

  it('gossip is on when a port or a peer is set, on 7946 when only peers are', () => {
    expect(configOf({ HS_GOSSIP_PORT: '7000' }).gossipPort).toBe(7000)
    expect(configOf({ HS_GOSSIP_PEERS: 'a:1' }).gossipPort).toBe(7946)
    expect(configOf({ HS_GOSSIP_PEERS: 'a:1', HS_GOSSIP_PORT: '0' }).gossipPort).toBe(0)
  })

  it('the URL of the agent follows the host and the port that it listens on', () => {
    expect(configOf({ HS_HTTP_PORT: '8080' }).url).toBe('http://127.0.0.1:8080')
    expect(configOf({ HS_HTTP_HOST: '0.0.0.0', HS_API_TOKEN: 'long-enough' }).url).toBe('http://127.0.0.1:50050')
    expect(configOf({ HS_HTTP_HOST: '::1' }).url).toBe('http://[::1]:50050')
    expect(configOf({ HS_HTTP_PORT: '8080', HS_URL: 'https://rover:1/base/' }).url).toBe('https://rover:1/base')
    expect(configOf({ HS_HTTP_PORT: '0' }).url).toBe('http://127.0.0.1:50050')
  })

  it('the configuration is frozen, lists and addresses too', () => {
    const config = configOf({ HS_GOSSIP_PEERS: 'a:1' })
    expect([config, config.gossipPeers, config.gossipPeers[0], config.gossipMulticast].every(Object.isFrozen)).toBe(true)
  })
})

describe('values', () => {
  it.each([
    ['HS_HTTP_PORT', '65535', 'httpPort', 65_535],
    ['HS_HTTP_HOST', 'localhost', 'httpHost', 'localhost'],
    ['HS_HTTP_HOST', '[::1]', 'httpHost', '::1'],
    ['HS_API_TOKEN', 'first-token, second-token,', 'apiTokens', ['first-token', 'second-token']],
    ['HS_NODE_NAME', 'Röver 7', 'nodeName', 'Röver 7'],
    ['HS_ROLE', 'leader', 'role', 'leader'],
    ['HS_GOSSIP_HOST', '::', 'gossipHost', '::'],
    ['HS_GOSSIP_MULTICAST', 'off', 'gossipMulticast', undefined],
    ['HS_GOSSIP_MULTICAST', '224.1.2.3:1', 'gossipMulticast', { host: '224.1.2.3', port: 1 }],
    ['HS_GOSSIP_INTERFACE', 'lo, wlan0,10.0.0.1', 'gossipInterfaces', ['lo', 'wlan0', '10.0.0.1']],
    ['HS_GOSSIP_INTERFACE', 'all', 'gossipInterfaces', []],
    ['HS_SWARM_OPEN', 'yes', 'swarmOpen', true],
    ['HS_DIGEST_SALT', '000102030405060708090A0B0C0D0E0F', 'digestSalt', '000102030405060708090a0b0c0d0e0f'],
    ['HS_SWARM_KEY', `${KEY}, ${KEY.replace('A', 'B')},${KEY}`, 'swarmKeys', [KEY, KEY.replace('A', 'B')]],
    ['HS_CLOCK_DRIFT_MAX', '1500ms', 'clockDriftMaxMs', 1500],
    ['HS_CLOCK_DRIFT_MAX', '1.5 min', 'clockDriftMaxMs', 90_000],
    ['HS_CLOCK_DRIFT_MAX', '24h', 'clockDriftMaxMs', 86_400_000],
    ['HS_BATCH_MS', '1', 'batchMs', 1],
    ['HS_OUTAGE_LOG_MIB', '0', 'outageLogMib', 0],
    ['HS_DISK_RESERVE', '0', 'diskReserve', { amount: 0, unit: '%' }],
    ['HS_DISK_RESERVE', '2.5%', 'diskReserve', { amount: 2.5, unit: '%' }],
    ['HS_DISK_RESERVE', '500 MiB', 'diskReserve', { amount: 500, unit: 'MiB' }],
    ['HS_SYNC_KBPS_MAX', '8', 'syncKbpsMax', 8],
    ['HS_SYNC_COMPRESSION', 'off', 'syncCompression', 'off'],
  ] as const)('%s=%s is read', (variable, text, name, value) => {
    expect(configOf({ [variable]: text })[name]).toEqual(value)
  })

  it('an IPv6 group takes an IPv6 socket', () => {
    const group = { HS_GOSSIP_MULTICAST: '[ff05::5341:5347]:7946' }
    expect(configOf({ ...group, HS_GOSSIP_HOST: '::' }).gossipMulticast).toEqual({ host: 'ff05::5341:5347', port: 7946 })
    expect(faultsOf(group)).toEqual([expect.objectContaining({ variable: 'HS_GOSSIP_HOST', value: '0.0.0.0' })])
  })

  it('peers are host:port with names, IPv4 and bracketed IPv6; the same one twice counts once', () => {
    expect(configOf({ HS_GOSSIP_PEERS: 'rover-2.local:7946, 10.0.0.2:1,[fe80::1]:65535,10.0.0.2:1' }).gossipPeers).toEqual([
      { host: 'rover-2.local', port: 7946 },
      { host: '10.0.0.2', port: 1 },
      { host: 'fe80::1', port: 65_535 },
    ])
  })

  it.each([
    ['HS_HTTP_PORT', '65536'],
    ['HS_HTTP_PORT', '-1'],
    ['HS_HTTP_PORT', '80.5'],
    ['HS_HTTP_PORT', '0x50'],
    ['HS_HTTP_PORT', '1e3'],
    ['HS_HTTP_HOST', 'not a host'],
    ['HS_HTTP_HOST', '300.1.1.1'],
    ['HS_HTTP_HOST', 'http://127.0.0.1'],
    ['HS_NODE_NAME', 'a\u001b[31m'],
    ['HS_NODE_NAME', 'é'.repeat(33)],
    ['HS_ROLE', 'Leader'],
    ['HS_GOSSIP_PORT', '70000'],
    ['HS_GOSSIP_MULTICAST', '240.0.0.1:7946'],
    ['HS_GOSSIP_MULTICAST', 'ff05::1:7946'],
    ['HS_GOSSIP_MULTICAST', '[ff02::5341]:7946'],
    ['HS_GOSSIP_MULTICAST', '[fe05::5341]:7946'],
    ['HS_GOSSIP_PEERS', 'rover-2'],
    ['HS_GOSSIP_PEERS', 'rover-2:0'],
    ['HS_GOSSIP_PEERS', 'fe80::1:7946'],
    ['HS_GOSSIP_PEERS', '[10.0.0.1]:7946'],
    ['HS_GOSSIP_PEERS', 'a:1,b:99999'],
    ['HS_GOSSIP_PEERS', Array.from({ length: 257 }, (_, i) => `h${i}:1`).join(',')],
    ['HS_GOSSIP_HOST', 'localhost'],
    ['HS_GOSSIP_MULTICAST', '192.168.1.1:7946'],
    ['HS_GOSSIP_MULTICAST', '240.0.0.1:7946'],
    ['HS_GOSSIP_MULTICAST', '239.83.65.71'],
    ['HS_GOSSIP_MULTICAST', 'no'],
    ['HS_GOSSIP_INTERFACE', 'an-interface-name-too-long'],
    ['HS_GOSSIP_INTERFACE', 'all,lo'],
    ['HS_GOSSIP_PROFILE', 'wan'],
    ['HS_SWARM_OPEN', 'maybe'],
    ['HS_CLOCK_DRIFT_MAX', '60'],
    ['HS_CLOCK_DRIFT_MAX', '0s'],
    ['HS_CLOCK_DRIFT_MAX', '25h'],
    ['HS_DURABILITY', 'sync'],
    ['HS_BATCH_MS', '0'],
    ['HS_LOG_LEVEL', 'verbose'],
    ['HS_DATA_DIR', '~/data'],
    ['HS_URL', '127.0.0.1:50050'],
    ['HS_URL', 'ftp://rover'],
    ['HS_URL', 'http://user:pw@rover'],
    ['HS_URL', 'http://rover/?a'],
  ])('%s=%s is refused by name and value', (variable, text) => {
    const faults = faultsOf({ [variable]: text })
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatchObject({ variable, value: text })
    expect(formatFault(faults[0] ?? { variable: '', rule: '' })).toMatch(new RegExp(`^${variable}=.* must `))
  })

  it.each([
    ['HS_API_TOKEN', 'short'],
    ['HS_API_TOKEN', 'long-enough-token,short'],
    ['HS_API_TOKEN', 'with a blank in it'],
    ['HS_API_TOKEN', Array.from({ length: 9 }, (_, i) => `token-number-${i}`).join(',')],
    ['HS_SWARM_KEY', 'a passphrase is no key'],
    ['HS_SWARM_KEY', KEY.slice(0, -1)],
    ['HS_SWARM_KEY', `${KEY.slice(0, -2)}B=`],
    ['HS_SWARM_KEY', `${KEY},${KEY.slice(4)}`],
    ['HS_SWARM_KEY', Array.from('ABCDEFGHI', letter => KEY.replace('A', letter)).join(',')],
    ['HS_DIGEST_SALT', 'abcdef'],
    ['HS_DIGEST_SALT', 'zz0102030405060708090a0b0c0d0e0f'],
  ])('%s=%s is refused, and the secret is not shown', (variable, text) => {
    expect(faultsOf({ [variable]: text })).toMatchObject([{ variable, value: '***' }])
    expect(messageOf({ [variable]: text })).not.toContain(text)
  })
})

describe('faults', () => {
  it('are found all at once', () => {
    const faults = faultsOf({ HS_HTTP_PORT: 'x', HS_ROLE: 'boss', HS_GOSSIP_PEERS: 'y', HS_FOO: '1' })
    expect(faults.map(({ variable }) => variable).sort()).toEqual(['HS_FOO', 'HS_GOSSIP_PEERS', 'HS_HTTP_PORT', 'HS_ROLE'])
  })

  it('say where the value came from', () => {
    const sourceByVariable = new Map([['HS_HTTP_PORT', '.env line 3']])
    const result = loadConfig({ HS_HTTP_PORT: 'x' }, { ...context, sourceByVariable })
    expect(result.ok ? '' : result.faults.map(formatFault).join()).toBe(
      'HS_HTTP_PORT=x: must be a whole number from 0 to 65535 (.env line 3)',
    )
  })

  it('stay on one line of bounded length, whatever the value', () => {
    const message = messageOf({ HS_ROLE: `a\nb${'c'.repeat(1000)}` })
    expect(message).not.toContain('\n')
    expect(message.length).toBeLessThan(250)
  })

  it('HTTP beyond loopback without a token is one', () => {
    expect(messageOf({ HS_HTTP_HOST: '0.0.0.0' })).toBe(
      'HS_HTTP_HOST=0.0.0.0: must be a loopback address as long as HS_API_TOKEN is not set',
    )
    expect(faultsOf({ HS_HTTP_HOST: '::' })).toHaveLength(1)
    expect(faultsOf({ HS_HTTP_HOST: 'rover-1.local' })).toHaveLength(1)
    expect(faultsOf({ HS_HTTP_HOST: '0.0.0.0', HS_API_TOKEN: 'long-enough' })).toEqual([])
    expect(faultsOf({ HS_HTTP_HOST: '127.9.9.9' })).toEqual([])
  })

  it('an unknown variable names the nearest known one and does not show its value, which may be a secret', () => {
    expect(messageOf({ HS_GOSIP_PEERS: 'a:1' })).toBe('HS_GOSIP_PEERS is not a setting; did you mean HS_GOSSIP_PEERS?')
    expect(messageOf({ HS_API_TOKN: 'geheim-geheim' })).not.toContain('geheim')
    expect(faultsOf({ HS_: 'x' })).toHaveLength(1)
    expect(faultsOf({ [`HS_${'X'.repeat(100_000)}`]: 'x' })).toHaveLength(1)
  })

  it('what Kubernetes injects is ignored, and so is what does not begin with HS_', () => {
    const env = {
      HS_AGENT_SERVICE_HOST: '10.0.0.1',
      HS_AGENT_PORT: 'tcp://10.0.0.1:1',
      HS_AGENT_PORT_50050_TCP: 'x',
      PATH: '/bin',
      hs_role: 'x',
    }
    expect(faultsOf(env)).toEqual([])
    expect(faultsOf({ HS_AGENT_PORTAL: 'x' })).toHaveLength(1)
  })

  it('HS_IGNORE_UNKNOWN makes unknown variables warnings', () => {
    const result = loadConfig({ HS_NEWER: '1', HS_IGNORE_UNKNOWN: '1' }, context)
    expect(result.ok).toBe(true)
    expect(result.warnings).toEqual([expect.stringContaining('HS_NEWER is not a setting')])
  })

  it.each(reserved)('%s is known and refused, also with HS_IGNORE_UNKNOWN: to ignore it would do something else', variable => {
    expect(messageOf({ [variable]: 'x', HS_IGNORE_UNKNOWN: '1' })).toBe(`${variable} is not available in version 0.1.0`)
  })

  it('the role follower is known and refused', () => {
    expect(messageOf({ HS_ROLE: 'follower' })).toContain('`follower` is not available in version 0.1.0')
  })

  it('become one error with a line each and the exit status for bad configuration', () => {
    const error = createConfigError(faultsOf({ HS_HTTP_PORT: 'x', HS_ROLE: 'boss' }))
    expect(error.code).toBe('HS_CONFIG_INVALID')
    expect(error.detail.split('\n')).toHaveLength(2)
  })
})

describe('maskedConfig', () => {
  it('shows texts that read back as the same settings, and no secrets', () => {
    const config = configOf({
      HS_API_TOKEN: 'long-enough,another-one',
      HS_DIGEST_SALT: '00'.repeat(16),
      HS_SWARM_KEY: KEY,
      HS_GOSSIP_PEERS: '[::1]:7,a:8',
      HS_GOSSIP_MULTICAST: 'off',
      HS_GOSSIP_INTERFACE: 'lo',
      HS_CLOCK_DRIFT_MAX: '2500ms',
      HS_NODE_NAME: 'rover',
    })
    const masked = maskedConfig(config)
    expect(masked.HS_API_TOKEN).toBe('***')
    expect(masked.HS_DIGEST_SALT).toBe('***')
    expect(masked.HS_SWARM_KEY).toBe('***')
    const { HS_API_TOKEN: _token, HS_DIGEST_SALT: _salt, HS_SWARM_KEY: _key, ...shown } = masked
    const env = Object.fromEntries(Object.entries(shown).map(([variable, text]) => [variable, text ?? undefined]))
    expect(configOf(env)).toEqual({ ...config, apiTokens: [], digestSalt: undefined, swarmKeys: [] })
  })

  it('has every variable, null where there is no value', () => {
    const masked = maskedConfig(configOf({}))
    expect(Object.keys(masked)).toEqual(settingNames)
    expect(masked.HS_NODE_NAME).toBeNull()
    expect(masked.HS_API_TOKEN).toBeNull()
  })
})
