// SPDX-License-Identifier: MIT
//! Columns for people.

use comfy_table::{Table, presets::NOTHING};

/// Rows under headings; columns as wide as needed, cut to no screen.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["a".into(), "bb".into()],
            vec!["cccc".into(), "d".into()],
        ];
        assert_eq!(
            super::table(&["x", "yy"], rows),
            "X     YY\na     bb\ncccc  d"
        );
    }
}
