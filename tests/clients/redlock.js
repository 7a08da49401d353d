// redlock: node redlock.js <module> <port>. Several processes want the same locks. Whoever holds one
// makes a file that must not exist yet, so that two holders are seen whatever the server says.
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const { again, another, ended, equal, fails, flushAll, ioredisOptions, ioredisRefusals } = require('./common');
const { isTrue, killLeader, otherPort, port, restart, run, waitFor, withAcl, words } = require('./common');

const Redis = require('ioredis');
const module_ = require(process.argv[2]);
const Redlock = module_.default || module_;
const is5 = 'ExecutionError' in module_;

const LEASE_MS = 60000; // longer than any pause of a slow machine
const [PROCESSES, HOLDERS, ROUNDS] = [3, 4, 15];

const connect = (to = port, more = {}) => {
  const redis = new Redis({ ...ioredisOptions(to), maxRetriesPerRequest: null, ...more });
  redis.on('error', () => {}); // it connects again
  return redis;
};

function locker(clients, settings = {}) {
  const redlock = new Redlock(clients, { retryCount: 0, ...settings });
  redlock.on(is5 ? 'error' : 'clientError', () => {}); // the promise is rejected as well
  return redlock;
}

const patient = { retryCount: 200, retryDelay: 10, retryJitter: 10 };
const isRefusal = (error) => ['ExecutionError', 'LockError'].includes(error.name);
const release = (lock) => (is5 ? lock.release() : lock.unlock());
const refused = is5 ? /unable to achieve a quorum/ : /Exceeded 0 attempts to lock/;
const lost = is5 ? /unable to achieve a quorum/ : /Unable to fully release the lock/;

async function single(redis, other) {
  const [mine, theirs] = [locker([redis]), locker([other])];
  const lock = await mine.acquire(['one'], LEASE_MS);
  equal(await redis.get('one'), lock.value);
  const ttl = await redis.pttl('one');
  isTrue(ttl > 0 && ttl <= LEASE_MS);
  await fails(theirs.acquire(['one'], LEASE_MS), refused);
  equal(await redis.get('one'), lock.value);
  const longer = await lock.extend(2 * LEASE_MS);
  isTrue((await redis.pttl('one')) > LEASE_MS);
  await release(longer);
  equal(await redis.exists('one'), 0);
  await release(await theirs.acquire(['one'], LEASE_MS));

  // Several resources: all or none.
  const two = await theirs.acquire(['b'], LEASE_MS);
  await fails(mine.acquire(['a', 'b', 'c'], LEASE_MS), refused);
  equal(await redis.exists('a', 'b', 'c'), 1);
  await release(two);
  const three = await mine.acquire(['a', 'b', 'c'], LEASE_MS);
  equal(new Set(await redis.mget('a', 'b', 'c')), new Set([three.value]));
  await fails(theirs.acquire(['c', 'd'], LEASE_MS), refused);
  equal(await redis.exists('d'), 0);
  await release(three);
  equal(await redis.exists('a', 'b', 'c'), 0);

  // What ends by itself belongs to somebody else then, and isn't given back by the first one.
  const short = await mine.acquire(['short'], 60);
  const next = await locker([other], patient).acquire(['short'], LEASE_MS);
  await fails(release(short), lost);
  equal(await redis.get('short'), next.value);
  await release(next);

  // The scripts are forgotten: EVALSHA, then EVAL.
  await redis.script('FLUSH');
  await release(await mine.acquire(['one'], LEASE_MS));
  equal(await redis.exists('one'), 0);
}

async function quorum() {
  const clients = [0, 1, 2].map((db) => connect(port, { db }));
  const redlock = locker(clients);
  await clients[0].set('q', 'somebody');
  const lock = await redlock.acquire(['q'], LEASE_MS); // two of three
  equal(await clients[1].get('q'), lock.value);
  equal(await clients[0].get('q'), 'somebody');
  await release(lock);
  equal(await clients[2].exists('q'), 0);
  await clients[1].set('q', 'somebody');
  await fails(redlock.acquire(['q'], LEASE_MS), refused); // one of three
  await waitFor('the one is given back', async () => !(await clients[2].exists('q')));
  clients.forEach((client) => client.disconnect());
}

