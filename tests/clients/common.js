// What the Node.js programs share: checks, and the agreement with tests/clients/run.
//
// A program gets the port, and words:
//   no-locks       the server is Redis, without Holdfast's commands
//   cluster=PORT   the port belongs to a follower of a cluster, and PORT to another one
// $CLIENTS_TLS, when it is set, is a folder of certificates (utils/gen-test-certs), and the ports speak
// TLS. $CLIENTS_USER and $CLIENTS_PASSWORD, when they are set, are who it has to be; then it also tries
// what that user may not do (whatever its rules are, nobody may name a key or a channel that begins
// with `!`, or set an option), and connections of nobody and with a wrong password. It says on a line
// of its own FLUSHALL when it wants all data gone, RESTART when it wants the server ended and started
// again, and KILL LEADER when it wants the leader ended by kill -9; it may go on when it reads a line.
// Exit code 0 and a last line `N checks` mean that all went well.
'use strict';

const assert = require('assert');
const { fork } = require('child_process');
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const [port, ...words] = process.argv.slice(3);
const withLocks = !words.includes('no-locks');
const otherPort = Number((words.find((word) => word.startsWith('cluster=')) || '').slice(8)) || null;
const { CLIENTS_TLS: certificates, CLIENTS_USER: username, CLIENTS_PASSWORD: password } = process.env;
const file = (name) => fs.readFileSync(path.join(certificates, name));
const tls = certificates ? { ca: file('ca.crt'), cert: file('client.crt'), key: file('client.key') } : null;
const login = username ? { username, password } : {};
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

const flushAll = () => order('FLUSHALL');
const restart = () => order('RESTART');
const killLeader = () => order('KILL LEADER');

// Both connect again by themselves.
const ioredisOptions = (to = Number(port)) => ({ host: '127.0.0.1', port: to, ...login, ...(tls ? { tls } : {}), retryStrategy: () => 20 });
const nodeRedisOptions = (to = Number(port)) => ({
  socket: { host: '127.0.0.1', port: to, ...(tls ? { tls: true, ...tls } : {}), reconnectStrategy: () => 20 },
  ...login,
});

// What nobody and somebody else is told.
const STRANGERS = [
  [{ username: undefined, password: undefined }, /NOAUTH /],
  [{ password: 'wrong' }, /WRONGPASS /],
];

async function ioredisRefusals(Redis) {
  if (!username) return;
  const connect = (more) => {
    const redis = new Redis({ ...ioredisOptions(), ...more });
    redis.on('error', () => {});
    return redis;
  };
  const redis = connect({});
  await fails(redis.get('!key'), /^NOPERM .* one of the keys used as arguments$/);
  await fails(redis.config('SET', 'timeout', '0'), /^NOPERM .* run the 'config\|set' command$/);
  redis.disconnect();
  for (const [who, pattern] of STRANGERS) {
    const stranger = connect({ ...who, retryStrategy: null });
    await fails(stranger.get('key'), pattern);
    stranger.disconnect();
  }
}

async function nodeRedisRefusals(redis, more = {}) {
  if (!username) return;
  const make = (who) => {
    const client = redis.createClient({ ...nodeRedisOptions(), ...more, ...who });
    client.on('error', () => {});
    return client;
  };
  const client = make({});
  await client.connect();
  await fails(client.get('!key'), /^NOPERM .* one of the keys used as arguments$/);
  await fails(client.configSet('timeout', '0'), /^NOPERM .* run the 'config\|set' command$/);
  await client.disconnect();
  for (const [who, pattern] of STRANGERS) {
    // Some versions tell it at the connection, others at the first command.
    const stranger = make({ ...who, socket: { ...nodeRedisOptions().socket, reconnectStrategy: false } });
    await fails(stranger.connect().then(() => stranger.get('key')), pattern);
    if (stranger.isOpen) await stranger.disconnect();
  }
}

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
  flushAll,
  ioredisOptions,
  ioredisRefusals,
  isTrue,
  killLeader,
  nodeRedisOptions,
  nodeRedisRefusals,
  otherPort,
  port: Number(port),
  restart,
  run,
  waitFor,
  withAcl: Boolean(username),
  withLocks,
  words,
};
