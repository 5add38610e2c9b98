// SPDX-License-Identifier: Apache-2.0
// dockerode.js - the Docker client of Node against a daemon at DOCKER_HOST: prints "ok" lines.
const Docker = require('dockerode');
const { PassThrough } = require('stream');
const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace('unix://', '') });
const ok = (name) => console.log('ok', name);
const text = async (stream) => { let s = ''; for await (const d of stream) s += d; return s; };
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

function demuxed(container, stream) {
  const out = new PassThrough(), err = new PassThrough();
  container.modem.demuxStream(stream, out, err);
  stream.on('end', () => { out.end(); err.end(); });
  return Promise.all([text(out), text(err)]);
}

const followed = (stream) => new Promise((resolve, reject) => {
  docker.modem.followProgress(stream, (e, lines) => (e ? reject(e) : resolve(lines)));
});
const refused = (promise, status, words) => assert.rejects(promise, (e) => e.statusCode === status && words.test(e.message));

/* A build's context is the body in both; with version 2 its session lends nothing but credentials. */
async function builds() {
  const context = fs.mkdtempSync(path.join(os.tmpdir(), 'drode-'));
  fs.writeFileSync(path.join(context, 'Dockerfile'), 'FROM busybox\nARG A=none\nCOPY f /f\nRUN echo $A >/a\n');
  fs.writeFileSync(path.join(context, 'Bad'), 'FROM busybox\nRUN exit 4\n');
  fs.writeFileSync(path.join(context, 'f'), 'file');
  const from = { context, src: ['Dockerfile', 'Bad', 'f'] };
  for (const version of ['1', '2']) {
    const lines = await followed(await docker.buildImage(from, { t: 'drbuilt', version, buildargs: { A: version }, nocache: true }));
    assert(lines.some((l) => l.aux && (version === '1' ? /^sha256:/.test(l.aux.ID) : l.id === 'moby.image.id')));
    const [out, err] = [new PassThrough(), new PassThrough()];
    const shown = text(out);
    const [result, ran] = await docker.run('drbuilt', ['cat', '/f', '/a'], [out, err], { Tty: false });
    out.end();
    assert.equal(result.StatusCode, 0);
    assert.equal(await shown, `file${version}\n`);
    await ran.remove();
    const failed = await followed(await docker.buildImage(from, { dockerfile: 'Bad', version })).catch((e) => [{ error: e.message }]);
    assert(/exit 4.* code: 4$/.test(failed.at(-1).error));
    await docker.getImage('drbuilt').remove();
  }
  fs.rmSync(context, { recursive: true });
  ok('builds');
}

async function rare() {
  const nothing = { filters: { label: ['no-such-label'] } };
  assert.deepEqual(await docker.pruneContainers(nothing), { ContainersDeleted: null, SpaceReclaimed: 0 });
  assert.deepEqual(await docker.pruneImages(nothing), { ImagesDeleted: null, SpaceReclaimed: 0 });
  assert.deepEqual(await docker.pruneNetworks(nothing), { NetworksDeleted: null });
  assert.deepEqual(await docker.pruneVolumes(nothing), { VolumesDeleted: [], SpaceReclaimed: 0 });
  const c = await docker.createContainer({ Image: 'busybox', Tty: true, OpenStdin: true, Cmd: ['cat'] });
  const session = await c.attach({ stream: true, stdin: true, stdout: true, hijack: true, detachKeys: 'ctrl-x' });
  await c.start();
  session.write('\x18');
  await text(session);
  assert((await c.inspect()).State.Running);
  const e = await c.exec({ Cmd: ['stty', 'size'], Tty: true, AttachStdout: true });
  assert.equal(await text(await e.start({ hijack: true, Tty: true, ConsoleSize: [20, 50] })), '20 50\r\n');
  for (const no of [() => c.listCheckpoint(), () => c.createCheckpoint({ CheckpointID: 'x' }), () => c.deleteCheckpoint('x')])
    await refused(no(), 501, /This experimental feature is disabled/);
  await refused(docker.getExec('nope').inspect(), 404, /No such exec instance: nope/);
  await refused(c.getArchive({ path: '/nope' }), 404, /Could not find the file \/nope in container/);
  await c.remove({ force: true });
  ok('prunes, detached by keys, terminals, what is not there');
}