async function using(redis, other) {
  // Extended again and again while the routine runs.
  const lease = 10000;
  const redlock = locker([redis], { automaticExtensionThreshold: lease - 100 });
  const values = new Set();
  let [last, extensions] = [lease, 0];
  await redlock.using(['used'], lease, async () => {
    await waitFor('it is extended three times', async () => {
      values.add(await redis.get('used'));
      const left = await redis.pttl('used');
      if (left > last) extensions++;
      last = left;
      return extensions === 3;
    });
    await fails(locker([other]).acquire(['used'], 1000), refused);
  });
  equal(values.size, 1);
  isTrue(!values.has(null));
  equal(await redis.exists('used'), 0);
}

// --- Contention ----------------------------------------------------------------------------------

async function hold(redlock, redis, directory, resource) {
  let lock = null;
  while (lock === null) {
    lock = await redlock.acquire([resource], LEASE_MS).catch((error) => {
      if (!isRefusal(error)) throw error;
      return null;
    });
  }
  const file = path.join(directory, resource);
  fs.closeSync(fs.openSync(file, 'wx')); // fails when somebody else is here
  const count = Number(await again(() => redis.get(`count:${resource}`)));
  await new Promise((resolve) => setImmediate(resolve));
  await again(() => redis.set(`count:${resource}`, count + 1));
  fs.unlinkSync(file);
  await release(lock).catch(async (error) => {
    // It may be given back already, by an attempt whose answer was lost.
    if (!isRefusal(error)) throw error;
    if ((await again(() => redis.get(resource))) === lock.value) throw error;
  });
}

async function contender(directory, to) {
  const redis = connect(Number(to));
  const redlock = locker([redis], patient);
  const holder = async (name) => {
    for (let i = 0; i < ROUNDS; i++) {
      await hold(redlock, redis, directory, `r${(name + i) % 2}`);
      process.send('held');
    }
  };
  await Promise.all(Array.from({ length: HOLDERS }, (_, name) => holder(name)));
  redis.disconnect();
}

async function contention(redis, inTheMiddle) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-redlock-'));
  let held = 0;
  const children = Array.from({ length: PROCESSES }, (_, i) => another('contender', directory, (i % 2 && otherPort) || port));
  try {
    children.forEach((child) => child.on('message', () => held++));
    const ends = children.map(ended);
    if (inTheMiddle) {
      await waitFor('a third is done', () => held >= (PROCESSES * HOLDERS * ROUNDS) / 3 || children.some((c) => c.exitCode !== null));
      await inTheMiddle();
    }
    equal(await Promise.all(ends), Array(PROCESSES).fill(0));
    equal(fs.readdirSync(directory), []);
  } finally {
    children.forEach((child) => child.kill('SIGKILL'));
    fs.rmSync(directory, { recursive: true });
  }
  equal(held, PROCESSES * HOLDERS * ROUNDS);
  const counts = await redis.mget('count:r0', 'count:r1');
  equal(counts.map(Number), [held / 2, held / 2]);
  equal(await redis.exists('r0', 'r1'), 0);
}

async function overRestart(redis, other) {
  const lock = await locker([redis]).acquire(['kept'], LEASE_MS);
  await restart();
  await fails(locker([other]).acquire(['kept'], LEASE_MS), refused);
  equal(await redis.get('kept'), lock.value);
  await release(lock);
  await release(await locker([other]).acquire(['kept'], LEASE_MS));
}

async function refusals(redis) {
  await ioredisRefusals(Redis);
  if (!withAcl) return;
  const error = await locker([redis]).acquire(['!one'], LEASE_MS).then(() => null, (refusal) => refusal);
  isTrue(isRefusal(error), String(error));
  if (!is5) return;
  const [{ votesAgainst }] = await Promise.all(error.attempts);
  isTrue([...votesAgainst.values()].every((vote) => /NOPERM .* one of the keys/.test(vote.message)));
}

async function main() {
  await flushAll();
  const redis = connect();
  const other = connect(otherPort || port);
  await refusals(redis);
  await single(redis, other);
  await quorum();
  if (is5) await using(redis, other);
  await contention(redis, otherPort ? killLeader : null);
  if (!otherPort) await overRestart(redis, other);
  redis.disconnect();
  other.disconnect();
}

run(words[0] === 'contender' ? () => contender(words[1], words[2]) : main);
