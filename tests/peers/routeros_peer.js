// Talks to a router in the words of its API's manual, with nothing but a socket; prints what it saw as JSON.
// Usage: node routeros_peer.js PORT NAME PASSWORD
"use strict";

const net = require("node:net");

function encodeLength(length) {
  if (length < 0x80) return Buffer.from([length]);
  if (length < 0x4000) return Buffer.from([(length >> 8) | 0x80, length & 0xff]);
  if (length < 0x200000) return Buffer.from([(length >> 16) | 0xc0, (length >> 8) & 0xff, length & 0xff]);
  const long = Buffer.alloc(4);
  if (length < 0x10000000) {
    long.writeUInt32BE((length | 0xe0000000) >>> 0);
    return long;
  }
  long.writeUInt32BE(length);
  return Buffer.concat([Buffer.from([0xf0]), long]);
}

// How many bytes tell the length that begins with this one, and what of the first byte counts.
function lengthForm(first) {
  if (first < 0x80) return [1, 0x7f];
  if (first < 0xc0) return [2, 0x3f];
  if (first < 0xe0) return [3, 0x1f];
  if (first < 0xf0) return [4, 0x0f];
  if (first < 0xf8) return [5, 0];
  throw new Error(`control byte ${first}`);
}

class Router {
  constructor(socket) {
    this.socket = socket;
    this.data = Buffer.alloc(0);
    this.words = [];
    this.waiting = new Map(); // tag -> { rows, traps, resolve }
    this.nextTag = 1;
    socket.setNoDelay(true);
    socket.on("data", (data) => this.feed(data));
    this.closed = new Promise((resolve) => socket.on("close", resolve));
  }

  feed(data) {
    this.data = Buffer.concat([this.data, data]);
    while (this.data.length > 0) {
      const [size, mask] = lengthForm(this.data[0]);
      if (this.data.length < size) return;
      let length = this.data[0] & mask;
      for (let at = 1; at < size; at += 1) length = length * 256 + this.data[at];
      if (this.data.length < size + length) return;
      const word = this.data.subarray(size, size + length).toString("utf8");
      this.data = this.data.subarray(size + length);
      if (word) {
        this.words.push(word);
      } else if (this.words.length > 0) {
        const sentence = this.words;
        this.words = [];
        this.take(sentence);
      }
    }
  }

  take([reply, ...words]) {
    if (reply === "!fatal") {
      this.fatal = words[0];
      return;
    }
    const row = {};
    let tag = "";
    for (const word of words) {
      if (word.startsWith(".tag=")) tag = word.slice(5);
      else if (word.startsWith("=")) row[word.slice(1, word.indexOf("=", 1))] = word.slice(word.indexOf("=", 1) + 1);
    }
    const asked = this.waiting.get(tag);
    if (reply === "!re") asked.rows.push(row);
    else if (reply === "!trap") asked.traps.push(row);
    else if (reply === "!empty") asked.empty = true;
    else if (reply === "!done") {
      this.waiting.delete(tag);
      asked.resolve({ rows: asked.rows, traps: asked.traps, empty: Boolean(asked.empty), ret: row.ret });
    }
  }

  // Asks, and promises the whole answer; answers of different tags may come in any order.
  ask(path, ...words) {
    const tag = String(this.nextTag++);
    const sentence = [path, ...words, `.tag=${tag}`].map((word) => {
      const raw = Buffer.from(word, "utf8");
      return Buffer.concat([encodeLength(raw.length), raw]);
    });
    this.socket.write(Buffer.concat([...sentence, Buffer.from([0])]));
    return new Promise((resolve) => this.waiting.set(tag, { rows: [], traps: [], resolve }));
  }
}

async function tour(router, name, password) {
  const seen = {};
  seen.wrong = await router.ask("/login", `=name=${name}`, "=password=nonsense");
  seen.login = await router.ask("/login", `=name=${name}`, `=password=${password}`);
  const [identity, resource, nobody, missing] = await Promise.all([
    router.ask("/system/identity/print"),
    router.ask("/system/resource/print", "=.proplist=version,uptime"),
    router.ask("/ip/hotspot/user/print", "?name=nobody"),
    router.ask("/no/such/menu/print"),
  ]);
  Object.assign(seen, { identity, resource, nobody, missing });
  seen.added = await router.ask("/ip/hotspot/user/add", "=name=Ásha", "=password=0712", "=limit-uptime=5400s",
    `=comment=${"ж".repeat(40000)}`);
  seen.twice = await router.ask("/ip/hotspot/user/add", "=name=Ásha");
  const found = await router.ask("/ip/hotspot/user/print", "=.proplist=name,limit-uptime,comment", "?name=Ásha");
  seen.found = { name: found.rows[0].name, limit: found.rows[0]["limit-uptime"], length: found.rows[0].comment.length };
  seen.either = await router.ask("/ip/hotspot/user/print", "=.proplist=name", "?name=Ásha", "?name=default-trial", "?#|");
  seen.count = await router.ask("/ip/hotspot/user/print", "=count-only=");
  seen.set = await router.ask("/ip/hotspot/user/set", `=.id=${seen.added.ret}`, "=disabled=yes");
  seen.off = await router.ask("/ip/hotspot/user/print", "=.proplist=name", "?disabled=true");
  seen.removed = await router.ask("/ip/hotspot/user/remove", `=.id=${seen.added.ret}`);
  seen.again = await router.ask("/ip/hotspot/user/remove", `=.id=${seen.added.ret}`);
  seen.garden = await router.ask("/ip/hotspot/walled-garden/ip/add", "=dst-address=10.5.50.2", "=action=accept");
  seen.service = await router.ask("/ip/service/print", "=.proplist=name,disabled", "?name=telnet");
  seen.me = await router.ask("/user/active/print", "=.proplist=name,via");
  const listening = router.ask("/ip/hotspot/ip-binding/listen");
  await router.ask("/ip/hotspot/ip-binding/add", "=mac-address=02:00:00:00:00:07", "=type=bypassed");
  await new Promise((resolve) => {
    const look = setInterval(() => {
      if ([...router.waiting.values()].some((asked) => asked.rows.length > 0)) {
        clearInterval(look);
        resolve();
      }
    }, 20);
  });
  await router.ask("/cancel");
  const heard = await listening;
  seen.heard = { mac: heard.rows[0]["mac-address"], end: heard.traps };
  router.ask("/quit");
  await router.closed;
  seen.quit = router.fatal;
  return seen;
}

async function main() {
  const [port, name, password] = process.argv.slice(2);
  const socket = net.connect(Number(port), "127.0.0.1");
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  console.log(JSON.stringify(await tour(new Router(socket), name, password)));
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
