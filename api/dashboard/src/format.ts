// Values as people read them: numbers by locale, always with their unit, times on the chosen zone's clock. A share is never rounded to a better one than it is.

export const NONE = "–";

const counts = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? NONE : counts.format(n);
}

export function short(n: number): string {
  return n < 10_000 ? counts.format(Math.round(n * 10) / 10) : compact.format(n);
}

/** A share in percent. Rounded down, so that 100 % is said of nothing less. */
export function share(percent: number | null | undefined, digits = 2): string {
  if (percent === null || percent === undefined) return NONE;
  const factor = 10 ** digits;
  const floored = Math.floor(percent * factor + 1e-6) / factor;
  return `${floored.toLocaleString(undefined, { minimumFractionDigits: percent === 100 ? 0 : digits, maximumFractionDigits: digits })} %`;
}

/** A share of errors. Rounded up, so that 0 % is said of nothing more. */
export function errorShare(part: number, whole: number, digits = 2): string {
  if (whole === 0) return NONE;
  const factor = 10 ** digits;
  const ceiled = part === 0 ? 0 : Math.ceil((part / whole) * 100 * factor - 1e-6) / factor;
  return `${ceiled.toLocaleString(undefined, { maximumFractionDigits: digits })} %`;
}

export function points(difference: number): string {
  const sign = difference > 0 ? "+" : difference < 0 ? "−" : "±";
  return `${sign}${Math.abs(difference).toLocaleString(undefined, { maximumFractionDigits: 2 })} pt`;
}

export function relative(now: number, before: number): string {
  if (before === 0) return now === 0 ? "±0 %" : "new";
  const percent = (now / before - 1) * 100;
  if (Math.abs(percent) < 0.05) return "±0 %";
  const sign = percent > 0 ? "+" : "−";
  return Math.abs(percent) >= 1000
    ? `× ${(now / before).toLocaleString(undefined, { maximumFractionDigits: 0 })}`
    : `${sign}${Math.abs(percent).toLocaleString(undefined, { maximumFractionDigits: Math.abs(percent) < 10 ? 1 : 0 })} %`;
}

export function latency(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 1) {
    const ms = seconds * 1000;
    return `${ms.toLocaleString(undefined, { maximumFractionDigits: ms < 10 ? 2 : ms < 100 ? 1 : 0 })} ms`;
  }
  return `${seconds.toLocaleString(undefined, { maximumFractionDigits: seconds < 10 ? 2 : 1, minimumFractionDigits: seconds < 10 ? 2 : 1 })} s`;
}

export function bytes(n: number): string {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]] as const) {
    if (n >= size) return `${(n / size).toLocaleString(undefined, { maximumFractionDigits: 1 })} ${unit}`;
  }
  return `${counts.format(n)} B`;
}

export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  if (s < 86_400) {
    const h = Math.floor(s / 3600), m = Math.round((s % 3600) / 60);
    return m === 0 || m === 60 ? `${h + (m === 60 ? 1 : 0)} h` : `${h} h ${m} min`;
  }
  const d = Math.floor(s / 86_400), h = Math.round((s % 86_400) / 3600);
  return h === 0 ? `${d} d` : `${d} d ${h} h`;
}

export function ago(instant: string | number, now = Date.now()): string {
  const seconds = (now - (typeof instant === "number" ? instant : Date.parse(instant))) / 1000;
  return seconds < 2 ? "now" : `${duration(seconds)} ago`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function clock(tz: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = tz + JSON.stringify(options);
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.DateTimeFormat("en-GB", { timeZone: tz, hourCycle: "h23", ...options })));
  return format;
}

/** `16:15`, with seconds `16:15:35`. */
export function time(ms: number, tz: string, seconds = false): string {
  return clock(tz, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) }).format(ms);
}

/** `30 Sep`. */
export function day(ms: number, tz: string): string {
  return clock(tz, { day: "numeric", month: "short" }).format(ms);
}

/** `Mon 30 Sep 2024`. */
export function fullDay(ms: number, tz: string): string {
  return clock(tz, { weekday: "short", day: "numeric", month: "short", year: "numeric" }).format(ms).replace(",", "");
}

/** Day and time, the day only when it is not that of `now`. */
export function when(ms: number, tz: string, now = Date.now(), seconds = false): string {
  const same = day(ms, tz) === day(now, tz) && Math.abs(now - ms) < 40 * 86_400_000;
  return same ? time(ms, tz, seconds) : `${day(ms, tz)} ${time(ms, tz, seconds)}`;
}

/** What the zone's clock shows, as `datetime-local` writes it. */
export function localInput(ms: number, tz: string): string {
  const parts = Object.fromEntries(
    clock(tz, { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" }).formatToParts(ms).map((p) => [p.type, p.value]),
  );
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}`;
}

/** The instant at which the zone's clock shows that. */
export function fromLocalInput(text: string, tz: string): number {
  const wanted = Date.parse(`${text}Z`);
  let ms = wanted;
  // The offset depends on the instant, and the instant on the offset: twice is enough.
  for (let i = 0; i < 2; i++) ms += wanted - Date.parse(`${localInput(ms, tz)}Z`);
  return ms;
}

export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
