//! Tables for pipes and files: a long cell makes its own line longer, and no other.

/// Up to here the cells of a column stand below each other.
const ALIGNED_MAX: usize = 40;

/// Lines with these columns; nothing stands behind the last cell of a line.
pub(super) fn lines<const N: usize>(columns: [&str; N], rows: &[[String; N]]) -> String {
    let header = columns.map(str::to_uppercase);
    let all = || std::iter::once(&header).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        let widths = all().map(|cells| cells.get(column).map_or(0, |cell| cell.chars().count()));
        widths.filter(|width| *width <= ALIGNED_MAX).max().unwrap_or(0)
    });
    let line = |cells: &[String; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned() + "\n"
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cell_moves_only_what_follows_it_in_its_own_line() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let long = "x".repeat(350);
        let rows = [row(["ok", "granted", ""]), row(["FAILED", &long, "do"])];
        let text = lines(["status", "detail", "hint"], &rows);
        let expected = format!("STATUS  DETAIL   HINT\nok      granted\nFAILED  {long}  do\n");
        assert_eq!(text, expected);
    }
}
