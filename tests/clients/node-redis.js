// node-redis: node node-redis.js <module> <port>; RESP2 and, from version 5 on, RESP3.
'use strict';

const { binary, equal, fails, flushAll, isTrue, nodeRedisOptions, nodeRedisRefusals } = require('./common');
const { restart, run, waitFor, withAcl, withLocks } = require('./common');

const redis = require(process.argv[2]);
const version = Number(process.argv[2].split('-').pop());

async function connect(RESP, more = {}) {
  const client = redis.createClient({ ...nodeRedisOptions(), ...(version >= 5 ? { RESP } : {}), ...more });
  client.on('error', () => {}); // it connects again
  await client.connect();
  return client;
}

async function strings(client) {
  equal(await client.ping(), 'PONG');
  equal(await client.set('key', 'value'), 'OK');
  equal(await client.get('key'), 'value');
  equal(await client.get('missing'), null);
  equal(await client.set('key', 'other', { NX: true }), null);
  equal(await client.set('key', 'new', { XX: true, GET: true }), 'value');
  equal(await client.append('key', 'er'), 5);
  equal(await client.getRange('key', 0, 1), 'ne');
  equal(await client.mSet({ a: '1', b: '2' }), 'OK');
  equal(await client.mGet(['a', 'missing', 'b']), ['1', null, '2']);
  equal(await client.incrBy('a', 41), 42);
  equal(await client.incrByFloat('a', 0.5), '42.5');
  equal(await client.del(['a', 'b', 'missing']), 2);
  equal(await client.set('ключ 🔑', 'знач 🗝'), 'OK');
  equal(await client.get('ключ 🔑'), 'знач 🗝');
  equal(await client.set('bytes', binary), 'OK');
  const bytes =
    version >= 5
      ? await client.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer }).get('bytes')
      : await client.get(redis.commandOptions({ returnBuffers: true }), 'bytes');
  isTrue(binary.equals(bytes), 'bytes come back as they were');
  const long = 'x'.repeat(3000000);
  equal(await client.set('long', long), 'OK');
  isTrue((await client.get('long')) === long, 'three megabytes');
}

async function expiry(client) {
  equal(await client.set('e', '1', { EX: 100 }), 'OK');
  isTrue((await client.ttl('e')) > 90);
  isTrue(Boolean(await client.persist('e')));
  equal(await client.ttl('e'), -1);
  isTrue(Boolean(await client.pExpire('e', 60)));
  await waitFor('it expires', async () => (await client.get('e')) === null);
  equal(await client.pTTL('e'), -2);
}

async function transactions(client, other) {
  equal(await client.multi().set('t', '1').incr('t').get('t').exec(), ['OK', 2, '2']);
  await client.watch('t');
  await other.set('t', 'theirs');
  let conflict = null;
  try {
    await client.multi().set('t', 'mine').exec();
  } catch (error) {
    conflict = error;
  }
  isTrue(conflict instanceof redis.WatchError, `a WatchError, not ${conflict}`);
  equal(await client.get('t'), 'theirs');
  await client.watch('t');
  equal(await client.multi().set('t', 'mine').exec(), ['OK']);
}

async function pipelines(client) {
  const sets = await Promise.all(Array.from({ length: 2000 }, (_, i) => client.set(`p:${i}`, String(i))));
  isTrue(sets.every((reply) => reply === 'OK'));
  const gets = await Promise.all(Array.from({ length: 2000 }, (_, i) => client.get(`p:${i}`)));
  isTrue(gets.every((reply, i) => reply === String(i)));
}

async function scans(client) {
  const found = new Set();
  for await (const item of client.scanIterator({ MATCH: 'p:*', COUNT: 100 })) [item].flat().forEach((key) => found.add(key));
  equal(found.size, 2000);
  equal((await client.keys('p:199?')).length, 10);
}

async function errors(client) {
  await fails(client.incr('key'), /^ERR value is not an integer or out of range$/);
  await fails(client.sendCommand(['NOSUCH', 'x']), /unknown command/);
  await fails(client.sendCommand(['GET']), /wrong number of arguments/);
  equal(await client.ping(), 'PONG');
}

async function server(client, RESP) {
  isTrue(/^redis_version:\d+\.\d+/m.test(await client.info()));
  const list = String(await client.sendCommand(['CLIENT', 'LIST']));
  isTrue(version < 5 || list.includes(` resp=${RESP}`), `a connection of protocol ${RESP}: ${list}`);
  const named = await connect(RESP, { database: 3, name: 'in-three' });
  equal(await named.set('only here', '1'), 'OK');
  equal(await client.exists('only here'), 0);
  equal(await named.sendCommand(['CLIENT', 'GETNAME']), 'in-three');
  await (version >= 5 ? named.close() : named.quit());
}

