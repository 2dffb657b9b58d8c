//! What a stock is after regions changed it at the same time.

use domicile_sdk::{Merge, Row, Version, merge};

/// The columns that are resolved.
#[derive(Row, Clone, Debug, PartialEq)]
pub struct Stock {
    quantity: Option<i64>,
    note: Option<String>,
}

/// The smallest quantity holds, so that nobody sells what is gone; and the note that was written last.
pub struct Careful;

#[merge]
impl Merge for Careful {
    type Row = Stock;

    fn resolve(versions: &[Version<Stock>]) -> Result<Stock, String> {
        Ok(Stock {
            quantity: versions.iter().filter_map(|version| version.row.quantity).min(),
            note: versions.iter().rev().find_map(|version| version.row.note.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(written_at: u64, quantity: Option<i64>, note: Option<&str>) -> Version<Stock> {
        let row = Stock { quantity, note: note.map(str::to_owned) };
        Version { written_at, origin: "us-east".to_owned(), row }
    }

    #[test]
    fn the_smallest_quantity_and_the_last_note_hold() {
        let versions = [version(1, Some(3), Some("counted")), version(2, Some(5), None), version(3, None, None)];
        let resolved = Careful::resolve(&versions).unwrap();
        assert_eq!(resolved, Stock { quantity: Some(3), note: Some("counted".to_owned()) });
    }
}
