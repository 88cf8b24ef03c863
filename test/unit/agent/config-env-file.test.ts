import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseEnvFile } from '../../../agent/env-file.ts'

const valuesOf = (source: string): Record<string, string> =>
  Object.fromEntries(parseEnvFile(source).entries.map(({ name, value }) => [name, value]))

describe('an environment file', () => {
  it('holds NAME=value lines, comments and blank lines', () => {
    const source = '\uFEFF# a comment\r\n\r\nHS_ROLE=leader\r\n; another\n  export HS_HTTP_PORT = 8080  \nEMPTY=\nLAST=x'
    expect(parseEnvFile(source)).toEqual({
      entries: [
        { name: 'HS_ROLE', value: 'leader', line: 3 },
        { name: 'HS_HTTP_PORT', value: '8080', line: 5 },
        { name: 'EMPTY', value: '', line: 6 },
        { name: 'LAST', value: 'x', line: 7 },
      ],
      faults: [],
    })
  })

  it('a plain value ends at a blank and #, and nowhere else', () => {
    expect(valuesOf('A=b # c\nB=b#c\nC=# c\nD=a=b"c"')).toEqual({ A: 'b', B: 'b#c', C: '', D: 'a=b"c"' })
  })

  it('quotes keep blanks, # and line breaks; double quotes know escapes, single quotes nothing', () => {
    const source = String.raw`A=" a # b "
B='$x \n "y"' # comment
C="one\ntwo\t\"three\" \$four \\"
D="first
second"
E=after`
    expect(valuesOf(source)).toEqual({
      A: ' a # b ',
      B: String.raw`$x \n "y"`,
      C: 'one\ntwo\t"three" $four \\',
      D: 'first\nsecond',
      E: 'after',
    })
    expect(parseEnvFile(source).entries.at(-1)?.line).toBe(6)
  })

  it('of two lines with one name the later one holds', () => {
    expect(valuesOf('A=1\nA=2')).toEqual({ A: '2' })
  })

  it('a line that is none of these is a fault with its number, and reading goes on', () => {
    const { entries, faults } = parseEnvFile('HS_ROLE leader\nA="no end\nB="x" y\n=1\nC=3')
    expect(entries).toEqual([{ name: 'C', value: '3', line: 5 }])
    expect(faults.map(({ line }) => line)).toEqual([1, 2, 4])
  })

  it('reads any text without throwing', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('A', '=', '"', "'", '\\', '\n', ' ', '#', 'é', '\r', '\0') }), source => {
        const { entries, faults } = parseEnvFile(source)
        const lines = source.split('\n').length
        expect([...entries, ...faults].every(({ line }) => line >= 1 && line <= lines)).toBe(true)
      }),
    )
  })

  it('any value survives in double quotes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), value => {
        const normal = value.replaceAll('\r\n', '\n')
        expect(valuesOf(`A="${normal.replaceAll(/[\\"$]/g, '\\$&')}"\nB=1`)).toEqual({ A: normal, B: '1' })
      }),
    )
  })
})
