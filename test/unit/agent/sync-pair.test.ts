import { describe, expect, it } from 'vitest'
import { createLivePlaces } from '../../../agent/live-places.ts'
import { BUSY, createSyncPair, isSessionWanted, noteSessionEnd } from '../../../agent/sync-pair.ts'
import type { Hello } from '../../../sync/messages.ts'
import type { SessionResult } from '../../../sync/session.ts'

const PEER = {} as Hello

const ended = (fault?: SessionResult['fault'], peer: Hello | undefined = PEER, wasLive = false): SessionResult => ({
  peer,
  isComplete: fault === undefined,
  wasLive,
  diverged: [],
  fault,
  bytesSent: 0,
  bytesReceived: 0,
})
const CLOSED = { kind: 'closed', detail: 'the link is closed' } as const

describe('a session is owed', () => {
  const owedAfter = (...results: readonly (SessionResult | undefined)[]): boolean => {
    const pair = createSyncPair()
    for (const result of results) noteSessionEnd(pair, result, false, 'unreachable')
    return isSessionWanted(pair, false, false)
  }

  it('after one that broke off, although digests are equal, until one runs to its end', () => {
    expect(owedAfter()).toBe(false)
    expect(owedAfter(ended())).toBe(false)
    expect(owedAfter(ended(CLOSED))).toBe(true)
    expect(owedAfter(ended({ kind: 'store', detail: 'the disk is full' }))).toBe(true)
    expect(owedAfter(ended(CLOSED), ended(CLOSED))).toBe(true)
    expect(owedAfter(ended(CLOSED), ended())).toBe(false)
  })

  it('after a live link that broke off: that is no failure, and what was under way is not known to be there', () => {
    expect(owedAfter(ended(CLOSED, PEER, true))).toBe(true)
  })

  it('also when the peer cannot be reached meanwhile, or is busy with the session that it has begun', () => {
    expect(owedAfter(ended(CLOSED), undefined)).toBe(true)
    expect(owedAfter(ended(CLOSED), ended({ kind: 'refused', detail: BUSY }))).toBe(true)
  })

  it('not where nothing was begun: an unreachable peer, one that refuses, one that has not said hello', () => {
    expect(owedAfter(undefined)).toBe(false)
    expect(owedAfter(ended({ kind: 'refused', detail: 'another swarm' }))).toBe(false)
    expect(owedAfter(ended({ kind: 'incompatible', detail: 'protocol 9' }))).toBe(false)
    expect(owedAfter({ ...ended(CLOSED), peer: undefined })).toBe(false)
  })
})

describe('a place of a live link', () => {
  it('is taken from the link of least use where that is of none, and only for a pair that differs', () => {
    const aborted: string[] = []
    const link = (name: string, movedMs: number | undefined) => ({ movedMs, abort: () => void aborted.push(name) })
    const links = [link('catching up', undefined), link('busy', 99_000), link('still', 20_000), link('stillest', 10_000)]
    const places = createLivePlaces(
      1,
      () => links,
      () => 100_000,
    )
    expect(places.take(false)).toBe(true)
    expect(places.hasFree()).toBe(false)
    expect(places.take(false)).toBe(false)
    expect(aborted).toEqual([])
    expect(places.take(true)).toBe(true)
    expect(aborted).toEqual(['stillest'])
    links.splice(2)
    expect(places.take(true)).toBe(false)
    places.giveBack()
    places.giveBack()
    expect(places.hasFree()).toBe(true)
  })
})
