import { spawn } from "node:child_process";

/** Becomes, as far as signals, output and exit code go, another command. */
export function runUntilSignal(command, args, cwd) {
  const child = spawn(command, args, { cwd, stdio: "inherit" });
  // A terminal's Ctrl-C reaches the child by itself; SIGTERM is sent to this process only.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => process.exit(code ?? 1));
}
