//! The table.

use crate::statistics::median;

/// A figure beside its baseline and its goal.
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
    /// A figure of Prism.
    pub(crate) fn new(what: impl Into<String>, prism: impl Into<String>) -> Self {
        Self { what: what.into(), prism: prism.into(), ..Self::default() }
    }

    /// The same figure of the baseline.
    pub(crate) fn baseline(mut self, baseline: impl Into<String>) -> Self {
        self.baseline = baseline.into();
        self
    }

    /// The ratio of two medians.
    pub(crate) fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = format!("{ratio:.2}");
        self
    }

    /// The median of the ratios of the pairs, with the least and the greatest: how far they can be trusted.
    pub(crate) fn ratios(mut self, ratios: &[f64]) -> Self {
        let (least, most) = ratios
            .iter()
            .fold((f64::MAX, f64::MIN), |(least, most), ratio| (ratio.min(least), ratio.max(most)));
        self.ratio = format!("{:.2} ({least:.2} to {most:.2})", median(ratios.iter().copied()));
        self
    }

    /// What the figure should be, and whether it is.
    pub(crate) fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        self.goal = goal.into();
        self.met = Some(met);
        self
    }

    fn line(&self) -> String {
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let Self { what, prism, baseline, ratio, goal, .. } = self;
        format!("| {what} | {prism} | {baseline} | {ratio} | {goal} | {met} |")
    }
}

/// Rows of all cases, and what is to be said beside them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    remarks: Vec<String>,
}

impl Report {
    /// Adds a row, and shows it at once to whoever waits.
    pub(crate) fn row(&mut self, row: Row) {
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    /// Adds a remark.
    pub(crate) fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        eprintln!("{remark}");
        self.remarks.push(remark);
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| figure | Prism | baseline | ratio | goal | met |\n|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "{}", row.line())?;
        }
        writeln!(f)?;
        self.remarks.iter().try_for_each(|remark| writeln!(f, "* {remark}"))
    }
}
