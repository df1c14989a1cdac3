/** The sections of a machine's JSON that only settings fill: what was set by an option of `set`, and otherwise what Parallels usually has. */
import { isMac, type Machine } from "./machine.ts";
import type { Settings } from "./settings.ts";

type Json = Record<string, unknown>;

export const option = (settings: Settings, flag: string, usual: string): string => settings.extras.options[flag] ?? usual;

export function useOf(settings: Settings): Json {
  const set = (flag: string, usual: string) => option(settings, flag, usual);
  return {
    "Mouse and Keyboard": {
      "Smart mouse optimized for games": "auto",
      "Sticky mouse": "off",
      "Smooth scrolling": "on",
      "Keyboard optimization mode": "auto",
    },
    "USB and Bluetooth": {
      "Automatic sharing cameras": set("auto-share-camera", "on"),
      "Automatic sharing bluetooth": set("auto-share-bluetooth", "off"),
      "Automatic sharing smart cards": set("auto-share-smart-card", "off"),
      "Automatic sharing gamepads": "on",
      "Support USB 3.0": "on",
    },
    "Startup and Shutdown": {
      Autostart: set("autostart", "off"),
      "Autostart delay": 0,
      Autostop: set("autostop", "suspend"),
      "Startup view": set("startup-view", "window"),
      "On shutdown": set("on-shutdown", "window"),
      "On window close": set("on-window-close", "keep-running"),
      "Pause idle": "off",
      "Undo disks": "off",
    },
    Optimization: {
      "Faster virtual machine": "on",
      "Hypervisor type": "apple",
      "Adaptive hypervisor": "off",
      "Disabled Windows logo": "on",
      "Auto compress virtual disks": "off",
      "Nested virtualization": set("nested-virt", "off"),
      "PMU virtualization": set("pmu-virt", "off"),
      "Longer battery life": set("longer-battery-life", "off"),
      "Show battery status": "on",
      "Resource quota": "unlimited",
    },
    "Travel mode": { "Enter condition": "never", "Enter threshold": 30, "Quit condition": "never" },
  };
}

export function protectionOf(settings: Settings): Json {
  return {
    Security: {
      Encrypted: settings.encrypted ? "yes" : "no",
      "TPM enabled": "no",
      "TPM type": "off",
      "Custom password protection": "off",
      "Configuration is locked": "off",
      Protected: "no",
      Archived: "no",
      Packed: "no",
    },
    "Smart Guard": { enabled: false },
  };
}

export function screenOf(): Json {
  return {
    Modality: { "Opacity (percentage)": 50, "Stay on top": "on", "Show on all spaces ": "on", "Capture mouse clicks": "on" },
    Fullscreen: {
      "Use all displays": "off",
      "Activate spaces on click": "on",
      "Optimize for games": "off",
      "Gamma control": "on",
      "Scale view mode": "auto",
    },
    Coherence: {
      "Show Windows systray in Mac menu": "off",
      "Auto-switch to full screen": "off",
      "Disable aero": "off",
      "Hide minimized windows": "off",
    },
  };
}

export function bootOf(machine: Machine, settings: Settings): Json {
  const set = (flag: string, usual: string) => option(settings, flag, usual);
  return {
    "Time Synchronization": {
      enabled: set("time-sync", "on") === "on",
      "Smart mode": set("time-sync-smart-mode", "off"),
      "Interval (in seconds)": Number(set("time-sync-interval", "60")),
      "Timezone synchronization disabled": set("disable-timezone-sync", "off"),
    },
    Expiration: { enabled: false },
    "Boot order": `${set("device-bootorder", isMac(machine) ? "hdd0 cdrom0 usb" : "cdrom0 hdd0 net0").trim()} `,
    "BIOS type": "efi-arm64",
    "EFI Secure boot": set("efi-secure-boot", "off"),
    "Allow select boot device": set("select-boot-device", "off"),
    "External boot device": set("external-boot-device", ""),
    "SMBIOS settings": { "BIOS Version": "", "System serial number": "", "Board Manufacturer": "" },
  };
}
