import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../../src/platform/config.ts";

const read = (path: string) => readFileSync(path, "utf8");
/** At least major and minor: another version is a change that somebody makes. */
const pinned = /^[a-z][a-z0-9./-]*:v?\d+\.\d+[a-z0-9.-]*$/;

describe("the Dockerfile", () => {
  const instructions = read("Dockerfile")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(/\s+/));
  const all = (name: string) => instructions.filter(([instruction]) => instruction === name);
  const stages = all("FROM").flatMap(([, , as, stage]) => (as === "AS" ? [stage!] : []));
  const last = instructions.slice(instructions.findLastIndex(([name]) => name === "FROM"));

  it("begins with images of one version", () => {
    for (const [, image] of all("FROM")) expect(image).toMatch(pinned);
    expect(new Set(all("FROM").map(([, image]) => image)).size).toBe(1);
  });

  it("copies what is there, past .dockerignore", () => {
    const sent = read(".dockerignore").split("\n");
    for (const [, ...words] of all("COPY")) {
      const from = words.find((word) => word.startsWith("--from="));
      const sources = words.filter((word) => !word.startsWith("--")).slice(0, -1);
      if (from !== undefined) expect(stages).toContain(from.slice("--from=".length));
      else
        for (const source of sources)
          expect([existsSync(source), sent]).toEqual([true, expect.arrayContaining([`!${source}`])]);
    }
  });

  it("has what the server reads beside its program", () => {
    const copied = last.filter(([name, option]) => name === "COPY" && !option!.startsWith("--"));
    expect(copied.map((words) => words.slice(1))).toEqual([
      ["package.json", "LICENSE", "./"],
      ["docs/reference/asyncapi.json", "docs/reference/"],
    ]);
  });

  it("ends with an image that has no tools of the build, and is not run by root", () => {
    expect(last.filter(([name]) => name === "RUN")).toEqual([]);
    expect(last.find(([name]) => name === "USER")![1]).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(read("Dockerfile")).toContain("npm ci --omit=dev --omit=optional");
  });

  it("starts the server as `npm start` does, and asks it whether it lives", () => {
    const [flag] = /--max-semi-space-size=\d+/.exec(JSON.parse(read("package.json")).scripts.start)!;
    const program = "dist/cli/main.js";
    expect(
      last
        .find(([name]) => name === "ENTRYPOINT")!
        .slice(1)
        .join(" "),
    ).toBe(`["node", "${flag}", "${program}"]`);
    expect(existsSync(program.replace("dist", "src").replace(".js", ".ts"))).toBe(true);
    expect(last.find(([name]) => name === "HEALTHCHECK")!.join(" ")).toContain("/livez");
  });

  it("sets what the server knows", () => {
    const words = last.find(([name]) => name === "ENV")!.slice(1);
    const settings = Object.fromEntries(words.map((word) => word.split("=") as [string, string]));
    expect(loadConfig(settings, tmpdir())).toMatchObject({
      config: { host: "0.0.0.0", port: 7400 },
      warnings: [],
    });
  });
});

interface Container {
  readonly image?: string;
  readonly build?: string;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly env_file?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: object;
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
}

const whole = "compose.yaml";
const apart = "deploy/compose.apart.yaml";
const files = [whole, apart];
const compose = (file: string) => parse(read(file), { merge: true });
const containers = files.flatMap((file) =>
  Object.entries<Container>(compose(file).services).map(([name, container]) => ({ file, name, container })),
);

