// Since when: stretches of a series in which at least 5 % of the requests ended in a server error, which is the api's own rule for a minute that is down. Pure.

export interface Counted {
  start: string;
  total_requests: number;
  status: { "5xx": number };
}

export interface Stretch {
  from: number;
  /** The end of the last bad bucket. */
  to: number;
  errors: number;
  requests: number;
  ongoing: boolean;
}

export const DOWN_PERCENT = 5;

/** So many good buckets with traffic in between are no end: a half-failing service has good minutes, too. */
const GAP = 2;

export function stretches(data: Counted[], end: number): Stretch[] {
  const found: Stretch[] = [];
  let open: Stretch | null = null;
  let good = 0;
  data.forEach((point, i) => {
    if (point.total_requests === 0) return; // Without traffic nothing is known: neither begins nor ends a stretch.
    const errors = point.status["5xx"];
    if (errors * 100 < point.total_requests * DOWN_PERCENT) {
      if (open && ++good > GAP) open = null;
      return;
    }
    good = 0;
    if (!open) found.push((open = { from: Date.parse(point.start), to: 0, errors: 0, requests: 0, ongoing: false }));
    const next = data[i + 1];
    open.to = next ? Date.parse(next.start) : end;
    open.errors += errors;
    open.requests += point.total_requests;
  });
  if (open) (open as Stretch).ongoing = true;
  return found;
}

/** The one with the most errors. */
export function worst(all: Stretch[]): Stretch | null {
  return all.reduce<Stretch | null>((worst, s) => (!worst || s.errors > worst.errors || (s.errors === worst.errors && s.from > worst.from) ? s : worst), null);
}
