// WebSockets with the package ws.
//
// usage: node ws_echo.js server                 echoes; says its port; ends with its stdin
//        node ws_echo.js client URL [CA.pem]    sends messages and pings; says what came back as one JSON object
'use strict';
const fs = require('fs');
const WebSocket = require('ws');

function serve() {
  const server = new WebSocket.Server({ host: '127.0.0.1', port: 0, perMessageDeflate: true }, () => console.log(server.address().port));
  server.on('connection', (ws) => ws.on('message', (data, binary) => ws.send(data, { binary })));
  process.stdin.on('end', () => process.exit(0)).resume();
}

function call(url, ca) {
  const ws = new WebSocket(url, { ca: ca && fs.readFileSync(ca), perMessageDeflate: true });
  const sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20], said = { sizes: [], pong: null };

  ws.on('open', () => ws.send(Buffer.alloc(sizes[0], 'x')));
  ws.on('message', (data, binary) => {
    if (!binary) {
      said.text = data.toString();
      ws.ping('are you there');
      return;
    }
    said.sizes.push(data.length);
    if (said.sizes.length < sizes.length) ws.send(Buffer.alloc(sizes[said.sizes.length], 'x'));
    else ws.send('text with ümlauts');
  });
  ws.on('pong', (data) => {
    said.pong = data.toString();
    ws.close(4321, 'enough');
  });
  ws.on('close', (code) => console.log(JSON.stringify({ ...said, code, extensions: ws.extensions })));
  ws.on('error', (e) => { console.error(e); process.exit(1); });
}

if (process.argv[2] === 'server') serve();
else call(process.argv[3], process.argv[4]);
