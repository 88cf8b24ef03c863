/** The demo's air: it carries what it should, and a cut link carries nothing, whichever way it is tried. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { openRadio, type Radio } from '../../../demo/radio.ts'

interface Station {
  readonly udp: UdpSocket
  readonly heard: { readonly text: string; readonly port: number }[]
}

async function openStation(): Promise<Station> {
  const udp = createSocket('udp4')
  onTestFinished(() => void udp.close())
  const heard: Station['heard'] = []
  udp.on('message', (bytes, { port }) => heard.push({ text: bytes.toString(), port }))
  udp.bind(0, '127.0.0.1')
  await once(udp, 'listening')
  return { udp, heard }
}

async function openPair(): Promise<{ radio: Radio; a: Station; b: Station; portOfB: number }> {
  const radio = await openRadio(['a', 'b'])
  onTestFinished(() => radio.close())
  const [a, b] = [await openStation(), await openStation()]
  radio.attach('a', a.udp.address().port)
  radio.attach('b', b.udp.address().port)
  return { radio, a, b, portOfB: Number(radio.peersOf('a').split(':')[1]) }
}

async function tell(from: Station, port: number, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    from.udp.send(text, port, '127.0.0.1', error => (error === null ? resolve() : reject(error))),
  )
}
const heardBy = (station: Station): string[] => station.heard.map(({ text }) => text)

it('a datagram comes from the address under which its receiver finds its sender', async () => {
  const { radio, a, b, portOfB } = await openPair()
  await tell(a, portOfB, 'hello')
  await expect.poll(() => heardBy(b)).toEqual(['hello'])
  const from = b.heard[0]?.port ?? 0
  expect(radio.peersOf('b')).toBe(`127.0.0.1:${from}`)
  expect(radio.owns(`127.0.0.1:${from}`)).toBe(true)
  await tell(b, from, 'hello yourself')
  await expect.poll(() => a.heard).toEqual([{ text: 'hello yourself', port: portOfB }])
  expect(radio.traffic()).toEqual({ gossipBytes: 19, syncBytes: 0, lostBytes: 0 })
})

it('what is sent while the link is cut is lost, and strangers are not carried', async () => {
  const { radio, a, b, portOfB } = await openPair()
  const stranger = await openStation()
  radio.setAll(false)
  expect(radio.links()).toEqual([{ between: ['a', 'b'], isUp: false }])
  await tell(a, portOfB, 'lost')
  await expect.poll(() => radio.traffic().lostBytes).toBe(4)
  radio.setAll(true)
  await tell(stranger, portOfB, 'strange')
  await tell(a, portOfB, 'heard')
  // On loopback the relay's socket gets them in this order.
  await expect.poll(() => heardBy(b)).toContain('heard')
  expect(heardBy(b)).toEqual(['heard'])
})

it('a cut ends open connections and refuses new ones; a mended link takes them again', async () => {
  const { radio, portOfB } = await openPair()
  const server = createServer(socket => void socket.on('error', () => {}).pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  radio.attach('b', typeof address === 'object' && address !== null ? address.port : undefined)

  const dial = (): Socket => {
    const socket = connect({ port: portOfB, host: '127.0.0.1' })
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    return socket
  }
  const open = dial()
  open.write('echo')
  expect(String((await once(open, 'data'))[0])).toBe('echo')
  expect(radio.traffic().syncBytes).toBe(8)
  const ended = once(open, 'close')
  radio.setLink('b', 'a', false)
  await ended
  await once(dial(), 'close')
  radio.setLink('a', 'b', true)
  const again = dial()
  again.write('again')
  expect(String((await once(again, 'data'))[0])).toBe('again')
})
