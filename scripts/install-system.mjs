// What the tests need beside npm packages: a full Chromium, Ceph RGW and Swift as further S3 engines, Redis, and nginx.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { run } from "./install.mjs";

const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"];
const CEPH = ["ceph-mon", "ceph-osd", "radosgw", "ceph-common", "curl"];

/** Installs them where this is root on Debian; elsewhere says what is missing. */
export function installSystem() {
  const needsChromium = !process.env.CHROMIUM_PATH && !CHROMIUM.some(isCommand);
  const needsCeph = !isCommand("radosgw") || !isCommand("ceph-osd");
  // Swift itself goes into a tree of a newer Debian, which the tests make (test/engines/swift.ts).
  const needsSwift = !isCommand("mmdebstrap");
  const needsRedis = !isCommand("redis-server");
  const needsNginx = !isCommand("nginx");
  if (!needsChromium && !needsCeph && !needsSwift && !needsRedis && !needsNginx) return;
  if (existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    const packages = [
      ...(needsChromium ? ["chromium"] : []),
      ...(needsCeph ? CEPH : []),
      ...(needsSwift ? ["mmdebstrap"] : []),
      ...(needsRedis ? ["redis-server"] : []),
      ...(needsNginx ? ["nginx-light"] : []),
    ];
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
  if (needsSwift) console.error("Without mmdebstrap, and root, the tests on OpenStack Swift are skipped.");
  if (needsRedis) console.error("Without redis-server the tests of counts that servers share are skipped.");
  if (needsNginx) console.error("Without nginx the tests of the relay behind a proxy are skipped.");
}

function isCommand(name) {
  return spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
}
