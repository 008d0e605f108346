//! Turns of two servers, A B A B, and what is told of them.

use crate::{client::closed_loop::Turn, statistics::median};

/// The turns of Prism and of the baseline, in pairs.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pairs: Vec<(Turn, Turn)>,
}

impl Turns {
    pub(super) fn push(&mut self, prism: Turn, baseline: Turn) {
        self.pairs.push((prism, baseline));
    }

    /// The median of a figure of Prism's turns.
    pub(super) fn prism(&self, figure: impl Fn(&Turn) -> f64) -> f64 {
        median(self.pairs.iter().map(|(prism, _)| figure(prism)))
    }

    /// The median of a figure of the baseline's turns.
    pub(super) fn baseline(&self, figure: impl Fn(&Turn) -> f64) -> f64 {
        median(self.pairs.iter().map(|(_, baseline)| figure(baseline)))
    }

    /// The median of the ratios of the pairs' rates.
    pub(super) fn ratio(&self) -> f64 {
        median(self.ratios())
    }

    /// The ratios of the pairs' rates.
    pub(super) fn ratios(&self) -> Vec<f64> {
        self.pairs.iter().map(|(prism, baseline)| prism.per_second / baseline.per_second).collect()
    }

    /// Prism's rates in words.
    pub(super) fn prism_rate(&self) -> String {
        rate(|figure| self.prism(figure))
    }

    /// The baseline's rates in words.
    pub(super) fn baseline_rate(&self) -> String {
        rate(|figure| self.baseline(figure))
    }
}

fn rate(figure: impl Fn(fn(&Turn) -> f64) -> f64) -> String {
    let (per_second, cpu) = (figure(|turn| turn.per_second), figure(|turn| turn.cpu));
    let (p50, p99) = (figure(|turn| turn.latencies.p50()), figure(|turn| turn.latencies.p99()));
    format!("{per_second:.0}/s, p50 {p50:.2} ms, p99 {p99:.2} ms, {cpu:.0} µs CPU")
}

/// `1 connection` or `32 connections`.
pub(super) fn connections_in_words(connections: usize) -> String {
    format!("{connections} connection{}", if connections == 1 { "" } else { "s" })
}
