// BullMQ: node bullmq.js <module> <port>. Producers, workers in processes of their own, and whoever
// looks at the queues.
'use strict';

const { again, another, ended, equal, fails, flushAll, ioredisOptions, ioredisRefusals } = require('./common');
const { isTrue, killLeader, otherPort, port, restart, run, waitFor, withAcl, words } = require('./common');

const Redis = require('ioredis');
const { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } = require(process.argv[2]);

const connectionTo = (to) => ({ ...ioredisOptions(to), maxRetriesPerRequest: null });
const connection = connectionTo(port);
const UNCERTAIN = /INDOUBT|TRYAGAIN|CLUSTERDOWN/;

// A worker of this process, while the routine runs; what it was given, in this order.
async function withWorker(name, processor, options, routine) {
  const jobs = [];
  const worker = new Worker(
    name,
    async (job, token) => {
      jobs.push(job);
      return processor(job, token);
    },
    { connection, ...options },
  );
  const errors = [];
  worker.on('error', (error) => errors.push(error.message));
  try {
    await routine(jobs, worker);
  } finally {
    await worker.close();
  }
  equal(errors, []);
}

async function withQueue(name, routine) {
  const queue = new Queue(name, { connection });
  await routine(queue);
  await queue.close();
}

const names = (jobs) => jobs.map((job) => job.name);
const counted = (queue, state, count) => waitFor(`${count} jobs are ${state}`, async () => (await queue.getJobCountByTypes(state)) === count);

// --- Each in a queue of its own --------------------------------------------------------------------

async function order() {
  await withQueue('order', async (queue) => {
    for (let i = 0; i < 30; i++) await queue.add(`n${i}`, { i });
    for (const priority of [5, 1, 3, 1]) await queue.add(`p${priority}`, {}, { priority });
    await queue.add('first', {}, { lifo: true });
    const { waiting, prioritized, active } = await queue.getJobCounts('waiting', 'prioritized', 'active');
    equal([waiting, prioritized, active], [31, 4, 0]);
    const twice = [await queue.add('named', {}, { jobId: 'named' }), await queue.add('named', {}, { jobId: 'named' })];
    equal(twice[0].id, twice[1].id);
    await withWorker('order', async () => {}, { concurrency: 1 }, async (jobs) => {
      await counted(queue, 'completed', 36);
      equal(names(jobs), ['first', ...Array.from({ length: 30 }, (_, i) => `n${i}`), 'named', 'p1', 'p1', 'p3', 'p5']);
    });
  });
}

async function retries() {
  await withQueue('retries', async (queue) => {
    const begun = [];
    const flaky = (job) => {
      begun.push(Date.now());
      if (job.data.unrecoverable) throw new UnrecoverableError('for ever');
      if (job.attemptsMade < job.data.failures) throw new Error(`failure ${job.attemptsMade}`);
      return `attempt ${job.attemptsMade}`;
    };
    await withWorker('retries', async (job) => flaky(job), {}, async () => {
      const backoff = { type: 'exponential', delay: 40 };
      const job = await queue.add('flaky', { failures: 3 }, { attempts: 4, backoff });
      await waitFor('it is done', () => job.isCompleted());
      const done = await queue.getJob(job.id);
      equal([done.returnvalue, done.attemptsMade], ['attempt 3', 4]);
      equal(begun.length, 4);
      [40, 80, 160].forEach((delay, i) => isTrue(begun[i + 1] - begun[i] >= delay - 5, `backoff ${i}: ${begun}`));

      const failing = await queue.add('flaky', { failures: 9 }, { attempts: 2, backoff: 10 });
      await waitFor('it has failed', () => failing.isFailed());
      const failed = await queue.getJob(failing.id);
      equal([failed.failedReason, failed.attemptsMade, failed.stacktrace.length], ['failure 1', 2, 2]);
      await failed.updateData({ failures: 0 });
      await failed.retry();
      await waitFor('it is done at last', () => failed.isCompleted());

      begun.length = 0;
      const fatal = await queue.add('flaky', { unrecoverable: true }, { attempts: 5 });
      await waitFor('it has failed', () => fatal.isFailed());
      equal(begun.length, 1);
    });
  });
}

async function delays() {
  await withQueue('delays', async (queue) => {
    const far = await queue.add('far', {}, { delay: 3600000 });
    await withWorker('delays', async () => {}, {}, async (jobs) => {
      for (const delay of [400, 200, 300]) await queue.add(`d${delay}`, { delay }, { delay });
      await counted(queue, 'completed', 3);
      const due = (job) => job.timestamp + job.data.delay;
      equal(names(jobs), names([...jobs].sort((a, b) => due(a) - due(b))));
      jobs.forEach((job) => isTrue(job.processedOn - job.timestamp >= job.data.delay, `${job.name} came too early`));
      equal(await far.getState(), 'delayed');
      await far.promote();
      await waitFor('it is promoted', () => far.isCompleted());
    });
  });
}

