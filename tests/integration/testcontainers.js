// SPDX-License-Identifier: Apache-2.0
// testcontainers.js - Testcontainers for Node against a daemon at DOCKER_HOST: prints "ok" lines.
const { GenericContainer, Network, Wait } = require('testcontainers');
const assert = require('assert');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const ok = (name) => console.log('ok', name);
const get = (host, port) => new Promise((resolve, reject) => {
  http.get({ host, port, path: '/index.html' }, (r) => {
    let s = '';
    r.on('data', (d) => { s += d; }).on('end', () => resolve(s));
  }).on('error', reject);
});
const serve = ['sh', '-c', 'mkdir -p /www; echo served >/www/index.html; echo ready; exec httpd -f -p 80 -h /www'];

async function main() {
  // Testcontainers does not let its log streams keep the process alive.
  setInterval(() => {}, 1000);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'drtc-'));
  fs.writeFileSync(path.join(dir, 'from-file'), 'a file');

  const web = await new GenericContainer('busybox')
    .withCommand(serve).withExposedPorts(80).withEnvironment({ A: 'b' }).withLabels({ k: 'v' })
    .withWaitStrategy(Wait.forAll([Wait.forListeningPorts(), Wait.forLogMessage('ready')]))
    .withCopyContentToContainer([{ content: 'some text', target: '/copied' }])
    .withCopyFilesToContainer([{ source: path.join(dir, 'from-file'), target: '/file' }])
    .withTmpFs({ '/tt': 'rw,size=1m' })
    .start();
  assert.equal(await get(web.getHost(), web.getMappedPort(80)), 'served\n');
  ok('a port, waited for by log and port');
  const run = await web.exec(['sh', '-c', 'cat /copied /file; echo; echo $A; mount | grep -c /tt; exit 4']);
  assert.equal(run.exitCode, 4);
  assert.equal(run.output, 'some texta file\nb\n1\n');
  ok('exec and copied files');
  const logs = await web.logs();
  await new Promise((resolve, reject) => {
    logs.on('data', (d) => { if (/ready/.test(d)) resolve(); });
    logs.on('end', () => reject(new Error('the log ended')));
  });
  logs.destroy();
  await web.copyContentToContainer([{ content: 'later', target: '/later' }]);
  const back = await web.copyArchiveFromContainer('/later');
  let tar = '';
  for await (const d of back) tar += d;
  assert(tar.includes('later'));
  await web.restart({ timeout: 0 });
  ok('logs, archive, restart');
  await web.stop({ timeout: 0 });
  ok('stopped and removed');

  const healthy = await new GenericContainer('busybox')
    .withCommand(['sh', '-c', 'sleep 0.5; touch /up; sleep 1000'])
    .withHealthCheck({ test: ['CMD-SHELL', 'test -e /up'], interval: 200, timeout: 1000, retries: 20, startPeriod: 0 })
    .withWaitStrategy(Wait.forHealthCheck()).start();
  ok('health');
  await healthy.stop({ timeout: 0 });

  const once = await new GenericContainer('busybox').withCommand(['echo', 'done'])
    .withWaitStrategy(Wait.forOneShotStartup()).start();
  await once.stop();
  await assert.rejects(new GenericContainer('busybox').withCommand(['sh', '-c', 'exit 3'])
    .withWaitStrategy(Wait.forOneShotStartup()).withStartupTimeout(3000).start());
  ok('one shot');

  const network = await new Network().start();
  const server = await new GenericContainer('busybox').withCommand(serve).withNetwork(network)
    .withNetworkAliases('srv').withWaitStrategy(Wait.forLogMessage('ready')).start();
  const client = await new GenericContainer('busybox').withCommand(['sleep', '1000']).withNetwork(network).start();
  const ip = server.getIpAddress(network.getName());
  const got = await client.exec(['wget', '-qO-', `http://${ip}/index.html`]);
  assert.equal(got.output, 'served\n');
  ok('networks');
  assert.equal((await client.exec(['wget', '-qO-', 'http://srv/index.html'])).output, 'served\n');
  ok('aliases');
  await client.stop({ timeout: 0 });
  await server.stop({ timeout: 0 });
  await network.stop();

  fs.writeFileSync(path.join(dir, 'Dockerfile'), 'FROM busybox\nARG W=none\nCOPY from-file /in-image\nRUN echo "built $W" >/built\nCMD ["sleep", "1000"]\n');
  const image = await GenericContainer.fromDockerfile(dir).withBuildArgs({ W: 'well' }).build();
  const built = await image.start();
  assert.equal((await built.exec(['cat', '/built', '/in-image'])).output, 'built well\na file');
  ok('an image built from a Dockerfile');
  await built.stop({ timeout: 0 });
  fs.rmSync(dir, { recursive: true });
}

main().catch((e) => { console.log('NOT OK', e); process.exit(1); }).then(() => process.exit(0));
