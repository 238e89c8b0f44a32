// Calls LDLM's door as Node programs do, with @grpc/grpc-js and protobufjs.
//
// Usage: node ldlm.js ADDRESS, where NODE_PATH has both. Prints "ok", or what went wrong.
"use strict";

const assert = require("node:assert");
const grpc = require("@grpc/grpc-js");
const protobuf = require("protobufjs");

const field = (id, type, more = {}) => ({ id, type, ...more });
const presence = { options: { proto3_optional: true } };
const { nested } = protobuf.Root.fromJSON({
  nested: {
    Failure: { fields: { code: field(1, "int32"), message: field(2, "string") } },
    LockRequest: {
      fields: {
        name: field(1, "string"),
        wait_timeout_seconds: field(3, "int32", presence),
        size: field(4, "int32", presence),
        lock_timeout_seconds: field(100, "int32", presence),
      },
    },
    HeldRequest: {
      fields: { name: field(1, "string"), key: field(2, "string"), lock_timeout_seconds: field(100, "int32") },
    },
    LockResponse: {
      fields: {
        locked: field(1, "bool"),
        name: field(2, "string"),
        key: field(3, "string"),
        error: field(4, "Failure"),
      },
    },
    UnlockResponse: {
      fields: { unlocked: field(1, "bool"), name: field(2, "string"), error: field(3, "Failure") },
    },
  },
});
const KINDS = {
  Lock: [nested.LockRequest, nested.LockResponse],
  TryLock: [nested.LockRequest, nested.LockResponse],
  Unlock: [nested.HeldRequest, nested.UnlockResponse],
  Renew: [nested.HeldRequest, nested.LockResponse],
};

class Client {
  constructor(address) {
    // A channel of its own: its connection is its session.
    const options = { "grpc.use_local_subchannel_pool": 1 };
    this.client = new grpc.Client(address, grpc.credentials.createInsecure(), options);
  }

  /** A call under way, and its answer. */
  begin(method, request, options = {}) {
    const [asked, answered] = KINDS[method];
    let call;
    const answer = new Promise((resolve, reject) => {
      call = this.client.makeUnaryRequest(
        `/ldlm.LDLM/${method}`,
        (value) => Buffer.from(asked.encode(asked.create(value)).finish()),
        (bytes) => answered.toObject(answered.decode(bytes), { defaults: true }),
        request,
        new grpc.Metadata(),
        options,
        (error, value) => (error ? reject(error) : resolve(value)),
      );
    });
    answer.catch(() => {});
    return { call, answer };
  }

  asks(method, request) {
    return this.begin(method, request).answer;
  }
}

async function main() {
  const [alice, bob, carol] = Array.from({ length: 3 }, () => new Client(process.argv[2]));
  const taken = await alice.asks("TryLock", { name: "node", lock_timeout_seconds: 60 });
  assert.deepStrictEqual([taken.locked, taken.name, taken.key.length], [true, "node", 36]);
  assert.strictEqual((await bob.asks("TryLock", { name: "node" })).locked, false);
  assert.strictEqual((await bob.asks("Lock", { name: "node", size: 2 })).error.code, 6);
  assert.strictEqual((await bob.asks("Lock", { name: "node", wait_timeout_seconds: 1 })).error.code, 3);
  const renewed = await bob.asks("Renew", { name: "node", key: taken.key, lock_timeout_seconds: 90 });
  assert.strictEqual(renewed.locked, true);

  const given_up = bob.begin("Lock", { name: "node" });
  setTimeout(() => given_up.call.cancel(), 50);
  await assert.rejects(given_up.answer, (error) => error.code === grpc.status.CANCELLED);

  const waiting = bob.asks("Lock", { name: "node" });
  assert.strictEqual((await alice.asks("Unlock", { name: "node", key: "wrong" })).error.code, 2);
  assert.strictEqual((await alice.asks("Unlock", { name: "node", key: taken.key })).unlocked, true);
  assert.notStrictEqual((await waiting).key, taken.key);

  // The end of a connection frees what it held.
  const next = carol.asks("Lock", { name: "node" });
  bob.client.close();
  assert.strictEqual((await next).locked, true);
  alice.client.close();
  carol.client.close();
  console.log("ok");
}

main().catch((error) => {
  console.log("wrong:", error);
  process.exit(1);
});
