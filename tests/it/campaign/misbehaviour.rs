//! How the store misbehaves for a while. Every way ends with the release, and none of them may change what is stored in the end.

use system_tests::dice::Dice;
use system_tests::proxy::{Proxy, Treatment};

/// A way to misbehave: what may become of a write, and how many in a hundred of them.
const WAYS: [(&str, u64, &[Treatment]); 8] = [
    ("acknowledgements lost", 50, &[Treatment::StoreAndCut]),
    ("acknowledgements withheld", 25, &[Treatment::StoreAndWithhold]),
    ("connections cut", 50, &[Treatment::Cut, Treatment::StoreAndCut]),
    ("stalls", 25, &[Treatment::Stall]),
    ("500", 60, &[Treatment::Answer(500)]),
    ("429 and 503", 60, &[Treatment::Answer(429), Treatment::Refuse]),
    ("away", 100, &[Treatment::Refuse, Treatment::Cut]),
    (
        "everything",
        50,
        &[
            Treatment::StoreAndCut,
            Treatment::StoreAndWithhold,
            Treatment::Cut,
            Treatment::Stall,
            Treatment::Refuse,
            Treatment::Answer(408),
            Treatment::Answer(413),
            Treatment::Answer(429),
            Treatment::Answer(500),
            Treatment::Answer(502),
        ],
    ),
];

/// From now on the store misbehaves in one of the ways, which is returned.
pub(super) fn begin(proxy: &Proxy, dice: &mut Dice) -> &'static str {
    let (name, percent, treatments) = *dice.pick(&WAYS);
    let mut dice = dice.fork();
    proxy.treat(move |_| if dice.chance(percent) { *dice.pick(treatments) } else { Treatment::Pass });
    name
}

/// The next write is answered as if the bucket held another type: the processor pauses, and tries again slowly.
pub(super) fn conflict(proxy: &Proxy) {
    proxy.treat(|number| if number == 1 { Treatment::Conflict } else { Treatment::Pass });
}
