//! The table.

use std::fmt;

use crate::measure::median;

/// A figure beside another one and its goal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    what: String,
    prism: String,
    baseline: String,
    ratio: String,
    goal: String,
    met: Option<bool>,
}

impl Row {
    /// A figure of the client.
    pub(crate) fn new(what: impl Into<String>, prism: impl Into<String>) -> Self {
        Self { what: what.into(), prism: prism.into(), ..Self::default() }
    }

    /// The same figure of another.
    pub(crate) fn baseline(mut self, baseline: impl Into<String>) -> Self {
        self.baseline = baseline.into();
        self
    }

    /// The median of the ratios of the rounds, with the least and the greatest: how far they can be trusted.
    pub(crate) fn ratios(mut self, ratios: &[f64]) -> Self {
        let least = ratios.iter().copied().fold(f64::MAX, f64::min);
        let most = ratios.iter().copied().fold(f64::MIN, f64::max);
        self.ratio = format!("{:.2} ({least:.2} to {most:.2})", median(ratios));
        self
    }

    /// What the figure should be, and whether it is.
    pub(crate) fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        self.goal = goal.into();
        self.met = Some(met);
        self
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let Self { what, prism, baseline, ratio, goal, .. } = self;
        write!(f, "| {what} | {prism} | {baseline} | {ratio} | {goal} | {met} |")
    }
}

/// The rows of all cases.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds a row, and shows it at once to whoever waits.
    pub(crate) fn row(&mut self, row: Row) {
        eprintln!("{row}");
        self.rows.push(row);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | Prism | beside it | ratio | goal | met |\n|---|---|---|---|---|---|")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}
