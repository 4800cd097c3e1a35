/**
 * What `deploy/` says agrees with itself and with the broker: one grace period wherever it is written, variables that
 * exist, values that the broker takes, a process that gets its signals and is not root.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config-loader.ts';
import { parseMs } from '../../src/config-quantity.ts';
import { dockerStages, unitValues } from './container-file.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const packageFile = z
  .object({ bin: z.object({ sluice: z.string() }), version: z.string(), engines: z.object({ node: z.string() }) })
  .parse(JSON.parse(read('package.json')));

/** The settings that the broker makes of these variables; a variable that it does not know is an error. */
function configOf(environment: Readonly<Record<string, string>>, argv: readonly string[] = []): Config {
  const readFile = (): string => {
    throw new Error('no file is named');
  };
  return loadConfig({ argv, environment, readFile }).config;
}

const exec = z.array(z.string()).nonempty();
const image = dockerStages(read('deploy/Dockerfile'));
const build = image[0] ?? [];
const final = image.at(-1) ?? [];

function only(name: string): string {
  const found = final.filter((instruction) => instruction.name === name);
  expect(found, name).toHaveLength(1);
  return found[0]?.text ?? '';
}

function imageEnvironment(): Record<string, string> {
  const pairs = only('ENV').split(/\s+/);
  return Object.fromEntries(pairs.map((pair) => pair.split('=') as [string, string]));
}

describe('deploy/Dockerfile', () => {
  it('builds in one stage and runs from another, both of the same Node', () => {
    expect(image).toHaveLength(2);
    expect(build[0]?.text).toBe('node:22-slim AS build');
    expect(final[0]?.text).toBe('node:22-slim');
  });

  it('runs no install script and leaves what only the build needs behind', () => {
    const runs = build.filter(({ name }) => name === 'RUN').map(({ text }) => text);
    expect(runs).toContain('npm ci --ignore-scripts');
    expect(runs.join('\n')).toContain('npm prune --omit=dev');
  });

  it('is sent every file that it copies', () => {
    const sent = read('deploy/Dockerfile.dockerignore').split('\n');
    const copied = build.filter(({ name }) => name === 'COPY').flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
    expect(copied.length).toBeGreaterThan(3);
    for (const name of copied) expect(sent).toContain(`!${name.replace(/^\.\//, '')}`);
    for (const name of copied) expect(() => read(name)).not.toThrow(/ENOENT/);
  });

  it('starts the command of the package under an init, without a shell', () => {
    const entry = exec.parse(JSON.parse(only('ENTRYPOINT')));
    expect(entry).toEqual(['tini', '--', 'node', packageFile.bin.sluice.replace(/^\.\//, '')]);
    expect(exec.parse(JSON.parse(only('CMD')))[0]).toBe('serve');
    expect(final.some(({ name, text }) => name === 'RUN' && /install .*\btini\b/.test(text))).toBe(true);
    expect(only('STOPSIGNAL')).toBe('SIGTERM');
  });

  it('is not root, by number', () => {
    expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const order = final.map(({ name }) => name);
    expect(order.indexOf('USER')).toBeLessThan(order.indexOf('ENTRYPOINT'));
    expect(order.lastIndexOf('RUN')).toBeLessThan(order.indexOf('USER'));
  });

  it('gives settings that the broker takes, with the data on the volume', () => {
    const config = configOf(imageEnvironment(), exec.parse(JSON.parse(only('CMD'))).slice(1));
    expect(config.data).toBe(only('VOLUME'));
    expect(only('EXPOSE')).toBe(String(config.port));
    expect(config.host).toBe('0.0.0.0');
  });

  it.each([
    ['passes while the broker is alive', 200, 0],
    ['fails when it is not', 503, 1],
  ])('asks for its health, which %s', async (_, status, code) => {
    const [option, json = ''] = only('HEALTHCHECK').split(/\sCMD\s/);
    expect(option).toContain('--timeout=');
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(status).end();
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const [command, ...parameters] = exec.parse(JSON.parse(json));
    expect(command).toBe('node');
    const env = { SLUICE_ADMIN_PORT: String((server.address() as AddressInfo).port) };
    const ended = await new Promise<number | null>((end) => {
      execFile(process.execPath, parameters, { env }).once('exit', end);
    });
    await new Promise((closed) => server.close(closed));
    expect(asked).toEqual(['/livez']);
    expect(ended).toBe(code);
  });
});

const composeSchema = z.object({
  services: z.object({
    sluice: z.object({
      build: z.object({ context: z.string(), dockerfile: z.string() }),
      init: z.literal(true),
      stop_signal: z.literal('SIGTERM'),
      stop_grace_period: z.string(),
      environment: z.record(z.string(), z.string()),
      ports: z.array(z.string()),
      volumes: z.array(z.string()),
      healthcheck: z.object({ test: z.array(z.string()) }),
    }),
  }),
  volumes: z.record(z.string(), z.unknown()),
});

describe('deploy/compose.yaml', () => {
  const compose = composeSchema.parse(parse(read('deploy/compose.yaml')));
  const { sluice } = compose.services;
  // `${NAME:-otherwise}` is what Compose puts there when NAME is not set.
  const environment = Object.fromEntries(
    Object.entries(sluice.environment).map(([name, value]) => [name, value.replace(/\$\{\w+:-(.*)\}/, '$1')]),
  );
  const config = configOf({ ...imageEnvironment(), ...environment });

  it('grants the grace period that the broker counts on', () => {
    expect(parseMs(sluice.stop_grace_period)).toBe(config.gracePeriodMs);
    expect(sluice.environment['SLUICE_GRACE_PERIOD_MS']).toBeDefined();
    expect(config.preStopMs).toBe(0);
  });

  it('builds the image that stands beside it', () => {
    expect(resolve(root, 'deploy', sluice.build.context)).toBe(root);
    expect(sluice.build.dockerfile).toBe('deploy/Dockerfile');
  });

  it('publishes the client port alone, to this machine, and keeps the data', () => {
    expect(sluice.ports).toEqual([`127.0.0.1:${config.port}:${config.port}`]);
    const [name = '', path] = (sluice.volumes[0] ?? '').split(':');
    expect(compose.volumes).toHaveProperty(name);
    expect(path).toBe(config.data);
  });

  it('asks for readiness, without a shell', () => {
    expect(sluice.healthcheck.test.slice(0, 2)).toEqual(['CMD', 'node']);
    expect(sluice.healthcheck.test.at(-1)).toContain(`127.0.0.1:${config.adminPort}/readyz`);
  });
});

const labels = z.record(z.string(), z.string());
const probeSchema = z.object({ httpGet: z.object({ path: z.string(), port: z.literal('admin') }) });
const variableSchema = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.object({ secretKeyRef: z.object({ name: z.string(), key: z.string() }) }).optional(),
});
const containerSchema = z.object({
  image: z.string(),
  env: z.array(variableSchema),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })),
  startupProbe: probeSchema,
  readinessProbe: probeSchema,
  livenessProbe: probeSchema,
  lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) }).optional(),
  securityContext: z.object({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.object({ drop: z.tuple([z.literal('ALL')]) }),
  }),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
});
const statefulSetSchema = z.object({
  kind: z.literal('StatefulSet'),
  spec: z.object({
    serviceName: z.string(),
    replicas: z.literal(1),
    selector: z.object({ matchLabels: labels }),
    template: z.object({
      metadata: z.object({ labels }),
      spec: z.object({
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.object({
          runAsNonRoot: z.literal(true),
          runAsUser: z.number(),
          runAsGroup: z.number(),
          fsGroup: z.number(),
        }),
        containers: z.tuple([containerSchema]),
      }),
    }),
    volumeClaimTemplates: z.array(z.object({ metadata: z.object({ name: z.string() }) })),
  }),
});
const serviceSchema = z.object({
  kind: z.literal('Service'),
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    clusterIP: z.string().optional(),
    selector: labels,
    ports: z.array(z.object({ name: z.string(), port: z.number(), targetPort: z.string() })),
  }),
});

