//! Tables without lines.

use comfy_table::{Table, presets::NOTHING};

use super::harmless;

/// A table with a head and left-aligned columns.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = empty();
    table.set_header(head.map(str::to_uppercase));
    table.add_rows(rows.into_iter().map(|row| row.map(|cell| one_line(&cell))));
    print(&mut table)
}

/// One record: a name and a value on each line.
pub(crate) fn record<const N: usize>(fields: [(&str, String); N]) -> String {
    let mut table = empty();
    table.add_rows(fields.map(|(name, value)| [name.to_owned(), one_line(&value)]));
    print(&mut table)
}

/// The value, or a dash for what is not there.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

fn print(table: &mut Table) -> String {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    table.trim_fmt()
}

fn one_line(text: &str) -> String {
    harmless(&text.replace(['\r', '\n', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_stay_on_their_line() {
        let rows = [["dep_1".to_owned(), "a\nb".to_owned()], ["dep_long".to_owned(), "-".to_owned()]];
        assert_eq!(table(["id", "name"], rows), "ID        NAME\ndep_1     a b\ndep_long  -");
    }

    #[test]
    fn a_record_is_a_field_a_line() {
        assert_eq!(record([("id", "x".into()), ("status", "ready".into())]), "id      x\nstatus  ready");
    }
}
