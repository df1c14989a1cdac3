/**
 * The claims and roles that every hub begins with, under the names that clients of the Parallels DevOps service know.
 *
 * The one idea: one table from which seeding, the claims' descriptions on the wire and the type of a route's claim are derived.
 */

/** Claim, group, resource, action. `DELET_CACHE_ITEM` is spelled so on the wire. */
const table = [
  ["READ_ONLY", "Administration", "System", "read"],
  ["CREATE", "Administration", "System", "create"],
  ["DELETE", "Administration", "System", "delete"],
  ["UPDATE", "Administration", "System", "update"],
  ["LIST", "Administration", "System", "read"],
  ["LIST_USER", "Administration", "User", "read"],
  ["CREATE_USER", "Administration", "User", "create"],
  ["DELETE_USER", "Administration", "User", "delete"],
  ["UPDATE_USER", "Administration", "User", "update"],
  ["LIST_API_KEY", "Administration", "API Key", "read"],
  ["CREATE_API_KEY", "Administration", "API Key", "create"],
  ["DELETE_API_KEY", "Administration", "API Key", "delete"],
  ["UPDATE_API_KEY", "Administration", "API Key", "update"],
  ["LIST_OWN_API_KEY", "Administration", "API Key (Own)", "read"],
  ["CREATE_OWN_API_KEY", "Administration", "API Key (Own)", "create"],
  ["DELETE_OWN_API_KEY", "Administration", "API Key (Own)", "delete"],
  ["UPDATE_OWN_API_KEY", "Administration", "API Key (Own)", "update"],
  ["LIST_CLAIM", "Administration", "Claim", "read"],
  ["CREATE_CLAIM", "Administration", "Claim", "create"],
  ["DELETE_CLAIM", "Administration", "Claim", "delete"],
  ["UPDATE_CLAIM", "Administration", "Claim", "update"],
  ["LIST_ROLE", "Administration", "Role", "read"],
  ["CREATE_ROLE", "Administration", "Role", "create"],
  ["DELETE_ROLE", "Administration", "Role", "delete"],
  ["UPDATE_ROLE", "Administration", "Role", "update"],
  ["CREATE_VM", "VMs", "VM", "create"],
  ["DELETE_VM", "VMs", "VM", "delete"],
  ["LIST_VM", "VMs", "VM", "read"],
  ["UPDATE_VM_STATES", "VMs", "VM", "update"],
  ["UPDATE_VM", "VMs", "VM", "update"],
  ["EXECUTE_COMMAND_VM", "VMs", "VM", "execute"],
  ["CREATE_PACKER_TEMPLATE", "VMs", "Packer Template", "create"],
  ["DELETE_PACKER_TEMPLATE", "VMs", "Packer Template", "delete"],
  ["LIST_PACKER_TEMPLATE", "VMs", "Packer Template", "read"],
  ["UPDATE_PACKER_TEMPLATE", "VMs", "Packer Template", "update"],
  ["CREATE_CATALOG_MANIFEST", "Catalog", "Manifest", "create"],
  ["DELETE_CATALOG_MANIFEST", "Catalog", "Manifest", "delete"],
  ["LIST_CATALOG_MANIFEST", "Catalog", "Manifest", "read"],
  ["UPDATE_CATALOG_MANIFEST", "Catalog", "Manifest", "update"],
  ["PULL_CATALOG_MANIFEST", "Catalog", "Manifest", "pull"],
  ["PUSH_CATALOG_MANIFEST", "Catalog", "Manifest", "push"],
  ["IMPORT_CATALOG_MANIFEST", "Catalog", "Manifest", "import"],
  ["LIST_REVERSE_PROXY_HOSTS", "Reverse Proxy", "Host", "read"],
  ["CREATE_REVERSE_PROXY_HOST", "Reverse Proxy", "Host", "create"],
  ["DELETE_REVERSE_PROXY_HOST", "Reverse Proxy", "Host", "delete"],
  ["UPDATE_REVERSE_PROXY_HOST", "Reverse Proxy", "Host", "update"],
  ["LIST_REVERSE_PROXY_HOST_HTTP_ROUTES", "Reverse Proxy", "HTTP Route", "read"],
  ["CREATE_REVERSE_PROXY_HOST_HTTP_ROUTE", "Reverse Proxy", "HTTP Route", "create"],
  ["DELETE_REVERSE_PROXY_HOST_HTTP_ROUTE", "Reverse Proxy", "HTTP Route", "delete"],
  ["UPDATE_REVERSE_PROXY_HOST_HTTP_ROUTE", "Reverse Proxy", "HTTP Route", "update"],
  ["LIST_REVERSE_PROXY_HOST_TCP_ROUTES", "Reverse Proxy", "TCP Route", "read"],
  ["CREATE_REVERSE_PROXY_HOST_TCP_ROUTE", "Reverse Proxy", "TCP Route", "create"],
  ["DELETE_REVERSE_PROXY_HOST_TCP_ROUTE", "Reverse Proxy", "TCP Route", "delete"],
  ["UPDATE_REVERSE_PROXY_HOST_TCP_ROUTE", "Reverse Proxy", "TCP Route", "update"],
  ["EXECUTE_SSH", "SSH", "SSH", "execute"],
  ["LIST_CACHE", "Cache", "Cache", "read"],
  ["DELET_CACHE_ITEM", "Cache", "Cache", "delete"],
  ["DELETE_ALL_CACHE", "Cache", "Cache", "delete"],
  ["JOB_MANAGER_LIST", "Jobs", "Job", "read"],
  ["JOB_MANAGER_LIST_OWN", "Jobs", "Job (Own)", "read"],
  ["JOB_MANAGER_DELETE", "Jobs", "Job", "delete"],
  ["JOB_MANAGER_DEBUG", "Jobs", "Job", "execute"],
  ["CATALOG_MANAGER_LIST", "Catalog Manager", "Manager", "read"],
  ["CATALOG_MANAGER_LIST_OWN", "Catalog Manager", "Manager (Own)", "read"],
  ["CATALOG_MANAGER_CREATE", "Catalog Manager", "Manager", "create"],
  ["CATALOG_MANAGER_CREATE_OWN", "Catalog Manager", "Manager (Own)", "create"],
  ["CATALOG_MANAGER_UPDATE", "Catalog Manager", "Manager", "update"],
  ["CATALOG_MANAGER_UPDATE_OWN", "Catalog Manager", "Manager (Own)", "update"],
  ["CATALOG_MANAGER_DELETE", "Catalog Manager", "Manager", "delete"],
  ["CATALOG_MANAGER_DELETE_OWN", "Catalog Manager", "Manager (Own)", "delete"],
  ["CATALOG_MANAGER_LIST_CATALOG_MANIFEST_OWN", "Catalog Manager", "Manifest (Own)", "read"],
  ["CATALOG_MANAGER_CREATE_CATALOG_MANIFEST_OWN", "Catalog Manager", "Manifest (Own)", "create"],
  ["CATALOG_MANAGER_DELETE_CATALOG_MANIFEST_OWN", "Catalog Manager", "Manifest (Own)", "delete"],
  ["CATALOG_MANAGER_UPDATE_CATALOG_MANIFEST_OWN", "Catalog Manager", "Manifest (Own)", "update"],
  ["CATALOG_MANAGER_PULL_CATALOG_MANIFEST_OWN", "Catalog Manager", "Manifest (Own)", "pull"],
  ["CATALOG_MANAGER_PUSH_CATALOG_MANIFEST_OWN", "Catalog Manager", "Manifest (Own)", "push"],
  ["CATALOG_MANAGER_IMPORT_CATALOG_MANIFEST_OWN", "Catalog Manager", "Manifest (Own)", "import"],
  ["CREATE_SNAPSHOT_VM", "VMs", "Snapshot", "create"],
  ["CREATE_OWN_VM_SNAPSHOT", "VMs", "Snapshot (Own)", "create"],
  ["DELETE_SNAPSHOT_VM", "VMs", "Snapshot", "delete"],
  ["DELETE_OWN_VM_SNAPSHOT", "VMs", "Snapshot (Own)", "delete"],
  ["DELETE_ALL_SNAPSHOTS_VM", "VMs", "Snapshot", "delete"],
  ["DELETE_ALL_OWN_VM_SNAPSHOTS", "VMs", "Snapshot (Own)", "delete"],
  ["LIST_SNAPSHOT_VM", "VMs", "Snapshot", "read"],
  ["LIST_OWN_VM_SNAPSHOT", "VMs", "Snapshot (Own)", "read"],
  ["REVERT_SNAPSHOT_VM", "VMs", "Snapshot", "revert"],
  ["REVERT_OWN_VM_SNAPSHOT", "VMs", "Snapshot (Own)", "revert"],
  ["CONFIGURE_REVERSE_PROXY", "Reverse Proxy", "Reverse Proxy", "configure"],
] as const;

