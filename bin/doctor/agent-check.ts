/** Asks an agent what it has observed. */
import { Check } from 'typebox/value'
import { Diagnosis, type DiagnosisJson } from '../../agent/diagnosis/shape.ts'
import { found, type Finding } from '../../agent/diagnosis/finding.ts'
import { AgentError } from '../../agent/errors.ts'
import { ApiProblem, isObject, type ApiClient } from '../api-client.ts'
import { formatBytes } from '../words.ts'

const SILENCE_MS_MAX = 10_000

export interface AgentAnswer {
  readonly findings: readonly Finding[]
  readonly diagnosis: DiagnosisJson | undefined
  /** Something answers there. */
  readonly isRunning: boolean
}

/** Never throws: that an agent does not answer is a finding. */
export async function askAgent(url: string, api: ApiClient, isOwn: boolean): Promise<AgentAnswer> {
  try {
    const answer: unknown = await api.getObject('/api/swarm/diagnosis', { silenceMs: SILENCE_MS_MAX })
    if (!Check(Diagnosis, answer))
      return unusable(url, 'its diagnosis has another form', 'it is of another version', 'use the hs-agent of the same version')
    const { node_name: name, node_id: nodeId, version, uptime_secs: upSecs } = answer.node
    const seen = `${name} (node ${nodeId.slice(0, 8)}, version ${version}) answers at ${url}, up for ${upSecs} s`
    return { findings: [found('ok', 'agent', url, seen), ...(isOwn ? await askState(api) : [])], diagnosis: answer, isRunning: true }
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 401) {
      return unusable(url, 'it wants a token', 'HS_API_TOKEN is not set here, or is another one', 'set HS_API_TOKEN, or give --token')
    }
    if (error instanceof ApiProblem && error.status === 404) {
      return unusable(url, 'it has no diagnosis', 'it is of an older version', 'update it')
    }
    if (error instanceof ApiProblem) return unusable(url, `it answers ${error.status}`, JSON.stringify(error.problem), 'look into its log')
    const detail = error instanceof AgentError ? error.detail : String(error)
    const finding = found('warning', 'agent-unreachable', url, `No agent answers: ${detail}`, {
      reason: isOwn
        ? 'it does not run, or listens elsewhere (HS_HTTP_PORT, HS_URL)'
        : 'it does not run, or its HTTP listens on its loopback alone',
      ...(isOwn && { advice: 'start it (`systemctl start hs-agent`, `hs-agent run`); what can be seen without it follows' }),
    })
    return { findings: [finding], diagnosis: undefined, isRunning: false }
  }
}

/** What the agent says of its own store and disk. */
async function askState(api: ApiClient): Promise<Finding[]> {
  const { disk, warnings } = await api.getObject('/api/cluster/status', { silenceMs: SILENCE_MS_MAX })
  const findings = (Array.isArray(warnings) ? warnings : []).map(warning => found('warning', 'store', 'store', String(warning)))
  if (isObject(disk) && disk['full'] === true) {
    const [free, reserve] = [disk['free_bytes'], disk['reserve_bytes']].map(bytes => formatBytes(Number(bytes)))
    findings.push(
      found(
        'fault',
        'disk-full',
        'HS_DISK_RESERVE',
        `The agent takes no new records: ${free} are free on its disk, and ${reserve} are kept in reserve`,
        {
          reason: 'the disk is nearly full, or more is kept in reserve than there is',
          advice: 'make room - deletes are taken - or set HS_DISK_RESERVE lower; it goes on by itself',
        },
      ),
    )
  }
  return findings
}

function unusable(url: string, what: string, reason: string, advice: string): AgentAnswer {
  return {
    findings: [found('fault', 'agent-refuses', url, `The agent at ${url} cannot be asked: ${what}`, { reason, advice })],
    diagnosis: undefined,
    isRunning: true,
  }
}
