// rate-limiter-flexible: node rate-limiter.js <module> <port>. By ioredis and by node-redis.
'use strict';

const { another, ended, equal, fails, flushAll, ioredisOptions, ioredisRefusals, isTrue, nodeRedisOptions } = require('./common');
const { nodeRedisRefusals, otherPort, port, restart, run, waitFor, withAcl, words } = require('./common');

const Redis = require('ioredis');
const limiters = require(process.argv[2]);
const { BurstyRateLimiter, RateLimiterMemory, RateLimiterQueue, RateLimiterRedis, RateLimiterRes, RateLimiterUnion } = limiters;

const LONG_S = 1000; // no window of a test ends by itself, however slow the machine
const [PROCESSES, ASKED, LIMIT] = [3, 60, 100];

function ioredis(to = port) {
  const redis = new Redis(ioredisOptions(to));
  redis.on('error', () => {}); // it connects again
  return redis;
}

async function nodeRedis() {
  const { createClient } = require('redis'); // not in the processes that only consume
  const client = createClient(nodeRedisOptions(otherPort || port));
  client.on('error', () => {});
  await client.connect();
  return client;
}

// The limiter's refusal; anything else is an error.
async function refused(promise) {
  try {
    await promise;
  } catch (refusal) {
    isTrue(refusal instanceof RateLimiterRes, String(refusal));
    return refusal;
  }
  throw new Error('it was not refused');
}

async function counts(storeClient, more) {
  const limiter = new RateLimiterRedis({ storeClient, points: 5, duration: LONG_S, keyPrefix: 'counts', ...more });
  equal(await limiter.get('user'), null);
  for (let i = 1; i <= 5; i++) {
    const result = await limiter.consume('user');
    equal([result.consumedPoints, result.remainingPoints, result.isFirstInDuration], [i, 5 - i, i === 1]);
    isTrue(result.msBeforeNext > 0 && result.msBeforeNext <= LONG_S * 1000);
  }
  const refusal = await refused(limiter.consume('user'));
  equal([refusal.consumedPoints, refusal.remainingPoints], [6, 0]);
  equal((await limiter.consume('another')).consumedPoints, 1); // each has points of its own
  equal((await limiter.reward('another')).consumedPoints, 0);
  equal((await limiter.penalty('another', 4)).consumedPoints, 4);
  await refused(limiter.consume('another', 2));
  equal((await limiter.get('another')).consumedPoints, 6);
  equal(await limiter.delete('user'), true);
  equal(await limiter.delete('user'), false);
  equal((await limiter.consume('user', 5)).remainingPoints, 0);
  await limiter.block('blocked', LONG_S);
  await refused(limiter.consume('blocked'));
  await limiter.set('set', 4, LONG_S);
  equal((await limiter.consume('set')).remainingPoints, 0);
  await refused(limiter.consume('set'));
  const forEver = new RateLimiterRedis({ storeClient, points: 2, duration: 0, keyPrefix: 'for-ever', ...more });
  equal([(await forEver.consume('x')).msBeforeNext, (await forEver.consume('x')).consumedPoints], [-1, 2]);
  await refused(forEver.consume('x'));

  // Who is refused for long enough is blocked for longer than the window.
  const blocking = { points: 1, duration: 1, blockDuration: LONG_S, keyPrefix: 'blocking' };
  const blocker = new RateLimiterRedis({ storeClient, ...blocking, ...more });
  let last = null;
  while (last === null) last = await blocker.consume('b').then(() => null, (refusal) => refusal);
  isTrue(last.msBeforeNext > 1000);
}

async function windows(storeClient, more) {
  const limiter = new RateLimiterRedis({ storeClient, points: 2, duration: 1, keyPrefix: 'windows', ...more });
  // Three at once are too many, unless a window ended between them; then it's tried again.
  let refusal = null;
  while (refusal === null) {
    for (let i = 0; i < 3; i++) await limiter.consume('w').catch((error) => (refusal = error));
  }
  isTrue(refusal instanceof RateLimiterRes && refusal.msBeforeNext <= 1000, String(refusal));
  await waitFor('the window ends', async () => (await limiter.get('w')) === null);
  equal((await limiter.consume('w')).isFirstInDuration, true);
}