async function pubsub(client, RESP) {
  const listener = await connect(RESP);
  const heard = [];
  const hear = (message, channel) => heard.push([channel, message]);
  await listener.subscribe(['news', 'weather'], hear);
  await listener.pSubscribe('w*', hear);
  equal(await client.publish('news', 'hello'), 1);
  equal(await client.publish('weather', 'rain'), 2);
  await waitFor('all are heard', () => heard.length === 3);
  equal(heard, [
    ['news', 'hello'],
    ['weather', 'rain'],
    ['weather', 'rain'],
  ]);
  // In RESP3 the connection is good for everything else, too.
  if (RESP === 3) equal(await listener.ping(), 'PONG');
  // By name: without one, versions 4 and 5 wait in vain for Redis's answer, too.
  await listener.unsubscribe('news');
  await listener.pUnsubscribe('w*');
  equal(await client.publish('news', 'nobody'), 0);
  equal(await client.publish('weather', 'sun'), 1);
  await waitFor('the last one is heard', () => heard.length === 4);
  await listener.unsubscribe('weather');
  await (version >= 5 ? listener.close() : listener.quit());
}

async function locks(client, other) {
  const token = await client.sendCommand(['LOCK', 'lock', 'me', '60000']);
  isTrue(Number.isSafeInteger(token) && token > 0);
  equal(await other.sendCommand(['LOCK', 'lock', 'you', '60000']), null);
  const waiting = other.sendCommand(['LOCK', 'lock', 'you', '60000', 'WAIT', '30000']);
  await waitFor('the other one waits', async () => /^blocked_clients:1\r$/m.test(await client.info('clients')));
  equal(await client.sendCommand(['UNLOCK', 'lock', 'me']), 1);
  const next = await waiting;
  isTrue(next > token, 'tokens rise');
  equal(await other.sendCommand(['SET', 'guarded', 'x', 'FENCE', String(next)]), 'OK');
  await fails(client.sendCommand(['SET', 'guarded', 'y', 'FENCE', String(token)]), /^FENCED /);
  equal(await client.sendCommand(['SEQNEXT', 'numbers', 'COUNT', '3']), [1, 3]);
}

// The library's own cache, which believes what it is told.
async function cached(other) {
  const cache = new redis.BasicClientSideCache({ ttl: 0, maxEntries: 100, evictPolicy: 'LRU' });
  const client = await connect(3, { clientSideCache: cache });
  const becomes = (what, read, value) => waitFor(what, async () => JSON.stringify(await read()) === JSON.stringify(value));
  await other.set('cached', '1');
  await other.hSet('cached hash', { f: '1' });
  for (let i = 0; i < 3; i += 1) {
    equal(await client.get('cached'), '1');
    equal(await client.hGet('cached hash', 'f'), '1');
  }
  equal([cache.stats().missCount, cache.stats().hitCount], [2, 4]);
  await other.set('cached', '2');
  await other.hSet('cached hash', 'f', '2');
  await becomes('it is told', () => client.get('cached'), '2');
  await becomes('it is told', () => client.hGet('cached hash', 'f'), '2');
  // What it writes itself, what expires, and everything at once.
  await client.set('cached', '3');
  await becomes('its own change', () => client.get('cached'), '3');
  await other.pExpire('cached', 30);
  await becomes('it expires', () => client.get('cached'), null);
  await flushAll();
  await becomes('nothing is left', () => client.hGet('cached hash', 'f'), null);
  await client.close();
}

async function refusals(client, RESP) {
  await nodeRedisRefusals(redis, version >= 5 ? { RESP } : {});
  if (!withAcl) return;
  await fails(client.publish('!news', 'x'), /^NOPERM .* one of the channels used as arguments$/);
  await fails(client.eval('return redis.call("SET", "!key", "1")'), /can't access at least one of the keys/);
}

async function reconnect(client) {
  equal(await client.set('kept', 'over the restart'), 'OK');
  await restart();
  await waitFor('it is connected again', async () => {
    try {
      return (await client.get('kept')) === 'over the restart';
    } catch (error) {
      return false; // the socket closed under the request
    }
  });
  equal(await client.get('kept'), 'over the restart');
}

run(async () => {
  for (const RESP of version >= 5 ? [2, 3] : [2]) {
    const client = await connect(RESP);
    const other = await connect(RESP);
    await flushAll();
    await refusals(client, RESP);
    await strings(client);
    await expiry(client);
    await transactions(client, other);
    await pipelines(client);
    await scans(client);
    await errors(client);
    await server(client, RESP);
    await pubsub(client, RESP);
    if (RESP === 3) await cached(other);
    if (withLocks) await locks(client, other);
    await reconnect(client);
    for (const each of [client, other]) await (version >= 5 ? each.close() : each.quit());
  }
});
