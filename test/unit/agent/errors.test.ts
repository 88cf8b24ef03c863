import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { AgentError, ERRORS, EXIT } from '../../../agent/errors.ts'

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
const rows = page.split('\n').filter(line => line.startsWith('| `HS_'))

describe('the table of error codes', () => {
  it('docs/errors.md has a row for each code, in the order of the table, and no other', () => {
    const expected = Object.entries(ERRORS).map(([code, { status, exit, title }]) => `| \`${code}\` | ${status} | ${exit} | ${title} |`)
    expect(rows).toEqual(expected)
  })

  it('every code has an HTTP error status, a failing exit status that the page explains, and one sentence', () => {
    for (const [code, { status, exit, title }] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^HS_[A-Z]+(_[A-Z]+)*$/)
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(600)
      expect(Object.values(EXIT).filter(known => known !== EXIT.done)).toContain(exit)
      expect(page).toContain(`| ${exit} | `)
      expect(title).toMatch(/^[A-Z].*\.$/)
    }
  })

  it('an error carries its code, what happened, and what caused it', () => {
    const cause = new Error('disk')
    const error = new AgentError('HS_STORE_OPEN_FAILED', 'it could not be opened', { cause })
    expect(error).toMatchObject({
      code: 'HS_STORE_OPEN_FAILED',
      detail: 'it could not be opened',
      message: 'it could not be opened',
      cause,
    })
  })
})
