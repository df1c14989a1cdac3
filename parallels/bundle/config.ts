/**
 * `config.pvs`, the XML that says what a machine is.
 *
 * The one idea: it is read and changed as text, element by element, so everything that we do not know stays as Parallels Desktop wrote it.
 */
export interface MachineFacts {
  readonly id: string;
  readonly name: string;
  readonly kind: "pvm" | "macvm";
  readonly osType: number;
  readonly osNumber: number;
  readonly cpus: number;
  readonly memoryMegabytes: number;
  readonly macAddress: string;
  readonly disk: { readonly fileName: string; readonly megabytes: number; readonly expanding: boolean } | null;
  readonly createdAt: Date;
}

/** The text of the element that is reached by these names, or `null` where one of them is missing. */
export function elementOf(xml: string, ...path: string[]): string | null {
  const span = spanOf(xml, path);
  return span ? unescaped(xml.slice(span.from, span.to)) : null;
}

/** The same XML with another text in that element; unchanged where there is no such element. */
export function withElement(xml: string, path: string[], text: string): string {
  const span = spanOf(xml, path);
  return span ? xml.slice(0, span.from) + escaped(text) + xml.slice(span.to) : xml;
}

/** Each element of that name, as text with its tags. */
export function elementsOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>[\\s\\S]*?</${name}>`, "g"))].map(([text]) => text);
}

function spanOf(xml: string, path: string[]): { from: number; to: number } | null {
  let from = 0;
  let to = xml.length;
  for (const name of path) {
    const opening = new RegExp(`<${name}(?:\\s[^>]*[^/])?>`, "g");
    opening.lastIndex = from;
    const start = opening.exec(xml);
    if (!start || opening.lastIndex > to) return null;
    const end = xml.indexOf(`</${name}>`, opening.lastIndex);
    if (end < 0 || end > to) return null;
    from = opening.lastIndex;
    to = end;
  }
  return { from, to };
}

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const unescaped = (text: string) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&apos;", "'").replaceAll("&amp;", "&");

/** Time as Parallels writes it, in UTC. */
export const timeText = (date: Date): string => date.toISOString().slice(0, 19).replace("T", " ");

export const diskElement = (
  index: number,
  disk: NonNullable<MachineFacts["disk"]>,
): string => `    <Hdd dyn_lists="Partition 0" id="${index}">
      <Index>${index}</Index>
      <Enabled>1</Enabled>
      <Connected>1</Connected>
      <EmulatedType>1</EmulatedType>
      <SystemName>${escaped(disk.fileName)}</SystemName>
      <UserFriendlyName>${escaped(disk.fileName)}</UserFriendlyName>
      <InterfaceType>2</InterfaceType>
      <StackIndex>${index}</StackIndex>
      <DiskType>${disk.expanding ? 1 : 0}</DiskType>
      <Size>${disk.megabytes}</Size>
    </Hdd>
`;

export function newConfig(facts: MachineFacts): string {
  const created = timeText(facts.createdAt);
  return `<?xml version="1.0" encoding="UTF-8"?>
<ParallelsVirtualMachine schemaVersion="1.0" dyn_lists="VirtualAppliance 0">
  <AppVersion>20.2.0-55872</AppVersion>
  <ValidRc>0</ValidRc>
  <Identification dyn_lists="">
    <VmUuid>{${facts.id}}</VmUuid>
    <VmType>${facts.kind === "macvm" ? 2 : 0}</VmType>
    <SourceVmUuid>{${facts.id}}</SourceVmUuid>
    <LinkedVmUuid></LinkedVmUuid>
    <LinkedSnapshotUuid></LinkedSnapshotUuid>
    <VmName>${escaped(facts.name)}</VmName>
    <VmCreationDate>${created}</VmCreationDate>
    <VmUptimeStartDateTime>${created}</VmUptimeStartDateTime>
    <VmUptimeInSeconds>0</VmUptimeInSeconds>
  </Identification>
  <Settings dyn_lists="">
    <General dyn_lists="PrevOsNumber">
      <OsType>${facts.osType}</OsType>
      <OsNumber>${facts.osNumber}</OsNumber>
      <VmDescription></VmDescription>
      <IsTemplate>0</IsTemplate>
      <CustomProperty></CustomProperty>
    </General>
    <Tools dyn_lists="">
      <ToolsVersion></ToolsVersion>
      <IsolatedVm>0</IsolatedVm>
    </Tools>
    <VmEncryptionInfo dyn_lists="">
      <Enabled>0</Enabled>
    </VmEncryptionInfo>
    <PackingOptions dyn_lists="">
      <Direction>0</Direction>
      <Progress>0</Progress>
    </PackingOptions>
  </Settings>
${hardware(facts)}</ParallelsVirtualMachine>
`;
}

const hardware = (facts: MachineFacts): string => `  <Hardware dyn_lists="Hdd ${facts.disk ? 1 : 0} NetworkAdapter 1">
    <Cpu dyn_lists="">
      <Number>${facts.cpus}</Number>
      <Type>1</Type>
    </Cpu>
    <Memory dyn_lists="">
      <RAM>${facts.memoryMegabytes}</RAM>
    </Memory>
${facts.disk ? diskElement(0, facts.disk) : ""}    <NetworkAdapter dyn_lists="NetAddress DnsIPAddress SearchDomain" id="0">
      <Index>0</Index>
      <Enabled>1</Enabled>
      <Connected>1</Connected>
      <EmulatedType>1</EmulatedType>
      <MAC>${facts.macAddress}</MAC>
      <AdapterType>3</AdapterType>
    </NetworkAdapter>
  </Hardware>
`;
