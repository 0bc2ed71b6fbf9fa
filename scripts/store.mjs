// `npm run store`: the embedded S3 store by itself.
import { installPackages, root } from "./install.mjs";
import { runUntilSignal } from "./run-until-signal.mjs";

installPackages();
runUntilSignal(process.execPath, ["--import", "tsx", "demo/store/main.ts"], root);
