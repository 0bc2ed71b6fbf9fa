// `npm start`: sets everything up and runs the demo.
import { installPackages, root, run } from "./install.mjs";
import { runUntilSignal } from "./run-until-signal.mjs";

installPackages();
run("npx", ["vite", "build", "--config", "demo/vite.config.ts", "--logLevel", "warn"]);
run("npx", ["vite", "build", "--config", "demo/vite.config.ts", "--mode", "worker", "--logLevel", "warn"]);
runUntilSignal(process.execPath, ["--conditions=backhaul-source", "--import", "tsx", "demo/server.ts"], root);
