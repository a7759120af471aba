// A receiver of postferry's webhooks: node receiver.js (PORT and HOOK_SECRET are set).
const crypto = require('node:crypto');
const http = require('node:http');

const key = Buffer.from(process.env.HOOK_SECRET.replace(/^whsec_/, ''), 'base64');
if (key.length < 24) throw new Error('HOOK_SECRET is no secret');
const largest = 100 << 20; // octets; no mail is larger

// The check of Standard Webhooks: a fresh timestamp, and one signature of the list that is ours.
function verified(headers, body) {
  const id = headers['webhook-id'], stamp = headers['webhook-timestamp'];
  if (!/^\d+$/.test(stamp) || Math.abs(Date.now() / 1000 - stamp) > 300) return false;
  const want = Buffer.from('v1,' + crypto.createHmac('sha256', key).update(`${id}.${stamp}.`).update(body).digest('base64'));
  return (headers['webhook-signature'] || '').split(' ').some((signature) => {
    const got = Buffer.from(signature);
    return got.length === want.length && crypto.timingSafeEqual(got, want);
  });
}

http.createServer((request, response) => {
  const chunks = [];
  let size = 0;
  request.on('data', (chunk) => {
    if ((size += chunk.length) > largest) request.destroy();
    else chunks.push(chunk);
  });
  request.on('end', () => {
    // When it is verified: store it under webhook-id, unless it is there already; then answer 2xx.
    response.writeHead(verified(request.headers, Buffer.concat(chunks)) ? 200 : 401).end();
  });
}).listen(process.env.PORT, '127.0.0.1');
