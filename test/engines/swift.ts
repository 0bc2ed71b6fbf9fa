import { execFile, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { freePorts, isInPath, type S3Engine, tail } from "./engine.ts";

const run = promisify(execFile);
const script = (name: string) => join(import.meta.dirname, "swift", name);
/** Made once, and kept for other runs. */
const TREE = join(tmpdir(), "backhaul-debian-13-swift");

/** Whether `startSwift` can do its work here: in a tree that is there, or that can be made. */
export function canRunSwift(): boolean {
  return process.getuid?.() === 0 && isInPath("unshare") && isInPath("mmdebstrap");
}

/**
 * OpenStack Swift 2.35 of its own on free ports, in a Debian 13 tree that the first call makes, which takes minutes. It checks
 * `Content-MD5` and all kinds of `x-amz-checksum-*`; CORS allows every origin.
 */
export async function startSwift(): Promise<S3Engine> {
  if (!canRunSwift())
    throw new Error(
      "Swift 2.35 runs in a Debian 13 tree here, for which it takes root and mmdebstrap. On Debian: apt-get install mmdebstrap",
    );
  await run(script("make-tree.sh"), [TREE], { timeout: 600_000 });
  const folder = await mkdtemp(join(TREE, "srv/swift-"));
  const data = join(folder, "data");
  // The servers go their own ways; without this an interrupted test run would leave them behind.
  const onExit = () => {
    spawnSync(script("stop.sh"), [data]);
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", onExit);
  const stop = async () => {
    await run(script("stop.sh"), [data]);
    await rm(folder, { recursive: true, force: true });
    process.off("exit", onExit);
  };
  const credentials = { accessKeyId: "test:tester", secretAccessKey: "testing" };
  const ports = await freePorts(5);
  try {
    await copyFile(script("start.sh"), join(folder, "start.sh"));
    const inTree = join("/srv", basename(folder));
    const command = ["bash", `${inTree}/start.sh`, `${inTree}/data`, ...ports.map(String)];
    const { accessKeyId: AK, secretAccessKey: SK } = credentials;
    await run(script("in-tree.sh"), [TREE, ...command], {
      env: { ...process.env, AK, SK },
      timeout: 120_000,
    });
  } catch (error) {
    const { stderr = "" } = error as { stderr?: string };
    const details = [stderr, tail(join(data, "log/proxy.log")), tail(join(data, "log/object.log"))];
    await stop().catch(() => {});
    throw new Error(`Swift did not start. ${details.join("\n").trim()}`, { cause: error });
  }
  return { endpoint: `http://127.0.0.1:${ports[0]}`, ...credentials, region: "us-east-1", stop };
}