describe('deploy/statefulset.yaml', () => {
  const documents = parseAllDocuments(read('deploy/statefulset.yaml')).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as { readonly kind: string };
  });
  const services = documents.filter(({ kind }) => kind === 'Service').map((service) => serviceSchema.parse(service));
  const { spec } = statefulSetSchema.parse(documents.find(({ kind }) => kind === 'StatefulSet'));
  const pod = spec.template.spec;
  const [container] = pod.containers;
  const environment = Object.fromEntries(container.env.map(({ name, value }) => [name, value ?? 'from the secret']));
  const config = configOf({ ...imageEnvironment(), ...environment });

  it('derives the grace period of the broker from that of the pod', () => {
    expect(config.gracePeriodMs).toBe(pod.terminationGracePeriodSeconds * 1000);
    expect(environment['SLUICE_GRACE_PERIOD_MS']).toBe(String(pod.terminationGracePeriodSeconds * 1000));
    expect(config.announceMs).toBe(5000);
    expect(config.preStopMs).toBe((container.lifecycle?.preStop.sleep.seconds ?? 0) * 1000);
  });

  it('asks for health where the broker answers, and for readiness and life each by its own name', () => {
    const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]));
    expect(ports).toEqual({ clients: config.port, admin: config.adminPort });
    expect(config.adminHost).toBe('0.0.0.0');
    expect(container.startupProbe.httpGet.path).toBe('/readyz');
    expect(container.readinessProbe.httpGet.path).toBe('/readyz');
    expect(container.livenessProbe.httpGet.path).toBe('/livez');
  });

  it('takes tokens from a secret alone', () => {
    const tokens = container.env.filter(({ name }) => name.endsWith('TOKEN'));
    expect(tokens.map(({ name }) => name).sort()).toEqual(['SLUICE_ADMIN_TOKEN', 'SLUICE_TOKEN']);
    for (const token of tokens) {
      expect(token.value).toBeUndefined();
      expect(token.valueFrom?.secretKeyRef.name).toBe('sluice');
    }
  });

  it('runs as the user of the image, whose group owns the volume', () => {
    const { runAsUser, runAsGroup, fsGroup } = pod.securityContext;
    expect(`${runAsUser}:${runAsGroup}`).toBe(only('USER'));
    expect(fsGroup).toBe(runAsGroup);
  });

  it('runs the version of the package', () => {
    expect(container.image).toBe(`sluice:${packageFile.version}`);
  });

  it('mounts the claimed volume where the data lies', () => {
    expect(container.volumeMounts[0]?.mountPath).toBe(config.data);
    expect(spec.volumeClaimTemplates.map(({ metadata }) => metadata.name)).toContain(container.volumeMounts[0]?.name);
  });

  it('has services that find the pod', () => {
    expect(spec.selector.matchLabels).toEqual(spec.template.metadata.labels);
    expect(services).toHaveLength(2);
    for (const service of services) {
      expect(service.spec.selector).toEqual(spec.template.metadata.labels);
      for (const { port, targetPort } of service.spec.ports) {
        expect(container.ports).toContainEqual({ name: targetPort, containerPort: port });
      }
    }
    const headless = services.find((service) => service.metadata.name === spec.serviceName);
    expect(headless?.spec.clusterIP).toBe('None');
  });
});

