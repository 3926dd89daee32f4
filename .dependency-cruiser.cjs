// Which way imports may point. Every rule has a fixture that breaks it, in test/architecture/fixtures/.

// The files of a service that are not its domain; any other file there is, and is held to the rules of one.
const roles = "handle|store|queries|routes|consumers|metrics|verify|index|gateways|charging|carriers";
const end = "(?:\\.ts$|/)"; // a file, or the folder that it has become
const domain = `^src/services/([^/]+)/(?!(?:contract|${roles}|\\1)${end}).+\\.ts$`;
const testCode = ["\\.test\\.ts$", "^src/testing/", "^test/"];

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "kernel-imports-nothing",
      comment: "The vocabulary is plain TypeScript: it knows neither us, nor Node.js, nor any package.",
      severity: "error",
      from: { path: "^src/kernel/", pathNot: testCode },
      to: { pathNot: "^src/kernel/" },
    },
    {
      name: "platform-knows-no-service",
      comment: "What the platform does, it does for every service, those of tomorrow included.",
      severity: "error",
      from: { path: "^src/platform/", pathNot: testCode },
      to: { path: "^src/", pathNot: ["^src/(kernel|platform)/", ...testCode] },
    },
    {
      name: "services-meet-in-contracts",
      comment: "A service may change everything but its contract without asking the others.",
      severity: "error",
      from: { path: "^src/services/([^/]+)/", pathNot: testCode },
      to: {
        path: "^src/services/",
        pathNot: ["^src/services/$1/", "^src/services/[^/]+/contract(?:/index)?\\.ts$"],
      },
    },
    {
      name: "services-know-no-engine",
      comment: "The engine is put together from services, not the other way round.",
      severity: "error",
      from: { path: "^src/services/", pathNot: testCode },
      to: { path: "^src/", pathNot: ["^src/(kernel|platform|services)/", ...testCode] },
    },
    {
      name: "contracts-are-vocabulary",
      comment: "Whoever imports a contract must not get an implementation with it.",
      severity: "error",
      from: { path: `^src/services/[^/]+/contract${end}` },
      to: {
        pathNot: ["^src/kernel/", `^src/services/[^/]+/contract${end}`, "node_modules/typebox/"],
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "domain-is-pure",
      comment: "Rules see no database, no HTTP and no clock: then every case is a line in a table test.",
      severity: "error",
      from: { path: domain, pathNot: testCode },
      to: {
        pathNot: [
          "^src/kernel/",
          `^src/services/$1/(?!(?:${roles}|$1)${end}).+\\.ts$`,
          "^src/platform/log/append\\.ts$",
        ],
      },
    },
    {
      name: "domain-knows-the-log-by-type",
      comment: "A rule may say where in the log it stands; writing there is the store's work.",
      severity: "error",
      from: { path: domain, pathNot: testCode },
      to: { path: "^src/platform/log/append\\.ts$", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "requests-take-the-road",
      comment: "HTTP and events change nothing but through the handler, where the locks and the rules are.",
      severity: "error",
      from: { path: `^src/services/[^/]+/(routes|consumers)${end}`, pathNot: testCode },
      to: { path: [`^src/services/[^/]+/store${end}`, "^src/platform/postgres/", "node_modules/pg/"] },
    },
    {
      name: "only-the-engine-wires-services",
      comment: "One place knows which services there are.",
      severity: "error",
      from: { pathNot: ["^src/engine\\.ts$", ...testCode] },
      to: { path: "^src/services/[^/]+/index\\.ts$" },
    },
    {
      name: "nothing-imports-the-programs",
      comment: "The server and the command line stand at the end of every chain of imports.",
      severity: "error",
      from: { pathNot: ["^src/(main\\.ts$|cli/)", ...testCode] },
      to: { path: "^src/(main\\.ts$|cli/)" },
    },
    {
      name: "no-circles",
      comment: "Two modules that need each other are one. Types may point back.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "tests-are-not-shipped",
      comment: "The build leaves test code out, so what needs it would not start.",
      severity: "error",
      from: { pathNot: testCode },
      to: { path: testCode },
    },
    {
      name: "runs-without-dev-dependencies",
      comment: "Whoever installs the package gets its dependencies, not the tools that it was made with.",
      severity: "error",
      from: { pathNot: testCode },
      to: { dependencyTypes: ["npm-dev"] },
    },
    {
      name: "packages-are-declared",
      comment: "A package that is there only because another one needs it may be gone tomorrow.",
      severity: "error",
      from: {},
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "unknown"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // Type-only imports count as well, and are told from the others.
    tsPreCompilationDeps: "specify",
    tsConfig: { fileName: "tsconfig.json" },
    // Some packages declare only their exports.
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
};
