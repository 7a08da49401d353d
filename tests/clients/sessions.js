// connect-redis: node sessions.js <module> <port>. Two web servers with express-session, whose
// visitors have a cookie each and meet either server.
'use strict';

const http = require('http');
const { equal, fails, flushAll, isTrue, nodeRedisOptions, nodeRedisRefusals } = require('./common');
const { otherPort, port, restart, run, waitFor, withAcl } = require('./common');

const session = require('express-session');
const redis = require('redis');
const { RedisStore } = require(process.argv[2]);

async function connect(to) {
  const client = redis.createClient(nodeRedisOptions(to));
  client.on('error', () => {}); // it connects again
  await client.connect();
  return client;
}

// What the application does for each path.
const pages = {
  '/count': (request) => {
    request.session.count = (request.session.count || 0) + 1;
    return String(request.session.count);
  },
  '/look': (request) => String(request.session.count),
  '/login': (request) =>
    new Promise((resolve, reject) => {
      request.session.regenerate((error) => {
        if (error) return reject(error);
        request.session.user = 'Zoë 🔑';
        return resolve('welcome');
      });
    }),
  '/user': (request) => String(request.session.user),
  '/short': (request) => {
    request.session.cookie.maxAge = 1000;
    return 'short';
  },
  '/logout': (request) =>
    new Promise((resolve, reject) => {
      request.session.destroy((error) => (error ? reject(error) : resolve('bye')));
    }),
};

async function serve(client) {
  const store = new RedisStore({ client, prefix: 'app:', ttl: 600 });
  const middleware = session({ store, secret: 'a secret', resave: false, saveUninitialized: false });
  const server = http.createServer((request, response) => {
    middleware(request, response, async (error) => {
      try {
        if (error) throw error;
        response.end(await pages[request.url](request));
      } catch (fault) {
        response.statusCode = 500;
        response.end(String(fault));
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, store, at: server.address().port };
}

class Visitor {
  constructor() {
    this.cookie = null;
  }

  async visit({ at }, path) {
    const headers = this.cookie ? { cookie: this.cookie } : {};
    const response = await fetch(`http://127.0.0.1:${at}${path}`, { headers });
    const text = await response.text();
    equal(response.status, 200, text);
    const set = response.headers.get('set-cookie');
    if (set) this.cookie = set.split(';')[0];
    return text;
  }

  // As the store knows it.
  get id() {
    return decodeURIComponent(this.cookie.split('=')[1]).slice(2).split('.')[0];
  }
}

async function visits(one, two, client) {
  const visitor = new Visitor();
  equal(await visitor.visit(one, '/count'), '1');
  equal(await visitor.visit(two, '/count'), '2');
  equal(await visitor.visit(one, '/count'), '3');
  const stranger = new Visitor();
  equal(await stranger.visit(one, '/look'), 'undefined');
  equal(stranger.cookie, null); // nothing to keep, so nothing was kept
  equal(await stranger.visit(one, '/count'), '1');
  equal(await one.store.length(), 2);
  equal((await two.store.ids()).sort(), [visitor.id, stranger.id].sort());
  equal((await one.store.all()).map(({ count }) => count).sort(), [1, 3]);

  // A new name after the login, with the old one gone.
  const before = visitor.id;
  equal(await visitor.visit(two, '/login'), 'welcome');
  isTrue(visitor.id !== before);
  equal(await visitor.visit(one, '/user'), 'Zoë 🔑');
  equal(await client.exists([`app:${before}`, `app:${visitor.id}`]), 1);

  // Each visit makes it last as long as at first.
  await client.expire(`app:${visitor.id}`, 50);
  equal(await visitor.visit(one, '/user'), 'Zoë 🔑');
  const ttl = await client.ttl(`app:${visitor.id}`);
  isTrue(ttl > 500 && ttl <= 600, `${ttl} s`);

  equal(await stranger.visit(two, '/short'), 'short');
  await waitFor('a short one ends', async () => !(await client.exists(`app:${stranger.id}`)));
  equal(await stranger.visit(one, '/look'), 'undefined');
  equal(await visitor.visit(one, '/logout'), 'bye');
  equal(await visitor.visit(two, '/user'), 'undefined');
  equal(await one.store.length(), 0);
}

async function manyVisitors(one, two) {
  const visitors = Array.from({ length: 60 }, () => new Visitor());
  for (const [i, server] of [one, two, two, one].entries()) {
    const replies = await Promise.all(visitors.map((visitor) => visitor.visit(server, '/count')));
    equal(new Set(replies), new Set([String(i + 1)]));
  }
  equal(await two.store.length(), visitors.length);
  return visitors;
}

async function refusals(client) {
  await nodeRedisRefusals(redis);
  if (!withAcl) return;
  const store = new RedisStore({ client, prefix: '!app:' });
  await fails(store.set('id', { cookie: {} }), /NOPERM .* one of the keys/);
  await fails(store.get('id'), /NOPERM .* one of the keys/);
}

run(async () => {
  await flushAll();
  const clients = [await connect(port), await connect(otherPort || port)];
  await refusals(clients[0]);
  const [one, two] = [await serve(clients[0]), await serve(clients[1])];
  await visits(one, two, clients[0]);
  const visitors = await manyVisitors(one, two);
  if (!otherPort) {
    await restart();
    const replies = await Promise.all(visitors.map((visitor, i) => visitor.visit(i % 2 ? one : two, '/count')));
    equal(new Set(replies), new Set(['5']));
  }
  await one.store.clear();
  equal(await two.store.length(), 0);
  equal(await visitors[0].visit(two, '/look'), 'undefined');
  [one, two].forEach(({ server }) => server.close());
  await Promise.all(clients.map((client) => client.close()));
});
