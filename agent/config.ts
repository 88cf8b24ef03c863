/**
 * The configuration: reads the `HS_*` variables of an environment into one frozen value, or says all that is wrong with them.
 * The variables themselves are in config-table.ts.
 */
import { isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import { formatHostPort, isLoopback } from './config-address.ts'
import { gossipPortUsual, isInjected, isSettingName, reserved, settingNames, settings } from './config-table.ts'
import { AgentError } from './errors.ts'
import { nearestName } from './nearest-name.ts'
import type { Setting, SettingName } from './config-table.ts'
import type { Parsed } from './config-type.ts'

type Settings = typeof settings

type ValueOf<S> = S extends Setting<string, infer Value, infer Default> ? (Default extends string ? Value : Value | undefined) : never

/**
 * The settings by their names in the table, all defaults filled in. `dataDir` is absolute; `gossipPort` is undefined when gossip
 * is off; `nodeName` is undefined when the agent is to make one.
 */
export type Config = { readonly [Name in SettingName as Settings[Name]['name']]: ValueOf<Settings[Name]> }

export type Environment = Readonly<Record<string, string | undefined>>

export interface ConfigContext {
  /** This program's version. */
  readonly version: string
  /** Absolute; relative paths start here. */
  readonly workingDirectory: string
  /** Where a variable's text came from, such as ".env line 3"; the environment when left out. */
  readonly sourceByVariable?: ReadonlyMap<string, string>
}

export interface ConfigFault {
  readonly variable: string
  /** As it was given; `***` for a secret; absent where the variable is not known. */
  readonly value?: string
  /** A sentence without its subject, or a whole one. */
  readonly rule: string
  /** Absent for the environment. */
  readonly source?: string
}

export type ConfigResult = (
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly faults: readonly ConfigFault[] }
) & {
  /** Sentences for the user. */
  readonly warnings: readonly string[]
}

export const secretMask = '***'

/** Reads the environment. Pure; never throws on what it finds there. An empty variable counts as unset. */
export function loadConfig(env: Environment, context: ConfigContext): ConfigResult {
  const faults: ConfigFault[] = []
  const fault = (variable: string, rule: string, value?: string): void => {
    const source = context.sourceByVariable?.get(variable)
    faults.push({ variable, rule, ...(value !== undefined && { value }), ...(source !== undefined && { source }) })
  }
  const textOf = (variable: string): string | undefined => env[variable]?.trim() || undefined

  const valueByName: Record<string, unknown> = {}
  for (const variable of settingNames) {
    const setting: Setting = settings[variable]
    const given = textOf(variable)
    const parsed = parseSetting(setting, given, env, context.version)
    if (parsed.ok) valueByName[setting.name] = parsed.value
    else fault(variable, parsed.rule, setting.secret === true ? secretMask : given)
  }

  const warnings: string[] = []
  for (const variable of Object.keys(env).filter(name => name.startsWith('HS_') && textOf(name) !== undefined)) {
    if (isSettingName(variable) || isInjected(variable)) continue
    if (reserved.includes(variable)) {
      fault(variable, `${variable} is not available in version ${context.version}`)
      continue
    }
    const rule = `is not a setting; did you mean ${nearestName(variable, [...settingNames, ...reserved])}?`
    if (valueByName['ignoreUnknown'] === true) warnings.push(`${variable} ${rule}`)
    else fault(variable, rule)
  }

  // Each value was read by the type that the table gives to its name.
  const values = valueByName as Partial<Config>
  if (values.httpHost !== undefined && values.apiTokens?.length === 0 && !isLoopback(values.httpHost)) {
    fault('HS_HTTP_HOST', 'must be a loopback address as long as HS_API_TOKEN is not set', values.httpHost)
  }
  const { gossipHost, gossipMulticast } = values
  if (gossipHost !== undefined && gossipMulticast !== undefined && isIPv6(gossipMulticast.host) && !isIPv6(gossipHost)) {
    fault('HS_GOSSIP_HOST', 'must be an IPv6 address, such as `::`, with an IPv6 group in HS_GOSSIP_MULTICAST', gossipHost)
  }
  if (faults.length > 0) return { ok: false, faults, warnings }
  return { ok: true, config: freeze(fillIn(values as Config, context.workingDirectory, textOf('HS_URL') === undefined)), warnings }
}

function parseSetting(setting: Setting, given: string | undefined, env: Environment, version: string): Parsed<unknown> {
  // systemd separates several state directories by colons; the first is ours.
  const inherited = setting.defaultVariable === undefined ? undefined : env[setting.defaultVariable]?.split(':')[0]?.trim() || undefined
  const text = given ?? inherited ?? setting.default
  return text === undefined ? { ok: true, value: undefined } : setting.type.parse(text, setting, version)
}

/** Fills in the defaults that depend on other settings. */
function fillIn(config: Config, workingDirectory: string, urlIsUnset: boolean): Config {
  const gossipPort = config.gossipPort ?? (config.gossipPeers.length > 0 ? gossipPortUsual : undefined)
  // Who listens on all addresses is found on loopback; a port yet to be picked cannot be guessed.
  const host = config.httpHost === '0.0.0.0' || config.httpHost === '::' ? '127.0.0.1' : config.httpHost
  const followed = urlIsUnset && config.httpPort !== 0 ? `http://${formatHostPort({ host, port: config.httpPort })}` : config.url
  return { ...config, dataDir: resolve(workingDirectory, config.dataDir), gossipPort, url: followed }
}

/** Freezes a value and all that it holds. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner)
    Object.freeze(value)
  }
  return value
}

/** Values longer than this are cut in messages. In characters. */
const shownMax = 80

/** One line that says what is wrong: `HS_HTTP_PORT=abc: must be a whole number from 0 to 65535 (.env line 3)`. */
export function formatFault({ variable, value, rule, source }: ConfigFault): string {
  const cut = value === undefined || value.length <= shownMax ? value : `${value.slice(0, shownMax)}...`
  // Quoted only where it would break the line.
  // oxlint-disable-next-line no-control-regex
  const shown = cut !== undefined && /[\u0000-\u001f\u007f-\u009f]/.test(cut) ? JSON.stringify(cut) : cut
  const subject = shown === undefined ? variable : `${variable}=${shown}:`
  const sentence = rule.startsWith(variable) ? rule : `${subject} ${rule}`
  return source === undefined ? sentence : `${sentence} (${source})`
}

/** HS_CONFIG_INVALID with all faults, a line each. */
export const createConfigError = (faults: readonly ConfigFault[]): AgentError =>
  new AgentError('HS_CONFIG_INVALID', faults.map(formatFault).join('\n'))

/** The effective settings as texts in the form that the variables take, secrets masked; null where a setting has no value. */
export function maskedConfig(config: Config): Readonly<Record<SettingName, string | null>> {
  const shown = settingNames.map((variable): [SettingName, string | null] => {
    const setting: Setting = settings[variable]
    const value: unknown = config[settings[variable].name]
    const isUnset = value === undefined && setting.default === undefined
    const text = isUnset ? '' : (setting.type.format?.(value) ?? String(value))
    return [variable, text === '' ? null : setting.secret === true ? secretMask : text]
  })
  return Object.fromEntries(shown) as Record<SettingName, string | null>
}
