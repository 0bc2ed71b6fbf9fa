import { execFile, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePorts, isInPath, type S3Engine, tail } from "./engine.ts";

const COMMANDS = [
  "ceph",
  "ceph-mon",
  "ceph-osd",
  "ceph-authtool",
  "monmaptool",
  "radosgw",
  "radosgw-admin",
  "curl",
];
const INSTALL = "apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw ceph-common curl";
const START = join(import.meta.dirname, "ceph/start.sh");
const STOP = join(import.meta.dirname, "ceph/stop.sh");

export function isCephInstalled(): boolean {
  return COMMANDS.every(isInPath);
}

export interface CephEngine extends S3Engine {
  /** Credentials of a new user who may do what bucket policies allow to `arn:aws:iam:::user/{name}`. */
  addUser(name: string): Promise<Pick<S3Engine, "accessKeyId" | "secretAccessKey">>;
}

/**
 * A Ceph RADOS Gateway of its own on free ports, its data in memory. STS AssumeRole knows `arn:aws:iam:::role/uploader`;
 * with STS off the gateway says what is wrong with a signature instead of AccessDenied to all. The least bytes of a part
 * but the last are S3's own, 5 MiB, unless it is told others.
 */
export async function startCeph({
  sts = true,
  minPartBytes,
}: {
  sts?: boolean;
  minPartBytes?: number;
} = {}): Promise<CephEngine> {
  const missing = COMMANDS.filter((command) => !isInPath(command));
  if (missing.length > 0) {
    throw new Error(
      `Ceph is not installed (${missing.join(", ")} missing). On Debian or Ubuntu, as root: ${INSTALL}`,
    );
  }
  const dir = await mkdtemp(join(tmpdir(), "rgw-"));
  const credentials = { accessKeyId: "demoaccesskey", secretAccessKey: "demosecretkey0123456789" };
  // The daemons go their own ways; without this an interrupted test run would leave them behind.
  const onExit = () => {
    spawnSync(STOP, [dir]);
    rmSync(dir, { recursive: true, force: true });
  };
  process.once("exit", onExit);
  const stop = async () => {
    await promisify(execFile)(STOP, [dir]);
    await rm(dir, { recursive: true, force: true });
    process.off("exit", onExit);
  };
  const [port, monitorV2, monitorV1] = await freePorts(3);
  const { accessKeyId: AK, secretAccessKey: SK } = credentials;
  try {
    const args = [dir, port, monitorV2, monitorV1].map(String);
    const least = minPartBytes === undefined ? {} : { MIN_PART_BYTES: String(minPartBytes) };
    await promisify(execFile)(START, args, {
      env: { ...process.env, AK, SK, STS: String(sts), ...least },
      timeout: 120_000,
    });
  } catch (error) {
    const { stderr = "" } = error as { stderr?: string };
    const details = [stderr, tail(join(dir, "run/admin.err")), tail(join(dir, "run/osd.err"))]
      .join("\n")
      .trim();
    await stop();
    throw new Error(`Ceph did not start. ${details}`, { cause: error });
  }
  return {
    endpoint: `http://127.0.0.1:${port}`,
    ...credentials,
    region: "us-east-1",
    stop,
    async addUser(name) {
      const keys = { accessKeyId: `${name}-key`, secretAccessKey: `${name}-secret-0123456789` };
      const conf = ["--conf", join(dir, "ceph.conf"), "--no-mon-config"];
      const user = ["--uid", name, "--display-name", name];
      const pair = ["--access-key", keys.accessKeyId, "--secret-key", keys.secretAccessKey];
      await promisify(execFile)("radosgw-admin", [...conf, "user", "create", ...user, ...pair]);
      return keys;
    },
  };
}
