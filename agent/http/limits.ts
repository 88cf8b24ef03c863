/** What bounds the HTTP API. Bytes, milliseconds and counts; what happens at each bound is said with it. */

const MIB = 1024 * 1024

export const DEFAULT_LIMITS = {
  /** One record as JSON, a line of NDJSON too: 1 MiB of data is 1.34 MiB in base64, 65,536 vector numbers up to 1.6 MiB. Beyond: 413. */
  recordBytesMax: 4 * MIB,
  /** A JSON array of records. Beyond: 413, which names NDJSON. */
  arrayBytesMax: 16 * MIB,
  /** Records of a JSON array. Beyond: 413. */
  arrayRecordsMax: 100_000,
  /** The body that creates a collection. Beyond: 413. */
  settingsBytesMax: 64 * 1024,
  /** All bodies that are held in memory at once. Beyond: 429 with Retry-After. */
  bodiesBytesMax: 64 * MIB,
  /** Streamed bulk writes and exports at once. Beyond: 429 with Retry-After. */
  streamsMax: 32,
  /** Event streams and long polls at once. Beyond: 429 with Retry-After. */
  eventStreamsMax: 128,
  /** Searches at once, waiting ones included. Beyond: 429 with Retry-After. */
  searchesMax: 32,
  /** Checkpoints and proofs at once; agent/proof/shapes.ts bounds each. Beyond: 429 with Retry-After. */
  proofsMax: 4,
  /** Connections at once. Beyond: closed without an answer. */
  connectionsMax: 256,
  /** Request line and headers. Beyond: 413. */
  headerBytesMax: 16 * 1024,

  /** Lines of a bulk write in one write group, and the bytes of their content. */
  groupRecordsMax: 1000,
  groupBytesMax: MIB,
  /** Write groups of one bulk request under way. Beyond: the socket is not read. */
  groupsInFlightMax: 2,
  /** A group that is not full is written when the input pauses for this long. */
  groupPauseMs: 20,
  /** Rejections that the answer of a bulk write lists; all are counted. */
  rejectionsListedMax: 100,

  /** Records of a listing's page. Beyond: 400. */
  pageRecordsMax: 1000,
  pageRecordsDefault: 100,
  /** Bytes of a listing's page: it ends with the record that reaches them. */
  pageBytesMax: 4 * MIB,

  /** Neighbours that a search asks for. Beyond: 400. */
  neighboursMax: 1000,
  /** Payloads and data of a search's answer. Beyond: 413, which says how many neighbours fit. */
  searchBytesMax: 8 * MIB,
  /** How long the vectors that a search has loaded are kept in memory after the last one. */
  searchIdleMs: 300_000,

  /** Changes that one answer of /api/changes looks at for those of a collection. Beyond: it answers with what it found, and `more`. */
  changesScannedMax: 10_000,
  /** Longest wait of a long poll. Beyond: 400. */
  changesWaitMsMax: 60_000,
  /** Peer, sync and role events that wait for one consumer. Beyond: its stream ends with HS_SLOW_CONSUMER. */
  eventsQueuedMax: 256,
  /** Longest silence of an event stream: then a comment is sent. */
  eventsKeepAliveMs: 15_000,
  /** Longest time in which a consumer of events takes not one byte of what waits for it. Beyond: its stream ends with HS_SLOW_CONSUMER. */
  eventsStallMs: 30_000,
  /** Least time between two reads of a stream that has seen everything: changes of that time go out together. */
  eventsGapMs: 20,
  /** What clients of an event stream are told to wait before they come back. */
  eventsRetryMs: 1000,

  /** Headers must arrive within this time. Beyond: 408. */
  headersMs: 10_000,
  /** Longest silence inside a body that is being read. Beyond: 408. */
  bodyIdleMs: 30_000,
  /** Longest time without a byte in either direction while a request is open. Beyond: closed. */
  socketIdleMs: 120_000,
  /** How long an idle connection is kept. */
  keepAliveMs: 30_000,
  /** How long the rest of a body is thrown away after an early answer, so that the client gets to read it. Beyond: closed. */
  lingerMs: 2000,
  /** How long requests may go on once the server stops. Beyond: cut. */
  closeMs: 5000,
  /** How long a taken port is tried again: the default port lies in Linux's ephemeral range. Beyond: HS_BIND_FAILED. */
  bindRetryMs: 3000,
} as const

export type HttpLimits = { readonly [name in keyof typeof DEFAULT_LIMITS]: number }
