// `npm start`: the server runs in this very process, so that a signal to it reaches the server itself.
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

setUp({ build: true });

const main = new URL("../dist/cli/main.js", import.meta.url);
process.argv.splice(1, 1, fileURLToPath(main), "start");
await import(main.href);
