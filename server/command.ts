#!/usr/bin/env node
/** `npx backhaul`: what an operator does to a bucket from the command line. */
import { runCheck } from "./commands/check.ts";
import { runClean } from "./commands/clean.ts";
import { runSetup } from "./commands/setup.ts";
import { messageOf, printable, UsageError } from "./commands/terminal.ts";

const USAGE = `Usage: backhaul clean --bucket <name> --older-than <age> [options]
       backhaul setup --bucket <name> --origin <origin> [options]
       backhaul check --bucket <name> --origin <origin> [options]

For all of them:
  --bucket <name>      the bucket
  --endpoint <url>     an S3 engine other than Amazon's
  --region <name>      by default the environment's
  --help               this text

clean aborts multipart uploads that were begun long ago and never ended, of whatever program.
  --older-than <age>   such as 90m, 24h or 7d; no less than an upload may take
  --prefix <text>      only keys that begin with this
  --dry-run            only says what would be aborted

setup lets the app's pages upload (CORS), and has the engine drop uploads that never ended (a lifecycle rule). It shows
what it would write, and asks. Other rules of the bucket stay.
  --origin <origin>    the app's, such as https://app.example; may be given several times
  --uploads-last <age> how long an upload may take, as the handler's tokenSeconds; by default 7d
  --prefix <text>      the rule is for keys that begin with this; by default for all
  --yes                doesn't ask

check uploads small objects under backhaul-check/ as a browser would, deletes them again, and says what is wrong.
  --origin, --uploads-last, --prefix   as for setup
  --checksum <kind>    what the app's worker sends: md5 (default), crc32c, crc64nvme, sha256 or none
  --public-endpoint <url>   by which browsers reach the engine, as the handler's publicEndpoint
  --relay <url>        the handler's public URL, such as https://app.example/uploads
  --header <field>     sent to the handler, such as "authorization: Bearer …"; may be given several times
  --timeout <age>      for all of it; by default 3m

Credentials come from where the AWS SDK looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the
machine's role. Those that sign the URLs, if they are others: BACKHAUL_SIGNING_ACCESS_KEY_ID and
BACKHAUL_SIGNING_SECRET_ACCESS_KEY. What permissions they need is in docs/server.md.

Exit code: 0 if all went well, 1 if something failed, 2 if the command or its options are invalid.
`;

const COMMANDS = { clean: runClean, setup: runSetup, check: runCheck } as const;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  try {
    if (args.includes("--help") || args.includes("-h")) {
      process.stdout.write(USAGE);
      return 0;
    }
    const [name, ...others] = args;
    const names = Object.keys(COMMANDS).join(", ");
    if (name === undefined) throw new UsageError(`no command was given: expected ${names}`);
    if (!isCommand(name)) throw new UsageError(`unknown command ${name}: expected ${names}`);
    return await COMMANDS[name](others);
  } catch (error) {
    console.error(`backhaul: ${printable(messageOf(error))}`);
    if (!(error instanceof UsageError)) return 1;
    console.error("See: backhaul --help");
    return 2;
  }
}

function isCommand(name: string): name is keyof typeof COMMANDS {
  return Object.hasOwn(COMMANDS, name);
}