async function main() {
  assert.equal((await docker.ping()).toString(), 'OK');
  assert((await docker.version()).ApiVersion);
  assert((await docker.info()).ServerVersion);
  assert.deepEqual(await docker.listPlugins(), []);
  await assert.rejects(docker.listServices(), (e) => e.statusCode === 503 && /swarm manager/.test(e.message));
  await assert.rejects(docker.getContainer('nope').inspect(), (e) => e.statusCode === 404 && /No such container: nope/.test(e.json.message));
  ok('system');

  const events = await docker.getEvents({ filters: { type: ['container'] } });
  const seen = [];
  events.on('data', (d) => d.toString().trim().split('\n').forEach((l) => seen.push(JSON.parse(l))));

  const out = new PassThrough();
  const collected = text(out);
  const [result, ran] = await docker.run('busybox', ['sh', '-c', 'echo hello; exit 3'], out, { Tty: true });
  assert.equal(result.StatusCode, 3);
  assert.equal(await collected, 'hello\r\n'); // it ends with the stream, which is another than that of wait
  await ran.remove();
  ok('run');

  const c = await docker.createContainer({
    name: 'drode', Image: 'busybox', OpenStdin: true, StdinOnce: true, AttachStdin: true,
    Cmd: ['sh', '-c', 'echo begin; echo bad >&2; cat'], Labels: { a: 'b' }, ExposedPorts: { '80/tcp': {} },
    HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '0' }] }, Memory: 64 * 1024 * 1024 },
  });
  const session = await c.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const both = demuxed(c, session);
  const waiter = c.wait({ condition: 'next-exit' });
  await c.start();
  const info = await c.inspect();
  assert(Number(info.NetworkSettings.Ports['80/tcp'][0].HostPort) > 0);
  session.write('line\n');
  session.end();
  assert.equal((await waiter).StatusCode, 0);
  assert.deepEqual(await both, ['begin\nline\n', 'bad\n']);
  ok('attach with stdin');

  const logs = await c.logs({ stdout: true, stderr: true, timestamps: false });
  assert(logs.toString().includes('begin') && logs.toString().includes('bad'));
  const found = await docker.listContainers({ all: true, filters: { label: ['a=b'], status: ['exited'] } });
  assert.equal(found.length, 1);
  assert.equal(found[0].Names[0], '/drode');
  await c.remove();
  ok('logs and list');

  const s = await docker.createContainer({ name: 'drsleep', Image: 'busybox', Cmd: ['sleep', '1000'] });
  await s.start();
  const exec = await s.exec({ Cmd: ['sh', '-c', 'read x; echo "got $x"; exit 5'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
  const es = await exec.start({ hijack: true, stdin: true });
  const eo = demuxed(s, es);
  es.write('word\n');
  assert.deepEqual(await eo, ['got word\n', '']);
  assert.equal((await exec.inspect()).ExitCode, 5);
  ok('exec');

  const stats = await s.stats({ stream: false });
  assert(stats.memory_stats.usage > 0 && stats.precpu_stats.system_cpu_usage > 0 && stats.networks.eth0);
  const top = await s.top({ ps_args: 'aux' });
  assert(top.Titles.includes('COMMAND') && top.Processes.length === 1);
  await s.pause();
  assert.equal((await s.inspect()).State.Status, 'paused');
  await s.unpause();
  await s.update({ Memory: 128 * 1024 * 1024, MemorySwap: -1 });
  assert.equal((await s.inspect()).HostConfig.Memory, 128 * 1024 * 1024);
  await s.rename({ name: 'drother' });
  await s.resize({ h: 20, w: 40 }).catch(() => {});
  await s.restart({ t: 0 });
  ok('stats, top, pause, update, rename, restart');

  const tar = await s.getArchive({ path: '/etc/passwd' });
  assert((await text(tar)).includes('root:x:0:0'));
  const stat = await s.infoArchive({ path: '/etc' });
  assert(Buffer.from(stat.headers['x-docker-container-path-stat'], 'base64').toString().includes('"name":"etc"'));
  const image = await s.commit({ repo: 'drode', tag: 'x', changes: 'CMD ["true"]' });
  assert(image.Id.startsWith('sha256:'));
  await docker.getImage('drode:x').remove();
  ok('archive and commit');

  const ac = new AbortController();
  const follow = await s.logs({ follow: true, stdout: true, stderr: true, abortSignal: ac.signal });
  follow.on('error', () => {});
  ac.abort();
  await s.kill({ signal: 'SIGKILL' });
  assert.equal((await s.wait()).StatusCode, 137);
  await s.remove({ v: true, force: true });
  ok('kill, wait, remove');

  const net = await docker.createNetwork({ Name: 'drnet', Labels: { k: 'v' } });
  const vol = await docker.createVolume({ Name: 'drvol' });
  const m = await docker.createContainer({
    Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: { NetworkMode: 'drnet', Binds: ['drvol:/data'], AutoRemove: true },
    NetworkingConfig: { EndpointsConfig: { drnet: { Aliases: ['al'] } } },
  });
  await m.start();
  const at = await m.inspect();
  assert.deepEqual(Object.keys(at.NetworkSettings.Networks), ['drnet']);
  assert(at.NetworkSettings.Networks.drnet.Aliases.includes('al'));
  const gone = m.wait({ condition: 'removed' });
  await m.stop({ t: 0 });
  await gone;
  await net.remove();
  await vol.remove();
  ok('networks and volumes');

  await builds();
  await rare();

  await sleep(100);
  events.destroy();
  const actions = seen.filter((e) => e.Actor.Attributes.name === 'drode').map((e) => e.Action);
  assert.deepEqual(actions, ['create', 'attach', 'start', 'die', 'destroy']);
  ok('events');
}

main().catch((e) => { console.log('NOT OK', e); process.exit(1); }).then(() => process.exit(0));
