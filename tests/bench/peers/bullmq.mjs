// BullMQ on Redis, the peer of the control plane.
//   node bullmq.mjs work PORT PROGRESS        a worker with 100 jobs at a time; says "ready", then a line per 1,000 ended
//   node bullmq.mjs submit PORT JOBS          adds them in bulk; prints when it began (ms since the epoch)
//   node bullmq.mjs naps PORT '{"workers": N, "lengths_ms": […]}'   workers with one job at a time, which sleep; prints
//                                             the milliseconds from the first job's addition to the last one's end
//   node bullmq.mjs trips PORT JOBS           one job at a time, added -> finished; prints the milliseconds of each
import Redis from 'ioredis';
import { Queue, QueueEvents, Worker } from 'bullmq';

const CONCURRENCY = 100;
const BULK = 1000;
const [mode, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
// Connections are made here: BullMQ 6 finds no client of its own in a module.
const options = () => ({ connection: new Redis(port, '127.0.0.1', { maxRetriesPerRequest: null }) });

async function work() {
  let ended = 0;
  const process_ = async (job) => {
    for (let n = 1; n <= count; n++) await job.updateProgress(n * (100 / count));
  };
  const worker = new Worker('bench', process_, { ...options(), concurrency: CONCURRENCY });
  worker.on('completed', () => {
    ended += 1;
    if (ended % BULK === 0) console.log(JSON.stringify({ ended, at: Date.now() }));
  });
  await worker.waitUntilReady();
  console.log('ready');
}

async function submit() {
  const queue = new Queue('bench', options());
  await queue.waitUntilReady();
  const began = Date.now();
  for (let n = 0; n < count; n += BULK) {
    const jobs = Array.from({ length: Math.min(BULK, count - n) }, (_, k) => ({ name: 'noop', data: { n: n + k } }));
    await queue.addBulk(jobs);
  }
  console.log(began);
  await queue.close();
}

async function naps() {
  const { workers, lengths_ms } = JSON.parse(process.argv[4]);
  const queue = new Queue('bench', options());
  let left = lengths_ms.length;
  const ended = new Promise((resolve) => {
    const nap = (job) => new Promise((wake) => setTimeout(wake, job.data.ms));
    for (let n = 0; n < workers; n++) {
      const worker = new Worker('bench', nap, { ...options(), concurrency: 1 });
      worker.on('completed', () => --left || resolve(Date.now()));
    }
  });
  await queue.waitUntilReady();
  await new Promise((ready) => setTimeout(ready, 1000)); // the workers wait for jobs by then
  const began = Date.now();
  await queue.addBulk(lengths_ms.map((ms) => ({ name: 'nap', data: { ms } })));
  console.log((await ended) - began);
}

async function trips() {
  const queue = new Queue('bench', options());
  const events = new QueueEvents('bench', options());
  await events.waitUntilReady();
  const took = [];
  for (let n = 0; n < count; n++) {
    const began = performance.now();
    const job = await queue.add('noop', { n });
    await job.waitUntilFinished(events);
    took.push(performance.now() - began);
  }
  console.log(JSON.stringify(took));
  await events.close();
  await queue.close();
}

await { work, submit, naps, trips }[mode]();
if (mode !== 'work') process.exit(0); // our connections would keep it