async function flows() {
  const producer = new FlowProducer({ connection });
  const sum = async (job) => {
    const values = Object.values(await job.getChildrenValues());
    return (job.data.value || 0) + values.reduce((a, b) => a + b, 0);
  };
  const leaf = (value) => ({ name: `leaf ${value}`, queueName: 'leaves', data: { value } });
  await withWorker('leaves', sum, { concurrency: 3 }, async () => {
    await withWorker('trees', sum, {}, async (jobs) => {
      const child = { name: 'inner', queueName: 'trees', data: { value: 100 }, children: [leaf(10), leaf(20)] };
      const tree = await producer.add({ name: 'root', queueName: 'trees', children: [leaf(1), leaf(2), child] });
      await waitFor('the root is done', () => tree.job.isCompleted());
      equal(names(jobs), ['inner', 'root']);
      await withQueue('trees', async (queue) => equal((await queue.getJob(tree.job.id)).returnvalue, 133));
    });
  });
  await producer.close();
}

async function schedules() {
  await withQueue('schedules', async (queue) => {
    await withWorker('schedules', async () => {}, {}, async (jobs) => {
      await queue.upsertJobScheduler('tick', { every: 50 }, { name: 'tick', data: { is: 'template' } });
      await waitFor('it has come often', () => jobs.length >= 5);
      equal(await queue.getJobSchedulersCount(), 1);
      equal(await queue.removeJobScheduler('tick'), true);
      equal(await queue.getJobSchedulersCount(), 0);
      equal(new Set(jobs.map((job) => job.id)).size, jobs.length);
      jobs.forEach((job) => equal(job.data, { is: 'template' }));
    });
  });
}

async function limits() {
  await withQueue('limits', async (queue) => {
    const started = Date.now();
    await queue.addBulk(Array.from({ length: 12 }, (_, i) => ({ name: `l${i}`, data: {} })));
    await withWorker('limits', async () => {}, { concurrency: 4, limiter: { max: 5, duration: 200 } }, async () => {
      await counted(queue, 'completed', 12);
      isTrue(Date.now() - started >= 400, 'twelve jobs, five in 200 ms');
    });
    await queue.setGlobalConcurrency(1);
    let [active, most] = [0, 0];
    const watched = async () => {
      most = Math.max(most, ++active);
      await new Promise((resolve) => setImmediate(resolve));
      active--;
    };
    await withWorker('limits', watched, { concurrency: 8 }, async () => {
      await queue.addBulk(Array.from({ length: 20 }, (_, i) => ({ name: `g${i}`, data: {} })));
      await counted(queue, 'completed', 32);
    });
    equal(most, 1);
  });
}

async function upkeep(redis) {
  await withQueue('upkeep', async (queue) => {
    await queue.pause();
    equal(await queue.isPaused(), true);
    const only = { deduplication: { id: 'only' } };
    const [a, b] = [await queue.add('a', {}, only), await queue.add('b', {}, only)];
    equal(a.id, b.id);
    await withWorker('upkeep', async (job) => job.updateProgress(50), {}, async (jobs) => {
      await queue.resume();
      await waitFor('it is done', () => a.isCompleted());
      await queue.addBulk(Array.from({ length: 20 }, () => ({ name: 'kept', data: {}, opts: { removeOnComplete: { count: 5 } } })));
      await waitFor('all were done', () => jobs.length === 21);
      await counted(queue, 'completed', 5);
      equal((await queue.getJobLogs(a.id)).count, 0);
    });
    equal((await queue.getWorkersCount()) >= 0, true);
    equal((await queue.clean(0, 100, 'completed')).length, 5);
    await queue.add('never', {});
    await queue.obliterate({ force: true });
    const left = [];
    for await (const keys of redis.scanStream({ match: 'bull:upkeep:*' })) left.push(...keys);
    equal(left.filter((key) => !key.endsWith(':events')), []);
  });
}

// --- Workers in processes of their own -------------------------------------------------------------

// They say what they are given; one that is asked to hang never finishes it.
async function worker(name, to, lockDuration) {
  const options = { connection: connectionTo(Number(to)), concurrency: 5, lockDuration: Number(lockDuration), stalledInterval: 500 };
  const made = new Worker(
    name,
    async (job) => {
      process.send({ i: job.data.i, hangs: Boolean(job.data.hangs && job.attemptsStarted === 1) });
      if (job.data.hangs && job.attemptsStarted === 1) await new Promise(() => {});
      return job.data.i * 2;
    },
    { ...options, maxStalledCount: 50, runRetryDelay: 50 },
  );
  made.on('error', (error) => process.send({ error: error.message }));
  await new Promise((resolve) => process.once('message', resolve));
  await made.close();
}

