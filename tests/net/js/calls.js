// Calls the engine's test server as Node programs do, with @grpc/grpc-js and messages that are plain bytes.
//
// Usage: node calls.js ADDRESS, where NODE_PATH has @grpc/grpc-js. Prints "ok", or what went wrong.
"use strict";

const assert = require("node:assert");
const grpc = require("@grpc/grpc-js");

const LARGEST = 4 << 20;
const same = (bytes) => bytes;

const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 2 * LARGEST,
});

/** A call under way, its answer and its trailers. */
function begin(method, message = Buffer.alloc(0), metadata = new grpc.Metadata(), options = {}) {
  let call;
  const answer = new Promise((resolve, reject) => {
    const trailers = {};
    call = client.makeUnaryRequest(
      `/test.Echo/${method}`, same, same, message, metadata, options,
      (error, value) => (error ? reject(error) : setImmediate(() => resolve({ value, ...trailers }))),
    );
    call.on("status", (status) => Object.assign(trailers, { trailers: status.metadata }));
  });
  answer.catch(() => {});
  return { call, answer };
}

const call = async (...words) => (await begin(...words).answer).value;
const fails = (code, promise) => assert.rejects(promise, (error) => error.code === code);
const waiting = async () => String(await call("Waiting")).split(" ").map(Number);

async function until(fact) {
  while (!(await fact())) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function echoes(atOnce, calls) {
  const work = async (worker) => {
    for (let number = 0; number < calls / atOnce; number++) {
      const message = Buffer.alloc((number % 50) * 20, worker);
      const options = { deadline: Date.now() + 60000 };
      assert.deepEqual(await call("Echo", message, new grpc.Metadata(), options), message);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, worker) => work(worker)));
}

async function waits(count) {
  const calls = Array.from({ length: count }, (_, number) => call("Wait", Buffer.from(String(number))));
  await until(async () => (await waiting())[0] === count);
  assert.equal(String(await call("Free")), String(count));
  (await Promise.all(calls)).forEach((answer, number) => assert.equal(String(answer), String(number)));
}

async function givesUp() {
  const before = (await waiting())[1];
  const { call: waits, answer } = begin("Wait");
  await until(async () => (await waiting())[0] === 1);
  waits.cancel();
  await fails(grpc.status.CANCELLED, answer);
  const options = { deadline: Date.now() + 20 };
  await fails(grpc.status.DEADLINE_EXCEEDED, call("Wait", Buffer.alloc(0), new grpc.Metadata(), options));
  await until(async () => (await waiting())[1] === before + 2);
}

async function main() {
  for (const atOnce of [1, 8, 50]) await echoes(atOnce, 400);
  await waits(150);
  await givesUp();
  for (const size of [0, 1, 16384, 65536, LARGEST]) {
    const message = Buffer.alloc(size, 7);
    assert.ok(message.equals(await call("Echo", message)), `a message of ${size} bytes`);
  }
  const message = Buffer.alloc(LARGEST, 7);
  const many = await Promise.all(Array.from({ length: 50 }, () => call("Echo", message)));
  assert.ok(many.every((answer) => message.equals(answer)), "one of many messages of 4 MiB");
  await fails(grpc.status.RESOURCE_EXHAUSTED, call("Echo", Buffer.alloc(LARGEST + 1)));
  await fails(grpc.status.PERMISSION_DENIED, call("Refuse", Buffer.from("no")));
  await fails(grpc.status.UNIMPLEMENTED, call("Nope"));
  const metadata = new grpc.Metadata();
  metadata.set("want", "7");
  metadata.set("want-bin", Buffer.from([0, 255]));
  const { trailers } = await begin("Trailers", Buffer.alloc(0), metadata).answer;
  assert.deepEqual(trailers.get("want"), ["7"]);
  assert.deepEqual(trailers.get("want-bin"), [Buffer.from([0, 255])]);
  client.close();
  console.log("ok");
}

main().catch((error) => {
  console.log("wrong:", error);
  process.exit(1);
});