describe.each(containers)("$name in $file", ({ file, name, container }) => {
  it("is of one version, and tells whether it is well", () => {
    // What only adds to a container of the other file leaves that to it.
    if (container.image === undefined) return expect(compose(whole).services).toHaveProperty(name);
    expect(container.image).toMatch(pinned);
    expect(container.build !== undefined || container.healthcheck !== undefined).toBe(true);
    for (const { condition } of Object.values(container.depends_on ?? {}))
      expect(condition).toBe("service_healthy");
  });

  it("can be reached from this machine alone", () => {
    for (const port of container.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it("is given files that are there, and volumes that are declared", () => {
    for (const volume of container.volumes ?? []) {
      const [source] = volume.split(":");
      if (source!.startsWith(".")) expect(existsSync(source!), source).toBe(true);
      else expect(compose(file).volumes).toHaveProperty(source!);
    }
    if (container.env_file !== undefined)
      expect(existsSync(container.env_file), container.env_file).toBe(true);
  });
});

it("what compose starts by itself is what Holdfast needs on Kafka, and the rest waits for its profile", () => {
  const services = Object.entries<{ profiles?: string[] }>(compose(whole).services);
  const profiles = Object.fromEntries(services.map(([name, { profiles = [] }]) => [name, profiles]));
  expect(profiles).toEqual({
    holdfast: [],
    postgres: [],
    kafka: [],
    rabbitmq: ["rabbitmq"],
    redis: ["redis"],
    prometheus: [],
    grafana: [],
  });
});

describe("the settings of the containers", () => {
  const holdfasts = containers.filter(({ container }) => container.build !== undefined);

  it.each(holdfasts)("$name in $file starts with what it is given", ({ container }) => {
    const environment = { ...variablesIn(container.env_file!), ...container.environment };
    for (const [name, value] of Object.entries(environment)) {
      environment[name] = value.replace(/\$\{\w+:-(\w+)\}/, "$1");
    }
    const { config, warnings } = loadConfig(environment, tmpdir());
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      bus: "kafka",
      kafkaBrokers: expect.anything(),
      rabbitmqUrl: expect.anything(),
    });
  });

  it("run each service once, on a database that is made", () => {
    const separate = holdfasts
      .filter(({ file }) => file === apart)
      .map(({ container }) => container.environment!);
    const services = separate.flatMap(({ HOLDFAST_SERVICES }) => HOLDFAST_SERVICES!.split(","));
    expect(services.sort()).toEqual([...loadConfig({}, tmpdir()).config.services].sort());
    const made = [...read("deploy/postgres/databases.sql").matchAll(/^create database (\w+);$/gm)];
    const used = separate.map(({ HOLDFAST_DATABASE_URL }) =>
      new URL(HOLDFAST_DATABASE_URL!).pathname.slice(1),
    );
    expect(used.sort()).toEqual(made.map(([, name]) => name).sort());
  });

  it("keep passwords in deploy/dev alone", () => {
    for (const file of files) expect(read(file)).not.toMatch(/:\/\/\w+:[^@\s]+@|PASSWORD: /);
  });

  it("have Prometheus look at each of them", () => {
    const targetsOf = (file: string) =>
      parse(read(file)).flatMap(({ targets }: { targets: string[] }) => targets);
    const namesIn = (file: string) =>
      holdfasts.filter((one) => one.file === file).map(({ name }) => `${name}:7400`);
    expect(targetsOf("deploy/targets/whole.yml").sort()).toEqual(namesIn(whole).sort());
    expect(targetsOf("deploy/targets/apart.yml").sort()).toEqual(namesIn(apart).sort());
    const configuration = parse(read("deploy/prometheus.yml"));
    const [{ file_sd_configs }] = configuration.scrape_configs;
    for (const file of files) {
      const mounts: string[] = compose(file).services.prometheus.volumes;
      expect(mounts.map((mount) => mount.split(":")[1])).toContain(
        `/etc/prometheus/${file_sd_configs[0].files[0]}`,
      );
    }
    expect(configuration.rule_files).toEqual(["alerts/*.yml"]);
  });
});

function variablesIn(file: string): Record<string, string> {
  const lines = read(file)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

it("Grafana finds its dashboards where they are mounted", () => {
  const provider = parse(read("deploy/grafana/provisioning/dashboards/holdfast.yml")).providers[0];
  const mounts: string[] = compose(whole).services.grafana.volumes;
  const mounted = mounts.find((mount) => mount.split(":")[1] === provider.options.path)!.split(":")[0]!;
  expect(existsSync(join(dirname(mounted), "dashboards", "holdfast.json"))).toBe(true);
});
