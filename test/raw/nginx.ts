import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";

export interface Nginx {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Debian's nginx in front of a server.
 *
 * @param settings directives of its `location`, besides `proxy_pass`
 */
export async function startNginx(target: string, settings: string): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), "backhaul-nginx-"));
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join("\n");
  const config = join(folder, "nginx.conf");
  await writeFile(
    config,
    // Its workers write bodies into this folder, which nobody else may enter.
    `${process.getuid?.() === 0 ? "user root;" : ""}
    daemon off;
    pid ${folder}/pid;
    error_log stderr crit;
    events {}
    http {
      access_log off;
      ${temporary}
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass ${target.replace(/\/$/, "")};
          proxy_set_header Host $http_host;
          ${settings}
        }
      }
    }`,
  );
  const nginx = spawn("nginx", ["-c", config, "-p", folder], { stdio: ["ignore", "inherit", "inherit"] });
  const url = `http://localhost:${port}`;
  const isUp = () =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { host: "localhost" } }).then(
      () => true,
      () => false,
    );
  await vi.waitUntil(isUp, { timeout: 10_000, interval: 50 });
  return {
    url,
    async close() {
      const gone = new Promise((resolve) => nginx.once("exit", resolve));
      nginx.kill("SIGQUIT");
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
