/** The shapes of exported versions, as `/api/openapi.json` describes them. */
import { Type } from 'typebox'
import { Conflict, contentMembers, Metric, Priority, Version } from './schemas.ts'

/** One line of exported versions: the head, a version, or the last line. */
export const VersionLine = Type.Union(
  [
    Type.Object({
      format: Type.String(),
      format_version: Type.Integer(),
      collection: Type.String(),
      generation: Type.Integer(),
      settings: Type.Object({
        dimension: Type.Union([Type.Integer(), Type.Null()]),
        metric: Metric,
        conflict: Conflict,
        priority: Priority,
      }),
    }),
    Type.Object({
      key: Type.String(),
      deleted: Type.Optional(Type.Boolean()),
      ...contentMembers,
      version: Type.Optional(Version),
      seen: Type.Optional(
        Type.Record(Type.String(), Type.Integer(), { description: 'What the writer had seen of this key: origin and counter.' }),
      ),
      encoded: Type.Optional(Type.String({ description: 'In place of all that, where this release does not understand it: base64.' })),
      sum: Type.String({ description: 'Of the version as replicas keep it.' }),
    }),
    Type.Object({ versions: Type.Integer() }),
  ],
  { title: 'VersionLine' },
)

export const MergeResult = Type.Object(
  {
    taken: Type.Integer({ description: 'Versions that were new here, and what they beat is beaten.' }),
    known: Type.Integer({ description: 'Versions that were here already, or that were written over or deleted since.' }),
    refused: Type.Integer({ description: 'Versions behind what this node keeps of the collection: by its bounds, or by their age.' }),
    rejected: Type.Array(Type.Object({ line: Type.Integer(), code: Type.String(), detail: Type.String() }), { maxItems: 100 }),
    rejected_count: Type.Integer(),
    complete: Type.Boolean({ description: 'The last line was there, and as many versions as it says. Otherwise the export was cut off.' }),
  },
  { title: 'VersionMergeResult' },
)
