//! The rhythm of the day and the week: how busy a moment is. Pure arithmetic on seconds; what happens then is not said here.

/// How busy each hour of a working day begins (UTC), in percent of the busiest.
const HOURS: [u32; 24] =
    [30, 24, 20, 18, 18, 22, 32, 48, 68, 85, 95, 100, 98, 96, 98, 97, 92, 85, 78, 72, 66, 58, 48, 38];

/// The busiest that [`busyness`] gets.
pub(crate) const BUSIEST: u32 = 100 * 60 * 10;

/// How busy the minute of that second is: hours pass into each other evenly; Saturday and Sunday have six tenths.
pub(crate) fn busyness(second: i64) -> u32 {
    let of_day = u32::try_from(second.rem_euclid(86_400)).expect("a day has 86,400 seconds");
    let (hour, minute) = ((of_day / 3600) as usize, of_day / 60 % 60);
    let hourly = HOURS[hour] * (60 - minute) + HOURS[(hour + 1) % 24] * minute;
    // 1970-01-01 was a Thursday.
    let weekday = (second.div_euclid(86_400) + 4).rem_euclid(7);
    hourly * if weekday == 0 || weekday == 6 { 6 } else { 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noon_is_busy_night_is_quiet_and_sunday_quieter() {
        let monday = 4 * 86_400;
        assert_eq!(busyness(monday + 11 * 3600), BUSIEST);
        assert_eq!(busyness(monday + 3 * 3600), BUSIEST * 18 / 100);
        assert_eq!(busyness(monday + 7 * 3600 + 1800), BUSIEST * 58 / 100);
        assert_eq!(busyness(3 * 86_400 + 11 * 3600), BUSIEST * 6 / 10);
        // A minute before midnight, between the hours 23 and 0, on a Wednesday.
        assert_eq!(busyness(-1), (38 + 59 * 30) * 10);
    }
}
