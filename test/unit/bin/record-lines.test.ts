import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLineCount, readRecordLines } from '../../../bin/record-lines.ts'

/** Breaks a text into chunks of the given sizes, repeated. */
async function* inChunks(text: string, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    yield bytes.subarray(at, at + size)
    at += size
  }
}

async function linesOf(
  text: string,
  sizes: readonly number[] = [7],
): Promise<{ lines: string[]; count: ReturnType<typeof createLineCount> }> {
  const count = createLineCount()
  const chunks: Uint8Array[] = []
  for await (const chunk of readRecordLines(inChunks(text, sizes), 'x.json', count)) chunks.push(Uint8Array.from(chunk))
  const lines = Buffer.concat(chunks).toString().split('\n')
  // Blank space behind an array stays blank space.
  if (lines.at(-1)?.trim() === '') lines.pop()
  return { lines, count }
}

const sizesArbitrary = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })

describe('what import sends', () => {
  it('lines go through byte by byte, counted', async () => {
    const text = '{"key":"a"}\n\nnot json\n{"key":"é"}'
    const { lines, count } = await linesOf(text)
    expect(lines.join('\n')).toBe(text)
    expect(count).toEqual({ lines: 4, bytes: Buffer.byteLength(text), fault: undefined })
  })

  it('a byte order mark is taken away', async () => {
    expect((await linesOf('\uFEFF{"key":"a"}\n', [1])).lines).toEqual(['{"key":"a"}'])
    expect((await linesOf('\uFEFF[{"key":"a"}]', [2])).lines.map(line => line.trim())).toEqual(['{"key":"a"}'])
  })

  it('an empty source gives nothing', async () => {
    expect((await linesOf('')).lines).toEqual([])
    expect((await linesOf('  \n ')).count.fault).toBeUndefined()
  })

  it('P12 an array becomes a line an element, numbers as they were written', async () => {
    const text = '\n [ {"n":12345678901234567890, "s":"a,]\\"\\n[" },\n  {"deep":[[1,2],{"x":[]}],\r\n "e":1e400}\t, 7 ]\n'
    const { lines, count } = await linesOf(text, [3])
    expect(lines.map(line => line.trim())).toEqual([
      '{"n":12345678901234567890, "s":"a,]\\"\\n[" }',
      '{"deep":[[1,2],{"x":[]}],   "e":1e400}',
      '7',
    ])
    expect(count.fault).toBeUndefined()
  })

  it('any array of any JSON, however it is broken into chunks and indented, gives its elements', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { minLength: 1 }), fc.constantFrom(0, 2), sizesArbitrary, async (values, indent, sizes) => {
        const { lines, count } = await linesOf(JSON.stringify(values, undefined, indent), sizes)
        expect(count.fault).toBeUndefined()
        expect(lines.map((line): unknown => JSON.parse(line))).toEqual(JSON.parse(JSON.stringify(values)))
      }),
    )
  })

  it('any lines, however they are broken into chunks, are the same lines', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ key: fc.string() }), { minLength: 1 }), sizesArbitrary, async (values, sizes) => {
        const text = values.map(value => JSON.stringify(value)).join('\n')
        const { lines, count } = await linesOf(text, sizes)
        expect(lines.join('\n')).toBe(text)
        expect(count.lines).toBe(values.length)
      }),
    )
  })

  it('an array that does not end, or is followed by something, sends its good elements and keeps the fault', async () => {
    const unended = await linesOf('[{"key":"a"},{"key":"b"')
    expect(unended.lines.map(line => line.trim())).toEqual(['{"key":"a"}', '{"key":"b"'])
    expect(unended.count.fault).toMatchObject({ code: 'HS_INVALID_JSON', detail: 'the array does not end' })
    const followed = await linesOf('[{"key":"a"}] x')
    expect(followed.lines.map(line => line.trim()).filter(line => line !== '')).toEqual(['{"key":"a"}'])
    expect(followed.count.fault).toMatchObject({ code: 'HS_INVALID_JSON', detail: 'something follows the end of the array' })
  })

  it('a source that fails ends the lines, and the fault names it', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{"key":"a"}\n')
      throw Object.assign(new Error('EIO'), { syscall: 'read', errno: -5, code: 'EIO' })
    }
    const count = createLineCount()
    const chunks: Uint8Array[] = []
    for await (const chunk of readRecordLines(failing(), 'x.json', count)) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toBe('{"key":"a"}\n')
    expect(count.fault).toMatchObject({ code: 'HS_FILE_FAILED', detail: expect.stringContaining('x.json: i/o error') })
  })
})