export type ClaimId = (typeof table)[number][0];
export const seededClaims = table.map(([id, group, resource, action]) => ({ id, group, resource, action }));
export const seededClaimIds: readonly ClaimId[] = table.map(([id]) => id);

export const superUserRole = "SUPER_USER";

/** What a new user holds unless its maker says otherwise. */
export const newUserClaims: readonly ClaimId[] = ["READ_ONLY", "LIST_CATALOG_MANIFEST", "LIST_PACKER_TEMPLATE", "LIST_VM", "LIST"];

const userClaims: readonly ClaimId[] = [
  ...newUserClaims,
  "LIST_CACHE", "DELET_CACHE_ITEM", "DELETE_ALL_CACHE",
  "CATALOG_MANAGER_LIST_OWN", "CATALOG_MANAGER_CREATE_OWN", "CATALOG_MANAGER_UPDATE_OWN", "CATALOG_MANAGER_DELETE_OWN",
  ...seededClaimIds.filter((id) => id.endsWith("_CATALOG_MANIFEST_OWN")),
  "JOB_MANAGER_LIST_OWN", "JOB_MANAGER_DELETE",
  "LIST_OWN_VM_SNAPSHOT", "CREATE_OWN_VM_SNAPSHOT", "DELETE_OWN_VM_SNAPSHOT", "REVERT_OWN_VM_SNAPSHOT", "DELETE_ALL_OWN_VM_SNAPSHOTS",
  "LIST_OWN_API_KEY", "CREATE_OWN_API_KEY", "DELETE_OWN_API_KEY", "UPDATE_OWN_API_KEY",
];
const administrative = seededClaimIds.filter((id) => id !== "READ_ONLY" && id !== "JOB_MANAGER_DEBUG");

/** `internal` roles are locked. */
export const seededRoles: readonly { id: string; description: string; internal: boolean; claims: readonly ClaimId[] }[] = [
  { id: "USER", description: "Sees machines and images, and manages what is its own.", internal: false, claims: userClaims },
  { id: "ADMIN", description: "Manages users, roles, machines, images and hosts.", internal: false, claims: administrative },
  { id: superUserRole, description: "May do everything.", internal: true, claims: administrative },
];
