import { describe, expect, it } from 'vitest'
import { readAcknowledgements } from '../../../bin/acknowledgements.ts'
import type { ImportTally, Rejection } from '../../../bin/acknowledgements.ts'

async function* inChunks(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

async function read(...chunks: string[]): Promise<{ tally: ImportTally; rejections: Rejection[]; error: unknown }> {
  const tally: ImportTally = { accepted: 0, rejectedCount: 0, line: 0 }
  const rejections: Rejection[] = []
  let error: unknown
  try {
    for await (const rejection of readAcknowledgements(inChunks(...chunks), tally)) rejections.push(rejection)
  } catch (thrown) {
    error = thrown
  }
  return { tally, rejections, error }
}

describe('acknowledgements of an import', () => {
  it('are counted, and rejections are handed out with their lines', async () => {
    const { tally, rejections, error } = await read(
      '{"line":1,"key":"a","version":{}}\n{"line":2,"co',
      'de":"HS_INVALID_KEY","detail":"é"}\n{"line":4,"key":"b","version":{}}\n',
      '{"accepted":2,"rejected_count":1}\n',
    )
    expect(error).toBeUndefined()
    expect(tally).toEqual({ accepted: 2, rejectedCount: 1, line: 4 })
    expect(rejections).toEqual([{ line: 2, code: 'HS_INVALID_KEY', detail: 'é' }])
  })

  it('that say that the import ended early throw what they say', async () => {
    const { tally, error } = await read(
      '{"line":1,"key":"a"}\n',
      '{"accepted":1,"rejected_count":0,"code":"HS_STORE_WRITE_FAILED","detail":"no space"}',
    )
    expect(tally.accepted).toBe(1)
    expect(error).toMatchObject({ code: 'HS_STORE_WRITE_FAILED', detail: 'no space' })
  })

  it('without a last line mean that the agent broke off', async () => {
    expect((await read('{"line":1,"key":"a"}\n')).error).toMatchObject({ code: 'HS_AGENT_UNREACHABLE' })
    expect((await read()).error).toMatchObject({ code: 'HS_AGENT_UNREACHABLE' })
  })

  it('that are something else are refused', async () => {
    expect((await read('<html>\n')).error).toMatchObject({ code: 'HS_AGENT_UNREACHABLE' })
    expect((await read('{}\n')).error).toMatchObject({ code: 'HS_AGENT_UNREACHABLE' })
    expect((await read('x'.repeat(100_000))).error).toMatchObject({ code: 'HS_AGENT_UNREACHABLE' })
  })
})
