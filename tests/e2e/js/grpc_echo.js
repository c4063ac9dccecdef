// gRPC on bytes, without .proto files: a server of /test.Echo/ and a client that makes every kind of call.
//
// usage: node grpc_echo.js server                   says its port; ends with its stdin
//        node grpc_echo.js client TARGET [CA.pem]   says what came of the calls as one JSON object
'use strict';
const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const bytes = { serialize: (b) => b, deserialize: (b) => b };
function method(name, requestStream, responseStream) {
  return {
    path: `/test.Echo/${name}`, requestStream, responseStream,
    requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize,
  };
}
const service = {
  Unary: method('Unary', false, false),
  Fail: method('Fail', false, false),
  Slow: method('Slow', false, false),
  ServerStream: method('ServerStream', false, true),
  ClientStream: method('ClientStream', true, false),
  Bidi: method('Bidi', true, true),
};

function serve() {
  const server = new grpc.Server();
  server.addService(service, {
    Unary(call, done) {
      const initial = new grpc.Metadata(), trailing = new grpc.Metadata();
      initial.set('x-initial', '1');
      trailing.set('x-trailing', '2');
      call.sendMetadata(initial);
      done(null, Buffer.concat([Buffer.from('re:'), call.request]), trailing);
    },
    Fail(call, done) { done({ code: grpc.status.FAILED_PRECONDITION, details: 'not now' }); },
    Slow() { /* never answers: the deadline ends it */ },
    ServerStream(call) {
      for (let i = 0; i < Number(call.request.toString()); i++) call.write(Buffer.from(String(i).repeat(100)));
      call.end();
    },
    ClientStream(call, done) {
      let sum = 0;
      call.on('data', (b) => { sum += b.length; });
      call.on('end', () => done(null, Buffer.from(String(sum))));
    },
    Bidi(call) {
      call.on('data', (b) => call.write(Buffer.concat([Buffer.from('re:'), b])));
      call.on('end', () => call.end());
    },
  });
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log(port);
  });
  process.stdin.on('end', () => process.exit(0)).resume();
}

async function call(target, ca) {
  const credentials = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure();
  const Client = grpc.makeGenericClientConstructor(service, 'Echo');
  const client = new Client(target, credentials, { 'grpc.enable_http_proxy': 0 });
  const said = {};

  await new Promise((next) => {
    const unary = client.Unary(Buffer.from('one'), (error, answer) => {
      said.unary = error ? error.message : answer.toString();
    });
    unary.on('metadata', (m) => { said.initial = m.get('x-initial')[0]; });
    unary.on('status', (s) => { said.trailing = s.metadata.get('x-trailing')[0]; next(); });
  });
  await new Promise((next) => client.Fail(Buffer.from(''), (error) => {
    said.fail = [error.code, error.details];
    next();
  }));
  await new Promise((next) => client.Slow(Buffer.from(''), { deadline: Date.now() + 300 }, (error) => {
    said.slow = error.code;
    next();
  }));
  await new Promise((next) => {
    let n = 0, total = 0;
    const stream = client.ServerStream(Buffer.from('500'));
    stream.on('data', (b) => { n++; total += b.length; });
    stream.on('error', (e) => { said.serverStream = e.code; next(); });
    stream.on('end', () => { said.serverStream ??= [n, total]; next(); });
  });
  await new Promise((next) => {
    const stream = client.ClientStream((error, answer) => {
      said.clientStream = error ? error.code : answer.toString();
      next();
    });
    for (let i = 0; i < 100; i++) stream.write(Buffer.alloc(10000));
    stream.end();
  });
  await new Promise((next) => {
    const stream = client.Bidi();
    said.bidi = [];
    stream.on('data', (b) => {
      said.bidi.push(b.toString());
      if (said.bidi.length < 5) stream.write(Buffer.from(String(said.bidi.length)));
      else stream.end();
    });
    stream.on('error', (e) => { said.bidi = e.code; next(); });
    stream.on('end', next);
    stream.write(Buffer.from('0'));
  });
  client.close();
  console.log(JSON.stringify(said));
}

if (process.argv[2] === 'server') serve();
else call(process.argv[3], process.argv[4]).catch((e) => { console.error(e); process.exit(1); });