async function combined(storeClient, more) {
  const make = (keyPrefix, points, duration) => new RateLimiterRedis({ storeClient, points, duration, keyPrefix, ...more });
  const union = new RateLimiterUnion(make('per-second', 50, LONG_S), make('per-day', 3, LONG_S));
  for (let i = 0; i < 3; i++) equal((await union.consume('u'))['per-day'].remainingPoints, 2 - i);
  const refusal = await union.consume('u').then(() => null, (error) => error);
  equal(Object.keys(refusal), ['per-day']);

  const bursty = new BurstyRateLimiter(make('steady', 2, LONG_S), make('burst', 3, LONG_S));
  for (let i = 0; i < 5; i++) await bursty.consume('x');
  await refused(bursty.consume('x'));

  const queue = new RateLimiterQueue(make('queue', 2, 1));
  const started = Date.now();
  await Promise.all(Array.from({ length: 5 }, () => queue.removeTokens(1))); // three windows
  isTrue(Date.now() - started >= 1000, 'five tokens, two a second');
}

async function forbidden(storeClient, more) {
  if (!withAcl) return;
  const limiter = new RateLimiterRedis({ storeClient, points: 5, duration: LONG_S, keyPrefix: '!other', ...more });
  await fails(limiter.consume('user'), /NOPERM .* one of the keys/);
}

async function consume(to) {
  const storeClient = ioredis(Number(to));
  const limiter = new RateLimiterRedis({ storeClient, points: LIMIT, duration: LONG_S, keyPrefix: 'shared' });
  const attempts = Array.from({ length: ASKED }, () => limiter.consume('all').then(() => true, (error) => {
    if (!(error instanceof RateLimiterRes)) throw error;
    return false;
  }));
  const granted = (await Promise.all(attempts)).filter(Boolean).length;
  await new Promise((resolve) => process.send({ granted }, resolve));
  storeClient.disconnect();
}

// Of what all processes ask for, exactly the limit is granted.
async function shared(storeClient, more) {
  let granted = 0;
  const children = Array.from({ length: PROCESSES }, (_, i) => another('consume', (i % 2 && otherPort) || port));
  children.forEach((child) => child.on('message', (message) => (granted += message.granted)));
  equal(await Promise.all(children.map(ended)), Array(PROCESSES).fill(0));
  equal(granted, LIMIT);
  const limiter = new RateLimiterRedis({ storeClient, points: LIMIT, duration: LONG_S, keyPrefix: 'shared', ...more });
  equal((await limiter.get('all')).consumedPoints, PROCESSES * ASKED);
}

async function overRestart(storeClient) {
  const insuranceLimiter = new RateLimiterMemory({ points: 1, duration: LONG_S });
  const options = { storeClient, points: 3, duration: LONG_S, keyPrefix: 'kept' };
  const limiter = new RateLimiterRedis(options);
  const before = await limiter.consume('k', 2);
  await restart();
  await waitFor('it is connected', () => storeClient.status === 'ready');
  const after = await limiter.consume('k');
  equal(after.consumedPoints, 3);
  isTrue(after.msBeforeNext <= before.msBeforeNext);
  await refused(limiter.consume('k'));
  // What is insured goes on without any server.
  storeClient.disconnect();
  const insured = new RateLimiterRedis({ ...options, insuranceLimiter, rejectIfRedisNotReady: true });
  equal((await insured.consume('k')).remainingPoints, 0);
  await refused(insured.consume('k'));
}

async function main() {
  const redis = ioredis();
  const client = await nodeRedis();
  await ioredisRefusals(Redis);
  await nodeRedisRefusals(require('redis'));
  for (const [storeClient, more] of [[redis, {}], [client, { useRedisPackage: true }]]) {
    await flushAll();
    await forbidden(storeClient, more);
    await counts(storeClient, more);
    await Promise.all([windows(storeClient, more), combined(storeClient, more)]);
    await shared(storeClient, more);
  }
  await client.close();
  if (!otherPort) await overRestart(redis);
  redis.disconnect();
}

run(words[0] === 'consume' ? () => consume(words[1]) : main);
