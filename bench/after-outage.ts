/**
 * 100,000 clients that come back after an outage of an hour, under virtual time, with the worker's own breaker and waits: how many
 * requests the server sees in each second. `npm run bench:after-outage -- --clients 100000 --kind network`
 */
import { parseArgs } from "node:util";
import { Breaker } from "../sw/model/breaker.ts";
import { seededRandom } from "../test/support/seeded-random.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "100000" },
    /** `network`: nobody answers. `transient`: a load balancer answers 503. */
    kind: { type: "string", default: "network" },
    seed: { type: "string", default: "1" },
  },
});
const clients = Number(values.clients);
const kind = values.kind === "transient" ? "transient" : "network";
const random = seededRandom(Number(values.seed));

const OUTAGE_MS = 3_600_000;
const END_MS = 4 * OUTAGE_MS;
/** Each client adds an upload so often; each upload is two requests (begin, which signs, and complete). */
const EVERY_MS = 600_000;
const REQUESTS = 2;
/** A request that is answered. */
const ANSWER_MS = 100;

const seen = new Uint32Array(END_MS / 1_000);
const see = (at: number) => {
  const second = Math.floor(at / 1_000);
  if (second < seen.length) seen[second] = (seen[second] ?? 0) + 1;
};

let lastThroughMs = 0;
for (let client = 0; client < clients; client++) {
  const breaker = new Breaker();
  const firstAt = random() * EVERY_MS;
  // Nothing is asked before the first upload; from then on one probe at a time.
  let now = firstAt;
  while (now < OUTAGE_MS) {
    breaker.enter(now);
    see(now);
    breaker.failed(now, now, random(), { kind });
    now += Math.max(1, breaker.waitMs(now));
  }
  // The probe that gets through is the first request of the first upload; the others follow one another, as the
  // window of a worker lets them.
  breaker.enter(now);
  const waiting = Math.ceil((now - firstAt) / EVERY_MS);
  for (let request = 0; request < waiting * REQUESTS; request++) see(now + request * ANSWER_MS);
  breaker.succeeded();
  lastThroughMs = Math.max(lastThroughMs, now + waiting * REQUESTS * ANSWER_MS - OUTAGE_MS);
  for (let at = firstAt + waiting * EVERY_MS; at < END_MS; at += EVERY_MS)
    for (let request = 0; request < REQUESTS; request++) see(at + request * ANSWER_MS);
}

const steady = (clients / EVERY_MS) * REQUESTS * 1_000;
const outage = seen.subarray(0, OUTAGE_MS / 1_000);
const after = seen.subarray(OUTAGE_MS / 1_000);
const most = (counts: Uint32Array) => counts.reduce((a, b) => Math.max(a, b), 0);
const mean = (counts: Uint32Array) => counts.reduce((a, b) => a + b, 0) / counts.length;
const line = (name: string, value: number) =>
  console.log(`${name.padEnd(52)}${value.toLocaleString("en", { maximumFractionDigits: 1 }).padStart(12)}`);
line("steady load, requests a second", steady);
line("in the outage: the most in a second", most(outage));
line("in the outage: the mean of its last half hour", mean(outage.subarray(1_800)));
line("afterwards: the most in a second", most(after));
line("afterwards: the most in a second, times steady", most(after) / steady);
line("the last client is through after, seconds", lastThroughMs / 1_000);
