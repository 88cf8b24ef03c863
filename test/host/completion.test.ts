/** Completion in zsh and fish, as these shells do it themselves. Bash has its test beside the command line's others. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeFolder, stopEverything } from '../agent-process.ts'
import { obtain } from './packages.ts'

const run = promisify(execFile)
const BIN = fileURLToPath(new URL('../../bin', import.meta.url))
const DEADLINE_MS = 20_000

/** What a shell offers for the last word of a line. */
type Complete = (line: string) => Promise<string[]>

let folder: string
let agent: Server
/** The shells find `hs-agent` in PATH, and an agent with three collections. */
let env: NodeJS.ProcessEnv

beforeAll(async () => {
  folder = await makeFolder('hs-completion-')
  await writeFile(join(folder, 'records.ndjson'), '')
  agent = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(['imu', 'map', 'images'].map(name => ({ name }))))
  }).listen(0, '127.0.0.1')
  await once(agent, 'listening')
  const port = (agent.address() as AddressInfo).port
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HS_')))
  const path = `${BIN}:${process.env['PATH'] ?? ''}`
  env = { ...inherited, PATH: path, HOME: folder, TERM: 'xterm', HS_URL: `http://127.0.0.1:${port}` }
})
afterAll(async () => {
  agent.close()
  await stopEverything()
})

/** The script for a shell, in the file where it belongs. */
async function writeScript(shell: string, ...path: string[]): Promise<string> {
  const { stdout } = await run('hs-agent', ['completion', shell], { env })
  const file = join(folder, ...path)
  await mkdir(join(file, '..'), { recursive: true })
  await writeFile(file, stdout)
  return file
}

const linesOf = (text: string): string[] => text.split('\n').filter(line => line !== '')

async function startFish(): Promise<Complete> {
  const script = await writeScript('fish', '.config', 'fish', 'completions', 'hs-agent.fish')
  return async line => {
    // Fish loads the script by itself for a program of PATH; for another one it takes `source`.
    const load = line.startsWith('/') ? 'source $argv[2]; ' : ''
    const ask = ['-c', `${load}complete -C "$argv[1]"`, line, script]
    const { stdout, stderr } = await run('fish', ask, { env, cwd: folder, timeout: DEADLINE_MS })
    expect(stderr).toBe('')
    // A tab and a description follow the word.
    return linesOf(stdout).map(word => word.replace(/\t.*/, ''))
  }
}

/**
 * At its first prompt on a terminal zsh puts the line into its editor, completes it as Tab would, writes down what was offered, and ends.
 * What is offered passes through `compadd`; with -A that builtin stores the matches in an array.
 */
const ZSHRC = `
fpath=($HOME/functions $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
  if [[ " $*" == *' -'(O|A|D)' '* ]]; then builtin compadd "$@"; return; fi
  local -a found
  builtin compadd -A found "$@"
  (( $#found )) && print -rl -- $found >> $HOME/offered
  builtin compadd "$@"
}
offer() { _main_complete; compstate[list]='' compstate[insert]='' }
zle -C offer list-choices offer
zle-line-init() { BUFFER=$LINE CURSOR=$#LINE; zle offer; BUFFER=exit; zle .accept-line }
zle -N zle-line-init
`

async function startZsh(): Promise<Complete> {
  await writeScript('zsh', 'functions', '_hs-agent')
  await writeFile(join(folder, '.zshrc'), ZSHRC)
  return async line => {
    await writeFile(join(folder, 'offered'), '')
    const asking = run('script', ['-qec', 'zsh -i', '/dev/null'], {
      env: { ...env, ZDOTDIR: folder, LINE: line },
      cwd: folder,
      timeout: DEADLINE_MS,
    })
    asking.child.stdin?.end()
    await asking
    return linesOf(await readFile(join(folder, 'offered'), 'utf8'))
  }
}

const shells = [
  { shell: 'zsh', start: startZsh, reason: (await obtain('zsh')) ?? (await obtain('script', 'bsdutils')) },
  { shell: 'fish', start: startFish, reason: await obtain('fish') },
]

describe.each(shells)('completion in $shell', ({ shell, start, reason }) => {
  const title = reason === undefined ? '' : ` (skipped: ${reason})`

  it.skipIf(reason !== undefined)(`offers commands, options, values, files, and the collections of the agent${title}`, async () => {
    const complete = await start()
    const offers = async (line: string): Promise<string[]> => (await complete(line)).sort()
    expect(await offers('hs-agent ex')).toEqual(['export'])
    expect(await offers('hs-agent get im')).toEqual(['images', 'imu'])
    expect(await offers('hs-agent --url http get imu ')).toEqual([])
    expect(await offers('hs-agent --json get m')).toEqual(['map'])
    expect(await offers('hs-agent list imu --re')).toEqual(['--reverse'])
    expect(await offers('hs-agent list imu --limit ')).toEqual([])
    expect(await offers('hs-agent collections ')).toEqual(['create', 'delete', 'list', 'set'])
    expect(await offers('hs-agent collections set m')).toEqual(['map'])
    expect(await offers('hs-agent collections create new --metric c')).toEqual(['cosine'])
    expect(await offers('hs-agent collections create new --metric=d')).toEqual([shell === 'fish' ? '--metric=dot' : 'dot'])
    expect(await offers('hs-agent completion ')).toEqual(['bash', 'fish', 'zsh'])
    expect(await offers('hs-agent import imu rec')).toEqual(['records.ndjson'])
    expect(await offers('hs-agent help wat')).toEqual(['watch'])
    expect(await offers('hs-agent --v')).toEqual(['--version'])
  })

  it.skipIf(reason !== undefined)(`asks the program that stands on the line, not one of PATH${title}`, async () => {
    const complete = await start()
    const path = env['PATH']
    env['PATH'] = process.env['PATH']
    try {
      expect((await complete(`${BIN}/hs-agent get im`)).sort()).toEqual(['images', 'imu'])
    } finally {
      env['PATH'] = path
    }
  })
})
