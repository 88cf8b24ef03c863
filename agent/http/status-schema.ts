/** The shape of `GET /api/cluster/status`. */
import { Type, type Static } from 'typebox'
import { Role } from './schemas.ts'

export const ClusterStatus = Type.Object(
  {
    node_id: Type.String(),
    node_name: Type.String(),
    role: Role,
    upstream_peer: Type.Union([Type.String(), Type.Null()]),
    downstream_peers: Type.Array(Type.String()),
    logical_clock: Type.Integer(),
    epoch: Type.Integer(),
    version: Type.String(),
    uptime_secs: Type.Number(),
    public_key: Type.String({ description: 'Ed25519, 32 bytes in hexadecimal: checkpoints and proofs of this node are signed with it.' }),
    secured: Type.Boolean({ description: 'Gossip and peer links are sealed with a swarm key.' }),
    swarm_keys: Type.Array(
      Type.Object(
        {
          id: Type.String({ description: '8 hexadecimal digits; no secret.' }),
          seals: Type.Boolean({ description: 'This node seals with it; with the others it only opens.' }),
          peers: Type.Integer(),
          peers_sealing: Type.Integer({ description: 'Peers whose last packet was sealed with it.' }),
          peers_holding: Type.Integer({ description: 'Peers that say that they hold it.' }),
        },
        { title: 'SwarmKey' },
      ),
    ),
    duplicate_identity: Type.Union(
      [
        Type.Object(
          { addr: Type.String({ description: 'Where its gossip comes from.' }), seen_secs: Type.Integer({ description: 'Unix seconds.' }) },
          { title: 'DuplicateIdentity' },
        ),
        Type.Null(),
      ],
      { description: 'The last sight of another process that uses the id of this node.' },
    ),
    scrub: Type.Object(
      {
        state: Type.Enum(['idle', 'scrubbing', 'verifying']),
        rows: Type.Integer({ description: 'Rows looked at since the agent started.' }),
        passes: Type.Integer({ description: 'Scrubs of the whole store that have ended.' }),
        last_pass_at: Type.Union([Type.Integer({ description: 'Unix milliseconds.' }), Type.Null()]),
        mended: Type.Integer({ description: 'Keys of which something beside the record was wrong, and was made again.' }),
        strays: Type.Integer({ description: 'Rows of nothing that were removed.' }),
        sums: Type.Integer({ description: 'Sums and counts that were wrong, and were computed again.' }),
        damaged: Type.Integer({ description: 'Versions that were not what was written, now in quarantine.' }),
        lost: Type.Integer({ description: 'Versions that were found to be gone, the damaged ones among them.' }),
        recovered: Type.Integer({ description: 'Of these, those that are back.' }),
        missing: Type.Integer({ description: 'Those that are not, also from before the agent started.' }),
        verified: Type.Integer({ description: 'Number of the last verification whose scrub has ended.' }),
      },
      { title: 'Scrub' },
    ),
    warnings: Type.Array(Type.String(), { description: 'What a person should know although the agent serves, in sentences.' }),
    recovery: Type.Union(
      [
        Type.Object(
          {
            kind: Type.Enum(['replayed', 'repaired', 'rebuilt', 'missing']),
            reason: Type.String(),
            redone: Type.Integer({ description: 'Writes that came back from the outage log as they were.' }),
            rescued: Type.Integer({ description: 'Writes from the outage log that are issued anew once a peer has been met.' }),
            salvaged: Type.Integer({ description: 'Versions taken over from what is left of the former database.' }),
            damaged: Type.Integer({ description: 'Versions there that are not as they were written.' }),
            quarantines: Type.Array(Type.String(), { description: 'Folders in the data directory that hold former databases.' }),
          },
          { title: 'Recovery' },
        ),
        Type.Null(),
      ],
      { description: 'What was wrong with the database at this start, and what came back.' },
    ),
    disk: Type.Object(
      {
        size_bytes: Type.Integer(),
        free_bytes: Type.Integer({ description: 'What the agent may still use, as of the last look; some seconds old at most.' }),
        reserve_bytes: Type.Integer({ description: 'HS_DISK_RESERVE: with less than this free, new records are refused.' }),
        full: Type.Boolean({ description: 'New records are refused, until a quarter more than the reserve is free.' }),
        written_bytes: Type.Union([Type.Integer(), Type.Null()], {
          description: 'What this process has made the system write to disk since it began; null where the system does not count that.',
        }),
        written_bytes_per_day: Type.Union([Type.Integer(), Type.Null()], {
          description: 'At the pace since the agent started; null in its first ten minutes.',
        }),
      },
      { title: 'Disk' },
    ),
    outage_log: Type.Union(
      [
        Type.Object(
          {
            bytes: Type.Integer(),
            bytes_max: Type.Integer(),
            dropped_writes: Type.Integer({ description: 'Writes that left it at its bound, since the start.' }),
          },
          { title: 'OutageLog' },
        ),
        Type.Null(),
      ],
      { description: 'The second copy of writes that no other node has acknowledged; null when it is off.' },
    ),
  },
  { title: 'ClusterStatus' },
)

export type ClusterStatusJson = Static<typeof ClusterStatus>
