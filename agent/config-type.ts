/**
 * The types that a setting's text can have: each knows its form in words, for the documents and for the rule that a bad
 * text breaks, and how to read it. Addresses have their own file, config-address.ts.
 */

export interface Limits {
  /** Smallest and largest number; for texts, their length. Both inclusive. */
  readonly min?: number
  readonly max?: number
  readonly unit?: string
}

/** The value, or the rule that the text breaks: a sentence without its subject ("must be ..."). */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly rule: string }

export interface SettingType<T> {
  /** The form in words, such as "whole number from 0 to 65535". */
  readonly form: (limits: Limits) => string
  /** Reads a text that has no white space around it. `version` is this program's, for what is not there yet. */
  readonly parse: (text: string, limits: Limits, version: string) => Parsed<T>
  /** The value in the form that `parse` reads; `String` when left out. A method, so that all types fit `SettingType<unknown>`. */
  format?(value: T): string
}

export const good = <T>(value: T): Parsed<T> => ({ ok: true, value })
export const bad = (rule: string): Parsed<never> => ({ ok: false, rule })

/** The items of a comma separated list; blanks around commas and empty items do not count. */
export const splitList = (text: string): string[] =>
  text
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')

const within = (value: number, { min = -Infinity, max = Infinity }: Limits): boolean => value >= min && value <= max

const encoder = new TextEncoder()

// Control characters would reach terminals, topics and log lines.
// oxlint-disable-next-line no-control-regex
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/

export const integer: SettingType<number> = {
  form: ({ min, max, unit }) => `whole number from ${min} to ${max}${unit === undefined ? '' : ` (${unit})`}`,
  parse(text, limits) {
    if (!/^[+-]?\d{1,15}$/.test(text) || !within(Number(text), limits)) return bad(`must be a ${integer.form(limits)}`)
    return good(Number(text))
  },
}

const msByUnit: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds in the largest unit that shows them without a fraction. */
function formatDuration(ms: number): string {
  const unit = ['d', 'h', 'min', 's'].find(unit => ms > 0 && ms % (msByUnit[unit] ?? 1) === 0) ?? 'ms'
  return `${ms / (msByUnit[unit] ?? 1)}${unit}`
}

/** A length of time with its unit; the value and the limits are in milliseconds. */
export const duration: SettingType<number> = {
  form: ({ min = 0, max = Infinity }) =>
    `duration from ${formatDuration(min)} to ${formatDuration(max)}, with its unit: ms, s, min, h or d`,
  parse(text, limits) {
    const match = /^(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m|min|h|d)$/.exec(text)
    const ms = Math.round(Number(match?.[1]) * (msByUnit[match?.[2] ?? ''] ?? Number.NaN))
    return within(ms, limits) ? good(ms) : bad(`must be a ${duration.form(limits)}`)
  },
  format: formatDuration,
}

/** One of a few words. `later` are words of the contract that this version does not know yet. */
export function choice<const Word extends string>(words: readonly Word[], later: readonly string[] = []): SettingType<Word> {
  const form = (): string => words.map(word => `\`${word}\``).join(', ')
  return {
    form,
    parse(text, _limits, version) {
      const word = words.find(word => word === text)
      if (word !== undefined) return good(word)
      if (later.includes(text)) return bad(`\`${text}\` is not available in version ${version}; this version knows ${form()}`)
      return bad(`must be one of ${form()}`)
    },
  }
}

export const flag: SettingType<boolean> = {
  form: () => '`true` or `false` (also 1, 0, yes, no, on, off)',
  parse(text) {
    if (/^(true|1|yes|on)$/i.test(text)) return good(true)
    if (/^(false|0|no|off)$/i.test(text)) return good(false)
    return bad(`must be ${flag.form({})}`)
  },
}

/** A name for people; the limits count bytes of UTF-8. */
export const label: SettingType<string> = {
  form: ({ min, max }) => `text of ${min} to ${max} bytes without control characters`,
  parse(text, limits) {
    const allowed = within(encoder.encode(text).length, limits) && !controlCharacter.test(text)
    return allowed ? good(text) : bad(`must be a ${label.form(limits)}`)
  },
}

export const directory: SettingType<string> = {
  form: () => 'path of a directory',
  parse(text) {
    if (controlCharacter.test(text)) return bad('must be a path without control characters')
    if (/^~(\/|$)/.test(text)) return bad('must be a whole path: `~` is expanded by shells alone')
    return good(text)
  },
}

/** Bytes as lower-case hex digits; the limits count bytes. */
export const hexBytes: SettingType<string> = {
  form: ({ min }) => `${min} bytes as ${(min ?? 0) * 2} hex digits`,
  parse(text, limits) {
    const allowed = /^(?:[0-9a-f]{2})+$/i.test(text) && within(text.length / 2, limits)
    return allowed ? good(text.toLowerCase()) : bad(`must be ${hexBytes.form(limits)}`)
  },
}

/** Enough to replace one key by another while a third is on its way out. */
const keysMax = 8

/** Keys of 32 bytes in base64, with its padding. */
export const keyList: SettingType<readonly string[]> = {
  form: () => `1 to ${keysMax} keys of 32 bytes in base64, comma separated`,
  parse(text) {
    const keys = [...new Set(splitList(text))]
    const isKey = (key: string): boolean => /^[A-Za-z0-9+/]{43}=$/.test(key) && Buffer.from(key, 'base64').toString('base64') === key
    return keys.length <= keysMax && keys.every(isKey) ? good(keys) : bad(`must be ${keyList.form({})}; \`hs-agent keygen\` makes one`)
  },
  format: keys => keys.join(','),
}

/** Enough to change tokens one by one; each request is compared with all of them. */
const tokensMax = 8

/** Bearer tokens; the limits count the characters of one. */
export const tokenList: SettingType<readonly string[]> = {
  form: ({ min, max }) => `1 to ${tokensMax} tokens of ${min} to ${max} visible ASCII characters, comma separated`,
  parse(text, limits) {
    const tokens = [...new Set(splitList(text))]
    const allowed = tokens.every(token => /^[\u0021-\u007e]+$/.test(token) && within(token.length, limits))
    return allowed && tokens.length <= tokensMax ? good(tokens) : bad(`must be ${tokenList.form(limits)}`)
  },
  format: tokens => tokens.join(','),
}
