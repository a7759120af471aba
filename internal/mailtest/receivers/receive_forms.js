// A receiver that reads forms with busboy, which multer and many others stand on.
const http = require('http')
const busboy = require('busboy')

const server = http.createServer((req, res) => {
  const fields = [], files = []
  const bb = busboy({ headers: req.headers, limits: { fieldSize: 64 << 20 } })
  bb.on('field', (name, value, info) => {
    if (info.nameTruncated || info.valueTruncated) throw new Error('truncated')
    fields.push([name, value])
  })
  bb.on('file', (name, stream, info) => {
    const chunks = []
    stream.on('data', (c) => chunks.push(c))
    // busboy reads names as Latin-1 unless told otherwise, which keeps their octets.
    stream.on('end', () => files.push([name, Buffer.from(info.filename, 'latin1').toString('utf8'), info.mimeType, Buffer.concat(chunks).toString('base64')]))
  })
  bb.on('close', () => {
    console.log(JSON.stringify({ fields, files }))
    res.end()
  })
  bb.on('error', (err) => {
    console.log(JSON.stringify({ error: String(err) }))
    res.writeHead(500).end()
  })
  req.pipe(bb)
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
