/**
 * The service that keeps a host worker running, as the file that launchd or systemd reads. Pure.
 *
 * The one idea: the file says what to run and under whom, and nothing that is secret: who the host is lies in its identity file, readable for its user alone.
 */
export const managers = ["launchd", "systemd"] as const;
export type Manager = (typeof managers)[number];

export interface ServiceSpec {
  readonly manager: Manager;
  /** The program with its arguments; the first is absolute, since no shell looks for it. */
  readonly command: readonly string[];
  /** Whose machines the hypervisor shows and runs. */
  readonly user: string;
  readonly home: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface ServiceFile {
  readonly path: string;
  readonly text: string;
}

/** A name in both worlds: `com.drover.host`, `drover-host.service`. */
export const label = "com.drover.host";
export const unit = "drover-host.service";

export const serviceFile = (spec: ServiceSpec): ServiceFile =>
  spec.manager === "launchd"
    ? { path: `/Library/LaunchDaemons/${label}.plist`, text: propertyList(spec) }
    : { path: `/etc/systemd/system/${unit}`, text: systemdUnit(spec) };

/** A worker that cannot start is tried again this often: soon enough after a reboot, and no log of a thousand lines by the morning. */
const againAfterSeconds = 10;
/** What runs on the host gets ten seconds to end, then the process goes; the rest is room for a slow disk. */
const endsWithinSeconds = 30;
/** Each transfer holds dozens of files and connections open; launchd gives 256. */
const openFiles = 16_384;

type Value = string | number | boolean | readonly string[] | { readonly [key: string]: Value };

/**
 * A daemon and not an agent: it runs after a reboot without a login, and macOS asks a daemon's process for no permission to reach the local network, where it
 * asks each program of a login session.
 */
function propertyList({ command, user, home, environment }: ServiceSpec): string {
  const value: Value = {
    Label: label,
    ProgramArguments: command,
    UserName: user,
    WorkingDirectory: home,
    EnvironmentVariables: environment,
    RunAtLoad: true,
    KeepAlive: true,
    ThrottleInterval: againAfterSeconds,
    ExitTimeOut: endsWithinSeconds,
    // Otherwise the system slows the disk and network of what works in the background.
    ProcessType: "Interactive",
    Umask: 0o077,
    SoftResourceLimits: { NumberOfFiles: openFiles },
    HardResourceLimits: { NumberOfFiles: openFiles },
    StandardOutPath: logOf(home),
    StandardErrorPath: logOf(home),
  };
  const head =
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">';
  return `${head}\n<plist version="1.0">\n${element(value, "")}\n</plist>\n`;
}

export const logOf = (home: string): string => `${home}/host.log`;

function element(value: Value, indent: string): string {
  if (typeof value === "string") return `${indent}<string>${escaped(value)}</string>`;
  if (typeof value === "number") return `${indent}<integer>${value}</integer>`;
  if (typeof value === "boolean") return `${indent}<${value}/>`;
  const inner = `${indent}  `;
  if (isList(value)) return [`${indent}<array>`, ...value.map((one) => element(one, inner)), `${indent}</array>`].join("\n");
  const entries = Object.entries(value).map(([key, one]) => `${inner}<key>${escaped(key)}</key>\n${element(one, inner)}`);
  return [`${indent}<dict>`, ...entries, `${indent}</dict>`].join("\n");
}

const isList = (value: Value): value is readonly string[] => Array.isArray(value);
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function systemdUnit({ command, user, home, environment }: ServiceSpec): string {
  const lines = [
    "[Unit]",
    "Description=Drover host worker",
    "Wants=network-online.target",
    "After=network-online.target",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "Type=exec",
    `User=${user}`,
    `WorkingDirectory=${home.replaceAll("%", "%%")}`,
    ...Object.entries(environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    // The first word is a path and takes no variables; `$` begins one in the others.
    `ExecStart=${command.map((word, index) => (index === 0 ? quoted(word) : quoted(word.replaceAll("$", "$$$$")))).join(" ")}`,
    "Restart=always",
    `RestartSec=${againAfterSeconds}`,
    `TimeoutStopSec=${endsWithinSeconds}`,
    // Only the worker is told to end: it ends what it started in its own order.
    "KillMode=mixed",
    "UMask=0077",
    `LimitNOFILE=${openFiles}`,
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ];
  return `${lines.join("\n")}\n`;
}

const quoted = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%")}"`;
