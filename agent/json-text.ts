/**
 * What `JSON.parse` does not tell about a JSON text: numbers that it would alter, and how deep the text is nested.
 * Both are looked for in the text itself, since the parsed value no longer knows (P12).
 */

/** Levels of arrays and objects that a payload may have. */
export const JSON_DEPTH_MAX = 100

/** What is wrong with a text, or undefined. `altered` carries the number's own spelling. */
export type JsonFault = { readonly kind: 'depth' } | { readonly kind: 'altered'; readonly number: string }

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const CLOSING_BRACE = 0x7d

/** Neither 16 digits (with or without a point) nor an exponent: a number of at most 15 digits is never altered. */
const MAY_BE_ALTERED = /[0-9][0-9.]{15}|[0-9][eE][-+0-9]/

/**
 * Finds the first fault of the text of one JSON object that `JSON.parse` has accepted. The object itself is not counted as a level.
 * Numbers inside its member `uncheckedMember` are passed over: a vector is stored as float32 anyway.
 */
export function findJsonFault(text: string, uncheckedMember: string): JsonFault | undefined {
  if (!MAY_BE_ALTERED.test(text) && !hasManyLevels(text)) return undefined
  let depth = 0
  let isUnchecked = false
  let at = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = stringEnd(text, at)
      // A string in front of a colon, directly inside the object, names the member that begins here.
      if (depth === 1 && isName(text, end)) isUnchecked = text.slice(at + 1, end - 1) === uncheckedMember
      at = end
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1
      if (depth > JSON_DEPTH_MAX + 1) return { kind: 'depth' }
      at += 1
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1
      at += 1
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      const end = numberEnd(text, at)
      if (!isUnchecked) {
        const number = text.slice(at, end)
        if (isAltered(number)) return { kind: 'altered', number }
      }
      at = end
    } else {
      at += 1
    }
  }
  return undefined
}

/**
 * The text of one JSON object's member as it is kept, without space, or what is wrong with the object's text. `value` is the member as
 * `JSON.parse` gave it; it need not be the only one. What says the same when it is written again was not altered: most texts end with
 * just that, and need no closer look.
 */
export function restateMember(text: string, name: string, value: unknown, uncheckedMember: string): string | JsonFault {
  // A value that is nested too deep must not be walked through.
  if (!hasManyLevels(text)) {
    const restated = JSON.stringify(value)
    return endsWithMember(text, name, restated) ? restated : (findJsonFault(text, uncheckedMember) ?? restated)
  }
  return findJsonFault(text, uncheckedMember) ?? JSON.stringify(value)
}

/**
 * Whether the text of a JSON object ends with this member, spelled just so. The brace at the end closes the object itself, so the value in
 * front of it is the whole last value of the object, and cannot be the end of a longer one.
 */
function endsWithMember(text: string, name: string, value: string): boolean {
  const end = text.length - 1
  const head = `"${name}":`
  const valueAt = end - value.length
  return text.charCodeAt(end) === CLOSING_BRACE && text.startsWith(value, valueAt) && text.startsWith(head, valueAt - head.length)
}

/** Whether a text has more opening brackets than the levels that are allowed: only then can it be too deep. */
function hasManyLevels(text: string): boolean {
  let count = 0
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      count += 1
      if (count > JSON_DEPTH_MAX) return true
    }
  }
  return false
}

/** The offset behind the string that begins at `start`. */
function stringEnd(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes += 1
    if (escapes % 2 === 0) return end + 1
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

function isName(text: string, end: number): boolean {
  let at = end
  while (text.charCodeAt(at) <= 0x20) at += 1
  return text.charCodeAt(at) === COLON
}

function numberEnd(text: string, start: number): number {
  let at = start + 1
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    const isPart = (code >= 0x30 && code <= 0x39) || code === 0x2e || code === 0x2d || code === 0x2b || code === 0x65 || code === 0x45
    if (!isPart) break
  }
  return at
}

/** `toPrecision` gives at most this many digits. */
const DIGITS_MAX = 100

/**
 * Whether a double cannot hold what a JSON number says: written with as many significant digits as the number has, the double must
 * have the same ones. So 2^53 + 1, 1e400 and 1e-400 are altered; 0.1, 1.10, 1e5 and 1e23 are not. Nor is any zero: -0 becomes 0.
 */
export function isAltered(number: string): boolean {
  if (number.length < 16 && !/[eE]/.test(number)) return false
  const value = Number(number)
  if (String(value) === number) return false
  const digits = significantDigits(number)
  if (digits === '') return false
  if (!Number.isFinite(value) || digits.length > DIGITS_MAX) return true
  return significantDigits(value.toPrecision(digits.length)) !== digits
}

/** The digits of a number without sign, point, exponent, and zeros in front and behind. */
function significantDigits(number: string): string {
  const exponentAt = number.search(/[eE]/)
  const digits = (exponentAt === -1 ? number : number.slice(0, exponentAt)).replace(/[-.]/g, '')
  let from = 0
  let to = digits.length
  while (digits.charCodeAt(from) === 0x30) from += 1
  while (to > from && digits.charCodeAt(to - 1) === 0x30) to -= 1
  return digits.slice(from, to)
}

/**
 * Cuts the text of a JSON array into the texts of its elements, at most `elementsMax`. It finds the commas only: each element must
 * still be parsed, and when all of them parse, the text was valid JSON.
 */
export function splitJsonArray(text: string, elementsMax: number): string[] | 'not-an-array' | 'too-many' {
  const start = skipSpace(text, 0)
  if (text[start] !== '[') return 'not-an-array'
  const elements: string[] = []
  let depth = 1
  let elementAt = start + 1
  let at = start + 1
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = stringEnd(text, at)
      continue
    }
    if (code === 0x7b || code === 0x5b) depth += 1
    else if (code === 0x7d || code === 0x5d) depth -= 1
    if (depth === 0 || (depth === 1 && code === 0x2c)) {
      const element = text.slice(elementAt, at)
      const isEmptyArray = depth === 0 && elements.length === 0 && skipSpace(element, 0) === element.length
      if (!isEmptyArray) elements.push(element)
      if (elements.length > elementsMax) return 'too-many'
      if (depth === 0) return code === 0x5d && skipSpace(text, at + 1) === text.length ? elements : 'not-an-array'
      elementAt = at + 1
    }
    at += 1
  }
  return 'not-an-array'
}

/** JSON's own white space, no other (RFC 8259). */
function skipSpace(text: string, start: number): number {
  let at = start
  while (at < text.length && ' \t\n\r'.includes(text[at] ?? '')) at += 1
  return at
}