describe('deploy/sluice.service', () => {
  const text = read('deploy/sluice.service');
  const unit = unitValues(text);
  const value = (key: string): string | undefined => {
    expect(unit.get(key)?.length ?? 0, key).toBeLessThanOrEqual(1);
    return unit.get(key)?.[0];
  };
  const environment = Object.fromEntries(
    (unit.get('Service.Environment') ?? []).map((pair) => pair.split('=') as [string, string]),
  );
  const config = configOf(environment);

  it('grants the grace period that the broker counts on', () => {
    expect(parseMs(value('Service.TimeoutStopSec') ?? '')).toBe(config.gracePeriodMs);
    expect(environment['SLUICE_GRACE_PERIOD_MS']).toBeDefined();
    expect(config.preStopMs).toBe(0);
  });

  it('gives a recovery as long as Kubernetes does', () => {
    const manifest = read('deploy/statefulset.yaml');
    const probe = /startupProbe:[\s\S]*?periodSeconds: (\d+)[\s\S]*?failureThreshold: (\d+)/.exec(manifest);
    expect(parseMs(value('Service.TimeoutStartSec') ?? '')).toBe(Number(probe?.[1]) * Number(probe?.[2]) * 1000);
  });

  it('is told by a child that the broker is ready, and tells the broker alone to stop', () => {
    expect(value('Service.Type')).toBe('notify');
    expect(value('Service.NotifyAccess')).toBe('all');
    expect(value('Service.KillSignal')).toBe('SIGTERM');
    expect(value('Service.KillMode')).toBe('mixed');
    expect(value('Service.RestrictAddressFamilies')?.split(' ')).toContain('AF_UNIX');
  });

  it('takes every exit code but 0 for a failure, and starts again', () => {
    expect(value('Service.SuccessExitStatus')).toBeUndefined();
    expect(value('Service.Restart')).toBe('on-failure');
  });

  it('keeps the data in the state directory, as a user of its own', () => {
    expect(config.data).toBe(`/var/lib/${value('Service.StateDirectory')}`);
    expect(value('Service.User')).toBe('sluice');
    expect(value('Service.ProtectSystem')).toBe('strict');
    // Node compiles as it runs.
    expect(value('Service.MemoryDenyWriteExecute')).toBeUndefined();
  });

  const installed = spawnSync('systemd-analyze', ['--version']).status === 0;
  it.skipIf(!installed)('passes systemd-analyze verify (skipped where it is not installed)', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-unit-'));
    try {
      const path = join(folder, 'sluice.service');
      // The command and the user of a machine where it is installed; here others stand in.
      const here = text
        .replace('/usr/local/bin/sluice serve', process.execPath)
        .replace(/^(User|Group)=.*$/gm, '$1=root');
      writeFileSync(path, here);
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], {
        encoding: 'utf8',
      });
      const about = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('sluice.service'));
      expect(about).toEqual([]);
      expect(status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
