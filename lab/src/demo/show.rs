//! Plain headings and tables.

/// A line that says what comes next.
pub(super) fn heading(title: &str) {
    println!("\n{title}");
}

/// Rows of equal length, in columns as wide as their widest cell; the first row is the header.
pub(super) fn table(rows: &[Vec<String>]) {
    print!("{}", layout(rows));
}

fn layout(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str("  ");
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::layout;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["NODE", "STATE"]), row(["sart-worker", "up"])];
        assert_eq!(layout(&rows), "  NODE         STATE\n  sart-worker  up\n");
        assert_eq!(layout(&[]), "");
    }
}
