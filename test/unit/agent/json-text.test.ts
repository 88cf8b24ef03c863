import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findJsonFault, isAltered, JSON_DEPTH_MAX, restateMember, splitJsonArray } from '../../../agent/json-text.ts'

const faultOf = (payload: string): unknown => findJsonFault(`{"key":"k","payload":${payload}}`, 'vector')

describe('P12 numbers that JSON.parse would alter', () => {
  test.each([
    '9007199254740993',
    '-9007199254740993',
    '90071992547409930',
    '1729384910123456789',
    '1e400',
    '-1e400',
    '1e-400',
    '3e-324',
    '0.12345678901234567890123',
    '123456789.123456789123',
    `0.${'0'.repeat(400)}1`,
    `1.${'0'.repeat(120)}1`,
  ])('%s is found', number => {
    expect(isAltered(number)).toBe(true)
    expect(faultOf(`{"a":[1,{"b":${number}}]}`)).toEqual({ kind: 'altered', number })
    expect(faultOf(number)).toEqual({ kind: 'altered', number })
  })

  test.each([
    '0',
    '-0',
    '-0.0',
    '0e999',
    '0.000',
    '1',
    '-1',
    '0.1',
    '1.10',
    '1.0',
    '1e5',
    '1E+5',
    '1.5e-7',
    '1e23',
    '100000000000000000000000',
    '9007199254740991',
    '9007199254740992',
    '9007199254740990000',
    '0.30000000000000004',
    '1.7976931348623157e308',
    '5e-324',
    '0.1000000000000000000000000',
    '0.10000000000000000555',
    '2.2250738585072014E-308',
    `1${'0'.repeat(150)}`,
    `1.${'0'.repeat(150)}`,
  ])('%s is kept', number => {
    expect(isAltered(number)).toBe(false)
    expect(faultOf(`[${number}]`)).toBeUndefined()
  })

  test('every double survives in the spelling that JSON.stringify gives it', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), value => {
        expect(faultOf(JSON.stringify([value]))).toBeUndefined()
      }),
    )
  })

  test('a double written with 17 to 30 digits is exactly what is kept', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 17, max: 30 }), (value, digits) => {
        expect(faultOf(value.toPrecision(digits))).toBeUndefined()
      }),
    )
  })

  test('an integer is refused exactly when its double is another number', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), value => {
        const text = value.toString()
        const digits = text.replace(/^-/, '').replace(/0+$/, '').length
        const kept =
          Number(text)
            .toPrecision(Math.max(1, digits))
            .replace(/[-.]|e.*/g, '')
            .replace(/0+$/, '') === text.replace(/^-|0+$/g, '')
        expect(isAltered(text)).toBe(!kept)
        expect(isAltered(text) && BigInt(Number(text)) === value).toBe(false)
      }),
    )
  })

  test('digits inside strings, and numbers of the vector, are passed over', () => {
    expect(faultOf('"9007199254740993 \\" 1e400"')).toBeUndefined()
    expect(faultOf('{"9007199254740993\\\\":"1e400"}')).toBeUndefined()
    expect(findJsonFault('{"vector" : [1e400,0.123456789012345678901], "payload":1}', 'vector')).toBeUndefined()
    expect(findJsonFault('{"vector":[1],"payload":1e400}', 'vector')).toEqual({ kind: 'altered', number: '1e400' })
    expect(findJsonFault('{"payload":{"vector":[1e400]}}', 'vector')).toEqual({ kind: 'altered', number: '1e400' })
  })
})

