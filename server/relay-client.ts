import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent, type AgentOptions as HttpsAgentOptions } from "node:https";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { bareClient } from "../s3/signer.ts";

type RequestHandler = NonNullable<S3ClientConfig["requestHandler"]>;

/**
 * A client that has connections of its own. Relayed bytes hold a connection for as long as a browser needs to
 * send them, and the app's client has 50 of them by default, which everybody's requests share.
 *
 * The client sends as the app's does: through its proxies, with its certificates. An agent of a class that is
 * not Node's own can't be copied; with such an agent relayed bytes share the app's connections.
 */
export async function relayClient(appsClient: S3Client): Promise<S3Client> {
  const agents = await copyAgents(appsClient.config.requestHandler);
  return bareClient(appsClient, agents === null ? {} : { requestHandler: agents });
}

/** The SDK's handler for Node, as far as it is read here. */
interface NodeHandler {
  readonly metadata?: { readonly handlerProtocol?: string };
  /** Whether the app has given an agent, rather than options for one. */
  readonly externalAgent?: boolean;
  httpHandlerConfigs?(): NodeHandlerConfig;
}

interface NodeHandlerConfig {
  readonly httpAgent?: AgentWithOptions;
  readonly httpsAgent?: AgentWithOptions;
  readonly connectionTimeout?: number;
  readonly socketTimeout?: number;
}

/** Node keeps them, but its types don't say so. */
type AgentWithOptions = HttpAgent & { readonly options: HttpsAgentOptions };

async function copyAgents(handler: S3Client["config"]["requestHandler"]): Promise<RequestHandler | null> {
  const nodeHandler: NodeHandler = handler;
  if (nodeHandler.metadata?.handlerProtocol !== "http/1.1") return null;
  // The SDK's handler reads its settings at its first request, and does so even for one that is canceled
  // already.
  const unsent = { protocol: "http:", hostname: "localhost", method: "HEAD", path: "/", headers: {} };
  await handler.handle(unsent as never, { abortSignal: AbortSignal.abort() }).catch(() => {});
  const { httpAgent, httpsAgent, connectionTimeout, socketTimeout } =
    nodeHandler.httpHandlerConfigs?.() ?? {};
  if (httpAgent === undefined || httpsAgent === undefined) return null;
  if (!isOf(HttpAgent, httpAgent) || !isOf(HttpsAgent, httpsAgent)) return null;
  // Each relayed request has one connection at a time, and their number has a limit of its own. A connection
  // serves one part and is not kept.
  const own = { maxSockets: Number.POSITIVE_INFINITY, keepAlive: false };
  const http = { ...httpAgent.options, ...own };
  const https = { ...httpsAgent.options, ...own };
  return {
    // The SDK waits for S3's "100 Continue" before it sends a large body, but only where it has made the
    // agents itself.
    httpAgent: nodeHandler.externalAgent === false ? http : new HttpAgent(http),
    httpsAgent: nodeHandler.externalAgent === false ? https : new HttpsAgent(https),
    ...(connectionTimeout !== undefined && { connectionTimeout }),
    ...(socketTimeout !== undefined && { socketTimeout }),
  };
}

/** Exactly of this class: how to make another one of a subclass is not known. */
function isOf(agentClass: unknown, agent: object): boolean {
  return agent.constructor === agentClass;
}
