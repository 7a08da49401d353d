// What the Node.js programs share: checks, and the agreement with tests/clients/run.
//
// A program gets the port, and words:
//   no-locks       the server is Redis, without Holdfast's commands
//   cluster=PORT   the port belongs to a follower of a cluster, and PORT to another one
// $CLIENTS_TLS, when it is set, is a folder of certificates (utils/gen-test-certs), and the ports speak
// TLS. It says RESTART on a line of its own when it wants the server ended and started again, and
// KILL LEADER when it wants the leader ended by kill -9; it may go on when it reads a line. Exit code 0
// and a last line `N checks` mean that all went well.
'use strict';

const assert = require('assert');
const { fork } = require('child_process');
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const [port, ...words] = process.argv.slice(3);
const withLocks = !words.includes('no-locks');
const otherPort = Number((words.find((word) => word.startsWith('cluster=')) || '').slice(8)) || null;
const certificates = process.env.CLIENTS_TLS;
const file = (name) => fs.readFileSync(path.join(certificates, name));
const tls = certificates ? { ca: file('ca.crt'), cert: file('client.crt'), key: file('client.key') } : null;
// What ioredis, and what node-redis wants for its socket.
const ioredisTls = tls ? { tls } : {};
const nodeRedisTls = tls ? { tls: true, ...tls } : {};
let checks = 0;

function equal(actual, expected, what) {
  assert.deepStrictEqual(actual, expected, what);
  checks++;
}

function isTrue(value, what) {
  assert.ok(value, what);
  checks++;
}

// The promise must be rejected with an error whose text fits.
async function fails(promise, pattern) {
  let error = null;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  assert.ok(error !== null, `expected an error like ${pattern}`);
  assert.match(String(error.message), pattern);
  checks++;
}

async function waitFor(what, condition, timeoutMs = 30000) {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function order(what) {
  const lines = readline.createInterface({ input: process.stdin });
  const answer = new Promise((resolve) => lines.once('line', resolve));
  console.log(what);
  await answer;
  lines.close();
}

const restart = () => order('RESTART');
const killLeader = () => order('KILL LEADER');

// Another process of this program, for which `run` is called with other arguments.
function another(...args) {
  return fork(process.argv[1], [process.argv[2], String(port), ...args.map(String)]);
}

// Its exit code or signal, when everything it has said is heard: that may come behind its exit.
function ended(child) {
  const happens = (event) => new Promise((resolve) => child.once(event, (...what) => resolve(what)));
  return Promise.all([happens('exit'), happens('disconnect')]).then(([[code, signal]]) => (code === null ? signal : code));
}

// Whatever a leader's end makes uncertain is asked again, which has to be harmless.
async function again(request) {
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (!/^(INDOUBT|TRYAGAIN|CLUSTERDOWN)/.test(error.message)) throw error;
    }
  }
}

function run(main) {
  process.on('disconnect', () => process.exit(1)); // in another process: the first one is gone
  process.on('unhandledRejection', (error) => {
    console.error(error);
    process.exit(1);
  });
  main().then(
    () => {
      if (!process.send) console.log(`${checks} checks`);
      process.exit(0);
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

// Every byte there is, twice.
const binary = Buffer.from(Array.from({ length: 512 }, (_, i) => i % 256));

module.exports = {
  again,
  another,
  binary,
  ended,
  equal,
  fails,
  ioredisTls,
  isTrue,
  killLeader,
  nodeRedisTls,
  otherPort,
  port: Number(port),
  restart,
  run,
  waitFor,
  withLocks,
  words,
};
