/** The page at `/`: what this is, what it measures now, and where the API is described. The dashboard will take its place. */
import { createHash } from 'node:crypto'

const STYLE = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
  th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; overflow-wrap: anywhere }
  code { font-size: .9em }
  #note { color: #b00 }
`

const SCRIPT = `
  const REFRESH_MS = 2000
  const cell = text => { const td = document.createElement('td'); td.textContent = text; return td }
  const fill = (id, rows) => document.getElementById(id).replaceChildren(...rows.map(row => {
    const tr = document.createElement('tr'); tr.append(...row.map(cell)); return tr
  }))
  const read = async path => {
    const answer = await fetch(path)
    if (!answer.ok) throw new Error(answer.status === 401 ? 'This agent wants a token: read the API with one, for example with curl.' : path + ' answers ' + answer.status)
    return answer.json()
  }
  const refresh = async () => {
    const note = document.getElementById('note')
    try {
      const [status, swarm, collections] = await Promise.all([read('/api/cluster/status'), read('/api/swarm/peers'), read('/api/collections')])
      fill('status', Object.entries(status).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') || 'none' : String(value ?? 'none')]))
      fill('collections', collections.map(c => [c.name, c.record_count, c.vector_count, c.digest]))
      fill('peers', swarm.peers.map(p => [p.node_name, p.addr, p.status, p.collections.map(c => c.name + (c.in_sync ? ' in sync' : ' differs')).join(', ')]))
      document.getElementById('gossip').textContent = swarm.gossip_enabled ? swarm.peer_count + ' peers' : 'gossip is off'
      note.textContent = ''
    } catch (error) {
      note.textContent = error.message
    }
    setTimeout(refresh, REFRESH_MS)
  }
  refresh()
`

export const HOME_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hs-agent</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<h1>hs-agent</h1>
<p>This is an agent that keeps records while offline, finds its peers, and agrees with them when they meet.
Its HTTP API is described at <a href="/api/openapi.json"><code>/api/openapi.json</code></a>;
metrics are at <a href="/metrics"><code>/metrics</code></a>, readiness at <a href="/readyz"><code>/readyz</code></a>.</p>
<p id="note" role="status"></p>
<h2>This node</h2>
<table><tbody id="status"></tbody></table>
<h2>Collections</h2>
<table><thead><tr><th>name</th><th>records</th><th>vectors</th><th>digest</th></tr></thead><tbody id="collections"></tbody></table>
<h2>Swarm</h2>
<p id="gossip"></p>
<table><thead><tr><th>name</th><th>address</th><th>status</th><th>collections</th></tr></thead><tbody id="peers"></tbody></table>
</body>
<script>${SCRIPT}</script>
</html>
`

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Content-Security-Policy: its own script and style, requests to this agent, nothing else. */
export const HOME_PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(SCRIPT)}`,
  `style-src ${hashOf(STYLE)}`,
  "connect-src 'self'",
  'img-src data:',
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')
