import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readEvents, type ServerEvent } from '../../../bin/event-source.ts'

// oxlint-disable-next-line typescript/require-await -- a source that is always ready
async function* chunksOf(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const length of lengths) yield bytes.subarray(at, (at += length))
  yield bytes.subarray(at)
}

async function read(text: string, lengths: readonly number[] = []): Promise<ServerEvent[]> {
  const events: ServerEvent[] = []
  for await (const event of readEvents(chunksOf(Buffer.from(text), lengths))) events.push(event)
  return events
}

describe('reading events', () => {
  it('takes events, places without an event, and comments; what is cut off at the end is none', async () => {
    const text = 'retry: 1000\nid: a.0\n\nevent: put\nid: a.1\ndata: {"x":"b: c"}\n\n: keep-alive\n\nevent: put\nid: a.2\ndata: {"x'
    expect(await read(text)).toEqual([
      { event: undefined, id: 'a.0', data: undefined },
      { event: 'put', id: 'a.1', data: '{"x":"b: c"}' },
      { event: undefined, id: undefined, data: undefined },
    ])
  })

  it('gives the same however the bytes come, also in the middle of a character', async () => {
    const event = fc.record({ event: fc.constantFrom('put', 'delete'), id: fc.stringMatching(/^[0-9a-f]{1,8}$/), data: fc.json() })
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 8 }), fc.array(fc.nat(9), { maxLength: 40 }), async (events, lengths) => {
        const text = events.map(({ event, id, data }) => `event: ${event}\nid: ${id}\ndata: ${data}\n\n`).join('')
        expect(await read(text, lengths)).toEqual(events)
      }),
    )
  })
})