async function withWorkers(name, lockDuration, routine) {
  const given = []; // the job of each message
  const errors = [];
  const children = [port, otherPort || port].map((to) => another('worker', name, to, lockDuration));
  const ends = children.map(ended);
  for (const child of children) {
    child.on('message', (message) => (message.error ? errors : given).push({ child, ...message }));
  }
  try {
    await routine(given, children);
    children.filter((child) => child.exitCode === null && child.signalCode === null).forEach((child) => child.send('close'));
    equal([...new Set(await Promise.all(ends))].filter((end) => end !== 'SIGKILL'), [0]);
  } finally {
    children.forEach((child) => child.kill('SIGKILL'));
  }
  return errors.map((each) => each.error);
}

const sorted = (given) => given.map((each) => each.i).sort((a, b) => a - b);
const upTo = (count) => Array.from({ length: count }, (_, i) => i);

async function exactlyOnce() {
  const count = 300;
  await withQueue('once', async (queue) => {
    const events = new QueueEvents('once', { connection });
    [queue, events].forEach((emitter) => emitter.setMaxListeners(0)); // one for each job
    await events.waitUntilReady();
    const finished = [];
    events.on('completed', ({ jobId }) => finished.push(jobId));
    const errors = await withWorkers('once', 60000, async (given) => {
      const jobs = await queue.addBulk(upTo(count).map((i) => ({ name: 'once', data: { i } })));
      const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 60000)));
      equal(results, upTo(count).map((i) => i * 2));
      // What the workers say comes by another way than the results.
      await waitFor('each is heard of', () => finished.length >= count && given.length >= count);
      equal(sorted(given), upTo(count));
      equal(new Set(given.map((each) => each.child)).size, 2);
      equal(new Set(finished).size, count);
    });
    equal(errors, []);
    await events.close();
  });
}

// A worker dies while it works: somebody else does its job.
async function stalled() {
  await withQueue('stalled', async (queue) => {
    await withWorkers('stalled', 2000, async (given) => {
      const job = await queue.add('hangs', { i: 7, hangs: true });
      await waitFor('it hangs', () => given.length === 1);
      equal(given[0].hangs, true);
      given[0].child.kill('SIGKILL');
      await waitFor('the other one has done it', async () => (await job.isCompleted()) && given.length >= 2);
      equal(given.length, 2);
      isTrue(given[0].child !== given[1].child);
      const done = await queue.getJob(job.id);
      equal([done.returnvalue, done.stalledCounter], [14, 1]);
    });
  });
}

// Whatever happens in the middle, each job that was added is done.
async function noneLost(inTheMiddle) {
  const count = 200;
  const added = [];
  await withQueue('none-lost', async (queue) => {
    queue.on('error', () => {});
    const errors = await withWorkers('none-lost', 2000, async (given) => {
      const produce = async () => {
        for (let i = 0; i < count; i++) {
          const options = { jobId: `job-${i}`, attempts: 50, backoff: 20 };
          await again(() => queue.add('none-lost', { i }, options));
          added.push(i);
        }
      };
      const produced = produce();
      await waitFor('a quarter is done', () => given.length >= count / 4);
      await inTheMiddle();
      await produced;
      await waitFor('all are done', async () => (await again(() => queue.getCompletedCount())) === count, 60000);
      await waitFor('all are heard of', () => new Set(sorted(given)).size === count);
      equal([...new Set(sorted(given))], upTo(count));
      equal(await queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed', 'prioritized', 'paused'), 0);
      const jobs = await queue.getCompleted(0, -1);
      equal(jobs.map((job) => [job.data.i, job.returnvalue]).sort((a, b) => a[0] - b[0]), upTo(count).map((i) => [i, i * 2]));
    });
    const expected = otherPort ? UNCERTAIN : /ECONNREFUSED|ECONNRESET|EPIPE|Connection is closed/;
    const ofLocks = /Missing (lock|key)|Lock mismatch|renew lock|not in the active state/; // that ended meanwhile
    equal(errors.filter((error) => !expected.test(error) && !ofLocks.test(error)), []);
  });
}

async function refusals() {
  await ioredisRefusals(Redis);
  if (!withAcl) return;
  const queue = new Queue('other', { connection, prefix: '!bull' });
  queue.on('error', () => {});
  await fails(queue.add('job', {}), /NOPERM .* one of the keys/);
  await queue.close();
}

async function main() {
  await flushAll();
  const redis = new Redis(connection);
  redis.on('error', () => {});
  await refusals();
  await order();
  await retries();
  await delays();
  await flows();
  await schedules();
  await limits();
  await upkeep(redis);
  await exactlyOnce();
  await stalled();
  await noneLost(otherPort ? killLeader : restart);
  redis.disconnect();
}

run(words[0] === 'worker' ? () => worker(...words.slice(1, 4)) : main);
