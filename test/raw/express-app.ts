import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createUploadHandler } from "backhaul/server";
import { relayServerOptions, toNodeListener } from "backhaul/server/node";
import express, { type NextFunction, type Request, type Response } from "express";
import type { TestBed } from "../support/test-bed.ts";

const COOKIE = "session";
const SESSION_SECONDS = 3_600;

/** How the app's server knows who is there. */
export type SignIn =
  /** A cookie, which a worker sends by itself. */
  | "cookie session"
  /** A bearer token, which only a page can get: it lasts for 5 s. */
  | "bearer token"
  /** A cookie, and a header beside it that no other site could add. */
  | "CSRF header";

const TOKEN_MS = 5_000;

export interface ExpressApp {
  /** Over the bed's link. */
  readonly url: string;
  /** Requests to the upload handler, by the status of their answer. */
  readonly statuses: Map<number, number>;
  /** How many tokens have opened the way to the upload handler. */
  readonly tokensUsed: Set<string>;
  /** Forgets who has signed in, as a server does that is started again. */
  forgetSessions(): void;
  close(): Promise<void>;
}

/** An app as many have it: Express, its own middleware for whoever is signed in, and behind that the upload handler. */
export async function startExpressApp(bed: TestBed, root: string, signIn: SignIn): Promise<ExpressApp> {
  const statuses = new Map<number, number>();
  const tokensUsed = new Set<string>();
  const sessions = new Map<string, { readonly csrf: string }>();
  const tokens = new Map<string, number>();
  const app = express();

  const sessionOf = ({ headers }: Request) => {
    const cookie = new RegExp(`(?:^|; )${COOKIE}=([^;]*)`).exec(headers.cookie ?? "");
    return sessions.get(cookie?.[1] ?? "");
  };
  app.get("/sign-in", (_request, response) => {
    const id = randomUUID();
    sessions.set(id, { csrf: randomUUID() });
    response.cookie(COOKIE, id, { httpOnly: true, sameSite: "lax", maxAge: SESSION_SECONDS * 1_000 });
    response.redirect("/");
  });
  app.get("/", (request, response, next) => {
    if (sessionOf(request)) next();
    else response.redirect("/sign-in");
  });
  app.get("/auth", (request, response) => {
    const session = sessionOf(request);
    if (!session) response.status(401).end();
    else if (signIn === "CSRF header") response.json({ "x-csrf-token": session.csrf });
    else {
      const token = randomUUID();
      tokens.set(token, Date.now() + TOKEN_MS);
      response.json({ authorization: `Bearer ${token}` });
    }
  });

  const guard = (request: Request, response: Response, next: NextFunction) => {
    response.on("finish", () => {
      statuses.set(response.statusCode, (statuses.get(response.statusCode) ?? 0) + 1);
    });
    const session = sessionOf(request);
    if (signIn === "bearer token") {
      const token = request.get("authorization")?.replace(/^Bearer /, "") ?? "";
      if ((tokens.get(token) ?? 0) < Date.now()) return void response.status(401).send("Sign in.");
      tokensUsed.add(token);
    } else if (!session) return void response.status(401).send("Sign in.");
    else if (signIn === "CSRF header" && request.get("x-csrf-token") !== session.csrf)
      return void response.status(403).send("<h1>Invalid CSRF token</h1>");
    next();
  };
  const handler = createUploadHandler({
    client: bed.s3,
    bucket: bed.bucket,
    secret: "a secret of the tests, long enough to sign",
    authorize: async (_request, { key }) => ({ key }),
    publicEndpoint: bed.publicEndpoint,
    // So that the worker has to ask for signatures again and again.
    signedUrlSeconds: 10,
  });
  app.use("/uploads", guard, toNodeListener(handler));
  app.use(express.static(root));

  const server = createServer(relayServerOptions, app);
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const url = `${await bed.link.to((server.address() as AddressInfo).port)}/`;
  await bed.allowOrigin(new URL(url).origin);
  return {
    url,
    statuses,
    tokensUsed,
    forgetSessions: () => sessions.clear(),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
