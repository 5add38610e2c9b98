// SPDX-License-Identifier: Apache-2.0
// dashboard_run.js PAGE.js SOCKET - runs the dashboard's script on a document of almost nothing, against
// a daemon's socket, and prints the text that each part of the page shows after the first refresh.
"use strict";
const fs = require("fs"), http = require("http"), vm = require("vm");
const [script, socket] = process.argv.slice(2);

class Node {
  constructor() { this.children = []; this.own = ""; }
  set textContent(t) { this.own = String(t); this.children = []; }
  get textContent() { return this.own + this.children.map(c => c.textContent).join(" "); }
  append(...c) { this.children.push(...c); }
  prepend(...c) { this.children.unshift(...c); }
  replaceChildren(...c) { this.children = c; }
  get firstChild() { return this.children[0]; }
  get lastChild() { const me = this; return {remove() { me.children.pop(); }}; }
  get childElementCount() { return this.children.length; }
}

const ids = {};
const document = {
  hidden: false,
  getElementById: id => ids[id] = ids[id] || new Node(),
  createElement: () => new Node(),
};

function get(path) {
  return new Promise((done, fail) => http.get({socketPath: socket, path}, r => {
    let text = "";
    r.on("data", d => text += d);
    r.on("end", () => done({ok: r.statusCode === 200, status: r.statusCode, json: async () => JSON.parse(text)}));
  }).on("error", fail));
}

const fetch = path => path.endsWith("/events") ? new Promise(() => {}) : get(path.replace("../..", ""));
function finish() {
  for (const id in ids) console.log(id + ": " + ids[id].textContent);
  process.exit(0);
}
// The page sets its timer once all is shown.
vm.runInNewContext(fs.readFileSync(script, "utf8"), {document, fetch, console, Map, Set, setTimeout: finish});
