/**
 * The keys that every machine of the contract has, whatever its guest and its Parallels Desktop tell.
 *
 * The one idea: a client may read any of them without asking whether it is there, so what a listing lacks is filled with the empty value of its type.
 */
const blanks = {
  "Restore Image": "",
  Uptime: "0",
  GuestTools: { state: "" },
  "Mouse and Keyboard": texts("Smart mouse optimized for games", "Sticky mouse", "Smooth scrolling", "Keyboard optimization mode"),
  "USB and Bluetooth": texts(
    "Automatic sharing cameras",
    "Automatic sharing bluetooth",
    "Automatic sharing smart cards",
    "Automatic sharing gamepads",
    "Support USB 3.0",
  ),
  "Startup and Shutdown": {
    ...texts("Autostart", "Autostop", "Startup view", "On shutdown", "On window close", "Pause idle", "Undo disks"),
    "Autostart delay": 0,
  },
  Optimization: texts(
    "Faster virtual machine",
    "Hypervisor type",
    "Adaptive hypervisor",
    "Disabled Windows logo",
    "Auto compress virtual disks",
    "Nested virtualization",
    "PMU virtualization",
    "Longer battery life",
    "Show battery status",
    "Resource quota",
  ),
  "Travel mode": { ...texts("Enter condition", "Quit condition"), "Enter threshold": 0 },
  Security: texts(
    "Encrypted",
    "TPM enabled",
    "TPM type",
    "Custom password protection",
    "Configuration is locked",
    "Protected",
    "Archived",
    "Packed",
  ),
  "Smart Guard": { enabled: false },
  Modality: { ...texts("Stay on top", "Show on all spaces ", "Capture mouse clicks"), "Opacity (percentage)": 0 },
  Fullscreen: texts("Use all displays", "Activate spaces on click", "Optimize for games", "Gamma control", "Scale view mode"),
  Coherence: texts("Show Windows systray in Mac menu", "Auto-switch to full screen", "Disable aero", "Hide minimized windows"),
  "Time Synchronization": { enabled: false, "Interval (in seconds)": 0, ...texts("Smart mode", "Timezone synchronization disabled") },
  Expiration: { enabled: false },
  ...texts("Boot order", "BIOS type", "EFI Secure boot", "Allow select boot device", "External boot device", "Host defined sharing"),
  "SMBIOS settings": texts("BIOS Version", "System serial number", "Board Manufacturer"),
  Hardware: {
    cpu: { cpus: 0, "VT-x": false, hotplug: false, ...texts("auto", "accl", "mode", "type") },
    memory: { hotplug: false, ...texts("size", "auto") },
    video: texts(
      "adapter-type",
      "size",
      "3d-acceleration",
      "vertical-sync",
      "high-resolution",
      "high-resolution-in-guest",
      "native-scaling-in-guest",
      "automatic-video-memory",
    ),
    memory_quota: texts("auto"),
    hdd0: { enabled: false, ...texts("port", "image", "type", "size", "online-compact") },
    cdrom0: { enabled: false, ...texts("port", "image") },
    usb: { enabled: false },
    net0: { enabled: false, ...texts("type", "mac", "card") },
    sound0: { enabled: false, ...texts("output", "mixer") },
  },
  "Host Shared Folders": {},
  "Shared Profile": { enabled: false },
  "Shared Applications": {
    enabled: false,
    ...texts(
      "Host-to-guest apps sharing",
      "Guest-to-host apps sharing",
      "Show guest apps folder in Dock",
      "Show guest notifications",
      "Bounce dock icon when app flashes",
    ),
  },
  SmartMount: { enabled: false },
  "Miscellaneous Sharing": texts("Shared clipboard", "Shared cloud"),
  Advanced: texts(
    "VM hostname synchronization",
    "Public SSH keys synchronization",
    "Show developer tools",
    "Swipe from edges",
    "Share host location",
    "Rosetta Linux",
  ),
  Network: {
    Conditioned: "",
    Inbound: texts("Bandwidth", "Packet Loss", "Delay"),
    Outbound: texts("Bandwidth", "Packet Loss", "Delay"),
    ipAddresses: [],
  },
} as const;

function texts(...keys: string[]): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, ""]));
}

type Fields = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** The listing with whatever it lacks. */
export const completed = (listing: Fields): Fields => under(blanks, listing);

function under(blank: Fields, told: Fields): Fields {
  const both = Object.entries(told).map(([key, value]) => {
    const empty = blank[key];
    return [key, isObject(empty) && isObject(value) ? under(empty, value) : value];
  });
  return { ...blank, ...Object.fromEntries(both) };
}
