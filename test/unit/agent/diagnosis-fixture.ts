/** Observations of an agent whose network is well and that has heard nobody yet, to be changed by the tests. */
import type { DiagnosisJson } from '../../../agent/diagnosis/shape.ts'

export const QUIET: DiagnosisJson = {
  node: {
    node_id: 'e8b37fde-6c60-427f-8a09-47103c2da80e',
    node_name: 'robot-1',
    version: '0.1.0',
    uptime_secs: 600,
    gossip_enabled: true,
    gossip_host: '0.0.0.0',
    gossip_port: 7946,
    multicast_group: '239.83.65.71:7946',
    swarm_name: 'yard',
    swarm_tag: '00112233445566aa',
    key_ids: [],
    wall_ms: Date.UTC(2026, 0, 1),
    clock_trusted: true,
    duplicate_identity: null,
  },
  interfaces: [{ name: 'wlan0', address: '10.0.0.1', use: 'joined', left_out_for: null, error: null }],
  interfaces_missing: [],
  multicast: { mute: false, sent: 40, others_heard_ago_ms: null, own_heard_ago_ms: 900 },
  seeds: [],
  peers: [],
  strangers: [],
  rejects: [],
  faults: [],
}

export function peer(changed: Partial<DiagnosisJson['peers'][number]> = {}): DiagnosisJson['peers'][number] {
  return {
    node_id: 'a92f0000-0000-4000-8000-000000000002',
    node_name: 'robot-2',
    addr: '10.0.0.2:7946',
    status: 'alive',
    heard_ago_ms: 400,
    direct_ago_ms: 400,
    answered_ago_ms: 700,
    pings_unanswered: 0,
    rtt_ms: 1.25,
    clock_skew_ms: 3,
    may_exchange: true,
    link: null,
    ...changed,
  }
}

export function stranger(changed: Partial<DiagnosisJson['strangers'][number]> = {}): DiagnosisJson['strangers'][number] {
  return {
    addr: '10.0.0.2:7946',
    host: '10.0.0.2',
    node_id: 'a92f0000-0000-4000-8000-000000000002',
    reason: 'other-swarm',
    packets: 12,
    first_ago_ms: 30_000,
    last_ago_ms: 800,
    kind: 'agent',
    wire_version: 1,
    key_id: null,
    swarm_tag: 'ffffffffffffffff',
    is_default_swarm: false,
    ...changed,
  }
}
