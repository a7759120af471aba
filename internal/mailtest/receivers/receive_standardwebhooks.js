// A receiver that verifies with the library of Standard Webhooks for JavaScript:
// each request under either key of a rotation, and neither under a third key nor
// with anything of it changed.
const http = require('http')
const { Webhook } = require('standardwebhooks')

const [keys, other] = [process.argv.slice(2, 4), process.argv[4]]

const fails = (key, body, headers) => {
  try {
    new Webhook(key).verify(body, headers)
    return false
  } catch (err) {
    return err.name === 'WebhookVerificationError'
  }
}

const server = http.createServer((req, res) => {
  const chunks = []
  req.on('data', (c) => chunks.push(c))
  req.on('end', () => {
    const body = Buffer.concat(chunks).toString('utf8')
    const wrong = []
    try {
      for (const key of keys) new Webhook(key).verify(body, req.headers)
    } catch (err) {
      wrong.push(String(err))
    }
    const at = Math.floor(Math.random() * body.length)
    const changed = body.slice(0, at) + (body[at] === 'x' ? 'y' : 'x') + body.slice(at + 1)
    if (!fails(keys[0], changed, req.headers)) wrong.push('verified with another body')
    if (!fails(other, body, req.headers)) wrong.push('verified with another key')
    const id = req.headers['webhook-id'], stamp = Number(req.headers['webhook-timestamp'])
    if (!fails(keys[0], body, { ...req.headers, 'webhook-id': id + '1' })) wrong.push('verified with another id')
    if (!fails(keys[0], body, { ...req.headers, 'webhook-timestamp': String(stamp + 1) })) wrong.push('verified at another time')
    console.log(JSON.stringify({ id, size: body.length, wrong }))
    res.writeHead(wrong.length ? 500 : 204).end()
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
