//! Progress for the person at the terminal: a bar with rate and time left. Elsewhere it shows nothing.

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar, or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar up to that many lines (`u64::MAX`: a running count), shown on a terminal only.
    pub(crate) fn new(most: u64, on_terminal: bool) -> Self {
        if !on_terminal {
            return Self { bar: ProgressBar::hidden() };
        }
        let target = ProgressDrawTarget::stderr_with_hz(5);
        let (length, form) = if most == u64::MAX {
            (None, "{spinner} {human_pos} lines, {rate} lines/s, for {elapsed}")
        } else {
            (Some(most), "{wide_bar} {human_pos}/{human_len} lines, {rate} lines/s, {eta} left")
        };
        let style =
            ProgressStyle::with_template(form).expect("the template is right").with_key("rate", write_rate);
        Self { bar: ProgressBar::with_draw_target(length, target).with_style(style) }
    }

    /// So many lines are written.
    pub(crate) fn set(&self, lines: u64) {
        self.bar.set_position(lines);
    }

    /// Does something to the terminal while the bar is out of the way.
    pub(crate) fn aside(&self, act: &mut dyn FnMut()) {
        self.bar.suspend(act);
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Lines a second, whole: the bar's own form has four decimals.
fn write_rate(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    write!(text, "{}", HumanCount(state.per_sec().round() as u64)).expect("the bar writes into a String");
}
