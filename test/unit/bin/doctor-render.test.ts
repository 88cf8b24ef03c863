import { describe, expect, it } from 'vitest'
import { found } from '../../../agent/diagnosis/finding.ts'
import { parseHostAsked } from '../../../bin/doctor/pair-check.ts'
import { renderFindings } from '../../../bin/doctor/render.ts'

const style = { paint: (_colour: string, text: string) => text, widthMax: undefined }

describe('findings as people read them', () => {
  const findings = [
    found('ok', 'peer', 'a', 'robot-2 answers'),
    found('fault', 'key-other', 'b', 'robot-3 is refused', { reason: 'its key differs', advice: 'give both one key' }),
  ]

  it('a line each, with what is seen, the likely reason and what to do, and at the end the sum', () => {
    expect(renderFindings(findings, style)).toBe(
      ['ok       robot-2 answers.', 'FAULT    robot-3 is refused. Likely: its key differs. To do: give both one key.', '1 fault.'].join(
        '\n',
      ),
    )
    expect(renderFindings(findings.slice(0, 1), style)).toMatch(/\nNothing wrong was found\.$/)
  })

  it('on a terminal they are broken where it ends, under their mark', () => {
    const lines = renderFindings(findings, { ...style, widthMax: 40 }).split('\n')
    expect(lines.every(line => line.length <= 40)).toBe(true)
    expect(lines.slice(2, -1).every(line => line.startsWith('         '))).toBe(true)
  })

  it('P16 what a stranger calls itself cannot move the cursor', () => {
    expect(renderFindings([found('ok', 'peer', 'a', 'robot\u001b[2J answers')], style)).not.toContain('\u001b')
  })
})

it.each([
  ['rover-2', { host: 'rover-2', port: undefined }],
  ['rover-2.local:7947', { host: 'rover-2.local', port: 7947 }],
  ['[::1]:7946', { host: '::1', port: 7946 }],
  ['::1', { host: '::1', port: undefined }],
])('doctor takes the host %s', (text, expected) => {
  expect(parseHostAsked(text)).toEqual(expected)
})

it.each(['rover 2', 'rover:99999', 'http://rover'])('doctor refuses the host %s', text => {
  expect(() => parseHostAsked(text)).toThrow(/must be a host name or address/)
})
