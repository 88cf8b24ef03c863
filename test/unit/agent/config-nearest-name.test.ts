import { describe, expect, it } from 'vitest'
import { nearestName, similarName } from '../../../agent/nearest-name.ts'

describe('the nearest name', () => {
  it('is the one with the fewest edits, whatever the case', () => {
    const known = ['import', 'export', 'status', 'sync']
    expect(nearestName('imprt', known)).toBe('import')
    expect(nearestName('stat', known)).toBe('status')
    expect(nearestName('SYNK', known)).toBe('sync')
  })

  it('is the first of equals, and none of none', () => {
    expect(nearestName('c', ['a', 'b'])).toBe('a')
    expect(nearestName('c', [])).toBeUndefined()
  })

  it('is no suggestion when it has little in common', () => {
    const known = ['run', 'put', 'list', 'status']
    expect(['foo', 'promote', 'doctor', 'x'].map(name => similarName(name, known))).toEqual([undefined, undefined, undefined, undefined])
    expect(['ls', 'stats', 'PUSH', 'runs'].map(name => similarName(name, known))).toEqual(['list', 'status', 'put', 'run'])
  })
})