describe('a member as it is kept', () => {
  const restate = (text: string): unknown => restateMember(text, 'payload', (JSON.parse(text) as { payload: unknown }).payload, 'vector')
  const scalar = fc.oneof(
    fc.constantFrom('1.50', '1e400', '9007199254740993', '5', '0.1', '-0', 'true', 'null', '"}"', '"\\"payload\\":5"', '"\\u0041"', '" "'),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.string().map(text => JSON.stringify(text)),
  )
  const { value } = fc.letrec<{ value: string }>(tie => ({
    value: fc.oneof(
      { maxDepth: 4 },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }).map(items => `[${items.join(', ')}]`),
      fc.tuple(fc.constantFrom('payload', 'a'), tie('value')).map(([name, inner]) => `{"${name}":${inner}}`),
    ),
  }))
  const text = fc.string().map(string => JSON.stringify(string))
  const colon = fc.constantFrom(':', ' : ')
  const member = fc.oneof(fc.tuple(fc.constantFrom('key', 'x\\"payload'), colon, text), fc.tuple(fc.constant('vector'), colon, value))

  test('P12 is what JSON.stringify gives, unless a closer look at the text finds a fault', () => {
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: ([name]) => name }), value, fc.nat(4), (others, payload, at) => {
        const members = others.map(([name, between, inner]) => `"${name}"${between}${inner}`)
        members.splice(at, 0, `"payload":${payload}`)
        const whole = `{${members.join(',')}}`
        expect(restate(whole)).toEqual(findJsonFault(whole, 'vector') ?? JSON.stringify(JSON.parse(payload)))
      }),
    )
  })

  test('a payload that is nested too deep is refused before it is walked through', () => {
    expect(restate(`{"payload":${'['.repeat(200_000)}${']'.repeat(200_000)}}`)).toEqual({ kind: 'depth' })
  })

  test('of a member that is there twice the last one is kept', () => {
    expect(restate('{"payload":1,"payload":{"a":2}}')).toBe('{"a":2}')
    expect(restate('{"payload":1,"payload":9007199254740993}')).toEqual({ kind: 'altered', number: '9007199254740993' })
  })
})

describe('nesting', () => {
  const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)

  test(`${JSON_DEPTH_MAX} levels are allowed and one more is not`, () => {
    expect(faultOf(nested(JSON_DEPTH_MAX))).toBeUndefined()
    expect(faultOf(nested(JSON_DEPTH_MAX + 1))).toEqual({ kind: 'depth' })
    expect(faultOf('{"a":'.repeat(JSON_DEPTH_MAX + 1) + '1' + '}'.repeat(JSON_DEPTH_MAX + 1))).toEqual({ kind: 'depth' })
  })

  test('many brackets side by side, or in a string, are not deep', () => {
    expect(faultOf(`[${Array.from({ length: 500 }, () => '[{}]').join(',')}]`)).toBeUndefined()
    expect(faultOf(`"${'['.repeat(500)}"`)).toBeUndefined()
  })

  test('a very deep text takes no stack', () => {
    expect(faultOf(nested(1_000_000))).toEqual({ kind: 'depth' })
  })
})

describe('cutting an array into its elements', () => {
  test('gives the texts of the elements, whatever they hold', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(0, 2), (values, indent) => {
        const elements = splitJsonArray(JSON.stringify(values, undefined, indent), 1000)
        expect(Array.isArray(elements) && elements.map(element => JSON.parse(element) as unknown)).toEqual(
          JSON.parse(JSON.stringify(values)),
        )
      }),
    )
  })

  test('a text that is cut to be accepted, element by element, is valid JSON', () => {
    const parses = (text: string): boolean => {
      try {
        JSON.parse(text)
        return true
      } catch {
        return false
      }
    }
    const token = fc.constantFrom('[', ']', '{', '}', ',', '"a"', '1', ':', ' ', '"', '\\', '\n', '\u00a0')
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), tokens => {
        const text = `[${tokens.join('')}]`
        const elements = splitJsonArray(text, 1000)
        expect(Array.isArray(elements) && elements.every(parses)).toBe(parses(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('anything else, and too many elements, are told apart', () => {
    for (const text of ['', '{}', '1', '[', '[1', '[1]]', '[1] x', '[1}']) expect(splitJsonArray(text, 10)).toBe('not-an-array')
    expect(splitJsonArray('[1,2,3]', 2)).toBe('too-many')
    expect(splitJsonArray(' [ ] ', 0)).toEqual([])
  })
})
