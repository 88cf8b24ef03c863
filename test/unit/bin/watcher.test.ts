/** Following events over connections that break. */
import { describe, expect, it } from 'vitest'
import { AgentError } from '../../../agent/errors.ts'
import { ApiProblem, type ApiClient } from '../../../bin/api-client.ts'
import { watchEvents, type Watch } from '../../../bin/watcher.ts'

type Connection = string | Error

const event = (kind: string, id: string, key: string): string => `event: ${kind}\nid: ${id}\ndata: {"kind":"${kind}","key":"${key}"}\n\n`
const broken = new AgentError('HS_AGENT_UNREACHABLE', 'the answer broke off')

interface Setting {
  readonly watch: Watch
  readonly asked: string[]
  readonly told: string[]
  readonly stop: () => void
}

/** Each connection is what it sends before it breaks, or why it fails. Behind the last one the watcher is stopped. */
function follow(connections: readonly Connection[], since?: string): Setting {
  const asked: string[] = []
  const told: string[] = []
  const stopping = new AbortController()
  const left = [...connections]
  const api = {
    async stream(_method, path) {
      asked.push(path)
      const next = left.shift()
      if (next === undefined) stopping.abort()
      if (typeof next !== 'string') throw next ?? broken
      return (async function* () {
        yield Buffer.from(next)
        await Promise.resolve()
        throw broken
      })()
    },
  } as Pick<ApiClient, 'stream'> as ApiClient
  const watch = watchEvents({
    api,
    collection: 'map',
    since,
    signal: stopping.signal,
    onLost: error => told.push(error instanceof Error ? error.message : ''),
    onBack: () => told.push('back'),
  })
  return { watch, asked, told, stop: () => stopping.abort() }
}

async function keysOf({ watch }: Setting): Promise<unknown[]> {
  const keys: unknown[] = []
  for await (const { data } of watch.events) keys.push(data['key'])
  return keys
}

describe('watching', () => {
  it('comes back where it was, also past what a filter hid', async () => {
    const setting = follow([
      'id: f.3\n\n' + event('put', 'f.5', 'a') + 'id: f.9\n: keep-alive\n\nevent: put\nid: f.10\ndata: {"cut',
      event('put', 'f.11', 'b'),
    ])
    expect(await keysOf(setting)).toEqual(['a', 'b'])
    expect(setting.asked).toEqual([
      '/api/events?collection=map',
      '/api/events?collection=map&since=f.9',
      '/api/events?collection=map&since=f.11',
    ])
    expect(setting.told).toEqual(['the answer broke off', 'back', 'the answer broke off'])
    expect(setting.watch.cursor()).toBe('f.11')
  })

  it('says once that the agent is lost, however often it tries', async () => {
    const busy = new ApiProblem(429, { code: 'HS_BUSY' })
    const setting = follow([event('put', 'f.1', 'a'), broken, busy, event('delete', 'f.2', 'b')], '0')
    expect(await keysOf(setting)).toEqual(['a', 'b'])
    expect(setting.told).toEqual(['the answer broke off', 'back', 'the answer broke off'])
    expect(setting.asked[0]).toBe('/api/events?collection=map&since=0')
  })

  it('the role with which every connection begins is news only when it is another one', async () => {
    const role = (name: string): string => `event: role\ndata: {"kind":"role","role":"${name}","epoch":0}\n\n`
    const roles: unknown[] = []
    for await (const { data } of follow([role('Edge'), role('Edge') + role('Leader'), role('Leader')]).watch.events)
      roles.push(data['role'])
    expect(roles).toEqual(['Edge', 'Leader'])
  })

  it('an end that the agent announces is a loss with its reason', async () => {
    const end = 'event: end\ndata: {"kind":"end","code":"HS_SHUTTING_DOWN","detail":"go on later"}\n\n'
    const setting = follow([event('put', 'f.1', 'a') + end + event('put', 'f.2', 'never read')])
    expect(await keysOf(setting)).toEqual(['a'])
    expect(setting.told).toEqual(['go on later'])
    expect(setting.watch.cursor()).toBe('f.1')
  })

  it('fails at once when nobody answers the first time, and later when trying again would not help', async () => {
    await expect(keysOf(follow([broken]))).rejects.toBe(broken)
    const refused = new ApiProblem(401, { code: 'HS_UNAUTHORIZED' })
    await expect(keysOf(follow([event('put', 'f.1', 'a'), refused]))).rejects.toBe(refused)
  })
})
