// ioredis: node ioredis.js <module> <port>
'use strict';

const { binary, equal, fails, flushAll, ioredisOptions, ioredisRefusals, isTrue, restart, run, waitFor, withAcl, withLocks } = require('./common');

const Redis = require(process.argv[2]);

const options = { ...ioredisOptions(), maxRetriesPerRequest: null };

function connect(more = {}) {
  const redis = new Redis({ ...options, ...more });
  redis.on('error', () => {}); // it connects again
  return redis;
}

async function strings(redis) {
  equal(await redis.ping(), 'PONG');
  equal(await redis.set('key', 'value'), 'OK');
  equal(await redis.get('key'), 'value');
  equal(await redis.get('missing'), null);
  equal(await redis.set('key', 'other', 'NX'), null);
  equal(await redis.set('key', 'new', 'XX', 'GET'), 'value');
  equal(await redis.append('key', 'er'), 5);
  equal(await redis.getrange('key', 0, 1), 'ne');
  equal(await redis.mset({ a: '1', b: '2' }), 'OK');
  equal(await redis.mget('a', 'missing', 'b'), ['1', null, '2']);
  equal(await redis.incrby('a', 41), 42);
  equal(await redis.incrbyfloat('a', 0.5), '42.5');
  equal(await redis.del('a', 'b', 'missing'), 2);
  equal(await redis.set('bytes', binary), 'OK');
  isTrue(binary.equals(await redis.getBuffer('bytes')), 'bytes come back as they were');
  equal(await redis.strlen('bytes'), binary.length);
  equal(await redis.set('ключ 🔑', 'знач 🗝'), 'OK');
  equal(await redis.get('ключ 🔑'), 'знач 🗝');
  const long = 'x'.repeat(3000000);
  equal(await redis.set('long', long), 'OK');
  isTrue((await redis.get('long')) === long, 'three megabytes');
}

async function expiry(redis) {
  equal(await redis.set('e', '1', 'EX', 100), 'OK');
  isTrue((await redis.ttl('e')) > 90);
  equal(await redis.persist('e'), 1);
  equal(await redis.ttl('e'), -1);
  equal(await redis.pexpire('e', 60), 1);
  await waitFor('it expires', async () => (await redis.get('e')) === null);
  equal(await redis.pttl('e'), -2);
}

async function transactions(redis, other) {
  equal(await redis.multi().set('t', '1').incr('t').get('t').exec(), [
    [null, 'OK'],
    [null, 2],
    [null, '2'],
  ]);
  const results = await redis.multi().set('t', 'text').incr('t').exec();
  equal(results[0], [null, 'OK']);
  isTrue(/not an integer/.test(results[1][0].message));
  await fails(redis.multi().set('t').exec(), /EXECABORT/);
  await redis.watch('t');
  await other.set('t', 'theirs');
  equal(await redis.multi().set('t', 'mine').exec(), null);
  equal(await redis.get('t'), 'theirs');
  await redis.watch('t');
  equal(await redis.multi().set('t', 'mine').exec(), [[null, 'OK']]);
}

async function pipelines(redis) {
  const pipeline = redis.pipeline();
  for (let i = 0; i < 2000; i++) pipeline.set(`p:${i}`, i).get(`p:${i}`);
  const results = await pipeline.exec();
  equal(results.length, 4000);
  isTrue(results.every(([error, value], i) => error === null && (i % 2 === 0 ? value === 'OK' : value === String((i - 1) / 2))));
  // Many requests that are not awaited one by one.
  const many = await Promise.all(Array.from({ length: 1000 }, (_, i) => redis.get(`p:${i}`)));
  isTrue(many.every((value, i) => value === String(i)));
}

async function scans(redis) {
  const found = new Set();
  for await (const keys of redis.scanStream({ match: 'p:*', count: 100 })) keys.forEach((key) => found.add(key));
  equal(found.size, 2000);
  equal((await redis.keys('p:199?')).length, 10);
}

async function errors(redis) {
  await fails(redis.incr('key'), /^ERR value is not an integer or out of range$/);
  await fails(redis.call('NOSUCH', 'x'), /unknown command/);
  await fails(redis.call('GET'), /wrong number of arguments/);
  equal(await redis.ping(), 'PONG');
}

async function server(redis) {
  const info = await redis.info();
  isTrue(/^loading:0\r$/m.test(info) && /^redis_version:\d+\.\d+/m.test(info));
  isTrue(Number(await redis.call('CLIENT', 'ID')) > 0);
  isTrue((await redis.call('COMMAND', 'COUNT')) > 50);
  const db3 = connect({ db: 3, connectionName: 'in-three' });
  equal(await db3.set('only here', '1'), 'OK');
  equal(await redis.exists('only here'), 0);
  equal(await db3.client('GETNAME'), 'in-three');
  db3.disconnect();
}

