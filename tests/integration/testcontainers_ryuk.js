// SPDX-License-Identifier: Apache-2.0
// testcontainers_ryuk.js - Testcontainers with its reaper on (image RYUK_CONTAINER_IMAGE), against a daemon at
// DOCKER_HOST: prints "ok" lines, and ends without removing what it names in "left" lines.
const { GenericContainer, Network, Wait } = require('testcontainers');
const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const ok = (name) => console.log('ok', name);
const serve = ['sh', '-c', 'mkdir -p /www; echo served >/www/index.html; exec httpd -f -p 80 -h /www'];
const sleeper = () => new GenericContainer('busybox').withCommand(['sleep', '1000']);

async function waits() {
  const web = await new GenericContainer('busybox').withCommand(serve).withExposedPorts(80)
    .withWaitStrategy(Wait.forAll([
      Wait.forHttp('/index.html', 80).forStatusCode(200).forResponsePredicate((b) => b === 'served\n'),
      Wait.forSuccessfulCommand('test -e /www/index.html')])).start();
  assert(web.getMappedPort(80) > 0);
  await web.stop({ timeout: 0 });
  await assert.rejects(sleeper().withWaitStrategy(Wait.forLogMessage('never')).withStartupTimeout(300).start(), /never/);
  ok('waits by HTTP and by command, and one that is never fulfilled');
}

async function settings() {
  const c = await sleeper().withUser('1000:1000').withWorkingDir('/tmp').withAddedCapabilities('NET_ADMIN')
    .withDroppedCapabilities('MKNOD').withUlimits({ nofile: { soft: 1000, hard: 2000 } })
    .withResourcesQuota({ memory: 0.25, cpu: 0.5 }).withSharedMemorySize(1 << 20).withIpcMode('private')
    .withExtraHosts([{ host: 'foo', ipAddress: '10.1.1.1' }]).withPlatform('linux/amd64').withDefaultLogDriver().start();
  const seen = await c.exec(['sh', '-c', 'id -u; pwd; ulimit -n; grep -c foo /etc/hosts']);
  assert.equal(seen.output, '1000\n/tmp\n1000\n1\n');
  assert.equal((await c.exec('id -u', { user: 'root' })).output, '0\n');
  const none = await c.exec(['nosuch']);
  assert.equal(none.exitCode, 127);
  assert(/"nosuch": executable file not found in \$PATH\r\n$/.test(none.output));
  await c.stop({ timeout: 0 });
  const mighty = await sleeper().withPrivilegedMode().start();
  assert.equal((await mighty.exec(['sh', '-c', 'mkdir /m; mount -t tmpfs x /m && echo mounted'])).output, 'mounted\n');
  await mighty.stop({ timeout: 0 });
  ok('settings of a container');
}

async function copies(dir) {
  fs.mkdirSync(path.join(dir, 'd/e'), { recursive: true });
  fs.writeFileSync(path.join(dir, 'd/e/f'), 'deep');
  execFileSync('tar', ['-cf', path.join(dir, 'x.tar'), '-C', path.join(dir, 'd'), 'e']);
  const c = await sleeper().withCopyDirectoriesToContainer([{ source: path.join(dir, 'd'), target: '/dd' }])
    .withCopyContentToContainer([{ content: 'text', target: '/c', mode: 0o600 }])
    .withCopyArchivesToContainer([{ tar: fs.createReadStream(path.join(dir, 'x.tar')), target: '/tmp' }])
    .withBindMounts([{ source: dir, target: '/bound', mode: 'ro' }]).start();
  const seen = await c.exec(['sh', '-c', 'stat -c %a /c; cat /dd/e/f /tmp/e/f /bound/d/e/f; touch /bound/x 2>/dev/null || echo -n " read-only"']);
  assert.equal(seen.output, '600\ndeepdeepdeep read-only');
  await assert.rejects(c.copyArchiveFromContainer('/nosuch'));
  await c.stop({ timeout: 0 });
  ok('folders, archives and bind mounts');
}

async function builds(dir, buildkit) {
  fs.writeFileSync(path.join(dir, '.dockerignore'), 'ignored\n');
  fs.writeFileSync(path.join(dir, 'ignored'), '');
  fs.writeFileSync(path.join(dir, 'Other'), 'FROM busybox AS one\nARG W=none\nCOPY . /c\nRUN echo "$W $(ls /c)" >/built\n' +
    'FROM one AS two\nRUN echo two >/two\nFROM one AS three\nRUN exit 4\n');
  const builder = (target) => {
    const b = GenericContainer.fromDockerfile(dir, 'Other').withBuildArgs({ W: 'well' }).withTarget(target).withPlatform('linux/amd64');
    return buildkit ? b.withBuildkit() : b;
  };
  const c = await (await builder('two').withCache(false).build()).withCommand(['sleep', '1000']).start();
  assert.equal((await c.exec(['cat', '/built', '/two'])).output, 'well Other\ntwo\n');
  await c.stop({ timeout: 0 });
  await assert.rejects(builder('three').build(), /Failed to build image/);
  ok(`a build ${buildkit ? 'with' : 'without'} BuildKit`);
}

async function main() {
  // Testcontainers does not let its log streams keep the process alive.
  setInterval(() => {}, 1000);
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'drtc-'));
  await waits();
  await settings();
  await copies(dir);
  for (const buildkit of [false, true]) {
    const context = path.join(dir, `context-${buildkit}`);
    fs.mkdirSync(context);
    await builds(context, buildkit);
  }
  fs.rmSync(dir, { recursive: true });
  const network = await new Network().start();
  const c = await sleeper().withNetwork(network).start();
  const again = [await sleeper().withReuse().start(), await sleeper().withReuse().start()];
  assert.equal(again[0].getId(), again[1].getId());
  await again[0].stop({ timeout: 0 });
  ok('reuse');
  console.log('left', c.getId(), network.getId());
}

main().catch((e) => { console.log('NOT OK', e); process.exit(1); }).then(() => process.exit(0));
