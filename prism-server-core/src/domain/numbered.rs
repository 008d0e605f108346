//! Ids of things that are numbered within a log: `<prefix><suffix of the log's id>_<number>`.
//!
//! Such an id is bound to its log by its form: one of another log is refused without a look into the store.

/// The id of the thing with this number.
pub(super) fn id(prefix: &str, suffix: &str, number: u64) -> String {
    format!("{prefix}{suffix}_{number}")
}

/// The number in an id; `None` when the id is not one of this log's.
pub(super) fn number(prefix: &str, suffix: &str, id: &str) -> Option<u64> {
    let digits = id.strip_prefix(prefix)?.strip_prefix(suffix)?.strip_prefix('_')?;
    let canonical = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    if canonical { digits.parse().ok() } else { None }
}
