//! A bar for transfers that take long, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A transfer that is over by then needs no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// The progress of one transfer.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    shown: bool,
    begin: Instant,
}

impl Progress {
    /// Begins at `start` of `whole` octets, if that is known.
    pub fn new(start: u64, whole: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(whole, ProgressDrawTarget::hidden()).with_position(start);
        let template = match whole {
            Some(_) => "{bar:40} {binary_bytes:>10} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta}",
            None => "{spinner} {binary_bytes:>10}  {binary_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.reset_eta();
        Self { bar, shown: false, begin: Instant::now() }
    }

    /// So far.
    pub fn at(&mut self, octets: u64) {
        self.bar.set_position(octets);
        if !self.shown && self.begin.elapsed() > PATIENCE && std::io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    /// On an error the bar stays as far as it got.
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.abandon();
        }
    }
}
