//! Runs in which the disk fails for one of two logs and does not get better by itself: the other log goes on, and the account is exact when somebody has repaired it.

use super::drive::{PATHS, caught, last_life, one_life, violation_of, world_of};
use super::script::Kind;
use super::verdict::Unread;
use super::world::{Sim, Violation, violated};

/// Runs a seed. Returns how many lines of the broken log waited until it was repaired.
fn run(seed: u64) -> Result<usize, Violation> {
    let mut world = world_of(seed, |plan| {
        plan.calm(seed.is_multiple_of(2));
        (plan.sources, plan.lives, plan.actions, plan.act_percent) = (2, 0, 70, 5);
        (plan.rotate_percent, plan.piece_percent) = (10, 20);
        plan.kinds = if seed.is_multiple_of(3) { vec![Kind::Rename] } else { Kind::BY_NAME.to_vec() };
    });
    // What tail sees of a file that it cannot read for a while is less than what was there.
    world.oracle.disk_fails = true;
    let lives: Vec<u64> = (0..seed % 3).map(|_| world.chance.between(1, 400)).collect();
    let sim = Sim::new(world);
    let mut waited = 0;
    let ended = caught(|| {
        lives.iter().for_each(|length| one_life(&sim, *length));
        sim.world().broken = Some((PATHS[0], seed.is_multiple_of(5)));
        last_life(&sim);
        let Unread { lines, .. } = sim.world().unread_of(PATHS[1]);
        if let Some(line) = lines.first() {
            violated("T2", format!("line {line} of the log that can be read waits for the other one"));
        }
        waited = sim.world().unread_of(PATHS[0]).lines.len();
        sim.world().broken = None;
        for _ in 0..2 {
            last_life(&sim);
            sim.world().judge();
        }
        let Unread { lines, names } = sim.world().unread_of("/log/");
        if let Some(line) = lines.first() {
            violated("X1", format!("line {line} stands in one of {names:?}, and is not there"));
        }
    });
    sim.set_rooms(None);
    ended.map_err(violation_of).map(|()| waited)
}

#[test]
fn x1_a_log_that_cannot_be_read_holds_no_other_up_and_is_read_when_it_can_be() {
    let mut waited = 0;
    for seed in 0..300 {
        match run(seed) {
            Ok(lines) => waited += lines,
            Err(violation) => panic!("seed {seed}: {} {}", violation.invariant, violation.what),
        }
    }
    assert!(waited > 1000, "only {waited} lines had to wait: the disk was hardly broken");
}
