// What the tests need beside npm packages: a full Chromium, and Ceph RGW as a second S3 engine.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { run } from "./install.mjs";

const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"];
const CEPH = ["ceph-mon", "ceph-osd", "radosgw", "ceph-common", "curl"];

/** Installs them where this is root on Debian; elsewhere says what is missing. */
export function installSystem() {
  const needsChromium = !process.env.CHROMIUM_PATH && !CHROMIUM.some(isCommand);
  const needsCeph = !isCommand("radosgw") || !isCommand("ceph-osd");
  if (!needsChromium && !needsCeph) return;
  if (existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    const packages = [...(needsChromium ? ["chromium"] : []), ...(needsCeph ? CEPH : [])];
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    run("apt-get", ["update", "-q"], { env });
    run("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...packages], { env });
    return;
  }
  if (needsChromium) {
    console.error(
      "The tests need Chromium. Install it (`npx playwright install chromium`) or set CHROMIUM_PATH to one.",
    );
  }
  if (needsCeph) {
    console.error(
      `Without Ceph RGW its tests are skipped. On Debian, as root: apt-get install ${CEPH.join(" ")}`,
    );
  }
}

function isCommand(name) {
  return spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
}
