import { afterEach, expect, test } from "vitest";
import { isInPath } from "../engines/engine.ts";
import { type Nginx, startNginx } from "./nginx.ts";
import { addFile, type RawBed, startRawBed, untilShare } from "./raw-bed.ts";

const MIB = 1024 * 1024;

let bed: RawBed | undefined;
let nginx: Nginx | undefined;
afterEach(async () => {
  await bed?.close();
  await nginx?.close();
  bed = undefined;
  nginx = undefined;
});

function startBehindNginx(settings: string, linkBytesPerSecond: number): Promise<RawBed> {
  return startRawBed({
    linkBytesPerSecond,
    async through(line, url) {
      if (line !== "control") return url;
      nginx = await startNginx(url, settings);
      return nginx.url;
    },
  });
}

if (isInPath("nginx") || process.env.CI !== undefined) describeNginx();
else test.skip("nginx is not installed: the relay behind it is not tried", () => {});

function describeNginx() {
  test("nginx as it comes: the page finds out that no part gets to the relay, and says so", async () => {
    bed = await startBehindNginx("", 20 * MIB);
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, "default", 256 * MIB);
    await tab.until(() => uploads.guarantees().tabClosed === "limited", [], 60_000);
    expect(await tab.evaluate((id: string) => uploads.guarantees(id).tabClosed, file.id)).toBe("limited");
  });

  test("nginx as docs/server.md has it: what the last tab has left arrives with no page", async () => {
    const settings = `proxy_http_version 1.1;
    client_max_body_size 0;
    proxy_request_buffering off;
    client_body_timeout 90s;
    proxy_send_timeout 90s;
    proxy_read_timeout 300s;`;
    bed = await startBehindNginx(settings, 4 * MIB);
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, "documented", 128 * MIB);
    await untilShare(tab, file, 0.2);
    expect(await tab.evaluate((id: string) => uploads.guarantees(id).tabClosed, file.id)).toBe("continues");
    await tab.close();
    await bed.arrives(file.key, 400_000);
    expect(await bed.sha256(file.key)).toBe(file.sha256);
  });
}
