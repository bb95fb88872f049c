//! What people see: the table, and its rows as JSON. No measuring.

use serde::Serialize;

/// A row: medians of its rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// Lines in a round.
    pub lines: u64,
    /// Lines for each second that passed.
    pub lines_per_second: f64,
    /// Bytes of log for each second that passed, in millions.
    pub mb_per_second: f64,
    /// Lines for each second of CPU time, of all threads.
    pub lines_per_cpu_second: f64,
    /// Of this CPU time: the part in the kernel.
    pub kernel_part: Option<f64>,
    /// Greatest resident memory, in millions of bytes.
    pub peak_rss_mb: Option<f64>,
    /// Allocations for each line.
    pub allocations_per_line: Option<f64>,
    /// Instructions for each line.
    pub instructions_per_line: Option<f64>,
    /// The row that is its floor, and lines per CPU-second as a part of the floor's.
    pub of_floor: Option<(String, f64)>,
    /// What else is to be said of it.
    pub remark: Option<String>,
}

/// A figure that is no rate of lines.
#[derive(Clone, Debug, Serialize)]
pub struct Remark {
    /// What was done.
    pub what: String,
    /// What it came to.
    pub result: String,
}

/// The figures that are no rates, as a table in Markdown.
pub fn render_remarks(remarks: &[Remark]) -> String {
    let mut text = "| what | result |\n|---|---|\n".to_owned();
    for remark in remarks {
        text.push_str(&format!("| {} | {} |\n", remark.what, remark.result));
    }
    text
}

/// Prints on purpose: this is the program's answer.
pub fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // Whoever has closed our output does not want it.
    let _closed = writeln!(out, "{text}");
}

/// Says what is going on, or wrong.
pub fn complain(text: &str) {
    use std::io::Write;
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}

/// The middle one; of an even number, the lower of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

/// The rows as a table in Markdown.
pub fn render(rows: &[Row]) -> String {
    let mut text = "| what | lines/s | MB/s | lines per CPU-second | kernel | peak MB | allocations/line | instructions/line | of the floor |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n".to_owned();
    for row in rows {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        text.push_str(&format!(
            "| {} | {} | {:.0} | {} | {} | {} | {} | {} | {} |\n",
            row.what,
            thousands(row.lines_per_second),
            row.mb_per_second,
            thousands(row.lines_per_cpu_second),
            or_dash(row.kernel_part.map(|part| format!("{:.0} %", part * 100.0))),
            or_dash(row.peak_rss_mb.map(|mb| format!("{mb:.1}"))),
            or_dash(row.allocations_per_line.map(|number| format!("{number:.4}"))),
            or_dash(row.instructions_per_line.map(|number| format!("{number:.0}"))),
            or_dash(row.of_floor.as_ref().map(|(floor, part)| format!("{:.0} % of {floor}", part * 100.0))),
        ));
        if let Some(remark) = &row.remark {
            text.push_str(&format!("| ({remark}) |||||||||\n"));
        }
    }
    text
}

/// A number as people read it: `1,234,567`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable_and_a_median_is_one_of_the_values() {
        for (number, text) in [(0.0, "0"), (999.4, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}
