/** Checkpoints and proofs over HTTP. */
import { describe, expect, it } from 'vitest'
import { verifyProofFile } from '../../../agent/proof/verify.ts'
import { request, send, startHttp } from './http-fixture.ts'

const codeOf = ({ json }: { readonly json: unknown }): unknown => (json as { code: unknown }).code

describe('GET …/records/:key/proof', () => {
  it('answers a proof that verifies with the public key of the status', async () => {
    const { url } = await startHttp()
    await send('PUT', `${url}/api/collections/imu/records/a`, { payload: { yaw: 0.25 }, vector: [1, 2] })
    const answer = await request(`${url}/api/collections/imu/records/a/proof`)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8'])
    const { public_key: publicKey } = (await request(`${url}/api/cluster/status`)).json as { public_key: string }
    expect(verifyProofFile(Buffer.from(answer.text), publicKey)).toMatchObject({ ok: true, publicKey, record: { key: 'a' } })
  })

  it.each([
    ['robot1/000001', 'robot1/000001'],
    ['robot1%2F000001', 'robot1/000001'],
    ['%C3%BCn%C3%AF%20%F0%9F%A4%96', 'ünï 🤖'],
    ['proof', 'proof'],
    ['a/proof', 'a/proof'],
    ['proof%2Fproof', 'proof/proof'],
  ])('reads the key of %s/proof as it does without the end', async (path, key) => {
    const { url } = await startHttp()
    await send('POST', `${url}/api/collections/imu/records`, [{ key, payload: 1 }])
    const { status, text } = await request(`${url}/api/collections/imu/records/${path}/proof`)
    expect(status).toBe(200)
    expect(verifyProofFile(Buffer.from(text))).toMatchObject({ ok: true, record: { key } })
  })

  it('leaves records whose key ends so readable with their last slash escaped, and writable and deletable either way', async () => {
    const { url } = await startHttp()
    const records = `${url}/api/collections/imu/records`
    expect((await send('PUT', `${records}/a/proof`, { payload: 1 })).status).toBe(201)
    expect((await request(`${records}/a%2Fproof`)).json).toMatchObject({ key: 'a/proof', payload: 1 })
    const missing = await request(`${records}/a/proof`)
    expect([missing.status, codeOf(missing)]).toEqual([404, 'HS_NOT_FOUND'])
    expect((missing.json as { detail: string }).detail).toMatch(/write its last slash as %2F/)
    expect((await request(`${records}/a/proof`, { method: 'DELETE' })).status).toBe(204)
    expect((await request(`${records}/a%2Fproof`)).status).toBe(404)
    expect((await request(`${records}/proof`)).json).toMatchObject({ detail: 'there is no record "proof" in imu' })
  })

  it('is 404 for what is not there or was deleted, 400 for what is no key or name', async () => {
    const { url } = await startHttp()
    await send('PUT', `${url}/api/collections/imu/records/a`, { payload: 1 })
    await request(`${url}/api/collections/imu/records/a`, { method: 'DELETE' })
    const answers: [string, number, string][] = [
      ['imu/records/a/proof', 404, 'HS_NOT_FOUND'],
      ['imu/records/b/c/proof', 404, 'HS_NOT_FOUND'],
      ['none/records/a/proof', 404, 'HS_NOT_FOUND'],
      ['none/checkpoint', 404, 'HS_NOT_FOUND'],
      ['_system/records/a/proof', 400, 'HS_INVALID_NAME'],
      ['_system/checkpoint', 400, 'HS_INVALID_NAME'],
      ['imu/records/%00/proof', 400, 'HS_INVALID_KEY'],
      ['imu/records//proof', 400, 'HS_INVALID_KEY'],
      [`imu/records/${'k'.repeat(513)}/proof`, 400, 'HS_INVALID_KEY'],
      ['imu/records/a/proof?x=1', 400, 'HS_INVALID_REQUEST'],
    ]
    for (const [path, status, code] of answers) {
      const answer = await request(`${url}/api/collections/${path}`)
      expect([path, answer.status, codeOf(answer)]).toEqual([path, status, code])
    }
  })

  it('is 429 with Retry-After while as many as may be are being made', async () => {
    const held = Promise.withResolvers<undefined>()
    const entered = Promise.withResolvers<void>()
    const prove = (): Promise<undefined> => {
      entered.resolve()
      return held.promise
    }
    const { url } = await startHttp({ prover: { publicKey: '', prove, checkpoint: prove }, limits: { proofsMax: 1 } })
    const first = request(`${url}/api/collections/imu/records/a/proof`)
    await entered.promise
    const busy = await request(`${url}/api/collections/imu/records/b/proof`)
    expect([codeOf(busy), busy.headers.get('retry-after')]).toEqual(['HS_BUSY', expect.stringMatching(/^\d+$/)])
    held.resolve(undefined)
    expect((await first).status).toBe(404)
    expect((await request(`${url}/api/collections/imu/records/b/proof`)).status).toBe(404)
  })

  it('needs the token where records need it', async () => {
    const { url } = await startHttp({ tokens: ['a-token-of-ours'] })
    for (const path of ['records/a/proof', 'records/a/b/proof', 'checkpoint'])
      expect((await request(`${url}/api/collections/imu/${path}`)).status).toBe(401)
  })
})

describe('GET …/checkpoint', () => {
  it('answers what the digest says, signed', async () => {
    const { url } = await startHttp()
    await send('POST', `${url}/api/collections/imu/records`, [{ key: 'a' }, { key: 'b' }])
    const { digest } = (await request(`${url}/api/collections/imu/digest`)).json as { digest: string }
    const { text, json } = await request(`${url}/api/collections/imu/checkpoint`)
    expect(json).toMatchObject({ format: 'hs-checkpoint 1', checkpoint: { collection: 'imu', digest, record_count: 2 } })
    expect(verifyProofFile(Buffer.from(text))).toMatchObject({ ok: true })
  })
})
