//! Incidents: minutes in which one customer, or one path, suffers. Which and when follows from the seed and the time alone,
//! so that history and present agree whatever was drawn between them.

use super::dice::fate;

/// Each half hour of time has at most one incident, wholly inside it.
const SLOT_SECONDS: i64 = 1800;
/// Only customers of the first ranks are hit: with a few requests an hour nobody would see it.
const CUSTOMER_RANKS: u64 = 20;

/// What goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Incident {
    /// The first second.
    from: i64,
    /// The first second after it.
    until: i64,
    target: Target,
    /// How many of a million requests fail with a 5xx.
    pub(crate) failing_ppm: u32,
    /// How many times longer an answer takes.
    pub(crate) slowness: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Customer(usize),
    Path(usize),
}

/// The incident of the present half hour, worked out once for each.
#[derive(Debug)]
pub(crate) struct Incidents {
    seed: u64,
    paths: usize,
    slot: i64,
    now: Option<Incident>,
}

impl Incidents {
    /// Those of a seed, for that many paths.
    pub(crate) fn new(seed: u64, paths: usize) -> Self {
        Self { seed, paths, slot: i64::MIN, now: None }
    }

    /// The incident that hits a request of that customer (by rank) on that path at that second.
    pub(crate) fn hitting(&mut self, second: i64, customer: usize, path: usize) -> Option<Incident> {
        let slot = second.div_euclid(SLOT_SECONDS);
        if slot != self.slot {
            self.slot = slot;
            self.now = incident_of(self.seed, slot, self.paths);
        }
        self.now.filter(|incident| {
            (incident.from..incident.until).contains(&second)
                && match incident.target {
                    Target::Customer(rank) => rank == customer,
                    Target::Path(index) => index == path,
                }
        })
    }
}

/// One half hour in three has an incident, of 3 to 10 minutes; two of three hit a customer.
fn incident_of(seed: u64, slot: i64, paths: usize) -> Option<Incident> {
    let slot_fate = fate(seed, slot.cast_unsigned());
    let mut drawn = 0;
    let mut below = |limit: u64| {
        drawn += 1;
        fate(slot_fate, drawn) % limit
    };
    if below(3) != 0 {
        return None;
    }
    let from = slot * SLOT_SECONDS + below(1200).cast_signed();
    let until = from + 180 + below(421).cast_signed();
    let target = match below(3) {
        0 => Target::Path(below(paths as u64) as usize),
        _ => Target::Customer(below(CUSTOMER_RANKS) as usize),
    };
    let failing_ppm = 150_000 + below(450_000) as u32;
    let slowness = 3.0 + below(500) as f64 / 100.0;
    Some(Incident { from, until, target, failing_ppm, slowness })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_stay_in_their_half_hour_and_come_at_times() {
        let slots = 0..10_000_i64;
        let found: Vec<Incident> = slots
            .filter_map(|slot| {
                let incident = incident_of(42, slot, 12)?;
                assert!(
                    incident.from >= slot * SLOT_SECONDS && incident.until <= (slot + 1) * SLOT_SECONDS,
                    "{incident:?}"
                );
                assert!((180..=600).contains(&(incident.until - incident.from)), "{incident:?}");
                assert!(
                    (150_000..600_000).contains(&incident.failing_ppm)
                        && (3.0..8.0).contains(&incident.slowness),
                    "{incident:?}"
                );
                Some(incident)
            })
            .collect();
        assert!(found.len().abs_diff(3333) < 300, "{}", found.len());
        let customers =
            found.iter().filter(|incident| matches!(incident.target, Target::Customer(_))).count();
        assert!(customers.abs_diff(found.len() * 2 / 3) < 300, "{customers}");
    }

    #[test]
    fn only_the_target_is_hit_and_only_in_time() {
        let slot = (0..).find(|slot| incident_of(7, *slot, 12).is_some()).expect("one comes soon");
        let incident = incident_of(7, slot, 12).expect("just found");
        let mut incidents = Incidents::new(7, 12);
        let mut hit = |second| {
            let customers = (0..300)
                .filter(|customer| (0..12).any(|path| incidents.hitting(second, *customer, path).is_some()));
            customers.count()
        };
        assert_eq!(hit(incident.from - 1), 0);
        assert!(matches!(
            (hit(incident.from), incident.target),
            (1, Target::Customer(_)) | (300, Target::Path(_))
        ));
        assert!(hit(incident.until - 1) > 0);
        assert_eq!(hit(incident.until), 0);
    }
}