async function pubsub(redis) {
  const listener = connect();
  const heard = [];
  listener.on('message', (channel, message) => heard.push([channel, message]));
  listener.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
  listener.on('smessage', (channel, message) => heard.push(['shard', channel, message]));
  equal(await listener.subscribe('news', 'weather'), 2);
  equal(await listener.psubscribe('w*'), 3);
  equal(await redis.publish('news', 'hello'), 1);
  equal(await redis.publish('weather', 'rain'), 2);
  await waitFor('all are heard', () => heard.length === 3);
  equal(heard, [
    ['news', 'hello'],
    ['weather', 'rain'],
    ['w*', 'weather', 'rain'],
  ]);
  equal(await redis.pubsub('NUMSUB', 'news'), ['news', 1]);
  equal(await listener.ssubscribe('shards'), 1);
  equal(await redis.spublish('shards', 's'), 1);
  await waitFor('the shard message is heard', () => heard.length === 4);
  equal(heard[3], ['shard', 'shards', 's']);
  await listener.unsubscribe('news');
  equal(await redis.publish('news', 'nobody'), 0);
  // It subscribes again by itself when it has lost its connection.
  const id = (await redis.client('LIST', 'TYPE', 'PUBSUB')).match(/id=(\d+)/)[1];
  equal(await redis.client('KILL', 'ID', id), 1);
  await waitFor('it is back', async () => (await redis.publish('weather', 'sun')) === 2);
  await waitFor('it hears again', () => heard.some((m) => m[1] === 'sun'));
  listener.disconnect();
}

async function scripts(redis, other) {
  redis.defineCommand('release', {
    numberOfKeys: 1,
    lua: `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end`,
  });
  equal(await redis.set('lua lock', 'mine', 'PX', 60000, 'NX'), 'OK');
  equal(await other.set('lua lock', 'theirs', 'PX', 60000, 'NX'), null);
  equal(await redis.release('lua lock', 'theirs'), 0);
  // EVALSHA first, EVAL when that is not known.
  await other.script('FLUSH');
  equal(await redis.release('lua lock', 'mine'), 1);
  equal(await redis.eval('return {KEYS[1], ARGV[1], {1, false}}', 1, 'k', 'v'), ['k', 'v', [1, null]]);
  await fails(redis.evalsha('f'.repeat(40), 0), /^NOSCRIPT/);
  await fails(redis.eval('return nosuch', 0), /nonexistent global variable 'nosuch'/);
}

async function locks(redis, other) {
  const token = await redis.call('LOCK', 'lock', 'me', 60000);
  isTrue(Number.isSafeInteger(token) && token > 0);
  equal(await other.call('LOCK', 'lock', 'you', 60000), null);
  const waiting = other.call('LOCK', 'lock', 'you', 60000, 'WAIT', 30000);
  await waitFor('the other one waits', async () => /^blocked_clients:1\r$/m.test(await redis.info('clients')));
  equal(await redis.call('UNLOCK', 'lock', 'me'), 1);
  const next = await waiting;
  isTrue(next > token, 'tokens rise');
  equal(await other.set('guarded', 'x', 'FENCE', next), 'OK');
  await fails(redis.set('guarded', 'y', 'FENCE', token), /^FENCED /);
  equal(await redis.call('SEQNEXT', 'numbers', 'COUNT', 3), [1, 3]);
  const [done, revision] = await redis.call('CAS', 'guarded', 'x', 'z');
  equal(done, 1);
  isTrue(revision > next);
}

async function refusals(redis) {
  await ioredisRefusals(Redis);
  if (!withAcl) return;
  await fails(redis.publish('!news', 'x'), /^NOPERM .* one of the channels used as arguments$/);
  await fails(redis.multi().set('!key', '1').exec(), /^EXECABORT /);
  await fails(redis.eval('return redis.call("SET", "!key", "1")', 0), /can't access at least one of the keys/);
}

async function reconnect(redis) {
  equal(await redis.set('kept', 'over the restart'), 'OK');
  await restart();
  // Without any help: the client connects again by itself and sends what was asked for meanwhile.
  equal(await redis.get('kept'), 'over the restart');
}

run(async () => {
  const redis = connect();
  const other = connect();
  await flushAll();
  await refusals(redis);
  await strings(redis);
  await expiry(redis);
  await transactions(redis, other);
  await pipelines(redis);
  await scans(redis);
  await errors(redis);
  await server(redis);
  await pubsub(redis);
  await scripts(redis, other);
  if (withLocks) await locks(redis, other);
  await reconnect(redis);
  equal(await redis.quit(), 'OK');
  other.disconnect();
});
